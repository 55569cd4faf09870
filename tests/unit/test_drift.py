# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What drift.yml makes of the results of the roles' tasks in check mode."""

from __future__ import annotations

import json
import re
import typing as t

import pytest
import yaml
from ansible_collections.routed_ipsec.vti.tests.unit.content import tasks
from ansible_collections.routed_ipsec.vti.tests.unit.controller import ROOT, Controller

DRIFT = ROOT / "playbooks" / "vars" / "drift.yml"
RUNNING = {"rc": 0}
SKIPPED = {"skipped": True, "changed": False, "msg": "Command would have run if not in check mode"}
CONDITION = {"skipped": True, "changed": False, "skip_reason": "Conditional result was False"}
# Task files of what the roles do besides deploying, or that another task's result announces.
APART = {
    "gateway": ("install_", "teardown"),
    "frr": (
        "await",
        "install_",
        "keep",
        "learned",
        "reload",
        "remember",
        "restore",
        "settle",
        "start_",
        "stop_",
        "teardown",
    ),
    "pki": ("teardown",),
}
# Modules that change nothing.
READERS = {
    "assert",
    "debug",
    "find",
    "import_tasks",
    "include_role",
    "include_tasks",
    "include_vars",
    "setup",
    "slurp",
    "stat",
}
FOLLOW = {
    "Install what is missing": "the query for packages is reported",
    "Have strongSwan forget the key of a site that is revoked": "the key's removal is reported",
    "Forget what strongSwan has remembered of certificates": "the loading before it is reported",
    "Restart strongSwan for the settings that it reads when it starts": "the file is reported",
    "Have strongSwan read its settings again": "the file is reported",
    "Have all daemons read it": "the start of FRR is reported",
    "Configure tunnels, interfaces and routes": "the steps of vti_site are reported",
}


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Controller:
    return Controller(tmp_path_factory.mktemp("drift"))


def found(controller: Controller, cases: list[dict[str, t.Any]]) -> list[list[str]]:
    """What is reported in each case, a case being the results that tasks have registered."""
    hosts = {f"case{number}": case for number, case in enumerate(cases)}
    controller.write("inventory.json", json.dumps({"all": {"hosts": hosts}}))
    controller.write(
        "look.yml",
        [
            {
                "hosts": "all",
                "gather_facts": False,
                "vars_files": [str(DRIFT)],
                "tasks": [{"ansible.builtin.debug": {"msg": "{{ drift_found }}"}}],
            }
        ],
    )
    done = controller.run("playbook", "-i", "inventory.json", "look.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(re.findall(r"^ok: \[(case\d+)\] => (\{.*?^\})", done.stdout, re.MULTILINE | re.DOTALL))
    return [json.loads(said[name])["msg"] for name in hosts]


def test_each_kind_of_result_is_read(controller: Controller) -> None:
    cases: list[tuple[dict[str, t.Any], list[str]]] = [
        ({}, []),
        ({"gateway_site": {"steps": ["add route 10.1.0.0/24"]}}, ["add route 10.1.0.0/24"]),
        ({"__gateway_started": {"changed": True}}, ["start strongSwan"]),
        # Loops over dictionaries with a path, over names, over keys and values; a task that a condition skipped.
        (
            {
                "__gateway_written": {
                    "changed": True,
                    "results": [
                        {"changed": True, "item": {"path": "/etc/one", "text": "1\n"}},
                        {"changed": False, "item": {"path": "/etc/two", "text": "2\n"}},
                    ],
                }
            },
            ["write /etc/one"],
        ),
        (
            {"__gateway_made": {"changed": True, "results": [{"changed": True, "item": "/etc/made"}]}},
            ["make /etc/made"],
        ),
        (
            {
                "__gateway_tuned": {
                    "results": [
                        {**SKIPPED, "item": {"key": "net.inet.ip.forwarding", "value": "1"}},
                        {**CONDITION, "item": {"key": "net.key.preferred_oldsa", "value": "0"}},
                    ]
                }
            },
            ["set net.inet.ip.forwarding"],
        ),
        ({"__gateway_kernel_loaded": SKIPPED}, ["load ipsec.ko"]),
        ({"__gateway_kernel_loaded": CONDITION}, []),
        # pkg info -e says by its code alone, dpkg-query and rpm name the state of each package.
        ({"__gateway_query": {"results": [{"rc": 1, "stdout_lines": []}]}}, ["install the packages for strongSwan"]),
        ({"__gateway_query": {"results": [{"rc": 0, "stdout_lines": []}]}}, []),
        (
            {"__pki_query": {"results": [{"rc": 0, "stdout_lines": ["installed", "config-files"]}]}},
            ["install the packages for certificates"],
        ),
        ({"__frr_query": {"results": [{"rc": 0, "stdout_lines": ["installed", "installed"]}]}}, []),
        ({"__pki_query": {"results": [], "skipped": True}}, []),
        (
            {"__pki_signed": {"changed": True, "reason": "it ends in 12 days"}},
            ["sign the site's certificate, or a revocation list"],
        ),
        ({"__pki_renewed": SKIPPED}, ["load keys, certificates and revocation list"]),
        ({"__frr_running": {"rc": 1}}, ["start FRR"]),
        (
            {"__frr_running": RUNNING, "__frr_test": {"stdout": "Lines To Add\n===\nrouter bgp 1"}},
            ["apply frr.conf, which FRR does not have in force"],
        ),
        ({"__frr_running": RUNNING, "__frr_test": {"stdout": ""}}, []),
        ({"__frr_service": {"failed": False}}, ["take away the configuration of FRR"]),
    ]
    seen = found(controller, [{"gateway_site": {"steps": []}, **case} for case, _wanted in cases])
    assert seen == [wanted for _case, wanted in cases]


def tasks_of(role: str) -> t.Iterator[dict[str, t.Any]]:
    for path in sorted((ROOT / "roles" / role / "tasks").glob("*.yml")):
        if not path.name.startswith(APART[role]):
            yield from tasks(path)


@pytest.mark.parametrize("role", APART)
def test_no_task_that_changes_something_is_forgotten(role: str) -> None:
    known = yaml.safe_load(DRIFT.read_text(encoding="utf-8"))
    seen = 0
    for task in tasks_of(role):
        modules = {key.rpartition(".")[2] for key in task if key.startswith(("ansible.builtin.", "routed_ipsec.vti."))}
        if modules <= READERS or task.get("changed_when") is False or task["name"] in FOLLOW:
            continue
        seen += 1
        assert task.get("register") in known["drift_tasks"], task["name"]
    assert seen > 3


def test_nothing_is_waited_for_that_no_task_registers() -> None:
    known = yaml.safe_load(DRIFT.read_text(encoding="utf-8"))
    registered = {
        name
        for path in (ROOT / "roles").glob("*/tasks/*.yml")
        for name in re.findall(r"register: (\w+)", path.read_text(encoding="utf-8"))
    }
    assert {*known["drift_tasks"], *known["drift_packages"]} <= registered
    assert set(re.findall(r"__\w+", known["drift_found"])) <= registered
