# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show and log what vti_site reports: one line of JSON for each run of ansible-playbook that called it.

A line is `{"check": bool, "steps": {HOST: [STEP]}, "changed": {HOST: [TASK]}}`: the steps of vti_site, and the names of
all tasks that changed the host (in check mode: would have). The file is steps.jsonl in molecule's ephemeral directory.
"""

from __future__ import annotations

DOCUMENTATION = r"""
name: steps
type: aggregate
short_description: Show and log the steps vti_site reports
description:
  - Shows each step, and appends a line of JSON to C(steps.jsonl) in C(MOLECULE_EPHEMERAL_DIRECTORY) for each run that
    called vti_site.
requirements:
  - enabled in the configuration
"""

import collections
import json
import os
import pathlib

from ansible import context
from ansible.plugins.callback import CallbackBase

ACTION = "routed_ipsec.vti.vti_site"


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "steps"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self.steps = collections.defaultdict(list)
        self.changed = collections.defaultdict(list)

    def v2_runner_on_ok(self, result):
        host, task, returned = result.host.get_name(), result.task, result.result
        if task.resolved_action == ACTION:
            self.steps[host] += returned["steps"]
            for step in returned["steps"]:
                self._display.display(f"    {host}: {step}")
        if returned.get("changed"):
            self.changed[host].append(task.get_name())

    def v2_playbook_on_stats(self, stats):
        directory = os.environ.get("MOLECULE_EPHEMERAL_DIRECTORY")
        if directory and self.steps:
            line = {"check": bool(context.CLIARGS.get("check")), "steps": self.steps, "changed": self.changed}
            with pathlib.Path(directory, "steps.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")
