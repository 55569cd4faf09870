# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Assignment: the options of interface_assign, and of each item of vti_site's assignments."""

from __future__ import annotations

import re
import textwrap


class ModuleDocFragment:
    DOCUMENTATION = """
options:
  interface:
    description:
      - The C(ipsecX) interface. Exclusive with O(phase2).
    type: str
  phase2:
    description:
      - A phase 2 on the interface, where its number is not known beforehand. Exclusive with O(interface).
    type: str
  name:
    description:
      - Logical name, such as V(VTI_HQ); at most 25 letters, digits and C(_), not digits alone.
      - Left out, the name the interface has, else C(OPT1), C(OPT2) and so on, the first that is free.
    type: str
  enabled:
    description:
      - Whether the interface is up and gives its automatic gateways.
    type: bool
    default: true
  mtu:
    description:
      - MTU of the interface in bytes, from 1280 to 8192; the phase 2's when left out.
    type: int
  mss:
    description:
      - Clamp the MSS of TCP connections through the interface to this many bytes less the headers, 40 for IPv4 and
        60 for
        IPv6, in both directions; from 576 to 65535. The MTU of the tunnel is a good value.
      - On FreeBSD pf does it, and C(pf.conf) must include C(/usr/local/etc/routed_ipsec/scrub.conf).
    type: int
  outbound_nat:
    description:
      - Give packets that leave through the interface its own address as their source.
      - On FreeBSD this needs filter mode C(if_ipsec), and C(nat-anchor "routed_ipsec/*") in C(pf.conf).
    type: bool
    default: false
"""

    # The same as suboptions, where an option of the same item is named by its path.
    SITE: str = """
options:
  assignments:
    description:
      - Assignments, each with the options of M(routed_ipsec.vti.interface_assign).
    type: list
    elements: dict
    default: []
    suboptions:
""" + textwrap.indent(
        re.sub(r"O\((?=[a-z0-9_]+[=)])", "O(assignments[].", DOCUMENTATION.partition("options:\n")[2]), "    "
    )
