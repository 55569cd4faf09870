# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gateway: the options of gateway, and of each item of vti_site's gateways."""

from __future__ import annotations

import re
import textwrap


class ModuleDocFragment:
    DOCUMENTATION = """
options:
  name:
    description:
      - Name of the gateway, as routes, groups and policy routes use it; at most 31 letters, digits and C(_).
      - That of an automatic gateway such as V(VTI_HQ_VTIV4) tells how that one is to be watched.
    type: str
    required: true
  interface:
    description:
      - Interface that the router is on. Leave it out for an automatic gateway.
    type: str
  address:
    description:
      - The router's address, in a network of O(interface).
      - Left out, the gateway stands for whatever router DHCP or router advertisements give there; it can be the
        default gateway, and nothing else.
    type: str
  monitor:
    description:
      - Address that is probed instead of the gateway's own, beyond it.
    type: str
  monitor_disable:
    description:
      - Send no probes; the gateway counts as up.
    type: bool
    default: false
  monitor_route:
    description:
      - Route to O(monitor) through this gateway, so that the probes go that way whatever else is routed.
    type: bool
    default: true
  action_disable:
    description:
      - Show the status, but have it count as up for groups and policy routes.
    type: bool
    default: false
  force_down:
    description:
      - Have it count as down, whatever the probes say.
    type: bool
    default: false
  enabled:
    description:
      - Whether the gateway can be used.
    type: bool
    default: true
  weight:
    description:
      - Share of connections among the gateways of a tier, from 1 to 30.
    type: int
    default: 1
  interval:
    description:
      - Milliseconds between probes (dpinger; C(-s)).
    type: int
    default: 500
  loss_interval:
    description:
      - Milliseconds after which a probe without a reply is lost (dpinger; C(-l)); at least O(latencyhigh).
    type: int
    default: 2000
  time_period:
    description:
      - Milliseconds over which latency and loss are averaged (dpinger; C(-t)); more than two times O(interval) plus
        O(loss_interval).
    type: int
    default: 60000
  alert_interval:
    description:
      - Milliseconds between looks at latency and loss (dpinger; C(-A)); at least O(interval).
    type: int
    default: 1000
  alert_hold:
    description:
      - Milliseconds that latency and loss must be better on end before the status gets better (dpinger; C(-H)).
      - Left out, ten times O(alert_interval).
    type: int
  latencylow:
    description:
      - Latency in milliseconds above which the status is C(delay).
    type: int
    default: 200
  latencyhigh:
    description:
      - Latency in milliseconds above which the gateway is down (C(highdelay)).
    type: int
    default: 500
  losslow:
    description:
      - Percentage of lost probes above which the status is C(loss).
    type: int
    default: 10
  losshigh:
    description:
      - Percentage of lost probes above which the gateway is down (C(highloss)).
    type: int
    default: 20
  data_payload:
    description:
      - Bytes of payload in a probe; C(fping) sends at least what it needs itself.
    type: int
    default: 1
  gw_down_kill_states:
    description:
      - Firewall states to end when it goes down; none, those routed through this gateway, or all of the host's.
    type: str
    choices: [none, gateway, all]
    default: none
  description:
    description:
      - Free text, one line.
    type: str
"""

    # The same as suboptions, where an option of the same item is named by its path.
    SITE: str = """
options:
  gateways:
    description:
      - Gateways, each with the options of M(routed_ipsec.vti.gateway).
    type: list
    elements: dict
    default: []
    suboptions:
""" + textwrap.indent(
        re.sub(r"O\((?=[a-z0-9_]+[=)])", "O(gateways[].", DOCUMENTATION.partition("options:\n")[2]), "    "
    )
