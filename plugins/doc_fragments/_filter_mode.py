# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter mode: the options of filter_mode, and of vti_site's filter_mode."""

from __future__ import annotations

import re
import textwrap


class ModuleDocFragment:
    DOCUMENTATION = """
options:
  mode:
    description:
      - V(enc) filters packets of all tunnels on C(enc0); V(if_ipsec) filters those of each VTI on its own interface.
      - Linux always works as V(if_ipsec); V(enc) is refused there.
    type: str
    choices: [enc, if_ipsec]
  force:
    description:
      - Use V(if_ipsec) although a connection in tunnel mode with policies is configured, whose traffic it blocks.
    type: bool
    default: false
  inner_rules:
    description:
      - Pass everything inside the tunnels, in pf's anchor C(routed_ipsec/tunnels). FreeBSD only.
      - With V(enc) the states float, since replies take another interface than what they answer.
    type: bool
    default: false
  manage_pf_conf:
    description:
      - Add the lines to C(/etc/pf.conf) that make the anchor count, in a block of its own. FreeBSD only.
      - Without them the rules are written, and C(firewall) in the result says what is missing.
    type: bool
    default: false
"""

    # The same as suboptions, where an option of the same item is named by its path.
    SITE: str = """
options:
  filter_mode:
    description:
      - The filter mode, with the options of M(routed_ipsec.vti.filter_mode).
      - Left out, it stays as it is, or goes with O(purge).
    type: dict
    suboptions:
""" + textwrap.indent(
        re.sub(r"O\((?=[a-z0-9_]+[=)])", "O(filter_mode.", DOCUMENTATION.partition("options:\n")[2]), "    "
    )
