# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter frr_plan."""

from __future__ import annotations

DOCUMENTATION = r"""
name: frr_plan
short_description: What FRR must run and know
version_added: 0.1.0
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
description:
  - Says what must be seen on a host whose FRR is configured by P(routed_ipsec.vti.frr_config#filter), without secrets.
options:
  _input:
    description: The description of the router. Of an empty one nothing is expected.
    type: dict
    required: true
seealso:
  - plugin_type: filter
    plugin: routed_ipsec.vti.frr_config
"""

EXAMPLES = r"""
- name: Show what a neighbour must announce
  ansible.builtin.debug:
    msg: "{{ (frr_router | routed_ipsec.vti.frr_plan).neighbors }}"
"""

RETURN = r"""
_value:
  description:
    - "C(protocol), V(bgp) or V(ospf), empty for an empty description. C(daemons), which must run besides zebra and
      staticd. C(password), whether BGP has one."
    - "C(neighbors), of BGP, by address: C(asn), C(bfd), C(family) as FRR calls it, and C(networks), which each must
      announce."
    - "C(interfaces), of OSPF, by name: the families that neighbours are expected for."
    - "C(networks), that routes of this protocol lead to, as C(ipv4) and C(ipv6)."
  type: dict
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import VtiError
from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import frr


def frr_plan(router: dict[str, t.Any]) -> frr.Plan:
    try:
        return frr.plan(frr.router(router) if router else None)
    except VtiError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Ansible looks for this class."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"frr_plan": frr_plan}
