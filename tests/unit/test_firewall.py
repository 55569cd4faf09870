# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules for pf on a simulated FreeBSD host."""

from __future__ import annotations

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import VtiError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats import block
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.firewall import freebsd as firewall
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site import report
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.observe import observe
from ansible_collections.routed_ipsec.vti.tests.unit.simulated import SimulatedSystem, pair, plan, run
from hypothesis import given
from hypothesis import strategies as st

PERSONS = "set skip on lo0\nset state-policy if-bound\nblock all\npass on vtnet1 all\n"
SITE = {
    "phase1": [
        {"name": "hq", "local_addrs": ["192.0.2.2"], "remote_addrs": ["192.0.2.1"], "psk": "x", "firewall_rules": True}
    ],
    "phase2": [{"name": "hq", "phase1": "hq", "local_address": "10.6.106.2/30", "remote_address": "10.6.106.1"}],
    "filter_mode": {"mode": "enc", "inner_rules": True, "manage_pf_conf": True},
    "purge": True,
}


def prepared(*, running: bool, pf_conf: str | None = PERSONS) -> SimulatedSystem:
    host = pair()[1]
    if pf_conf is not None:
        host.files["/etc/pf.conf"] = pf_conf
    if running:
        host.run(["kldload", "pf"])
        assert host.run(["pfctl", "-f", "/etc/pf.conf"]).rc == 0
        assert host.run(["pfctl", "-e"]).rc == 0
    return SimulatedSystem(host)


def anchored(system: SimulatedSystem) -> str:
    return system.host.run(["pfctl", "-a", firewall.ANCHOR, "-sr"]).stdout


def test_rules_are_checked_loaded_and_anchored():
    system = prepared(running=True)
    steps = run(system, "site", **SITE)
    check = next(n for n, step in enumerate(steps) if step.startswith(f"pfctl -a {firewall.ANCHOR} -nf -: "))
    assert check == 0
    assert steps.index(f"pfctl -a {firewall.ANCHOR} -f {firewall.RULES}") < steps.index("pfctl -f /etc/pf.conf")
    loaded = anchored(system)
    assert "pass in inet proto esp from 192.0.2.1 to 192.0.2.2 keep state" in loaded
    assert "pass in inet proto udp from 192.0.2.1 to 192.0.2.2 port = sae-urn keep state" in loaded
    for rule in ("pass in on enc0", "pass out on enc0", "pass out on ipsec1"):
        assert f"{rule} all flags S/SA keep state" in loaded
        assert f"{rule} all keep state (floating)" in system.host.files[firewall.RULES]
    assert system.host.files["/etc/pf.conf"].startswith(PERSONS)
    assert run(system, "site", **SITE) == []
    assert report.everything(observe(system))["firewall"] == {"enforced": True, "reason": None}


def test_teardown_leaves_pf_as_it_was():
    system = prepared(running=True)
    run(system, "site", **SITE)
    steps = run(system, "site", purge=True)
    assert f"pfctl -a {firewall.ANCHOR} -F rules" in steps
    assert anchored(system) == ""
    assert system.host.files["/etc/pf.conf"] == PERSONS
    assert firewall.RULES not in system.host.files


def test_pf_that_is_off_is_told():
    system = prepared(running=False)
    steps = run(system, "site", **SITE)
    assert not [step for step in steps if step.startswith("pfctl")]
    assert firewall.RULES in system.host.files
    told = report.everything(observe(system))["firewall"]
    assert told == {"enforced": False, "reason": "pf is off: the rules are written, but not enforced"}


def test_lines_that_pf_conf_lacks_are_told():
    system = prepared(running=True)
    mode = {**SITE["filter_mode"], "manage_pf_conf": False}
    run(system, "site", **{**SITE, "filter_mode": mode})
    assert system.host.files["/etc/pf.conf"] == PERSONS
    told = report.everything(observe(system))["firewall"]
    assert told["enforced"] is False
    for line in (firewall.FILTER, firewall.LOAD):
        assert line.text in told["reason"]


def test_rules_that_a_person_loads_by_hand_outlive_teardown_empty():
    by_hand = PERSONS + f"{firewall.FILTER.text}\n{firewall.LOAD.text}\n"
    system = prepared(running=True)
    run(system, "site", **{**SITE, "filter_mode": {**SITE["filter_mode"], "manage_pf_conf": False}})
    system.host.files["/etc/pf.conf"] = by_hand
    assert system.host.run(["pfctl", "-f", "/etc/pf.conf"]).rc == 0
    assert report.everything(observe(system))["firewall"]["enforced"]
    run(system, "site", purge=True)
    assert "pass" not in system.host.files[firewall.RULES]
    assert system.host.files["/etc/pf.conf"] == by_hand


def test_a_pf_conf_that_pf_refuses_is_never_written():
    system = prepared(running=True)
    system.host.files["/etc/pf.conf"] = broken = PERSONS + "pass in on vtnet1 proto\n"
    with pytest.raises(VtiError, match=r"pfctl -nf -: .*syntax error.*The host is as it was before"):
        run(system, "site", **SITE)
    assert system.host.files["/etc/pf.conf"] == broken
    assert firewall.RULES not in system.host.files


def test_rules_lost_by_a_flush_come_back():
    system = prepared(running=True)
    run(system, "site", **SITE)
    system.host.run(["pfctl", "-a", firewall.ANCHOR, "-F", "rules"])
    assert [step for step in run(system, "site", **SITE) if step.startswith("pfctl")] == [
        f"pfctl -a {firewall.ANCHOR} -f {firewall.RULES}"
    ]


def test_each_mode_has_its_own_inner_rules():
    assert list(firewall.inner("if_ipsec", ["ipsec1"])) == [
        "pass in on ipsec1 all keep state",
        "pass out on ipsec1 all keep state",
    ]
    assert all("(floating)" in rule for rule in firewall.inner("enc", ["ipsec1", "ipsec2"]))


def test_a_phase1_alone_needs_no_filter_mode():
    system = prepared(running=True)
    options = SITE["phase1"][0]
    _before, after, steps = plan(system, "phase1", **options)
    assert report.phase1(after)["firewall"]["enforced"] is False
    assert any(str(step) == f"write {firewall.RULES}" for step in steps)


NEEDS = st.builds(firewall.Needs, scrub=st.booleans(), nat=st.booleans(), policy=st.booleans())


@given(st.text(alphabet="ab#\n \"'", max_size=40), NEEDS)
def test_pf_conf_gets_and_loses_the_lines(text, needs):
    added = firewall.with_lines(text, needs)
    assert firewall.complaint(firewall.Firewall(running=True, loaded=True), added, needs) is None
    assert firewall.with_lines(added, needs) == added
    assert block.bare(added, "pf.conf") == text
    assert block.read(text, "pf.conf") is None


EVERYTHING = firewall.Needs(scrub=True, nat=True, policy=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("set skip on lo0\nscrub in all\npass all\n", ["set", "include", "scrub", "nat-anchor", "pass", "anchor"]),
        (
            "scrub in all\nnat on vtnet0 from any to any -> (vtnet0)\n",
            ["include", "scrub", "nat-anchor", "nat", "anchor"],
        ),
        ("# anchor\nlan = vtnet1\n", ["#", "lan", "include", "nat-anchor", "anchor"]),
        ("", ["include", "nat-anchor", "anchor"]),
    ],
)
def test_what_pf_wants_earlier_comes_earlier(text, expected):
    rows = [row for row in firewall.with_lines(text, EVERYTHING).splitlines() if "routed_ipsec.vti" not in row]
    assert [row.split()[0] for row in rows] == [*expected, "load", "load"]


def test_a_person_s_own_lines_are_not_repeated():
    lines = [line.text for line in EVERYTHING.lines]
    text = "".join(f"{line}\n" for line in lines)
    assert firewall.with_lines(text, EVERYTHING) == text
