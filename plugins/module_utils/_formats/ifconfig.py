# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What FreeBSD's ifconfig(8) prints, as ``ifconfig -a`` does and with or without ``-f inet:cidr,inet6:cidr``.

Indented lines of no interest here (options, media, bridge members, nd6, tunnelfib, status ...) are skipped: there are
many, and each release adds some. A line at the margin that does not start an interface is an error.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import typing as t

from .._core.errors import ParseError
from .addresses import canonical_address, split_scope

_HEAD = re.compile(r"(?P<name>\S+): flags=[0-9a-f]+<(?P<flags>[^>]*)> .*\bmtu (?P<mtu>\d+)\b.*")
_INET = re.compile(
    r"inet (?P<address>[\d.]+)(?:/(?P<bits>\d+))?(?: --> (?P<peer>[\d.]+)(?:/(?P<peer_bits>\d+))?)?"
    r"(?: netmask (?P<mask>0x[0-9a-f]{8}|[\d.]+))?(?: (?P<rest>.*))?"
)
_INET6 = re.compile(
    r"inet6 (?P<address>[^\s/]+)(?:/(?P<bits>\d+))?(?: --> (?P<peer>[^\s/]+)(?:/(?P<peer_bits>\d+))?)?"
    r"(?: prefixlen (?P<prefixlen>\d+))?(?: (?P<rest>.*))?"
)
_TUNNEL = re.compile(r"tunnel (?P<family>inet6?) (?P<local>\S+) --> (?P<remote>\S+)")
_OWN_LINE = re.compile(r"\t\S.*")


@dataclasses.dataclass(frozen=True)
class Address:
    """An address in canonical spelling without its scope; ``peer`` is the far end of a point-to-point link."""

    address: str
    prefixlen: int
    peer: str | None = None
    scope: str | None = None
    tentative: bool = False


@dataclasses.dataclass(frozen=True)
class Interface:
    """One interface; ``tunnel`` is (local, remote) outer address, ``addresses`` keep the order of the output."""

    name: str
    flags: frozenset[str]
    mtu: int
    description: str | None = None
    tunnel: tuple[str, str] | None = None
    reqid: int | None = None
    groups: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()


def parse(text: str) -> dict[str, Interface]:
    """Read interfaces by name, in the order of the output."""
    interfaces: dict[str, Interface] = {}
    name = ""
    for line in filter(None, text.split("\n")):
        head = _HEAD.fullmatch(line)
        try:
            if head:
                name = head["name"]
                interfaces[name] = Interface(name, frozenset(filter(None, head["flags"].split(","))), int(head["mtu"]))
            elif not name or not line[0].isspace():
                raise ValueError("not the start of an interface")
            elif _OWN_LINE.fullmatch(line):
                interfaces[name] = dataclasses.replace(interfaces[name], **_changes(interfaces[name], line[1:]))
        except ValueError as error:
            raise ParseError(f"ifconfig: cannot read {line!r}: {error}") from error
    return interfaces


def _changes(interface: Interface, line: str) -> dict[str, t.Any]:
    """What one line adds to the interface it belongs to."""
    word = line.split()[0]
    if word in ("inet", "inet6"):
        return {"addresses": (*interface.addresses, _inet(line) if word == "inet" else _inet6(line))}
    if word == "tunnel":
        found = _match(_TUNNEL, line)
        return {"tunnel": (canonical_address(found["local"]), canonical_address(found["remote"]))}
    key, colon, value = line.partition(": ")
    if key == "description" and colon:
        return {"description": value}
    if key == "reqid" and colon:
        return {"reqid": int(value)}
    if key == "groups" and colon:
        return {"groups": tuple(value.split())}
    return {}


def _inet(line: str) -> Address:
    found = _match(_INET, line)
    peer = canonical_address(found["peer"]) if found["peer"] else None
    bits = found["bits"] or found["peer_bits"]
    return Address(canonical_address(found["address"]), int(bits) if bits else _bits(found["mask"]), peer)


def _inet6(line: str) -> Address:
    found = _match(_INET6, line)
    address, scope = split_scope(found["address"])
    peer = split_scope(found["peer"])[0] if found["peer"] else None
    bits = found["bits"] or found["peer_bits"] or found["prefixlen"]
    if bits is None:
        raise ValueError("no prefix length")
    return Address(address, int(bits), peer, scope, "tentative" in (found["rest"] or "").split())


def _bits(mask: str | None) -> int:
    """The prefix length of a netmask, hexadecimal or in dots."""
    if mask is None:
        raise ValueError("no netmask")
    dotted = ipaddress.IPv4Address(int(mask, 16)) if mask.startswith("0x") else mask
    return ipaddress.IPv4Network(f"0.0.0.0/{dotted}").prefixlen


def _match(pattern: re.Pattern[str], line: str) -> re.Match[str]:
    found = pattern.fullmatch(line)
    if not found:
        raise ValueError("unknown form")
    return found
