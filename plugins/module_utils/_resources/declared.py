# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turns a module's options into declared objects and back into what the store on the host holds.

A declared object is a frozen dataclass whose fields are named as the module's options are. Its file in the store is
those fields as JSON; secrets are left out of it.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import json
import re
import typing as t

from .._core.errors import InvalidOption, ParseError
from .._core.secret import Secret

if t.TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
NAME_LENGTH = 48
"""Longest name of an object, in characters: it becomes part of file names and of swanctl's section names."""

T = t.TypeVar("T")
_ENCODER = json.JSONEncoder(indent=2, sort_keys=True)


def check_name(option: str, value: str) -> str:
    """Refuse what could break out of a file name, a section name or a line."""
    if not _NAME.fullmatch(value) or len(value) > NAME_LENGTH:
        raise InvalidOption(
            f"{option}: {value!r} is no name; use at most {NAME_LENGTH} letters, digits, '_' and '-', "
            f"beginning with a letter or digit"
        )
    return value


def check_text(option: str, value: str | None) -> str | None:
    """Refuse control characters in free text."""
    if value is not None and not value.isprintable():
        raise InvalidOption(f"{option}: must be one line of printable text")
    return value


def check_range(option: str, value: int | None, low: int, high: int) -> None:
    if value is not None and not low <= value <= high:
        raise InvalidOption(f"{option}: {value} is out of range; use {low} to {high}")


@functools.lru_cache(maxsize=None)
def literal(text: str) -> str | None:
    """Return an IP address in its canonical spelling, or None when the text is no address."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


@functools.lru_cache(maxsize=None)
def interface(text: str) -> t.Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]:
    """An address with its prefix length; ValueError when the text is none. Parsed once, asked for often."""
    return ipaddress.ip_interface(text)


@functools.lru_cache(maxsize=None)
def network(text: str) -> t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]:
    """A network without host bits; ValueError when the text is none."""
    return ipaddress.ip_network(text)


def pick(cls: type[T], options: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The options that are fields of a declared object, lists as tuples."""
    fields = _fields(cls)  # type: ignore[arg-type]
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in options.items() if name in fields
    }


@functools.lru_cache(maxsize=None)
def _fields(cls: type[t.Any]) -> frozenset[str]:
    return frozenset(field.name for field in dataclasses.fields(cls))


def describe(value: t.Any) -> dict[str, t.Any]:
    """A declared object in the words of the options."""
    return {
        name: list(item) if isinstance(item, tuple) else item for name, item in vars(value).items() if item is not None
    }


def dump(value: t.Any) -> str:
    """The text of an object's file in the store."""
    fields = {name: item for name, item in describe(value).items() if not isinstance(item, Secret)}
    return _ENCODER.encode(fields) + "\n"


def load(cls: type[T], path: str, text: str) -> T:
    """Read dump()'s text back. Options that a newer release has stored are refused, not lost."""
    try:
        return cls(**pick(cls, _known(cls, json.loads(text))))
    except (TypeError, ValueError, KeyError) as error:
        raise ParseError(
            f"{path}: not what this release of the collection writes ({error}); move the file away"
        ) from None


def _known(cls: type[t.Any], stored: t.Any) -> dict[str, t.Any]:
    if not isinstance(stored, dict):
        raise ValueError("not an object")
    unknown = sorted(set(stored) - _fields(cls))  # type: ignore[arg-type]
    if unknown:
        raise ValueError(f"unknown {', '.join(unknown)}")
    return stored
