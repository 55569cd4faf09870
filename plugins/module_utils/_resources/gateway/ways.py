# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where names lead: gateways and groups, and which gateway of a group is used now."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ..._core.errors import InvalidOption
from ..._monitor import decision
from ..gateway_group.state import family
from ..monitor.state import Status, config_groups

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..gateway_group.state import GatewayGroup
    from .state import Resolved


@dataclasses.dataclass(frozen=True)
class Ways:
    """The gateways and groups of a host, by name; a *target* is either. ``status`` is what the monitor says."""

    gateways: Mapping[str, Resolved]
    groups: Mapping[str, GatewayGroup]
    status: Status = dataclasses.field(default_factory=Status)

    def known(self) -> str:
        """The targets, for an error message."""
        return ", ".join(sorted((*self.gateways, *self.groups))) or "none"

    def find(self, name: str) -> str | None:
        """The target of that name; automatic gateways are found in small letters too. None when there is none."""
        return next((item for item in (name, name.upper()) if item in self.gateways or item in self.groups), None)

    def members(self, option: str, target: str) -> tuple[Resolved, ...]:
        """The gateways of a target, all of one family; InvalidOption naming ``option`` when that cannot be."""
        if target in self.groups:
            family(self.groups[target], self.gateways)
            return tuple(self.gateways[name] for name in self.groups[target].gateways)
        if target not in self.gateways:
            raise InvalidOption(
                f"{option}: {target!r} is neither a gateway nor a group of this host; known: {self.known()}"
            )
        gateway = self.gateways[target]
        if not gateway.address:
            raise InvalidOption(
                f"{option}: {target} has no fixed address, so nothing can be routed to it; give the gateway one"
            )
        return (gateway,)

    def selected(self, target: str) -> tuple[str, ...]:
        """The gateways that a policy route to the target uses now; none when all are down."""
        return decision.select(target, self._config, self._statuses)

    def chosen(self, target: str) -> Resolved:
        """The gateway that a route to the target leads through now."""
        return self.gateways[decision.choose(target, self._config, self._statuses, self.status.current(target))]

    def preferred(self, target: str) -> Resolved:
        """The same with nothing down: what the boot configuration says."""
        return self.gateways[decision.choose(target, self._config, {}, None)]

    def everything_up(self, target: str) -> tuple[str, ...]:
        return decision.select(target, self._config, {})

    @functools.cached_property
    def _config(self) -> dict[str, dict[str, t.Any]]:
        return config_groups(self.groups.values())

    @functools.cached_property
    def _statuses(self) -> dict[str, str]:
        """What the monitor will say once it has read what is declared now."""
        found = {}
        for name, gateway in self.gateways.items():
            word = self.status.word(name)
            if gateway.settings.force_down:
                word = "force_down"
            elif gateway.monitor is None or gateway.settings.action_disable:
                word = "none"
            elif word == "force_down":
                word = "pending"
            found[name] = word
        return found
