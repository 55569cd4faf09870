# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Descriptions for FRR of a whole fleet: both ends agree, nobody tells what is not his, static routes make way."""

from __future__ import annotations

import copy
import itertools
import typing as t

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption
from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import frr, links, topology
from hypothesis import given, settings
from hypothesis import strategies as st

Description = dict[str, t.Any]


def site(number: int, **changes: t.Any) -> Description:
    lans = [f"10.{128 + (number >> 8)}.{number & 255}.0/24", f"2001:db8:{0x8000 + number:x}::/64"]
    return {"id": number, "wan": {"address": f"100.64.{number >> 8}.{number & 255}"}, "lans": lans, **changes}


def fleet(*, spokes: int = 3, hubs: int = 2, **changes: t.Any) -> Description:
    names = {
        **{
            f"hub{n}": site(n, slot=n, transit_pool=f"10.{n}.0.0/16", transit_pool_v6=f"fd00:{n}::/32")
            for n in range(1, hubs + 1)
        },
        **{f"spoke{n}": site(10 + n) for n in range(1, spokes + 1)},
    }
    return {
        "sites": names,
        "hubs": [name for name in names if name.startswith("hub")],
        "spokes": [name for name in names if name.startswith("spoke")],
        "routing": "bgp",
        **changes,
    }


def routers(description: Description) -> dict[str, frr.Router]:
    return {name: frr.router(one) for name, one in topology.build(description).routers.items()}


def sessions(found: dict[str, frr.Router]) -> dict[tuple[str, str], frr.Neighbor]:
    """By both addresses, ours first."""
    return {
        (str(item.source), str(item.address)): item
        for one in found.values()
        for item in (one.bgp.neighbors if one.bgp else ())
    }


FLEETS = [
    fleet(),
    fleet(hubs=1),
    fleet(hubs=3, links=[{"sites": ["hub1", "hub2"], "transit": "192.168.0.0/30", "transit_v6": "fd09::/64"}]),
    fleet(branch_to_branch=False),
    fleet(summaries=["10.128.0.0/9", "2001:db8::/32"], hubs=1),
    fleet(bgp={"asn": 65000}),
    fleet(
        hubs=0, mesh=["spoke1", "spoke2", "spoke3"], spokes=3, pools={"links": "10.9.0.0/16", "links_v6": "fd09::/32"}
    ),
    fleet(links=[{"sites": ["hub1", "spoke1"], "tunnel": 2, "wan": {"spoke1": "wan2"}}], hubs=1),
]
FLEETS[-1]["sites"]["spoke1"]["wan"] = [{"address": "100.64.0.11"}, {"address": "100.64.1.11"}]
FLEETS[6]["spokes"] = []
each_fleet = pytest.mark.parametrize("description", FLEETS, ids=map(str, range(len(FLEETS))))


@each_fleet
def test_both_ends_of_a_session_are_configured_alike(description: Description) -> None:
    found = routers(copy.deepcopy(description))
    both = sessions(found)
    asns = {str(item.source): one.bgp.asn for one in found.values() if one.bgp for item in one.bgp.neighbors}
    assert both
    for (ours, theirs), item in both.items():
        other = both[theirs, ours]
        assert other.remote_asn == asns[ours]
        assert item.med == other.med
        assert item.bfd == other.bfd


@each_fleet
def test_what_one_end_announces_the_other_accepts_and_nothing_more(description: Description) -> None:
    found = routers(copy.deepcopy(description))
    of = {str(item.source): one for one in found.values() if one.bgp for item in one.bgp.neighbors}
    for (ours, theirs), item in sessions(found).items():
        other = sessions(found)[theirs, ours]
        version = item.address.version
        told = {str(one) for one in of[ours].prefixes(item.announce) if one.network.version == version}
        taken = {str(one) for one in of[theirs].prefixes(other.accept) if one.network.version == version}
        assert told == taken


@each_fleet
def test_a_site_that_is_no_hub_announces_its_own_networks_only(description: Description) -> None:
    built = topology.build(copy.deepcopy(description))
    for name, one in routers(copy.deepcopy(description)).items():
        if name in built.hubs or not one.bgp:
            continue
        own = set(built.sites[name].lans)
        assert {prefix.network for item in one.bgp.neighbors for prefix in one.prefixes(item.announce)} <= own


@each_fleet
def test_every_lan_is_reached_once_everybody_speaks(description: Description) -> None:
    """What is announced hop by hop, as BGP would, arrives everywhere that it should."""
    built = topology.build(copy.deepcopy(description))
    found = routers(copy.deepcopy(description))
    owner = {str(item.source): name for name, one in found.items() if one.bgp for item in one.bgp.neighbors}
    known = {name: set(one.bgp.networks + one.bgp.aggregates) for name, one in found.items() if one.bgp}
    for _round in range(4):
        for (ours, theirs), item in sessions(found).items():
            announced = {one.network for one in found[owner[ours]].prefixes(item.announce)}
            other = sessions(found)[theirs, ours]
            accepted = {one.network for one in found[owner[theirs]].prefixes(other.accept)}
            version = item.address.version
            known[owner[theirs]] |= {
                network for network in known[owner[ours]] & announced & accepted if network.version == version
            }
    for name, one in found.items():
        plan = frr.plan(one)
        declared = {*plan["networks"]["ipv4"], *plan["networks"]["ipv6"]}
        assert declared == {
            str(network) for network in known[name] - one.own() - set(one.bgp.aggregates if one.bgp else ())
        }
    if description.get("branch_to_branch", True) and not description.get("summaries") and description["spokes"]:
        assert built.sites["spoke2"].lans[0] in known["spoke1"]


def test_branches_are_kept_apart_when_asked() -> None:
    one = routers(fleet(branch_to_branch=False))["spoke1"]
    lans = topology.build(fleet()).sites
    assert set(frr.plan(one)["networks"]["ipv4"]) == {str(lans[name].lans[0]) for name in ("hub1", "hub2")}


def test_numbers_follow_from_the_site_and_can_be_given() -> None:
    description = fleet(hubs=1, spokes=2)
    description["sites"]["spoke2"]["asn"] = 64999
    found = routers(description)
    assert [one.bgp.asn for one in found.values() if one.bgp] == [4200000001, 4200000011, 64999]
    assert found["spoke1"].router_id == "0.0.0.11"
    assert {item.remote_asn for item in found["hub1"].bgp.neighbors} == {4200000011, 64999}  # type: ignore[union-attr]


def test_the_first_hub_is_preferred_at_both_ends() -> None:
    found = routers(fleet())
    by_hub = {item.description: item for item in found["spoke1"].bgp.neighbors}  # type: ignore[union-attr]
    assert by_hub["hub1"].local_preference > by_hub["hub2"].local_preference  # type: ignore[operator]
    assert by_hub["hub1"].med < by_hub["hub2"].med  # type: ignore[operator]
    at_hub = found["hub2"].bgp.neighbors[0]  # type: ignore[union-attr]
    assert at_hub.communities == ("4200000002:1:2",)


def test_one_as_for_all_has_the_hub_reflect() -> None:
    found = routers(fleet(bgp={"asn": 65000}))
    assert all(item.client for item in found["hub1"].bgp.neighbors)  # type: ignore[union-attr]
    assert not any(item.client for item in found["spoke1"].bgp.neighbors)  # type: ignore[union-attr]
    assert {item.remote_asn for item in sessions(found).values()} == {65000}


def test_hubs_in_one_lan() -> None:
    description = fleet()
    description["sites"]["hub2"]["lans"] = description["sites"]["hub1"]["lans"]
    found = routers(description)
    assert found["hub1"].bgp.networks == found["hub2"].bgp.networks  # type: ignore[union-attr]
    with pytest.raises(InvalidOption, match=r"LAN .* of site hub1 overlaps LAN .* of site hub2"):
        topology.build({**description, "routing": "static"})


def test_a_dynamic_link_has_no_static_routes_and_a_static_one_has() -> None:
    mixed = fleet(hubs=1, links=[{"sites": ["hub1", "spoke3"], "routing": "static"}])
    built = topology.build(mixed)
    assert set(built.routers) == {"hub1", "spoke1", "spoke2"}
    assert built.tunnels["spoke1"]["static_routes"] == []
    assert len(built.tunnels["spoke3"]["static_routes"]) == 6
    assert [route["gateway"] for route in built.tunnels["hub1"]["static_routes"]] == [
        "VTI_SPOKE3_VTIV4",
        "VTI_SPOKE3_VTIV6",
    ]
    found = routers(mixed)
    lans = set(built.sites["spoke3"].lans)
    assert lans <= set(found["hub1"].bgp.networks)  # type: ignore[union-attr]
    learned = frr.plan(found["spoke1"])["networks"]
    assert {str(network) for network in lans} <= {*learned["ipv4"], *learned["ipv6"]}


def test_ospf_has_an_interface_for_each_tunnel_and_costs_by_hub() -> None:
    found = routers(fleet(routing="ospf", ospf={"area": 3, "hello": 5}, defaults={"phase2": {"mtu": 1380}}))
    interfaces = found["spoke1"].ospf.interfaces  # type: ignore[union-attr]
    assert [(one.name, one.cost, one.hello, one.area) for one in interfaces] == [
        ("ipsec11", 10, 5, "0.0.0.3"),
        ("ipsec2856", 20, 5, "0.0.0.3"),
    ]
    assert len(frr.plan(found["spoke1"])["networks"]["ipv4"]) == 4


def test_keys_are_templates_of_the_link() -> None:
    built = topology.build(fleet(hubs=1, spokes=1, routing_key="{{ keys[link] }}"))
    passwords = {item["password"] for one in built.routers.values() for item in one["bgp"]["neighbors"]}
    assert passwords == {'{% set link = "hub1--spoke1" %}{{ keys[link] }}'}


@pytest.mark.parametrize(
    ("description", "why"),
    [
        (fleet(routing="rip"), "routing: 'rip' is none of static, bgp, ospf"),
        (fleet(bgp={"as": 1}), "bgp: as is no option here"),
        (fleet(bgp={"asn": 0}), "bgp: asn: '0' is no number"),
        (fleet(bgp={"holdtime": 5}), "bgp: holdtime: 5 s is less than three times keepalive"),
        (fleet(ospf={"dead": 5}), "ospf: interfaces: ipsec1: dead: 5 s is no more than hello"),
        (fleet(bfd={"interval": 5}), "bfd_interval: '5' is no number"),
        (fleet(routing_key="plain"), "link of hub1 and spoke1: routing_key: must be a template"),
        (
            fleet(links=[{"sites": ["hub1", "spoke1"], "routing": "x"}]),
            "link of hub1 and spoke1: routing: 'x' is none of",
        ),
        (fleet(links=[{"sites": ["hub1", "spoke1"], "routing": "ospf"}]), "routing: bgp and ospf in one fleet"),
        (fleet(routing="ospf", hubs=1, summaries=["10.128.0.0/9", "2001:db8::/32"]), "summaries: OSPF tells"),
    ],
)
def test_refusals(description: Description, why: str) -> None:
    with pytest.raises(InvalidOption) as refused:
        topology.build(description)
    assert str(refused.value).startswith(why)


def test_an_as_for_all_and_one_for_a_site_exclude_each_other() -> None:
    description = fleet(bgp={"asn": 65000})
    description["sites"]["spoke1"]["asn"] = 65001
    with pytest.raises(InvalidOption, match="site spoke1: asn: bgp: asn gives all sites the same one"):
        topology.build(description)


def test_what_is_common_is_one_object() -> None:
    built = topology.build(fleet(spokes=200, hubs=1))
    lists = {id(one["sets"]["spokes-of-1"]) for name, one in built.routers.items() if name != "hub1"}
    assert len(lists) == 1


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 8), st.integers(1, 3), st.data())
def test_a_site_that_comes_changes_nobody_s_session(spokes: int, hubs: int, data: st.DataObject) -> None:
    after = fleet(spokes=spokes, hubs=hubs)
    gone = data.draw(st.sampled_from(after["spokes"]))
    before = copy.deepcopy(after)
    before["spokes"].remove(gone)
    del before["sites"][gone]
    one, two = sessions(routers(before)), sessions(routers(after))
    for key, item in one.items():
        same = two[key]
        assert (item.remote_asn, item.local_preference, item.med) == (same.remote_asn, same.local_preference, same.med)


HQ: Description = {
    "name": "hq",
    "site_id": 1,
    "wan_address": "198.51.100.1",
    "lan_networks": ["10.1.0.0/24"],
    "routing": "bgp",
}
BRANCHES: list[Description] = [
    {
        "name": f"b{n}",
        "site_id": n,
        "wan_address": f"203.0.113.{n}",
        "lan_networks": [f"10.{n}.0.0/24"],
        "psk": "x" * 20,
    }
    for n in (11, 12, 13)
]


def test_records_of_one_hub_make_the_same_as_a_topology() -> None:
    at_hub = frr.router(links.hub_router(HQ, BRANCHES))
    at_branch = {one["name"]: frr.router(links.branch_router(one, HQ, BRANCHES)) for one in BRANCHES}
    both = sessions({"hq": at_hub, **at_branch})
    assert len(both) == 6
    assert all((theirs, ours) in both for ours, theirs in both)
    assert frr.plan(at_branch["b11"])["networks"]["ipv4"] == ["10.1.0.0/24", "10.12.0.0/24", "10.13.0.0/24"]
    assert links.branch_tunnels(BRANCHES[0], HQ, BRANCHES)["static_routes"] == []


@pytest.mark.parametrize("index", [0, 1])
def test_a_branch_can_stay_static(index: int) -> None:
    branches = [{**one, **({"routing": "static"} if n == index else {})} for n, one in enumerate(BRANCHES)]
    assert links.branch_router(branches[index], HQ, branches) == {}
    assert len(links.branch_tunnels(branches[index], HQ, branches)["static_routes"]) == 3
    assert len(links.hub_tunnels(HQ, branches)["static_routes"]) == 1
    assert str(links.hub_router(HQ, branches)["bgp"]["networks"][1]) == branches[index]["lan_networks"][0]


def test_without_a_word_all_is_static() -> None:
    hq = {key: value for key, value in HQ.items() if key != "routing"}
    assert links.hub_router(hq, BRANCHES) == {}
    assert links.branch_router(BRANCHES[0], hq, BRANCHES) == {}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"routing": "rip"}, "site hq: routing: 'rip' is none of"),
        ({"asn": 0}, "site hq: asn: '0' is no number"),
        ({"bgp": [1]}, "site hq: bgp: must be a dictionary"),
        ({"ospf": {"colour": 1}}, "ospf: colour is no option here"),
    ],
)
def test_records_are_refused_by_the_key(changes: Description, why: str) -> None:
    with pytest.raises(InvalidOption) as refused:
        links.hub_router({**HQ, **changes}, BRANCHES)
    assert str(refused.value).startswith(why)


def test_a_key_of_a_link_is_used_at_both_ends() -> None:
    branches = [{**one, "routing_key": f"key{n}"} for n, one in enumerate(BRANCHES)]
    at_hub = frr.router(links.hub_router(HQ, branches))
    at_branch = frr.router(links.branch_router(branches[1], HQ, BRANCHES))
    far = {item.description: item for item in at_hub.bgp.neighbors}  # type: ignore[union-attr]
    assert far["b12"].password == at_branch.bgp.neighbors[0].password != far["b11"].password  # type: ignore[union-attr]
    assert all(one is not None for one in itertools.chain([at_hub.bgp, at_branch.bgp]))
