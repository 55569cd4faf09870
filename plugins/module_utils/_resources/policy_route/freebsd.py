# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Policy routes on FreeBSD: pf.conf(5) rules with route-to and reply-to, in an anchor that the monitor loads too."""

from __future__ import annotations

import ipaddress
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ..gateway.state import Resolved
    from .state import PolicyRoute

    Network = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
    Entry = t.Union[str, "dict[str, t.Any]"]


def entries(
    routes: Iterable[PolicyRoute],
    members: Mapping[str, Sequence[Resolved]],
    own: Sequence[str],
) -> list[Entry]:
    """What makes the rules: literal lines, and rules that depend on which gateways are up (_monitor/plan.py).

    ``members`` are the gateways of each target. ``own`` are addresses of the host: packets to them are never sent away.
    """
    return [entry for route in routes for entry in _entries(route, members[route.gateway], own)]


def _entries(route: PolicyRoute, gateways: Sequence[Resolved], own: Sequence[str]) -> Iterator[Entry]:
    family = "inet6" if gateways[0].family == 6 else "inet"
    table, destination = _destination(route, gateways[0].family, own)
    if table:
        yield table
    source = _list(route.source) or "any"
    words = [
        *_protocol(route, family),
        "from",
        source,
        *_ports(route.source_port),
        "to",
        destination,
        *_ports(route.destination_port),
    ]
    match = " ".join(("in", "quick", "on", route.interface, "{way}", family, *words))
    way = "reply-to {hops}" if route.reply_to else "route-to {hops}"
    # Without the gateway nothing can be replied through it: there is no packet to block either.
    blocked = route.on_down == "block" and not route.reply_to
    yield {
        "target": route.gateway,
        "hops": {gateway.name: f"({gateway.interface} {gateway.address})" for gateway in gateways},
        "up": "pass " + match.replace("{way}", way) + f' keep state label "{route.gateway}"',
        "down": "block return " + match.replace("{way} ", "") if blocked else None,
    }


def _destination(route: PolicyRoute, family: int, own: Sequence[str]) -> tuple[str | None, str]:
    """The destination, and the table that it needs: only a table can say which addresses of a network are left out."""
    mine = [address for address in own if (":" in address) == (family == 6)]
    if not route.destination and not route.destination_except:
        return None, "any" if route.reply_to else "! (self)"
    inside = [ipaddress.ip_network(network) for network in route.destination]
    left_out = list(route.destination_except)
    if not route.reply_to:
        left_out.extend(
            address for address in mine if not inside or any(ipaddress.ip_address(address) in item for item in inside)
        )
    if not left_out:
        return None, _list(route.destination)
    name = f"{route.name}_to"
    members = [*(route.destination or (("::/0",) if family == 6 else ("0.0.0.0/0",))), *(f"! {x}" for x in left_out)]
    return f"table <{name}> const {{ {', '.join(members)} }}", f"<{name}>"


def _protocol(route: PolicyRoute, family: str) -> list[str]:
    words = {
        "any": [],
        "tcp/udp": ["proto { tcp, udp }"],
        "icmp": ["proto icmp6" if family == "inet6" else "proto icmp"],
    }
    return words.get(route.protocol, [f"proto {route.protocol}"])


def _list(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{{ {', '.join(items)} }}" if items else ""


def _ports(items: Sequence[str]) -> list[str]:
    return ["port", _list(items)] if items else []
