# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The integrated frr.conf(5) of one router whose neighbours are at the far ends of VTIs. Pure; runs on the controller.

A description (see router()) becomes a Router, a Router becomes text (see render()). The text is what
``vtysh -c 'show running-config'`` says of itself, so that frr-reload.py finds nothing to do a second time. Entries of
prefix lists have numbers that follow from the entry alone: what comes or goes renumbers no other one.

What is accepted is a list of networks for each neighbour, never everything: neither a default route nor a network with
the outer address of a tunnel's far end in it, which would then be looked for inside the tunnel.
"""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import json
import re
import typing as t
import zlib

from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.secret import Secret
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats.addresses import nested

from . import reading

if t.TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping

    from .links import Address, Network

HEADER = "! Managed by the Ansible collection routed_ipsec.vti: changes made here are overwritten."
ASN = (1, 4294967295)
PROFILE = "routed-ipsec"
"""The BFD profile of all our sessions."""
DISTANCE = 250
"""Of the blackhole routes: beyond every routing protocol's."""
_LISTS = {4: "ip prefix-list", 6: "ipv6 prefix-list"}
_MATCH = {4: "match ip address prefix-list", 6: "match ipv6 address prefix-list"}
_DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,40}")
_SECRET_LINE = re.compile(
    r"(?m)^(?P<line> *(?:neighbor \S+ password|ip ospf message-digest-key \d+ md5|"
    r"ipv6 ospf6 authentication key-id \d+ hash-algo \S+ key|ip ospf authentication-key)) .*$"
)


@dataclasses.dataclass(frozen=True)
class Prefix:
    """A network, and up to which length its parts count too; without ``le`` the network alone."""

    network: Network
    le: int | None = None

    def __str__(self) -> str:
        return f"{self.network}" + (f" le {self.le}" if self.le else "")

    @property
    def number(self) -> int:
        """A place in a list that depends on nothing else; the first hundred are for what is denied.

        Below 2**31: FRR 8.4 sorts larger ones before all others.
        """
        return 100 + zlib.crc32(str(self).encode()) % 2_000_000_000


@dataclasses.dataclass(frozen=True)
class Outer:
    """The outer address of a tunnel's far end; ``gateway`` leads to it whatever is learned."""

    address: Address
    gateway: Address | None = None


@dataclasses.dataclass(frozen=True)
class Neighbor:
    """A BGP session with the remote address of a VTI, for the address family of that address.

    accept, announce: networks, or the name of one of the router's sets. maximum_prefix: 0 for no limit.
    med: the metric of what is announced. communities: standard or large ones, added to what is announced.
    client: of this route reflector.
    """

    address: Address
    remote_asn: int
    source: Address | None
    accept: tuple[Prefix, ...] | str
    announce: tuple[Prefix, ...] | str
    maximum_prefix: int
    description: str | None = None
    password: Secret | None = None
    bfd: bool = True
    local_preference: int | None = None
    med: int | None = None
    communities: tuple[str, ...] = ()
    client: bool = False


@dataclasses.dataclass(frozen=True)
class Bgp:
    """keepalive and holdtime: seconds. import_check: announce only what is in the routing table.

    aggregates: announced in place of what is in them; packets to a part that nobody announces are dropped.
    """

    asn: int
    networks: tuple[Network, ...]
    neighbors: tuple[Neighbor, ...]
    keepalive: int = 10
    holdtime: int = 30
    graceful_restart: bool = False
    graceful_shutdown: bool = False
    import_check: bool = False
    aggregates: tuple[Network, ...] = ()


@dataclasses.dataclass(frozen=True)
class OspfInterface:
    """A VTI that OSPF runs on. networks: those on it, of IPv4, IPv6 or both; hello and dead: seconds."""

    name: str
    networks: tuple[Network, ...]
    area: str
    cost: int = 10
    hello: int = 10
    dead: int = 40
    bfd: bool = True
    mtu_ignore: bool = False
    key: Secret | None = None
    key_id: int = 1


@dataclasses.dataclass(frozen=True)
class Ospf:
    """networks: those behind the router, announced, and never spoken on. external: announced, if a route leads there.

    accept: what may get into the kernel.
    """

    area: str
    networks: tuple[Network, ...]
    accept: tuple[Prefix, ...] | str
    interfaces: tuple[OspfInterface, ...]
    external: tuple[Network, ...] = ()


@dataclasses.dataclass(frozen=True)
class Router:
    """One host.

    discard: networks, or the name of a set, whose packets are dropped, not let out in clear, while nobody announces
    them; our own networks are left out.
    """

    hostname: str | None
    router_id: str
    sets: Mapping[str, tuple[Prefix, ...]]
    outer: tuple[Outer, ...]
    discard: tuple[Prefix, ...] | str
    accept_default: bool
    bfd_interval: int
    bfd_multiplier: int
    bgp: Bgp | None
    ospf: Ospf | None

    def prefixes(self, given: tuple[Prefix, ...] | str) -> tuple[Prefix, ...]:
        return self.sets[given] if isinstance(given, str) else given

    def own(self) -> frozenset[Network]:
        """The networks behind this router."""
        return frozenset(
            (*(self.bgp.networks if self.bgp else ()), *(self.ospf.networks + self.ospf.external if self.ospf else ()))
        )

    def foreign(self, given: tuple[Prefix, ...] | str) -> tuple[Network, ...]:
        """Networks of a list that are another one's, whole ones."""
        own = self.own()
        return tuple(one.network for one in self.prefixes(given) if one.le is None and one.network not in own)

    def versions(self) -> tuple[int, ...]:
        """The families that OSPF runs for."""
        found = {network.version for one in (self.ospf.interfaces if self.ospf else ()) for network in one.networks}
        return tuple(sorted(found))

    def daemons(self) -> tuple[str, ...]:
        """What must run besides zebra and staticd, which always do."""
        found = ["bgpd"] if self.bgp else []
        found += [{4: "ospfd", 6: "ospf6d"}[version] for version in self.versions()]
        return (*found, "bfdd") if self.uses_bfd() else tuple(found)

    def uses_bfd(self) -> bool:
        neighbors = self.bgp.neighbors if self.bgp else ()
        interfaces = self.ospf.interfaces if self.ospf else ()
        return any(one.bfd for one in neighbors) or any(one.bfd for one in interfaces)


def router(description: Mapping[str, t.Any]) -> Router:
    """Check a description, whose keys are those of Router, Bgp, Neighbor and so on, or refuse it with InvalidOption.

    Networks are text, those of sets, accept and announce also as ``10.0.0.0/8 le 24``. An interface of OSPF may also
    have the keys mtu and peer_mtu, which must be equal, or mtu_ignore true.
    """
    known = reading.known("frr_router", description, _keys(Router))
    if known.get("router_id") is None:
        raise InvalidOption("router_id: required; an IPv4 address that no other router has")
    sets = {
        _name("sets", name): _prefixes(f"sets: {name}", value)
        for name, value in reading.known("sets", known.get("sets"), known.get("sets") or ()).items()
    }
    hostname = known.get("hostname")
    if hostname is not None and not _NAME.fullmatch(str(hostname)):
        raise InvalidOption(f"hostname: {hostname!r} is none")
    found = Router(
        hostname=None if hostname is None else str(hostname),
        router_id=_id("router_id", known["router_id"]),
        sets=sets,
        outer=_outer(known.get("outer")),
        discard=_listed("frr_router", known, "discard", sets) if known.get("discard") is not None else (),
        accept_default=reading.flag("accept_default", known.get("accept_default", False)),
        bfd_interval=reading.number("bfd_interval", known.get("bfd_interval", 300), 50, 60000),
        bfd_multiplier=reading.number("bfd_multiplier", known.get("bfd_multiplier", 3), 2, 255),
        bgp=_bgp(known["bgp"], sets) if known.get("bgp") else None,
        ospf=_ospf(known["ospf"], sets) if known.get("ospf") else None,
    )
    if found.bgp is None and found.ospf is None:
        raise InvalidOption("bgp: required, or ospf; there is nothing to route with")
    _check(found)
    return found


def _name(where: str, value: t.Any) -> str:
    if not _NAME.fullmatch(str(value)):
        raise InvalidOption(f"{where}: {value!r} is no name; use letters, digits, '_', '.' and '-'")
    return str(value)


def _id(where: str, value: t.Any) -> str:
    found = reading.address(where, value)
    if found.version != 4 or found == ipaddress.IPv4Address(0):
        raise InvalidOption(f"{where}: {value!r} must look like an IPv4 address, and not be 0.0.0.0")
    return str(found)


def _area(where: str, value: t.Any) -> str:
    """As FRR writes it, whether given as a number or as an address."""
    text = str(value)
    if text.isdecimal() and int(text) < 1 << 32:
        return str(ipaddress.IPv4Address(int(text)))
    found = reading.address(where, value)
    if found.version != 4:
        raise InvalidOption(f"{where}: {value!r} is no area; write 0.0.0.0 or 0")
    return str(found)


def _networks(where: str, value: t.Any) -> tuple[Network, ...]:
    return tuple(dict.fromkeys(reading.network(where, item) for item in reading.items(where, value)))


def _prefixes(where: str, value: t.Any) -> tuple[Prefix, ...]:
    return tuple(dict.fromkeys(_prefix(where, item) for item in reading.items(where, value)))


def _prefix(where: str, value: t.Any) -> Prefix:
    network, _le, longest = str(value).partition(" le ")
    found = reading.network(where, network)
    if not longest:
        return Prefix(found)
    return Prefix(found, reading.number(f"{where}: {value}", longest.strip(), found.prefixlen + 1, found.max_prefixlen))


def _listed(where: str, record: Mapping[str, t.Any], key: str, sets: Mapping[str, t.Any]) -> tuple[Prefix, ...] | str:
    """A list of networks, or the name of a set; required, for nothing is accepted or announced unasked."""
    value = record.get(key)
    if value is None:
        raise InvalidOption(f"{where}: {key}: required; a list of networks, which can be empty, or the name of a set")
    if not isinstance(value, str):
        return _prefixes(f"{where}: {key}", value)
    if value not in sets:
        raise InvalidOption(f"{where}: {key}: there is no set {value!r}")
    return str(value)


def _outer(value: t.Any) -> tuple[Outer, ...]:
    found = []
    for item in reading.items("outer", value):
        record = reading.known("outer", item if hasattr(item, "items") else {"address": item}, ("address", "gateway"))
        address = reading.address("outer: address", record.get("address"))
        gateway = record.get("gateway")
        found.append(Outer(address, None if gateway is None else reading.address("outer: gateway", gateway)))
        if found[-1].gateway is not None and found[-1].gateway.version != address.version:
            raise InvalidOption(f"outer: gateway: {gateway} is not of the family of {address}")
    return tuple(found)


def _secret(where: str, value: t.Any, longest: int) -> Secret | None:
    """FRR reads these to the next space; its shell asks for help where it reads a question mark."""
    if value is None or value == "":
        return None
    text = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(text, str) or not re.fullmatch(rf"[!->@-~]{{1,{longest}}}", text):
        raise InvalidOption(f"{where}: must be 1 to {longest} printable ASCII characters without spaces and '?'")
    return Secret(text)


def _text(where: str, value: t.Any) -> str | None:
    if value is None or value == "":
        return None
    text = str(value)
    if not re.fullmatch(r"[!->@-~][ -~]{0,78}", text) or text != text.strip() or "?" in text or "  " in text:
        raise InvalidOption(f"{where}: {text!r} must be at most 79 printable ASCII characters, single spaces, no '?'")
    return text


def _keys(kind: type[t.Any], *more: str) -> tuple[str, ...]:
    return (*(field.name for field in dataclasses.fields(kind)), *more)


def _bgp(value: t.Any, sets: Mapping[str, t.Any]) -> Bgp:
    record = reading.known("bgp", value, _keys(Bgp))
    if record.get("asn") is None:
        raise InvalidOption("bgp: asn: required")
    asn = reading.number("bgp: asn", record["asn"], *ASN)
    neighbors: dict[Address, Neighbor] = {}
    for item in reading.items("bgp: neighbors", record.get("neighbors")):
        found = _neighbor(item, asn, sets)
        if neighbors.setdefault(found.address, found) is not found:
            raise InvalidOption(f"bgp: neighbors: {found.address} is there twice")
    keepalive = reading.number("bgp: keepalive", record.get("keepalive", Bgp.keepalive), 1, 21845)
    holdtime = reading.number("bgp: holdtime", record.get("holdtime", Bgp.holdtime), 3, 65535)
    if holdtime < 3 * keepalive:
        raise InvalidOption(f"bgp: holdtime: {holdtime} s is less than three times keepalive, {keepalive} s")
    flags = {
        key: reading.flag(f"bgp: {key}", record.get(key, False))
        for key in ("graceful_restart", "graceful_shutdown", "import_check")
    }
    return Bgp(
        asn=asn,
        networks=_networks("bgp: networks", record.get("networks")),
        neighbors=tuple(neighbors.values()),
        keepalive=keepalive,
        holdtime=holdtime,
        aggregates=_networks("bgp: aggregates", record.get("aggregates")),
        **flags,
    )


def _neighbor(value: t.Any, asn: int, sets: Mapping[str, t.Any]) -> Neighbor:
    record = reading.known("bgp: neighbors", value, _keys(Neighbor))
    if record.get("address") is None:
        raise InvalidOption("bgp: neighbors: address: required; the remote address of a VTI")
    address = reading.address("bgp: neighbors: address", record["address"])
    where = f"bgp: neighbors: {address}"
    if record.get("remote_asn") is None:
        raise InvalidOption(f"{where}: remote_asn: required")
    remote_asn = reading.number(f"{where}: remote_asn", record["remote_asn"], *ASN)
    source = None if record.get("source") is None else reading.address(f"{where}: source", record["source"])
    if source is not None and (source.version != address.version or source == address):
        raise InvalidOption(f"{where}: source: {source} must be our own address of the same family")
    client = reading.flag(f"{where}: client", record.get("client", False))
    if client and remote_asn != asn:
        raise InvalidOption(f"{where}: client: needs a neighbour in our own AS {asn}, and it is in {remote_asn}")
    numbers = {
        key: None if record.get(key) is None else reading.number(f"{where}: {key}", record[key], 0, 4294967295)
        for key in ("local_preference", "med")
    }
    accept = _listed(where, record, "accept", sets)
    announce = _listed(where, record, "announce", sets)
    for key, given in (("accept", accept), ("announce", announce)):
        for prefix in () if isinstance(given, str) else given:
            if prefix.network.version != address.version:
                raise InvalidOption(f"{where}: {key}: {prefix} is not of the neighbour's family")
    declared = sum(
        one.network.version == address.version for one in (sets[accept] if isinstance(accept, str) else accept)
    )
    return Neighbor(
        address=address,
        remote_asn=remote_asn,
        source=source,
        accept=accept,
        announce=announce,
        maximum_prefix=reading.number(
            f"{where}: maximum_prefix", record.get("maximum_prefix", max(10, 2 * declared)), 0, 4294967295
        ),
        description=_text(f"{where}: description", record.get("description")),
        password=_secret(f"{where}: password", record.get("password"), 80),
        bfd=reading.flag(f"{where}: bfd", record.get("bfd", True)),
        communities=tuple(_community(where, item) for item in reading.items(where, record.get("communities"))),
        client=client,
        **numbers,
    )


def _community(where: str, value: t.Any) -> str:
    parts = str(value).split(":")
    highest = {2: 65535, 3: 4294967295}.get(len(parts), -1)
    if not all(part.isdecimal() and int(part) <= highest for part in parts):
        raise InvalidOption(
            f"{where}: communities: {value!r} is none; write 65000:1, or 4200000001:0:1 for a large one"
        )
    return ":".join(str(int(part)) for part in parts)


def _ospf(value: t.Any, sets: Mapping[str, t.Any]) -> Ospf:
    record = reading.known("ospf", value, _keys(Ospf))
    area = _area("ospf: area", record.get("area", 0))
    interfaces: dict[str, OspfInterface] = {}
    for item in reading.items("ospf: interfaces", record.get("interfaces")):
        found = _interface(item, area)
        if interfaces.setdefault(found.name, found) is not found:
            raise InvalidOption(f"ospf: interfaces: {found.name} is there twice")
    return Ospf(
        area=area,
        networks=_networks("ospf: networks", record.get("networks")),
        accept=_listed("ospf", record, "accept", sets),
        interfaces=tuple(interfaces.values()),
        external=_networks("ospf: external", record.get("external")),
    )


def _interface(value: t.Any, area: str) -> OspfInterface:
    record = reading.known("ospf: interfaces", value, _keys(OspfInterface, "mtu", "peer_mtu"))
    name = str(record.get("name") or "")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,14}", name):
        raise InvalidOption(f"ospf: interfaces: name: {name!r} is no interface")
    where = f"ospf: interfaces: {name}"
    mtu, peer = (
        None if record.get(key) is None else reading.number(f"{where}: {key}", record[key], 576, 65535)
        for key in ("mtu", "peer_mtu")
    )
    ignore = reading.flag(f"{where}: mtu_ignore", record.get("mtu_ignore", False))
    if None not in (mtu, peer) and mtu != peer and not ignore:
        raise InvalidOption(
            f"{where}: mtu: {mtu} here and {peer} at the far end; OSPF neighbours would never become full. "
            f"Make them equal, or set mtu_ignore"
        )
    networks = _networks(f"{where}: networks", record.get("networks"))
    if not networks:
        raise InvalidOption(f"{where}: networks: required; those on the interface")
    hello = reading.number(f"{where}: hello", record.get("hello", OspfInterface.hello), 1, 65535)
    dead = reading.number(f"{where}: dead", record.get("dead", OspfInterface.dead), 1, 65535)
    if dead <= hello:
        raise InvalidOption(f"{where}: dead: {dead} s is no more than hello, {hello} s")
    return OspfInterface(
        name=name,
        networks=networks,
        area=_area(f"{where}: area", record.get("area", area)),
        cost=reading.number(f"{where}: cost", record.get("cost", OspfInterface.cost), 1, 65535),
        hello=hello,
        dead=dead,
        bfd=reading.flag(f"{where}: bfd", record.get("bfd", True)),
        mtu_ignore=ignore,
        key=_secret(f"{where}: key", record.get("key"), 16),
        key_id=reading.number(f"{where}: key_id", record.get("key_id", 1), 1, 255),
    )


def _accepted(one: Router) -> Iterator[tuple[str, Prefix]]:
    """Everything that a neighbour may tell us, and where that is said."""
    for name, prefixes in one.sets.items():
        used = (
            *((item.accept for item in one.bgp.neighbors) if one.bgp else ()),
            *((one.ospf.accept,) if one.ospf else ()),
        )
        if name in used:
            yield from ((f"sets: {name}", prefix) for prefix in prefixes)
    for item in one.bgp.neighbors if one.bgp else ():
        if not isinstance(item.accept, str):
            yield from ((f"bgp: neighbors: {item.address}: accept", prefix) for prefix in item.accept)
    if one.ospf and not isinstance(one.ospf.accept, str):
        yield from (("ospf: accept", prefix) for prefix in one.ospf.accept)


def _check(one: Router) -> None:
    accepted = list(_accepted(one))
    for where, prefix in accepted:
        if prefix.network.prefixlen == 0 and not one.accept_default:
            raise InvalidOption(
                f"{where}: {prefix} would have everything go through the tunnel, its own packets too; "
                f"set accept_default, and give each address in outer its gateway"
            )
    entries: list[tuple[Network, tuple[str, Prefix] | None]] = [(entry[1].network, entry) for entry in accepted]
    entries += [(ipaddress.ip_network(item.address), None) for item in one.outer if item.gateway is None]
    for (_network, entry), (host, other) in nested(entries):
        if entry is not None and other is None:
            raise InvalidOption(
                f"{entry[0]}: {entry[1]} has the outer address {host.network_address} of a tunnel in it, which would "
                f"be looked for inside the tunnel; give that address in outer its gateway"
            )


def render(one: Router) -> str:
    """The whole file; with secrets."""
    hostname = [f"hostname {one.hostname}"] if one.hostname else []
    blocks = [
        [HEADER, "frr defaults traditional", *hostname, "log syslog informational", "service integrated-vtysh-config"],
        list(_static(one)),
        *_interfaces(one),
        *(_bgp_blocks(one, one.bgp) if one.bgp else ()),
        *(_ospf_blocks(one, one.ospf) if one.ospf else ()),
        *_bfd(one),
    ]
    return "".join(f"{line}\n" for block in blocks if block for line in (*block, "!"))


def _static(one: Router) -> Iterator[str]:
    for item in one.outer:
        if item.gateway is not None:
            yield f"{_route(item.address.version)} {ipaddress.ip_network(item.address)} {item.gateway}"
    for network in dict.fromkeys((*one.foreign(one.discard), *(one.bgp.aggregates if one.bgp else ()))):
        yield f"{_route(network.version)} {network} blackhole {DISTANCE}"


def _route(version: int) -> str:
    return "ip route" if version == 4 else "ipv6 route"


def _context(head: str, lines: Iterable[str]) -> list[str]:
    return [head, *(f" {line}" for line in lines), "exit"]


def _interfaces(one: Router) -> Iterator[list[str]]:
    for item in one.ospf.interfaces if one.ospf else ():
        versions = {network.version for network in item.networks}
        lines = [line for version in sorted(versions) for line in _OSPF_LINES[version](item)]
        yield _context(f"interface {item.name}", lines)


def _ospf2_lines(item: OspfInterface) -> Iterator[str]:
    """FreeBSD: without the network type, FRR takes the /30 with a far end for unnumbered and announces the ifindex."""
    if item.key is not None:
        yield "ip ospf authentication message-digest"
    yield from _adjacency(item, "ip ospf")
    if item.key is not None:
        yield f"ip ospf message-digest-key {item.key_id} md5 {item.key.reveal()}"
    if item.mtu_ignore:
        yield "ip ospf mtu-ignore"
    yield "ip ospf network point-to-point"
    yield "no ip ospf passive"


def _ospf3_lines(item: OspfInterface) -> Iterator[str]:
    yield f"ipv6 ospf6 area {item.area}"
    if item.key is not None:
        yield f"ipv6 ospf6 authentication key-id {item.key_id} hash-algo hmac-sha-256 key {item.key.reveal()}"
    yield from _adjacency(item, "ipv6 ospf6")
    if item.mtu_ignore:
        yield "ipv6 ospf6 mtu-ignore"
    yield "ipv6 ospf6 network point-to-point"


def _adjacency(item: OspfInterface, word: str) -> Iterator[str]:
    """What both versions say of neighbours, one after the other."""
    if item.bfd:
        yield f"{word} bfd"
        yield f"{word} bfd profile {PROFILE}"
    yield f"{word} cost {item.cost}"
    if item.dead != OspfInterface.dead:
        yield f"{word} dead-interval {item.dead}"
    if item.hello != OspfInterface.hello:
        yield f"{word} hello-interval {item.hello}"


_OSPF_LINES: dict[int, Callable[[OspfInterface], Iterator[str]]] = {4: _ospf2_lines, 6: _ospf3_lines}


def _list(name: str, version: int, prefixes: Iterable[Prefix], denied: Iterable[str]) -> list[str]:
    """A prefix list. An empty one would permit everything; one that denies everything is what was meant."""
    entries: dict[int, str] = dict(enumerate((f"deny {one}" for one in denied), 1))
    for prefix in sorted(prefixes, key=lambda one: (one.number, str(one))):
        number = prefix.number
        while number in entries:
            number += 1
        entries[number] = f"permit {prefix}"
    if not entries:
        entries[1] = "deny any"
    return [f"{_LISTS[version]} {name} seq {number} {entry}" for number, entry in sorted(entries.items())]


def _denied(one: Router, version: int, prefixes: Iterable[Prefix]) -> list[str]:
    """What no neighbour may tell us, though a part of what it may: exact entries need no such exception."""
    found = [] if one.accept_default else [_DEFAULT[version]]
    wide = [prefix for prefix in prefixes if prefix.le == prefix.network.max_prefixlen]
    for item in one.outer:
        host = ipaddress.ip_network(item.address)
        if any(reading.inside(host, prefix.network) for prefix in wide):
            found.append(str(host))
    return found


def _of(version: int, prefixes: Iterable[Prefix]) -> list[Prefix]:
    return [prefix for prefix in prefixes if prefix.network.version == version]


def _bgp_blocks(one: Router, bgp: Bgp) -> Iterator[list[str]]:
    yield from _bgp_lists(one, bgp)
    for item in bgp.neighbors:
        version = item.address.version
        inwards = [f"set local-preference {item.local_preference}"] if item.local_preference is not None else []
        yield _context(
            f"route-map {_map(item, 'in')} permit 10", [f"{_MATCH[version]} {_list_name(item, 'in')}", *inwards]
        )
        yield _context(
            f"route-map {_map(item, 'out')} permit 10",
            [f"{_MATCH[version]} {_list_name(item, 'out')}", *_outwards(item)],
        )
    yield _bgp_context(one, bgp)


def _map(item: Neighbor, way: str) -> str:
    return f"VTI-{str(item.address).replace(':', '.')}-{way}"


def _list_name(item: Neighbor, way: str) -> str:
    given = item.accept if way == "in" else item.announce
    return f"VTI-SET-{given}-{way}" if isinstance(given, str) else _map(item, way)


def _bgp_lists(one: Router, bgp: Bgp) -> Iterator[list[str]]:
    done: set[tuple[str, int]] = set()
    for item in bgp.neighbors:
        version = item.address.version
        for way, given in (("in", item.accept), ("out", item.announce)):
            name = _list_name(item, way)
            if (name, version) in done:
                continue
            done.add((name, version))
            prefixes = _of(version, one.prefixes(given))
            yield _list(name, version, prefixes, _denied(one, version, prefixes) if way == "in" else ())


def _outwards(item: Neighbor) -> Iterator[str]:
    if item.med is not None:
        yield f"set metric {item.med}"
    for word, length in (("community", 2), ("large-community", 3)):
        values = [value for value in item.communities if len(value.split(":")) == length]
        if values:
            yield f"set {word} {' '.join(values)} additive"


def _bgp_context(one: Router, bgp: Bgp) -> list[str]:
    lines = [f"bgp router-id {one.router_id}", "no bgp default ipv4-unicast"]
    if bgp.graceful_restart:
        lines.append("bgp graceful-restart")
    if bgp.graceful_shutdown:
        lines.append("bgp graceful-shutdown")
    if not bgp.import_check:
        lines.append("no bgp network import-check")
    lines.append(f"timers bgp {bgp.keepalive} {bgp.holdtime}")
    for item in bgp.neighbors:
        lines += _session(item)
    for version in (4, 6):
        networks = [network for network in (*bgp.networks, *bgp.aggregates) if network.version == version]
        neighbors = [item for item in bgp.neighbors if item.address.version == version]
        if networks or neighbors:
            lines += ["!", f"address-family ipv{version} unicast"]
            lines += [f" network {network}" for network in networks]
            lines += [f" {line}" for item in neighbors for line in _policy(item, item.remote_asn == bgp.asn)]
            lines.append("exit-address-family")
    return _context(f"router bgp {bgp.asn}", lines)


def _session(item: Neighbor) -> Iterator[str]:
    own = f"neighbor {item.address}"
    yield f"{own} remote-as {item.remote_asn}"
    if item.description is not None:
        yield f"{own} description {item.description}"
    if item.bfd:
        yield f"{own} bfd"
        yield f"{own} bfd profile {PROFILE}"
    if item.password is not None:
        yield f"{own} password {item.password.reveal()}"
    if item.source is not None:
        yield f"{own} update-source {item.source}"


def _policy(item: Neighbor, internal: bool) -> Iterator[str]:
    own = f"neighbor {item.address}"
    yield f"{own} activate"
    if item.client:
        yield f"{own} route-reflector-client"
    # A reflected route keeps the next hop of its origin, a VTI that the other clients do not have.
    if internal:
        yield f"{own} next-hop-self force"
    # Counted before the list is applied: a neighbour that tells us the whole Internet is to be noticed.
    if item.maximum_prefix:
        yield f"{own} maximum-prefix {item.maximum_prefix} restart 5 force"
    for way in ("in", "out"):
        yield f"{own} route-map {_map(item, way)} {way}"


def _ospf_blocks(one: Router, ospf: Ospf) -> Iterator[list[str]]:
    """What a neighbour tells cannot be kept out of its area, only out of the kernel's table."""
    given = one.prefixes(ospf.accept)
    for version in one.versions():
        prefixes = _of(version, given)
        yield _list("VTI-OSPF", version, prefixes, _denied(one, version, prefixes))
        yield _context(f"route-map VTI-OSPF-{version} permit 10", [f"{_MATCH[version]} VTI-OSPF"])
        yield [f"{'ip protocol ospf' if version == 4 else 'ipv6 protocol ospf6'} route-map VTI-OSPF-{version}"]
    for version in one.versions() if ospf.external else ():
        yield _list("VTI-EXTERNAL", version, _of(version, map(Prefix, ospf.external)), ())
        yield _context(f"route-map VTI-EXTERNAL-{version} permit 10", [f"{_MATCH[version]} VTI-EXTERNAL"])
    networks = [network for network in ospf.networks if network.version == 4]
    if 4 in one.versions():
        spoken = [(network, item.area) for item in ospf.interfaces for network in item.networks if network.version == 4]
        lines = [f"ospf router-id {one.router_id}"]
        if ospf.external:
            lines.append("redistribute kernel metric-type 1 route-map VTI-EXTERNAL-4")
        lines.append("passive-interface default")
        lines += [f"network {network} area {area}" for network, area in (*((n, ospf.area) for n in networks), *spoken)]
        yield _context("router ospf", lines)
    if 6 in one.versions():
        # OSPFv3 knows interfaces, not networks, and those of the LANs need not be known here.
        own = [Prefix(network) for network in ospf.networks if network.version == 6]
        yield _list("VTI-OWN", 6, own, ())
        yield _context("route-map VTI-OWN permit 10", [f"{_MATCH[6]} VTI-OWN"])
        lines = [f"ospf6 router-id {one.router_id}", "redistribute connected metric-type 1 route-map VTI-OWN"]
        if ospf.external:
            lines.append("redistribute kernel metric-type 1 route-map VTI-EXTERNAL-6")
        yield _context("router ospf6", lines)


def _bfd(one: Router) -> Iterator[list[str]]:
    if not one.uses_bfd():
        return
    lines = []
    if one.bfd_multiplier != 3:
        lines.append(f" detect-multiplier {one.bfd_multiplier}")
    if one.bfd_interval != 300:
        lines += [f" transmit-interval {one.bfd_interval}", f" receive-interval {one.bfd_interval}"]
    yield _context("bfd", [f"profile {PROFILE}", *lines, "exit", "!"])


def masked(text: str) -> str:
    """A configuration without its secrets."""
    return _SECRET_LINE.sub(r"\g<line> (secret)", text)


def is_ours(text: str) -> bool:
    return text.startswith(HEADER)


_PACKAGED = re.compile(
    r"(?:frr (?:version|defaults) .*|log syslog.*|hostname .*|service integrated-vtysh-config|!.*|#.*)?"
)


def is_untouched(text: str) -> bool:
    """Whether a configuration says nothing but what comes with the package."""
    return all(_PACKAGED.fullmatch(line.strip()) for line in text.splitlines())


def forgetting(before: str, after: str) -> str:
    """Commands that have FRR forget the secrets of one configuration that are not in the other; empty without any.

    frr-reload.py would put them on a command line, where everybody on the host can read them.
    """
    kept = set(_secrets(after))
    found: dict[str, list[str]] = {}
    for context, line in _secrets(before):
        if (context, line) not in kept:
            words = line.split()
            # OSPFv3's has to be said in full, the others are refused then.
            short = {"neighbor": 3, "ip": 4 if words[2].startswith("message") else 3, "ipv6": len(words)}[words[0]]
            found.setdefault(context, []).append(f" no {' '.join(words[:short])}")
    return "".join(f"{line}\n" for context, lines in found.items() for line in (context, *lines, "exit"))


def difference(before: str, after: str) -> list[str]:
    """The lines that change, as diff(1) -u shows them; of a secret no more than that it changes."""
    old = {line for _context, line in _secrets(before)}
    new = {line for _context, line in _secrets(after)}
    lines = difflib.unified_diff(
        _shown(before, new, "old"), _shown(after, old, "new"), "before", "after", n=2, lineterm=""
    )
    return list(lines)


def _shown(text: str, others: Container[str], which: str) -> list[str]:
    return [
        masked(line) if line.strip() in others else _SECRET_LINE.sub(rf"\g<line> ({which} secret)", line)
        for line in text.splitlines()
    ]


def _secrets(text: str) -> Iterator[tuple[str, str]]:
    context = ""
    for line in text.splitlines():
        if line[:1] not in (" ", "!", "#", ""):
            context = line.strip()
        elif _SECRET_LINE.match(line):
            yield context, line.strip()


Plan = dict[str, t.Any]


def plan(one: Router | None) -> Plan:
    """What is to be seen on the host, without secrets; of no router, nothing.

    protocol: bgp, ospf or an empty text. daemons: that must run. password: whether BGP has one. networks: to which the
    router leads once all neighbours are there, for each family. neighbors: by address, the networks that each must have
    told, the family and the AS. interfaces: where OSPF neighbours are, by name, and for which families.
    """
    if one is None:
        nothing: Plan = {"protocol": "", "daemons": [], "password": False, "neighbors": {}, "interfaces": {}}
        return {**nothing, "networks": {"ipv4": [], "ipv6": []}}
    sessions: dict[str, Plan] = {}
    found: set[str] = set()
    for item in one.bgp.neighbors if one.bgp else ():
        version = item.address.version
        networks = sorted(str(network) for network in one.foreign(item.accept) if network.version == version)
        found |= set(networks)
        sessions[str(item.address)] = {
            "asn": item.remote_asn,
            "bfd": item.bfd,
            "family": f"ipv{version}Unicast",
            "networks": networks,
        }
    if one.ospf:
        found |= {str(network) for network in one.foreign(one.ospf.accept) if network.version in one.versions()}
    return {
        "protocol": "bgp" if one.bgp else "ospf",
        "daemons": list(one.daemons()),
        "neighbors": sessions,
        "interfaces": {
            item.name: sorted({network.version for network in item.networks})
            for item in (one.ospf.interfaces if one.ospf else ())
        },
        "networks": {
            "ipv4": sorted(network for network in found if ":" not in network),
            "ipv6": sorted(network for network in found if ":" in network),
        },
        "password": any(item.password for item in (one.bgp.neighbors if one.bgp else ())),
    }


def lacking(text: str, wanted: Plan, table: str = "") -> list[str]:
    """What FRR should know and does not, in words; of its JSON about neighbours, or about a table, ip or ipv6."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return [f"FRR says {text.strip()[:60]!r}"]
    if table:
        return list(_lost(found, wanted, "ipv4" if table == "ip" else "ipv6"))
    return list(_silent(found, wanted) if wanted["protocol"] == "bgp" else _alone(found, wanted))


def unknown(text: str, networks: Iterable[str], in_force: bool = False) -> list[str]:
    """Networks that FRR has no learned route to; of the JSON of two commands in turn, for both families."""
    found: dict[str, t.Any] = {}
    decoder = json.JSONDecoder()
    rest = text.lstrip()
    try:
        while rest:
            one, end = decoder.raw_decode(rest)
            found.update(one)
            rest = rest[end:].lstrip()
    except ValueError:
        return list(networks)
    return [name for name in networks if not any(one.get("selected") or not in_force for one in found.get(name, ()))]


def _silent(found: Mapping[str, t.Any], wanted: Plan) -> Iterator[str]:
    for address, session in wanted["neighbors"].items():
        peer = found.get(session["family"], {}).get("peers", {}).get(address, {})
        state = peer.get("state", "not configured")
        if state != "Established":
            yield f"neighbour {address} (AS {session['asn']}): {state}"
        elif peer.get("pfxRcd") != len(session["networks"]):
            yield f"neighbour {address}: {peer.get('pfxRcd')} networks received, {len(session['networks'])} declared"


def _alone(found: Mapping[str, t.Any], wanted: Plan) -> Iterator[str]:
    """FRR lists neighbours by router id; an entry names its interface as ``ipsec1:ADDRESS``."""
    full = {
        str(one.get("ifaceName", one.get("interfaceName"))).partition(":")[0]
        for entries in found.get("neighbors", {}).values()
        for one in (entries if isinstance(entries, list) else [entries])
        if str(one.get("nbrState", one.get("state", one.get("role")))).startswith("Full")
    }
    for name, versions in wanted["interfaces"].items():
        if 4 in versions and name not in full:
            yield f"interface {name}: no OSPF neighbour is full"


def _lost(found: Mapping[str, t.Any], wanted: Plan, family: str) -> Iterator[str]:
    for network in wanted["networks"][family]:
        chosen = [one for one in found.get(network, ()) if one.get("selected")]
        hops = [hop for one in chosen for hop in one.get("nexthops", ()) if hop.get("fib")]
        ways = {hop.get("ip") for hop in hops}
        tellers = {address for address, session in wanted["neighbors"].items() if network in session["networks"]}
        if not hops:
            yield f"{network}: no route of {wanted['protocol']} is in use"
        # A next hop of IPv6 is link-local.
        elif wanted["protocol"] == "bgp" and family == "ipv4" and not ways <= tellers:
            yield f"{network}: leads to {', '.join(sorted(map(str, ways)))}, and {', '.join(sorted(tellers))} have it"
        elif not all(str(hop.get("interfaceName", "")).startswith("ipsec") for hop in hops):
            yield f"{network}: leads to {hops[0].get('interfaceName')}, which is no tunnel"
