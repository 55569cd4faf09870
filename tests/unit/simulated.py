# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A simulated FreeBSD host as the collection's System, and the modules' loop on it."""

from __future__ import annotations

import contextlib
import json

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.converge import Loop
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import CommandError, FileError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.steps import RemoveFile, Result, WriteFile
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.system import File, execute
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site import desire
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.arguments import ARGUMENTS
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.checks import ready
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.observe import observe
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.transition import transition
from ansible_collections.routed_ipsec.vti.tests.sim.freebsd import FreeBSD, Network


class SimulatedSystem:
    """System on a simulated host. ``fail_at`` makes the n-th step that is applied fail (counted from 0)."""

    platform = "FreeBSD"
    python = "/usr/local/bin/python3.11"

    def __init__(self, host: FreeBSD) -> None:
        self.host = host
        self.applied: list[str] = []
        self.commands: list[tuple[str, ...]] = []
        self.fail_at: int | None = None

    def run(self, argv, *, stdin=None, timeout=30.0):
        self.commands.append(tuple(argv))
        result = self.host.run(list(argv), stdin)
        if result.rc == 127:
            raise CommandError(argv, "not found on this host; install the package that has it")
        return Result(result.rc, result.stdout, result.stderr)

    def read(self, path):
        text = self.host.files.get(path)
        return None if text is None else File(text, self.host.files.modes.get(path, 0o644))

    def names(self, directory):
        prefix = directory.rstrip("/") + "/"
        return tuple(sorted({path[len(prefix) :].split("/")[0] for path in self.host.files if path.startswith(prefix)}))

    def exists(self, path):
        return path in self.host.files

    def apply(self, step):
        if self.fail_at is not None and len(self.applied) == self.fail_at:
            self.fail_at = None
            raise FileError(f"{step}: No space left on device")
        self.applied.append(str(step))
        if isinstance(step, WriteFile):
            mode = step.mode if step.mode is not None else self.host.files.modes.get(step.path, 0o644)
            self.host.files[step.path] = step.content
            self.host.files.modes[step.path] = mode
        elif isinstance(step, RemoveFile):
            self.host.files.pop(step.path, None)
        else:
            execute(self, step)

    @contextlib.contextmanager
    def exclusive(self):
        yield


def options(kind: str, given: dict) -> dict:
    """Options as AnsibleModule would hand them over."""
    result = ArgumentSpecValidator(ARGUMENTS[kind]).validate(given)
    assert not result.error_messages, result.error_messages
    return result.validated_parameters


def plan(system: SimulatedSystem, kind: str, **given):
    """What a module would do: the host as it is, as it should be, and the steps between."""
    before = observe(system)
    after = getattr(desire, kind)(options(kind, given), before)
    return before, after, tuple(transition(before, after))


def run(system: SimulatedSystem, kind: str, **given) -> list[str]:
    """Run a module for real; return its steps."""
    before, after, steps = plan(system, kind, **given)
    if steps:
        ready(before, steps)
        Loop(system, observe=observe, transition=transition).carry_out(steps, before, after)
    return [str(step) for step in steps]


def snapshot(host: FreeBSD) -> dict:
    """All there is to see of a host, but for counters and clocks.

    An interface that has had an IPv6 address once keeps its link-local one (nd6 options): the kernel's doing.
    """
    state = json.loads(host.to_json())
    charon = state.pop("charon")
    return {
        "files": dict(host.files),
        "modes": {path: mode for path, mode in host.files.modes.items() if path in host.files},
        "interfaces": _interfaces(host),
        "routes": sorted(_lines(host, "netstat", "-rn")),
        "sysctls": [line for line in _lines(host, "sysctl", "-a") if "boottime" not in line],
        "services": sorted(state.get("services", ())),
        "pf": _lines(host, "pfctl", "-sr") + _anchored(host),
        "connections": charon["conns"],
        "secrets": charon["secrets"],
    }


def _anchored(host: FreeBSD) -> list[str]:
    return [f"{anchor}: {rule}" for kind in ("nat", "filter", "scrub") for anchor, rule in host.pf.effective(kind)]


def _interfaces(host: FreeBSD) -> dict[str, list[str]]:
    """The lines of each interface, sorted: the order of addresses is that of their making."""
    found: dict[str, list[str]] = {}
    for line in _lines(host, "ifconfig", "-a"):
        name = line.split(":")[0] if line[0].isalpha() else list(found)[-1]
        found.setdefault(name, []).append(line)
    return {name: sorted(lines) for name, lines in found.items()}


def _lines(host: FreeBSD, *argv: str) -> list[str]:
    return [
        line for line in host.run(list(argv)).stdout.splitlines() if "fe80::" not in line and "nd6 options" not in line
    ]


def pair() -> tuple[FreeBSD, FreeBSD]:
    """HQ and a branch on one network, strongSwan running."""
    network = Network()
    hosts = []
    for name, wan, lan in (("hq", "192.0.2.1/24", "10.1.0.1/24"), ("branch", "192.0.2.2/24", "10.2.0.1/24")):
        host = FreeBSD(
            name,
            {"vtnet0": [wan, f"2001:db8::{wan[8]}/64"], "vtnet1": [lan]},
            network,
            gateway="192.0.2.254,2001:db8::fe",
        )
        host.files["/etc/rc.conf"] += 'strongswan_enable="YES"\n'
        assert host.run(["service", "strongswan", "start"]).rc == 0
        hosts.append(host)
    return hosts[0], hosts[1]
