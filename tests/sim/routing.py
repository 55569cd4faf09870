# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The routing table of a simulated FreeBSD kernel, route(8) and netstat(1), as in 13.2.

A route is a dict: destination (network in CIDR form, no zone), zone (interface of a link-local one, or empty), host,
gateway (address with zone, or null for a route to the link), interface (where packets leave), link (whose link#N is
shown), flags, mtu (null: the interface's), weight, via (the local IPv4 address it depends on, or null),
connected (made by the kernel for an address).
"""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Any

from .files import Failed, Result, lines
from .interfaces import Address, Interface, bare, family_of

if TYPE_CHECKING:
    from .freebsd import FreeBSD

Route = dict[str, Any]

_FLAG_NAMES = {"U": "UP", "G": "GATEWAY", "H": "HOST", "R": "REJECT", "S": "STATIC", "B": "BLACKHOLE"}
_PRETTY = {"U": "up", "G": "gateway", "H": "host", "R": "reject", "S": "static", "B": "blackhole"}
_USAGE = "route: usage: route [-46dnqtv] command [[modifiers] args]"
_NOT_FOUND = "route: route has not been found"
_NHOP_MTU = {"lo": 16384}


def _canonical(address: str) -> str:
    """An address in its usual form, zone kept."""
    plain, percent, zone = address.partition("%")
    return f"{ipaddress.ip_address(plain)}{percent}{zone}"


def new_route(destination: str, interface: str, flags: str, **more: Any) -> Route:
    """A route with everything that is usual for it."""
    made = {
        "destination": destination,
        "zone": "",
        "host": "H" in flags,
        "gateway": None,
        "interface": interface,
        "link": interface,
        "flags": flags,
        "mtu": None,
        "weight": 1,
        "via": None,
        "connected": False,
    }
    made.update(more)
    return made


class Routing:
    """The routing table, route(8), netstat(1)."""

    def __init__(self, host: FreeBSD) -> None:
        self.host = host

    @property
    def table(self) -> list[Route]:
        """All routes, unsorted."""
        table: list[Route] = self.host.state["routes"]
        return table

    # -- what interfaces and addresses bring along --

    def connected(self, name: str) -> None:
        """Make the routes of an interface's own addresses match its addresses and state."""
        wanted = [route for entry in self._interface(name)["addresses"] for route in self._of_address(name, entry)]
        kept = [route for route in self.table if route["link"] != name or not route["connected"]]
        self.table[:] = kept
        seen = {(route["destination"], route["zone"], route["interface"]) for route in kept}
        for route in wanted:
            key = (route["destination"], route["zone"], route["interface"])
            if key not in seen:
                self.table.append({**route, "connected": True})
                seen.add(key)

    def _interface(self, name: str) -> Interface:
        return self.host.interfaces.table[name]

    def _of_address(self, name: str, entry: Address) -> list[Route]:
        interface, address, prefix = self._interface(name), entry["address"], entry["prefix"]
        bits = 128 if entry["family"] == "inet6" else 32
        zone = name if address.startswith("fe80") else ""
        if interface["kind"] == "lo" and entry["family"] == "inet":
            return [new_route(f"{address}/{bits}", name, "UH")]
        own = new_route(f"{address}/{bits}", "lo0", "UHS", link=name, zone=zone)
        network = ipaddress.ip_network(f"{address}/{prefix}", strict=False)
        if not interface["up"] or (network.prefixlen == bits and not entry["peer"]):
            return [own]
        if entry["peer"]:
            return [new_route(f"{entry['peer']}/{bits}", name, "UH"), own]
        return [new_route(str(network), name, "U", zone=zone), own]

    def address_gone(self, name: str, entry: Address) -> None:
        """IPv4 routes made through the address vanish with it."""
        if entry["family"] == "inet":
            self.table[:] = [
                route for route in self.table if route["interface"] != name or route["via"] != entry["address"]
            ]

    def interface_gone(self, name: str) -> None:
        """All routes through the interface vanish with it."""
        self.table[:] = [route for route in self.table if name not in (route["interface"], route["link"])]

    def interface_renamed(self, old: str, new: str) -> None:
        """Routes follow the interface to its new name."""
        for route in self.table:
            for key in ("interface", "link", "zone"):
                if route[key] == old:
                    route[key] = new

    def learn_default(self, interface: str, gateway: str) -> None:
        """The IPv6 default route that a router advertised, unless there is one: no route of route(8), so not static."""
        if not self._exact("::/0"):
            self.table.append(new_route("::/0", interface, "UG", gateway=gateway))

    # -- look-up --

    def lookup(self, address: str) -> Route | None:
        """The route for a packet to the address: longest prefix, oldest first."""
        target = ipaddress.ip_address(bare(address))
        zone = address.partition("%")[2]
        best: Route | None = None
        for route in self.table:
            network = ipaddress.ip_network(route["destination"])
            if network.version != target.version or target not in network or (zone and route["zone"] not in ("", zone)):
                continue
            if best is None or network.prefixlen > ipaddress.ip_network(best["destination"]).prefixlen:
                best = route
        return best

    def lookup_default(self, family: str) -> Route | None:
        """The first default route of a family."""
        return next(iter(self._exact("::/0" if family == "inet6" else "0.0.0.0/0")), None)

    def _exact(self, destination: str) -> list[Route]:
        return [route for route in self.table if route["destination"] == destination and not route["zone"]]

    def _on_link(self, gateway: str) -> Route | None:
        """The connected route that reaches a gateway."""
        route = self.lookup(gateway)
        return None if route is None or "G" in route["flags"] or "R" in route["flags"] else route

    def _via(self, interface: str, gateway: str | None, family: str) -> str | None:
        """The local address a new route is tied to."""
        entries = [entry for entry in self._interface(interface)["addresses"] if entry["family"] == family]
        for entry in entries:
            network = ipaddress.ip_network(f"{entry['address']}/{entry['prefix']}", strict=False)
            if gateway and (entry["peer"] == gateway or ipaddress.ip_address(bare(gateway)) in network):
                return str(entry["address"])
        return str(entries[0]["address"]) if entries else None

    # -- route(8) --

    def route(self, argv: list[str], stdin: str) -> Result:
        options, words = "", list(argv[1:])
        while words and words[0].startswith("-"):
            options += words.pop(0)[1:]
        command = words.pop(0) if words else ""
        if command not in ("add", "delete", "del", "change", "get", "show", "flush"):
            raise Failed(64, lines(f"route: bad keyword: {command}", _USAGE))
        if command == "flush":
            return self.flush("inet6" if "-inet6" in words else "inet" if "-inet" in words else "")
        request = _Request(self.host, words, "inet6" if "6" in options else "")
        if command == "get":
            return self._get(request, numeric="n" in options)
        action = {"add": self._add, "delete": self._delete, "del": self._delete, "change": self._change}[command]
        try:
            result = action(request)
        except Failed as failed:
            quiet = failed.result
            raise Failed(
                quiet.rc, "" if "q" in options else quiet.stderr, "" if "q" in options else quiet.stdout
            ) from None
        return Result(0) if "q" in options else result

    def _get(self, request: _Request, numeric: bool) -> Result:
        exact = request.is_net and not request.whole  # with all bits a network is a host, which the longest prefix has
        found = self._exact(request.destination)[:1] if exact else [self.lookup(request.address)]
        route = found[0] if found else None
        if route is None:
            raise Failed(255, _NOT_FOUND)
        network = ipaddress.ip_network(route["destination"])
        default = network.prefixlen == 0 and not numeric
        rows = [f"   route to: {'default' if default and request.is_net else request.address}"]
        rows.append(f"destination: {'default' if default else network.network_address}")
        if not route["host"]:
            rows.append(f"       mask: {'default' if default else network.netmask}")
        if route["gateway"] and "G" in route["flags"]:
            rows.append(f"    gateway: {route['gateway']}")
        interface = self._interface(route["interface"])
        flags = [_FLAG_NAMES[flag] for flag in "UGHR" if flag in route["flags"]] + ["DONE"]
        flags += [_FLAG_NAMES[flag] for flag in "SB" if flag in route["flags"]]
        if not route["gateway"] and ("H" in route["flags"] or "S" not in route["flags"]):
            flags.append("PINNED")
        if route["mtu"]:
            flags.append("FIXEDMTU")
        rows += ["        fib: 0", f"  interface: {route['interface']}", f"      flags: <{','.join(flags)}>"]
        rows.append(" recvpipe  sendpipe  ssthresh  rtt,msec    mtu        weight    expire")
        mtu = route["mtu"] or interface["mtu"]
        rows.append(f"       0         0         0         0  {mtu:8d}  {route['weight']:8d}         0 ")
        return Result(0, lines(*rows))

    def _add(self, request: _Request) -> Result:
        said = f"add {request.title}"
        family = request.family
        if request.interface:
            route = new_route(request.destination, request.interface, "US")
            route["via"] = self._via(request.interface, None, family) if family == "inet" else None
        elif "B" in request.flags or "R" in request.flags:
            loopback = request.gateway or ("::1" if family == "inet6" else "127.0.0.1")
            route = new_route(request.destination, "lo0", f"U{request.flags}S", gateway=loopback)
            route["flags"] = "US" + "B" if "B" in request.flags else "URS"
        elif not request.gateway:
            raise Failed(1, "route: writing to routing socket: Invalid argument", f"{said} fib 0: Invalid argument\n")
        else:
            near = self._on_link(request.gateway)
            if near is None:
                message = "route: writing to routing socket: Network is unreachable"
                raise Failed(1, message, f"{said} fib 0: Network is unreachable\n")
            interface = request.gateway.partition("%")[2] or near["interface"]
            route = new_route(request.destination, interface, "UGS", gateway=request.gateway)
            route["via"] = self._via(interface, request.gateway, family) if family == "inet" else None
        if request.whole:
            route["flags"] = route["flags"].replace("S", "HS")
            route["host"] = True
        route["mtu"] = request.mtu
        there = self._exact(request.destination)
        # Several paths need a gateway each (nhop_can_multipath): no second one beside an interface's own network.
        single = any("G" not in other["flags"] for other in [*there, route])
        if there and (single or any(self._same_path(other, route) for other in there)):
            raise Failed(1, "", f"{said} fib 0: route already in table\n")
        self.table.append(route)
        return Result(0, f"{said}\n")

    @staticmethod
    def _same_path(one: Route, other: Route) -> bool:
        return (one["gateway"], one["interface"]) == (other["gateway"], other["interface"])

    def _delete(self, request: _Request) -> Result:
        said = f"delete {request.title}"
        routes = self._exact(request.destination)
        if request.interface:
            routes = [route for route in routes if route["link"] == request.interface and not route["gateway"]]
        elif request.gateway:
            routes = [route for route in routes if route["gateway"] == request.gateway]
        if len(routes) != 1:  # without a gateway, one of several paths is not "the" route
            raise Failed(1, _NOT_FOUND, f"{said} fib 0: not in table\n")
        self.table.remove(routes[0])
        return Result(0, f"{said}\n")

    def _change(self, request: _Request) -> Result:
        said = f"change {request.title}"
        routes = self._exact(request.destination)
        if not routes:
            raise Failed(1, _NOT_FOUND, f"{said} fib 0: not in table\n")
        if len(routes) > 1:  # with several paths the first one stays what it was
            for route in routes:
                route["weight"] = 0
            return Result(0, f"{said}\n")
        self.table.remove(routes[0])
        try:
            self._add(request)
        except Failed as failed:
            self.table.append(routes[0])
            raise Failed(1, failed.result.stderr, failed.result.stdout.replace("add", "change", 1)) from None
        return Result(0, f"{said}\n")

    def flush(self, family: str) -> Result:
        """Remove all routes through a gateway, as `route -n flush` does."""
        gone = [r for r in self.table if "G" in r["flags"] and family in ("", family_of(r["destination"]))]
        rows = []
        for route in gone:
            network = ipaddress.ip_network(route["destination"])
            name = "default" if network.prefixlen == 0 else _short(network)
            rows.append(f"{name:<20} {route['gateway']:<20} -fib 0   done")
            self.table.remove(route)
        return Result(0, lines(*rows))

    # -- netstat(1) --

    def netstat(self, argv: list[str], stdin: str) -> Result:
        arguments, letters, values = list(argv[1:]), "", {}
        while arguments:
            word = arguments.pop(0)
            if word == "--libxo":
                values["libxo"] = arguments.pop(0)
            elif word.startswith("--libxo="):
                values["libxo"] = word.partition("=")[2]
            else:
                letters += word[1:]
                if word[-1] in "fFIp":
                    values[word[-1]] = arguments.pop(0)
        if "F" in values and values["F"] != "0":
            raise Failed(64, f"netstat: {values['F']}: invalid fib")
        if "r" in letters:
            families = [values["f"]] if "f" in values else ["inet", "inet6"]
            families = ["inet"] if "4" in letters else ["inet6"] if "6" in letters else families
            return Result(0, self._routes_text(families, "W" in letters, values.get("libxo", "")))
        if "i" in letters or "I" in values:
            return Result(0, self._interfaces_text(values.get("I"), "b" in letters, values.get("libxo", "")))
        raise Failed(1, f"netstat: not simulated: {' '.join(argv)}")

    def _sorted(self, family: str) -> list[Route]:
        def key(route: Route) -> tuple[int, int]:
            network = ipaddress.ip_network(route["destination"])
            number = int(network.network_address)
            if route["zone"]:  # the kernel keeps the zone inside the address
                number |= self._interface(route["zone"])["index"] << 96
            return number, network.prefixlen

        return sorted((route for route in self.table if family_of(route["destination"]) == family), key=key)

    def _rows(self, family: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        hops: dict[tuple[Any, ...], int] = {}
        for route in self._sorted(family):
            network = ipaddress.ip_network(route["destination"])
            zone = f"%{route['zone']}" if route["zone"] else ""
            name = _printed(network.network_address) + zone + ("" if route["host"] else f"/{network.prefixlen}")
            interface = self._interface(route["interface"])
            gateway = route["gateway"] or f"link#{self._interface(route['link'])['index']}"
            hop = hops.setdefault((gateway, route["interface"], route["flags"], route["mtu"]), len(hops) + 1)
            rows.append(
                {
                    "destination": "default" if network.prefixlen == 0 else name,
                    "gateway": gateway,
                    "flags": route["flags"],
                    "flags_pretty": [_PRETTY[flag] for flag in route["flags"]],
                    "weight": route["weight"],
                    "nhop": hop,
                    "mtu": route["mtu"] or interface["mtu"],
                    "interface-name": route["interface"],
                }
            )
        return rows

    def _routes_text(self, families: list[str], wide: bool, libxo: str) -> str:
        names = {"inet": "Internet", "inet6": "Internet6"}
        if libxo:
            tables = []
            for family in families:
                entries = self._rows(family)
                if not wide:
                    entries = [{k: v for k, v in row.items() if k not in ("nhop", "mtu")} for row in entries]
                tables.append({"address-family": names[family], "rt-entry": entries})
            return libxo_json({"statistics": {"route-information": {"route-table": {"rt-family": tables}}}}, libxo)
        out = ["Routing tables"]
        for family in families:
            first, second = (18, 18) if family == "inet" else (33, 29)
            last = 10 if family == "inet" else 8
            header = f"{'Flags':<6} {'Nhop#':>6} {'Mtu':>6} {'Netif':>{last}}" if wide else f"{'Flags':<6} {'Netif':>8}"
            out += ["", f"{names[family]}:", f"{'Destination':<{first}} {'Gateway':<{second}} {header} Expire"]
            for row in self._rows(family):
                netif = row["interface-name"]
                tail = f"{row['nhop']:>6} {row['mtu']:>6} {netif:>{last}}" if wide else f"{netif:>8}"
                out.append(f"{row['destination']:<{first}} {row['gateway']:<{second}} {row['flags']:<6} {tail}")
        return lines(*out)

    def _interface_rows(self, only: str | None) -> list[dict[str, Any]]:
        rows = []
        for name, interface in self.host.interfaces.table.items():
            if only is not None and name != only:
                continue
            packets, octets = interface["packets"], interface["bytes"]
            flags = f"{self.host.interfaces.flag_bits(name):#x}"
            rows.append(
                {
                    "name": name,
                    "flags": flags,
                    "mtu": interface["mtu"],
                    "network": f"<Link#{interface['index']}>",
                    "address": interface["ether"] or name,
                    "received-packets": packets["in"],
                    "received-errors": 0,
                    "dropped-packets": 0,
                    "received-bytes": octets["in"],
                    "sent-packets": packets["out"],
                    "send-errors": 0,
                    "sent-bytes": octets["out"],
                    "collisions": 0,
                }
            )
            for entry in interface["addresses"]:
                zone = f"%{name}" if entry["address"].startswith("fe80") else ""
                network = ipaddress.ip_network(f"{entry['address']}/{entry['prefix']}", strict=False)
                rows.append(
                    {
                        "name": name,
                        "flags": flags,
                        "network": f"{network.network_address}{zone}/{network.prefixlen}",
                        "address": entry["address"] + zone,
                        "received-packets": packets["in"],
                        "received-bytes": octets["in"],
                        "sent-packets": packets["out"],
                        "sent-bytes": octets["out"],
                    }
                )
        return rows

    def _interfaces_text(self, only: str | None, octets: bool, libxo: str) -> str:
        rows = self._interface_rows(only)
        if libxo:
            if not octets:
                rows = [{k: v for k, v in row.items() if not k.endswith("-bytes")} for row in rows]
            return libxo_json({"statistics": {"interface": rows}}, libxo)
        columns = [
            "received-packets",
            "received-errors",
            "dropped-packets",
            *["received-bytes"] * octets,
            "sent-packets",
            "send-errors",
            *["sent-bytes"] * octets,
            "collisions",
        ]
        titles = {
            "received-packets": "Ipkts",
            "received-errors": "Ierrs",
            "dropped-packets": "Idrop",
            "received-bytes": "Ibytes",
            "sent-packets": "Opkts",
            "send-errors": "Oerrs",
            "sent-bytes": "Obytes",
            "collisions": "Coll",
        }
        widths = {"Ipkts": 8, "Ierrs": 5, "Idrop": 5, "Ibytes": 10, "Opkts": 8, "Oerrs": 5, "Obytes": 10, "Coll": 5}
        first = max([len(row["name"]) for row in rows] + [5]) + 0
        head = f"{'Name':<{first}} {'Mtu':>5} {'Network':<13} {'Address':<17}"
        out = [head + "".join(f" {titles[c]:>{widths[titles[c]]}}" for c in columns)]
        for row in rows:
            text = (
                f"{row['name']:<{first}} {row.get('mtu', '-')!s:>5} {row['network'][:13]:<13} {row['address'][:17]:<17}"
            )
            out.append(text + "".join(f" {row.get(c, '-')!s:>{widths[titles[c]]}}" for c in columns))
        return lines(*out)


class _Request:
    """The words of a route(8) command behind its verb."""

    def __init__(self, host: FreeBSD, words: list[str], family: str) -> None:
        self.family = family
        self.flags, self.interface, self.gateway, self.mtu = "", "", "", None
        self.is_net = self.is_host = False
        prefix: int | None = None
        places: list[str] = []
        words = list(words)
        while words:
            word = words.pop(0)
            if word in ("-inet", "-4"):
                self.family = "inet"
            elif word in ("-inet6", "-6"):
                self.family = "inet6"
            elif word == "-net":
                self.is_net = True
            elif word == "-host":
                self.is_host = True
            elif word == "-prefixlen":
                prefix, self.is_net = int(words.pop(0)), True
            elif word == "-netmask":
                prefix, self.is_net = bin(int(ipaddress.IPv4Address(words.pop(0)))).count("1"), True
            elif word in ("-interface", "-iface"):
                places.append("@" + words.pop(0))
            elif word in ("-blackhole", "-reject"):
                self.flags = word[1].upper()
            elif word == "-mtu":
                self.mtu = int(words.pop(0))
            elif word == "-fib":
                fib = words.pop(0)
                if fib != "0":
                    raise Failed(64, f"route: invalid fib number: {fib}")
            elif not word.startswith("-"):
                places.append(word)
        if not places or places[0].startswith("@"):
            raise Failed(64, lines("route: destination parameter required", _USAGE))
        self._place(places[0], prefix)
        self._next_hop(host, places[1] if len(places) > 1 else "")
        kind = "net" if self.is_net else "host"
        shown = places[0] if self.family == "inet6" else places[0].partition("/")[0]
        through = places[1].lstrip("@") if len(places) > 1 else ""
        self.title = f"{kind} {shown}" + (f": gateway {through}" if through else "")

    def _place(self, word: str, prefix: int | None) -> None:
        if word == "default":
            word = "::/0" if self.family == "inet6" else "0.0.0.0/0"
        text, slash, length = word.partition("/")
        try:
            address = ipaddress.ip_address(bare(text))
        except ValueError:
            raise Failed(68, f"route: bad address: {word}") from None
        self.family = family_of(text)
        prefix = int(length) if slash else prefix
        if prefix is None and self.is_net and not self.is_host:  # a bare -net: the zeros at the end are the host part
            prefix = 64 if address.version == 6 else 8 * len(str(address).rstrip("0.").split("."))
        self.is_net = prefix is not None
        network = ipaddress.ip_network(f"{address}/{address.max_prefixlen if prefix is None else prefix}", strict=False)
        self.whole = network.prefixlen == network.max_prefixlen
        self.destination = str(network)
        self.address = str(network.network_address if self.is_net else address)

    def _next_hop(self, host: FreeBSD, word: str) -> None:
        if word.startswith("@") or word in host.interfaces.table:
            self.interface = word.lstrip("@")
            if self.interface not in host.interfaces.table:
                raise Failed(65, f"route: interface '{self.interface}' does not exist")
        elif word:
            try:
                self.gateway = _canonical(word)
            except ValueError:
                raise Failed(68, f"route: bad address: {word}") from None


def _printed(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """An address as FreeBSD's inet_ntop writes it: mapped IPv4 in dots."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(address) if mapped is None else f"::ffff:{mapped}"


def _short(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    """A network as route(8) shortens it: 10.77.0.0/16 is 10.77."""
    if network.version == 6:
        return str(network)
    octets = str(network.network_address).split(".")
    return ".".join(octets[: max(1, (network.prefixlen + 7) // 8)])


def libxo_json(data: dict[str, Any], style: str) -> str:
    """Data as libxo writes it: `json` compact with its own spacing, `json,pretty` indented."""
    if "pretty" in style:
        return json.dumps(data, indent=2) + "\n"
    return _compact(data) + "\n"


def _compact(value: Any) -> str:
    if isinstance(value, dict):
        out = ""
        for key, member in value.items():
            nested = isinstance(member, (dict, list))
            out += (
                (", " if nested and out else "," if out else "")
                + f'"{key}":'
                + (" " if nested else "")
                + _compact(member)
            )
        return "{" + out + "}"
    if isinstance(value, list):
        nested = bool(value) and isinstance(value[0], dict)
        return "[" + (", " if nested else ",").join(_compact(member) for member in value) + "]"
    return json.dumps(value)
