# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A gateway observed from what a real host has printed, and from what later releases print."""

from __future__ import annotations

import json
import re

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import CommandError, ParseError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.steps import Result
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.system import File
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.interface.state import Address, Interface
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site import report
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.observe import observe
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.static_route.state import NextHop
from ansible_collections.routed_ipsec.vti.tests.unit.plugins.module_utils._formats.transcripts import load, of_command

UP = {
    "ifconfig -a": "ipsec-up/016",
    "netstat -rn --libxo json": "net/189",
    "sysctl -i": "net/018",
    "swanctl --list-conns --pretty": "ipsec-up/045",
    "swanctl --list-sas --pretty": "ipsec-up/048",
    "pfctl -si": "net/360",
}


class RecordedSystem:
    """A System whose programs have printed what is recorded; its only file is swanctl.conf."""

    platform = "FreeBSD"
    python = "/usr/local/bin/python3.11"

    def __init__(self, **changed: str | Result) -> None:
        self.answers = {**UP, **{name.replace("_", " "): answer for name, answer in changed.items()}}

    def run(self, argv, *, stdin=None, timeout=30.0):
        command = " ".join(argv)
        name = next(name for name in sorted(self.answers, key=len, reverse=True) if command.startswith(name))
        answer = self.answers[name]
        if isinstance(answer, Result):
            return answer
        transcript = load(answer)
        return Result(transcript.rc, transcript.stdout, transcript.stderr)

    def read(self, path):
        return File("include conf.d/*.conf\n") if path.endswith("/swanctl.conf") else None

    def names(self, directory):
        return ()

    def exists(self, path):
        return False


def test_a_gateway_as_recorded():
    host = observe(RecordedSystem())
    assert host.realized.interfaces == {
        "ipsec0": Interface(100, ("192.0.2.1", "192.0.2.2"), (Address("10.6.106.1", 30, "10.6.106.2"),), 1400, "", True)
    }
    own = {network: hops for network, hops in host.realized.routes.items() if hops == (NextHop(interface="lo0"),)}
    assert set(own) == {"10.0.2.15/32", "10.6.106.1/32", "192.0.2.1/32", "2001:db8::1/128", "::1/128"}
    assert host.realized.routes == {**own, "0.0.0.0/0": (NextHop("10.0.2.2"),)}
    assert set(host.realized.connections) == {"tun0"}
    assert host.realized.connections["tun0"].children == {"tun0": (("0.0.0.0/0",), ("0.0.0.0/0",))}
    (sa,) = host.facts.sas
    assert (sa["state"], sa["children"][0]["state"]) == ("ESTABLISHED", "INSTALLED")
    assert host.facts.charon_down is None
    assert host.realized.firewall.running is False
    # Only if_enc's four are in that recording.
    assert not host.facts.modules_loaded


@pytest.mark.parametrize(
    ("table", "network", "hops"),
    [
        ("net/222", "10.78.0.0/16", (NextHop(interface="ipsec0"),)),
        ("net/240", "10.81.0.0/16", (NextHop(),)),
        ("net/213", "10.77.0.0/16", (NextHop("10.6.106.2"), NextHop("192.0.2.2"))),
    ],
)
def test_routes_as_recorded(table, network, hops):
    """By interface, blackhole, multipath: recorded as text, whose columns are the JSON's keys (net/185, net/189)."""
    rows = [line.split() for line in load(table).stdout.splitlines() if re.match(r"[\d.]+/\d+ ", line)]
    keys = ("destination", "gateway", "flags", "interface-name")
    entries = [dict(zip(keys, row, strict=False)) for row in rows]
    families = [{"address-family": "Internet", "rt-entry": entries}]
    text = json.dumps({"statistics": {"route-information": {"route-table": {"rt-family": families}}}})
    system = RecordedSystem(**{"netstat_-rn_--libxo_json": Result(0, text, "")})
    assert observe(system).realized.routes[network] == hops


def test_charon_that_is_down_as_recorded():
    host = observe(RecordedSystem(**{"swanctl_--list-conns_--pretty": "ipsec-up/131"}))
    assert "Connection refused" in host.facts.charon_down
    assert host.realized.connections == {}


GETS = of_command("route", "-n", "get")


@pytest.mark.parametrize("transcript", GETS, ids=lambda transcript: f"{transcript.name} {transcript.command}")
def test_every_lookup_as_recorded(transcript):
    address = "2001:db8::1" if "-inet6" in transcript.command else "192.0.2.1"
    system = RecordedSystem(**{"route_-n_get": transcript.name})
    (found,) = report.lookups(system, [address]).values()
    assert (found["interface"] is not None) == (transcript.rc == 0)
    assert (found["gateway"] is not None) == (" gateway: " in transcript.stdout)


def test_an_unknown_sysctl_is_one_whose_module_is_missing():
    kernel = observe(RecordedSystem(**{"sysctl_-i": "net/031"})).realized.kernel
    assert dict(kernel.sysctls)["net.enc.in.ipsec_filter_mask"] == "1"


@pytest.mark.parametrize("command", ["ifconfig -a", "netstat -rn --libxo json", "sysctl -i"])
def test_a_program_that_fails_is_named(command):
    system = RecordedSystem(**{command.replace(" ", "_"): Result(1, "", f"{command}: no")})
    with pytest.raises(CommandError, match=rf"^{command}.*: no$"):
        observe(system)


@pytest.mark.parametrize("command", ["ifconfig -a", "netstat -rn --libxo json", "sysctl -i"])
def test_output_that_is_not_understood_is_an_error(command):
    with pytest.raises(ParseError):
        observe(RecordedSystem(**{command.replace(" ", "_"): Result(0, "something else\n", "")}))


def test_ifconfig_and_netstat_of_releases_14_and_15():
    """LOWER_UP among the flags, prefix lengths for netmasks on demand, more keys, nexthop groups."""
    interfaces = """\
vtnet0: flags=1008843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST,LOWER_UP> metric 0 mtu 1500
\toptions=c00b8<VLAN_MTU,VLAN_HWTAGGING,JUMBO_MTU,VLAN_HWCSUM,VLAN_HWTSO,LINKSTATE>
\tether 52:54:00:00:00:01
\tinet 192.0.2.1 netmask 0xffffff00 broadcast 192.0.2.255
\tmedia: Ethernet autoselect (10Gbase-T <full-duplex>)
\tstatus: active
\tnd6 options=29<PERFORMNUD,IFDISABLED,AUTO_LINKLOCAL>
enc0: flags=41<UP,RUNNING> metric 0 mtu 1536
\toptions=0
\tgroups: enc
\tnd6 options=21<PERFORMNUD,AUTO_LINKLOCAL>
ipsec0: flags=1008051<UP,POINTOPOINT,RUNNING,MULTICAST,LOWER_UP> metric 0 mtu 1400
\toptions=0
\ttunnel inet 192.0.2.1 --> 192.0.2.2
\tinet 10.6.106.1 --> 10.6.106.2 netmask 0xfffffffc
\tgroups: ipsec
\treqid: 100
\tnd6 options=29<PERFORMNUD,IFDISABLED,AUTO_LINKLOCAL>
"""
    entry = {
        "destination": "10.1.0.0/24",
        "gateway": "10.6.106.2",
        "flags": "UGS",
        "flags_pretty": ["up", "gateway", "static"],
        "nhop": 7,
        "mtu": 1400,
        "weight": 1,
        "interface-name": "ipsec0",
        "expire-time": 0,
    }
    families = [{"address-family": "Internet", "rt-entry": [entry]}, {"address-family": "Unspec", "rt-entry": [{}]}]
    tables = {"__version": "1", "statistics": {"route-information": {"route-table": {"fib": 0, "rt-family": families}}}}
    system = RecordedSystem(
        **{"ifconfig_-a": Result(0, interfaces, ""), "netstat_-rn_--libxo_json": Result(0, json.dumps(tables), "")}
    )
    host = observe(system)
    assert host.realized.interfaces == observe(RecordedSystem()).realized.interfaces
    assert host.realized.routes == {"10.1.0.0/24": (NextHop("10.6.106.2"),)}
    assert host.realized.kernel.enc0_up is True
