# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in strongSwan's proposals, and in the words of other makers. Pure; runs on the controller.

Numbers of groups: https://www.iana.org/assignments/ikev2-parameters (Transform Type 4).

Cisco IOS XE: Cisco-IOS-XE-crypto.yang (https://github.com/YangModels/yang) and the resources crypto_ikev2_proposal and
crypto_ipsec_transform_set of https://github.com/CiscoDevNet/terraform-provider-iosxe.

FortiOS: ``config vpn ipsec phase1-interface`` and ``phase2-interface`` of the CLI reference,
https://docs.fortinet.com/document/fortigate/7.0.3/cli-reference/372620.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import typing as t

from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats import proposals

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

GROUPS = {
    "modp768": 1, "modp1024": 2, "modp1536": 5, "modp2048": 14, "modp3072": 15, "modp4096": 16, "modp6144": 17,
    "modp8192": 18, "ecp256": 19, "ecp384": 20, "ecp521": 21, "modp1024s160": 22, "modp2048s224": 23,
    "modp2048s256": 24, "ecp192": 25, "ecp224": 26, "ecp224bp": 27, "ecp256bp": 28, "ecp384bp": 29, "ecp512bp": 30,
    "curve25519": 31, "curve448": 32, "mlkem512": 35, "mlkem768": 36, "mlkem1024": 37
}  # fmt: skip
"""Numbers of key exchange groups; those without are strongSwan's own."""

_SAME = {
    **{name: name + "128" for name in ("aes", "blowfish", "camellia", "serpent", "twofish")},
    **{"sha": "sha1", "sha2_256": "sha256", "sha2_384": "sha384", "sha2_512": "sha512", "sha2_256_96": "sha256_96"},
    **{"x25519": "curve25519", "x448": "curve448", "modpnone": "none"},
}
_TAG = re.compile(r"((?:aes|camellia)\d+[gc]cm)(64|96|128)?")
_BYTES = {None: "16", "64": "8", "96": "12", "128": "16"}
_ADDITIONAL = re.compile(r"ke[1-7]_.+")


@dataclasses.dataclass(frozen=True)
class Suite:
    """A proposal: its text, and its algorithms, each by one of strongSwan's keywords for it.

    prf: of an IKE proposal, those that follow from the integrity algorithms where none is given. groups: with ``none``
    where PFS is optional. additional: further key exchanges (RFC 9370), as written. Without encryption it is the
    proposal ``default``.
    """

    text: str
    encryption: tuple[str, ...] = ()
    integrity: tuple[str, ...] = ()
    prf: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    esn: frozenset[str] = frozenset()
    additional: tuple[str, ...] = ()

    @property
    def is_aead(self) -> bool:
        return bool(set(self.encryption) & proposals.AEAD)


@dataclasses.dataclass(frozen=True)
class Words:
    """What a maker calls algorithms, by strongSwan's keyword: cipher and hash of IKE, esp and mac of ESP.

    hashes: whether a classic cipher's PRF is the hash of its integrity algorithm, and no other.
    """

    maker: str
    cipher: Mapping[str, str]
    hash: Mapping[str, str]
    prf: Mapping[str, str]
    esp: Mapping[str, str]
    mac: Mapping[str, str]
    groups: frozenset[int]
    hashes: bool = False


_HASHES = ("md5", "sha1", "sha256", "sha384", "sha512")

CISCO = Words(
    maker="Cisco IOS",
    cipher={
        **{f"aes{size}": f"aes-cbc-{size}" for size in (128, 192, 256)},
        **{"aes128gcm16": "aes-gcm-128", "aes256gcm16": "aes-gcm-256", "3des": "3des"},
    },
    hash={name: name for name in _HASHES},
    prf={f"prf{name}": name for name in _HASHES},
    esp={
        **{"aes128": "esp-aes", "aes192": "esp-aes 192", "aes256": "esp-aes 256"},
        **{"aes128gcm16": "esp-gcm", "aes192gcm16": "esp-gcm 192", "aes256gcm16": "esp-gcm 256"},
        **{"3des": "esp-3des", "des": "esp-des", "null": "esp-null"},
    },
    mac={
        **{"md5": "esp-md5-hmac", "sha1": "esp-sha-hmac"},
        **{name: f"esp-{name}-hmac" for name in _HASHES[2:]},
    },
    groups=frozenset((1, 2, 5, 14, 15, 16, 19, 20, 21, 24)),
)

CISCO_V1 = dataclasses.replace(
    CISCO,
    cipher={"aes128": "aes", "aes192": "aes 192", "aes256": "aes 256", "3des": "3des", "des": "des"},
    hash={"md5": "md5", "sha1": "sha", "sha256": "sha256", "sha384": "sha384", "sha512": "sha512"},
    hashes=True,
)
"""IKEv1: ``crypto isakmp policy``."""

FORTINET = Words(
    maker="FortiOS",
    cipher={
        **{name: name for name in ("des", "3des", "aes128", "aes192", "aes256", "chacha20poly1305")},
        **{"aes128gcm16": "aes128gcm", "aes256gcm16": "aes256gcm"},
    },
    hash={name: name for name in _HASHES},
    prf={f"prf{name}": f"prf{name}" for name in _HASHES[1:]},
    esp={
        **{name: name for name in ("null", "des", "3des", "aes128", "aes192", "aes256", "chacha20poly1305")},
        **{"aes128gcm16": "aes128gcm", "aes256gcm16": "aes256gcm"},
    },
    mac={name: name for name in _HASHES},
    groups=frozenset((1, 2, 5, *range(14, 22), *range(27, 33))),
    hashes=True,
)


@dataclasses.dataclass(frozen=True)
class Fitted:
    """Proposals in a maker's reach: ``suites`` with nothing else in them, and ``notes`` about all that was left out."""

    suites: tuple[Suite, ...]
    notes: tuple[str, ...]


# --- reading ----------------------------------------------------------------------------------------------------------


def read(texts: Iterable[str], *, ike: bool) -> list[Suite]:
    """The proposals of one option; ValueError for what strongSwan would refuse."""
    found = []
    for text in texts:
        (proposals.check_ike if ike else proposals.check_esp)(text)
        found += [_suite(part.strip(), ike) for part in text.split(",")]
    return found


def _suite(text: str, ike: bool) -> Suite:
    if text == "default":
        return Suite(text)
    words = list(dict.fromkeys(_one(word.strip(" ")) for word in text.split("-")))
    encryption = _of(words, proposals.ENCRYPTION | proposals.AEAD)
    integrity = _of(words, proposals.INTEGRITY)
    prf = _of(words, proposals.PRF) if ike else ()
    if ike and not prf:
        prf = tuple(dict.fromkeys(found for word in integrity for found in [proposals.INTEGRITY[word]] if found))
    return Suite(
        text=text,
        encryption=encryption,
        # Beside an AEAD cipher strongSwan leaves out integrity algorithms.
        integrity=() if set(encryption) & proposals.AEAD else integrity,
        prf=prf,
        groups=_of(words, proposals.GROUPS | proposals.NO_GROUP),
        esn=frozenset(words) & proposals.ESN,
        additional=tuple(word for word in words if _ADDITIONAL.fullmatch(word)),
    )


def _one(word: str) -> str:
    """The one keyword that stands for all that mean the same."""
    tagged = _TAG.fullmatch(word)
    return tagged[1] + _BYTES[tagged[2]] if tagged else _SAME.get(word, word)


def _of(words: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    return tuple(word for word in words if word in known)


def group(name: str) -> str:
    """A group with its number."""
    return f"{name} (group {GROUPS[name]})" if name in GROUPS else name


# --- in a maker's words -----------------------------------------------------------------------------------------------


def ike(texts: Iterable[str], words: Words) -> Fitted:
    """IKE proposals; InvalidOption when the maker can express none of them."""
    return _fitted(read(texts, ike=True), words, "proposals", "aes256-sha256-modp2048", _ike_fits)


def esp(texts: Iterable[str], words: Words, *, one_group: bool) -> Fitted:
    """ESP proposals; those that differ in PFS from the first are left out, for one setting holds for all.

    one_group: whether that setting is a single group.
    """
    found = _fitted(read(texts, ike=False), words, "esp_proposals", "aes256gcm16-modp2048", _esp_fits)
    chosen = found.suites[0].groups[:1] if one_group else found.suites[0].groups
    kept: list[Suite] = []
    notes = list(found.notes)
    for suite in found.suites:
        groups = tuple(name for name in suite.groups if not one_group or name in chosen)
        if bool(groups) != bool(chosen):
            notes.append(
                f"{suite.text}: left out, PFS is {group(chosen[0]) if chosen else 'off'} as in the first proposal "
                f"and {words.maker} has one setting for all"
            )
            continue
        if len(groups) < len(suite.groups):
            notes.append(f"{suite.text}: of its groups only {group(groups[0])}, {words.maker} takes one for PFS")
        kept.append(dataclasses.replace(suite, groups=groups))
    return Fitted(tuple(kept), tuple(notes))


def _fitted(
    suites: Iterable[Suite],
    words: Words,
    option: str,
    example: str,
    fits: t.Callable[[Suite, Words], Iterator[tuple[str, tuple[str, ...], tuple[str, ...], str]]],
) -> Fitted:
    kept: list[Suite] = []
    notes: list[str] = []
    for suite in suites:
        if not suite.encryption or suite.additional:
            why = ", ".join(suite.additional) or "it is strongSwan's own list"
            notes.append(f"{suite.text}: cannot be expressed ({why}); choose one such as {example}")
            continue
        changes: dict[str, tuple[str, ...]] = {}
        missing: list[str] = []
        lost: list[str] = []
        for field, wanted, possible, choices in fits(suite, words):
            changes[field] = possible
            left = [name for name in wanted if name not in possible]
            missing += [group(name) for name in left]
            if left and not possible:
                lost.append(f"{', '.join(map(group, left))}; choose one of {choices}")
        if lost:
            notes.append(f"{suite.text}: cannot be expressed: {'; '.join(lost)}")
            continue
        if missing:
            notes.append(f"{suite.text}: expressed without {', '.join(missing)}, which {words.maker} does not have")
        kept.append(dataclasses.replace(suite, **changes))  # type: ignore[arg-type]
    if not kept:
        raise InvalidOption(
            f"{option}: {words.maker} has none of these; add one such as {example} ({'; '.join(notes)})"
        )
    return Fitted(tuple(kept), tuple(notes))


def _ike_fits(suite: Suite, words: Words) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...], str]]:
    """Field, what is wanted, what of it there is, and the choices there are."""
    yield "encryption", suite.encryption, _of(suite.encryption, words.cipher), ", ".join(words.cipher)
    integrity = _of(suite.integrity, words.hash)
    if words.hashes and not suite.is_aead:
        prfs = [proposals.INTEGRITY[name] for name in integrity]
        yield "prf", suite.prf, tuple(name for name in suite.prf if name in prfs), "the integrity algorithm's own"
        integrity = tuple(name for name in integrity if proposals.INTEGRITY[name] in suite.prf)
    else:
        yield "prf", suite.prf, _of(suite.prf, words.prf), ", ".join(words.prf)
    yield "integrity", suite.integrity, integrity, ", ".join(words.hash)
    yield "groups", _groups(suite), _expressed(suite, words), _choices(words)


def _esp_fits(suite: Suite, words: Words) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...], str]]:
    yield "encryption", suite.encryption, _of(suite.encryption, words.esp), ", ".join(words.esp)
    yield "integrity", suite.integrity, _of(suite.integrity, words.mac), ", ".join(words.mac)
    groups = _expressed(suite, words)
    # Where PFS is optional, none of the groups has to be there.
    wanted = groups if "none" in suite.groups and not groups else _groups(suite)
    yield "groups", wanted, groups, _choices(words)


def _groups(suite: Suite) -> tuple[str, ...]:
    return tuple(name for name in suite.groups if name != "none")


def _expressed(suite: Suite, words: Words) -> tuple[str, ...]:
    return tuple(name for name in _groups(suite) if GROUPS.get(name) in words.groups)


def _choices(words: Words) -> str:
    return ", ".join(name for name, number in GROUPS.items() if number in words.groups)


def numbers(suites: Iterable[Suite]) -> list[str]:
    """The numbers of all groups, each once, in order."""
    return list(dict.fromkeys(str(GROUPS[name]) for suite in suites for name in suite.groups))


def pairs(suite: Suite) -> Iterator[tuple[str, str | None]]:
    """Each cipher with each integrity algorithm, None beside an AEAD cipher."""
    yield from itertools.product(suite.encryption, suite.integrity or (None,))
