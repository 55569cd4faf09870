# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter mode on FreeBSD: six sysctls and enc0, now and at boot."""

from __future__ import annotations

import functools
import typing as t

from ..._core.steps import Command, Result, Step, command, nonzero
from ..._core.system import output
from ..._formats import sh, sysctl
from .state import KERNEL_DEFAULTS, FilterMode, Kernel

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..._core.system import System
    from ..._formats import ifconfig


def observe(system: System, interfaces: Mapping[str, ifconfig.Interface]) -> tuple[Kernel, bool]:
    """The running state, and whether the kernel has both modules (ipsec, if_enc) already.

    An unknown sysctl is one whose module is not loaded; loading it gives the kernel's default.
    """
    seen = sysctl.parse(output(system, "sysctl", "-i", *KERNEL_DEFAULTS))
    values = tuple((name, seen.get(name, default)) for name, default in KERNEL_DEFAULTS.items())
    enc0 = interfaces.get("enc0")
    return Kernel(values, None if enc0 is None else "UP" in enc0.flags), len(seen) == len(KERNEL_DEFAULTS)


def boot_interface() -> str:
    """The lines for rc.conf.d/netif: without enc0 up, inbound tunnel traffic would pass pf unseen."""
    return sh.assignment("ifconfig_enc0", "up")


LOADER = 'ipsec_load="YES"\nif_enc_load="YES"\n'
"""For loader.conf(5): rc.d/sysctl runs before anything else could load the modules."""


def wanted(mode: FilterMode, observed: Kernel) -> Kernel:
    """enc0 exists as soon as if_enc is loaded; only mode enc needs it up."""
    return Kernel(tuple(mode.sysctls.items()), True if mode.mode == "enc" else bool(observed.enc0_up))


def modules(*names: str) -> Iterator[Step]:
    """Load kernel modules; rc.conf and loader.conf(5) see to the next boot."""
    for name in names:
        yield Command(("kldload", "-n", name), functools.partial(_missing, name))


def _missing(name: str, result: Result) -> str | None:
    """A kernel with the module built in is as good: kldload(8) then says so."""
    if result.rc == 0 or "already loaded or in kernel" in result.stderr:
        return None
    return f"kernel: no {name} in this kernel ({nonzero(result)}); boot one that has the module, as GENERIC does"


def changes(before: Kernel, after: Kernel) -> Iterator[Step]:
    live = dict(before.sysctls)
    for name, value in after.sysctls:
        if live.get(name) != value:
            yield command("sysctl", f"{name}={value}")
    if after.enc0_up is not None and bool(before.enc0_up) != after.enc0_up:
        yield command("ifconfig", "enc0", "up" if after.enc0_up else "down")
