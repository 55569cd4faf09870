# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The monitor as it runs on a host: a process of its own, with programs around it that stand in for the host's."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from ansible_collections.routed_ipsec.vti.tests.unit.plugins.module_utils._monitor.standins import (
    GATEWAY,
    Host,
    alive,
    until,
)

A, B = "127.0.0.11", "127.0.0.12"
TWO = {"A": GATEWAY, "B": {**GATEWAY, "address": B, "monitor": B, "source": "127.0.0.2"}}
FAILOVER = {
    "G": {
        "trigger": "down",
        "members": [{"gateway": "A", "tier": 1}, {"gateway": "B", "tier": 2}],
        "keep_failover_states": True,
    }
}
ROUTE = {
    "kind": "route",
    "target": "G",
    "lines": {"A": "route replace 10.1.0.0/24 via A", "B": "route replace 10.1.0.0/24 via B"},
}
VIA_A = "ip -force -batch -\n  route replace 10.1.0.0/24 via A"
VIA_B = "ip -force -batch -\n  route replace 10.1.0.0/24 via B"


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path)
    yield made
    made.close()


def _of(host, name):
    return [event for event in host.events() if event.startswith(f"gateway {name} ")]


def test_failover_and_back(host):
    host.hook("10-note", f'echo "$VTI_EVENT $VTI_NAME $VTI_PREVIOUS>$VTI_STATUS" >>{host.directory}/events')
    host.configure(TWO, FAILOVER, [ROUTE])
    host.start()
    host.until_statuses(A="online", B="online")
    host.until_called(VIA_A)
    host.probe(A, "lost")
    host.until_called(VIA_B)
    until(lambda: host.statuses()["A"] == "down", host.log)
    report = host.status()
    assert report["gateways"]["A"] == {
        "status": "down",
        "latency_ms": None,
        "stddev_ms": None,
        "loss_percent": 100,
        "since": report["gateways"]["A"]["since"],
        "monitor": A,
        "source": "127.0.0.1",
    }
    assert report["gateways"]["B"]["latency_ms"] == 1.0
    assert {**report["groups"]["G"], "since": 0} == {"selected": ["B"], "route": "B", "tier": 2, "since": 0}
    metrics = (host.directory / "state" / "gateways.prom").read_text()
    assert 'routed_ipsec_gateway_up{gateway="A",interface="lo"} 0' in metrics
    assert 'routed_ipsec_group_tier{group="G"} 2' in metrics
    host.probe(A, "2.5")
    host.until_called(VIA_A, times=2)
    until(lambda: host.statuses()["A"] == "online", host.log)
    moves = ["group G A>B", "group G B>A"]
    until(lambda: [event for event in host.events() if event.startswith("group")] == moves, host.events)
    # A hook runs once the report has what it is told.
    of_a = until(lambda: (found := _of(host, "A"))[-1].endswith(">online") and found, host.events)
    words = [event.split()[2].split(">") for event in of_a]
    assert [words[0][0], words[-1][1]] == ["pending", "online"]
    # Each change begins with what the one before has led to.
    assert [old for old, _new in words[1:]] == [new for _old, new in words[:-1]]
    assert ["online", "down"] in [[words[0][1], new] for _old, new in words]


def test_actions_are_carried_out_again_when_a_status_changes_but_the_selection_does_not(host):
    host.configure(TWO, FAILOVER, [ROUTE])
    host.probe(B, "300")
    host.start()
    host.until_called(VIA_A)
    host.until_statuses(A="online", B="delay")
    host.probe(B, "1")
    host.until_statuses(A="online", B="online")
    host.until_called(VIA_A, times=2)
    assert VIA_B not in host.calls()


def test_first_statuses_are_waited_for(host):
    host.configure(TWO, FAILOVER, [ROUTE])
    host.probe(A, "lost")
    host.start()
    host.until_called(VIA_B)
    assert host.calls()[0] == VIA_B


def test_a_group_stays_where_an_earlier_run_has_led_it(host):
    members = [{"gateway": "A", "tier": 1}, {"gateway": "B", "tier": 1}]
    host.configure(TWO, {"G": {**FAILOVER["G"], "members": members}}, [ROUTE])
    host.probe(A, "lost")
    first = host.start()
    host.until_called(VIA_B)
    host.probe(A, "1")
    host.until_statuses(A="online", B="online")
    since = host.status()["groups"]["G"]["since"]
    first.terminate()
    first.wait()
    (host.directory / "calls").unlink()
    host.start()
    host.until_called(VIA_B)
    assert VIA_A not in host.calls()
    assert host.status()["groups"]["G"] == {"selected": ["A", "B"], "route": "B", "tier": 1, "since": since}


def test_a_run_that_starts_again_makes_no_event_of_what_was_known(host):
    host.hook("note", f'echo "$VTI_EVENT $VTI_NAME $VTI_PREVIOUS>$VTI_STATUS" >>{host.directory}/events')
    host.configure(TWO, FAILOVER, [ROUTE])
    first = host.start()
    host.until_called(VIA_A)
    until(lambda: len(host.events()) == 2, host.log)
    since = {name: gateway["since"] for name, gateway in host.status()["gateways"].items()}
    first.kill()
    first.wait()
    host.start()
    host.until_called(VIA_A, times=2)
    host.until_statuses(A="online", B="online")
    assert {name: gateway["since"] for name, gateway in host.status()["gateways"].items()} == since
    assert sorted(host.events()) == ["gateway A pending>online", "gateway B pending>online"]


def test_a_hook_finds_in_the_report_what_it_is_told(host):
    copy = host.directory / "seen"
    host.hook("copy", f'cp {host.status_file} {copy}.new && mv {copy}.new {copy}."$VTI_NAME"')
    host.configure(TWO, FAILOVER, [ROUTE])
    host.start()
    for name in "AB":
        seen = until(lambda name=name: json.loads((host.directory / f"seen.{name}").read_text()), host.log)
        assert seen["gateways"][name]["status"] == "online"


def test_the_lock_of_another_is_waited_for_while_probing_goes_on(host):
    host.configure(TWO, FAILOVER, [ROUTE])
    host.start()
    host.until_called(VIA_A)
    with (host.directory / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        host.probe(A, "lost")
        until(lambda: host.status()["groups"]["G"]["route"] == "B", host.log)
        until(lambda: host.statuses()["A"] == "down", host.log)
        assert host.calls() == [VIA_A]
    host.until_called(VIA_B)


def test_whoever_held_the_lock_may_have_written_another_configuration(host):
    host.configure(TWO, FAILOVER, [ROUTE])
    host.start()
    host.until_called(VIA_A)
    with (host.directory / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        host.probe(A, "lost")
        until(lambda: host.status()["groups"]["G"]["route"] == "B", host.log)
        host.configure(TWO, FAILOVER, [{**ROUTE, "lines": {"A": "route replace new A", "B": "route replace new B"}}])
    host.until_called("ip -force -batch -\n  route replace new B")
    assert VIA_B not in host.calls()


def test_what_somebody_else_has_undone_is_done_again(host):
    """As reloading a firewall undoes it: the table is made again, and then everything in it."""
    rules = host.directory / "rules"
    rules.write_text("ours")
    host.install("restore", f"#!/bin/sh\necho ours >{rules}\necho restored >>{host.directory}/calls\n")
    host.configure(TWO, FAILOVER, [ROUTE], [{"probe": ["cat", str(rules)], "repair": ["restore"]}])
    host.start(more=("--keep-interval", "0.1"))
    host.until_called(VIA_A)
    until(lambda: host.statuses() == {"A": "online", "B": "online"}, host.log)
    before = len(host.calls())
    rules.unlink()
    host.until_called("restored")
    until(lambda: host.calls()[before:] == ["restored", VIA_A], host.calls)
    assert rules.read_text() == "ours\n"
    assert host.log().count("somebody else has changed") == 1


def test_what_fails_is_tried_again_and_told_once(host):
    host.configure(TWO, FAILOVER, [ROUTE])
    (host.directory / "fail-ip").touch()
    host.start()
    host.until_called(VIA_A, times=3)
    assert host.log().count("ip -force -batch -: status 1: ip: no\n") == 1
    (host.directory / "fail-ip").unlink()
    host.until_log("what failed has been done")


def test_programs_of_freebsd(host):
    hops = {"A": "(ipsec1 10.6.106.1)", "B": "(ipsec2 10.6.107.1)"}
    entry = {"target": "G", "hops": hops, "up": "pass route-to {hops}", "down": "block"}
    host.configure(
        TWO,
        FAILOVER,
        [
            {
                "kind": "route",
                "target": "G",
                "commands": {"A": [["route", "-n", "change", "A"], ["route", "-n", "add", "A"]], "B": [["true"]]},
            },
            {"kind": "anchor", "anchor": "routed_ipsec/policy", "entries": ["pass all", entry]},
        ],
    )
    (host.directory / "fail-route").touch()
    host.start()
    host.until_called("pfctl -a routed_ipsec/policy -f -\n  pass all\n  pass route-to (ipsec1 10.6.106.1)")
    assert host.calls()[:2] == ["route -n change A", "route -n add A"]
    host.probe(A, "lost")
    host.until_called("pfctl -a routed_ipsec/policy -f -\n  pass all\n  pass route-to (ipsec2 10.6.107.1)")
    host.probe(B, "lost")
    host.until_called("pfctl -a routed_ipsec/policy -f -\n  pass all\n  block")


def test_states_are_ended_after_the_routes_have_moved(host):
    gateways = {**TWO, "A": {**GATEWAY, "gw_down_kill_states": "gateway"}}
    table = {"kind": "table", "target": "G", "table": 7001, "network": "0.0.0.0/0", "on_down": "block"}
    groups = {"G": {**FAILOVER["G"], "keep_failover_states": False}}
    host.configure(gateways, groups, [{**table, "hops": {"A": "via A", "B": "via B"}}])
    # There is nothing to end as a rule, which conntrack calls a failure.
    (host.directory / "fail-conntrack").touch()
    host.start()
    via = "ip -force -batch -\n  route replace 0.0.0.0/0 table 7001 proto static via {}"
    host.until_called(via.format("A"))
    host.probe(A, "lost")
    kill = "conntrack -D --mark 7001/0xffff"
    host.until_called(kill)
    assert host.calls() == [via.format("A"), via.format("B"), kill]
    host.probe(A, "1")
    host.until_called(kill, times=2)
    calls = host.calls()
    assert calls.index(via.format("A"), 1) < calls.index(kill, 3)
    assert "conntrack" not in host.log()


def test_gateways_that_are_not_asked(host):
    host.configure(
        {
            "FORCED": {**GATEWAY, "force_down": True},
            "QUIET": {**GATEWAY, "monitor": None},
            "SHOWN": {**GATEWAY, "monitor": B, "action_disable": True},
        },
        {
            "G": {
                "trigger": "down",
                "members": [{"gateway": "FORCED", "tier": 1}, {"gateway": "SHOWN", "tier": 2}],
                "keep_failover_states": True,
            }
        },
    )
    host.probe(B, "lost")
    host.start()
    host.until_statuses(FORCED="force_down", QUIET="none", SHOWN="down")
    assert host.status()["groups"]["G"]["selected"] == ["SHOWN"]
    assert [words.split()[-1] for _pid, words in host.started()] == [B]


def test_a_gateway_whose_source_address_is_gone_is_down_until_it_is_back(host):
    host.configure({"A": {**GATEWAY, "source": "192.0.2.77"}, "B": TWO["B"]})
    host.start()
    host.until_statuses(A="down", B="online")
    assert "A: no interface has the source address 192.0.2.77\n" in host.log()
    assert [words.split()[-1] for _pid, words in host.started()] == [B]


def test_probes_that_the_kernel_refuses_to_send_are_lost(host):
    host.configure({"A": {**GATEWAY, "source": "127.0.0.2"}, "B": TWO["B"]})
    host.start()
    host.until_statuses(A="online", B="online")
    assert [words.split()[-2:] for _pid, words in host.started()] == [[A, B]]
    host.probe(A, "refused")
    host.until_statuses(A="down", B="online")


def test_another_configuration_leaves_alone_what_is_as_before(host):
    host.configure(TWO, FAILOVER, [ROUTE])
    daemon = host.start()
    host.until_statuses(A="online", B="online")
    pid = host.prober(A)
    host.configure({"A": {**TWO["A"], "losslow": 5}, "B": {**TWO["B"], "interval": 30}})
    daemon.send_signal(signal.SIGHUP)
    until(lambda: len(host.started()) == 3, host.log)
    host.until_statuses(A="online", B="online")
    assert host.prober(A) == pid
    assert alive(pid)
    host.configure({"A": {**TWO["A"], "losslow": 5}})
    daemon.send_signal(signal.SIGHUP)
    host.until_statuses(A="online")
    assert len(host.started()) == 3
    until(lambda: not alive(host.prober(B)), host.log)


def test_a_broken_configuration_changes_nothing(host):
    daemon = host.start()
    host.until_log("there is no such file")
    host.until_statuses()
    host.configure(TWO, FAILOVER, [ROUTE])
    host.until_called(VIA_A)
    host.replace_config("{")
    daemon.send_signal(signal.SIGHUP)
    host.until_log("monitor.conf: no JSON")
    host.probe(A, "lost")
    host.until_called(VIA_B)
    assert len(host.started()) == 2
    host.configure({"B": TWO["B"]})
    daemon.send_signal(signal.SIGHUP)
    host.until_statuses(B="online")


def test_without_its_configuration_it_does_nothing_any_more(host):
    host.configure(TWO, FAILOVER, [ROUTE])
    host.start()
    host.until_called(VIA_A)
    host.config.unlink()
    host.until_log("there is no such file: nothing is watched")
    until(lambda: not host.running(), host.log)
    until(lambda: host.status()["gateways"] == {}, host.log)
    host.configure(TWO, FAILOVER, [ROUTE])
    host.until_called(VIA_A, times=2)


def test_a_signal_has_the_configuration_carried_out_again(host):
    host.configure(TWO, FAILOVER, [ROUTE])
    daemon = host.start()
    host.until_called(VIA_A)
    daemon.send_signal(signal.SIGHUP)
    host.until_called(VIA_A, times=2)


def test_a_prober_that_dies_is_started_again(host):
    host.configure(TWO)
    host.probe(A, "die")
    host.start()
    host.until_log("A: fping has ended: fping: out of order")
    host.until_statuses(A="pending", B="online")
    host.probe(A, "1")
    host.until_statuses(A="online", B="online")
    assert [words.split()[-1] for _pid, words in host.started()].count(B) == 1


def test_probers_that_say_nothing(host):
    slow = {**TWO["A"], "interval": 1000, "loss_interval": 2000, "time_period": 10_000}
    host.configure({**TWO, "A": slow}, FAILOVER, [ROUTE])
    host.probe(A, "hang")
    host.probe(B, "hang")
    host.start()
    until(lambda: len(host.hanging()) == 2, host.log)
    pid = host.prober(B)
    host.probe(B, "1")
    # Five seconds are long enough for B: what it had to say is taken for loss, and another one comes in its place.
    host.until_statuses(A="pending", B="online")
    assert re.search(r"B: fping is silent\ngateway B: pending -> .*loss [1-9]", host.log())
    assert host.prober(B) != pid
    assert not alive(pid)
    # A may take longer, but is not waited for: until it is known it counts as up.
    host.until_called(VIA_A)
    assert len(host.started()) == 3


def test_dpinger_is_preferred_and_its_figures_are_taken(host):
    host.install_dpinger()
    host.configure(TWO, FAILOVER, [ROUTE])
    host.start(prober=None)
    host.until_statuses(A="online", B="online")
    assert sorted(words for _pid, words in host.started()) == [
        f"-f -i A -B 127.0.0.1 -s 20 -l 40 -t 600 -r 100 -d 1 {A}",
        f"-f -i B -B 127.0.0.2 -s 20 -l 40 -t 600 -r 100 -d 1 {B}",
    ]
    assert host.status()["gateways"]["A"]["stddev_ms"] == 0.1
    host.probe(A, "0 0 100")
    host.until_called(VIA_B)
    host.until_statuses(A="down", B="online")
    host.probe(B, "250000 90 3")
    host.until_statuses(A="down", B="delay")
    assert host.status()["gateways"]["B"]["loss_percent"] == 3


def test_without_any_prober_gateways_stay_pending(host):
    host.install_dpinger()
    (host.directory / "bin" / "dpinger").rename(host.directory / "later")
    host.configure(TWO)
    daemon = host.start(prober="dpinger")
    host.until_log("nothing is probed: there is no dpinger")
    host.until_statuses(A="pending", B="pending")
    (host.directory / "later").rename(host.directory / "bin" / "dpinger")
    daemon.send_signal(signal.SIGHUP)
    host.until_statuses(A="online", B="online")
    assert host.log().count("nothing is probed") == 1


def test_sigterm_ends_all(host):
    host.hook("slow", f"echo $$ >{host.directory}/hook; exec sleep 1000")
    host.configure(TWO, FAILOVER, [ROUTE])
    daemon = host.start()
    host.until_called(VIA_A)
    hook = int(until((host.directory / "hook").read_text))
    pids = [pid for pid, _words in host.started()]
    assert all(map(alive, [*pids, hook]))
    daemon.terminate()
    assert daemon.wait() == 0
    assert not any(map(alive, [*pids, hook]))
    assert (host.directory / "state" / "probers.pid").read_text() == ""


def test_probers_do_not_outlive_a_monitor_that_is_killed(host):
    host.configure(TWO)
    daemon = host.start()
    host.until_statuses(A="online", B="online")
    pids = [pid for pid, _words in host.started()]
    daemon.kill()
    daemon.wait()
    until(lambda: not any(map(alive, pids)))


def test_a_silent_prober_of_a_monitor_that_was_killed_is_ended_by_the_next(host):
    host.configure(TWO)
    daemon = host.start()
    host.until_statuses(A="online", B="online")
    pids = [pid for pid, _words in host.started()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    daemon.kill()
    daemon.wait()
    assert all(map(alive, pids))
    # A number that is another process by now.
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        with (host.directory / "state" / "probers.pid").open("a") as file:
            file.write(f"{other.pid} fping -4 -l {A}\n")
        host.start()
        until(lambda: not any(map(alive, pids)), host.log)
        host.until_statuses(A="online", B="online")
        assert other.poll() is None
        other.communicate(b"\n")


def test_a_second_one_is_refused(host):
    host.configure(TWO)
    host.start()
    host.until_statuses(A="online", B="online")
    second = host.start()
    assert second.wait() == 1
    assert f"another one runs with the state {host.directory}/state\n" in host.log()
    assert len(host.started()) == 2


INSIDE = """
set -e
ip link set lo up
ip link add v0 type veth peer name v1
ip address add 10.9.1.1/32 dev v0
ip address add 10.9.1.2/32 dev lo
ip link set v0 up
for way in "1 1" "2 2" "3 1"; do
  ip route add local "10.9.2.${way% *}" dev lo src "10.9.1.${way#* }"
done
exec "$@"
"""


def test_with_the_real_fping(host):
    if os.geteuid() != 0:
        pytest.skip("only root can make a network namespace")
    if shutil.which("fping") is None:
        pytest.skip("fping is not installed")
    veth = ("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
    if subprocess.run(["unshare", "--net", *veth], check=False, capture_output=True).returncode:
        pytest.skip("no network namespace with a veth can be made here")
    for stand_in in ("fping", "ip"):
        (host.directory / "bin" / stand_in).unlink()
    settings = {**GATEWAY, "interface": "v0", "source": "10.9.1.1", "loss_interval": 100, "alert_hold": 0}
    host.configure(
        {
            "A": {**settings, "monitor": "10.9.2.1"},
            "B": {**settings, "monitor": "10.9.2.2", "source": "10.9.1.2", "interface": "lo"},
            "C": {**settings, "monitor": "10.9.2.3"},
        },
        FAILOVER,
        [{**ROUTE, "lines": {"A": "route replace prohibit 10.1.0.0/24", "B": "route replace blackhole 10.1.0.0/24"}}],
    )
    daemon = host.start(wrap=("unshare", "--net", "sh", "-c", INSIDE, "sh"))

    def inside(*argv: str) -> str:
        words = ["nsenter", "-t", str(daemon.pid), "-n", *argv]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    def until_route(kind: str) -> None:
        until(lambda: inside("ip", "route", "show", "10.1.0.0/24").split()[:1] == [kind], host.log)

    host.until_statuses(A="online", B="online", C="online")
    until_route("prohibit")
    before = host.running()
    assert sorted(words.split(" -S ")[1] for words in before.values()) == [
        "10.9.1.1 10.9.2.1 10.9.2.3",
        "10.9.1.2 10.9.2.2",
    ]
    # Without a way to the monitor no packet can be sent, and fping has nothing to say of that.
    inside("ip", "route", "delete", "local", "10.9.2.1")
    inside("ip", "route", "add", "unreachable", "10.9.2.1")
    host.until_statuses(A="down", B="online", C="online")
    until_route("blackhole")
    inside("ip", "route", "delete", "unreachable", "10.9.2.1")
    inside("ip", "route", "add", "local", "10.9.2.1", "dev", "lo", "src", "10.9.1.1")
    host.until_statuses(A="online", B="online", C="online")
    until_route("prohibit")
    # The interface goes with its address, and comes again as another.
    inside("ip", "link", "delete", "v0")
    host.until_statuses(A="down", B="online", C="down")
    until_route("blackhole")
    inside(*veth)
    inside("ip", "address", "add", "10.9.1.1/32", "dev", "v0")
    inside("ip", "link", "set", "v0", "up")
    for monitor in ("10.9.2.1", "10.9.2.3"):
        inside("ip", "route", "replace", "local", monitor, "dev", "lo", "src", "10.9.1.1")
    host.until_statuses(A="online", B="online", C="online")
    until_route("prohibit")
    after = host.running()
    assert len(after.keys() - before.keys()) == 1
    assert next(words for pid, words in after.items() if before.get(pid) == words).endswith("10.9.2.2")
    # Nobody reads what it prints any more, so it ends.
    daemon.kill()
    daemon.wait()
    until(lambda: not any(map(alive, after)))
