# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Both ends of a tunnel from one record: numbers, names, refusals, and that vti_site takes what comes out."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.platform import FreeBSD, Linux
from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import links
from ansible_collections.routed_ipsec.vti.tests.unit.plugins.plugin_utils.taken import taken
from hypothesis import given
from hypothesis import strategies as st

PSK = "correct horse battery staple"


def hub(**changes: t.Any) -> dict[str, t.Any]:
    return {
        "name": "hq",
        "site_id": 1,
        "wan_address": "198.51.100.1",
        "lan_networks": ["10.1.0.0/24"],
        **changes,
    }


def branch(number: int, **changes: t.Any) -> dict[str, t.Any]:
    return {
        "name": f"branch{number}",
        "site_id": number,
        "wan_address": f"203.0.113.{number}",
        "lan_networks": [f"10.{number}.0.0/24"],
        "psk": PSK,
        **changes,
    }


def test_both_ends_of_a_tunnel() -> None:
    at_hub = links.hub_tunnels(hub(), [branch(11)])
    at_branch = links.branch_tunnels(branch(11), hub())
    assert at_hub == {
        "phase1": [
            {
                "name": "branch11",
                "description": "hq - branch11",
                "local_addrs": ["198.51.100.1"],
                "remote_addrs": ["203.0.113.11"],
                "psk": PSK,
                "keyingtries": 0,
            }
        ],
        "phase2": [
            {
                "name": "branch11",
                "phase1": "branch11",
                "description": "VTI to branch11",
                "local_address": "10.6.104.45/30",
                "remote_address": "10.6.104.46",
                "reqid": 5011,
                "unit": 11,
                "start_action": "none",
                "close_action": "none",
                "dpd_action": "clear",
            }
        ],
        "assignments": [{"phase2": "branch11", "name": "VTI_BRANCH11"}],
        "static_routes": [
            {"name": "branch11_10_11_0_0_24", "network": "10.11.0.0/24", "gateway": "VTI_BRANCH11_VTIV4"}
        ],
    }
    assert at_branch == {
        "phase1": [
            {
                "name": "hq",
                "description": "hq - branch11",
                "local_addrs": ["203.0.113.11"],
                "remote_addrs": ["198.51.100.1"],
                "psk": PSK,
                "keyingtries": 0,
            }
        ],
        "phase2": [
            {
                "name": "hq",
                "phase1": "hq",
                "description": "VTI to hq",
                "local_address": "10.6.104.46/30",
                "remote_address": "10.6.104.45",
                "reqid": 5011,
                "unit": 11,
                "start_action": "trap|start",
                "close_action": "start",
                "dpd_action": "restart",
            }
        ],
        "assignments": [{"phase2": "hq", "name": "VTI_HQ"}],
        "static_routes": [{"name": "hq_10_1_0_0_24", "network": "10.1.0.0/24", "gateway": "VTI_HQ_VTIV4"}],
    }


@given(st.integers(1, 511), st.booleans())
def test_the_ends_mirror_each_other(number: int, dual: bool) -> None:
    fleet = {"transit_pool_v6": "2001:db8:6::/48"} if dual else {}
    record = branch(11, site_id=number, mtu=1380, proposals=["aes256-sha512-modp4096"])
    site = hub(site_id=4000, **fleet)
    ours, theirs = links.hub_tunnels(site, [record]), links.branch_tunnels(record, site)
    assert len(ours["phase2"]) == len(theirs["phase2"]) == 1 + dual
    for mine, other in zip(ours["phase2"], theirs["phase2"], strict=True):
        assert mine["local_address"].split("/")[0] == other["remote_address"]
        assert other["local_address"].split("/")[0] == mine["remote_address"]
        assert {mine[key] == other[key] for key in ("reqid", "unit", "mtu")} == {True}
        assert (mine["reqid"], mine["unit"], mine["mtu"]) == (5000 + number, number, 1380)
    one, two = ours["phase1"][0], theirs["phase1"][0]
    assert (one["local_addrs"], one["remote_addrs"]) == (two["remote_addrs"], two["local_addrs"])
    assert (one["psk"], one["proposals"]) == (two["psk"], two["proposals"])


@given(st.sets(st.integers(2, 200), min_size=2, max_size=12), st.data())
def test_a_branch_that_goes_renumbers_nobody(numbers: set[int], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(sorted(numbers)))
    before = links.hub_tunnels(hub(), [branch(number) for number in sorted(numbers)])
    after = links.hub_tunnels(hub(), [branch(number) for number in sorted(numbers - {gone})])
    for option, items in before.items():
        assert [item for item in items if f"branch{gone}" not in _names(item)] == after[option]


def _names(item: dict[str, t.Any]) -> set[str]:
    return {str(item.get("name")).split("_10_", maxsplit=1)[0], str(item.get("phase2")), str(item.get("phase1"))}


def test_addresses_of_both_families() -> None:
    site = hub(transit_pool_v6="2001:db8:6::/48", lan_networks=["10.1.0.0/24", "2001:db8:a1::/64"])
    record = branch(11, lan_networks=["10.11.0.0/24", "2001:db8:b::/64"])
    at_hub, at_branch = links.hub_tunnels(site, [record]), links.branch_tunnels(record, site)
    assert [item["name"] for item in at_hub["phase2"]] == ["branch11", "branch11-v6"]
    assert at_hub["phase2"][1]["local_address"] == "2001:db8:6:b::1/64"
    assert at_hub["phase2"][1]["remote_address"] == "2001:db8:6:b::2"
    assert {item["phase1"] for item in at_hub["phase2"]} == {"branch11"}
    assert [item["gateway"] for item in at_hub["static_routes"]] == ["VTI_BRANCH11_VTIV4", "VTI_BRANCH11_VTIV6"]
    assert [item["gateway"] for item in at_branch["static_routes"]] == ["VTI_HQ_VTIV4", "VTI_HQ_VTIV6"]


def test_other_branches_are_reached_through_the_hub() -> None:
    others = [branch(11), branch(12, psk=None), branch(13, psk=None, wan_address=None)]
    routes = links.branch_tunnels(branch(11), hub(), others)["static_routes"]
    assert [(item["network"], item["gateway"]) for item in routes] == [
        ("10.1.0.0/24", "VTI_HQ_VTIV4"),
        ("10.12.0.0/24", "VTI_HQ_VTIV4"),
        ("10.13.0.0/24", "VTI_HQ_VTIV4"),
    ]
    routes = links.branch_tunnels(branch(11), hub(branch_to_branch=False), others)["static_routes"]
    assert [item["network"] for item in routes] == ["10.1.0.0/24"]


def test_a_branch_s_own_numbers_apply_at_both_ends() -> None:
    record = branch(11, reqid=77, unit=0, transit="192.168.77.0/30", ike_id="branch11.example.com")
    at_hub, at_branch = links.hub_tunnels(hub(), [record]), links.branch_tunnels(record, hub())
    for end in (at_hub, at_branch):
        assert (end["phase2"][0]["reqid"], end["phase2"][0]["unit"]) == (77, 0)
    assert at_hub["phase2"][0]["local_address"] == "192.168.77.1/30"
    assert at_hub["phase1"][0]["remote_id"] == at_branch["phase1"][0]["local_id"] == "branch11.example.com"


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ({}, {"wan_address6": "2001:db8::b"}, ("198.51.100.1", "203.0.113.11")),
        ({"wan_address6": "2001:db8::a"}, {"wan_address": "2001:db8::b"}, ("2001:db8::a", "2001:db8::b")),
        (
            {"wan_address": None, "wan_address6": "2001:db8::a"},
            {"wan_address6": "2001:db8::b"},
            ("2001:db8::a", "2001:db8::b"),
        ),
    ],
)
def test_outer_addresses_are_of_one_family(
    ours: dict[str, t.Any], theirs: dict[str, t.Any], expected: tuple[str, str]
) -> None:
    phase1 = links.hub_tunnels(hub(**ours), [branch(11, **theirs)])["phase1"][0]
    assert (phase1["local_addrs"], phase1["remote_addrs"]) == ([expected[0]], [expected[1]])


@pytest.mark.parametrize(
    ("site", "branches", "message"),
    [
        (hub(), [branch(11), branch(12, site_id=11)], "sites branch11 and branch12: site_id: both have 11"),
        (hub(), [branch(11, site_id=1)], "sites hq and branch11: site_id: both have 1"),
        (hub(), [branch(11), branch(12, name="branch11")], "sites branch11 and branch11: name"),
        (
            hub(),
            [branch(11), branch(12, wan_address="203.0.113.11")],
            "sites branch11 and branch12: wan_address: both have 203.0.113.11",
        ),
        (
            hub(),
            [branch(11), branch(12, lan_networks=["10.11.0.128/25"])],
            "sites branch11 and branch12: LAN network 10.11.0.0/24 of branch11 overlaps LAN network 10.11.0.128/25 of "
            "branch12",
        ),
        (hub(lan_networks=["10.0.0.0/8"]), [branch(11)], "site hq: LAN network 10.0.0.0/8 of hq overlaps transit_pool"),
        (
            hub(),
            [branch(11, lan_networks=["10.6.105.0/24"])],
            "sites hq and branch11: transit_pool 10.6.104.0/21 of hq overlaps LAN network 10.6.105.0/24 of branch11",
        ),
        (
            hub(),
            [branch(11, lan_networks=["198.51.100.0/24"])],
            "sites branch11 and hq: LAN network 198.51.100.0/24 of branch11 overlaps wan_address 198.51.100.1 of hq",
        ),
        (
            hub(),
            [branch(11), branch(12, transit="10.6.104.44/30")],
            "transit network 10.6.104.44/30 of branch11 overlaps transit network 10.6.104.44/30 of branch12",
        ),
        (
            hub(),
            [branch(11), branch(12, transit="10.11.0.4/30")],
            "LAN network 10.11.0.0/24 of branch11 overlaps trans",
        ),
        (hub(), [branch(11), branch(12, unit=11)], "sites branch11 and branch12: unit: both would have 11"),
        (hub(), [branch(11), branch(12, reqid=5011)], "sites branch11 and branch12: reqid: both would have 5011"),
        (
            hub(),
            [branch(11, site_id=512)],
            "site branch11: site_id: 512 is beyond transit_pool 10.6.104.0/21 of site hq",
        ),
        (
            hub(transit_pool_v6="2001:db8:6::/60"),
            [branch(16)],
            "site branch16: site_id: 16 is beyond transit_pool_v6 2001:db8:6::/60 of site hq, which ends with 15",
        ),
        (hub(), [branch(11, psk=None)], "site branch11: psk: required"),
        (hub(), [branch(11, psk="")], "site branch11: psk: required"),
        (hub(wan_address=None), [branch(11)], "site hq: wan_address: required"),
        (hub(), [branch(11, wan_address=None)], "site branch11: wan_address: required"),
        (hub(), [branch(11, wan_address="2001:db8::b")], "sites hq and branch11: wan_address: one has IPv4 only"),
        (hub(), [branch(11, wan_address="gw.example.com")], "site branch11: wan_address: 'gw.example.com' is no IP"),
        (hub(), [branch(11, lan_networks=["10.11.0.1/24"])], "site branch11: lan_networks: 10.11.0.1/24 has host bits"),
        (hub(), [branch(11, lan_networks="10.11.0.0/24")], "site branch11: lan_networks: must be a list"),
        (
            hub(),
            [branch(11, lan_networks=["2001:db8:b::/64"])],
            "site branch11: lan_networks: 2001:db8:b::/64 cannot be",
        ),
        (hub(), [branch(11, site_id=0)], "site branch11: site_id: '0' is no number from 1 to 4000"),
        (hub(), [branch(11, site_id=None)], "site branch11: site_id: required"),
        (hub(), [branch(11, colour="red")], "site branch11: colour: is no key of a site record"),
        (hub(), [branch(11, transit="10.9.0.0/29")], "site branch11: transit: 10.9.0.0/29 is no /30"),
        (hub(transit_pool="10.6.0.0/31"), [branch(11)], "site hq: transit_pool: 10.6.0.0/31 is smaller than a /30"),
        (hub(transit_pool="2001:db8::/32"), [branch(11)], "site hq: transit_pool: 2001:db8::/32 is no IPv4 network"),
        (
            hub(),
            [branch(11, name="a-b"), branch(12, name="a.b")],
            "sites a-b and a.b: name: both would be assigned as VTI_A_B",
        ),
        (
            hub(transit_pool_v6="2001:db8:6::/48"),
            [branch(11, name="north"), branch(12, name="north-v6")],
            "phase2: two of them would be named north-v6",
        ),
        (hub(), [branch(11, name="-x")], "name: '-x' cannot name a site"),
        (hub(), [branch(11, name="x" * 46)], "longer than 45 characters"),
    ],
)
def test_what_cannot_work_is_refused(site: dict[str, t.Any], branches: list[dict[str, t.Any]], message: str) -> None:
    with pytest.raises(InvalidOption) as refused:
        links.hub_tunnels(site, branches)
    assert message in str(refused.value)
    assert PSK not in str(refused.value)


def test_a_branch_refuses_a_neighbour_s_mistake_too() -> None:
    with pytest.raises(InvalidOption, match="sites branch12 and branch11: LAN network"):
        links.branch_tunnels(branch(11), hub(), [branch(12, lan_networks=["10.11.0.0/16"])])


def test_a_site_does_not_show_its_key() -> None:
    assert PSK not in repr(links.link(links.site(hub()), links.site(branch(11))))


@pytest.mark.parametrize(
    ("name", "assignment"),
    [
        ("branch1", "VTI_BRANCH1"),
        ("gw.branch-1.example.com", "VTI_GW_BRANCH_1_EXAMPLE_C"),
        ("Zürich", "VTI_Z_RICH"),
    ],
)
def test_names_of_assignments(name: str, assignment: str) -> None:
    assert links.site(branch(11, name=name)).assignment == assignment


def test_long_names_of_routes_are_stable_and_different() -> None:
    far = links.site(branch(11, name="gateway-of-the-north.example.com"))
    names = [links.route_name(far, links.ipaddress.ip_network(f"2001:db8:{part}::/64")) for part in range(3)]
    assert len(set(names)) == 3
    assert {len(name) <= 48 and name.replace("_", "").isalnum() for name in names} == {True}
    assert names[0] == "gateway_of_the_north_example_com_2001_db8___64"
    assert links.route_name(far, links.ipaddress.ip_network("2001:db8:1111:2222::/64")) == (
        "gateway_of_the_north_example_com_20_21780d439d8d"
    )


@pytest.mark.parametrize("platform", [Linux(), FreeBSD()], ids=lambda platform: platform.name)
def test_vti_site_takes_both_ends(platform: Linux | FreeBSD) -> None:
    site = hub(transit_pool_v6="2001:db8:6::/48", lan_networks=["10.1.0.0/24", "2001:db8:a1::/64"], mtu=1380)
    records = [
        branch(number, lan_networks=[f"10.{number}.0.0/24", f"2001:db8:b:{number}::/64"]) for number in (11, 12, 13)
    ]
    at_hub = taken(links.hub_tunnels(site, records), platform)
    assert sorted(at_hub.automatic()) == sorted(
        f"VTI_BRANCH{number}_VTIV{family}" for number in (11, 12, 13) for family in (4, 6)
    )
    assert {item.interface for item in at_hub.phase2.values()} == {"ipsec11", "ipsec12", "ipsec13"}
    for record in records:
        at_branch = taken(links.branch_tunnels(record, site, records), platform)
        assert sorted(at_branch.automatic()) == ["VTI_HQ_VTIV4", "VTI_HQ_VTIV6"]
        assert len(at_branch.static_routes) == 6


def test_a_certificate_takes_the_place_of_the_key() -> None:
    bare = {key: value for key, value in branch(11).items() if key != "psk"}
    (at_hub,) = links.hub_tunnels(hub(auth="pubkey"), [bare])["phase1"]
    (at_branch,) = links.branch_tunnels(bare, hub(auth="pubkey", ike_id="vpn.example.org"))["phase1"]
    assert at_hub == {
        "name": "branch11",
        "description": "hq - branch11",
        "auth": "pubkey",
        "local_addrs": ["198.51.100.1"],
        "remote_addrs": ["203.0.113.11"],
        "local_id": "hq",
        "remote_id": "branch11",
        "remote_cacerts": ["routed_ipsec.pem"],
        "keyingtries": 0,
    }
    assert (at_branch["local_id"], at_branch["remote_id"]) == ("branch11", "vpn.example.org")
    taken(links.hub_tunnels(hub(auth="pubkey"), [bare]), FreeBSD())
    taken(links.branch_tunnels(bare, hub(auth="pubkey")), Linux())


def test_a_branch_differs_from_the_fleet() -> None:
    ends = links.hub_tunnels(hub(auth="pubkey"), [branch(11, auth="psk"), branch(12)])["phase1"]
    assert [end.get("auth") for end in ends] == [None, "pubkey"]
    assert [end.get("psk") for end in ends] == [PSK, None]


def test_what_cannot_authenticate_is_refused() -> None:
    with pytest.raises(InvalidOption, match=r"^site branch11: auth: 'rsa' is none of psk, pubkey$"):
        links.hub_tunnels(hub(), [branch(11, auth="rsa")])
    with pytest.raises(InvalidOption, match=r"^site branch11: psk: required"):
        links.hub_tunnels(hub(), [branch(11, psk=None)])
    with pytest.raises(InvalidOption, match=r"^site Paris 1: ike_id: 'Paris 1' cannot be in a certificate"):
        links.hub_tunnels(hub(auth="pubkey"), [branch(11, name="Paris 1")])
