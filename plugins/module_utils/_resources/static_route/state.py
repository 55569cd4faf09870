# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Static route: a network that leads through a gateway, an interface, or nowhere."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import typing as t

from ..._core.errors import InvalidOption
from .. import declared
from ..gateway.state import INTERFACE

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..gateway.ways import Ways

ARGUMENTS: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "network": {"type": "str"},
    "gateway": {"type": "str"},
    "interface": {"type": "str"},
    "blackhole": {"type": "bool", "default": False},
    "enabled": {"type": "bool", "default": True},
    "description": {"type": "str"},
    "allow_default": {"type": "bool", "default": False},
}
"""The options of static_route, and of each item of vti_site's static_routes."""


@dataclasses.dataclass(frozen=True)
class StaticRoute:
    """A route as declared; ``gateway`` is the name of a gateway or a group, or an address."""

    name: str
    network: str
    gateway: str | None = None
    interface: str | None = None
    blackhole: bool = False
    enabled: bool = True
    description: str | None = None
    allow_default: bool = False


@dataclasses.dataclass(frozen=True, order=True)
class NextHop:
    """Where the kernel sends packets: through a gateway's address, an interface, or nowhere (all empty).

    protocol: by which name ip-route(8) finds it; whoever made a route, it leads to the same place.
    """

    gateway: str = ""
    interface: str = ""
    protocol: str = dataclasses.field(default="static", compare=False)

    def __str__(self) -> str:
        return self.gateway or self.interface or "blackhole"


def from_options(options: Mapping[str, t.Any]) -> StaticRoute:
    """Check what can be checked of a route alone."""
    # rc.conf(5) makes a shell variable of the name.
    if not re.fullmatch(r"[A-Za-z0-9_]+", options["name"]) or len(options["name"]) > declared.NAME_LENGTH:
        raise InvalidOption(
            f"name: {options['name']!r} cannot name a route; use at most {declared.NAME_LENGTH} letters, digits and '_'"
        )
    if not options.get("network"):
        raise InvalidOption(f"network: required for route {options['name']}")
    fields = declared.pick(StaticRoute, options)
    fields["network"] = _network(options["network"])
    route = StaticRoute(**fields)
    declared.check_text("description", route.description)
    ways = [option for option in ("gateway", "interface", "blackhole") if getattr(route, option)]
    if len(ways) != 1:
        raise InvalidOption(
            f"gateway: give exactly one of gateway, interface and blackhole=true for route {route.name}"
        )
    if route.interface and not INTERFACE.fullmatch(route.interface):
        raise InvalidOption(f"interface: {route.interface!r} is no interface name")
    return route


def _network(text: str) -> str:
    try:
        return str(declared.network(text))
    except ValueError as error:
        raise InvalidOption(f"network: {error}; write it as 10.1.0.0/24") from None


def target(route: StaticRoute, ways: Ways) -> str | None:
    """The gateway or group that a route names; None for one by address, by interface, or to nowhere."""
    return ways.find(route.gateway) if route.gateway else None


def next_hop(route: StaticRoute, ways: Ways, *, boot: bool = False) -> NextHop:
    """Resolve a route. Through a group it follows the monitor, but the ``boot`` configuration knows nothing of that."""
    if route.blackhole:
        return NextHop()
    if route.interface:
        return NextHop(interface=route.interface)
    gateway = t.cast("str", route.gateway)
    named = target(route, ways)
    if named:
        ways.members("gateway", named)
        address = (ways.preferred(named) if boot else ways.chosen(named)).hop
    else:
        try:
            address = str(ipaddress.ip_address(gateway))
        except ValueError:
            raise InvalidOption(
                f"gateway: {gateway!r} is neither an address nor a gateway or group of this host; known: {ways.known()}"
            ) from None
    if (":" in address) != (":" in route.network):
        raise InvalidOption(
            f"gateway: {gateway} and network {route.network} of route {route.name} are of different families"
        )
    return NextHop(gateway=address)
