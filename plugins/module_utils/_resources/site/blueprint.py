# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Works out what makes declared objects real: files, interfaces, routes, loaded connections. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ..._core.system import File
from ..._formats import block, settings, sysctl
from .. import declared as options
from ..filter_mode import freebsd as filter_mode_freebsd
from ..firewall import freebsd as firewall
from ..interface.state import Interface
from ..phase1 import state as phase1_state
from ..phase2 import state as phase2_state
from ..static_route.state import next_hop
from ..swanctl.state import Loaded
from .observe import connection_path, filter_mode_path, store_path
from .platform import HEADER, FreeBSD
from .state import KINDS

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..filter_mode.state import Kernel
    from ..phase1.state import Phase1
    from ..phase2.state import Phase2
    from ..static_route.state import NextHop
    from .platform import Platform
    from .state import Declared, Host, Key, Realized

_VERSIONS = {0: "IKEv1/2", 1: "IKEv1", 2: "IKEv2"}
"""As swanctl --list-conns prints them (strongSwan: keymat's and vici_query.c's names)."""


@dataclasses.dataclass
class Blueprint:
    """The parts of Realized that declared objects ask for; ``owners`` says of each part which objects those are."""

    files: dict[str, File] = dataclasses.field(default_factory=dict)
    interfaces: dict[str, Interface] = dataclasses.field(default_factory=dict)
    routes: dict[str, tuple[NextHop, ...]] = dataclasses.field(default_factory=dict)
    connections: dict[str, Loaded] = dataclasses.field(default_factory=dict)
    kernel: Kernel | None = None
    firewall: bool = False
    owners: dict[tuple[str, str], set[Key]] = dataclasses.field(default_factory=dict)

    def add(self, part: str, name: str, value: t.Any, owners: Iterable[Key]) -> None:
        getattr(self, part)[name] = value
        self.owners.setdefault((part, name), set()).update(owners)


def draw(declared: Declared, platform: Platform, seen: Realized) -> Blueprint:
    """``seen`` gives what a file of a person holds besides our block."""
    blueprint = Blueprint()
    for kind in KINDS:
        for name, value in getattr(declared, kind).items():
            blueprint.add("files", store_path(platform, kind, name), File(options.dump(value), 0o600), [(kind, name)])
    _connections(blueprint, declared, platform)
    _interfaces(blueprint, declared, platform)
    _routes(blueprint, declared, platform)
    if blueprint.interfaces or blueprint.routes:
        owners = [(kind, name) for kind in KINDS for name in getattr(declared, kind)]
        for path, file in platform.common_files(_active(declared)).items():
            blueprint.add("files", path, file, owners)
    if isinstance(platform, FreeBSD):
        if declared.filter_mode:
            _filter_mode(blueprint, declared, platform, seen)
        _firewall(blueprint, declared, seen)
    return blueprint


def _active(declared: Declared) -> list[Phase2]:
    """The phase 2 that are enabled, and whose phase 1 is."""
    return [phase2 for phase2 in declared.phase2.values() if phase2.enabled and declared.phase1[phase2.phase1].enabled]


def _connections(blueprint: Blueprint, declared: Declared, platform: Platform) -> None:
    members: dict[str, list[Phase2]] = {}
    for phase2 in _active(declared):
        members.setdefault(phase2.phase1, []).append(phase2)
    for name, phase1 in declared.phase1.items():
        mine = members.get(name, [])
        owners = [("phase1", name), *(("phase2", phase2.name) for phase2 in mine)]
        blueprint.add("files", connection_path(platform, name), _connection_file(phase1, mine, platform), owners)
        if phase1.enabled:
            blueprint.add("connections", name, _expected(phase1, mine), owners)


def _connection_file(phase1: Phase1, members: list[Phase2], platform: Platform) -> File:
    """A disabled phase 1 keeps its secret here, for the day when it is enabled again."""
    sections: dict[str, t.Any] = {}
    if phase1.enabled:
        children = {
            phase2_state.child_name(phase1, phase2): phase2_state.child(phase1, phase2, platform.child_keys(phase2))
            for phase2 in members
        }
        sections["connections"] = {phase1.name: phase1_state.connection(phase1, children)}
    secrets = phase1_state.secrets(phase1)
    if secrets:
        sections["secrets"] = secrets
    return File(HEADER + settings.render(sections), 0o600)


def _expected(phase1: Phase1, members: list[Phase2]) -> Loaded:
    return Loaded(
        phase1.local_addrs,
        phase1.remote_addrs,
        _VERSIONS[phase1.version],
        {
            phase2_state.child_name(phase1, phase2): (
                phase2_state.selectors(phase1, phase2, "local_ts"),
                phase2_state.selectors(phase1, phase2, "remote_ts"),
            )
            for phase2 in members
        },
    )


def _interfaces(blueprint: Blueprint, declared: Declared, platform: Platform) -> None:
    assigned = {assignment.interface: assignment for assignment in declared.assignments.values()}
    members: dict[str, list[Phase2]] = {}
    for phase2 in _active(declared):
        members.setdefault(phase2.interface, []).append(phase2)
    for name, phase2s in members.items():
        first, assignment = phase2s[0], assigned.get(name)
        phase1 = declared.phase1[first.phase1]
        up = assignment.enabled if assignment else True
        endpoints = (
            None if first.dynamic_endpoints or not (phase1.local and phase1.remote) else (phase1.local, phase1.remote)
        )
        interface = Interface(
            reqid=first.reqid,
            tunnel=platform.tunnel(*endpoints) if endpoints and up else None,
            # Without addresses when disabled: FreeBSD would bring the interface up with the first one.
            addresses=tuple(sorted(platform.address(phase2) for phase2 in phase2s)) if up else (),
            mtu=assignment.mtu if assignment and assignment.mtu else first.mtu,
            description=assignment.name if assignment else "",
            up=up,
            dynamic=first.dynamic_endpoints,
        )
        owners = [("phase1", phase1.name), *(("phase2", phase2.name) for phase2 in phase2s)]
        if assignment:
            owners.append(("assignments", assignment.name))
        blueprint.add("interfaces", name, interface, owners)
        blueprint.add("files", *platform.interface_file(name, interface), owners)


def _routes(blueprint: Blueprint, declared: Declared, platform: Platform) -> None:
    gateways = declared.gateways()
    # The VTI that a route leads through is told by its transit network.
    vtis = {phase2.remote: phase2.interface for phase2 in declared.phase2.values()}
    for name, route in declared.static_routes.items():
        if not route.enabled:
            continue
        hop = next_hop(route, gateways)
        tied_to = hop.interface or vtis.get(hop.gateway)
        if tied_to is not None and tied_to not in blueprint.interfaces and tied_to.startswith("ipsec"):
            continue  # its tunnel is disabled: the route comes back with it
        blueprint.add("routes", route.network, (hop,), [("static_routes", name)])
        blueprint.add("files", *platform.route_file(route, hop, tied_to), [("static_routes", name)])


def _filter_mode(blueprint: Blueprint, declared: Declared, platform: FreeBSD, seen: Realized) -> None:
    mode = declared.filter_mode
    if mode is None or seen.kernel is None:
        return
    owner = [("filter_mode", "")]
    blueprint.kernel = filter_mode_freebsd.wanted(mode, seen.kernel)
    blueprint.add("files", filter_mode_path(platform), File(options.dump(mode), 0o600), owner)
    blueprint.add("files", platform.loader, File(HEADER + filter_mode_freebsd.LOADER), owner)
    if mode.mode == "enc":
        text = HEADER + filter_mode_freebsd.boot_interface()
        blueprint.add("files", f"{platform.rc_conf_d}/netif/routed_ipsec_enc0", File(text), owner)
    present = seen.files.get(platform.sysctl_conf, File("", 0o644))
    block = File(sysctl.with_block(present.content, mode.sysctls), present.mode)
    blueprint.add("files", platform.sysctl_conf, block, owner)


def _firewall(blueprint: Blueprint, declared: Declared, seen: Realized) -> None:
    mode = declared.filter_mode
    peers = [phase1 for phase1 in declared.phase1.values() if phase1.enabled and phase1.firewall_rules]
    lines = [line for phase1 in peers for line in (f"# phase 1 {phase1.name}", *firewall.outer(phase1))]
    if mode and mode.inner_rules:
        lines.extend(("# inside the tunnels", *firewall.inner(mode.mode, blueprint.interfaces)))
    present = seen.files.get(firewall.PF_CONF)
    if lines or firewall.refers(present.content if present else None):
        owners = [("filter_mode", ""), *((kind, name) for kind in KINDS for name in getattr(declared, kind))]
        text = "".join(f"{line}\n" for line in lines)
        blueprint.add("files", firewall.RULES, File(HEADER + text), owners)
        blueprint.firewall = bool(lines)
    if mode and mode.manage_pf_conf and present:
        text = firewall.with_lines(present.content, wanted=True)
        blueprint.add("files", firewall.PF_CONF, File(text, present.mode), [("filter_mode", "")])


MISSING = "missing="
"""Marks the files of a person, among what a filter mode remembers, that are there only because of our block."""


def missing_block_files(host: Host) -> tuple[str, ...]:
    path = getattr(host.platform, "sysctl_conf", None)
    return (f"{MISSING}{path}",) if path and path not in host.realized.files else ()


def without_block(host: Host) -> dict[str, File]:
    """Files of a person with our block taken out, but for those that were not there before."""
    mode, files = host.declared.filter_mode, host.realized.files
    found = {}
    for path in host.platform.persons:
        if path in files:
            bare = block.write(files[path].content, None, path)
            if bare or not mode or f"{MISSING}{path}" not in mode.previous:
                found[path] = File(bare, files[path].mode)
    return found
