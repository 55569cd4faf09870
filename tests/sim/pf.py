# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pf(4) and pfctl(8) of a simulated host, as in 13.2: rulesets are loaded, listed, flushed, and asked about packets.

No packet of the network passes here: ask with decide(), match(), translate() and max_mss().
"""

from __future__ import annotations

import ipaddress
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .files import Failed, Result, lines
from .interfaces import bare, family_of
from .pfconf import Reader, Unsupported
from .pfrules import KINDS, Place, Rule, Ruleset, hops_text, interface_networks, new_ruleset, rule_text

if TYPE_CHECKING:
    from .freebsd import FreeBSD

_COUNTERS = (
    "match", "bad-offset", "fragment", "short", "normalize", "memory", "bad-timestamp", "congestion", "ip-option",
    "proto-cksum", "state-mismatch", "state-insert", "state-limit", "src-limit", "synproxy", "map-failed",
)  # fmt: skip
_USAGE = lines(
    "usage: pfctl [-AdeghMmNnOPqRrvz] [-a anchor] [-D macro=value] [-F modifier]",
    "\t[-f file] [-i interface] [-K host | network]",
    "\t[-k host | network | gateway | label | id] [-o level] [-p device]",
    "\t[-s modifier] [-t table -T command [address ...]] [-x level]",
)
_SHOWN = (
    "nat", "queue", "rules", "Anchors", "Sources", "states", "info", "Interfaces", "labels", "timeouts", "memory",
    "Tables", "osfp", "Running", "all",
)  # fmt: skip
_FLUSHED = ("nat", "queue", "rules", "Sources", "states", "info", "Tables", "osfp", "all")
_NOT_LOADED = "pfctl: Syntax error in config file: pf rules not loaded"
_ZERO = "  [ Evaluations: 0         Packets: 0         Bytes: 0           States: 0     ]"
_MADE = "  [ Inserted: uid 0 pid 1 State Creations: 0     ]"


@dataclass(frozen=True)
class Packet:
    """The first packet of a connection, as pf sees it on an interface."""

    interface: str
    source: str
    destination: str
    protocol: str = "tcp"
    source_port: int = 49152
    destination_port: int = 80
    direction: str = "in"
    icmp_type: int = -1


@dataclass
class _Tag:
    """The tag that a packet has got from the rules before."""

    name: str = ""


@dataclass(frozen=True)
class _Call:
    """A pfctl command line: letters in order, their values, -k and -K as often as they came, and what is left."""

    letters: str
    values: dict[str, str]
    kills: list[str]
    rest: list[str]

    def option(self, letter: str, known: tuple[str, ...], what: str) -> str:
        """The modifier of -s or -F; its beginning is enough."""
        word = self.values.get(letter, "")
        if letter not in self.values:
            return ""
        found = [name for name in known if word and name.startswith(word)]
        if not found:
            raise Failed(1, f"pfctl: Unknown {what} modifier '{word}'\n{_USAGE}")
        return found[0]


class Pf:
    """pfctl(8) over the host's pf state: enabled, since, skip (interfaces left alone), rulesets by anchor."""

    def __init__(self, host: FreeBSD) -> None:
        self.host = host

    @property
    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.host.state["pf"]
        return state

    @property
    def rulesets(self) -> dict[str, Ruleset]:
        """What is loaded, by anchor; the main ruleset is the empty name's."""
        rulesets: dict[str, Ruleset] = self._state["rulesets"]
        return rulesets

    def _ruleset(self, path: str) -> Ruleset:
        return self.rulesets.get(path) or new_ruleset()

    def effective(self, kind: str = "filter") -> list[tuple[str, str]]:
        """(anchor, rule as listed) of all rules that are evaluated for packets, in order; none while pf is disabled.

        kind: filter, nat, rdr, binat, scrub. The lines that call an anchor are not there, what they call is: nothing,
        when the main ruleset has no such line. Scrub rules count in the main ruleset only.
        """
        if not self._state["enabled"]:
            return []
        return [(path, rule_text(rule)) for path, rule in self._evaluated("", kind)]

    def _evaluated(self, path: str, kind: str) -> Iterator[tuple[str, Rule]]:
        for rule in self._ruleset(path)[kind]:
            if rule["anchor"]:
                for called in self._called(path, rule):
                    yield from self._evaluated(called, kind)
            else:
                yield path, rule

    def _called(self, path: str, rule: Rule) -> list[str]:
        """The rulesets that an anchor line calls, in order: one, or with /* all that are attached directly below it."""
        name, wildcard = _absolute(path, rule["anchor"])
        if not wildcard:
            return [name]
        return [known for known in sorted(self._anchors()) if known.rpartition("/")[0] == name]

    def decide(self, interface: str, source: str, destination: str, **more: Any) -> tuple[str, str | None]:
        """What becomes of the first packet of a connection: pass or block, and where route-to sends it.

        The hop is as pfctl lists it, `(ipsec1 10.6.106.1)`, or with several of them `{ (a 1), (b 2) }`; None where the
        routing table decides. more: protocol, source_port, destination_port, direction, icmp_type.
        """
        rule = self.match(interface, source, destination, **more)
        if rule is None:
            return "pass", None
        return rule["action"], hops_text(rule) if rule["route"] == "route-to" else None

    def match(self, interface: str, source: str, destination: str, **more: Any) -> Rule | None:
        """The rule that decides about such a packet: the first quick one that matches, else the last one."""
        if not self._state["enabled"] or self._skipped(interface):
            return None
        return self._filter("", Packet(interface, source, destination, **more), _Tag())[0]

    def _filter(self, path: str, packet: Packet, tag: _Tag) -> tuple[Rule | None, bool]:
        """The rule that matched last in a ruleset, and whether that was the end."""
        last: Rule | None = None
        for rule in self._ruleset(path)["filter"]:
            if not self._matches(path, rule, packet, tag):
                continue
            if rule["anchor"]:
                for called in self._called(path, rule):
                    found, final = self._filter(called, packet, tag)
                    last = found or last
                    if final or (found and rule["quick"]):
                        return last, True
                continue
            tag.name = rule["tag"] or tag.name
            if rule["action"] != "match":
                last = rule
                if rule["quick"]:
                    return last, True
        return last, False

    def translate(self, interface: str, source: str, destination: str, **more: Any) -> str:
        """The source address that a packet going out through an interface has behind pf's nat rules."""
        packet = Packet(interface, source, destination, **{"direction": "out", **more})
        rule = self._first("nat", packet)
        if rule is None or rule["no"]:
            return source
        for place in rule["redirect"]:
            for network in self._networks(place):
                if family_of(network) == family_of(source):
                    return network.partition("/")[0]
        return source

    def max_mss(self, interface: str, source: str, destination: str, **more: Any) -> int | None:
        """The limit that scrub rules put on the MSS of such a connection; None: they leave it alone."""
        rule = self._first("scrub", Packet(interface, source, destination, **more))
        found = [word.split()[1] for word in rule["scrub"] if word.startswith("max-mss")] if rule else []
        return int(found[0]) if found and found[0] != "0" else None

    def _first(self, kind: str, packet: Packet) -> Rule | None:
        """Translation and normalization: the first rule that matches counts."""
        if not self._state["enabled"] or self._skipped(packet.interface):
            return None
        return self._first_in("", kind, packet)

    def _first_in(self, path: str, kind: str, packet: Packet) -> Rule | None:
        rules: list[Rule] = self._ruleset(path)[kind]
        for rule in rules:
            if not self._matches(path, rule, packet, _Tag()):
                continue
            if not rule["anchor"]:
                return rule
            for called in self._called(path, rule):
                found = self._first_in(called, kind, packet)
                if found is not None:
                    return found
        return None

    def _skipped(self, interface: str) -> bool:
        return any(self._is(interface, name) for name in self._state["skip"])

    def _is(self, interface: str, name: str) -> bool:
        """Whether a name in a rule means an interface: its own, a group's, or all."""
        groups = self.host.interfaces.table.get(interface, {"groups": []})["groups"]
        return name in ("", "all", interface, *groups)

    def _matches(self, path: str, rule: Rule, packet: Packet, tag: _Tag) -> bool:
        icmp = rule["icmp"]
        return (
            rule["direction"] in ("", packet.direction)
            and self._is(packet.interface, rule["interface"]) != rule["not_interface"]
            and rule["family"] in ("", family_of(packet.source))
            and rule["protocol"] in ("", packet.protocol)
            and not rule["fragment"]
            and (not icmp or icmp[1] == packet.icmp_type)
            and self._port(rule["source_port"], packet.source_port)
            and self._port(rule["destination_port"], packet.destination_port)
            and self._inside(path, rule["source"], packet.source, packet)
            and self._inside(path, rule["destination"], packet.destination, packet)
            and (not rule["tagged"] or (rule["tagged"] == tag.name) != rule["not_tagged"])
        )

    @staticmethod
    def _port(port: list[Any] | None, number: int) -> bool:
        if port is None:
            return True
        operator, first, last = port
        outcomes: dict[str, Callable[[], bool]] = {
            "=": lambda: number == first, "!=": lambda: number != first, "<": lambda: number < first,
            "<=": lambda: number <= first, ">": lambda: number > first, ">=": lambda: number >= first,
            ":": lambda: first <= number <= last, "><": lambda: first < number < last,
            "<>": lambda: number < first or number > last,
        }  # fmt: skip
        return outcomes[operator]()

    def _inside(self, path: str, place: Place, address: str, packet: Packet) -> bool:
        return self._within(path, place, address, packet) != bool(place["not"])

    def _within(self, path: str, place: Place, address: str, packet: Packet) -> bool:
        target = ipaddress.ip_address(bare(address))
        if place["kind"] == "any":
            return True
        if place["kind"] == "table":
            return self._in_table(path, place["value"], target)
        if place["kind"] == "no-route":
            return self.host.routing.lookup(address) is None
        if place["kind"] == "urpf-failed":
            back = self.host.routing.lookup(address)
            return back is None or back["interface"] != packet.interface
        if place["kind"] == "range":
            first, last = (ipaddress.ip_address(end) for end in place["value"].split("-"))
            return first.version == target.version and int(first) <= int(target) <= int(last)
        return any(target in ipaddress.ip_network(network) for network in self._networks(place))

    def _networks(self, place: Place) -> list[str]:
        """The networks that a place stands for now."""
        if place["kind"] != "interface":
            return [place["value"]]
        networks = [network for network, _zone in interface_networks(self.host, place["value"], place["modifiers"])]
        if place["prefix"] is None:
            return networks
        wider = [ipaddress.ip_interface(f"{network.partition('/')[0]}/{place['prefix']}") for network in networks]
        return [str(interface.network) for interface in wider]

    def _in_table(self, path: str, name: str, target: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        """The longest entry that has the address says yes or no. An anchor without such a table asks the main one."""
        tables = [self._ruleset(where)["tables"] for where in (path, "")]
        entries: list[dict[str, Any]] = next(
            (tables_of[name]["entries"] for tables_of in tables if name in tables_of), []
        )
        found = [
            (ipaddress.ip_network(entry["network"]).prefixlen, not entry["not"])
            for entry in entries
            if target in ipaddress.ip_network(entry["network"])
        ]
        return max(found)[1] if found else False

    def pfctl(self, argv: list[str], stdin: str) -> Result:
        """What the options ask for happens in pfctl's order, not in that of the command line."""
        call = self._parse(argv[1:])
        anchor = call.values.get("a", "")
        recurse = anchor.endswith("*")
        anchor = anchor.rstrip("*").rstrip("/") if recurse else anchor
        shown, flushed = call.option("s", _SHOWN, "show"), call.option("F", _FLUSHED, "flush")
        dry, verbose, quiet = ("n" in call.letters, "v" in call.letters, "q" in call.letters)
        if not dry and "pf" not in self.host.modules.loaded:
            raise Failed(1, "pfctl: /dev/pf: No such file or directory")
        out, told = "", ""
        if verbose and not dry:
            told = lines("No ALTQ support in kernel", "ALTQ related functions disabled")
        notes = ""
        if not dry:
            notes += self._switch(False) if "d" in call.letters else ""
            listing, complaint = self._show(shown, anchor, recurse, verbose)
            out, told = out + listing, told + complaint
            notes += self._flush(flushed, anchor)
        notes += self._kill(call.kills) if call.kills else ""
        if "T" in call.values:
            out += self._table(call.values["T"], anchor, call.values.get("t", ""))
        if "f" in call.values:
            listing, complaint = self._rules(call, anchor, stdin, dry, verbose)
            out, told = out + listing, told + complaint
        if "e" in call.letters and not dry:
            notes += self._switch(True)
        return Result(0, out, told + ("" if quiet else notes))

    @staticmethod
    def _parse(arguments: list[str]) -> _Call:
        letters, kills = "", []
        values: dict[str, str] = {}
        words = list(arguments)
        if not words:
            raise Failed(1, _USAGE)
        while words and words[0].startswith("-") and words[0] != "-":
            cluster = words.pop(0)[1:]
            for place, letter in enumerate(cluster):
                if letter not in "aADdeqfFghikKmMnNoOpPrRstTvxz":
                    raise Failed(1, f"pfctl: illegal option -- {letter}\n{_USAGE}")
                letters += letter
                if letter not in "aDfFikKopstTx":
                    continue
                value = cluster[place + 1 :]
                if not value and not words:
                    raise Failed(1, f"pfctl: option requires an argument -- {letter}\n{_USAGE}")
                value = value or words.pop(0)
                kills += [value] if letter == "k" else []
                values[letter] = value
                break
        if words and "T" not in values:
            raise Failed(1, f"pfctl: unknown command line argument: {words[0]} ...\n{_USAGE}")
        if len(kills) > 2:
            raise Failed(1, f"pfctl: can only specify -k twice\n{_USAGE}")
        unknown = set(letters) & set("ADKmNORxzM")
        if unknown:
            raise Failed(1, f"pfctl: not simulated: -{sorted(unknown)[0]}")
        return _Call(letters, values, kills, words)

    def _rules(self, call: _Call, anchor: str, stdin: str, dry: bool, verbose: bool) -> tuple[str, str]:
        """pfctl -f: everything that is loaded is loaded together, or nothing."""
        title, text = self._text(call.values["f"], stdin, dry)
        try:
            readers = self._read(anchor, title, text, dry)
        except Unsupported as error:
            raise Failed(1, f"pfctl: not simulated: {error}") from None
        out, told = "", ""
        for path, name, reader in readers:
            told += f"\nLoading anchor {path} from {name}\n" if verbose and path != anchor else ""
            out += lines(*reader.printed, *(rule_text(rule) for kind in KINDS for rule in reader.ruleset[kind]))
        if not dry:
            for path, _name, reader in readers:
                self._commit(path, reader)
        return (out if verbose else ""), told

    def _text(self, path: str, stdin: str, dry: bool) -> tuple[str, str]:
        """The name that pfctl gives a file in its messages, and what is in it."""
        if path == "-":
            return "stdin", stdin
        if path not in self.host.files:
            missing = "No such file or directory"
            told = [f"pfctl: {path}: {missing}", f"pfctl: cannot open the main config file!: {missing}"]
            raise Failed(1, lines(*told, *([] if dry else [_NOT_LOADED])))
        return path, self.host.files[path]

    def _read(self, anchor: str, title: str, text: str, dry: bool) -> list[tuple[str, str, Reader]]:
        """(anchor, file, what was read) of a file and, for the main ruleset, of the anchors that it loads."""
        readers = [(anchor, title, self._reader(title, text, anchor, dry))]
        pending = list(readers[0][2].loads) if not anchor else []
        while pending:
            path, name = pending.pop(0)
            try:
                reader = self._reader(name, self._text(name, "", dry)[1], path, dry)
            except Failed as failed:
                raise Failed(1, f"{failed.result.stderr}pfctl: load anchors") from None
            readers.append((path, name, reader))
            pending += reader.loads
        return readers

    def _reader(self, title: str, text: str, anchor: str, dry: bool) -> Reader:
        reader = Reader(self.host, title, text, anchor)
        if reader.errors:
            raise Failed(1, lines(*reader.errors, *([] if dry else [_NOT_LOADED])))
        return reader

    def _commit(self, path: str, reader: Reader) -> None:
        old = self._ruleset(path)["tables"]
        ruleset: Ruleset = json.loads(json.dumps(reader.ruleset))
        ruleset["tables"] = {**old, **ruleset["tables"]}
        self.rulesets[path] = ruleset
        if not path:
            self._state["skip"] = reader.skip
        self._sweep()

    def _sweep(self) -> None:
        """Tables go that are not `persist` and that no rule refers to, then rulesets with nothing in them."""
        for path, ruleset in list(self.rulesets.items()):
            users = self.rulesets.values() if not path else [ruleset]
            used = {
                rule[side]["value"]
                for user in users
                for kind in KINDS
                for rule in user[kind]
                for side in ("source", "destination")
                if rule[side]["kind"] == "table"
            }
            tables = ruleset["tables"].items()
            ruleset["tables"] = {name: table for name, table in tables if table["persist"] or name in used}
            if path and not any(ruleset.values()):
                del self.rulesets[path]

    def _flush(self, what: str, anchor: str) -> str:
        ruleset = self._ruleset(anchor)
        kinds = {"rules": ("scrub", "filter"), "nat": ("nat", "rdr", "binat"), "all": KINDS}
        for kind in kinds.get(what, ()):
            ruleset[kind] = []
        self._sweep()
        deleted = len(ruleset["tables"])
        if what in ("Tables", "all"):
            ruleset["tables"] = {}
            self._sweep()
        said = {
            "rules": ["rules cleared"],
            "nat": ["nat cleared"],
            "Tables": [f"{deleted} tables deleted."],
            "states": ["0 states cleared"],
            "Sources": ["source tracking entries cleared"],
            "info": ["pf: statistics cleared"],
        }
        said["all"] = [row for rows in list(said.values())[: 3 if anchor else None] for row in rows]
        if what == "all" and not anchor:
            self._state["skip"] = []
            said["all"].append("pf: interface flags reset")
        return lines(*said.get(what, ()))

    @staticmethod
    def _kill(kills: list[str]) -> str:
        """There are no states, so none is killed; what is asked for must make sense all the same."""
        if kills[0] in ("label", "id", "gateway"):
            if len(kills) != 2 or not kills[1]:
                raise Failed(1, f"pfctl: no {kills[0]} specified\n{_USAGE}")
            _addresses(kills[1:] if kills[0] == "gateway" else [])
            return "killed 0 states\n"
        _addresses(kills)
        return f"killed 0 states from 1 sources and {len(kills) - 1} destinations\n"

    def _switch(self, enable: bool) -> str:
        if self._state["enabled"] == enable:
            raise Failed(1, "pfctl: pf already enabled" if enable else "pfctl: pf not enabled")
        self._state.update(enabled=enable, since=time.time())
        return "pf enabled\n" if enable else "pf disabled\n"

    def _table(self, command: str, anchor: str, name: str) -> str:
        table = self._ruleset(anchor)["tables"].get(name)
        if table is None:
            raise Failed(255, "pfctl: Unknown error: -1.")
        if not "show".startswith(command):
            raise Failed(1, f"pfctl: not simulated: -T {command}")
        rows = []
        for entry in table["entries"]:
            network = ipaddress.ip_network(entry["network"])
            full = network.prefixlen == network.max_prefixlen
            rows.append(f"  {'!' if entry['not'] else ' '}{network.network_address if full else network}")
        return lines(*rows)

    def _show(self, what: str, anchor: str, recurse: bool, verbose: bool) -> tuple[str, str]:
        """What goes to standard output and to standard error."""
        if what in ("", "states", "Sources", "queue"):
            return "", ""
        if what == "info":
            return self._info(), ""
        if what == "Running":
            return ("Enabled\n" if self._state["enabled"] else "Disabled\n"), ""
        if what == "Interfaces":
            names = list(self.host.interfaces.table)
            kinds = {re.sub(r"\d+$", "", name) for name in names if not name.startswith("vtnet")}
            return lines("all", *sorted([*names, *kinds])), ""
        if what == "Tables":
            return lines(*sorted(self._ruleset(anchor)["tables"])), ""
        if what == "Anchors":
            if anchor and anchor not in self._anchors():
                return "", f"Anchor '{anchor}' not found.\n"
            return lines(*(f"  {name}" for name in self._below(anchor, verbose))), ""
        if what not in ("rules", "nat", "labels"):
            raise Failed(1, f"pfctl: not simulated: -s {what}")
        if anchor and anchor not in self._anchors():
            return "", "pfctl: DIOCGETRULES: Invalid argument\n"
        ruleset = self._ruleset(anchor)
        kinds_shown = ("nat", "rdr", "binat") if what == "nat" else ("scrub", "filter")
        listed = [rule for kind in kinds_shown for rule in ruleset[kind]]
        if recurse and any(rule["anchor"] for rule in listed):
            raise Failed(1, "pfctl: not simulated: -s of all anchors below")
        if what == "labels":
            return lines(*(f"{' '.join(rule['labels'])}{' 0' * 8}" for rule in listed if rule["labels"])), ""
        rows = [row for rule in listed for row in ((rule_text(rule), _ZERO, _MADE) if verbose else (rule_text(rule),))]
        return lines(*rows), ""

    def _anchors(self) -> set[str]:
        """The anchors that there are: with rules, named in an anchor line, or above such a one."""
        named = {
            _absolute(path, rule["anchor"])[0]
            for path, ruleset in self.rulesets.items()
            for kind in KINDS
            for rule in ruleset[kind]
            if rule["anchor"]
        }
        paths = named | set(self.rulesets)
        return {"/".join(path.split("/")[:depth]) for path in paths for depth in range(1, path.count("/") + 2)} - {""}

    def _below(self, parent: str, nested: bool) -> list[str]:
        found = []
        for name in sorted(name for name in self._anchors() if name.rpartition("/")[0] == parent):
            found += [name, *(self._below(name, nested) if nested else [])]
        return found

    def _info(self) -> str:
        pf = self._state
        since = int(time.time() - pf.get("since", time.time()))
        age = f"{since // 86400} days {since // 3600 % 24:02d}:{since // 60 % 60:02d}:{since % 60:02d}"
        status = f"Enabled for {age}" if pf["enabled"] else f"Disabled for {age}" if "since" in pf else "Disabled"
        rows = [f"{'Status: ' + status:<45} Debug: Urgent", "", f"{'State Table':<30} {'Total':>11} {'Rate':>16}"]
        rows.append(f"  {'current entries':<28} {0:>10}               ".replace("          0 ", "           0 ", 1))
        rows += [f"  {name:<25} {0:>14} {'0.0/s':>16}" for name in ("searches", "inserts", "removals")]
        rows.append("Counters")
        rows += [f"  {name:<25} {0:>14} {'0.0/s':>16}" for name in _COUNTERS]
        return lines(*rows)


def _absolute(path: str, name: str) -> tuple[str, bool]:
    """The whole name of an anchor that a ruleset calls, and whether everything directly below it is meant."""
    whole = name if name.startswith("/") or not path else f"{path}/{name}"
    return whole.rstrip("*").strip("/"), whole.endswith("*")


def _addresses(words: list[str]) -> None:
    """Refuse what is no address or network."""
    for word in words:
        try:
            ipaddress.ip_network(word, strict=False)
        except ValueError:
            raise Failed(1, "pfctl: getaddrinfo: Name does not resolve") from None
