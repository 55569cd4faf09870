# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kernel modules, sysctl(8), setkey(8) and ping(8) of a simulated FreeBSD host."""

from __future__ import annotations

import ipaddress
import time
from typing import TYPE_CHECKING, Any

from .files import Failed, Result, lines
from .interfaces import bare, family_of

if TYPE_CHECKING:
    from .freebsd import FreeBSD

# file name: (address, size, references it adds to the kernel, names of its modules)
_MODULES = {
    "ipsec": (0xFFFFFFFF80D10000, 0xF5C0, 3, {"ipsec": 109}),
    "if_enc": (0xFFFFFFFF80D20000, 0x2548, 2, {"if_enc": 110}),
    "pf": (0xFFFFFFFF80D30000, 0x58000, 2, {"pf": 111}),
    "pflog": (0xFFFFFFFF80D90000, 0x3000, 1, {"pflog": 112}),
    "if_bridge": (0xFFFFFFFF80DA0000, 0xF000, 2, {"if_bridge": 113}),
    "aesni": (0xFFFFFFFF80DB0000, 0xB000, 2, {"aesni": 114}),
    "cryptodev": (0xFFFFFFFF80DC0000, 0x5000, 2, {"cryptodev": 115}),
}

_IPSEC_SYSCTLS = {
    "net.inet.ipsec.def_policy": "1", "net.inet.ipsec.esp_trans_deflev": "1", "net.inet.ipsec.esp_net_deflev": "1",
    "net.inet.ipsec.ah_trans_deflev": "1", "net.inet.ipsec.ah_net_deflev": "1", "net.inet.ipsec.ah_cleartos": "1",
    "net.inet.ipsec.dfbit": "0", "net.inet.ipsec.ecn": "0", "net.inet.ipsec.debug": "0",
    "net.inet.ipsec.filtertunnel": "0", "net.inet.ipsec.natt_cksum_policy": "0",
    "net.inet.ipsec.check_policy_history": "0", "net.inet.ipsec.async_crypto": "0",
    "net.inet.ipsec.crypto_support": "50331648", "net.inet6.ipsec6.def_policy": "1",
    "net.inet6.ipsec6.esp_trans_deflev": "1", "net.inet6.ipsec6.esp_net_deflev": "1",
    "net.inet6.ipsec6.ah_trans_deflev": "1", "net.inet6.ipsec6.ah_net_deflev": "1", "net.inet6.ipsec6.ecn": "0",
    "net.inet6.ipsec6.debug": "0", "net.inet6.ipsec6.filtertunnel": "0", "net.key.preferred_oldsa": "1",
    "net.key.debug": "0", "net.key.blockacq_count": "10",
}  # fmt: skip
_MODULE_SYSCTLS = {
    "ipsec": _IPSEC_SYSCTLS,
    "if_enc": {
        "net.enc.out.ipsec_bpf_mask": "3",
        "net.enc.out.ipsec_filter_mask": "1",
        "net.enc.in.ipsec_bpf_mask": "1",
        "net.enc.in.ipsec_filter_mask": "1",
    },
}
SYSCTLS = {
    "kern.ostype": "FreeBSD", "kern.osrelease": "13.2-RELEASE", "kern.osreldate": "1302001", "kern.hostname": "",
    "kern.hostuuid": "89f26546-1b9b-4488-819d-8d0749ac50da", "kern.version": "FreeBSD 13.2-RELEASE VMTEST",
    "kern.boottime": "", "kern.maxproc": "4000", "net.fibs": "1", "net.inet.ip.forwarding": "0",
    "net.inet.ip.redirect": "1", "net.inet6.ip6.forwarding": "0", "net.inet6.ip6.redirect": "1",
    "net.inet6.ip6.rfc6204w3": "0", "net.inet.icmp.drop_redirect": "0", "net.inet.tcp.mssdflt": "536",
    "net.pf.request_maxcount": "65535",
    "security.jail.jailed": "0", "hw.machine": "amd64", "hw.machine_arch": "amd64", "hw.model": "Simulated CPU",
    "hw.ncpu": "1", "hw.physmem": "536870912", "hw.pagesize": "4096", "vm.stats.vm.v_page_count": "122880",
    "vm.stats.vm.v_page_size": "4096", "vm.stats.vm.v_free_count": "61440",
}  # fmt: skip
_STRINGS = (
    "kern.ostype", "kern.osrelease", "kern.hostname", "kern.hostuuid", "kern.version", "kern.boottime", "hw.machine",
    "hw.machine_arch", "hw.model",
)  # fmt: skip
_READ_ONLY = (
    "kern.ostype", "kern.osrelease", "kern.osreldate", "kern.version", "kern.boottime", "security.jail.jailed",
    "net.fibs", "net.inet.ipsec.crypto_support",
)  # fmt: skip
_DESCRIPTIONS = {"net.inet.ipsec.filtertunnel": "If set, filter packets from an IPsec tunnel."}


class Modules:
    """Kernel modules: kldload(8), kldstat(8), kldunload(8)."""

    def __init__(self, host: FreeBSD) -> None:
        self.host = host

    @property
    def loaded(self) -> list[str]:
        """Names of the loaded files, without .ko."""
        loaded: list[str] = self.host.state["modules"]
        return loaded

    def load(self, name: str) -> None:
        """Load a module with what appears along with it: sysctls, enc0."""
        if name in self.loaded:
            return
        self.loaded.append(name)
        self.host.sysctls.table.update(_MODULE_SYSCTLS.get(name, {}))
        if name == "if_enc":
            self.host.add_interface("enc0", "enc", mtu=1536)

    def unload(self, name: str) -> None:
        """Unload a module with what came along with it."""
        self.loaded.remove(name)
        for oid in _MODULE_SYSCTLS.get(name, {}):
            self.host.sysctls.table.pop(oid, None)
        kind = {"if_enc": "enc", "ipsec": "ipsec"}.get(name)
        for interface in [n for n, i in self.host.interfaces.table.items() if i["kind"] == kind]:
            self.host.routing.interface_gone(interface)
            del self.host.interfaces.table[interface]

    def kldload(self, argv: list[str], stdin: str) -> Result:
        options = [word for word in argv[1:] if word.startswith("-")]
        for name in [word for word in argv[1:] if not word.startswith("-")]:
            plain = name.removesuffix(".ko")
            if plain not in _MODULES:
                raise Failed(1, f"kldload: can't load {name}: No such file or directory")
            if plain in self.loaded and "-n" not in options:
                raise Failed(1, f"kldload: can't load {name}: module already loaded or in kernel")
            self.load(plain)
        return Result(0)

    def kldunload(self, argv: list[str], stdin: str) -> Result:
        for name in [word for word in argv[1:] if not word.startswith("-")]:
            if name.removesuffix(".ko") not in self.loaded:
                raise Failed(1, f"kldunload: can't find file {name}")
            self.unload(name.removesuffix(".ko"))
        return Result(0)

    def kldstat(self, argv: list[str], stdin: str) -> Result:
        letters = "".join(word[1:] for word in argv[1:] if word.startswith("-"))
        names = [word for word in argv[1:] if not word.startswith("-")]
        if "m" in letters:
            known = [name for name in self.loaded if names[0] in _MODULES[name][3]]
            if "q" in letters or not known:
                return Result(0 if known else 1)
            module = _MODULES[known[0]][3][names[0]]
            return Result(0, lines("Id  Refs Name", f"{module:3d}    1 {names[0]}"))
        if "n" in letters:
            name = names[0].removesuffix(".ko")
            if name not in self.loaded:
                return Result(
                    1, "", "" if "q" in letters else f"kldstat: can't find file {names[0]}: No such file or directory\n"
                )
            return Result(
                0,
                ""
                if "q" in letters
                else lines("Id Refs Address                Size Name", *self._rows(name, "v" in letters)),
            )
        references = 1 + sum(_MODULES[name][2] for name in self.loaded)
        rows = [f" 1 {references:4d} {0xFFFFFFFF80200000:#018x} {0x9206B8:8x} kernel"]
        for name in self.loaded:
            rows += self._rows(name, "v" in letters)
        return Result(0, lines("Id Refs Address                Size Name", *rows))

    def _rows(self, name: str, verbose: bool) -> list[str]:
        address, size, _rest, modules = _MODULES[name]
        place = f" (/boot/kernel/{name}.ko)" if verbose else ""
        rows = [f"{self.loaded.index(name) + 2:2d}    1 {address:#018x} {size:8x} {name}.ko{place}"]
        if verbose:
            rows += [
                "\tContains modules:",
                "\t\t Id Name",
                *(f"\t\t{number:3d} {part}" for part, number in modules.items()),
            ]
        return rows


class Sysctls:
    """sysctl(8)."""

    def __init__(self, host: FreeBSD) -> None:
        self.host = host

    @property
    def table(self) -> dict[str, str]:
        """Values by name."""
        table: dict[str, str] = self.host.state["sysctls"]
        return table

    def sysctl(self, argv: list[str], stdin: str) -> Result:
        letters, names = "", []
        for word in argv[1:]:
            if word.startswith("-"):
                letters += word[1:]
            else:
                names.append(word)
        if "a" in letters and not names:
            names = list(dict.fromkeys(oid.split(".")[0] for oid in self.table))
        out, errors = [], []
        for name in names:
            try:
                out += self._one(name, letters)
            except Failed as failed:
                errors.append(failed.result.stderr)
        return Result(1 if errors else 0, lines(*out), "".join(errors))

    def _one(self, name: str, letters: str) -> list[str]:
        oid, equals, value = name.partition("=")
        known = [oid] if oid in self.table else [other for other in self.table if other.startswith(oid + ".")]
        if not known:
            if "i" in letters:
                return []
            raise Failed(1, f"sysctl: unknown oid '{oid}'")
        if equals:
            return self._set(oid, value.strip("\"'"), letters)
        return [self._shown(other, self._value(other), letters) for other in known]

    def _value(self, oid: str) -> str:
        if oid == "kern.hostname":
            return str(self.host.state["hostname"])
        if oid == "kern.boottime":
            booted = int(self.host.state["booted"])
            return f"{{ sec = {booted}, usec = 0 }} {time.strftime('%a %b %e %H:%M:%S %Y', time.gmtime(booted))}"
        return self.table[oid]

    @staticmethod
    def _shown(oid: str, value: str, letters: str) -> str:
        if "d" in letters:
            value = _DESCRIPTIONS.get(oid, "")
        elif "t" in letters:
            value = "string" if oid in _STRINGS else "integer"
        elif "N" in letters:
            return oid
        return value if "n" in letters else f"{oid}{'=' if 'e' in letters else ': '}{value}"

    def _set(self, oid: str, value: str, letters: str) -> list[str]:
        if oid not in self.table:
            raise Failed(1, f"sysctl: oid '{oid}' isn't a leaf node")
        if oid in _READ_ONLY:
            raise Failed(1, f"sysctl: oid '{oid}' is read only")
        if oid not in _STRINGS and not value.lstrip("-").isdigit():
            raise Failed(1, f"sysctl: invalid integer '{value}'")
        before, self.table[oid] = self._value(oid), value
        if "q" in letters:
            return []
        return [value if "n" in letters else f"{oid}: {before} -> {value}"]


class Keys:
    """The kernel's SAs and policies: setkey(8)."""

    def __init__(self, host: FreeBSD) -> None:
        self.host = host

    def setkey(self, argv: list[str], stdin: str) -> Result:
        letters = "".join(word[1:] for word in argv[1:] if word.startswith("-"))
        if "D" in letters and "P" in letters:  # -g: global policies only, of which there are none
            return Result(0, ("" if "g" in letters else self._policies()) or "No SPD entries.\n")
        if "D" in letters:
            return Result(0, self._associations() or "No SAD entries.\n")
        if "F" in letters:
            if "P" not in letters:  # the policies of if_ipsec belong to their interfaces
                self.host.charon.forget_kernel_state()
            return Result(0)
        raise Failed(1, f"setkey: not simulated: {' '.join(argv)}")

    def _policies(self) -> str:
        rows: list[tuple[str, str, str, int, str, int]] = []
        for name, interface in self.host.interfaces.table.items():
            if not interface["tunnel"]:
                continue
            source, destination = interface["tunnel"]
            for direction, ends in (("in", f"{destination}-{source}"), ("out", f"{source}-{destination}")):
                for number, net in enumerate(("0.0.0.0/0", "::/0")):
                    spid = 4 * (interface["index"] - 1) + 2 * number + (2 if direction == "out" else 1)
                    rows.append((net, direction, ends, interface["reqid"], name, spid))
        out = []
        for place, (net, direction, ends, reqid, name, spid) in enumerate(rows):
            out += [f"{net}[any] {net}[any] any", f"\t{direction} ipsec", f"\tesp/tunnel/{ends}/unique:{reqid}"]
            out += [f"\tspid={spid} seq={len(rows) - place - 1} pid=1 scope=ifnet ifname={name}", "\trefcnt=1"]
        return lines(*out)

    def _associations(self) -> str:
        out = []
        halves = [half for child in self.host.charon.children() for half in ((child, "out"), (child, "in"))]
        now = time.time()
        stamp = "%b %e %H:%M:%S %Y"
        for place, (child, side) in enumerate(halves):
            ends = (child["local-host"], child["remote-host"])
            source, destination = ends if side == "out" else ends[::-1]
            spi = int(child[f"spi-{side}"], 16)
            created = time.strftime(stamp, time.gmtime(child["installed"]))
            out += [
                f"{source} {destination}",
                f"\tesp mode=tunnel spi={spi}(0x{spi:08x}) reqid={child['reqid']}(0x{child['reqid']:08x})",
                "\tE: aes-cbc  00000000 00000000 00000000 00000000",
                "\tA: hmac-sha2-256  00000000 00000000 00000000 00000000",
                f"\tseq=0x{child[f'packets-{side}']:08x} replay={4 * (side == 'in')} flags=0x00000000 state=mature ",
                f"\tcreated: {created}\tcurrent: {time.strftime(stamp, time.gmtime(now))}",
                f"\tdiff: {int(now - child['installed'])}(s)\thard: 3960(s)\tsoft: 3500(s)",
                f"\tlast: {created}\thard: 0(s)\tsoft: 0(s)",
                f"\tcurrent: {child[f'bytes-{side}']}(bytes)\thard: 0(bytes)\tsoft: 0(bytes)",
                f"\tallocated: {child[f'packets-{side}']}\thard: 0\tsoft: 0",
                f"\tsadb_seq={len(halves) - place - 1} pid=1 refcnt=1",
            ]
        return lines(*out)


class Ping:
    """ping(8) and ping6(8) over the simulated network."""

    def __init__(self, host: FreeBSD) -> None:
        self.host = host

    def ping(self, argv: list[str], stdin: str) -> Result:
        count, size, source, dont_fragment, places = 1, 56, "", False, []
        words = list(argv[1:])
        while words:
            word = words.pop(0)
            if word in ("-c", "-s", "-S", "-t", "-W", "-i", "-m"):
                value = words.pop(0)
                count = int(value) if word == "-c" else count
                size = int(value) if word == "-s" else size
                source = value if word == "-S" else source
            elif word.startswith("-"):
                dont_fragment = dont_fragment or "D" in word
            else:
                places.append(word)
        try:
            target = str(ipaddress.ip_address(bare(places[0])))
        except (IndexError, ValueError):
            raise Failed(68, f"ping: cannot resolve {places[0] if places else ''}: Name does not resolve") from None
        error = self._send(target, source, size, count, dont_fragment)
        return self._report(target, source, size, count, error)

    def _send(self, target: str, source: str, size: int, count: int, dont_fragment: bool) -> str | None:
        headers = 48 if family_of(target) == "inet6" else 28
        if source and not self.host.interfaces.owner(source):
            raise Failed(71, "ping: bind: Can't assign requested address")
        return round_trip(self.host, target, source, size + headers, count, dont_fragment)

    def _report(self, target: str, source: str, size: int, count: int, error: str | None) -> Result:
        six = family_of(target) == "inet6"
        source = source or source_address(self.host, target) or ("::" if six else "0.0.0.0")
        if six:
            out = [f"PING6({size + 48}={40}+8+{size} bytes) {source} --> {target}"]
            answers = [f"{size + 8} bytes from {target}, icmp_seq={n} hlim=64 time=1.000 ms" for n in range(count)]
        else:
            out = [f"PING {target} ({target}): {size} data bytes"]
            answers = [f"{size + 8} bytes from {target}: icmp_seq={n} ttl=64 time=1.000 ms" for n in range(count)]
        received = 0 if error is not None else count
        errors = [f"ping: sendto: {error}"] * count if error else []
        out += answers if received else []
        title = f"--- {target} ping6 statistics ---" if six else f"--- {target} ping statistics ---"
        loss = 100.0 * (count - received) / count
        out += ["", title, f"{count} packets transmitted, {received} packets received, {loss:.1f}% packet loss"]
        if received:
            name = "round-trip min/avg/max/std-dev" if six else "round-trip min/avg/max/stddev"
            out.append(f"{name} = 1.000/1.000/1.000/0.000 ms")
        return Result(0 if received else 2, lines(*out), lines(*errors))


def source_address(host: FreeBSD, target: str) -> str | None:
    """The address that packets to the target leave with."""
    route = host.routing.lookup(target)
    if route is None:
        return None
    if host.interfaces.owner(target):
        return target
    entries = host.interfaces.table[route["interface"]]["addresses"]
    usable = [e["address"] for e in entries if e["family"] == family_of(target) and not e["address"].startswith("fe80")]
    return usable[0] if usable else None


def round_trip(host: FreeBSD, target: str, source: str, size: int, count: int, dont_fragment: bool) -> str | None:
    """Packets to the target and back. None: answered; "": lost without a word; text: the error of sendto(2)."""
    source = source or source_address(host, target) or ""
    try:
        end = _carry(host, target, size, count, dont_fragment, hops=8)
        if end is not host and source:
            _carry(end, source, size, count, dont_fragment, hops=8)
    except _Lost as lost:
        return str(lost)
    return None


class _Lost(Exception):
    """A packet that does not arrive; the text is what its sender is told."""


def _carry(host: FreeBSD, target: str, size: int, count: int, dont_fragment: bool, hops: int) -> FreeBSD:
    """Take packets one hop on; returns the host that has the target or its network."""
    if host.interfaces.owner(target):
        return host
    route = host.routing.lookup(target)
    if route is None or hops == 0:
        raise _Lost("No route to host")
    interface: dict[str, Any] = host.interfaces.table[route["interface"]]
    if "B" in route["flags"] or "R" in route["flags"] or interface["kind"] == "lo":
        raise _Lost("No route to host" if "R" in route["flags"] else "")
    if not interface["up"]:
        raise _Lost("Network is down")
    if dont_fragment and size > (route["mtu"] or interface["mtu"]):
        raise _Lost("Message too long")
    peer: FreeBSD | None
    if interface["kind"] == "ipsec":
        peer = _through_tunnel(host, interface, size, count)
    else:
        peer = host.network.neighbour(host, route["interface"], route["gateway"] or target)
        if peer is None and route["gateway"]:
            peer = host.network.outside(host, target)
        if peer is None and (route["gateway"] or not host.network.answers(host, route["interface"], target)):
            raise _Lost("")
        if peer is None:
            return host  # a machine of an attached LAN, which sends back through this host
    if peer.interfaces.owner(target):
        return peer
    if peer.sysctls.table["net.inet6.ip6.forwarding" if ":" in target else "net.inet.ip.forwarding"] != "1":
        raise _Lost("")
    try:
        return _carry(peer, target, size, count, dont_fragment, hops - 1)
    except _Lost:
        raise _Lost("") from None


def _through_tunnel(host: FreeBSD, interface: dict[str, Any], size: int, count: int) -> FreeBSD:
    """The host at the other end of an if_ipsec tunnel, if SAs and both interfaces match."""
    tunnel = interface["tunnel"]
    if not tunnel or not host.interfaces.owner(tunnel[0]):
        raise _Lost("Network is down")
    for child in host.charon.children(interface["reqid"]):
        if [child["local-host"], child["remote-host"]] != tunnel:
            continue
        for peer in host.network.others(host):
            for mirror in peer.charon.children():
                far = [
                    i for i in peer.interfaces.table.values() if i["kind"] == "ipsec" and i["reqid"] == mirror["reqid"]
                ]
                if mirror["spi-in"] == child["spi-out"] and far and far[0]["up"] and far[0]["tunnel"] == tunnel[::-1]:
                    for half, side, where in ((child, "out", interface), (mirror, "in", far[0])):
                        half[f"packets-{side}"] += count
                        half[f"bytes-{side}"] += count * size
                        where["packets"][side] += count
                        where["bytes"][side] += count * size
                    return peer
    host.charon.acquire(interface["reqid"])
    raise _Lost("")
