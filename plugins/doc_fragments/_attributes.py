# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this doc fragment is PRIVATE to the collection.

"""Documentation of the attributes that the modules of the collection share."""

from __future__ import annotations


class ModuleDocFragment:
    """The fragment C(routed_ipsec.vti._attributes)."""

    DOCUMENTATION = r"""
options:
  _predicted:
    description:
      - Not for playbooks; in check mode the collection itself hands a module here what the tasks before it would have
        done, so that it can refer to what does not exist yet.
    type: list
    elements: dict
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Returns details on what has changed (or possibly needs changing in C(check_mode)) when in diff mode.
    support: full
  idempotent:
    description:
      - When run twice in a row outside check mode, with the same arguments, the second invocation indicates no
        change.
    support: full
  platform:
    description: Target OS/families that can be operated against.
    support: full
    platforms: FreeBSD, Linux
  action_group:
    description: Use C(group/routed_ipsec.vti.vti) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - routed_ipsec.vti.vti
"""

    # For modules that only look.
    INFO = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Returns details on what has changed (or possibly needs changing in C(check_mode)) when in diff mode.
    support: N/A
    details: This module does not change anything.
  idempotent:
    description:
      - When run twice in a row outside check mode, with the same arguments, the second invocation indicates no
        change.
    support: full
  platform:
    description: Target OS/families that can be operated against.
    support: full
    platforms: FreeBSD, Linux
  action_group:
    description: Use C(group/routed_ipsec.vti.vti) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - routed_ipsec.vti.vti
"""
