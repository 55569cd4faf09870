# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the monitor tells others: status.json, and the same for Prometheus' textfile collector."""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t

from .decision import STATUSES, is_up

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .decision import Figures

_GATEWAY = "routed_ipsec_gateway"


@dataclasses.dataclass(frozen=True)
class GatewayReport:
    """A gateway's status, since when (seconds since 1970), and the figures behind it, None without any."""

    status: str
    since: float
    figures: Figures | None
    interface: str
    monitor: str | None
    source: str | None


@dataclasses.dataclass(frozen=True)
class GroupReport:
    """What a group has selected, since when, of which tier (None: nothing), and where its routes lead through."""

    selected: tuple[str, ...]
    route: str
    tier: int | None
    since: float


def as_json(updated: float, gateways: Mapping[str, GatewayReport], groups: Mapping[str, GroupReport]) -> str:
    """The text of status.json."""
    return json.dumps(
        {
            "updated": updated,
            "gateways": {
                name: {
                    "status": gateway.status,
                    "latency_ms": gateway.figures and gateway.figures.latency_ms,
                    "stddev_ms": gateway.figures and gateway.figures.stddev_ms,
                    "loss_percent": gateway.figures and gateway.figures.loss_percent,
                    "since": gateway.since,
                    "monitor": gateway.monitor,
                    "source": gateway.source,
                }
                for name, gateway in gateways.items()
            },
            "groups": {
                name: {"selected": group.selected, "route": group.route, "tier": group.tier, "since": group.since}
                for name, group in groups.items()
            },
        }
    )


def as_prometheus(gateways: Mapping[str, GatewayReport], groups: Mapping[str, GroupReport]) -> str:
    """The text exposition format, version 0.0.4; a figure that is not known has no sample."""
    labels = {
        name: f'gateway="{escaped(name)}",interface="{escaped(gateway.interface)}"'
        for name, gateway in gateways.items()
    }
    measured = {name: gateway.figures for name, gateway in gateways.items() if gateway.figures is not None}
    lines = [
        *_family(f"{_GATEWAY}_up", "Whether the gateway counts as up."),
        *(f"{_GATEWAY}_up{{{labels[name]}}} {int(is_up(gateway.status))}" for name, gateway in gateways.items()),
        *_family(f"{_GATEWAY}_latency_seconds", "Average latency of the probes answered."),
        *(
            f"{_GATEWAY}_latency_seconds{{{labels[name]}}} {figures.latency_ms / 1000:.6f}"
            for name, figures in measured.items()
            if figures.latency_ms is not None
        ),
        *_family(f"{_GATEWAY}_latency_stddev_seconds", "Standard deviation of that latency."),
        *(
            f"{_GATEWAY}_latency_stddev_seconds{{{labels[name]}}} {figures.stddev_ms / 1000:.6f}"
            for name, figures in measured.items()
            if figures.stddev_ms is not None
        ),
        *_family(f"{_GATEWAY}_loss_ratio", "Share of the probes lost, from 0 to 1."),
        *(
            f"{_GATEWAY}_loss_ratio{{{labels[name]}}} {figures.loss_percent / 100:g}"
            for name, figures in measured.items()
        ),
        *_family(f"{_GATEWAY}_status", "The gateway's status, as a label."),
        *(
            f'{_GATEWAY}_status{{gateway="{escaped(name)}",status="{gateway.status}"}} 1'
            for name, gateway in gateways.items()
        ),
        *_family("routed_ipsec_group_tier", "The tier that the group uses, 0 when no member is up."),
        *(
            f'routed_ipsec_group_tier{{group="{escaped(name)}"}} {0 if group.tier is None else group.tier}'
            for name, group in groups.items()
        ),
    ]
    return "".join(f"{line}\n" for line in lines)


def _family(name: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} gauge"


def escaped(value: str) -> str:
    """A label's value between its quotes."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def write(path: str, text: str) -> None:
    """Replace a file that everybody may read, in one step; OSError."""
    temporary = f"{path}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    with open(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, 0o644)
        file.write(text)
    os.replace(temporary, path)


@dataclasses.dataclass(frozen=True)
class Remembered:
    """What an earlier run of the monitor reported: the statuses it knew, with since when, and its decisions."""

    gateways: Mapping[str, tuple[str, float]] = dataclasses.field(default_factory=dict)
    groups: Mapping[str, GroupReport] = dataclasses.field(default_factory=dict)


def read(path: str) -> Remembered:
    """Read status.json; one that is not there or not whole has nothing to remember."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        return Remembered(
            {
                name: (gateway["status"], float(gateway["since"]))
                for name, gateway in found["gateways"].items()
                if gateway["status"] in STATUSES and gateway["status"] != "pending"
            },
            {
                name: GroupReport(tuple(group["selected"]), str(group["route"]), group["tier"], float(group["since"]))
                for name, group in found["groups"].items()
            },
        )
    except (AttributeError, KeyError, OSError, TypeError, ValueError):
        return Remembered()
