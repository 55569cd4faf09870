# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Policy route: the options of policy_route, and of each item of vti_site's policy_routes."""

from __future__ import annotations

import re
import textwrap


class ModuleDocFragment:
    DOCUMENTATION = """
options:
  name:
    description:
      - Name of the policy route; at most 28 letters, digits, C(_) and C(-).
    type: str
    required: true
  order:
    description:
      - Policy routes are tried by order, then by name; the first that matches counts.
    type: int
    default: 1000
  interface:
    description:
      - Interface that the packets come in on. Required of a policy route that should be present.
    type: str
  source:
    description:
      - Source networks; any when left out.
    type: list
    elements: str
    default: []
  destination:
    description:
      - Destination networks; any when left out, but for the host's own addresses.
    type: list
    elements: str
    default: []
  destination_except:
    description:
      - Networks among the destinations that follow the routing table.
    type: list
    elements: str
    default: []
  protocol:
    description:
      - Protocol; V(icmp) means ICMPv6 where the gateway is an IPv6 one.
    type: str
    choices: [any, tcp, udp, tcp/udp, icmp]
    default: any
  source_port:
    description:
      - Source ports, or ranges of them such as V(8000:8100). Needs O(protocol=tcp), O(protocol=udp) or
        O(protocol=tcp/udp).
    type: list
    elements: str
    default: []
  destination_port:
    description:
      - Destination ports or ranges, as O(source_port).
    type: list
    elements: str
    default: []
  gateway:
    description:
      - Gateway or group to send to. Required of a policy route that should be present.
      - Its address family is that of the policy route.
    type: str
  on_down:
    description:
      - With the gateway down, or all of the group, V(block) refuses what matches, V(follow) lets it follow the
        routing table.
    type: str
    choices: [block, follow]
    default: block
  reply_to:
    description:
      - Send the replies to connections that come in on O(interface) back through O(gateway), which is on that
        interface, instead of sending away what comes in.
      - Refused for a VTI on FreeBSD in filter mode C(enc), where it has no effect.
    type: bool
    default: false
  table:
    description:
      - Number of the routing table on Linux, which is the packets' mark and the rule's priority too.
      - Left out, that of another policy route to the same gateway, else the lowest free one from 7001.
    type: int
  enabled:
    description:
      - Whether the policy route is in force.
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
  policy_routes:
    description:
      - Policy routes, each with the options of M(routed_ipsec.vti.policy_route).
    type: list
    elements: dict
    default: []
    suboptions:
""" + textwrap.indent(
        re.sub(r"O\((?=[a-z0-9_]+[=)])", "O(policy_routes[].", DOCUMENTATION.partition("options:\n")[2]), "    "
    )
