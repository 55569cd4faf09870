# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""FreeBSD's routing table as ``netstat -rn --libxo json`` prints it."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from .._core.errors import ParseError
from .addresses import DEFAULTS, canonical_network, split_scope

if t.TYPE_CHECKING:
    from collections.abc import Mapping

_FAMILIES = {"Internet": 4, "Internet6": 6}


@dataclasses.dataclass(frozen=True)
class Route:
    """One entry of the table; two with one destination are the two ways of a multipath route.

    ``destination`` is a network in canonical spelling, hosts with /32 or /128, link-local ones with their scope as in
    ``fe80::%em0/64``. ``gateway`` is None where the destination is on the link. ``flags`` are netstat(1)'s letters.
    """

    destination: str
    gateway: str | None
    interface: str
    flags: str


def parse(text: str) -> tuple[Route, ...]:
    """Read the IPv4 and IPv6 routes of one table; ParseError for anything that is not netstat's JSON."""
    try:
        table = json.loads(text)["statistics"]["route-information"]["route-table"]
        # libxo leaves out lists that would be empty
        return tuple(
            _route(_FAMILIES[family["address-family"]], entry)
            for family in table.get("rt-family", ())
            if family["address-family"] in _FAMILIES
            for entry in family.get("rt-entry", ())
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ParseError(f"netstat: cannot read the routing table: {error!r}") from error


def _route(version: int, entry: Mapping[str, t.Any]) -> Route:
    return Route(
        destination=_destination(version, entry["destination"]),
        gateway=_gateway(entry["gateway"]),
        interface=entry["interface-name"],
        flags=entry["flags"],
    )


def _destination(version: int, text: str) -> str:
    if text == "default":
        return DEFAULTS[version]
    address, _slash, bits = text.partition("/")
    if version == 4:
        return canonical_network(_expand(address, bits))
    address, scope = split_scope(address)
    network = f"{address}/{bits or 128}"
    return canonical_network(network) if scope is None else f"{address}%{scope}/{bits or 128}"


def _expand(address: str, bits: str) -> str:
    """Releases before 9 leave out an IPv4 network's trailing zero octets: 10/8, 192.168.1/24, and 10 for 10/8."""
    octets = address.split(".")
    padded = ".".join(octets + ["0"] * (4 - len(octets)))
    return f"{padded}/{bits or 8 * len(octets)}"


def _gateway(text: str) -> str | None:
    """The next hop's address; link#3, a hardware address or an interface's name mean there is none."""
    try:
        address, scope = split_scope(text)
    except ValueError:
        return None
    return address if scope is None else f"{address}%{scope}"
