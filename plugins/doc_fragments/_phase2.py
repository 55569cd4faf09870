# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Phase 2: the options of ipsec_vti_phase2, and of each item of vti_site's phase2."""

from __future__ import annotations

import re
import textwrap


class ModuleDocFragment:
    DOCUMENTATION = """
options:
  name:
    description:
      - Name of the phase 2.
      - At most 48 letters, digits, C(_) and C(-).
    type: str
    required: true
  phase1:
    description:
      - Name of the phase 1 it belongs to. Required of a phase 2 that should be present.
    type: str
  description:
    description:
      - Free text, one line.
    type: str
  enabled:
    description:
      - Whether it exists on the host. A phase 2 whose interface is assigned cannot be disabled.
    type: bool
    default: true
  local_address:
    description:
      - This end's address in the transit network, such as V(10.6.106.1/30).
      - Without a prefix length the transit network is the /30 (IPv6 /64) that the address lies in.
      - Required of a phase 2 that should be present.
    type: str
  remote_address:
    description:
      - The far end's address in the transit network; the automatic gateway's address.
      - Required of a phase 2 that should be present.
    type: str
  reqid:
    description:
      - Number that ties the CHILD SA to its interface, from 1 to 16383 (strongSwan C(reqid), on Linux also C(if_id)).
      - Left out, it is O(unit) plus 5000 as long as that is free. A number once taken stays for life.
    type: int
  unit:
    description:
      - Number of the interface, which is C(ipsec) followed by it, from 0 to 32767.
      - Left out, the lowest from 1 that is free, together with its O(reqid). A number once taken stays for life.
    type: int
  esp_proposals:
    description:
      - ESP proposals in strongSwan's keywords, in order of preference (strongSwan C(esp_proposals)).
      - A key exchange group in a proposal means perfect forward secrecy.
      - Left out, V([aes128gcm128-modp2048, aes128-sha256-modp2048]), or what a phase 2 on the same interface has.
    type: list
    elements: str
  life_time:
    description:
      - Seconds that a CHILD SA lives at most (strongSwan C(life_time)).
      - Left out, 3600, or what a phase 2 on the same interface has.
    type: int
  rekey_time:
    description:
      - Seconds after which a CHILD SA is rekeyed (strongSwan C(rekey_time)). Left out, 90 % of O(life_time).
    type: int
  rand_time:
    description:
      - Seconds by which rekeying may come earlier, chosen at random (strongSwan C(rand_time)).
      - Left out, what lies between rekeying and the end of O(life_time).
    type: int
  life_bytes:
    description:
      - Bytes that a CHILD SA may carry at most (strongSwan C(life_bytes)).
    type: int
  rekey_bytes:
    description:
      - Bytes after which a CHILD SA is rekeyed (strongSwan C(rekey_bytes)).
    type: int
  start_action:
    description:
      - What happens when the connection is loaded (strongSwan C(start_action)). V(none) only responds.
      - Left out, V(start), or what a phase 2 on the same interface has.
    type: str
    choices: [start, trap, 'trap|start', none]
  close_action:
    description:
      - What happens when the peer closes the CHILD SA (strongSwan C(close_action)).
      - Left out, V(none), or what a phase 2 on the same interface has.
    type: str
    choices: [none, trap, start]
  dpd_action:
    description:
      - What happens when the peer is found dead (strongSwan C(dpd_action)).
      - Left out, V(restart), or what a phase 2 on the same interface has.
    type: str
    choices: [restart, trap, clear]
  local_ts:
    description:
      - Traffic selectors of this end (strongSwan C(local_ts)).
      - Left out, everything of both families, since routes decide what enters a VTI. Where every phase 2
        has a CHILD SA of its own, everything of its own family.
    type: list
    elements: str
  remote_ts:
    description:
      - Traffic selectors of the far end (strongSwan C(remote_ts)).
      - Left out, the same as for O(local_ts).
    type: list
    elements: str
  mtu:
    description:
      - MTU of the interface in bytes, from 1280 to 8192. An assignment's own MTU wins.
      - Left out, 1400, or what a phase 2 on the same interface has.
    type: int
  dynamic_endpoints:
    description:
      - The outer addresses are not known beforehand; they are whatever the IKE SA has.
      - On FreeBSD strongSwan's updown plugin then sets them on the interface. On Linux the interface needs none.
      - Left out, V(false), or what a phase 2 on the same interface has.
    type: bool
"""

    # The same as suboptions, where an option of the same item is named by its path.
    SITE: str = """
options:
  phase2:
    description:
      - Phase 2 configurations in mode VTI, each with the options of M(routed_ipsec.vti.ipsec_vti_phase2).
    type: list
    elements: dict
    default: []
    suboptions:
""" + textwrap.indent(re.sub(r"O\((?=[a-z0-9_]+[=)])", "O(phase2[].", DOCUMENTATION.partition("options:\n")[2]), "    ")
