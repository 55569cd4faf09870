# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pf.conf(5) as pfctl of FreeBSD 13.2 reads it: its words, its order, what it refuses and in which words.

It follows the grammar of pfctl (sbin/pfctl/parse.y), and the transcripts where they have something.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from .interfaces import bare
from .pfrules import (
    ICMP,
    PROTOCOL_NUMBERS,
    PROTOCOLS,
    SERVICE_NUMBERS,
    UNREACH,
    Place,
    Port,
    Rule,
    interface_networks,
    new_place,
    new_rule,
    new_ruleset,
    place_text,
)  # fmt: skip

if TYPE_CHECKING:
    from .freebsd import FreeBSD

_STAGES = ("", "option", "scrub", "queue", "nat", "filter")
_SIDES = ("source", "source_port", "destination", "destination_port")
_ORDER = "Rules must be in order: options, normalization, queueing, translation, filtering"

_KEYWORDS = frozenset(
    word
    for row in """
    all allow-opts altq anchor antispoof any bandwidth binat binat-anchor bitmask block block-policy buckets cbq code
    codelq debug divert-reply divert-to dnpipe dnqueue drop dup-to fail-policy fairq fastroute file fingerprints flags
    floating flush for fragment from global group hfsc hogs hostid icmp-type icmp6-type if-bound in include inet inet6
    interval keep keepcounters label limit linkshare load log loginterface map-e-portset match max max-mss max-src-conn
    max-src-conn-rate max-src-nodes max-src-states min-ttl modulate nat nat-anchor no no-df no-route no-sync on
    optimization os out overload pass port prio priority priq probability proto qlimit queue quick random random-id rdr
    rdr-anchor realtime reassemble reply-to require-order return return-icmp return-icmp6 return-rst ridentifier
    round-robin route route-to rtable rule ruleset-optimization scrub set set-tos skip sloppy source-hash source-track
    state state-defaults state-policy static-port sticky-address syncookies synproxy table tag tagged target tbrsize
    timeout to tos ttl upperlimit urpf-failed user""".splitlines()
    for word in row.split()
)


class Unsupported(Exception):
    """Words of pf.conf that this simulation does not know."""


class _Syntax(Exception):
    """A word where the grammar has none like it."""


class _Refused(Exception):
    """A statement that pfctl has complained about already."""


@dataclass(frozen=True)
class _Token:
    kind: str  # string, number, keyword, newline, eof, error, or the character itself
    text: str
    line: int
    where: str  # name of the file


class _Source:
    """A file being read: its characters without continued line ends, and the line of each."""

    def __init__(self, name: str, text: str, first_line: int) -> None:
        self.name, self.at, self.macro_end = name, 0, 0
        characters, self.lines, line = [], [], first_line
        for part in re.split(r"(\\\n|\n)", text):
            if part == "\\\n":
                line += 1
                continue
            characters.append(part)
            self.lines += [line] * len(part)
            line += part == "\n"
        self.text, self.last_line = "".join(characters), line

    def splice(self, end: int, value: str) -> None:
        """Put a macro's value in place of its name."""
        line = self.lines[self.at]
        self.text = self.text[: self.at] + value + self.text[end:]
        self.lines[self.at : end] = [line] * len(value)
        self.macro_end = self.at + len(value)


class _Lexer:
    """Tokens of a file and of the files it includes. Complaints go to `complain` (message, line, file)."""

    _STRING = re.compile(r"[A-Za-z0-9:_][^\s(){}<>!=/#,]*")
    _NUMBER = re.compile(r"-?\d+(?=[\s),/}=]|\Z)")
    _MACRO = re.compile(r"\$([A-Za-z0-9_]*)")

    def __init__(self, name: str, text: str, complain: Callable[[str, int, str], None]) -> None:
        self.sources = [_Source(name, text, 1)]
        self.macros: dict[str, str] = {}
        self.complain = complain

    def include(self, name: str, text: str) -> None:
        """Go on with another file.

        pfctl reads the end of the line that includes it twice: as the file's line 1, and behind the file's last one.
        """
        self.sources.append(_Source(name, text + "\n", 2))

    def names(self) -> list[str]:
        """The files being read, the innermost last."""
        return [source.name for source in self.sources]

    def next(self) -> _Token:
        while True:
            source = self.sources[-1]
            while source.text[source.at : source.at + 1] in (" ", "\t"):
                source.at += 1
            if source.at == len(source.text):
                if len(self.sources) == 1:
                    return _Token("eof", "", source.last_line, source.name)
                self.sources.pop()
            elif source.text[source.at] == "#":
                source.at = self._line_end(source)
            elif source.text[source.at] == "$" and source.at >= source.macro_end:
                token = self._macro(source)
                if token is not None:
                    return token
            else:
                return self._token(source)

    @staticmethod
    def _line_end(source: _Source) -> int:
        end = source.text.find("\n", source.at)
        return len(source.text) if end < 0 else end

    def _macro(self, source: _Source) -> _Token | None:
        match = self._MACRO.match(source.text, source.at)
        name = match.group(1) if match else ""
        if match and name in self.macros:
            source.splice(match.end(), self.macros[name])
            return None
        line = source.lines[source.at]
        self.complain(f"macro '{name}' not defined", line, source.name)
        source.at = min(self._line_end(source) + 1, len(source.text))  # the line's end is lost as well
        return _Token("error", "", line, source.name)

    def _token(self, source: _Source) -> _Token:
        line, character = source.lines[source.at], source.text[source.at]
        if character in "\"'":
            return self._quoted(source, character, line)
        for pattern, kind in ((self._NUMBER, "number"), (self._STRING, "string")):
            match = pattern.match(source.text, source.at)
            if match:
                source.at = match.end()
                word = match.group()
                return _Token("keyword" if kind == "string" and word in _KEYWORDS else kind, word, line, source.name)
        pair = source.text[source.at : source.at + 2]
        text = pair if pair in ("<>", "><", "->") else character
        source.at += len(text)
        return _Token("newline" if text == "\n" else text, text, line, source.name)

    def _quoted(self, source: _Source, quote: str, line: int) -> _Token:
        out, at = "", source.at + 1
        while at < len(source.text) and source.text[at] != quote:
            if source.text[at : at + 2] == "\\" + quote:
                at += 1
            out += source.text[at] if source.text[at] != "\n" else ""
            at += 1
        if at >= len(source.text):
            source.at = len(source.text)
            self.complain("reached end of file while parsing quoted string", source.last_line, source.name)
            return _Token("error", "", source.last_line, source.name)
        source.at = at + 1
        return _Token("string", out, line, source.name)


_ADDRESS_FAMILY = {4: "inet", 6: "inet6"}


class Reader:
    """One run of pfctl's parser over a file, for the main ruleset (anchor empty) or an anchor's.

    Afterwards: errors (what pfctl writes to standard error; none: the file is accepted), ruleset, loads (anchor, file
    of its `load anchor` lines), skip (interfaces that pf leaves alone), printed (what `-v` shows while it reads).
    Raises Unsupported.
    """

    def __init__(self, host: FreeBSD, name: str, text: str, anchor: str = "") -> None:
        self.host, self.anchor = host, anchor
        self.errors: list[str] = []
        self.ruleset = new_ruleset()
        self.loads: list[tuple[str, str]] = []
        self.skip: list[str] = []
        self.printed: list[str] = []
        self._stage, self._require_order, self._recovering = 0, True, 0
        self._block_policy, self._if_bound = "drop", False
        self._lexer = _Lexer(name, text, self._complain_at)
        self._token = self._lexer.next()
        self._read()

    def _read(self) -> None:
        while self._token.kind != "eof":
            if self._token.kind == "newline":
                self._advance()
                continue
            try:
                self._statement()
                if self._token.kind != "newline":
                    raise _Syntax
                self._advance()
            except _Syntax:
                if not self._recovering:  # yacc is quiet until three words in a row were right again
                    self._complain("syntax error")
                self._recover()
            except _Refused:
                self._recover()

    def _recover(self) -> None:
        self._recovering = 3
        while self._token.kind not in ("newline", "eof"):
            self._token = self._lexer.next()
        self._advance()

    def _complain_at(self, message: str, line: int, where: str) -> None:
        self.errors.append(f"{where}:{line}: {message}")

    def _complain(self, message: str) -> None:
        self._complain_at(message, self._token.line, self._token.where)

    def _refuse(self, message: str) -> NoReturn:
        self._complain(message)
        raise _Refused

    def _advance(self) -> str:
        """The current word; goes on to the next one."""
        text, kind = self._token.text, self._token.kind
        if kind != "eof":
            self._token = self._lexer.next()
            self._recovering = max(0, self._recovering - 1)
        return text

    def _at(self, *words: str) -> bool:
        return self._token.text in words and self._token.kind not in ("string", "number", "newline", "eof")

    def _take(self, *words: str) -> str:
        return self._advance() if self._at(*words) else ""

    def _need(self, *words: str) -> str:
        if not self._at(*words):
            raise _Syntax
        return self._advance()

    def _string(self) -> str:
        if self._token.kind != "string":
            raise _Syntax
        return self._advance()

    def _strings(self) -> str:
        """One string or several, with spaces between."""
        words = [self._string()]
        while self._token.kind == "string":
            words.append(self._advance())
        return " ".join(words)

    def _number(self) -> int:
        if self._token.kind != "number":
            raise _Syntax
        return int(self._advance())

    def _either(self) -> str:
        """A number or a string, as text."""
        return str(self._number()) if self._token.kind == "number" else self._string()

    def _newlines(self) -> None:
        while self._token.kind == "newline":
            self._advance()

    def _braces(self, item: Callable[[], Any]) -> list[Any]:
        self._need("{")
        self._newlines()
        found = [item()]
        self._newlines()
        while not self._take("}"):
            self._take(",")
            found.append(item())
            self._newlines()
        return found

    def _one_or_braces(self, item: Callable[[], Any]) -> list[Any]:
        return self._braces(item) if self._at("{") else [item()]

    def _in_order(self, stage: str) -> None:
        """check_rulestate() of pfctl."""
        number = _STAGES.index(stage)
        if self._require_order and self._stage > number:
            self._refuse(_ORDER)
        self._stage = number

    def _statement(self) -> None:
        if self._token.kind == "string":
            name = self._advance()
            self._need("=")
            words = [self._either()]
            while self._token.kind in ("string", "number"):
                words.append(self._either())
            self._lexer.macros[name] = " ".join(words)
            self.printed.append(f'{name} = "{self._lexer.macros[name]}"')
            return
        if self._token.kind != "keyword":
            raise _Syntax
        word = self._token.text
        if word in ("altq", "queue"):
            raise Unsupported(word)
        statements: dict[str, Callable[[], None]] = {
            "set": self._set, "table": self._table, "include": self._include, "load": self._load,
            "anchor": self._anchor, "nat-anchor": self._translation_anchor, "rdr-anchor": self._translation_anchor,
            "binat-anchor": self._translation_anchor, "scrub": self._scrub, "nat": self._translation,
            "rdr": self._translation, "binat": self._translation, "no": self._no, "pass": self._filter,
            "block": self._filter, "match": self._filter, "antispoof": self._antispoof,
        }  # fmt: skip
        if word not in statements:
            raise _Syntax
        statements[word]()

    def _include(self) -> None:
        self._advance()
        path = self._string()
        if path not in self.host.files:
            self.errors.append(f"pfctl: {path}: No such file or directory")
            self._refuse(f"failed to include file {path}")
        if path in self._lexer.names():
            raise Unsupported("a file that includes itself")
        if self._token.kind != "newline":
            raise _Syntax
        self._lexer.include(path, self.host.files[path])

    def _load(self) -> None:
        self._advance()
        self._need("anchor")
        name = self._strings()
        self._need("from")
        self.loads.append((f"{self.anchor}/{name}" if self.anchor else name, self._strings()))

    def _set(self) -> None:
        self._advance()
        option = self._advance() if self._token.kind == "keyword" else ""
        if option in ("optimization", "loginterface", "fingerprints", "debug"):
            value = self._take("all") or self._string()
            self._in_order("option")
            self.printed.append(f'set {option} "{value}"' if option == "fingerprints" else f"set {option} {value}")
        elif option == "ruleset-optimization":
            value = self._string()
            if value not in ("none", "basic", "profile"):
                self._refuse(f"unknown ruleset-optimization {value}")
        elif option in ("timeout", "limit"):
            for name, value in self._one_or_braces(lambda: (self._take("interval") or self._string(), self._number())):
                self._in_order("option")
                self.printed.append(f"set {option} {name} {value}")
        elif option in ("block-policy", "fail-policy"):
            value = self._need("drop", "return")
            self.printed.append(f"set {option} {value}")
            self._in_order("option")
            self._block_policy = value if option == "block-policy" else self._block_policy
        elif option == "require-order":
            value = self._take("no") or self._string()
            if value not in ("yes", "no"):
                self._refuse(f"invalid value '{value}', expected 'yes' or 'no'")
            self._require_order = value == "yes"
            self.printed.append(f"set require-order {value}")
        elif option == "state-policy":
            value = self._need("if-bound", "floating")
            self._if_bound = value == "if-bound"
            self.printed.append(f"set state-policy {value}")
        elif option == "skip":
            self._set_skip()
        elif option == "hostid":
            self._either()
        elif option in ("state-defaults", "syncookies", "keepcounters"):
            raise Unsupported(f"set {option}")
        else:
            raise _Syntax

    def _set_skip(self) -> None:
        interfaces = self._interfaces()
        if any(negated for _name, negated in interfaces):
            self._complain("skip on ! <interface> is not supported")
            self._refuse("error setting skip interface(s)")
        names = [name for name, _negated in interfaces if name not in ("", "none")]
        self.skip += names
        self.printed.append(f"set skip on {{ {' '.join(names)} }}" if names else "set skip on none")

    def _table(self) -> None:
        self._advance()
        name = self._table_name("table name too long, max 31 chars")
        table: dict[str, Any] = {"persist": False, "entries": []}
        shown = ""
        while self._token.kind == "string" or self._at("{", "file"):
            if self._take("file"):
                path = self._string()
                table["entries"] += self._table_file(path)
                shown += f' file "{path}"'
            elif self._at("{"):
                hosts = self._table_entries()
                table["entries"] += [{"network": host["value"], "not": host["not"]} for host in hosts]
                listed = [f"{'!' * host['not']}{place_text({**host, 'not': False})}" for host in hosts]
                shown += f" {{ {' '.join(listed)} }}" if listed else " { }"
            else:
                option = self._string()
                if option not in ("const", "persist", "counters"):
                    self._refuse(f"invalid table option '{option}'")
                table["persist"] = table["persist"] or option == "persist"
                shown += f" {option}"
        self.ruleset["tables"][name] = table
        self.printed.append(f"table <{name}>{shown}")

    def _table_name(self, too_long: str) -> str:
        self._need("<")
        name = self._string()
        self._need(">")
        if len(name) > 31:
            self._refuse(too_long)
        return name

    def _table_entries(self) -> list[Place]:
        self._need("{")
        self._newlines()
        if self._take("}"):
            return []
        hosts = self._place_list()
        complaints = {
            "range": "address ranges are not permitted inside tables",
            "interface": "dynamic addresses are not permitted inside tables",
            "table": "tables cannot contain tables",
            "no-route": '"no-route" is not permitted inside tables',
            "urpf-failed": '"urpf-failed" is not permitted inside tables',
        }
        for host in hosts:
            if host["kind"] in complaints:
                self._refuse(complaints[host["kind"]])
            if host["prefix"] is not None:
                self._refuse("cannot create address buffer: Invalid argument")
        return hosts

    def _table_file(self, path: str) -> list[dict[str, Any]]:
        if path not in self.host.files:
            self._refuse(f'cannot load "{path}": No such file or directory')
        entries = []
        for word in re.sub(r"#.*", "", self.host.files[path]).split():
            found = self._lookup(word.lstrip("!"))
            if not found:
                self._refuse(f'file "{path}" contains bad data')
            entries += [{"network": place["value"], "not": word.startswith("!")} for place in found]
        return entries

    def _interfaces(self) -> list[tuple[str, bool]]:
        return self._one_or_braces(self._interface) if self._take("on") else [("", False)]

    def _interface(self) -> tuple[str, bool]:
        negated = bool(self._take("!"))
        return self._interface_name(), negated

    def _interface_name(self) -> str:
        name = self._string()
        if len(name) > 15:
            self._refuse("interface name too long")
        return name

    def _protocols(self) -> list[str]:
        return self._one_or_braces(self._protocol) if self._take("proto") else [""]

    def _protocol(self) -> str:
        if self._token.kind == "number":
            number = self._number()
            if not 0 < number < 256:
                self._refuse("proto 0 cannot be used" if number == 0 else "protocol outside range")
        else:
            name = self._string()
            if name not in PROTOCOL_NUMBERS:
                self._refuse(f"unknown protocol {name}")
            number = PROTOCOL_NUMBERS[name]
        return PROTOCOLS.get(number, str(number))

    def _from_to(self) -> dict[str, list[Any]]:
        """Sources, source_ports, destinations and destination_ports; a list has at least one member."""
        found = _anywhere()
        if self._take("all"):
            return found
        for word, side in (("from", "source"), ("to", "destination")):
            if self._take(word):
                if not self._at("port"):
                    found[side] = self._places()
                if self._take("port"):
                    found[f"{side}_port"] = self._one_or_braces(self._port)
            if self._at("os"):
                raise Unsupported("os")
        return found

    def _places(self) -> list[Place]:
        if self._take("any"):
            return [new_place()]
        if not self._at("{"):
            return self._place()
        self._advance()
        self._newlines()
        return self._place_list() or [new_place()]

    def _place_list(self) -> list[Place]:
        """What stands between braces, the opening one read; `any` beside others is nothing."""
        found = self._places()
        self._newlines()
        while not self._take("}"):
            self._take(",")
            found = found + self._places()
            self._newlines()
        return [place for place in found if place["kind"] != "any"]

    def _place(self) -> list[Place]:
        negated = bool(self._take("!"))
        word = self._take("no-route", "urpf-failed")
        return [{**place, "not": negated} for place in ([new_place(word)] if word else self._host())]

    def _host(self) -> list[Place]:
        if self._at("("):
            return [self._dynamic()]
        if self._at("<"):
            return [new_place("table", self._table_name("table name too long"))]
        text = self._either()
        if self._take("/"):
            text += f"/{self._number()}"
        elif text.isdigit():
            raise _Syntax
        elif self._take("-"):
            return [self._range(text, self._string())]
        found = self._lookup(text)
        if not found:
            self.errors.append(f"no IP address found for {text}")
            self._refuse("could not parse host specification")
        return found

    def _range(self, first: str, last: str) -> Place:
        ends = [self._lookup(text) for text in (first, last)]
        if not all(ends):
            self._refuse("could not parse host specification")
        low, high = (ipaddress.ip_network(found[0]["value"]) for found in ends)
        if low.version != high.version or {low.prefixlen, high.prefixlen} != {low.max_prefixlen}:
            self._refuse("invalid address range")
        family = _ADDRESS_FAMILY[low.version]
        return new_place("range", f"{low.network_address}-{high.network_address}", family=family)

    def _dynamic(self) -> Place:
        self._need("(")
        text = self._string()
        self._need(")")
        name, colon, rest = text.partition(":")
        if not name[:1].isalpha():
            self._refuse(f"invalid interface name '{text}'")
        modifiers = colon + rest
        if any(word not in ("network", "broadcast", "peer", "0") for word in rest.split(":") if colon):
            self._refuse(f"interface {text} has bad modifier")
        if len(name) > 15:
            self._refuse("interface name too long")
        return new_place("interface", name, modifiers=modifiers, prefix=self._number() if self._take("/") else None)

    def _lookup(self, text: str) -> list[Place]:
        """host() of pfctl: an address or network, else the addresses of an interface, else those of a name."""
        word, slash, length = text.partition("/")
        if slash and re.fullmatch(r"\d+(\.\d+){0,2}", word):
            word += ".0" * (3 - word.count("."))
        if length and int(length) > 128:
            self.errors.append(f"invalid netmask '/{length}'")
            self._refuse("could not parse host specification")
        try:
            return [self._network(word, length)]
        except ValueError:
            pass
        name, colon, modifiers = word.partition(":")
        found = interface_networks(self.host, name, colon + modifiers)
        if not found:
            resolved = self.host.network.resolve(word)
            return [self._network(resolved, length)] if resolved != word else []
        return [
            self._network(network.partition("/")[0] + (f"%{zone}" if zone else ""), length or network.partition("/")[2])
            for network, zone in found
        ]

    @staticmethod
    def _network(word: str, length: str) -> Place:
        zone = word.partition("%")[2]
        address = ipaddress.ip_address(bare(word))
        prefix = int(length) if length else address.max_prefixlen
        if prefix > address.max_prefixlen:  # refused when a rule or a table is made of it
            return new_place("network", str(address), family=_ADDRESS_FAMILY[address.version], prefix=prefix)
        network = ipaddress.ip_network(f"{address}/{prefix}", strict=False)
        return new_place("network", str(network), family=_ADDRESS_FAMILY[address.version], zone=zone)

    def _port(self) -> Port:
        operator = self._take("=", "!", "<", ">")
        if operator and (operator == "!" or self._at("=")):
            operator += self._need("=")
        first, last = self._port_range()
        if operator:
            if last is not None:
                self._refuse("':' cannot be used with an other port operator")
            return operator, first, 0
        binary = self._take("<>", "><")
        if binary:
            return binary, first, self._port_range()[0]
        return ("=", first, 0) if last in (None, first) else (":", first, last or 0)

    def _port_range(self) -> tuple[int, int | None]:
        first, colon, last = self._either().partition(":")
        return self._service(first), self._service(last) if colon else None

    def _service(self, word: str) -> int:
        if word.isdigit():
            if int(word) > 65535:
                self._refuse(f"illegal port value {word}")
            return int(word)
        if word not in SERVICE_NUMBERS:
            self._refuse(f"unknown port {word}")
        return SERVICE_NUMBERS[word]

    def _log(self) -> str:
        """The words behind `log` as pfctl lists them, `log` included."""
        if not self._take("log"):
            return ""
        if not self._take("("):
            return "log"
        words = []
        while not self._take(")"):
            word = self._need("all", "user", "group", "to", ",")
            words += [f"to {self._string()}" if word == "to" else word] if word != "," else []
        return f"log ({', '.join(words)})"

    def _log_quick(self) -> tuple[str, bool]:
        quick = bool(self._take("quick"))
        log = self._log()
        return log, quick or bool(self._take("quick"))

    def _pool_options(self) -> list[str]:
        types = ("bitmask", "random", "source-hash", "round-robin")
        found: dict[str, str] = {}
        while self._at(*types, "static-port", "sticky-address"):
            word = self._advance()
            what = "pool type" if word in types else word
            if what in found:
                self._refuse(f"{what} cannot be redefined")
            if word == "source-hash":
                raise Unsupported(word)
            found[what] = word
        return list(found.values())

    def _hop(self) -> tuple[str, list[Place]]:
        if self._token.kind == "string":
            return self._interface_name(), [new_place()]
        self._need("(")
        name = self._interface_name()
        places = self._host()
        self._need(")")
        return name, places

    def _route(self) -> tuple[str, list[tuple[str, Place]], list[str]]:
        self._take("fastroute")  # accepted and ignored
        word = self._take("route-to", "reply-to", "dup-to")
        if not word:
            return "", [], []
        families: list[str] = []

        def hop() -> tuple[str, list[Place]]:
            name, places = self._hop()
            families.append(places[0]["family"])
            if families[0] == "":
                families[0] = families[-1]
            if families[-1] != families[0]:
                self._refuse("all pool addresses must be in the same address family")
            return name, places

        hops = [(name, place) for name, places in self._one_or_braces(hop) for place in places]
        return word, hops, self._pool_options()

    def _filter_options(self, rule: Rule) -> list[tuple[str, int, int] | None]:
        """Everything behind source and destination, in any order; returns the icmp types."""
        icmp: list[tuple[str, int, int] | None] = [None]
        seen: set[str] = set()
        once = {"flags": "flags", "keep": "modulate or keep", "modulate": "modulate or keep",
                "synproxy": "modulate or keep", "no": "modulate or keep", "icmp-type": "icmp-type",
                "icmp6-type": "icmp-type"}  # fmt: skip
        while self._token.kind == "keyword" or self._at("!"):
            word = self._token.text
            if once.get(word) in seen:
                self._advance()
                self._refuse(f"{once[word]} cannot be redefined")
            seen |= {once[word]} if word in once else set()
            if word in ("icmp-type", "icmp6-type"):
                icmp = self._icmp(self._advance())
            elif not self._filter_option(rule, word):
                break
        rule["flags_given"], rule["state_given"] = "flags" in seen, "modulate or keep" in seen
        return icmp

    def _filter_option(self, rule: Rule, word: str) -> bool:
        if word == "flags":
            rule["flags"] = self._flags()
        elif word in ("keep", "modulate", "synproxy", "no"):
            self._state(rule)
        elif word == "label":
            self._advance()
            rule["labels"] = [*rule["labels"], self._string()]
            if len(rule["labels"]) > 5:
                self._refuse("label can only be used 5 times")
        elif word == "tag":
            self._advance()
            rule["tag"] = self._strings()
        elif word in ("tagged", "!"):
            rule["not_tagged"] = bool(self._take("!"))
            self._need("tagged")
            rule["tagged"] = self._strings()
        elif word in ("fragment", "allow-opts"):
            self._advance()
            rule[word.replace("-", "_")] = True
        elif word == "rtable":
            self._advance()
            rule["rtable"] = self._number()
            if rule["rtable"] >= int(self.host.sysctls.table["net.fibs"]):
                self._refuse("invalid rtable id")
        elif word in ("user", "group", "tos", "prio", "set", "probability", "queue", "divert-to", "divert-reply",
                      "scrub", "ridentifier", "dnpipe", "dnqueue", "os"):  # fmt: skip
            raise Unsupported(word)
        else:
            return False
        return True

    def _flags(self) -> str:
        self._advance()
        if self._take("any"):
            return "any"
        wanted = "" if self._at("/") else self._string()
        self._need("/")
        mask = self._string()
        for word in (wanted, mask):
            if not re.fullmatch(r"[FSRPAUEW]*", word):
                self._refuse(f"bad flags {word}")
        order = "FSRPAUEW"
        wanted, mask = ("".join(sorted(word, key=order.index)) for word in (wanted, mask))
        if not set(wanted) <= set(mask):
            self._refuse("flags always false")
        return f"{wanted}/{mask}"

    def _state(self, rule: Rule) -> None:
        word = self._advance()
        self._need("state")
        if word == "no":
            return
        rule["state"] = word
        if not self._take("("):
            return
        known = ("floating", "if-bound", "sloppy", "no-sync")
        while True:
            if self._token.kind in ("keyword", "string") and self._token.text not in known:
                raise Unsupported(f"state option {self._token.text}")
            rule["state_options"] = [*rule["state_options"], self._need(*known)]
            if self._take(")"):
                return
            self._take(",")

    def _icmp(self, keyword: str) -> list[tuple[str, int, int] | None]:
        def item() -> tuple[str, int, int]:
            word = self._either()
            names = ICMP[keyword]
            if not word.isdigit() and word not in names:
                self._refuse(f"unknown {keyword} {word}")
            number = int(word) if word.isdigit() else names[word]
            code = -1
            if self._take("code"):
                text = self._either()
                if not text.isdigit() and (text not in UNREACH or (keyword, number) != ("icmp-type", 3)):
                    self._refuse(f"unknown {keyword.replace('type', 'code')} {text}")
                code = int(text) if text.isdigit() else UNREACH.index(text)
            return keyword, number, code

        return list(self._one_or_braces(item))

    def _check_names(self, rule: Rule) -> None:
        for name in (rule["tag"], rule["tagged"]):
            if len(name) > 63:
                self._refuse("tag too long, max 63 chars")
        for label in rule["labels"]:
            if len(label) > 63:
                self._refuse("rule label too long (max 63 chars)")
            if "$" in label:
                raise Unsupported("a macro in a label")

    def _filter(self) -> None:
        rule = new_rule(self._advance())
        if rule["action"] == "block":
            words = ("drop", "return", "return-rst", "return-icmp", "return-icmp6")
            rule["answer"] = self._take(*words) or self._block_policy
            if self._at("("):
                self._answer_codes(rule)
        rule["direction"] = self._take("in", "out")
        rule["log"], rule["quick"] = self._log_quick()
        interfaces = self._interfaces()
        rule["route"], hops, rule["pool"] = self._route()
        rule["family"] = self._take("inet", "inet6")
        protocols, sides = self._protocols(), self._from_to()
        icmp = self._filter_options(rule)
        self._in_order("filter")
        self._check_names(rule)
        flags_given, state_given = rule.pop("flags_given"), rule.pop("state_given")
        if rule["flags"] not in ("", "any") and protocols != [""] and "tcp" not in protocols:
            self._refuse("flags only apply to tcp")
        if rule["action"] == "pass" and not state_given:
            rule["state"] = "keep"
        if rule["action"] == "pass" and rule["state"] and not flags_given and not rule["fragment"]:
            rule["flags"] = "S/SA"
        if rule["state"] and self._if_bound and not {"if-bound", "floating"} & set(rule["state_options"]):
            rule["state_options"] = [*rule["state_options"], "if-bound"]
        for side in ("source", "destination"):
            rule["family"] = rule["family"] or _common_family(sides[side])
        if rule["route"]:
            self._routed(rule, hops)
        self._expand("filter", rule, interfaces, protocols, sides, icmp)

    def _answer_codes(self, rule: Rule) -> None:
        if not rule["answer"].startswith("return-icmp"):
            raise Unsupported(f"{rule['answer']} (")
        self._need("(")
        codes = [self._string()]
        if rule["answer"] == "return-icmp" and not self._at(")"):
            self._take(",")
            codes.append(self._string())
        self._need(")")
        place = int(rule["answer"] == "return-icmp6")
        usual = list(rule["answer_codes"])
        rule["answer_codes"] = codes if len(codes) == 2 else [*usual[:place], *codes, *usual[place + 1 :]]

    def _routed(self, rule: Rule, hops: list[tuple[str, Place]]) -> None:
        if not rule["direction"]:
            self._refuse("direction must be explicit with rules that specify routing")
        places = [place for _name, place in hops]
        rule["family"] = rule["family"] or _common_family(places)
        usable = [hop for hop in hops if not rule["family"] or hop[1]["family"] in ("", rule["family"])]
        if not usable:
            self._refuse("no routing address with matching address family found.")
        rule["hops"] = [list(hop) for hop in usable]
        self._pool(rule, [place for _name, place in usable], "routing pools")

    def _pool(self, rule: Rule, places: list[Place], what: str) -> None:
        """Several addresses, a table or all addresses of an interface take turns."""
        several = len(places) > 1 or any(place["kind"] == "table" or _multiple(place) for place in places)
        kinds = {"bitmask", "random", "round-robin"} & set(rule["pool"])
        if several and not kinds:
            rule["pool"] = ["round-robin", *rule["pool"]]
        elif several and kinds != {"round-robin"}:
            if any(place["kind"] == "table" for place in places):
                self._refuse(f"tables are only supported in round-robin {what}")
            for place in places:
                if _multiple(place):
                    self._refuse(f"interface ({place['value']}) is only supported in round-robin {what}")
            routing = "r.rpool.opts must be PF_POOL_ROUNDROBIN"
            self._refuse(routing if rule["route"] else "only round-robin valid for multiple redirection addresses")

    def _anchor(self) -> None:
        self._advance()
        name = self._string() if self._token.kind == "string" else ""
        rule = new_rule("pass", anchor=name, direction=self._take("in", "out"), quick=bool(self._take("quick")))
        interfaces = self._interfaces()
        rule["family"] = self._take("inet", "inet6")
        protocols, sides = self._protocols(), self._from_to()
        icmp = self._filter_options(rule)
        if self._at("{"):
            raise Unsupported("rules in an anchor line")
        self._in_order("filter")
        if name.startswith("_") or "/_" in name:
            self._refuse("anchor names beginning with '_' are reserved for internal use")
        if not name:
            self._refuse("anchors without explicit rules must specify a name")
        self._check_names(rule)
        rule.pop("flags_given")
        if rule.pop("state_given") and rule["state"]:
            self._refuse("cannot specify state handling on anchors")
        for side in ("source", "destination"):
            rule["family"] = rule["family"] or _common_family(sides[side])
        self._expand("filter", rule, interfaces, protocols, sides, icmp)

    def _translation_anchor(self) -> None:
        kind = self._advance().partition("-")[0]
        rule = new_rule(kind, anchor=self._strings())
        interfaces = self._interfaces()
        rule["family"] = self._take("inet", "inet6")
        protocols, sides = self._protocols(), self._from_to()
        self._in_order("nat")
        for side in ("source", "destination"):
            rule["family"] = rule["family"] or _common_family(sides[side])
        self._expand(kind, rule, interfaces, protocols, sides, [None])

    def _no(self) -> None:
        self._advance()
        if self._at("scrub"):
            self._scrub(no=True)
        elif self._at("nat", "rdr", "binat"):
            self._translation(no=True)
        else:
            raise _Syntax

    def _scrub(self, no: bool = False) -> None:
        rule = new_rule(self._advance(), no=no, direction=self._take("in", "out"))
        rule["log"], quick = self._log_quick()
        interfaces = self._interfaces()
        rule["family"] = self._take("inet", "inet6")
        protocols, sides = self._protocols(), self._from_to()
        options = self._scrub_options(rule)
        self._in_order("scrub")
        if quick:
            self._refuse("scrub rules do not support 'quick'")
        if "reassemble tcp" in options and rule["direction"]:
            self._refuse("reassemble tcp rules can not specify direction")
        order = ("no-df", "random-id", "min-ttl", "max-mss", "set-tos", "reassemble tcp")
        rule["scrub"] = [text for word in order for text in [options.get(word, "")] if text]
        self._expand("scrub", rule, interfaces, protocols, sides, [None])

    def _scrub_options(self, rule: Rule) -> dict[str, str]:
        options: dict[str, str] = {}
        while self._at("no-df", "random-id", "min-ttl", "max-mss", "set-tos", "fragment", "reassemble", "tagged", "!"):
            if self._at("tagged", "!"):
                self._filter_option(rule, "tagged")
                self._take(",")
                continue
            word = self._advance()
            value = ""
            if word in ("min-ttl", "max-mss"):
                number = self._number()
                if not 0 <= number <= (255 if word == "min-ttl" else 65535):
                    self._refuse(f"illegal {word} value {number}")
                value = f" {number}"
            elif word == "set-tos":
                raise Unsupported(word)
            elif word == "fragment":
                self._need("reassemble")  # the only kind there is, and shown with every rule
            elif word == "reassemble":
                kind = self._string()
                if kind.lower() != "tcp":
                    self._refuse(f"scrub reassemble supports only tcp, not '{kind}'")
                word = "reassemble tcp"
            if word in options:
                self._refuse(f"{word if word != 'fragment' else 'fragcache'} cannot be respecified")
            options[word] = word + value
            self._take(",")
        return options

    def _translation(self, no: bool = False) -> None:
        kind = self._advance()
        rule = new_rule(kind, no=no, nat_pass=bool(self._take("pass")), log=self._log())
        if no and rule["nat_pass"]:
            self._refuse('"pass" not valid with "no"')
        interfaces = self._interfaces()
        rule["family"] = self._take("inet", "inet6")
        protocols, sides = self._protocols(), self._from_to()
        if self._take("tag"):
            rule["tag"] = self._string()
        if self._at("tagged", "!"):
            self._filter_option(rule, "tagged")
        if self._at("rtable"):
            self._filter_option(rule, "rtable")
        redirect = self._redirect(rule)
        rule["pool"] = self._pool_options() if redirect is not None else []
        self._in_order("nat")
        self._check_names(rule)
        for side in ("source", "destination"):
            rule["family"] = rule["family"] or sides[side][0]["family"]
        if no and redirect is not None:
            binat = "'no binat' rule does not need '->'"
            self._refuse(binat if kind == "binat" else "translation rule with 'no' does not need '->'")
        if not no:
            self._redirected(rule, redirect)
        if "static-port" in rule["pool"] and kind != "nat":
            self._refuse("the 'static-port' option is only valid with nat rules")
        self._expand(kind, rule, interfaces, protocols, sides, [None])

    def _redirect(self, rule: Rule) -> list[Place] | None:
        if not self._take("->"):
            return None
        found = [place for places in self._one_or_braces(self._host) for place in places]
        if self._take("port"):
            first, last = self._port_range()
            rule["redirect_ports"] = str(first) if last in (None, first) else f"{first}:{last}"
        return found

    def _redirected(self, rule: Rule, redirect: list[Place] | None) -> None:
        if not redirect:
            binat = "'binat' rule requires '-> address'"
            self._refuse(binat if rule["action"] == "binat" else "translation rule requires '-> address'")
        rule["family"] = rule["family"] or redirect[0]["family"]
        if rule["action"] == "binat" and not rule["family"]:
            self._refuse("address family (inet/inet6) undefined")
        usable = [place for place in redirect if not rule["family"] or place["family"] in ("", rule["family"])]
        if not usable:
            self._refuse("no translation address with matching address family found.")
        if rule["action"] == "binat" and len(usable) > 1:
            self._refuse("binat rule must redirect to a single address")
        rule["redirect"] = usable
        if rule["action"] != "binat":
            self._pool(rule, usable, "redirection pools")

    def _antispoof(self) -> None:
        self._advance()
        log, quick = self._log_quick()
        self._need("for")

        def item() -> tuple[str, bool]:
            dynamic = bool(self._take("("))
            name = self._interface_name()
            if dynamic:
                self._need(")")
            return name, dynamic

        names = self._one_or_braces(item)
        usual = new_rule("block", answer="drop", direction="in", log=log, quick=quick)
        usual["family"] = self._take("inet", "inet6")
        self._filter_options(usual)
        usual.pop("flags_given")
        usual.pop("state_given")
        self._in_order("filter")
        for name, dynamic in names:
            networks = (
                [new_place("interface", name, modifiers=":network")] if dynamic else self._lookup(f"{name}:network")
            )
            addresses = [new_place("interface", name)] if dynamic else self._lookup(name)
            loopback = self.host.interfaces.table.get(name, {"kind": ""})["kind"] == "lo"
            cases = [([(name, True)], networks), *([([("", False)], addresses)] if not loopback else [])]
            for interfaces, places in cases:
                if places:
                    self._expand("filter", usual, interfaces, [""], {**_anywhere(), "source": places}, [None])

    def _expand(
        self,
        kind: str,
        usual: Rule,
        interfaces: list[tuple[str, bool]],
        protocols: list[str],
        sides: dict[str, list[Any]],
        icmp: list[tuple[str, int, int] | None],
    ) -> None:
        """One rule for each combination that makes sense."""
        added, wrong = 0, False
        for (
            interface,
            negated,
        ), protocol, kind_of_icmp, source, source_port, destination, destination_port in itertools.product(
            interfaces, protocols, icmp, *(sides[side] for side in sides)
        ):
            families = {usual["family"], source["family"], destination["family"]} - {""}
            zones = {source["zone"], destination["zone"], interface} - {""}
            if len(families) > 1 or ((source["zone"] or destination["zone"]) and len(zones) > 1):
                continue
            for place in (source, destination):
                if place["kind"] == "network" and place["prefix"] is not None:
                    self.errors.append(f"netmask {place['prefix']} invalid for IPv4 address")
                    wrong = True
            rule: Rule = {
                **usual, "interface": interface or source["zone"] or destination["zone"], "not_interface": negated,
                "family": "".join(families), "protocol": protocol, "icmp": kind_of_icmp, "source": source,
                "source_port": source_port, "destination": destination, "destination_port": destination_port,
            }  # fmt: skip
            if protocol not in ("", "tcp"):
                rule["flags"] = ""
                rule["state"] = "keep" if rule["state"] in ("modulate", "synproxy") else rule["state"]
            problems = self._problems(rule)
            for problem in problems:
                self._complain(problem)
            if problems or wrong:
                self._complain("skipping rule due to errors")
                continue
            self.ruleset[kind].append(rule)
            added += 1
        if not added:
            self._complain("rule expands to no valid combination")

    @staticmethod
    def _problems(rule: Rule) -> list[str]:
        """rule_consistent() of pfctl."""
        if rule["action"] in ("nat", "binat"):
            return []
        ports = rule["protocol"] not in ("tcp", "udp")
        if rule["action"] == "rdr":
            names = {"source_port": "src", "destination_port": "dst", "redirect_ports": "rpool"}
            return [f"{name} port only applies to tcp/udp" for key, name in names.items() if ports and rule[key]]
        wrong = {"icmp": "inet6", "ipv6-icmp": "inet"}
        icmp = (
            f"proto {'icmp' if rule['protocol'] == 'icmp' else 'icmp6'} doesn't match address family {rule['family']}"
        )
        checks = {
            "port only applies to tcp/udp": ports and (rule["source_port"] or rule["destination_port"]),
            "icmp-type/code only applies to icmp": rule["icmp"] and rule["protocol"] not in wrong,
            "must indicate address family with icmp-type/code": rule["icmp"] and not rule["family"],
            icmp: rule["protocol"] in wrong and rule["family"] == wrong[rule["protocol"]],
            "allow-opts can only be specified for pass rules": rule["allow_opts"] and rule["action"] != "pass",
            "return-rst can only be applied to TCP rules": (
                rule["answer"] == "return-rst" and rule["protocol"] != "tcp"
            ),
            "keep state is great, but only for pass rules": rule["state"] and rule["action"] != "pass",
            "route-to, reply-to, dup-to and fastroute must not be used on match rules": (
                rule["action"] == "match" and rule["route"]
            ),
        }
        return [message for message, found in checks.items() if found]


def _anywhere() -> dict[str, list[Any]]:
    """What `all` means."""
    return {side: [new_place() if "port" not in side else None] for side in _SIDES}


def _common_family(places: list[Place]) -> str:
    families = {place["family"] for place in places}
    return families.pop() if len(families) == 1 else ""


def _multiple(place: Place) -> bool:
    """Whether a place in parentheses may have several addresses."""
    return place["kind"] == "interface" and not (":0" in place["modifiers"] and place["value"][-1:].isdigit())
