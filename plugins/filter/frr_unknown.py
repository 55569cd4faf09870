# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter frr_unknown."""

from __future__ import annotations

DOCUMENTATION = r"""
name: frr_unknown
short_description: Networks that FRR has no route to
version_added: 0.1.0
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
description:
  - Compares the routes that FRR has learned with a list of networks. Used by P(routed_ipsec.vti.frr#role).
positional: networks, in_force
options:
  _input:
    description: What C(vtysh) prints for C(show ip route bgp json) and its like, for several of them in turn.
    type: str
    required: true
  networks:
    description: The networks.
    type: list
    elements: str
    required: true
  in_force:
    description: Whether only a route counts that FRR has chosen, and not one that a static route stands in the way of.
    type: bool
    default: false
seealso:
  - plugin_type: filter
    plugin: routed_ipsec.vti.frr_lacks
"""

EXAMPLES = r"""
- name: Show what has not been learned
  ansible.builtin.debug:
    msg: "{{ routes.stdout | routed_ipsec.vti.frr_unknown(['10.1.0.0/24']) }}"
"""

RETURN = r"""
_value:
  description: Those of the networks that there is no route to.
  type: list
  elements: str
"""

import typing as t

from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import frr


def frr_unknown(text: str, networks: t.Iterable[str], in_force: bool = False) -> list[str]:
    return frr.unknown(text, networks, in_force)


class FilterModule:
    """Ansible looks for this class."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"frr_unknown": frr_unknown}
