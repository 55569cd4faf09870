#!/usr/bin/python
# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: filter_mode
short_description: Choose where packets inside tunnels are filtered
version_added: 0.1.0
description:
  - Sets the six sysctls that decide whether pf sees the packets inside IPsec tunnels on C(enc0) or on the
    C(ipsecX) interfaces, now and at boot.
  - With V(enc), C(enc0) is created and brought up. While it is down, everything that comes out of a tunnel
    bypasses pf.
  - On Linux packets of an XFRM interface are always seen on it.
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
extends_documentation_fragment:
  - routed_ipsec.vti._attributes
  - routed_ipsec.vti._filter_mode
options:
  state:
    description:
      - V(absent) puts back what was before.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: routed_ipsec.vti.vti_site
  - name: enc(4)
    description: The FreeBSD manual page of the interface.
    link: https://man.freebsd.org/cgi/man.cgi?enc(4)
"""

EXAMPLES = r"""
- name: Filter on the interfaces
  routed_ipsec.vti.filter_mode:
    mode: if_ipsec
"""

RETURN = r"""
steps:
  description: What was done, or in check mode what would be done, in order.
  returned: success
  type: list
  elements: str
  sample:
    - sysctl net.inet.ipsec.filtertunnel=1
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
    module = AnsibleModule(argument_spec=ARGUMENTS["filter_mode"], supports_check_mode=True)
    run(module, "filter_mode")


if __name__ == "__main__":
    main()
