# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proposals: what strongSwan takes and refuses, and which keyword the message blames."""

from __future__ import annotations

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats.proposals import (
    AEAD,
    ENCRYPTION,
    GROUPS,
    INTEGRITY,
    PRF,
    ProposalError,
    check_esp,
    check_ike,
)


@pytest.mark.parametrize(
    "text",
    [
        "default",
        "aes256-sha256-modp2048",
        "aes256-sha512-modp4096, default",
        "aes128-aes256-sha256-sha512-ecp256-curve25519",
        "aes256gcm16-prfsha384-ecp384",
        # pfSense always writes an integrity algorithm, which becomes the PRF of an AEAD
        "aes128gcm128-sha256-modp2048",
        "aes256gcm128-sha256-prfsha384-ecp384",
        "chacha20poly1305-sha256-curve25519",
        "aes256-sha256_96-prfsha256-modp2048",
        "aes256-sha256-x25519-ke1_mlkem768-ke2_none",
        "3des-md5-modp1024",
        "aes-aesxcbc-modp1024s160",
        "modp2048-sha1-camellia192ctr",
        "aes256 - sha256-modp2048 ,default",
    ],
)
def test_ike_proposals(text):
    check_ike(text)


@pytest.mark.parametrize(
    "text",
    [
        "default",
        "aes256-sha256",
        "aes256gcm16",
        "aes256gcm16-ecp384,aes256-sha256-modp2048-esn",
        "aes128gcm128-noesn-esn",
        "aes256-sha256-modpnone-modp2048",
        "null-sha256",
        "chacha20poly1305",
        "aes128gmac",
        "aes256gcm16-sha256",
        "aes256gcm16-x25519-ke1_mlkem768",
    ],
)
def test_esp_proposals(text):
    check_esp(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "'': '' is not an algorithm"),
        ("aes256-sha256-modp2048,", "'' is not an algorithm"),
        ("aes257-sha256-modp2048", "aes257-sha256-modp2048: 'aes257' is not an algorithm"),
        ("AES256-sha256-modp2048", "'AES256' is not"),
        ("aes256--sha256-modp2048", "'' is not"),
        ("aes256-sha256-ke1_aes256-modp2048", "'ke1_aes256' is not"),
        ("aes256-sha256-ke8_modp2048", "'ke8_modp2048' is not"),
        ("sha256-modp2048", "no encryption"),
        ("aes256-modp2048", "no integrity"),
        ("aes256-prfsha256-modp2048", "no integrity"),
        ("aes256-sha256_96-modp2048", "no pseudo-random function"),
        ("aes256gcm16-modp2048", "no pseudo-random function"),
        ("aes256-sha256", "no key exchange group"),
        ("aes256-sha256-none", "no key exchange group"),
        ("aes256-sha256-ke1_mlkem768", "no key exchange group"),
        ("aes256-aes256gcm16-sha256-modp2048", "aes256 and aes256gcm16 cannot be in one proposal"),
        ("default,aes256-sha256", "aes256-sha256: no key exchange group"),
    ],
)
def test_refuses_ike_proposals(text, reason):
    with pytest.raises(ProposalError, match=reason):
        check_ike(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nosuchcipher-sha256", "'nosuchcipher' is not an algorithm"),
        ("sha256", "no encryption"),
        ("modp2048", "no encryption"),
        ("aes256", "no integrity"),
        ("aes256-prfsha256-modp2048", "no integrity"),
        ("null", "no integrity"),
        ("aes256-aes256gcm16-sha256", "cannot be in one proposal"),
    ],
)
def test_refuses_esp_proposals(text, reason):
    with pytest.raises(ProposalError, match=reason):
        check_esp(text)


def test_a_refusal_is_a_value_error():
    with pytest.raises(ValueError, match="nope"):
        check_ike("nope")


@pytest.mark.parametrize("cipher", sorted(ENCRYPTION))
def test_every_classic_cipher(cipher):
    check_ike(f"{cipher}-sha256-modp2048")
    check_esp(f"{cipher}-sha256")


@pytest.mark.parametrize("cipher", sorted(AEAD))
def test_every_aead(cipher):
    check_ike(f"{cipher}-prfsha256-modp2048")
    check_esp(cipher)


@pytest.mark.parametrize("integrity", sorted(INTEGRITY))
def test_every_integrity_algorithm(integrity):
    check_ike(f"aes256-{integrity}-prfsha256-modp2048")
    check_esp(f"aes256-{integrity}")


@pytest.mark.parametrize("prf", sorted(PRF))
@pytest.mark.parametrize("group", sorted(GROUPS))
def test_every_prf_and_group(prf, group):
    check_ike(f"aes256gcm16-{prf}-{group}")
    check_esp(f"aes256gcm16-{group}")


# group numbers of IANA's registry as pfSense and OPNsense spell them
@pytest.mark.parametrize(
    "group",
    [
        *("modp768", "modp1024", "modp1536", "modp2048", "modp3072", "modp4096", "modp6144", "modp8192"),
        *("ecp256", "ecp384", "ecp521", "modp1024s160", "modp2048s224", "modp2048s256", "ecp192", "ecp224"),
        *("ecp224bp", "ecp256bp", "ecp384bp", "ecp512bp", "curve25519", "curve448"),
    ],
)
def test_groups_of_pfsense(group):
    check_ike(f"aes256-sha256-{group}")
