# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter frr_lacks."""

from __future__ import annotations

DOCUMENTATION = r"""
name: frr_lacks
short_description: What FRR should know and does not
version_added: 0.1.0
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
description:
  - Compares what FRR says with what P(routed_ipsec.vti.frr_plan#filter) expects.
positional: plan, table
options:
  _input:
    description:
      - What C(vtysh) prints for C(show bgp summary json), with OSPF C(show ip ospf neighbor json), or with O(table) for
        C(show ip route bgp json) and its like.
    type: str
    required: true
  plan:
    description: The result of P(routed_ipsec.vti.frr_plan#filter).
    type: dict
    required: true
  table:
    description: The family of routes, V(ip) or V(ipv6); empty for neighbours.
    type: str
    default: ""
seealso:
  - plugin_type: filter
    plugin: routed_ipsec.vti.frr_plan
"""

EXAMPLES = r"""
- name: See whether all neighbours are there
  ansible.builtin.command:
    argv: [vtysh, -c, show bgp summary json]
  register: summary
  changed_when: false
  failed_when: summary.stdout | routed_ipsec.vti.frr_lacks(frr_router | routed_ipsec.vti.frr_plan) | length > 0
"""

RETURN = r"""
_value:
  description: What is wrong, in words; empty where nothing is.
  type: list
  elements: str
"""

import typing as t

from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import frr


def frr_lacks(text: str, plan: frr.Plan, table: str = "") -> list[str]:
    return frr.lacking(text, plan, table)


class FilterModule:
    """Ansible looks for this class."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"frr_lacks": frr_lacks}
