#!/usr/bin/python
# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: policy_route
short_description: Manage a policy route
version_added: 0.1.0
description:
  - Sends what comes in on an interface and matches to a gateway or a group, whatever the routing table says.
  - On FreeBSD these are rules of pf with C(route-to) in the anchor C(routed_ipsec/policy); on Linux nftables marks
    connections, and a routing table for each gateway takes the marked ones.
  - With the gateway down, what matches is blocked and does not leak; O(on_down=follow) lets it follow the routing
    table.
  - Packets to the host itself are never sent away.
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
extends_documentation_fragment:
  - routed_ipsec.vti._attributes
  - routed_ipsec.vti._policy_route
options:
  state:
    description:
      - Whether it should exist.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: routed_ipsec.vti.gateway
  - module: routed_ipsec.vti.gateway_group
  - module: routed_ipsec.vti.filter_mode
"""

EXAMPLES = r"""
- name: Send the guests' traffic through the HQ
  routed_ipsec.vti.policy_route:
    name: guests
    interface: lan1
    source: [10.2.1.0/24]
    destination_except: [10.0.0.0/8]
    gateway: VTI_HQ_VTIV4

- name: Send web traffic through both tunnels, or else as the routes say
  routed_ipsec.vti.policy_route:
    name: web
    interface: lan0
    protocol: tcp
    destination_port: ["80", "443", "8000:8100"]
    gateway: TO_HQ
    on_down: follow
"""

RETURN = r"""
steps:
  description: What was done, or in check mode what would be done, in order.
  returned: success
  type: list
  elements: str
  sample:
    - write /etc/routed_ipsec/policy_routes/guests.json
    - nft -f /etc/routed_ipsec/nftables.conf
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
table:
  description: The number of the routing table on Linux, which is the mark of its packets too; null on FreeBSD.
  returned: success
  type: int
  sample: 7001
firewall:
  description:
    - Whether the rules for pf count (C(enforced)), and what keeps them from it (C(reason)).
    - Null where there are none.
  returned: success
  type: dict
  sample: {enforced: true, reason: null}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.arguments import ARGUMENTS
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.run import run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS["policy_route"], supports_check_mode=True)
    run(module, "policy_route")


if __name__ == "__main__":
    main()
