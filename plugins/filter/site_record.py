# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter site_record."""

from __future__ import annotations

DOCUMENTATION = r"""
name: site_record
short_description: Site record from a host's inventory variables
version_added: 0.1.0
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
description:
  - Picks the variables that describe a site from a host's variables, C(vti_site_id) as C(site_id) and so on.
  - "They are: C(vti_site_id), C(vti_lan_networks), C(vti_wan_address), C(vti_wan_address6), C(vti_auth), C(vti_psk),
    C(vti_ike_id), C(vti_transit), C(vti_transit_v6), C(vti_reqid), C(vti_unit), C(vti_proposals), C(vti_esp_proposals),
    C(vti_mtu), C(vti_transit_pool), C(vti_transit_pool_v6), C(vti_branch_to_branch), C(vti_routing),
    C(vti_routing_key), C(vti_asn), C(vti_bgp), C(vti_ospf) and C(vti_bfd)."
  - The site's name is C(vti_site_name), or C(inventory_hostname) where that is not set.
positional: psk
options:
  _input:
    description: A host's variables, an item of C(hostvars).
    type: dict
    required: true
  psk:
    description:
      - Whether to pick C(vti_psk) and C(vti_routing_key). V(false) does not even look at them, so that they need not be
        known.
    type: bool
    default: true
seealso:
  - plugin_type: filter
    plugin: routed_ipsec.vti.hub_tunnels
  - plugin_type: filter
    plugin: routed_ipsec.vti.branch_tunnels
"""

EXAMPLES = r"""
- name: Show the site record of this host
  ansible.builtin.debug:
    msg: "{{ hostvars[inventory_hostname] | routed_ipsec.vti.site_record(psk=false) }}"
"""

RETURN = r"""
_value:
  description: The site record.
  type: dict
"""

import typing as t

from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import links


def site_record(variables: t.Mapping[str, t.Any], psk: bool = True) -> dict[str, t.Any]:
    record = {"name": variables.get("vti_site_name") or variables["inventory_hostname"]}
    for key in links.KEYS:
        # "in" first: looking a variable up templates it, and what is not there must not count.
        if (psk or key not in links.SECRETS) and f"vti_{key}" in variables:
            record[key] = variables[f"vti_{key}"]
    return record


class FilterModule:
    """Ansible looks for this class."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"site_record": site_record}
