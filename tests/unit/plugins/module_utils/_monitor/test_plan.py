# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is run for which decision, word for word."""

from __future__ import annotations

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._monitor.plan import (
    Program,
    action_targets,
    anchor_lines,
    commands,
    kills,
    table_line,
    targets,
)

UP = "pass in quick on lan0 route-to {hops} inet from { 10.2.1.0/24 } to any keep state"
DOWN = "block return in quick on lan0 inet from { 10.2.1.0/24 } to any"
ENTRY = {
    "target": "G",
    "hops": {"A": "(ipsec1 10.6.106.1)", "B": "(ipsec2 10.6.107.1)", "C": "(ipsec3 10.6.108.1)"},
    "up": UP,
    "down": DOWN,
}
TABLE = {
    "kind": "table",
    "target": "G",
    "table": 7001,
    "network": "0.0.0.0/0",
    "hops": {"A": "via 10.6.106.1 dev ipsec1", "B": "via 10.6.107.1 dev ipsec2"},
    "on_down": "block",
}
WEIGHTS = {"A": 1, "B": 3, "C": 2}


@pytest.mark.parametrize(
    ("selection", "entry", "lines"),
    [
        (("A",), ENTRY, [UP.replace("{hops}", "(ipsec1 10.6.106.1)")]),
        (("B",), ENTRY, [UP.replace("{hops}", "(ipsec2 10.6.107.1)")]),
        (
            ("A", "B", "C"),
            ENTRY,
            [
                UP.replace(
                    "{hops}",
                    "{ (ipsec1 10.6.106.1), (ipsec2 10.6.107.1), (ipsec2 10.6.107.1), (ipsec2 10.6.107.1), "
                    "(ipsec3 10.6.108.1), (ipsec3 10.6.108.1) } round-robin sticky-address",
                )
            ],
        ),
        ((), ENTRY, [DOWN]),
        ((), {**ENTRY, "down": None}, []),
        (("A", "D"), ENTRY, [UP.replace("{hops}", "(ipsec1 10.6.106.1)")]),
        (("D",), ENTRY, [DOWN]),
    ],
)
def test_anchor(selection, entry, lines):
    entries = ["table <a> const { 10.0.0.0/8 }", entry, "pass all"]
    assert anchor_lines(entries, WEIGHTS, {"G": selection}) == [entries[0], *lines, entries[2]]


@pytest.mark.parametrize(
    ("on_down", "selection", "line"),
    [
        ("block", ("B",), "route replace 0.0.0.0/0 table 7001 proto static via 10.6.107.1 dev ipsec2"),
        (
            "block",
            ("A", "B"),
            "route replace 0.0.0.0/0 table 7001 proto static nexthop via 10.6.106.1 dev ipsec1 weight 1"
            " nexthop via 10.6.107.1 dev ipsec2 weight 3",
        ),
        ("block", (), "route replace unreachable 0.0.0.0/0 table 7001 proto static"),
        ("follow", (), "route replace throw 0.0.0.0/0 table 7001 proto static"),
        ("follow", ("C",), "route replace throw 0.0.0.0/0 table 7001 proto static"),
        ("follow", ("A", "C"), "route replace 0.0.0.0/0 table 7001 proto static via 10.6.106.1 dev ipsec1"),
    ],
)
def test_table(on_down, selection, line):
    assert table_line({**TABLE, "on_down": on_down}, WEIGHTS, selection) == line


LINES = {"kind": "route", "target": "G", "lines": {"A": "route replace 10.1.0.0/24 via 10.6.106.1 proto static"}}
CHANGE = ["route", "-n", "change", "-net", "10.1.0.0/24", "10.6.106.1"]
ADD = ["route", "-n", "add", "-net", "10.1.0.0/24", "10.6.106.1"]
COMMANDS = {"kind": "route", "target": "A", "commands": {"A": [CHANGE, ADD]}}
ANCHOR = {"kind": "anchor", "anchor": "routed_ipsec/policy", "entries": ["pass all", ENTRY]}


def config(*actions, **gateways):
    known = {
        name: {"weight": weight, "address": f"10.6.{weight}.1", "gw_down_kill_states": gateways.get(name, "none")}
        for name, weight in WEIGHTS.items()
    }
    groups = {"G": {"keep_failover_states": True}, "H": {"keep_failover_states": False}}
    return {"gateways": known, "groups": groups, "actions": list(actions)}


def test_all_lines_for_ip_are_one_batch_before_anything_else():
    selections = {"G": ("A",), "A": ("A",)}
    assert commands(config(COMMANDS, LINES, ANCHOR, TABLE), selections, {"G": "A", "A": "A"}) == [
        Program(
            (("ip", "-force", "-batch", "-"),),
            "route replace 10.1.0.0/24 via 10.6.106.1 proto static\n"
            "route replace 0.0.0.0/0 table 7001 proto static via 10.6.106.1 dev ipsec1\n",
        ),
        Program((tuple(CHANGE), tuple(ADD))),
        Program(
            (("pfctl", "-a", "routed_ipsec/policy", "-f", "-"),),
            f"pass all\n{UP.replace('{hops}', '(ipsec1 10.6.106.1)')}\n",
        ),
    ]


def test_only_what_concerns_the_targets():
    everything = config(COMMANDS, LINES, ANCHOR, TABLE)
    selections, routes = {"G": ("A",), "A": ("A",)}, {"G": "A", "A": "A"}
    assert commands(everything, selections, routes, {"A"}) == [Program((tuple(CHANGE), tuple(ADD)))]
    assert len(commands(everything, selections, routes, {"G"})) == 2
    assert commands(everything, selections, routes, set()) == []
    assert targets(everything) == ("A", "G")
    assert action_targets(ANCHOR) == ("G",)


def test_a_route_without_a_way_through_the_chosen_gateway_is_left_alone():
    assert commands(config(LINES, COMMANDS), {"G": ("B",), "A": ()}, {"G": "B", "A": "B"}) == []


FORMER = {"G": ("A",), "H": ("B", "C")}
TABLES = (TABLE, {**TABLE, "target": "H", "table": 7002}, {**TABLE, "target": "A", "table": 7003})


@pytest.mark.parametrize(
    ("policies", "fell", "improved", "linux", "freebsd"),
    [
        ({}, ["A"], ["G"], [], []),
        ({"A": "gateway"}, ["A"], [], ["conntrack -D --mark 7001/0xffff"], ["pfctl -k gateway -k 10.6.1.1"]),
        ({"A": "gateway"}, ["B"], [], [], []),
        (
            {"A": "gateway", "B": "gateway"},
            ["A", "B"],
            [],
            ["conntrack -D --mark 7001/0xffff", "conntrack -D --mark 7002/0xffff"],
            ["pfctl -k gateway -k 10.6.1.1", "pfctl -k gateway -k 10.6.3.1"],
        ),
        ({"A": "all", "B": "gateway"}, ["B", "A"], ["H"], ["conntrack -F"], ["pfctl -F states"]),
        ({}, [], ["H"], ["conntrack -D --mark 7002/0xffff"], ["pfctl -k label -k H"]),
    ],
)
def test_states_that_are_ended(policies, fell, improved, linux, freebsd):
    for is_linux, lines in ((True, linux), (False, freebsd)):
        programs = kills(config(*TABLES, **policies), fell, improved, FORMER, linux=is_linux)
        assert programs == [Program((tuple(line.split()),), may_fail=True) for line in lines]
