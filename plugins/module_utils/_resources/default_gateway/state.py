# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Default gateway: which gateway or group the default route of each family leads through, or that there is none."""

from __future__ import annotations

import dataclasses
import typing as t

from ..._core.errors import InvalidOption

if t.TYPE_CHECKING:
    from collections.abc import Mapping

ARGUMENTS: dict[str, t.Any] = {
    "ipv4": {"type": "str"},
    "ipv6": {"type": "str"},
}
"""The options of default_gateway, and of vti_site's default_gateway."""

FAMILIES = {"ipv4": 4, "ipv6": 6}
NONE = "none"
"""No default route."""
AUTOMATIC = "automatic"
"""What the host makes of it: the state of a family that nothing is declared for."""


@dataclasses.dataclass(frozen=True)
class DefaultGateway:
    """As declared: a gateway's or a group's name, ``none``, or None where the host decides.

    ``previous`` are the next hops from before, as FAMILY=HOP, for the way back.
    """

    ipv4: str | None = None
    ipv6: str | None = None
    previous: tuple[str, ...] = ()

    def of(self, version: int) -> str | None:
        return self.ipv4 if version == 4 else self.ipv6

    def hop_before(self, name: str) -> str | None:
        """The next hop from before of ipv4 or ipv6."""
        return dict(item.split("=", 1) for item in self.previous).get(name)

    def describe(self) -> dict[str, t.Any]:
        """In the words of the options."""
        return {name: getattr(self, name) or AUTOMATIC for name in ARGUMENTS}


def from_options(
    options: Mapping[str, t.Any], known: DefaultGateway | None, previous: Mapping[int, str]
) -> DefaultGateway | None:
    """A family left out stays as it is; None when both are the host's.

    ``previous`` are the next hops of the default routes that are there, by family.
    """
    if not any(options.get(name) for name in ARGUMENTS):
        raise InvalidOption(
            f"ipv4: give ipv4, ipv6 or both: a gateway, a group, {NONE}, or {AUTOMATIC} to hand it back to the host"
        )
    chosen: dict[str, str | None] = {}
    remembered = {name: known.hop_before(name) for name in FAMILIES} if known else {}
    for name, version in FAMILIES.items():
        old = getattr(known, name) if known else None
        given = options.get(name)
        chosen[name] = old if given is None else None if given.lower() == AUTOMATIC else given
        if chosen[name] is not None and chosen[name].lower() == NONE:  # type: ignore[union-attr]
            chosen[name] = NONE
        # What was there before a family was handed back stays known: a run that dies over it has to be finished.
        if chosen[name] is not None and old is None:
            remembered[name] = previous.get(version)
    if not any(chosen.values()):
        return None
    return DefaultGateway(**chosen, previous=tuple(f"{name}={hop}" for name, hop in sorted(remembered.items()) if hop))
