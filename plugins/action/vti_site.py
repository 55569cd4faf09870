# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All modules that change something: in check mode each is told what the tasks before it would have done."""

from __future__ import annotations

import os
import typing as t

from ansible.plugins.action import ActionBase

_PREDICTED = "_predicted"
"""The modules' hidden option, and what they return beside the documented values."""
_FACT = "_routed_ipsec_predicted"
"""Where the predictions for a host are kept, without secrets; never written by a run that changes something."""


class ActionModule(ActionBase):
    """Run the module of the task. A prediction is a module's kind and its options, replayed by the next module.

    So a play in check mode predicts what the same play would do, though nothing that it refers to exists yet.
    """

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return the module's result."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = dict(self._task.args)
        earlier = self._earlier(variables) if self._task.check_mode else None
        if earlier is not None:
            arguments[_PREDICTED] = earlier
        asynchronous = bool(self._task.async_val) and not self._connection.has_native_async
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars, wrap_async=asynchronous))
        prediction = result.pop(_PREDICTED, None)
        if prediction is not None and result.get("changed"):
            kept = {"run": _run(), "predictions": [*(earlier or ()), prediction]}
            result["ansible_facts"] = {_FACT: kept}
        return result

    @staticmethod
    def _earlier(variables: dict[str, t.Any]) -> list[dict[str, t.Any]]:
        """What this run has predicted for the host; a fact that a cache has kept from another run does not count."""
        kept = variables.get("ansible_facts", {}).get(_FACT) or {}
        return list(kept["predictions"]) if kept.get("run") == _run() else []


def _run() -> int:
    """Tells this run from others: tasks run in children of one process."""
    return os.getppid()
