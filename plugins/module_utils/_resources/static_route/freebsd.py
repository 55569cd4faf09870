# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Static routes on FreeBSD: rc.conf(5) variables read by rc.d/routing, and route(8)."""

from __future__ import annotations

import typing as t

from ..._core.steps import Result, Step, command, nonzero
from ..._core.system import output
from ..._formats import netstat, sh
from .state import NextHop

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..._core.system import System

    Table = Mapping[str, "tuple[NextHop, ...]"]


def observe(system: System) -> dict[str, tuple[NextHop, ...]]:
    """The kernel's static routes without those of routing daemons (flags 1, 2, 3).

    The kernel's own host routes for local addresses (UHS on lo0) look like static ones; nobody declares such a route.
    """
    table: dict[str, tuple[NextHop, ...]] = {}
    for route in netstat.parse(output(system, "netstat", "-rn", "--libxo", "json")):
        if "S" in route.flags and not set("123R") & set(route.flags) and "%" not in route.destination:
            hop = (
                NextHop()
                if "B" in route.flags
                else NextHop(route.gateway or "", "" if route.gateway else route.interface)
            )
            table[route.destination] = (*table.get(route.destination, ()), hop)
    return table


def boot(name: str, network: str, hop: NextHop, tied_to: str | None) -> str:
    """The lines for rc.conf.d/routing; ``tied_to`` an interface, the route comes back whenever that does."""
    element = f"{name}:{tied_to}" if tied_to else name
    prefix = "ipv6_" if ":" in network else ""
    address, _slash, length = network.partition("/")
    words = [address, "-prefixlen", length] if prefix else ["-net", network]
    return sh.assignment(f"{prefix}static_routes", element, append=True) + sh.assignment(
        f"{prefix}route_{name}", " ".join((*words, *_way(hop)))
    )


def removals(before: Table, after: Table) -> Iterator[Step]:
    """Routes that are there no more."""
    for network, hops in before.items():
        if not after.get(network):
            for hop in hops:
                yield _deletion(network, hop)


def additions(before: Table, after: Table) -> Iterator[Step]:
    """New and changed routes; the change of a single next hop is atomic.

    A network with several next hops (multipath) is emptied hop by hop: route(8) changes none of them reliably.
    """
    for network, hops in after.items():
        live = before.get(network, ())
        if len(hops) == len(live) == 1 and hops != live and NextHop() not in (*hops, *live):
            yield command("route", "-n", "change", *_words(network), *_way(hops[0]))
            continue
        for hop in live:
            if hop not in hops and hops:
                yield _deletion(network, hop)
        for hop in hops:
            if hop not in live:
                yield command("route", "-n", "add", *_words(network), *_way(hop), failure=_unless_there)


def _deletion(network: str, hop: NextHop) -> Step:
    """By its next hop: without one, route(8) deletes no multipath route. A blackhole is never one of several."""
    return command("route", "-n", "delete", *_words(network), *(_way(hop) if hop != NextHop() else ()))


def _unless_there(result: Result) -> str | None:
    """A route that outlived its interface's change is what was asked for."""
    return None if "route already in table" in result.stdout else nonzero(result)


def _words(network: str) -> tuple[str, ...]:
    return ("-inet6", "-net", network) if ":" in network else ("-net", network)


def _way(hop: NextHop) -> tuple[str, ...]:
    if hop.gateway:
        return (hop.gateway,)
    return ("-interface", hop.interface) if hop.interface else ("-blackhole",)
