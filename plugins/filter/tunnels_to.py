# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter tunnels_to."""

from __future__ import annotations

DOCUMENTATION = r"""
name: tunnels_to
short_description: A gateway's tunnels to some of its neighbours
version_added: 0.1.0
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
description:
  - Picks what belongs to some phase 1 from the lists of a gateway. P(routed_ipsec.vti.hub_tunnels#filter) and the
    inventory plugin P(routed_ipsec.vti.topology#inventory) make such lists.
  - The playbook C(routed_ipsec.vti.site) uses it to have a hub know the sites of a wave, and no others yet.
positional: names
options:
  _input:
    description: The lists C(phase1), C(phase2), C(assignments) and C(static_routes), as a dictionary.
    type: dict
    required: true
  names:
    description: Names of phase 1.
    type: list
    elements: str
    required: true
seealso:
  - module: routed_ipsec.vti.vti_site
"""

EXAMPLES = r"""
- name: Have the hub know one branch, and leave all others as they are
  routed_ipsec.vti.vti_site:
    phase1: "{{ some.phase1 }}"
    phase2: "{{ some.phase2 }}"
    assignments: "{{ some.assignments }}"
    static_routes: "{{ some.static_routes }}"
  vars:
    some: "{{ all_tunnels | routed_ipsec.vti.tunnels_to(['branch1']) }}"
"""

RETURN = r"""
_value:
  description: The same lists, with the items that belong to these phase 1. A route belongs to the gateway it names.
  type: dict
"""

import typing as t

from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import links


class FilterModule:
    """Ansible looks for this class."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"tunnels_to": links.tunnels_to}
