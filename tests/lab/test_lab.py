# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself: ESP and nothing else on the wire, hosts that survive a reboot, nothing left behind.

Needs root and `lab setup`; not among the default test paths: pytest tests/lab
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib

import pytest

HERE = pathlib.Path(__file__).parent

SWANCTL = """
connections {{ vti {{
  version = 2
  local_addrs = {local}
  remote_addrs = {remote}
  proposals = aes256gcm16-prfsha384-ecp384
  local {{ auth = psk }}
  remote {{ auth = psk }}
  children {{ vti {{
    local_ts = 0.0.0.0/0,::/0
    remote_ts = 0.0.0.0/0,::/0
    esp_proposals = aes256gcm16-ecp384
    if_id_in = 11
    if_id_out = 11
    start_action = {start_action}
  }} }}
}} }}
secrets {{ ike-vti {{ secret = not-a-secret }} }}
"""
UNIT = """
[Unit]
Before=strongswan.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=ip link add ipsec11 type xfrm dev wan0 if_id 11
ExecStart=ip link set ipsec11 mtu 1400 up
ExecStart=ip route add {lan4} dev ipsec11
ExecStart=ip route add {lan6} dev ipsec11
[Install]
WantedBy=multi-user.target
"""
SYSCTL = "net.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 1\n"
STRONGSWAN = "charon-systemd { install_routes = no }\n"
INNER = "esp or net 10.0.0.0/8 or net 2001:db8:a0::/44"

TOPOLOGY = """
host hq wan:simple   # a comment
link hq:wan0=198.51.100.2/30,2001:db8:100::2/64 wan:hq
route hq default via 198.51.100.1
route hq default via 2001:db8:100::1
"""
PLAYBOOK = """
- hosts: hq
  tasks:
    - ansible.builtin.assert:
        that:
          - ansible_facts.service_mgr == "systemd"
          - ansible_facts.hostname == inventory_hostname
          - ansible_facts.interfaces | sort == ["lo", "wan0"]
          - ansible_facts.default_ipv4.interface == "wan0"
          - ansible_facts.default_ipv6.interface == "wan0"
    - ansible.builtin.systemd_service: {name: strongswan, enabled: true, state: started}
      register: first
    - ansible.builtin.service: {name: strongswan, enabled: true, state: started}
      register: second
    - ansible.builtin.apt: {name: [strongswan-swanctl, frr], state: present}
      register: packages
    - ansible.builtin.assert: {that: [first is changed, second is not changed, packages is not changed]}
    - ansible.builtin.shell: modprobe xfrm_interface && sysctl -w net.ipv4.conf.all.rp_filter=2
"""


class Lab:
    """One lab with a state directory of its own."""

    def __init__(self, carrier: str) -> None:
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="vti-lab-", dir="/run"))
        self.environment = {**os.environ, "VTI_LAB_STATE": str(self.state), "VTI_LAB_CARRIER": carrier}

    def __call__(self, *argv: str, stdin: str = "") -> str:
        done = subprocess.run(
            [HERE / "lab", *argv],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"lab {' '.join(argv)}: {done.stdout}{done.stderr}"
        return done.stdout

    def write(self, host: str, path: str, content: str) -> None:
        self("exec", host, "tee", path, stdin=content)

    def box(self) -> int:
        return int((self.state / "box").read_text().split()[0])

    @contextlib.contextmanager
    def capture(self, host: str, interface: str, packets: int, expression: str):
        """Yield a list that holds tcpdump's lines after the block; ends at so many packets, or after 20 seconds."""
        argv = [HERE / "lab", "exec", host, "timeout", "20", "tcpdump", "-nqt", "-i", interface, "-c", str(packets)]
        with subprocess.Popen([*argv, expression], env=self.environment, stdout=-1, stderr=-1, text=True) as tcpdump:
            for line in tcpdump.stderr:
                if "listening on" in line:
                    break
            lines: list[str] = []
            yield lines
            lines += tcpdump.communicate()[0].splitlines()


@pytest.fixture
def labs():
    """Makes labs; ends them and looks for anything they left."""
    made: list[Lab] = []

    def make(carrier: str = "auto") -> Lab:
        made.append(Lab(carrier))
        return made[-1]

    yield make
    used = set().union(*(namespaces_below(lab.box()) for lab in made if (lab.state / "box").exists()))
    for lab in made:
        lab("stop")
    for lab in made:
        assert not lab.state.exists()
        cgroup = f"vti-lab-{zlib.crc32(f'{lab.state}/native'.encode()):08x}"
        assert not list(pathlib.Path("/sys/fs/cgroup").glob(f"**/{cgroup}"))
        assert str(lab.state) not in pathlib.Path("/proc/self/mountinfo").read_text()
    assert not used & {namespace for pid in processes() for namespace in namespaces(pid)}
    assert not [name for _rest, name in socket.if_nameindex() if name.startswith(("cable", "lab", "guest"))]


def processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def namespaces(pid: int) -> set[str]:
    """The PID, mount and network namespaces of a process; none of one that has just ended."""
    try:
        return {os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("pid", "mnt", "net")}
    except OSError:
        return set()


def namespaces_below(box: int) -> set[str]:
    """All namespaces of the box and of what runs in it, but for those the machine itself is in."""
    parents = {}
    for pid in processes():
        with contextlib.suppress(OSError):
            parents[pid] = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    inside = {box}
    while more := {pid for pid, parent in parents.items() if parent in inside} - inside:
        inside |= more
    assert len(inside) > 1
    return {namespace for pid in inside for namespace in namespaces(pid)} - namespaces(os.getpid())


def configure(lab: Lab, host: str, **values: str) -> None:
    """strongSwan and an XFRM interface by hand, so that they come back at boot."""
    lab.write(host, "/etc/swanctl/conf.d/vti.conf", SWANCTL.format(**values))
    lab.write(host, "/etc/systemd/system/vti.service", UNIT.format(**values))
    lab.write(host, "/etc/strongswan.d/lab.conf", STRONGSWAN)
    lab.write(host, "/etc/sysctl.d/90-lab.conf", SYSCTL)
    lab("exec", host, "sysctl", "-q", "-p", "/etc/sysctl.d/90-lab.conf")


def ping(lab: Lab, host: str, address: str, count: int = 1) -> None:
    lab("exec", host, "ping", "-q", "-c", str(count), "-i", "0.1", "-W", "2", address)


def eventually(attempt, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def test_tunnel_and_reboot(labs) -> None:
    lab = labs()
    lab("topology", str(HERE / "hq-branches.lab"))
    configure(
        lab, "hq", local="198.51.100.2", remote="203.0.113.2",
        lan4="10.2.0.0/24", lan6="2001:db8:a2::/64", start_action="none",
    )  # fmt: skip
    configure(
        lab, "branch1", local="203.0.113.2", remote="198.51.100.2",
        lan4="10.1.0.0/24", lan6="2001:db8:a1::/64", start_action="start",
    )  # fmt: skip

    # without a tunnel the wan sees inner packets: the capture would show them
    with lab.capture("wan", "branch1", 1, INNER) as seen, pytest.raises(AssertionError):
        ping(lab, "branch1-lan", "10.1.0.10")
    assert "10.2.0.10 > 10.1.0.10: ICMP echo request" in seen[0]

    for host in ("hq", "branch1"):
        lab("exec", host, "systemctl", "enable", "-q", "--now", "vti", "strongswan")
    eventually(lambda: ping(lab, "branch1-lan", "10.1.0.10"))
    for there in ("10.1.0.10", "2001:db8:a1::10"):
        with lab.capture("wan", "branch1", 10, INNER) as seen:
            ping(lab, "branch1-lan", there, count=5)
        assert len(seen) == 10
        assert sum("203.0.113.2 > 198.51.100.2: ESP(" in line for line in seen) == 5
        assert sum("198.51.100.2 > 203.0.113.2: ESP(" in line for line in seen) == 5

    identity = lab("exec", "branch1", "cat", "/etc/machine-id", "/sys/class/net/wan0/address")
    addresses = lab("exec", "branch1", "ip", "-br", "address", "show", "dev", "wan0").split()[2:]
    lab.write("branch1", "/run/fleeting", "")
    lab("reboot", "branch1")
    assert lab("exec", "branch1", "cat", "/etc/machine-id", "/sys/class/net/wan0/address") == identity
    assert lab("exec", "branch1", "ip", "-br", "address", "show", "dev", "wan0").split()[2:] == addresses
    assert "default via 203.0.113.1 dev wan0" in lab("exec", "branch1", "ip", "route")
    assert "default via 2001:db8:113::1 dev wan0" in lab("exec", "branch1", "ip", "-6", "route")
    lab("exec", "branch1", "test", "!", "-e", "/run/fleeting")
    assert "vti" in lab("exec", "branch1", "cat", "/etc/swanctl/conf.d/vti.conf")
    eventually(lambda: ping(lab, "branch1-lan", "10.1.0.10"))


def test_ansible_finds_an_ordinary_machine(labs, tmp_path) -> None:
    lab = labs()
    (tmp_path / "one.lab").write_text(TOPOLOGY)
    lab("topology", str(tmp_path / "one.lab"))
    (lab.state / "ssh_config").write_text(lab("ssh-config"))
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    argv = [sys.executable, "-m", "ansible", "playbook", "-i", "hq,", "play.yml"]
    options = ["-u", "root", "--ssh-common-args", f"-F {lab.state}/ssh_config"]
    environment = {**os.environ, "ANSIBLE_PIPELINING": "1", "ANSIBLE_HOME": str(tmp_path)}
    run = [*argv, *options]
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_two_labs_do_not_meet(labs) -> None:
    one, two = labs("native"), labs("native")
    for lab, address in ((one, "10.9.0.2/24"), (two, "10.9.0.3/24")):
        lab("up", "a:simple", "b:simple")
        lab("link", "a:eth0=10.9.0.1/24", f"b:eth0={address}")
        lab("up", "a:simple", "b:simple")
        lab("link", "a:eth0=10.9.0.1/24", f"b:eth0={address}")
    ping(one, "a", "10.9.0.2")
    ping(two, "a", "10.9.0.3")
    with pytest.raises(AssertionError):
        ping(one, "a", "10.9.0.3")
    config = one.state / "ssh_config"
    config.write_text(one("ssh-config", "--prefix", "lab-"))
    assert subprocess.check_output(["ssh", "-F", config, "lab-b", "hostname"], text=True) == "b\n"
    one("down", "b")
    assert one("exec", "a", "ls", "/sys/class/net").split() == ["lo"]


def test_stale_state_is_no_hindrance(labs) -> None:
    lab = labs("native")
    lab("up", "a")
    lab.write("a", "/etc/kept", "")
    os.kill(lab.box(), signal.SIGKILL)
    lab("up", "a")
    with pytest.raises(AssertionError, match="No such file"):
        lab("exec", "a", "cat", "/etc/kept")


def test_a_host_that_switched_itself_off_comes_back(labs) -> None:
    lab = labs("native")
    lab("up", "a", "b:simple")
    lab("link", "a:eth0=10.9.0.1/24", "b:eth0=10.9.0.2/24")
    lab.write("a", "/etc/kept", "")
    with contextlib.suppress(AssertionError):
        lab("exec", "a", "systemctl", "poweroff", "--force", "--force")
    # The command may end before the host does.
    with contextlib.suppress(AssertionError):
        for _try in range(100):
            lab("exec", "a", "sleep", "0.1")
    lab("up", "a")
    lab("exec", "a", "test", "-e", "/etc/kept")
    ping(lab, "b", "10.9.0.1")


def test_errors_name_the_cause(labs) -> None:
    lab = labs("native")
    lab("up", "a:simple")
    for argv, said in {
        ("up", "Hq"): "Hq: not NAME",
        ("up", "b:sysv"): "b:sysv: not NAME",
        ("link", "a:eth0"): "two ends",
        ("link", "a:eth0", "nobody:eth0"): "no host nobody",
        ("reboot", "nobody"): "no host nobody",
        ("exec", "nobody", "true"): "nobody",
    }.items():
        with pytest.raises(AssertionError, match=said):
            lab(*argv)


def test_package_list_covers_what_setup_asks_for() -> None:
    loader = importlib.machinery.SourceFileLoader("lab", str(HERE / "lab"))
    lab = importlib.util.module_from_spec(importlib.util.spec_from_loader("lab", loader))
    sys.path.insert(0, str(HERE))
    loader.exec_module(lab)
    sys.path.remove(str(HERE))
    listed = (HERE.parent / "apt-packages.txt").read_text().splitlines()
    assert {*lab.ROOT_NEEDS.values(), *lab.KERNEL_NEEDS.values()} <= set(listed)
