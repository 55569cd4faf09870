# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Descriptions for FRR (see frr.router()) of all gateways whose tunnels are routed with BGP or OSPF. Pure.

Both ends of a session follow from one record, as both ends of the tunnel do. Only hubs let others' packets through: a
hub announces all that it reaches, everybody else their own networks, and each end accepts just what the other one may
announce. Lists that many gateways have in common are one object here.
"""

from __future__ import annotations

import collections
import dataclasses
import ipaddress
import re
import typing as t

from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption

from . import frr, numbers, reading

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .links import Address, Network

ROUTING = ("static", "bgp", "ospf")
PRIVATE_ASN = 4_200_000_000
"""Where private 4-byte AS numbers begin (RFC 6996); a site's own is this plus its id."""
_BGP_KEYS = ("asn", "bfd", "graceful_restart", "keepalive", "holdtime", "maximum_prefix", "import_check")
_OSPF_KEYS = ("area", "bfd", "hello", "dead", "mtu_ignore", "key_id")
_BFD_KEYS = ("interval", "multiplier")


@dataclasses.dataclass(frozen=True)
class Node:
    """A gateway, and what is behind it. ``hub``: others reach each other through it."""

    name: str
    id: int
    lans: tuple[Network, ...]
    hub: bool = False
    spoke: bool = False
    asn: int | None = None


@dataclasses.dataclass(frozen=True)
class Edge:
    """A tunnel between two nodes; what is a pair has the first node's part first.

    rank: of a hub among those of its spoke, 0 for the preferred one. key: a password of BGP, a key of OSPF.
    """

    nodes: tuple[Node, Node]
    tunnel: int
    rank: int
    routing: str
    units: tuple[int, int]
    outer: tuple[Address, Address]
    transits: tuple[Network, ...]
    mtu: int | None = None
    key: str | None = None

    def far(self, node: Node) -> Node:
        return self.nodes[1 - self.index(node)]

    def index(self, node: Node) -> int:
        return 0 if node.name == self.nodes[0].name else 1


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a fleet has in common. asn: of all sites, whose hubs reflect routes; None for one of each site."""

    asn: int | None = None
    bgp: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    ospf: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    bfd: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    branch_to_branch: bool = True
    summaries: tuple[Network, ...] = ()


def settings(
    bgp: t.Any, ospf: t.Any, bfd: t.Any, *, branch_to_branch: bool = True, summaries: Iterable[Network] = ()
) -> Settings:
    """Check what a person says about all sessions of a fleet."""
    known = dict(reading.known("bgp", bgp, _BGP_KEYS))
    asn = known.pop("asn", None)
    found = Settings(
        asn=None if asn is None else reading.number("bgp: asn", asn, *frr.ASN),
        bgp=known,
        ospf=reading.known("ospf", ospf, _OSPF_KEYS),
        bfd=reading.known("bfd", bfd, _BFD_KEYS),
        branch_to_branch=branch_to_branch,
        summaries=tuple(summaries),
    )
    _try(found)
    return found


def _try(found: Settings) -> None:
    """Have the values refused now, whatever the fleet looks like."""
    one, two = Node("one", 1, (), hub=True), Node("two", 2, ())
    for routing in ROUTING[1:]:
        edge = Edge(
            (one, two), 1, 0, routing, (1, 1),
            (ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("192.0.2.2")),
            (ipaddress.ip_network("10.0.0.0/30"),),
        )  # fmt: skip
        frr.router(descriptions([edge], dataclasses.replace(found, summaries=()))["one"])


def routing(where: str, value: t.Any) -> str:
    return reading.choice(where, value, ROUTING)


def asn(where: str, value: t.Any) -> int:
    return reading.number(where, value, *frr.ASN)


def descriptions(edges: Sequence[Edge], found: Settings, only: str | None = None) -> dict[str, dict[str, t.Any]]:
    """By the name of the gateway, for those with a tunnel that is not routed statically; or for one of them."""
    spoken = sorted({edge.routing for edge in edges} - {"static"})
    if len(spoken) > 1:
        raise InvalidOption(f"routing: {' and '.join(spoken)} in one fleet; choose one of them besides static")
    if not spoken:
        return {}
    fleet = _Fleet(edges, found)
    return {
        node.name: fleet.description(node, spoken[0])
        for node in fleet.nodes
        if only in (None, node.name) and any(edge.routing != "static" for edge in fleet.edges[node.name])
    }


class _Fleet:
    """Who reaches what, found once for each hub."""

    def __init__(self, edges: Sequence[Edge], found: Settings) -> None:
        self.settings = found
        self.edges: dict[str, list[Edge]] = collections.defaultdict(list)
        for edge in edges:
            for node in edge.nodes:
                self.edges[node.name].append(edge)
        self.nodes = list({node.name: node for edge in edges for node in edge.nodes}.values())
        self._beyond: dict[tuple[str, bool], list[str]] = {}

    def _reached(self, hub: Node, without: str | None = None) -> list[Node]:
        """Nodes whose networks a hub can announce, itself first: neighbours, and through hubs theirs."""
        found = {hub.name: hub}
        pending = [hub]
        while pending:
            node = pending.pop(0)
            for edge in self.edges[node.name]:
                far = edge.far(node)
                if far.name not in found and far.name != without:
                    found[far.name] = far
                    if far.hub:
                        pending.append(far)
        return list(found.values())

    def told(self, teller: Node, listener: Node) -> list[str]:
        """Networks that one node announces to another; the listener's own may be among them."""
        if not teller.hub:
            return [str(network) for network in teller.lans]
        if listener.hub:
            nodes = self._reached(teller, listener.name)
            return [str(network) for node in nodes for network in node.lans]
        key = teller.name, listener.spoke
        if key not in self._beyond:
            nodes = self._reached(teller)
            summaries: tuple[Network, ...] = ()
            if listener.spoke and (self.settings.summaries or not self.settings.branch_to_branch):
                nodes = [node for node in nodes if not node.spoke]
                summaries = self.settings.summaries if self.settings.branch_to_branch else ()
            networks = dict.fromkeys(network for node in nodes for network in node.lans)
            self._beyond[key] = [str(network) for network in (*networks, *summaries)]
        return self._beyond[key]

    def description(self, node: Node, spoken: str) -> dict[str, t.Any]:
        edges = [edge for edge in self.edges[node.name] if edge.routing != "static"]
        static = [edge.far(node) for edge in self.edges[node.name] if edge.routing == "static"]
        passed_on = list(dict.fromkeys(network for far in static for network in far.lans)) if node.hub else []
        part = self._bgp if spoken == "bgp" else self._ospf
        sets: dict[str, list[str]] = {}
        found: dict[str, t.Any] = {
            "hostname": _plain(node.name),
            "router_id": str(ipaddress.IPv4Address(node.id)),
            "sets": sets,
            "outer": list(dict.fromkeys(str(edge.outer[1 - edge.index(node)]) for edge in edges)),
            spoken: part(node, edges, passed_on, sets),
        }
        told = [self.told(edge.far(node), node) for edge in edges]
        same = next((name for name, networks in sets.items() if all(networks is one for one in told)), None)
        found["discard"] = same or list(dict.fromkeys(network for networks in told for network in networks))
        for key, value in self.settings.bfd.items():
            found[f"bfd_{key}"] = value
        return found

    def _summaries(self, node: Node) -> tuple[Network, ...]:
        """What a hub announces to spokes instead of what is in it."""
        return self.settings.summaries if node.hub and self.settings.branch_to_branch else ()

    def _bgp(
        self, node: Node, edges: Sequence[Edge], passed_on: list[Network], sets: dict[str, list[str]]
    ) -> dict[str, t.Any]:
        general = {key: self.settings.bgp[key] for key in self.settings.bgp if key not in ("bfd", "maximum_prefix")}
        networks = [*node.lans, *passed_on]
        return {
            "asn": self._asn(node),
            "networks": [str(network) for network in networks],
            "aggregates": [str(network) for network in self._summaries(node)],
            "neighbors": [item for edge in edges for item in self._neighbors(node, edge, sets)],
            **general,
        }

    def _asn(self, node: Node) -> int:
        return self.settings.asn or node.asn or PRIVATE_ASN + node.id

    def _neighbors(self, node: Node, edge: Edge, sets: dict[str, list[str]]) -> Iterator[dict[str, t.Any]]:
        far = edge.far(node)
        first = edge.index(node) == 0
        if self.settings.asn is not None and (far.asn or node.asn) is not None:
            raise InvalidOption(f"site {(far if far.asn else node).name}: asn: bgp: asn gives all sites the same one")
        hub_of_far, hub_of_node = node.hub and not far.hub, far.hub and not node.hub
        specific: dict[str, t.Any] = {
            key: self.settings.bgp[key] for key in ("bfd", "maximum_prefix") if key in self.settings.bgp
        }
        if edge.key is not None:
            specific["password"] = edge.key
        if hub_of_far:
            specific["communities"] = [f"{self._asn(node)}:1:{edge.rank + 1}"]
            specific["client"] = self.settings.asn is not None
        for network in edge.transits:
            ours, theirs = numbers.ends(network) if first else numbers.ends(network)[::-1]
            yield {
                "address": str(theirs),
                "source": str(ours),
                "remote_asn": self._asn(far),
                "description": _plain(far.name),
                "accept": self._list(far, node, network.version, sets),
                "announce": self._list(node, far, network.version, sets),
                "local_preference": _preference(node, far, edge, hub_of_node),
                "med": 100 + 20 * edge.rank + edge.tunnel - 1,
                **specific,
            }

    def _list(self, teller: Node, listener: Node, version: int, sets: dict[str, list[str]]) -> t.Any:
        """What is told: the name of a set where many are told the same, else the networks."""
        told = self.told(teller, listener)
        if teller.hub and not listener.hub:
            name = f"{'spokes' if listener.spoke else 'others'}-of-{teller.id}"
            sets[name] = told
            return name
        return [network for network in told if (":" in network) == (version == 6)]

    def _ospf(
        self, node: Node, edges: Sequence[Edge], passed_on: list[Network], sets: dict[str, list[str]]
    ) -> dict[str, t.Any]:
        if self.settings.summaries:
            raise InvalidOption("summaries: OSPF tells everybody in an area everything; use bgp, or leave them out")
        told = [self.told(edge.far(node), node) for edge in edges]
        sets["reached"] = (
            told[0] if len(told) == 1 else list(dict.fromkeys(network for networks in told for network in networks))
        )
        general = {key: value for key, value in self.settings.ospf.items() if key != "area"}
        area = self.settings.ospf.get("area", 0)
        return {
            "area": area,
            "networks": [str(network) for network in node.lans],
            "external": [str(network) for network in passed_on],
            "accept": "reached",
            "interfaces": [
                {
                    "name": f"ipsec{edge.units[edge.index(node)]}",
                    "networks": [str(network) for network in edge.transits],
                    "cost": _cost(edge),
                    **general,
                    **({} if edge.key is None else {"key": edge.key}),
                    **({} if edge.mtu is None else {"mtu": edge.mtu, "peer_mtu": edge.mtu}),
                }
                for edge in edges
            ],
        }


def _plain(name: str) -> str:
    """A site's name as FRR takes it."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name)[:40]


def _preference(node: Node, far: Node, edge: Edge, is_spoke: bool) -> int:
    """Straight to where it goes; else by the hub that comes first; and by a tunnel's number."""
    if is_spoke:
        base = 200 - 20 * edge.rank
    elif node.hub and far.hub:
        base = 150
    else:
        base = 250
    return base - (edge.tunnel - 1)


def _cost(edge: Edge) -> int:
    """The first hub before the second, and either before the way from hub to hub."""
    between_hubs = all(node.hub for node in edge.nodes)
    return (15 if between_hubs else 10 + 10 * edge.rank) + 2 * (edge.tunnel - 1)
