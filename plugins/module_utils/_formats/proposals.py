# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""strongSwan's proposals: keywords joined by dashes, several proposals joined by commas.

The keywords are those of proposal_keywords_static.txt of strongSwan 5.9 and 6.0, the rules those of proposal.c, with
one difference: ESP encryption without integrity, which strongSwan lets pass, is refused.
https://docs.strongswan.org/docs/latest/config/proposals.html
"""

from __future__ import annotations

import re
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_SIZES = ("128", "192", "256")
_TAGS = ("8", "12", "16", "64", "96", "128")


def _sized(*patterns: str) -> Iterator[str]:
    for pattern in patterns:
        yield from (pattern.format(size) for size in _SIZES)


ENCRYPTION = frozenset(
    (
        *("null", "des", "3des", "cast128", "aes", "blowfish", "camellia", "serpent", "twofish"),
        *_sized("aes{}", "aes{}ctr", "blowfish{}", "camellia{}", "camellia{}ctr", "serpent{}", "twofish{}"),
    )
)
AEAD = frozenset(
    (
        *("chacha20poly1305", "chacha20poly1305compat"),
        *_sized("aes{}gcm", "aes{}ccm", "aes{}gmac"),
        *(name + tag for name in _sized("aes{}gcm", "aes{}ccm", "camellia{}ccm") for tag in _TAGS),
    )
)
# integrity keyword -> the PRF an IKE proposal without one gets from it; None where there is no such PRF
INTEGRITY = {
    "md5": "prfmd5",
    "md5_128": "prfmd5",
    "sha": "prfsha1",
    "sha1": "prfsha1",
    "sha1_160": "prfsha1",
    "sha256": "prfsha256",
    "sha2_256": "prfsha256",
    "sha256_96": None,
    "sha2_256_96": None,
    "sha384": "prfsha384",
    "sha2_384": "prfsha384",
    "sha512": "prfsha512",
    "sha2_512": "prfsha512",
    "aesxcbc": "prfaesxcbc",
    "aescmac": "prfaescmac",
    "camelliaxcbc": "prfcamelliaxcbc",
}
PRF = frozenset(prf for prf in INTEGRITY.values() if prf)
NO_GROUP = frozenset(("none", "modpnone"))
GROUPS = frozenset(
    (
        *("modp768", "modp1024", "modp1536", "modp2048", "modp3072", "modp4096", "modp6144", "modp8192"),
        *("modp1024s160", "modp2048s224", "modp2048s256", "modpnull"),
        *("ecp192", "ecp224", "ecp256", "ecp384", "ecp521", "ecp224bp", "ecp256bp", "ecp384bp", "ecp512bp"),
        *("curve25519", "x25519", "curve448", "x448"),
        # post-quantum: up to 5.9, and since 6.0
        *("ntru112", "ntru128", "ntru192", "ntru256", "newhope128"),
        *("mlkem512", "mlkem768", "mlkem1024"),
    )
)
ESN = frozenset(("esn", "noesn"))
# additional key exchanges of RFC 9370, since strongSwan 6.0
_ADDITIONAL = re.compile(r"ke[1-7]_(?P<group>.+)")


class ProposalError(ValueError):
    """A proposal strongSwan would refuse, or one that would leave packets unprotected."""


def check_ike(text: str) -> None:
    """Check the proposals of an IKE SA; ProposalError names the proposal and what is wrong with it."""
    for proposal, keywords in _split(text):
        integrity = keywords & set(INTEGRITY)
        _check_encryption(proposal, keywords)
        if not keywords & AEAD and not integrity:
            raise ProposalError(f"{proposal}: no integrity algorithm such as sha256 beside a classic cipher")
        if not keywords & PRF and not any(INTEGRITY[keyword] for keyword in integrity):
            raise ProposalError(f"{proposal}: no pseudo-random function such as prfsha256")
        if not keywords & GROUPS:
            raise ProposalError(f"{proposal}: no key exchange group such as modp2048 or ecp256")


def check_esp(text: str) -> None:
    """Check the ESP proposals of a CHILD SA; a key exchange group (PFS) and esn or noesn are optional."""
    for proposal, keywords in _split(text):
        _check_encryption(proposal, keywords)
        if not keywords & AEAD and not keywords & set(INTEGRITY):
            raise ProposalError(f"{proposal}: no integrity algorithm such as sha256 beside a classic cipher")


def _check_encryption(proposal: str, keywords: set[str]) -> None:
    classic, aead = sorted(keywords & ENCRYPTION), sorted(keywords & AEAD)
    if not classic and not aead:
        raise ProposalError(f"{proposal}: no encryption algorithm such as aes256 or aes256gcm16")
    if classic and aead:
        raise ProposalError(
            f"{proposal}: {classic[0]} and {aead[0]} cannot be in one proposal: "
            "classic and authenticated (AEAD) ciphers go into proposals of their own"
        )


def _split(text: str) -> Iterator[tuple[str, set[str]]]:
    """The proposals with their keywords, apart from the word ``default``, which stands for a proposal."""
    for proposal in map(str.strip, text.split(",")):
        if proposal != "default":
            keywords = [keyword.strip(" ") for keyword in proposal.split("-")]
            for keyword in keywords:
                if not _is_known(keyword):
                    raise ProposalError(f"{proposal or repr(text)}: {keyword!r} is not an algorithm strongSwan knows")
            yield proposal, set(keywords)


def _is_known(keyword: str) -> bool:
    additional = _ADDITIONAL.fullmatch(keyword)
    if additional:
        return additional["group"] in GROUPS | NO_GROUP
    return any(keyword in known for known in (ENCRYPTION, AEAD, INTEGRITY, PRF, GROUPS, NO_GROUP, ESN))
