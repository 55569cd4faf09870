# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every gateway of a fleet needs, from one description of its sites and links. Pure; runs on the controller.

The description is a mapping with the options of the inventory plugin topology. Work and memory grow with the number of
sites plus links plus routes; what overlaps is found by sorting.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import json
import operator
import re
import typing as t

from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.assignment.state import (
    NAME_LENGTH as ASSIGNMENT_LENGTH,
)
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.declared import NAME_LENGTH
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.phase1 import state as phase1_state
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.phase2 import state as phase2_state

from . import identities, numbers, reading, routers
from . import links as links_module

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from .links import Address, Network, Tunnels

ROUTES = 1_000_000
"""Most routes of all branches to each other; summaries take their place in a larger fleet."""
_PREFIXES = {"prefix": (30, 31), "prefix_v6": (64, 127)}
_SECOND_FAMILY = "-v6"
_SITE_KEYS = (
    *("id", "wan", "wan_address", "wan_address6", "lans", "ike_id", "region", "platform", "external"),
    *("hubs", "slot", "transit_pool", "transit_pool_v6", "asn", "state", "formerly"),
)
_STATES = ("present", "absent")
_LINK_KEYS = (
    *("sites", "tunnel", "wan", "starts", "psk", "transit", "transit_v6", "unit", "reqid", "phase1", "phase2"),
    *("routing", "routing_key"),
)
_POOL_KEYS = ("transit", "transit_v6", "links", "links_v6", *_PREFIXES)
_DERIVED = {
    "phase1": {"name", "description", "local_addrs", "remote_addrs", "local_id", "remote_id", "psk"},
    "phase2": {
        *("name", "description", "phase1", "local_address", "remote_address", "reqid", "unit"),
        *("start_action", "close_action", "dpd_action"),
    },
}
_KNOWN = {"phase1": phase1_state.ARGUMENTS, "phase2": phase2_state.ARGUMENTS}
_FIXED = "; both ends of a tunnel need a fixed one"


@dataclasses.dataclass(frozen=True)
class Wan:
    """An uplink of a site."""

    name: str
    addresses: tuple[Address, ...]

    def address(self, version: int) -> Address | None:
        return next((item for item in self.addresses if item.version == version), None)


@dataclasses.dataclass(frozen=True)
class Site:
    """A gateway and what is behind it. ``slot``: of a hub, the lane that the tunnels of its spokes have.

    absent: it goes, or is gone; only its id is still taken.
    """

    name: str
    id: int
    wans: tuple[Wan, ...]
    lans: tuple[Network, ...]
    connection: str
    assignment: str
    ike_id: str | None = None
    region: str | None = None
    platform: str | None = None
    external: bool = False
    hubs: tuple[str, ...] | None = None
    slot: int = 1
    transit_pool: Network | None = None
    transit_pool_v6: Network | None = None
    asn: int | None = None
    absent: bool = False

    @functools.cached_property
    def routes(self) -> tuple[tuple[str, str, int], ...]:
        """Of each network behind it, the name of a route there, its text, and its version."""
        named = links_module.Site(name=self.name, site_id=self.id)
        return tuple((links_module.route_name(named, lan), str(lan), lan.version) for lan in self.lans)


@dataclasses.dataclass(frozen=True)
class End:
    """One end of a link. ``number`` is its local number."""

    site: Site
    outer: Address
    unit: int
    reqid: int
    starts: bool


@dataclasses.dataclass(frozen=True)
class Link:
    """A tunnel. Its first end has the first address of each transit network.

    rank: of a hub among those of the spoke, 0 for the first one. routing_key: a template, as psk.
    """

    name: str
    tunnel: int
    ends: tuple[End, End]
    transits: tuple[Network, ...]
    psk: str
    phase1: Mapping[str, t.Any]
    phase2: Mapping[str, t.Any]
    rank: int = 0
    routing: str = "static"
    routing_key: str | None = None

    @property
    def suffix(self) -> str:
        """What tells the second tunnel of two sites from their first."""
        return "" if self.tunnel == 1 else str(self.tunnel)

    @functools.cached_property
    def outer(self) -> tuple[str, str]:
        """The texts of the addresses that ESP goes between, by end."""
        return str(self.ends[0].outer), str(self.ends[1].outer)

    @functools.cached_property
    def inner(self) -> tuple[tuple[str, str], ...]:
        """The texts of both addresses, by end, for each transit network."""
        found = (numbers.ends(network) for network in self.transits)
        return tuple((str(first), str(second)) for first, second in found)


@dataclasses.dataclass(frozen=True)
class Fleet:
    """The result, by the name of a site that is ours.

    tunnels: the lists for vti_site. routers: descriptions for FRR, of sites whose tunnels are not all static.
    neighbors: of each site's links, the link's name, the far site and the phase 1 that it is at this end; where that is
    not ours, also the routing and the networks that it routes to us.
    """

    sites: dict[str, Site]
    hubs: tuple[str, ...]
    spokes: tuple[str, ...]
    links: tuple[Link, ...]
    tunnels: dict[str, Tunnels]
    routers: dict[str, dict[str, t.Any]]
    neighbors: dict[str, list[dict[str, t.Any]]]


def build(description: Mapping[str, t.Any]) -> Fleet:
    """Settle everything, or refuse with InvalidOption."""
    return _Builder(description).fleet()


# --- reading ----------------------------------------------------------------------------------------------------------


def _site(name: str, record: t.Any) -> Site:
    where = f"site {name}"
    known = {key: value for key, value in reading.known(where, record, _SITE_KEYS).items() if value is not None}
    # What is made of these ends up in variables, where braces would make a template of it.
    if not re.match(r"[A-Za-z0-9]", name) or not name.isprintable() or "{" in name:
        raise InvalidOption(f"{where}: cannot name a site; begin with a letter or digit, and use no braces")
    if "{" in str(known.get("ike_id")):
        raise InvalidOption(f"{where}: ike_id: {known['ike_id']!r}: use no braces")
    if "id" not in known:
        raise InvalidOption(f"{where}: id: required; a number that the site keeps for life, or a file of allocations")
    number = reading.number(f"{where}: id", known["id"], *numbers.SITE_ID)
    named = links_module.Site(name=name, site_id=number)
    if len(named.connection) + len(_SECOND_FAMILY) + 2 > NAME_LENGTH:
        raise InvalidOption(f"{where}: longer than {NAME_LENGTH - len(_SECOND_FAMILY) - 2} characters")
    pools = {
        key: reading.network(f"{where}: {key}", known[key], version)
        for key, version in (("transit_pool", 4), ("transit_pool_v6", 6))
        if key in known
    }
    return Site(
        name=name,
        id=number,
        wans=_wans(where, known),
        lans=tuple(
            reading.network(f"{where}: lans", item) for item in reading.items(f"{where}: lans", known.get("lans"))
        ),
        connection=named.connection,
        assignment=named.assignment,
        ike_id=str(known["ike_id"]) if "ike_id" in known else None,
        region=_word(where, "region", known.get("region")),
        platform=_word(where, "platform", known.get("platform")),
        external=reading.flag(f"{where}: external", known.get("external", False)),
        hubs=tuple(map(str, reading.items(f"{where}: hubs", known["hubs"]))) if "hubs" in known else None,
        slot=reading.number(f"{where}: slot", known.get("slot", 1), 1, numbers.LANES),
        asn=routers.asn(f"{where}: asn", known["asn"]) if "asn" in known else None,
        absent=reading.choice(f"{where}: state", known.get("state", "present"), _STATES) == "absent",
        **pools,
    )


def _word(where: str, key: str, value: t.Any) -> str | None:
    """Part of a group's name."""
    if value is not None and not re.fullmatch(r"[A-Za-z0-9_]+", str(value)):
        raise InvalidOption(f"{where}: {key}: {value!r} becomes part of a group's name; use letters, digits and '_'")
    return None if value is None else str(value)


def _wans(where: str, known: Mapping[str, t.Any]) -> tuple[Wan, ...]:
    """Uplinks in the order given; a single one may be given as a dictionary, or by its addresses alone."""
    given = known.get("wan")
    records = [given] if hasattr(given, "items") else reading.items(f"{where}: wan", given)
    plain = {key[4:]: known[key] for key in ("wan_address", "wan_address6") if key in known}
    if plain and records:
        raise InvalidOption(f"{where}: wan: give this or wan_address, not both")
    wans: dict[str, Wan] = {}
    for index, item in enumerate(records or ([plain] if plain else []), 1):
        record = reading.known(f"{where}: wan", item, ("name", "address", "address6"))
        addresses: list[Address] = []
        for key, version in (("address", None), ("address6", 6)):
            if record.get(key) is None:
                continue
            address = reading.address(f"{where}: wan: {key}", record[key], _FIXED)
            if version not in (None, address.version) or address.version in {one.version for one in addresses}:
                raise InvalidOption(f"{where}: wan: {key}: {address} is not of the family expected here")
            addresses.append(address)
        wan = Wan(str(record.get("name") or f"wan{index}"), tuple(addresses))
        if wans.setdefault(wan.name, wan) is not wan:
            raise InvalidOption(f"{where}: wan: two of them are named {wan.name}")
    return tuple(wans.values())


def _template(where: str, option: str, link: str, template: t.Any) -> str:
    if not isinstance(template, str) or "{{" not in template:
        raise InvalidOption(f"{where}: {option}: must be a template; keep the keys themselves in a vault")
    return "{% set link = " + json.dumps(link, ensure_ascii=False) + " %}" + template


def _options(where: str, record: Mapping[str, t.Any], option: str) -> Mapping[str, t.Any]:
    return reading.known(f"{where}: {option}", record.get(option), set(_KNOWN[option]) - _DERIVED[option])


# --- building ---------------------------------------------------------------------------------------------------------


class _Builder:
    """Reads a description once, and makes links of it."""

    def __init__(self, description: Mapping[str, t.Any]) -> None:
        self.sites = {
            str(name): _site(str(name), record)
            for name, record in reading.known("sites", description.get("sites"), description.get("sites") or ()).items()
        }
        self.absent = frozenset(name for name, site in self.sites.items() if site.absent)
        self.hubs = self._names("hubs", description.get("hubs"))
        self.spokes = self._names("spokes", description.get("spokes"))
        self.mesh = self._names("mesh", description.get("mesh"))
        self._spoke_names = frozenset(self.spokes)
        both = set(self.hubs) & set(self.spokes)
        if both:
            raise InvalidOption(f"spokes: site {min(both)} is one of the hubs; a site is a hub or a spoke")
        self.records = [
            reading.known("links", item, _LINK_KEYS) for item in reading.items("links", description.get("links"))
        ]
        self._read_pools(reading.known("pools", description.get("pools"), _POOL_KEYS))
        defaults = reading.known("defaults", description.get("defaults"), _KNOWN)
        self.defaults = {option: _options("defaults", defaults, option) for option in _KNOWN}
        self.summaries = [
            reading.network("summaries", item) for item in reading.items("summaries", description.get("summaries"))
        ]
        self.branch_to_branch = reading.flag("branch_to_branch", description.get("branch_to_branch", True))
        self.routing = routers.routing("routing", description.get("routing") or "static")
        self.routing_key = description.get("routing_key")
        self.settings = routers.settings(
            description.get("bgp"),
            description.get("ospf"),
            description.get("bfd"),
            branch_to_branch=self.branch_to_branch,
            summaries=self.summaries,
        )
        self.psk = description.get("psk")
        self.psk_variable = str(description.get("psk_variable") or "vti_psks")
        if not self.psk_variable.isidentifier():
            raise InvalidOption(f"psk_variable: {self.psk_variable!r} is no name of a variable")

    def _names(self, option: str, value: t.Any) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(map(str, reading.items(option, value))))
        for name in names:
            self._find(option, name)
        return tuple(name for name in names if name not in self.absent)

    def _find(self, where: str, name: t.Any) -> Site:
        if str(name) not in self.sites:
            raise InvalidOption(f"{where}: there is no site {name}")
        return self.sites[str(name)]

    def _read_pools(self, given: Mapping[str, t.Any]) -> None:
        self.prefixes = {}
        for version, (key, choices) in zip((4, 6), _PREFIXES.items(), strict=True):
            self.prefixes[version] = reading.number(f"pools: {key}", given.get(key, choices[0]), 0, 128)
            if self.prefixes[version] not in choices:
                raise InvalidOption(f"pools: {key}: must be {choices[0]} or {choices[1]}")
        self.pools = {
            key: reading.network(f"pools: {key}", given[key], 6 if key.endswith("_v6") else 4)
            for key in ("transit", "transit_v6", "links", "links_v6")
            if given.get(key) is not None
        }
        self.pools.setdefault("transit", links_module.POOL)

    def fleet(self) -> Fleet:
        self._check_sites()
        links = tuple(self._links())
        self._check_links(links)
        tunnels: dict[str, Tunnels] = {
            name: {"phase1": [], "phase2": [], "assignments": [], "static_routes": []}
            for name, site in self.sites.items()
            if not site.external and not site.absent
        }
        neighbors: dict[str, list[dict[str, t.Any]]] = {name: [] for name in tunnels}
        for link in links:
            for ours, theirs in (link.ends, link.ends[::-1]):
                if not ours.site.external:
                    _add_end(tunnels[ours.site.name], link, ours, theirs)
                    neighbors[ours.site.name].append(_neighbor(link, ours, theirs))
        self._route(links, tunnels, neighbors)
        for name, options in tunnels.items():
            _check_names(name, options)
        return Fleet(self.sites, self.hubs, self.spokes, links, tunnels, self._routers(links, tunnels), neighbors)

    # --- links ---

    def _hubs_of(self, spoke: Site) -> tuple[str, ...]:
        if spoke.hubs is None:
            return self.hubs
        hubs = tuple(name for name in spoke.hubs if name not in self.absent)
        for name in hubs:
            if name not in self.hubs:
                raise InvalidOption(f"site {spoke.name}: hubs: {name} is no hub")
        return hubs

    def _links(self) -> Iterator[Link]:
        """Hubs and spokes, then the mesh, then those given; what is given of one of the former changes that one."""
        wanted: dict[tuple[frozenset[str], int], tuple[Site, Site, Mapping[str, t.Any]]] = {}
        for name in self.spokes:
            for hub in self._hubs_of(self.sites[name]):
                wanted[frozenset((hub, name)), 1] = self.sites[hub], self.sites[name], {}
        for index, one in enumerate(self.mesh):
            for other in self.mesh[index + 1 :]:
                wanted.setdefault((frozenset((one, other)), 1), (*self._ordered(one, other), {}))
        given = set()
        for record in self.records:
            names = reading.items("links: sites", record.get("sites"))
            where = f"links: {' and '.join(map(str, names))}"
            if len(names) != 2 or names[0] == names[1]:
                raise InvalidOption(f"{where}: sites: give the names of two sites")
            first, second = self._ordered(*(self._find(where, name).name for name in names))
            tunnel = reading.number(f"{where}: tunnel", record.get("tunnel", 1), 1, numbers.LANES)
            key = frozenset((first.name, second.name)), tunnel
            if key in given:
                raise InvalidOption(f"{where}: tunnel {tunnel} is there twice; give one of them another number")
            given.add(key)
            if not first.absent and not second.absent:
                wanted[key] = first, second, record
        for key, (first, second, record) in wanted.items():
            yield self._link(first, second, key[1], record)

    def _ordered(self, one: str, other: str) -> tuple[Site, Site]:
        """A spoke's hub is the first end, else the site with the lower id is."""
        low, high = sorted((self.sites[one], self.sites[other]), key=operator.attrgetter("id"))
        return (high, low) if self._is_hub_of(high, low) else (low, high)

    def _is_hub_of(self, hub: Site, spoke: Site) -> bool:
        return spoke.name in self._spoke_names and hub.name in self._hubs_of(spoke)

    def _link(self, first: Site, second: Site, tunnel: int, record: Mapping[str, t.Any]) -> Link:
        where = f"link of {first.name} and {second.name}"
        units = [reading.number(f"{where}: unit", record["unit"], *phase2_state.UNIT)] * 2 if "unit" in record else None
        units = units or self._units(where, first, second, tunnel)
        reqids = [phase2_state.REQID_OFFSET + unit for unit in units]
        if "reqid" in record:
            reqids = [reading.number(f"{where}: reqid", record["reqid"], *phase2_state.REQID)] * 2
        elif max(reqids) > phase2_state.REQID[1]:
            raise InvalidOption(
                f"{where}: unit {max(units)} leaves no reqid; give the link one, or a site a smaller id"
            )
        starter = str(record.get("starts", second.name))
        if starter not in (first.name, second.name, "both"):
            raise InvalidOption(f"{where}: starts: {starter!r} is neither one of them nor both")
        ends = [
            End(site, outer, unit, reqid, starter in (site.name, "both"))
            for site, outer, unit, reqid in zip(
                (first, second), self._outer(where, first, second, record), units, reqids, strict=True
            )
        ]
        name = f"{first.name}--{second.name}" + (f"--{tunnel}" if tunnel > 1 else "")
        return Link(
            name=name,
            tunnel=tunnel,
            ends=(ends[0], ends[1]),
            transits=tuple(self._transits(where, first, second, tunnel, record)),
            psk=self._key(where, name, record.get("psk", self.psk)),
            phase1={**self.defaults["phase1"], **_options(where, record, "phase1")},
            phase2={**self.defaults["phase2"], **_options(where, record, "phase2")},
            rank=self._hubs_of(second).index(first.name) if self._is_hub_of(first, second) else 0,
            routing=self._spoken(where, first, second, record),
            routing_key=self._routing_key(where, name, record.get("routing_key", self.routing_key)),
        )

    def _spoken(self, where: str, first: Site, second: Site, record: Mapping[str, t.Any]) -> str:
        """Who configures a site that is not ours has to be asked first."""
        if record.get("routing") is not None:
            return routers.routing(f"{where}: routing", record["routing"])
        return "static" if first.external or second.external else self.routing

    def _units(self, where: str, first: Site, second: Site, tunnel: int) -> list[int]:
        """Of a hub and its spoke the same at both ends; else each end has the other's."""
        if not self._is_hub_of(first, second):
            return [numbers.laned(second.id, tunnel), numbers.laned(first.id, tunnel)]
        lane = first.slot + tunnel - 1
        if lane > numbers.LANES:
            raise InvalidOption(
                f"{where}: tunnel {tunnel} of a hub with slot {first.slot} is more than {numbers.LANES} lanes"
            )
        return [numbers.laned(second.id, lane)] * 2

    def _outer(self, where: str, first: Site, second: Site, record: Mapping[str, t.Any]) -> tuple[Address, Address]:
        """The addresses that ESP goes between: IPv4 where both have it, else IPv6."""
        chosen = reading.known(f"{where}: wan", record.get("wan"), (first.name, second.name))
        wans = [_wan(where, site, chosen.get(site.name)) for site in (first, second)]
        for version in (4, 6):
            ours, theirs = (wan.address(version) for wan in wans)
            if ours is not None and theirs is not None:
                return ours, theirs
        raise InvalidOption(f"{where}: wan: one has IPv4 only and the other IPv6 only; give both one family")

    def _transits(
        self, where: str, first: Site, second: Site, tunnel: int, record: Mapping[str, t.Any]
    ) -> Iterator[Network]:
        """One of IPv4, and one of IPv6 where it is given or there is a pool for it."""
        for version, suffix in ((4, ""), (6, "_v6")):
            prefix, option = self.prefixes[version], f"transit{suffix}"
            if record.get(option) is not None:
                network = reading.network(f"{where}: {option}", record[option], version)
                if network.prefixlen not in _PREFIXES["prefix" + suffix]:
                    raise InvalidOption(f"{where}: {option}: {network} must be a /{prefix}")
                yield network
                continue
            if self._is_hub_of(first, second):
                what, pool = self._hub_pool(first, suffix)
                number = numbers.laned(second.id, tunnel)
            else:
                what, pool = f"pools: links{suffix}", self.pools.get("links" + suffix)
                number = numbers.pair(first.id, second.id, tunnel)
            if pool is None and version == 6:
                continue
            if pool is None:
                raise InvalidOption(f"{where}: {option}: required, or {what}, where it is taken from")
            found = numbers.nth(pool, prefix, number)
            if found is None:
                raise InvalidOption(
                    f"{where}: {what} {pool} is exhausted: their number is {number}, and it ends with "
                    f"{numbers.room(pool, prefix) - 1}; use a larger pool, smaller ids, or give the link a {option}"
                )
            yield found

    def _hub_pool(self, hub: Site, suffix: str) -> tuple[str, Network | None]:
        own = hub.transit_pool_v6 if suffix else hub.transit_pool
        if own is not None:
            return f"transit_pool{suffix} of {hub.name}", own
        return f"pools: transit{suffix}", self.pools.get("transit" + suffix)

    def _key(self, where: str, name: str, template: t.Any) -> str:
        """A template that gives the link's pre-shared key; keys themselves have no place in a description."""
        if template is None:
            return "{{ " + f"{self.psk_variable}[{json.dumps(name, ensure_ascii=False)}]" + " }}"
        return _template(where, "psk", name, template)

    def _routing_key(self, where: str, name: str, template: t.Any) -> str | None:
        return None if template is None else _template(where, "routing_key", name, template)

    # --- what cannot work ---

    def _check_sites(self) -> None:
        ids: dict[int, Site] = {}
        for site in self.sites.values():
            other = ids.setdefault(site.id, site)
            if other is not site:
                raise InvalidOption(f"sites {other.name} and {site.name}: id: both have {site.id}; give one another")
        numbers.check_apart(self._claims())
        self._check_summaries()

    def _claims(self) -> Iterator[numbers.Claim]:
        shared = set()
        for site in self.sites.values():
            if site.absent:
                continue
            owner = f"site {site.name}"
            for network in site.lans:
                # Hubs in one LAN: a routing protocol chooses, static routes could not.
                if site.name in self.hubs and self.routing != "static":
                    if network in shared:
                        continue
                    shared.add(network)
                yield numbers.Claim(network, owner, "LAN")
            for wan in site.wans:
                for address in wan.addresses:
                    yield numbers.address_claim(address, owner, wan.name)
        for suffix in ("", "_v6"):
            for name in self.hubs:
                pool = self._hub_pool(self.sites[name], suffix)[1]
                if pool is not None:
                    yield numbers.Claim(pool, f"hub {name}", f"transit_pool{suffix}")
            if f"links{suffix}" in self.pools:
                yield numbers.Claim(self.pools[f"links{suffix}"], "pools", f"links{suffix}")
        pools = list(self._used_pools())
        for record in self.records:
            for option in ("transit", "transit_v6"):
                if record.get(option) is None:
                    continue
                owner = "the link of " + " and ".join(map(str, record.get("sites") or ()))
                network = reading.network(f"{owner}: {option}", record[option])
                # Inside a pool the transit networks are compared with each other.
                if not any(reading.inside(network, pool) for pool in pools):
                    yield numbers.Claim(network, owner, option)

    def _used_pools(self) -> Iterator[Network]:
        for suffix in ("", "_v6"):
            found = [self._hub_pool(self.sites[name], suffix)[1] for name in self.hubs]
            yield from (pool for pool in (*found, self.pools.get("links" + suffix)) if pool is not None)

    def _check_summaries(self) -> None:
        for summary in self.summaries:
            if summary.prefixlen == 0:
                raise InvalidOption(f"summaries: {summary} would send everything into the tunnel; be more specific")
            for site in self.sites.values():
                for wan in site.wans:
                    inside = next(
                        (item for item in wan.addresses if reading.inside(ipaddress.ip_network(item), summary)), None
                    )
                    if inside:
                        raise InvalidOption(f"summaries: {summary} has {wan.name} {inside} of site {site.name} in it")
                hidden = next((lan for lan in site.lans if reading.inside(summary, lan)), None)
                if hidden:
                    raise InvalidOption(f"summaries: {summary} is no more than LAN {hidden} of site {site.name}")

    def _check_links(self, links: Iterable[Link]) -> None:
        names: dict[str, Link] = {}
        outer: dict[frozenset[Address], Link] = {}
        for link in links:
            if all(end.site.external for end in link.ends):
                raise InvalidOption(f"link {link.name}: external: neither end is ours")
            other = names.setdefault(link.name, link)
            if other is not link:
                raise InvalidOption(f"link {link.name}: two links have this name; rename a site")
            other = outer.setdefault(frozenset(end.outer for end in link.ends), link)
            if other is not link:
                raise InvalidOption(
                    f"links {other.name} and {link.name}: wan: both are between {link.ends[0].outer} and "
                    f"{link.ends[1].outer}; choose another uplink for one of them"
                )
        numbers.check_apart(
            numbers.Claim(network, f"link {link.name}", "transit network")
            for link in links
            for network in link.transits
        )

    # --- routes ---

    def _route(
        self, links: Iterable[Link], tunnels: dict[str, Tunnels], neighbors: Mapping[str, list[dict[str, t.Any]]]
    ) -> None:
        """To what is behind each neighbour by the first tunnel to it, and from spoke to spoke by the first hub.

        A far end that is not ours is told what it has to route to us.
        """
        told = {
            (name, one["link"]): one["networks"] for name, far in neighbors.items() for one in far if one["external"]
        }
        best: dict[tuple[str, str], Link] = {}
        for link in links:
            names = link.ends[0].site.name, link.ends[1].site.name
            if names not in best or link.tunnel < best[names].tunnel:
                best[names] = link
        neighbours: dict[str, set[str]] = {name: set() for name in self.sites}
        for (first, second), link in best.items():
            neighbours[first].add(second)
            neighbours[second].add(first)
            for ours, theirs in (link.ends, link.ends[::-1]):
                if link.routing != "static":
                    continue
                if ours.site.external:
                    told[theirs.site.name, link.name] += _networks(link, theirs.site)
                else:
                    tunnels[ours.site.name]["static_routes"] += _routes(link, theirs.site, theirs.site)
        if self.branch_to_branch:
            for spoke, hub, far in self._beyond(neighbours, best):
                link = best[hub.name, spoke.name]
                if spoke.external:
                    told[hub.name, link.name] += _networks(link, far)
                else:
                    tunnels[spoke.name]["static_routes"] += _routes(link, hub, far)

    def _routers(self, links: Collection[Link], tunnels: Mapping[str, Tunnels]) -> dict[str, dict[str, t.Any]]:
        if all(link.routing == "static" for link in links):
            return {}
        nodes = {
            site.name: routers.Node(
                site.name, site.id, site.lans, hub=site.name in hubs, spoke=site.name in self._spoke_names, asn=site.asn
            )
            for hubs in (frozenset(self.hubs),)
            for site in self.sites.values()
        }
        found = routers.descriptions([_edge(link, nodes) for link in links], self.settings)
        return {name: one for name, one in found.items() if name in tunnels}

    def _beyond(
        self, neighbours: Mapping[str, set[str]], best: Mapping[tuple[str, str], Link]
    ) -> Iterator[tuple[Site, Site, Site]]:
        """Spoke, its first hub, and what it reaches through that: other spokes, or summaries as if they were one."""
        ways = {name: self._hubs_of(self.sites[name]) for name in self.spokes}
        static = [name for name, hubs in ways.items() if hubs and best[hubs[0], name].routing == "static"]
        served: dict[str, list[Site]] = {}
        for name, hubs in ways.items():
            for one in hubs:
                served.setdefault(one, []).append(self.sites[name])
        if self.summaries:
            self._check_summarised()
            behind = Site("summary", 0, (), tuple(self.summaries), "", "")
        else:
            _check_extent({name: ways[name] for name in static}, served)
        for name in static:
            hubs = ways[name]
            hub = self.sites[hubs[0]]
            if self.summaries:
                yield self.sites[name], hub, behind
                continue
            for far in served[hub.name]:
                # The way back must exist, too.
                if far.name != name and far.name not in neighbours[name] and ways[far.name][0] in hubs:
                    yield self.sites[name], hub, far

    def _check_summarised(self) -> None:
        for name in self.spokes:
            for lan in self.sites[name].lans:
                if not any(reading.inside(lan, summary) for summary in self.summaries):
                    raise InvalidOption(
                        f"summaries: LAN {lan} of site {name} is in none of {', '.join(map(str, self.summaries))}"
                    )


def _check_extent(ways: Mapping[str, tuple[str, ...]], served: Mapping[str, list[Site]]) -> None:
    """Each branch with a route to each other one is a number of routes that grows with the square."""
    networks = {hub: sum(len(site.lans) for site in sites) for hub, sites in served.items()}
    extent = sum(networks[hubs[0]] for hubs in ways.values() if hubs)
    if extent > ROUTES:
        raise InvalidOption(
            f"branch_to_branch: {len(ways)} spokes would have {extent} routes to each other; "
            f"give summaries, such as 10.0.0.0/8, or set it to false"
        )


def _wan(where: str, site: Site, name: t.Any) -> Wan:
    found = [wan for wan in site.wans if (name is None or wan.name == str(name)) and wan.addresses]
    if not found:
        which = "" if name is None else f" named {name}"
        raise InvalidOption(f"{where}: wan: site {site.name} has no uplink{which} with an address")
    return found[0]


# --- the ends ---------------------------------------------------------------------------------------------------------


def _tunnel_name(far: Site, link: Link) -> str:
    return f"{far.connection}-{link.suffix}" if link.suffix else far.connection


def _assignment(far: Site, link: Link) -> str:
    if not link.suffix:
        return far.assignment
    return f"{far.assignment[: ASSIGNMENT_LENGTH - 2]}_{link.suffix}"


def _add_end(options: Tunnels, link: Link, ours: End, theirs: End) -> None:
    far = theirs.site
    name = _tunnel_name(far, link)
    near = 0 if ours is link.ends[0] else 1
    phase1: dict[str, t.Any] = {
        **link.phase1,
        "name": name,
        "description": f"{link.ends[0].site.name} - {link.ends[1].site.name}",
        "local_addrs": [link.outer[near]],
        "remote_addrs": [link.outer[1 - near]],
    }
    for key, identity in (("local_id", ours.site.ike_id), ("remote_id", far.ike_id)):
        if identity is not None:
            phase1[key] = identity
    if link.phase1.get("auth", "psk") == "psk":
        phase1["psk"] = link.psk
    else:
        _certify(phase1, ours.site, far)
    phase1.setdefault("keyingtries", 0)
    options["phase1"].append(phase1)
    for suffix, network, inner in zip(("", _SECOND_FAMILY), link.transits, link.inner, strict=False):
        options["phase2"].append(
            {
                **link.phase2,
                "name": name + suffix,
                "phase1": name,
                "description": f"VTI to {far.name}",
                "local_address": f"{inner[near]}/{network.prefixlen}",
                "remote_address": inner[1 - near],
                "reqid": ours.reqid,
                "unit": ours.unit,
                **(links_module.STARTS if ours.starts else links_module.WAITS),
            }
        )
    options["assignments"].append({"phase2": name, "name": _assignment(far, link)})


def _certify(phase1: dict[str, t.Any], ours: Site, far: Site) -> None:
    """Names the certificates that the role pki makes, unless others are given; ours is found by its identity."""
    for key, site in (("local_id", ours), ("remote_id", far)):
        if not site.external:
            phase1[key] = identities.of_site(site.name, site.ike_id)
    if not phase1.get("remote_certs"):
        phase1["remote_cacerts"] = phase1.get("remote_cacerts") or [identities.FILE]


def _neighbor(link: Link, ours: End, theirs: End) -> dict[str, t.Any]:
    """What a playbook needs to find the other end, or to describe it to whoever has it."""
    found = {
        "link": link.name,
        "site": theirs.site.name,
        "phase1": _tunnel_name(theirs.site, link),
        "far_phase1": _tunnel_name(ours.site, link),
        "external": theirs.site.external,
        "starts": ours.starts,
    }
    return {**found, "routing": link.routing, "networks": []} if theirs.site.external else found


def _edge(link: Link, nodes: Mapping[str, routers.Node]) -> routers.Edge:
    first, second = link.ends
    return routers.Edge(
        nodes=(nodes[first.site.name], nodes[second.site.name]),
        tunnel=link.tunnel,
        rank=link.rank,
        routing=link.routing,
        units=(first.unit, second.unit),
        outer=(first.outer, second.outer),
        transits=link.transits,
        mtu=link.phase2.get("mtu"),
        key=link.routing_key,
    )


def _networks(link: Link, far: Site) -> Iterator[str]:
    """Those of a site that the link has a family for; a far end that is not ours may do without the others."""
    families = {network.version for network in link.transits}
    return (str(network) for network in far.lans if network.version in families)


def _routes(link: Link, way: Site, far: Site) -> Iterator[dict[str, t.Any]]:
    """Routes to the networks of ``far`` through the neighbour ``way`` on the link."""
    families = {network.version for network in link.transits}
    assignment = _assignment(way, link)
    for name, network, version in far.routes:
        if version not in families:
            raise InvalidOption(
                f"site {far.name}: lans: {network} cannot be reached, link {link.name} has no IPv6; "
                f"give it a transit_v6, or a pool to take it from"
            )
        yield {"name": name, "network": network, "gateway": f"{assignment}_VTIV{version}"}


def _check_names(name: str, options: Tunnels) -> None:
    """Refuse tunnels that would meet on a host."""
    about = {item["name"]: item["description"] for item in options["phase1"]}
    tunnels = {item["name"]: item for item in options["phase2"] if item["name"] == item["phase1"]}
    _once(name, "phase 1 named", ((item["name"], item["description"]) for item in options["phase1"]))
    _once(name, "phase 2 named", ((item["name"], about[item["phase1"]]) for item in options["phase2"]))
    _once(name, "interface named", ((item["name"], about[item["phase2"]]) for item in options["assignments"]))
    for key in ("unit", "reqid"):
        _once(name, key, ((item[key], about[item["phase1"]]) for item in tunnels.values()))
    _once(name, "route named", ((item["name"], item["network"]) for item in options["static_routes"]))
    _once(name, "route to", ((item["network"], item["gateway"]) for item in options["static_routes"]))


def _once(name: str, what: str, values: Iterable[tuple[t.Any, str]]) -> None:
    taken: dict[t.Any, str] = {}
    for value, owner in values:
        if value in taken:
            raise InvalidOption(f"site {name}: {taken[value]} and {owner} would both have {what} {value}")
        taken[value] = owner
