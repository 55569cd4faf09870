# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How large a packet becomes in ESP's tunnel mode, and so which MTU lets an interface's packets pass unfragmented.

All sizes are in bytes. RFC 4303 has the layout: outer IP header, with NAT traversal a UDP header (RFC 3948), SPI and
sequence number, IV, the inner packet, padding, pad length and next header, ICV. Extended sequence numbers (``esn``) do
not show on the wire. Traffic flow confidentiality would add padding of any length; nothing here asks for it.
"""

from __future__ import annotations

import typing as t

from . import proposals

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = t.TypeVar("T")

PATH_MTU = 1500
"""Ethernet's (RFC 894), what a path is taken to carry when nothing else is known."""

LIMITS = (1280, 8192)
"""Least and largest MTU of an ipsecX interface: if_ipsec(4) takes no other (sys/net/if_ipsec.h)."""

_OUTER = {4: 20, 6: 40}
_UDP = 8
_ESP_HEADER = 8
_TRAILER = 2
_ALIGNMENT = 4  # of what is encrypted, whatever the cipher (RFC 4303, section 2.4)


class _Cipher(t.NamedTuple):
    """What a cipher adds; ``block`` is what it pads to, ``icv`` is None where an integrity algorithm makes one."""

    iv: int
    block: int
    icv: int | None


def _ciphers() -> Iterator[tuple[str, _Cipher]]:
    yield "null", _Cipher(0, _ALIGNMENT, None)  # RFC 2410
    for name in ("des", "3des", "cast128"):  # RFC 2405, RFC 2451
        yield name, _Cipher(8, 8, None)
    for name, block in (("aes", 16), ("blowfish", 8), ("camellia", 16), ("serpent", 16), ("twofish", 16)):
        # CBC: an IV of one block (RFC 3602, RFC 2451, RFC 4312)
        for size in ("", "128", "192", "256"):
            yield name + size, _Cipher(block, block, None)
    for size in ("128", "192", "256"):
        # FreeBSD pads AES-CTR to 16 by default (net.inet.esp.ctr_compatibility), Linux to 4 as RFC 3686 has it.
        yield f"aes{size}ctr", _Cipher(8, 16, None)
        yield f"camellia{size}ctr", _Cipher(8, _ALIGNMENT, None)  # RFC 5529
        yield f"aes{size}gmac", _Cipher(8, _ALIGNMENT, 16)  # RFC 4543
        for mode in ("aes{}gcm", "aes{}ccm", "camellia{}ccm"):  # RFC 4106, RFC 4309, RFC 5529
            for tag, icv in (("8", 8), ("64", 8), ("12", 12), ("96", 12), ("16", 16), ("128", 16)):
                yield mode.format(size) + tag, _Cipher(8, _ALIGNMENT, icv)
        for mode in ("aes{}gcm", "aes{}ccm"):  # without a length strongSwan means 16
            yield mode.format(size), _Cipher(8, _ALIGNMENT, 16)
    for name in ("chacha20poly1305", "chacha20poly1305compat"):  # RFC 7634
        yield name, _Cipher(8, _ALIGNMENT, 16)


_CIPHERS = dict(_ciphers())
_ICV = {
    "md5": 12,  # RFC 2403
    "md5_128": 16,
    "sha": 12,  # RFC 2404
    "sha1": 12,
    "sha1_160": 20,  # RFC 4595
    "sha256": 16,  # RFC 4868, half of the hash
    "sha2_256": 16,
    "sha256_96": 12,  # the draft of RFC 4868
    "sha2_256_96": 12,
    "sha384": 24,
    "sha2_384": 24,
    "sha512": 32,
    "sha2_512": 32,
    "aesxcbc": 12,  # RFC 3566
    "aescmac": 12,  # RFC 4494
    "camelliaxcbc": 12,
}
# The ESP part of proposal_create_default() and proposal_create_default_aead() in strongSwan's proposal.c
_DEFAULT = "aes128gcm16-aes192gcm16-aes256gcm16,aes128-aes192-aes256-sha256-sha384-sha512-sha1-aesxcbc"


class _Suite(t.NamedTuple):
    """One choice out of a proposal: ``fixed`` is what every packet gains, padding apart."""

    fixed: int
    block: int

    def outer(self, inner: int) -> int:
        return self.fixed + -(-(inner + _TRAILER) // self.block) * self.block

    def inner(self, outer: int) -> int:
        """The largest packet that becomes no larger than ``outer``."""
        return (outer - self.fixed) // self.block * self.block - _TRAILER


def outer_size(inner: int, proposal: str, *, natt: bool, family: int) -> int:
    """The size on the wire, outer IP header included, of an inner IP packet of ``inner`` bytes.

    ``proposal`` is an ESP proposal in strongSwan's keywords, or several with commas between; ``natt`` is whether ESP
    goes in UDP, ``family`` (4 or 6) is the outer packet's. Where algorithms are left to negotiate, the worst counts;
    ``default`` stands for strongSwan's own list. ValueError for what strongSwan would refuse, and for an algorithm
    whose size is not known.
    """
    return max(suite.outer(inner) for suite in _suites(proposal, natt, family))


def largest_mtu(path: int, proposals: Iterable[str], *, natt: bool, family: int) -> int | None:
    """The largest MTU of an ipsecX interface whose packets pass a path of MTU ``path`` in one piece.

    It holds for whichever of the ``proposals`` is negotiated, and is at most what the kernel takes (LIMITS); None when
    not even its least MTU would fit. Everything else is as for outer_size().
    """
    suites = [suite for proposal in proposals for suite in _suites(proposal, natt, family)]
    if not suites:
        raise ValueError("no ESP proposal is given; default stands for strongSwan's own")
    least, largest = LIMITS
    mtu = min(largest, *(suite.inner(path) for suite in suites))
    return mtu if mtu >= least else None


def _suites(text: str, natt: bool, family: int) -> Iterator[_Suite]:
    """Whatever could be negotiated."""
    if family not in _OUTER:
        raise ValueError(f"family: {family!r} is neither 4 nor 6")
    proposals.check_esp(text)
    outside = _OUTER[family] + (_UDP if natt else 0) + _ESP_HEADER
    for proposal in map(str.strip, text.split(",")):
        for choice in _DEFAULT.split(",") if proposal == "default" else (proposal,):
            keywords = [keyword.strip() for keyword in choice.split("-")]
            # Beside an AEAD cipher strongSwan leaves out integrity algorithms.
            icvs = [_size(_ICV, keyword) for keyword in keywords if keyword in proposals.INTEGRITY]
            for keyword in keywords:
                if keyword in proposals.ENCRYPTION or keyword in proposals.AEAD:
                    cipher = _size(_CIPHERS, keyword)
                    for icv in icvs if cipher.icv is None else (cipher.icv,):
                        yield _Suite(outside + cipher.iv + icv, cipher.block)


def _size(sizes: dict[str, T], keyword: str) -> T:
    if keyword not in sizes:
        raise ValueError(f"{keyword}: how much it adds to a packet is not known; set the MTU by hand")
    return sizes[keyword]
