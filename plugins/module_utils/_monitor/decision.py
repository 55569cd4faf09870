# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which gateways are up, and which of them a target uses; pure.

A target is a gateway or a gateway group, by name. ``groups`` is the configuration's object of that name:
``{NAME: {"trigger": "down", "members": [{"gateway": NAME, "tier": 1}, ...]}}``. ``statuses`` is a status by gateway.
"""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

MEASURED = ("online", "delay", "loss", "highdelay", "highloss", "down")
"""What a monitored gateway can be, the better before the worse."""

STATUSES = (*MEASURED, "force_down", "pending", "none")

_ALWAYS_OUT = frozenset({"highdelay", "highloss", "down", "force_down"})
_OUT = {
    "down": _ALWAYS_OUT,
    "downloss": _ALWAYS_OUT | {"loss"},
    "downlatency": _ALWAYS_OUT | {"delay"},
    "downlosslatency": _ALWAYS_OUT | {"loss", "delay"},
}
TRIGGERS = tuple(_OUT)


@dataclasses.dataclass(frozen=True)
class Figures:
    """What the probes of the averaging period say: milliseconds, None without any reply, and percent."""

    latency_ms: float | None
    stddev_ms: float | None
    loss_percent: int


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Above which a status is given: milliseconds and percent."""

    latencylow: float
    latencyhigh: float
    losslow: int
    losshigh: int


def grade(figures: Figures, thresholds: Thresholds) -> str:
    """The status that the figures alone make; of several the worst, loss being worse than delay."""
    latency = figures.latency_ms or 0.0
    if figures.loss_percent >= 100:
        return "down"
    if figures.loss_percent > thresholds.losshigh:
        return "highloss"
    if latency > thresholds.latencyhigh:
        return "highdelay"
    if figures.loss_percent > thresholds.losslow:
        return "loss"
    if latency > thresholds.latencylow:
        return "delay"
    return "online"


class Hysteresis:
    """Lets a status get worse at once, and better only after it was better for ``hold`` seconds on end.

    What is shown is therefore the worst status measured at any time of the last ``hold`` seconds.
    """

    def __init__(self) -> None:
        # When it became better than that; None: it is that bad now.
        self._better_since: dict[str, float | None] = {}

    def shown(self, measured: str, now: float, hold: float) -> str:
        """Take what was measured at ``now`` (seconds of a clock that never goes back), a word of MEASURED."""
        bad = MEASURED.index(measured)
        for status in MEASURED[: bad + 1]:
            self._better_since[status] = None
        for status in MEASURED[bad + 1 :]:
            if status in self._better_since and self._better_since[status] is None:
                self._better_since[status] = now
        for status in reversed(MEASURED[bad + 1 :]):
            since = self._better_since.get(status)
            if since is not None and now - since < hold:
                return status
        return measured


def is_up(status: str, trigger: str = "down") -> bool:
    """Whether a gateway of that status may be used by a group with that trigger; a plain gateway has "down"."""
    return status not in _OUT[trigger]


def for_selection(gateways: Mapping[str, t.Any], statuses: Mapping[str, str]) -> dict[str, str]:
    """The statuses as they count: force_down always, action_disable never, whatever the probes say."""
    counted = {name: statuses.get(name, "pending") for name in gateways}
    for name, gateway in gateways.items():
        if gateway["force_down"]:
            counted[name] = "force_down"
        elif gateway["action_disable"]:
            counted[name] = "none"
    return counted


def select(target: str, groups: Mapping[str, t.Any], statuses: Mapping[str, str]) -> tuple[str, ...]:
    """The gateways to use: those that are up in the best tier that has any, in the order listed; () when none is.

    A gateway whose status is not known counts as pending, which is up.
    """
    if target not in groups:
        return (target,) if is_up(statuses.get(target, "pending")) else ()
    group = groups[target]
    up = [m for m in group["members"] if is_up(statuses.get(m["gateway"], "pending"), group["trigger"])]
    best = min((member["tier"] for member in up), default=None)
    return tuple(member["gateway"] for member in up if member["tier"] == best)


def choose(target: str, groups: Mapping[str, t.Any], statuses: Mapping[str, str], current: str | None) -> str:
    """The one next hop of a route, which a route always has: a plain gateway is its own.

    A group stays with ``current`` while that is selected. With no member up it is the first of the best tier.
    """
    if target not in groups:
        return target
    selected = select(target, groups, statuses)
    if current is not None and current in selected:
        return current
    if selected:
        return selected[0]
    first: str = min(groups[target]["members"], key=lambda member: member["tier"])["gateway"]
    return first


def tier(target: str, groups: Mapping[str, t.Any], selected: tuple[str, ...]) -> int | None:
    """The tier that a group's selection is of, None when nothing is selected."""
    return next((m["tier"] for m in groups[target]["members"] if m["gateway"] in selected), None)
