# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The core's loop on a gateway: what all modules that change something have in common."""

from __future__ import annotations

import typing as t

from ..._core.converge import converge
from .checks import ready
from .observe import observe
from .transition import transition

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ansible.module_utils.basic import AnsibleModule

    from .state import Host


def run(
    module: AnsibleModule,
    desire: Callable[[Mapping[str, t.Any], Host], Host],
    report: Callable[[Host], dict[str, t.Any]],
) -> t.NoReturn:
    """Bring the gateway where a function of desire.py wants it, and return what one of report.py tells of it."""
    converge(module, observe=observe, desire=desire, transition=transition, report=report, ready=ready)
