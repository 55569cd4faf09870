#!/usr/bin/python
# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vti_site
short_description: Manage a whole gateway in one call
version_added: 0.1.0
description:
  - Takes everything a gateway is made of at once, and brings the host there with one observation and one plan.
  - A change to the tunnel that carries the SSH session is safe only in one call; and a fleet costs one round
    trip for each host.
  - When a step fails, all is put back as it was.
  - Refused while the default gateway of a tunnel's address family is automatic; see
    M(routed_ipsec.vti.default_gateway).
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
extends_documentation_fragment:
  - routed_ipsec.vti._attributes
  - routed_ipsec.vti._phase1.site
  - routed_ipsec.vti._phase2.site
  - routed_ipsec.vti._assignment.site
  - routed_ipsec.vti._gateway.site
  - routed_ipsec.vti._gateway_group.site
  - routed_ipsec.vti._static_route.site
  - routed_ipsec.vti._policy_route.site
  - routed_ipsec.vti._default_gateway.site
  - routed_ipsec.vti._filter_mode.site
options:
  purge:
    description:
      - Remove what this collection has made on the host and is not listed. What others have made is never touched.
    type: bool
    default: false
  establish_timeout:
    description:
      - Insist that every tunnel comes up within this many seconds.
      - If one does not, everything is put back and the task fails.
      - V(0) does not wait.
    type: int
    default: 0
seealso:
  - module: routed_ipsec.vti.ipsec_phase1
  - module: routed_ipsec.vti.ipsec_vti_phase2
  - module: routed_ipsec.vti.interface_assign
  - module: routed_ipsec.vti.gateway
  - module: routed_ipsec.vti.gateway_group
  - module: routed_ipsec.vti.default_gateway
  - module: routed_ipsec.vti.static_route
  - module: routed_ipsec.vti.policy_route
  - module: routed_ipsec.vti.filter_mode
  - module: routed_ipsec.vti.vti_info
"""

EXAMPLES = r"""
- name: Make the gateway of the branch office
  routed_ipsec.vti.vti_site:
    phase1:
      - name: hq
        local_addrs: [203.0.113.2]
        remote_addrs: [198.51.100.2]
        psk: "{{ vault_branch1_psk }}"
    phase2:
      - name: hq
        phase1: hq
        local_address: 10.6.106.2/30
        remote_address: 10.6.106.1
    assignments:
      - phase2: hq
        name: VTI_HQ
    static_routes:
      - name: hq_lan
        network: 10.1.0.0/24
        gateway: VTI_HQ_VTIV4
    purge: true

- name: Remove everything
  routed_ipsec.vti.vti_site:
    purge: true
"""

RETURN = r"""
steps:
  description: What was done, or in check mode what would be done, in order.
  returned: success
  type: list
  elements: str
  sample:
    - write /etc/routed_ipsec/phase1/hq.json
    - swanctl --load-all --noprompt
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
gateways:
  description: The gateways, by name, with what the monitor says of them; null where it says nothing.
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
firewall:
  description:
    - Whether the rules for pf count (C(enforced)), and what keeps them from it (C(reason)).
    - Null where there are none.
  returned: success
  type: dict
  sample: {enforced: true, reason: null}
"""

from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.discreet import DiscreetModule
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.arguments import ARGUMENTS
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.run import run


def main() -> None:
    module = DiscreetModule(argument_spec=ARGUMENTS["site"], supports_check_mode=True)
    run(module, "site")


if __name__ == "__main__":
    main()
