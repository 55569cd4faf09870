# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter frr_change."""

from __future__ import annotations

DOCUMENTATION = r"""
name: frr_change
short_description: From one configuration of FRR to another
version_added: 0.1.0
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
description:
  - Compares the C(frr.conf) that a host has with the one that it shall have. Used by P(routed_ipsec.vti.frr#role).
positional: after
options:
  _input:
    description: The text of the file on the host.
    type: str
    required: true
  after:
    description: The text that it shall have.
    type: str
    required: true
seealso:
  - plugin_type: filter
    plugin: routed_ipsec.vti.frr_config
"""

EXAMPLES = r"""
- name: Show what changes, without secrets
  ansible.builtin.debug:
    msg: "{{ (lookup('ansible.builtin.file', 'frr.conf') | routed_ipsec.vti.frr_change(after)).difference }}"
  vars:
    after: "{{ frr_router | routed_ipsec.vti.frr_config }}"
"""

RETURN = r"""
_value:
  description:
    - "C(ours), whether the file is this collection's. C(untouched), whether it says no more than what comes with FRR's
      package. C(difference), the lines that change, without secrets."
    - "C(forget), commands that have FRR forget secrets, for C(vtysh -f). It has secrets in it."
  type: dict
"""

import typing as t

from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import frr


def frr_change(before: str, after: str) -> dict[str, t.Any]:
    return {
        "ours": frr.is_ours(before),
        "untouched": frr.is_untouched(before),
        "difference": frr.difference(before, after),
        "forget": frr.forgetting(before, after),
    }


class FilterModule:
    """Ansible looks for this class."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"frr_change": frr_change}
