# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The simulated swanctl and charon accept, refuse and list configurations as real ones of the same version did."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from ansible_collections.routed_ipsec.vti.tests.sim.freebsd import FreeBSD

FIXTURE = pathlib.Path(__file__).resolve().parents[2] / "fixtures" / "freebsd" / "strongswan-5.9.8.json"
RECORD = json.loads(FIXTURE.read_text(encoding="utf-8"))
COMMANDS = {"load": ["--load-all"], "list_raw": ["--list-conns", "--raw"], "list": ["--list-conns"]}
USUAL = RECORD["connection"][""]


def _cases() -> list[Any]:
    cases = []
    for kind, place in (("connection", 0), ("child", 1)):
        for setting, recorded in RECORD[kind].items():
            settings = ("", setting) if place else (setting, "")
            cases.append(pytest.param(RECORD["base"] % settings, recorded, id=f"{kind} {setting}"))
    return cases + [
        pytest.param(recorded["text"], recorded, id=f"file {name}") for name, recorded in RECORD["file"].items()
    ]


@pytest.mark.parametrize(("text", "recorded"), _cases())
def test_configuration_as_recorded(text: str, recorded: dict[str, Any]) -> None:
    """Exit status, standard output and standard error of loading, and both listings of what was loaded."""
    host = FreeBSD("a", {"vtnet1": ["192.0.2.1/24"]})
    host.files["/usr/local/etc/swanctl/conf.d/a.conf"] = text
    host.charon.start()
    for name, options in COMMANDS.items():
        answer = host.run(["swanctl", *options])
        wanted = recorded.get(name, USUAL[name])
        assert (answer.rc, answer.stdout) == (wanted["rc"], wanted["stdout"])
        assert answer.stderr.replace("/usr/local/etc/", "/etc/") == wanted["stderr"]


def test_pattern_without_files_is_only_a_warning() -> None:
    host = FreeBSD("a")
    host.charon.start()
    answer = host.run(["swanctl", "--load-conns"])
    assert answer.rc == 0
    assert answer.stderr == "no files found matching '/usr/local/etc/swanctl/conf.d/*.conf'\n"
