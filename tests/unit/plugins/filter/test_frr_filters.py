# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters about FRR as templates call them."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.routed_ipsec.vti.plugins.filter.branch_router import FilterModule as BranchRouter
from ansible_collections.routed_ipsec.vti.plugins.filter.frr_change import FilterModule as FrrChange
from ansible_collections.routed_ipsec.vti.plugins.filter.frr_config import FilterModule as FrrConfig
from ansible_collections.routed_ipsec.vti.plugins.filter.frr_lacks import FilterModule as FrrLacks
from ansible_collections.routed_ipsec.vti.plugins.filter.frr_plan import FilterModule as FrrPlan
from ansible_collections.routed_ipsec.vti.plugins.filter.frr_unknown import FilterModule as FrrUnknown
from ansible_collections.routed_ipsec.vti.plugins.filter.hub_router import FilterModule as HubRouter
from ansible_collections.routed_ipsec.vti.plugins.filter.site_record import FilterModule as SiteRecord

MODULES = (BranchRouter, FrrChange, FrrConfig, FrrLacks, FrrPlan, FrrUnknown, HubRouter, SiteRecord)
filters: dict[str, t.Callable[..., t.Any]] = {
    name: function for module in MODULES for name, function in module().filters().items()
}

HQ = {"name": "hq", "site_id": 1, "wan_address": "198.51.100.1", "lan_networks": ["10.1.0.0/24"], "routing": "bgp"}
BRANCH = {
    "name": "branch1",
    "site_id": 11,
    "wan_address": "203.0.113.11",
    "lan_networks": ["10.11.0.0/24"],
    "routing_key": "secret",
}


def test_from_records_to_the_file_and_what_must_be_seen() -> None:
    at_hub, at_branch = filters["hub_router"](HQ, [BRANCH]), filters["branch_router"](BRANCH, HQ)
    assert "neighbor 10.6.104.46 remote-as 4200000011\n" in filters["frr_config"](at_hub)
    assert "neighbor 10.6.104.45 password secret\n" in filters["frr_config"](at_branch)
    plan = filters["frr_plan"](at_branch)
    assert plan["networks"]["ipv4"] == ["10.1.0.0/24"]
    assert "secret" not in str(plan)
    assert filters["frr_lacks"]("{}", plan)
    assert filters["frr_lacks"]("{}", plan, "ip")
    assert filters["frr_unknown"]("{}", ["10.1.0.0/24"]) == ["10.1.0.0/24"]
    assert filters["frr_plan"]({})["networks"] == {"ipv4": [], "ipv6": []}


def test_a_change_is_shown_without_secrets() -> None:
    before, after = (
        filters["frr_config"](filters["branch_router"]({**BRANCH, "routing_key": key}, HQ))
        for key in ("secret", "other!")
    )
    found = filters["frr_change"](before, after)
    assert found["ours"] is True
    assert [line for line in found["difference"] if line.startswith("+ ")] == [
        "+ neighbor 10.6.104.45 password (new secret)"
    ]
    assert found["forget"] == "router bgp 4200000011\n no neighbor 10.6.104.45 password\nexit\n"


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda: filters["frr_config"]({"router_id": "0.0.0.1"}), "bgp: required"),
        (lambda: filters["frr_plan"]({"bgp": {}}), "router_id: required"),
        (lambda: filters["hub_router"]({**HQ, "routing": "rip"}, [BRANCH]), "site hq: routing: 'rip'"),
        (
            lambda: filters["frr_config"](filters["branch_router"]({**BRANCH, "routing_key": "a secret"}, HQ)),
            "bgp: neighbors: 10.6.104.45: password: must be",
        ),
    ],
)
def test_refusals_are_filter_errors_without_the_key(call: t.Callable[[], t.Any], why: str) -> None:
    with pytest.raises(AnsibleFilterError) as refused:
        call()
    assert str(refused.value).startswith(why)
    assert "secret" not in str(refused.value)


def test_a_record_without_secrets_has_no_key_of_a_protocol_either() -> None:
    variables = {
        "inventory_hostname": "b",
        "vti_site_id": 1,
        "vti_routing_key": "x",
        "vti_routing": "bgp",
        "vti_psk": "y",
    }
    assert filters["site_record"](variables, psk=False) == {"name": "b", "site_id": 1, "routing": "bgp"}
