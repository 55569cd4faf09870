# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Static routes on Linux: ip-route(8), replayed at boot from a batch file."""

from __future__ import annotations

import typing as t

from ..._core.steps import Batch, Step
from ..._core.system import output
from ..._formats import iproute
from .state import NextHop

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..._core.system import System

    Table = Mapping[str, "tuple[NextHop, ...]"]


def observe(system: System) -> dict[str, tuple[NextHop, ...]]:
    """The main table's static routes of both families; those of the kernel and of routing daemons are not here."""
    table: dict[str, tuple[NextHop, ...]] = {}
    for family in ("-4", "-6"):
        for route in iproute.routes(output(system, "ip", "-j", "-details", family, "route", "show", "table", "main")):
            if route.protocol in ("static", "boot") and route.kind in ("unicast", "blackhole"):
                hop = (
                    NextHop()
                    if route.kind == "blackhole"
                    else NextHop(route.gateway or "", "" if route.gateway else route.interface or "")
                )
                table[route.destination] = (*table.get(route.destination, ()), hop)
    return table


def boot(network: str, hop: NextHop) -> str:
    """The line for the boot batch."""
    return f"route replace {_words(network, hop)}\n"


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
        return f"blackhole {network} proto static"
    way = f"via {hop.gateway}" if hop.gateway else f"dev {hop.interface}"
    return f"{network} {way} proto static"
