# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules return of a gateway, in the words of their options. Pure, but for lookups()."""

from __future__ import annotations

import json
import re
import typing as t

from ..._core.errors import InvalidOption
from ..._core.secret import Secret
from ..._formats import overhead
from .. import declared
from ..firewall.freebsd import FILES, PF_CONF, complaint
from ..phase2.state import child_name
from ..swanctl.state import UP
from .blueprint import needs
from .checks import is_ours
from .platform import HEADER
from .state import KINDS, SINGLE

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._core.system import System
    from ..phase1.state import Phase1
    from ..phase2.state import Phase2
    from .state import Host


def phase1(host: Host) -> dict[str, t.Any]:
    """What becomes of its firewall rules."""
    return {"firewall": _firewall(host)}


def phase2(host: Host) -> dict[str, t.Any]:
    """The interface of the phase 2 in focus."""
    found = next((item for item in host.declared.phase2.values() if ("phase2", item.name) in (host.focus or ())), None)
    return {"interface": found.interface if found else None, "reqid": found.reqid if found else None}


def assignment(host: Host) -> dict[str, t.Any]:
    """The assignment in focus and its gateways."""
    focus = host.focus or frozenset()
    found = next((item for item in host.declared.assignments.values() if ("assignments", item.name) in focus), None)
    gateways = _gateways(host)
    return {
        "name": found.name if found else None,
        "interface": found.interface if found else None,
        "gateways": {
            name: value for name, value in gateways.items() if found and value["interface"] == found.interface
        },
    }


def nothing(host: Host) -> dict[str, t.Any]:
    """For modules that return nothing of their own."""
    return {}


def gateway(host: Host) -> dict[str, t.Any]:
    """The gateway in focus; None where there is none."""
    focus = host.focus or frozenset()
    return {"gateway": next((value for name, value in _gateways(host).items() if ("gateways", name) in focus), None)}


def policy_route(host: Host) -> dict[str, t.Any]:
    """The table of the policy route in focus (Linux), and what becomes of pf's rules."""
    focus = host.focus or frozenset()
    found = next((item for name, item in host.declared.policy_routes.items() if ("policy_routes", name) in focus), None)
    return {"table": found.table if found else None, "firewall": _firewall(host)}


def filter_mode(host: Host) -> dict[str, t.Any]:
    """What becomes of its firewall rules."""
    return {"firewall": _firewall(host)}


def site(host: Host) -> dict[str, t.Any]:
    return {"gateways": _gateways(host), "firewall": _firewall(host)}


def _firewall(host: Host) -> dict[str, t.Any] | None:
    """Whether our rules count, and what keeps them from it; None without any."""
    running, files = host.realized.firewall, host.realized.files
    if running is None or all(files[path].content == HEADER for path in FILES if path in files):
        return None
    pf_conf = files.get(PF_CONF)
    reason = complaint(running, pf_conf.content if pf_conf else None, needs(files))
    return {"enforced": reason is None, "reason": reason}


def _gateways(host: Host) -> dict[str, dict[str, t.Any]]:
    """Every gateway that can be used, with what the monitor says of it; None where it says nothing."""
    status = host.facts.status
    return {
        name: {
            "address": gateway.address or None,
            "interface": gateway.interface,
            "automatic": gateway.vti,
            "monitor": gateway.monitor,
            "status": status.gateways.get(name, {}).get("status"),
            "latency_ms": status.gateways.get(name, {}).get("latency_ms"),
            "stddev_ms": status.gateways.get(name, {}).get("stddev_ms"),
            "loss_percent": status.gateways.get(name, {}).get("loss_percent"),
        }
        for name, gateway in host.declared.ways(status).gateways.items()
    }


def everything(host: Host) -> dict[str, t.Any]:
    """All of vti_info but the lookups."""
    singles = {kind: getattr(host.declared, kind) for kind in SINGLE}
    settings = {name: _without_secrets(value) for name, value in host.declared.gateways.items()}
    return {
        **{kind: [_without_secrets(value) for value in getattr(host.declared, kind).values()] for kind in KINDS},
        **{kind: value.describe() if value else None for kind, value in singles.items()},
        "gateways": {name: {**settings.get(name, {}), **value} for name, value in _gateways(host).items()},
        "groups": {name: dict(value) for name, value in host.facts.status.groups.items()},
        "monitor": host.realized.monitor.describe(),
        "firewall": _firewall(host),
        "interfaces": {
            name: {**interface.describe(), "running": interface.running}
            for name, interface in host.realized.interfaces.items()
        },
        "tunnels": list(_tunnels(host)),
        "sas": list(host.facts.sas),
        "charon": {"running": host.facts.charon_down is None, "reason": host.facts.charon_down},
        "foreign_connections": sorted(
            name
            for name, (path, _section) in host.facts.configured.connections.items()
            if not is_ours(host, name, path)
        ),
    }


def _without_secrets(value: t.Any) -> dict[str, t.Any]:
    return {name: item for name, item in declared.describe(value).items() if not isinstance(item, Secret)}


def _tunnels(host: Host) -> Iterator[dict[str, t.Any]]:
    """One for each CHILD SA configuration, whether it is up or not."""
    children: dict[tuple[str, str], list[t.Any]] = {}
    for item in host.declared.phase2.values():
        owner = host.declared.phase1[item.phase1]
        if item.enabled and owner.enabled:
            children.setdefault((owner.name, child_name(owner, item)), []).append(item)
    for (connection, child), items in children.items():
        interface = host.realized.interfaces.get(items[0].interface)
        yield {
            "phase1": connection,
            "child": child,
            "phase2": [item.name for item in items],
            "interface": items[0].interface,
            "reqid": items[0].reqid,
            "mtu": interface.mtu if interface else None,
            "mtu_advice": _mtu_advice(host.declared.phase1[connection], items[0]),
            "remote": [item.remote for item in items],
            **_state(host, connection, child),
        }


def _mtu_advice(owner: Phase1, item: Phase2) -> dict[str, int | None]:
    """The largest MTU for a path of 1500 bytes, without and with NAT traversal; None where nobody knows."""
    family = 6 if ":" in f"{owner.local or ''}{owner.remote or ''}" else 4
    found: dict[str, int | None] = {}
    for name, natt in (("esp", owner.encap), ("esp_in_udp", True)):
        try:
            found[name] = overhead.largest_mtu(overhead.PATH_MTU, item.esp_proposals, natt=natt, family=family)
        except ValueError:
            found[name] = None
    return found


def _state(host: Host, connection: str, child: str) -> dict[str, t.Any]:
    """Of several SAs (while one is rekeyed) the one that carries traffic."""
    ike = [sa for sa in host.facts.sas if sa["connection"] == connection]
    found = [(sa, item) for sa in ike for item in sa["children"] if item.get("name") == child]
    found.sort(key=lambda pair: pair[1].get("state") in UP, reverse=True)
    sa, item = found[0] if found else (ike[0] if ike else {}, {})
    counters = {
        f"{what}_{way}": int(item[f"{what}-{way}"]) if f"{what}-{way}" in item else None
        for what in ("packets", "bytes")
        for way in ("in", "out")
    }
    return {
        "ike_state": sa.get("state"),
        "child_state": item.get("state"),
        "spi_in": item.get("spi-in"),
        "spi_out": item.get("spi-out"),
        **counters,
    }


def lookups(system: System, addresses: list[str]) -> dict[str, dict[str, str | None]]:
    """Ask the kernel where packets to each address go; a program for each."""
    for address in addresses:
        if declared.literal(address) is None:
            raise InvalidOption(f"lookup: {address!r} is no IP address")
    look = _lookup_linux if system.platform == "Linux" else _lookup_freebsd
    return {address: look(system, address) for address in addresses}


def _lookup_linux(system: System, address: str) -> dict[str, str | None]:
    result = system.run(("ip", "-j", "route", "get", address))
    found = json.loads(result.stdout)[0] if result.rc == 0 else {}
    return {"interface": found.get("dev"), "gateway": found.get("gateway")}


def _lookup_freebsd(system: System, address: str) -> dict[str, str | None]:
    family = ("-inet6",) if ":" in address else ()
    result = system.run(("route", "-n", "get", *family, address))
    found = dict(re.findall(r"^ *(interface|gateway): (\S+)$", result.stdout, re.MULTILINE))
    return {"interface": found.get("interface"), "gateway": found.get("gateway")}
