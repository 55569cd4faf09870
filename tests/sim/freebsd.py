# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A simulated FreeBSD host: state as plain data, and run() for the commands that a manager uses on one.

network = Network()
host = FreeBSD("a", addresses={"vtnet1": ["192.0.2.1/24", "2001:db8::1/64"]}, network=network)
host.run(["ifconfig", "ipsec0", "create", "reqid", "100"])  -> Result(rc, stdout, stderr)
host.files["/usr/local/etc/swanctl/conf.d/x.conf"] = "..."
host.to_json() and FreeBSD.from_json(text, files, network)
"""

from __future__ import annotations

import ipaddress
import json
import posixpath
import time
from collections.abc import Callable, Iterator
from typing import Any

from .charon import Charon
from .files import Failed, Files, MemoryFiles, Result, lines
from .interfaces import Interfaces, new_interface
from .kernel import SYSCTLS, Keys, Modules, Ping, Sysctls
from .pf import Pf
from .rc import Rc
from .routing import Routing, new_route
from .swanctl import CONFIG, Swanctl

RELEASE = "13.2-RELEASE"
_CHARON = {
    "running": False, "since": 0.0, "conns": {}, "secrets": {}, "sas": [], "traps": [], "next_ike": 1,
    "next_child": 1,
}  # fmt: skip
_PACKAGES = ["pkg", "python311", "strongswan"]
_PROGRAMS = {"dpinger": "/usr/local/bin/dpinger", "fping": "/usr/local/sbin/fping"}


class Network:
    """The hosts that find each other, by name."""

    def __init__(self) -> None:
        self.hosts: dict[str, FreeBSD] = {}
        self.names: dict[str, str] = {}  # host names that resolve, with their addresses

    def others(self, host: FreeBSD) -> Iterator[FreeBSD]:
        """All other hosts that are up."""
        return (other for other in list(self.hosts.values()) if other is not host and other.state["up"])

    def resolve(self, name: str) -> str:
        """The address of a name; an address or an unknown name stays what it is."""
        return self.names.get(name, name)

    def neighbour(self, host: FreeBSD, interface: str, address: str) -> FreeBSD | None:
        """The host that has the address on the network which an interface is attached to."""
        address = address.partition("%")[0]
        for other in self.others(host):
            owner = other.interfaces.owner(address)
            attached = other.interfaces.table[owner] if owner else {"kind": "", "up": False}
            on_link = self._share(host.interfaces.table[interface], address)
            if on_link and attached["kind"] == "vtnet" and attached["up"]:
                return other
        return None

    def outside(self, host: FreeBSD, address: str) -> FreeBSD | None:
        """The host behind a router that is no host itself: its default route leaves where the address is."""
        for other in self.others(host):
            default = other.routing.lookup("2000::" if ":" in address else "0.0.0.1")
            if default is not None and default["interface"] == other.interfaces.owner(address):
                return other
        return None

    @staticmethod
    def _share(interface: dict[str, Any], address: str) -> bool:
        networks = [ipaddress.ip_network(f"{e['address']}/{e['prefix']}", strict=False) for e in interface["addresses"]]
        return any(ipaddress.ip_address(address) in network for network in networks)

    def answers(self, host: FreeBSD, interface: str, address: str) -> bool:
        """Whether a machine that is no simulated host answers: any on a LAN of one host, none on a shared network."""
        for entry in host.interfaces.table[interface]["addresses"]:
            network = ipaddress.ip_network(f"{entry['address']}/{entry['prefix']}", strict=False)
            if ipaddress.ip_address(address) in network:
                shared = (
                    ipaddress.ip_address(e["address"]) in network
                    for other in self.others(host)
                    for i in other.interfaces.table.values()
                    for e in i["addresses"]
                    if network.version == ipaddress.ip_address(e["address"]).version
                )
                return not any(shared)
        return False


class FreeBSD:
    """One host. Everything it knows is in `state` (plain data) and `files`."""

    def __init__(
        self,
        hostname: str,
        addresses: dict[str, list[str]] | None = None,
        network: Network | None = None,
        files: Files | None = None,
        gateway: str | None = None,
        state: dict[str, Any] | None = None,
        dhcp: dict[str, tuple[str, str]] | None = None,
        rtadv: dict[str, tuple[str, str]] | None = None,
    ) -> None:
        """A host as it is after its first boot, with an rc.conf that says the same.

        addresses: by interface. gateway: the default routers of rc.conf, one of each family, comma between. dhcp: by
        interface (rc.conf: DHCP), the address with length that a server leases, and the router it names. rtadv: by
        interface (rc.conf: inet6 accept_rtadv), the prefix and the link-local address that a router advertises.
        """
        self.files: Files = MemoryFiles() if files is None else files
        self.network = network or Network()
        self.network.hosts[hostname] = self
        fresh = state is None
        self.state: dict[str, Any] = state if state is not None else _new_state(hostname)
        self.interfaces, self.routing = Interfaces(self), Routing(self)
        self.modules, self.sysctls, self.keys, self.ping = Modules(self), Sysctls(self), Keys(self), Ping(self)
        self.charon, self.pf, self.rc = Charon(self), Pf(self), Rc(self)
        self.swanctl = Swanctl(self)
        if fresh:
            self.state.update(dhcp=dict(dhcp or {}), rtadv=dict(rtadv or {}))
            self._set_up(addresses or {}, gateway)

    @classmethod
    def from_json(cls, text: str, files: Files | None = None, network: Network | None = None) -> FreeBSD:
        """The host that to_json() described."""
        state = json.loads(text)
        return cls(state["hostname"], network=network, files=files, state=state)

    def to_json(self) -> str:
        """The whole state but the files."""
        return json.dumps(self.state)

    def _set_up(self, addresses: dict[str, list[str]], gateway: str | None) -> None:
        for number, (name, networks) in enumerate(addresses.items()):
            self.add_interface(name, "vtnet", ether=f"52:54:00:00:{number:02x}:{self.number():02x}", up=True)
            self._address(name, networks)
        self.add_interface("lo0", "lo", mtu=16384)
        self._address("lo0", ["::1/128", "127.0.0.1/8"])
        self._lo0_routes(gateway)
        rows = [f'hostname="{self.state["hostname"]}"']
        rows += [f'ifconfig_{name}="DHCP"' for name in self.state["dhcp"]]
        rows += [f'ifconfig_{name}_ipv6="inet6 accept_rtadv"' for name in self.state["rtadv"]]
        for name, networks in addresses.items():
            main = [network for network in networks if ":" not in network][:1]
            six = [network for network in networks if ":" in network][:1]
            rows += [f'ifconfig_{name}="inet {network}"' for network in main]
            rows += [f'ifconfig_{name}_ipv6="inet6 {network}"' for network in six]
            more = [network for network in networks if network not in main + six]
            rows += [
                f'ifconfig_{name}_alias{n}="inet{"6" * (":" in network)} {network}"' for n, network in enumerate(more)
            ]
        for address in gateway.split(",") if gateway else ():
            rows.append(f'{"ipv6_" * (":" in address)}defaultrouter="{address}"')
        rows.append('sshd_enable="YES"')
        if self.files.get("/etc/rc.conf") is None:
            self.files["/etc/rc.conf"] = lines(*rows)
        if self.files.get(CONFIG) is None:
            self.files[CONFIG] = "include conf.d/*.conf\n"
        for name in self.state["dhcp"]:
            self.rc.lease(name)
        for name in self.state["rtadv"]:
            for words in (["inet6", "-ifdisabled"], ["inet6", "accept_rtadv"], ["up"]):
                self.run(["ifconfig", name, *words])
            self.interfaces.advertised(name)

    def _address(self, name: str, networks: list[str]) -> None:
        if any(":" in network for network in networks):
            self.interfaces.table[name].update(ifdisabled=False, up=False)
        for network in networks:
            address, _rest, prefix = network.partition("/")
            family = "inet6" if ":" in address else "inet"
            self.interfaces.add_address(
                name, {"family": family, "address": address, "prefix": int(prefix), "peer": None}, alias=True
            )

    def _lo0_routes(self, gateway: str | None) -> None:
        """What rc.d/routing sets up at boot."""
        for network in ("::/96", "::ffff:0.0.0.0/96", "fe80::/10", "ff02::/16"):
            self.routing.table.append(new_route(str(ipaddress.ip_network(network)), "lo0", "URS", gateway="::1"))
        for address in gateway.split(",") if gateway else ():
            self.run(["route", "add", f"-inet{'6' * (':' in address)}", "default", address])

    def number(self) -> int:
        """A small number of the host's own, for its hardware addresses."""
        return int(sum(self.state["hostname"].encode()) - ord("a")) % 255 + 1

    def add_interface(self, name: str, kind: str, mtu: int = 1500, **more: Any) -> None:
        """Add an interface of the hardware or of a module."""
        taken = {interface["index"] for interface in self.interfaces.table.values()}
        index = min(set(range(1, len(taken) + 2)) - taken)
        self.interfaces.table[name] = new_interface(kind, index, mtu, **more)

    # -- commands --

    def commands(self) -> dict[str, Callable[[list[str], str], Result]]:
        """The programs by name."""
        return {
            "ifconfig": self.interfaces.ifconfig,
            "route": self.routing.route,
            "netstat": self.routing.netstat,
            "sysctl": self.sysctls.sysctl,
            "kldload": self.modules.kldload,
            "kldstat": self.modules.kldstat,
            "kldunload": self.modules.kldunload,
            "setkey": self.keys.setkey,
            "ping": self.ping.ping,
            "ping6": self.ping.ping,
            "swanctl": self.swanctl.swanctl,
            "pfctl": self.pf.pfctl,
            "sysrc": self.rc.sysrc,
            "service": self.rc.service,
            "freebsd-sim": self.rc.freebsd_sim,
            "pkg": self._pkg,
            "uname": self._uname,
            "hostname": self._hostname,
            "freebsd-version": self._freebsd_version,
            "ps": self._ps,
        }

    def run(self, argv: list[str], stdin: str | None = None) -> Result:
        """Run a command; its name may have a directory."""
        command = self.commands().get(posixpath.basename(argv[0]))
        if command is None:
            return Result(127, "", f"{argv[0]}: not found\n")
        try:
            return command(list(argv), stdin or "")
        except Failed as failed:
            return failed.result

    def reboot(self) -> None:
        """Lose everything but the files and the hardware, then do what rc does at boot."""
        hardware = {name: i for name, i in self.interfaces.table.items() if i["kind"] == "vtnet"}
        old = self.state
        self.charon.state.update(running=False, sas=[])
        self.state = _new_state(old["hostname"])
        self.state.update({key: old[key] for key in ("packages", "dhcp", "rtadv")})
        for name, interface in hardware.items():
            self.add_interface(name, "vtnet", ether=interface["ether"])
        self.add_interface("lo0", "lo", mtu=16384)
        self.rc.boot()

    def _pkg(self, argv: list[str], stdin: str) -> Result:
        words = [word for word in argv[1:] if not word.startswith("-")]
        packages: list[str] = self.state["packages"]
        if words[:1] == ["info"]:
            if len(words) == 1:
                return Result(0, lines(*(f"{name}-1.0  simulated package" for name in packages)))
            return Result(0 if all(name in packages for name in words[1:]) else 1)
        if words[:1] in (["install"], ["delete"], ["remove"]):
            for name in words[1:]:
                program = _PROGRAMS.get(name, "")
                if words[0] == "install" and name not in packages:
                    packages.append(name)
                    if program:
                        self.files.put(program, "#!/bin/sh\n", 0o755)
                elif words[0] != "install" and name in packages:
                    packages.remove(name)
                    self.files.pop(program, None)
            return Result(0, lines(*(f"[1/1] {words[0]}ed {name}" for name in words[1:])))
        if argv[1:2] in (["-N"], ["-v"]) or words[:1] in (["update"], ["query"]):
            return Result(0, "1.19.1\n" if "-v" in argv else "")
        return Result(64, "", f"pkg: not simulated: {' '.join(argv)}\n")

    def _uname(self, argv: list[str], stdin: str) -> Result:
        letters = "".join(word[1:] for word in argv[1:]) or "s"
        values = {
            "s": "FreeBSD",
            "n": self.state["hostname"],
            "r": RELEASE,
            "v": f"FreeBSD {RELEASE} VMTEST",
            "m": "amd64",
            "p": "amd64",
            "K": "1302001",
            "U": "1302001",
            "i": "VMTEST",
        }
        letters = "snrvm" if "a" in letters else "".join(letter for letter in "snrvmpiUK" if letter in letters)
        return Result(0, lines(" ".join(values[letter] for letter in letters)))

    def _hostname(self, argv: list[str], stdin: str) -> Result:
        if len(argv) > 1 and not argv[1].startswith("-"):
            self.state["hostname"] = argv[1]
            return Result(0)
        return Result(0, lines(self.state["hostname"]))

    def _ps(self, argv: list[str], stdin: str) -> Result:
        charon = ["charon"] * self.state["charon"]["running"]
        return Result(0, lines("COMMAND", *charon, "sshd", "init"))

    def _freebsd_version(self, argv: list[str], stdin: str) -> Result:
        letters = "".join(word[1:] for word in argv[1:]) or "u"
        return Result(0, lines(*(RELEASE for letter in "kru" if letter in letters)))


def _new_state(hostname: str) -> dict[str, Any]:
    return {
        "hostname": hostname,
        "up": True,
        "booted": time.time(),
        "interfaces": {},
        "routes": [],
        "sysctls": dict(SYSCTLS),
        "modules": [],
        "charon": json.loads(json.dumps(_CHARON)),
        "pf": {"enabled": False, "skip": [], "rulesets": {}},
        "services": {},
        "last_pid": 700,
        "packages": list(_PACKAGES),
        "dhcp": {},
        "rtadv": {},
    }
