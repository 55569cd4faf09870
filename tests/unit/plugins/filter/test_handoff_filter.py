# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter handoff as templates call it."""

from __future__ import annotations

import typing as t

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.routed_ipsec.vti.plugins.filter import handoff as module
from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import handoff as texts

handoff = module.FilterModule().filters()["handoff"]

TUNNELS: dict[str, t.Any] = {
    "phase1": [
        {
            "name": "partner",
            "local_addrs": ["198.51.100.1"],
            "remote_addrs": ["192.0.2.90"],
            "psk": "correct horse battery",
            "proposals": ["aes256-sha256-curve25519"],
        }
    ],
    "phase2": [
        {"name": "partner", "phase1": "partner", "local_address": "10.6.120.1/30", "remote_address": "10.6.120.2"},
    ],
}


def test_a_document_for_every_maker() -> None:
    text = handoff(TUNNELS, "partner", networks=["10.1.0.0/24"], name="hq")
    assert text.startswith("# Tunnel partner\n")
    assert [line for line in text.splitlines() if line.startswith("## ")][-3:] == [
        "## strongSwan on Linux",
        "## Cisco IOS and IOS XE",
        "## FortiGate",
    ]
    assert "correct horse battery" not in text


def test_one_part() -> None:
    assert handoff(TUNNELS, "partner", format="strongswan").startswith("# /etc/swanctl/conf.d/partner.conf")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"format": "cisco_ios"}, "proposals: Cisco IOS has none of these; add one such as aes256-sha256-modp2048"),
        ({"format": "html"}, "format: 'html' is none of document, sheet, strongswan, cisco_ios, fortigate"),
        ({"networks": ["10.1.0.1/24"]}, "networks: 10.1.0.1/24 has host bits set"),
    ],
)
def test_refusals_are_filter_errors_without_the_key(more: dict[str, t.Any], message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=message) as refused:
        handoff(TUNNELS, "partner", **more)
    assert "correct horse" not in f"{refused.value} {refused.value.__cause__!r}"


def test_the_formats_are_those_that_are_documented() -> None:
    options = yaml.safe_load(module.DOCUMENTATION)["options"]
    assert options["format"]["choices"] == ["document", *texts.FORMATS]
    assert options["routing"]["choices"] == list(texts.ROUTING)
