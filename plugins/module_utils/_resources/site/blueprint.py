# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Works out what makes declared objects real: files, interfaces, routes, loaded connections. Pure."""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

from ..._core.system import File
from ..._formats import block, settings, sysctl
from ..._formats.addresses import DEFAULTS
from ..._monitor import plan
from .. import declared as options
from ..default_gateway.state import NONE
from ..filter_mode import freebsd as filter_mode_freebsd
from ..firewall import freebsd as firewall
from ..gateway.state import is_link_local
from ..gateway.ways import Ways
from ..interface.state import Interface
from ..monitor import state as monitor
from ..phase1 import state as phase1_state
from ..phase2 import state as phase2_state
from ..policy_route import freebsd as policy_freebsd
from ..policy_route import linux as policy_linux
from ..policy_route.state import in_order
from ..static_route.state import NextHop, StaticRoute, next_hop, target
from ..swanctl.state import Loaded
from .observe import connection_path, single_path, store_path
from .platform import HEADER, FreeBSD
from .state import KINDS, SINGLE

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..filter_mode.state import Kernel
    from ..gateway.state import Resolved
    from ..phase1.state import Phase1
    from ..phase2.state import Phase2
    from ..policy_route.state import PolicyRoute
    from .platform import Linux, Platform
    from .state import Declared, Facts, Host, Key, Realized

_VERSIONS = {0: "IKEv1/2", 1: "IKEv1", 2: "IKEv2"}
"""As swanctl --list-conns prints them (strongSwan: keymat's and vici_query.c's names)."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A file that is yet to be made. Of what was declared before, names and equality are all that is asked."""

    make: t.Callable[..., File]
    sources: tuple[t.Any, ...]

    def file(self) -> File:
        return self.make(*self.sources)


@dataclasses.dataclass
class Blueprint:
    """The parts of Realized that declared objects ask for; ``owners`` says of each part which objects those are."""

    files: dict[str, File | Recipe] = dataclasses.field(default_factory=dict)
    interfaces: dict[str, Interface] = dataclasses.field(default_factory=dict)
    routes: dict[str, tuple[NextHop, ...]] = dataclasses.field(default_factory=dict)
    connections: dict[str, Loaded] = dataclasses.field(default_factory=dict)
    kernel: Kernel | None = None
    firewall: bool = False
    policy_lines: tuple[str, ...] = ()
    policy: policy_linux.Policy = dataclasses.field(default_factory=policy_linux.Policy)
    monitor: bool = False
    actions: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    keep: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    owners: dict[tuple[str, str], set[Key]] = dataclasses.field(default_factory=dict)

    def add(self, part: str, name: str, value: t.Any, owners: Iterable[Key]) -> None:
        getattr(self, part)[name] = value
        self.owners.setdefault((part, name), set()).update(owners)


def draw(declared: Declared, platform: Platform, seen: Realized, facts: Facts) -> Blueprint:
    """``seen`` gives what a file of a person holds besides our block, ``facts`` which gateways are up."""
    blueprint = Blueprint()
    ways = declared.ways(facts.status)
    for kind in KINDS:
        for name, value in getattr(declared, kind).items():
            blueprint.add("files", store_path(platform, kind, name), Recipe(_store_file, (value,)), [(kind, name)])
    for kind in SINGLE:
        value = getattr(declared, kind)
        if value is not None:
            blueprint.add("files", single_path(platform, kind), Recipe(_store_file, (value,)), [(kind, "")])
    _connections(blueprint, declared, platform)
    _interfaces(blueprint, declared, platform)
    _routes(blueprint, declared, platform, ways)
    _default_routes(blueprint, declared, platform, ways)
    _policy(blueprint, declared, platform, ways, facts)
    _monitor(blueprint, declared, platform, ways)
    if blueprint.interfaces or blueprint.routes or blueprint.policy.nft:
        owners = _all(declared)
        for path, file in platform.common_files(_active(declared)).items():
            blueprint.add("files", path, file, owners)
    if isinstance(platform, FreeBSD):
        if declared.filter_mode:
            _filter_mode(blueprint, declared, platform, seen)
        _firewall(blueprint, declared, seen)
    return blueprint


def _store_file(value: t.Any) -> File:
    return File(options.dump(value), 0o600)


def _all(declared: Declared) -> list[Key]:
    return [*((kind, "") for kind in SINGLE), *((kind, name) for kind in KINDS for name in getattr(declared, kind))]


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
        recipe = Recipe(_connection_file, (phase1, mine, platform))
        blueprint.add("files", connection_path(platform, name), recipe, owners)
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


def _routes(blueprint: Blueprint, declared: Declared, platform: Platform, ways: Ways) -> None:
    # The VTI that a route leads through is told by its transit network.
    vtis = {phase2.remote: phase2.interface for phase2 in declared.phase2.values()}
    for route, owner in _all_routes(declared, ways):
        hop, first = next_hop(route, ways), next_hop(route, ways, boot=True)
        tied_to = first.interface or vtis.get(first.gateway)
        named = target(route, ways)
        if tied_to is not None and tied_to not in blueprint.interfaces and tied_to.startswith("ipsec"):
            continue  # its tunnel is disabled: the route comes back with it
        owners = [owner, *_owners_of(declared, ways, named)]
        blueprint.add("routes", route.network, (hop,), owners)
        blueprint.add("files", *platform.route_file(route, first, tied_to), owners)
        if named is not None and named in ways.groups:
            _move(blueprint, platform, ways, named, route.network)


def _all_routes(declared: Declared, ways: Ways) -> Iterator[tuple[StaticRoute, Key]]:
    """The declared routes that are enabled, and those to addresses that are probed instead of a gateway's own."""
    for name, route in declared.static_routes.items():
        if route.enabled:
            yield route, ("static_routes", name)
    for gateway in _watched(declared, ways):
        probed = gateway.monitor
        if probed and probed != gateway.address and gateway.settings.monitor_route:
            network = f"{probed}/{128 if ':' in probed else 32}"
            yield StaticRoute(f"_monitor_{gateway.name}", network, gateway.name), ("gateways", gateway.name)


def _owners_of(declared: Declared, ways: Ways, named: str | None) -> list[Key]:
    """The objects that decide where a target leads."""
    if named is None:
        return []
    members = ways.groups[named].gateways if named in ways.groups else (named,)
    group = [("gateway_groups", named)] if named in ways.groups else []
    return [*group, *(("gateways", name) for name in members if name in declared.gateways)]


def _move(blueprint: Blueprint, platform: Platform, ways: Ways, group: str, network: str) -> None:
    """Have the monitor lead a route through the gateway of its choice."""
    hops = {gateway.name: NextHop(gateway.hop) for gateway in ways.members("gateway", group)}
    blueprint.actions.append({"kind": "route", "target": group, **platform.moving_route(network, hops)})


def _default_routes(blueprint: Blueprint, declared: Declared, platform: Platform, ways: Ways) -> None:
    """What is declared of them; a gateway without an address leaves the default route to DHCP or the routers."""
    chosen = declared.default_gateway
    hops: dict[int, NextHop | None] = {}
    owners: list[Key] = [("default_gateway", "")]
    for version, network in DEFAULTS.items():
        named = chosen.of(version) if chosen else None
        if named is None or (named in ways.gateways and not ways.gateways[named].address):
            continue
        owners.extend(_owners_of(declared, ways, named if named != NONE else None))
        if named == NONE:
            blueprint.add("routes", network, (), owners)
            hops[version] = None
            continue
        ways.members("default_gateway", named)
        blueprint.add("routes", network, (NextHop(ways.chosen(named).hop),), owners)
        hops[version] = NextHop(ways.preferred(named).hop)
        if named in ways.groups:
            _move(blueprint, platform, ways, named, network)
    if hops:
        blueprint.add("files", *platform.default_file(hops), owners)


def _policy(blueprint: Blueprint, declared: Declared, platform: Platform, ways: Ways, facts: Facts) -> None:
    routes = in_order(declared.policy_routes.values())
    members = {route.gateway: ways.members("gateway", route.gateway) for route in routes}
    if isinstance(platform, FreeBSD):
        if routes:
            _policy_freebsd(blueprint, declared, routes, members, ways, facts)
        return
    clamps = {item.interface: item.mss for item in declared.assignments.values() if item.mss and item.enabled}
    masquerade = [item.interface for item in declared.assignments.values() if item.outbound_nat and item.enabled]
    if routes or clamps or masquerade:
        families = {route.name: members[route.gateway][0].family for route in routes}
        text = policy_linux.ruleset(routes, families, clamps, masquerade)
        _policy_linux(blueprint, declared, t.cast("Linux", platform), routes, members, ways, text)


def _policy_freebsd(
    blueprint: Blueprint,
    declared: Declared,
    routes: list[PolicyRoute],
    members: dict[str, tuple[Resolved, ...]],
    ways: Ways,
    facts: Facts,
) -> None:
    entries = policy_freebsd.entries(routes, members, _own_addresses(blueprint, facts))
    weights = {gateway.name: gateway.settings.weight for items in members.values() for gateway in items}
    first = plan.anchor_lines(entries, weights, {target: ways.everything_up(target) for target in members})
    text = "".join(f"{line}\n" for line in first)
    blueprint.add("files", firewall.POLICY_RULES, File(HEADER + text), _all(declared))
    selections = {target: ways.selected(target) for target in members}
    blueprint.policy_lines = tuple(plan.anchor_lines(entries, weights, selections))
    blueprint.actions.append({"kind": "anchor", "anchor": firewall.POLICY_ANCHOR, "entries": entries})
    # Reloading pf.conf has the anchor loaded from its file, as with all gateways up.
    blueprint.keep.append({"probe": ["pfctl", "-a", firewall.POLICY_ANCHOR, "-sr"], "repair": None})


def _own_addresses(blueprint: Blueprint, facts: Facts) -> list[str]:
    """Where the host itself can be reached, VTIs being as they should be."""
    mine = {address.address for interface in blueprint.interfaces.values() for address in interface.addresses}
    for name, addresses in facts.addresses.items():
        if not name.startswith("ipsec"):
            mine.update(addresses)
    return sorted(item for item in mine if not (is_link_local(item) or ipaddress.ip_address(item).is_loopback))


def _policy_linux(
    blueprint: Blueprint,
    declared: Declared,
    platform: Linux,
    routes: list[PolicyRoute],
    members: dict[str, tuple[Resolved, ...]],
    ways: Ways,
    text: str,
) -> None:
    weights = {gateway.name: gateway.settings.weight for items in members.values() for gateway in items}
    now: dict[tuple[int, str, str], str] = {}
    first: dict[tuple[int, str, str], str] = {}
    rules = set()
    for table, route in {t.cast("int", route.table): route for route in routes}.items():
        gateways = members[route.gateway]
        network = DEFAULTS[gateways[0].family]
        action = {
            "kind": "table",
            "target": route.gateway,
            "table": table,
            "network": network,
            "hops": policy_linux.hops(gateways),
            "on_down": "follow" if route.reply_to else route.on_down,
        }
        blueprint.actions.append(action)
        now[(table, network, "")] = plan.table_line(action, weights, ways.selected(route.gateway))
        first[(table, network, "")] = plan.table_line(action, weights, ways.everything_up(route.gateway))
        if action["on_down"] == "block":
            key, line = policy_linux.backstop(table, network)
            now[key] = first[key] = line
        rules.add((str(gateways[0].family), table))
    # Restarting nftables.service flushes all tables, ours included: packets would go unmarked, and leak.
    probe = ["nft", "list", "table", "inet", policy_linux.NFT_TABLE]
    blueprint.keep.append({"probe": probe, "repair": ["nft", "-f", platform.nft]})
    nft = policy_linux.fingerprint(text)
    blueprint.policy = policy_linux.Policy(now, frozenset(rules), nft)
    boot = policy_linux.Policy(first, frozenset(rules), nft)
    for path, file in platform.policy_files(boot, text).items():
        blueprint.add("files", path, file, _all(declared))


def _watched(declared: Declared, ways: Ways) -> list[Resolved]:
    """The gateways that the monitor knows: those declared, and those that a group or a policy route uses."""
    used = {route.gateway for route in declared.policy_routes.values() if route.enabled}
    used.update(declared.gateways, *(group.gateways for group in ways.groups.values()))
    return [gateway for name, gateway in ways.gateways.items() if name in used]


def _monitor(blueprint: Blueprint, declared: Declared, platform: Platform, ways: Ways) -> None:
    gateways = _watched(declared, ways)
    if not any(gateway.monitor for gateway in gateways):
        return
    owners = _all(declared)
    text = monitor.config(platform.store, gateways, ways.groups.values(), blueprint.actions, blueprint.keep)
    blueprint.add("files", f"{platform.store}/monitor.conf", File(text, 0o644), owners)
    for path, file in platform.monitor_files().items():
        blueprint.add("files", path, file, owners)
    blueprint.monitor = True


def _filter_mode(blueprint: Blueprint, declared: Declared, platform: FreeBSD, seen: Realized) -> None:
    mode = declared.filter_mode
    if mode is None or seen.kernel is None:
        return
    owner = [("filter_mode", "")]
    blueprint.kernel = filter_mode_freebsd.wanted(mode, seen.kernel)
    blueprint.add("files", platform.loader, File(HEADER + filter_mode_freebsd.LOADER), owner)
    if mode.mode == "enc":
        text = HEADER + filter_mode_freebsd.boot_interface()
        blueprint.add("files", f"{platform.rc_conf_d}/netif/routed_ipsec_enc0", File(text), owner)
    present = seen.files.get(platform.sysctl_conf, File("", 0o644))
    block = File(sysctl.with_block(present.content, mode.sysctls), present.mode)
    blueprint.add("files", platform.sysctl_conf, block, owner)


def _firewall(blueprint: Blueprint, declared: Declared, seen: Realized) -> None:
    mode = declared.filter_mode
    owners = _all(declared)
    assigned = {item.interface: item for item in declared.assignments.values() if item.enabled}
    clamps = {name: item.mss for name, item in assigned.items() if item.mss and name in blueprint.interfaces}
    translated = [name for name, item in assigned.items() if item.outbound_nat and name in blueprint.interfaces]
    peers = [phase1 for phase1 in declared.phase1.values() if phase1.enabled and phase1.firewall_rules]
    lines = [*(["# outbound NAT", *firewall.translation(translated)] if translated else [])]
    lines.extend(line for phase1 in peers for line in (f"# phase 1 {phase1.name}", *firewall.outer(phase1)))
    if mode and mode.inner_rules:
        lines.extend(("# inside the tunnels", *firewall.inner(mode.mode, blueprint.interfaces)))
    present = seen.files.get(firewall.PF_CONF)
    managed = mode is not None and mode.manage_pf_conf and present is not None
    # What pf.conf reads has to be there, were it empty: else pf would load nothing at all.
    texts = [
        (firewall.RULES, firewall.LOAD, lines, managed),
        (firewall.SCRUB, firewall.INCLUDE, list(firewall.clamps(clamps)), False),
        (firewall.POLICY_RULES, firewall.LOAD_POLICY, [], False),
    ]
    for path, line, content, read in texts:
        read = read or firewall.refers(present.content if present else None, line)
        if (content or read) and path not in blueprint.files:
            text = "".join(f"{item}\n" for item in content)
            blueprint.add("files", path, File(HEADER + text), owners)
    blueprint.firewall = bool(lines)
    if managed and present:
        made = {path: file for path, file in blueprint.files.items() if isinstance(file, File)}
        text = firewall.with_lines(present.content, needs(made))
        blueprint.add("files", firewall.PF_CONF, File(text, present.mode), owners)


def needs(files: t.Mapping[str, File]) -> firewall.Needs:
    """What our files for pf ask of pf.conf."""
    content = {path: files[path].content[len(HEADER) :] if path in files else "" for path in firewall.FILES}
    return firewall.Needs(
        scrub=bool(content[firewall.SCRUB]),
        nat=firewall.has_nat(content[firewall.RULES]),
        policy=bool(content[firewall.POLICY_RULES]),
    )


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
            bare = block.bare(files[path].content, path)
            if bare or not mode or f"{MISSING}{path}" not in mode.previous:
                found[path] = File(bare, files[path].mode)
    return found
