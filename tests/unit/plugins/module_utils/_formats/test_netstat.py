# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""FreeBSD's routing table, recorded and in older spelling."""

from __future__ import annotations

import json

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import ParseError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats.netstat import Route, parse
from ansible_collections.routed_ipsec.vti.tests.unit.plugins.module_utils._formats.transcripts import load, of_command

TABLES = [each for each in of_command("netstat") if each.command.split()[1].startswith("-rn")]


@pytest.mark.parametrize("transcript", TABLES, ids=lambda transcript: f"{transcript.name} {transcript.command}")
def test_reads_json_and_refuses_all_other_forms(transcript):
    if "json" in transcript.command:
        assert len(parse(transcript.stdout)) == transcript.stdout.count('"destination"')
    else:
        with pytest.raises(ParseError):
            parse(transcript.stdout)


def test_recorded_table():
    table = parse(load("net/189").stdout)
    assert table[0] == Route("0.0.0.0/0", "10.0.2.2", "vtnet0", "UGS")
    assert Route("10.6.106.2/32", None, "ipsec0", "UH") in table
    assert Route("192.0.2.0/24", None, "vtnet1", "U") in table
    assert Route("::/96", "::1", "lo0", "URS") in table
    assert Route("::1/128", None, "lo0", "UHS") in table
    assert Route("::ffff:0.0.0.0/96", "::1", "lo0", "URS") in table
    assert Route("fe80::%vtnet1/64", None, "vtnet1", "U") in table
    assert Route("fe80::5054:ff:fe00:101%vtnet1/128", None, "lo0", "UHS") in table
    assert parse(load("net/190").stdout) == table


def test_gateways_with_scope():
    assert Route("2001:db8:78::/48", "fe80::1%vtnet1", "vtnet1", "UGS") in parse(load("net/262").stdout)


def table(family, *entries):
    families = [{"address-family": family, "rt-entry": list(entries)}]
    return json.dumps({"statistics": {"route-information": {"route-table": {"rt-family": families}}}})


@pytest.mark.parametrize(
    ("family", "destination", "canonical"),
    [
        ("Internet", "default", "0.0.0.0/0"),
        ("Internet6", "default", "::/0"),
        ("Internet", "10/8", "10.0.0.0/8"),
        ("Internet", "10", "10.0.0.0/8"),
        ("Internet", "192.168.1", "192.168.1.0/24"),
        ("Internet", "192.168.1/25", "192.168.1.0/25"),
        ("Internet", "10.6.106.2", "10.6.106.2/32"),
        ("Internet6", "2001:DB8:0::/48", "2001:db8::/48"),
    ],
)
def test_destinations(family, destination, canonical):
    entry = {"destination": destination, "gateway": "link#1", "flags": "U", "interface-name": "em0"}
    assert parse(table(family, entry)) == (Route(canonical, None, "em0", "U"),)


@pytest.mark.parametrize("gateway", ["link#3", "52:54:00:00:00:01", "ipsec0"])
def test_no_next_hop(gateway):
    entry = {"destination": "10.0.0.0/8", "gateway": gateway, "flags": "US", "interface-name": "ipsec0"}
    assert parse(table("Internet", entry)) == (Route("10.0.0.0/8", None, "ipsec0", "US"),)


def test_empty_tables():
    assert parse('{"statistics": {"route-information": {"route-table": {}}}}') == ()
    assert parse(table("Internet")) == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"statistics": 1}',
        table("Internet", {"destination": "10.0.0.0/8"}),
        table("Internet", {"destination": "10.0.0.1/8", "gateway": "1.1.1.1", "flags": "U", "interface-name": "em0"}),
        table("Internet", {"destination": "somewhere", "gateway": "1.1.1.1", "flags": "U", "interface-name": "em0"}),
    ],
)
def test_refuses_anything_else(text):
    with pytest.raises(ParseError, match=r"^netstat: "):
        parse(text)
