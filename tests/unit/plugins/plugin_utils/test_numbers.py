# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers from site ids, networks from numbers, and what overlaps."""

from __future__ import annotations

import ipaddress
import itertools

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.phase2.state import REQID, REQID_OFFSET, UNIT
from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import numbers
from hypothesis import given
from hypothesis import strategies as st

network = ipaddress.ip_network


def test_every_number_is_one_that_modules_take() -> None:
    highest = max(numbers.SITE_ID[1], numbers.laned(numbers.STRIDE, numbers.LANES))
    assert highest + REQID_OFFSET <= REQID[1]
    assert highest <= UNIT[1]


def test_lanes_of_low_ids_do_not_meet() -> None:
    taken = [
        numbers.laned(site_id, lane) for site_id in range(1, numbers.STRIDE + 1) for lane in range(1, numbers.LANES + 1)
    ]
    assert sorted(taken) == list(range(1, numbers.STRIDE * numbers.LANES + 1))


def test_pairs_fill_the_numbers_without_gap_or_repetition() -> None:
    taken = [
        numbers.pair(one, other, lane)
        for one, other in itertools.combinations(range(1, 40), 2)
        for lane in range(1, numbers.LANES + 1)
    ]
    assert sorted(taken) == list(range(len(taken)))


@given(st.integers(1, 11383), st.integers(1, 11383), st.integers(1, 4))
def test_a_pair_has_no_order(low: int, high: int, lane: int) -> None:
    pair = low, high
    assert numbers.pair(*pair, lane) == numbers.pair(*reversed(pair), lane)


@pytest.mark.parametrize(
    ("pool", "prefix", "number", "found"),
    [
        ("10.6.104.0/21", 30, 1, "10.6.104.4/30"),
        ("10.6.104.0/21", 30, 511, "10.6.111.252/30"),
        ("10.6.104.0/21", 30, 512, None),
        ("10.6.104.0/21", 31, 512, "10.6.108.0/31"),
        ("2001:db8:6::/48", 64, 11, "2001:db8:6:b::/64"),
        ("2001:db8:6::/64", 127, 2, "2001:db8:6::4/127"),
        ("10.6.104.0/31", 30, 0, None),
    ],
)
def test_nth_network_of_a_pool(pool: str, prefix: int, number: int, found: str | None) -> None:
    assert numbers.nth(network(pool), prefix, number) == (network(found) if found else None)


@pytest.mark.parametrize(
    ("transit", "first", "second"),
    [
        ("10.6.104.4/30", "10.6.104.5", "10.6.104.6"),
        ("10.6.104.4/31", "10.6.104.4", "10.6.104.5"),
        ("2001:db8::/64", "2001:db8::1", "2001:db8::2"),
        ("2001:db8::2/127", "2001:db8::2", "2001:db8::3"),
    ],
)
def test_addresses_on_a_tunnel(transit: str, first: str, second: str) -> None:
    assert [str(address) for address in numbers.ends(network(transit))] == [first, second]


@st.composite
def claimed(draw: st.DrawFn) -> list[numbers.Claim]:
    """Networks of both families, close together so that some overlap."""
    claims = []
    for index in range(draw(st.integers(0, 8))):
        length = draw(st.integers(24, 32))
        base = draw(st.sampled_from([int(ipaddress.ip_address("10.0.0.0")), 0]))
        offset = draw(st.integers(0, 1023)) >> (32 - length) << (32 - length)
        found: ipaddress.IPv4Network | ipaddress.IPv6Network = (
            ipaddress.IPv4Network((base + offset, length)) if base else ipaddress.IPv6Network((offset, length + 96))
        )
        claims.append(numbers.Claim(found, f"site {index}", "LAN"))
    return claims


@given(claimed())
def test_overlap_is_found_exactly_when_there_is_one(claims: list[numbers.Claim]) -> None:
    """The model compares each with each."""
    pairs = [
        {one.owner, other.owner}
        for one, other in itertools.combinations(claims, 2)
        if one.network.version == other.network.version and one.network.overlaps(other.network)
    ]
    if not pairs:
        numbers.check_apart(claims)
        return
    with pytest.raises(InvalidOption) as refused:
        numbers.check_apart(claims)
    named = {claim.owner for claim in claims if f"of {claim.owner}" in str(refused.value)}
    assert named in pairs
