# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What charon accepts in a connection: the keys, their values, proposals and their selection (strongSwan 5.9.8)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

Section = dict[str, Any]
Proposal = dict[str, list[str]]
"""Transform type (encryption, integrity, prf, dh, esn) to algorithm names, preferred first."""

LIST_KEYS = frozenset(
    {
        "local_addrs",
        "remote_addrs",
        "proposals",
        "esp_proposals",
        "ah_proposals",
        "local_ts",
        "remote_ts",
        "vips",
        "pools",
        "groups",
        "cert_policy",
        "certs",
        "cacerts",
        "pubkeys",
    }
)


class Refused(Exception):
    """A connection that charon discards; the message is its reply's errmsg."""


def listed(value: str) -> list[str]:
    """The members of a list value."""
    return [part.strip() for part in value.split(",") if part.strip()]


# -- algorithms --

_GROUPS = {
    "modp768": "MODP_768", "modp1024": "MODP_1024", "modp1536": "MODP_1536", "modp2048": "MODP_2048",
    "modp3072": "MODP_3072", "modp4096": "MODP_4096", "modp6144": "MODP_6144", "modp8192": "MODP_8192",
    "modp1024s160": "MODP_1024_160", "modp2048s224": "MODP_2048_224", "modp2048s256": "MODP_2048_256",
    "ecp192": "ECP_192", "ecp224": "ECP_224", "ecp256": "ECP_256", "ecp384": "ECP_384", "ecp521": "ECP_521",
    "ecp224bp": "ECP_224_BP", "ecp256bp": "ECP_256_BP", "ecp384bp": "ECP_384_BP", "ecp512bp": "ECP_512_BP",
    "curve25519": "CURVE_25519", "x25519": "CURVE_25519", "curve448": "CURVE_448", "x448": "CURVE_448",
}  # fmt: skip
_HASHES = {
    "md5": ("HMAC_MD5_96", "PRF_HMAC_MD5"), "sha1": ("HMAC_SHA1_96", "PRF_HMAC_SHA1"),
    "sha": ("HMAC_SHA1_96", "PRF_HMAC_SHA1"), "sha256": ("HMAC_SHA2_256_128", "PRF_HMAC_SHA2_256"),
    "sha2_256": ("HMAC_SHA2_256_128", "PRF_HMAC_SHA2_256"), "sha384": ("HMAC_SHA2_384_192", "PRF_HMAC_SHA2_384"),
    "sha2_384": ("HMAC_SHA2_384_192", "PRF_HMAC_SHA2_384"), "sha512": ("HMAC_SHA2_512_256", "PRF_HMAC_SHA2_512"),
    "sha2_512": ("HMAC_SHA2_512_256", "PRF_HMAC_SHA2_512"), "aesxcbc": ("AES_XCBC_96", "PRF_AES128_XCBC"),
    "aescmac": ("AES_CMAC_96", "PRF_AES128_CMAC"),
}  # fmt: skip
_PRFS = {"prf" + name: prf for name, (_rest, prf) in _HASHES.items()}


def _encryption(word: str) -> str | None:
    match = re.fullmatch(r"(aes|camellia)(128|192|256)?(?:(gcm|ccm)(8|12|16|64|96|128)?|(ctr))?", word)
    if match:
        cipher, bits, aead, tag, counter = match.groups()
        octets = int(tag or 16)
        octets = octets if octets <= 16 else octets // 8
        mode = f"{aead.upper()}_{octets}" if aead else "CTR" if counter else "CBC"
        return f"{cipher.upper()}_{mode}-{bits or 128}"
    return {
        "3des": "3DES_CBC",
        "null": "NULL",
        "chacha20poly1305": "CHACHA20_POLY1305",
        "blowfish": "BLOWFISH_CBC-128",
        "blowfish128": "BLOWFISH_CBC-128",
        "blowfish256": "BLOWFISH_CBC-256",
        "cast128": "CAST_CBC-128",
        "des": "DES_CBC",
    }.get(word)


def is_aead(encryption: str) -> bool:
    """Whether an encryption algorithm brings its own integrity."""
    return "GCM" in encryption or "CCM" in encryption or "POLY1305" in encryption


def parse_proposal(text: str, ike: bool) -> Proposal:
    """One proposal in strongSwan's keywords. Raises ValueError for one that charon refuses."""
    if text == "default":
        text = "aes128-aes192-aes256-sha256-sha384-sha512-sha1" + (
            "-curve25519-ecp256-ecp384-modp3072-modp4096-modp2048" if ike else ""
        )
    proposal: Proposal = {"encryption": [], "integrity": [], "prf": [], "dh": [], "esn": []}
    for word in text.lower().split("-"):
        cipher = _encryption(word)
        if cipher:
            proposal["encryption"].append(cipher)
        elif word in _HASHES:
            proposal["integrity"].append(_HASHES[word][0])
            proposal["prf"] += [_HASHES[word][1]] if ike and not any(w in _PRFS for w in text.split("-")) else []
        elif word in _PRFS:
            proposal["prf"] += [_PRFS[word]] if ike else []
        elif word in _GROUPS:
            proposal["dh"].append(_GROUPS[word])
        elif word in ("esn", "noesn"):
            proposal["esn"].append("EXT_SEQ" if word == "esn" else "NO_EXT_SEQ")
        elif word not in ("none", "modpnone", ""):
            raise ValueError(f"algorithm '{word}' not recognized")
    if not proposal["encryption"] or (ike and not (proposal["prf"] and proposal["dh"])):
        raise ValueError(f"incomplete proposal '{text}'")
    if all(is_aead(cipher) for cipher in proposal["encryption"]):
        proposal["integrity"] = []
    elif ike and not proposal["integrity"]:
        raise ValueError(f"an integrity algorithm is mandatory in '{text}'")
    return proposal


def proposals(text: str, ike: bool) -> list[Proposal]:
    """All proposals of a list value; charon's defaults for an empty one."""
    aead = "aes128gcm16-aes256gcm16-prfsha256-curve25519-modp2048" if ike else "aes128gcm16-aes256gcm16"
    return [parse_proposal(part, ike) for part in listed(text) or ["default", aead]]


def select(ours: list[Proposal], theirs: list[Proposal], with_dh: bool) -> dict[str, str] | None:
    """The first proposal both have: transform type to algorithm, types that neither has left out."""
    for mine in ours:
        for other in theirs:
            chosen: dict[str, str] = {}
            for kind, algorithms in mine.items():
                if (kind == "dh" and not with_dh) or kind == "esn":
                    continue
                common = [name for name in algorithms if name in other[kind]]
                if common:
                    chosen[kind] = common[0]
                elif algorithms or other[kind]:
                    break
            else:
                return chosen
    return None


# -- values --


def lifetime(section: Section, key: str, usual: str) -> int:
    """A time of a section in seconds; a negative one counts as not given."""
    value = section.get(key, usual)
    return seconds(usual if value.startswith("-") else value)


def seconds(value: str) -> int:
    """A time with its unit."""
    match = re.fullmatch(r"-?(\d+)\s*([smhd]?)", value)
    if not match:
        raise ValueError(value)
    return int(match.group(1)) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match.group(2)]


def actions(value: str) -> set[str]:
    """start_action and its like: what of trap and start it holds."""
    names = {
        "start": "start",
        "restart": "start",
        "trap": "trap",
        "route": "trap",
        "none": "",
        "clear": "",
    }
    return {names[part] for part in value.lower().split("|")} - {""}


def boolean(value: str) -> bool:
    """yes, true, enabled, 1 and their opposites."""
    known = {
        "yes": True,
        "true": True,
        "enabled": True,
        "1": True,
        "no": False,
        "false": False,
        "disabled": False,
        "0": False,
    }
    return known[value.lower()]


def selector(value: str, own: str | None) -> str:
    """A traffic selector's network or range; dynamic is the address of that end when it is known."""
    network, _rest, _ports = value.partition("[")
    if network == "dynamic":
        return str(ipaddress.ip_network(own)) if own else network
    if "-" in network:
        first, last = (ipaddress.ip_address(part) for part in network.split("-"))
        return f"{first}..{last}"
    return str(ipaddress.ip_network(network, strict=False))


def _one_of(*names: str) -> Callable[[str], object]:
    return lambda value: {name: name for name in names}[value.lower()]


def _each(check: Callable[[str], object]) -> Callable[[str], object]:
    return lambda value: [check(part) for part in listed(value)]


def _number(value: str) -> int:
    return int(value, 0)


def number32(value: str) -> int:
    """A number as strtoul(3) and a cast to 32 bits leave it."""
    return int(value, 0) % 2**32


def _identity(value: str) -> str:
    if "\n" in value:
        raise ValueError(value)
    return value


def _mark(value: str) -> object:
    return [int(part, 0) for part in value.split("/") if part not in ("%unique", "%unique-dir", "%same")]


_ESP = _each(lambda part: parse_proposal(part, ike=False))


def size(value: str) -> int:
    """A number of bytes or packets with its unit."""
    match = re.fullmatch(r"(\d+)([kmg]?)", value)
    if not match:
        raise ValueError(value)
    power = " kmg".index(match.group(2) or " ")
    return int(match.group(1)) * int(1024**power)


def _ah(value: str) -> str:
    if not any(word in _HASHES for word in value.split("-")):
        raise ValueError(value)
    return value


_CONNECTION = {
    "version": _number, "local_addrs": str, "remote_addrs": str, "local_port": _number,
    "remote_port": _number, "proposals": _each(lambda part: parse_proposal(part, ike=True)),
    "vips": _each(ipaddress.ip_address), "aggressive": boolean, "pull": boolean, "dscp": lambda value: int(value, 2),
    "encap": boolean, "mobike": boolean, "dpd_delay": seconds, "dpd_timeout": seconds,
    "fragmentation": _one_of("yes", "accept", "force", "no"),
    "childless": _one_of("allow", "force", "never", "prefer"), "send_certreq": boolean,
    "send_cert": _one_of("always", "ifasked", "never"), "ppk_id": str, "ppk_required": boolean,
    "keyingtries": _number, "unique": _one_of("no", "never", "keep", "replace"), "reauth_time": seconds,
    "rekey_time": seconds, "over_time": seconds, "rand_time": seconds, "pools": str, "if_id_in": _mark,
    "if_id_out": _mark, "mediation": boolean, "mediated_by": str, "mediation_peer": str,
}  # fmt: skip
_AUTH = {
    "round": _number, "auth": re.compile(r"psk|pubkey|any|(eap|xauth|rsa|rsa/pss|ecdsa|ike)([-:].*)?").fullmatch,
    "id": _identity, "eap_id": str, "aaa_id": str, "xauth_id": str, "ca_id": str, "certs": str, "cert_policy": str,
    "cacerts": str, "pubkeys": str, "groups": str, "revocation": _one_of("strict", "ifuri", "relaxed"),
}  # fmt: skip
_CHILD = {
    "ah_proposals": _each(_ah), "esp_proposals": _ESP, "sha256_96": boolean,
    "local_ts": _each(lambda part: selector(part, "0.0.0.0")),
    "remote_ts": _each(lambda part: selector(part, "0.0.0.0")), "rekey_time": seconds, "life_time": seconds,
    "rand_time": seconds, "rekey_bytes": size, "life_bytes": size, "rand_bytes": size, "rekey_packets": size,
    "life_packets": size, "rand_packets": size, "updown": str, "hostaccess": boolean,
    "mode": _one_of("tunnel", "transport", "transport_proxy", "beet", "pass", "drop"), "policies": boolean,
    "policies_fwd_out": boolean, "dpd_action": actions, "ipcomp": boolean, "inactivity": seconds, "reqid": number32,
    "priority": number32, "interface": str, "mark_in": _mark, "mark_in_sa": boolean, "mark_out": _mark,
    "set_mark_in": _mark, "set_mark_out": _mark, "if_id_in": _mark, "if_id_out": _mark, "label": str,
    "label_mode": _one_of("system", "simple", "selinux"),
    "tfc_padding": lambda value: 0 if value == "mtu" else int(value), "replay_window": number32,
    "hw_offload": _one_of("no", "yes", "auto", "crypto", "packet"), "start_action": actions, "close_action": actions,
    "copy_df": boolean, "copy_ecn": boolean, "copy_dscp": _one_of("out", "in", "yes", "no"),
}  # fmt: skip


def _check(section: Section, known: dict[str, Any], sections: Callable[[str], bool]) -> None:
    for key, value in section.items():
        if isinstance(value, dict):
            if not sections(key):
                raise Refused(f"invalid section: {key}")
            continue
        if key not in known:
            raise Refused(f"unknown option: {key}, config discarded")
        try:
            accepted = known[key](value)
        except (ValueError, KeyError):
            accepted = None
        if accepted is None:
            raise Refused(f"invalid value for: {key}, config discarded")


def check_connection(connection: Section) -> None:
    """Refuse what charon refuses, with its words."""
    _check(connection, _CONNECTION, lambda name: name == "children" or name.startswith(("local", "remote")))
    for name, section in connection.items():
        if isinstance(section, dict) and name != "children":
            _check(section, _AUTH, lambda name: name.startswith(("cert", "cacert")))
    for child in connection.get("children", {}).values():
        if isinstance(child, dict):
            _check(child, _CHILD, lambda name: True)
