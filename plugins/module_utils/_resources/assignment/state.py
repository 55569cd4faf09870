# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Assignment: a logical name on an ipsecX interface, which gives it its automatic gateways."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ..._core.errors import InvalidOption
from .. import declared
from ..phase2.state import MTU

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from ..phase2.state import Phase2

ARGUMENTS: dict[str, t.Any] = {
    "interface": {"type": "str"},
    "phase2": {"type": "str"},
    "name": {"type": "str"},
    "enabled": {"type": "bool", "default": True},
    "mtu": {"type": "int"},
    "mss": {"type": "int"},
    "outbound_nat": {"type": "bool", "default": False},
}
"""The options of interface_assign, and of each item of vti_site's assignments."""

NAME_LENGTH = 25
"""Longest name, in characters, so that NAME_VTIV4 stays below pf's 32 (pfSense: interfaces.php)."""

MSS = (576, 65535)
"""As in pfSense (interfaces.php); what is clamped to is this less the headers, 40 bytes of IPv4 and 60 of IPv6."""

_RESERVED = frozenset({
    "all", "any", "self", "egress", "lo", "enc", "ipsec", "pass", "block", "match", "in", "out", "quick", "on",
    "inet", "inet6", "proto", "from", "to", "port", "os", "user", "group", "flags", "state", "keep", "modulate",
    "synproxy", "tag", "tagged", "queue", "anchor", "table", "set", "scrub", "nat", "rdr", "binat", "no",
    "route-to", "reply-to", "dup-to", "antispoof", "label", "probability", "tos", "ttl", "include", "load", "return",
    "drop"
})  # fmt: skip
"""Words that pf.conf(5) reads as something else where an interface could stand."""


@dataclasses.dataclass(frozen=True)
class Assignment:
    name: str
    interface: str
    enabled: bool = True
    mtu: int | None = None
    mss: int | None = None
    outbound_nat: bool = False

    def gateways(self, phase2s: Iterable[Phase2]) -> dict[str, Phase2]:
        """The automatic gateways by name: each leads to the far end of the first phase 2 of its family."""
        found: dict[str, Phase2] = {}
        if self.enabled:
            for phase2 in phase2s:
                if phase2.enabled:
                    found.setdefault(f"{self.name.upper()}_VTIV{phase2.family}", phase2)
        return found


class Names:
    """Which names are in use while the assignments of a gateway are settled one after the other."""

    def __init__(self, remembered: Iterable[Assignment], present: Mapping[str, Assignment]) -> None:
        """``remembered`` gives interfaces the names they had; ``present`` are those that stay unless settled anew."""
        self._named = {value.interface: value.name for value in remembered}
        self._named.update((value.interface, value.name) for value in present.values())
        self._holders = {name.lower(): value.interface for name, value in present.items()}

    def name_of(self, interface: str) -> str:
        """The name that an interface has, else the first of OPT1, OPT2... that is free."""
        known = self._named.get(interface)
        if known is not None:
            return known
        return next(
            name
            for number in range(1, len(self._holders) + 2)
            for name in [f"OPT{number}"]
            if name.lower() not in self._holders
        )

    def holder(self, name: str) -> str | None:
        """The interface that has a name; case makes no difference."""
        return self._holders.get(name.lower())

    def settle(self, assignment: Assignment) -> str | None:
        """Take a name, and return the one that the interface gives up for it."""
        old = self._named.get(assignment.interface)
        self._named[assignment.interface] = assignment.name
        if old is not None and old != assignment.name:
            self._holders.pop(old.lower(), None)
        self._holders[assignment.name.lower()] = assignment.interface
        return old if old != assignment.name else None


def from_options(options: Mapping[str, t.Any], *, interface: str, names: Names) -> Assignment:
    """Check the options of the assignment of an interface."""
    name = options.get("name") or names.name_of(interface)
    _check_name(name)
    holder = names.holder(name)
    if holder is not None and holder != interface:
        raise InvalidOption(f"name: {name} is {holder}'s; give {interface} another name")
    declared.check_range("mtu", options.get("mtu"), *MTU)
    declared.check_range("mss", options.get("mss"), *MSS)
    return Assignment(
        name,
        interface,
        enabled=options.get("enabled", True),
        mtu=options.get("mtu"),
        mss=options.get("mss"),
        outbound_nat=options.get("outbound_nat") or False,
    )


def resolve(options: Mapping[str, t.Any], phase2s: Mapping[str, Phase2], ports: Collection[str]) -> str:
    """The interface that the options mean, given by its own name or by a phase 2 on it; ``ports`` are all of ours."""
    phase2, interface = options.get("phase2"), options.get("interface")
    if phase2 is not None:
        if phase2 not in phase2s:
            raise InvalidOption(f"phase2: there is no phase 2 {phase2!r} on this host; make it first")
        return phase2s[phase2].interface
    if interface is None:
        raise InvalidOption("interface: required unless phase2 is given; name the ipsecX interface to assign")
    if interface not in ports:
        available = ", ".join(sorted(ports)) or "none"
        raise InvalidOption(f"interface: {interface!r} is no VTI of this collection; available: {available}")
    return t.cast("str", interface)


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_]+", name) or name.isdigit() or len(name) > NAME_LENGTH:
        raise InvalidOption(
            f"name: {name!r} cannot name an interface; use at most {NAME_LENGTH} letters, digits and '_', "
            f"not digits alone"
        )
    if name.lower() in _RESERVED or name.lower().startswith("pkg_"):
        raise InvalidOption(f"name: {name} is reserved; choose another one")
