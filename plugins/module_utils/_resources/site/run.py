# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The core's loop on a gateway: what all modules that change something have in common."""

from __future__ import annotations

import dataclasses
import gc
import typing as t

from ..._core.converge import converge
from . import desire, report
from .arguments import PREDICTED
from .checks import ready
from .observe import observe
from .transition import transition

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible.module_utils.basic import AnsibleModule

    from ..._core.system import System
    from .state import Host


def run(module: AnsibleModule, kind: str) -> t.NoReturn:
    """Bring the gateway where the function ``kind`` of desire.py wants it, and return what that of report.py tells.

    In check mode the gateway counts as what the tasks before this one would have made of it.
    """
    # A module ends before its garbage matters; looking for it takes a quarter of the time that many tunnels take.
    gc.disable()
    earlier = module.params[PREDICTED] if module.check_mode else None

    def look(system: System) -> Host:
        host = observe(system)
        for item in earlier or ():
            host = _expected(host, item)
        return host

    def tell(host: Host) -> dict[str, t.Any]:
        told: dict[str, t.Any] = getattr(report, kind, report.nothing)(host)
        return (
            told if earlier is None else {**told, PREDICTED: {"kind": kind, "options": _without_secrets(module.params)}}
        )

    converge(module, observe=look, desire=getattr(desire, kind), transition=transition, report=tell, ready=ready)


def _expected(host: Host, item: Mapping[str, t.Any]) -> Host:
    """The host as a task would have left it."""
    after: Host = getattr(desire, item["kind"])(item["options"], host)
    return dataclasses.replace(after, focus=None, establish_timeout=0, owned=frozenset())


def _without_secrets(options: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The options as they can be told: a later task needs to know that there is a key, not which."""
    told: dict[str, t.Any] = {}
    for name, value in options.items():
        if name == "psk":
            told[name] = None if value is None else "(secret)"
        elif isinstance(value, list):
            told[name] = [_without_secrets(item) if isinstance(item, dict) else item for item in value]
        elif name != PREDICTED:
            told[name] = value
    told.pop(PREDICTED, None)
    return told
