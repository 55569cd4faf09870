# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Linux half of interfaces and routes, as text; the lab shows that kernels obey it."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.interface import linux as interfaces
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.interface.state import Address, Interface
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.static_route import linux as routes
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.static_route.state import NextHop

FOUR, SIX = Address("10.6.106.1", 30), Address("2001:db8:6::1", 64)
VTI = Interface(5001, None, (FOUR, SIX), 1400, "VTI_HQ", True)
MADE = [
    "link add name ipsec1 type xfrm if_id 5001",
    "link set dev ipsec1 mtu 1400",
    'link set dev ipsec1 alias "VTI_HQ"',
    "link set dev ipsec1 up",
    "address replace 10.6.106.1/30 dev ipsec1",
    "address replace 2001:db8:6::1/64 dev ipsec1 nodad",
]


def lines(steps) -> list[str]:
    """All lines of the batches; there is at most one batch."""
    (batch,) = steps or [None]
    return list(batch.lines) if batch else []


def test_boot_replays_what_a_run_makes():
    assert lines(list(interfaces.changes({}, {"ipsec1": VTI}))) == MADE
    assert interfaces.boot("ipsec1", VTI).splitlines() == MADE


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"mtu": 1380}, ["link set dev ipsec1 mtu 1380"]),
        ({"description": ""}, ['link set dev ipsec1 alias ""']),
        ({"up": False}, ["link set dev ipsec1 down"]),
        ({"addresses": (FOUR,)}, ["address del 2001:db8:6::1/64 dev ipsec1"]),
        (
            {"addresses": (Address("10.6.106.5", 30), SIX)},
            ["address del 10.6.106.1/30 dev ipsec1", "address replace 10.6.106.5/30 dev ipsec1"],
        ),
        ({"reqid": 7}, ["link del dev ipsec1", "link add name ipsec1 type xfrm if_id 7", *MADE[1:]]),
    ],
)
def test_one_change_is_one_line_unless_the_number_changes(change, expected):
    assert lines(list(interfaces.changes({"ipsec1": VTI}, {"ipsec1": dataclasses.replace(VTI, **change)}))) == expected


def test_interfaces_go():
    assert lines(list(interfaces.removals({"ipsec1": VTI, "ipsec2": VTI}, {"ipsec2": VTI}))) == ["link del dev ipsec1"]
    assert list(interfaces.removals({"ipsec1": VTI}, {"ipsec1": VTI})) == []


GATEWAY, OTHER, DEVICE, NOWHERE = NextHop("10.6.106.2"), NextHop("10.6.106.6"), NextHop(interface="ipsec1"), NextHop()
LAN = "10.1.0.0/24"


@pytest.mark.parametrize(
    ("live", "wanted", "expected"),
    [
        ((), (GATEWAY,), [f"route replace {LAN} via 10.6.106.2 proto static"]),
        ((GATEWAY,), (GATEWAY,), []),
        ((GATEWAY,), (OTHER,), [f"route replace {LAN} via 10.6.106.6 proto static"]),
        ((), (DEVICE,), [f"route replace {LAN} dev ipsec1 proto static"]),
        ((), (NOWHERE,), [f"route replace blackhole {LAN} proto static"]),
        ((GATEWAY, OTHER), (OTHER,), [f"route del {LAN} via 10.6.106.2 proto static"]),
        (
            (GATEWAY, DEVICE),
            (OTHER,),
            [
                f"route append {LAN} via 10.6.106.6 proto static",
                f"route del {LAN} via 10.6.106.2 proto static",
                f"route del {LAN} dev ipsec1 proto static",
            ],
        ),
    ],
)
def test_routes_change_without_a_gap(live, wanted, expected):
    assert lines(list(routes.additions({LAN: live}, {LAN: wanted}))) == expected


def test_routes_go():
    table = {LAN: (GATEWAY,), "10.2.0.0/24": (NOWHERE,)}
    assert lines(list(routes.removals(table, {"10.2.0.0/24": (NOWHERE,)}))) == [
        f"route del {LAN} via 10.6.106.2 proto static"
    ]
    assert lines(list(routes.additions(table, {LAN: (), "10.2.0.0/24": (NOWHERE,)}))) == []
    assert routes.boot(LAN, NOWHERE) == f"route replace blackhole {LAN} proto static\n"
