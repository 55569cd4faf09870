# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter hub_tunnels."""

from __future__ import annotations

DOCUMENTATION = r"""
name: hub_tunnels
short_description: Lists for vti_site at a hub
version_added: 0.1.0
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
description:
  - Makes the hub's end of its tunnels to all branches. M(routed_ipsec.vti.vti_site) takes the result.
  - Both ends follow from the same records, see P(routed_ipsec.vti.branch_tunnels#filter) for the other one.
  - With N the branch's C(site_id), its tunnel has the N-th /30 of the transit pool counted from 0 (the hub has the
    first address), the N-th /64 of the IPv6 pool if there is one, unit N and reqid 5000+N at both ends.
  - Refuses sites that get in each other's way, and names both of them.
positional: branches
options:
  _input:
    description:
      - The hub's site record, as P(routed_ipsec.vti.site_record#filter) makes it.
    type: dict
    required: true
  branches:
    description: The site records of the branches, each with its C(psk).
    type: list
    elements: dict
    required: true
seealso:
  - plugin_type: filter
    plugin: routed_ipsec.vti.branch_tunnels
  - plugin_type: filter
    plugin: routed_ipsec.vti.site_record
"""

EXAMPLES = r"""
- name: Make the HQ's end of all tunnels
  routed_ipsec.vti.vti_site:
    phase1: "{{ tunnels.phase1 }}"
    phase2: "{{ tunnels.phase2 }}"
    assignments: "{{ tunnels.assignments }}"
    static_routes: "{{ tunnels.static_routes }}"
  vars:
    hq:
      name: hq
      site_id: 1
      wan_address: 198.51.100.1
      lan_networks: [10.1.0.0/24]
    branches:
      - name: branch1
        site_id: 11
        wan_address: 203.0.113.11
        lan_networks: [10.11.0.0/24]
        psk: "{{ vault_branch1_psk }}"
    tunnels: "{{ hq | routed_ipsec.vti.hub_tunnels(branches) }}"
"""

RETURN = r"""
_value:
  description:
    - The lists C(phase1), C(phase2), C(assignments) and C(static_routes), as M(routed_ipsec.vti.vti_site) takes them.
  type: dict
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import VtiError
from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import links


def hub_tunnels(hub: dict[str, t.Any], branches: list[dict[str, t.Any]]) -> links.Tunnels:
    try:
        return links.hub_tunnels(hub, branches)
    except VtiError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Ansible looks for this class."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"hub_tunnels": hub_tunnels}
