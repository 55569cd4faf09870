# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-ins as programs: state between calls, hosts that find each other, installation into a root."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess

import pytest
from ansible_collections.routed_ipsec.vti.tests.sim.freebsd import FreeBSD

SIM = pathlib.Path(__file__).resolve().parents[2] / "sim"


@pytest.fixture
def programs(tmp_path: pathlib.Path) -> pathlib.Path:
    """A directory of programs, and the states of hosts a and b in the directory `network` beside it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "network").mkdir()
    for name in ("ifconfig", "ping", "pfctl"):
        (tmp_path / "bin" / name).symlink_to(SIM / "standin")
    for number, name in enumerate("ab", 1):
        host = FreeBSD(name, {"vtnet0": [f"192.0.2.{number}/24"]})
        (tmp_path / "network" / f"{name}.json").write_text(host.to_json(), encoding="utf-8")
    return tmp_path


def run(programs: pathlib.Path, host: str, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FREEBSD_SIM_STATE": str(programs / "network" / f"{host}.json")}
    program = str(programs / "bin" / argv[0])
    return subprocess.run(
        [program, *argv[1:]], env=environment, input=stdin, capture_output=True, text=True, check=False, timeout=20
    )


def test_state_stays_between_calls(programs: pathlib.Path) -> None:
    assert run(programs, "a", "ifconfig", "ipsec", "create", "reqid", "5").stdout == "ipsec0\n"
    assert "reqid: 5" in run(programs, "a", "ifconfig", "ipsec0").stdout
    assert run(programs, "b", "ifconfig", "ipsec0").returncode == 1


def test_exit_status_and_standard_error_are_handed_on(programs: pathlib.Path) -> None:
    done = run(programs, "a", "ifconfig", "nosuch0")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "ifconfig: interface nosuch0 does not exist\n")


def test_hosts_find_each_other(programs: pathlib.Path) -> None:
    assert run(programs, "a", "ping", "-c", "1", "192.0.2.2").returncode == 0
    assert run(programs, "a", "ping", "-c", "1", "192.0.2.3").returncode == 2


def test_standard_input_is_read(programs: pathlib.Path) -> None:
    done = run(programs, "a", "pfctl", "-vnf", "-", stdin="pass in on enc0\n")
    assert done.stdout == "pass in on enc0 all flags S/SA keep state\n"


def test_parallel_calls_do_not_lose_changes(programs: pathlib.Path) -> None:
    environment = {**os.environ, "FREEBSD_SIM_STATE": str(programs / "network" / "a.json")}
    program = str(programs / "bin" / "ifconfig")
    running = [
        subprocess.Popen([program, "ipsec", "create"], env=environment, stdout=subprocess.DEVNULL) for _rest in range(6)
    ]
    assert [process.wait(timeout=20) for process in running] == [0] * 6
    state = json.loads((programs / "network" / "a.json").read_text(encoding="utf-8"))
    assert sum(name.startswith("ipsec") for name in state["interfaces"]) == 6


MONITOR = """#!/bin/sh
# PROVIDE: routed_ipsec_monitor
# REQUIRE: NETWORKING
. /etc/rc.subr
name="routed_ipsec_monitor"
rcvar="routed_ipsec_monitor_enable"
load_rc_config "$name"
: ${routed_ipsec_monitor_enable:="NO"}
pidfile="/var/run/${name}.pid"
command="/usr/sbin/daemon"
run_rc_command "$1"
"""


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    """The root of an installed host."""
    root = tmp_path / "root"
    for folder in ("usr/sbin", "usr/bin", "usr/local/sbin", "usr/lib/python3/dist-packages", "etc"):
        (root / folder).mkdir(parents=True)
    (root / "etc/group").write_text("root:x:0:\n", encoding="utf-8")
    (root / "usr/bin/ip").write_text("", encoding="utf-8")
    words = ["--name", "gw", "--address", "vtnet0=192.0.2.1/24", "--gateway", "192.0.2.254"]
    subprocess.run([str(SIM / "install"), str(root), *words], check=True, timeout=60)
    return root


def inside(root: pathlib.Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a program of an installed host; its links lead to where they would in the host."""
    program = root.parent / argv[0]
    program.unlink(missing_ok=True)
    program.symlink_to(root / "usr/local/lib/freebsd-sim/sim/standin")
    state = root / "var/db/freebsd-sim/state.json"
    environment = {**os.environ, "FREEBSD_SIM_STATE": str(state), "FREEBSD_SIM_ROOT": str(root)}
    return subprocess.run(
        [str(program), *argv[1:]], env=environment, capture_output=True, text=True, check=False, timeout=20
    )


def test_a_script_of_rc_d_is_a_service_of_the_host(root: pathlib.Path) -> None:
    """As the collection installs it; enabled by a file of its own, it is back after a reboot."""
    script = root / "usr/local/etc/rc.d/routed_ipsec_monitor"
    script.write_text(MONITOR, encoding="utf-8")
    unknown = "routed_ipsec_monitor does not exist in /etc/rc.d or the local startup\n"
    assert inside(root, "service", "routed_ipsec_monitor", "onestart").stdout.startswith(unknown)
    script.chmod(0o555)
    started = inside(root, "service", "routed_ipsec_monitor", "onestart")
    assert (started.returncode, started.stdout) == (0, "Starting routed_ipsec_monitor.\n")
    assert inside(root, "service", "routed_ipsec_monitor", "onestatus").returncode == 0
    inside(root, "freebsd-sim", "reboot")
    assert inside(root, "service", "routed_ipsec_monitor", "onestatus").returncode == 1
    enabling = root / "etc/rc.conf.d/routed_ipsec_monitor"
    enabling.write_text('routed_ipsec_monitor_enable="YES"\n', encoding="utf-8")
    inside(root, "freebsd-sim", "reboot")
    assert inside(root, "service", "routed_ipsec_monitor", "status").returncode == 0


def test_a_script_run_by_its_path_asks_service(root: pathlib.Path) -> None:
    """/etc/rc.subr is there, and hands over to service(8)."""
    subr = root / "etc/rc.subr"
    subr.write_text(
        subr.read_text(encoding="utf-8").replace("exec /usr/sbin/service", "echo service"), encoding="utf-8"
    )
    script = root / "usr/local/etc/rc.d/routed_ipsec_monitor"
    script.write_text(MONITOR.replace("/etc/rc.subr", str(subr)), encoding="utf-8")
    done = subprocess.run(
        ["/bin/sh", "-eu", str(script), "onestart"], capture_output=True, text=True, check=False, timeout=20
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "service routed_ipsec_monitor onestart\n", "")


def test_packages_bring_their_programs(root: pathlib.Path) -> None:
    assert inside(root, "pkg", "install", "-y", "dpinger").returncode == 0
    assert (root / "usr/local/bin/dpinger").stat().st_mode & 0o111


def test_install_makes_a_root_freebsd(root: pathlib.Path) -> None:
    assert not (root / "usr/bin/ip").exists()
    assert (root / "usr/sbin/ifconfig").readlink() == pathlib.Path("/usr/local/lib/freebsd-sim/sim/standin")
    assert (root / "usr/local/lib/freebsd-sim/sim/standin").stat().st_mode & 0o111
    assert 'ifconfig_vtnet0="inet 192.0.2.1/24"' in (root / "etc/rc.conf").read_text(encoding="utf-8")
    assert (root / "usr/local/etc/swanctl/swanctl.conf").read_text(encoding="utf-8") == "include conf.d/*.conf\n"
    state = json.loads((root / "var/db/freebsd-sim/state.json").read_text(encoding="utf-8"))
    assert list(state["interfaces"]) == ["vtnet0", "lo0"]
    assert "import freebsd_sim_platform" in (root / "usr/lib/python3/dist-packages/freebsd-sim.pth").read_text(
        encoding="utf-8"
    )
