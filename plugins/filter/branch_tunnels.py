# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter branch_tunnels."""

from __future__ import annotations

DOCUMENTATION = r"""
name: branch_tunnels
short_description: Lists for vti_site at a branch
version_added: 0.1.0
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
description:
  - Makes a branch's end of its tunnel to the hub. M(routed_ipsec.vti.vti_site) takes the result.
  - Both ends follow from the same records, see P(routed_ipsec.vti.hub_tunnels#filter) for the other one and for the
    numbers. The branch starts the tunnel, and starts it again when it has ended.
  - A branch has one hub.
positional: hub, others
options:
  _input:
    description:
      - The branch's site record with its C(psk), as P(routed_ipsec.vti.site_record#filter) makes it.
    type: dict
    required: true
  hub:
    description: The hub's site record.
    type: dict
    required: true
  others:
    description:
      - Site records of other branches, to whose LAN networks routes lead through the hub unless C(branch_to_branch) of
        the hub's record is false.
      - Their C(psk) is not needed. The branch itself may be among them.
    type: list
    elements: dict
    default: []
seealso:
  - plugin_type: filter
    plugin: routed_ipsec.vti.hub_tunnels
  - plugin_type: filter
    plugin: routed_ipsec.vti.site_record
"""

EXAMPLES = r"""
- name: Make a branch's end of its tunnel
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
    branch:
      name: branch1
      site_id: 11
      wan_address: 203.0.113.11
      lan_networks: [10.11.0.0/24]
      psk: "{{ vault_branch1_psk }}"
    tunnels: "{{ branch | routed_ipsec.vti.branch_tunnels(hq) }}"
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


def branch_tunnels(
    branch: dict[str, t.Any], hub: dict[str, t.Any], others: t.Sequence[dict[str, t.Any]] = ()
) -> links.Tunnels:
    try:
        return links.branch_tunnels(branch, hub, others)
    except VtiError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Ansible looks for this class."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"branch_tunnels": branch_tunnels}
