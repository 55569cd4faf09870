#!/usr/bin/python
# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: default_gateway
short_description: Pin the default gateway
version_added: 0.1.0
description:
  - Says which gateway or group the default route of each address family leads through, or that there is none.
  - While it is automatic (learned by DHCP or from a router advertisement, or not there at all)
    M(routed_ipsec.vti.interface_assign)
    refuses to assign a VTI of that family, for the VTI might become the default gateway. A VTI does so only when it
    is named
    here.
  - A gateway without an address stands for whatever router DHCP or router advertisements give on its interface;
    naming it
    pins the decision and leaves the route to them.
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
extends_documentation_fragment:
  - routed_ipsec.vti._attributes
  - routed_ipsec.vti._default_gateway
seealso:
  - module: routed_ipsec.vti.gateway
  - module: routed_ipsec.vti.interface_assign
"""

EXAMPLES = r"""
- name: Name the provider's router
  routed_ipsec.vti.gateway:
    name: WAN_GW
    interface: vtnet0
    address: 203.0.113.1

- name: Pin it, and have no IPv6 default route
  routed_ipsec.vti.default_gateway:
    ipv4: WAN_GW
    ipv6: none

- name: Hand both back to the host
  routed_ipsec.vti.default_gateway:
    ipv4: automatic
    ipv6: automatic
"""

RETURN = r"""
steps:
  description: What was done, or in check mode what would be done, in order.
  returned: success
  type: list
  elements: str
  sample:
    - write /etc/routed_ipsec/default_gateway.json
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
    module = AnsibleModule(argument_spec=ARGUMENTS["default_gateway"], supports_check_mode=True)
    run(module, "default_gateway")


if __name__ == "__main__":
    main()
