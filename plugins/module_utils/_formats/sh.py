# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of assignments that /bin/sh sources, such as those under rc.conf.d (rc.conf(5)).

Values stand in double quotes with everything escaped that the shell would act on there. An appending assignment is
``name="${name} value"``, which is how several files share one of rc's lists.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .._core.errors import InvalidOption, ParseError

if t.TYPE_CHECKING:
    from collections.abc import Iterable

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPECIAL = re.compile(r'([\\"$`])')
_SKIPPED = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)+|[ \t]*(?:#[^\n]*)?\Z")
_ASSIGNMENT = re.compile(
    rf'(?P<name>{_NAME.pattern})="(?P<append>\$\{{(?P=name)\}} )?(?P<value>(?:[^\\"$`]|\\[\\"$`])*)"[ \t]*(?:\n|\Z)'
)


@dataclasses.dataclass(frozen=True)
class Assignment:
    """``value`` as the shell sees it; with ``append`` it follows the variable's earlier value and a blank."""

    name: str
    value: str
    append: bool = False


def assignment(name: str, value: str, append: bool = False) -> str:
    """One assignment, its line break included; InvalidOption for what sh cannot hold."""
    if not _NAME.fullmatch(name):
        raise InvalidOption(f"{name!r} cannot be the name of a shell variable")
    if "\0" in value:
        raise InvalidOption(f"{name}: a shell variable cannot hold a NUL character")
    earlier = f"${{{name}}} " if append else ""
    return f'{name}="{earlier}{_SPECIAL.sub(_escape, value)}"\n'


def render(assignments: Iterable[Assignment], header: str = "") -> str:
    """A whole file, each line of ``header`` as a comment before the assignments."""
    comments = "".join(f"# {line}".rstrip() + "\n" for line in header.split("\n")) if header else ""
    return comments + "".join(assignment(each.name, each.value, each.append) for each in assignments)


def parse(text: str) -> tuple[Assignment, ...]:
    """Read comments, empty lines and assignments in our spelling; ParseError for all other shell code."""
    found: list[Assignment] = []
    position = 0
    while position < len(text):
        match = _ASSIGNMENT.match(text, position)
        if match:
            value = re.sub(r"\\(.)", r"\1", match["value"])
            found.append(Assignment(match["name"], value, match["append"] is not None))
        else:
            match = _SKIPPED.match(text, position)
        if not match:
            line = text.count("\n", 0, position) + 1
            raise ParseError(f"sh: line {line}: not an assignment as this collection writes them")
        position = match.end()
    return tuple(found)


def _escape(match: re.Match[str]) -> str:
    return f"\\{match[1]}"
