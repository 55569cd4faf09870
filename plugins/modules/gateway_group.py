#!/usr/bin/python
# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_group
short_description: Manage a group of gateways in tiers
version_added: 0.1.0
description:
  - A group stands for the gateways of the best tier that has one that is up; routes and policy routes can name it.
  - A route has one next hop, and stays with it as long as it is up and of the best tier. A policy route shares its
    connections among all gateways of the tier, by weight.
  - The gateway monitor moves routes and rules when a gateway goes down and when it is back.
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
extends_documentation_fragment:
  - routed_ipsec.vti._attributes
  - routed_ipsec.vti._gateway_group
options:
  state:
    description:
      - Whether it should exist.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: routed_ipsec.vti.gateway
  - module: routed_ipsec.vti.static_route
  - module: routed_ipsec.vti.policy_route
"""

EXAMPLES = r"""
- name: Prefer the tunnel over the first provider
  routed_ipsec.vti.gateway_group:
    name: TO_HQ
    members:
      - {gateway: VTI_HQ1_VTIV4, tier: 1}
      - {gateway: VTI_HQ2_VTIV4, tier: 2}
    trigger: downloss

- name: Route the HQ's network through it
  routed_ipsec.vti.static_route:
    name: hq_lan
    network: 10.1.0.0/24
    gateway: TO_HQ
"""

RETURN = r"""
steps:
  description: What was done, or in check mode what would be done, in order.
  returned: success
  type: list
  elements: str
  sample:
    - write /etc/routed_ipsec/gateway_groups/TO_HQ.json
undone:
  description: What was undone after a step had failed.
  returned: when a step fails
  type: list
  elements: str
  sample: []
not_undone:
  description: What could not be undone after a step had failed, each with why.
  returned: when a step fails
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.arguments import ARGUMENTS
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.run import run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS["gateway_group"], supports_check_mode=True)
    run(module, "gateway_group")


if __name__ == "__main__":
    main()
