#!/usr/bin/python
# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ipsec_vti_phase2
short_description: Manage a VTI phase 2 of an IPsec tunnel
version_added: 0.1.0
description:
  - Manages a CHILD SA configuration of strongSwan that carries everything routed into an C(ipsecX) interface,
    and that interface with its address, now and at boot.
  - All phase 2 of an IKEv2 phase 1 share one interface unless connections are split; a second one usually adds
    IPv6 to IPv4.
  - Changes are made in place, so that addresses and routes stay.
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
extends_documentation_fragment:
  - routed_ipsec.vti._attributes
  - routed_ipsec.vti._phase2
options:
  state:
    description:
      - Whether it should exist.
    type: str
    choices: [present, absent]
    default: present
  establish_timeout:
    description:
      - Insist that the tunnel comes up within this many seconds.
      - If it does not, everything is put back and the task fails.
      - V(0) does not wait.
    type: int
    default: 0
seealso:
  - module: routed_ipsec.vti.ipsec_phase1
  - module: routed_ipsec.vti.interface_assign
  - name: if_ipsec(4)
    description: The FreeBSD manual page of the interface.
    link: https://man.freebsd.org/cgi/man.cgi?if_ipsec(4)
"""

EXAMPLES = r"""
- name: Tie an interface to the tunnel
  routed_ipsec.vti.ipsec_vti_phase2:
    name: branch1
    phase1: branch1
    description: HQ VTI Tunnel
    local_address: 10.6.106.1/30
    remote_address: 10.6.106.2

- name: Carry IPv6 over the same interface
  routed_ipsec.vti.ipsec_vti_phase2:
    name: branch1-v6
    phase1: branch1
    local_address: 2001:db8:6::1/64
    remote_address: 2001:db8:6::2
"""

RETURN = r"""
steps:
  description: What was done, or in check mode what would be done, in order.
  returned: success
  type: list
  elements: str
  sample:
    - write /etc/routed_ipsec/phase2/branch1.json
    - "ip -batch -: link add name ipsec1 type xfrm if_id 5001; link set dev ipsec1 mtu 1400; link set dev ipsec1 up"
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
interface:
  description: The interface, or null where there is none.
  returned: success
  type: str
  sample: ipsec1
reqid:
  description: The number that ties the CHILD SA to the interface, or null where there is none.
  returned: success
  type: int
  sample: 5001
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.arguments import ARGUMENTS
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.run import run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS["phase2"], supports_check_mode=True)
    run(module, "phase2")


if __name__ == "__main__":
    main()
