# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gateway group: the options of gateway_group, and of each item of vti_site's gateway_groups."""

from __future__ import annotations

import re
import textwrap


class ModuleDocFragment:
    DOCUMENTATION = """
options:
  name:
    description:
      - Name of the group, as routes and policy routes use it; at most 31 letters, digits and C(_), and no gateway's
        name.
    type: str
    required: true
  members:
    description:
      - The gateways, all of one address family. Required of a group that should be present.
    type: list
    elements: dict
    suboptions:
      gateway:
        description:
          - Name of the gateway.
        type: str
        required: true
      tier:
        description:
          - From 1, the best, to 5. Lower tiers are used when no gateway of a better one is up.
        type: int
        default: 1
  trigger:
    description:
      - What takes a member out. V(down) is a status of C(down), C(highloss), C(highdelay) or C(force_down);
        V(downloss) C(loss) too, V(downlatency) C(delay) too, V(downlosslatency) either.
    type: str
    choices: [down, downloss, downlatency, downlosslatency]
    default: down
  keep_failover_states:
    description:
      - Keep the states of connections that use a lower tier when a better one is back. When V(false) they are
        ended, so that they start anew through the better one.
    type: bool
    default: true
  description:
    description:
      - Free text, one line.
    type: str
"""

    # The same as suboptions, where an option of the same item is named by its path.
    SITE: str = """
options:
  gateway_groups:
    description:
      - Gateway groups, each with the options of M(routed_ipsec.vti.gateway_group).
    type: list
    elements: dict
    default: []
    suboptions:
""" + textwrap.indent(
        re.sub(r"O\((?=[a-z0-9_]+[=)])", "O(gateway_groups[].", DOCUMENTATION.partition("options:\n")[2]), "    "
    )
