# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What vti_site makes of lists of tunnels."""

from __future__ import annotations

import typing as t

from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site import desire
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.arguments import ARGUMENTS
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.platform import FreeBSD, Linux
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.state import (
    Declared,
    Facts,
    Host,
    Realized,
)
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.swanctl.state import Configured


def taken(tunnels: t.Mapping[str, t.Any], platform: Linux | FreeBSD) -> Declared:
    """On an empty host; what AnsibleModule does to options is done first."""
    lists = {
        kind: [_with_defaults(item, arguments["options"]) for item in tunnels.get(kind, ())]
        for kind, arguments in ARGUMENTS["site"].items()
        if "options" in arguments and arguments["type"] == "list"
    }
    assert set(tunnels) <= set(lists)
    facts = Facts({}, Configured({}, ()), None, (), frozenset())
    host = Host(platform=platform, declared=Declared(), realized=Realized({}, {}, {}, {}), facts=facts)
    return desire.site({**lists, "purge": True}, host).declared


def _with_defaults(item: dict[str, t.Any], arguments: dict[str, t.Any]) -> dict[str, t.Any]:
    assert set(item) <= set(arguments)
    return {**{name: argument.get("default") for name, argument in arguments.items()}, **item}
