#!/usr/bin/python
# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vti_info
short_description: Describe a gateway
version_added: 0.1.0
description:
  - Returns what the collection has made on the host, in the words of the modules' options, and how its tunnels
    do.
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
extends_documentation_fragment:
  - routed_ipsec.vti._attributes.info
options:
  lookup:
    description:
      - Addresses to look up in the routing table.
    type: list
    elements: str
    default: []
seealso:
  - module: routed_ipsec.vti.vti_site
"""

EXAMPLES = r"""
- name: See how the tunnels do
  routed_ipsec.vti.vti_info:
    lookup: [10.1.0.1]
  register: gateway

- name: Insist that they are up
  ansible.builtin.assert:
    that: gateway.tunnels | rejectattr("child_state", "==", "INSTALLED") | length == 0
"""

RETURN = r"""
phase1:
  description: The phase 1 configurations in the words of M(routed_ipsec.vti.ipsec_phase1), without secrets.
  returned: success
  type: list
  elements: dict
  sample: [{name: hq, version: 2}]
phase2:
  description: The phase 2 configurations in the words of M(routed_ipsec.vti.ipsec_vti_phase2).
  returned: success
  type: list
  elements: dict
  sample: [{name: hq, phase1: hq, unit: 1}]
assignments:
  description: The assignments in the words of M(routed_ipsec.vti.interface_assign).
  returned: success
  type: list
  elements: dict
  sample: [{name: VTI_HQ, interface: ipsec1}]
static_routes:
  description: The static routes in the words of M(routed_ipsec.vti.static_route).
  returned: success
  type: list
  elements: dict
  sample: [{name: hq_lan, network: 10.1.0.0/24, gateway: VTI_HQ_VTIV4}]
filter_mode:
  description: The filter mode in the words of M(routed_ipsec.vti.filter_mode), or null where none was chosen.
  returned: success
  type: dict
  sample: {mode: if_ipsec}
gateways:
  description:
    - The gateways that can be used, by name, in the words of M(routed_ipsec.vti.gateway) where they are declared.
    - C(automatic) tells those of assigned VTIs. C(status), C(latency_ms), C(stddev_ms) and C(loss_percent) are what the
      gateway monitor says, null where it says nothing.
  returned: success
  type: dict
  sample:
    VTI_HQ_VTIV4:
      address: 10.6.106.1
      interface: ipsec1
      automatic: true
      monitor: 10.6.106.1
      status: online
      latency_ms: 4.1
      stddev_ms: 0.3
      loss_percent: 0
gateway_groups:
  description: The gateway groups in the words of M(routed_ipsec.vti.gateway_group).
  returned: success
  type: list
  elements: dict
  sample: [{name: TO_HQ, trigger: down}]
groups:
  description:
    - Which gateways of each group the monitor has selected, by the group's name; the one that routes lead through
      (C(route)), the tier (C(tier), null with none up), and since when (C(since), seconds since 1970).
  returned: success
  type: dict
  sample: {TO_HQ: {selected: [VTI_HQ_VTIV4], route: VTI_HQ_VTIV4, tier: 1, since: 1732444444.1}}
default_gateway:
  description: The default gateways in the words of M(routed_ipsec.vti.default_gateway), or null where none was pinned.
  returned: success
  type: dict
  sample: {ipv4: WAN_GW, ipv6: none}
policy_routes:
  description: The policy routes in the words of M(routed_ipsec.vti.policy_route).
  returned: success
  type: list
  elements: dict
  sample: [{name: guests, interface: lan1, gateway: VTI_HQ_VTIV4}]
monitor:
  description: Whether the gateway monitor is running, and whether it starts at boot (C(enabled)).
  returned: success
  type: dict
  sample: {running: true, enabled: true}
interfaces:
  description:
    - The C(ipsecX) interfaces of the kernel, by name, those of others included.
    - C(running) is false on FreeBSD while the outer source is no address of the host; it is null on Linux.
  returned: success
  type: dict
  sample: {ipsec1: {reqid: 5001, mtu: 1400, up: true, running: true}}
tunnels:
  description:
    - How each tunnel does; states and counters are null while there is no SA.
    - C(mtu_advice) is the largest MTU whose packets pass a path of 1500 bytes in one piece with the tunnel's ESP
      proposals, as plain ESP (C(esp)) and in UDP as behind NAT (C(esp_in_udp)); null below 1280 or where not known.
  returned: success
  type: list
  elements: dict
  sample:
    - phase1: hq
      child: hq
      interface: ipsec1
      mtu: 1400
      mtu_advice: {esp: 1438, esp_in_udp: 1422}
      ike_state: ESTABLISHED
      child_state: INSTALLED
sas:
  description: All IKE SAs and their children, as strongSwan lists them.
  returned: success
  type: list
  elements: dict
  sample: [{connection: hq, state: ESTABLISHED}]
charon:
  description: Whether strongSwan's daemon answers (C(running)), and why not (C(reason)).
  returned: success
  type: dict
  sample: {running: true, reason: null}
foreign_connections:
  description: Connections that are configured on the host and not this collection's.
  returned: success
  type: list
  elements: str
  sample: [road-warriors]
lookups:
  description: The interface and gateway that each address of O(lookup) leads through; both null where no route leads.
  returned: success
  type: dict
  sample: {10.1.0.1: {interface: ipsec1, gateway: 10.6.106.1}}
firewall:
  description:
    - Whether the rules for pf count (C(enforced)), and what keeps them from it (C(reason)).
    - Null where there are none.
  returned: success
  type: dict
  sample: {enforced: true, reason: null}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import VtiError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.system import HostSystem
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site import report
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.observe import observe


def main() -> None:
    module = AnsibleModule(
        argument_spec={"lookup": {"type": "list", "elements": "str", "default": []}},
        supports_check_mode=True,
    )
    system = HostSystem()
    try:
        host = observe(system)
        lookups = report.lookups(system, module.params["lookup"])
    except VtiError as error:
        module.fail_json(msg=str(error), **error.details)
    module.exit_json(changed=False, **report.everything(host), lookups=lookups)


if __name__ == "__main__":
    main()
