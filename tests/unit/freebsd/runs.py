# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of the modules on simulated FreeBSD hosts that together reach every command of the collection's."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import tempfile
import typing as t

import yaml
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import VtiError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._monitor import plan, probers
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.monitor.state import LIBRARY, SERVICE
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site import report
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.observe import observe
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.platform import FreeBSD as Platform
from ansible_collections.routed_ipsec.vti.tests.sim.freebsd import FreeBSD, Network
from ansible_collections.routed_ipsec.vti.tests.unit.content import tasks
from ansible_collections.routed_ipsec.vti.tests.unit.simulated import SimulatedSystem, pair, run
from jinja2.nativetypes import NativeEnvironment
from jinja2.runtime import Context

ROOT = pathlib.Path(__file__).resolve().parents[3]
FIXTURES = ROOT / "tests" / "fixtures" / "freebsd"

PHASE1 = {"name": "hq", "local_addrs": ["192.0.2.2"], "remote_addrs": ["192.0.2.1"], "psk": "correct horse"}
PHASE2 = {"name": "hq", "phase1": "hq", "local_address": "10.6.106.2/30", "remote_address": "10.6.106.1"}
SIX = {"name": "hq6", "phase1": "hq", "local_address": "2001:db8:6::2/64", "remote_address": "2001:db8:6::1"}
SECOND = {**PHASE2, "name": "more", "local_address": "10.6.107.2/30", "remote_address": "10.6.107.1"}
SECOND6 = {**SIX, "name": "more6", "local_address": "2001:db8:7::2/64", "remote_address": "2001:db8:7::1"}
VTI_HQ = {"phase2": "hq", "name": "VTI_HQ"}
OUTER6 = {**PHASE1, "local_addrs": ["2001:db8::2"], "remote_addrs": ["2001:db8::1"]}
ANY = {**PHASE1, "remote_addrs": ["%any"], "remote_id": "hq"}
LAN = {"name": "lan", "network": "10.1.0.0/24"}
LAN6 = {"name": "lan6", "network": "2001:db8:1::/48"}
NOWHERE = {"name": "nowhere", "network": "10.9.0.0/16", "blackhole": True}
NOWHERE6 = {"name": "nowhere6", "network": "2001:db8:9::/48", "blackhole": True}
GATEWAY = "VTI_HQ_VTIV4"
GATEWAY6 = "VTI_HQ_VTIV6"


def site(
    phase2: list[dict], routes: t.Sequence[dict] = (), *, phase1: dict | None = None, **more: t.Any
) -> dict[str, t.Any]:
    """Options of vti_site for one tunnel with an assignment."""
    return {
        "phase1": [phase1 or PHASE1],
        "phase2": phase2,
        "assignments": [VTI_HQ],
        "static_routes": list(routes),
        "purge": True,
        **more,
    }


BOTH = site([PHASE2, SIX], [{**LAN, "gateway": GATEWAY}, {**LAN6, "gateway": GATEWAY6}, NOWHERE, NOWHERE6])
NOTHING = {"purge": True}
PF = {**PHASE1, "firewall_rules": True}
WAN_GW = {"name": "WAN_GW", "interface": "vtnet0", "address": "192.0.2.254", "gw_down_kill_states": "gateway"}
WAN_GW6 = {"name": "WAN_GW6", "interface": "vtnet0", "address": "2001:db8::fe"}
TO_HQ = {
    "name": "TO_HQ",
    "members": [{"gateway": GATEWAY}, {"gateway": "WAN_GW", "tier": 2}],
    "keep_failover_states": False,
}
TO_HQ6 = {"name": "TO_HQ6", "members": [{"gateway": GATEWAY6}, {"gateway": "WAN_GW6", "tier": 2}]}
WATCHED = site(
    [PHASE2, SIX],
    [{**LAN, "gateway": "TO_HQ"}, {**LAN6, "gateway": "TO_HQ6"}],
    gateways=[WAN_GW, WAN_GW6],
    gateway_groups=[TO_HQ, TO_HQ6],
)
CLAMPED = {**VTI_HQ, "mss": 1400, "outbound_nat": True}
POLICY = {"name": "guests", "interface": "vtnet1", "gateway": "TO_HQ"}


def defaults(ipv4: str, ipv6: str) -> dict[str, t.Any]:
    """Options of vti_site for gateways and the default gateways among them."""
    return {
        **WATCHED,
        "gateways": [
            WAN_GW,
            WAN_GW6,
            {"name": "OTHER", "interface": "vtnet0", "address": "192.0.2.253"},
            {"name": "OTHER6", "interface": "vtnet0", "address": "2001:db8::fd"},
        ],
        "default_gateway": {"ipv4": ipv4, "ipv6": ipv6},
    }


SEQUENCES: dict[str, list[dict[str, t.Any]]] = {
    "both families, made and removed": [BOTH, NOTHING],
    "everything about a tunnel changes": [
        BOTH,
        site(
            [{**PHASE2, "local_address": "10.6.106.6/30", "remote_address": "10.6.106.5", "mtu": 1380}],
            [{**LAN, "network": "10.1.0.0/24", "gateway": GATEWAY}, NOWHERE],
            phase1={**PHASE1, "remote_addrs": ["192.0.2.9"], "psk": "other"},
        ),
        BOTH,
        NOTHING,
    ],
    "outer IPv6, and back": [site([PHASE2, SIX], phase1=OUTER6), BOTH, site([PHASE2], phase1=OUTER6)],
    "IPv6 alone": [
        site([SIX], assignments=[]),
        site([{**SIX, "dynamic_endpoints": True}], phase1=ANY, assignments=[]),
    ],
    "two addresses of each family": [site([PHASE2, SIX, SECOND, SECOND6]), NOTHING],
    "unknown peer": [site([{**PHASE2, "dynamic_endpoints": True}], phase1=ANY), NOTHING],
    "routes by interface, changed in place": [
        site([PHASE2, SIX], [{**LAN, "interface": "ipsec1"}, {**LAN6, "interface": "ipsec1"}]),
        site([PHASE2, SIX], [{**LAN, "gateway": GATEWAY}, {**LAN6, "gateway": GATEWAY6}]),
        site([PHASE2, SIX], [{**LAN, "interface": "ipsec1"}, {**LAN6, "interface": "ipsec1"}]),
        site([PHASE2, SIX]),
    ],
    "disabled assignment": [BOTH, site([PHASE2, SIX], assignments=[{**VTI_HQ, "enabled": False}]), BOTH],
    "assignment removed": [BOTH, site([PHASE2, SIX], assignments=[])],
    "filter modes": [
        site([PHASE2], filter_mode={"mode": "enc"}),
        site([PHASE2], filter_mode={"mode": "if_ipsec"}),
        site([PHASE2]),
    ],
    "gateways, a monitor renewed": [WATCHED, NOTHING],
    "default gateways": [
        defaults("OTHER", "OTHER6"),
        defaults("none", "none"),
        defaults("WAN_GW", "WAN_GW6"),
        NOTHING,
    ],
    "pf, policy routes, clamps and NAT": [
        {
            **WATCHED,
            "assignments": [CLAMPED],
            "policy_routes": [POLICY],
            "filter_mode": {"mode": "if_ipsec", "manage_pf_conf": True},
        },
        {**WATCHED, "filter_mode": {"mode": "if_ipsec", "manage_pf_conf": True}},
        NOTHING,
    ],
    "pf": [
        site([PHASE2], phase1=PF, filter_mode={"mode": "enc", "inner_rules": True, "manage_pf_conf": True}),
        NOTHING,
    ],
}


class Collected(SimulatedSystem):
    """A simulated host that keeps what programs were run on it for all runs together."""

    seen: t.ClassVar[set[tuple[str, ...]]] = set()

    def run(self, argv, *, stdin=None, timeout=30.0):
        self.seen.add(tuple(argv))
        return super().run(argv, stdin=stdin, timeout=timeout)


def hosts(*, pf: bool = False) -> tuple[FreeBSD, FreeBSD]:
    hq, branch = pair()
    branch.files["/usr/local/bin/dpinger"] = ""
    if pf:
        branch.files["/etc/pf.conf"] = "set skip on lo0\npass all\n"
        for argv in (["kldload", "pf"], ["pfctl", "-f", "/etc/pf.conf"], ["pfctl", "-e"]):
            assert branch.run(argv).rc == 0
    return hq, branch


def drift(host: FreeBSD, *commands: str) -> None:
    for words in commands:
        result = host.run(words.split())
        assert result.rc == 0, (words, result)


def _drifted(system: SimulatedSystem) -> None:
    """What a person or a crash can do to the running state, repaired."""
    host = system.host
    run(system, "site", **BOTH)
    for commands in (
        ["ifconfig ipsec1 reqid 4999", "ifconfig ipsec1 down"],
        ["ifconfig ipsec1 inet 10.99.0.1/30 10.99.0.2 alias", "ifconfig ipsec1 inet6 2001:db8:99::1/64 alias"],
        ["route -n delete -net 10.1.0.0/24 10.6.106.1", "route -n add -net 10.1.0.0/24 192.0.2.254"],
        [
            "route -n delete -inet6 -net 2001:db8:1::/48 2001:db8:6::1",
            "route -n add -inet6 -net 2001:db8:1::/48 2001:db8::1",
        ],
        ["route -n add -net 10.1.0.0/24 192.0.2.253"],
        ["route -n add -inet6 -net 2001:db8:1::/48 2001:db8::1"],
        ["ifconfig ipsec1 destroy"],
    ):
        drift(host, *commands)
        run(system, "site", **BOTH)
        assert run(system, "site", **BOTH) == []
    # An address that the interface must not have, since the tunnel is not known yet.
    run(system, "site", **site([{**PHASE2, "dynamic_endpoints": True}], phase1=ANY))
    drift(host, "ifconfig ipsec1 inet tunnel 192.0.2.2 192.0.2.1")
    disabled = site([{**PHASE2, "dynamic_endpoints": True}], phase1=ANY, assignments=[{**VTI_HQ, "enabled": False}])
    run(system, "site", **disabled)
    run(system, "site", **site([PHASE2]))
    run(system, "site", **site([PHASE2], assignments=[{**VTI_HQ, "enabled": False}]))


def _tunnels_with_a_peer(branch: SimulatedSystem) -> None:
    """Insist on a tunnel, replace its configuration while it is up, look at it."""
    hq = Collected(branch.host.network.hosts["hq"])
    theirs = {**PHASE1, "name": "branch", "local_addrs": ["192.0.2.1"], "remote_addrs": ["192.0.2.2"]}
    far = {"name": "branch", "phase1": "branch", "local_address": "10.6.106.1/30", "remote_address": "10.6.106.2"}
    run(hq, "phase1", **theirs)
    run(hq, "phase2", **far, start_action="trap")
    run(branch, "phase1", **PHASE1)
    run(branch, "phase2", **PHASE2, establish_timeout=10)
    run(branch, "assignment", **VTI_HQ)
    run(branch, "static_route", **LAN, gateway=GATEWAY)
    run(branch, "filter_mode", mode="if_ipsec")
    run(branch, "phase1", **{**PHASE1, "dpd_delay": 20})
    report.everything(observe(branch))
    report.lookups(branch, ["10.1.0.7", "2001:db8::1", "203.0.113.9"])
    for kind, name in (("static_route", "lan"), ("assignment", "VTI_HQ"), ("phase2", "hq"), ("phase1", "hq")):
        run(branch, kind, name=name, state="absent")
    run(branch, "filter_mode", state="absent")


def updown(verb: str, me: str, peer: str, interface: str = "ipsec1") -> list[str]:
    """Run the updown script by sh; the words of the ifconfig that it ran, none if it ran none."""
    platform = Platform()
    script = platform.common_files([t.cast("t.Any", type("Dynamic", (), {"dynamic_endpoints": True}))])[platform.updown]
    with tempfile.TemporaryDirectory() as folder:
        stand_in = pathlib.Path(folder, "ifconfig")
        stand_in.write_text('#!/bin/sh\nprintf "%s\\n" ifconfig "$@"\n', encoding="ascii")
        stand_in.chmod(0o755)
        # The stand-in in place of the path that the script names.
        path = pathlib.Path(folder, "updown")
        assert script.content.count("/sbin/ifconfig") == script.content.count("ifconfig")
        path.write_text(script.content.replace("/sbin/ifconfig", str(stand_in)), encoding="utf-8")
        done = subprocess.run(
            ["/bin/sh", "-eu", str(path), interface],
            env={"PLUTO_VERB": verb, "PLUTO_ME": me, "PLUTO_PEER": peer, "PATH": os.defpath},
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    assert done.stderr == ""
    return done.stdout.splitlines()


def by_modules() -> set[tuple[str, ...]]:
    """Every command that the modules run in a broad set of runs."""
    Collected.seen.clear()
    for name, sequence in SEQUENCES.items():
        system = Collected(hosts(pf=name.startswith("pf"))[1])
        for options in sequence:
            run(system, "site", **options)
            if "renewed" in name and options is WATCHED:
                system.host.files[f"{LIBRARY}/{SERVICE}/plan.py"] += "# as an older release had it\n"
                run(system, "site", **options)
    _drifted(Collected(hosts()[1]))
    _tunnels_with_a_peer(Collected(hosts()[1]))
    stopped = Collected(FreeBSD("down", {"vtnet0": ["192.0.2.2/24"]}, Network()))
    with contextlib.suppress(VtiError):
        run(stopped, "phase1", **PHASE1)
    for verb, me, peer in (("up-client", "192.0.2.2", "192.0.2.1"), ("up-client-v6", "2001:db8::2", "2001:db8::1")):
        Collected.seen.add(tuple(updown(verb, me, peer)))
    return set(Collected.seen)


def by_the_monitor() -> set[tuple[str, ...]]:
    """Every command that the gateway monitor runs on FreeBSD: probers, routes, rules, the end of states."""
    system = SimulatedSystem(hosts(pf=True)[1])
    run(system, "site", **WATCHED, policy_routes=[POLICY])
    config = json.loads(system.host.files["/usr/local/etc/routed_ipsec/monitor.conf"])
    targets = {name: (name,) for name in config["gateways"]}
    first = {"TO_HQ": GATEWAY, "TO_HQ6": GATEWAY6}
    second = {"TO_HQ": "WAN_GW", "TO_HQ6": "WAN_GW6"}
    programs = []
    for routes in (first, second):
        selections = {**targets, **{name: (gateway,) for name, gateway in routes.items()}}
        programs += plan.commands(config, selections, routes)
    programs += plan.kills(config, ["WAN_GW"], ["TO_HQ"], {}, linux=False)
    config["gateways"]["WAN_GW"]["gw_down_kill_states"] = "all"
    programs += plan.kills(config, ["WAN_GW"], [], {}, linux=False)
    found = {argv for program in programs for argv in program.tries}
    for name, gateway in config["gateways"].items():
        numbers = (
            gateway[key] for key in ("interval", "loss_interval", "time_period", "alert_interval", "data_payload")
        )
        probe = probers.Probe(name, gateway["interface"], gateway["source"], gateway["monitor"], *numbers)
        found.add(("dpinger", *probers.dpinger_job("dpinger", probe).argv[1:]))
    return found


_SAMPLES: dict[str, t.Any] = {
    "__gateway_found": {"files": []},
    "ansible_facts": {"system": "FreeBSD", "os_family": "FreeBSD"},
    "ansible_check_mode": False,
    "gateway_gateways": [{"name": "WAN_GW"}],
    "gateway_gateway_groups": [],
    "gateway_policy_routes": [],
    "gateway_assignments": [],
    "__frr_person": {"stat": {}},
    "__frr_plan": {"protocol": "bgp", "daemons": ["bgpd", "bfdd"]},
    "__frr_kept": {"results": [{"item": "frr.conf", "stat": {"exists": True}}]},
    "__frr_running": {"rc": 1},
    "verify_plan": {"protocol": "bgp"},
    "rotate_starter": {"host": "branch", "phase1": "hq"},
    "rotate_old": {"results": [{}, {"tunnels": [{"phase1": "hq", "child": "hq"}]}]},
    "gateway_forward_ipv4": True,
    "gateway_forward_ipv6": True,
}
_PAIRS = [({"mtu": 1400}, "10.6.106.1"), ({"mtu": 1400}, "2001:db8:6::1")]


def by_roles_and_playbooks() -> set[tuple[str, ...]]:
    """Every command that tasks run on FreeBSD, templates filled in; Ansible's service module as service NAME STATE."""
    variables = dict(_SAMPLES)
    for name in (
        "roles/gateway/vars/main",
        "roles/gateway/vars/FreeBSD",
        "roles/gateway/vars/system_FreeBSD",
        "roles/frr/vars/main",
        "roles/frr/vars/FreeBSD",
        "roles/pki/vars/main",
        "roles/pki/vars/FreeBSD",
        "playbooks/vars/verify",
    ):
        read = yaml.safe_load((ROOT / f"{name}.yml").read_text(encoding="utf-8"))
        variables |= {key: value for key, value in read.items() if key not in variables}
    other = re.compile(r"_(Debian|RedHat|Linux)\.yml$")
    files = [path for path in sorted((ROOT / "roles").glob("*/tasks/*.yml")) if not other.search(path.name)]
    found: set[tuple[str, ...]] = set()
    playbooks = [*(ROOT / "playbooks").glob("*.yml"), *(ROOT / "playbooks" / "tasks").glob("*.yml")]
    for path in (*files, *sorted(playbooks)):
        plays = yaml.safe_load(path.read_text(encoding="utf-8"))
        own = {**variables}
        for play in plays:
            own |= play.get("vars", {}) if "hosts" in play else {}
        for task in tasks(path):
            if "Linux" not in str(task.get("when", "")) or "FreeBSD" in str(task.get("when", "")):
                found |= set(_commands(task, own))
    return found


class _Lazy(Context):
    """Variables that are templates themselves, filled in when they are used."""

    def resolve_or_missing(self, key: str) -> t.Any:
        value = super().resolve_or_missing(key)
        return _filled(value, dict(self.get_all())) if isinstance(value, (str, list)) else value


class _Environment(NativeEnvironment):
    """Ansible's templates as far as these tasks go; its own engine would turn this process into a controller."""

    context_class = _Lazy

    def __init__(self) -> None:
        super().__init__()
        self.filters |= {
            "bool": bool,
            "combine": lambda one, other: {**one, **other},
            "dict2items": lambda value: [{"key": key, "value": item} for key, item in value.items()],
            "intersect": lambda one, other: [item for item in one if item in other],
        }


def _filled(value: t.Any, variables: dict[str, t.Any]) -> t.Any:
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    if not isinstance(value, str) or "{{" not in value:
        return value
    return _Environment().from_string(value).render(variables)


def _commands(task: dict[str, t.Any], variables: dict[str, t.Any]) -> t.Iterator[tuple[str, ...]]:
    service, command = task.get("ansible.builtin.service"), task.get("ansible.builtin.command")
    raw = task.get("ansible.builtin.raw", "")
    yield from (tuple(shlex.split(part)) for part in re.split(r"[;&|]+", raw) if part.strip() not in ("", "true"))
    if service:
        yield "service", service["name"], service.get("state", "enabled")
    if not command:
        return
    variables = {**variables, "vars": variables, **task.get("vars", {})}
    loop = task.get("loop", [None])
    if "subelements" in str(loop):
        loop = _PAIRS
    elif "product" in str(loop):
        loop = [("peer", "vti_lan_address"), ("peer", "vti_lan_address6")]
        addresses = {"vti_lan_address": "10.1.0.1", "vti_lan_address6": "2001:db8:1::1"}
        variables |= {"hostvars": {"peer": addresses}, "vars": addresses}
    elif isinstance(loop, str):
        loop = _filled(loop, variables)
    for item in loop:
        yield tuple(str(word) for word in _filled(command["argv"], {**variables, "item": item}))
