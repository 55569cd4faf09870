# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""strongSwan's settings grammar: a reader of swanctl.conf that shares no code with the collection."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from .files import Files

Section = dict[str, Any]
"""Names to values: str for a setting, Section for a section; order as in the files."""

_NAME = re.compile(r'[^#{}:,.="\r\n\t ]+')
_WORD = re.compile(r'[^#}"\r\n\t ]+')
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class SettingsError(Exception):
    """Text that strongSwan's parser refuses, with the message it prints."""


class _Reader:
    """Tokens of one file; an include is read in place by a reader of its own."""

    def __init__(self, files: Files, path: str, top: Section, warnings: list[str]) -> None:
        self.files, self.path, self.top, self.warnings = files, path, top, warnings
        self.text = files[path]
        self.at = 0

    def error(self, message: str) -> SettingsError:
        line = self.text.count("\n", 0, self.at) + 1
        return SettingsError(f"{self.path}:{line}: {message}")

    def unexpected(self, token: str, expected: str) -> SettingsError:
        """The parser's complaint; at the end of the file it has forgotten which file that was."""
        message = f"syntax error, unexpected {token}, expecting {expected}"
        return SettingsError(message) if token == "end of file" else self.error(message)

    def string_error(self, message: str) -> SettingsError:
        second = self.error("syntax error, unexpected STRING_ERROR, expecting NAME or NEWLINE or '}'")
        return SettingsError(f"{self.error(message)}\n{second}")

    def blank(self) -> None:
        """Skip spaces and a comment, not the newline behind it."""
        match = re.compile(r"[\t\r ]*(#[^\n]*)?").match(self.text, self.at)
        assert match is not None  # it matches the empty string
        self.at = match.end()

    def peek(self) -> str:
        """The kind of the next token: NAME, a character, NEWLINE, or end of file."""
        self.blank()
        if self.at >= len(self.text):
            return "end of file"
        char = self.text[self.at]
        if char == "\n":
            return "NEWLINE"
        if char in "{}=":
            return f"'{char}'"
        if char == '"':
            raise self.string_error("unexpected string detected")
        return {":": ":", ",": '","', ".": "."}.get(char, "NAME")

    def name(self) -> str:
        match = _NAME.match(self.text, self.at)
        assert match is not None  # peek() said NAME
        self.at = match.end()
        return match.group()

    def string(self) -> str:
        """A quoted string, from behind its opening quote."""
        out: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            self.at += 1
            if char == '"':
                return "".join(out)
            if char == "\\" and self.at < len(self.text):
                escaped = self.text[self.at]
                self.at += 1
                out.append("" if escaped == "\n" else _ESCAPES.get(escaped, escaped))
            elif char != "\r":
                out.append(char)
        raise self.string_error("unterminated string detected")

    def value(self) -> str:
        """The words and strings up to the end of the line or a closing brace, joined by spaces."""
        parts: list[str] = []
        while True:
            self.blank()
            if self.at >= len(self.text) or self.text[self.at] in "\n}":
                return " ".join(parts)
            if self.text[self.at] == '"':
                self.at += 1
                parts.append(self.string())
                continue
            match = _WORD.match(self.text, self.at)
            assert match is not None  # none of the characters that end a word
            parts.append(match.group())
            self.at = match.end()

    def statements(self, into: Section, depth: int) -> None:
        """Statements up to the end of the file or the brace that closes the section."""
        while True:
            token = self.peek()
            if token == "end of file" and depth == 0:
                return
            if token == "end of file":
                raise self.unexpected(token, "NAME or NEWLINE or '}'")
            if token == "'}'" and depth > 0:
                self.at += 1
                return
            if token == "NEWLINE":
                self.at += 1
            elif token == "NAME":
                self.statement(into, depth)
            else:
                raise self.unexpected(
                    token, "end of file or NAME or NEWLINE" if depth == 0 else "NAME or NEWLINE or '}'"
                )

    def statement(self, into: Section, depth: int) -> None:
        include = re.compile(r'include[\t ]+(?=[^=])("?)([^"\n#}]+?)\1[\t ]*(?=[\n#}]|$)').match(self.text, self.at)
        if include:
            self.at = include.end()
            self.include(include.group(2), into)
            return
        name = self.name()
        token = self.peek()
        if token == "'='":
            self.at += 1
            value = self.value()
            into.pop(name, None)
            if value:  # without one, the setting is not set
                into[name] = value
            return
        references = self.references() if token == ":" else []
        token = self.peek()
        while token == "NEWLINE":
            self.at += 1
            token = self.peek()
        if token != "'{'":
            raise self.unexpected(token, ": or '{' or '='" if not references else "\",\" or '{'")
        self.at += 1
        if not isinstance(into.get(name), dict):
            into[name] = {}
        for reference in references:
            _fall_back(into[name], self.top.get(reference, {}))
        self.statements(into[name], depth + 1)

    def references(self) -> list[str]:
        """The names behind a colon: sections whose settings hold where the new one has none."""
        found = []
        while self.peek() in (":", '","'):
            self.at += 1
            self.blank()
            found.append(self.name())
        return found

    def include(self, pattern: str, into: Section) -> None:
        whole = posixpath.normpath(posixpath.join(posixpath.dirname(self.path), pattern))
        found = self.files.glob(whole)
        if not found:
            self.warnings.append(f"no files found matching '{whole}'")
        for path in found:
            _Reader(self.files, path, self.top, self.warnings).statements(into, 0)


def _fall_back(section: Section, other: Section) -> None:
    for name, value in other.items():
        if isinstance(value, dict):
            _fall_back(section.setdefault(name, {}), value)
        else:
            section.setdefault(name, value)


def read(files: Files, path: str) -> tuple[Section, list[str]]:
    """The settings of a file and what it includes, and the parser's warnings.

    Raises SettingsError with the message of strongSwan's parser, KeyError for a file that is not there.
    """
    settings: Section = {}
    warnings: list[str] = []
    _Reader(files, path, settings, warnings).statements(settings, 0)
    return settings, warnings
