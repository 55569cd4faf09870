# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Marked blocks of ours in a text file that is a person's: one at its end, others where they have to come earlier."""

from __future__ import annotations

import re

from .._core.errors import ParseError

BEGIN = "# BEGIN routed_ipsec.vti"
END = "# END routed_ipsec.vti"
# tells that the file's last line had no line break before our block made it one
_UNTERMINATED = "# the line above this block had no line break\n"
_BLOCK = re.compile(
    rf"^{re.escape(BEGIN)}\n(?P<note>{_UNTERMINATED})?(?P<lines>(?:.*\n)*?){re.escape(END)}(?:\n|\Z)", re.MULTILINE
)
_EARLIER = re.compile(
    rf"^{re.escape(BEGIN)}, (?P<name>\w+)\n(?:.*\n)*?{re.escape(END)}, (?P=name)(?:\n|\Z)", re.MULTILINE
)
_EARLIER_MARKER = re.compile(rf"^(?:{re.escape(BEGIN)}|{re.escape(END)}), \w+$", re.MULTILINE)
_MARKER = re.compile(rf"^(?:{re.escape(BEGIN)}|{re.escape(END)})$", re.MULTILINE)


def read(text: str, what: str) -> list[str] | None:
    """The lines of our block, None without one. ``what`` names the file: ParseError if the markers do not pair up."""
    found = _find(text, what)
    return None if found is None else list(filter(None, found["lines"].split("\n")))


def write(text: str, lines: list[str] | None, what: str) -> str:
    """``text`` with our block added at the end, replaced where it is, or with None removed; the rest as it was.

    Removing a block that was added gives the original text back, with or without a line break at its end.
    """
    found = _find(text, what)
    if lines is None:
        return text if found is None else _without(text, found)
    if found is not None:
        return text[: found.start()] + _render(lines, found["note"] or "") + text[found.end() :]
    if text and not text.endswith("\n"):
        return f"{text}\n{_render(lines, _UNTERMINATED)}"
    return text + _render(lines, "")


def insert(text: str, name: str, lines: list[str], later: re.Pattern[str]) -> str:
    """``text`` with an earlier block of ours, a word its name, before the first line that ``later`` matches.

    Where nothing matches, before our block at the end; there has to be either. The text must not have one of that name.
    """
    if not lines:
        return text
    found = [match.start() for match in (later.search(text), _MARKER.search(text)) if match]
    if not found:
        raise ParseError("the place for our earlier block cannot be told")
    place = min(found)
    block = "".join(f"{line}\n" for line in (f"{BEGIN}, {name}", *lines, f"{END}, {name}"))
    return text[:place] + block + text[place:]


def bare(text: str, what: str) -> str:
    """``text`` without any block of ours: what a person has written. ParseError if markers do not pair up."""
    without = _EARLIER.sub("", text)
    if _EARLIER_MARKER.search(without):
        raise ParseError(f"{what}: the markers {BEGIN + ', NAME'!r} and {END + ', NAME'!r} do not enclose a block")
    return write(without, None, what)


def _without(text: str, found: re.Match[str]) -> str:
    before, after = text[: found.start()], text[found.end() :]
    # what somebody appended since needs the line break
    return before[:-1] if found["note"] and not after else before + after


def _render(lines: list[str], note: str) -> str:
    return "".join([f"{BEGIN}\n", note, *(f"{line}\n" for line in lines), f"{END}\n"])


def _find(text: str, what: str) -> re.Match[str] | None:
    markers = _MARKER.findall(text)
    found = _BLOCK.search(text)
    if markers != ([] if found is None else [BEGIN, END]):
        raise ParseError(f"{what}: the markers {BEGIN!r} and {END!r} do not enclose one block")
    return found
