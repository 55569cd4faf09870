# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""strongSwan's settings format: strongswan.conf(5), swanctl.conf(5).

The grammar is that of strongSwan's settings_lexer.l and settings_parser.y: a line break ends a value and nothing
else, blanks between the words of a value count as one, ``key =`` without a value unsets the key, sections given twice
are merged and the later of two values wins.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .._core.errors import InvalidOption, ParseError

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Section = t.Dict[str, t.Union[str, "Section"]]

_NAME = re.compile(r'[^#{}:.,="\r\n\t \0]+')
_REFERENCE = re.compile(rf"{_NAME.pattern}(?:\.{_NAME.pattern})*")
_BLANK = re.compile(r"(?:[\t\r\n ]|#[^\n]*)*")
_INCLUDE = re.compile(r"include[\t ]+(?=[^=])")
_PATTERN = re.compile(r'(?:\\["#} ]|[^"#}\n\t ])*')
_WORD_GAP = re.compile(r"[\t\r ]*")
_WORD = re.compile(r'[^#}"\r\n\t ]+')
_STRING = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_UNESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\n": "", "\r\n": ""}


@dataclasses.dataclass(frozen=True)
class Document:
    """One file: its settings, and what it refers to.

    ``includes`` are the patterns of its include statements at whatever depth, in their order, relative ones to the
    file's directory. ``references`` are (section, names) pairs for ``section : name, name {``, the section by its path
    with dots; the settings a section gets by reference are not among its ``values``.
    """

    values: Section
    includes: tuple[str, ...] = ()
    references: tuple[tuple[str, tuple[str, ...]], ...] = ()


def read(text: str) -> Document:
    """Read one file, included files aside; ParseError wherever strongSwan would refuse the file.

    One restriction of our own: strongSwan lets a value and a section share a name, this raises ParseError.
    """
    scanner = _Scanner(text)
    sections: list[Section] = [{}]
    opened: list[tuple[str, int]] = []
    includes: list[str] = []
    references: list[tuple[str, tuple[str, ...]]] = []
    while not scanner.is_at_end():
        if scanner.take("}"):
            if not opened:
                raise scanner.error("a closing brace without its section")
            sections.pop()
            opened.pop()
        elif scanner.match(_INCLUDE):
            includes.extend(filter(None, [scanner.include_pattern()]))
        else:
            name, line = scanner.name(), scanner.line()
            if scanner.take("="):
                _assign(sections[-1], name, scanner.value(), line)
                continue
            names = scanner.references()
            if not scanner.take("{"):
                raise scanner.error(f"expected '{{' or '=' after {name}")
            opened.append((name, line))
            sections.append(_enter(sections[-1], name, line))
            if names:
                references.append((".".join(name for name, _line in opened), names))
    if opened:
        raise scanner.error(f"section {opened[-1][0]}, opened in line {opened[-1][1]}, is never closed")
    return Document(sections[0], tuple(includes), tuple(references))


def parse(text: str) -> Section:
    """The settings of one file, without those it includes or refers to."""
    return read(text).values


def render(settings: Mapping[str, t.Any]) -> str:
    """Write settings the one way this collection writes them; InvalidOption for what the format cannot hold."""
    return "".join(f"{line}\n" for line in _lines(settings, indent=""))


def merge(first: Mapping[str, t.Any], second: Mapping[str, t.Any]) -> Section:
    """Both settings as if read one after the other: sections are merged, values of the second win."""
    merged: Section = {}
    for settings in (first, second):
        for name, value in settings.items():
            known = merged.get(name, {} if isinstance(value, dict) else "")
            if isinstance(value, dict) != isinstance(known, dict):
                raise ParseError(f"settings: {name} is both a value and a section")
            merged[name] = merge(known, value) if isinstance(known, dict) else value
    return merged


def _assign(section: Section, name: str, value: str | None, line: int) -> None:
    if isinstance(section.get(name), dict):
        raise ParseError(f"settings: line {line}: {name} is both a value and a section")
    if value is None:
        section.pop(name, None)
    else:
        section[name] = value


def _enter(section: Section, name: str, line: int) -> Section:
    inner = section.setdefault(name, {})
    if not isinstance(inner, dict):
        raise ParseError(f"settings: line {line}: {name} is both a value and a section")
    return inner


def _lines(settings: Mapping[str, t.Any], *, indent: str) -> Iterator[str]:
    for name, value in settings.items():
        # "include {" would be an include statement
        if not _NAME.fullmatch(name) or (name == "include" and isinstance(value, dict)):
            raise InvalidOption(f"{name!r} cannot be a name in strongSwan's settings")
        if isinstance(value, dict):
            yield f"{indent}{name} {{"
            yield from _lines(value, indent=indent + "\t")
            yield f"{indent}}}"
        else:
            yield f"{indent}{name} = {_quote(name, value)}"


def _quote(name: str, value: str) -> str:
    if "\0" in value:
        raise InvalidOption(f"{name}: a value in strongSwan's settings cannot hold a NUL character")
    return '"' + "".join(_ESCAPES.get(character, character) for character in value) + '"'


def _unquote(quoted: str) -> str:
    """Resolve escapes; strongSwan drops carriage returns that are not escaped, and joins lines at a backslash."""
    return re.sub(
        r"\\(\r?\n|.)|\r",
        lambda match: _UNESCAPES.get(match[1], match[1]) if match[1] else "",
        quoted,
        flags=re.DOTALL,
    )


class _Scanner:
    """A position in a text, and the tokens that may follow it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        if "\0" in text:
            self._position = text.index("\0")
            raise self.error("a NUL character")

    def error(self, message: str) -> ParseError:
        return ParseError(f"settings: line {self.line()}: {message}")

    def line(self) -> int:
        return self._text.count("\n", 0, self._position) + 1

    def is_at_end(self) -> bool:
        self.match(_BLANK)
        return self._position == len(self._text)

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._position)
        if found:
            self._position = found.end()
        return found

    def take(self, character: str) -> bool:
        if self.is_at_end() or self._text[self._position] != character:
            return False
        self._position += 1
        return True

    def name(self, pattern: re.Pattern[str] = _NAME) -> str:
        found = None if self.is_at_end() else self.match(pattern)
        if not found:
            raise self.error(f"expected a name, found {self._text[self._position : self._position + 1]!r}")
        return found.group()

    def references(self) -> tuple[str, ...]:
        names: list[str] = []
        while self.take("," if names else ":"):
            names.append(self.name(_REFERENCE))
        return tuple(names)

    def value(self) -> str | None:
        words = []
        while True:
            self.match(_WORD_GAP)
            word = self.match(_WORD)
            if word:
                words.append(word.group())
            elif self._text.startswith('"', self._position):
                words.append(self.string())
            else:
                return " ".join(words) if words else None

    def string(self) -> str:
        found = self.match(_STRING)
        if not found:
            raise self.error("unterminated string")
        return _unquote(found[1])

    def include_pattern(self) -> str:
        found = self.match(_PATTERN)
        plain = re.sub(r'\\(["#} ])', r"\1", found.group()) if found else ""
        quoted = self.string() if self._text.startswith('"', self._position) else ""
        return plain.replace("\r", "") + quoted
