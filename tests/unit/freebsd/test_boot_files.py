# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our files under rc.conf.d, read by a real sh as rc reads them, bring about what a run has configured live."""

from __future__ import annotations

import re

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.interface import freebsd as interface
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.interface.state import Address, Interface
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.observe import observe
from ansible_collections.routed_ipsec.vti.tests.sim.freebsd import FreeBSD, Network
from ansible_collections.routed_ipsec.vti.tests.unit.freebsd import boot
from ansible_collections.routed_ipsec.vti.tests.unit.freebsd.runs import BOTH, hosts
from ansible_collections.routed_ipsec.vti.tests.unit.simulated import SimulatedSystem, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HARDWARE = {"vtnet0": ["192.0.2.1/24", "2001:db8::1/64"], "vtnet1": ["10.1.0.1/24"]}


def fresh() -> FreeBSD:
    return FreeBSD("gw", HARDWARE, Network(), gateway="192.0.2.254,2001:db8::fe")


def with_charon() -> FreeBSD:
    host = fresh()
    assert host.run(["service", "strongswan", "onestart"]).rc == 0
    return host


@st.composite
def gateways(draw) -> dict:
    """Options of vti_site with every kind of interface and route that a boot must bring back."""
    options: dict = {"phase1": [], "phase2": [], "assignments": [], "static_routes": [], "purge": True}
    for peer in draw(st.lists(st.integers(10, 40), unique=True, max_size=3)):
        split = draw(st.booleans())
        outer = draw(st.sampled_from([4, 4, 6, None]))
        ends = {4: ["192.0.2.1", f"192.0.2.{peer}"], 6: ["2001:db8::1", f"2001:db8::{peer}"]}
        local, remote = ends.get(outer or 4, [])
        options["phase1"].append(
            {
                "name": f"p{peer}",
                "local_addrs": [local],
                "remote_addrs": [remote if outer else f"p{peer}.example.net"],
                "remote_id": f"p{peer}",
                "psk": "x",
                "split_connections": split,
            }
        )
        mtu = draw(st.sampled_from([1280, 1400, 1422]))
        for number, family in enumerate(draw(st.lists(st.sampled_from([4, 6]), min_size=1, max_size=4))):
            start = 16 * peer + 4 * number
            transit = f"10.6.{start // 256}.{start % 256 + 1}/30" if family == 4 else f"2001:db8:6:{start:x}::1/64"
            options["phase2"].append(
                {
                    "name": f"p{peer}n{number}",
                    "phase1": f"p{peer}",
                    "local_address": transit,
                    "remote_address": re.sub(r"1/\d+$", "2", transit) if family == 6 else far(transit),
                    "mtu": mtu,
                    "start_action": "none",
                    "dynamic_endpoints": outer is None,
                    **({"remote_ts": [f"10.{peer}.{number}.0/24"]} if split else {}),
                }
            )
        _assign(draw, options, peer)
    for name, network in (("nowhere", "10.0.0.0/9"), ("nowhere6", "2001:db8:f000::/36")):
        if draw(st.booleans()):
            options["static_routes"].append({"name": name, "network": network, "blackhole": True})
    return options


def far(transit: str) -> str:
    head, _dot, last = transit.partition("/")[0].rpartition(".")
    return f"{head}.{int(last) + 1}"


def _assign(draw, options: dict, peer: int) -> None:
    """An assignment, enabled or not, and routes through an interface or an address that it has."""
    first = next(item for item in options["phase2"] if item["phase1"] == f"p{peer}")
    enabled = draw(st.sampled_from([True, True, False]))
    if draw(st.booleans()):
        name = draw(st.from_regex(r"[A-Z][A-Z0-9_]{0,7}", fullmatch=True))
        options["assignments"].append({"phase2": first["name"], "name": f"{name}_{peer}", "enabled": enabled})
    if not enabled:
        return
    six = ":" in first["remote_address"]
    network = f"2001:db8:{peer:x}00::/48" if six else f"10.{100 + peer}.0.0/16"
    way = draw(st.sampled_from(["gateway", "interface", None]))
    if way == "gateway":
        route = {"gateway": first["remote_address"]}
    elif way == "interface":
        # The number of an interface is the host's choice; a LAN's interface is as good.
        route = {"interface": "vtnet1"}
    else:
        return
    options["static_routes"].append({"name": f"lan{peer}", "network": network, **route})


def loaded_modules(host: FreeBSD) -> list[str]:
    """What the loader loads: the role's file, and ours."""
    texts = [host.files[path] for path in host.files.glob("/boot/loader.conf.d/*.conf")]
    return re.findall(r'^(\w+)_load="YES"$', "\n".join(texts), re.MULTILINE)


def booted(files: FreeBSD) -> FreeBSD:
    """A host of the same hardware on which the commands of rc have been run."""
    host = fresh()
    for name in (*loaded_modules(files), "ipsec"):
        host.run(["kldload", "-n", name])
    present = host.run(["ifconfig", "-l"]).stdout.strip()
    for command in boot.commands(dict(files.files), present):
        words = list(command)
        result = host.run(words)
        own = words[1].startswith("ipsec") or (words[0] == "route" and "default" not in words)
        # The hardware's addresses are there already, and so is the default route.
        if own:
            assert (result.rc, result.stderr) == (0, ""), (words, result)
    return host


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(gateways())
def test_a_boot_brings_about_what_a_run_configured(goal):
    live = with_charon()
    run(SimulatedSystem(live), "site", **goal)
    after = observe(SimulatedSystem(booted(live)))
    now = observe(SimulatedSystem(live))
    assert after.realized.interfaces == now.realized.interfaces
    assert after.realized.routes == now.realized.routes


@pytest.mark.parametrize("mode", ["enc", "if_ipsec"])
def test_a_boot_brings_back_enc0(mode):
    live = with_charon()
    run(SimulatedSystem(live), "filter_mode", mode=mode)
    state = observe(SimulatedSystem(booted(live))).realized.kernel
    assert state.enc0_up is (mode == "enc")


def test_starting_one_interface_brings_its_routes_and_no_others():
    _hq, branch = hosts()
    run(SimulatedSystem(branch), "site", **BOTH)
    ran = boot.commands(dict(branch.files), "vtnet0 vtnet1 lo0", "ipsec1")
    assert ran[0] == ("ifconfig", "ipsec1", "create", "reqid", "5001")
    assert [words for words in ran if words[0] == "route"] == [
        ("route", "add", "-net", "10.1.0.0/24", "10.6.106.1"),
        ("route", "add", "-inet6", "2001:db8:1::", "-prefixlen", "48", "2001:db8:6::1"),
    ]
    assert {words[1] for words in ran if words[0] == "ifconfig"} == {"ipsec1"}


def test_restarting_a_sticky_interface_does_not_make_it_again():
    _hq, branch = hosts()
    run(SimulatedSystem(branch), "site", **BOTH)
    assert (
        'cloned_interfaces="${cloned_interfaces} ipsec1:sticky"'
        in branch.files["/etc/rc.conf.d/netif/routed_ipsec_if_ipsec1"]
    )
    ran = boot.commands(dict(branch.files), "vtnet0 vtnet1 lo0 ipsec1", "ipsec1")
    assert not [words for words in ran if "create" in words]


def test_files_of_a_person_beside_ours_keep_their_say():
    _hq, branch = hosts()
    branch.files["/etc/rc.conf.d/netif/zz_theirs"] = 'cloned_interfaces="${cloned_interfaces} lo7"\n'
    branch.files["/etc/rc.conf"] += (
        'cloned_interfaces="lo8"\nstatic_routes="one"\nroute_one="-net 10.66.0.0/16 192.0.2.9"\n'
    )
    run(SimulatedSystem(branch), "site", **BOTH)
    ran = boot.commands(dict(branch.files), "vtnet0 vtnet1 lo0")
    assert [words[1] for words in ran if "create" in words] == ["lo8", "ipsec1", "lo7"]
    assert ("route", "add", "-net", "10.66.0.0/16", "192.0.2.9") in ran


def test_where_a_person_has_a_file_of_that_name_ours_lie_elsewhere():
    _hq, branch = hosts()
    branch.files["/etc/rc.conf.d/netif"] = 'ifconfig_vtnet9="up"\n'
    run(SimulatedSystem(branch), "site", **BOTH)
    assert "/usr/local/etc/rc.conf.d/netif/routed_ipsec_if_ipsec1" in branch.files
    assert "ipsec1" in {
        words[1] for words in boot.commands(dict(branch.files), "vtnet0 vtnet1 lo0") if "create" in words
    }


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.text(st.one_of(st.sampled_from("\"'`$(){}\n;#&|\\ <>"), st.characters(categories=("L", "N"))), max_size=40),
    st.lists(st.integers(0, 63), unique=True, min_size=1, max_size=5),
    st.lists(st.integers(0, 63), unique=True, max_size=3),
    st.booleans(),
)
def test_no_value_breaks_out_and_aliases_have_no_gap(description, fours, sixes, outer6):
    """rc joins the words of a description by single blanks, so that is what may differ; nothing else may."""
    addresses = (
        *(Address(f"10.6.106.{4 * n + 1}", 30, f"10.6.106.{4 * n + 2}") for n in fours),
        *(Address(f"2001:db8:6:{n:x}::1", 64) for n in sixes),
    )
    ends = ("2001:db8::1", "2001:db8::2") if outer6 else ("192.0.2.1", "192.0.2.2")
    text = interface.boot("ipsec1", Interface(5001, ends, addresses, 1400, description, True))
    ran = boot.commands({"/etc/rc.conf.d/netif/routed_ipsec_if_ipsec1": text}, "lo0")
    ours = [words for words in ran if words[1] == "ipsec1"]
    assert ours == ran
    joined = re.sub(r"[ \n]+", " ", description).strip(" ")
    assert [words[3:] for words in ours if words[2] == "description"] == ([(joined,)] if joined else [])
    assert sorted(addresses_in(ours)) == sorted(address.address for address in addresses)
    assert [words[-1] for words in ours if "tunnel" in words] == ["up"]


def addresses_in(commands: list[tuple[str, ...]]) -> list[str]:
    """What stands before a slash."""
    return [
        word.partition("/")[0] for words in commands for word in words[2:] if re.fullmatch(r"[0-9a-f.:]+/\d+", word)
    ]
