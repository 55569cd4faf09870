# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Static routes on FreeBSD: rc.conf(5) variables read by rc.d/routing, and route(8)."""

from __future__ import annotations

import re
import typing as t

from ..._core.steps import Result, Step, command, nonzero
from ..._core.system import output
from ..._formats import netstat, sh
from ..._formats.addresses import DEFAULTS
from .state import NextHop

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..._core.system import System

    Table = Mapping[str, "tuple[NextHop, ...]"]


def observe(system: System) -> dict[str, tuple[NextHop, ...]]:
    """The kernel's static routes without those of routing daemons (flags 1, 2, 3), and default routes of any origin.

    The kernel's own host routes for local addresses (UHS on lo0) look like static ones; nobody declares such a route.
    """
    table: dict[str, tuple[NextHop, ...]] = {}
    for route in netstat.parse(output(system, "netstat", "-rn", "--libxo", "json")):
        static = "S" in route.flags or route.destination in DEFAULTS.values()
        if static and not set("123R") & set(route.flags) and "%" not in route.destination:
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


DEFAULT_FILE = "routed_ipsec_defaultrouter"
"""The file of ours in rc.conf.d/routing that pins the default routes."""
_LOCATIONS = ("/etc/rc.conf", "/etc/rc.conf.local", "/etc/rc.conf.d/routing", "/usr/local/etc/rc.conf.d/routing")
"""Where rc.conf(5) looks for what rc.d/routing reads."""


def automatic(texts: Iterable[str]) -> dict[int, str]:
    """For each family why its default route is automatic: what rc.conf(5) does not pin is DHCP's, or a router's.

    ``texts`` are those of the files of configuration(); of several assignments the last one counts.
    """
    found = "".join(f"{text}\n" for text in texts)
    reasons = {}
    for version, prefix in ((4, ""), (6, "ipv6_")):
        values = re.findall(rf"^[ \t]*{prefix}defaultrouter=[\"']?([^\s\"'#;]*)", found, re.MULTILINE)
        routes = re.findall(
            rf"^[ \t]*{prefix}route_\w+=[\"']?(?:-net +|-inet6 +)?(?:default|0\.0\.0\.0/0|::/0)\b", found, re.M
        )
        if not routes and (not values or values[-1].upper() in ("", "NO")):
            reasons[version] = f"{prefix}defaultrouter is not set in rc.conf"
    return reasons


def configuration(system: System) -> list[str]:
    """The texts that rc.conf(5) is made of without ours, as far as default routes go, in the order they are read."""
    texts = []
    for path in _LOCATIONS:
        names = [name for name in system.names(path) if name != DEFAULT_FILE]
        for file in (system.read(f"{path}/{name}") for name in names) if names else (system.read(path),):
            if file is not None:
                texts.append(file.content)
    return texts


def boot_default(version: int, hop: NextHop | None) -> str:
    """The line for rc.conf.d/routing; ``hop`` None for no default route."""
    prefix = "ipv6_" if version == 6 else ""
    return sh.assignment(f"{prefix}defaultrouter", hop.gateway if hop else "NO")


def moves(network: str, hop: NextHop) -> list[list[str]]:
    """Commands for the monitor, tried in turn: change the route, or add the one that has been lost."""
    return [["route", "-n", verb, *_words(network), *_way(hop)] for verb in ("change", "add")]


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
    if network in DEFAULTS.values():
        return ("-inet6", "default") if ":" in network else ("default",)
    return ("-inet6", "-net", network) if ":" in network else ("-net", network)


def _way(hop: NextHop) -> tuple[str, ...]:
    if hop.gateway:
        return (hop.gateway,)
    return ("-interface", hop.interface) if hop.interface else ("-blackhole",)
