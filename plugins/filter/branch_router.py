# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter branch_router."""

from __future__ import annotations

DOCUMENTATION = r"""
name: branch_router
short_description: Description for FRR at a branch
version_added: 0.1.0
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
description:
  - Makes the description of the router for P(routed_ipsec.vti.frr_config#filter) and the role
    P(routed_ipsec.vti.frr#role), from the same records as P(routed_ipsec.vti.branch_tunnels#filter) makes the tunnels.
  - See P(routed_ipsec.vti.hub_router#filter) for the keys and the numbers.
positional: hub, others
options:
  _input:
    description: The branch's site record. Of its secrets only C(routing_key) is used.
    type: dict
    required: true
  hub:
    description: The hub's site record.
    type: dict
    required: true
  others:
    description: Site records of other branches. The branch itself may be among them.
    type: list
    elements: dict
    default: []
seealso:
  - plugin_type: filter
    plugin: routed_ipsec.vti.frr_config
  - plugin_type: filter
    plugin: routed_ipsec.vti.branch_tunnels
"""

EXAMPLES = r"""
- name: Show the neighbours of this branch
  ansible.builtin.debug:
    msg: "{{ router.bgp.neighbors | map(attribute='address') }}"
  vars:
    router: "{{ branch | routed_ipsec.vti.branch_router(hq, branches) }}"
    branch: {name: branch1, site_id: 11, wan_address: 203.0.113.11, lan_networks: [10.11.0.0/24]}
    hq: {name: hq, site_id: 1, wan_address: 198.51.100.1, lan_networks: [10.1.0.0/24], routing: bgp}
    branches:
      - {name: branch1, site_id: 11, wan_address: 203.0.113.11, lan_networks: [10.11.0.0/24]}
      - {name: branch2, site_id: 12, wan_address: 203.0.113.12, lan_networks: [10.12.0.0/24]}
"""

RETURN = r"""
_value:
  description: The description, empty where all routes are static.
  type: dict
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import VtiError
from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import links


def branch_router(
    branch: dict[str, t.Any], hub: dict[str, t.Any], others: t.Sequence[dict[str, t.Any]] = ()
) -> dict[str, t.Any]:
    try:
        return links.branch_router(branch, hub, others)
    except VtiError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Ansible looks for this class."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"branch_router": branch_router}
