# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles say the same in their argument specification, their defaults, and their tasks."""

from __future__ import annotations

import pathlib
import re
import typing as t

import pytest
import yaml

ROLES = sorted((pathlib.Path(__file__).resolve().parents[2] / "roles").iterdir())
roles = pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)


def load(path: pathlib.Path) -> t.Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def entry_points(role: pathlib.Path) -> dict[str, t.Any]:
    return dict(load(role / "meta" / "argument_specs.yml")["argument_specs"])


def test_there_are_roles() -> None:
    assert [role.name for role in ROLES] == ["branch", "frr", "gateway", "hq", "pki"]


def is_computed(default: t.Any) -> bool:
    """Whether a default is a template; the specification can only describe it, for there it must be of the type."""
    return isinstance(default, str) and "{{" in default


@roles
def test_defaults_and_argument_specs_agree(role: pathlib.Path) -> None:
    defaults = load(role / "defaults" / "main.yml")
    options = {name: option for entry in entry_points(role).values() for name, option in entry["options"].items()}
    assert set(options) == set(defaults)
    assert {name: option["default"] for name, option in options.items() if "default" in option} == {
        name: default for name, default in defaults.items() if not is_computed(default)
    }


@roles
def test_computed_defaults_are_described(role: pathlib.Path) -> None:
    defaults = load(role / "defaults" / "main.yml")
    for entry in entry_points(role).values():
        for name, option in entry["options"].items():
            assert is_computed(defaults[name]) == ("By default" in str(option["description"])), name


@roles
def test_entry_points_are_task_files(role: pathlib.Path) -> None:
    for name in entry_points(role):
        assert (role / "tasks" / f"{name}.yml").is_file()


@roles
def test_variables_carry_the_role_s_name(role: pathlib.Path) -> None:
    for name in load(role / "defaults" / "main.yml"):
        assert name.startswith(f"{role.name}_")
    for path in (role / "vars").glob("*.yml"):
        for name in load(path):
            assert name.startswith(f"__{role.name}_"), f"{path}: {name}"


@roles
def test_tasks_use_no_undeclared_variable(role: pathlib.Path) -> None:
    """Every ROLE_something in tasks, templates and vars is an option, or registered or set by a task."""
    declared = set(load(role / "defaults" / "main.yml"))
    for path in (role / "vars").glob("*.yml"):
        declared |= set(load(path))
    files = [path for part in ("tasks", "templates", "vars") for path in (role / part).glob("*") if path.is_file()]
    texts = {path: re.sub(r"(?m)^\s*#.*$", "", path.read_text(encoding="utf-8")) for path in files}
    for text in texts.values():
        declared |= set(re.findall(r"(?:register|loop_var): (\w+)", text))
        declared |= set(re.findall(rf"^ +(__{role.name}_\w+):", text, re.MULTILINE))
        declared |= set(re.findall(r"set_fact:\n +(\w+):", text))
    for path, text in texts.items():
        for name in re.findall(rf"(?<![\w.])((?:__)?{role.name}_\w+)\b(?!\.yml|=.(?:YES|\{{\{{)|: \"\{{\{{)", text):
            assert name in declared, f"{path}: {name}"


@roles
def test_no_role_depends_on_another(role: pathlib.Path) -> None:
    assert load(role / "meta" / "main.yml")["dependencies"] == []


@roles
def test_the_readme_names_every_option_s_documentation(role: pathlib.Path) -> None:
    assert f"ansible-doc -t role routed_ipsec.vti.{role.name}" in (role / "README.md").read_text(encoding="utf-8")


def test_the_platforms_hold_the_same_variables() -> None:
    folder = next(role for role in ROLES if role.name == "gateway") / "vars"
    for pattern in ("[DRF]*.yml", "system_*.yml"):
        files = sorted(folder.glob(pattern))
        shared = set.intersection(*(set(load(path)) for path in files))
        assert len(files) > 1
        used = set(re.findall(r"__gateway_\w+", (folder.parent / "tasks" / "kernel.yml").read_text(encoding="utf-8")))
        assert {name for name in used if any(name in load(path) for path in files)} <= shared


def test_our_files_do_not_bear_names_that_vti_site_takes_away() -> None:
    text = (next(role for role in ROLES if role.name == "gateway") / "vars" / "system_FreeBSD.yml").read_text()
    names = [path.rpartition("/")[2] for path in re.findall(r"path: (.*)", text)]
    assert names
    assert not [name for name in names if re.match(r"routed_ipsec_(if_|route_|enc0)", name.strip('"'))]
