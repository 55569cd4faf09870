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
from ..phase2.state import child_name, selectors
from ..static_route.state import next_hop
from .observe import connection_path

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._core.steps import Step
    from ..phase1.state import Phase1
    from ..phase2.state import Phase2
    from ..static_route.state import NextHop
    from .state import Declared, Host, Key, Network

    Focus = t.Optional[t.FrozenSet[Key]]


def check(before: Host, after: Declared, focus: Focus) -> None:
    """Raise InvalidOption for the first thing that is wrong; focus None looks at all."""
    _references(after)
    for name, phase1 in after.phase1.items():
        if _in_focus(focus, ("phase1", name)):
            _check_phase1(before, after, phase1)
    for name, phase2 in after.phase2.items():
        if _in_focus(focus, ("phase2", name), ("phase1", phase2.phase1)):
            _check_phase2(before, after, phase2)
    _check_routes(before, after, focus)
    _check_filter_mode(before, after, focus)


def ready(host: Host, steps: tuple[Step, ...]) -> None:
    """Raise VtiError when the host lacks what the steps need."""
    problems = host.facts.configured.problems
    needs_charon = any(getattr(step, "argv", ("",))[0] == "swanctl" for step in steps)
    if needs_charon and host.facts.charon_down:
        raise VtiError(f"charon: {host.facts.charon_down}")
    if needs_charon and problems:
        raise VtiError(problems[0])


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
    gateways = after.gateways()
    for route in after.static_routes.values():
        if route.enabled:
            next_hop(route, gateways)


def _check_phase1(before: Host, after: Declared, phase1: Phase1) -> None:
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
    for other in after.phase1.values():
        if other.name == phase1.name or not (phase1.enabled and other.enabled):
            continue
        same_peer = phase1.remote_addrs[0] == other.remote_addrs[0] and phase1.local_addrs[0] == other.local_addrs[0]
        if same_peer and not (phase1.gateway_duplicates and other.gateway_duplicates):
            raise InvalidOption(
                f"remote_addrs: phase 1 {other.name} has the peer {other.remote_addrs[0]} already; set "
                f"gateway_duplicates=true on both if that is meant"
            )
        same_ids = (phase1.local_identity, phase1.remote_identity) == (other.local_identity, other.remote_identity)
        if same_ids and "psk" in (phase1.auth, other.auth) and phase1.psk != other.psk:
            raise InvalidOption(
                f"psk: phase 1 {other.name} has the same identities ({other.local_identity}, "
                f"{other.remote_identity}) and another key; give one of them its own remote_id"
            )


def _check_phase2(before: Host, after: Declared, phase2: Phase2) -> None:
    child = child_name(after.phase1[phase2.phase1], phase2)
    for other in after.phase2.values():
        if other.name == phase2.name:
            continue
        if (other.phase1, child_name(after.phase1[other.phase1], other)) != (phase2.phase1, child):
            for option in ("reqid", "unit"):
                if getattr(other, option) == getattr(phase2, option):
                    raise InvalidOption(
                        f"{option}: {getattr(phase2, option)} of phase 2 {phase2.name} is phase 2 "
                        f"{other.name}'s; every tunnel needs its own"
                    )
        if other.local.network.overlaps(phase2.local.network):
            raise InvalidOption(
                f"local_address: the transit network {phase2.local.network} of phase 2 {phase2.name} "
                f"overlaps {other.local.network} of phase 2 {other.name}"
            )
    _check_selectors(after, phase2)
    _check_others(before, after, phase2)
    for name, network in _connected(before, after):
        if network.version == phase2.family and network.overlaps(phase2.local.network):
            raise InvalidOption(
                f"local_address: the transit network {phase2.local.network} of phase 2 {phase2.name} "
                f"overlaps {network} on {name}; choose an unused one"
            )
    for route in after.static_routes.values():
        network = ipaddress.ip_network(route.network)
        # A wider route is no harm: the connected transit network is more specific.
        if network.version == phase2.family and _within(network, phase2.local.network):
            raise InvalidOption(
                f"local_address: the transit network {phase2.local.network} of phase 2 {phase2.name} "
                f"overlaps {network} of static route {route.name}; choose an unused one"
            )


def _check_selectors(after: Declared, phase2: Phase2) -> None:
    """A responder tells the children of one connection apart by nothing but their selectors."""
    phase1 = after.phase1[phase2.phase1]
    for other in after.phase2.values():
        if other.name == phase2.name or other.phase1 != phase1.name or phase1.shares_child:
            continue
        if selectors(phase1, other, "remote_ts") == selectors(phase1, phase2, "remote_ts"):
            raise InvalidOption(
                f"remote_ts: phase 2 {phase2.name} and {other.name} of phase 1 {phase1.name} have the same selectors, "
                "so the peer could not tell them apart; give them different ones, or each a phase 1 of its own"
            )


def _within(inner: Network, outer: Network) -> bool:
    return inner.prefixlen >= outer.prefixlen and inner.overlaps(outer)


def _check_others(before: Host, after: Declared, phase2: Phase2) -> None:
    ours = {other.interface for declared in (before.declared, after) for other in declared.phase2.values()} & {
        other.interface for other in before.declared.phase2.values()
    }
    for name, interface in before.realized.interfaces.items():
        if name in ours:
            continue
        if name == phase2.interface:
            raise InvalidOption(
                f"unit: {name} is on the host and not this collection's; choose another unit for phase 2 {phase2.name}"
            )
        if interface.reqid == phase2.reqid:
            raise InvalidOption(
                f"reqid: {phase2.reqid} of phase 2 {phase2.name} is used by interface {name}, which is not "
                f"this collection's; choose another one"
            )
    for connection, (path, section) in before.facts.configured.connections.items():
        if path == connection_path(before.platform, connection) and connection in {
            **before.declared.phase1,
            **after.phase1,
        }:
            continue
        for child, body in _children(section):
            if str(phase2.reqid) in (body.get("reqid"), body.get("if_id_in"), body.get("if_id_out")):
                raise InvalidOption(
                    f"reqid: {phase2.reqid} of phase 2 {phase2.name} is used by child {child} of connection "
                    f"{connection} in {path}; choose another one"
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


def _check_routes(before: Host, after: Declared, focus: Focus) -> None:
    gateways = after.gateways()
    known = {
        (route.network, next_hop(route, before.declared.gateways()))
        for route in before.declared.static_routes.values()
        if route.enabled
    }
    networks: dict[str, str] = {}
    for name, route in after.static_routes.items():
        if not route.enabled:
            continue
        other = networks.setdefault(route.network, name)
        if not _in_focus(focus, ("static_routes", name), *(("phase1", phase1) for phase1 in after.phase1)):
            continue
        if other != name:
            raise InvalidOption(
                f"network: {route.network} of static route {name} is routed by static route {other} already"
            )
        hop = next_hop(route, gateways)
        _check_foreign_route(before, route.network, hop, owned=any(network == route.network for network, _hop in known))
        _check_capture(before, after, name, hop)


def _check_foreign_route(before: Host, network: str, hop: NextHop, *, owned: bool) -> None:
    live = before.realized.routes.get(network, ())
    if live and hop not in live and not owned:
        raise InvalidOption(
            f"network: {network} leads through {live[0]} already, by a route that is not this collection's; "
            f"remove that first"
        )
    for name, connected in ((name, item) for name, items in before.facts.networks.items() for item in items):
        if str(connected) == network:
            raise InvalidOption(f"network: {network} is connected to {name}; a route elsewhere would cut it off")


def _check_capture(before: Host, after: Declared, name: str, hop: NextHop) -> None:
    """A peer's outer address must not be routed into a tunnel, nor the default route unless that is meant."""
    route = after.static_routes[name]
    vtis = {phase2.interface: phase2 for phase2 in after.phase2.values()}
    through = (
        hop.interface
        if hop.interface in vtis
        else next(
            (phase2.interface for phase2 in after.phase2.values() if hop.gateway and hop.gateway == phase2.remote), None
        )
    )
    if through is None:
        return
    network = ipaddress.ip_network(route.network)
    if network.prefixlen == 0 and not route.allow_default:
        raise InvalidOption(
            f"network: static route {name} would make {through} the default route; set allow_default=true "
            f"if that is meant"
        )
    for phase1 in after.phase1.values():
        inside = phase1.remote and phase1.enabled and ipaddress.ip_address(phase1.remote) in network
        if inside and not _pinned(before, str(phase1.remote), network):
            raise InvalidOption(
                f"network: {route.network} of static route {name} holds {phase1.remote}, the peer of phase 1 "
                f"{phase1.name}: its packets would enter their own tunnel; add a more specific route to the peer first"
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
