# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What surprised on real FreeBSD hosts (README of the recordings), one by one: none of it gets the better of us."""

from __future__ import annotations

import re

import pytest
import yaml
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import VtiError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.steps import Result
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.interface import freebsd as interface
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.interface.state import Address, Interface
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.monitor import freebsd as monitor
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site import report
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.observe import observe
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.swanctl import state as swanctl
from ansible_collections.routed_ipsec.vti.tests.unit.freebsd.runs import (
    BOTH,
    GATEWAY,
    LAN,
    NOTHING,
    PHASE1,
    PHASE2,
    ROOT,
    VTI_HQ,
    Collected,
    by_modules,
    by_roles_and_playbooks,
    drift,
    hosts,
    site,
)
from ansible_collections.routed_ipsec.vti.tests.unit.plugins.module_utils._formats.transcripts import load
from ansible_collections.routed_ipsec.vti.tests.unit.simulated import SimulatedSystem, plan, run, snapshot

CONF_D = "/usr/local/etc/swanctl/conf.d"
OURS = f"{CONF_D}/hq.conf"
ROUTED = site([PHASE2], [{**LAN, "gateway": GATEWAY}])
BROKEN_CHILD = """connections {
    theirs {
        version = 2
        remote_addrs = 192.0.2.77
        local { auth = psk }
        remote { auth = psk }
        children { theirs { esp_proposals = nosuch } }
    }
}
"""


def system() -> SimulatedSystem:
    return SimulatedSystem(hosts()[1])


def settled(options: dict) -> SimulatedSystem:
    made = system()
    run(made, "site", **options)
    return made


def recorded(name: str) -> Result:
    transcript = load(name)
    return Result(transcript.rc, transcript.stdout, transcript.stderr)


class Interfered(SimulatedSystem):
    """Somebody else acts on the host right before a step of ours."""

    def __init__(self, host, before: str, deed) -> None:
        super().__init__(host)
        self.before, self.deed = before, deed

    def apply(self, step):
        if str(step).startswith(self.before) and self.deed:
            deed, self.deed = self.deed, None
            deed(self.host)
        super().apply(step)


# -- a syntax error exits with 0 and unloads the connections --


def test_a_syntax_error_unloads_everything_with_exit_status_0():
    """The surprise itself, so that the tests below are about something."""
    host = settled(ROUTED).host
    host.files[f"{CONF_D}/zz-theirs.conf"] = "garbage here\n"
    assert host.run(["swanctl", "--load-all", "--noprompt"]).rc == 0
    assert host.state["charon"]["conns"] == {}


def test_one_in_a_foreign_file_is_named_before_anything_is_touched():
    made = settled(ROUTED)
    made.host.files[f"{CONF_D}/zz-theirs.conf"] = "garbage here\n"
    before, applied = snapshot(made.host), list(made.applied)
    changed = site([{**PHASE2, "mtu": 1380, "life_time": 7200}], ROUTED["static_routes"])
    with pytest.raises(VtiError, match=rf"^{CONF_D}/zz-theirs\.conf: .*mend the file first"):
        run(made, "site", **changed)
    assert snapshot(made.host) == before
    assert made.applied == applied


def test_one_in_a_file_of_ours_is_mended():
    made = settled(ROUTED)
    before = snapshot(made.host)
    made.host.files[OURS] += "}\n"
    run(made, "site", **ROUTED)
    assert snapshot(made.host) == before
    made.host.files[OURS] += "}\n"
    run(made, "site", **NOTHING)
    assert OURS not in made.host.files


def test_one_that_comes_in_between_is_noticed_after_loading():
    def meddle(host):
        host.files[f"{CONF_D}/zz-theirs.conf"] = "garbage here\n"

    made = Interfered(hosts()[1], "swanctl --load-all", meddle)
    with pytest.raises(VtiError, match=r"(?s)zz-theirs\.conf:1: syntax error.*mend the file first") as caught:
        run(made, "site", **ROUTED)
    # Our files are gone again; loading what is left cannot work as long as that file is there.
    assert OURS not in made.host.files
    assert all("swanctl --load-all" in failed for failed in caught.value.details["not_undone"])


@pytest.mark.parametrize("name", ["ipsec-up/105", "ipsec-up/112"])
def test_the_recorded_syntax_errors_are_failures(name):
    assert recorded(name).rc == 0
    assert "cannot read it" in swanctl.load(frozenset({"tun0"})).failure(recorded(name))


# -- a connection that strongSwan refuses gives exit status 22 --


def test_a_foreign_connection_that_is_refused_does_not_keep_ours_from_loading():
    made = system()
    made.host.files[f"{CONF_D}/theirs.conf"] = BROKEN_CHILD
    assert made.host.run(["swanctl", "--load-all"]).rc == 22
    run(made, "site", **ROUTED)
    assert set(made.host.state["charon"]["conns"]) == {"hq"}
    assert run(made, "site", **ROUTED) == []


def test_one_of_ours_that_is_refused_is_a_failure():
    refused = swanctl.load(frozenset({"broken"})).failure(recorded("ipsec-up/109"))
    assert "strongSwan refuses broken: invalid value for: esp_proposals" in refused
    assert swanctl.load(frozenset({"tun0"})).failure(recorded("ipsec-up/109")) is None


# -- with --raw, failures exit with 0 --


def test_nothing_that_acts_is_run_raw():
    assert recorded("ipsec-up/108").rc == 0
    ran = by_modules() | by_roles_and_playbooks()
    assert [argv for argv in ran if argv[0] == "swanctl" and {"--raw", "-r"} & set(argv)] == []


# -- charon is down --


def test_charon_that_is_down_is_told_before_anything_is_touched():
    made = settled(ROUTED)
    assert made.host.run(["service", "strongswan", "stop"]).rc == 0
    before = snapshot(made.host)
    with pytest.raises(VtiError, match=r"^charon: charon does not answer swanctl.*start strongSwan first"):
        run(made, "site", **site([{**PHASE2, "life_time": 7200}]))
    assert snapshot(made.host) == before
    assert recorded("ipsec-up/132").rc == 61
    assert swanctl.load(frozenset()).failure(recorded("ipsec-up/132")) is not None


def test_teardown_needs_no_charon():
    made = settled(ROUTED)
    assert made.host.run(["service", "strongswan", "stop"]).rc == 0
    run(made, "site", **NOTHING)
    assert OURS not in made.host.files
    assert "ipsec1" not in observe(made).realized.interfaces


# -- a child that is up cannot be initiated again --


@pytest.mark.parametrize("name", ["ipsec-up/063", "ipsec-up/067"])
def test_an_existing_duplicate_is_what_was_asked_for(name):
    assert recorded(name).rc == 1
    assert swanctl.establish("tun0", "tun0", "192.0.2.2", 10).failure(recorded(name)) is None


@pytest.mark.parametrize(("name", "option"), [("ipsec-up/118", "remote_addrs"), ("ipsec-up/120", "psk")])
def test_a_tunnel_that_does_not_come_up_is_told_in_the_option_s_words(name, option):
    told = swanctl.establish("tun0", "tun0", "192.0.2.2", 10).failure(recorded(name))
    assert told.startswith(f"{option}: phase 1 tun0")


# -- loading a changed secret starts nothing; when the far end was changed first, nothing is up any more --


@pytest.mark.parametrize("reestablish", [True, False])
def test_a_key_that_is_changed_at_the_far_end_first_is_used_at_once(reestablish):
    far, near = (SimulatedSystem(host) for host in hosts())
    theirs = {**PHASE1, "name": "branch", "local_addrs": ["192.0.2.1"], "remote_addrs": ["192.0.2.2"]}
    end = {"name": "branch", "phase1": "branch", "local_address": "10.6.106.1/30", "remote_address": "10.6.106.2"}
    run(far, "site", phase1=[theirs], phase2=[{**end, "start_action": "none"}])
    run(near, "site", phase1=[{**PHASE1, "reestablish": reestablish}], phase2=[PHASE2])
    assert [sa["state"] for sa in observe(near).facts.sas] == ["ESTABLISHED"]
    run(far, "site", phase1=[{**theirs, "psk": "another"}])
    run(near, "site", phase1=[{**PHASE1, "reestablish": reestablish, "psk": "another"}])
    assert [sa["state"] for sa in observe(near).facts.sas] == ["ESTABLISHED"]


# -- creating an interface with a reqid that is taken exits with 0 --


def test_a_reqid_taken_meanwhile_is_noticed_and_undone():
    def take(host):
        assert host.run(["ifconfig", "ipsec40", "create", "reqid", "5001"]).rc == 0

    made = Interfered(hosts()[1], "ifconfig ipsec1 create", take)
    made.host.run(["kldload", "ipsec"])
    files = dict(made.host.files)
    with pytest.raises(VtiError, match=r"IPSECSREQID.*File exists.*The host is as it was before"):
        run(made, "site", **ROUTED)
    assert set(observe(made).realized.interfaces) == {"ipsec40"}
    assert dict(made.host.files) == files


def test_a_reqid_that_was_lost_is_set_again():
    made = settled(ROUTED)
    drift(made.host, "ifconfig ipsec1 reqid 0")
    assert "ifconfig ipsec1 reqid 5001" in run(made, "site", **ROUTED)


# -- addresses: without "alias" ifconfig removes the one that is there, even when it then fails --


def test_an_address_beside_ours_is_removed_alone():
    made = settled(BOTH)
    before = snapshot(made.host)
    drift(made.host, "ifconfig ipsec1 inet 10.99.0.1/30 10.99.0.2 alias")
    run(made, "site", **BOTH)
    assert snapshot(made.host) == before


def test_addresses_are_never_set_without_alias():
    here, there = Address("10.6.106.1", 30, "10.6.106.2"), Address("2001:db8:6::1", 64)
    bare = Interface(5001, None, (), 1400, "", True)
    full = Interface(5001, None, (here, there), 1400, "", True)
    steps = [*interface.changes({"ipsec1": bare}, {"ipsec1": full})]
    steps += interface.changes({"ipsec1": full}, {"ipsec1": bare})
    assert len(steps) == 4
    assert all(step.argv[-1] in ("alias", "-alias") for step in steps)
    ran = [argv for argv in by_modules() if argv[0] == "ifconfig" and {"inet", "inet6"} & set(argv)]
    assert all("tunnel" in argv or argv[-1] in ("alias", "-alias") for argv in ran)


# -- routes --


@pytest.mark.parametrize("other", ["192.0.2.254", "192.0.2.253"])
def test_a_second_way_to_our_network_is_taken_away_and_ours_stays(other):
    made = settled(ROUTED)
    before = snapshot(made.host)
    drift(made.host, f"route -n add -net 10.1.0.0/24 {other}")
    steps = [step for step in run(made, "site", **ROUTED) if "journal" not in step]
    assert steps == [f"route -n delete -net 10.1.0.0/24 {other}"]
    assert snapshot(made.host) == before


def test_one_of_several_ways_is_never_changed():
    """Of a multipath route, change replaces another than was meant."""
    made = settled(ROUTED)
    before = snapshot(made.host)
    drift(
        made.host,
        "route -n add -net 10.1.0.0/24 192.0.2.254",
        "route -n add -net 10.1.0.0/24 192.0.2.253",
        "route -n delete -net 10.1.0.0/24 10.6.106.1",
    )
    steps = run(made, "site", **ROUTED)
    assert not [step for step in steps if "route -n change" in step]
    assert snapshot(made.host) == before


def test_a_gateway_goes_with_every_deletion_but_a_blackhole_s():
    deletions = [argv for argv in by_modules() if argv[:3] == ("route", "-n", "delete")]
    bare = {argv[-1] for argv in deletions if "/" in argv[-1] or argv[-1] == "default"}
    assert bare == {"10.9.0.0/16", "2001:db8:9::/48"}


def test_a_network_without_a_route_is_no_error():
    made = system()
    drift(made.host, "route -n delete default 192.0.2.254")
    assert recorded("net/204").rc == 255
    assert made.host.run(["route", "-n", "get", "203.0.113.9"]).rc == 255
    assert report.lookups(made, ["203.0.113.9"]) == {"203.0.113.9": {"interface": None, "gateway": None}}


def test_a_route_that_is_there_is_what_was_asked_for():
    def precede(host):
        drift(host, "route -n add -net 10.1.0.0/24 10.6.106.1")

    made = Interfered(hosts()[1], "route -n add -net 10.1.0.0/24", precede)
    run(made, "site", **ROUTED)
    assert run(made, "site", **ROUTED) == []


# -- service, sysrc, kldstat, csh: what tasks and modules may not rely on --

TASKS = sorted([*(ROOT / "roles").glob("*/*/*.yml"), *(ROOT / "playbooks").glob("*.yml")])
CODE = sorted([*(ROOT / "plugins").rglob("*.py"), *TASKS])


@pytest.mark.parametrize("word", ["sysrc", "kldstat", "community.general.sysrc"])
def test_a_program_that_misleads_is_not_used(word):
    """sysrc escapes nothing, kldstat -m knows if_ipsec by no such name, service X status is 0 when not enabled."""
    assert len(CODE) > 50
    used = re.compile(rf"(?<![\w.]){re.escape(word)}(?!\w)")
    assert [path.name for path in CODE if used.search(path.read_text(encoding="utf-8"))] == []


def test_services_of_others_are_started_by_ansible_s_module_only():
    """service strongswan start keeps standard output open, and its status says nothing of a disabled service."""
    ran = [argv for argv in by_modules() if argv[0] in ("service", "/usr/sbin/service")]
    assert {argv[1] for argv in ran} <= {"routed_ipsec_monitor"}
    assert all(argv[2].startswith("one") for argv in ran)


def test_our_own_service_lets_go_of_standard_output():
    """daemon(8) does so with -f; without, whoever starts it would wait for as long as it runs."""
    script = monitor.script("", "/usr/local/bin/python3", "/usr/local/etc/routed_ipsec")
    assert 'command="/usr/sbin/daemon"' in script
    assert re.search(r'^command_args="-f ', script, re.MULTILINE)


def test_services_are_no_command_of_a_task():
    """But for FRR's: the module says onestart and onestop, which FRR's script takes as being about watchfrr alone."""
    for path in TASKS:
        assert not re.search(r"\[service, (?!frr, )|service strongswan", path.read_text(encoding="utf-8")), path


def _keys(value) -> set[str]:
    """All keys at any depth."""
    if isinstance(value, dict):
        return set(value) | {key for item in value.values() for key in _keys(item)}
    return {key for item in value for key in _keys(item)} if isinstance(value, list) else set()


@pytest.mark.parametrize("path", TASKS, ids=lambda path: f"{path.parent.parent.name}-{path.name}")
def test_no_task_needs_a_shell(path):
    """root's shell is csh, which reads raw commands; only the bootstrap, without Python, has to live with that."""
    keys = _keys(yaml.safe_load(path.read_text(encoding="utf-8")))
    shells = {"shell", "raw", "script", "expect"}
    used = {key.rpartition(".")[2] for key in keys} & shells
    assert used <= ({"raw"} if path.name == "bootstrap.yml" else set())


def test_the_bootstrap_s_raw_commands_mean_the_same_to_csh_and_sh():
    """No redirection, no quotes, no variable, no assignment before a command."""
    plays = yaml.safe_load((ROOT / "playbooks" / "bootstrap.yml").read_text(encoding="utf-8"))
    raw = [task["ansible.builtin.raw"] for play in plays for task in play["tasks"] if "ansible.builtin.raw" in task]
    assert raw
    for command in raw:
        assert not re.search(r"[<>$`'\"!*?{}\[\]~]|(?:^|[;&|] *)[A-Z_]+=", command), command


def test_modules_start_programs_without_a_shell():
    text = "".join(path.read_text(encoding="utf-8") for path in CODE if path.suffix == ".py")
    assert not re.search(r"shell=True|os\.system|os\.popen|use_unsafe_shell", text)


def test_assignments_survive_what_sysrc_would_break():
    """Names of assignments hold letters, digits and underscores only, so nothing needs escaping in the first place."""
    made = settled(ROUTED)
    for name in ('a"b', "a b", "$a", "a`b", "a\nb"):
        with pytest.raises(VtiError, match=r"^(name: |assignments: )"):
            plan(made, "assignment", **{**VTI_HQ, "name": name})


def test_collected_runs_are_those_of_all_modules():
    assert Collected.seen <= by_modules()
