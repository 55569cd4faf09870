# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Simulated FreeBSD hosts to log in to, and timed runs of Ansible on them.

A stand-in for a program takes Python's start and more, where FreeBSD's own takes milliseconds. So the hosts get a
script in its place: ``TIMED`` notes how long the stand-in took, to be subtracted; ``RECORDED`` asks it once for each
command line and repeats its answer from then on, which is right as long as nothing changes.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import typing as t

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
BENCH = CHECKOUT / "tests" / "bench"
HOSTS = str(CHECKOUT / "tests" / "sim" / "hosts")
TIMED = """#!/bin/bash
began=$EPOCHREALTIME
/usr/local/lib/freebsd-sim/programs/"${0##*/}" "$@"
code=$?
echo "$began $EPOCHREALTIME" >>/var/db/freebsd-sim/times
exit $code
"""
RECORDED = """#!/bin/bash
command="${0##*/} $*"
answer="/var/db/freebsd-sim/answers/${command////_}"
if [ ! -e "$answer" ]; then
    /usr/local/lib/freebsd-sim/programs/"${0##*/}" "$@" >"$answer.new" || exit
    mv "$answer.new" "$answer"
fi
while IFS= read -r line; do echo "$line"; done <"$answer"
"""
INSTALL = """
mkdir -p /usr/local/lib/freebsd-sim/programs /var/db/freebsd-sim/answers
cat >/usr/local/lib/freebsd-sim/script
chmod 755 /usr/local/lib/freebsd-sim/script
for program in $(find /usr/sbin /usr/bin /usr/local/sbin -lname '*/sim/standin'); do
    ln -sf /usr/local/lib/freebsd-sim/sim/standin /usr/local/lib/freebsd-sim/programs/
    mv /usr/local/lib/freebsd-sim/programs/standin "/usr/local/lib/freebsd-sim/programs/${program##*/}"
    ln -sf /usr/local/lib/freebsd-sim/script "$program"
done
"""
STATE = os.environ.get("VTI_SIM_STATE") or "/run/vti-lab/bench"


class Machines:
    """Hosts that run, and how Ansible reaches them; ``directory`` is for what the runs need."""

    def __init__(self, names: list[str], directory: pathlib.Path) -> None:
        self.names = names
        self.directory = directory
        self._inventory = directory / "inventory"
        self.use(len(names))
        config = subprocess.run([HOSTS, "ssh-config"], env=_environment(), stdout=subprocess.PIPE, check=True).stdout
        (directory / "ssh_config").write_bytes(config)

    def use(self, count: int) -> None:
        """Have the runs that follow use the first hosts only."""
        self._inventory.write_text("".join(f"{name}\n" for name in self.names[:count]))

    def do(self, name: str, *argv: str, stdin: str = "") -> str:
        """Run a command on a host; return what it says."""
        command = [HOSTS, "exec", name, *argv]
        return subprocess.run(
            command, env=_environment(), input=stdin, capture_output=True, text=True, check=True
        ).stdout

    def put_before_programs(self, script: str) -> None:
        """Have TIMED or RECORDED called in place of the stand-ins."""
        for name in self.names:
            self.do(name, "sh", "-c", INSTALL, stdin=script)

    def seconds_in_programs(self) -> float:
        """How long the stand-ins of all hosts took since this was asked last."""
        said = "".join(self.do(name, "sh", "-c", "cd /var/db/freebsd-sim; cat times; : >times") for name in self.names)
        return sum(float(line.split()[1]) - float(line.split()[0]) for line in said.splitlines())

    def playbook(self, name: str, **variables: t.Any) -> tuple[float, bool]:
        """Run a playbook of this directory: its seconds, and whether any host was changed."""
        given = self.directory / "variables.json"
        given.write_text(json.dumps(variables))
        seconds, said = self._run("ansible-playbook", str(BENCH / name), "--extra-vars", f"@{given}")
        return seconds, bool(re.search(r"changed=[1-9]", said))

    def ping(self) -> float:
        """Run ``ansible -m ping`` on all hosts: its seconds."""
        return self._run("ansible", "all", "--module-name", "ansible.builtin.ping")[0]

    def _run(self, *argv: str) -> tuple[float, str]:
        ssh = f"-F {self.directory}/ssh_config -o ControlMaster=auto -o ControlPersist=300s"
        environment = {
            **_environment(),
            "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".cache" / "collections"),
            "ANSIBLE_HOME": str(CHECKOUT / ".cache" / "ansible"),
            "ANSIBLE_FORKS": str(max(5, len(self.names))),
            "ANSIBLE_INVENTORY": str(self._inventory),
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
            "ANSIBLE_REMOTE_USER": "root",
            "ANSIBLE_SSH_ARGS": ssh,
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.directory / "control"),
        }
        began = time.monotonic()
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(argv)}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return time.monotonic() - began, done.stdout


@contextlib.contextmanager
def machines(count: int, addresses: str) -> t.Iterator[Machines]:
    """Hosts with strongSwan running, removed at the end; ``addresses`` as in a file for tests/sim/hosts."""
    names = [f"host{number}" for number in range(count)]
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        (directory / "hosts.sim").write_text("".join(f"{name} {addresses}\n" for name in names))
        try:
            _hosts("up", f"{directory}/hosts.sim")
            found = Machines(names, directory)
            for host in names:
                found.do(host, "service", "strongswan", "onestart")
            yield found
        finally:
            _hosts("stop")


def _hosts(*arguments: str) -> None:
    subprocess.run([HOSTS, *arguments], env=_environment(), stdout=subprocess.DEVNULL, check=True)


def _environment() -> dict[str, str]:
    return {**os.environ, "VTI_SIM_STATE": STATE}
