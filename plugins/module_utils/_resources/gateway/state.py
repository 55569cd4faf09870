# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gateway: a named next hop and how it is watched. Those of assigned VTIs are there by themselves."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ..._core.errors import InvalidOption
from .. import declared

if t.TYPE_CHECKING:
    from collections.abc import Mapping

_MONITOR_ARGUMENTS: dict[str, t.Any] = {
    "interval": {"type": "int", "default": 500},
    "loss_interval": {"type": "int", "default": 2000},
    "time_period": {"type": "int", "default": 60000},
    "alert_interval": {"type": "int", "default": 1000},
    "alert_hold": {"type": "int"},
    "latencylow": {"type": "int", "default": 200},
    "latencyhigh": {"type": "int", "default": 500},
    "losslow": {"type": "int", "default": 10},
    "losshigh": {"type": "int", "default": 20},
    "data_payload": {"type": "int", "default": 1},
}
ARGUMENTS: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "interface": {"type": "str"},
    "address": {"type": "str"},
    "monitor": {"type": "str"},
    "monitor_disable": {"type": "bool", "default": False},
    "monitor_route": {"type": "bool", "default": True},
    "action_disable": {"type": "bool", "default": False},
    "force_down": {"type": "bool", "default": False},
    "enabled": {"type": "bool", "default": True},
    "weight": {"type": "int", "default": 1},
    **_MONITOR_ARGUMENTS,
    "gw_down_kill_states": {"type": "str", "choices": ["none", "gateway", "all"], "default": "none"},
    "description": {"type": "str"},
}
"""The options of gateway, and of each item of vti_site's gateways; times in milliseconds, losses in percent."""

NAME_LENGTH = 31
"""Longest name, in characters (pfSense: below 32)."""

INTERFACE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,14}")
"""The name of an interface (IFNAMSIZ: 15 characters)."""


@dataclasses.dataclass(frozen=True)
class Gateway:
    """A gateway as declared. Without interface and address it tells how an automatic gateway is to be watched.

    Without an address but with an interface it stands for whatever router DHCP or a router advertisement gives there.
    The defaults are pfSense's (gwlb.inc: return_dpinger_defaults), for automatic gateways that nobody has declared.
    """

    name: str
    interface: str | None = None
    address: str | None = None
    monitor: str | None = None
    monitor_disable: bool = False
    monitor_route: bool = True
    action_disable: bool = False
    force_down: bool = False
    enabled: bool = True
    weight: int = 1
    interval: int = 500
    loss_interval: int = 2000
    time_period: int = 60000
    alert_interval: int = 1000
    alert_hold: int | None = None
    latencylow: int = 200
    latencyhigh: int = 500
    losslow: int = 10
    losshigh: int = 20
    data_payload: int = 1
    gw_down_kill_states: str = "none"
    description: str | None = None


@dataclasses.dataclass(frozen=True)
class Resolved:
    """A gateway as others use it: where it is, which address of this host it is reached from, how it is watched.

    ``address`` is empty while only DHCP or a router advertisement knows it; ``source`` is None where that is left to
    the kernel. ``family`` is 0 for a gateway whose address is unknown.
    """

    settings: Gateway
    interface: str
    address: str
    source: str | None = None
    vti: bool = False

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def family(self) -> int:
        return 0 if not self.address else 6 if ":" in self.address else 4

    @property
    def monitor(self) -> str | None:
        """The address that is probed; None when nothing is."""
        if self.settings.monitor_disable or not self.address:
            return None
        return self.settings.monitor or self.address

    @property
    def hop(self) -> str:
        """The address for a route; a link-local one with its interface, as FreeBSD writes it."""
        return f"{self.address}%{self.interface}" if is_link_local(self.address) else self.address


_LINK_LOCAL = re.compile(r"169\.254\.|fe[89ab][0-9a-f]:")


def is_link_local(address: str) -> bool:
    """Whether a canonical address, or none, is of 169.254.0.0/16 or fe80::/10; asked for often."""
    return bool(_LINK_LOCAL.match(address))


def from_options(options: Mapping[str, t.Any]) -> Gateway:
    """Check what can be checked of a gateway alone."""
    check_name("name", options["name"])
    fields = declared.pick(Gateway, options)
    for option in ("address", "monitor"):
        if fields.get(option) is not None:
            fields[option] = _address(option, fields[option])
    gateway = Gateway(**fields)
    declared.check_text("description", gateway.description)
    if gateway.interface is not None and not INTERFACE.fullmatch(gateway.interface):
        raise InvalidOption(f"interface: {gateway.interface!r} is no interface name")
    if gateway.address is not None and gateway.interface is None:
        raise InvalidOption(f"interface: required with address; say where {gateway.address} of {gateway.name} is")
    if gateway.address and gateway.monitor and (":" in gateway.address) != (":" in gateway.monitor):
        raise InvalidOption(
            f"monitor: {gateway.monitor} is not of the family of address {gateway.address}; give one that is"
        )
    _check_numbers(gateway)
    return gateway


def check_name(option: str, name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_]+", name) or len(name) > NAME_LENGTH or name.lower() in ("none", "automatic"):
        raise InvalidOption(
            f"{option}: {name!r} cannot name a gateway or a group; use at most {NAME_LENGTH} letters, digits and '_', "
            f"and neither none nor automatic"
        )


def _address(option: str, text: str) -> str:
    literal = declared.literal(text)
    if literal is None or "%" in text:
        raise InvalidOption(f"{option}: {text!r} is no IP address; write it as 192.0.2.1 or 2001:db8::1")
    return literal


def _check_numbers(gateway: Gateway) -> None:
    """The constraints of pfSense (gwlb.inc: validate_gateway), which are what dpinger needs to give sense."""
    declared.check_range("weight", gateway.weight, 1, 30)
    declared.check_range("interval", gateway.interval, 10, 3600000)
    declared.check_range("loss_interval", gateway.loss_interval, 1, 3600000)
    declared.check_range("time_period", gateway.time_period, 1, 86400000)
    declared.check_range("alert_hold", gateway.alert_hold, 0, 86400000)
    declared.check_range("latencylow", gateway.latencylow, 1, 3600000)
    declared.check_range("losslow", gateway.losslow, 1, 99)
    declared.check_range("losshigh", gateway.losshigh, 1, 100)
    declared.check_range("data_payload", gateway.data_payload, 0, 1472)
    if gateway.latencylow >= gateway.latencyhigh:
        raise InvalidOption(
            f"latencyhigh: {gateway.latencyhigh} ms must be more than latencylow ({gateway.latencylow} ms)"
        )
    if gateway.losslow >= gateway.losshigh:
        raise InvalidOption(f"losshigh: {gateway.losshigh} % must be more than losslow ({gateway.losslow} %)")
    if gateway.latencyhigh > gateway.loss_interval:
        raise InvalidOption(
            f"loss_interval: {gateway.loss_interval} ms must not be less than latencyhigh ({gateway.latencyhigh} ms): "
            f"a reply that late counts as lost"
        )
    least = 2 * gateway.interval + gateway.loss_interval
    if gateway.time_period <= least:
        raise InvalidOption(
            f"time_period: {gateway.time_period} ms must be more than two times interval plus loss_interval "
            f"({least} ms)"
        )
    if gateway.alert_interval < gateway.interval:
        raise InvalidOption(
            f"alert_interval: {gateway.alert_interval} ms must not be less than interval ({gateway.interval} ms)"
        )
