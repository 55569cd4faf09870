# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one loop every module runs: observe, desire, transition, apply; undone as a whole when a step fails."""

from __future__ import annotations

import contextlib
import typing as t

from .errors import NotConverged, VtiError
from .secret import mask
from .system import HostSystem

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ansible.module_utils.basic import AnsibleModule

    from .steps import Step
    from .system import System


S = t.TypeVar("S", bound="State")


class State(t.Protocol):
    """A snapshot of a node: comparable, and able to say how it differs from another."""

    def describe(self, other: t.Any) -> dict[str, t.Any]:
        """Say what differs from ``other``, in the words of the modules' options; secrets as Secret."""

    def owning(self: S, other: S) -> S:
        """Return the same, responsible for as much of the node as ``other`` is."""


class Loop(t.Generic[S]):
    """The functions of a resource, and the node they work on."""

    def __init__(
        self,
        system: System,
        *,
        observe: Callable[[System], S],
        transition: Callable[[S, S], Iterable[Step]],
    ) -> None:
        self.system = system
        self.observe = observe
        self.transition = transition

    def carry_out(self, steps: tuple[Step, ...], before: S, after: S) -> None:
        """Apply steps and check the outcome; on any failure bring the node back to ``before`` and raise."""
        try:
            for step in steps:
                self.system.apply(step)
            missing = tuple(self.transition(self.observe(self.system), after))
            if missing:
                raise NotConverged(
                    "the host does not hold the requested state after applying it; still to do: "
                    + "; ".join(map(str, missing))
                )
        except VtiError as error:
            undone, failed = self._undo(before.owning(after))
            # The same class, so that callers can still tell what kind of failure it was.
            error.args = (_with_outcome(str(error), undone, failed),)
            error.details.update(undone=undone, not_undone=failed)
            raise

    def _undo(self, before: S) -> tuple[list[str], list[str]]:
        """Go from whatever was reached back to ``before``; a step that fails does not keep the others from running."""
        undone: list[str] = []
        failed: list[str] = []
        try:
            for step in self.transition(self.observe(self.system), before):
                try:
                    self.system.apply(step)
                    undone.append(str(step))
                except VtiError as error:
                    failed.append(f"{step}: {error}")
        except VtiError as error:
            failed.append(f"the host cannot be observed: {error}")
        return undone, failed


def _with_outcome(message: str, undone: list[str], failed: list[str]) -> str:
    if failed:
        return f"{message}. Going back failed in part, run again once this is mended: {'; '.join(failed)}"
    return f"{message}. The host is as it was before" + (f" ({len(undone)} steps undone)" if undone else "")


def converge(
    module: AnsibleModule,
    *,
    observe: Callable[[System], S],
    desire: Callable[[Mapping[str, t.Any], S], S],
    transition: Callable[[S, S], Iterable[Step]],
    report: Callable[[S], dict[str, t.Any]],
    ready: Callable[[S, tuple[Step, ...]], None],
) -> t.NoReturn:
    """Bring a node to its desired state and report what that took.

    ``report`` gives the module's own return values from the state reached; ``ready`` raises VtiError when the node
    lacks what the steps need. In check mode nothing has been prepared yet, so what ``ready`` says is a warning.
    """
    system = HostSystem()
    loop = Loop(system, observe=observe, transition=transition)
    try:
        with contextlib.nullcontext() if module.check_mode else system.exclusive():
            before = observe(system)
            after = desire(module.params, before)
            steps = tuple(transition(before, after))
            if steps:
                _require(module, ready, before, steps)
            if steps and not module.check_mode:
                loop.carry_out(steps, before, after)
    except VtiError as error:
        module.fail_json(msg=str(error), **error.details)
    old, new = before.describe(after), after.describe(before)
    module.exit_json(
        changed=bool(steps),
        steps=[str(step) for step in steps],
        diff={"before": mask(old, unless=new, say="old secret"), "after": mask(new, unless=old, say="new secret")},
        **report(after),
    )


def _require(
    module: AnsibleModule,
    ready: Callable[[S, tuple[Step, ...]], None],
    state: S,
    steps: tuple[Step, ...],
) -> None:
    try:
        ready(state, steps)
    except VtiError as error:
        if not module.check_mode:
            raise
        module.warn(str(error))
