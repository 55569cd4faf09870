#!/usr/bin/python
# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway
short_description: Manage a named next hop
version_added: 0.1.0
description:
  - Names a next hop, so that routes, groups and policy routes can refer to it, and has it watched.
  - The gateways of assigned VTIs, C(NAME_VTIV4) and C(NAME_VTIV6), are there by themselves; for one of them this
    module
    says how it is to be watched. Names, numbers and what they default to are pfSense's.
  - A small service on the host sends probes through each gateway, with C(dpinger) or C(fping), from the interface's
    own
    address. What it finds is returned by M(routed_ipsec.vti.vti_info), and written to C(/var/run/routed_ipsec) as
    JSON
    and for Prometheus.
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
extends_documentation_fragment:
  - routed_ipsec.vti._attributes
  - routed_ipsec.vti._gateway
options:
  state:
    description:
      - Whether it should exist.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: routed_ipsec.vti.gateway_group
  - module: routed_ipsec.vti.default_gateway
  - module: routed_ipsec.vti.policy_route
"""

EXAMPLES = r"""
- name: Name the provider's router
  routed_ipsec.vti.gateway:
    name: WAN_GW
    interface: vtnet0
    address: 203.0.113.1
    monitor: 192.0.2.53

- name: Notice within seconds that the tunnel to the HQ carries nothing
  routed_ipsec.vti.gateway:
    name: VTI_HQ_VTIV4
    interval: 500
    loss_interval: 1500
    time_period: 10000
    losslow: 10
    losshigh: 30
"""

RETURN = r"""
steps:
  description: What was done, or in check mode what would be done, in order.
  returned: success
  type: list
  elements: str
  sample:
    - write /etc/routed_ipsec/gateways/WAN_GW.json
    - systemctl restart routed_ipsec_monitor.service
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
gateway:
  description: The gateway as others use it, with what the monitor says of it; null where there is none.
  returned: success
  type: dict
  sample:
    address: 203.0.113.1
    interface: vtnet0
    automatic: false
    monitor: 192.0.2.53
    status: online
    latency_ms: 4.1
    stddev_ms: 0.3
    loss_percent: 0
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.arguments import ARGUMENTS
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.run import run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS["gateway"], supports_check_mode=True)
    run(module, "gateway")


if __name__ == "__main__":
    main()
