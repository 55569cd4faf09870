# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Groups of a site that goes, in Ansible's own inventory."""

from __future__ import annotations

import gc

import pytest
from ansible.inventory.data import InventoryData
from ansible_collections.routed_ipsec.vti.plugins.inventory import topology


@pytest.fixture
def inventory() -> InventoryData:
    """Two branches, in vti_branches by way of the group north, which is also part of another group."""
    found = InventoryData()
    for group in ("vti_hubs", "vti_branches", "vti_sites", "north", "customers"):
        found.add_group(group)
    found.add_child("vti_branches", "north")
    for name in ("branch1", "branch2"):
        found.add_host(name, group="north")
        found.add_child("customers", name)
    found.reconcile_inventory()
    return found


def _removed(inventory: InventoryData, name: str) -> None:
    plugin = topology.InventoryModule()
    plugin.inventory = inventory
    plugin._add_removed(name, ("vti_hubs", "vti_branches", "vti_sites"))
    inventory.reconcile_inventory()


def _members(inventory: InventoryData, group: str) -> list[str]:
    return [host.name for host in inventory.groups[group].get_hosts()]


def test_a_site_that_goes_leaves_groups_that_lead_to_those_deployed(inventory: InventoryData) -> None:
    _removed(inventory, "branch2")
    assert {name: _members(inventory, name) for name in ("vti_branches", "north", "vti_removed")} == {
        "vti_branches": ["branch1"],
        "north": ["branch1"],
        "vti_removed": ["branch2"],
    }


def test_a_site_that_goes_stays_in_groups_that_have_nothing_to_do_with_it(inventory: InventoryData) -> None:
    _removed(inventory, "branch2")
    assert _members(inventory, "customers") == ["branch1", "branch2"]


@pytest.mark.parametrize("is_on", [True, False])
def test_garbage_is_collected_afterwards_as_before(is_on: bool) -> None:
    def refused() -> None:
        with topology._without_collection():
            assert not gc.isenabled()
            raise ValueError("refused")

    was_on = gc.isenabled()
    (gc.enable if is_on else gc.disable)()
    try:
        with pytest.raises(ValueError, match="refused"):
            refused()
        assert gc.isenabled() is is_on
    finally:
        (gc.enable if was_on else gc.disable)()
