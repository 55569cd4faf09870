# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory plugin as Ansible's programs use it."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
import yaml
from ansible_collections.routed_ipsec.vti.plugins.inventory import topology
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption
from ansible_collections.routed_ipsec.vti.tests.unit.controller import ROOT, Controller


def _plain(shown: dict[str, t.Any]) -> t.Any:
    """What --list shows of text that is no template."""
    return shown.get("__ansible_unsafe", shown)


class Fleet(Controller):
    """A directory of inventory sources, and Ansible's programs on them."""

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


def test_an_absent_site_is_in_no_group_that_is_deployed(fleet: Fleet) -> None:
    """Not even where another inventory has it in one; its variables say so, too."""
    example = yaml.safe_load((ROOT / "playbooks" / "inventory" / "example.yml").read_text(encoding="utf-8"))
    example["all"]["children"]["vti_branches"]["hosts"]["branch1"]["vti_state"] = "absent"
    fleet.write("hosts.yml", example)
    fleet.write("site.vti.yml", {"plugin": "routed_ipsec.vti.topology"})
    found = fleet.list("hosts.yml", "site.vti.yml")
    assert found["vti_removed"]["hosts"] == ["branch1"]
    assert (found["vti_branches"]["hosts"], found["vti_sites"]["hosts"]) == (["branch2"], ["hq", "branch2"])
    assert [one["site"] for one in found["_meta"]["hostvars"]["hq"]["vti_links"]] == ["branch2"]


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


def allocating(**sites: dict[str, t.Any]) -> dict[str, t.Any]:
    return {
        "plugin": "routed_ipsec.vti.topology",
        "allocations": "ids.yml",
        "sites": {
            name: {"wan_address": f"192.0.2.{number}", **record}
            for number, (name, record) in enumerate(sites.items(), 1)
        },
        "hubs": ["hq"],
        "spokes": [name for name in sites if name != "hq"],
    }


def units(found: dict[str, t.Any]) -> dict[str, int]:
    hostvars = found["_meta"]["hostvars"]
    return {host: hostvars[host]["gateway_phase2"][0]["unit"] for host in found["vti_branches"]["hosts"]}


def test_ids_of_a_file(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the description, wherever Ansible is started; written only when it is told to."""
    ids = fleet.path / "fleet" / "ids.yml"
    fleet.write("fleet/x.vti.yml", allocating(hq={"id": 1}, b={}, a={}))
    done = fleet.run("inventory", "--list", "-i", "fleet/x.vti.yml")
    assert "site a: id: neither here nor in ids.yml; add a line to it, or set allocate to true" in done.stderr
    assert not ids.exists()

    monkeypatch.setenv("VTI_ALLOCATE", "true")
    assert units(fleet.list("fleet/x.vti.yml")) == {"b": 3, "a": 2}
    assert yaml.safe_load(ids.read_text()) == {"hq": 1, "a": 2, "b": 3}
    ids.chmod(0o640)
    fleet.write("fleet/x.vti.yml", allocating(hq={"id": 1}, c={}, z={"formerly": "b"}))
    assert units(fleet.list("fleet/x.vti.yml")) == {"c": 4, "z": 3}
    assert yaml.safe_load(ids.read_text()) == {"hq": 1, "a": 2, "z": 3, "c": 4}
    assert ids.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in ids.parent.iterdir()) == ["ids.yml", "x.vti.yml"]

    monkeypatch.setenv("VTI_ALLOCATE", "false")
    before = ids.stat()
    assert units(fleet.list("fleet/x.vti.yml")) == {"c": 4, "z": 3}
    assert ids.stat() == before


def test_no_ids_are_written_in_check_mode_or_for_a_refused_description(fleet: Fleet) -> None:
    fleet.write("play.yml", "- {hosts: vti_sites, gather_facts: false}\n")
    fleet.write("x.vti.yml", {**allocating(hq={}, a={}), "allocate": True})
    done = fleet.run("playbook", "--check", "--list-hosts", "-i", "x.vti.yml", "play.yml")
    assert "hosts (2)" in done.stdout
    fleet.write("x.vti.yml", {**allocating(hq={}, a={"lans": ["192.0.2.0/24"]}), "allocate": True})
    assert "LAN 192.0.2.0/24 of site a overlaps" in fleet.run("inventory", "--list", "-i", "x.vti.yml").stderr
    assert not (fleet.path / "ids.yml").exists()


def test_two_runs_that_allocate_at_once_agree(tmp_path: pathlib.Path) -> None:
    """The file is replaced only as long as it has the text that the ids were found in."""
    path = tmp_path / "ids.yml"
    assert topology._replace("ids.yml", str(path), "", "a: 1\n")
    assert not topology._replace("ids.yml", str(path), "", "b: 1\n")
    assert path.read_text() == "a: 1\n"
    assert topology._replace("ids.yml", str(path), "a: 1\n", "a: 1\nb: 2\n")
    assert path.read_text() == "a: 1\nb: 2\n"
    with pytest.raises(InvalidOption, match=r"allocations: ids\.yml: cannot be written"):
        topology._replace("ids.yml", str(tmp_path / "missing" / "ids.yml"), "", "a: 1\n")


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
    assert set(options) == {
        "plugin",
        "sites",
        "hubs",
        "spokes",
        "mesh",
        "use_vars_plugins",
        "allocations",
        "allocate",
        *topology.DESCRIPTION,
    }
