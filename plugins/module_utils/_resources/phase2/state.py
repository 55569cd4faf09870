# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Phase 2 in mode VTI: a CHILD SA configuration and its share of an ipsecX interface."""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

from ..._core.errors import InvalidOption
from ..._formats import overhead, proposals
from .. import declared

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..phase1.state import Phase1

_CHILD_ARGUMENTS: dict[str, t.Any] = {
    "esp_proposals": {"type": "list", "elements": "str"},
    "life_time": {"type": "int"},
    "rekey_time": {"type": "int", "no_log": False},
    "rand_time": {"type": "int"},
    "life_bytes": {"type": "int"},
    "rekey_bytes": {"type": "int", "no_log": False},
    "start_action": {"type": "str", "choices": ["start", "trap", "trap|start", "none"]},
    "close_action": {"type": "str", "choices": ["none", "trap", "start"]},
    "dpd_action": {"type": "str", "choices": ["restart", "trap", "clear"]},
    "local_ts": {"type": "list", "elements": "str"},
    "remote_ts": {"type": "list", "elements": "str"},
    "mtu": {"type": "int"},
    "dynamic_endpoints": {"type": "bool"},
}
ARGUMENTS: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "phase1": {"type": "str"},
    "description": {"type": "str"},
    "enabled": {"type": "bool", "default": True},
    "local_address": {"type": "str"},
    "remote_address": {"type": "str"},
    "reqid": {"type": "int"},
    "unit": {"type": "int"},
    **_CHILD_ARGUMENTS,
}
"""The options of ipsec_vti_phase2, and of each item of vti_site's phase2."""

REQUIRED = ("phase1", "local_address", "remote_address")
"""Required of a phase 2 that should be present."""

SHARED = tuple(_CHILD_ARGUMENTS)
"""Options of the CHILD SA and its interface: equal for all phase 2 that share them."""

DEFAULTS: dict[str, t.Any] = {
    "esp_proposals": ("aes128gcm128-modp2048", "aes128-sha256-modp2048"),
    "life_time": 3600,
    "start_action": "start",
    "close_action": "none",
    "dpd_action": "restart",
    "mtu": 1400,
    "dynamic_endpoints": False,
}
MTU = overhead.LIMITS
"""if_ipsec(4) takes no other MTU; the same limits keep both ends of a tunnel equal."""
REQID = (1, 16383)
"""Above begin the reqids that FreeBSD's kernel hands out by itself (sys/netipsec)."""
UNIT = (0, 32767)
REQID_OFFSET = 5000
"""reqid of a tunnel whose number is left to us: this plus the unit, clear of what strongSwan numbers by itself."""


@dataclasses.dataclass(frozen=True)
class Phase2:
    """A phase 2 as declared, its numbers settled; times in seconds."""

    name: str
    phase1: str
    local_address: str
    remote_address: str
    reqid: int
    unit: int
    esp_proposals: tuple[str, ...]
    life_time: int
    start_action: str
    close_action: str
    dpd_action: str
    mtu: int
    dynamic_endpoints: bool
    description: str | None = None
    enabled: bool = True
    rekey_time: int | None = None
    rand_time: int | None = None
    life_bytes: int | None = None
    rekey_bytes: int | None = None
    local_ts: tuple[str, ...] | None = None
    remote_ts: tuple[str, ...] | None = None

    @property
    def interface(self) -> str:
        return f"ipsec{self.unit}"

    @property
    def local(self) -> t.Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]:
        """This end's address with the transit network's prefix."""
        return declared.interface(self.local_address)

    @property
    def remote(self) -> str:
        """The far end's VTI address: what the automatic gateway is."""
        return self.remote_address

    @property
    def family(self) -> int:
        return self.local.version


class Numbers:
    """Which numbers are in use while the phase 2 of a gateway are settled one after the other."""

    def __init__(self, reqids: Iterable[int], units: Iterable[int]) -> None:
        """``reqids`` and ``units`` are taken, by others on the host or by what the host remembers."""
        self._reqids = set(reqids)
        self._units = set(units)
        self._pairs: set[tuple[int, int]] = set()
        self._first: dict[str, Phase2] = {}

    def settle(self, phase2: Phase2) -> None:
        self._reqids.add(phase2.reqid)
        self._units.add(phase2.unit)
        self._pairs.add((phase2.reqid, phase2.unit))
        self._first.setdefault(phase2.phase1, phase2)

    def sibling(self, phase1: Phase1) -> Phase2 | None:
        """A phase 2 whose CHILD SA and interface another one of the same phase 1 shares."""
        return self._first.get(phase1.name) if phase1.shares_child else None

    def choose(self, reqid: int | None, unit: int | None, template: Phase2 | None) -> dict[str, int]:
        """What is given, else the template's, else the lowest free pair."""
        reqid = reqid if reqid is not None else template.reqid if template else None
        unit = unit if unit is not None else template.unit if template else None
        if reqid is None and unit is None:
            free = (n for n in range(1, UNIT[1] + 1) if n not in self._units and n + REQID_OFFSET not in self._reqids)
            unit = next(free)
            reqid = unit + REQID_OFFSET
        elif unit is None:
            unit = next(n for n in range(1, UNIT[1] + 1) if n not in self._units)
        elif reqid is None:
            reqid = next(n for n in range(REQID_OFFSET + 1, REQID[1] + 1) if n not in self._reqids)
        return {"reqid": t.cast("int", reqid), "unit": unit}

    def is_settled(self, phase2: Phase2) -> bool:
        """Whether another phase 2 has its numbers already."""
        return (phase2.reqid, phase2.unit) in self._pairs


def from_options(
    options: Mapping[str, t.Any], *, phase1s: Mapping[str, Phase1], known: Phase2 | None, numbers: Numbers
) -> Phase2:
    """Check the options and settle the numbers; ``known`` is what the host has under this name.

    A number left out is kept from ``known``, else shared with a phase 2 of the same phase 1 where they share the
    interface, else the lowest free one.
    """
    declared.check_name("name", options["name"])
    for option in REQUIRED:
        if not options.get(option):
            raise InvalidOption(f"{option}: required for phase 2 {options['name']}")
    phase1 = phase1s.get(options["phase1"])
    if phase1 is None:
        raise InvalidOption(f"phase1: there is no phase 1 {options['phase1']!r} on this host; make it first")
    sibling = numbers.sibling(phase1)
    fields = declared.pick(Phase2, options)
    fields.update(_addresses(options["local_address"], options["remote_address"]))
    for option in SHARED:
        if fields.get(option) is None:
            fields[option] = getattr(sibling, option) if sibling else DEFAULTS.get(option)
    # Numbers stay for life, unless connections have been split and another phase 2 keeps those that were shared.
    mine = known if known and not numbers.is_settled(known) else None
    fields.update(numbers.choose(options.get("reqid"), options.get("unit"), sibling or mine))
    phase2 = Phase2(**fields)
    _check(phase2, phase1)
    if sibling:
        _check_sharing(phase2, sibling)
    return phase2


def _addresses(local_text: str, remote_text: str) -> dict[str, str]:
    """Canonical addresses; a plain local address means the /30 (IPv6: /64) that it lies in, as in pfSense."""
    local, remote = _interface("local_address", local_text), _interface("remote_address", remote_text)
    if local.version != remote.version:
        raise InvalidOption(f"remote_address: {remote.ip} is not of the family of local_address {local.ip}")
    if "/" not in local_text:
        local = ipaddress.ip_interface(f"{local.ip}/{30 if local.version == 4 else 64}")
    network = local.network
    if "/" in remote_text and remote.network != network:
        raise InvalidOption(f"remote_address: {remote_text} and local_address {local} name different transit networks")
    if remote.ip not in network:
        raise InvalidOption(
            f"remote_address: {remote.ip} is not in the transit network {network} of local_address; correct one of them"
        )
    if remote.ip == local.ip:
        raise InvalidOption(f"remote_address: {remote.ip} is local_address; give the peer's end of the transit network")
    for option, address in (("local_address", local.ip), ("remote_address", remote.ip)):
        edges = {network.network_address, network.broadcast_address}
        if network.version == 4 and network.prefixlen < 31 and address in edges:
            raise InvalidOption(
                f"{option}: {address} is the network or broadcast address of {network}; use an address between them"
            )
        if network.version == 6 and network.prefixlen < 127 and address == network.network_address:
            raise InvalidOption(
                f"{option}: {address} is the subnet-router anycast address of {network}; use another one"
            )
    return {"local_address": str(local), "remote_address": str(remote.ip)}


def _interface(option: str, text: str) -> t.Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]:
    try:
        return declared.interface(text)
    except ValueError:
        raise InvalidOption(f"{option}: {text!r} is no IP address; write it as 10.6.106.1/30") from None


def _check(phase2: Phase2, phase1: Phase1) -> None:
    declared.check_text("description", phase2.description)
    declared.check_range("reqid", phase2.reqid, *REQID)
    declared.check_range("unit", phase2.unit, *UNIT)
    declared.check_range("mtu", phase2.mtu, *MTU)
    for option in ("life_time", "rekey_time", "rand_time", "life_bytes", "rekey_bytes"):
        declared.check_range(option, getattr(phase2, option), 0, 2**63 - 1)
    if phase2.rekey_time is not None and phase2.rekey_time >= phase2.life_time:
        raise InvalidOption(f"life_time: {phase2.life_time} s must be longer than rekey_time ({phase2.rekey_time} s)")
    if not phase2.esp_proposals:
        raise InvalidOption("esp_proposals: give at least one, or leave it out")
    for proposal in phase2.esp_proposals:
        try:
            proposals.check_esp(proposal)
        except ValueError as error:
            raise InvalidOption(f"esp_proposals: {error}") from None
    for option in ("local_ts", "remote_ts"):
        for selector in getattr(phase2, option) or ():
            try:
                ipaddress.ip_network(selector)
            except ValueError as error:
                raise InvalidOption(f"{option}: {error}") from None
    if phase2.dynamic_endpoints:
        return
    for option in ("local_addrs", "remote_addrs"):
        if declared.literal(getattr(phase1, option)[0]) is None or getattr(phase1, option[:-6]) is None:
            raise InvalidOption(
                f"{option}: {getattr(phase1, option)[0]} of phase 1 {phase1.name} is no address that the "
                f"interface of phase 2 "
                f"{phase2.name} could be tied to; give a literal address, or set dynamic_endpoints=true"
            )


def _check_sharing(phase2: Phase2, sibling: Phase2) -> None:
    for option in ("reqid", "unit", *SHARED):
        if getattr(phase2, option) != getattr(sibling, option):
            raise InvalidOption(
                f"{option}: phase 2 {phase2.name} shares the CHILD SA and the interface of phase 2 {sibling.name} "
                f"(phase 1 {phase2.phase1} is IKEv2 without split_connections); leave it out or make it equal"
            )


def child_name(phase1: Phase1, phase2: Phase2) -> str:
    return phase1.name if phase1.shares_child else phase2.name


def selectors(phase1: Phase1, phase2: Phase2, option: str) -> tuple[str, ...]:
    """Any to any: what goes through a VTI is decided by routes.

    With a child for each phase 2 it is any of one family: a responder knows its children apart by nothing but these.
    """
    given: tuple[str, ...] | None = getattr(phase2, option)
    both = ("0.0.0.0/0", "::/0")
    return given or (both if phase1.shares_child else both[:1] if phase2.family == 4 else both[1:])


def child(phase1: Phase1, phase2: Phase2, platform_keys: Mapping[str, str]) -> dict[str, str]:
    """The child's section of swanctl.conf(5); ``platform_keys`` tie it to its interface."""
    rekey = phase2.life_time * 9 // 10 if phase2.rekey_time is None else phase2.rekey_time
    section = {
        "mode": "tunnel",
        **platform_keys,
        "local_ts": ",".join(selectors(phase1, phase2, "local_ts")),
        "remote_ts": ",".join(selectors(phase1, phase2, "remote_ts")),
        "esp_proposals": ",".join(phase2.esp_proposals),
        "life_time": f"{phase2.life_time}s",
        "rekey_time": f"{rekey}s",
        "rand_time": f"{phase2.life_time - rekey if phase2.rand_time is None else phase2.rand_time}s",
        "start_action": phase2.start_action,
        "close_action": phase2.close_action,
        "dpd_action": phase2.dpd_action,
    }
    for option in ("life_bytes", "rekey_bytes"):
        if getattr(phase2, option) is not None:
            section[option] = str(getattr(phase2, option))
    return section
