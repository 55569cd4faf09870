# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""FRR's configuration from a description: its text, what is refused, secrets, and what FRR says of it afterwards."""

from __future__ import annotations

import copy
import ipaddress
import json
import re
import typing as t

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption
from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import frr
from hypothesis import given
from hypothesis import strategies as st

Description = dict[str, t.Any]
FAR4: Description = {
    "address": "10.6.104.45",
    "source": "10.6.104.46",
    "remote_asn": 4200000001,
    "accept": ["10.1.0.0/24"],
    "announce": ["10.11.0.0/24"],
}
FAR6: Description = {
    "address": "2001:db8:6::1",
    "source": "2001:db8:6::2",
    "remote_asn": 4200000001,
    "accept": ["2001:db8:a1::/64"],
    "announce": ["2001:db8:ab::/64"],
}
BGP: Description = {
    "router_id": "0.0.0.11",
    "outer": ["198.51.100.1"],
    "discard": ["10.1.0.0/24"],
    "bgp": {"asn": 4200000011, "networks": ["10.11.0.0/24", "2001:db8:ab::/64"], "neighbors": [FAR4, FAR6]},
}
VTI: Description = {"name": "ipsec11", "networks": ["10.6.104.44/30", "2001:db8:6::/64"]}
OSPF: Description = {
    "router_id": "0.0.0.11",
    "ospf": {
        "networks": ["10.11.0.0/24", "2001:db8:ab::/64"],
        "accept": ["10.1.0.0/24", "2001:db8:a1::/64"],
        "interfaces": [VTI],
    },
}


def changed(description: Description, path: str, /, **changes: t.Any) -> Description:
    """A copy in which the part at a path, such as bgp.neighbors.0, has other keys; None takes one away."""
    found = copy.deepcopy(description)
    part: t.Any = found
    for step in filter(None, path.split(".")):
        part = part[int(step) if step.isdecimal() else step]
    part.update(changes)
    for key in [key for key, value in changes.items() if value is None]:
        del part[key]
    return found


def text(description: Description) -> str:
    return frr.render(frr.router(description))


def block(configuration: str, head: str) -> list[str]:
    """The lines of a context, without their margin."""
    found = re.search(rf"(?ms)^{re.escape(head)}\n(.*?)^(?:exit|!)$", configuration)
    assert found, f"no {head}"
    return [line.strip() for line in found[1].splitlines()]


def neighbor(**changes: t.Any) -> Description:
    return changed(BGP, "bgp.neighbors.0", **changes)


def test_a_bgp_router_in_full() -> None:
    more = {"password": "hush!", "local_preference": 200, "med": 120, "description": "hq"}
    communities = ["65000:1", "4200000001:1:2"]
    neighbors = [{**FAR4, **more, "communities": communities}]
    assert (
        text(changed(BGP, "bgp", neighbors=neighbors, networks=["10.11.0.0/24"]))
        == """\
! Managed by the Ansible collection routed_ipsec.vti: changes made here are overwritten.
frr defaults traditional
log syslog informational
service integrated-vtysh-config
!
ip route 10.1.0.0/24 blackhole 250
!
ip prefix-list VTI-10.6.104.45-in seq 1 deny 0.0.0.0/0
ip prefix-list VTI-10.6.104.45-in seq 53682383 permit 10.1.0.0/24
!
ip prefix-list VTI-10.6.104.45-out seq 394120988 permit 10.11.0.0/24
!
route-map VTI-10.6.104.45-in permit 10
 match ip address prefix-list VTI-10.6.104.45-in
 set local-preference 200
exit
!
route-map VTI-10.6.104.45-out permit 10
 match ip address prefix-list VTI-10.6.104.45-out
 set metric 120
 set community 65000:1 additive
 set large-community 4200000001:1:2 additive
exit
!
router bgp 4200000011
 bgp router-id 0.0.0.11
 no bgp default ipv4-unicast
 no bgp network import-check
 timers bgp 10 30
 neighbor 10.6.104.45 remote-as 4200000001
 neighbor 10.6.104.45 description hq
 neighbor 10.6.104.45 bfd
 neighbor 10.6.104.45 bfd profile routed-ipsec
 neighbor 10.6.104.45 password hush!
 neighbor 10.6.104.45 update-source 10.6.104.46
 !
 address-family ipv4 unicast
  network 10.11.0.0/24
  neighbor 10.6.104.45 activate
  neighbor 10.6.104.45 maximum-prefix 10 restart 5 force
  neighbor 10.6.104.45 route-map VTI-10.6.104.45-in in
  neighbor 10.6.104.45 route-map VTI-10.6.104.45-out out
 exit-address-family
exit
!
bfd
 profile routed-ipsec
 exit
 !
exit
!
"""
    )


def test_an_ospf_router_in_full() -> None:
    description = changed(OSPF, "ospf.interfaces.0", key="hush", cost=20, hello=5, dead=20, mtu=1400, peer_mtu=1400)
    assert (
        text(description)
        == """\
! Managed by the Ansible collection routed_ipsec.vti: changes made here are overwritten.
frr defaults traditional
log syslog informational
service integrated-vtysh-config
!
interface ipsec11
 ip ospf authentication message-digest
 ip ospf bfd
 ip ospf bfd profile routed-ipsec
 ip ospf cost 20
 ip ospf dead-interval 20
 ip ospf hello-interval 5
 ip ospf message-digest-key 1 md5 hush
 ip ospf network point-to-point
 no ip ospf passive
 ipv6 ospf6 area 0.0.0.0
 ipv6 ospf6 authentication key-id 1 hash-algo hmac-sha-256 key hush
 ipv6 ospf6 bfd
 ipv6 ospf6 bfd profile routed-ipsec
 ipv6 ospf6 cost 20
 ipv6 ospf6 dead-interval 20
 ipv6 ospf6 hello-interval 5
 ipv6 ospf6 network point-to-point
exit
!
ip prefix-list VTI-OSPF seq 1 deny 0.0.0.0/0
ip prefix-list VTI-OSPF seq 53682383 permit 10.1.0.0/24
!
route-map VTI-OSPF-4 permit 10
 match ip address prefix-list VTI-OSPF
exit
!
ip protocol ospf route-map VTI-OSPF-4
!
ipv6 prefix-list VTI-OSPF seq 1 deny ::/0
ipv6 prefix-list VTI-OSPF seq 1612806069 permit 2001:db8:a1::/64
!
route-map VTI-OSPF-6 permit 10
 match ipv6 address prefix-list VTI-OSPF
exit
!
ipv6 protocol ospf6 route-map VTI-OSPF-6
!
router ospf
 ospf router-id 0.0.0.11
 passive-interface default
 network 10.11.0.0/24 area 0.0.0.0
 network 10.6.104.44/30 area 0.0.0.0
exit
!
ipv6 prefix-list VTI-OWN seq 1929738604 permit 2001:db8:ab::/64
!
route-map VTI-OWN permit 10
 match ipv6 address prefix-list VTI-OWN
exit
!
router ospf6
 ospf6 router-id 0.0.0.11
 redistribute connected metric-type 1 route-map VTI-OWN
exit
!
bfd
 profile routed-ipsec
 exit
 !
exit
!
"""
    )


@pytest.mark.parametrize(
    ("description", "head", "there", "missing"),
    [
        (changed(BGP, "bgp", graceful_restart=True), "router bgp 4200000011", ["bgp graceful-restart"], []),
        (changed(BGP, "bgp", graceful_shutdown=True), "router bgp 4200000011", ["bgp graceful-shutdown"], []),
        (changed(BGP, "bgp", import_check=True), "router bgp 4200000011", [], ["no bgp network import-check"]),
        (neighbor(bfd=False), "router bgp 4200000011", [], ["neighbor 10.6.104.45 bfd"]),
        (neighbor(maximum_prefix=0), "router bgp 4200000011", ["neighbor 10.6.104.45 activate"], ["maximum-prefix"]),
        (
            neighbor(remote_asn=4200000011, client=True),
            "router bgp 4200000011",
            ["neighbor 10.6.104.45 route-reflector-client", "neighbor 10.6.104.45 next-hop-self force"],
            [],
        ),
        (
            changed(BGP, "bgp", aggregates=["10.0.0.0/8"]),
            "router bgp 4200000011",
            ["network 10.0.0.0/8", "network 10.11.0.0/24"],
            [],
        ),
        (
            changed(OSPF, "ospf", external=["10.9.0.0/24"]),
            "router ospf",
            ["redistribute kernel metric-type 1 route-map VTI-EXTERNAL-4"],
            [],
        ),
        (changed(OSPF, "ospf.interfaces.0", mtu_ignore=True), "interface ipsec11", ["ip ospf mtu-ignore"], []),
        (changed(OSPF, "ospf", area=7), "router ospf", ["network 10.11.0.0/24 area 0.0.0.7"], []),
        (
            changed(BGP, "", bfd_interval=100, bfd_multiplier=5),
            "bfd",
            ["detect-multiplier 5", "receive-interval 100"],
            [],
        ),
    ],
)
def test_options_become_lines(description: Description, head: str, there: list[str], missing: list[str]) -> None:
    lines = block(text(description), head)
    assert [line for line in there if line not in lines] == []
    assert [line for line in lines for word in missing if line.startswith(word)] == []


@pytest.mark.parametrize(
    ("description", "why"),
    [
        ({"bgp": BGP["bgp"]}, "router_id: required"),
        (changed(BGP, "", router_id="0.0.0.0"), "router_id: '0.0.0.0' must look like an IPv4 address"),
        (changed(BGP, "", router_id="2001:db8::1"), "router_id: "),
        (changed(BGP, "", bgp=None), "bgp: required, or ospf"),
        (changed(BGP, "", colour="red"), "frr_router: colour is no option here"),
        (changed(BGP, "", hostname="a b"), "hostname: 'a b' is none"),
        (changed(BGP, "", bfd_interval=1), "bfd_interval: '1' is no number from 50 to 60000"),
        (changed(BGP, "", bfd_multiplier=1), "bfd_multiplier: '1' is no number"),
        (changed(BGP, "", discard="far"), "frr_router: discard: there is no set 'far'"),
        (changed(BGP, "", sets={"a b": []}), "sets: 'a b' is no name"),
        (changed(BGP, "", outer=["hq.example"]), "outer: address: 'hq.example' is no IP address"),
        (
            changed(BGP, "", outer=[{"address": "192.0.2.1", "gateway": "::1"}]),
            "outer: gateway: ::1 is not of the family",
        ),
        (changed(BGP, "bgp", asn=None), "bgp: asn: required"),
        (changed(BGP, "bgp", asn=4294967296), "bgp: asn: '4294967296' is no number"),
        (changed(BGP, "bgp", networks=["10.11.0.1/24"]), "bgp: networks: 10.11.0.1/24 has host bits set"),
        (changed(BGP, "bgp", keepalive=20), "bgp: holdtime: 30 s is less than three times keepalive, 20 s"),
        (changed(BGP, "bgp", neighbors=[FAR4, FAR4]), "bgp: neighbors: 10.6.104.45 is there twice"),
        (neighbor(address=None), "bgp: neighbors: address: required"),
        (neighbor(remote_asn=None), "bgp: neighbors: 10.6.104.45: remote_asn: required"),
        (neighbor(source="2001:db8::1"), "bgp: neighbors: 10.6.104.45: source: 2001:db8::1 must be our own address"),
        (neighbor(source="10.6.104.45"), "bgp: neighbors: 10.6.104.45: source: 10.6.104.45 must be our own address"),
        (neighbor(client=True), "bgp: neighbors: 10.6.104.45: client: needs a neighbour in our own AS"),
        (neighbor(accept=None), "bgp: neighbors: 10.6.104.45: accept: required"),
        (neighbor(announce="all"), "bgp: neighbors: 10.6.104.45: announce: there is no set 'all'"),
        (neighbor(accept=["2001:db8::/32"]), "bgp: neighbors: 10.6.104.45: accept: 2001:db8::/32 is not of"),
        (
            neighbor(accept=["10.0.0.0/8 le 7"]),
            "bgp: neighbors: 10.6.104.45: accept: 10.0.0.0/8 le 7: '7' is no number",
        ),
        (neighbor(communities=["65536:1"]), "bgp: neighbors: 10.6.104.45: communities: '65536:1' is none"),
        (neighbor(med=-1), "bgp: neighbors: 10.6.104.45: med: '-1' is no number"),
        (neighbor(description="a\nneighbor 1.1.1.1 remote-as 1"), "bgp: neighbors: 10.6.104.45: description: "),
        (neighbor(password="two words"), "bgp: neighbors: 10.6.104.45: password: must be 1 to 80 printable"),
        (neighbor(password="help?"), "bgp: neighbors: 10.6.104.45: password: "),
        (neighbor(accept=["0.0.0.0/0"]), "bgp: neighbors: 10.6.104.45: accept: 0.0.0.0/0 would have everything"),
        (
            neighbor(accept=["198.51.100.0/24"]),
            "bgp: neighbors: 10.6.104.45: accept: 198.51.100.0/24 has the outer address 198.51.100.1",
        ),
        (
            changed(neighbor(accept=["0.0.0.0/0"]), "", accept_default=True),
            "bgp: neighbors: 10.6.104.45: accept: 0.0.0.0/0 has the outer address 198.51.100.1",
        ),
        (
            changed(neighbor(accept="far"), "", sets={"far": ["198.51.100.0/24"]}),
            "sets: far: 198.51.100.0/24 has the outer address",
        ),
        (changed(OSPF, "ospf", area="backbone"), "ospf: area: 'backbone' is no IP address"),
        (changed(OSPF, "ospf", interfaces=[VTI, VTI]), "ospf: interfaces: ipsec11 is there twice"),
        (changed(OSPF, "ospf.interfaces.0", name="ipsec 1"), "ospf: interfaces: name: 'ipsec 1' is no interface"),
        (changed(OSPF, "ospf.interfaces.0", networks=[]), "ospf: interfaces: ipsec11: networks: required"),
        (changed(OSPF, "ospf.interfaces.0", dead=10), "ospf: interfaces: ipsec11: dead: 10 s is no more than hello"),
        (changed(OSPF, "ospf.interfaces.0", key="x" * 17), "ospf: interfaces: ipsec11: key: must be 1 to 16"),
        (
            changed(OSPF, "ospf.interfaces.0", mtu=1400, peer_mtu=1380),
            "ospf: interfaces: ipsec11: mtu: 1400 here and 1380 at the far end",
        ),
        (changed(OSPF, "ospf", accept=["0.0.0.0/0"]), "ospf: accept: 0.0.0.0/0 would have everything"),
    ],
)
def test_what_cannot_work_is_refused_by_its_name(description: Description, why: str) -> None:
    with pytest.raises(InvalidOption) as refused:
        frr.router(description)
    assert str(refused.value).startswith(why)
    assert "two words" not in str(refused.value)


def test_unequal_mtus_pass_where_they_are_to_be_ignored() -> None:
    frr.router(changed(OSPF, "ospf.interfaces.0", mtu=1400, peer_mtu=1380, mtu_ignore=True))


def test_a_captured_outer_address_is_pinned() -> None:
    outer = [{"address": "198.51.100.1", "gateway": "203.0.113.1"}]
    found = text(changed(neighbor(accept=["0.0.0.0/0"]), "", accept_default=True, outer=outer))
    assert "ip route 198.51.100.1/32 203.0.113.1\n" in found
    assert "deny 0.0.0.0/0" not in found


def test_a_part_that_is_an_outer_address_is_denied() -> None:
    outer = [{"address": "10.1.0.9", "gateway": "203.0.113.1"}, "198.51.100.1"]
    found = text(changed(neighbor(accept=["10.1.0.0/16 le 32"]), "", outer=outer))
    assert "seq 2 deny 10.1.0.9/32" in found
    assert "198.51.100.1/32" not in found


def test_an_empty_list_denies_everything() -> None:
    assert "ip prefix-list VTI-10.6.104.45-out seq 1 deny any\n" in text(neighbor(announce=[]))


def test_a_set_is_rendered_once_however_many_use_it() -> None:
    neighbors = [{**FAR4, "address": f"10.6.104.{n}", "source": None, "announce": "all"} for n in (1, 5, 9)]
    found = text(changed(changed(BGP, "bgp", neighbors=neighbors), "", sets={"all": ["10.1.0.0/24", "10.11.0.0/24"]}))
    assert found.count("ip prefix-list VTI-SET-all-out seq") == 2


def test_what_is_our_own_is_not_discarded() -> None:
    found = text(changed(BGP, "", sets={"all": ["10.1.0.0/24", "10.11.0.0/24"]}, discard="all"))
    assert re.findall(r"ip route (\S+) blackhole", found) == ["10.1.0.0/24"]


networks = st.integers(0, 65535).map(lambda number: f"10.{number >> 8}.{number & 255}.0/24")


@given(st.lists(networks, unique=True, max_size=30), networks)
def test_an_entry_that_comes_renumbers_no_other(accepted: list[str], one: str) -> None:
    before, after = (set(text(neighbor(accept=found)).splitlines()) for found in (accepted, [*accepted, one]))
    gone = {line for line in before - after if "VTI-10.6.104.45-in" in line}
    assert not [line for line in gone if " permit " in line]


@given(st.lists(networks, unique=True, max_size=60))
def test_lists_hold_what_is_declared_each_once(accepted: list[str]) -> None:
    found = re.findall(r"VTI-10\.6\.104\.45-in seq (\d+) permit (\S+)", text(neighbor(accept=accepted)))
    assert sorted(network for _number, network in found) == sorted(accepted)
    assert len({number for number, _network in found}) == len(found)
    assert all(1 < int(number) < 1 << 31 for number, _network in found)


@given(st.lists(networks, unique=True, min_size=1, max_size=20), st.ip_addresses(v=4))
def test_no_default_route_and_no_outer_address_is_ever_accepted(
    accepted: list[str], outer: ipaddress.IPv4Address
) -> None:
    description = changed(neighbor(accept=accepted), "", outer=[str(outer)])
    captured = any(outer in ipaddress.ip_network(network) for network in accepted)
    if captured:
        with pytest.raises(InvalidOption, match="outer address"):
            frr.router(description)
        return
    for line in re.findall(r"-in seq \d+ permit (\S+)$", text(description), re.MULTILINE):
        assert line != "0.0.0.0/0"
        assert ":" in line or outer not in ipaddress.ip_network(line)


secrets = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?"), min_size=9, max_size=16)


@given(secrets, secrets)
def test_secrets_are_in_no_difference(old: str, new: str) -> None:
    before, after = (
        text(neighbor(password=secret)) + text(changed(OSPF, "ospf.interfaces.0", key=secret)) for secret in (old, new)
    )
    assert old in before
    lines = frr.difference(before, after)
    shown = "\n".join(lines)
    assert bool(lines) == (old != new)
    assert ("(new secret)" in shown) == (old != new)
    assert not [secret for secret in (old, new) if secret in re.sub(r"\((old |new )?secret\)", "", shown)]
    assert frr.difference(before, before) == []


def test_a_description_never_shows_its_secrets() -> None:
    assert "hush" not in repr(frr.router(neighbor(password="hush")))


def test_secrets_that_change_are_forgotten_before() -> None:
    both = [text(neighbor(password=secret)) + text(changed(OSPF, "ospf.interfaces.0", key=secret)) for secret in "ab"]
    assert frr.forgetting(*both) == (
        "router bgp 4200000011\n no neighbor 10.6.104.45 password\nexit\n"
        "interface ipsec11\n no ip ospf message-digest-key 1\n"
        " no ipv6 ospf6 authentication key-id 1 hash-algo hmac-sha-256 key a\nexit\n"
    )
    assert frr.forgetting(both[0], both[0]) == ""
    assert frr.forgetting("", both[0]) == ""


@pytest.mark.parametrize(
    ("configuration", "ours", "untouched"),
    [
        (text(BGP), True, False),
        ("", False, True),
        ("# default to using syslog\n#\nlog syslog informational\n", False, True),
        ("frr version 10.1\nfrr defaults traditional\nhostname gw\nlog syslog\n!\n", False, True),
        ("log syslog informational\nrouter bgp 65000\n", False, False),
    ],
)
def test_whose_a_configuration_is(configuration: str, ours: bool, untouched: bool) -> None:
    assert frr.is_ours(configuration) is ours
    assert frr.is_untouched(configuration) is untouched


def test_the_plan_names_what_must_be_seen() -> None:
    found = frr.plan(frr.router(neighbor(accept=["10.1.0.0/24", "10.11.0.0/24"])))
    assert found["protocol"] == "bgp"
    assert found["daemons"] == ["bgpd", "bfdd"]
    assert found["neighbors"]["10.6.104.45"]["networks"] == ["10.1.0.0/24"]
    assert found["networks"] == {"ipv4": ["10.1.0.0/24"], "ipv6": ["2001:db8:a1::/64"]}
    assert found["password"] is False
    assert frr.plan(frr.router(OSPF))["daemons"] == ["ospfd", "ospf6d", "bfdd"]
    assert frr.plan(frr.router(OSPF))["interfaces"] == {"ipsec11": [4, 6]}
    nothing = frr.plan(None)
    assert set(nothing) == set(found)
    assert not nothing["protocol"]


def summary(**peers: dict[str, t.Any]) -> str:
    """As ``show bgp summary json`` of FRR 8.4 has it, as far as it matters."""
    return json.dumps({"ipv4Unicast": {"peers": {key.replace("_", "."): value for key, value in peers.items()}}})


PLAN = frr.plan(frr.router(changed(BGP, "bgp", neighbors=[FAR4])))


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("", ["neighbour 10.6.104.45 (AS 4200000001): not configured"]),
        ("% Can't connect", ['FRR says "% Can\'t connect"']),
        (
            summary(**{"10_6_104_45": {"state": "Connect", "pfxRcd": 0}}),
            ["neighbour 10.6.104.45 (AS 4200000001): Connect"],
        ),
        (
            summary(**{"10_6_104_45": {"state": "Established", "pfxRcd": 0}}),
            ["neighbour 10.6.104.45: 0 networks received, 1 declared"],
        ),
        (summary(**{"10_6_104_45": {"state": "Established", "pfxRcd": 1}}), []),
    ],
)
def test_sessions_and_what_they_have_brought(said: str, wrong: list[str]) -> None:
    assert frr.lacking(said, PLAN) == wrong


def route(ip: str, interface: str = "ipsec11", **changes: t.Any) -> str:
    """As ``show ip route bgp json`` of FRR 8.4 has it, as far as it matters."""
    hops = [{"fib": True, "ip": ip, "interfaceName": interface, "active": True}]
    return json.dumps({"10.1.0.0/24": [{"protocol": "bgp", "selected": True, "nexthops": hops, **changes}]})


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("{}", "10.1.0.0/24: no route of bgp is in use"),
        (route("10.6.104.45", selected=False), "10.1.0.0/24: no route of bgp is in use"),
        (route("10.9.9.9"), "10.1.0.0/24: leads to 10.9.9.9, and 10.6.104.45 have it"),
        (route("10.6.104.45", "wan0"), "10.1.0.0/24: leads to wan0, which is no tunnel"),
        (route("10.6.104.45"), None),
    ],
)
def test_where_routes_lead(said: str, wrong: str | None) -> None:
    assert frr.lacking(said, PLAN, "ip") == ([wrong] if wrong else [])


def test_ospf_neighbours() -> None:
    """As ``show ip ospf neighbor json`` of FRR 8.4 has it, as far as it matters."""
    wanted = frr.plan(frr.router(OSPF))
    full = {"neighbors": {"0.0.0.1": [{"nbrState": "Full/-", "ifaceName": "ipsec11:10.6.104.46"}]}}
    stuck = {"neighbors": {"0.0.0.1": [{"nbrState": "ExStart/-", "ifaceName": "ipsec11:10.6.104.46"}]}}
    assert frr.lacking(json.dumps(full), wanted) == []
    assert frr.lacking(json.dumps(stuck), wanted) == ["interface ipsec11: no OSPF neighbour is full"]


def test_what_is_unknown_and_what_is_not_in_force() -> None:
    said = route("10.6.104.45", selected=False) + '\n{"2001:db8:a1::/64": [{"selected": true}]}\n'
    networks = ["10.1.0.0/24", "2001:db8:a1::/64", "10.3.0.0/24"]
    assert frr.unknown(said, networks) == ["10.3.0.0/24"]
    assert frr.unknown(said, networks, in_force=True) == ["10.1.0.0/24", "10.3.0.0/24"]
    assert frr.unknown("% Can't connect", networks) == networks
