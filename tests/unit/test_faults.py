# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run that fails or dies after any of its steps, on a simulated FreeBSD host."""

from __future__ import annotations

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import VtiError
from ansible_collections.routed_ipsec.vti.tests.unit.simulated import SimulatedSystem, pair, plan, run, snapshot

PHASE1 = {"name": "hq", "local_addrs": ["192.0.2.2"], "remote_addrs": ["192.0.2.1"], "psk": "correct horse"}
PHASE2 = {"name": "hq", "phase1": "hq", "local_address": "10.6.106.2/30", "remote_address": "10.6.106.1"}
SIX = {"name": "hq6", "phase1": "hq", "local_address": "2001:db8:6::2/64", "remote_address": "2001:db8:6::1"}
FIRST = {
    "phase1": [PHASE1],
    "phase2": [PHASE2],
    "assignments": [{"phase2": "hq", "name": "VTI_HQ"}],
    "static_routes": [{"name": "lan", "network": "10.1.0.0/24", "gateway": "VTI_HQ_VTIV4"}],
    "filter_mode": {"mode": "enc"},
    "purge": True,
}
SECOND = {
    "phase1": [{**PHASE1, "psk": "battery staple", "proposals": ["aes256gcm16-prfsha384-ecp384"]}],
    "phase2": [{**PHASE2, "local_address": "10.6.106.6/30", "remote_address": "10.6.106.5", "mtu": 1380}, SIX],
    "assignments": [{"phase2": "hq", "name": "VTI_CENTRE"}],
    "static_routes": [
        {"name": "lan", "network": "10.1.0.0/24", "gateway": "VTI_CENTRE_VTIV4"},
        {"name": "nowhere", "network": "10.9.0.0/16", "blackhole": True},
    ],
    "filter_mode": {"mode": "if_ipsec"},
    "purge": True,
}
NOTHING = {"purge": True}
WAN_GW = {"name": "WAN_GW", "interface": "vtnet0", "address": "192.0.2.254"}
WATCHED = {
    **FIRST,
    "assignments": [{"phase2": "hq", "name": "VTI_HQ", "mss": 1400}],
    "gateways": [WAN_GW],
    "gateway_groups": [{"name": "TO_HQ", "members": [{"gateway": "VTI_HQ_VTIV4"}, {"gateway": "WAN_GW", "tier": 2}]}],
    "static_routes": [{"name": "lan", "network": "10.1.0.0/24", "gateway": "TO_HQ"}],
    "default_gateway": {"ipv4": "WAN_GW", "ipv6": "none"},
    "policy_routes": [{"name": "guests", "interface": "vtnet1", "gateway": "VTI_HQ_VTIV4"}],
    "filter_mode": {"mode": "enc", "manage_pf_conf": True},
}
OTHERWISE = {
    **WATCHED,
    "assignments": [{"phase2": "hq", "name": "VTI_HQ", "outbound_nat": True}],
    "gateways": [{**WAN_GW, "address": "192.0.2.253"}, {"name": "VTI_HQ_VTIV4", "force_down": True}],
    "default_gateway": {"ipv4": "TO_HQ", "ipv6": "automatic"},
    "policy_routes": [{"name": "guests", "interface": "vtnet1", "gateway": "TO_HQ"}],
    "filter_mode": {"mode": "if_ipsec", "manage_pf_conf": True},
}
CHANGES = {
    "watch": (FIRST, WATCHED),
    "watch otherwise": (WATCHED, OTHERWISE),
    "watch no more": (OTHERWISE, NOTHING),
    "create": (NOTHING, FIRST),
    "change": (FIRST, SECOND),
    "change back": (SECOND, FIRST),
    "remove": (SECOND, NOTHING),
}


def prepared(start: dict) -> SimulatedSystem:
    _hq, branch = pair()
    # Modules stay loaded for ever, so a host that has lost them again is no state to come back to.
    for module in ("ipsec", "if_enc"):
        branch.run(["kldload", "-n", module])
    branch.files["/usr/local/bin/dpinger"] = ""
    branch.files["/etc/pf.conf"] = "set skip on lo0\npass all\n"
    for argv in (["kldload", "pf"], ["pfctl", "-f", "/etc/pf.conf"], ["pfctl", "-e"]):
        assert branch.run(argv).rc == 0
    branch.files["/etc/sysctl.conf"] = "# A person's.\nkern.coredump=0\n"
    run(SimulatedSystem(branch), "site", **start)
    return SimulatedSystem(branch)


@pytest.mark.parametrize("change", CHANGES)
def test_a_failing_step_leaves_the_host_as_it_was(change):
    start, goal = CHANGES[change]
    count = len(plan(prepared(start), "site", **goal)[2])
    assert count > 10
    for number in range(count):
        system = prepared(start)
        before = snapshot(system.host)
        system.fail_at = number
        with pytest.raises(VtiError, match=r"No space left on device.*The host is as it was before") as caught:
            run(system, "site", **goal)
        assert snapshot(system.host) == before, f"after step {number}"
        assert caught.value.details["not_undone"] == []


@pytest.mark.parametrize("change", CHANGES)
def test_the_next_run_finishes_what_one_that_died_began(change):
    start, goal = CHANGES[change]
    reference = prepared(start)
    run(reference, "site", **goal)
    expected = snapshot(reference.host)
    count = len(plan(prepared(start), "site", **goal)[2])
    for number in range(count):
        system = prepared(start)
        for step in plan(system, "site", **goal)[2][:number]:
            system.apply(step)
        run(system, "site", **goal)
        assert snapshot(system.host) == expected, f"after step {number}"
        assert run(system, "site", **goal) == []


@pytest.mark.parametrize("change", CHANGES)
def test_a_boot_finishes_or_forgets_what_a_run_that_died_began(change):
    start, goal = CHANGES[change]
    count = len(plan(prepared(start), "site", **goal)[2])
    for number in range(count):
        system = prepared(start)
        for step in plan(system, "site", **goal)[2][:number]:
            system.apply(step)
        system.host.reboot()
        run(system, "site", **goal)
        assert run(system, "site", **goal) == [], f"after step {number}"


def test_steps_that_cannot_be_undone_are_named(monkeypatch):
    system = prepared(NOTHING)
    steps = plan(system, "site", **FIRST)[2]
    create = next(n for n, step in enumerate(steps) if "create reqid" in str(step))
    apply = system.apply

    def stubborn(step):
        if "destroy" in str(step):
            raise VtiError("ifconfig: permission denied")
        apply(step)

    monkeypatch.setattr(system, "apply", stubborn)
    system.fail_at = create + 1
    with pytest.raises(
        VtiError, match=r"Going back failed in part.*ifconfig ipsec1 destroy: ifconfig: permission denied"
    ):
        run(system, "site", **FIRST)


def test_a_file_of_a_person_outlives_a_run_that_died_over_it():
    system = prepared(NOTHING)
    text = system.host.files["/etc/sysctl.conf"]
    steps = plan(system, "site", **FIRST)[2]
    journal = next(n for n, step in enumerate(steps) if str(step).endswith("/journal"))
    for step in steps[: journal + 1]:
        system.apply(step)
    run(system, "phase1", **PHASE1)
    assert system.host.files["/etc/sysctl.conf"] == text
