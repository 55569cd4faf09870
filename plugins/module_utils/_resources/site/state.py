# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A whole gateway: what is declared, what is realized on the host, and what others have put beside it."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ..._core.secret import Secret
from ..._core.system import File
from ..._formats import settings
from .. import declared
from ..assignment.state import Assignment
from ..default_gateway.state import DefaultGateway
from ..filter_mode.state import FilterMode, Kernel
from ..gateway.state import Gateway, Resolved
from ..gateway.ways import Ways
from ..gateway_group.state import GatewayGroup
from ..monitor.state import LIBRARY, Service, Status
from ..phase1.state import Phase1
from ..phase2.state import Phase2
from ..policy_route.linux import Policy
from ..policy_route.state import PolicyRoute
from ..static_route.state import StaticRoute

if t.TYPE_CHECKING:
    import ipaddress
    from collections.abc import Mapping

    from ..firewall.freebsd import Firewall
    from ..interface.state import Interface
    from ..static_route.state import NextHop
    from ..swanctl.state import Configured, Loaded
    from .platform import Platform

    Network = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


KINDS: dict[str, type[t.Any]] = {
    "phase1": Phase1,
    "phase2": Phase2,
    "assignments": Assignment,
    "gateways": Gateway,
    "gateway_groups": GatewayGroup,
    "static_routes": StaticRoute,
    "policy_routes": PolicyRoute,
}
"""The kinds of declared objects, named as vti_site's options and as the store's directories."""

SINGLE: dict[str, type[t.Any]] = {"filter_mode": FilterMode, "default_gateway": DefaultGateway}
"""What a gateway has one of, named as vti_site's options and as the store's files."""

Key = t.Tuple[str, str]
"""Kind and name of a declared object."""

PARTS = ("files", "interfaces", "routes", "connections")
"""The fields of Realized that hold parts by name."""

Part = t.Tuple[str, str]
"""A field of Realized and a name in it."""


@dataclasses.dataclass(frozen=True)
class Declared:
    """What was asked for, object by object; the store on the host holds it between runs."""

    phase1: Mapping[str, Phase1] = dataclasses.field(default_factory=dict)
    phase2: Mapping[str, Phase2] = dataclasses.field(default_factory=dict)
    assignments: Mapping[str, Assignment] = dataclasses.field(default_factory=dict)
    gateways: Mapping[str, Gateway] = dataclasses.field(default_factory=dict)
    gateway_groups: Mapping[str, GatewayGroup] = dataclasses.field(default_factory=dict)
    static_routes: Mapping[str, StaticRoute] = dataclasses.field(default_factory=dict)
    policy_routes: Mapping[str, PolicyRoute] = dataclasses.field(default_factory=dict)
    filter_mode: FilterMode | None = None
    default_gateway: DefaultGateway | None = None

    def automatic(self) -> dict[str, Resolved]:
        """The gateways of the assigned VTIs, by name, with what is declared about how to watch them."""
        return self._automatic

    @functools.cached_property
    def _automatic(self) -> dict[str, Resolved]:
        members: dict[str, list[Phase2]] = {}
        for phase2 in self.phase2.values():
            members.setdefault(phase2.interface, []).append(phase2)
        return {
            name: Resolved(
                self.gateways.get(name) or Gateway(name),
                assignment.interface,
                phase2.remote,
                str(phase2.local.ip),
                vti=True,
            )
            for assignment in self.assignments.values()
            for name, phase2 in assignment.gateways(members.get(assignment.interface, ())).items()
        }

    def ways(self, status: Status) -> Ways:
        """Every gateway that can be used, and the groups of them."""
        found = {name: gateway for name, gateway in self.automatic().items() if gateway.settings.enabled}
        for name, gateway in self.gateways.items():
            if gateway.interface is not None and gateway.enabled:
                found.setdefault(name, Resolved(gateway, gateway.interface, gateway.address or ""))
        return Ways(found, self.gateway_groups, status)

    def with_object(self, kind: str, name: str, value: t.Any | None) -> Declared:
        """The same with one object replaced, added, or (None) taken away."""
        objects = {key: item for key, item in getattr(self, kind).items() if key != name or value is not None}
        if value is not None:
            objects[name] = value
        return dataclasses.replace(self, **t.cast("dict[str, t.Any]", {kind: objects}))


@dataclasses.dataclass(frozen=True)
class Realized:
    """What makes the declared objects real. Interfaces, routes and connections of others are here too, untouched.

    files: our files by path, and sysctl.conf(5). interfaces: ipsecX by name. routes: next hops by network.
    connections: what charon has loaded. journal: what an interrupted run was about to change.
    kernel: sysctls and enc0 (FreeBSD). boot_unit: our unit is enabled (Linux). firewall: pf (FreeBSD).
    policy: nftables, rules and their tables (Linux). monitor: the gateway monitor's service.
    """

    files: Mapping[str, File]
    interfaces: Mapping[str, Interface]
    routes: Mapping[str, tuple[NextHop, ...]]
    connections: Mapping[str, Loaded]
    journal: frozenset[Part] = frozenset()
    kernel: Kernel | None = None
    boot_unit: bool = False
    firewall: Firewall | None = None
    policy: Policy = dataclasses.field(default_factory=Policy)
    monitor: Service = dataclasses.field(default_factory=Service)

    def only(self, owned: frozenset[Part]) -> Realized:
        """The same without what is not ours to change."""
        parts: dict[str, t.Any] = {
            part: {name: value for name, value in getattr(self, part).items() if (part, name) in owned}
            for part in PARTS
        }
        return dataclasses.replace(self, **parts)


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the host is like besides what is ours; read only.

    networks: connected networks by interface. configured: all of swanctl.conf.
    charon_down: why charon cannot be asked. sas: IKE SAs. foreign: files of a person at paths that are ours.
    addresses: the host's own by interface.
    modules_loaded: the kernel has ipsec and if_enc (FreeBSD). loaded_tunnels: charon's children in tunnel mode, by
    connection. automatic: for each family whose default route nothing pins, why not. learned: next hops of
    default routes that one of ours would take the place of. status: what the gateway monitor
    says. prober: a program that the monitor can use is installed.
    """

    networks: Mapping[str, tuple[Network, ...]]
    configured: Configured
    charon_down: str | None
    sas: tuple[dict[str, t.Any], ...]
    foreign: frozenset[str]
    modules_loaded: bool = True
    loaded_tunnels: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    automatic: Mapping[int, str] = dataclasses.field(default_factory=dict)
    learned: Mapping[int, str] = dataclasses.field(default_factory=dict)
    addresses: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    status: Status = dataclasses.field(default_factory=Status)
    prober: bool = True


@dataclasses.dataclass(frozen=True)
class Host:
    """A gateway at one moment, or as it should be.

    establish_timeout: seconds to insist on tunnels, 0 for not. focus: the objects a module is about, None for all.
    owned: what on the host is ours to change. former_policy: pf's rules for policy routes as they were, to go back to.
    """

    platform: Platform
    declared: Declared
    realized: Realized
    facts: Facts
    establish_timeout: int = 0
    focus: frozenset[Key] | None = None
    owned: frozenset[Part] = frozenset()
    former_policy: tuple[str, ...] = ()

    def owning(self, other: Host) -> Host:
        """The same, as far as ``other`` is ours to change: the state to go back to when reaching that has failed."""
        realized = self.realized
        if realized.firewall is not None:
            firewall = dataclasses.replace(realized.firewall, policy_lines=other.former_policy)
            realized = dataclasses.replace(realized, firewall=firewall)
        return dataclasses.replace(self, realized=realized, owned=other.owned)

    def describe(self, other: Host) -> dict[str, t.Any]:
        """What differs from ``other``: declared objects, and what realizes them. What is equal costs nothing."""
        mine, theirs = self.realized, other.realized
        found: dict[str, t.Any] = {
            kind: {name: declared.describe(value) for name, value in _differing(self.declared, other.declared, kind)}
            for kind in KINDS
        }
        for kind in SINGLE:
            value = getattr(self.declared, kind)
            if value is not None and value != getattr(other.declared, kind):
                found[kind] = value.describe()
        for part in ("interfaces", "connections"):
            found[part] = {name: value.describe() for name, value in _differing(mine, theirs, part)}
        found["routes"] = {
            name: [str(hop) for hop in hops] for name, hops in _differing(mine, theirs, "routes") if hops
        }
        for part in ("kernel", "firewall", "policy", "monitor"):
            value = getattr(mine, part)
            if value is not None and value != getattr(theirs, part):
                found[part] = value.describe()
        found["files"] = {path: _text(path, file) for path, file in _differing(mine, theirs, "files")}
        return {part: value for part, value in found.items() if value}


def _differing(mine: t.Any, theirs: t.Any, part: str) -> list[tuple[str, t.Any]]:
    other = getattr(theirs, part)
    return [(name, value) for name, value in getattr(mine, part).items() if other.get(name) != value]


def _text(path: str, file: File) -> t.Any:
    """A file's lines; in one that holds secrets, the settings with those hidden; of the monitor's program its size."""
    if path.startswith(f"{LIBRARY}/"):
        return {"mode": oct(file.mode or 0), "lines": len(file.content.splitlines())}
    if not path.endswith(".conf") or "secrets" not in file.content:
        return {"mode": oct(file.mode or 0), "lines": file.content.splitlines()}
    return {"mode": oct(file.mode or 0), "settings": _hidden(settings.parse(file.content))}


def _hidden(section: Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {
        key: _hidden(value) if isinstance(value, dict) else Secret(value) if key == "secret" else value
        for key, value in section.items()
    }
