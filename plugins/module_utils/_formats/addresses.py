# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One spelling for each address and network, whoever wrote it."""

from __future__ import annotations

import ipaddress
import typing as t

IPAddress = t.Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
IPNetwork = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
T = t.TypeVar("T")
DEFAULTS = {4: "0.0.0.0/0", 6: "::/0"}


def is_address(text: str) -> bool:
    """Whether ``text`` is an IPv4 or IPv6 address without a scope."""
    try:
        canonical_address(text)
    except ValueError:
        return False
    return True


def canonical_address(text: str, what: str = "address") -> str:
    """Spell an IPv4 or IPv6 address without scope as RFC 5952 does; ValueError names ``what``."""
    try:
        # Python 3.8 knows no scopes, later ones do: refused by both
        return spell(ipaddress.ip_address("scope" if "%" in text else text))
    except ValueError as error:
        raise ValueError(f"{what}: {text!r} is not an IPv4 or IPv6 address") from error


def canonical_network(text: str, what: str = "network") -> str:
    """Spell a network as ``ADDRESS/PREFIXLEN``, a host as /32 or /128; ValueError names ``what``, for host bits too."""
    try:
        loose = ipaddress.ip_network("scope" if "%" in text else text, strict=False)
    except ValueError as error:
        raise ValueError(f"{what}: {text!r} is not an IPv4 or IPv6 network") from error
    spelled = f"{spell(loose.network_address)}/{loose.prefixlen}"
    if ipaddress.ip_address(text.partition("/")[0]) != loose.network_address:
        raise ValueError(f"{what}: {text!r} has host bits set; the network is {spelled}")
    return spelled


def split_scope(text: str) -> tuple[str, str | None]:
    """Take ``fe80::1%em0`` apart into the canonical address and the scope, which is None if there is none."""
    address, percent, scope = text.partition("%")
    return canonical_address(address), scope if percent else None


def spell(address: IPAddress) -> str:
    """RFC 5952 with the IPv4 part of a mapped address in dots, as systems print it and Python since 3.13 does."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(address) if mapped is None else f"::ffff:{mapped}"


def nested(entries: t.Iterable[tuple[IPNetwork, T]]) -> t.Iterator[tuple[tuple[IPNetwork, T], tuple[IPNetwork, T]]]:
    """Pairs of networks of which the second lies in the first or equals it; each network comes with what it is of.

    Two networks either nest or have nothing in common, so sorting finds all pairs in one pass.
    """
    enclosing: list[tuple[IPNetwork, T]] = []
    for entry in sorted(
        entries, key=lambda entry: (entry[0].version, int(entry[0].network_address), entry[0].prefixlen)
    ):
        first = entry[0].network_address
        while enclosing and not (enclosing[-1][0].version == first.version and first in enclosing[-1][0]):
            enclosing.pop()
        for outer in enclosing:
            yield outer, entry
        enclosing.append(entry)
