# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pf(4) and pfctl(8) of a simulated host: rules are read, checked and listed in pfctl's own form, not applied."""

from __future__ import annotations

import itertools
import re
import time
from typing import TYPE_CHECKING

from .files import Failed, Result, lines

if TYPE_CHECKING:
    from .freebsd import FreeBSD

_TOKEN = re.compile(r'"[^"]*"|<[^>]+>|\([^)]*\)|[{}=,<>!]+|[^\s{}=,<>!()"]+')
_SERVICES = {
    "22": "ssh",
    "53": "domain",
    "80": "http",
    "443": "https",
    "500": "isakmp",
    "4500": "sae-urn",
    "179": "bgp",
}
_COUNTERS = (
    "match", "bad-offset", "fragment", "short", "normalize", "memory", "bad-timestamp", "congestion", "ip-option",
    "proto-cksum", "state-mismatch", "state-insert", "state-limit", "src-limit", "synproxy", "map-failed",
)  # fmt: skip


class _Syntax(Exception):
    """Rules that pfctl refuses: the rows it prints."""


def rules(text: str, name: str) -> list[str]:
    """The filter rules of a configuration as `pfctl -sr` lists them. Raises _Syntax."""
    return [rule for rule in _statements(text, name) if rule.startswith(("pass", "block", "anchor", "match"))]


def _statements(text: str, name: str) -> list[str]:
    macros: dict[str, str] = {}
    out: list[str] = []
    logical = re.sub(r"\\\n", " ", text)
    for number, row in enumerate(logical.split("\n"), 1):
        row = re.sub(r"#.*", "", row).strip()
        if not row:
            continue
        defined = re.fullmatch(r'(\w+)\s*=\s*"(.*)"', row)
        if defined:
            macros[defined.group(1)] = defined.group(2)
            continue
        for macro in re.findall(r"\$(\w+)", row):
            if macro not in macros:
                raise _Syntax(lines(f"{name}:{number}: macro '{macro}' not defined", f"{name}:{number}: syntax error"))
            row = row.replace(f"${macro}", macros[macro])
        out += _statement(row, f"{name}:{number}")
    return out


def _statement(row: str, where: str) -> list[str]:
    first = row.split()[0]
    if first in ("pass", "block", "match"):
        return [_Rule(list(variant), where).text() for variant in _variants(_TOKEN.findall(row))]
    if first == "anchor":
        anchor = re.fullmatch(r'anchor\s+("[^"]+"|\S+)\s*(all)?.*', row)
        if anchor:
            return [f'anchor "{anchor.group(1).strip(chr(34))}" all']
    elif first in (
        "set",
        "table",
        "nat",
        "rdr",
        "nat-anchor",
        "rdr-anchor",
        "scrub",
        "load",
        "binat",
        "no",
        "antispoof",
    ):
        return [row]
    raise _Syntax(f"{where}: syntax error\n")


def _variants(tokens: list[str]) -> list[tuple[str, ...]]:
    """One rule per combination of the members of its { } lists."""
    choices: list[list[str]] = []
    inside: list[str] | None = None
    for token in tokens:
        if token == "{":
            inside = []
        elif token == "}" and inside is not None:
            choices.append(inside)
            inside = None
        elif inside is not None:
            inside += [token] if token != "," else []
        else:
            choices.append([token])
    return list(itertools.product(*choices))


class _Rule:
    """A pass or block rule: words in, pfctl's canonical words out."""

    def __init__(self, tokens: list[str], where: str) -> None:
        self.tokens, self.where = tokens, where

    def take(self, *wanted: str) -> str:
        if self.tokens and self.tokens[0] in wanted:
            return self.tokens.pop(0)
        return ""

    def argument(self) -> str:
        if not self.tokens:
            raise _Syntax(f"{self.where}: syntax error\n")
        return self.tokens.pop(0)

    def text(self) -> str:
        action = self.argument()
        out = [action]
        if action == "block":
            out.append(self.take("drop", "return", "return-rst", "return-icmp") or "drop")
        out += [word for word in (self.take("in", "out"), self.take("log"), self.take("quick")) if word]
        if self.take("on"):
            out += ["on", self.argument()]
        family = self.take("inet", "inet6")
        protocol = self.argument() if self.take("proto") else ""
        self.take("all")
        source, destination = "any", "any"
        if self.take("from"):
            source = self._place()
        if self.take("to"):
            destination = self._place()
        for place in (source, destination):
            if not family and re.search(r"\d+\.\d+|[0-9a-f]:", place.split(" port")[0]):
                family = "inet6" if ":" in place.split(" port")[0] else "inet"
        out += [family] if family else []
        out += ["proto", protocol] if protocol else []
        out += (
            ["all"] if (source, destination) == ("any", "any") and not protocol else ["from", source, "to", destination]
        )
        return " ".join(out + self._options(action, protocol))

    def _place(self) -> str:
        negated = "! " if self.take("!") else ""
        place = "any" if self.tokens[:1] == ["port"] else self.argument()
        if place.endswith(".invalid"):
            raise _Syntax(
                lines(f"no IP address found for {place}", f"{self.where}: could not parse host specification")
            )
        if self.take("port"):
            sign = self.take("=", "!=", ">", "<", ">=", "<=") or "="
            port = self.argument()
            place += f" port {sign} {_SERVICES.get(port, port)}"
        return negated + place

    def _options(self, action: str, protocol: str) -> list[str]:
        rest = list(self.tokens)
        if any(token in ("{", "}", "=") for token in rest) or rest[:1] in (["proto"], ["port"], ["on"]):
            raise _Syntax(f"{self.where}: syntax error\n")
        if action != "pass" or "no" in rest:
            return rest
        flags = [] if "flags" in rest or protocol not in ("", "tcp") else ["flags", "S/SA"]
        state = [] if "state" in rest else ["keep", "state"]
        return [*flags, *rest, *state] if not state else [*flags, *state, *rest]


class Pf:
    """pfctl(8) over the host's pf state: enabled, since, rules (main ruleset text), anchors (name to text)."""

    def __init__(self, host: FreeBSD) -> None:
        self.host = host

    def pfctl(self, argv: list[str], stdin: str) -> Result:
        words, letters, values = list(argv[1:]), "", {}
        while words:
            word = words.pop(0)
            cluster = word[1:]
            for place, letter in enumerate(cluster):
                letters += letter
                if letter in "afFsktTDi":
                    values[letter] = cluster[place + 1 :] or words.pop(0)
                    break
        if "n" in letters:
            return self._check(values["f"], stdin, "v" in letters)
        if "pf" not in self.host.modules.loaded:
            raise Failed(1, "pfctl: /dev/pf: No such file or directory")
        anchor = values.get("a", "")
        if "F" in values:
            return self._flush(anchor)
        warnings = lines("No ALTQ support in kernel", "ALTQ related functions disabled") if "v" in letters else ""
        if "f" in values:
            return self._load(anchor, self._text(values["f"], stdin), _title(values["f"]))
        if "e" in letters or "d" in letters:
            return self._switch("e" in letters)
        if "T" in values:
            raise Failed(255, "pfctl: Unknown error: -1.")
        return Result(0, self._show(values.get("s", ""), anchor, "v" in letters, "g" in letters), warnings)

    def _text(self, path: str, stdin: str) -> str:
        if path == "-":
            return stdin
        if path not in self.host.files:
            missing = "No such file or directory"
            raise Failed(1, lines(f"pfctl: {path}: {missing}", f"pfctl: cannot open the main config file!: {missing}"))
        return self.host.files[path]

    def _check(self, path: str, stdin: str, verbose: bool) -> Result:
        try:
            statements = _statements(self._text(path, stdin), _title(path))
        except _Syntax as error:
            raise Failed(1, str(error)) from None
        statements = [re.sub(r"^set skip on (\S+)$", r"set skip on { \1 }", row) for row in statements]
        return Result(0, lines(*statements) if verbose else "")

    def _load(self, anchor: str, text: str, name: str) -> Result:
        try:
            _statements(text, name)
        except _Syntax as error:
            raise Failed(1, f"{error}pfctl: Syntax error in config file: pf rules not loaded") from None
        pf = self.host.state["pf"]
        if anchor:
            pf["anchors"][anchor] = text
            if not rules(text, name):
                del pf["anchors"][anchor]
        else:
            pf["rules"] = text
        return Result(0)

    def _flush(self, anchor: str) -> Result:
        pf = self.host.state["pf"]
        if anchor:
            pf["anchors"].pop(anchor, None)
        else:
            pf["rules"] = ""
        return Result(0, "", "rules cleared\n")

    def _switch(self, enable: bool) -> Result:
        pf = self.host.state["pf"]
        if pf["enabled"] == enable:
            raise Failed(1, "pfctl: pf already enabled" if enable else "pfctl: pf not enabled")
        pf.update(enabled=enable, since=time.time())
        return Result(0, "", "pf enabled\n" if enable else "pf disabled\n")

    def _show(self, what: str, anchor: str, verbose: bool, debug: bool) -> str:
        pf = self.host.state["pf"]
        if what in ("i", "info"):
            return self._info()
        if what in ("A", "Anchors"):
            return lines(*(f"  {name}" for name in self._anchors(anchor, verbose)))
        if what in ("r", "rules"):
            if anchor and not anchor.endswith("*") and anchor not in pf["anchors"]:
                raise Failed(0, "pfctl: DIOCGETRULES: Invalid argument")
            text = "" if anchor.endswith("*") else pf["anchors"][anchor] if anchor else pf["rules"]
            return self._rules(rules(text, "rules"), verbose)
        if what in ("I", "Interfaces"):
            names = list(self.host.interfaces.table)
            kinds = {re.sub(r"\d+$", "", name) for name in names if not name.startswith("vtnet")}
            return lines("all", *sorted([*names, *kinds]))
        return ""

    @staticmethod
    def _rules(listed: list[str], verbose: bool) -> str:
        zero = "  [ Evaluations: 0         Packets: 0         Bytes: 0           States: 0     ]"
        made = "  [ Inserted: uid 0 pid 1 State Creations: 0     ]"
        return lines(*(row for rule in listed for row in ((rule, zero, made) if verbose else (rule,))))

    def _anchors(self, parent: str, nested: bool) -> list[str]:
        pf = self.host.state["pf"]
        named = {
            name.partition("/*")[0] for name in re.findall(r'^anchor "([^"]+)"', lines(*rules(pf["rules"], "")), re.M)
        }
        paths = named | set(pf["anchors"])
        known = {"/".join(path.split("/")[:depth]) for path in paths for depth in range(1, path.count("/") + 2)}
        depth = parent.count("/") + 1 if parent else 0
        below = [name for name in known if not parent or name.startswith(parent + "/")]
        return sorted(name for name in below if nested or name.count("/") == depth)

    def _info(self) -> str:
        pf = self.host.state["pf"]
        since = int(time.time() - pf.get("since", time.time()))
        age = f"{since // 86400} days {since // 3600 % 24:02d}:{since // 60 % 60:02d}:{since % 60:02d}"
        status = f"Enabled for {age}" if pf["enabled"] else f"Disabled for {age}" if "since" in pf else "Disabled"
        rows = [f"{'Status: ' + status:<45} Debug: Urgent", "", f"{'State Table':<30} {'Total':>11} {'Rate':>16}"]
        rows.append(f"  {'current entries':<28} {0:>10}               ".replace("          0 ", "           0 ", 1))
        rows += [f"  {name:<25} {0:>14} {'0.0/s':>16}" for name in ("searches", "inserts", "removals")]
        rows.append("Counters")
        rows += [f"  {name:<25} {0:>14} {'0.0/s':>16}" for name in _COUNTERS]
        return lines(*rows)


def _title(path: str) -> str:
    return "stdin" if path == "-" else path
