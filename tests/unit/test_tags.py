# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tags reach every task: what is included at run time would not inherit them."""

from __future__ import annotations

import pathlib
import re

import pytest
from ansible_collections.routed_ipsec.vti.tests.unit.content import tasks
from ansible_collections.routed_ipsec.vti.tests.unit.controller import ROOT

FILES = sorted([*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/*.yml"), *ROOT.glob("playbooks/tasks/*.yml")])
STAGES = {"vti_prepare", "vti_certificates", "vti_tunnels", "vti_routing", "vti_verify"}
INCLUDES = ("ansible.builtin.include_tasks", "ansible.builtin.include_role")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_included_at_run_time_runs_when_its_include_does(path: pathlib.Path) -> None:
    """Either all of its tasks do, or they have tags of their own: then the include runs whatever tags are chosen."""
    for task in tasks(path):
        for include in set(INCLUDES) & set(task):
            options = task[include]
            applied = options.get("apply", {}).get("tags") if isinstance(options, dict) else None
            own = path.parent.parent.name == "playbooks" and task.get("tags") == ["always"]
            assert own != (applied == ["always"]), task["name"]


def test_stages_are_all_there_and_described() -> None:
    used = {tag for path in FILES for task in tasks(path) for tag in task.get("tags") or ()}
    assert used == STAGES | {"always"}
    site = (ROOT / "playbooks" / "site.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"\bvti_\w+", site[site.index("# Tags") : site.index("- name")])) == STAGES
    guide = (ROOT / "docs" / "docsite" / "rst" / "guide_rollout.rst").read_text(encoding="utf-8")
    assert set(re.findall(r"^   \* - ``(vti_\w+)``", guide, re.MULTILINE)) == STAGES


@pytest.mark.parametrize("role", ["hq", "branch"])
def test_the_check_that_protects_all_tunnels_is_in_every_part(role: str) -> None:
    check = next(tasks(ROOT / "roles" / role / "tasks" / "main.yml"))
    assert "ansible.builtin.assert" in check
    assert check["tags"] == ["always"]
