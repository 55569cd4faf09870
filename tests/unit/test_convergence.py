# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From any state of a simulated FreeBSD host, one run arrives, a second rests, and what others made stays."""

from __future__ import annotations

import re

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.observe import observe
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.transition import transition
from ansible_collections.routed_ipsec.vti.tests.sim.freebsd import FreeBSD, Network
from ansible_collections.routed_ipsec.vti.tests.unit.simulated import SimulatedSystem, plan, run, snapshot
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

FOREIGN_CONNECTION = """
connections {
    road {
        version = 2
        local_addrs = 192.0.2.1
        remote_addrs = 192.0.2.99
        local { auth = psk }
        remote { auth = psk }
        children { road { local_ts = 10.1.0.0/24
            remote_ts = 172.16.0.0/16
            reqid = 77 } }
    }
}
secrets { ike-road { secret = "theirs"
 id = 192.0.2.99 } }
"""
FOREIGN = {
    "interface": [
        ["ifconfig", "ipsec40", "create", "reqid", "9040"],
        ["ifconfig", "ipsec40", "inet", "172.31.0.1/30", "172.31.0.2"],
    ],
    "route": [["route", "-n", "add", "-net", "172.20.0.0/16", "192.0.2.254"]],
    "blackhole": [["route", "-n", "add", "-net", "172.21.0.0/16", "-blackhole"]],
    "sysctl": [["sysctl", "net.inet.ip.forwarding=1"]],
}


def fresh_host(foreign: set[str]) -> FreeBSD:
    host = FreeBSD(
        "gw",
        {"vtnet0": ["192.0.2.1/24", "2001:db8::1/64"], "vtnet1": ["10.1.0.1/24"]},
        Network(),
        gateway="192.0.2.254,2001:db8::fe",
    )
    host.files["/usr/local/bin/dpinger"] = ""
    host.files["/etc/sysctl.conf"] = "# A person's.\nkern.coredump=0\n"
    host.files["/etc/rc.conf"] += 'strongswan_enable="YES"\n'
    for module in ("ipsec", "if_enc"):
        host.run(["kldload", "-n", module])
    if "connection" in foreign:
        host.files["/usr/local/etc/swanctl/conf.d/road.conf"] = FOREIGN_CONNECTION
    if "files" in foreign:
        host.files["/etc/rc.conf.d/netif/theirs"] = 'cloned_interfaces="${cloned_interfaces} lo7"\n'
        host.files["/boot/loader.conf.d/theirs.conf"] = 'if_bridge_load="YES"\n'
    assert host.run(["service", "strongswan", "start"]).rc == 0
    for kind in sorted(foreign & set(FOREIGN)):
        for argv in FOREIGN[kind]:
            result = host.run(argv)
            assert result.rc == 0, result
    return host


@st.composite
def gateways(draw) -> dict:
    """Options of vti_site that make sense together."""
    peers = draw(st.lists(st.integers(10, 14), unique=True, max_size=3))
    options: dict = {"phase1": [], "phase2": [], "assignments": [], "static_routes": [], "purge": True}
    usable: list[str] = []
    for peer in peers:
        name, version = f"p{peer}", draw(st.sampled_from([1, 2, 2]))
        split = draw(st.booleans())
        enabled = draw(st.integers(0, 5)) > 0
        options["phase1"].append(
            {
                "name": name,
                "version": version,
                "local_addrs": ["192.0.2.1"],
                "remote_addrs": [f"192.0.2.{peer}"],
                "psk": draw(st.sampled_from(["one", 'two "quoted" $x', "three\nlines"])),
                "split_connections": split,
                "enabled": enabled,
                "proposals": draw(
                    st.sampled_from([["aes128-sha256-modp2048"], ["aes256-sha512-modp4096", "aes128-sha256-modp2048"]])
                ),
            }
        )
        families = draw(st.sets(st.sampled_from([4, 6]), min_size=1))
        mtu = draw(st.sampled_from([1400, 1380]))
        for family in sorted(families):
            transit = (
                ("10.6.106.{}/30", "10.6.106.{}") if family == 4 else ("2001:db8:6:{0}::1/64", "2001:db8:6:{0}::2")
            )
            ends = (4 * peer + 1, 4 * peer + 2) if family == 4 else (peer, peer)
            options["phase2"].append(
                {
                    "name": f"{name}v{family}",
                    "phase1": name,
                    "local_address": transit[0].format(ends[0]),
                    "remote_address": transit[1].format(ends[1]),
                    "mtu": mtu,
                    "start_action": "none",
                }
            )
        if enabled and draw(st.booleans()):
            up = draw(st.integers(0, 4)) > 0
            options["assignments"].append({"phase2": f"{name}v{min(families)}", "name": f"VTI_{peer}", "enabled": up})
            if up and 4 in families and ((version == 2 and not split) or min(families) == 4):
                usable.append(f"VTI_{peer}_VTIV4")
                options["static_routes"].append(
                    {"name": f"lan{peer}", "network": f"10.{peer}.0.0/16", "gateway": usable[-1]}
                )
    if usable and draw(st.booleans()):
        options.update(draw(grouped(usable)))
        options["static_routes"].append({"name": "grouped", "network": "10.200.0.0/16", "gateway": "GROUP"})
    if draw(st.booleans()):
        options["gateways"] = [*options.get("gateways", ()), {**WAN, "monitor_disable": draw(st.booleans())}]
        options["default_gateway"] = {"ipv4": "WAN_GW", "ipv6": draw(st.sampled_from(["none", "automatic"]))}
    if draw(st.booleans()):
        options["static_routes"].append({"name": "nowhere", "network": "10.0.0.0/9", "blackhole": True})
    if draw(st.booleans()):
        options["filter_mode"] = {"mode": draw(st.sampled_from(["enc", "if_ipsec"])), "force": True}
    return options


DRIFTS = (
    "file",
    "mode",
    "content",
    "interface",
    "address",
    "tunnel",
    "reqid",
    "route",
    "moved",
    "sysctl",
    "unload",
    "mtu",
    "down",
    "description",
)


WAN = {"name": "WAN_GW", "interface": "vtnet0", "address": "192.0.2.254", "monitor": "198.51.100.53"}


@st.composite
def grouped(draw, usable: list[str]) -> dict:
    """A group of some gateways, what is told of them, and a policy route."""
    members = [{"gateway": name, "tier": draw(st.integers(1, 3))} for name in usable]
    on_down = draw(st.sampled_from(["block", "follow"]))
    return {
        "gateways": [{"name": usable[0], "weight": draw(st.integers(1, 3)), "force_down": draw(st.booleans())}],
        "gateway_groups": [{"name": "GROUP", "members": members}],
        "policy_routes": [
            {
                "name": "lan",
                "interface": "vtnet1",
                "gateway": draw(st.sampled_from(["GROUP", *usable])),
                "on_down": on_down,
            }
        ],
    }


def drift(system: SimulatedSystem, what: str, pick: int) -> None:
    """Break one thing of ours on the host, if there is such a thing."""
    host = system.host
    observed = observe(system)
    # A service whose script is gone cannot be ended; without its configuration it does nothing.
    ours = sorted(
        path
        for path in observed.realized.files
        if "/routed_ipsec/" not in path
        and path != "/etc/sysctl.conf"
        and not path.endswith("/rc.d/routed_ipsec_monitor")
    )
    interfaces = sorted(
        {item.interface for item in observed.declared.phase2.values()} & set(observed.realized.interfaces)
    )
    routes = [
        (n, observed.realized.routes[n])
        for n in sorted(r.network for r in observed.declared.static_routes.values())
        if n in observed.realized.routes
    ]
    if what in ("file", "mode", "content") and ours:
        path = ours[pick % len(ours)]
        if what == "file" and not path.endswith(".conf"):  # a secret that is lost can only be given again
            del host.files[path]
        elif what == "mode":
            host.files.modes[path] = 0o640
        elif what == "content":
            host.files[path] = host.files[path] + "# edited\n"
    elif what == "sysctl" and observed.declared.filter_mode:
        host.run(["sysctl", "net.enc.in.ipsec_filter_mask=3"])
    elif what == "unload":
        host.state["charon"]["conns"].clear()
    elif what in ("route", "moved") and routes:
        network, hops = routes[pick % len(routes)]
        way = [hops[0].gateway] if hops[0].gateway else ["-blackhole"]
        host.run(["route", "-n", "delete", "-net", network, *way])
        if what == "moved":
            host.run(["route", "-n", "add", "-net", network, "192.0.2.253"])
    elif interfaces:
        name = interfaces[pick % len(interfaces)]
        addresses = [a for a in observed.realized.interfaces[name].addresses if ":" not in a.address]
        argv = {
            "interface": ["destroy"],
            "address": ["inet", addresses[0].address, "-alias"] if addresses else ["inet", "10.99.0.1/30", "10.99.0.2"],
            "tunnel": ["inet", "tunnel", "192.0.2.1", "192.0.2.200"],
            "reqid": ["reqid", "4999"],
            "mtu": ["mtu", "1300"],
            "down": ["down"],
            "description": ["description", "drifted"],
        }.get(what)
        if argv:
            host.run(["ifconfig", name, *argv])


def profile(examples: int) -> settings:
    """Without shrinking: with a host for each try it takes longer than reading a large example."""
    phases = [Phase.explicit, Phase.generate]
    return settings(
        max_examples=examples, phases=phases, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
    )


@profile(200)
@given(
    start=gateways(),
    goal=gateways(),
    drifts=st.lists(st.tuples(st.sampled_from(DRIFTS), st.integers(0, 20)), max_size=5),
    died_after=st.none() | st.integers(0, 40),
    foreign=st.sets(st.sampled_from([*FOREIGN, "connection", "files"])),
)
def test_one_run_arrives_a_second_rests_and_teardown_restores(start, goal, drifts, died_after, foreign):
    host = fresh_host(foreign)
    virgin = snapshot(host)
    system = SimulatedSystem(host)
    if died_after is None:
        run(system, "site", **start)
    else:
        for step in plan(system, "site", **start)[2][:died_after]:
            system.apply(step)
    for what, number in drifts:
        drift(system, what, number)

    before, after, steps = plan(system, "site", **goal)
    done = run(system, "site", **goal)
    assert done == [str(step) for step in steps]
    assert list(transition(after, after)) == []
    arrived = snapshot(host)
    assert run(system, "site", **goal) == []

    twin_host = fresh_host(foreign)
    run(SimulatedSystem(twin_host), "site", **goal)
    expected = snapshot(twin_host)
    for part in ("routes", "connections", "secrets"):
        assert arrived[part] == expected[part] or _numbers_differ(before, goal), part

    run(system, "site", purge=True)
    left = snapshot(host)
    for part in virgin:
        assert left[part] == virgin[part], part


def _numbers_differ(before, goal) -> bool:
    """Whether the start had taken numbers that a fresh host would give otherwise: they stay for life."""
    return bool(before.declared.phase2)


@profile(60)
@given(goal=gateways(), foreign=st.sets(st.sampled_from([*FOREIGN, "connection", "files"])))
def test_a_reboot_brings_back_what_was(goal, foreign):
    host = fresh_host(foreign - set(FOREIGN))
    system = SimulatedSystem(host)
    run(system, "site", **goal)
    host.reboot()
    # strongSwan's and the kernel's own state apart, there is nothing left to do.
    assert run(system, "site", **goal) == []


@pytest.mark.parametrize("what", DRIFTS)
def test_repairs_what_drifted_and_nothing_else(what):
    goal = {
        "phase1": [{"name": "p", "local_addrs": ["192.0.2.1"], "remote_addrs": ["192.0.2.10"], "psk": "one"}],
        "phase2": [{"name": "p", "phase1": "p", "local_address": "10.6.106.1/30", "remote_address": "10.6.106.2"}],
        "assignments": [{"phase2": "p", "name": "VTI_P"}],
        "static_routes": [{"name": "lan", "network": "10.2.0.0/16", "gateway": "VTI_P_VTIV4"}],
        "filter_mode": {"mode": "if_ipsec"},
        "purge": True,
    }
    host = fresh_host(set())
    system = SimulatedSystem(host)
    run(system, "site", **goal)
    settled = snapshot(host)
    drift(system, what, {"file": 1, "mode": 3, "content": 3}.get(what, 0))
    steps = [step for step in run(system, "site", **goal) if "/journal" not in step]
    assert snapshot(host) == settled
    repairs = {
        "file": ["write /etc/rc.conf.d/netif/routed_ipsec_if_ipsec1"],
        "mtu": ["ifconfig ipsec1 mtu 1400"],
        "down": ["ifconfig ipsec1 up", "route -n add -net 10.2.0.0/16 10.6.106.2"],
        "description": ["ifconfig ipsec1 description VTI_P"],
        "tunnel": ["ifconfig ipsec1 inet tunnel 192.0.2.1 192.0.2.10"],
        "reqid": ["ifconfig ipsec1 reqid 5001"],
        "interface": [
            "ifconfig ipsec1 create reqid 5001",
            "ifconfig ipsec1 inet tunnel 192.0.2.1 192.0.2.10",
            "ifconfig ipsec1 inet 10.6.106.1/30 10.6.106.2 alias",
            "ifconfig ipsec1 description VTI_P",
            "ifconfig ipsec1 up",
            "route -n add -net 10.2.0.0/16 10.6.106.2",
        ],
        "mode": ["write /usr/local/etc/swanctl/conf.d/p.conf", "swanctl --load-all --noprompt"],
        "content": ["write /usr/local/etc/swanctl/conf.d/p.conf", "swanctl --load-all --noprompt"],
        "route": ["route -n add -net 10.2.0.0/16 10.6.106.2"],
        "moved": ["route -n change -net 10.2.0.0/16 10.6.106.2"],
        "sysctl": ["sysctl net.enc.in.ipsec_filter_mask=0"],
        "unload": ["swanctl --load-all --noprompt"],
        "address": [
            "ifconfig ipsec1 inet 10.6.106.1/30 10.6.106.2 alias",
            "route -n add -net 10.2.0.0/16 10.6.106.2",
        ],
    }
    assert steps == repairs[what]


def test_does_not_take_over_what_others_made():
    host = fresh_host({"interface", "connection"})
    system = SimulatedSystem(host)
    run(system, "phase1", name="p", local_addrs=["192.0.2.1"], remote_addrs=["192.0.2.10"], psk="one")
    address = {"phase1": "p", "local_address": "10.6.106.1/30", "remote_address": "10.6.106.2"}
    with pytest.raises(InvalidOption, match=r"^unit: ipsec40 is on the host"):
        plan(system, "phase2", name="p", unit=40, **address)
    with pytest.raises(InvalidOption, match=r"^reqid: 9040 .* interface ipsec40"):
        plan(system, "phase2", name="p", reqid=9040, **address)
    with pytest.raises(InvalidOption, match=r"^reqid: 77 .* child road"):
        plan(system, "phase2", name="p", reqid=77, **address)
    with pytest.raises(InvalidOption, match=r"^name: .*road.conf"):
        plan(system, "phase1", name="road", local_addrs=["192.0.2.1"], remote_addrs=["192.0.2.11"], psk="one")


def many(count: int) -> dict:
    options: dict = {"phase1": [], "phase2": [], "assignments": [], "static_routes": [], "purge": True}
    for number in range(count):
        high, low = divmod(number, 64)
        name = f"p{number}"
        options["phase1"].append(
            {"name": name, "local_addrs": ["192.0.2.1"], "remote_addrs": [f"198.18.{high}.{low + 1}"], "psk": name}
        )
        ends = {"local_address": f"10.250.{high}.{4 * low + 1}/30", "remote_address": f"10.250.{high}.{4 * low + 2}"}
        options["phase2"].append({"name": name, "phase1": name, "start_action": "none", **ends})
        options["assignments"].append({"phase2": name, "name": f"VTI_{number}"})
        options["static_routes"].append(
            {"name": f"lan{number}", "network": f"10.{200 + high}.{low}.0/24", "gateway": f"VTI_{number}_VTIV4"}
        )
    return options


def test_looking_costs_the_same_number_of_programs_however_many_tunnels_there_are():
    counts = []
    for tunnels in (1, 100):
        system = SimulatedSystem(fresh_host(set()))
        run(system, "site", **many(tunnels))
        system.commands.clear()
        assert run(system, "site", **many(tunnels)) == []
        counts.append(len(system.commands))
    assert counts[0] == counts[1] <= 10


def test_one_tunnel_more_leaves_the_others_alone():
    system = SimulatedSystem(fresh_host(set()))
    run(system, "site", **many(20))
    steps = run(system, "site", **many(21))
    others = re.compile(r"\b(p|lan|VTI_)(\d|1\d)\b|ipsec(\d|1\d|20)\b")
    assert not [step for step in steps if others.search(step)]
    assert "ifconfig ipsec21 create reqid 5021" in steps
