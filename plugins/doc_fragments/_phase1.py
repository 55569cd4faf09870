# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Phase 1: the options of ipsec_phase1, and of each item of vti_site's phase1."""

from __future__ import annotations

import re
import textwrap


class ModuleDocFragment:
    DOCUMENTATION = """
options:
  name:
    description:
      - Name of the phase 1, and of strongSwan's connection and its file.
      - At most 48 letters, digits, C(_) and C(-).
    type: str
    required: true
  description:
    description:
      - Free text, one line.
    type: str
  enabled:
    description:
      - Whether the connection is loaded. A disabled one keeps its files and secret.
      - A phase 1 whose interface is assigned cannot be disabled.
    type: bool
    default: true
  version:
    description:
      - IKE version (strongSwan C(version)). V(0) accepts both and initiates IKEv2.
    type: int
    choices: [0, 1, 2]
    default: 2
  local_addrs:
    description:
      - Outer addresses of this end (strongSwan C(local_addrs)); the first one is the interface's.
      - Required of a phase 1 that should be present.
    type: list
    elements: str
  remote_addrs:
    description:
      - Outer addresses or host names of the peer (strongSwan C(remote_addrs)); the first one is the interface's.
      - A name, or V(%any), needs O(routed_ipsec.vti.ipsec_vti_phase2#module:dynamic_endpoints) on its phase 2.
      - Required of a phase 1 that should be present.
    type: list
    elements: str
  local_port:
    description:
      - Local UDP port (strongSwan C(local_port)); strongSwan's own port when left out.
    type: int
  remote_port:
    description:
      - UDP port of the peer (strongSwan C(remote_port)); 500 when left out.
    type: int
  proposals:
    description:
      - IKE proposals in strongSwan's keywords, in order of preference (strongSwan C(proposals)).
    type: list
    elements: str
    default: [aes128-sha256-modp2048]
  auth:
    description:
      - How both ends authenticate (strongSwan C(local.auth), C(remote.auth)).
    type: str
    choices: [psk, pubkey]
    default: psk
  psk:
    description:
      - The pre-shared key. It is tied to both identities, so that two peers never share one by accident.
      - Left out, the key that is on the host stays.
    type: str
  local_id:
    description:
      - Identity of this end (strongSwan C(local.id)); the first of O(local_addrs) when left out.
    type: str
  remote_id:
    description:
      - Identity of the peer (strongSwan C(remote.id)); the first of O(remote_addrs) when left out.
      - Required when that is a host name.
    type: str
  local_certs:
    description:
      - Certificates of this end, as paths or as names in swanctl's C(x509) directory (strongSwan C(local.certs)).
      - Required with O(auth=pubkey), unless O(local_id) is given. Then strongSwan uses the newest certificate that it
        has loaded for that identity, and renewing it leaves the tunnel alone.
    type: list
    elements: str
    default: []
  remote_certs:
    description:
      - Certificates accepted of the peer (strongSwan C(remote.certs)).
    type: list
    elements: str
    default: []
  remote_cacerts:
    description:
      - Certificate authorities that may vouch for the peer (strongSwan C(remote.cacerts)).
    type: list
    elements: str
    default: []
  revocation:
    description:
      - How much is asked of revocation information with O(auth=pubkey) (strongSwan C(remote.revocation)).
    type: str
    choices: [strict, ifuri, relaxed]
    default: relaxed
  aggressive:
    description:
      - Use IKEv1's aggressive mode (strongSwan C(aggressive)).
    type: bool
    default: false
  encap:
    description:
      - Encapsulate ESP in UDP even where no NAT is found (strongSwan C(encap)).
    type: bool
    default: false
  mobike:
    description:
      - Allow MOBIKE (strongSwan C(mobike)). A VTI is tied to its outer addresses, so this is off.
    type: bool
    default: false
  fragmentation:
    description:
      - IKE fragmentation (strongSwan C(fragmentation)).
    type: str
    choices: ['yes', accept, force, 'no']
    default: 'yes'
  dpd_delay:
    description:
      - Seconds between dead peer detection messages; V(0) turns it off (strongSwan C(dpd_delay)).
    type: int
    default: 10
  dpd_timeout:
    description:
      - Seconds without answer after which an IKEv1 peer counts as dead (strongSwan C(dpd_timeout)).
      - Six times O(dpd_delay) when left out. IKEv2 uses its retransmission timeout instead.
    type: int
  lifetime:
    description:
      - Seconds that an IKE SA lives at most. The other times derive from it as in pfSense.
    type: int
    default: 28800
  rekey_time:
    description:
      - Seconds after which an IKE SA is rekeyed (strongSwan C(rekey_time)). IKEv2 only.
      - Left out, 90 % of O(lifetime).
    type: int
  reauth_time:
    description:
      - Seconds after which an IKE SA is authenticated anew (strongSwan C(reauth_time)).
      - Left out, V(0) (never) with IKEv2 and 90 % of O(lifetime) with IKEv1.
    type: int
  over_time:
    description:
      - Seconds after rekeying was due at which an IKE SA is closed (strongSwan C(over_time)).
      - Left out, what remains of O(lifetime).
    type: int
  rand_time:
    description:
      - Seconds by which rekeying may come earlier, chosen at random (strongSwan C(rand_time)).
      - Left out, as O(over_time).
    type: int
  keyingtries:
    description:
      - How often initiating is tried; V(0) means for ever (strongSwan C(keyingtries)).
    type: int
    default: 0
  unique:
    description:
      - What happens to an older IKE SA between the same identities (strongSwan C(unique)).
    type: str
    choices: [replace, 'no', never, keep]
    default: replace
  split_connections:
    description:
      - Give every phase 2 a CHILD SA and an interface of its own, as IKEv1 always does.
      - Otherwise all phase 2 of an IKEv2 phase 1 share one. Only some third-party peers need this.
    type: bool
    default: false
  gateway_duplicates:
    description:
      - Allow another phase 1 between the same outer addresses; it must be set on both.
    type: bool
    default: false
  reestablish:
    description:
      - When a loaded connection or its key changes, end the SAs made from the old one and start them again.
      - V(false) leaves them until they are rekeyed. strongSwan itself still restarts a child with a start action when
        its connection changes.
    type: bool
    default: true
  firewall_rules:
    description:
      - Pass IKE and ESP from and to the peer, in pf's anchor C(routed_ipsec/tunnels). FreeBSD only.
      - The anchor counts once C(/etc/pf.conf) names it; see O(routed_ipsec.vti.filter_mode#module:manage_pf_conf).
    type: bool
    default: false
"""

    # The same as suboptions, where an option of the same item is named by its path.
    SITE: str = """
options:
  phase1:
    description:
      - Phase 1 configurations, each with the options of M(routed_ipsec.vti.ipsec_phase1).
    type: list
    elements: dict
    default: []
    suboptions:
""" + textwrap.indent(re.sub(r"O\((?=[a-z0-9_]+[=)])", "O(phase1[].", DOCUMENTATION.partition("options:\n")[2]), "    ")
