# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The monitor as a process, with programs in its path that do what a test says and write down what they were told."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import typing as t

MONITOR = pathlib.Path(__file__).resolve().parents[5] / "plugins" / "module_utils" / "_monitor"
LONGEST = 30.0

# fping -l as far as the monitor uses it. For each target the file of its name says what becomes of probes: a latency
# in ms, "lost", or "refused", which has no line; or that fping is to "hang" or "die".
_FPING = r"""
import collections, os, sys, time
place = sys.argv[0].rpartition("/")[0] + "/../probes/"
words = sys.argv[1:]
assert words[0] in ("-4", "-6") and words[1] == "-l", words
options, targets = {}, []
rest = iter(words[2:])
for word in rest:
    if word.startswith("-"):
        options[word] = next(rest)
    else:
        targets.append(word)
with open(place + "started", "a") as file:
    file.write("%d %s\n" % (os.getpid(), " ".join(words)))
def read(name):
    try:
        with open(place + name) as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""
due = collections.deque()
period, patience = int(options["-p"]) / 1000, int(options["-t"]) / 1000
sent = time.monotonic()
number = 0
while True:
    for target in targets:
        what = read(target)
        if what == "die":
            print("fping: out of order", flush=True)
            sys.exit(4)
        if what == "hang":
            with open(place + "hanging", "a") as file:
                file.write(target + "\n")
            time.sleep(1000)
        if what == "lost":
            due.append((sent + patience, "%s : [%d], timed out (NaN avg, 100%% loss)" % (target, number)))
        elif what != "refused":
            print("%s : [%d], 9 bytes, %s ms (1.00 avg, 0%% loss)" % (target, number, what or "1.00"), flush=True)
    number += 1
    sent += period
    time.sleep(max(0.0, sent - time.monotonic()))
    while due and due[0][0] <= time.monotonic():
        print(due.popleft()[1], flush=True)
"""

_DPINGER = r"""
import os, sys, time
place = sys.argv[0].rpartition("/")[0] + "/../probes/"
words = sys.argv[1:]
with open(place + "started", "a") as file:
    file.write("%d %s\n" % (os.getpid(), " ".join(words)))
while True:
    time.sleep(int(words[words.index("-r") + 1]) / 1000)
    try:
        with open(place + words[-1]) as file:
            report = file.read().strip()
    except FileNotFoundError:
        report = "1000 100 0"
    print(words[words.index("-i") + 1], report, flush=True)
"""

# Notes how it was called and what it was given, and fails while there is a file fail-NAME.
_RECORDER = """#!/bin/sh
place=${0%/*}/..
name=${0##*/}
called=$(echo "$name $*"; sed 's/^/  /')
echo "$called" >>"$place/calls"
[ ! -e "$place/fail-$name" ] || { echo "$name: no" >&2; exit 1; }
"""

GATEWAY = {
    "interface": "lo", "address": "127.0.0.11", "source": "127.0.0.1", "monitor": "127.0.0.11", "force_down": False,
    "action_disable": False, "weight": 1, "interval": 20, "loss_interval": 40, "time_period": 600,
    "alert_interval": 100, "alert_hold": 100, "latencylow": 200, "latencyhigh": 500, "losslow": 10, "losshigh": 20,
    "data_payload": 1, "gw_down_kill_states": "none",
}  # fmt: skip


def until(condition: t.Callable[[], t.Any], what: object = "") -> t.Any:
    """Wait for the condition to hold, and return what it gives."""
    deadline = time.monotonic() + LONGEST
    while True:
        with contextlib.suppress(FileNotFoundError, KeyError):
            value = condition()
            if value:
                return value
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process still runs; one that has ended but was not waited for does not."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


class Host:
    """A directory with all that the monitor reads, writes and runs."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.probes = directory / "probes"
        self.hooks = directory / "hooks"
        self.config = directory / "monitor.conf"
        self.status_file = directory / "state" / "status.json"
        self.daemons: list[subprocess.Popen[str]] = []
        for made in (directory / "bin", self.probes, self.hooks):
            made.mkdir()
        (directory / "routed_ipsec_monitor").symlink_to(MONITOR)
        self.install("fping", f"#!{sys.executable} -IS\n{_FPING}")
        for name in ("ip", "route", "pfctl", "conntrack"):
            self.install(name, _RECORDER)

    def install(self, name: str, text: str) -> None:
        path = self.directory / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def install_dpinger(self) -> None:
        self.install("dpinger", f"#!{sys.executable} -IS\n{_DPINGER}")

    def configure(
        self,
        gateways: dict[str, t.Any],
        groups: dict[str, t.Any] | None = None,
        actions: list[t.Any] | None = None,
        keep: list[t.Any] | None = None,
    ) -> None:
        content = {
            "lock": str(self.directory / "lock"),
            "hooks": str(self.hooks),
            "gateways": gateways,
            "groups": groups or {},
            "actions": actions or [],
            "keep": keep or [],
        }
        self.replace_config(json.dumps(content))

    def replace_config(self, text: str) -> None:
        temporary = self.directory / "monitor.conf.new"
        temporary.write_text(text)
        temporary.replace(self.config)

    def hook(self, name: str, script: str) -> None:
        (self.hooks / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.hooks / name).chmod(0o755)

    def start(
        self, *, prober: str | None = "fping", wrap: tuple[str, ...] = (), more: tuple[str, ...] = ()
    ) -> subprocess.Popen[str]:
        words = ["--config", str(self.config), "--state", str(self.directory / "state"), *more]
        words += ["--prober", prober] if prober else []
        path = f"{self.directory}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        with (self.directory / "log").open("a") as log:
            daemon = subprocess.Popen(
                [*wrap, sys.executable, "-B", "-m", "routed_ipsec_monitor.daemon", *words],
                env={**os.environ, "PYTHONPATH": str(self.directory), "PATH": path},
                stdin=subprocess.DEVNULL,
                stderr=log,
                text=True,
            )
        self.daemons.append(daemon)
        return daemon

    def close(self) -> None:
        """End what still runs, whatever became of the test."""
        for daemon in self.daemons:
            if daemon.poll() is None:
                daemon.terminate()
                try:
                    daemon.wait(timeout=LONGEST)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()
        for pid, words in self.started():
            # Probers that outlived their monitor; what the number is now must still be one.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if words in pathlib.Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "):
                    os.kill(pid, signal.SIGKILL)

    def probe(self, target: str, what: str) -> None:
        """What becomes of probes to a target from now on."""
        temporary = self.probes / f".{target}"
        temporary.write_text(what)
        temporary.replace(self.probes / target)

    def started(self) -> list[tuple[int, str]]:
        """The probers that were started, each with its options and targets."""
        path = self.probes / "started"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(pid), words) for pid, _blank, words in (line.partition(" ") for line in lines)]

    def hanging(self) -> list[str]:
        """The targets over which a prober hangs."""
        path = self.probes / "hanging"
        return path.read_text().splitlines() if path.exists() else []

    def prober(self, target: str) -> int:
        """The process that was started last for a target."""
        return [pid for pid, words in self.started() if target in words.split()][-1]

    def running(self) -> dict[int, str]:
        """The probers as the monitor has noted them, with their command lines."""
        lines = (self.directory / "state" / "probers.pid").read_text().splitlines()
        return {int(pid): words for pid, _blank, words in (line.partition(" ") for line in lines)}

    def status(self) -> dict[str, t.Any]:
        found: dict[str, t.Any] = json.loads(self.status_file.read_text())
        return found

    def statuses(self) -> dict[str, str]:
        return {name: gateway["status"] for name, gateway in self.status()["gateways"].items()}

    def until_statuses(self, **expected: str) -> None:
        until(lambda: self.status_file.exists() and self.statuses() == expected, lambda: (self.statuses(), self.log()))

    def calls(self) -> list[str]:
        """The programs that were called, each with the lines it was given, which are set in."""
        path = self.directory / "calls"
        return re.split(r"\n(?! )", path.read_text().rstrip("\n")) if path.exists() else []

    def until_called(self, call: str, *, times: int = 1) -> None:
        until(lambda: self.calls().count(call) >= times, lambda: (call, self.calls(), self.log()))

    def events(self) -> list[str]:
        """What hooks have written down."""
        path = self.directory / "events"
        return path.read_text().splitlines() if path.exists() else []

    def log(self) -> str:
        return (self.directory / "log").read_text()

    def until_log(self, text: str) -> None:
        until(lambda: text in self.log(), lambda: (text, self.log()))
