# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links, addresses and routes as iproute2 printed them in a network namespace; see tests/fixtures/linux/README.md."""

from __future__ import annotations

import json

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import ParseError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats.iproute import (
    Address,
    Link,
    Route,
    addresses,
    links,
    routes,
)
from ansible_collections.routed_ipsec.vti.tests.unit.plugins.module_utils._formats.transcripts import FIXTURES


def recorded(name):
    return (FIXTURES / "linux" / f"{name}.json").read_text(encoding="utf-8")


def test_links():
    found = links(recorded("link"))
    assert list(found) == ["lo", "peer0", "vti0", "down0", "br0", "tun0"]
    assert found["lo"] == Link("lo", "", None, 65536, True, None)
    assert found["vti0"] == Link("vti0", "veth", None, 1400, True, "to branch: 1")
    assert found["down0"] == Link("down0", "ifb", None, 1500, False, None)


def test_xfrm_links():
    found = links(recorded("link-xfrm"))
    assert found["ipsec1"] == Link("ipsec1", "xfrm", 5001, 1400, True, "VTI_HQ")
    assert found["ipsec2"] == Link("ipsec2", "xfrm", 5002, 1500, False, None)


@pytest.mark.parametrize("if_id", [5001, "5001", "0x1389"])
def test_if_id_in_any_form(if_id):
    info = {"info_kind": "xfrm", "info_data": {"if_id": if_id}}
    text = json.dumps([{"ifname": "ipsec1", "flags": [], "mtu": 1400, "linkinfo": info}])
    assert links(text)["ipsec1"].if_id == 5001


def test_addresses():
    found = addresses(recorded("address"))
    assert found["lo"] == (Address("127.0.0.1", 8), Address("::1", 128))
    assert found["vti0"][:4] == (
        Address("10.6.106.1", 32, "10.6.106.2"),
        Address("10.9.0.1", 24),
        Address("2001:db8:7::1", 128, "2001:db8:7::2"),
        Address("2001:db8:6::1", 64),
    )
    assert found["vti0"][4].tentative
    assert found["down0"] == ()


def test_routes_of_ipv4():
    found = routes(recorded("route-inet"))
    assert found[:10] == (
        Route("0.0.0.0/0", "10.9.0.2", "vti0", table="1000"),
        Route("0.0.0.0/0", None, "vti0"),
        Route("10.1.0.0/24", "10.9.0.2", "vti0", metric=50),
        Route("10.2.0.0/24", None, "vti0", protocol="static"),
        Route("10.3.0.0/16", None, None, "blackhole", metric=4242),
        Route("10.4.0.0/16", None, None, "unreachable"),
        Route("10.5.0.0/16", None, None, "prohibit"),
        Route("10.6.106.2/32", None, "vti0", protocol="kernel"),
        Route("10.7.0.0/16", "10.9.0.2", "vti0"),
        Route("10.7.0.0/16", "10.9.0.3", "vti0"),
    )
    assert Route("10.8.0.0/16", "fe80::1", "vti0") in found
    assert Route("127.255.255.255/32", None, "lo", "broadcast", "kernel", "local") in found


def test_routes_of_ipv6():
    found = routes(recorded("route-inet6"))
    assert found[0] == Route("2001:db8:1::/48", "2001:db8:6::2", "vti0", metric=1024)
    assert Route("::/0", None, "vti0", metric=1024) in found
    assert Route("2001:db8:99::/48", None, "lo", "blackhole", metric=1024) in found
    assert [each.gateway for each in found if each.destination == "2001:db8:98::/48"] == [
        "2001:db8:6::2",
        "2001:db8:6::3",
    ]


def test_both_families_at_once():
    assert routes(recorded("route")) == routes(recorded("route-inet")) + routes(recorded("route-inet6"))


@pytest.mark.parametrize("text", ["", "\n", "[]", "[ ]\n", "[{}]"])
def test_nothing(text):
    assert (links(text), addresses(text), routes(text)) == ({}, {}, ())


@pytest.mark.parametrize(
    "text",
    [
        recorded("route-empty"),
        "null",
        "3",
        "[3]",
        '[{"ifname": "a"}]',
        '[{"dst": "10.0.0.1/8"}]',
        '[{"ifname": "a", "addr_info": [{"local": "x", "prefixlen": 1}]}]',
    ],
)
def test_refuses_anything_else(text):
    for read in (links, addresses, routes):
        with pytest.raises(ParseError, match=r"^ip "):
            read(text)
