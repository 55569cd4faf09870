# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Overhead: sizes on the wire, and the MTU that just fits."""

from __future__ import annotations

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats import overhead
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats.overhead import largest_mtu, outer_size
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats.proposals import (
    AEAD,
    ENCRYPTION,
    INTEGRITY,
    check_esp,
)
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.phase2.state import MTU
from hypothesis import given
from hypothesis import strategies as st

SUITES = sorted(AEAD | {f"{cipher}-{integrity}" for cipher in ENCRYPTION for integrity in INTEGRITY})
OUTSIDE = [(natt, family) for natt in (False, True) for family in (4, 6)]


@pytest.mark.parametrize(
    ("proposal", "natt", "family", "size"),
    [
        # pfSense's default proposals and the extremes, for an inner packet of 1400
        ("aes128gcm128-modp2048", False, 4, 1456),
        ("aes128-sha256-modp2048", False, 4, 1468),
        ("aes256-sha512", False, 4, 1484),
        ("aes256gcm16", True, 4, 1464),
        ("aes256-sha256", True, 4, 1476),
        ("aes256-sha512", True, 4, 1492),
        ("aes256gcm16", False, 6, 1476),
        ("aes256-sha512", False, 6, 1504),
        ("aes256-sha256", True, 6, 1496),
        ("aes256-sha512", True, 6, 1512),
        # 20 outer + 8 ESP + IV + the padded 1402 + ICV
        ("aes128gcm8", False, 4, 20 + 8 + 8 + 1404 + 8),
        ("aes128ccm96", False, 4, 20 + 8 + 8 + 1404 + 12),
        ("chacha20poly1305", False, 4, 20 + 8 + 8 + 1404 + 16),
        ("aes128gmac", False, 4, 20 + 8 + 8 + 1404 + 16),
        ("null-sha1", False, 4, 20 + 8 + 0 + 1404 + 12),
        ("3des-md5", False, 4, 20 + 8 + 8 + 1408 + 12),
        ("aes128ctr-sha384", False, 4, 20 + 8 + 8 + 1408 + 24),
        ("camellia256-sha1_160", False, 4, 20 + 8 + 16 + 1408 + 20),
    ],
)
def test_sizes(proposal, natt, family, size):
    assert outer_size(1400, proposal, natt=natt, family=family) == size


@pytest.mark.parametrize(
    ("proposal", "like"),
    [
        ("aes128-aes256gcm16", None),
        ("aes128-sha256-sha512-esn", "aes128-sha512"),
        ("null-aes256-sha1", "aes256-sha1"),
        ("aes128gcm16-sha512", "aes128gcm16"),
        ("aes128gcm16 - ecp256 , aes128-sha256", "aes128-sha256"),
        ("default", "aes256-sha512"),
        ("aes128gcm16, default", "aes256-sha512"),
    ],
)
def test_the_worst_of_a_proposal_counts(proposal, like):
    if like is None:
        with pytest.raises(ValueError, match="cannot be in one proposal"):
            outer_size(1400, proposal, natt=False, family=4)
    else:
        for inner in (1280, 1400, 1437):
            assert outer_size(inner, proposal, natt=False, family=4) == outer_size(inner, like, natt=False, family=4)


@pytest.mark.parametrize(("natt", "family"), OUTSIDE)
def test_every_algorithm_has_a_size(natt, family):
    least = (20 if family == 4 else 40) + (8 if natt else 0) + 8 + 2 + 8
    for proposal in SUITES:
        check_esp(proposal)
        assert least <= outer_size(1400, proposal, natt=natt, family=family) - 1400 <= least + 16 + 15 + 24, proposal


@given(st.sampled_from([*SUITES, "default"]), st.sampled_from(OUTSIDE), st.integers(1280, 9000))
def test_the_largest_mtu_just_fits(proposal, outside, path):
    natt, family = outside
    mtu = largest_mtu(path, [proposal], natt=natt, family=family)
    if mtu is None:
        assert outer_size(1280, proposal, natt=natt, family=family) > path
        return
    assert 1280 <= mtu <= 8192
    assert outer_size(mtu, proposal, natt=natt, family=family) <= path
    if mtu < 8192:
        assert outer_size(mtu + 1, proposal, natt=natt, family=family) > path


@pytest.mark.parametrize(("natt", "family"), OUTSIDE)
def test_the_largest_mtu_of_every_suite(natt, family):
    for proposal in (*SUITES, "default"):
        mtu = largest_mtu(overhead.PATH_MTU, [proposal], natt=natt, family=family)
        assert mtu is not None
        fits, too_large = (outer_size(size, proposal, natt=natt, family=family) for size in (mtu, mtu + 1))
        assert fits <= overhead.PATH_MTU < too_large, proposal


@pytest.mark.parametrize(
    ("path", "proposals", "natt", "family", "mtu"),
    [
        (1500, ["aes128gcm128-modp2048"], False, 4, 1446),
        (1500, ["aes128gcm128-modp2048", "aes128-sha256-modp2048"], False, 4, 1438),
        (1500, ["aes256-sha512"], False, 6, 1390),
        (1492, ["aes256-sha512"], True, 4, 1406),
        (9000, ["aes256gcm16"], False, 4, 8192),
        (1280, ["aes256gcm16"], False, 4, None),
        (1500, ["aes256gcm16", "default"], False, 4, 1422),
    ],
)
def test_largest_mtu(path, proposals, natt, family, mtu):
    assert largest_mtu(path, proposals, natt=natt, family=family) == mtu


def test_the_limits_are_those_of_the_option():
    assert overhead.LIMITS == MTU


@pytest.mark.parametrize(
    ("proposal", "says"),
    [
        ("aes128gcm17", "aes128gcm17: 'aes128gcm17' is not an algorithm strongSwan knows"),
        ("sha256", "sha256: no encryption algorithm"),
        ("aes128", "aes128: no integrity algorithm"),
        ("", "'': '' is not an algorithm"),
    ],
)
def test_what_is_no_proposal(proposal, says):
    with pytest.raises(ValueError, match=says):
        outer_size(1400, proposal, natt=False, family=4)
    with pytest.raises(ValueError, match=says):
        largest_mtu(1500, ["default", proposal], natt=False, family=4)


def test_an_algorithm_of_unknown_size(monkeypatch):
    monkeypatch.delitem(overhead._CIPHERS, "aes256")
    monkeypatch.delitem(overhead._ICV, "sha512")
    with pytest.raises(ValueError, match=r"aes256: how much it adds .* set the MTU by hand"):
        outer_size(1400, "aes256-sha256", natt=False, family=4)
    with pytest.raises(ValueError, match="sha512: how much it adds"):
        largest_mtu(1500, ["aes128-sha512"], natt=False, family=4)


def test_no_proposal_and_no_family():
    with pytest.raises(ValueError, match="no ESP proposal is given"):
        largest_mtu(1500, [], natt=False, family=4)
    with pytest.raises(ValueError, match="family: 5 is neither 4 nor 6"):
        outer_size(1400, "default", natt=False, family=5)
