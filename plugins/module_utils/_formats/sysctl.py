# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kernel settings: what sysctl(8) prints, and our block in /etc/sysctl.conf."""

from __future__ import annotations

import re
import typing as t

from .._core.errors import InvalidOption, ParseError
from . import block

if t.TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = r"[A-Za-z0-9_]+(?:[./][A-Za-z0-9_%/-]+)+"
_PRINTED = re.compile(rf"(?P<name>{_NAME})(?:: | = |=|:$)(?P<value>.*)")
_SETTING = re.compile(rf"(?P<name>{_NAME})=(?P<value>[^\s#\"']+)")


def parse(text: str) -> dict[str, str]:
    """Read ``sysctl NAME ...`` (``name: value``), ``sysctl -e`` (``name=value``) or Linux' ``name = value``."""
    settings = {}
    for line in filter(None, text.split("\n")):
        found = _PRINTED.fullmatch(line)
        if not found:
            raise ParseError(f"sysctl: unexpected output {line!r}")
        settings[found["name"]] = found["value"]
    return settings


def with_block(text: str, settings: Mapping[str, str] | None) -> str:
    """``text`` of sysctl.conf(5) with our block of settings, or with None without it; the rest as it was."""
    if settings is None:
        return block.write(text, None, "sysctl.conf")
    lines = [f"{name}={value}" for name, value in settings.items()]
    for line in lines:
        if not _SETTING.fullmatch(line):
            raise InvalidOption(f"{line!r} cannot be a line of sysctl.conf")
    return block.write(text, lines, "sysctl.conf")
