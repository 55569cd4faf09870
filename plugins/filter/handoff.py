# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter handoff."""

from __future__ import annotations

DOCUMENTATION = r"""
name: handoff
short_description: What the peer of a tunnel has to configure
version_added: 0.1.0
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
description:
  - Turns a gateway's end of a tunnel round, for the administrator of the other end. The result is a text to hand over,
    with a configuration for strongSwan, Cisco IOS and FortiGate.
  - The pre-shared key is not in it, and this filter does not read it. Tell it by another way.
  - Algorithms that a maker does not have are never replaced by others. A proposal that cannot be expressed is named.
    Where none is left, this filter fails, and O(format=document) gives the reason in place of the configuration.
  - The playbook C(routed_ipsec.vti.handoff) writes a file for each link to a site that is C(external) in the inventory
    plugin P(routed_ipsec.vti.topology#inventory).
positional: phase1
options:
  _input:
    description:
      - The lists C(phase1), C(phase2), C(assignments) and C(static_routes) of the gateway, as a dictionary, with items
        as M(routed_ipsec.vti.vti_site) takes them. The last two may be left out.
    type: dict
    required: true
  phase1:
    description: Name of the phase 1.
    type: str
    required: true
  networks:
    description: Networks behind this gateway that the peer routes into the tunnel.
    type: list
    elements: str
    default: []
  routing:
    description: How routes are exchanged.
    type: str
    choices: [static, bgp, ospf]
    default: static
  name:
    description: Name of the peer's objects; that of the phase 1 when left out.
    type: str
  title:
    description: What both call the link; the name of the phase 1 when left out.
    type: str
  format:
    description: The sheet, a configuration, or a document with all of them.
    type: str
    choices: [document, sheet, strongswan, cisco_ios, fortigate]
    default: document
seealso:
  - module: routed_ipsec.vti.vti_site
"""

EXAMPLES = r"""
- name: Write what the partner has to know
  ansible.builtin.copy:
    content: "{{ tunnels | routed_ipsec.vti.handoff('partner', networks=['10.1.0.0/24'], name='hq') }}"
    dest: partner.md
    mode: "0640"
  delegate_to: localhost
  vars:
    tunnels:
      phase1: "{{ gateway_phase1 }}"
      phase2: "{{ gateway_phase2 }}"
      assignments: "{{ gateway_assignments }}"
      static_routes: "{{ gateway_static_routes }}"

- name: Show what to type at the partner's router
  ansible.builtin.debug:
    msg: "{{ tunnels | routed_ipsec.vti.handoff('partner', format='cisco_ios') }}"
"""

RETURN = r"""
_value:
  description: The text.
  type: str
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import VtiError
from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import handoff as handoff_module


def handoff(
    tunnels: dict[str, t.Any],
    phase1: str,
    networks: list[str] | None = None,
    routing: str = "static",
    name: str | None = None,
    title: str | None = None,
    format: str = "document",  # noqa: A002  # what the option is called
) -> str:
    try:
        return handoff_module.text(
            handoff_module.describe(tunnels, phase1, networks=networks, routing=routing, name=name, title=title), format
        )
    except VtiError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Ansible looks for this class."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"handoff": handoff}
