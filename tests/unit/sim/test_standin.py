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


def test_install_makes_a_root_freebsd(tmp_path: pathlib.Path) -> None:
    root = tmp_path / "root"
    for folder in ("usr/sbin", "usr/bin", "usr/local/sbin", "usr/lib/python3/dist-packages", "etc"):
        (root / folder).mkdir(parents=True)
    (root / "etc/group").write_text("root:x:0:\n", encoding="utf-8")
    (root / "usr/bin/ip").write_text("", encoding="utf-8")
    argv = [
        str(SIM / "install"),
        str(root),
        "--name",
        "gw",
        "--address",
        "vtnet0=192.0.2.1/24",
        "--gateway",
        "192.0.2.254",
    ]
    subprocess.run(argv, check=True, timeout=60)
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
