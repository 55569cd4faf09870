# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads values of a description, or refuses them with InvalidOption, whose message begins with where they are. Pure."""

from __future__ import annotations

import ipaddress
import typing as t

from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption

if t.TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from .links import Address, Network


def known(where: str, record: t.Any, keys: Collection[str]) -> Mapping[str, t.Any]:
    if record is None:
        return {}
    if not hasattr(record, "items"):
        raise InvalidOption(f"{where}: must be a dictionary")
    unknown = sorted(set(record) - set(keys))
    if unknown:
        raise InvalidOption(f"{where}: {unknown[0]} is no option here; there are {', '.join(sorted(keys))}")
    return t.cast("Mapping[str, t.Any]", record)


def items(where: str, value: t.Any) -> list[t.Any]:
    if value is None:
        return []
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise InvalidOption(f"{where}: must be a list")
    return list(value)


def address(where: str, value: t.Any, why: str = "") -> Address:
    try:
        return ipaddress.ip_address(str(value))
    except ValueError:
        raise InvalidOption(f"{where}: {value!r} is no IP address{why}") from None


def network(where: str, value: t.Any, version: int | None = None) -> Network:
    try:
        found = ipaddress.ip_network(str(value))
    except ValueError as error:
        raise InvalidOption(f"{where}: {error}; write it as 10.1.0.0/24") from None
    if version is not None and found.version != version:
        raise InvalidOption(f"{where}: {found} is no IPv{version} network")
    return found


def number(where: str, value: t.Any, low: int, high: int) -> int:
    text = str(value)
    if isinstance(value, bool) or not text.isdecimal() or not low <= int(text) <= high:
        raise InvalidOption(f"{where}: {text!r} is no number from {low} to {high}")
    return int(text)


def flag(where: str, value: t.Any) -> bool:
    words = {"true": True, "yes": True, "false": False, "no": False}
    if str(value).lower() not in words:
        raise InvalidOption(f"{where}: {value!r} is neither true nor false")
    return words[str(value).lower()]


def choice(where: str, value: t.Any, choices: Collection[str]) -> str:
    if str(value) not in choices:
        raise InvalidOption(f"{where}: {value!r} is none of {', '.join(choices)}")
    return str(value)


def inside(one: Network, other: Network) -> bool:
    """Whether a network is the other one or a part of it."""
    return one.version == other.version and one.subnet_of(other)  # type: ignore[arg-type]
