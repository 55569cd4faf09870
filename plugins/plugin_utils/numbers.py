# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers of tunnels, from nothing but the site ids of their ends: no other site has a say in them. Pure.

A host tells its tunnels apart by a local number, which is the interface's unit and, plus 5000, the reqid.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats.addresses import nested
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.phase2.state import REQID, REQID_OFFSET

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from .links import Address, Network

SITE_ID = (1, REQID[1] - REQID_OFFSET)
"""A reqid must remain that no kernel hands out by itself."""
LANES = 4
"""How many tunnels a spoke, or a pair of sites, can have."""
STRIDE = SITE_ID[1] // LANES
"""Site ids up to this one leave room for all lanes."""


def laned(site_id: int, lane: int) -> int:
    """The number of the tunnel with a site on a lane from 1 to LANES."""
    return site_id + STRIDE * (lane - 1)


def pair(one: int, other: int, lane: int) -> int:
    """A number for a pair of site ids and a lane, whatever their order: those of small ids come first."""
    low, high = sorted((one, other))
    return LANES * ((high - 1) * (high - 2) // 2 + low - 1) + lane - 1


def room(pool: Network, prefix: int) -> int:
    """How many networks of a prefix length a pool has."""
    return 1 << (prefix - pool.prefixlen) if prefix >= pool.prefixlen else 0


def nth(pool: Network, prefix: int, number: int) -> Network | None:
    """The number-th network of a prefix length in a pool, counted from 0; None where the pool has ended."""
    if not 0 <= number < room(pool, prefix):
        return None
    return type(pool)((int(pool.network_address) + (number << (pool.max_prefixlen - prefix)), prefix))


def ends(transit: Network) -> tuple[Address, Address]:
    """Both addresses on a tunnel: a /31 (RFC 3021) and a /127 (RFC 6164) have no network address."""
    skipped = 0 if transit.prefixlen == transit.max_prefixlen - 1 else 1
    return transit.network_address + skipped, transit.network_address + skipped + 1


@dataclasses.dataclass(frozen=True)
class Claim:
    """Addresses that somebody has, and what for."""

    network: Network
    owner: str
    what: str

    def __str__(self) -> str:
        single = self.network.prefixlen == self.network.max_prefixlen
        return f"{self.what} {self.network.network_address if single else self.network} of {self.owner}"


def check_apart(claims: Iterable[Claim]) -> None:
    """Refuse claims that overlap, naming both."""
    for (_outer, one), (_inner, other) in nested((claim.network, claim) for claim in claims):
        raise InvalidOption(f"{one} overlaps {other}; change one of them")


def address_claim(address: Address, owner: str, what: str) -> Claim:
    return Claim(ipaddress.ip_network(address), owner, what)
