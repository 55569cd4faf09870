# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces as FreeBSD's ifconfig prints them, recorded and in the spelling of later releases."""

from __future__ import annotations

import ipaddress

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import ParseError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats.ifconfig import Address, Interface, parse
from ansible_collections.routed_ipsec.vti.tests.unit.plugins.module_utils._formats.transcripts import load, of_command
from hypothesis import given
from hypothesis import strategies as st

IFCONFIG = of_command("ifconfig")
# these print names only: the interface made, or a list
NAMES_ONLY = ("create", "name", "-l", "-lu", "-g", "-C")


@pytest.mark.parametrize("transcript", IFCONFIG, ids=lambda transcript: f"{transcript.name} {transcript.command}")
def test_reads_every_listing_and_refuses_lists_of_names(transcript):
    if not transcript.stdout.strip():
        assert parse(transcript.stdout) == {}
    elif set(NAMES_ONLY) & set(transcript.command.split()):
        with pytest.raises(ParseError):
            parse(transcript.stdout)
    else:
        interfaces = parse(transcript.stdout)
        assert len(interfaces) == transcript.stdout.count(" mtu ")
        assert sum(len(each.addresses) for each in interfaces.values()) == transcript.stdout.count("\tinet")


def test_all_interfaces():
    interfaces = parse(load("net/345").stdout)
    assert list(interfaces) == ["vtnet0", "vtnet1", "lo0", "enc0", "epair1a", "epair1b", "lo1", "ipsec0"]
    assert interfaces["ipsec0"] == Interface(
        name="ipsec0",
        flags=frozenset({"UP", "POINTOPOINT", "RUNNING", "MULTICAST"}),
        mtu=1400,
        tunnel=("192.0.2.1", "192.0.2.2"),
        reqid=100,
        groups=("ipsec",),
        addresses=(Address("10.6.106.1", 30, "10.6.106.2"),),
    )
    assert interfaces["vtnet1"].addresses == (
        Address("fe80::5054:ff:fe00:101", 64, scope="vtnet1"),
        Address("2001:db8::1", 64),
        Address("192.0.2.1", 24),
    )


def test_cidr_form_says_the_same():
    hexadecimal, cidr = parse(load("net/181").stdout), parse(load("net/182").stdout)
    assert hexadecimal == cidr


def test_tentative_addresses_and_peers_of_ipv6():
    assert parse(load("net/078").stdout)["ipsec0"].addresses == (
        Address("fe80::cc1:75b9:c0f1:b6a8", 64, scope="ipsec0", tentative=True),
        Address("2001:db8:6::1", 128, "2001:db8:6::2", tentative=True),
        Address("2001:db8:7::1", 64, tentative=True),
    )


def test_description_groups_and_outer_ipv6():
    assert parse(load("net/089").stdout)["ipsec0"].description == "to site B: tunnel 1"
    assert parse(load("net/096").stdout)["ipsec0"].groups == ("ipsec", "sites", "vpn")
    assert parse(load("net/114").stdout)["ipsec0"].tunnel == ("2001:db8::1", "2001:db8::2")
    assert parse(load("net/110").stdout)["ipsec0"].tunnel is None
    assert parse(load("net/130").stdout)["tunB"].name == "tunB"


def test_bridge_members_are_skipped():
    assert parse(load("net/157").stdout)["bridge0"].groups == ("bridge",)


LATER = """\
em0: flags=1008943<UP,BROADCAST,RUNNING,PROMISC,SIMPLEX,MULTICAST,LOWER_UP> metric 0 mtu 1500
\toptions=4e504bb<RXCSUM,TXCSUM,VLAN_MTU,VLAN_HWTAGGING,JUMBO_MTU>
\tether 00:0c:29:aa:bb:cc
\tinet 203.0.113.1 netmask 0xffffff00 broadcast 203.0.113.255
\tinet 203.0.113.9 netmask 0xffffff00 broadcast 203.0.113.255 vhid 1
\tinet6 fe80::20c:29ff:feaa:bbcc%em0 prefixlen 64 scopeid 0x1
\tinet6 2001:db8::9 prefixlen 64 deprecated autoconf pltime 0 vltime 86400 vhid 1
\tcarp: MASTER vhid 1 advbase 1 advskew 0
\t      peer 224.0.0.18 peer6 ff02::12
\tmedia: Ethernet autoselect (1000baseT <full-duplex>)
\tstatus: active
\tnd6 options=21<PERFORMNUD,AUTO_LINKLOCAL>
ipsec1: flags=1008051<UP,POINTOPOINT,RUNNING,MULTICAST,LOWER_UP> metric 0 mtu 1400
\tdescription: VTI_HQ
\toptions=80000<LINKSTATE>
\ttunnel inet6 2001:DB8::1 --> 2001:db8::2
\ttunnelfib: 1
\tinet 10.6.106.1/30 --> 10.6.106.2
\tinet 10.6.106.5 --> 10.6.106.6/30
\tinet 10.6.106.9 --> 10.6.106.10 netmask 255.255.255.252
\tinet6 2001:db8:6::1 --> 2001:db8:6::2/128
\tgroups: ipsec vpn
\treqid: 5001
\tnd6 options=101<PERFORMNUD,NO_DAD>
\tdrivername: ipsec1
p2p: flags=0<> metric 0 mtu 1500
"""


def test_later_releases():
    interfaces = parse(LATER)
    assert "LOWER_UP" in interfaces["ipsec1"].flags
    assert interfaces["p2p"] == Interface("p2p", frozenset(), 1500)
    assert interfaces["em0"].addresses[1] == Address("203.0.113.9", 24)
    assert interfaces["em0"].addresses[3] == Address("2001:db8::9", 64)
    assert interfaces["ipsec1"] == Interface(
        name="ipsec1",
        flags=frozenset({"UP", "POINTOPOINT", "RUNNING", "MULTICAST", "LOWER_UP"}),
        mtu=1400,
        description="VTI_HQ",
        tunnel=("2001:db8::1", "2001:db8::2"),
        reqid=5001,
        groups=("ipsec", "vpn"),
        addresses=(
            Address("10.6.106.1", 30, "10.6.106.2"),
            Address("10.6.106.5", 30, "10.6.106.6"),
            Address("10.6.106.9", 30, "10.6.106.10"),
            Address("2001:db8:6::1", 128, "2001:db8:6::2"),
        ),
    )


HEAD = "ipsec0: flags=8051<UP> metric 0 mtu 1400\n"


@pytest.mark.parametrize(
    "text",
    [
        "something else\n",
        "\tinet 10.0.0.1 netmask 0xff000000\n",
        f"{HEAD}odd line\n",
        f"{HEAD}\tinet 10.0.0.1\n",
        f"{HEAD}\tinet 10.0.0.300 netmask 0xff000000\n",
        f"{HEAD}\tinet 10.0.0.1 netmask 0xff00ff00\n",
        f"{HEAD}\tinet6 2001:db8::1\n",
        f"{HEAD}\tinet6 2001:db8::zz prefixlen 64\n",
        f"{HEAD}\ttunnel inet 192.0.2.1\n",
        f"{HEAD}\treqid: many\n",
        "ipsec0: flags=8051<UP> metric 0\n",
    ],
)
def test_refuses_anything_else(text):
    with pytest.raises(ParseError, match=r"^ifconfig: "):
        parse(text)


@given(st.ip_addresses(v=4), st.integers(0, 32), st.ip_addresses(v=4), st.ip_addresses(v=6), st.integers(0, 128))
def test_masks_in_any_form(local, bits, peer, local6, bits6):
    mask = int(ipaddress.ip_network(f"0.0.0.0/{bits}").netmask)
    old = f"{HEAD}\tinet {local} --> {peer} netmask {mask:#010x}\n\tinet6 {local6} prefixlen {bits6}\n"
    new = f"{HEAD}\tinet {local}/{bits} --> {peer}\n\tinet6 {local6}/{bits6}\n"
    assert parse(old) == parse(new)
    assert parse(new)["ipsec0"].addresses[0] == Address(str(local), bits, str(peer))
