# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must agree between files of the collection."""

from __future__ import annotations

import ast
import pathlib

import pytest
import yaml
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.monitor.state import sources

ROOT = pathlib.Path(__file__).parents[2]
UTILS = ROOT / "plugins" / "module_utils"
PURE = sorted([*(UTILS / "_formats").glob("*.py"), *(UTILS / "_resources").rglob("*.py")])
INPUT_OUTPUT = {"os", "subprocess", "socket", "shutil", "tempfile", "pathlib", "io", "glob", "fcntl"}


def imported(path: pathlib.Path) -> set[str]:
    """The top-level packages that a file imports when it runs; imports for types do not count."""
    tree = ast.parse(path.read_text())
    typing_only = {
        node
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for node in ast.walk(branch)
    }
    found = set()
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(UTILS)))
def test_formats_and_resources_know_neither_ansible_nor_the_host(path):
    assert not imported(path) & {"ansible", "ansible_collections", *INPUT_OUTPUT}
    called = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "open" not in called


def test_every_module_is_in_the_action_group():
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    modules = {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")}
    assert set(runtime["action_groups"]["vti"]) == modules


def test_every_module_that_changes_something_is_told_what_went_before():
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    routed = runtime["plugin_routing"]["modules"]
    others = {"vti_info", "pki_sign"}
    assert {"vti_site", *routed} == set(runtime["action_groups"]["vti"]) - others
    assert {entry["action_plugin"] for entry in routed.values()} == {"routed_ipsec.vti.vti_site"}


def test_the_whole_monitor_is_copied_to_hosts():
    names = {path.name for path in (UTILS / "_monitor").glob("*.py")}
    assert {path.rpartition("/")[2] for path in sources()} == names


def test_every_guide_is_listed():
    listed = yaml.safe_load((ROOT / "docs" / "docsite" / "extra-docs.yml").read_text())
    guides = {path.stem for path in (ROOT / "docs" / "docsite" / "rst").glob("*.rst")}
    assert {name for section in listed["sections"] for name in section["toctree"]} == guides
