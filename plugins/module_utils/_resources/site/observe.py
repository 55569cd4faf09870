# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a whole gateway: a constant number of programs, however many tunnels there are."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ..._core.errors import ParseError
from ..._formats import settings
from .. import declared
from ..monitor import state as monitor
from ..phase1.state import Phase1, secret_in
from ..swanctl import state as swanctl
from .platform import HEADER, detect
from .state import KINDS, SINGLE, Declared, Facts, Host, Realized

if t.TYPE_CHECKING:
    from ..._core.system import File, System
    from .platform import Platform
    from .state import Part

JOURNAL = "journal"
"""In the store while a run is under way: what it changes, so that the next one can finish or forget it."""


def observe(system: System) -> Host:
    platform = detect(system)
    live = platform.live(system)
    events, charon_down = swanctl.listing(system, "conns")
    associations, _down = swanctl.listing(system, "sas") if charon_down is None else ([], None)
    connections, foreign = _connection_files(system, platform)
    store = _store_files(system, platform)
    journal = _journal(system, journal_path(platform))
    return Host(
        platform=platform,
        declared=_declared(platform, store, connections),
        realized=Realized(
            files={**store, **platform.boot_files(system), **connections},
            interfaces=live.interfaces,
            routes=live.routes,
            connections=swanctl.loaded(events),
            journal=journal,
            kernel=live.kernel,
            boot_unit=live.boot_unit,
            firewall=live.firewall,
            policy=live.policy,
            monitor=live.monitor,
        ),
        facts=Facts(
            networks=live.networks,
            configured=swanctl.configured(system, platform.swanctl),
            charon_down=charon_down,
            sas=swanctl.associations(associations),
            foreign=foreign,
            modules_loaded=live.modules_loaded,
            loaded_tunnels=swanctl.tunnel_mode(events),
            automatic=live.automatic,
            learned=live.learned,
            addresses=live.addresses,
            status=_status(system) if live.monitor.running else monitor.Status(),
            prober=any(map(system.exists, monitor.PROBERS)),
        ),
        owned=journal,
    )


def _status(system: System) -> monitor.Status:
    file = system.read(f"{monitor.STATE}/status.json")
    return monitor.read(file.content if file else None)


def store_path(platform: Platform, kind: str, name: str) -> str:
    return f"{platform.store}/{kind}/{name}.json"


def single_path(platform: Platform, kind: str) -> str:
    return f"{platform.store}/{kind}.json"


def is_swanctl(platform: Platform, path: str) -> bool:
    """Whether a path is of a file that charon loads."""
    return path.startswith(f"{platform.swanctl}/")


def journal_path(platform: Platform) -> str:
    return f"{platform.store}/{JOURNAL}"


def _journal(system: System, path: str) -> frozenset[Part]:
    file = system.read(path)
    try:
        return frozenset((str(part), str(name)) for part, name in json.loads(file.content)) if file else frozenset()
    except (TypeError, ValueError) as error:
        raise ParseError(f"{path}: not what this release of the collection writes ({error}); remove the file") from None


def connection_path(platform: Platform, name: str) -> str:
    return f"{platform.swanctl}/conf.d/{name}.conf"


def _store_files(system: System, platform: Platform) -> dict[str, File]:
    paths = [f"{platform.store}/{kind}/{name}" for kind in KINDS for name in system.names(f"{platform.store}/{kind}")]
    paths.extend(single_path(platform, kind) for kind in SINGLE)
    return {path: file for path in paths if path.endswith(".json") for file in [system.read(path)] if file is not None}


def _connection_files(system: System, platform: Platform) -> tuple[dict[str, File], frozenset[str]]:
    """Our files of connections, and the paths of a person's."""
    ours, foreign = {}, set()
    directory = f"{platform.swanctl}/conf.d"
    for name in system.names(directory):
        path = f"{directory}/{name}"
        file = system.read(path) if name.endswith(".conf") else None
        if file is not None and file.content.startswith(HEADER):
            ours[path] = file
        elif file is not None:
            foreign.add(path)
    return ours, frozenset(foreign)


def _declared(platform: Platform, store: dict[str, File], connections: dict[str, File]) -> Declared:
    objects: dict[str, t.Any] = {}
    for kind, cls in KINDS.items():
        prefix = f"{platform.store}/{kind}/"
        values = [declared.load(cls, path, file.content) for path, file in store.items() if path.startswith(prefix)]
        objects[kind] = {value.name: value for value in values}
    objects["phase1"] = {
        name: dataclasses.replace(phase1, psk=_secret(phase1, connections.get(connection_path(platform, name))))
        for name, phase1 in objects["phase1"].items()
    }
    for kind, cls in SINGLE.items():
        path = single_path(platform, kind)
        if path in store:
            objects[kind] = declared.load(cls, path, store[path].content)
    return Declared(**objects)


def _secret(phase1: Phase1, file: File | None) -> t.Any:
    if file is None or phase1.auth != "psk":
        return None
    try:
        return secret_in(settings.parse(file.content), phase1.name)
    except ParseError:
        return None
