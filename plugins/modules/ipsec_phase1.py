#!/usr/bin/python
# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ipsec_phase1
short_description: Manage phase 1 of an IPsec tunnel
version_added: 0.1.0
description:
  - Manages an IKE SA configuration of strongSwan, as a file of its own below swanctl's C(conf.d), and loads it.
  - Only connections that really change are affected; the SAs of all others stay.
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
extends_documentation_fragment:
  - routed_ipsec.vti._attributes
  - routed_ipsec.vti._phase1
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
  - module: routed_ipsec.vti.ipsec_vti_phase2
  - module: routed_ipsec.vti.vti_site
  - name: swanctl.conf(5)
    description: strongSwan's documentation of the options.
    link: https://docs.strongswan.org/docs/latest/swanctl/swanctlConf.html
"""

EXAMPLES = r"""
- name: Know how to reach the branch office
  routed_ipsec.vti.ipsec_phase1:
    name: branch1
    local_addrs: [198.51.100.2]
    remote_addrs: [203.0.113.2]
    proposals: [aes256gcm16-prfsha384-ecp384]
    psk: "{{ vault_branch1_psk }}"

- name: Authenticate with certificates
  routed_ipsec.vti.ipsec_phase1:
    name: branch2
    local_addrs: [198.51.100.2]
    remote_addrs: [192.0.2.2]
    auth: pubkey
    local_id: hq.example.com
    remote_id: branch2.example.com
    local_certs: [hq.pem]
    remote_cacerts: [ca.pem]
"""

RETURN = r"""
steps:
  description: What was done, or in check mode what would be done, in order.
  returned: success
  type: list
  elements: str
  sample:
    - write /etc/routed_ipsec/phase1/branch1.json
    - write /etc/swanctl/conf.d/branch1.conf
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
    module = AnsibleModule(argument_spec=ARGUMENTS["phase1"], supports_check_mode=True)
    run(module, "phase1")


if __name__ == "__main__":
    main()
