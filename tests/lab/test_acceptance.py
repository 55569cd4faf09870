# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection promises, on hosts with real kernels, real strongSwan and real packets.

Needs root and `lab setup`; not among the default test paths: pytest tests/lab/test_acceptance.py
"""

from __future__ import annotations

import base64
import importlib
import os
import stat
import subprocess

import pytest

MODULES = "routed_ipsec.vti"
VTI_SITE = f"{MODULES}.vti_site"

OUTER = {"hq": "198.51.100.2", "branch1": "203.0.113.2", "branch2": "192.0.2.2"}
NUMBER = {"hq": 1, "branch1": 2, "branch2": 3}
PSK = "correct horse battery staple"
IKE, ESP = "aes256gcm16-prfsha384-ecp384", "aes256gcm16-ecp384"

HQ_LAN, HQ_LAN6 = "10.1.0.10", "2001:db8:a1::10"


# --- what hosts are asked for -------------------------------------------------------------------------------------


def tunnel(host, peer, families=(4,), *, phase1=None, phase2=None):
    """One end of a tunnel as vti_site's options. Branches initiate; the transit networks follow from the branch."""
    branch = NUMBER[max(host, peer, key=NUMBER.get)]
    name = peer
    ends = {"hq": 1, "branch1": 2, "branch2": 2}
    split = (phase1 or {}).get("version", 2) == 1 or (phase1 or {}).get("split_connections", False)
    site = {
        "phase1": [
            {
                "name": name,
                "local_addrs": [OUTER[host]],
                "remote_addrs": [OUTER[peer]],
                "psk": PSK,
                "proposals": [IKE],
                **(phase1 or {}),
            }
        ],
        "phase2": [],
        "assignments": [],
        "static_routes": [],
        "purge": True,
    }
    for family in families:
        transit = f"10.6.{branch}." if family == 4 else f"2001:db8:6:{branch}::"
        child = f"{name}_{family}"
        site["phase2"].append(
            {
                "name": child,
                "phase1": name,
                "local_address": f"{transit}{ends[host]}/{30 if family == 4 else 64}",
                "remote_address": f"{transit}{ends[peer]}",
                "esp_proposals": [ESP],
                "start_action": "none" if host == "hq" else "start",
                **(phase2 or {}),
            }
        )
        logical = f"VTI_{name.upper()}{f'_{family}' if split else ''}"
        if split or family == families[0]:
            site["assignments"].append({"phase2": child, "name": logical})
        site["static_routes"].append(
            {
                "name": f"{name}_lan{family}",
                "network": f"10.{NUMBER[peer]}.0.0/24" if family == 4 else f"2001:db8:a{NUMBER[peer]}::/64",
                "gateway": f"{logical}_VTIV{family}",
            }
        )
    return site


def both(*sites):
    """One gateway with the tunnels of several."""
    return {
        "purge": True,
        **{
            key: [item for site in sites for item in site[key]]
            for key in ("phase1", "phase2", "assignments", "static_routes")
        },
    }


def without(site, **names):
    """The same gateway without objects of the given names."""
    return {
        key: [item for item in value if item["name"] not in names.get(key, ())] if isinstance(value, list) else value
        for key, value in site.items()
    }


def interfaces(sites, host):
    return {line.split("@")[0] for line in sites.sh(host, "ip -br link show type xfrm").splitlines()}


# --- traffic ------------------------------------------------------------------------------------------------------


def test_adding_a_branch_costs_the_other_one_no_packet(sites) -> None:
    one, two = tunnel("hq", "branch1"), tunnel("hq", "branch2")
    sites.converge(hq=one, branch1=tunnel("branch1", "hq"))
    sites.ping("branch1-lan", HQ_LAN)
    before = sites.spis("hq", "branch1")
    with sites.pinging("branch1-lan", HQ_LAN) as counts:
        sites.converge(hq=both(one, two), branch2=tunnel("branch2", "hq"))
        sites.ping("branch2-lan", HQ_LAN)
    sent, received = counts
    assert sent >= 100
    assert sent - received == 0
    assert len(before) == 1
    assert sites.spis("hq", "branch1") == before
    assert sites.spis("hq", "branch2")


def test_ipv6_comes_and_goes_on_the_interface_of_ipv4(sites) -> None:
    dual = {"hq": tunnel("hq", "branch1", (4, 6)), "branch1": tunnel("branch1", "hq", (4, 6))}
    single = {"hq": tunnel("hq", "branch1"), "branch1": tunnel("branch1", "hq")}
    sites.converge(**single)
    sites.ping("branch1-lan", HQ_LAN)
    before = sites.spis("hq", "branch1")

    sites.converge(**dual)
    sites.ping("branch1-lan", HQ_LAN)
    sites.ping("branch1-lan", HQ_LAN6)
    sites.ping("hq-lan", "2001:db8:a2::10")
    assert interfaces(sites, "hq") == interfaces(sites, "branch1") == {"ipsec1"}
    found = sites.sh("hq", "ip -br address show dev ipsec1").split()
    assert {"10.6.2.1/30", "2001:db8:6:2::1/64"} <= set(found)
    assert sites.spis("hq", "branch1") == before

    sites.converge(**single)
    sites.ping("branch1-lan", HQ_LAN)
    assert sites.spis("hq", "branch1") == before
    assert "2001:db8:6:2::1" not in sites.sh("hq", "ip -br address show dev ipsec1")
    with pytest.raises(AssertionError):
        sites.ping("branch1-lan", HQ_LAN6, seconds=0)


@pytest.mark.parametrize(
    "phase1",
    [{"split_connections": True}, {"version": 1, "proposals": ["aes256-sha384-ecp384"]}],
    ids=["split", "ikev1"],
)
def test_every_phase2_has_an_interface_of_its_own(sites, phase1) -> None:
    sites.converge(
        hq=tunnel("hq", "branch1", (4, 6), phase1=phase1),
        branch1=tunnel("branch1", "hq", (4, 6), phase1=phase1),
    )
    sites.ping("branch1-lan", HQ_LAN)
    sites.ping("branch1-lan", HQ_LAN6)
    for host, peer in (("hq", "branch1"), ("branch1", "hq")):
        assert interfaces(sites, host) == {"ipsec1", "ipsec2"}
        for child in (f"{peer}_4", f"{peer}_6"):
            assert len(sites.spis(host, child)) == 1
    # each family on its own interface
    for address, interface in ((HQ_LAN, "ipsec1"), (HQ_LAN6, "ipsec2")):
        assert f"dev {interface} " in sites.sh("branch1", f"ip route get {address}")


MANUAL = """\
connections {{ manual {{
  version = 2
  local_addrs = {local}
  remote_addrs = {remote}
  proposals = aes128-sha256-modp2048
  local {{ auth = psk
    id = manual-{me} }}
  remote {{ auth = psk
    id = manual-{peer} }}
  children {{ manual {{
    local_ts = {local_ts}
    remote_ts = {remote_ts}
    esp_proposals = aes128-sha256
    start_action = {start}
  }} }}
}} }}
secrets {{ ike-manual {{
  secret = by-hand
  id-1 = manual-hq
  id-2 = manual-branch2
}} }}
"""
MANUAL_PATH = "/etc/swanctl/conf.d/manual.conf"
MANUAL_ENDS = (
    {"me": "hq", "peer": "branch2", "local_ts": "172.16.1.1/32", "remote_ts": "172.16.3.1/32", "start": "none"},
    {"me": "branch2", "peer": "hq", "local_ts": "172.16.3.1/32", "remote_ts": "172.16.1.1/32", "start": "start"},
)


@pytest.fixture
def manual(sites):
    """A policy-based tunnel hq - branch2, written by hand."""
    for end in MANUAL_ENDS:
        text = MANUAL.format(local=OUTER[end["me"]], remote=OUTER[end["peer"]], **end)
        sites.sh(end["me"], f"cat > {MANUAL_PATH} << 'EOF'\n{text}EOF\nip address add {end['local_ts']} dev lo")
        sites.sh(end["me"], "swanctl --load-all --noprompt")
    yield sites
    for end in MANUAL_ENDS:
        sites.sh(end["me"], f"rm {MANUAL_PATH}; ip address del {end['local_ts']} dev lo")
        sites.sh(end["me"], "swanctl --load-all --noprompt; swanctl --terminate --ike manual || :")


def test_a_policy_based_tunnel_beside_ours_lives_on(manual) -> None:
    sites = manual

    def passes():
        sites.ping("hq", "172.16.3.1", "-I", "172.16.1.1")
        policies = sites.sh("hq", "ip xfrm policy").count("172.16.3.1/32")
        return sites.spis("hq", "manual"), sites.sh("hq", f"stat -c '%i %a %Y' {MANUAL_PATH}"), policies

    before = passes()
    assert len(before[0]) == 1
    assert before[2] > 0
    sites.converge(
        hq=both(tunnel("hq", "branch1"), tunnel("hq", "branch2")),
        branch1=tunnel("branch1", "hq"),
        branch2=tunnel("branch2", "hq"),
    )
    sites.ping("branch2-lan", HQ_LAN)
    assert passes() == before
    sites.converge(hq=both(tunnel("hq", "branch2", (4, 6))), branch2=tunnel("branch2", "hq", (4, 6)))
    sites.ping("branch2-lan", HQ_LAN6)
    assert passes() == before
    sites.reset()
    assert passes() == before
    assert interfaces(sites, "hq") == set()


# --- errors -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def up(running):
    """A tunnel hq - branch1 that failing runs may not disturb."""
    running.reset()
    running.converge(hq=tunnel("hq", "branch1"), branch1=tunnel("branch1", "hq"))
    running.ping("branch1-lan", HQ_LAN)
    return running


def fails(sites, host, site, begins, says, *, module=VTI_SITE, **snapshot):
    """Insist on one clear error that leaves the host alone; returns the result."""
    before = sites.snapshot(host, **snapshot)
    played = sites.play((module, {host: site}))
    result = played[host]
    assert result.get("failed"), result
    assert "Traceback" not in played.output
    assert result["msg"].startswith(begins), result["msg"]
    for part in says:
        assert part in result["msg"]
    assert sites.snapshot(host, **snapshot) == before
    assert played.output.count("FAILED!") == 1
    return result


def second(**changes):
    """hq with the tunnel that is up, and one to branch2 that has something wrong."""
    added = tunnel("hq", "branch2", **{key: value for key, value in changes.items() if key in ("phase1", "phase2")})
    return {**both(tunnel("hq", "branch1"), added), **changes.get("site", {})}


REFUSED = {
    "reqid used twice": (
        second(phase2={"reqid": 5001}),
        "reqid: 5001 of phase 2",
        ["branch1_4", "branch2_4", "needs its own"],
    ),
    "transit overlaps a LAN": (
        second(phase2={"local_address": "10.1.0.101/30", "remote_address": "10.1.0.102"}),
        "local_address: the transit network 10.1.0.100/30 of phase 2 branch2_4",
        ["overlaps 10.1.0.0/24", "lan0", "choose"],
    ),
    "any peer": (
        second(phase1={"remote_addrs": ["%any"], "remote_id": "branch2"}),
        "phase2: branch2_4: remote_addrs: %any",
        ["set dynamic_endpoints=true"],
    ),
    "quote in a phase 1's name": (
        second(phase1={"name": 'branch"2'}, phase2={"phase1": 'branch"2'}),
        "phase1: branch\"2: name: 'branch\"2' is no name",
        ["use at most 48 letters"],
    ),
    "newline in a phase 1's name": (
        second(phase1={"name": "branch\n2"}, phase2={"phase1": "branch\n2"}),
        "phase1: branch",
        ["name: 'branch\\n2' is no name; use at most 48 letters"],
    ),
    "newline in a phase 2's name": (
        second(phase2={"name": "a\nb"}),
        "phase2: a",
        ["name: 'a\\nb' is no name; use at most 48 letters"],
    ),
}


@pytest.mark.parametrize(("site", "begins", "says"), REFUSED.values(), ids=REFUSED)
def test_what_could_not_work_is_refused(up, site, begins, says) -> None:
    fails(up, "hq", site, begins, says)


def test_names_are_checked_by_every_module(up) -> None:
    before = up.snapshot("hq")
    names = [
        ("ipsec_phase1", {"local_addrs": ["192.0.2.1"], "remote_addrs": ["192.0.2.9"], "psk": PSK}),
        ("ipsec_vti_phase2", {"phase1": "branch1", "local_address": "10.9.9.1/30", "remote_address": "10.9.9.2"}),
        ("interface_assign", {"interface": "ipsec1"}),
        ("static_route", {"network": "10.99.0.0/24", "blackhole": True}),
    ]
    played = up.play(*((f"{MODULES}.{module}", {"hq": {"name": 'a"\nb', **given}}) for module, given in names))
    for (module, _given), task in zip(names, played.tasks, strict=True):
        assert task["hq"]["failed"], module
        assert task["hq"]["msg"].startswith("name: "), task["hq"]["msg"]
        assert "use at most" in task["hq"]["msg"]
    assert up.snapshot("hq") == before


@pytest.mark.parametrize("host", ["hq", "branch1"])
def test_wrong_psk_is_put_back(up, host) -> None:
    peer = {"hq": "branch1", "branch1": "hq"}[host]
    site = {**tunnel(host, peer, phase1={"psk": "not this one"}), "establish_timeout": 8}
    # The tunnel was ended to try the new key: its policies come back with its SA.
    result = fails(up, host, site, f"psk: phase 1 {peer}: ", ["compare psk"], policies=False)
    assert "The host is as it was before" in result["msg"]
    assert result["undone"]
    assert result["not_undone"] == []
    up.ping("branch1-lan", HQ_LAN)


def test_an_unreachable_peer_is_named(up) -> None:
    before = up.spis("hq", "branch1")
    site = second(phase1={"remote_addrs": ["192.0.2.77"]}, site={"establish_timeout": 4})
    result = fails(up, "hq", site, "remote_addrs: phase 1 branch2: ", ["192.0.2.77 within 4 s", "is it reachable"])
    assert result["not_undone"] == []
    assert up.spis("hq", "branch1") == before
    assert "192.0.2.77" not in up.sh("hq", "swanctl --list-sas")


@pytest.fixture
def no_swanctl(up):
    """hq without the program swanctl."""
    up.sh("hq", "mv /usr/sbin/swanctl /usr/sbin/swanctl.away")
    yield up
    up.sh("hq", "mv /usr/sbin/swanctl.away /usr/sbin/swanctl")


def test_swanctl_missing(no_swanctl) -> None:
    fails(no_swanctl, "hq", second(), "charon: swanctl", ["not found on this host; install the package"])


@pytest.fixture
def full(up, request):
    """A directory of hq on a file system without room."""
    directory = request.param
    up.sh(
        "hq",
        f"""
        mkdir -p /run/full {directory}
        mount -t tmpfs -o size=128k tmpfs /run/full
        cp -a {directory}/. /run/full
        mount --bind /run/full {directory}
        cat /dev/zero > {directory}/fill 2> /dev/null || :
    """,
    )
    yield up, directory
    up.sh("hq", f"umount {directory}; umount /run/full")


@pytest.mark.parametrize("full", ["/etc/routed_ipsec", "/etc/swanctl/conf.d"], indirect=True)
def test_full_disk(full) -> None:
    sites, directory = full
    result = fails(sites, "hq", second(), f"{directory}/", ["No space left on device", "make room"])
    assert result["not_undone"] == []
    assert "tmp" not in sites.sh("hq", f"ls -AR {directory}")


def test_charon_not_running(up) -> None:
    """The last with this tunnel, which ends here."""
    up.sh("hq", "systemctl stop strongswan")
    try:
        fails(up, "hq", second(), "charon: ", ["start strongSwan first"])
    finally:
        up.sh("hq", "systemctl start strongswan")


# --- rollback -----------------------------------------------------------------------------------------------------


@pytest.fixture
def taken_name(sites):
    """Something on hq has the name that our next interface would get, which only the kernel notices."""
    sites.sh("hq", "ip link add ipsec1 type dummy")
    yield sites
    sites.sh("hq", "ip link del ipsec1")


def test_a_failure_in_the_middle_is_undone(taken_name) -> None:
    result = fails(taken_name, "hq", tunnel("hq", "branch1"), "ip -batch -: ", ["File exists"])
    assert any(step.startswith("remove /etc/swanctl/conf.d/branch1.conf") for step in result["undone"])
    assert any("disable --now routed_ipsec.service" in step for step in result["undone"])
    assert result["not_undone"] == []


def test_what_charon_refuses_is_undone(sites) -> None:
    site = tunnel(
        "hq", "branch1", phase1={"auth": "pubkey", "local_certs": ["nowhere.pem"], "remote_cacerts": ["no.pem"]}
    )
    result = fails(sites, "hq", site, "local_certs: ", ["/etc/swanctl/x509/nowhere.pem", "put it there first"])
    assert any("link del dev ipsec1" in step for step in result["undone"])
    assert result["not_undone"] == []


# --- secrets ------------------------------------------------------------------------------------------------------

KEYS = ['first-"hush7q"', "second-hush7q $&", "third\\hush7q"]


def test_no_secret_is_shown_or_readable(sites) -> None:
    site = [tunnel("hq", "branch1", phase1={"psk": key}) for key in KEYS]
    failing = {**site[2], "establish_timeout": 2}
    loud = ("--diff", "-vvvv")
    one = [(f"{MODULES}.ipsec_phase1", {"hq": {**given["phase1"][0], "state": "present"}}) for given in site]
    started = sites.sh("hq", "date '+%F %T'").strip()
    outputs = [
        sites.play((VTI_SITE, {"hq": site[0]}), check=True, arguments=loud),
        sites.play((VTI_SITE, {"hq": site[0]}), one[1], (f"{MODULES}.vti_info", {"hq": {}}), arguments=loud),
    ]
    modes = sites.sh("hq", "find /etc/swanctl/conf.d /etc/routed_ipsec -type f -printf '%m %p\\n'").splitlines()
    assert "600 /etc/swanctl/conf.d/branch1.conf" in modes
    holding = sites.sh("hq", "grep -rl -e hush7q -e '0s' /etc/swanctl/conf.d /etc/routed_ipsec").split()
    assert holding == ["/etc/swanctl/conf.d/branch1.conf"]
    outputs += [
        sites.play((VTI_SITE, {"hq": site[2]}), check=True, arguments=loud),
        sites.play((VTI_SITE, {"hq": failing}), (VTI_SITE, {"hq": {"purge": True}}), arguments=loud),
    ]
    assert outputs[1].tasks[2]["hq"]["phase1"][0]["name"] == "branch1"
    assert outputs[1].tasks[1]["hq"]["changed"]
    assert outputs[3].tasks[0]["hq"]["failed"]
    journal = sites.sh("hq", f"journalctl --no-pager --since '{started}'; cat /var/log/* 2> /dev/null || :")
    assert "vti_site" in journal
    encoded = [base64.b64encode(key.encode()).decode() for key in KEYS]
    for text in (*(played.output for played in outputs), journal):
        assert "hush7q" not in text
        assert not [key for key in encoded if key in text]
    assert "(new secret)" in outputs[0].output
    assert "(old secret)" in outputs[1].output


def test_a_secret_file_is_private_from_its_first_instant(running, monkeypatch, tmp_path) -> None:
    monkeypatch.syspath_prepend(str(running.collections))
    core = "ansible_collections.routed_ipsec.vti.plugins.module_utils._core"
    system = importlib.import_module(f"{core}.system")
    steps = importlib.import_module(f"{core}.steps")
    seen = []

    def mode(path):
        return stat.S_IMODE(os.stat(path).st_mode)

    def fdopen(descriptor, *args, **options):
        if isinstance(descriptor, int):
            seen.append(("opened", stat.S_IMODE(os.fstat(descriptor).st_mode), os.fstat(descriptor).st_size))
        return open(descriptor, *args, **options)

    def replace(source, target):
        seen.append(("moved", mode(source), os.stat(source).st_size))
        os.rename(source, target)

    monkeypatch.setattr(system, "open", fdopen, raising=False)
    monkeypatch.setattr(system.os, "replace", replace)
    path = tmp_path / "secret.conf"
    path.write_text("readable before")
    path.chmod(0o644)
    old = os.umask(0)
    try:
        system.HostSystem().apply(steps.WriteFile(str(path), "hush", 0o600))
    finally:
        os.umask(old)
    assert seen == [("opened", 0o600, 0), ("moved", 0o600, 4)]
    assert mode(path) == 0o600
    assert os.listdir(tmp_path) == ["secret.conf"]


# --- change and drift ---------------------------------------------------------------------------------------------


def test_a_changed_proposal_and_key_reestablish_the_tunnel(sites) -> None:
    def ends(**phase1):
        return {host: tunnel(host, peer, phase1=phase1) for host, peer in (("hq", "branch1"), ("branch1", "hq"))}

    sites.converge(**ends())
    sites.ping("branch1-lan", HQ_LAN)
    first = sites.spis("branch1", "hq")
    assert "AES_GCM_16-256" in sites.sh("branch1", "swanctl --list-sas")

    sites.converge(**ends(proposals=["aes128-sha256-modp2048"], psk="a new key"))
    sites.ping("branch1-lan", HQ_LAN)
    second = sites.spis("branch1", "hq")
    assert second
    assert not first & second
    assert "AES_CBC-128/HMAC_SHA2_256_128" in sites.sh("branch1", "swanctl --list-sas")


def test_the_old_tunnel_can_be_left_alone(sites) -> None:
    """strongSwan itself would end it if it had to start it again on loading."""
    mine, there = ({"start_action": "none"}, {"reestablish": False})
    sites.converge(hq=tunnel("hq", "branch1"), branch1=tunnel("branch1", "hq", phase2=mine, phase1=there))
    up = {**tunnel("branch1", "hq", phase2=mine, phase1=there), "establish_timeout": 20}
    sites.converge(branch1=up)
    before = sites.spis("branch1", "hq")
    assert len(before) == 1
    changed = {**there, "proposals": ["aes256-sha512-ecp256"], "psk": "yet another"}
    sites.converge(
        hq=tunnel("hq", "branch1", phase1=changed), branch1=tunnel("branch1", "hq", phase1=changed, phase2=mine)
    )
    assert sites.spis("branch1", "hq") == before
    assert sites.spis("hq", "branch1") == {(out, into) for into, out in before}
    assert "aes256-sha512-ecp256" in sites.sh("hq", "cat /etc/swanctl/conf.d/branch1.conf")
    sites.ping("branch1-lan", HQ_LAN)


LOAD_WITHOUT = """
mv /etc/swanctl/conf.d/hq.conf /run/hq.conf
swanctl --load-conns
mv /run/hq.conf /etc/swanctl/conf.d/hq.conf
"""
JOURNAL = " /etc/routed_ipsec/journal"
CONNECTION = "/etc/swanctl/conf.d/hq.conf"
LOAD = "swanctl --load-all --noprompt"
ROUTE = "route replace 10.1.0.0/24 via 10.6.2.1 proto static"
CREATE = (
    'link add name ipsec1 type xfrm if_id 5001; link set dev ipsec1 mtu 1400; link set dev ipsec1 alias "VTI_HQ"; '
    "link set dev ipsec1 up; address replace 10.6.2.2/30 dev ipsec1"
)
DRIFTS = {
    "route": ("ip route del 10.1.0.0/24", [f"ip -batch -: {ROUTE}"]),
    "address": (
        "ip address del 10.6.2.2/30 dev ipsec1",
        ["ip -batch -: address replace 10.6.2.2/30 dev ipsec1", f"ip -batch -: {ROUTE}"],
    ),
    "mtu": ("ip link set ipsec1 mtu 1300", ["ip -batch -: link set dev ipsec1 mtu 1400"]),
    "interface": ("ip link del ipsec1", [f"ip -batch -: {CREATE}", f"ip -batch -: {ROUTE}"]),
    "mode of the secret's file": (f"chmod 644 {CONNECTION}", [f"write {CONNECTION}", LOAD]),
    "boot file": ("rm /etc/routed_ipsec/boot.d/10-ipsec1", ["write /etc/routed_ipsec/boot.d/10-ipsec1"]),
    "unit": ("systemctl disable -q routed_ipsec", ["systemctl --no-reload enable routed_ipsec.service"]),
    "connection": (LOAD_WITHOUT, [LOAD]),
}


@pytest.fixture(scope="module")
def drifting(running):
    running.reset()
    running.converge(hq=tunnel("hq", "branch1"), branch1=tunnel("branch1", "hq"))
    running.ping("branch1-lan", HQ_LAN)
    return running


@pytest.mark.parametrize(("script", "steps"), DRIFTS.values(), ids=DRIFTS)
def test_drift_is_repaired_and_nothing_else(drifting, script, steps) -> None:
    task = (VTI_SITE, {"branch1": tunnel("branch1", "hq")})
    drifting.sh("branch1", script)
    repaired, again = (by_host["branch1"] for by_host in drifting.play(task, task).tasks)
    assert not repaired.get("failed"), repaired
    assert [step for step in repaired["steps"] if not step.endswith(JOURNAL)] == steps
    assert again["steps"] == []
    assert not again["changed"]
    drifting.ping("branch1-lan", HQ_LAN)


# --- without Ansible, and without vti_site ------------------------------------------------------------------------


def test_a_reboot_brings_everything_back(sites) -> None:
    there = tunnel("branch1", "hq", (4, 6))
    sites.converge(hq=tunnel("hq", "branch1", (4, 6)), branch1=there)
    sites.ping("branch1-lan", HQ_LAN)
    shown = "ip -br address show dev ipsec1 | grep -o 'ipsec1.*'; ip route; ip -6 route | grep -v fe80"

    def network():
        """Without the interface's link-local address, which is random."""
        return [
            [word for word in line.split() if "fe80" not in word] for line in sites.sh("branch1", shown).splitlines()
        ]

    before = network()
    sites.lab("reboot", "branch1")
    sites.ping("branch1-lan", HQ_LAN, seconds=40)
    sites.ping("branch1-lan", HQ_LAN6)
    sites.ping("hq-lan", "2001:db8:a2::10")
    assert network() == before
    assert sites.converge(branch1=there)["branch1"]["steps"] == []


def test_step_by_step_with_the_five_modules(sites) -> None:
    """The steps of the feature's documentation, in its order, with its addresses."""
    steps = [
        ("ipsec_phase1", {
            host: {"name": "site", "local_addrs": [OUTER[host]], "remote_addrs": [OUTER[peer]], "psk": PSK}
            for host, peer in (("hq", "branch1"), ("branch1", "hq"))
        }),
        ("ipsec_vti_phase2", {
            "hq": {"name": "site", "phase1": "site", "description": "Branch VTI Tunnel",
                   "local_address": "10.6.106.1", "remote_address": "10.6.106.2", "start_action": "none"},
            "branch1": {"name": "site", "phase1": "site", "description": "HQ VTI Tunnel",
                        "local_address": "10.6.106.2", "remote_address": "10.6.106.1"},
        }),
        ("interface_assign", {
            "hq": {"interface": "ipsec1", "name": "VTI_BRANCH"}, "branch1": {"interface": "ipsec1", "name": "VTI_HQ"},
        }),
        ("static_route", {
            "hq": {"name": "branch_lan", "network": "10.2.0.0/24", "gateway": "VTI_BRANCH_VTIV4"},
            "branch1": {"name": "hq_lan", "network": "10.1.0.0/24", "gateway": "VTI_HQ_VTIV4"},
        }),
        ("filter_mode", {host: {"mode": "if_ipsec"} for host in ("hq", "branch1")}),
    ]  # fmt: skip
    gone = {
        "ipsec_phase1": ["name"], "ipsec_vti_phase2": ["name"], "interface_assign": ["interface"],
        "static_route": ["name"], "filter_mode": [],
    }  # fmt: skip
    removal = [
        (module, {
            host: {"state": "absent", **{key: value for key, value in given.items() if key in gone[module]}}
            for host, given in by_host.items()
        })
        for module, by_host in reversed(steps)
    ]  # fmt: skip

    def changes(tasks, host, times):
        """Whether each task changes something on a host, for so many calls of each."""
        played = sites.play(
            *((f"{MODULES}.{module}", {host: by_host[host]}) for module, by_host in tasks for _call in range(times))
        )
        results = [by_host[host] for by_host in played.tasks]
        assert not [result["msg"] for result in results if result.get("failed")]
        return [result["changed"] for result in results]

    before = {host: sites.snapshot(host) for host in ("hq", "branch1")}
    # on Linux the filter mode is stored and changes nothing else
    assert changes(steps, "hq", 2)[:8] == [True, False] * 4
    assert changes(steps, "branch1", 1)[:4] == [True] * 4
    sites.ping("branch1-lan", HQ_LAN)
    sites.ping("hq", "10.6.106.2")
    assert changes(steps, "branch1", 1) == [False] * 5
    for host in ("branch1", "hq"):
        assert changes(removal, host, 1)[1:] == [True] * 4
        assert sites.snapshot(host) == before[host]
    assert changes(removal, "hq", 1) == [False] * 5


def test_check_mode_predicts_and_changes_nothing(sites) -> None:
    before = sites.snapshot("hq")
    task = (VTI_SITE, {"hq": tunnel("hq", "branch1", (4, 6))})
    predicted = sites.play(task, check=True, arguments=("--diff",))["hq"]
    assert sites.snapshot("hq") == before
    done = sites.play(task, arguments=("--diff",))["hq"]
    assert predicted["changed"]
    assert predicted["steps"] == done["steps"]
    assert predicted["diff"] == done["diff"]


# --- gateways, clamps, NAT ----------------------------------------------------------------------------------------


def single_tasks(host):
    """A branch with a module for each object, in the order in which each refers to the one before."""
    site = tunnel(host, "hq")
    return [
        (f"{MODULES}.ipsec_phase1", site["phase1"][0]),
        (f"{MODULES}.ipsec_vti_phase2", {**site["phase2"][0], "start_action": "none"}),
        (f"{MODULES}.interface_assign", site["assignments"][0]),
        # Nobody answers at the other end: watched, it would be down by the time of the last task.
        (f"{MODULES}.gateway", {"name": "VTI_HQ_VTIV4", "monitor_disable": True}),
        (f"{MODULES}.gateway_group", {"name": "TO_HQ", "members": [{"gateway": "VTI_HQ_VTIV4"}]}),
        (f"{MODULES}.static_route", {**site["static_routes"][0], "gateway": "TO_HQ"}),
        (f"{MODULES}.policy_route", {"name": "guests", "interface": "lan0", "gateway": "VTI_HQ_VTIV4"}),
    ]


def test_check_mode_predicts_a_play_of_single_modules(sites) -> None:
    """What a task refers to need not be there: the tasks before it would have made it."""
    tasks = [(module, {"branch1": options}) for module, options in single_tasks("branch1")]
    before = sites.snapshot("branch1")
    predicted = [results["branch1"] for results in sites.play(*tasks, check=True).tasks]
    assert [result.get("msg") for result in predicted] == [None] * len(tasks)
    assert sites.snapshot("branch1") == before
    done = [results["branch1"] for results in sites.play(*tasks).tasks]
    assert [result["steps"] for result in done] == [result["steps"] for result in predicted]
    assert all(result["steps"] for result in done)
    again = [results["branch1"] for results in sites.play(*tasks).tasks]
    assert [result["changed"] for result in again] == [False] * len(tasks)


def test_tcp_is_clamped_and_sources_are_translated(sites) -> None:
    branch = tunnel("branch1", "hq")
    branch["assignments"][0].update(mss=1300, outbound_nat=True)
    sites.converge(hq=tunnel("hq", "branch1"), branch1=branch)
    sites.ping("branch1-lan", HQ_LAN)
    capture = "timeout 20 tcpdump -c 1 -nvi lan0 'tcp[tcpflags] & tcp-syn != 0' 2>/dev/null & sleep 2;"
    # Nobody listens at the client, but the SYN gets there, and that is what is looked at.
    with subprocess.Popen(
        [sites.program, "exec", "hq", "sh", "-c", f"{capture} wait"],
        env=sites.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as seen:
        sites.lab(
            "exec",
            "branch1-lan",
            "sh",
            "-c",
            f"for n in 1 2 3 4 5 6; do iperf3 -c {HQ_LAN} --connect-timeout 1000; done; :",
        )
        text = seen.communicate(timeout=40)[0]
    assert "mss 1260" in text
    assert "10.6.2.2." in text
