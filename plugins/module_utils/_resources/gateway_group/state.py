# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gateway group: gateways in tiers, of which the best one that works is used."""

from __future__ import annotations

import dataclasses
import typing as t

from ..._core.errors import InvalidOption
from .. import declared
from ..gateway.state import check_name

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..gateway.state import Resolved

TRIGGERS = ("down", "downloss", "downlatency", "downlosslatency")

ARGUMENTS: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "members": {
        "type": "list",
        "elements": "dict",
        "options": {
            "gateway": {"type": "str", "required": True},
            "tier": {"type": "int", "default": 1},
        },
    },
    "trigger": {"type": "str", "choices": list(TRIGGERS), "default": "down"},
    "keep_failover_states": {"type": "bool", "default": True},
    "description": {"type": "str"},
}
"""The options of gateway_group, and of each item of vti_site's gateway_groups."""


@dataclasses.dataclass(frozen=True)
class GatewayGroup:
    """A group as declared; each member is a dictionary of ``gateway`` and ``tier``, best tier 1."""

    name: str
    members: tuple[Mapping[str, t.Any], ...]
    trigger: str = "down"
    keep_failover_states: bool = True
    description: str | None = None

    @property
    def gateways(self) -> tuple[str, ...]:
        return tuple(member["gateway"] for member in self.members)


def from_options(options: Mapping[str, t.Any]) -> GatewayGroup:
    """Check what can be checked of a group alone."""
    check_name("name", options["name"])
    if not options.get("members"):
        raise InvalidOption(f"members: required for group {options['name']}; give at least one gateway with its tier")
    group = GatewayGroup(**declared.pick(GatewayGroup, options))
    declared.check_text("description", group.description)
    for member in group.members:
        declared.check_range("tier", member["tier"], 1, 5)
    twice = {name for name in group.gateways if group.gateways.count(name) > 1}
    if twice:
        raise InvalidOption(f"members: {', '.join(sorted(twice))} is in group {group.name} more than once")
    return group


def family(group: GatewayGroup, gateways: Mapping[str, Resolved]) -> int:
    """4 or 6; InvalidOption when a member is missing, has no fixed address, or is of another family than the first."""
    found = 0
    for name in group.gateways:
        if name not in gateways:
            known = ", ".join(sorted(gateways)) or "none"
            raise InvalidOption(f"members: {name} of group {group.name} is no gateway of this host; known: {known}")
        gateway = gateways[name]
        if not gateway.family:
            raise InvalidOption(
                f"members: {name} of group {group.name} has no fixed address, so nothing can be routed to it; give "
                f"the gateway one"
            )
        if found and gateway.family != found:
            raise InvalidOption(
                f"members: {name} of group {group.name} is an IPv{gateway.family} gateway among IPv{found} ones; "
                f"make a group for each family"
            )
        found = gateway.family
    return found
