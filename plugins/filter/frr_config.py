# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter frr_config."""

from __future__ import annotations

DOCUMENTATION = r"""
name: frr_config
short_description: FRR's configuration file
version_added: 0.1.0
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
description:
  - Makes the integrated C(frr.conf) of a router whose neighbours are at the far ends of VTIs. The role
    P(routed_ipsec.vti.frr#role) installs it.
  - "Nothing is accepted that is not listed. A default route is refused unless C(accept_default) is true, and so is a
    network with the outer address of a tunnel in it, unless that address has a C(gateway)."
  - "For the networks of C(discard) there are blackhole routes that count when no neighbour announces them: packets for
    the far LANs must not leave in clear by the default route then."
options:
  _input:
    description:
      - The description of the router, as P(routed_ipsec.vti.hub_router#filter),
        P(routed_ipsec.vti.branch_router#filter) and P(routed_ipsec.vti.topology#inventory) make it.
      - "C(router_id), required, looks like an IPv4 address. C(hostname), as FRR calls the host."
      - "C(sets), lists of networks by name. The name can stand for the list in C(accept), C(announce) and C(discard). A
        network can end with C(le) and a length, as C(10.0.0.0/8 le 24)."
      - "C(outer), the outer addresses of the tunnels' far ends, or dictionaries of C(address) and C(gateway), by which
        a host route then leads there. C(discard) and C(accept_default), see above."
      - "C(bfd_interval), milliseconds, V(300), and C(bfd_multiplier), V(3)."
      - "C(bgp), a dictionary of C(asn), C(networks), C(aggregates), C(keepalive), V(10), C(holdtime), V(30),
        C(graceful_restart), C(graceful_shutdown) (asks the neighbours to use others, before maintenance),
        C(import_check) (announce a network only while a route leads there), and C(neighbors)."
      - "A neighbour has C(address), C(remote_asn), C(source), C(accept) and C(announce), C(description), C(password),
        C(bfd), V(true), C(maximum_prefix), twice what is accepted and at least 10, C(local_preference), C(med),
        C(communities) and C(client) (of this route reflector)."
      - "C(ospf), a dictionary of C(area), C(networks), C(external), C(accept) and C(interfaces). An interface has
        C(name), C(networks), C(area), C(cost), C(hello), C(dead), C(bfd), C(key), C(key_id), C(mtu), C(peer_mtu) and
        C(mtu_ignore)."
    type: dict
    required: true
seealso:
  - plugin_type: filter
    plugin: routed_ipsec.vti.frr_plan
"""

EXAMPLES = r"""
- name: Show the configuration of a branch
  ansible.builtin.debug:
    msg: "{{ router | routed_ipsec.vti.frr_config }}"
  vars:
    router:
      router_id: 0.0.0.11
      outer: [198.51.100.1]
      discard: [10.1.0.0/24]
      bgp:
        asn: 4200000011
        networks: [10.11.0.0/24]
        neighbors:
          - address: 10.6.104.45
            source: 10.6.104.46
            remote_asn: 4200000001
            accept: [10.1.0.0/24]
            announce: [10.11.0.0/24]
"""

RETURN = r"""
_value:
  description: The text of the file, with its secrets.
  type: str
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import VtiError
from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import frr


def frr_config(router: dict[str, t.Any]) -> str:
    try:
        return frr.render(frr.router(router))
    except VtiError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Ansible looks for this class."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"frr_config": frr_config}
