# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gateway monitor as a service of the host: its files, its configuration, and what it says."""

from __future__ import annotations

import dataclasses
import functools
import json
import typing as t

from ..._core.system import LOCK
from ..._monitor import probers

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..gateway.state import Resolved
    from ..gateway_group.state import GatewayGroup

SERVICE = "routed_ipsec_monitor"
LIBRARY = "/usr/local/lib/routed_ipsec"
STATE = "/var/run/routed_ipsec"
PROBERS = tuple(f"{directory}/{name}" for name in ("dpinger", "fping") for directory in probers.DIRECTORIES.split(":"))


@dataclasses.dataclass(frozen=True)
class Service:
    """The monitor's running state: whether it is up, and whether it comes up at boot."""

    running: bool = False
    enabled: bool = False

    def describe(self) -> dict[str, bool]:
        return {"running": self.running, "enabled": self.enabled}


@dataclasses.dataclass(frozen=True)
class Status:
    """What the monitor says: the status of each gateway, and the gateway that a group's routes lead through."""

    gateways: Mapping[str, Mapping[str, t.Any]] = dataclasses.field(default_factory=dict)
    groups: Mapping[str, Mapping[str, t.Any]] = dataclasses.field(default_factory=dict)

    def word(self, gateway: str) -> str:
        return str(self.gateways.get(gateway, {}).get("status", "pending"))

    def current(self, group: str) -> str | None:
        route = self.groups.get(group, {}).get("route")
        return None if route is None else str(route)


def read(text: str | None) -> Status:
    """The monitor's status file; one that cannot be read says nothing, as before the first report."""
    try:
        found = json.loads(text or "{}")
        return Status(dict(found.get("gateways", {})), dict(found.get("groups", {})))
    except (AttributeError, TypeError, ValueError):
        return Status()


@functools.lru_cache(maxsize=None)
def sources() -> dict[str, str]:
    """The monitor's own files by path: the very code that the modules decide with."""
    # Compiling what only a host with a monitor needs would slow down every run.
    from ..._monitor import acting, configuration, daemon, decision, plan, status, window

    found = {}
    for module in (acting, configuration, daemon, decision, plan, probers, status, window):
        loader: t.Any = module.__loader__
        found[f"{LIBRARY}/{SERVICE}/{module.__name__.rpartition('.')[2]}.py"] = loader.get_source(module.__name__)
    return found


def words(python: str, store: str) -> str:
    """The command line that runs the monitor."""
    return f"{python} -B -m {SERVICE}.daemon --config {store}/monitor.conf --state {STATE}"


def config(
    store: str,
    gateways: Iterable[Resolved],
    groups: Iterable[GatewayGroup],
    actions: list[dict[str, t.Any]],
    keep: list[dict[str, t.Any]],
) -> str:
    """The monitor's configuration file; times in milliseconds.

    ``keep``: programs whose output has to stay what it is, and what to run when it does not, before the actions.
    """
    content = {
        "lock": LOCK,
        "hooks": f"{store}/hooks.d",
        "gateways": {gateway.name: _watched(gateway) for gateway in gateways},
        "groups": config_groups(groups),
        "actions": actions,
        "keep": keep,
    }
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def config_groups(groups: Iterable[GatewayGroup]) -> dict[str, dict[str, t.Any]]:
    """Groups in the form of the monitor's configuration."""
    return {
        group.name: {
            "trigger": group.trigger,
            "members": [dict(member) for member in group.members],
            "keep_failover_states": group.keep_failover_states,
        }
        for group in groups
    }


def _watched(gateway: Resolved) -> dict[str, t.Any]:
    settings = gateway.settings
    numbers = ("interval", "loss_interval", "time_period", "alert_interval", "latencylow", "latencyhigh")
    others = ("losslow", "losshigh", "data_payload", "weight", "force_down", "action_disable", "gw_down_kill_states")
    hold = settings.alert_hold
    return {
        "interface": gateway.interface,
        "address": gateway.address,
        "source": gateway.source,
        "monitor": gateway.monitor,
        # dpinger's own default (-H)
        "alert_hold": 10 * settings.alert_interval if hold is None else hold,
        **{name: getattr(settings, name) for name in (*numbers, *others)},
    }
