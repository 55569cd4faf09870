# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Outer addresses that change, or are known only once the tunnel is up: addresses and routes of the VTI stay."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption
from ansible_collections.routed_ipsec.vti.plugins.module_utils._formats import settings
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.observe import observe
from ansible_collections.routed_ipsec.vti.tests.unit.freebsd.runs import (
    ANY,
    GATEWAY,
    GATEWAY6,
    LAN,
    LAN6,
    NOTHING,
    PHASE1,
    PHASE2,
    SIX,
    hosts,
    site,
    updown,
)
from ansible_collections.routed_ipsec.vti.tests.unit.simulated import SimulatedSystem, plan, run

SCRIPT = "/usr/local/etc/routed_ipsec/updown"
ROUTES = [{**LAN, "gateway": GATEWAY}, {**LAN6, "gateway": GATEWAY6}]
MOVING = site([{**PHASE2, "dynamic_endpoints": True}, {**SIX, "dynamic_endpoints": True}], ROUTES, phase1=ANY)
HOSTNAME = {**PHASE1, "remote_addrs": ["hq.example.net"], "remote_id": "hq"}


def settled(options: dict) -> SimulatedSystem:
    system = SimulatedSystem(hosts()[1])
    system.host.network.names["hq.example.net"] = "192.0.2.1"
    run(system, "site", **options)
    return system


def inner(system: SimulatedSystem) -> tuple:
    """What must stay: addresses, MTU, and routes."""
    realized = observe(system).realized
    found = realized.interfaces["ipsec1"]
    return found.addresses, found.mtu, found.reqid, found.up, realized.routes


# What strongSwan's updown plugin calls it with: strongSwan's updown_listener.c.
@pytest.mark.parametrize("verb", ["up-client", "up-host", "up-client-v6", "up-host-v6"])
@pytest.mark.parametrize(
    ("me", "peer", "family"), [("192.0.2.2", "192.0.2.1", "inet"), ("2001:db8::2", "2001:db8::1", "inet6")]
)
def test_the_script_ties_the_interface_when_the_tunnel_comes_up(verb, me, peer, family):
    """The outer family counts; the verb tells that of the selectors."""
    assert updown(verb, me, peer, "ipsec7") == ["ifconfig", "ipsec7", family, "tunnel", me, peer]


@pytest.mark.parametrize("verb", ["down-client", "down-host", "down-client-v6", "down-host-v6", "", "prepare-client"])
def test_the_script_does_nothing_else(verb):
    assert updown(verb, "192.0.2.2", "192.0.2.1") == []


def test_the_script_is_ours_executable_and_plain_sh():
    host = settled(MOVING).host
    assert host.files.modes[SCRIPT] == 0o755
    first, second = host.files[SCRIPT].splitlines()[:2]
    assert first == "#!/bin/sh"
    assert "routed_ipsec.vti" in second
    subprocess.run(["/bin/sh", "-n"], input=host.files[SCRIPT], text=True, timeout=10, check=True)


def test_the_child_calls_it_with_its_interface():
    host = settled(MOVING).host
    document = settings.parse(host.files["/usr/local/etc/swanctl/conf.d/hq.conf"])
    child = document["connections"]["hq"]["children"]["hq"]
    assert child["updown"] == f"{SCRIPT} ipsec1"
    assert host.state["charon"]["conns"]["hq"]["children"]["hq"]["updown"] == f"{SCRIPT} ipsec1"


def test_a_child_with_fixed_endpoints_has_no_script():
    host = settled(site([PHASE2])).host
    assert SCRIPT not in host.files
    assert "updown" not in host.files["/usr/local/etc/swanctl/conf.d/hq.conf"]


def test_what_the_script_sets_is_left_alone():
    system = settled(MOVING)
    before = inner(system)
    assert observe(system).realized.interfaces["ipsec1"].tunnel is None
    for peer in ("192.0.2.1", "192.0.2.9"):
        assert system.host.run(updown("up-client", "192.0.2.2", peer)).rc == 0
        assert observe(system).realized.interfaces["ipsec1"].tunnel == ("192.0.2.2", peer)
        assert inner(system) == before
        assert run(system, "site", **MOVING) == []
    # The same tunnel over IPv6, as after a move to another network.
    assert system.host.run(updown("up-client", "2001:db8::2", "2001:db8::1")).rc == 0
    assert inner(system) == before


def test_a_change_elsewhere_leaves_it_alone_too():
    system = settled(MOVING)
    assert system.host.run(updown("up-client", "192.0.2.2", "192.0.2.1")).rc == 0
    changed = {**MOVING, "phase2": [{**item, "mtu": 1380} for item in MOVING["phase2"]]}
    steps = run(system, "site", **changed)
    assert "ifconfig ipsec1 mtu 1380" in steps
    assert not [step for step in steps if "tunnel" in step]
    assert observe(system).realized.interfaces["ipsec1"].tunnel == ("192.0.2.2", "192.0.2.1")


def test_a_fixed_peer_that_moves_is_followed_in_place():
    system = settled(site([PHASE2, SIX], ROUTES))
    before = inner(system)
    moved = site([PHASE2, SIX], ROUTES, phase1={**PHASE1, "remote_addrs": ["192.0.2.9"]})
    steps = [step for step in run(system, "site", **moved) if step.startswith(("ifconfig", "route"))]
    assert steps == ["ifconfig ipsec1 inet tunnel 192.0.2.2 192.0.2.9"]
    assert inner(system) == before


def test_a_change_of_the_outer_family_is_in_place_too():
    system = settled(site([PHASE2, SIX], ROUTES))
    before = inner(system)
    six = {**PHASE1, "local_addrs": ["2001:db8::2"], "remote_addrs": ["2001:db8::1"]}
    steps = [step for step in run(system, "site", **site([PHASE2, SIX], ROUTES, phase1=six)) if "ifconfig" in step]
    assert steps == ["ifconfig ipsec1 inet6 tunnel 2001:db8::2 2001:db8::1"]
    assert inner(system) == before


@pytest.mark.parametrize("phase1", [HOSTNAME, ANY], ids=["hostname", "any"])
def test_a_peer_without_an_address_needs_the_script(phase1):
    system = settled(NOTHING)
    with pytest.raises(InvalidOption, match=r"remote_addrs: .*set dynamic_endpoints=true"):
        plan(system, "site", **site([PHASE2], phase1=phase1))
    run(system, "site", **site([{**PHASE2, "dynamic_endpoints": True, "start_action": "none"}], phase1=phase1))
    assert SCRIPT in system.host.files


def test_the_script_goes_with_the_last_tunnel_that_needs_it():
    system = settled(MOVING)
    run(system, "site", **site([PHASE2]))
    assert SCRIPT not in system.host.files
    assert observe(system).realized.interfaces["ipsec1"].tunnel == ("192.0.2.2", "192.0.2.1")
