# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the monitor reports, and what it reads of that when it starts again."""

from __future__ import annotations

import json
import os
import stat

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._monitor.decision import Figures
from ansible_collections.routed_ipsec.vti.plugins.module_utils._monitor.status import (
    GatewayReport,
    GroupReport,
    Remembered,
    as_json,
    as_prometheus,
    read,
    write,
)

GATEWAYS = {
    "A": GatewayReport("online", 10.5, Figures(12.25, 1.5, 2), "ipsec1", "10.6.106.1", "10.6.106.2"),
    "B": GatewayReport("down", 11.0, Figures(None, None, 100), "ipsec2", "10.6.107.1", "10.6.107.2"),
    "C": GatewayReport("pending", 12.0, None, "ipsec3", None, None),
}
GROUPS = {"G": GroupReport(("A",), "A", 1, 13.0), "H": GroupReport((), "B", None, 14.0)}


def test_json():
    assert json.loads(as_json(1732444444.1, GATEWAYS, GROUPS)) == {
        "updated": 1732444444.1,
        "gateways": {
            "A": {
                "status": "online",
                "latency_ms": 12.25,
                "stddev_ms": 1.5,
                "loss_percent": 2,
                "since": 10.5,
                "monitor": "10.6.106.1",
                "source": "10.6.106.2",
            },
            "B": {
                "status": "down",
                "latency_ms": None,
                "stddev_ms": None,
                "loss_percent": 100,
                "since": 11.0,
                "monitor": "10.6.107.1",
                "source": "10.6.107.2",
            },
            "C": {
                "status": "pending",
                "latency_ms": None,
                "stddev_ms": None,
                "loss_percent": None,
                "since": 12.0,
                "monitor": None,
                "source": None,
            },
        },
        "groups": {
            "G": {"selected": ["A"], "route": "A", "tier": 1, "since": 13.0},
            "H": {"selected": [], "route": "B", "tier": None, "since": 14.0},
        },
    }


def test_prometheus():
    lines = as_prometheus(GATEWAYS, GROUPS).splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        'routed_ipsec_gateway_up{gateway="A",interface="ipsec1"} 1',
        'routed_ipsec_gateway_up{gateway="B",interface="ipsec2"} 0',
        'routed_ipsec_gateway_up{gateway="C",interface="ipsec3"} 1',
        'routed_ipsec_gateway_latency_seconds{gateway="A",interface="ipsec1"} 0.012250',
        'routed_ipsec_gateway_latency_stddev_seconds{gateway="A",interface="ipsec1"} 0.001500',
        'routed_ipsec_gateway_loss_ratio{gateway="A",interface="ipsec1"} 0.02',
        'routed_ipsec_gateway_loss_ratio{gateway="B",interface="ipsec2"} 1',
        'routed_ipsec_gateway_status{gateway="A",status="online"} 1',
        'routed_ipsec_gateway_status{gateway="B",status="down"} 1',
        'routed_ipsec_gateway_status{gateway="C",status="pending"} 1',
        'routed_ipsec_group_tier{group="G"} 1',
        'routed_ipsec_group_tier{group="H"} 0',
    ]
    # Help and type of a family come once, right before its samples.
    for number, line in enumerate(lines):
        if line.startswith("# HELP "):
            name = line.split()[2]
            assert lines[number + 1] == f"# TYPE {name} gauge"
            assert lines[number + 2].startswith(f"{name}{{")
    families = {line.partition("{")[0] for line in lines if not line.startswith("#")}
    assert len([line for line in lines if line.startswith("# HELP ")]) == len(families)


def test_labels_are_escaped():
    odd = 'a"b\\c\nd'
    text = as_prometheus({odd: GATEWAYS["A"]}, {})
    assert 'routed_ipsec_gateway_up{gateway="a\\"b\\\\c\\nd",interface="ipsec1"} 1\n' in text


def test_a_file_is_replaced_as_a_whole_and_readable_whatever_the_umask(tmp_path):
    path = tmp_path / "status.json"
    path.write_text("old")
    before = path.open()
    mask = os.umask(0o077)
    try:
        write(str(path), "new")
    finally:
        os.umask(mask)
    with before:
        assert before.read() == "old"
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["status.json"]


def test_what_was_reported_is_remembered_but_for_what_was_pending(tmp_path):
    path = tmp_path / "status.json"
    path.write_text(as_json(20.0, GATEWAYS, GROUPS))
    assert read(str(path)) == Remembered({"A": ("online", 10.5), "B": ("down", 11.0)}, GROUPS)


@pytest.mark.parametrize("text", [None, "", "[]", '{"gateways": {"A": {}}, "groups": {}}', '{"gateways": {}}', "\xff"])
def test_what_cannot_be_read_is_nothing_to_remember(tmp_path, text):
    path = tmp_path / "status.json"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    assert read(str(path)) == Remembered()
