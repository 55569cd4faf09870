# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Static route: the options of static_route, and of each item of vti_site's static_routes."""

from __future__ import annotations

import re
import textwrap


class ModuleDocFragment:
    DOCUMENTATION = """
options:
  name:
    description:
      - Name of the route; letters, digits and C(_), since it becomes part of a variable's name in C(rc.conf).
    type: str
    required: true
  network:
    description:
      - Destination in CIDR notation. Required of a route that should be present.
    type: str
  gateway:
    description:
      - Next hop, as the name of a gateway such as V(VTI_HQ_VTIV4) or of a gateway group, or as an address.
      - A route through a group follows the gateway monitor.
      - Exactly one of O(gateway), O(interface) and O(blackhole) must be given.
    type: str
  interface:
    description:
      - Point-to-point interface to route through.
    type: str
  blackhole:
    description:
      - Drop packets to the network.
    type: bool
    default: false
  enabled:
    description:
      - Whether the route is in the routing table and comes back at boot.
    type: bool
    default: true
  description:
    description:
      - Free text, one line.
    type: str
  allow_default:
    description:
      - Allow a default route through a VTI.
    type: bool
    default: false
"""

    # The same as suboptions, where an option of the same item is named by its path.
    SITE: str = """
options:
  static_routes:
    description:
      - Static routes, each with the options of M(routed_ipsec.vti.static_route).
    type: list
    elements: dict
    default: []
    suboptions:
""" + textwrap.indent(
        re.sub(r"O\((?=[a-z0-9_]+[=)])", "O(static_routes[].", DOCUMENTATION.partition("options:\n")[2]), "    "
    )
