# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The monitor's configuration file: JSON that the modules write; pure."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from .decision import TRIGGERS, Thresholds
from .plan import targets

if t.TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = (str, type(None))
_ACTIONS: dict[str, dict[str, type]] = {
    "route": {"target": str},
    "table": {"target": str, "table": int, "network": str, "hops": dict, "on_down": str},
    "anchor": {"anchor": str, "entries": list},
}


class Malformed(ValueError):
    """The file is not one that the modules write; the message says where."""


@dataclasses.dataclass(frozen=True)
class Gateway:
    """A gateway; times in milliseconds, losses in percent, no ``monitor``: not probed, no ``source``: any."""

    interface: str
    address: str
    source: str | None
    monitor: str | None
    force_down: bool
    action_disable: bool
    weight: int
    interval: int
    loss_interval: int
    time_period: int
    alert_interval: int
    alert_hold: int
    latencylow: int
    latencyhigh: int
    losslow: int
    losshigh: int
    data_payload: int
    gw_down_kill_states: str

    @property
    def thresholds(self) -> Thresholds:
        return Thresholds(self.latencylow, self.latencyhigh, self.losslow, self.losshigh)

    @property
    def probed(self) -> bool:
        return self.monitor is not None and not self.force_down


@dataclasses.dataclass(frozen=True)
class Configuration:
    """The file as it is, and its gateways."""

    raw: Mapping[str, t.Any]
    gateways: Mapping[str, Gateway]

    @property
    def groups(self) -> Mapping[str, t.Any]:
        groups: Mapping[str, t.Any] = self.raw["groups"]
        return groups

    @property
    def targets(self) -> tuple[str, ...]:
        """All that is selected for: the groups, and what else the actions name."""
        return tuple(dict.fromkeys((*self.groups, *targets(self.raw))))


def read(text: str) -> Configuration:
    """Read the file; Malformed where a run of the monitor would fail on it."""
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise Malformed(f"no JSON: {error}") from None
    _typed(raw, {"lock": str, "hooks": str, "gateways": dict, "groups": dict, "actions": list}, "the file")
    gateways = {name: _gateway(name, settings) for name, settings in raw["gateways"].items()}
    for name, group in raw["groups"].items():
        _check_group(name, group, gateways)
    for number, kept in enumerate(raw.get("keep", ()), 1):
        _typed(kept, {"probe": list, "repair": (list, type(None))}, f"keep {number}")
    for number, action in enumerate(raw["actions"], 1):
        _check_action(f"action {number}", action, {*gateways, *raw["groups"]})
    return Configuration(raw, gateways)


def _gateway(name: str, settings: t.Any) -> Gateway:
    where = f"gateway {name}"
    fields = [field.name for field in dataclasses.fields(Gateway)]
    words: dict[str, t.Any] = {"interface": str, "address": str, "source": _NAME, "monitor": _NAME}
    words.update({"force_down": bool, "action_disable": bool, "gw_down_kill_states": str})
    _typed(settings, {field: words.get(field, int) for field in fields}, where)
    gateway = Gateway(**{field: settings[field] for field in fields})
    for field in ("weight", "interval", "loss_interval", "time_period", "alert_interval"):
        if settings[field] < 1:
            raise Malformed(f"{where}: {field} is not positive")
    if gateway.gw_down_kill_states not in ("none", "gateway", "all"):
        raise Malformed(f"{where}: gw_down_kill_states is {gateway.gw_down_kill_states}")
    return gateway


def _check_group(name: str, group: t.Any, gateways: Mapping[str, Gateway]) -> None:
    where = f"group {name}"
    _typed(group, {"trigger": str, "members": list, "keep_failover_states": bool}, where)
    if group["trigger"] not in TRIGGERS:
        raise Malformed(f"{where}: trigger is {group['trigger']}")
    if not group["members"]:
        raise Malformed(f"{where}: no members")
    for member in group["members"]:
        _typed(member, {"gateway": str, "tier": int}, where)
        if member["gateway"] not in gateways:
            raise Malformed(f"{where}: there is no gateway {member['gateway']}")


def _check_action(where: str, action: t.Any, known: set[str]) -> None:
    _typed(action, {"kind": str}, where)
    if action["kind"] not in _ACTIONS:
        raise Malformed(f"{where}: kind is {action['kind']}")
    _typed(action, _ACTIONS[action["kind"]], where)
    if action["kind"] == "route":
        _typed(action, {"lines" if "lines" in action else "commands": dict}, where)
    elif action["kind"] == "table" and action["on_down"] not in ("block", "follow"):
        raise Malformed(f"{where}: on_down is {action['on_down']}")
    elif action["kind"] == "anchor":
        for entry in action["entries"]:
            if not isinstance(entry, str):
                _typed(entry, {"target": str, "hops": dict, "up": str, "down": _NAME}, where)
    for target in targets({"actions": [action]}):
        if target not in known:
            raise Malformed(f"{where}: there is no gateway or group {target}")


def _typed(value: t.Any, keys: Mapping[str, t.Any], where: str) -> None:
    """Each key is there and of its type, which for a number is not bool."""
    if not isinstance(value, dict):
        raise Malformed(f"{where} is no object")
    for key, kinds in keys.items():
        if key not in value:
            raise Malformed(f"{where}: {key} is missing")
        if not isinstance(value[key], kinds) or (isinstance(value[key], bool) and kinds is not bool):
            raise Malformed(f"{where}: {key} is of another type")
