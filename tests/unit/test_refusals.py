# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is refused before anything is touched; every message begins with the option that is wrong."""

from __future__ import annotations

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption, VtiError
from ansible_collections.routed_ipsec.vti.tests.unit.simulated import SimulatedSystem, pair, plan, run, snapshot

PHASE1 = {"name": "hq", "local_addrs": ["192.0.2.2"], "remote_addrs": ["192.0.2.1"], "psk": "x"}
PHASE2 = {"name": "hq", "phase1": "hq", "local_address": "10.6.106.2/30", "remote_address": "10.6.106.1"}
ASSIGNMENT = {"phase2": "hq", "name": "VTI_HQ"}
ROUTE = {"name": "lan", "network": "10.1.0.0/24", "gateway": "VTI_HQ_VTIV4"}


@pytest.fixture(scope="module")
def gateway():
    """A gateway with a tunnel, never changed by these tests."""
    system = SimulatedSystem(pair()[1])
    run(system, "phase1", **PHASE1)
    run(system, "phase2", **PHASE2)
    run(system, "assignment", **ASSIGNMENT)
    run(system, "static_route", **ROUTE)
    return system


REFUSED = [
    ("phase1", {"name": 'a"b'}, "name"),
    ("phase1", {"name": "a\nb"}, "name"),
    ("phase1", {"name": "../a"}, "name"),
    ("phase1", {"name": ""}, "name"),
    ("phase1", {"name": "a" * 49}, "name"),
    ("phase1", {"local_addrs": []}, "local_addrs"),
    ("phase1", {"remote_addrs": []}, "remote_addrs"),
    ("phase1", {"remote_addrs": ['x"']}, "remote_addrs"),
    ("phase1", {"remote_addrs": ["2001:db8::1"]}, "remote_addrs"),
    ("phase1", {"remote_addrs": ["peer.example.com"]}, "remote_id"),
    ("phase1", {"name": "new", "remote_addrs": ["192.0.2.9"], "psk": None}, "psk"),
    ("phase1", {"psk": ""}, "psk"),
    ("phase1", {"local_id": ""}, "local_id"),
    ("phase1", {"remote_id": "a\nb"}, "remote_id"),
    ("phase1", {"description": "two\nlines"}, "description"),
    ("phase1", {"proposals": []}, "proposals"),
    ("phase1", {"proposals": ["aes128"]}, "proposals"),
    ("phase1", {"proposals": ["aes128-sha257-modp2048"]}, "proposals"),
    ("phase1", {"version": 1, "proposals": ["aes128gcm16-prfsha256-modp2048"]}, "proposals"),
    ("phase1", {"auth": "pubkey"}, "local_certs"),
    ("phase1", {"auth": "pubkey", "local_certs": ["a.pem"]}, "remote_cacerts"),
    ("phase1", {"aggressive": True}, "aggressive"),
    ("phase1", {"local_port": 0}, "local_port"),
    ("phase1", {"remote_port": 65536}, "remote_port"),
    ("phase1", {"dpd_delay": -1}, "dpd_delay"),
    ("phase1", {"lifetime": 10}, "lifetime"),
    ("phase1", {"rekey_time": 28800}, "lifetime"),
    ("phase1", {"reauth_time": 28800}, "lifetime"),
    ("phase1", {"enabled": False}, "enabled"),
    ("phase1", {"state": "absent"}, "phase1"),
    ("phase1", {"name": "two"}, "remote_addrs"),
    ("phase1", {"name": "two", "remote_addrs": ["192.0.2.9"], "remote_id": "192.0.2.1", "psk": "y"}, "psk"),
    ("phase2", {"phase1": "none"}, "phase1"),
    ("phase2", {"phase1": None}, "phase1"),
    ("phase2", {"local_address": None}, "local_address"),
    ("phase2", {"local_address": "10.6.106.2/33"}, "local_address"),
    ("phase2", {"local_address": "10.6.106.0/30"}, "local_address"),
    ("phase2", {"local_address": "10.6.106.3/30"}, "local_address"),
    ("phase2", {"local_address": "2001:db8:6::/64", "remote_address": "2001:db8:6::2"}, "local_address"),
    ("phase2", {"remote_address": "x"}, "remote_address"),
    ("phase2", {"remote_address": "10.6.106.2"}, "remote_address"),
    ("phase2", {"remote_address": "10.6.106.5"}, "remote_address"),
    ("phase2", {"remote_address": "2001:db8::1"}, "remote_address"),
    ("phase2", {"remote_address": "10.6.106.1/29"}, "remote_address"),
    ("phase2", {"local_address": "10.2.0.5/30", "remote_address": "10.2.0.6"}, "local_address"),
    ("phase2", {"reqid": 16384}, "reqid"),
    ("phase2", {"unit": 32768}, "unit"),
    ("phase2", {"mtu": 1279}, "mtu"),
    ("phase2", {"life_time": 100, "rekey_time": 100}, "life_time"),
    ("phase2", {"esp_proposals": ["aes128gcm16-nothing"]}, "esp_proposals"),
    ("phase2", {"esp_proposals": []}, "esp_proposals"),
    ("phase2", {"local_ts": ["10.0.0.1/8"]}, "local_ts"),
    (
        "phase2",
        {"name": "six", "mtu": 1380, "local_address": "2001:db8:6::2/64", "remote_address": "2001:db8:6::1"},
        "mtu",
    ),
    (
        "phase2",
        {"name": "six", "unit": 9, "local_address": "2001:db8:6::2/64", "remote_address": "2001:db8:6::1"},
        "unit",
    ),
    ("phase2", {"enabled": False}, "enabled"),
    ("phase2", {"state": "absent"}, "interface"),
    ("assignment", {"phase2": "none"}, "phase2"),
    ("assignment", {"phase2": None, "interface": "ipsec9"}, "interface"),
    ("assignment", {"name": "a b"}, "name"),
    ("assignment", {"name": "123"}, "name"),
    ("assignment", {"name": "pass"}, "name"),
    ("assignment", {"name": "pkg_x"}, "name"),
    ("assignment", {"name": "A" * 26}, "name"),
    ("assignment", {"mtu": 9000}, "mtu"),
    ("assignment", {"name": "VTI_OTHER"}, "gateway"),
    ("assignment", {"state": "absent"}, "gateway"),
    ("static_route", {"name": "a-b"}, "name"),
    ("static_route", {"network": None}, "network"),
    ("static_route", {"network": "10.1.0.1/24"}, "network"),
    ("static_route", {"gateway": "NOBODY"}, "gateway"),
    ("static_route", {"gateway": None}, "gateway"),
    ("static_route", {"interface": "ipsec1"}, "gateway"),
    ("static_route", {"gateway": None, "interface": "a b"}, "interface"),
    ("static_route", {"network": "2001:db8:1::/48"}, "gateway"),
    ("static_route", {"name": "two"}, "network"),
    ("static_route", {"network": "0.0.0.0/0"}, "network"),
    ("static_route", {"network": "192.0.2.0/28"}, "network"),
    ("static_route", {"network": "192.0.2.0/24"}, "network"),
    ("filter_mode", {"mode": None}, "mode"),
    ("site", {"phase1": [PHASE1, PHASE1]}, "phase1: hq: name"),
    ("site", {"phase1": [{**PHASE1, "version": 1, "proposals": ["x"]}]}, "phase1: hq: proposals"),
    ("site", {"phase2": [{**PHASE2, "mtu": 1}]}, "phase2: hq: mtu"),
    ("site", {"assignments": [{"name": "VTI_HQ", "phase2": "none"}]}, "assignments: VTI_HQ: phase2"),
    ("site", {"static_routes": [{**ROUTE, "network": "x"}]}, "static_routes: lan: network"),
    ("site", {"phase1": [PHASE1], "purge": True, "static_routes": [ROUTE]}, "gateway"),
]
BASE = {
    "phase1": PHASE1,
    "phase2": PHASE2,
    "assignment": ASSIGNMENT,
    "static_route": ROUTE,
    "filter_mode": {},
    "site": {},
}


@pytest.mark.parametrize(("kind", "change", "option"), REFUSED)
def test_refuses_and_names_the_option(gateway, kind, change, option):
    given = {name: value for name, value in {**BASE[kind], **change}.items() if value is not None}
    before = snapshot(gateway.host)
    with pytest.raises(InvalidOption) as caught:
        plan(gateway, kind, **given)
    assert str(caught.value).startswith(f"{option}: ")
    assert snapshot(gateway.host) == before


def test_any_peer_needs_dynamic_endpoints(gateway):
    anyone = {**PHASE1, "name": "any", "remote_addrs": ["%any"], "remote_id": "branch7"}
    tunnel = {"name": "any", "phase1": "any", "local_address": "10.6.106.9/30", "remote_address": "10.6.106.10"}
    with pytest.raises(InvalidOption, match=r"^phase2: any: remote_addrs: %any .*dynamic_endpoints=true"):
        plan(gateway, "site", phase1=[anyone], phase2=[tunnel])
    after = plan(gateway, "site", phase1=[anyone], phase2=[{**tunnel, "dynamic_endpoints": True}])[1]
    assert after.realized.interfaces["ipsec2"].tunnel is None


@pytest.mark.parametrize("option", ["reqid", "unit"])
def test_numbers_are_used_once(gateway, option):
    peer = {**PHASE1, "name": "b", "remote_addrs": ["192.0.2.9"]}
    number = {"reqid": 5001, "unit": 1}[option]
    tunnel = {
        "name": "b",
        "phase1": "b",
        "local_address": "10.6.106.9/30",
        "remote_address": "10.6.106.10",
        option: number,
    }
    with pytest.raises(InvalidOption, match=rf"^{option}: {number} of phase 2 \w+ is phase 2 \w+'s"):
        plan(gateway, "site", phase1=[peer], phase2=[tunnel])


def test_transit_networks_do_not_overlap(gateway):
    peer = {**PHASE1, "name": "b", "remote_addrs": ["192.0.2.9"]}
    tunnel = {"name": "b", "phase1": "b", "local_address": "10.6.106.6/29", "remote_address": "10.6.106.5"}
    with pytest.raises(InvalidOption, match=r"^local_address: the transit network .*10.6.106.0/29"):
        plan(gateway, "site", phase1=[peer], phase2=[tunnel])


def test_equal_selectors_of_split_connections_are_refused(gateway):
    old = {**PHASE1, "name": "old", "version": 1, "remote_addrs": ["192.0.2.9"]}
    tunnels = [
        {"name": f"old{n}", "phase1": "old", "local_address": f"10.6.106.{n}/30", "remote_address": f"10.6.106.{n + 1}"}
        for n in (9, 13)
    ]
    with pytest.raises(InvalidOption, match=r"^remote_ts: phase 2 old9 and old13"):
        plan(gateway, "site", phase1=[old], phase2=tunnels)


def test_a_route_of_somebody_else_is_not_taken_over(gateway):
    gateway.host.run(["route", "-n", "add", "-net", "10.77.0.0/16", "192.0.2.254"])
    try:
        with pytest.raises(InvalidOption, match=r"^network: 10.77.0.0/16 leads through 192.0.2.254 already"):
            plan(gateway, "static_route", name="theirs", network="10.77.0.0/16", gateway="VTI_HQ_VTIV4")
    finally:
        gateway.host.run(["route", "-n", "delete", "-net", "10.77.0.0/16", "192.0.2.254"])


def test_a_pinned_peer_may_lie_in_a_routed_network(gateway):
    peer = {**PHASE1, "name": "far", "remote_addrs": ["198.51.100.9"]}
    wide = {"name": "wide", "network": "198.51.100.0/24", "gateway": "VTI_HQ_VTIV4"}
    with pytest.raises(
        InvalidOption, match=r"^network: 198.51.100.0/24 .* holds 198.51.100.9, the peer of phase 1 far"
    ):
        plan(gateway, "site", phase1=[peer], static_routes=[wide])
    gateway.host.run(["route", "-n", "add", "-host", "198.51.100.9", "192.0.2.254"])
    try:
        assert plan(gateway, "site", phase1=[peer], static_routes=[wide])[2]
    finally:
        gateway.host.run(["route", "-n", "delete", "-host", "198.51.100.9", "192.0.2.254"])


def test_if_ipsec_is_refused_beside_a_policy_based_tunnel(gateway):
    path = "/usr/local/etc/swanctl/conf.d/road.conf"
    gateway.host.files[path] = "connections { road { children { road { local_ts = 10.2.0.0/24 } } } }\n"
    try:
        with pytest.raises(InvalidOption, match=r"^mode: if_ipsec would block child road of connection road"):
            plan(gateway, "filter_mode", mode="if_ipsec")
        assert plan(gateway, "filter_mode", mode="if_ipsec", force=True)[2]
    finally:
        del gateway.host.files[path]


def test_if_ipsec_is_refused_beside_a_tunnel_that_only_charon_knows():
    system = SimulatedSystem(pair()[1])
    path = "/usr/local/etc/swanctl/conf.d/road.conf"
    system.host.files[path] = (
        "connections { road { remote_addrs = 192.0.2.99\n children { road { local_ts = 10.2.0.0/24\n } } } }\n"
    )
    assert system.host.run(["swanctl", "--load-conns"]).rc == 0
    del system.host.files[path]
    with pytest.raises(InvalidOption, match=r"^mode: if_ipsec .* connection road \(loaded into charon\)"):
        plan(system, "filter_mode", mode="if_ipsec")


def test_a_syntax_error_beside_ours_is_noticed_before_loading(gateway):
    path = "/usr/local/etc/swanctl/conf.d/zz-bad.conf"
    gateway.host.files[path] = "connections { broken\n"
    before = snapshot(gateway.host)
    try:
        with pytest.raises(VtiError, match=rf"^{path}: settings: line 2.*mend the file first"):
            run(gateway, "phase1", **{**PHASE1, "dpd_delay": 20})
        assert snapshot(gateway.host) == before
    finally:
        del gateway.host.files[path]


def test_a_daemon_that_is_down_is_told():
    system = SimulatedSystem(pair()[1])
    system.host.run(["service", "strongswan", "stop"])
    before = snapshot(system.host)
    with pytest.raises(VtiError, match=r"^charon: charon does not answer swanctl .*start strongSwan first"):
        run(system, "phase1", **PHASE1)
    assert snapshot(system.host) == before


def test_removing_needs_no_daemon():
    system = SimulatedSystem(pair()[1])
    untouched = snapshot(system.host)
    run(system, "phase1", **PHASE1)
    system.host.run(["service", "strongswan", "stop"])
    run(system, "site", purge=True)
    after = snapshot(system.host)
    assert after["files"] == untouched["files"]


@pytest.mark.parametrize(
    ("at_the_peer", "option"),
    [
        ({"psk": "y"}, "psk"),
        ({"proposals": ["aes256-sha512-modp4096"]}, "proposals"),
        (None, "remote_addrs"),
    ],
)
def test_a_tunnel_that_does_not_come_up_is_put_back(at_the_peer, option):
    hq, branch = pair()
    if at_the_peer is not None:
        mirrored = {**PHASE1, "local_addrs": ["192.0.2.1"], "remote_addrs": ["192.0.2.2"], **at_the_peer}
        run(SimulatedSystem(hq), "phase1", **mirrored)
        run(
            SimulatedSystem(hq),
            "phase2",
            **{**PHASE2, "local_address": "10.6.106.1/30", "remote_address": "10.6.106.2", "start_action": "none"},
        )
    else:
        hq.state["up"] = False
    system = SimulatedSystem(branch)
    before = snapshot(branch)
    with pytest.raises(VtiError, match=rf"^{option}: .*The host is as it was before"):
        run(system, "site", phase1=[PHASE1], phase2=[PHASE2], establish_timeout=5)
    after = snapshot(branch)
    assert {part: after[part] for part in after if part != "sysctls"} == {
        part: before[part] for part in before if part != "sysctls"
    }
