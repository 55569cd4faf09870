# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which programs bring routes, tables, the pf anchor and states to what was decided; pure.

``config`` is the monitor's configuration as read; ``selections`` is decision.select() and ``routes``
decision.choose() of each target.
"""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    Selections = Mapping[str, t.Tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class Program:
    """Command lines to try until one exits 0, each given ``stdin``; with ``may_fail`` any exit status will do."""

    tries: tuple[tuple[str, ...], ...]
    stdin: str = ""
    may_fail: bool = False


def targets(config: Mapping[str, t.Any]) -> tuple[str, ...]:
    """What the actions depend on, each once, in order: gateways and groups."""
    return tuple(dict.fromkeys(target for action in config["actions"] for target in action_targets(action)))


def action_targets(action: Mapping[str, t.Any]) -> tuple[str, ...]:
    """What one action depends on; several only for an anchor."""
    if action["kind"] == "anchor":
        return tuple(dict.fromkeys(entry["target"] for entry in action["entries"] if not isinstance(entry, str)))
    return (action["target"],)


def anchor_lines(
    entries: Iterable[str | Mapping[str, t.Any]], weights: Mapping[str, int], selections: Selections
) -> list[str]:
    """The rules of a pf anchor (pf.conf(5), POOLS), in order; an entry that has nothing to say makes no line.

    A hop is repeated as often as its gateway weighs: a pool has no weights of its own.
    """
    lines = []
    for entry in entries:
        if isinstance(entry, str):
            lines.append(entry)
            continue
        usable = [gateway for gateway in selections[entry["target"]] if gateway in entry["hops"]]
        if usable:
            lines.append(entry["up"].replace("{hops}", _pool(entry["hops"], weights, usable)))
        elif entry["down"] is not None:
            lines.append(entry["down"])
    return lines


def _pool(hops: Mapping[str, str], weights: Mapping[str, int], usable: list[str]) -> str:
    if len(usable) == 1:
        return hops[usable[0]]
    repeated = [hops[gateway] for gateway in usable for _time in range(weights[gateway])]
    return f"{{ {', '.join(repeated)} }} round-robin sticky-address"


def table_line(action: Mapping[str, t.Any], weights: Mapping[str, int], selection: Iterable[str]) -> str:
    """The line of ``ip -batch`` (ip-route(8)) that makes a policy's table lead through the selection.

    With nothing selected: "block" refuses packets here; "follow" throws them, which ends the look-up in this table
    only and so hides the backstop behind it. Each line replaces any other, and does no harm when repeated.
    """
    usable = [gateway for gateway in selection if gateway in action["hops"]]
    kind = "" if usable else {"block": "unreachable ", "follow": "throw "}[action["on_down"]]
    line = f"route replace {kind}{action['network']} table {action['table']} proto static"
    if not usable:
        return line
    if len(usable) == 1:
        return f"{line} {action['hops'][usable[0]]}"
    return line + "".join(f" nexthop {action['hops'][gateway]} weight {weights[gateway]}" for gateway in usable)


def commands(
    config: Mapping[str, t.Any],
    selections: Selections,
    routes: Mapping[str, str],
    only: Collection[str] | None = None,
) -> list[Program]:
    """What to run, in order, for the actions (those of the targets ``only``). Everything may be run again at any time.

    All lines for ip are one batch, in which a line that fails does not stop the others.
    """
    weights = {name: gateway["weight"] for name, gateway in config["gateways"].items()}
    programs: list[Program] = []
    lines: list[str] = []
    for action in config["actions"]:
        if only is not None and not set(action_targets(action)) & set(only):
            continue
        if action["kind"] == "anchor":
            text = "".join(f"{line}\n" for line in anchor_lines(action["entries"], weights, selections))
            programs.append(Program((("pfctl", "-a", action["anchor"], "-f", "-"),), text))
        elif action["kind"] == "table":
            lines.append(table_line(action, weights, selections[action["target"]]))
        elif "lines" in action:
            lines += [line for gateway, line in action["lines"].items() if gateway == routes[action["target"]]]
        else:
            tries = action["commands"].get(routes[action["target"]])
            if tries:
                programs.append(Program(tuple(tuple(argv) for argv in tries)))
    if lines:
        batch = Program((("ip", "-force", "-batch", "-"),), "".join(f"{line}\n" for line in lines))
        programs.insert(0, batch)
    return programs


def kills(
    config: Mapping[str, t.Any], fell: Collection[str], improved: Iterable[str], former: Selections, *, linux: bool
) -> list[Program]:
    """Which states to end, after the routes moved.

    ``fell`` are the gateways that went down, ``improved`` the groups that moved to a better tier, ``former`` what was
    selected until now. Connections of a policy's table bear its number as their mark.
    """
    policies = [gateway["gw_down_kill_states"] for gateway in (config["gateways"][name] for name in fell)]
    if "all" in policies:
        return [_kill("conntrack", "-F") if linux else _kill("pfctl", "-F", "states")]
    killed = [name for name, policy in zip(fell, policies) if policy == "gateway"]
    moved = [group for group in improved if not config["groups"][group]["keep_failover_states"]]
    if linux:
        programs = [
            _kill("conntrack", "-D", "--mark", f"{action['table']}/0xffff")
            for action in config["actions"]
            if action["kind"] == "table"
            and (action["target"] in moved or set(killed) & set(former.get(action["target"], ())))
        ]
    else:
        programs = [_kill("pfctl", "-k", "gateway", "-k", config["gateways"][name]["address"]) for name in killed]
        programs += [_kill("pfctl", "-k", "label", "-k", group) for group in moved]
    return list(dict.fromkeys(programs))


def _kill(*argv: str) -> Program:
    return Program((argv,), may_fail=True)
