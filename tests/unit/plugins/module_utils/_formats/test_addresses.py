# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One spelling for each address and network."""

from __future__ import annotations

import ipaddress

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats.addresses import (
    canonical_address,
    canonical_network,
    is_address,
    nested,
    split_scope,
)
from hypothesis import given
from hypothesis import strategies as st

ADDRESSES = [
    ("192.0.2.1", "192.0.2.1"),
    ("2001:DB8:0:0::1", "2001:db8::1"),
    ("::FFFF:c000:201", "::ffff:192.0.2.1"),
    ("::", "::"),
]


@pytest.mark.parametrize(("text", "canonical"), ADDRESSES)
def test_addresses(text, canonical):
    assert canonical_address(text) == canonical
    assert is_address(text)


@pytest.mark.parametrize("text", ["", "192.0.2", "192.0.2.1/24", "fe80::1%em0", "%any", "host.example", "300.1.1.1"])
def test_what_is_no_address(text):
    assert not is_address(text)
    with pytest.raises(ValueError, match=r"^remote: "):
        canonical_address(text, "remote")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("10.1.0.0/16", "10.1.0.0/16"),
        ("10.1.0.0/255.255.0.0", "10.1.0.0/16"),
        ("10.1.0.1", "10.1.0.1/32"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("::ffff:0:0/96", "::ffff:0.0.0.0/96"),
    ],
)
def test_networks(text, canonical):
    assert canonical_network(text, "destination") == canonical


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10.1.0.1/16", "has host bits set; the network is 10.1.0.0/16"),
        ("10.1.0.0/33", "is not an IPv4 or IPv6 network"),
        ("fe80::%em0/64", "is not an IPv4 or IPv6 network"),
        ("default", "is not an IPv4 or IPv6 network"),
    ],
)
def test_what_is_no_network(text, reason):
    with pytest.raises(ValueError, match=f"^destination: '{text}' {reason}$"):
        canonical_network(text, "destination")


def test_scopes():
    assert split_scope("FE80::1%em0") == ("fe80::1", "em0")
    assert split_scope("2001:db8::1") == ("2001:db8::1", None)


@given(st.ip_addresses(), st.integers(0, 32))
def test_canonical_spelling_is_stable(address, bits):
    spelled = canonical_address(str(address))
    network = canonical_network(str(ipaddress.ip_network(f"{address}/{bits}", strict=False)))
    assert ipaddress.ip_address(spelled) == address
    assert canonical_address(spelled) == spelled
    assert canonical_network(network) == network


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 4)), max_size=8))
def test_nested_finds_the_pairs_that_comparing_all_finds(blocks):
    networks = [ipaddress.ip_network((number << 28, 4 + length), strict=False) for number, length in blocks]
    networks += [ipaddress.ip_network(f"{number:x}000::/{16 + length}", strict=False) for number, length in blocks]
    found = sorted(
        sorted((outer[1], inner[1])) for outer, inner in nested(zip(networks, range(len(networks)), strict=True))
    )
    expected = [
        [one, other]
        for one in range(len(networks))
        for other in range(one + 1, len(networks))
        if networks[one].version == networks[other].version and networks[one].overlaps(networks[other])
    ]
    assert found == expected


def test_nested_puts_the_wider_network_first():
    wide, narrow = ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("10.1.0.0/16")
    assert list(nested([(narrow, "narrow"), (wide, "wide")])) == [((wide, "wide"), (narrow, "narrow"))]
