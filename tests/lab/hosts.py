#!/usr/bin/python3
# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lab hosts out of namespaces, overlayfs and iproute2; runs inside the carrier, called by `lab`.

    hosts.py BASE ROOT apply          make true what the plan on standard input says (see apply())
    hosts.py BASE ROOT reboot NAME    cut the power and switch on again: only the files stay
    hosts.py BASE ROOT down [NAME]    remove hosts, files and cables included; all without a name
    hosts.py BASE ROOT names          print the hosts' names

BASE is the carrier's own directory for state, ROOT the shared Debian root. A host has its own mount, UTS, IPC, network,
PID and cgroup namespace, its own copy-on-write view of ROOT, hostname and machine-id, and systemd or a mere
`sleep` as PID 1. SSH needs no address: `BASE/hosts/NAME/sshd` enters the host and speaks SSH on stdin and stdout.

A link is a cable: a veth pair that is made in the carrier's network namespace and whose ends are plugged into hosts.
The end of a host that reboots returns to the carrier's namespace meanwhile, so the neighbour keeps its interface.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEVICES = {
    "null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0),
    "net/tun": (10, 200),
}  # fmt: skip
DEVICE_LINKS = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}

# <sched.h>, <sys/mount.h>
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x00020000, 0x02000000, 0x04000000
CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = 0x08000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 0x20, 0x1000, 0x4000, 1 << 18
MNT_DETACH = 2

libc = ctypes.CDLL(None, use_errno=True)


# --- the kernel ---------------------------------------------------------------------------------------------------


def check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source, target, kind=None, flags=0, options=""):
    words = [word.encode() if word else None for word in (source, target, kind, options)]
    check(libc.mount(*words[:3], ctypes.c_ulong(flags), words[3]), f"mount {kind or 'bind'} {target}")


def bind(source, target):
    mount(source, target, flags=MS_BIND | MS_REC)


def identity(pid):
    """'PID START' of a living process, else None; START (clock ticks since boot) tells it from a later one."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/stat") as file:
            state, *fields = file.read().rpartition(")")[2].split()
        if state not in "ZX":
            return f"{pid} {fields[18]}"
    return None


def living(path):
    """The pid recorded in a file as identity(), if that very process still lives."""
    pid = read(path).partition(" ")[0]
    return int(pid) if pid and identity(pid) == read(path) else None


def kill(pid):
    """End a PID 1; when it is gone, so is every other process of its namespace."""
    os.kill(pid, signal.SIGKILL)
    wait(lambda: identity(pid) is None, 10, f"process {pid} does not end")


def wait(condition, seconds, complaint):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(complaint)
        time.sleep(0.01)


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write(path, text, mode=0o644):
    with open(path + ".new", "w") as file:
        file.write(text)
    os.chmod(path + ".new", mode)
    os.rename(path + ".new", path)


def cgroup(base):
    """The lab's own directory in the unified hierarchy, wherever the machine has mounted that."""
    for top in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        if os.path.exists(top + "/cgroup.procs"):
            return f"{top}/vti-lab-{zlib.crc32(base.encode()):08x}"
    raise FileNotFoundError("no cgroup v2 hierarchy is mounted")


def remove_cgroup(path):
    """Its processes have ended, but the kernel may take a moment to see it."""

    def gone():
        for directory, _names, _files in os.walk(path, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        return not os.path.exists(path)

    wait(gone, 10, f"{path} stays busy")


@contextlib.contextmanager
def network(namespace):
    """Be in a network namespace, given as an open file; None = the carrier's."""
    if namespace is None:
        yield
        return
    with open("/proc/self/ns/net") as home:
        check(libc.setns(namespace.fileno(), CLONE_NEWNET), "setns")
        try:
            yield
        finally:
            check(libc.setns(home.fileno(), CLONE_NEWNET), "setns back")


def interfaces(namespace=None):
    with network(namespace):
        return {name for _index, name in socket.if_nameindex()}


def ip_batch(lines, namespace=None):
    if lines:
        with network(namespace):
            subprocess.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)


# --- one host -----------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Host:
    name: str
    init: str  # systemd | simple
    boot: list[list[str]]  # commands run before PID 1 and whenever a cable is plugged in: routes, sysctls
    base: str

    @property
    def directory(self):
        return f"{self.base}/hosts/{self.name}"

    @property
    def root(self):
        return self.directory + "/root"

    @property
    def cgroup(self):
        return f"{cgroup(self.base)}/{self.name}"

    @property
    def pid(self):
        return living(self.directory + "/pid")

    def namespace(self):
        return open(f"/proc/{self.pid}/ns/net")

    def create(self, lower):
        """The files, once. They live in the carrier and so outlive the host's namespaces."""
        for part in ("upper", "work", "root"):
            os.makedirs(f"{self.directory}/{part}")
        layers = f"lowerdir={lower},upperdir={self.directory}/upper,workdir={self.directory}/work"
        mount("overlay", self.root, "overlay", options=layers + ",index=off,xino=off")
        shutil.rmtree(self.root + "/lab")  # the carrier's own
        files = {
            "hostname": self.name + "\n",
            "hosts": f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n::1 localhost\n",
            "machine-id": hashlib.md5(b"vti-lab-" + self.name.encode()).hexdigest() + "\n",
            "ssh/lab/authorized_keys": read(self.base + "/key.pub"),
        }
        for path, text in files.items():
            write(f"{self.root}/etc/{path}", text)
        write(self.root + "/etc/ssh/lab/host_key", read(self.base + "/host_key"), 0o600)

    def start(self):
        """Make the namespaces and stop short of PID 1, so that cables and addresses can be put in first."""
        go_read, go = os.pipe()
        status, status_write = os.pipe()
        pid_read, pid_write = os.pipe()
        helper = os.fork()
        if helper == 0:
            try:
                if self.init == "systemd":
                    os.makedirs(self.cgroup, exist_ok=True)
                    with open(self.cgroup + "/cgroup.procs", "w") as file:
                        file.write(str(os.getpid()))
                new = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP
                check(libc.unshare(new), "unshare")
                pid = os.fork()
                if pid == 0:
                    self._become(go_read, status_write)
                os.write(pid_write, str(pid).encode())
            except BaseException as error:
                os.write(status_write, f"{error}".encode())
            os._exit(0)
        for end in (go_read, status_write, pid_write):
            os.close(end)
        os.waitpid(helper, 0)
        return Starting(self, os.read(pid_read, 32).decode(), go, status)

    def _become(self, go, status):
        """PID 1 of the new namespaces: build the machine's view, wait for the word, turn into the init."""
        os.setsid()
        libc.sethostname(self.name.encode(), len(self.name))
        mount("none", "/", flags=MS_REC | MS_PRIVATE)
        os.chdir(self.root)
        modules = "/lib/modules/" + os.uname().release
        if os.path.isdir(modules) and not os.path.isdir("." + modules):
            bind("/lib/modules", "usr/lib/modules")
        self._mounts()
        check(libc.pivot_root(b".", b"."), "pivot_root")  # stacks the old root on the new: pivot_root(2)
        check(libc.umount2(b".", MNT_DETACH), "umount")
        os.chdir("/")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            fcntl.ioctl(s, 0x8914, struct.pack("16sh22x", b"lo", 0x41))  # SIOCSIFFLAGS: UP, RUNNING
        for key in ("accept_dad", "dad_transmits"):  # an address is usable at once
            with open("/proc/sys/net/ipv6/conf/default/" + key, "w") as file:
                file.write("0")
        null = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        os.write(status, b"+")
        if os.read(go, 1) != b"+":
            os._exit(1)
        if self.init == "systemd":
            argv = ["/lib/systemd/systemd", "--log-target=journal", "--show-status=no"]
            os.execve(argv[0], argv, {"container": "lab", "PATH": PATH})
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # survives exec: the kernel reaps orphans by itself
        os.execv("/usr/bin/sleep", ["sleep", "infinity"])

    def _mounts(self):
        """/proc, /sys, /dev, /run and /tmp of the machine; the current directory is its root."""
        mount("proc", "proc", "proc")
        mount("sysfs", "sys", "sysfs")
        bind("proc/sys", "proc/sys")
        bind("proc/sys/net", "proc/sys/net")  # only these sysctls are this host's, the others are the kernel's
        mount("none", "proc/sys", flags=MS_REMOUNT | MS_BIND | MS_RDONLY)
        if self.init == "systemd":
            mount("cgroup2", "sys/fs/cgroup", "cgroup2")
        for name, mode in (("run", "755"), ("tmp", "1777"), ("dev", "755")):
            mount("tmpfs", name, "tmpfs", 0 if name == "dev" else MS_NOSUID, "mode=" + mode)
        for name in ("dev/pts", "dev/shm", "dev/net", "run/sshd", "run/lock"):
            os.mkdir(name)
        mount("devpts", "dev/pts", "devpts", options="newinstance,ptmxmode=0666,mode=620,gid=5")
        mount("tmpfs", "dev/shm", "tmpfs", options="mode=1777")
        for name, target in DEVICE_LINKS.items():
            os.symlink(target, "dev/" + name)
        umask = os.umask(0)
        for name, numbers in DEVICES.items():
            os.mknod("dev/" + name, 0o20666, os.makedev(*numbers))
        os.umask(umask)

    def started(self, pid):
        """Record the host and leave the programs that enter it."""
        write(self.directory + "/pid", identity(pid) or "")
        environment = f"env -i PATH={PATH} HOME=/root LANG=C.UTF-8 TERM=${{TERM:-dumb}}"
        enter = f"exec nsenter -t {pid} -m -u -i -n -p -C -r -w {environment}"
        write(self.directory + "/enter", f'#!/bin/sh\n{enter} "$@"\n', 0o755)
        sshd = f"{self.directory}/enter /usr/sbin/sshd -i -f /etc/ssh/lab/sshd_config -h /etc/ssh/lab/host_key"
        write(self.directory + "/sshd", f"#!/bin/sh\nexec {sshd} 2>/dev/null\n", 0o755)

    def run(self, *argv, **options):
        return subprocess.run([self.directory + "/enter", *argv], text=True, check=True, **options)

    def replay(self, commands):
        if commands:
            self.run("sh", "-e", input="".join(" ".join(command) + "\n" for command in commands))

    def wait_for_systemd(self):
        """Up as systemd sees it: no job left. A unit that failed is the host's own affair; say so and go on."""
        pid = self.pid
        answers = f"/proc/{pid}/root/run/systemd/private"
        wait(lambda: os.path.exists(answers), 60, f"{self.name}: systemd does not come up")
        argv = [self.directory + "/enter", "systemctl", "is-system-running", "--wait"]
        state = subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=120, check=False).stdout.strip()
        if state != "running":
            print(f"lab: {self.name}: systemd is {state}", file=sys.stderr)

    def stop(self):
        pid = self.pid
        if pid:
            kill(pid)
        for name in ("pid", "enter", "sshd"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self.directory}/{name}")
        if self.init == "systemd":
            remove_cgroup(self.cgroup)

    def remove(self):
        self.stop()
        check(libc.umount2(self.root.encode(), MNT_DETACH), "umount")
        shutil.rmtree(self.directory)


@dataclasses.dataclass
class Starting:
    """A host whose namespaces exist and whose PID 1 waits for the word."""

    host: Host
    pid: str
    go: int
    status: int

    def expect(self, answer):
        told = os.read(self.status, 4096)
        if told != answer:
            raise ChildProcessError(f"{self.host.name}: {told.decode() or 'died while starting'}")


# --- the lab ------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class End:
    """One end of a cable."""

    host: str
    interface: str
    addresses: list[str]  # with prefix length; static, put on whenever the end is plugged in


class Lab:
    """All hosts and cables of one carrier; what was asked for is kept in BASE/state.json."""

    def __init__(self, base, root):
        self.base, self.root = base, root
        stored = json.loads(read(base + "/state.json") or '{"hosts": [], "links": {}}')
        self.hosts = {name: Host(name, init, boot, base) for name, init, boot in stored["hosts"]}
        self.links = {number: [End(*end) for end in ends] for number, ends in stored["links"].items()}

    def save(self):
        hosts = [(host.name, host.init, host.boot) for host in self.hosts.values()]
        links = {number: [dataclasses.astuple(end) for end in ends] for number, ends in self.links.items()}
        write(self.base + "/state.json", json.dumps({"hosts": hosts, "links": links}))

    def apply(self, plan):
        """plan: hosts [[name, init]], links [[[host, interface, [address]], [...]]], boot [[host, [argv]]].

        What is there already stays as it is, so that the same plan can be given twice.
        """
        for name, init in plan["hosts"]:
            if name not in self.hosts:
                self.hosts[name] = Host(name, init, [], self.base)
                self.hosts[name].create(self.root)
        for ends in plan["links"]:
            self.add_link([End(*end) for end in ends])
        added = []
        for name, argv in plan["boot"]:
            if argv not in self.find(name).boot:
                self.find(name).boot.append(argv)
                added.append((name, argv))
        self.save()
        running = {name for name, host in self.hosts.items() if host.pid}
        self.start([name for name, _init in plan["hosts"] if name not in running])
        for name, argv in added:
            if name in running:
                self.hosts[name].replay([argv])

    def find(self, name):
        if name not in self.hosts:
            raise LookupError(f"no host {name}")
        return self.hosts[name]

    def add_link(self, ends):
        if ends in self.links.values():
            return
        for end in ends:
            self.find(end.host)
            if any((end.host, end.interface) == (o.host, o.interface) for pair in self.links.values() for o in pair):
                raise ValueError(f"{end.host} has a link {end.interface} already")
        self.links[str(1 + max(map(int, self.links), default=0))] = ends

    def start(self, names):
        starting = [self.hosts[name].start() for name in names]
        for one in starting:
            one.expect(b"+")
            one.host.started(one.pid)
        for name in {*names, *self.wire()}:
            self.hosts[name].replay(self.hosts[name].boot)
        for one in starting:
            os.write(one.go, b"+")
        for one in starting:
            one.expect(b"")
        for one in starting:
            if one.host.init == "systemd":
                one.host.wait_for_systemd()

    def wire(self):
        """Plug in every end whose host runs; make the cables that are missing or died with a host.

        Returns the names of the hosts that got an end.
        """
        with contextlib.ExitStack() as stack:
            namespaces = {n: stack.enter_context(h.namespace()) for n, h in self.hosts.items() if h.pid}
            present = {name: interfaces(namespace) for name, namespace in namespaces.items()}
            loose = interfaces()
            here: list[str] = []
            there: dict[str, list[str]] = {}
            for number, ends in self.links.items():
                cable = [f"cable{number}{side}" for side in "ab"]
                plugged = [end.interface in present.get(end.host, ()) for end in ends]
                if not all(a or b in loose for a, b in zip(plugged, cable, strict=True)):
                    for end, is_plugged, name in zip(ends, plugged, cable, strict=True):
                        if is_plugged:
                            ip_batch([f"link del {end.interface}"], namespaces[end.host])
                        elif name in loose:
                            ip_batch([f"link del {name}"])
                    here.append(f"link add {cable[0]} type veth peer name {cable[1]}")
                    plugged = [False, False]
                for end, is_plugged, name in zip(ends, plugged, cable, strict=True):
                    if end.host in namespaces and not is_plugged:
                        here.append(f"link set {name} netns {self.hosts[end.host].pid} name {end.interface}")
                        there.setdefault(end.host, []).extend(configuration(end))
            ip_batch(here)
            for name, lines in there.items():
                ip_batch(lines, namespaces[name])
            return list(there)

    def reboot(self, name):
        """The power cut: PID 1 dies first, then its cables are pulled out before the network namespace goes."""
        host = self.find(name)
        if host.pid:
            with host.namespace() as namespace:
                host.stop()
                present = interfaces(namespace)
                lines = []
                for number, ends in self.links.items():
                    for side, end in zip("ab", ends, strict=True):
                        if end.host == name and end.interface in present:
                            lines += [f"link set {end.interface} netns 1 name cable{number}{side}"]
                ip_batch(lines, namespace)
        self.start([name])

    def down(self, names):
        for name in names or list(self.hosts):
            host = self.find(name)
            for number, ends in list(self.links.items()):
                if name in (ends[0].host, ends[1].host):
                    self.remove_link(number)
            host.remove()
            del self.hosts[name]
        self.save()

    def remove_link(self, number):
        """Deleting either end deletes the cable."""
        for side, end in zip("ab", self.links.pop(number), strict=True):
            loose = f"cable{number}{side}"
            if loose in interfaces():
                ip_batch([f"link del {loose}"])
                return
            if self.hosts[end.host].pid:
                with self.hosts[end.host].namespace() as namespace:
                    if end.interface in interfaces(namespace):
                        ip_batch([f"link del {end.interface}"], namespace)
                        return


def configuration(end):
    """ip -batch lines for an end that was just plugged in."""
    yield f"link set {end.interface} mtu 1500 up"
    for address in end.addresses:
        yield f"addr add {address} dev {end.interface}" + (" nodad" if ":" in address else "")


def main():
    base, root, verb, *names = sys.argv[1:]
    os.makedirs(base + "/hosts", exist_ok=True)
    if not os.path.exists(base + "/host_key"):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", base + "/host_key"]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
    lab = Lab(base, root)
    try:
        if verb == "apply":
            lab.apply(json.load(sys.stdin))
        elif verb == "reboot":
            for name in names:
                lab.reboot(name)
        elif verb == "down":
            lab.down(names)
        elif verb == "names":
            print(*lab.hosts, sep="\n")
    except (OSError, LookupError, ValueError, subprocess.SubprocessError) as error:
        sys.exit(f"lab: {error.args[0] if isinstance(error, LookupError) else error}")


if __name__ == "__main__":
    main()
