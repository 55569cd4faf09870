# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Routes that FRR has put into the kernel are nobody's static routes: they are neither removed nor in the way."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.system import Result
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.static_route import freebsd, linux
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.static_route.state import NextHop

STATIC = {"type": "unicast", "dst": "10.9.0.0/24", "gateway": "10.6.106.9", "dev": "ipsec2", "protocol": "static"}
LEARNED = {"type": "unicast", "gateway": "10.6.106.9", "dev": "ipsec2", "metric": 20, "flags": []}
DISCARDED = {"type": "blackhole", "protocol": "static", "scope": "global", "metric": 20, "flags": []}


class Said:
    """A system on which every program prints the same, and nothing about IPv6."""

    def __init__(self, text: str) -> None:
        self.text = text

    def run(self, argv: t.Sequence[str], **_options: t.Any) -> Result:
        return Result(0, "[]" if "-6" in argv else self.text, "")


def on_linux(*routes: dict[str, t.Any]) -> dict[str, tuple[NextHop, ...]]:
    return linux.observe(t.cast("t.Any", Said(json.dumps(routes))), ()).table


@pytest.mark.parametrize("protocol", ["bgp", "ospf", "186", "196", "188", "zebra"])
def test_learned_routes_on_linux(protocol: str) -> None:
    assert on_linux({**LEARNED, "dst": "10.1.0.0/24", "protocol": protocol}) == {}


def test_what_staticd_discards_on_linux() -> None:
    """Recorded from FRR 8.4 of Debian 12, whose package names protocol 196 as the kernel's own is named."""
    assert on_linux({**DISCARDED, "dst": "10.1.0.0/24"}) == {}


def test_a_static_route_is_still_seen_beside_them() -> None:
    found = on_linux(STATIC, {**DISCARDED, "dst": "10.9.0.0/24"}, {**LEARNED, "dst": "10.9.0.0/24", "protocol": "bgp"})
    assert found == {"10.9.0.0/24": (NextHop("10.6.106.9"),)}


def entry(destination: str, flags: str, **more: str) -> dict[str, str]:
    return {"destination": destination, "flags": flags, "interface-name": "ipsec2", **more}


def on_freebsd(*entries: dict[str, str]) -> dict[str, tuple[NextHop, ...]]:
    family = {"address-family": "Internet", "rt-entry": list(entries)}
    text = json.dumps({"statistics": {"route-information": {"route-table": {"rt-family": [family]}}}})
    return freebsd.observe(t.cast("t.Any", Said(text)))


@pytest.mark.parametrize("flags", ["UG1", "UG1B", "UGS1", "US1B"])
def test_routes_of_zebra_on_freebsd(flags: str) -> None:
    """All of them carry RTF_PROTO1 (route(8)), staticd's too."""
    assert on_freebsd(entry("10.1.0.0/24", flags, gateway="10.6.106.9")) == {}


def test_a_static_route_on_freebsd() -> None:
    assert on_freebsd(entry("10.9.0.0/24", "UGS", gateway="10.6.106.9")) == {"10.9.0.0/24": (NextHop("10.6.106.9"),)}
