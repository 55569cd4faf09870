# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ids of sites in a file of their own, which is YAML with one ``name: id`` on a line. Pure; runs on the controller.

Lines are appended, and renamed with their site, but never removed or moved: what a site that is gone has had is taken
until a person deletes its line. All that a person wrote besides stays.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t

from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption

from . import numbers, reading

if t.TYPE_CHECKING:
    from collections.abc import Mapping

HEADER = "---\n# Ids of sites, for life. Delete the line of a site to give its id to another one.\n"
_LINE = re.compile(
    r"""
    (?P<name> "(?:[^"\\]|\\.)*" | '(?:[^']|'')*' | [A-Za-z0-9](?:[^\s:\#"'{}\[\],] | :(?=\S) | [ ]+(?=[^\s:\#]))* )
    [ ]* : [ ]+ (?P<id>[0-9]+) [ ]* (?:[ ]\#.*)?
    """,
    re.VERBOSE,
)
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
"""What YAML takes for something else than text."""


@dataclasses.dataclass(frozen=True)
class Wish:
    """What the description says of a site's id, and of the name that it had."""

    id: t.Any = None
    formerly: str | None = None


@dataclasses.dataclass(frozen=True)
class Settled:
    """The id of each site, and the text that the file ought to have."""

    ids: dict[str, int]
    text: str


def settle(where: str, text: str, wishes: Mapping[str, Wish], *, allocate: bool) -> Settled:
    """Find the id of each site; ``where`` is what messages call the file.

    Who has none gets the smallest one that nobody has had, in the order of names, if ``allocate``. InvalidOption for
    what contradicts itself.
    """
    file = _File(where, text)
    names = {name: file.line_of(name, wish, wishes) for name, wish in wishes.items()}
    _check_successors(names)
    ids = {name: found for name, wish in wishes.items() if (found := file.id_of(name, wish, names[name])) is not None}
    _check_once(ids)
    missing = sorted(wishes.keys() - ids.keys())
    if missing and not allocate:
        raise InvalidOption(
            f"site {missing[0]}: id: neither here nor in {where}; add a line to it, or set allocate to true"
        )
    ids.update(_free(where, missing, {*ids.values(), *file.ids.values()}))
    if allocate:
        file.rename({old: name for name, old in names.items() if old is not None})
        file.append({name: ids[name] for name in sorted(ids)})
    return Settled(ids, file.text())


class _File:
    """Lines, and what they say."""

    def __init__(self, where: str, text: str) -> None:
        self._where = where
        self._lines = re.findall(r"[^\n]*\n|[^\n]+", text or HEADER)
        self._is_new = not text
        self._at: dict[str, int] = {}
        self.ids: dict[str, int] = {}
        self._owners: dict[int, str] = {}
        for index, line in enumerate(self._lines):
            self._read(index, line.strip("\r\n"))

    def _read(self, index: int, line: str) -> None:
        if line.rstrip() in ("", "---") or line.lstrip().startswith("#"):
            return
        where = f"{self._where}, line {index + 1}"
        found = _LINE.fullmatch(line)
        if found is None:
            raise InvalidOption(
                f"{where}: {line!r} cannot be read; write the name of a site and its id, as branch1: 11"
            )
        name = _unquoted(where, found["name"])
        number = reading.number(f"{where}: id of {name}", found["id"], *numbers.SITE_ID)
        if name in self.ids:
            raise InvalidOption(f"{where}: {name} is in line {self._at[name] + 1}, too; delete one of them")
        if number in self._owners:
            raise InvalidOption(f"{where}: {name} and {self._owners[number]} both have {number}; give one another")
        self.ids[name], self._at[name], self._owners[number] = number, index, name

    def line_of(self, name: str, wish: Wish, wishes: Mapping[str, Wish]) -> str | None:
        """The name under which the file has a site; None where it does not."""
        old = wish.formerly
        if old is None or old == name:
            return name if name in self.ids else None
        if old in wishes:
            raise InvalidOption(f"site {name}: formerly: there still is a site {old}; one of them must go")
        if old in self.ids and name in self.ids:
            raise InvalidOption(
                f"site {name}: formerly: {self._where} has {old} with {self.ids[old]}, and {name} with "
                f"{self.ids[name]}; delete the line that is wrong"
            )
        if old not in self.ids and name not in self.ids and wish.id is None:
            raise InvalidOption(f"site {name}: formerly: {self._where} has no {old}; correct it, or leave it out")
        return next((one for one in (old, name) if one in self.ids), None)

    def id_of(self, name: str, wish: Wish, line: str | None) -> int | None:
        """What the description or the file says, which must be the same where both do."""
        if wish.id is None:
            return None if line is None else self.ids[line]
        number = reading.number(f"site {name}: id", wish.id, *numbers.SITE_ID)
        if line is not None and self.ids[line] != number:
            raise InvalidOption(
                f"site {name}: id: {number} here, but {self.ids[line]} of {line} in {self._where}; make them equal"
            )
        owner = self._owners.get(number)
        if owner not in (None, line):
            raise InvalidOption(
                f"site {name}: id: {number} is, or was, {owner}'s in {self._where}; choose another one, "
                f"say formerly if it is that site, or delete the line if {owner} is gone"
            )
        return number

    def rename(self, names: Mapping[str, str]) -> None:
        """Give lines the names that their sites have now."""
        for old, new in names.items():
            if old == new:
                continue
            index = self._at.pop(old)
            line = self._lines[index]
            found = t.cast("re.Match[str]", _LINE.match(line))
            self._lines[index] = _quoted(new) + line[found.end("name") :]
            self._at[new] = index
            self.ids[new] = self.ids.pop(old)

    def append(self, ids: Mapping[str, int]) -> None:
        missing = [f"{_quoted(name)}: {number}\n" for name, number in ids.items() if name not in self.ids]
        if not missing:
            return
        self._is_new = False
        if not self._lines[-1].endswith("\n"):
            self._lines[-1] += "\n"
        self._lines += missing

    def text(self) -> str:
        return "" if self._is_new else "".join(self._lines)


def _check_successors(names: Mapping[str, str | None]) -> None:
    taken: dict[str, str] = {}
    for name, line in names.items():
        if line is not None and taken.setdefault(line, name) != name:
            raise InvalidOption(f"sites {taken[line]} and {name}: formerly: both were {line}; only one can be")


def _check_once(ids: Mapping[str, int]) -> None:
    owners: dict[int, str] = {}
    for name, number in ids.items():
        if owners.setdefault(number, name) != name:
            raise InvalidOption(f"sites {owners[number]} and {name}: id: both have {number}; give one another")


def _free(where: str, names: list[str], taken: set[int]) -> dict[str, int]:
    free = (number for number in range(numbers.SITE_ID[0], numbers.SITE_ID[1] + 1) if number not in taken)
    found = dict(zip(names, free, strict=False))
    if len(found) < len(names):
        raise InvalidOption(
            f"site {names[len(found)]}: id: {where} and the sites' own ids have taken all {numbers.SITE_ID[1]}; "
            f"delete lines of sites that are gone for good"
        )
    return found


def _quoted(name: str) -> str:
    is_plain = _PLAIN.fullmatch(name) and name.lower() not in _WORDS
    return name if is_plain else json.dumps(name, ensure_ascii=False)


def _unquoted(where: str, text: str) -> str:
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        raise InvalidOption(f"{where}: {text} cannot be read; write the name without escapes") from None
