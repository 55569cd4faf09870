# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Linux half of interfaces and routes, as text; the lab shows that kernels obey it."""

from __future__ import annotations

import dataclasses
import json
import pathlib

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.steps import Result
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.interface import linux as interfaces
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.interface.state import Address, Interface
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.policy_route import linux as policy
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.policy_route.state import PolicyRoute
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.static_route import linux as routes
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.static_route.state import NextHop

FOUR, SIX = Address("10.6.106.1", 30), Address("2001:db8:6::1", 64)
VTI = Interface(5001, None, (FOUR, SIX), 1400, "VTI_HQ", True)
MADE = [
    "link add name ipsec1 type xfrm if_id 5001",
    "link set dev ipsec1 mtu 1400",
    'link set dev ipsec1 alias "VTI_HQ"',
    "link set dev ipsec1 up",
    "address replace 10.6.106.1/30 dev ipsec1",
    "address replace 2001:db8:6::1/64 dev ipsec1 nodad",
]


def lines(steps) -> list[str]:
    """All lines of the batches; there is at most one batch."""
    (batch,) = steps or [None]
    return list(batch.lines) if batch else []


def test_boot_replays_what_a_run_makes():
    assert lines(list(interfaces.changes({}, {"ipsec1": VTI}))) == MADE
    assert interfaces.boot("ipsec1", VTI).splitlines() == MADE


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"mtu": 1380}, ["link set dev ipsec1 mtu 1380"]),
        ({"description": ""}, ['link set dev ipsec1 alias ""']),
        ({"up": False}, ["link set dev ipsec1 down"]),
        ({"addresses": (FOUR,)}, ["address del 2001:db8:6::1/64 dev ipsec1"]),
        (
            {"addresses": (Address("10.6.106.5", 30), SIX)},
            ["address del 10.6.106.1/30 dev ipsec1", "address replace 10.6.106.5/30 dev ipsec1"],
        ),
        ({"reqid": 7}, ["link del dev ipsec1", "link add name ipsec1 type xfrm if_id 7", *MADE[1:]]),
    ],
)
def test_one_change_is_one_line_unless_the_number_changes(change, expected):
    assert lines(list(interfaces.changes({"ipsec1": VTI}, {"ipsec1": dataclasses.replace(VTI, **change)}))) == expected


def test_interfaces_go():
    assert lines(list(interfaces.removals({"ipsec1": VTI, "ipsec2": VTI}, {"ipsec2": VTI}))) == ["link del dev ipsec1"]
    assert list(interfaces.removals({"ipsec1": VTI}, {"ipsec1": VTI})) == []


# -- policy routes --

RECORDED = pathlib.Path(__file__).resolve().parents[1] / "fixtures" / "linux"
BOTH = "nexthop via 10.6.106.1 dev ipsec1 weight 1 nexthop via 10.6.106.5 dev ipsec2 weight 3"
GUESTS = PolicyRoute(
    "guests",
    "lan1",
    "TO_HQ",
    source=("10.2.1.0/24", "10.2.2.0/24"),
    destination=("10.0.0.0/8",),
    destination_except=("10.2.0.0/16",),
    protocol="tcp/udp",
    source_port=("1024:65535",),
    destination_port=("80", "8000:8100"),
    table=7001,
)
PING = PolicyRoute("ping", "lan1", "HQ6", protocol="icmp", table=7002)
BACK = PolicyRoute("back", "ipsec1", "HQ", reply_to=True, table=7003)
FAMILIES = {"guests": 4, "ping": 6, "back": 4}


class Recorded:
    """A System whose programs print what was recorded."""

    def __init__(self, nft: str | None = "policy-nft.txt") -> None:
        self.nft = nft

    def run(self, argv, *, stdin=None, timeout=30.0):
        if argv[0] == "nft":
            return (
                Result(0, self._text(self.nft), "") if self.nft else Result(1, "", "Error: No such file or directory")
            )
        family = "6" if "-6" in argv else "4"
        return Result(0, self._text(f"policy-{'rules' if 'rule' in argv else 'routes'}-{family}.json"), "")

    @staticmethod
    def _text(name: str) -> str:
        return (RECORDED / name).read_text(encoding="utf-8")


def expected_policy() -> policy.Policy:
    text = policy.ruleset([GUESTS, PING, BACK], FAMILIES, {"ipsec1": 1400}, ["ipsec1"])
    routes = {
        (7001, "0.0.0.0/0", ""): f"route replace 0.0.0.0/0 table 7001 proto static {BOTH}",
        (7003, "0.0.0.0/0", ""): "route replace throw 0.0.0.0/0 table 7003 proto static",
        (7002, "::/0", ""): "route replace ::/0 table 7002 proto static via 2001:db8:6::1 dev ipsec1",
        **dict([policy.backstop(7001, "0.0.0.0/0"), policy.backstop(7002, "::/0")]),
    }
    return policy.Policy(routes, frozenset({("4", 7001), ("4", 7003), ("6", 7002)}), policy.fingerprint(text))


def test_what_a_run_makes_is_what_is_seen_of_it():
    """The recording is of the ruleset that is rendered here, and of the lines that changes() gives."""
    text = (RECORDED / "policy.nft").read_text(encoding="utf-8")
    assert text == policy.ruleset([GUESTS, PING, BACK], FAMILIES, {"ipsec1": 1400}, ["ipsec1"])
    assert policy.observe(Recorded()) == expected_policy()
    assert list(policy.changes(expected_policy(), expected_policy(), "x")) == []
    assert list(policy.removals(expected_policy(), expected_policy())) == []


def test_tables_and_rules_of_others_are_not_ours():
    seen = policy.observe(Recorded(nft=None))
    assert seen.nft is None
    assert 4711 not in {table for table, _network, _metric in seen.routes}
    assert {table for _family, table in seen.rules} == {7001, 7002, 7003}


def test_routes_come_before_rules_and_marks_and_go_after_them():
    made = [str(step) for step in policy.changes(policy.Policy(), expected_policy(), "/etc/x.nft")]
    assert [step.split(":")[0] for step in made] == [
        "ip -batch -",
        "ip -4 -batch -",
        "ip -6 -batch -",
        "nft -f /etc/x.nft",
    ]
    gone = [str(step) for step in policy.removals(expected_policy(), policy.Policy())]
    assert gone[0] == "nft delete table inet routed_ipsec"
    assert "rule del fwmark 7002/0xffff lookup 7002 pref 7002 protocol static" in gone[2]
    assert gone[3].startswith(
        "ip -batch -: route del 0.0.0.0/0 table 7001 proto static; route del unreachable 0.0.0.0/0"
    )
    assert "route del throw 0.0.0.0/0 table 7003 proto static" in gone[3]


def test_a_failover_is_one_line():
    before = expected_policy()
    key = (7001, "0.0.0.0/0", "")
    line = "route replace 0.0.0.0/0 table 7001 proto static via 10.6.106.5 dev ipsec2"
    after = dataclasses.replace(before, routes={**before.routes, key: line})
    assert [str(step) for step in policy.changes(before, after, "x")] == [f"ip -batch -: {line}"]


def test_boot_makes_the_same():
    four, six = policy.boot(expected_policy())
    assert set(four.splitlines()) | set(six.splitlines()) == {
        *expected_policy().routes.values(),
        *(f"rule add fwmark {n}/0xffff lookup {n} pref {n} protocol static" for n in (7001, 7002, 7003)),
    }
    assert six.splitlines() == ["rule add fwmark 7002/0xffff lookup 7002 pref 7002 protocol static"]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({}, 'iifname "lan1" ct direction original meta nfproto ipv4 meta mark'),
        ({"protocol": "icmp"}, "meta l4proto icmp meta mark"),
        ({"protocol": "udp", "destination_port": ("53",)}, "meta l4proto udp th dport { 53 } meta mark"),
        ({"source": ("10.2.1.0/24",)}, "ip saddr { 10.2.1.0/24 } meta mark"),
        ({"destination_except": ("10.0.0.0/8",)}, "ip daddr != { 10.0.0.0/8 } meta mark"),
    ],
)
def test_marks(option, words):
    route = PolicyRoute("a", "lan1", "HQ", table=7001, **option)
    text = policy.ruleset([route], {"a": 4}, {}, [])
    (rule,) = [line for line in text.splitlines() if "iifname" in line]
    assert words in rule
    assert rule.endswith("| 7001 accept")
    assert "output" not in text


def test_a_fingerprint_tells_texts_apart():
    one = policy.ruleset([GUESTS], FAMILIES, {}, [])
    other = policy.ruleset([dataclasses.replace(GUESTS, order=5)], FAMILIES, {}, [])
    changed = policy.ruleset([dataclasses.replace(GUESTS, interface="lan2")], FAMILIES, {}, [])
    assert policy.fingerprint(one) == policy.fingerprint(other) != policy.fingerprint(changed)


# -- routes of the main table --

GATEWAY, OTHER, DEVICE, NOWHERE = NextHop("10.6.106.2"), NextHop("10.6.106.6"), NextHop(interface="ipsec1"), NextHop()
LAN = "10.1.0.0/24"


@pytest.mark.parametrize(
    ("live", "wanted", "expected"),
    [
        ((), (GATEWAY,), [f"route replace {LAN} via 10.6.106.2 proto static"]),
        ((GATEWAY,), (GATEWAY,), []),
        ((GATEWAY,), (OTHER,), [f"route replace {LAN} via 10.6.106.6 proto static"]),
        ((), (DEVICE,), [f"route replace {LAN} dev ipsec1 proto static"]),
        ((), (NOWHERE,), [f"route replace blackhole {LAN} proto static"]),
        ((GATEWAY, OTHER), (OTHER,), [f"route del {LAN} via 10.6.106.2 proto static"]),
        (
            (GATEWAY, DEVICE),
            (OTHER,),
            [
                f"route append {LAN} via 10.6.106.6 proto static",
                f"route del {LAN} via 10.6.106.2 proto static",
                f"route del {LAN} dev ipsec1 proto static",
            ],
        ),
    ],
)
def test_routes_change_without_a_gap(live, wanted, expected):
    assert lines(list(routes.additions({LAN: live}, {LAN: wanted}))) == expected


def test_routes_go():
    table = {LAN: (GATEWAY,), "10.2.0.0/24": (NOWHERE,)}
    assert lines(list(routes.removals(table, {"10.2.0.0/24": (NOWHERE,)}))) == [
        f"route del {LAN} via 10.6.106.2 proto static"
    ]
    assert lines(list(routes.additions(table, {LAN: (), "10.2.0.0/24": (NOWHERE,)}))) == []
    assert routes.boot(LAN, NOWHERE) == f"route replace blackhole {LAN} proto static\n"


def test_a_route_that_a_person_has_made_is_found_by_its_own_protocol():
    blackhole = {"type": "blackhole", "dst": LAN, "protocol": "boot"}
    table = routes.observe(Defaults(four=[BY_HAND, blackhole], six=[]), ()).table
    assert table == {"0.0.0.0/0": (NextHop("192.0.2.254"),), LAN: (NOWHERE,)}
    assert lines(list(routes.removals(table, {}))) == [
        "route del 0.0.0.0/0 via 192.0.2.254 proto boot",
        f"route del blackhole {LAN} proto boot",
    ]
    assert lines(list(routes.additions({}, table))) == [
        "route replace 0.0.0.0/0 via 192.0.2.254 proto boot",
        f"route replace blackhole {LAN} proto boot",
    ]


# -- default routes that nobody has pinned --


class Defaults:
    """A System that has these routes in its main table, by family."""

    def __init__(self, **routes: list[dict]) -> None:
        self.routes = routes

    def run(self, argv, *, stdin=None, timeout=30.0):
        return Result(0, json.dumps(self.routes["six" if "-6" in argv else "four"]), "")


STATIC = {"dst": "default", "gateway": "192.0.2.254", "dev": "wan0", "protocol": "static"}
BY_HAND = {**STATIC, "protocol": "boot"}
DHCP = {**STATIC, "protocol": "dhcp", "metric": 100}
RA = {"dst": "default", "gateway": "fe80::1", "dev": "wan0", "protocol": "ra", "pref": "medium", "metric": 1024}


@pytest.mark.parametrize(
    ("four", "leased", "reason"),
    [
        ([STATIC], (), None),
        ([BY_HAND], (), None),
        ([BY_HAND], [(4, "wan0")], "192.0.2.254 was learned (boot)"),
        ([BY_HAND], [(6, "wan0")], None),
        ([DHCP], (), "192.0.2.254 was learned (dhcp)"),
        ([DHCP, STATIC], (), None),
        ([], (), "there is none"),
    ],
)
def test_a_default_route_is_automatic_unless_a_person_has_made_it(four, leased, reason):
    found = routes.observe(Defaults(four=four, six=[RA]), leased)
    assert found.automatic.get(4) == reason
    assert found.automatic[6] == "fe80::1 was learned (ra)"


def test_a_learned_route_that_ours_would_replace_is_remembered():
    same = {**DHCP, "metric": 0}
    assert routes.observe(Defaults(four=[DHCP], six=[RA]), ()).learned == {6: "fe80::1%wan0"}
    assert routes.observe(Defaults(four=[same], six=[]), ()).learned == {4: "192.0.2.254"}


def test_a_link_local_gateway_keeps_its_interface():
    static = {**RA, "protocol": "static"}
    found = routes.observe(Defaults(four=[], six=[static]), ())
    assert 6 not in found.automatic
    (hop,) = found.table["::/0"]
    assert hop == NextHop("fe80::1%wan0")
    assert routes.boot("::/0", hop) == "route replace ::/0 via fe80::1 dev wan0 proto static\n"


def test_no_default_route_is_a_boot_line_too():
    assert routes.boot_default("0.0.0.0/0", None) == "route del 0.0.0.0/0\n"
    assert routes.boot_default("0.0.0.0/0", GATEWAY) == "route replace 0.0.0.0/0 via 10.6.106.2 proto static\n"
