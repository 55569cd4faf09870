# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gateway monitor under rc(8) and daemon(8)."""

from __future__ import annotations

import typing as t

from ..._core.steps import Step, command
from ..._formats import sh
from .state import LIBRARY, SERVICE, Service, words

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._core.system import System

SCRIPT = f"/usr/local/etc/rc.d/{SERVICE}"

_SCRIPT = """#!/bin/sh
{header}
# PROVIDE: {service}
# REQUIRE: NETWORKING
# KEYWORD: shutdown

. /etc/rc.subr

name="{service}"
desc="Gateway monitor of routed_ipsec.vti"
rcvar="{service}_enable"

load_rc_config "$name"
: "${{{service}_enable:=NO}}"

pidfile="/var/run/{service}.pid"
command="/usr/sbin/daemon"
# -r -R 1: started again a second after it ends, whatever the reason; -S: what it says goes to syslog
command_args="-f -r -R 1 -S -T {service} -P $pidfile /usr/bin/env PYTHONPATH={library} {words}"

run_rc_command "$1"
"""


def script(header: str, python: str, store: str) -> str:
    """The rc.d script."""
    return _SCRIPT.format(header=header, service=SERVICE, library=LIBRARY, words=words(python, store))


def boot() -> str:
    """The line for rc.conf.d."""
    return sh.assignment(f"{SERVICE}_enable", "YES")


def observe(system: System, *, enabled: bool) -> Service:
    """Ask rc whether it runs, where there is a script to ask."""
    if not system.exists(SCRIPT):
        return Service()
    return Service(system.run(("service", SERVICE, "onestatus")).rc == 0, enabled)


def starts(before: Service, after: Service, *, renewed: bool) -> Iterator[Step]:
    """Have it run; ``renewed``: its program is another one now."""
    if after.running and (renewed or not before.running):
        yield command("service", SERVICE, "onerestart" if before.running else "onestart")


def stops(before: Service, after: Service) -> Iterator[Step]:
    """While its script is still there."""
    if before.running and not after.running:
        yield command("service", SERVICE, "onestop")
