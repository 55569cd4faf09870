# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes both ends of every tunnel between a hub and its branches from one record. Pure; runs on the controller.

All numbers follow from the branch's site id N, which it keeps for life, so that a branch that comes or goes renumbers
nobody: the N-th /30 of the transit pool counted from 0 (hub first address, branch second), the N-th /64 of the IPv6
pool where there is one, unit N and reqid 5000+N, the same at both ends. A branch has one hub.
"""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import operator
import re
import typing as t

from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.secret import Secret
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats.addresses import nested
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.assignment.state import (
    NAME_LENGTH as ASSIGNMENT_LENGTH,
)
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.declared import NAME_LENGTH
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.phase2.state import (
    REQID,
    REQID_OFFSET,
    UNIT,
)

from . import frr, identities, reading, routers

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Tunnels = dict[str, list[dict[str, t.Any]]]
"""Lists for vti_site, by option: phase1, phase2, assignments, static_routes."""

SITE_ID = (1, 4000)
POOL = ipaddress.ip_network("10.6.104.0/21")
"""Where transit networks come from unless the hub says otherwise: room for site ids up to 511."""
_TRANSIT_PREFIX = {4: 30, 6: 64}
_SECOND_FAMILY = "-v6"
STARTS = {"start_action": "trap|start", "close_action": "start", "dpd_action": "restart"}
"""Of the end that starts. Starting alone gives up for good when the other end refuses: traffic tries again."""
WAITS = {"start_action": "none", "close_action": "none", "dpd_action": "clear"}


@dataclasses.dataclass(frozen=True)
class Site:
    """A gateway as the inventory describes it. What is the fleet's own is taken from the hub's record.

    transit, transit_v6, reqid, unit: of a branch, instead of what its site_id gives. psk: of a branch, for its tunnel.
    transit_pool, transit_pool_v6, branch_to_branch: of the hub.
    auth: psk or pubkey; of a branch, else of the hub, else psk. With pubkey the certificates are those of the role pki.
    proposals, esp_proposals, mtu: of a branch, else of the hub, else the modules' defaults.
    ike_id: the identity, instead of the outer address, and with pubkey of the name.
    routing: of a branch, else of the hub, else static. asn: of the site, for BGP. routing_key: of a branch, BGP's
    password or OSPF's key on its tunnel. bgp, ospf, bfd: of the hub, see routers.settings().
    """

    name: str
    site_id: int
    lan_networks: tuple[Network, ...] = ()
    wan_address: Address | None = None
    wan_address6: Address | None = None
    auth: str | None = None
    psk: Secret | None = None
    ike_id: str | None = None
    transit: Network | None = None
    transit_v6: Network | None = None
    reqid: int | None = None
    unit: int | None = None
    proposals: tuple[str, ...] | None = None
    esp_proposals: tuple[str, ...] | None = None
    mtu: int | None = None
    transit_pool: Network = POOL
    transit_pool_v6: Network | None = None
    branch_to_branch: bool = True
    routing: str | None = None
    routing_key: Secret | None = None
    asn: int | None = None
    bgp: Mapping[str, t.Any] | None = None
    ospf: Mapping[str, t.Any] | None = None
    bfd: Mapping[str, t.Any] | None = None

    @property
    def connection(self) -> str:
        """The name that the other end gives to the tunnel to this site."""
        return re.sub(r"[^A-Za-z0-9_-]", "_", self.name)

    @property
    def assignment(self) -> str:
        """The name that the hub gives to the interface towards this site."""
        return ("VTI_" + re.sub(r"[^A-Z0-9]", "_", self.name.upper()))[:ASSIGNMENT_LENGTH]

    def outer(self, version: int) -> Address | None:
        candidates = (self.wan_address, self.wan_address6)
        return next((item for item in candidates if item is not None and item.version == version), None)


@dataclasses.dataclass(frozen=True)
class Transit:
    """The network on a tunnel for one address family."""

    network: Network

    @property
    def hub(self) -> Address:
        return self.network.network_address + 1

    @property
    def branch(self) -> Address:
        return self.network.network_address + 2


@dataclasses.dataclass(frozen=True)
class Link:
    """The tunnel between a hub and a branch: all that both ends must agree on. Addresses are hub's, then branch's."""

    hub: Site
    branch: Site
    outer: tuple[Address, Address]
    transits: tuple[Transit, ...]
    unit: int
    reqid: int

    @property
    def routing(self) -> str:
        return _routing(self.hub, self.branch)

    @property
    def auth(self) -> str:
        return self.branch.auth or self.hub.auth or "psk"


# --- from records ---------------------------------------------------------------------------------------------------


def site(record: Mapping[str, t.Any]) -> Site:
    """Check a record, whose keys are named as Site's fields, and make a site of it."""
    name = str(record.get("name") or "")
    if not re.match(r"[A-Za-z0-9]", name) or not name.isprintable():
        raise InvalidOption(f"name: {name!r} cannot name a site; begin with a letter or digit")
    unknown = sorted(set(record) - {field.name for field in dataclasses.fields(Site)})
    if unknown:
        raise _invalid(name, unknown[0], "is no key of a site record")
    if record.get("site_id") is None:
        raise _invalid(name, "site_id", "required; a number that the site keeps for life")
    fields: dict[str, t.Any] = {
        key: _READERS[key](name, key, value)
        for key, value in record.items()
        if key in _READERS and value is not None and value != ""
    }
    found = Site(name=name, **fields)
    if len(found.connection) + len(_SECOND_FAMILY) > NAME_LENGTH:
        raise _invalid(name, "name", f"longer than {NAME_LENGTH - len(_SECOND_FAMILY)} characters; set vti_site_name")
    return found


def _invalid(name: str, key: str, why: str) -> InvalidOption:
    return InvalidOption(f"site {name}: {key}: {why}")


def _number(low: int, high: int) -> Callable[[str, str, t.Any], int]:
    def read(name: str, key: str, value: t.Any) -> int:
        return reading.number(f"site {name}: {key}", value, low, high)

    return read


def _address(name: str, key: str, value: t.Any) -> Address:
    return reading.address(f"site {name}: {key}", value, "; both ends of a tunnel need a fixed one")


def _address6(name: str, key: str, value: t.Any) -> Address:
    address = _address(name, key, value)
    if address.version != 6:
        raise _invalid(name, key, f"{address} is no IPv6 address")
    return address


def _network(name: str, key: str, value: t.Any) -> Network:
    return reading.network(f"site {name}: {key}", value)


def _network_of(version: int) -> Callable[[str, str, t.Any], Network]:
    def read(name: str, key: str, value: t.Any) -> Network:
        network = reading.network(f"site {name}: {key}", value, version)
        if network.prefixlen > _TRANSIT_PREFIX[version]:
            raise _invalid(name, key, f"{network} is smaller than a /{_TRANSIT_PREFIX[version]}")
        return network

    return read


def _transit_of(version: int) -> Callable[[str, str, t.Any], Network]:
    def read(name: str, key: str, value: t.Any) -> Network:
        network = _network_of(version)(name, key, value)
        if network.prefixlen != _TRANSIT_PREFIX[version]:
            raise _invalid(name, key, f"{network} is no /{_TRANSIT_PREFIX[version]}")
        return network

    return read


def _networks(name: str, key: str, value: t.Any) -> tuple[Network, ...]:
    return tuple(_network(name, key, item) for item in _items(name, key, value))


def _strings(name: str, key: str, value: t.Any) -> tuple[str, ...]:
    return tuple(str(item) for item in _items(name, key, value))


def _items(name: str, key: str, value: t.Any) -> list[t.Any]:
    return reading.items(f"site {name}: {key}", value)


def _secret(name: str, key: str, value: t.Any) -> Secret:
    if not isinstance(value, str):
        raise _invalid(name, key, "must be text; quote it")
    return Secret(value)


def _text(name: str, key: str, value: t.Any) -> str:
    return str(value)


def _flag(name: str, key: str, value: t.Any) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if str(value).lower() not in words:
        raise _invalid(name, key, f"{value!r} is neither true nor false")
    return words[str(value).lower()]


def _settings(name: str, key: str, value: t.Any) -> Mapping[str, t.Any]:
    if not hasattr(value, "items"):
        raise _invalid(name, key, "must be a dictionary")
    return t.cast("Mapping[str, t.Any]", value)


def _auth(name: str, key: str, value: t.Any) -> str:
    return reading.choice(f"site {name}: {key}", value, ("psk", "pubkey"))


def _spoken(name: str, key: str, value: t.Any) -> str:
    return routers.routing(f"site {name}: {key}", value)


_READERS: dict[str, Callable[[str, str, t.Any], t.Any]] = {
    "site_id": _number(*SITE_ID),
    "lan_networks": _networks,
    "wan_address": _address,
    "wan_address6": _address6,
    "auth": _auth,
    "psk": _secret,
    "ike_id": _text,
    "transit": _transit_of(4),
    "transit_v6": _transit_of(6),
    "reqid": _number(*REQID),
    "unit": _number(*UNIT),
    "proposals": _strings,
    "esp_proposals": _strings,
    "mtu": _number(1280, 8192),
    "transit_pool": _network_of(4),
    "transit_pool_v6": _network_of(6),
    "branch_to_branch": _flag,
    "routing": _spoken,
    "routing_key": _secret,
    "asn": _number(*frr.ASN),
    "bgp": _settings,
    "ospf": _settings,
    "bfd": _settings,
}
KEYS = tuple(_READERS)
"""The keys of a site record besides its name."""
SECRETS = ("psk", "routing_key")
"""Those of them that are nobody else's business."""


# --- one tunnel -----------------------------------------------------------------------------------------------------


def link(hub: Site, branch: Site) -> Link:
    """Settle the tunnel between a hub and a branch."""
    return Link(
        hub=hub,
        branch=branch,
        outer=_outer(hub, branch),
        transits=_transits(hub, branch),
        unit=branch.site_id if branch.unit is None else branch.unit,
        reqid=branch.reqid or REQID_OFFSET + branch.site_id,
    )


def _outer(hub: Site, branch: Site) -> tuple[Address, Address]:
    """The addresses that ESP goes between: IPv4 where both have it, else IPv6."""
    for end in (hub, branch):
        if end.wan_address is None and end.wan_address6 is None:
            raise _invalid(end.name, "wan_address", "required for the tunnel")
    for version in (4, 6):
        ours, theirs = hub.outer(version), branch.outer(version)
        if ours is not None and theirs is not None:
            return ours, theirs
    raise InvalidOption(
        f"sites {hub.name} and {branch.name}: wan_address: one has IPv4 only and the other IPv6 only; "
        f"give both an address of one family"
    )


def _transits(hub: Site, branch: Site) -> tuple[Transit, ...]:
    first = branch.transit or _from_pool(hub, "transit_pool", hub.transit_pool, branch)
    second = branch.transit_v6
    if second is None and hub.transit_pool_v6 is not None:
        second = _from_pool(hub, "transit_pool_v6", hub.transit_pool_v6, branch)
    return (Transit(first),) if second is None else (Transit(first), Transit(second))


def _from_pool(hub: Site, key: str, pool: Network, branch: Site) -> Network:
    length = _TRANSIT_PREFIX[pool.version]
    room = 1 << (length - pool.prefixlen)
    if branch.site_id >= room:
        raise _invalid(
            branch.name,
            "site_id",
            f"{branch.site_id} is beyond {key} {pool} of site {hub.name}, which ends with {room - 1}; "
            f"use a larger pool or a smaller id",
        )
    first = int(pool.network_address) + (branch.site_id << (pool.max_prefixlen - length))
    return type(pool)((first, length))


def hub_end(tunnel: Link) -> Tunnels:
    """The hub answers: what a branch loses, the branch brings back."""
    hub, branch = tunnel.hub, tunnel.branch
    inner = [(transit.network, transit.hub, transit.branch) for transit in tunnel.transits]
    return {
        "phase1": [_phase1(tunnel, hub, branch, tunnel.outer)],
        "phase2": _phase2(tunnel, branch, inner, WAITS),
        "assignments": [{"phase2": branch.connection, "name": branch.assignment}],
        "static_routes": _routes(branch, branch.assignment, tunnel) if tunnel.routing == "static" else [],
    }


def branch_end(tunnel: Link, others: Iterable[Site] = ()) -> Tunnels:
    """The branch starts the tunnel, and again when it ends. ``others``: branches reached through the hub."""
    hub, branch = tunnel.hub, tunnel.branch
    inner = [(transit.network, transit.branch, transit.hub) for transit in tunnel.transits]
    beyond = list(others) if hub.branch_to_branch else []
    ways = (hub, *beyond) if tunnel.routing == "static" else ()
    return {
        "phase1": [_phase1(tunnel, branch, hub, tunnel.outer[::-1])],
        "phase2": _phase2(tunnel, hub, inner, STARTS),
        "assignments": [{"phase2": hub.connection, "name": "VTI_HQ"}],
        "static_routes": [route for far in ways for route in _routes(far, "VTI_HQ", tunnel)],
    }


def _phase1(tunnel: Link, near: Site, far: Site, outer: tuple[Address, Address]) -> dict[str, t.Any]:
    return _given(
        name=far.connection,
        description=f"{tunnel.hub.name} - {tunnel.branch.name}",
        local_addrs=[str(outer[0])],
        remote_addrs=[str(outer[1])],
        **(_certified(near, far) if tunnel.auth == "pubkey" else _keyed(tunnel.branch, near, far)),
        proposals=_agreed(tunnel, "proposals"),
        keyingtries=0,
    )


def _keyed(branch: Site, near: Site, far: Site) -> dict[str, t.Any]:
    if branch.psk is None:
        raise _invalid(branch.name, "psk", "required; every branch has its own pre-shared key")
    return {"local_id": near.ike_id, "remote_id": far.ike_id, "psk": branch.psk.reveal()}


def _certified(near: Site, far: Site) -> dict[str, t.Any]:
    """With the certificates that the role pki makes; strongSwan finds the one of this end by its identity."""
    return {
        "auth": "pubkey",
        "local_id": identities.of_site(near.name, near.ike_id),
        "remote_id": identities.of_site(far.name, far.ike_id),
        "remote_cacerts": [identities.FILE],
    }


def _phase2(
    tunnel: Link, far: Site, inner: list[tuple[Network, Address, Address]], actions: dict[str, str]
) -> list[dict[str, t.Any]]:
    """One per family; they share the CHILD SA and the interface, so all but the addresses is equal."""
    return [
        _given(
            name=far.connection + suffix,
            phase1=far.connection,
            description=f"VTI to {far.name}",
            local_address=f"{local}/{network.prefixlen}",
            remote_address=str(remote),
            reqid=tunnel.reqid,
            unit=tunnel.unit,
            esp_proposals=_agreed(tunnel, "esp_proposals"),
            mtu=_agreed(tunnel, "mtu"),
            **actions,
        )
        for suffix, (network, local, remote) in zip(("", _SECOND_FAMILY), inner, strict=False)
    ]


def _agreed(tunnel: Link, key: str) -> t.Any:
    value = getattr(tunnel.branch, key)
    value = getattr(tunnel.hub, key) if value is None else value
    return list(value) if isinstance(value, tuple) else value


def _given(**options: t.Any) -> dict[str, t.Any]:
    return {name: value for name, value in options.items() if value is not None}


def _reachable(far: Site, tunnel: Link) -> None:
    families = {transit.network.version for transit in tunnel.transits}
    for network in far.lan_networks:
        if network.version not in families:
            raise InvalidOption(
                f"site {far.name}: lan_networks: {network} cannot be reached, the tunnel between {tunnel.hub.name} and "
                f"{tunnel.branch.name} has no IPv6; give {tunnel.hub.name} a transit_pool_v6"
            )


def _routes(far: Site, assignment: str, tunnel: Link) -> list[dict[str, t.Any]]:
    _reachable(far, tunnel)
    return [
        {"name": route_name(far, network), "network": str(network), "gateway": f"{assignment}_VTIV{network.version}"}
        for network in far.lan_networks
    ]


def route_name(far: Site, network: Network) -> str:
    """A name made of site and network, stable as long as these are; with digits of a hash where it is too long."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", f"{far.name}_{network}")
    if len(name) <= NAME_LENGTH:
        return name
    digest = hashlib.sha256(f"{far.name} {network}".encode()).hexdigest()[:12]
    return f"{name[: NAME_LENGTH - len(digest) - 1]}_{digest}"


# --- all tunnels of a site --------------------------------------------------------------------------------------------


def hub_tunnels(hub_record: Mapping[str, t.Any], branch_records: Iterable[Mapping[str, t.Any]]) -> Tunnels:
    """All that vti_site takes at the hub."""
    hub = site(hub_record)
    branches = [site(record) for record in branch_records]
    check([hub, *branches], hub)
    links = [link(hub, branch) for branch in branches]
    _check_links(links)
    return _joined(hub_end(tunnel) for tunnel in links)


def branch_tunnels(
    branch_record: Mapping[str, t.Any],
    hub_record: Mapping[str, t.Any],
    other_records: Iterable[Mapping[str, t.Any]] = (),
) -> Tunnels:
    """All that vti_site takes at a branch; of the other branches no more than id, name and LAN networks is needed."""
    hub, branch = site(hub_record), site(branch_record)
    others = [other for other in map(site, other_records) if other.name != branch.name]
    check([hub, branch, *others], hub)
    tunnel = link(hub, branch)
    return _joined([branch_end(tunnel, others)])


def hub_router(hub_record: Mapping[str, t.Any], branch_records: Iterable[Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """The description for FRR at the hub; empty without a tunnel that needs it."""
    hub = site(hub_record)
    branches = [site(record) for record in branch_records]
    check([hub, *branches], hub)
    edges = [_edge(_node(hub, hub), link(hub, branch)) for branch in branches]
    return routers.descriptions(edges, _common(hub), hub.name).get(hub.name, {})


def branch_router(
    branch_record: Mapping[str, t.Any],
    hub_record: Mapping[str, t.Any],
    other_records: Iterable[Mapping[str, t.Any]] = (),
) -> dict[str, t.Any]:
    """The description for FRR at a branch; empty where its tunnel does not need it."""
    hub, branch = site(hub_record), site(branch_record)
    others = [other for other in map(site, other_records) if other.name != branch.name]
    check([hub, branch, *others], hub)
    if _routing(hub, branch) == "static":
        return {}
    node = _node(hub, hub)
    edge = _edge(node, link(hub, branch))
    # Of their tunnels nothing matters here but that they are there.
    beyond = [
        dataclasses.replace(edge, nodes=(node, _node(other, hub)), routing=_routing(hub, other)) for other in others
    ]
    return routers.descriptions([edge, *beyond], _common(hub), branch.name).get(branch.name, {})


def _routing(hub: Site, branch: Site) -> str:
    return branch.routing or hub.routing or "static"


def _common(hub: Site) -> routers.Settings:
    return routers.settings(hub.bgp, hub.ospf, hub.bfd, branch_to_branch=hub.branch_to_branch)


def _node(one: Site, hub: Site) -> routers.Node:
    return routers.Node(one.name, one.site_id, one.lan_networks, hub=one is hub, spoke=one is not hub, asn=one.asn)


def _edge(hub: routers.Node, tunnel: Link) -> routers.Edge:
    if tunnel.routing != "static":
        _reachable(tunnel.branch, tunnel)
        _reachable(tunnel.hub, tunnel)
    return routers.Edge(
        nodes=(hub, _node(tunnel.branch, tunnel.hub)),
        tunnel=1,
        rank=0,
        routing=tunnel.routing,
        units=(tunnel.unit, tunnel.unit),
        outer=tunnel.outer,
        transits=tuple(transit.network for transit in tunnel.transits),
        mtu=_agreed(tunnel, "mtu"),
        key=tunnel.branch.routing_key.reveal() if tunnel.branch.routing_key else None,
    )


def _joined(ends: Iterable[Tunnels]) -> Tunnels:
    joined: Tunnels = {"phase1": [], "phase2": [], "assignments": [], "static_routes": []}
    for end in ends:
        for option, items in end.items():
            joined[option] += items
    for option in ("phase2", "static_routes"):
        names = [item["name"] for item in joined[option]]
        twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
        if twice:
            raise InvalidOption(f"{option}: two of them would be named {twice}; give one site another vti_site_name")
    return joined


# --- what cannot work -------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Claim:
    """Addresses that a site has, and what for."""

    network: Network
    site: str
    what: str

    def __str__(self) -> str:
        single = self.network.prefixlen == self.network.max_prefixlen and self.what.startswith("wan")
        return f"{self.what} {self.network.network_address if single else self.network}"


def tunnels_to(tunnels: Mapping[str, t.Any], names: Collection[str]) -> Tunnels:
    """What belongs to some phase 1 of a gateway, by their names."""
    phase2 = [item for item in tunnels["phase2"] if item["phase1"] in names]
    children = {item["name"] for item in phase2}
    assignments = [item for item in tunnels["assignments"] if item["phase2"] in children]
    gateways = {f"{item['name']}_VTIV{version}" for item in assignments for version in (4, 6)}
    return {
        "phase1": [item for item in tunnels["phase1"] if item["name"] in names],
        "phase2": phase2,
        "assignments": assignments,
        "static_routes": [item for item in tunnels["static_routes"] if item.get("gateway") in gateways],
    }


def check(sites: Iterable[Site], hub: Site) -> None:
    """Refuse sites that get in each other's way, naming both. ``sites`` are the hub and its branches."""
    sites = list(sites)
    for key in ("name", "site_id", "wan_address", "wan_address6"):
        _unique([one for one in sites if getattr(one, key) is not None], key, operator.attrgetter(key))
    branches = [one for one in sites if one is not hub]
    _unique(branches, "name", operator.attrgetter("assignment"), "both would be assigned as")
    _check_apart(claim for one in sites for claim in _claims(one, hub))


def _check_links(links: list[Link]) -> None:
    """Refuse tunnels that would meet at the hub; only overriding what follows from the site id makes that possible."""
    for key in ("unit", "reqid"):
        taken: dict[int, Link] = {}
        for tunnel in links:
            other = taken.setdefault(getattr(tunnel, key), tunnel)
            if other is not tunnel:
                raise InvalidOption(
                    f"sites {other.branch.name} and {tunnel.branch.name}: {key}: both would have {getattr(tunnel, key)}"
                )
    _check_apart(
        _Claim(transit.network, tunnel.branch.name, "transit network")
        for tunnel in links
        for transit in tunnel.transits
    )


def _unique(sites: Iterable[Site], key: str, value: Callable[[Site], Hashable], complaint: str = "both have") -> None:
    taken: dict[Hashable, Site] = {}
    for one in sites:
        other = taken.setdefault(value(one), one)
        if other is not one:
            raise InvalidOption(
                f"sites {other.name} and {one.name}: {key}: {complaint} {value(one)}; give one of them another"
            )


def _claims(one: Site, hub: Site) -> Iterator[_Claim]:
    for network in one.lan_networks:
        yield _Claim(network, one.name, "LAN network")
    for key in ("wan_address", "wan_address6"):
        address = getattr(one, key)
        if address is not None:
            yield _Claim(ipaddress.ip_network(address), one.name, key)
    pools = [pool for pool in (hub.transit_pool, hub.transit_pool_v6) if pool is not None]
    if one is hub:
        for pool in pools:
            yield _Claim(pool, one.name, "transit_pool" if pool.version == 4 else "transit_pool_v6")
    for key in ("transit", "transit_v6"):
        network = getattr(one, key)
        # Inside the pool the transit networks are compared with each other.
        if network is not None and not any(network.overlaps(pool) for pool in pools):
            yield _Claim(network, one.name, key)


def _check_apart(claims: Iterable[_Claim]) -> None:
    for (_outer, one), (_inner, other) in nested((claim.network, claim) for claim in claims):
        sites = f"site {one.site}" if one.site == other.site else f"sites {one.site} and {other.site}"
        raise InvalidOption(f"{sites}: {one} of {one.site} overlaps {other} of {other.site}")
