# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gateways, groups, default gateways and policy routes on a simulated FreeBSD host."""

from __future__ import annotations

import json

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption, VtiError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._monitor import plan as plan_of_monitor
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.firewall import freebsd as firewall
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.monitor import state as monitor
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site import report
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.observe import observe
from ansible_collections.routed_ipsec.vti.tests.sim.freebsd import FreeBSD
from ansible_collections.routed_ipsec.vti.tests.unit.simulated import SimulatedSystem, pair, plan, run, snapshot

TUNNELS = {
    "phase1": [
        {"name": f"hq{n}", "local_addrs": ["192.0.2.2"], "remote_addrs": [f"192.0.2.1{n}"], "psk": "x"} for n in (1, 2)
    ],
    "phase2": [
        {"name": f"hq{n}", "phase1": f"hq{n}", "local_address": f"10.6.10{n}.2/30", "remote_address": f"10.6.10{n}.1"}
        for n in (1, 2)
    ],
    "assignments": [{"phase2": f"hq{n}", "name": f"VTI_HQ{n}"} for n in (1, 2)],
    "purge": True,
}
ONE, TWO = "VTI_HQ1_VTIV4", "VTI_HQ2_VTIV4"
GROUP = {"name": "TO_HQ", "members": [{"gateway": ONE, "tier": 1}, {"gateway": TWO, "tier": 2}]}
LAN = {"name": "lan", "network": "10.1.0.0/24", "gateway": "TO_HQ"}
WAN = {"name": "WAN_GW", "interface": "vtnet0", "address": "192.0.2.254"}
GUESTS = {"name": "guests", "interface": "vtnet1", "source": ["10.2.1.0/24"], "gateway": ONE}
EVERYTHING = {
    **TUNNELS,
    "gateways": [WAN, {"name": ONE, "interval": 200, "loss_interval": 600, "time_period": 2000, "latencyhigh": 400}],
    "gateway_groups": [GROUP],
    "static_routes": [LAN],
    "default_gateway": {"ipv4": "WAN_GW", "ipv6": "none"},
    "policy_routes": [GUESTS, {**GUESTS, "name": "web", "protocol": "tcp", "destination_port": ["80"], "order": 5}],
}


@pytest.fixture
def system():
    branch = pair()[1]
    branch.files["/usr/local/bin/dpinger"] = ""
    branch.files["/etc/pf.conf"] = "set skip on lo0\npass all\n"
    for argv in (["kldload", "pf"], ["pfctl", "-f", "/etc/pf.conf"], ["pfctl", "-e"]):
        assert branch.run(argv).rc == 0
    return SimulatedSystem(branch)


def say(system, **statuses: str) -> None:
    """Have the monitor say so, as the daemon does."""
    told = {name: {"status": status, "latency_ms": 1.0, "loss_percent": 0} for name, status in statuses.items()}
    system.host.files[f"{monitor.STATE}/status.json"] = json.dumps({"gateways": told, "groups": {}})


def act(system, selections: dict, routes: dict) -> None:
    """Have the monitor's programs run on the simulated host."""
    for program in plan_of_monitor.commands(config(system), selections, routes):
        assert 0 in [system.host.run(list(argv), program.stdin).rc for argv in program.tries]


def hop(system, network: str) -> str:
    return ", ".join(map(str, observe(system).realized.routes.get(network, ())))


def config(system) -> dict:
    return json.loads(system.host.files["/usr/local/etc/routed_ipsec/monitor.conf"])


def test_everything_at_once_then_nothing_then_all_gone(system):
    untouched = snapshot(system.host)
    assert run(system, "site", **EVERYTHING)
    assert run(system, "site", **EVERYTHING) == []
    assert report.everything(observe(system))["monitor"] == {"running": True, "enabled": True}
    system.host.reboot()
    assert report.everything(observe(system))["monitor"]["running"]
    run(system, "site", purge=True)
    after = snapshot(system.host)
    for part in ("files", "modes", "routes"):
        assert after[part] == untouched[part]
    assert not observe(system).realized.monitor.running


def test_an_automatic_gateway_can_be_named_before_it_exists(system):
    after = plan(system, "site", **TUNNELS, static_routes=[{**LAN, "gateway": ONE}])[1]
    assert report.site(after)["gateways"][ONE]["interface"] == "ipsec1"
    assert [str(hop) for hop in after.realized.routes["10.1.0.0/24"]] == ["10.6.101.1"]


def test_the_monitor_is_told_what_the_modules_would_do(system):
    run(system, "site", **EVERYTHING)
    told = config(system)
    assert told["gateways"][ONE]["source"] == "10.6.101.2"
    assert told["gateways"][ONE]["monitor"] == "10.6.101.1"
    assert told["gateways"][ONE]["time_period"] == 2000
    assert told["gateways"][ONE]["alert_hold"] == 10000
    assert told["gateways"][TWO]["time_period"] == 60000
    assert told["groups"]["TO_HQ"]["members"] == GROUP["members"]
    route, anchor = told["actions"]
    assert route["commands"][TWO][0] == ["route", "-n", "change", "-net", "10.1.0.0/24", "10.6.102.1"]
    assert anchor["anchor"] == firewall.POLICY_ANCHOR


def test_a_gateway_alone_needs_no_monitor(system):
    run(system, "site", **TUNNELS)
    assert not observe(system).realized.monitor.running
    assert not [path for path in system.host.files if "monitor" in path]


def test_without_a_prober_it_is_said_before_anything_is_touched(system):
    del system.host.files["/usr/local/bin/dpinger"]
    before = snapshot(system.host)
    with pytest.raises(VtiError, match=r"^monitor: neither dpinger nor fping"):
        run(system, "site", **EVERYTHING)
    assert snapshot(system.host) == before
    blind = [{**item, "monitor_disable": True} for item in EVERYTHING["gateways"]]
    alone = {**EVERYTHING, "gateways": blind, "gateway_groups": [], "static_routes": [], "policy_routes": [GUESTS]}
    assert run(system, "site", **alone)


def test_a_route_through_a_group_stays_where_the_monitor_has_it(system):
    run(system, "site", **EVERYTHING)
    assert hop(system, "10.1.0.0/24") == "10.6.101.1"
    say(system, **{ONE: "highloss", TWO: "online"})
    act(system, {"TO_HQ": (TWO,), ONE: ()}, {"TO_HQ": TWO})
    assert run(system, "site", **EVERYTHING) == []
    assert hop(system, "10.1.0.0/24") == "10.6.102.1"
    assert "10.6.101.1" in system.host.files["/etc/rc.conf.d/routing/routed_ipsec_route_lan"]
    say(system, **{ONE: "online", TWO: "online"})
    # A monitor that has not acted yet is helped.
    steps = run(system, "site", **EVERYTHING)
    assert "route -n change -net 10.1.0.0/24 10.6.101.1" in steps
    assert any(step.startswith(f"pfctl -a {firewall.POLICY_ANCHOR} -f -: pass") for step in steps)


def test_forced_down_counts_before_the_monitor_says_so(system):
    run(system, "site", **EVERYTHING)
    say(system, **{ONE: "online", TWO: "online"})
    run(system, "gateway", name=ONE, force_down=True)
    assert hop(system, "10.1.0.0/24") == "10.6.102.1"
    say(system, **{ONE: "force_down", TWO: "online"})
    run(system, "gateway", name=ONE)
    assert hop(system, "10.1.0.0/24") == "10.6.101.1"


# -- default gateways, and the guard --


def test_a_default_gateway_is_pinned_and_handed_back(system):
    files = dict(system.host.files)
    run(system, "gateway", **WAN, monitor_disable=True)
    assert run(system, "default_gateway", ipv4="WAN_GW") == [
        "write /usr/local/etc/routed_ipsec/journal",
        "write /usr/local/etc/routed_ipsec/default_gateway.json",
        "write /etc/rc.conf.d/routing/routed_ipsec_defaultrouter",
        "remove /usr/local/etc/routed_ipsec/journal",
    ]
    assert run(system, "default_gateway", ipv4="WAN_GW") == []
    run(system, "default_gateway", ipv6="none")
    assert hop(system, "::/0") == ""
    system.host.reboot()
    assert (hop(system, "0.0.0.0/0"), hop(system, "::/0")) == ("192.0.2.254", "")
    assert run(system, "default_gateway", ipv4="WAN_GW", ipv6="none") == []
    run(system, "default_gateway", ipv4="automatic", ipv6="automatic")
    assert (hop(system, "0.0.0.0/0"), hop(system, "::/0")) == ("192.0.2.254", "2001:db8::fe")
    run(system, "gateway", name="WAN_GW", state="absent")
    assert dict(system.host.files) == files


def test_the_default_route_of_a_dead_run_is_never_taken_away(system):
    run(system, "gateway", **WAN, monitor_disable=True)
    journal = "/usr/local/etc/routed_ipsec/journal"
    system.host.files[journal] = json.dumps([["routes", "0.0.0.0/0"]])
    run(system, "gateway", **WAN, monitor_disable=True, weight=2)
    assert hop(system, "0.0.0.0/0") == "192.0.2.254"
    assert journal not in system.host.files


def automatic(system, *families: str) -> None:
    """Have nothing pin the default gateway; the routes stay, as DHCP or a router would have made them."""
    for family in families:
        rows = system.host.files["/etc/rc.conf"].splitlines()
        name = {"ipv4": "defaultrouter=", "ipv6": "ipv6_defaultrouter="}[family]
        system.host.files["/etc/rc.conf"] = "".join(f"{row}\n" for row in rows if not row.startswith(name))


SIX = {"name": "six", "phase1": "hq1", "local_address": "2001:db8:6::2/64", "remote_address": "2001:db8:6::1"}


def test_no_vti_is_assigned_while_the_default_gateway_is_automatic(system):
    automatic(system, "ipv4")
    run(system, "phase1", **TUNNELS["phase1"][0])
    run(system, "phase2", **TUNNELS["phase2"][0])
    before = snapshot(system.host)
    with pytest.raises(InvalidOption) as caught:
        plan(system, "assignment", phase2="hq1", name="VTI_HQ1")
    assert str(caught.value).startswith(
        "default_gateway: the IPv4 default gateway of this host is automatic (defaultrouter"
    )
    assert "VTI_HQ1_VTIV4" in str(caught.value)
    assert "module default_gateway" in str(caught.value)
    with pytest.raises(InvalidOption, match=r"^default_gateway: the IPv4"):
        plan(system, "site", **TUNNELS)
    assert snapshot(system.host) == before
    run(system, "gateway", **WAN, monitor_disable=True)
    run(system, "default_gateway", ipv4="WAN_GW")
    assert run(system, "assignment", phase2="hq1", name="VTI_HQ1")
    with pytest.raises(InvalidOption, match=r"^default_gateway: the IPv4 .*defaultrouter is not set"):
        plan(system, "default_gateway", ipv4="automatic")


def test_the_trap_of_ipv6_in_the_tunnel_alone(system):
    """No IPv6 outside: the VTI would be the only IPv6 gateway of the host."""
    automatic(system, "ipv6")
    system.host.run(["route", "-n", "delete", "-inet6", "default"])
    run(system, "site", **TUNNELS)
    with pytest.raises(InvalidOption, match=r"^default_gateway: the IPv6 .*VTI_HQ1_VTIV6 could become it"):
        plan(system, "phase2", **SIX)
    dual = {**TUNNELS, "phase2": [*TUNNELS["phase2"], SIX]}
    with pytest.raises(InvalidOption, match=r"^default_gateway: the IPv6 .*VTI_HQ1_VTIV6 could become it"):
        plan(system, "site", **dual)
    assert run(system, "site", **dual, default_gateway={"ipv6": "none"})
    assert hop(system, "::/0") == ""


def test_a_default_route_of_a_router_advertisement_is_pinned_and_handed_back():
    branch = FreeBSD("ra", {"vtnet0": [], "vtnet1": ["10.2.0.1/24"]}, rtadv={"vtnet0": ("2001:db8:5::/64", "fe80::1")})
    branch.files["/usr/local/bin/dpinger"] = ""
    assert branch.run(["service", "strongswan", "onestart"]).rc == 0
    system = SimulatedSystem(branch)
    assert hop(system, "::/0") == "fe80::1%vtnet0"
    run(system, "gateway", name="WAN6", interface="vtnet0", address="2001:db8:5::9", monitor_disable=True)
    assert "route -n change -inet6 default 2001:db8:5::9" in run(system, "default_gateway", ipv6="WAN6")
    assert run(system, "default_gateway", ipv6="WAN6") == []
    run(system, "default_gateway", ipv6="automatic")
    assert hop(system, "::/0") == "fe80::1%vtnet0"


def test_dhcp_keeps_the_default_route_of_a_gateway_without_an_address(system):
    automatic(system, "ipv4")
    dhcp = {"gateways": [{"name": "WAN_DHCP", "interface": "vtnet0"}], "default_gateway": {"ipv4": "WAN_DHCP"}}
    assert run(system, "site", **TUNNELS, **dhcp)
    assert hop(system, "0.0.0.0/0") == "192.0.2.254"
    assert "/etc/rc.conf.d/routing/routed_ipsec_defaultrouter" not in system.host.files


def test_a_vti_becomes_the_default_gateway_only_by_name_and_with_its_peer_pinned(system):
    with pytest.raises(InvalidOption, match=r"^network: 0.0.0.0/0 leads through 192.0.2.254 already"):
        plan(system, "site", **TUNNELS, static_routes=[{"name": "all", "network": "0.0.0.0/0", "gateway": ONE}])
    assert run(system, "site", **TUNNELS, default_gateway={"ipv4": ONE})
    assert hop(system, "0.0.0.0/0") == "10.6.101.1"
    far = {**TUNNELS, "phase1": [{**TUNNELS["phase1"][0], "remote_addrs": ["198.51.100.9"]}, TUNNELS["phase1"][1]]}
    with pytest.raises(InvalidOption, match=r"^network: 0.0.0.0/0 .*198.51.100.9, the peer of phase 1 hq1"):
        plan(system, "site", **far, default_gateway={"ipv4": ONE})


# -- policy routes --


def policy(system, **options) -> list[str]:
    """The rules of the policy's anchor as the file has them."""
    run(system, "site", **TUNNELS, policy_routes=[{**GUESTS, **options}])
    return system.host.files[firewall.POLICY_RULES].splitlines()[1:]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "inet from 10.2.1.0/24 to ! (self)"),
        ({"source": []}, "inet from any to ! (self)"),
        ({"source": ["10.2.1.0/24", "10.2.2.0/24"]}, "inet from { 10.2.1.0/24, 10.2.2.0/24 } to ! (self)"),
        ({"destination": ["172.16.0.0/12"]}, "inet from 10.2.1.0/24 to 172.16.0.0/12"),
        ({"protocol": "icmp"}, "inet proto icmp from 10.2.1.0/24 to ! (self)"),
        (
            {"protocol": "tcp/udp", "source_port": ["1024:65535"], "destination_port": ["53", "853"]},
            "inet proto { tcp, udp } from 10.2.1.0/24 port 1024:65535 to ! (self) port { 53, 853 }",
        ),
    ],
)
def test_policy_rules(system, options, expected):
    (rule,) = policy(system, **options)
    assert rule == f'pass in quick on vtnet1 route-to (ipsec1 10.6.101.1) {expected} keep state label "{ONE}"'


def test_what_a_destination_leaves_out_is_left_out_by_a_table(system):
    table, rule = policy(system, destination=["10.0.0.0/8"], destination_except=["10.9.0.0/16"])
    assert table == "table <guests_to> const { 10.0.0.0/8, ! 10.9.0.0/16, ! 10.2.0.1, ! 10.6.101.2, ! 10.6.102.2 }"
    assert "to <guests_to> keep" in rule
    table, _rule = policy(system, destination_except=["10.9.0.0/16"])
    assert table.startswith("table <guests_to> const { 0.0.0.0/0, ! 10.9.0.0/16, ! 10.2.0.1, ")
    assert run(system, "site", **TUNNELS, policy_routes=[{**GUESTS, "destination_except": ["10.9.0.0/16"]}]) == []


def test_a_group_shares_connections_by_weight(system):
    both = {**GROUP, "members": [{"gateway": ONE, "tier": 1}, {"gateway": TWO, "tier": 1}]}
    more = {"gateways": [{"name": TWO, "weight": 2}], "gateway_groups": [both]}
    run(system, "site", **TUNNELS, **more, policy_routes=[{**GUESTS, "gateway": "TO_HQ"}])
    (rule,) = system.host.files[firewall.POLICY_RULES].splitlines()[1:]
    pool = "{ (ipsec1 10.6.101.1), (ipsec2 10.6.102.1), (ipsec2 10.6.102.1) } round-robin sticky-address"
    assert f"route-to {pool} inet" in rule


def loaded(system) -> str:
    return system.host.run(["pfctl", "-a", firewall.POLICY_ANCHOR, "-sr"]).stdout


@pytest.mark.parametrize(("on_down", "expected"), [("block", "block return in quick on vtnet1 inet"), ("follow", "")])
def test_with_the_gateway_down_nothing_leaks_unless_asked(system, on_down, expected):
    say(system, **{ONE: "down"})
    options = {**TUNNELS, "policy_routes": [{**GUESTS, "on_down": on_down}]}
    run(system, "site", **options)
    assert "route-to" in loaded(system)
    system.host.run(["pfctl", "-a", firewall.POLICY_ANCHOR, "-F", "rules"])
    run(system, "site", **options)
    assert loaded(system).startswith(expected)
    assert ("route-to" in loaded(system)) is False
    assert "route-to" in system.host.files[firewall.POLICY_RULES]


MANAGED = {"filter_mode": {"mode": "enc", "manage_pf_conf": True}}
SENT = ("pass", "(ipsec1 10.6.101.1)")


def test_what_pf_does_with_packets_follows_the_gateway(system):
    """By the simulation's own evaluation of rules, which shares no code with what made them."""
    pf = system.host.pf
    guests = {**GUESTS, "destination_except": ["10.9.0.0/16"]}
    options = {**TUNNELS, **MANAGED, "policy_routes": [guests, {**GUESTS, "name": "all", "order": 2000, "source": []}]}
    run(system, "site", **options)
    assert pf.decide("vtnet1", "10.2.1.5", "198.51.100.1") == SENT
    for own in ("10.2.0.1", "192.0.2.2", "10.6.101.2"):
        assert pf.decide("vtnet1", "10.2.1.5", own) == ("pass", None), own
    assert pf.decide("vtnet0", "10.2.1.5", "198.51.100.1") == ("pass", None)
    run(system, "site", **{**options, "policy_routes": [guests]})
    assert pf.decide("vtnet1", "10.2.1.5", "10.9.0.1") == ("pass", None)
    assert pf.decide("vtnet1", "10.2.0.5", "198.51.100.1") == ("pass", None)
    for on_down, expected in (("block", "block"), ("follow", "pass")):
        down = {**options, "gateways": [{"name": ONE, "force_down": True}]}
        run(system, "site", **{**down, "policy_routes": [{**guests, "on_down": on_down}]})
        assert pf.decide("vtnet1", "10.2.1.5", "198.51.100.1") == (expected, None)


def test_the_monitor_s_own_commands_move_routes_and_rules(system):
    """The programs that the daemon would run, on the simulated host."""
    options = {**EVERYTHING, **MANAGED, "policy_routes": [{**GUESTS, "gateway": "TO_HQ"}]}
    run(system, "site", **options)
    for gateway, interface, address in ((TWO, "ipsec2", "10.6.102.1"), (ONE, "ipsec1", "10.6.101.1")):
        act(system, {"TO_HQ": (gateway,)}, {"TO_HQ": gateway})
        assert hop(system, "10.1.0.0/24") == address
        assert system.host.pf.decide("vtnet1", "10.2.1.5", "198.51.100.1") == ("pass", f"({interface} {address})")
    act(system, {"TO_HQ": ()}, {"TO_HQ": ONE})
    assert system.host.pf.decide("vtnet1", "10.2.1.5", "198.51.100.1") == ("block", None)


def test_a_route_that_was_lost_is_made_again_by_the_monitor(system):
    run(system, "site", **EVERYTHING)
    system.host.run(["route", "-n", "delete", "-net", "10.1.0.0/24", "10.6.101.1"])
    (program,) = plan_of_monitor.commands(config(system), {"TO_HQ": (ONE,), ONE: (ONE,)}, {"TO_HQ": ONE}, ["TO_HQ"])
    assert [system.host.run(list(argv)).rc for argv in program.tries] == [1, 0]
    assert hop(system, "10.1.0.0/24") == "10.6.101.1"


def test_reply_to_and_nat_are_refused_in_mode_enc_and_not_in_if_ipsec(system):
    reply = {"policy_routes": [{"name": "back", "interface": "ipsec1", "gateway": ONE, "reply_to": True}]}
    nat = {**TUNNELS, "assignments": [{**TUNNELS["assignments"][0], "outbound_nat": True}, TUNNELS["assignments"][1]]}
    for mode in ({}, {"filter_mode": {"mode": "enc"}}):
        with pytest.raises(InvalidOption, match=r"^reply_to: policy route back .*enc0.* choose filter mode if_ipsec"):
            plan(system, "site", **TUNNELS, **reply, **mode)
        with pytest.raises(InvalidOption, match=r"^outbound_nat: ipsec1 .*choose filter mode if_ipsec"):
            plan(system, "site", **nat, **mode)
    run(system, "site", **nat, **reply, filter_mode={"mode": "if_ipsec", "manage_pf_conf": True})
    assert "reply-to (ipsec1 10.6.101.1)" in loaded(system)
    assert "nat on ipsec1 inet from ! (ipsec1) to any -> (ipsec1)" in system.host.files[firewall.RULES]
    assert report.everything(observe(system))["firewall"] == {"enforced": True, "reason": None}
    assert system.host.pf.translate("ipsec1", "10.2.0.5", "10.1.0.5") == "10.6.101.2"
    assert system.host.pf.translate("ipsec2", "10.2.0.5", "10.1.0.5") == "10.2.0.5"
    with pytest.raises(InvalidOption, match=r"^reply_to: "):
        plan(system, "filter_mode", mode="enc")
    assert run(system, "site", **nat, **reply, filter_mode={"mode": "if_ipsec", "manage_pf_conf": True}) == []


def test_an_mss_clamp_is_a_scrub_rule_in_the_main_ruleset(system):
    clamped = {**TUNNELS, "assignments": [{**TUNNELS["assignments"][0], "mss": 1400}, TUNNELS["assignments"][1]]}
    managed = MANAGED
    untouched = system.host.files["/etc/pf.conf"]
    run(system, "site", **clamped, **managed)
    assert system.host.files[firewall.SCRUB].splitlines()[1:] == [
        "scrub on ipsec1 inet all max-mss 1360",
        "scrub on ipsec1 inet6 all max-mss 1340",
    ]
    assert run(system, "site", **clamped, **managed) == []
    wider = {**clamped, "assignments": [{**clamped["assignments"][0], "mss": 1380}, clamped["assignments"][1]]}
    assert system.host.pf.max_mss("ipsec1", "10.2.0.5", "10.1.0.5", protocol="tcp") == 1360
    steps = run(system, "site", **wider, **managed)
    assert system.host.pf.max_mss("ipsec1", "10.2.0.5", "10.1.0.5", protocol="tcp") == 1340
    assert steps[-2:] == ["pfctl -f /etc/pf.conf", "remove /usr/local/etc/routed_ipsec/journal"]
    run(system, "site", purge=True)
    assert system.host.files["/etc/pf.conf"] == untouched
    assert firewall.SCRUB not in system.host.files


def test_lines_for_the_clamp_that_pf_conf_lacks_are_told(system):
    clamped = {**TUNNELS, "assignments": [{**TUNNELS["assignments"][0], "mss": 1400}, TUNNELS["assignments"][1]]}
    run(system, "site", **clamped)
    told = report.everything(observe(system))["firewall"]
    assert told["enforced"] is False
    assert firewall.INCLUDE.text in told["reason"]


# -- what is refused --

REFUSED = [
    ("gateway", {"name": "a b"}, "name"),
    ("gateway", {"name": "x" * 32}, "name"),
    ("gateway", {"name": "none"}, "name"),
    ("gateway", {"address": "nowhere"}, "address"),
    ("gateway", {"address": "198.51.100.1"}, "address"),
    ("gateway", {"address": "192.0.2.2"}, "address"),
    ("gateway", {"interface": "vtnet9"}, "interface"),
    ("gateway", {"interface": None}, "interface"),
    ("gateway", {"interface": None, "address": None}, "interface"),
    ("gateway", {"name": ONE}, "interface"),
    ("gateway", {"monitor": "2001:db8::9"}, "monitor"),
    ("gateway", {"address": None, "monitor": "192.0.2.9"}, "monitor"),
    ("gateway", {"name": "OTHER"}, "address"),
    ("gateway", {"weight": 31}, "weight"),
    ("gateway", {"latencylow": 500}, "latencyhigh"),
    ("gateway", {"losslow": 20}, "losshigh"),
    ("gateway", {"losshigh": 101}, "losshigh"),
    ("gateway", {"loss_interval": 400}, "loss_interval"),
    ("gateway", {"time_period": 3000}, "time_period"),
    ("gateway", {"alert_interval": 400}, "alert_interval"),
    ("gateway", {"state": "absent"}, "ipv4"),
    ("gateway", {"enabled": False}, "ipv4"),
    ("gateway_group", {"members": []}, "members"),
    ("gateway_group", {"members": [{"gateway": "NOBODY"}]}, "members"),
    ("gateway_group", {"members": [{"gateway": ONE, "tier": 6}]}, "tier"),
    ("gateway_group", {"members": [{"gateway": ONE}, {"gateway": ONE}]}, "members"),
    ("gateway_group", {"name": ONE}, "name"),
    ("gateway_group", {"state": "absent"}, "gateway"),
    ("default_gateway", {"ipv4": "NOBODY"}, "ipv4"),
    ("default_gateway", {"ipv6": "WAN_GW"}, "ipv6"),
    ("default_gateway", {"ipv4": None}, "ipv4"),
    ("policy_route", {"gateway": "NOBODY"}, "gateway"),
    ("policy_route", {"gateway": None}, "gateway"),
    ("policy_route", {"interface": None}, "interface"),
    ("policy_route", {"interface": "vtnet9"}, "interface"),
    ("policy_route", {"source": ["10.2.1.1/24"]}, "source"),
    ("policy_route", {"destination": ["2001:db8::/32"]}, "destination"),
    ("policy_route", {"destination_port": ["80"]}, "destination_port"),
    ("policy_route", {"protocol": "tcp", "destination_port": ["http"]}, "destination_port"),
    ("policy_route", {"protocol": "tcp", "destination_port": ["90:80"]}, "destination_port"),
    ("policy_route", {"name": "x" * 29}, "name"),
    ("assignment", {"mss": 100}, "mss"),
    ("assignment", {"state": "absent"}, "gateway"),
    ("site", {"gateways": [{**WAN, "weight": 0}]}, "gateways: WAN_GW: weight"),
    ("site", {"gateway_groups": [{"name": "A"}]}, "gateway_groups: A: members"),
    ("site", {"policy_routes": [{**GUESTS, "interface": None}]}, "policy_routes: guests: interface"),
    ("site", {"default_gateway": {"ipv4": "NOBODY"}}, "ipv4"),
]
BASE = {
    "gateway": WAN,
    "gateway_group": GROUP,
    "default_gateway": {"ipv4": "WAN_GW"},
    "policy_route": GUESTS,
    "assignment": TUNNELS["assignments"][0],
    "site": {},
}


@pytest.mark.parametrize(("kind", "change", "option"), REFUSED)
def test_refuses_and_names_the_option(system, kind, change, option):
    run(system, "site", **EVERYTHING)
    before = snapshot(system.host)
    given = {name: value for name, value in {**BASE[kind], **change}.items() if value is not None}
    with pytest.raises(InvalidOption) as caught:
        plan(system, kind, **given)
    assert str(caught.value).startswith(f"{option}: ")
    assert snapshot(system.host) == before
