# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters as templates call them."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator, Mapping

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.routed_ipsec.vti.plugins.filter.branch_tunnels import FilterModule as BranchTunnels
from ansible_collections.routed_ipsec.vti.plugins.filter.hub_tunnels import FilterModule as HubTunnels
from ansible_collections.routed_ipsec.vti.plugins.filter.site_record import FilterModule as SiteRecord

hub_tunnels = HubTunnels().filters()["hub_tunnels"]
branch_tunnels = BranchTunnels().filters()["branch_tunnels"]
site_record = SiteRecord().filters()["site_record"]

HQ = {"name": "hq", "site_id": 1, "wan_address": "198.51.100.1", "lan_networks": ["10.1.0.0/24"]}
BRANCH = {
    "name": "branch1",
    "site_id": 11,
    "wan_address": "203.0.113.11",
    "lan_networks": ["10.11.0.0/24"],
    "psk": "top secret",
}


class Guarded(Mapping[str, t.Any]):
    """Variables of which one must not be looked up, as one that only another host can decrypt."""

    def __init__(self, values: dict[str, t.Any], forbidden: str) -> None:
        self.values_by_name, self.forbidden = values, forbidden

    def __getitem__(self, key: str) -> t.Any:
        if key == self.forbidden:
            raise AssertionError(f"{key} was looked up")
        return self.values_by_name[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)


def test_site_record_picks_what_describes_a_site() -> None:
    variables = {"inventory_hostname": "branch1", "vti_site_id": 11, "vti_psk": "top secret", "ansible_host": "x"}
    assert site_record(variables) == {"name": "branch1", "site_id": 11, "psk": "top secret"}
    assert site_record({**variables, "vti_site_name": "north"})["name"] == "north"


def test_site_record_leaves_the_key_alone() -> None:
    class Known(Guarded):
        def __contains__(self, key: object) -> bool:
            assert key != self.forbidden
            return super().__contains__(key)

    variables = Known({"inventory_hostname": "branch2", "vti_site_id": 12, "vti_psk": "x"}, "vti_psk")
    assert site_record(variables, psk=False) == {"name": "branch2", "site_id": 12}


def test_tunnels_of_hub_and_branch_meet() -> None:
    at_hub, at_branch = hub_tunnels(HQ, [BRANCH]), branch_tunnels(BRANCH, HQ, [BRANCH])
    assert at_hub["phase2"][0]["remote_address"] == "10.6.104.46"
    assert at_branch["phase2"][0]["local_address"] == "10.6.104.46/30"


@pytest.mark.parametrize(
    "call",
    [
        lambda: hub_tunnels(HQ, [BRANCH, {**BRANCH, "name": "branch2", "psk": "other secret"}]),
        lambda: branch_tunnels(BRANCH, HQ, [{**BRANCH, "name": "branch2", "psk": "other secret"}]),
    ],
)
def test_refusals_are_filter_errors_without_the_key(call: t.Callable[[], t.Any]) -> None:
    with pytest.raises(AnsibleFilterError, match="sites branch1 and branch2: site_id: both have 11") as refused:
        call()
    shown = f"{refused.value} {refused.value.__cause__!r}"
    assert "secret" not in shown
