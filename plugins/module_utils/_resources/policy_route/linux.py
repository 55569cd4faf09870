# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Policy routes, MSS clamps and outbound NAT on Linux: one table of nftables, routing tables chosen by its marks.

nft(8) marks packets, ip-rule(8) sends marked ones to a table of their own, and that table leads through the gateway.
When a gateway goes down only the table's route changes (_monitor/plan.py).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import typing as t

from ..._core.errors import CommandError, ParseError
from ..._core.steps import Batch, Step, command
from ..._core.system import output
from ..._formats import iproute
from ..._formats.addresses import DEFAULTS

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ..._core.system import System
    from ..gateway.state import Resolved
    from .state import PolicyRoute

NFT_TABLE = "routed_ipsec"
MARK = 0xFFFF
"""The bits of a packet's mark that are ours: the number of a routing table."""
KINDS = ("unreachable", "throw")
"""Routes without a next hop: the one refuses packets, the other has the next rule look for a route (ip-route(8))."""
BACKSTOP = 65535
"""Metric of the route that is left in a table when the interface of its gateway is gone: nothing leaks."""


@dataclasses.dataclass(frozen=True)
class Policy:
    """The running state. Lines are those of ``ip -batch`` that make what is there.

    routes: by table, network and metric ("" for the family's own). rules: by family, "4" or "6". nft: the fingerprint
    of our table's text and the number of its rules, None where there is no such table.
    """

    routes: Mapping[tuple[int, str, str], str] = dataclasses.field(default_factory=dict)
    rules: frozenset[tuple[str, int]] = frozenset()
    nft: tuple[str, int] | None = None

    def describe(self) -> dict[str, t.Any]:
        return {
            "rules": [f"IPv{family}: {_rule(table)}" for family, table in sorted(self.rules)],
            "routes": [self.routes[key] for key in sorted(self.routes)],
            "nft": f"table inet {NFT_TABLE}, {self.nft[1]} rules" if self.nft else None,
        }


def observe(system: System) -> Policy:
    """Our table of nftables, our rules and the tables that they lead to."""
    rules = frozenset(
        (family, table)
        for family in ("4", "6")
        for table in _rules(output(system, "ip", "-j", f"-{family}", "rule", "show"))
    )
    tables = {str(table): table for _family, table in rules}
    routes: dict[tuple[int, str, str], str] = {}
    for family in ("4", "6") if tables else ():
        text = output(system, "ip", "-j", "-details", f"-{family}", "route", "show", "table", "all")
        for table, network, metric, words in iproute.defaults(text, DEFAULTS[int(family)]):
            if table in tables:
                routes[(tables[table], network, metric)] = _route(words, network, table, metric)
    return Policy(routes, rules, _nft(system))


def _rules(text: str) -> Iterator[int]:
    """The tables of our rules: those whose mark, mask, table and priority are one number."""
    try:
        for rule in json.loads(text.strip() or "[]"):
            mark, table = int(str(rule.get("fwmark", "0")), 0), str(rule.get("table", ""))
            if table.isdigit() and mark == int(table) == rule["priority"] and int(rule["fwmask"], 0) == MARK:
                yield mark
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ParseError(f"ip rule: cannot read the output: {error!r}") from error


def _nft(system: System) -> tuple[str, int] | None:
    """``nft`` fails where there is no such table; its JSON leaves out the comment that tells which text made it."""
    try:
        result = system.run(("nft", "list", "table", "inet", NFT_TABLE))
    except CommandError:  # no nft, no table
        return None
    return fingerprint(result.stdout) if result.rc == 0 else None


def _rule(table: int) -> str:
    return f"rule add fwmark {table}/{MARK:#x} lookup {table} pref {table} protocol static"


def _route(words: str, network: str, table: str | int, metric: str) -> str:
    """As _monitor/plan.py words it: ``words`` are a kind of route, or the way to the next hops."""
    tail = f" metric {metric}" if metric else ""
    if words in KINDS:
        return f"route replace {words} {network} table {table} proto static{tail}"
    return f"route replace {network} table {table} proto static {words}{tail}"


def backstop(table: int, network: str) -> tuple[tuple[int, str, str], str]:
    """The route of last resort, which no failover touches."""
    metric = str(BACKSTOP)
    return (table, network, metric), _route("unreachable", network, table, metric)


def hops(gateways: Iterable[Resolved]) -> dict[str, str]:
    """Each gateway in ip-route(8)'s words."""
    return {gateway.name: f"via {gateway.address} dev {gateway.interface}" for gateway in gateways}


def boot(policy: Policy) -> tuple[str, str]:
    """The lines for the two boot batches: all of IPv4 with all routes, and the rules of IPv6."""
    four = [*(policy.routes[key] for key in sorted(policy.routes)), *_boot_rules(policy, "4")]
    return "".join(f"{line}\n" for line in four), "".join(f"{line}\n" for line in _boot_rules(policy, "6"))


def _boot_rules(policy: Policy, family: str) -> list[str]:
    return [_rule(table) for mine, table in sorted(policy.rules) if mine == family]


def ruleset(
    routes: Sequence[PolicyRoute],
    families: Mapping[str, int],
    clamps: Mapping[str, int],
    masquerade: Sequence[str],
) -> str:
    """Our table as a file for ``nft -f``, replacing what is there in one transaction.

    ``families`` are those of the policy routes by name; ``clamps`` the MSS of each interface, headers of IP and TCP
    included (RFC 879: 40 bytes, with IPv6 60); ``masquerade`` the interfaces whose packets leave with their address.
    """
    lines = [*_policy(routes, families), *_clamps(clamps), *_masquerade(masquerade)]
    body = "".join(f"\t{line}\n" for line in lines)
    return (
        f"table inet {NFT_TABLE}\n"
        f"delete table inet {NFT_TABLE}\n"
        f"table inet {NFT_TABLE} {{\n"
        f'\tcomment "{hashlib.sha256(body.encode()).hexdigest()[:32]}"\n'
        f"{body}}}\n"
    )


def fingerprint(text: str) -> tuple[str, int]:
    """Which text made a table, and how many rules it has: of a ruleset as ours is, and as ``nft list`` prints it."""
    found = re.search(r'^\tcomment "([0-9a-f]+)"$', text, re.MULTILINE)
    return found[1] if found else "", sum(line.startswith("\t\t") and not _is_hook(line) for line in text.splitlines())


def _is_hook(line: str) -> bool:
    return line.strip().startswith("type ")


def _chain(name: str, hook: str, rules: Iterable[str]) -> list[str]:
    rules = list(rules)
    return [f"chain {name} {{", f"\t{hook}", *(f"\t{rule}" for rule in rules), "}"] if rules else []


def _policy(routes: Sequence[PolicyRoute], families: Mapping[str, int]) -> Iterator[str]:
    answering = sorted({t.cast("int", route.table) for route in routes if route.reply_to})
    answers = [f"ct direction reply ct mark & {MARK:#x} == {table} {_mark('meta mark', table)}" for table in answering]
    rules = [rule for route in routes for rule in _rules_of(route, families[route.name])]
    yield from _chain("prerouting", "type filter hook prerouting priority mangle; policy accept;", [*answers, *rules])
    # The host's own answers to connections that came in through a gateway.
    yield from _chain("output", "type route hook output priority mangle; policy accept;", answers)


def _mark(what: str, table: int) -> str:
    return f"{what} set {what} & {MARK ^ 0xFFFFFFFF:#x} | {table}"


def _rules_of(route: PolicyRoute, family: int) -> Iterator[str]:
    words = [f'iifname "{route.interface}"', "ct direction original"]
    network = "ip6" if family == 6 else "ip"
    words.append(f"meta nfproto ipv{family}")
    for what, networks in (("saddr", route.source), ("daddr", route.destination)):
        if networks:
            words.append(f"{network} {what} {{ {', '.join(networks)} }}")
    if route.destination_except:
        words.append(f"{network} daddr != {{ {', '.join(route.destination_except)} }}")
    protocols = {"tcp/udp": "{ tcp, udp }", "icmp": "ipv6-icmp" if family == 6 else "icmp"}
    if route.protocol != "any":
        words.append(f"meta l4proto {protocols.get(route.protocol, route.protocol)}")
    for what, ports in (("sport", route.source_port), ("dport", route.destination_port)):
        if ports:
            words.append(f"th {what} {{ {', '.join(port.replace(':', '-') for port in ports)} }}")
    table = t.cast("int", route.table)
    marks = [_mark("ct mark", table)] if route.reply_to else [_mark("meta mark", table), _mark("ct mark", table)]
    # Whatever is for the host itself stays here: the kernel looks into the table "local" before it heeds any mark.
    yield " ".join((*words, *marks, "accept"))


def _clamps(clamps: Mapping[str, int]) -> list[str]:
    start = "tcp flags & (syn | rst) == syn"
    rules = [
        f'{way} "{name}" meta nfproto ipv{family} {start} tcp option maxseg size set {mss - headers}'
        for name, mss in sorted(clamps.items())
        for way in ("oifname", "iifname")
        for family, headers in ((4, 40), (6, 60))
    ]
    return _chain("forward", "type filter hook forward priority mangle; policy accept;", rules)


def _masquerade(interfaces: Sequence[str]) -> list[str]:
    rules = [f'oifname "{name}" masquerade' for name in sorted(interfaces)]
    return _chain("postrouting", "type nat hook postrouting priority srcnat; policy accept;", rules)


def changes(before: Policy, after: Policy, path: str) -> Iterator[Step]:
    """New routes before the rules that lead to them, marks last; ``path`` is the ruleset's file."""
    lines = tuple(line for key, line in sorted(after.routes.items()) if before.routes.get(key) != line)
    if lines:
        yield Batch(("ip", "-batch", "-"), lines)
    for family in ("4", "6"):
        added = tuple(_rule(table) for mine, table in sorted(after.rules - before.rules) if mine == family)
        if added:
            yield Batch(("ip", f"-{family}", "-batch", "-"), added)
    if after.nft and after.nft != before.nft:
        yield command("nft", "-f", path)


def removals(before: Policy, after: Policy) -> Iterator[Step]:
    """Marks first, then the rules, then the routes that nothing leads to any more."""
    if before.nft and not after.nft:
        yield command("nft", "delete", "table", "inet", NFT_TABLE)
    for family in ("4", "6"):
        gone = tuple(
            _rule(table).replace("rule add", "rule del", 1)
            for mine, table in sorted(before.rules - after.rules)
            if mine == family
        )
        if gone:
            yield Batch(("ip", f"-{family}", "-batch", "-"), gone)
    lines = tuple(
        f"route del {''.join(f'{kind} ' for kind in KINDS if f' {kind} ' in line)}{key[1]} table {key[0]} proto static"
        + (f" metric {key[2]}" if key[2] else "")
        for key, line in sorted(before.routes.items())
        if key not in after.routes
    )
    if lines:
        yield Batch(("ip", "-batch", "-"), lines)
