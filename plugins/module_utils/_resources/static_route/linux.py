# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Static routes on Linux: ip-route(8), replayed at boot from a batch file."""

from __future__ import annotations

import dataclasses
import typing as t

from ..._core.steps import Batch, Step
from ..._core.system import output
from ..._formats import iproute
from ..._formats.addresses import DEFAULTS
from ..gateway.state import is_link_local
from .state import NextHop

if t.TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from ..._core.system import System

    Table = Mapping[str, "tuple[NextHop, ...]"]


@dataclasses.dataclass(frozen=True)
class Routes:
    """The main table's static routes of both families; those of the kernel and of routing daemons are not among them.

    automatic: for each family whose default route nobody has made, why. learned: its next hop, where a default route of
    ours would take its place.
    """

    table: dict[str, tuple[NextHop, ...]]
    automatic: dict[int, str]
    learned: dict[int, str]


def observe(system: System, leased: Container[tuple[int, str]]) -> Routes:
    """``leased`` are the interfaces that DHCP or a router advertisement has given an address, by family.

    dhclient-script(8) makes its default route as a person would, so the interface has to tell.
    """
    found = Routes({}, {}, {})
    for version in (4, 6):
        text = output(system, "ip", "-j", "-details", f"-{version}", "route", "show", "table", "main")
        reasons: list[str | None] = []
        for route in iproute.routes(text):
            static = route.protocol in _STATIC
            if static and not _is_of_frr(route) and route.kind in ("unicast", "blackhole"):
                found.table[route.destination] = (*found.table.get(route.destination, ()), _hop(route))
            if route.destination == DEFAULTS[version]:
                learned = not static or (route.protocol == "boot" and (version, route.interface or "") in leased)
                way = route.gateway or route.interface
                reasons.append(f"{way} was learned ({route.protocol})" if learned else None)
                if not static and route.gateway and (route.metric or 0) == iproute.METRICS[route.destination]:
                    found.learned[version] = _hop(route).gateway
        if all(reasons):
            found.automatic[version] = ", ".join(filter(None, reasons)) or "there is none"
    return found


_STATIC = ("static", "boot")
"""Protocols of routes that a person has made: ``boot`` is what ip-route(8) says when it was told nothing."""


_METRIC_OF_FRR = 20


def _is_of_frr(route: iproute.Route) -> bool:
    """Whether FRR's staticd has made a route: its package has ip-route(8) call protocol 196 static, too.

    zebra gives all its routes one metric (NL_DEFAULT_ROUTE_METRIC); ours have none.
    """
    return route.protocol == "static" and route.metric == _METRIC_OF_FRR


def _hop(route: iproute.Route) -> NextHop:
    if route.kind == "blackhole":
        return NextHop(protocol=route.protocol)
    if not route.gateway:
        return NextHop(interface=route.interface or "", protocol=route.protocol)
    gateway = f"{route.gateway}%{route.interface}" if is_link_local(route.gateway) else route.gateway
    return NextHop(gateway, protocol=route.protocol)


def boot(network: str, hop: NextHop) -> str:
    """The line for the boot batch."""
    return f"route replace {_words(network, hop)}\n"


def boot_default(network: str, hop: NextHop | None) -> str:
    """The line that has, or with None that has no, default route."""
    return boot(network, hop) if hop else f"route del {network}\n"


def removals(before: Table, after: Table) -> Iterator[Step]:
    """Routes that are there no more."""
    lines = tuple(
        f"route del {_words(network, hop)}"
        for network, hops in before.items()
        if not after.get(network)
        for hop in hops
    )
    if lines:
        yield Batch(("ip", "-batch", "-"), lines)


def additions(before: Table, after: Table) -> Iterator[Step]:
    """New and changed routes."""
    lines = tuple(line for network, hops in after.items() for line in _changes(network, before.get(network, ()), hops))
    if lines:
        yield Batch(("ip", "-batch", "-"), lines)


def _changes(network: str, live: tuple[NextHop, ...], hops: tuple[NextHop, ...]) -> Iterator[str]:
    if not hops:
        return
    added = [hop for hop in hops if hop not in live]
    # Replacing is atomic, but picks its victim by metric alone: only where there is no choice.
    if len(hops) == 1 and len(live) <= 1:
        if added:
            yield f"route replace {_words(network, added[0])}"
        return
    for hop in added:
        yield f"route append {_words(network, hop)}"
    for hop in live:
        if hop not in hops:
            yield f"route del {_words(network, hop)}"


def _words(network: str, hop: NextHop) -> str:
    if not hop.gateway and not hop.interface:
        return f"blackhole {network} proto {hop.protocol}"
    gateway, _percent, zone = hop.gateway.partition("%")
    way = f"via {gateway}" + (f" dev {zone}" if zone else "") if gateway else f"dev {hop.interface}"
    return f"{network} {way} proto {hop.protocol}"
