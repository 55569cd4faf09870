# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Refuses a gateway that could not work, before anything is touched. Pure.

Only what involves an object in focus is refused: an old mistake elsewhere must not keep a person from mending another.
"""

from __future__ import annotations

import ipaddress
import typing as t

from ..._core.errors import InvalidOption, VtiError
from ..._core.steps import WriteFile
from ..._formats.addresses import DEFAULTS, nested
from .. import declared as options
from ..default_gateway.state import FAMILIES, NONE
from ..gateway.state import is_link_local
from ..phase2.state import child_name, selectors
from ..policy_route.state import check_family
from ..static_route.state import next_hop
from ..static_route.state import target as route_target
from .observe import connection_path

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._core.steps import Step
    from ..gateway.state import Gateway, Resolved
    from ..gateway.ways import Ways
    from ..gateway_group.state import GatewayGroup
    from ..phase1.state import Phase1
    from ..phase2.state import Phase2
    from ..static_route.state import NextHop, StaticRoute
    from .state import Declared, Host, Key, Network

    Focus = t.Optional[t.FrozenSet[Key]]


def check(before: Host, after: Declared, focus: Focus) -> None:
    """Raise InvalidOption for the first thing that is wrong; focus None looks at all. Linear in the gateway's size."""
    _references(after)
    for name, phase1 in after.phase1.items():
        if _in_focus(focus, ("phase1", name)):
            _check_phase1(before, phase1)
    _check_peers(after, focus)
    _check_numbers(before, after, focus)
    _check_selectors(after, focus)
    _check_transit(before, after, focus)
    ways = after.ways(before.facts.status)
    _check_gateways(before, after, ways, focus)
    _check_routes(before, after, ways, focus)
    _check_policy_routes(before, after, ways, focus)
    _check_filter_mode(before, after, focus)
    _check_guard(before, after, focus)


def ready(host: Host, steps: tuple[Step, ...]) -> None:
    """Raise VtiError when the host lacks what the steps need."""
    # A broken file of ours is mended by writing it anew.
    mended = {getattr(step, "path", None) for step in steps}
    problems = [text for text in host.facts.configured.problems if text.partition(": ")[0] not in mended]
    if _watches_more(steps) and not host.facts.prober:
        raise VtiError(
            "monitor: neither dpinger nor fping is on this host, so no gateway can be watched; install one of them, "
            "or set monitor_disable=true for each gateway"
        )
    needs_charon = any(getattr(step, "argv", ("",))[0] == "swanctl" for step in steps)
    if needs_charon and host.facts.charon_down:
        raise VtiError(f"charon: {host.facts.charon_down}")
    if needs_charon and problems:
        raise VtiError(problems[0])


def _watches_more(steps: tuple[Step, ...]) -> bool:
    """Whether the gateway monitor has something to do that it had not before."""
    return any(getattr(step, "path", "").endswith("/monitor.conf") and isinstance(step, WriteFile) for step in steps)


def is_ours(host: Host, connection: str, path: str) -> bool:
    """Whether a configured connection is one of this collection's."""
    return connection in host.declared.phase1 and path == connection_path(host.platform, connection)


def _in_focus(focus: Focus, *keys: Key) -> bool:
    return focus is None or any(key in focus for key in keys)


def _references(after: Declared) -> None:
    for phase2 in after.phase2.values():
        if phase2.phase1 not in after.phase1:
            raise InvalidOption(
                f"phase1: phase 2 {phase2.name} belongs to phase 1 {phase2.phase1}, which would be gone; "
                f"remove the phase 2 first"
            )
    live = {
        phase2.interface for phase2 in after.phase2.values() if phase2.enabled and after.phase1[phase2.phase1].enabled
    }
    interfaces = {phase2.interface for phase2 in after.phase2.values()}
    for assignment in after.assignments.values():
        if assignment.interface not in interfaces:
            raise InvalidOption(
                f"interface: {assignment.interface} is assigned as {assignment.name}; remove the assignment "
                f"before the phase 2 (interface_assign, state=absent)"
            )
        if assignment.interface not in live:
            raise InvalidOption(
                f"enabled: {assignment.interface} is assigned as {assignment.name}; remove the assignment "
                f"before its phase 1 or phase 2 is disabled"
            )


def _check_phase1(before: Host, phase1: Phase1) -> None:
    path = connection_path(before.platform, phase1.name)
    if path in before.facts.foreign:
        raise InvalidOption(
            f"name: {path} is there and not this collection's; choose another name for phase 1 "
            f"{phase1.name}, or move the file away"
        )
    if phase1.firewall_rules and before.platform.name != "FreeBSD":
        raise InvalidOption(f"firewall_rules: pf exists on FreeBSD only; leave it out for phase 1 {phase1.name}")
    where = before.facts.configured.connections.get(phase1.name, (path,))[0]
    if where != path:
        raise InvalidOption(
            f"name: {where} has a connection {phase1.name} too, and strongSwan would merge the two; choose another name"
        )


def _check_peers(after: Declared, focus: Focus) -> None:
    """No two phase 1 with the same peer, nor with the same identities and different keys."""
    enabled = [phase1 for phase1 in after.phase1.values() if phase1.enabled]
    for one, other in _alike(enabled, focus, lambda phase1: (phase1.local_addrs[0], phase1.remote_addrs[0])):
        if not (one.gateway_duplicates and other.gateway_duplicates):
            raise InvalidOption(
                f"remote_addrs: phase 1 {other.name} has the peer {other.remote_addrs[0]} already; set "
                f"gateway_duplicates=true on both if that is meant"
            )
    for one, other in _alike(enabled, focus, lambda phase1: (phase1.local_identity, phase1.remote_identity)):
        if "psk" in (one.auth, other.auth) and one.psk != other.psk:
            raise InvalidOption(
                f"psk: phase 1 {other.name} has the same identities ({other.local_identity}, "
                f"{other.remote_identity}) and another key; give one of them its own remote_id"
            )


def _alike(
    phase1s: list[Phase1], focus: Focus, feature: t.Callable[[Phase1], t.Hashable]
) -> Iterator[tuple[Phase1, Phase1]]:
    """Pairs that have a feature in common, the one in focus first; every one is compared with the first that has it."""
    first: dict[t.Hashable, Phase1] = {}
    for phase1 in phase1s:
        other = first.setdefault(feature(phase1), phase1)
        if other is not phase1 and _in_focus(focus, ("phase1", phase1.name), ("phase1", other.name)):
            in_focus = _in_focus(focus, ("phase1", phase1.name))
            yield (phase1, other) if in_focus else (other, phase1)


def _watched(after: Declared, focus: Focus) -> Iterator[Phase2]:
    """The phase 2 that are in focus, themselves or by their phase 1."""
    for name, phase2 in after.phase2.items():
        if _in_focus(focus, ("phase2", name), ("phase1", phase2.phase1)):
            yield phase2


def _check_numbers(before: Host, after: Declared, focus: Focus) -> None:
    """Every tunnel has its own reqid and unit, and none that others on the host use."""
    owners: dict[tuple[str, int], dict[tuple[str, str], str]] = {}
    for phase2 in after.phase2.values():
        child = (phase2.phase1, child_name(after.phase1[phase2.phase1], phase2))
        for option in ("reqid", "unit"):
            owners.setdefault((option, getattr(phase2, option)), {}).setdefault(child, phase2.name)
    interfaces, reqids = _numbers_of_others(before, after)
    for phase2 in _watched(after, focus):
        child = (phase2.phase1, child_name(after.phase1[phase2.phase1], phase2))
        for option in ("reqid", "unit"):
            number = getattr(phase2, option)
            other = next((name for key, name in owners[(option, number)].items() if key != child), None)
            if other is not None:
                raise InvalidOption(
                    f"{option}: {number} of phase 2 {phase2.name} is phase 2 {other}'s; every tunnel needs its own"
                )
        if phase2.interface in interfaces:
            raise InvalidOption(
                f"unit: {phase2.interface} is on the host and not this collection's; choose another unit for phase 2 "
                f"{phase2.name}"
            )
        if phase2.reqid in reqids:
            raise InvalidOption(
                f"reqid: {phase2.reqid} of phase 2 {phase2.name} is used by {reqids[phase2.reqid]}; choose another one"
            )


def _numbers_of_others(before: Host, after: Declared) -> tuple[set[str], dict[int, str]]:
    """Interfaces that are not ours, and who else uses which reqid."""
    ours = {phase2.interface for phase2 in before.declared.phase2.values()}
    foreign = {name: live for name, live in before.realized.interfaces.items() if name not in ours}
    reqids = {live.reqid: f"interface {name}, which is not this collection's" for name, live in foreign.items()}
    for connection, (path, section) in before.facts.configured.connections.items():
        if connection not in after.phase1 and not is_ours(before, connection, path):
            for child, body in _children(section):
                for number in (body.get("reqid"), body.get("if_id_in"), body.get("if_id_out")):
                    if str(number).isdecimal():
                        reqids[int(str(number))] = f"child {child} of connection {connection} in {path}"
    return set(foreign), reqids


def _check_selectors(after: Declared, focus: Focus) -> None:
    """A responder tells the children of one connection apart by nothing but their selectors."""
    first: dict[tuple[str, tuple[str, ...]], Phase2] = {}
    for phase2 in after.phase2.values():
        phase1 = after.phase1[phase2.phase1]
        if phase1.shares_child:
            continue
        other = first.setdefault((phase1.name, selectors(phase1, phase2, "remote_ts")), phase2)
        keys = [("phase1", phase1.name), ("phase2", phase2.name), ("phase2", other.name)]
        if other is not phase2 and _in_focus(focus, *keys):
            raise InvalidOption(
                f"remote_ts: phase 2 {other.name} and {phase2.name} of phase 1 {phase1.name} have the same selectors, "
                "so the peer could not tell them apart; give them different ones, or each a phase 1 of its own"
            )


def _check_transit(before: Host, after: Declared, focus: Focus) -> None:
    """A transit network has nothing in common with another, nor with a connected one; only wider routes hold it."""
    watched = {phase2.name for phase2 in _watched(after, focus)}
    transit = [(phase2.local.network, ("phase 2", name)) for name, phase2 in after.phase2.items()]
    connected = [(network, ("interface", name)) for name, network in _connected(before, after)]
    routes = [(options.network(route.network), ("static route", name)) for name, route in after.static_routes.items()]
    for outer, inner in nested([*transit, *connected, *routes]):
        ours = next((entry for entry in (inner, outer) if entry[1][0] == "phase 2" and entry[1][1] in watched), None)
        # A wider route is no harm: the connected transit network is more specific.
        if ours is None or (outer[1][0] == "static route" and outer[0] != inner[0]):
            continue
        network, (kind, name) = outer if ours is inner else inner
        raise InvalidOption(
            f"local_address: the transit network {ours[0]} of phase 2 {ours[1][1]} overlaps {network} of {kind} "
            f"{name}; choose an unused one"
        )


def _children(section: t.Mapping[str, t.Any]) -> Iterator[tuple[str, t.Mapping[str, t.Any]]]:
    children = section.get("children", {})
    for name, body in children.items() if isinstance(children, dict) else ():
        yield name, body if isinstance(body, dict) else {}


def _connected(before: Host, after: Declared) -> Iterator[tuple[str, Network]]:
    """Networks on interfaces that are not our VTIs; link-local ones are on every interface."""
    ours = {phase2.interface for declared in (before.declared, after) for phase2 in declared.phase2.values()}
    for name, networks in before.facts.networks.items():
        if name not in ours:
            for network in networks:
                if not network.is_link_local:
                    yield name, network


def _check_routes(before: Host, after: Declared, ways: Ways, focus: Focus) -> None:
    owned = {route.network for route in before.declared.static_routes.values() if route.enabled}
    connected = {str(network): name for name, networks in before.facts.networks.items() for network in networks}
    vtis = {phase2.remote: phase2.interface for phase2 in after.phase2.values()}
    first: dict[str, str] = {}
    tunnelled: list[tuple[Network, str]] = []
    for name, route in after.static_routes.items():
        if not route.enabled:
            continue
        other, hop = first.setdefault(route.network, name), next_hop(route, ways)
        if _in_focus(focus, ("static_routes", name)):
            if other != name:
                raise InvalidOption(
                    f"network: {route.network} of static route {name} is routed by static route {other} already"
                )
            _check_foreign_route(before, route.network, hop, owned, connected)
        through = next(iter(_vtis_of(route, ways, hop, vtis)), None)
        if through is not None:
            network = options.network(route.network)
            tunnelled.append((network, name))
            if network.prefixlen == 0 and not route.allow_default and _in_focus(focus, ("static_routes", name)):
                raise InvalidOption(
                    f"network: static route {name} would make {through} the default route; set allow_default=true "
                    f"if that is meant"
                )
    for version, default in DEFAULTS.items():
        chosen = after.default_gateway.of(version) if after.default_gateway else None
        if chosen and chosen != NONE and any(gateway.vti for gateway in _of_target(ways, chosen)):
            tunnelled.append((ipaddress.ip_network(default), DEFAULT_ROUTE))
    _check_capture(before, after, tunnelled, focus)


DEFAULT_ROUTE = "(default gateway)"
"""What a default route is called where the names of static routes are."""


def _of_target(ways: Ways, target: str) -> tuple[Resolved, ...]:
    return ways.members("default_gateway", target) if target in ways.groups or ways.gateways[target].address else ()


def _vtis_of(route: StaticRoute, ways: Ways, hop: NextHop, vtis: t.Mapping[str, str]) -> list[str]:
    """The VTIs that a route leads through, or might when a gateway of its group goes down."""
    named = route_target(route, ways)
    if named:
        return [gateway.interface for gateway in ways.members("gateway", named) if gateway.vti]
    found = hop.interface if hop.interface in vtis.values() else vtis.get(hop.gateway)
    return [found] if found else []


def _check_foreign_route(
    before: Host, network: str, hop: NextHop, owned: t.Container[str], connected: t.Mapping[str, str]
) -> None:
    live = before.realized.routes.get(network, ())
    if live and hop not in live and network not in owned:
        raise InvalidOption(
            f"network: {network} leads through {live[0]} already, by a route that is not this collection's; "
            f"remove that first"
        )
    if network in connected:
        raise InvalidOption(
            f"network: {network} is connected to {connected[network]}; a route elsewhere would cut it off"
        )


def _check_capture(before: Host, after: Declared, tunnelled: list[tuple[Network, str]], focus: Focus) -> None:
    """A peer's outer address must not be routed into a tunnel, unless a more specific route keeps it outside."""
    peers = [
        (ipaddress.ip_network(phase1.remote), name)
        for name, phase1 in after.phase1.items()
        if phase1.remote and phase1.enabled
    ]
    entries = [(network, ("route", name)) for network, name in tunnelled]
    for outer, inner in nested([*entries, *((network, ("peer", name)) for network, name in peers)]):
        if (outer[1][0], inner[1][0]) != ("route", "peer"):
            continue
        route, phase1, address = outer[1][1], inner[1][1], str(inner[0].network_address)
        key = ("default_gateway", "") if route == DEFAULT_ROUTE else ("static_routes", route)
        if _in_focus(focus, key, ("phase1", phase1)) and not _pinned(before, address, outer[0]):
            raise InvalidOption(
                f"network: {outer[0]} of static route {route} holds {address}, the peer of phase 1 {phase1}: its "
                f"packets would enter their own tunnel; add a more specific route to the peer first"
            )


def _pinned(before: Host, peer: str, network: Network) -> bool:
    """Whether a more specific route, connected or static, keeps a peer outside."""
    address = ipaddress.ip_address(peer)
    specific = [
        *(item for items in before.facts.networks.values() for item in items),
        *map(ipaddress.ip_network, before.realized.routes),
    ]
    return any(
        item.version == network.version and item.prefixlen > network.prefixlen and address in item for item in specific
    )


def _check_gateways(before: Host, after: Declared, ways: Ways, focus: Focus) -> None:
    """Gateways exist where they say, groups and defaults name gateways; whatever refers to one finds it."""
    automatic = after.automatic()
    for name, gateway in after.gateways.items():
        if gateway.interface is None and name not in automatic and name in before.declared.automatic():
            raise InvalidOption(
                f"gateway: there are settings for {name}; remove them (module gateway, state=absent) before the "
                f"assignment"
            )
        if gateway.interface is None and name not in automatic:
            known = ", ".join(sorted(automatic)) or "none"
            raise InvalidOption(
                f"interface: required for gateway {name}, which is no automatic one of this host (those are: {known})"
            )
        if gateway.interface is not None and name in automatic:
            raise InvalidOption(
                f"interface: {name} is the automatic gateway of {automatic[name].interface}; leave interface and "
                f"address out, or choose another name"
            )
        if _in_focus(focus, ("gateways", name)):
            _check_gateway(before, automatic.get(name), gateway)
    _check_unique(ways, focus)
    for name, group in after.gateway_groups.items():
        if name in after.gateways or name in automatic:
            raise InvalidOption(f"name: {name} is a gateway already; choose another name for the group")
        ways.members("members", name)
        _check_monitored(ways, group, focus)
    for version, option in ((4, "ipv4"), (6, "ipv6")):
        target = after.default_gateway.of(version) if after.default_gateway else None
        if target is None or target == NONE:
            continue
        if target not in ways.groups and target not in ways.gateways:
            raise InvalidOption(
                f"{option}: {target!r} is neither a gateway nor a group of this host; known: {ways.known()}"
            )
        if any(gateway.family != version for gateway in _of_target(ways, target)):
            raise InvalidOption(f"{option}: {target} is no IPv{version} gateway; name one of that family")
    for route in after.static_routes.values():
        if route.enabled:
            next_hop(route, ways)
    for policy in after.policy_routes.values():
        if policy.enabled:
            check_family(policy, ways.members("gateway", policy.gateway)[0].family)


def _check_gateway(before: Host, automatic: Resolved | None, gateway: Gateway) -> None:
    """A next hop is on the link; what is probed is of its family."""
    if automatic is not None:
        if gateway.monitor and (":" in gateway.monitor) != (automatic.family == 6):
            raise InvalidOption(f"monitor: {gateway.monitor} is not of the family of {gateway.name}; give one that is")
        return
    networks = before.facts.networks.get(t.cast("str", gateway.interface))
    if networks is None:
        raise InvalidOption(f"interface: {gateway.interface} of gateway {gateway.name} is not on this host")
    if gateway.address is None:
        if gateway.monitor:
            raise InvalidOption(
                f"monitor: gateway {gateway.name} has no fixed address, so nothing is watched; give it one, or leave "
                f"monitor out"
            )
        return
    address = ipaddress.ip_address(gateway.address)
    if not address.is_link_local and not any(address in item for item in networks if item.version == address.version):
        raise InvalidOption(
            f"address: {address} of gateway {gateway.name} is in no network of {gateway.interface}; correct one of them"
        )
    if gateway.address in before.facts.addresses.get(t.cast("str", gateway.interface), ()):
        raise InvalidOption(f"address: {address} of gateway {gateway.name} is this host's own; give the router's")


def _check_unique(ways: Ways, focus: Focus) -> None:
    """Two gateways at one place, or watched by one address, could not be told apart (pfSense: validate_gateway)."""
    for option in ("address", "monitor"):
        first: dict[tuple[str, str], Resolved] = {}
        for gateway in ways.gateways.values():
            value = getattr(gateway, option)
            if not value:
                continue
            scope = gateway.interface if is_link_local(value) else ""
            other = first.setdefault((value, scope), gateway)
            if other is not gateway and _in_focus(focus, ("gateways", gateway.name), ("gateways", other.name)):
                raise InvalidOption(
                    f"{option}: {value} is that of gateway {other.name} and of {gateway.name}; each needs its own"
                )


def _check_monitored(ways: Ways, group: GatewayGroup, focus: Focus) -> None:
    """Failing over needs somebody who notices."""
    if not _in_focus(focus, ("gateway_groups", group.name)) or len(group.members) == 1:
        return
    blind = [name for name in group.gateways if ways.gateways[name].monitor is None]
    if len(blind) == len(group.members):
        raise InvalidOption(
            f"members: nothing watches any gateway of group {group.name}; set monitor_disable=false for them"
        )


def _check_policy_routes(before: Host, after: Declared, ways: Ways, focus: Focus) -> None:
    mode = after.filter_mode.mode if after.filter_mode else "enc"
    freebsd = before.platform.name == "FreeBSD"
    for name, route in after.policy_routes.items():
        if not route.enabled or not _in_focus(focus, ("policy_routes", name), ("filter_mode", "")):
            continue
        gateways = ways.members("gateway", route.gateway)
        vtis = {gateway.interface for gateway in gateways if gateway.vti}
        if route.reply_to and freebsd and mode == "enc" and vtis:
            raise InvalidOption(
                f"reply_to: policy route {name} would have no effect in filter mode enc: what comes in through a "
                f"tunnel is filtered on enc0, which has no gateway; choose filter mode if_ipsec"
            )
        if route.reply_to and route.interface not in {gateway.interface for gateway in gateways}:
            raise InvalidOption(
                f"interface: with reply_to it is the one that connections come in on: that of gateway {route.gateway}"
            )
        known = {*before.facts.networks, *(phase2.interface for phase2 in after.phase2.values())}
        if route.interface not in known:
            raise InvalidOption(f"interface: {route.interface} of policy route {name} is not on this host")
    for assignment in after.assignments.values():
        keys = (("assignments", assignment.name), ("filter_mode", ""))
        if assignment.outbound_nat and freebsd and mode == "enc" and _in_focus(focus, *keys):
            raise InvalidOption(
                f"outbound_nat: {assignment.interface} ({assignment.name}) cannot translate in filter mode enc: "
                f"replies are filtered on enc0 and never translated back; choose filter mode if_ipsec"
            )


def _check_guard(before: Host, after: Declared, focus: Focus) -> None:
    """No VTI is assigned while the default gateway of its family is automatic: it might become that."""
    reasons = {
        version: reason for version in DEFAULTS for reason in [_automatic(before, after, version)] if reason is not None
    }
    known = before.declared.automatic() if reasons else {}
    for name, gateway in after.automatic().items() if reasons else ():
        if gateway.family not in reasons:
            continue
        keys = [("default_gateway", ""), *_givers(after, gateway, new=name not in known)]
        if _in_focus(focus, *keys):
            option = f"ipv{gateway.family}"
            raise InvalidOption(
                f"default_gateway: the {option.replace('ip', 'IP')} default gateway of this host is automatic "
                f"({reasons[gateway.family]}), so {name} could become it; pin it first: module default_gateway (or "
                f"vti_site's default_gateway) with {option} naming a gateway, a group, or none"
            )


def _givers(after: Declared, gateway: Resolved, *, new: bool) -> list[Key]:
    """The objects that give an automatic gateway: its assignment, and for a new one the phase 2 on the interface."""
    assignments = [
        ("assignments", item.name) for item in after.assignments.values() if item.interface == gateway.interface
    ]
    phase2s = [("phase2", item.name) for item in after.phase2.values() if item.interface == gateway.interface]
    return [*assignments, *(phase2s if new else ())]


def _automatic(before: Host, after: Declared, version: int) -> str | None:
    """Why a family's default gateway would be automatic; None when something pins it."""
    old, new = before.declared.default_gateway, after.default_gateway
    asked = any(route.network == DEFAULTS[version] and route.enabled for route in after.static_routes.values())
    if asked or (new is not None and new.of(version) is not None):
        return None
    if before.platform.name == "Linux" and old is not None and old.of(version) is not None:
        # The pinned route is what is seen of the default route; what was there before is remembered.
        name = next(name for name, number in FAMILIES.items() if number == version)
        return None if old.hop_before(name) else "it would be handed back to the host"
    return before.facts.automatic.get(version)


def _check_filter_mode(before: Host, after: Declared, focus: Focus) -> None:
    mode = after.filter_mode
    if mode is None or not _in_focus(focus, ("filter_mode", "")):
        return
    if before.platform.name != "FreeBSD":
        for option in ("inner_rules", "manage_pf_conf"):
            if getattr(mode, option):
                raise InvalidOption(f"{option}: pf exists on FreeBSD only; leave it out on this host")
        if mode.mode == "enc":
            raise InvalidOption(
                "mode: enc exists on FreeBSD only; on Linux packets of an XFRM interface are always seen on "
                "it: use if_ipsec"
            )
        return
    if mode.mode == "if_ipsec" and not mode.force:
        for connection, child, where in _policy_based(before):
            raise InvalidOption(
                f"mode: if_ipsec would block child {child} of connection {connection} ({where}), which is in tunnel "
                "mode with policies; set force=true if that is meant"
            )


def _policy_based(before: Host) -> Iterator[tuple[str, str, str]]:
    """Connection, child and place of what is in tunnel mode with policies: in files, or loaded from elsewhere."""
    configured = before.facts.configured.connections
    for connection, (path, section) in configured.items():
        for child, body in _children(section):
            if body.get("mode", "tunnel") == "tunnel" and body.get("policies", "yes") != "no":
                yield connection, child, path
    for connection, children in before.facts.loaded_tunnels.items():
        if connection not in configured and connection not in before.declared.phase1:
            for child in children:
                yield connection, child, "loaded into charon"
