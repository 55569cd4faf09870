#!/usr/bin/python
# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: interface_assign
short_description: Assign a VTI
version_added: 0.1.0
description:
  - Gives an C(ipsecX) interface a logical name, and with it its automatic gateways C(NAME_VTIV4) and
    C(NAME_VTIV6), which other modules take by name, in check mode too before they exist.
  - Refused while the default gateway of the tunnel's address family is automatic, for the VTI might become it; pin it
    first with M(routed_ipsec.vti.default_gateway).
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
extends_documentation_fragment:
  - routed_ipsec.vti._attributes
  - routed_ipsec.vti._assignment
options:
  state:
    description:
      - Whether it should exist.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: routed_ipsec.vti.ipsec_vti_phase2
  - module: routed_ipsec.vti.default_gateway
  - module: routed_ipsec.vti.static_route
"""

EXAMPLES = r"""
- name: Assign the tunnel to the branch office
  routed_ipsec.vti.interface_assign:
    phase2: branch1
    name: VTI_BRANCH1

- name: Take the assignment away again
  routed_ipsec.vti.interface_assign:
    name: VTI_BRANCH1
    state: absent
"""

RETURN = r"""
steps:
  description: What was done, or in check mode what would be done, in order.
  returned: success
  type: list
  elements: str
  sample:
    - write /etc/routed_ipsec/assignments/VTI_BRANCH1.json
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
name:
  description: The logical name, or null where there is none.
  returned: success
  type: str
  sample: VTI_BRANCH1
interface:
  description: The interface that bears it, or null where there is none.
  returned: success
  type: str
  sample: ipsec1
gateways:
  description: The automatic gateways, by name, with what the monitor says of them.
  returned: success
  type: dict
  sample:
    VTI_BRANCH1_VTIV4:
      address: 10.6.106.2
      interface: ipsec1
      automatic: true
      monitor: 10.6.106.2
      status: online
      latency_ms: 4.1
      stddev_ms: 0.3
      loss_percent: 0
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.arguments import ARGUMENTS
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.run import run


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENTS["assignment"],
        required_one_of=[("interface", "phase2", "name")],
        mutually_exclusive=[("interface", "phase2")],
        supports_check_mode=True,
    )
    run(module, "assignment")


if __name__ == "__main__":
    main()
