# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory plugin as Ansible's programs use it."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
import yaml
from ansible_collections.routed_ipsec.vti.plugins.inventory import topology

ROOT = pathlib.Path(__file__).resolve().parents[4]
LIMIT = 120
"""Seconds after which a program hangs."""


def _plain(shown: dict[str, t.Any]) -> t.Any:
    """What --list shows of text that is no template."""
    return shown.get("__ansible_unsafe", shown)


class Fleet:
    """A directory of inventory sources, and Ansible's programs on them."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        link = path / "collections" / "ansible_collections" / "routed_ipsec" / "vti"
        link.parent.mkdir(parents=True)
        link.symlink_to(ROOT, target_is_directory=True)

    def write(self, name: str, content: t.Any) -> None:
        (self.path / name).parent.mkdir(exist_ok=True)
        (self.path / name).write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))

    def run(self, program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", f"ansible.cli.{program}", *arguments],
            cwd=self.path,
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(self.path / "collections"),
                "ANSIBLE_HOME": str(self.path / "home"),
                "ANSIBLE_NOCOLOR": "1",
                "LC_ALL": "C.UTF-8",
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )

    def list(self, *sources: str) -> dict[str, t.Any]:
        done = self.run("inventory", "--list", *(word for source in sources for word in ("-i", source)))
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout, object_hook=_plain))


@pytest.fixture(name="fleet")
def _fleet(tmp_path: pathlib.Path) -> Fleet:
    return Fleet(tmp_path)


def test_names_of_files(tmp_path: pathlib.Path) -> None:
    plugin = topology.InventoryModule()
    for name, wanted in {"fleet.vti.yml": True, "fleet.vti.yaml": True, "fleet.yml": False}.items():
        (tmp_path / name).write_text("---\n")
        assert plugin.verify_file(str(tmp_path / name)) is wanted
    assert plugin.verify_file(str(tmp_path / "missing.vti.yml")) is False


def test_the_documented_example(fleet: Fleet) -> None:
    fleet.write("fleet.vti.yml", topology.EXAMPLES)
    found = fleet.list("fleet.vti.yml")
    assert found["vti_hubs"]["hosts"] == ["hq", "dc"]
    assert found["vti_branches"]["hosts"] == ["branch1", "branch2"]
    assert found["vti_region_north"]["hosts"] == ["branch1"]
    variables = found["_meta"]["hostvars"]
    assert set(variables) == {"hq", "dc", "branch1", "branch2"} == set(found["vti_sites"]["hosts"])
    assert [phase1["name"] for phase1 in variables["hq"]["gateway_phase1"]] == ["branch1", "branch2", "partner"]
    assert [phase2["reqid"] for phase2 in variables["branch2"]["gateway_phase2"]] == [5012, 7857]
    for host in variables.values():
        options = {f"gateway_{name}" for name in ("phase1", "phase2", "assignments", "static_routes")}
        assert set(host) == {*options, "frr_router", "vti_links"}
        assert host["frr_router"] == {}
    assert variables["branch1"]["vti_links"][0] == {
        "link": "hq--branch1", "site": "hq", "phase1": "hq", "far_phase1": "branch1", "external": False, "starts": True,
    }  # fmt: skip
    assert [one["site"] for one in variables["hq"]["vti_links"] if one["external"]] == ["partner"]


def test_sites_of_another_inventory(fleet: Fleet) -> None:
    """The inventory in the playbooks' directory, and variables beside it, some of them templates."""
    example = yaml.safe_load((ROOT / "playbooks" / "inventory" / "example.yml").read_text(encoding="utf-8"))
    del example["all"]["children"]["vti_branches"]["hosts"]["branch1"]["vti_lan_networks"]
    fleet.write("hosts.yml", example)
    fleet.write("host_vars/branch1.yml", {"third": 11, "vti_lan_networks": ["10.{{ third }}.0.0/24"]})
    fleet.write("host_vars/branch2.yml", {"vti_psk": "{{ undef() }}", "vti_region": "south"})
    fleet.write("site.vti.yml", {"plugin": "routed_ipsec.vti.topology", "sites": {"branch2": {"id": 13}}})
    found = fleet.list("hosts.yml", "site.vti.yml")
    variables = found["_meta"]["hostvars"]
    assert found["vti_region_south"]["hosts"] == ["branch2"]
    assert {phase2["unit"] for phase2 in variables["hq"]["gateway_phase2"]} == {11, 13}
    assert [route["network"] for route in variables["branch2"]["gateway_static_routes"]] == [
        "10.1.0.0/24",
        "2001:db8:a1::/64",
        "10.11.0.0/24",
    ]
    assert variables["branch1"]["gateway_phase2"][1]["local_address"] == "2001:db8:6:b::2/64"
    assert variables["branch1"]["gateway_phase1"][0]["psk"] == '{{ vti_psks["hq--branch1"] }}'
    assert "gateway_purge" not in variables["hq"]


def test_groups_of_the_inventory_stand_for_their_hosts(fleet: Fleet) -> None:
    fleet.write("hosts.ini", "[core]\na\n[edge]\nb\nc\n")
    fleet.write(
        "x.vti.yml",
        {
            "plugin": "routed_ipsec.vti.topology",
            "sites": {name: {"id": n, "wan_address": f"192.0.2.{n}"} for n, name in enumerate("abc", 1)},
            "hubs": ["core"],
            "spokes": ["edge"],
        },
    )
    found = fleet.list("hosts.ini", "x.vti.yml")
    assert (found["vti_hubs"]["hosts"], found["vti_branches"]["hosts"]) == (["a"], ["b", "c"])


PLAY = """
- hosts: vti_sites
  gather_facts: false
  connection: local
  tasks:
    - ansible.builtin.debug:
        msg: "{{ inventory_hostname }}={{ gateway_phase1 | map(attribute='psk') | join(',') }}"
"""


@pytest.mark.parametrize("psk", [None, "{{ vti_psks[link] }}"])
def test_keys_are_looked_up_when_they_are_used(fleet: Fleet, psk: str | None) -> None:
    description = yaml.safe_load(topology.EXAMPLES)
    del description["psk_variable"]
    if psk:
        description["psk"] = psk
    fleet.write("fleet.vti.yml", description)
    names = ["hq--branch1", "dc--branch1", "hq--branch2", "dc--branch2", "hq--partner"]
    fleet.write("keys.yml", {"vti_psks": {name: f"key of {name}" for name in names}})
    fleet.write("play.yml", PLAY)
    done = fleet.run("playbook", "-i", "fleet.vti.yml", "-e", "@keys.yml", "play.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"hq=key of hq--branch1,key of hq--branch2,key of hq--partner"' in done.stdout
    assert '"branch1=key of hq--branch1,key of dc--branch1"' in done.stdout


ROLE = """
- hosts: gate
  gather_facts: false
  connection: local
  tasks:
    - ansible.builtin.include_role:
        name: routed_ipsec.vti.gateway
      vars:
        gateway_purge: true
"""


def test_a_refused_description_stops_the_role_before_its_first_task(fleet: Fleet) -> None:
    """Ansible itself only warns."""
    fleet.write("hosts.ini", "gate\n")
    fleet.write("play.yml", ROLE)
    sites = {name: {"id": 7, "wan_address": f"192.0.2.{n}"} for n, name in enumerate(("gate", "other"))}
    fleet.write("x.vti.yml", {"plugin": "routed_ipsec.vti.topology", "sites": sites})
    done = fleet.run("playbook", "--check", "-i", "hosts.ini", "-i", "x.vti.yml", "play.yml")
    assert done.returncode != 0
    assert "Failed to parse inventory" in done.stderr
    assert "sites gate and other: id: both have 7" in done.stderr
    assert "sites gate and other: id: both have 7" in done.stdout
    assert "See what system this is" not in done.stdout


def test_a_refused_description_ends_the_run_where_that_is_set(fleet: Fleet) -> None:
    fleet.write("x.vti.yml", {"plugin": "routed_ipsec.vti.topology", "sites": {"a": {"name": "x"}}})
    done = fleet.run("inventory", "--list", "-i", "x.vti.yml", ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED="1")
    assert done.returncode != 0
    assert "site a: name is no option here" in done.stderr


def test_its_documentation_is_found(fleet: Fleet) -> None:
    done = fleet.run("doc", "-t", "inventory", "routed_ipsec.vti.topology", "--json")
    options = json.loads(done.stdout)["routed_ipsec.vti.topology"]["doc"]["options"]
    assert set(options) == {"plugin", "sites", "hubs", "spokes", "mesh", "use_vars_plugins", *topology.DESCRIPTION}
