# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ``swanctl --COMMAND --raw`` and ``--pretty`` print: vici messages, as vici_dump() of libvici writes them.

``--pretty`` puts each value on a line of its own and is read without loss. ``--raw`` writes a message on one line and
quotes nothing, so that where a value ends has to be inferred: at the next `` key=`` with a key in lower case that does
not follow a comma (distinguished names such as ``C=CH, O=x, CN=y`` survive), at `` name {`` or at ``}``. The log
texts and error messages that come last in their message reach to its end. What remains lossy in ``--raw``: a list's
item that holds blanks, unless they follow commas, comes out as several items.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .._core.errors import ParseError

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Value = t.Union[str, t.Tuple[str, ...], "Mapping[str, Value]"]

_HEAD = re.compile(r"(?:(?P<name>[a-z][a-z-]*) (?P<kind>event|reply)|(?P<log>log)) \{")
_GAP = re.compile(r" *")
_SECTION = re.compile(r"(?P<name>[^\s{}=\[\]]*) ?\{")
_LIST = re.compile(r"(?P<name>[^\s{}=\[\]]+)=\[")
_LAST = re.compile(r"(?P<name>msg|errmsg)=(?P<value>.*)\}")
_PAIR = re.compile(
    r"(?P<name>[^\s{}=\[\]]+)=(?P<value>[^{}]*?)(?=(?<!,) [a-z][a-z0-9_-]*=| [^\s{}=]+ \{|\})", re.DOTALL
)
_PRETTY_PAIR = re.compile(r"(?P<name>[^\s=]+) =(?: (?P<value>.*))?")


@dataclasses.dataclass(frozen=True)
class Message:
    """One message; the name of a ``log`` message is "log"."""

    kind: str
    name: str
    body: Mapping[str, Value]


def parse(text: str) -> tuple[Message, ...]:
    """Read all messages in their order; two of the same name stay two. ParseError for any line that is not vici's."""
    return tuple(_messages(iter(text.split("\n"))))


def _messages(lines: Iterator[str]) -> Iterator[Message]:
    for line in filter(None, lines):
        head = _HEAD.match(line)
        if not head:
            raise ParseError(f"swanctl: unexpected output {line!r}")
        if head.end() == len(line):
            body = _pretty_section(lines)
        else:
            body, end = _raw_section(line, head.end(), depth=0)
            if line[end:].strip():
                raise ParseError(f"swanctl: unexpected text after a message: {line[end:]!r}")
        yield Message(head["kind"] or "log", head["name"] or "log", body)


def _raw_section(line: str, position: int, *, depth: int) -> tuple[dict[str, Value], int]:
    """The section whose contents start at ``position``, and the position after its closing brace."""
    body: dict[str, Value] = {}
    while True:
        position = _end(_GAP.match(line, position))
        if line.startswith("}", position):
            return body, position + 1
        # only the message itself has such a text for its last value
        last = _LAST.fullmatch(line, position) if depth == 0 else None
        listed = _LIST.match(line, position)
        found = last or listed or _PAIR.match(line, position) or _SECTION.match(line, position)
        if not found:
            raise ParseError(f"swanctl: unexpected text in a message: {line[position:]!r}")
        value: Value
        if last:
            value, position = last["value"], last.end() - 1
        elif listed:
            value, position = _raw_list(line, listed.end())
        elif found.re is _PAIR:
            value, position = found["value"], found.end()
        else:
            value, position = _raw_section(line, found.end(), depth=depth + 1)
        _add(body, found["name"], value)


def _end(match: re.Match[str] | None) -> int:
    return match.end() if match else 0


def _raw_list(line: str, start: int) -> tuple[tuple[str, ...], int]:
    """The items up to the bracket that closes the list; traffic selectors such as ``10.0.0.0/8[tcp/80]`` hold some."""
    nested = 0
    for position in range(start, len(line)):
        if line[position] == "[":
            nested += 1
        elif line[position] == "]" and nested:
            nested -= 1
        elif line[position] == "]":
            return tuple(re.split(r"(?<!,) +", line[start:position])) if position > start else (), position + 1
    raise ParseError(f"swanctl: a list is never closed: {line[start:]!r}")


def _pretty_section(lines: Iterator[str]) -> dict[str, Value]:
    body: dict[str, Value] = {}
    for line in map(str.strip, lines):
        if line == "}":
            return body
        pair = _PRETTY_PAIR.fullmatch(line)
        if pair and pair["value"] == "[":
            _add(body, pair["name"], _pretty_list(lines))
        elif pair:
            _add(body, pair["name"], pair["value"] or "")
        elif line == "{" or line.endswith(" {"):
            _add(body, line[:-1].rstrip(), _pretty_section(lines))
        else:
            raise ParseError(f"swanctl: unexpected line in a message: {line!r}")
    raise ParseError("swanctl: a message is cut off")


def _pretty_list(lines: Iterator[str]) -> tuple[str, ...]:
    items: list[str] = []
    for line in map(str.strip, lines):
        if line == "]":
            return tuple(items)
        items.append(line)
    raise ParseError("swanctl: a message is cut off")


def _add(body: dict[str, Value], name: str, value: Value) -> None:
    if name in body:
        raise ParseError(f"swanctl: {name} twice in one section of a message")
    body[name] = value
