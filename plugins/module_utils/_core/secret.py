# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values that can be compared and written, but not shown."""

from __future__ import annotations

import dataclasses
import typing as t


@dataclasses.dataclass(frozen=True)
class Secret:
    """Wraps a string so that no diff, log line or traceback prints it by accident."""

    _value: str = dataclasses.field(repr=False)

    def reveal(self) -> str:
        return self._value


def mask(value: t.Any, *, unless: t.Any = None, say: str = "secret") -> t.Any:
    """Replace the secrets in a description by a word that tells no more than whether they change."""
    if isinstance(value, Secret):
        return "(secret)" if value == unless else f"({say})"
    if isinstance(value, dict):
        other = unless if isinstance(unless, dict) else {}
        return {key: mask(item, unless=other.get(key), say=say) for key, item in value.items()}
    return value
