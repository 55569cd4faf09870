# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tunnels of a hub that the benches measure, in the words of the modules' options."""

from __future__ import annotations

import typing as t

OUTER = "192.0.2.1"
"""The hub's own address, where all tunnels end."""


def tunnels(count: int) -> list[dict[str, dict[str, t.Any]]]:
    """The options of the four modules that make a tunnel to one branch and route its network, for each branch."""
    found = []
    for number in range(count):
        high, low = divmod(number, 64)
        name = f"branch{number}"
        found.append(
            {
                "ipsec_phase1": {
                    "name": name,
                    "local_addrs": [OUTER],
                    "remote_addrs": [f"198.18.{high}.{low + 1}"],
                    "psk": f"key of {name}",
                },
                "ipsec_vti_phase2": {
                    "name": name,
                    "phase1": name,
                    "local_address": f"10.250.{high}.{4 * low + 1}/30",
                    "remote_address": f"10.250.{high}.{4 * low + 2}",
                    "start_action": "none",
                },
                "interface_assign": {"phase2": name, "name": f"VTI_{number}"},
                "static_route": {
                    "name": f"lan{number}",
                    "network": f"10.{200 + high}.{low}.0/24",
                    "gateway": f"VTI_{number}_VTIV4",
                },
            }
        )
    return found


def site(count: int) -> dict[str, t.Any]:
    """The options of vti_site for all of them."""
    lists = {
        "phase1": "ipsec_phase1",
        "phase2": "ipsec_vti_phase2",
        "assignments": "interface_assign",
        "static_routes": "static_route",
    }
    found = tunnels(count)
    return {**{name: [tunnel[module] for tunnel in found] for name, module in lists.items()}, "purge": True}
