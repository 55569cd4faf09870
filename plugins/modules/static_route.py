#!/usr/bin/python
# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: static_route
short_description: Manage a static route
version_added: 0.1.0
description:
  - Manages a named route, in the kernel's table and in the boot configuration.
  - A route through a VTI comes back whenever its interface does.
  - Refused are routes that would send a peer's outer address into its own tunnel, and routes that others have
    made already.
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
extends_documentation_fragment:
  - routed_ipsec.vti._attributes
  - routed_ipsec.vti._static_route
options:
  state:
    description:
      - Whether it should exist.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: routed_ipsec.vti.interface_assign
  - module: routed_ipsec.vti.gateway_group
  - name: route(8)
    description: The FreeBSD manual page on manipulating the routing tables.
    link: https://man.freebsd.org/cgi/man.cgi?route(8)
"""

EXAMPLES = r"""
- name: Send the branch office's network through the tunnel
  routed_ipsec.vti.static_route:
    name: branch1_lan
    network: 10.2.0.0/24
    gateway: VTI_BRANCH1_VTIV4

- name: Drop what no more specific route leads anywhere
  routed_ipsec.vti.static_route:
    name: private
    network: 10.0.0.0/8
    blackhole: true
"""

RETURN = r"""
steps:
  description: What was done, or in check mode what would be done, in order.
  returned: success
  type: list
  elements: str
  sample:
    - write /etc/routed_ipsec/static_routes/branch1_lan.json
    - "ip -batch -: route replace 10.2.0.0/24 via 10.6.106.2 proto static"
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
    module = AnsibleModule(argument_spec=ARGUMENTS["static_route"], supports_check_mode=True)
    run(module, "static_route")


if __name__ == "__main__":
    main()
