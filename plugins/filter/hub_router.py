# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter hub_router."""

from __future__ import annotations

DOCUMENTATION = r"""
name: hub_router
short_description: Description for FRR at a hub
version_added: 0.1.0
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
description:
  - Makes the description of the router for P(routed_ipsec.vti.frr_config#filter) and the role
    P(routed_ipsec.vti.frr#role), from the same records as P(routed_ipsec.vti.hub_tunnels#filter) makes the tunnels.
  - A branch's C(routing), else the hub's, is V(static), V(bgp) or V(ospf). Without it everything is V(static).
  - "C(bgp), C(ospf) and C(bfd) of the hub are for all sessions. C(bgp) has C(asn), C(bfd), C(graceful_restart),
    C(keepalive), C(holdtime), C(maximum_prefix) and C(import_check), C(ospf) has C(area), C(bfd), C(hello), C(dead),
    C(mtu_ignore) and C(key_id), C(bfd) has C(interval) and C(multiplier)."
  - "With N a site's C(site_id), its AS is C(asn), else 4200000000+N. With C(asn) in C(bgp) all sites are in that AS,
    and the hub reflects routes. The router id is N, written as an address."
positional: branches
options:
  _input:
    description: The hub's site record, as P(routed_ipsec.vti.site_record#filter) makes it.
    type: dict
    required: true
  branches:
    description: The site records of the branches. Of their secrets only C(routing_key) is used.
    type: list
    elements: dict
    required: true
seealso:
  - plugin_type: filter
    plugin: routed_ipsec.vti.frr_config
  - plugin_type: filter
    plugin: routed_ipsec.vti.hub_tunnels
"""

EXAMPLES = r"""
- name: Show the neighbours of this hub
  ansible.builtin.debug:
    msg: "{{ router.bgp.neighbors | map(attribute='address') }}"
  vars:
    router: "{{ hq | routed_ipsec.vti.hub_router(branches) }}"
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


def hub_router(hub: dict[str, t.Any], branches: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    try:
        return links.hub_router(hub, branches)
    except VtiError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Ansible looks for this class."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"hub_router": hub_router}
