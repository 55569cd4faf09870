# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gateway monitor under systemd."""

from __future__ import annotations

import typing as t

from ..._core.steps import Step, command
from .state import LIBRARY, SERVICE, Service, words

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._core.system import System

UNIT = f"/etc/systemd/system/{SERVICE}.service"
_ENABLED = f"/etc/systemd/system/multi-user.target.wants/{SERVICE}.service"

_UNIT = """{header}[Unit]
Description=Gateway monitor of routed_ipsec.vti
Documentation=https://github.com/routed-ipsec/ansible-collection-vti
After=network.target routed_ipsec.service
StartLimitIntervalSec=0

[Service]
Environment=PYTHONPATH={library}
ExecStart={words}
RuntimeDirectory=routed_ipsec
RuntimeDirectoryPreserve=restart
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
"""


def unit(header: str, python: str, store: str) -> str:
    """The unit file."""
    return _UNIT.format(header=header, library=LIBRARY, words=words(python, store))


def observe(system: System) -> Service:
    """Ask systemd whether it runs, where there is a unit to ask for."""
    if not system.exists(UNIT):
        return Service()
    running = system.run(("systemctl", "is-active", f"{SERVICE}.service")).rc == 0
    return Service(running, system.exists(_ENABLED))


def starts(before: Service, after: Service, *, renewed: bool) -> Iterator[Step]:
    """Have it run, now and at boot; ``renewed``: its program or its unit is another one now."""
    if after.enabled and not before.enabled:
        yield command("systemctl", "--no-reload", "enable", f"{SERVICE}.service")
    if after.running and (renewed or not before.running):
        if renewed:
            yield command("systemctl", "daemon-reload")
        yield command("systemctl", "restart", f"{SERVICE}.service")


def stops(before: Service, after: Service) -> Iterator[Step]:
    """While its unit is still there."""
    if (before.running and not after.running) or (before.enabled and not after.enabled):
        yield command("systemctl", "--no-reload", "disable", "--now", f"{SERVICE}.service")
