# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two simulated hosts and what passes between them: negotiation, reload, packets."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from ansible_collections.routed_ipsec.vti.tests.sim.files import Result
from ansible_collections.routed_ipsec.vti.tests.sim.freebsd import FreeBSD, Network

CONF = "/usr/local/etc/swanctl/conf.d/site.conf"


def conf(me: int, you: int, **changes: str) -> str:
    """A connection with one child; changes replace the usual values."""
    values = {
        "remote": f"192.0.2.{you}",
        "remote_id": f"192.0.2.{you}",
        "proposals": "aes256-sha256-modp2048",
        "esp": "aes256gcm16-modp2048",
        "secret": "s3cret",
        "start": "none",
        "ts": "0.0.0.0/0,::/0",
        "child": "",
    }
    values.update(changes)
    return f"""connections {{
  site {{
    version = 2
    local_addrs = 192.0.2.{me}
    remote_addrs = {values["remote"]}
    proposals = {values["proposals"]}
    local {{
      auth = psk
      id = 192.0.2.{me}
    }}
    remote {{
      auth = psk
      id = {values["remote_id"]}
    }}
    children {{
      net {{
        esp_proposals = {values["esp"]}
        local_ts = {values["ts"]}
        remote_ts = {values["ts"]}
        reqid = 10{me}
        start_action = {values["start"]}
        {values["child"]}
      }}
    }}
  }}
}}
secrets {{
  ike-site {{
    id-1 = 192.0.2.{me}
    id-2 = {values["remote_id"]}
    secret = "{values["secret"]}"
  }}
}}
"""


def run(host: FreeBSD, command: str) -> Result:
    return host.run(shlex.split(command))


def done(host: FreeBSD, *commands: str) -> None:
    """Commands that must succeed."""
    for command in commands:
        result = run(host, command)
        assert result.rc == 0, (command, result)


class Pair:
    """Hosts a and b with a LAN each and a VTI between them; the daemons run, nothing is loaded."""

    def __init__(self) -> None:
        self.network = Network()
        self.a, self.b = self._host("a", 1, 2), self._host("b", 2, 1)

    def _host(self, name: str, me: int, you: int) -> FreeBSD:
        lan = f"10.{me}.0.1/24"
        host = FreeBSD(name, {"vtnet0": [f"192.0.2.{me}/24"], "vtnet1": [lan]}, self.network)
        tunnel = f"tunnel 192.0.2.{me} 192.0.2.{you}"
        done(
            host,
            "sysrc strongswan_enable=YES",
            "service strongswan start",
            "sysctl net.inet.ip.forwarding=1",
            f"ifconfig ipsec0 create reqid 10{me}",
            f"ifconfig ipsec0 inet 10.6.0.{me}/30 10.6.0.{you} {tunnel} up",
            f"ifconfig ipsec0 inet6 2001:db8:6::{me}/64",
            f"route add -net 10.{you}.0.0/24 10.6.0.{you}",
        )
        return host

    def load(self, a: dict[str, str] | None = None, b: dict[str, str] | None = None) -> None:
        for host, me, you, changes in ((self.b, 2, 1, b), (self.a, 1, 2, a)):
            host.files[CONF] = conf(me, you, **(changes or {}))
            done(host, "swanctl --load-all")

    def up(self) -> Result:
        return run(self.a, "swanctl --initiate --child net --timeout 5")


@pytest.fixture
def pair() -> Pair:
    return Pair()


def sas(host: FreeBSD) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = host.state["charon"]["sas"]
    return found


def test_up_gives_mirrored_sas_with_each_ends_reqid(pair: Pair) -> None:
    pair.load()
    assert pair.up().rc == 0
    (mine,), (theirs,) = sas(pair.a)[0]["children"], sas(pair.b)[0]["children"]
    assert (mine["spi-in"], mine["spi-out"]) == (theirs["spi-out"], theirs["spi-in"])
    assert (mine["reqid"], theirs["reqid"]) == (101, 102)
    assert "encr-alg=AES_GCM_16 encr-keysize=256 bytes-in=0" in run(pair.b, "swanctl --list-sas --raw").stdout


@pytest.mark.parametrize(
    ("here", "there", "reason"),
    [
        ({"secret": "wrong"}, {}, "received AUTHENTICATION_FAILED notify error"),
        ({"remote_id": "nobody"}, {}, "received AUTHENTICATION_FAILED notify error"),
        ({"proposals": "aes128-sha1-modp1024"}, {}, "received NO_PROPOSAL_CHOSEN notify error"),
        ({}, {"remote": "192.0.2.77"}, "received NO_PROPOSAL_CHOSEN notify error"),
        ({"esp": "aes128-sha1"}, {}, "received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built"),
        ({"ts": "10.9.0.0/24"}, {"ts": "10.8.0.0/24"}, "received TS_UNACCEPTABLE notify, no CHILD_SA built"),
    ],
)
def test_mismatch_fails(pair: Pair, here: dict[str, str], there: dict[str, str], reason: str) -> None:
    pair.load(here, there)
    result = pair.up()
    assert result.rc == 1
    assert f"[IKE] {reason}\n" in result.stdout
    assert result.stderr == "initiate failed: establishing CHILD_SA 'net' failed\n"
    assert not list(pair.a.charon.children())


def test_silent_peer_times_out_and_is_reached_when_it_comes_up(pair: Pair) -> None:
    pair.load(a={"start": "start"})
    pair.b.state["up"] = False
    done(pair.a, "service strongswan restart")
    assert "state=CONNECTING" in run(pair.a, "swanctl --list-sas --raw").stdout
    assert pair.up().stderr == "initiate failed: CHILD_SA 'net' not established after 5000ms\n"
    pair.b.state["up"] = True
    assert "INSTALLED" in run(pair.a, "swanctl --list-sas").stdout


def test_reload_of_the_same_keeps_sas(pair: Pair) -> None:
    pair.load(a={"start": "start"})
    before = sas(pair.a)[0]["children"][0]["spi-in"]
    done(pair.a, "swanctl --load-all")
    pair.load(a={"start": "start", "secret": "changed"}, b={"secret": "changed"})
    assert sas(pair.a)[0]["children"][0]["spi-in"] == before


def test_changed_child_of_a_started_connection_is_replaced(pair: Pair) -> None:
    pair.load(a={"start": "start"})
    before = sas(pair.a)[0]["children"][0]["spi-in"]
    pair.load(a={"start": "start", "child": "rekey_time = 30m"})
    (after,) = pair.a.charon.children()
    assert after["spi-in"] != before
    assert len(list(pair.b.charon.children())) == 1


def test_changed_child_without_start_action_keeps_its_sa(pair: Pair) -> None:
    pair.load()
    pair.up()
    before = sas(pair.a)[0]["children"][0]["spi-in"]
    pair.load(a={"child": "rekey_time = 30m"})
    assert sas(pair.a)[0]["children"][0]["spi-in"] == before


@pytest.mark.parametrize(("start", "left"), [("none", 1), ("trap", 1), ("start", 0)])
def test_unloading_closes_only_what_a_start_action_made(pair: Pair, start: str, left: int) -> None:
    pair.load(a={"start": start})
    pair.up()
    pair.a.files[CONF] = ""
    assert run(pair.a, "swanctl --load-conns").stdout == "no connections found, 1 unloaded\n"
    assert len(list(pair.a.charon.children())) == len(list(pair.b.charon.children())) == left


def test_syntax_error_in_a_foreign_file_unloads_all_with_status_0(pair: Pair) -> None:
    pair.load()
    pair.a.files[CONF.replace("site", "zz-foreign")] = "hello world\n"
    result = run(pair.a, "swanctl --load-all")
    assert result.rc == 0
    assert "unexpected NAME, expecting : or '{' or '='" in result.stderr
    assert run(pair.a, "swanctl --list-conns").stdout == ""
    assert not pair.a.state["charon"]["secrets"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nosuch = 1", "unknown option: nosuch"),
        ("reqid = x", "invalid value for: reqid"),
        ("mode = routed", "invalid value for: mode"),
        ("rekey_time = 1w", "invalid value for: rekey_time"),
        ("policies = maybe", "invalid value for: policies"),
        ("start_action = sometimes", "invalid value for: start_action"),
    ],
)
def test_bad_child_is_refused(pair: Pair, line: str, message: str) -> None:
    pair.a.files[CONF] = conf(1, 2, child=line)
    result = run(pair.a, "swanctl --load-conns")
    assert result.rc == 22
    assert result.stderr.startswith(f"loading connection 'site' failed: {message}, config discarded\n")


@pytest.mark.parametrize(
    "proposal",
    ["aes256-sha256-modp2048", "aes256gcm128-prfsha512-ecp384", "chacha20poly1305-prfsha256-x25519", "default"],
)
def test_known_ike_proposals_are_accepted(pair: Pair, proposal: str) -> None:
    pair.load({"proposals": proposal}, {"proposals": proposal})
    assert pair.up().rc == 0


@pytest.mark.parametrize(
    "proposal", ["aes256-sha256", "aes256gcm16-modp2048", "aes257-sha256-modp2048", "sha256-modp2048"]
)
def test_incomplete_ike_proposals_are_refused(pair: Pair, proposal: str) -> None:
    pair.a.files[CONF] = conf(1, 2, proposals=proposal)
    assert "invalid value for: proposals" in run(pair.a, "swanctl --load-conns").stderr


def test_packets_need_the_tunnel(pair: Pair) -> None:
    pair.load()
    assert run(pair.a, "ping -c 1 10.6.0.2").rc == 2
    pair.up()
    for target in ("10.6.0.2", "10.2.0.1", "10.2.0.99", "2001:db8:6::2"):
        done(pair.a, f"ping -c 2 {target}")
    done(pair.a, "ping -c 1 -S 10.1.0.1 10.2.0.99")
    (child,) = pair.a.charon.children()
    assert child["packets-out"] == child["packets-in"] == 9


@pytest.mark.parametrize(
    ("host", "command"),
    [
        ("b", "ifconfig ipsec0 down"),
        ("b", "ifconfig ipsec0 reqid 7"),
        ("b", "ifconfig ipsec0 tunnel 192.0.2.2 192.0.2.9"),
        ("b", "route delete -net 10.1.0.0/24"),
        ("b", "sysctl net.inet.ip.forwarding=0"),
        ("a", "route delete -net 10.2.0.0/24"),
        ("a", "ifconfig ipsec0 deletetunnel"),
        ("a", "swanctl --terminate --ike site"),
        ("b", "service strongswan stop"),
    ],
)
def test_lan_to_lan_needs_every_piece(pair: Pair, host: str, command: str) -> None:
    pair.load()
    pair.up()
    done(pair.a, "ping -c 1 -S 10.1.0.1 10.2.0.99")
    done(pair.network.hosts[host], command)
    assert run(pair.a, "ping -c 1 -S 10.1.0.1 10.2.0.99").rc == 2


def test_full_size_packet(pair: Pair) -> None:
    pair.load()
    pair.up()
    done(pair.a, "ping -c 1 -D -s 1372 10.6.0.2")
    result = run(pair.a, "ping -c 1 -D -s 1373 10.6.0.2")
    assert (result.rc, result.stderr) == (2, "ping: sendto: Message too long\n")
    done(pair.a, "ping -c 1 -s 1373 10.6.0.2")


def test_trap_loses_the_first_packet_only(pair: Pair) -> None:
    pair.load(a={"start": "trap"})
    assert run(pair.a, "ping -c 1 10.6.0.2").rc == 2
    done(pair.a, "ping -c 1 10.6.0.2")


def test_endpoint_change_in_place_keeps_addresses_and_routes(pair: Pair) -> None:
    before = run(pair.a, "netstat -rn").stdout
    done(pair.a, "ifconfig ipsec0 tunnel 192.0.2.1 192.0.2.9")
    assert run(pair.a, "netstat -rn").stdout == before


def test_setting_an_address_again_without_alias_drops_its_routes(pair: Pair) -> None:
    done(pair.a, "ifconfig ipsec0 inet 10.6.0.1/30 10.6.0.2")
    assert run(pair.a, "route -n get -net 10.2.0.0/24").rc == 255


def test_state_survives_json(pair: Pair) -> None:
    pair.load()
    pair.up()
    copy = FreeBSD.from_json(pair.a.to_json(), pair.a.files, Network())
    assert copy.state == pair.a.state
    assert run(copy, "swanctl --list-conns --raw") == run(pair.a, "swanctl --list-conns --raw")


def test_rebooted_host_loses_its_runtime_state_and_peers_notice(pair: Pair) -> None:
    pair.load(a={"start": "start"})
    pair.a.reboot()
    assert "ipsec0" not in run(pair.a, "ifconfig -l").stdout
    assert pair.a.state["charon"]["running"]
    assert len(sas(pair.b)) == len(sas(pair.a)) == 1
    assert sas(pair.b)[0]["children"][0]["spi-in"] == sas(pair.a)[0]["children"][0]["spi-out"]
