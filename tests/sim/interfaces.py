# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Interfaces of a simulated FreeBSD kernel and ifconfig(8), as in 13.2.

An interface is a dict: kind, index, up, mtu, description, groups, ether, tunnel ([source, destination] or null),
reqid, ifdisabled, auto_linklocal, accept_rtadv, addresses (family, address, prefix, peer, and autoconf for one that a
router advertised), packets (in, out) and bytes (in, out).
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from typing import TYPE_CHECKING, Any

from .files import Failed, Result, lines

if TYPE_CHECKING:
    from .freebsd import FreeBSD

Interface = dict[str, Any]
Address = dict[str, Any]

_FLAGS = {
    "UP": 1,
    "BROADCAST": 2,
    "LOOPBACK": 8,
    "POINTOPOINT": 0x10,
    "RUNNING": 0x40,
    "SIMPLEX": 0x800,
    "MULTICAST": 0x8000,
}
_KIND_FLAGS = {
    "vtnet": {"BROADCAST", "RUNNING", "SIMPLEX", "MULTICAST"},
    "lo": {"LOOPBACK", "MULTICAST"},
    "ipsec": {"POINTOPOINT", "MULTICAST"},
    "enc": set(),
}
_OPTIONS = {
    "vtnet": "\toptions=80028<VLAN_MTU,JUMBO_MTU,LINKSTATE>",
    "lo": "\toptions=680003<RXCSUM,TXCSUM,LINKSTATE,RXCSUM_IPV6,TXCSUM_IPV6>",
}
_CLONED = {"ipsec": 1400, "lo": 16384}
_MTU = {"ipsec": (1280, 8192), "vtnet": (68, 65535), "lo": (72, 2**31 - 1), "enc": (1, 2**31 - 1)}
_NOT_THERE = "ifconfig: ioctl (SIOCDIFADDR): Can't assign requested address"


def new_interface(kind: str, index: int, mtu: int, **more: Any) -> Interface:
    """An interface as the kernel makes it."""
    made = {
        "kind": kind,
        "index": index,
        "up": False,
        "mtu": mtu,
        "description": "",
        "groups": [] if kind == "vtnet" else [kind],
        "ether": "",
        "tunnel": None,
        "reqid": 0,
        "ifdisabled": kind != "lo",
        "auto_linklocal": True,
        "accept_rtadv": False,
        "addresses": [],
        "packets": {"in": 0, "out": 0},
        "bytes": {"in": 0, "out": 0},
    }
    made.update(more)
    return made


def family_of(address: str) -> str:
    """inet or inet6."""
    return "inet6" if ":" in address else "inet"


def bare(address: str) -> str:
    """An address without its zone."""
    return address.partition("%")[0]


class Interfaces:
    """The interface table and ifconfig(8)."""

    def __init__(self, host: FreeBSD) -> None:
        self.host = host

    @property
    def table(self) -> dict[str, Interface]:
        """Interfaces by name, in the order of their indexes."""
        table: dict[str, Interface] = self.host.state["interfaces"]
        return table

    # -- the kernel's part --

    def owner(self, address: str) -> str | None:
        """The interface that has the address."""
        for name, interface in self.table.items():
            if any(bare(entry["address"]) == bare(address) for entry in interface["addresses"]):
                return name
        return None

    def flags(self, name: str) -> list[str]:
        """The interface's flags by name, in the kernel's order."""
        interface = self.table[name]
        flags = set(_KIND_FLAGS[interface["kind"]])
        if interface["up"]:
            flags |= {"UP", "RUNNING"} if interface["kind"] in ("lo", "enc") else {"UP"}
        if interface["tunnel"] and self.owner(interface["tunnel"][0]):
            flags.add("RUNNING")
        return [flag for flag in _FLAGS if flag in flags]

    def flag_bits(self, name: str) -> int:
        """The interface's flags as a number."""
        unnamed = 0x20 if self.table[name]["kind"] == "vtnet" else 0  # IFF_NEEDSEPOCH
        return sum(_FLAGS[flag] for flag in self.flags(name)) | unnamed

    def create(self, wanted: str) -> str:
        """Clone an interface; a name without a number takes the first free one."""
        match = re.fullmatch(r"([a-z]+)(\d*)", wanted)
        kind = match.group(1) if match else ""
        if wanted in self.table:
            raise Failed(1, f"ifconfig: interface {wanted} already exists")
        if kind not in _CLONED:
            raise Failed(1, f"ifconfig: SIOCIFCREATE2 ({wanted}): Invalid argument")
        if kind == "ipsec":
            self.host.modules.load("ipsec")
        unit = 0
        while wanted == kind and f"{kind}{unit}" in self.table:
            unit += 1
        name = wanted if wanted != kind else f"{kind}{unit}"
        taken = {interface["index"] for interface in self.table.values()}
        index = min(set(range(1, len(taken) + 2)) - taken)
        self.table[name] = new_interface(kind, index, _CLONED[kind])
        return name

    def destroy(self, name: str) -> None:
        """Remove a cloned interface with its addresses and routes."""
        if self.table[name]["kind"] not in _CLONED or name == "lo0":
            raise Failed(1, "ifconfig: SIOCIFDESTROY: Invalid argument")
        for entry in list(self.table[name]["addresses"]):
            self.remove_address(name, entry)
        self.host.routing.interface_gone(name)
        del self.table[name]

    def set_up(self, name: str, up: bool) -> None:
        """The administrative state, with what the kernel does along with it."""
        self.table[name]["up"] = up
        if up:
            self._auto_linklocal(name)
        self.host.routing.connected(name)

    def _auto_linklocal(self, name: str) -> None:
        interface = self.table[name]
        wanted = interface["up"] and interface["auto_linklocal"] and not interface["ifdisabled"]
        if not wanted or any(entry["address"].startswith("fe80") for entry in interface["addresses"]):
            return
        if interface["kind"] == "enc":
            return
        self._append(name, {"family": "inet6", "address": self._linklocal(name), "prefix": 64, "peer": None})

    def _linklocal(self, name: str) -> str:
        interface = self.table[name]
        if interface["kind"] == "lo":
            return "fe80::1"
        if interface["ether"]:
            octets = [int(part, 16) for part in interface["ether"].split(":")]
            octets = [octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]]
        else:  # the real kernel takes random bits here; a hash keeps runs repeatable
            octets = list(hashlib.sha256(f"{self.host.state['hostname']}/{name}".encode()).digest()[:8])
        return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + bytes(octets)))

    def advertised(self, name: str) -> None:
        """What the kernel does when a router has advertised itself on an interface that accepts it.

        With forwarding on it takes no router from there, unless net.inet6.ip6.rfc6204w3 is set (nd6_rtr.c).
        """
        interface = self.table[name]
        prefix, router = self.host.state["rtadv"].get(name, ("", ""))
        if not router or not interface["accept_rtadv"] or not interface["up"] or interface["ifdisabled"]:
            return
        network = ipaddress.IPv6Network(prefix)
        own = int(ipaddress.IPv6Address(self._linklocal(name))) & (2**64 - 1)
        entry = {"family": "inet6", "address": str(network[own]), "prefix": 64, "peer": None, "autoconf": True}
        if entry not in interface["addresses"]:
            self._append(name, entry)
        sysctls = self.host.sysctls.table
        if sysctls["net.inet6.ip6.forwarding"] == "0" or sysctls["net.inet6.ip6.rfc6204w3"] == "1":
            self.host.routing.learn_default(name, f"{router}%{name}")

    def _append(self, name: str, entry: Address) -> None:
        self.table[name]["addresses"].append(entry)
        self.host.routing.connected(name)

    def add_address(self, name: str, entry: Address, alias: bool) -> None:
        """Add or replace an address; without alias an IPv4 address takes the place of the first one."""
        interface = self.table[name]
        family = entry["family"]
        if family == "inet" and not alias:
            first = [other for other in interface["addresses"] if other["family"] == "inet"][:1]
            for other in first:
                self.remove_address(name, other)
        if family == "inet" and interface["kind"] == "ipsec" and not entry["peer"]:
            raise Failed(1, "ifconfig: ioctl (SIOCAIFADDR): Destination address required")
        same = [other for other in interface["addresses"] if other["address"] == entry["address"]]
        if same == [entry] and alias:
            return
        for other in same:
            interface["addresses"].remove(other)
        if family == "inet6":
            interface["ifdisabled"] = False
        self._append(name, entry)
        self.set_up(name, True)

    def remove_address(self, name: str, entry: Address) -> None:
        """Remove an address; IPv4 routes that were made through it go with it, IPv6 ones stay."""
        self.table[name]["addresses"].remove(entry)
        self.host.routing.address_gone(name, entry)
        self.host.routing.connected(name)

    # -- ifconfig(8) --

    def ifconfig(self, argv: list[str], stdin: str) -> Result:
        options, arguments, formats = "", list(argv[1:]), ""
        group = ""
        while arguments and arguments[0].startswith("-") and arguments[0] not in ("-tunnel", "-alias"):
            option = arguments.pop(0)[1:]
            options += option
            if option.endswith("f"):
                formats = arguments.pop(0)
            elif option.endswith("g"):
                group = arguments.pop(0)
        if "C" in options:
            return Result(0, "enc ipsec lo\n")
        if "g" in options:
            return Result(0, lines(*(name for name in self.table if group in self.table[name]["groups"])))
        if "l" in options:
            return Result(0, self._names(options, arguments))
        cidr = set(re.findall(r"(inet6?):cidr", formats))
        if "a" in options or not arguments:
            shown = [name for name in self.table if "u" not in options or self.table[name]["up"]]
            only = arguments[0] if arguments else ""
            return Result(0, "".join(self.show(name, only, cidr, "m" in options) for name in shown))
        name = arguments.pop(0)
        if arguments[:1] in (["create"], ["plumb"]):
            return self._configure_created(name, arguments[1:])
        if name not in self.table:
            raise Failed(1, f"ifconfig: interface {name} does not exist")
        if not arguments or arguments in (["inet"], ["inet6"], ["ether"]):
            return Result(0, self.show(name, arguments[0] if arguments else "", cidr, "m" in options))
        return _Change(self, name).apply(arguments)

    def _configure_created(self, wanted: str, arguments: list[str]) -> Result:
        name = self.create(wanted)
        told = lines(name) if name != wanted else ""
        if not arguments:
            return Result(0, told)
        result = _Change(self, name).apply(arguments)
        return Result(result.rc, told + result.stdout, result.stderr)

    def _names(self, options: str, arguments: list[str]) -> str:
        names = [name for name in self.table if "u" not in options or self.table[name]["up"]]
        if arguments == ["ether"]:
            names = [name for name in names if self.table[name]["ether"]]
        return lines(" ".join(names))

    def show(self, name: str, only: str = "", cidr: set[str] = frozenset(), capabilities: bool = False) -> str:  # type: ignore[assignment]
        """One interface as ifconfig prints it; only = one address family, or empty for everything."""
        interface = self.table[name]
        kind = interface["kind"]
        rows = [f"{name}: flags={self.flag_bits(name):x}<{','.join(self.flags(name))}> metric 0 mtu {interface['mtu']}"]
        if interface["description"]:
            rows.append(f"\tdescription: {interface['description']}")
        if kind in _OPTIONS:
            rows.append(_OPTIONS[kind])
        if capabilities and kind == "vtnet":
            rows.append("\tcapabilities=90028<VLAN_MTU,JUMBO_MTU,VLAN_HWFILTER,LINKSTATE>")
        if interface["ether"] and only in ("", "ether"):
            rows.append(f"\tether {interface['ether']}")
        if interface["tunnel"] and only != "ether":
            source, destination = interface["tunnel"]
            rows.append(f"\ttunnel {family_of(source)} {source} --> {destination}")
        rows += [
            self._address_row(name, entry, cidr) for entry in self._grouped(interface) if only in ("", entry["family"])
        ]
        if not only:
            rows += self._tail(interface, capabilities)
        return lines(*rows)

    @staticmethod
    def _grouped(interface: Interface) -> list[Address]:
        """Addresses as ifconfig sorts them: families by their first address, in order within a family."""
        families = list(dict.fromkeys(entry["family"] for entry in interface["addresses"]))
        return sorted(interface["addresses"], key=lambda entry: families.index(entry["family"]))

    def _address_row(self, name: str, entry: Address, cidr: set[str]) -> str:
        interface, prefix = self.table[name], entry["prefix"]
        if entry["family"] == "inet6":
            local = entry["address"].startswith("fe80")
            scope = f" scopeid {interface['index']:#x}" if local else ""
            peer = f" --> {entry['peer']}" if entry["peer"] else ""
            length = f"/{prefix}" if "inet6" in cidr else f" prefixlen {prefix}"
            autoconf = " autoconf" if entry.get("autoconf") else ""
            return f"\tinet6 {entry['address']}{'%' + name if local else ''}{peer}{length}{autoconf}{scope}"
        network = ipaddress.IPv4Network(f"{entry['address']}/{prefix}", strict=False)
        peer = f" --> {entry['peer']}" if entry["peer"] else ""
        length = f"/{prefix}" if "inet" in cidr else f" netmask {int(network.netmask):#010x}"
        broadcast = f" broadcast {network.broadcast_address}" if interface["kind"] == "vtnet" else ""
        return f"\tinet {entry['address']}{peer}{length}{broadcast}"

    @staticmethod
    def _tail(interface: Interface, capabilities: bool) -> list[str]:
        rows = []
        if interface["groups"]:
            rows.append(f"\tgroups: {' '.join(interface['groups'])}")
        if interface["kind"] == "ipsec":
            rows.append(f"\treqid: {interface['reqid']}")
        if interface["kind"] == "vtnet":
            rows += ["\tmedia: Ethernet autoselect (10Gbase-T <full-duplex>)", "\tstatus: active"]
        if capabilities and interface["kind"] == "vtnet":
            rows += ["\tsupported media:", "\t\tmedia autoselect"]
        flags = {"accept_rtadv": 2, "ifdisabled": 8, "auto_linklocal": 0x20}
        options = 1 + sum(bit for flag, bit in flags.items() if interface[flag])
        names = ["PERFORMNUD", *(flag.upper() for flag in flags if interface[flag])]
        return [*rows, f"\tnd6 options={options:x}<{','.join(names)}>"]


class _Change:
    """One ifconfig call that changes an interface: words act in order, the address last of all."""

    def __init__(self, interfaces: Interfaces, name: str) -> None:
        self.interfaces, self.name = interfaces, name
        self.interface = interfaces.table[name]
        self.words: list[str] = []
        self.family = "inet"
        self.address: str | None = None
        self.peer: str | None = None
        self.prefix: int | None = None
        self.alias = 0  # -1 remove, 0 set, 1 add
        self.out: list[str] = []
        self.warnings: list[str] = []

    def apply(self, words: list[str]) -> Result:
        self.words = list(words)
        while self.words:
            word = self.words.pop(0)
            action = _WORDS.get(word)
            if action is not None:
                action(self)
            elif self.address is None:
                self.address = self._parse(word)
            elif self.peer is None:
                self.peer = self._parse(word)
            else:
                raise Failed(1, f"ifconfig: {word}: bad value")
        if self.address is not None:
            self._address()
        return Result(0, lines(*self.out), lines(*self.warnings))

    def argument(self) -> str:
        if not self.words:
            raise Failed(1, "ifconfig: command needs argument")
        return self.words.pop(0)

    def _parse(self, word: str) -> str:
        text, slash, length = word.partition("/")
        text, _rest, _zone = text.partition("%")
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise Failed(1, f"ifconfig: {text}: bad value") from None
        if (address.version == 6) != (self.family == "inet6"):
            raise Failed(1, f"ifconfig: {text}: bad value")
        if slash and not length.isdigit():
            raise Failed(1, f"ifconfig: {word}: bad value")
        if slash and int(length) > address.max_prefixlen:
            raise Failed(1, f"ifconfig: {word}: bad value (width too large)")
        if slash:
            self.prefix = int(length)
        return str(address)

    def _address(self) -> None:
        address = str(self.address)
        entries = [entry for entry in self.interface["addresses"] if entry["address"] == address]
        if self.alias < 0:
            if not entries:
                raise Failed(1, _NOT_THERE, lines(*self.out))
            self.interfaces.remove_address(self.name, entries[0])
            return
        prefix = self.prefix
        if prefix is None and self.family == "inet6":
            prefix = 128 if self.peer else 64
        elif prefix is None:  # classful
            first = int(address.split(".", maxsplit=1)[0])
            prefix = 8 if first < 128 else 16 if first < 192 else 24
        entry = {"family": self.family, "address": address, "prefix": prefix, "peer": self.peer}
        self.interfaces.add_address(self.name, entry, alias=self.alias > 0)

    # -- words --

    def inet(self) -> None:
        self.family = "inet"

    def inet6(self) -> None:
        self.family = "inet6"

    def add(self) -> None:
        self.alias = 1

    def remove(self) -> None:
        self.alias = -1

    def prefixlen(self) -> None:
        self.prefix = int(self.argument())

    def netmask(self) -> None:
        word = self.argument()
        mask = int(word, 16) if word.startswith("0x") else int(ipaddress.IPv4Address(word))
        self.prefix = bin(mask).count("1")

    def broadcast(self) -> None:
        self.argument()

    def up(self) -> None:
        self.interfaces.set_up(self.name, True)

    def down(self) -> None:
        self.interfaces.set_up(self.name, False)

    def destroy(self) -> None:
        self.interfaces.destroy(self.name)

    def mtu(self) -> None:
        word = self.argument()
        low, high = _MTU[self.interface["kind"]]
        if not word.isdigit() or not low <= int(word) <= high:
            raise Failed(1, "ifconfig: ioctl SIOCSIFMTU (set mtu): Invalid argument")
        self.interface["mtu"] = int(word)

    def tunnel(self) -> None:
        source, destination = self.argument(), self.argument()
        for word in (source, destination):
            try:
                ipaddress.ip_address(word)
            except ValueError:
                raise Failed(1, "ifconfig: error in parsing address string: Name does not resolve") from None
        if family_of(source) != family_of(destination):
            raise Failed(1, "ifconfig: source and destination address families do not match")
        if self.interface["kind"] != "ipsec":
            raise Failed(1, "ifconfig: SIOCSIFPHYADDR: Invalid argument")
        self.interface["tunnel"] = [str(ipaddress.ip_address(source)), str(ipaddress.ip_address(destination))]

    def no_tunnel(self) -> None:
        self.interface["tunnel"] = None

    def reqid(self) -> None:
        """A taken or malformed reqid is only a warning: the interface keeps the one it has."""
        word = self.argument()
        if not word.isdigit() or int(word) > 2**32 - 1:
            self.warnings.append(f"ifconfig: Invalid reqid value {word}: Invalid argument")
            return
        others = [other for name, other in self.interfaces.table.items() if name != self.name]
        if int(word) and any(other["reqid"] == int(word) for other in others):
            self.warnings.append("ifconfig: ioctl(IPSECSREQID): File exists")
            return
        self.interface["reqid"] = int(word)

    def description(self) -> None:
        self.interface["description"] = self.argument()

    def no_description(self) -> None:
        self.interface["description"] = ""

    def group(self) -> None:
        word = self.argument()
        if word[-1:].isdigit():
            raise Failed(1, "ifconfig: setifgroup: group names may not end in a digit")
        if len(word) > 15:
            raise Failed(1, "ifconfig: setifgroup: group name too long")
        if word not in self.interface["groups"]:
            self.interface["groups"].append(word)

    def no_group(self) -> None:
        word = self.argument()
        if word in self.interface["groups"]:
            self.interface["groups"].remove(word)

    def rename(self) -> None:
        word = self.argument()
        if word in self.interfaces.table:
            raise Failed(1, "ifconfig: ioctl SIOCSIFNAME (set name): File exists")
        if len(word) > 15:
            raise Failed(1, "ifconfig: ioctl SIOCSIFNAME (set name): File name too long")
        entries = [(word if name == self.name else name, value) for name, value in self.interfaces.table.items()]
        self.interfaces.table.clear()
        self.interfaces.table.update(entries)
        self.interfaces.host.routing.interface_renamed(self.name, word)
        self.name = word
        self.out.append(word)

    def fib(self) -> None:
        if self.argument() != "0":
            self.warnings.append("ifconfig: ioctl (SIOCSIFFIB): Invalid argument")

    def tunnelfib(self) -> None:
        if self.argument() != "0":
            self.warnings.append("ifconfig: ioctl (SIOCSTUNFIB): Invalid argument")

    def ifdisabled(self) -> None:
        self.interface["ifdisabled"] = True

    def no_ifdisabled(self) -> None:
        self.interface["ifdisabled"] = False
        self.interfaces.set_up(self.name, self.interface["up"])

    def auto_linklocal(self) -> None:
        self.interface["auto_linklocal"] = True
        self.interfaces.set_up(self.name, self.interface["up"])

    def no_auto_linklocal(self) -> None:
        self.interface["auto_linklocal"] = False

    def accept_rtadv(self) -> None:
        self.interface["accept_rtadv"] = True

    def no_accept_rtadv(self) -> None:
        self.interface["accept_rtadv"] = False

    def ignored(self) -> None:
        """A flag of no consequence here."""


_WORDS = {
    "inet": _Change.inet, "inet6": _Change.inet6, "alias": _Change.add, "-alias": _Change.remove,
    "delete": _Change.remove, "remove": _Change.remove, "prefixlen": _Change.prefixlen, "netmask": _Change.netmask,
    "broadcast": _Change.broadcast, "up": _Change.up, "down": _Change.down, "destroy": _Change.destroy,
    "unplumb": _Change.destroy, "mtu": _Change.mtu, "tunnel": _Change.tunnel, "deletetunnel": _Change.no_tunnel,
    "-tunnel": _Change.no_tunnel, "reqid": _Change.reqid, "description": _Change.description,
    "descr": _Change.description, "-description": _Change.no_description, "-descr": _Change.no_description,
    "group": _Change.group, "-group": _Change.no_group, "name": _Change.rename, "fib": _Change.fib,
    "tunnelfib": _Change.tunnelfib, "ifdisabled": _Change.ifdisabled, "-ifdisabled": _Change.no_ifdisabled,
    "auto_linklocal": _Change.auto_linklocal, "-auto_linklocal": _Change.no_auto_linklocal, "no_dad": _Change.ignored,
    "accept_rtadv": _Change.accept_rtadv, "-accept_rtadv": _Change.no_accept_rtadv,
}  # fmt: skip
