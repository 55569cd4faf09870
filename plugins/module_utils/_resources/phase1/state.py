# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Phase 1: an IKE SA configuration, which is a connection of swanctl.conf(5) and its secret."""

from __future__ import annotations

import base64
import dataclasses
import typing as t

from ..._core.errors import InvalidOption
from ..._core.secret import Secret
from ..._formats import proposals
from .. import declared

if t.TYPE_CHECKING:
    from collections.abc import Mapping

ARGUMENTS: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "description": {"type": "str"},
    "enabled": {"type": "bool", "default": True},
    "version": {"type": "int", "choices": [0, 1, 2], "default": 2},
    "local_addrs": {"type": "list", "elements": "str"},
    "remote_addrs": {"type": "list", "elements": "str"},
    "local_port": {"type": "int"},
    "remote_port": {"type": "int"},
    "proposals": {"type": "list", "elements": "str", "default": ["aes128-sha256-modp2048"]},
    "auth": {"type": "str", "choices": ["psk", "pubkey"], "default": "psk"},
    "psk": {"type": "str", "no_log": True},
    "local_id": {"type": "str"},
    "remote_id": {"type": "str"},
    "local_certs": {"type": "list", "elements": "str", "default": []},
    "remote_certs": {"type": "list", "elements": "str", "default": []},
    "remote_cacerts": {"type": "list", "elements": "str", "default": []},
    "revocation": {"type": "str", "choices": ["strict", "ifuri", "relaxed"], "default": "relaxed"},
    "aggressive": {"type": "bool", "default": False},
    "encap": {"type": "bool", "default": False},
    "mobike": {"type": "bool", "default": False},
    "fragmentation": {"type": "str", "choices": ["yes", "accept", "force", "no"], "default": "yes"},
    "dpd_delay": {"type": "int", "default": 10},
    "dpd_timeout": {"type": "int"},
    "lifetime": {"type": "int", "default": 28800},
    "rekey_time": {"type": "int", "no_log": False},
    "reauth_time": {"type": "int"},
    "over_time": {"type": "int"},
    "rand_time": {"type": "int"},
    "keyingtries": {"type": "int", "default": 0, "no_log": False},
    "unique": {"type": "str", "choices": ["replace", "no", "never", "keep"], "default": "replace"},
    "split_connections": {"type": "bool", "default": False},
    "gateway_duplicates": {"type": "bool", "default": False},
    "reestablish": {"type": "bool", "default": True},
    "firewall_rules": {"type": "bool", "default": False},
}
"""The options of ipsec_phase1, and of each item of vti_site's phase1."""

REQUIRED = ("local_addrs", "remote_addrs")
"""Required of a phase 1 that should be present."""

ANY = frozenset({"%any", "%any4", "%any6", "0.0.0.0", "::"})


@dataclasses.dataclass(frozen=True)
class Phase1:
    """A phase 1 as declared; times in seconds, None where strongSwan's or the derived value applies."""

    name: str
    local_addrs: tuple[str, ...]
    remote_addrs: tuple[str, ...]
    description: str | None = None
    enabled: bool = True
    version: int = 2
    local_port: int | None = None
    remote_port: int | None = None
    proposals: tuple[str, ...] = ("aes128-sha256-modp2048",)
    auth: str = "psk"
    psk: Secret | None = None
    local_id: str | None = None
    remote_id: str | None = None
    local_certs: tuple[str, ...] = ()
    remote_certs: tuple[str, ...] = ()
    remote_cacerts: tuple[str, ...] = ()
    revocation: str = "relaxed"
    aggressive: bool = False
    encap: bool = False
    mobike: bool = False
    fragmentation: str = "yes"
    dpd_delay: int = 10
    dpd_timeout: int | None = None
    lifetime: int = 28800
    rekey_time: int | None = None
    reauth_time: int | None = None
    over_time: int | None = None
    rand_time: int | None = None
    keyingtries: int = 0
    unique: str = "replace"
    split_connections: bool = False
    gateway_duplicates: bool = False
    reestablish: bool = True
    firewall_rules: bool = False

    @property
    def local(self) -> str | None:
        """The outer address of this end, when it is a literal one."""
        return _outer(self.local_addrs)

    @property
    def remote(self) -> str | None:
        """The outer address of the peer, when it is a literal one; None for a name or any peer."""
        return _outer(self.remote_addrs)

    @property
    def local_identity(self) -> str:
        return self.local_id or self.local or "%any"

    @property
    def remote_identity(self) -> str:
        return self.remote_id or self.remote or "%any"

    @property
    def shares_child(self) -> bool:
        """Whether all its phase 2 use one CHILD SA and one interface (IKEv2 without split connections)."""
        return self.version == 2 and not self.split_connections


def _outer(addrs: tuple[str, ...]) -> str | None:
    return None if addrs[0] in ANY else declared.literal(addrs[0])


def from_options(options: Mapping[str, t.Any], known: Phase1 | None) -> Phase1:
    """Check the options and make a phase 1 of them; a pre-shared key left out stays what it is on the host."""
    declared.check_name("name", options["name"])
    for option in REQUIRED:
        if not options.get(option):
            raise InvalidOption(f"{option}: required for phase 1 {options['name']}; give at least one address")
    fields = declared.pick(Phase1, options)
    psk = options.get("psk")
    fields["psk"] = Secret(psk) if psk is not None else known.psk if known else None
    phase1 = Phase1(**fields)
    if phase1.auth != "psk":
        phase1 = dataclasses.replace(phase1, psk=None)
    _check(phase1)
    return phase1


def _check(phase1: Phase1) -> None:
    declared.check_text("description", phase1.description)
    for option in ("local_addrs", "remote_addrs"):
        for address in getattr(phase1, option):
            _check_address(option, address)
    for option in ("local_id", "remote_id"):
        declared.check_text(option, getattr(phase1, option))
        if getattr(phase1, option) == "":
            raise InvalidOption(f"{option}: must not be empty; leave it out to use the address")
    local, remote = phase1.local, phase1.remote
    if local and remote and (":" in local) != (":" in remote):
        raise InvalidOption(
            f"remote_addrs: {remote} and local_addrs {local} are of different families; give both ends the same"
        )
    if remote is None and phase1.remote_id is None and phase1.remote_addrs[0] not in ANY:
        raise InvalidOption(
            f"remote_id: required when remote_addrs is a name ({phase1.remote_addrs[0]}); say who the peer is"
        )
    _check_auth(phase1)
    _check_proposals(phase1)
    _check_numbers(phase1)


def _check_address(option: str, address: str) -> None:
    # Names, literals, %any and %-keywords of swanctl.conf(5); subnets and ranges make no tunnel endpoint.
    if not address or not all(character.isalnum() or character in ".:%_-" for character in address):
        raise InvalidOption(f"{option}: {address!r} is neither an address nor a host name")


def _check_auth(phase1: Phase1) -> None:
    if phase1.auth == "pubkey":
        for option in ("local_certs", "remote_certs", "remote_cacerts"):
            for path in getattr(phase1, option):
                declared.check_text(option, path)
        if not phase1.local_certs and phase1.local_id is None:
            raise InvalidOption(
                "local_certs: required with auth=pubkey, unless local_id says which certificate to use; "
                "name this end's in swanctl's x509 directory"
            )
        if not phase1.remote_certs and not phase1.remote_cacerts:
            raise InvalidOption(
                "remote_cacerts: required with auth=pubkey unless remote_certs is given; name who vouches for the peer"
            )
        return
    if phase1.psk is None:
        raise InvalidOption(f"psk: required with auth=psk: no key for phase 1 {phase1.name} is on the host yet")
    if not phase1.psk.reveal():
        raise InvalidOption("psk: must not be empty")


def _check_proposals(phase1: Phase1) -> None:
    if not phase1.proposals:
        raise InvalidOption("proposals: give at least one, or leave it out")
    for proposal in phase1.proposals:
        if phase1.version == 1 and any(word in proposal for word in ("gcm", "ccm", "chacha")):
            raise InvalidOption(
                f"proposals: {proposal} needs IKEv2 (RFC 5282); set version to 2 or choose a CBC cipher"
            )
        try:
            proposals.check_ike(proposal)
        except ValueError as error:
            raise InvalidOption(f"proposals: {error}") from None


def _check_numbers(phase1: Phase1) -> None:
    for option in ("local_port", "remote_port"):
        declared.check_range(option, getattr(phase1, option), 1, 65535)
    if phase1.aggressive and phase1.version == 2:
        raise InvalidOption("aggressive: exists in IKEv1 only; set version to 1 or leave it out")
    for option in ("dpd_delay", "dpd_timeout", "rekey_time", "reauth_time", "over_time", "rand_time", "keyingtries"):
        declared.check_range(option, getattr(phase1, option), 0, 2**31 - 1)
    declared.check_range("lifetime", phase1.lifetime, 60, 2**31 - 1)
    for option in ("rekey_time", "reauth_time"):
        value = getattr(phase1, option)
        if value is not None and value >= phase1.lifetime:
            raise InvalidOption(f"lifetime: {phase1.lifetime} s must be longer than {option} ({value} s)")


def timers(phase1: Phase1) -> dict[str, int]:
    """The rekeying times of swanctl.conf(5), in seconds, from a lifetime as pfSense derives them."""
    share = phase1.lifetime * 9 // 10
    rekey = share if phase1.rekey_time is None else phase1.rekey_time
    reauth = phase1.reauth_time if phase1.reauth_time is not None else share if phase1.version == 1 else 0
    over = phase1.lifetime - max(reauth, 0 if phase1.version == 1 else rekey)
    return {
        **({} if phase1.version == 1 else {"rekey_time": rekey}),
        "reauth_time": reauth,
        "over_time": over if phase1.over_time is None else phase1.over_time,
        "rand_time": over if phase1.rand_time is None else phase1.rand_time,
    }


def connection(phase1: Phase1, children: Mapping[str, Mapping[str, str]]) -> dict[str, t.Any]:
    """The connection's section of swanctl.conf(5)."""
    section: dict[str, t.Any] = {
        "version": str(phase1.version),
        "local_addrs": ",".join(phase1.local_addrs),
        "remote_addrs": ",".join(phase1.remote_addrs),
        "proposals": ",".join(phase1.proposals),
        "fragmentation": phase1.fragmentation,
        "unique": phase1.unique,
        "encap": _yes(phase1.encap),
        "mobike": _yes(phase1.mobike),
        "keyingtries": str(phase1.keyingtries),
        "dpd_delay": f"{phase1.dpd_delay}s",
    }
    if phase1.version == 1:
        section["aggressive"] = _yes(phase1.aggressive)
        section["dpd_timeout"] = f"{phase1.dpd_timeout or phase1.dpd_delay * 6}s"
    for option in ("local_port", "remote_port"):
        if getattr(phase1, option) is not None:
            section[option] = str(getattr(phase1, option))
    section.update((key, f"{seconds}s") for key, seconds in timers(phase1).items())
    section["local"] = {"auth": phase1.auth, "id": phase1.local_identity}
    section["remote"] = {"auth": phase1.auth, "id": phase1.remote_identity}
    if phase1.auth == "pubkey":
        if phase1.local_certs:
            section["local"]["certs"] = ",".join(phase1.local_certs)
        section["remote"].update(
            (key, ",".join(paths))
            for key, paths in (("certs", phase1.remote_certs), ("cacerts", phase1.remote_cacerts))
            if paths
        )
        section["remote"]["revocation"] = phase1.revocation
    section["children"] = {name: dict(child) for name, child in children.items()}
    return section


def secrets(phase1: Phase1) -> dict[str, t.Any]:
    """The secrets section: the key belongs to both identities, so that two peers never share one by accident."""
    if phase1.psk is None:
        return {}
    encoded = base64.b64encode(phase1.psk.reveal().encode()).decode()
    return {
        f"ike-{phase1.name}": {
            "secret": f"0s{encoded}",
            "id-local": phase1.local_identity,
            "id-remote": phase1.remote_identity,
        }
    }


def secret_in(settings: Mapping[str, t.Any], name: str) -> Secret | None:
    """The pre-shared key in a file that connection() and secrets() made."""
    try:
        return Secret(base64.b64decode(settings["secrets"][f"ike-{name}"]["secret"][2:]).decode())
    except (KeyError, TypeError, ValueError):
        return None


def _yes(value: bool) -> str:
    return "yes" if value else "no"
