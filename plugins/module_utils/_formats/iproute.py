# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Linux: what ``ip -j -d link show``, ``ip -j address show`` and ``ip -j route show table all`` print (iproute2)."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from .._core.errors import ParseError
from .addresses import DEFAULTS, canonical_address, canonical_network

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    T = t.TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Link:
    """One interface; ``kind`` is "" for hardware and loopback, ``if_id`` is that of an XFRM interface."""

    name: str
    kind: str
    if_id: int | None
    mtu: int
    up: bool
    alias: str | None


@dataclasses.dataclass(frozen=True)
class Address:
    """An address in canonical spelling; ``peer`` is the far end of a point-to-point address.

    ``dynamic``: it has a lifetime, as addresses from DHCP or a router advertisement have.
    """

    address: str
    prefixlen: int
    peer: str | None = None
    tentative: bool = False
    dynamic: bool = False


@dataclasses.dataclass(frozen=True)
class Route:
    """One next hop of one route: a multipath route comes out as several.

    ``destination`` is a network in canonical spelling, ``kind`` a word of ip-route(8) such as unicast or blackhole,
    ``protocol`` and ``table`` are names or numbers as ip prints them; a ``metric`` of None is the family's default.
    """

    destination: str
    gateway: str | None
    interface: str | None
    kind: str = "unicast"
    protocol: str = "boot"
    table: str = "main"
    metric: int | None = None


def links(text: str) -> dict[str, Link]:
    """Interfaces by name, in the order of the output."""
    return {link.name: link for link in _read(text, "link", _link)}


def addresses(text: str) -> dict[str, tuple[Address, ...]]:
    """Addresses by interface, an empty tuple where there are none."""
    return dict(_read(text, "address", _addresses))


def routes(text: str) -> tuple[Route, ...]:
    """Routes of all tables and families in the output."""
    return tuple(route for routes in _read(text, "route", _routes) for route in routes)


def defaults(text: str, network: str) -> tuple[tuple[str, str, str, str], ...]:
    """The static default routes of all tables but the main one, for one family whose default is ``network``.

    Each is its table, the network, its metric ("" for the family's own), and what ip-route(8) would be told after the
    network: "unreachable" or "throw", or the way to one next hop or several.
    """
    return tuple(found for each in _read(text, "route", _default) for found in each if found[1] == network)


def _default(entry: Mapping[str, t.Any]) -> tuple[tuple[str, str, str, str], ...]:
    table = str(entry.get("table", "main"))
    if entry["dst"] != "default" or table == "main" or entry.get("protocol") != "static":
        return ()
    if entry.get("type", "unicast") != "unicast":
        words = str(entry["type"])
    elif "nexthops" in entry:
        words = " ".join(f"nexthop {_way(hop)} weight {hop['weight']}" for hop in entry["nexthops"])
    else:
        words = _way(entry)
    metric = entry.get("metric", 0)
    network = _destination(entry)
    return ((table, network, "" if metric == METRICS[network] else str(metric), words),)


METRICS = {DEFAULTS[4]: 0, DEFAULTS[6]: 1024}
"""The metric of a default route that was given none (ip-route(8))."""


def _way(hop: Mapping[str, t.Any]) -> str:
    gateway = _gateway(hop)
    return f"via {gateway} dev {hop['dev']}" if gateway else f"dev {hop['dev']}"


def _read(text: str, what: str, convert: Callable[[Mapping[str, t.Any]], T]) -> list[T]:
    """Convert each object; old releases print nothing for an empty list, and empty objects for what they skip."""
    try:
        return [convert(entry) for entry in json.loads(text.strip() or "[]") if entry != {}]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ParseError(f"ip {what}: cannot read the output: {error!r}") from error


def _link(entry: Mapping[str, t.Any]) -> Link:
    info = entry.get("linkinfo", {})
    if_id = info.get("info_data", {}).get("if_id")
    return Link(
        name=entry["ifname"],
        kind=info.get("info_kind", ""),
        if_id=int(if_id, 0) if isinstance(if_id, str) else if_id,
        mtu=entry["mtu"],
        up="UP" in entry["flags"],
        alias=entry.get("ifalias"),
    )


def _addresses(entry: Mapping[str, t.Any]) -> tuple[str, tuple[Address, ...]]:
    # an empty object stands for an address the command was told to leave out
    return entry["ifname"], tuple(_address(info) for info in entry["addr_info"] if info != {})


def _address(info: Mapping[str, t.Any]) -> Address:
    return Address(
        address=canonical_address(info["local"]),
        prefixlen=info["prefixlen"],
        peer=canonical_address(info["address"]) if "address" in info else None,
        tentative=info.get("tentative", False),
        dynamic=info.get("dynamic", False),
    )


def _routes(entry: Mapping[str, t.Any]) -> tuple[Route, ...]:
    return tuple(_hops(entry))


def _hops(entry: Mapping[str, t.Any]) -> Iterator[Route]:
    for hop in entry.get("nexthops", (entry,)):
        yield Route(
            destination=_destination(entry),
            gateway=_gateway(hop),
            interface=hop.get("dev"),
            kind=entry.get("type", "unicast"),
            protocol=str(entry.get("protocol", "boot")),
            table=str(entry.get("table", "main")),
            metric=entry.get("metric"),
        )


def _destination(entry: Mapping[str, t.Any]) -> str:
    if entry["dst"] != "default":
        return canonical_network(entry["dst"])
    # the kernel reports a router preference (RFC 4191) for each IPv6 route and for no other
    return DEFAULTS[6 if "pref" in entry or ":" in entry.get("gateway", "") else 4]


def _gateway(hop: Mapping[str, t.Any]) -> str | None:
    text = hop.get("gateway") or hop.get("via", {}).get("host")
    return None if text is None else canonical_address(text)
