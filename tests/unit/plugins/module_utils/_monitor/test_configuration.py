# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The monitor's configuration: what is read, and that nothing is taken on which a run would fail."""

from __future__ import annotations

import copy
import json

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._monitor.configuration import Malformed, read
from ansible_collections.routed_ipsec.vti.plugins.module_utils._monitor.decision import Thresholds

GATEWAY = {
    "interface": "ipsec1",
    "address": "10.6.106.1",
    "source": "10.6.106.2",
    "monitor": "10.6.106.1",
    "force_down": False,
    "action_disable": False,
    "weight": 1,
    "interval": 500,
    "loss_interval": 2000,
    "time_period": 60000,
    "alert_interval": 1000,
    "alert_hold": 10000,
    "latencylow": 200,
    "latencyhigh": 500,
    "losslow": 10,
    "losshigh": 20,
    "data_payload": 1,
    "gw_down_kill_states": "none",
}
TABLE = {"kind": "table", "target": "G", "table": 7, "network": "::/0", "hops": {}, "on_down": "block"}
FILE = {
    "lock": "/var/run/lock",
    "hooks": "/etc/hooks.d",
    "gateways": {"A": GATEWAY, "B": {**GATEWAY, "monitor": None, "source": None}},
    "groups": {
        "G": {"trigger": "down", "members": [{"gateway": "A", "tier": 1}], "keep_failover_states": True},
    },
    "actions": [
        {"kind": "route", "target": "A", "lines": {"A": "route replace"}},
        {"kind": "route", "target": "B", "commands": {"B": [["route"]]}},
        {"kind": "anchor", "anchor": "a", "entries": ["x", {"target": "G", "hops": {}, "up": "u", "down": None}]},
        TABLE,
    ],
}


def test_reads():
    configuration = read(json.dumps(FILE))
    assert configuration.raw == FILE
    assert configuration.targets == ("G", "A", "B")
    assert configuration.gateways["A"].thresholds == Thresholds(200, 500, 10, 20)
    assert [gateway.probed for gateway in configuration.gateways.values()] == [True, False]
    forced = copy.deepcopy(FILE)
    forced["gateways"]["A"]["force_down"] = True
    assert not read(json.dumps(forced)).gateways["A"].probed


def test_nothing_configured():
    empty = {"lock": "", "hooks": "", "gateways": {}, "groups": {}, "actions": []}
    assert read(json.dumps(empty)).targets == ()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["lock"], 1, "the file: lock is of another type"),
        (["gateways"], [], "the file: gateways is of another type"),
        (["gateways", "A"], [], "gateway A is no object"),
        (["gateways", "A", "interval"], None, "gateway A: interval is of another type"),
        (["gateways", "A", "interval"], True, "gateway A: interval is of another type"),
        (["gateways", "A", "interval"], 0, "gateway A: interval is not positive"),
        (["gateways", "A", "force_down"], 0, "gateway A: force_down is of another type"),
        (["gateways", "A", "monitor"], 0, "gateway A: monitor is of another type"),
        (["gateways", "A", "gw_down_kill_states"], "some", "gateway A: gw_down_kill_states is some"),
        (["groups", "G", "trigger"], "up", "group G: trigger is up"),
        (["groups", "G", "members"], [], "group G: no members"),
        (["groups", "G", "members", 0, "gateway"], "C", "group G: there is no gateway C"),
        (["groups", "G", "members", 0, "tier"], "1", "group G: tier is of another type"),
        (["actions", 0], "route", "action 1 is no object"),
        (["actions", 0, "kind"], "walk", "action 1: kind is walk"),
        (["actions", 0, "target"], "C", "action 1: there is no gateway or group C"),
        (["actions", 0, "lines"], [], "action 1: lines is of another type"),
        (["actions", 2, "entries", 1, "target"], "C", "action 3: there is no gateway or group C"),
        (["actions", 2, "entries", 1, "up"], None, "action 3: up is of another type"),
        (["actions", 3, "table"], "7", "action 4: table is of another type"),
        (["actions", 3, "on_down"], "wait", "action 4: on_down is wait"),
    ],
)
def test_refuses(path, value, message):
    file = copy.deepcopy(FILE)
    place = file
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(Malformed, match=f"^{message}$"):
        read(json.dumps(file))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ((), "^the file: lock is missing$"),
        (("gateways", "A"), "^gateway A: .* is missing$"),
        (("groups", "G"), "^group G: .* is missing$"),
        (("actions", 3), "^action 4: .* is missing$"),
    ],
)
def test_refuses_what_is_not_whole(path, message):
    whole = FILE
    for key in path:
        whole = whole[key]
    for key in whole if path else ["lock"]:
        file = copy.deepcopy(FILE)
        place = file
        for step in path:
            place = place[step]
        del place[key]
        with pytest.raises(Malformed, match=message):
            read(json.dumps(file))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"lock"'])
def test_refuses_what_is_nothing_like_it(text):
    with pytest.raises(Malformed):
        read(text)
