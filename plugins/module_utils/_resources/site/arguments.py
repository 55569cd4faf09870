# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of the modules; vti_site's are lists of the others' own."""

from __future__ import annotations

import typing as t

from ..assignment.state import ARGUMENTS as ASSIGNMENT
from ..default_gateway.state import ARGUMENTS as DEFAULT_GATEWAY
from ..filter_mode.state import ARGUMENTS as FILTER_MODE
from ..gateway.state import ARGUMENTS as GATEWAY
from ..gateway_group.state import ARGUMENTS as GATEWAY_GROUP
from ..phase1.state import ARGUMENTS as PHASE1
from ..phase2.state import ARGUMENTS as PHASE2
from ..policy_route.state import ARGUMENTS as POLICY_ROUTE
from ..static_route.state import ARGUMENTS as STATIC_ROUTE

_STATE: dict[str, t.Any] = {"state": {"type": "str", "choices": ["present", "absent"], "default": "present"}}
_ESTABLISH: dict[str, t.Any] = {"establish_timeout": {"type": "int", "default": 0}}
PREDICTED = "_predicted"
"""The option in which the action plugin hands a module what earlier tasks would have done, in check mode only."""


def _items(options: dict[str, t.Any]) -> dict[str, t.Any]:
    return {"type": "list", "elements": "dict", "default": [], "options": options}


_OPTIONS: dict[str, dict[str, t.Any]] = {
    "phase1": {**PHASE1, **_STATE, **_ESTABLISH},
    "phase2": {**PHASE2, **_STATE, **_ESTABLISH},
    "assignment": {**ASSIGNMENT, **_STATE},
    "gateway": {**GATEWAY, **_STATE},
    "gateway_group": {**GATEWAY_GROUP, **_STATE},
    "default_gateway": DEFAULT_GATEWAY,
    "static_route": {**STATIC_ROUTE, **_STATE},
    "policy_route": {**POLICY_ROUTE, **_STATE},
    "filter_mode": {**FILTER_MODE, **_STATE},
    "site": {
        "phase1": _items(PHASE1),
        "phase2": _items(PHASE2),
        "assignments": _items(ASSIGNMENT),
        "gateways": _items(GATEWAY),
        "gateway_groups": _items(GATEWAY_GROUP),
        "static_routes": _items(STATIC_ROUTE),
        "policy_routes": _items(POLICY_ROUTE),
        "default_gateway": {"type": "dict", "options": DEFAULT_GATEWAY},
        "filter_mode": {"type": "dict", "options": FILTER_MODE},
        "purge": {"type": "bool", "default": False},
        **_ESTABLISH,
    },
}
ARGUMENTS: dict[str, dict[str, t.Any]] = {
    kind: {**options, PREDICTED: {"type": "list", "elements": "dict"}} for kind, options in _OPTIONS.items()
}
"""The options of each module that changes something, by the function of desire.py that it uses."""
