# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet from one description: both ends, numbers that stay, routes, refusals, growth."""

from __future__ import annotations

import copy
import ipaddress
import itertools
import sys
import typing as t

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.platform import FreeBSD, Linux
from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import links, numbers, topology
from ansible_collections.routed_ipsec.vti.tests.unit.plugins.plugin_utils.taken import taken
from hypothesis import given, settings
from hypothesis import strategies as st

Description = dict[str, t.Any]


def site(number: int, **changes: t.Any) -> dict[str, t.Any]:
    return {
        "id": number,
        "wan": {"address": f"100.64.{number >> 8}.{number & 255}"},
        "lans": [f"10.{128 + (number >> 8)}.{number & 255}.0/24"],
        **changes,
    }


LTE = {"name": "lte", "address": "192.0.2.13"}


def fleet(**changes: t.Any) -> Description:
    """Two hubs and three branches, of which the last has two uplinks."""
    return {
        "sites": {
            "hq": site(1),
            "dc": site(2, slot=2, transit_pool="10.6.112.0/21"),
            "b11": site(11),
            "b12": site(12),
            "b13": site(
                13, wan=[{"name": "fibre", "address": "100.64.0.13"}, {"name": "lte", "address": "192.0.2.13"}]
            ),
        },
        "hubs": ["hq", "dc"],
        "spokes": ["b11", "b12", "b13"],
        **changes,
    }


def with_site(name: str, **changes: t.Any) -> Description:
    description = fleet()
    description["sites"][name] = {**description["sites"].get(name, {}), **changes}
    return description


def item(items: list[dict[str, t.Any]], name: str) -> dict[str, t.Any]:
    return next(one for one in items if one["name"] == name)


def routes(built: topology.Fleet, name: str) -> dict[str, str]:
    return {route["network"]: route["gateway"] for route in built.tunnels[name]["static_routes"]}


# --- a site that goes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", ["hq", "dc", "b11", "b13"])
def test_an_absent_site_leaves_everybody_else_s_tunnels_as_they_are(gone: str) -> None:
    """The lists are those of a fleet without it, and of those before but for what concerned it."""
    links_of = [{"sites": ["hq", "b13"], "tunnel": 3, "wan": {"b13": "lte"}, "transit": "10.6.120.0/30"}]
    before = topology.build(fleet(links=links_of))
    found = topology.build({**with_site(gone, state="absent"), "links": links_of})
    assert gone not in found.tunnels
    for name, options in found.tunnels.items():
        assert gone not in {one["site"] for one in found.neighbors[name]}
        left = [one["phase1"] for one in before.neighbors[name] if one["site"] != gone]
        assert options["phase1"] == links.tunnels_to(before.tunnels[name], left)["phase1"]
        assert options["phase2"] == links.tunnels_to(before.tunnels[name], left)["phase2"]
        networks = {route["network"] for route in options["static_routes"]}
        assert networks.isdisjoint(map(str, before.sites[gone].lans))


def test_an_absent_site_keeps_its_id_and_nothing_else() -> None:
    description = with_site("b11", state="absent")
    description["sites"]["new"] = {**description["sites"]["b11"], "id": 14, "state": "present"}
    topology.build({**description, "spokes": ["b11", "new"]})
    description["sites"]["new"]["id"] = 11
    with pytest.raises(InvalidOption, match=r"sites b11 and new: id: both have 11"):
        topology.build(description)
    with pytest.raises(InvalidOption, match=r"site b11: state: 'gone' is none of present, absent"):
        topology.build(with_site("b11", state="gone"))


def test_tunnels_to_some_neighbours() -> None:
    tunnels = topology.build(fleet()).tunnels["hq"]
    some = links.tunnels_to(tunnels, ["b11", "b13"])
    others = links.tunnels_to(tunnels, ["b12"])
    for option, items in tunnels.items():
        assert [one for one in items if one in some[option]] == some[option]
        assert sorted(map(str, some[option] + others[option])) == sorted(map(str, items))
        assert not [one for one in some[option] if one in others[option]]


# --- both ends --------------------------------------------------------------------------------------------------------


@given(st.sets(st.integers(2, 254), min_size=1, max_size=6), st.booleans())
@settings(max_examples=30)
def test_one_hub_is_what_the_filters_make_of_it(ids: set[int], dual: bool) -> None:
    lans = {n: [f"10.{n}.0.0/24", f"2001:db8:1:{n:x}::/64"][: 1 + dual] for n in {1, *ids}}
    records = {
        n: {
            "name": f"branch{n}" if n > 1 else "hq",
            "site_id": n,
            "wan_address": f"203.0.113.{n}",
            "lan_networks": lans[n],
            "ike_id": f"site{n}.example" if n % 2 else None,
            "psk": '{{ vti_psks["hq--branch' + str(n) + '"] }}',
            **({"transit_pool_v6": "2001:db8:6::/48"} if dual and n == 1 else {}),
        }
        for n in {1, *ids}
    }
    built = topology.build(
        {
            "sites": {
                record["name"]: {
                    "id": record["site_id"],
                    "wan": {"address": record["wan_address"]},
                    "lans": record["lan_networks"],
                    "ike_id": record["ike_id"],
                }
                for record in records.values()
            },
            "hubs": ["hq"],
            "spokes": [f"branch{n}" for n in sorted(ids)],
            "pools": {"transit_v6": "2001:db8:6::/48"} if dual else {},
        }
    )
    branches = [records[n] for n in sorted(ids)]
    assert built.tunnels["hq"] == links.hub_tunnels(records[1], branches)
    for branch in branches:
        assert built.tunnels[branch["name"]] == links.branch_tunnels(branch, records[1], branches)


@st.composite
def described(draw: st.DrawFn) -> Description:
    """Any mixture of hubs, spokes, a mesh and second tunnels that can work."""
    ids = draw(st.lists(st.integers(1, 60), min_size=4, max_size=9, unique=True))
    names = [f"s{number}" for number in ids]
    hub_count = draw(st.integers(1, 2))
    sites = {
        name: site(
            number,
            wan=[
                {"address": f"100.64.0.{number}", "address6": f"2001:db8::{number}"},
                {"address": f"192.0.2.{number}"},
            ],
            external=index > 3 and draw(st.booleans()),
        )
        for index, (name, number) in enumerate(zip(names, ids, strict=True))
    }
    for index in range(hub_count):
        sites[names[index]].update(
            slot=1 + 2 * index, transit_pool=f"10.{4 + index}.0.0/16", transit_pool_v6=f"2001:db8:{6 + index}::/48"
        )
    spokes = names[hub_count : hub_count + draw(st.integers(1, 3))]
    return {
        "sites": sites,
        "hubs": names[:hub_count],
        "spokes": spokes,
        "mesh": [name for name in names[hub_count:] if not sites[name]["external"]],
        "links": [{"sites": [names[0], spokes[0]], "tunnel": 2, "wan": {spokes[0]: "wan2"}}],
        "pools": {
            "links": "10.16.0.0/14",
            "links_v6": "2001:db8:9::/48",
            "prefix": draw(st.sampled_from([30, 31])),
            "prefix_v6": draw(st.sampled_from([64, 127])),
        },
    }


def mirrored(option: dict[str, t.Any]) -> dict[str, t.Any]:
    swapped = {"local_addrs": "remote_addrs", "remote_addrs": "local_addrs"}
    return {swapped.get(key, key): value for key, value in option.items() if key != "name"}


@given(described())
@settings(max_examples=40)
def test_the_ends_of_every_link_mirror_each_other(description: Description) -> None:
    built = topology.build(description)
    assert len({network for link in built.links for network in link.transits}) == 2 * len(built.links)
    for link in built.links:
        if any(end.site.external for end in link.ends):
            continue
        (one, first), (other, second) = (_end(built, link, index) for index in (0, 1))
        assert mirrored(one) == {key: value for key, value in other.items() if key != "name"}
        assert len(first) == len(second) == 2
        for mine, theirs in zip(first, second, strict=True):
            near, far = (ipaddress.ip_interface(phase2["local_address"]) for phase2 in (mine, theirs))
            assert (str(near.ip), str(far.ip)) == (theirs["remote_address"], mine["remote_address"])
            assert near.network == far.network
            assert {mine["start_action"], theirs["start_action"]} == {"trap|start", "none"}


def _end(built: topology.Fleet, link: topology.Link, index: int) -> tuple[dict[str, t.Any], list[dict[str, t.Any]]]:
    options = built.tunnels[link.ends[index].site.name]
    local = str(link.ends[index].outer)
    remote = str(link.ends[1 - index].outer)
    phase1 = next(one for one in options["phase1"] if (one["local_addrs"], one["remote_addrs"]) == ([local], [remote]))
    return phase1, [one for one in options["phase2"] if one["phase1"] == phase1["name"]]


@given(described(), st.sampled_from([Linux(), FreeBSD()]))
@settings(max_examples=25)
def test_vti_site_takes_what_every_site_gets(description: Description, platform: Linux | FreeBSD) -> None:
    for options in topology.build(description).tunnels.values():
        declared = taken(options, platform)
        assert len({phase2.unit for phase2 in declared.phase2.values()}) == len(declared.phase1)
        assert len(declared.automatic()) == len(declared.phase2)
        assert {route.gateway for route in declared.static_routes.values()} <= set(declared.automatic())


# --- numbers that never move ------------------------------------------------------------------------------------------

Numbers = dict[tuple[int, int, int], tuple[t.Any, ...]]


def settled(built: topology.Fleet) -> Numbers:
    """All numbers of each link, by the ids of its sites and its tunnel number."""
    return {
        (link.ends[0].site.id, link.ends[1].site.id, link.tunnel): (
            link.transits,
            *((end.unit, end.reqid) for end in link.ends),
        )
        for link in built.links
    }


@given(described(), st.data())
@settings(max_examples=40)
def test_a_site_that_goes_or_comes_renumbers_nobody(description: Description, data: st.DataObject) -> None:
    before = settled(topology.build(description))
    gone = data.draw(st.sampled_from(sorted(description["sites"])))
    rest = copy.deepcopy(description)
    number = rest["sites"].pop(gone)["id"]
    for option in ("hubs", "spokes", "mesh"):
        rest[option] = [name for name in rest[option] if name != gone]
    rest["links"] = [link for link in rest["links"] if gone not in link["sites"]]
    if gone in description["hubs"] and not rest["hubs"]:
        rest["spokes"], rest["links"] = [], []
    after = settled(topology.build(rest))
    assert after == {key: value for key, value in before.items() if key in after}
    assert {key for key in before if number not in key[:2]} == set(after)


@given(described(), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_other_names_and_another_order_renumber_nobody(description: Description, random: t.Any) -> None:
    before = settled(topology.build(description))
    shuffled = list(description["sites"])
    random.shuffle(shuffled)
    names = {name: f"renamed-{index}" for index, name in enumerate(shuffled)}
    other = {**description, "sites": {names[name]: description["sites"][name] for name in shuffled}}
    for option in ("hubs", "spokes", "mesh"):
        other[option] = [names[name] for name in description[option]]
        random.shuffle(other[option])
    other["links"] = [
        {
            "sites": [names[name] for name in reversed(link["sites"])],
            "tunnel": link["tunnel"],
            "wan": {names[name]: wan for name, wan in link["wan"].items()},
        }
        for link in description["links"]
    ]
    assert settled(topology.build(other)) == before


# --- shapes -----------------------------------------------------------------------------------------------------------


def test_two_hubs() -> None:
    built = topology.build(fleet())
    at_branch = built.tunnels["b11"]
    assert [one["name"] for one in at_branch["phase1"]] == ["hq", "dc"]
    assert [(one["unit"], one["local_address"]) for one in at_branch["phase2"]] == [
        (11, "10.6.104.46/30"),
        (11 + numbers.STRIDE, "10.6.112.46/30"),
    ]
    assert routes(built, "b11") == {
        "10.128.1.0/24": "VTI_HQ_VTIV4",
        "10.128.2.0/24": "VTI_DC_VTIV4",
        "10.128.12.0/24": "VTI_HQ_VTIV4",
        "10.128.13.0/24": "VTI_HQ_VTIV4",
    }
    assert routes(built, "dc") == {f"10.128.{n}.0/24": f"VTI_B{n}_VTIV4" for n in (11, 12, 13)}


def test_a_branch_with_its_own_choice_of_hubs() -> None:
    built = topology.build(with_site("b11", hubs=["dc", "hq"]))
    assert routes(built, "b11")["10.128.12.0/24"] == "VTI_DC_VTIV4"
    built = topology.build(with_site("b11", hubs=["dc"]))
    assert [one["name"] for one in built.tunnels["b11"]["phase1"]] == ["dc"]
    # b12's first hub does not know b11, so there is no way back.
    assert set(routes(built, "b11")) == {"10.128.2.0/24"}
    assert "10.128.11.0/24" not in routes(built, "b12")


def test_without_branch_to_branch() -> None:
    built = topology.build(fleet(branch_to_branch=False))
    assert set(routes(built, "b11")) == {"10.128.1.0/24", "10.128.2.0/24"}


def test_summaries_take_the_place_of_single_routes() -> None:
    built = topology.build(fleet(summaries=["10.128.0.0/16"]))
    assert routes(built, "b11") == {
        "10.128.1.0/24": "VTI_HQ_VTIV4",
        "10.128.2.0/24": "VTI_DC_VTIV4",
        "10.128.0.0/16": "VTI_HQ_VTIV4",
    }


def test_a_link_of_two_spokes_is_the_way_between_them() -> None:
    built = topology.build(fleet(links=[{"sites": ["b12", "b11"], "transit": "10.6.200.0/31"}]))
    assert routes(built, "b11")["10.128.12.0/24"] == "VTI_B12_VTIV4"
    assert routes(built, "b12")["10.128.11.0/24"] == "VTI_B11_VTIV4"
    assert item(built.tunnels["b11"]["phase2"], "b12")["local_address"] == "10.6.200.0/31"
    assert item(built.tunnels["b12"]["phase2"], "b11")["start_action"] == "trap|start"


def test_a_mesh() -> None:
    description = {
        "sites": {f"m{n}": site(n) for n in (3, 4, 5)},
        "mesh": ["m4", "m3", "m5"],
        "pools": {"links": "10.7.0.0/24"},
    }
    built = topology.build(description)
    assert sorted(link.name for link in built.links) == ["m3--m4", "m3--m5", "m4--m5"]
    assert routes(built, "m3") == {"10.128.4.0/24": "VTI_M4_VTIV4", "10.128.5.0/24": "VTI_M5_VTIV4"}
    assert [one["unit"] for one in built.tunnels["m3"]["phase2"]] == [4, 5]


def test_a_second_tunnel_over_the_second_uplink() -> None:
    description = with_site("dc", slot=3)
    description["pools"] = {"transit": "10.4.0.0/16"}
    description["links"] = [{"sites": ["b13", "hq"], "tunnel": 2, "wan": {"b13": "lte"}, "starts": "hq"}]
    built = topology.build(description)
    assert [one["unit"] for one in built.tunnels["b13"]["phase2"]] == [13, 13 + 2 * 2845, 13 + 2845]
    first, second = (item(built.tunnels["b13"]["phase1"], name) for name in ("hq", "hq-2"))
    assert (first["local_addrs"], second["local_addrs"]) == (["100.64.0.13"], ["192.0.2.13"])
    assert second["psk"] == '{{ vti_psks["hq--b13--2"] }}'
    assert item(built.tunnels["b13"]["phase2"], "hq-2")["start_action"] == "none"
    assert item(built.tunnels["hq"]["phase2"], "b13-2")["start_action"] == "trap|start"
    assert {"phase2": "b13-2", "name": "VTI_B13_2"} in built.tunnels["hq"]["assignments"]
    assert routes(built, "hq")["10.128.13.0/24"] == "VTI_B13_VTIV4"


def test_only_our_end_of_an_external_site() -> None:
    description = with_site("partner", **site(900, external=True, ike_id="vpn.partner.example"))
    description["links"] = [{"sites": ["hq", "partner"], "transit": "10.6.120.0/30"}]
    built = topology.build(description)
    assert "partner" not in built.tunnels
    assert item(built.tunnels["hq"]["phase1"], "partner")["remote_id"] == "vpn.partner.example"
    assert routes(built, "hq")["10.131.132.0/24"] == "VTI_PARTNER_VTIV4"


def told(built: topology.Fleet, name: str) -> list[str]:
    """What the far end of a site's only external link routes to it."""
    (link,) = (one for one in built.neighbors[name] if one["external"])
    assert link["routing"] in ("static", "bgp")
    return t.cast("list[str]", link["networks"])


def test_an_external_site_is_told_what_is_behind_us() -> None:
    description = with_site("partner", **site(900, external=True))
    description["links"] = [{"sites": ["hq", "partner"], "transit": "10.6.120.0/30"}]
    assert told(topology.build(description), "hq") == description["sites"]["hq"]["lans"]
    description["links"][0]["routing"] = "bgp"
    assert told(topology.build(description), "hq") == []


def test_an_external_spoke_is_told_what_is_behind_its_hub() -> None:
    description = with_site("far", **site(31, external=True))
    description["spokes"] = [*description["spokes"], "far"]
    hub, others = (
        description["sites"]["hq"]["lans"],
        [lan for name in description["spokes"] if name != "far" for lan in description["sites"][name]["lans"]],
    )
    assert told(topology.build(description), "hq") == [*hub, *others]
    assert told(topology.build({**description, "branch_to_branch": False}), "hq") == hub
    assert told(topology.build({**description, "summaries": ["10.0.0.0/8"]}), "hq") == [*hub, "10.0.0.0/8"]


def test_options_of_all_links_and_of_one() -> None:
    built = topology.build(
        fleet(
            defaults={"phase1": {"proposals": ["aes256-sha384-ecp384"], "lifetime": 7200}, "phase2": {"mtu": 1380}},
            links=[{"sites": ["hq", "b11"], "phase1": {"lifetime": 3600}, "unit": 77, "reqid": 78, "starts": "both"}],
        )
    )
    for here, far in (("hq", "b11"), ("b11", "hq")):
        phase1, phase2 = (item(built.tunnels[here][option], far) for option in ("phase1", "phase2"))
        assert (phase1["proposals"], phase1["lifetime"]) == (["aes256-sha384-ecp384"], 3600)
        assert (phase2["mtu"], phase2["unit"], phase2["reqid"], phase2["start_action"]) == (1380, 77, 78, "trap|start")
    assert item(built.tunnels["b12"]["phase1"], "hq")["lifetime"] == 7200


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({}, '{{ vti_psks["hq--b11"] }}'),
        ({"psk_variable": "vault_keys"}, '{{ vault_keys["hq--b11"] }}'),
        ({"psk": "{{ lookup('file', link) }}"}, "{% set link = \"hq--b11\" %}{{ lookup('file', link) }}"),
    ],
)
def test_keys_are_templates(options: dict[str, str], key: str) -> None:
    built = topology.build(fleet(**options))
    assert item(built.tunnels["hq"]["phase1"], "b11")["psk"] == key == item(built.tunnels["b11"]["phase1"], "hq")["psk"]


def test_certificates_need_no_key() -> None:
    built = topology.build(fleet(defaults={"phase1": {"auth": "pubkey", "local_certs": ["site.pem"]}}))
    assert not [one for options in built.tunnels.values() for one in options["phase1"] if "psk" in one]


def test_certificates_of_the_role_pki_need_one_word() -> None:
    built = topology.build(with_site("b11", ike_id="b11.example.com") | {"defaults": {"phase1": {"auth": "pubkey"}}})
    near, far = item(built.tunnels["hq"]["phase1"], "b11"), item(built.tunnels["b11"]["phase1"], "hq")
    assert (near["local_id"], near["remote_id"]) == ("hq", "b11.example.com") == (far["remote_id"], far["local_id"])
    assert near["remote_cacerts"] == far["remote_cacerts"] == ["routed_ipsec.pem"]
    assert "local_certs" not in near


def test_ipv6_outside_where_one_end_has_nothing_else() -> None:
    description = with_site("b11", wan={"address6": "2001:db8::11"})
    description["sites"]["hq"]["wan"]["address6"] = "2001:db8::1"
    description["sites"]["b11"]["hubs"] = ["hq"]
    built = topology.build(description)
    assert item(built.tunnels["b11"]["phase1"], "hq")["remote_addrs"] == ["2001:db8::1"]
    assert item(built.tunnels["b12"]["phase1"], "hq")["remote_addrs"] == ["100.64.0.1"]


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("description", "complaint"),
    [
        (with_site("b12", id=11), "sites b11 and b12: id: both have 11"),
        (with_site("b12", id=0), "site b12: id: '0' is no number"),
        (with_site("b12", id=None), "site b12: id: required"),
        (with_site("b12", wan={"address": "100.64.0.11"}), "wan1 100.64.0.11 of site b11 overlaps wan1 .* of site b12"),
        (with_site("b12", lans=["10.128.0.0/20"]), "LAN 10.128.0.0/20 of site b12 overlaps LAN .* of site hq"),
        (with_site("b12", lans=["100.64.0.0/24"]), "LAN 100.64.0.0/24 of site b12 overlaps wan1 100.64.0.1 of site hq"),
        (with_site("b12", lans=["10.6.104.0/24"]), "transit_pool 10.6.104.0/21 of hub hq overlaps LAN .* of site b12"),
        (with_site("b12", wan={"address": "10.6.113.1"}), "of hub dc overlaps wan1 10.6.113.1 of site b12"),
        (with_site("dc", transit_pool=None), "of hub hq overlaps transit_pool 10.6.104.0/21 of hub dc"),
        (with_site("dc", slot=1), "site b11: hq - b11 and dc - b11 would both have unit 11"),
        (with_site("b12", id=512), "link of hq and b12: pools: transit 10.6.104.0/21 is exhausted"),
        (with_site("dc", transit_pool="10.6.112.0/27"), "link of dc and b11: transit_pool of dc .* is exhausted"),
        (with_site("b12", wan=[]), "link of hq and b12: wan: site b12 has no uplink with an address"),
        (with_site("b12", wan={"address6": "2001:db8::1"}), "link of hq and b12: wan: one has IPv4 only"),
        (with_site("b12", wan={"address": "branch.example"}), "site b12: wan: address: .* is no IP address"),
        (with_site("b12", wan={"adress": "192.0.2.1"}), "site b12: wan: adress is no option here"),
        (with_site("b12", lans=["2001:db8:1::/64"]), "site b12: lans: .* cannot be reached, link hq--b12 has no IPv6"),
        (with_site("b12", lans="10.9.0.0/24"), "site b12: lans: must be a list"),
        (with_site("b12", ike_id="{{ x }}"), "site b12: ike_id: .*: use no braces"),
        (with_site("{{ x }}", **site(21)), "cannot name a site"),
        (with_site("b{{ x }}", **site(21)), "cannot name a site"),
        (with_site("b12", hubs=["b11"]), "site b12: hubs: b11 is no hub"),
        (with_site("b12", region="north-east"), "site b12: region: 'north-east' becomes part of a group's name"),
        (with_site("b.11", **site(21)) | {"spokes": ["b.11", "b_11"]}, "there is no site b_11"),
        (fleet(spokes=["b11", "hq"]), "site hq is one of the hubs"),
        (fleet(mesh=["b11", "b12"]), "link of b11 and b12: transit: required, or pools: links"),
        (fleet(links=[{"sites": ["hq"]}]), "links: hq: sites: give the names of two sites"),
        (fleet(links=[{"sites": ["hq", "b11"]}] * 2), "links: hq and b11: tunnel 1 is there twice"),
        (fleet(links=[{"sites": ["hq", "b11"], "psk": "secret"}]), "link of hq and b11: psk: must be a template"),
        (fleet(links=[{"sites": ["hq", "b11"], "starts": "b12"}]), "starts: 'b12' is neither one of them nor both"),
        (fleet(links=[{"sites": ["hq", "b11"], "wan": {"b11": "x"}}]), "site b11 has no uplink named x"),
        (fleet(links=[{"sites": ["hq", "b11"], "unit": 12}]), "site hq: hq - b11 and hq - b12 would both have unit 12"),
        (fleet(links=[{"sites": ["hq", "b11"], "transit": "10.6.104.48/30"}]), "of link hq--b11 .* of link hq--b12"),
        (fleet(links=[{"sites": ["hq", "b11"], "transit": "10.6.120.0/29"}]), "transit: 10.6.120.0/29 must be a /30"),
        (
            fleet(links=[{"sites": ["hq", "b11"], "transit": "10.128.12.0/30"}]),
            "LAN 10.128.12.0/24 of site b12 overlaps transit 10.128.12.0/30 of the link of hq and b11",
        ),
        (
            fleet(links=[{"sites": ["hq", "b11"], "tunnel": 2}], pools={"transit": "10.4.0.0/16"}),
            "links hq--b11 and hq--b11--2: wan: both are between",
        ),
        (fleet(defaults={"phase1": {"psk": "secret"}}), "defaults: phase1: psk is no option here"),
        (fleet(defaults={"phase2": {"life": 1}}), "defaults: phase2: life is no option here"),
        (fleet(pools={"prefix": 29}), "pools: prefix: must be 30 or 31"),
        (fleet(pools={"transit": "2001:db8::/48"}), "pools: transit: .* is no IPv4 network"),
        (fleet(summaries=["0.0.0.0/0"]), "summaries: .* everything"),
        (fleet(summaries=["10.0.0.0/9"]), "summaries: LAN 10.128.11.0/24 of site b11 is in none of"),
        (fleet(summaries=["100.64.0.0/16"]), "summaries: .* has wan1 100.64.0.1 of site hq in it"),
        (fleet(summaries=["10.128.11.0/24"]), "summaries: .* is no more than LAN 10.128.11.0/24 of site b11"),
    ],
)
def test_refusals_name_the_culprits(description: Description, complaint: str) -> None:
    with pytest.raises(InvalidOption, match=complaint) as refused:
        topology.build(description)
    assert "secret" not in str(refused.value)


def test_two_external_sites_have_nothing_of_ours() -> None:
    description = with_site("x", **site(31, external=True))
    description["sites"]["y"] = site(32, external=True)
    description["links"] = [{"sites": ["x", "y"], "transit": "10.6.120.0/30"}]
    with pytest.raises(InvalidOption, match="link x--y: external: neither end is ours"):
        topology.build(description)


# --- growth -----------------------------------------------------------------------------------------------------------


def star(count: int) -> Description:
    """A hub with so many branches."""
    names = {f"b{number}": site(number) for number in range(2, count + 2)}
    return {
        "sites": {"hq": site(1, transit_pool="172.16.0.0/15"), **names},
        "hubs": ["hq"],
        "spokes": list(names),
        "summaries": ["10.0.0.0/8"],
    }


def calls(description: Description) -> int:
    """How many functions are called: says the same on a busy machine."""
    count = itertools.count()
    sys.setprofile(lambda frame, event, argument: next(count) if event.endswith("call") else None)
    try:
        topology.build(description)
    finally:
        sys.setprofile(None)
    return next(count)


def test_work_grows_with_the_number_of_sites() -> None:
    small, large = calls(star(500)), calls(star(2000))
    assert 3.5 < large / small < 4.5


def test_each_branch_to_each_other_has_its_limit() -> None:
    description = {**star(1200), "summaries": []}
    with pytest.raises(InvalidOption, match="branch_to_branch: 1200 spokes would have 1440000 routes"):
        topology.build(description)


def test_the_highest_id_has_a_tunnel() -> None:
    last = numbers.SITE_ID[1]
    built = topology.build(
        {
            "sites": {"hq": site(1, transit_pool="172.16.0.0/15"), "last": site(last)},
            "hubs": ["hq"],
            "spokes": ["last"],
        }
    )
    assert built.tunnels["hq"]["phase2"][0]["reqid"] == 5000 + last
