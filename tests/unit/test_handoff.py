# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook handoff, run by ansible-playbook on a description of a fleet."""

from __future__ import annotations

import json
import pathlib
import re
import stat
import typing as t

import pytest
from ansible_collections.routed_ipsec.vti.tests.unit.controller import Controller

# Since ansible-core 2.19, what is not looked at is not looked up.
LAZY = "{{ undef(hint='looked up') if ansible_version.full is version('2.19', '>=') else link ~ 'x5y' }}"
FLEET = {
    "plugin": "routed_ipsec.vti.topology",
    "sites": {
        "hq": {"id": 1, "wan": {"address": "198.51.100.1"}, "lans": ["10.1.0.0/24"]},
        "b11": {"id": 11, "wan": {"address": "203.0.113.11"}, "lans": ["10.11.0.0/24"]},
        "far": {"id": 900, "wan": {"address": "192.0.2.90"}, "lans": ["172.20.0.0/24"], "external": True},
    },
    "hubs": ["hq"],
    "spokes": ["b11"],
    "links": [{"sites": ["hq", "far"], "transit": "10.6.120.0/30", "starts": "hq"}],
    "psk": LAZY,
}


class Done(t.NamedTuple):
    """What a run printed, and how many of its tasks changed something."""

    text: str
    changed: int


class Playbook(Controller):
    """A directory with an inventory, and the playbook on it."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__(path)
        self.write("fleet.vti.yml", FLEET)
        # Whatever a gateway's connection needs must not matter: nothing is asked of it.
        self.write("hosts.yml", {"all": {"vars": {"ansible_connection": "nowhere", "ansible_become": True}}})

    def write_sheets(self, *arguments: str) -> Done:
        done = self.run("playbook", "-i", "hosts.yml", "-i", "fleet.vti.yml", "routed_ipsec.vti.handoff", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        recap = done.stdout.partition("PLAY RECAP")[2]
        return Done(done.stdout, sum(map(int, re.findall(r"changed=(\d+)", recap))))


@pytest.fixture(name="playbook")
def _playbook(tmp_path: pathlib.Path) -> Playbook:
    return Playbook(tmp_path)


def test_a_file_for_each_external_link(playbook: Playbook) -> None:
    directory = playbook.path / "handoff"
    predicted = playbook.write_sheets("--check", "--diff")
    assert predicted.changed
    assert "+# Tunnel hq--far" in predicted.text
    assert not directory.exists()

    assert playbook.write_sheets().changed
    assert [file.name for file in directory.iterdir()] == ["hq--far.md"]
    (file,) = directory.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    text = file.read_text()
    assert "- Behind us, for you to route into the tunnel: `10.1.0.0/24` by `10.6.120.1`\n" in text
    assert "x5y" not in text

    assert not playbook.write_sheets("--limit", "hq").changed


def test_it_says_when_there_is_none(playbook: Playbook) -> None:
    done = playbook.write_sheets("--limit", "b11", "-e", json.dumps({"handoff_directory": str(playbook.path / "out")}))
    assert "None of these gateways has a link to a site with external: true" in done.text
    assert not (playbook.path / "out").exists()
