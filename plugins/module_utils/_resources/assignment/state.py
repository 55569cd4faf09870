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
    from collections.abc import Iterable, Mapping

    from ..phase2.state import Phase2

ARGUMENTS: dict[str, t.Any] = {
    "interface": {"type": "str"},
    "phase2": {"type": "str"},
    "name": {"type": "str"},
    "enabled": {"type": "bool", "default": True},
    "mtu": {"type": "int"},
}
"""The options of interface_assign, and of each item of vti_site's assignments."""

NAME_LENGTH = 25
"""Longest name, in characters, so that NAME_VTIV4 stays below pf's 32 (pfSense: interfaces.php)."""

_RESERVED = frozenset(
    [
        "all",
        "any",
        "self",
        "egress",
        "lo",
        "enc",
        "ipsec",
        "pass",
        "block",
        "match",
        "in",
        "out",
        "quick",
        "on",
        "inet",
        "inet6",
        "proto",
        "from",
        "to",
        "port",
        "os",
        "user",
        "group",
        "flags",
        "state",
        "keep",
        "modulate",
        "synproxy",
        "tag",
        "tagged",
        "queue",
        "anchor",
        "table",
        "set",
        "scrub",
        "nat",
        "rdr",
        "binat",
        "no",
        "route-to",
        "reply-to",
        "dup-to",
        "antispoof",
        "label",
        "probability",
        "tos",
        "ttl",
        "include",
        "load",
        "return",
        "drop",
    ]
)
"""Words that pf.conf(5) reads as something else where an interface could stand."""


@dataclasses.dataclass(frozen=True)
class Assignment:
    name: str
    interface: str
    enabled: bool = True
    mtu: int | None = None

    def gateways(self, phase2s: Iterable[Phase2]) -> dict[str, str]:
        """The automatic gateways: name to the far VTI address of the first phase 2 of each family."""
        found: dict[str, str] = {}
        if self.enabled:
            for phase2 in phase2s:
                if phase2.interface == self.interface and phase2.enabled:
                    found.setdefault(f"{self.name.upper()}_VTIV{phase2.family}", phase2.remote)
        return found


def from_options(
    options: Mapping[str, t.Any], *, phase2s: Mapping[str, Phase2], others: Mapping[str, Assignment]
) -> Assignment:
    """Check the options; ``others`` are the assignments of this gateway by name, this one's old state included."""
    interface = resolve(options, phase2s)
    known = next((other for other in others.values() if other.interface == interface), None)
    name = options.get("name") or (known.name if known else _lowest_free(others))
    _check_name(name)
    for other in others.values():
        if other.name.lower() == name.lower() and other.interface != interface:
            raise InvalidOption(f"name: {name} is {other.interface}'s; give {interface} another name")
    declared.check_range("mtu", options.get("mtu"), *MTU)
    return Assignment(name, interface, options.get("enabled", True), options.get("mtu"))


def resolve(options: Mapping[str, t.Any], phase2s: Mapping[str, Phase2]) -> str:
    """The interface that the options mean, given by its own name or by a phase 2 on it."""
    phase2, interface = options.get("phase2"), options.get("interface")
    if phase2 is not None:
        if phase2 not in phase2s:
            raise InvalidOption(f"phase2: there is no phase 2 {phase2!r} on this host; make it first")
        return phase2s[phase2].interface
    if interface is None:
        raise InvalidOption("interface: required unless phase2 is given; name the ipsecX interface to assign")
    if interface not in {candidate.interface for candidate in phase2s.values()}:
        ports = ", ".join(sorted({candidate.interface for candidate in phase2s.values()})) or "none"
        raise InvalidOption(f"interface: {interface!r} is no VTI of this collection; available: {ports}")
    return t.cast("str", interface)


def _lowest_free(others: Mapping[str, Assignment]) -> str:
    taken = {name.upper() for name in others}
    return next(name for number in range(1, len(taken) + 2) for name in [f"OPT{number}"] if name not in taken)


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_]+", name) or name.isdigit() or len(name) > NAME_LENGTH:
        raise InvalidOption(
            f"name: {name!r} cannot name an interface; use at most {NAME_LENGTH} letters, digits and '_', "
            f"not digits alone"
        )
    if name.lower() in _RESERVED or name.lower().startswith("pkg_"):
        raise InvalidOption(f"name: {name} is reserved; choose another one")
