# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Policy route: what comes in on an interface and matches goes to a gateway or a group, whatever routes say."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import typing as t

from ..._core.errors import InvalidOption
from .. import declared
from ..gateway.state import INTERFACE

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ARGUMENTS: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "order": {"type": "int", "default": 1000},
    "interface": {"type": "str"},
    "source": {"type": "list", "elements": "str", "default": []},
    "destination": {"type": "list", "elements": "str", "default": []},
    "destination_except": {"type": "list", "elements": "str", "default": []},
    "protocol": {"type": "str", "choices": ["any", "tcp", "udp", "tcp/udp", "icmp"], "default": "any"},
    "source_port": {"type": "list", "elements": "str", "default": []},
    "destination_port": {"type": "list", "elements": "str", "default": []},
    "gateway": {"type": "str"},
    "on_down": {"type": "str", "choices": ["block", "follow"], "default": "block"},
    "reply_to": {"type": "bool", "default": False},
    "table": {"type": "int"},
    "enabled": {"type": "bool", "default": True},
    "description": {"type": "str"},
}
"""The options of policy_route, and of each item of vti_site's policy_routes."""

TABLE = (1, 32000)
"""Range of routing table numbers, which are priorities of rules too: below those of the main table (ip-rule(8))."""
FIRST_TABLE = 7001
NAME_LENGTH = 28
"""Longest name, in characters: with an ending it names a table of pf, which has at most 31 (pf.conf(5))."""


@dataclasses.dataclass(frozen=True)
class PolicyRoute:
    """A policy route as declared. ``table`` is Linux's number for its gateway; None on FreeBSD."""

    name: str
    interface: str
    gateway: str
    order: int = 1000
    source: tuple[str, ...] = ()
    destination: tuple[str, ...] = ()
    destination_except: tuple[str, ...] = ()
    protocol: str = "any"
    source_port: tuple[str, ...] = ()
    destination_port: tuple[str, ...] = ()
    on_down: str = "block"
    reply_to: bool = False
    table: int | None = None
    enabled: bool = True
    description: str | None = None

    @property
    def way(self) -> tuple[str, str, bool]:
        """What the routes with one table have in common."""
        return (self.gateway, self.on_down, self.reply_to)


def from_options(options: Mapping[str, t.Any], others: Iterable[PolicyRoute], *, tables: bool) -> PolicyRoute:
    """Check what can be checked of a policy route alone; ``tables``: settle the number of its table.

    A number left out is that of another policy route to the same gateway, else what it was, else the lowest free one.
    """
    declared.check_name("name", options["name"])
    if len(options["name"]) > NAME_LENGTH:
        raise InvalidOption(f"name: {options['name']!r} is too long; use at most {NAME_LENGTH} characters")
    for option in ("interface", "gateway"):
        if not options.get(option):
            raise InvalidOption(f"{option}: required for policy route {options['name']}")
    fields = declared.pick(PolicyRoute, options)
    for option in ("source", "destination", "destination_except"):
        fields[option] = tuple(_network(option, text) for text in fields[option])
    route = PolicyRoute(**fields)
    declared.check_text("description", route.description)
    declared.check_range("order", route.order, 0, 1000000)
    declared.check_range("table", route.table, *TABLE)
    if not INTERFACE.fullmatch(route.interface):
        raise InvalidOption(f"interface: {route.interface!r} is no interface name")
    for option in ("source_port", "destination_port"):
        for text in getattr(route, option):
            _check_port(option, text)
        if getattr(route, option) and route.protocol not in ("tcp", "udp", "tcp/udp"):
            raise InvalidOption(f"{option}: only tcp and udp have ports; set protocol to tcp, udp or tcp/udp")
    return dataclasses.replace(route, table=_table(route, list(others)) if tables else None)


def _table(route: PolicyRoute, others: list[PolicyRoute]) -> int:
    same = next((item.table for item in others if item.name != route.name and item.way == route.way), None)
    known = next((item.table for item in others if item.name == route.name and item.way == route.way), None)
    taken = {item.table for item in others if item.name != route.name}
    if route.table is not None:
        if same not in (None, route.table):
            raise InvalidOption(
                f"table: policy routes to {route.gateway} use table {same} already; leave it out or make it equal"
            )
        if route.table in taken and same != route.table:
            raise InvalidOption(f"table: {route.table} is another gateway's; choose another one")
        return route.table
    if same is not None:
        return same
    if known is not None and known not in taken:
        return known
    return next(number for number in range(FIRST_TABLE, TABLE[1]) if number not in taken)


def _network(option: str, text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise InvalidOption(f"{option}: {error}; write it as 10.1.0.0/24") from None


def _check_port(option: str, text: str) -> None:
    first, colon, last = text.partition(":")
    numbers = [first, *([last] if colon else [])]
    if not all(re.fullmatch(r"[0-9]{1,5}", number) and 1 <= int(number) <= 65535 for number in numbers) or (
        colon and int(first) > int(last)
    ):
        raise InvalidOption(f"{option}: {text!r} is neither a port nor a range of ports such as 8000:8100")


def in_order(routes: Iterable[PolicyRoute]) -> list[PolicyRoute]:
    """The enabled ones as they are tried: by ``order``, then by name."""
    return sorted((route for route in routes if route.enabled), key=lambda route: (route.order, route.name))


def check_family(route: PolicyRoute, family: int) -> None:
    """Refuse networks of another family than the gateway's."""
    for option in ("source", "destination", "destination_except"):
        for network in getattr(route, option):
            if ipaddress.ip_network(network).version != family:
                raise InvalidOption(
                    f"{option}: {network} and gateway {route.gateway} of policy route {route.name} are of different "
                    f"families"
                )
