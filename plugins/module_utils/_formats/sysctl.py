# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kernel settings: what sysctl(8) prints, and our block in /etc/sysctl.conf."""

from __future__ import annotations

import re
import typing as t

from .._core.errors import InvalidOption, ParseError

if t.TYPE_CHECKING:
    from collections.abc import Mapping

BEGIN = "# BEGIN routed_ipsec.vti"
END = "# END routed_ipsec.vti"
# tells that the file's last line had no line break before our block made it one
_UNTERMINATED = "# the line above this block had no line break\n"

_NAME = r"[A-Za-z0-9_]+(?:[./][A-Za-z0-9_%/-]+)+"
_PRINTED = re.compile(rf"(?P<name>{_NAME})(?:: | = |=|:$)(?P<value>.*)")
_SETTING = re.compile(rf"(?P<name>{_NAME})=(?P<value>[^\s#\"']+)")
_BLOCK = re.compile(
    rf"^{re.escape(BEGIN)}\n(?P<note>{_UNTERMINATED})?(?P<lines>(?:.*\n)*?){re.escape(END)}(?:\n|\Z)", re.MULTILINE
)
_MARKER = re.compile(rf"^(?:{re.escape(BEGIN)}|{re.escape(END)})$", re.MULTILINE)


def parse(text: str) -> dict[str, str]:
    """Read ``sysctl NAME ...`` (``name: value``), ``sysctl -e`` (``name=value``) or Linux' ``name = value``."""
    settings = {}
    for line in filter(None, text.split("\n")):
        found = _PRINTED.fullmatch(line)
        if not found:
            raise ParseError(f"sysctl: unexpected output {line!r}")
        settings[found["name"]] = found["value"]
    return settings


def block(text: str) -> dict[str, str] | None:
    """The settings of our block in sysctl.conf(5), None without a block; ParseError if its markers do not pair up."""
    found = _find(text)
    if found is None:
        return None
    settings = {}
    for line in filter(None, found["lines"].split("\n")):
        setting = _SETTING.fullmatch(line)
        if not setting:
            raise ParseError(f"sysctl.conf: unexpected line in our block: {line!r}")
        settings[setting["name"]] = setting["value"]
    return settings


def with_block(text: str, settings: Mapping[str, str] | None) -> str:
    """``text`` with our block added at the end, replaced where it is, or with None removed; the rest as it was.

    Removing a block that was added gives the original text back, with or without a line break at its end.
    """
    found = _find(text)
    if settings is None:
        return text if found is None else _without(text, found)
    if found is not None:
        return text[: found.start()] + _render(settings, found["note"] or "") + text[found.end() :]
    if text and not text.endswith("\n"):
        return f"{text}\n{_render(settings, _UNTERMINATED)}"
    return text + _render(settings, "")


def _without(text: str, found: re.Match[str]) -> str:
    before, after = text[: found.start()], text[found.end() :]
    # what somebody appended since needs the line break
    return before[:-1] if found["note"] and not after else before + after


def _render(settings: Mapping[str, str], note: str) -> str:
    lines = [f"{name}={value}" for name, value in settings.items()]
    for line in lines:
        if not _SETTING.fullmatch(line):
            raise InvalidOption(f"{line!r} cannot be a line of sysctl.conf")
    return "".join([f"{BEGIN}\n", note, *(f"{line}\n" for line in lines), f"{END}\n"])


def _find(text: str) -> re.Match[str] | None:
    markers = _MARKER.findall(text)
    found = _BLOCK.search(text)
    if markers != ([] if found is None else [BEGIN, END]):
        raise ParseError(f"sysctl.conf: the markers {BEGIN!r} and {END!r} do not enclose one block")
    return found
