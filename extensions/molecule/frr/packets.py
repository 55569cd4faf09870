# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow pings between the branches' LANs of a running tests/lab/frr.lab.

packets.py begin FILE   have pings and captures run on their own, FILE says which
packets.py end FILE     end them: ``sent`` and ``lost`` pings of ``interval`` seconds, packets between LANs that wan has
                        seen ``in_clear`` and ``encrypted``
packets.py failover     end charon on the first hub, start it again: which hub the requests have gone through at
                        ``first``, then (``second``), and ``again``; ``there`` and ``back``: pings ``lost``, the
                        longest time without an answer (``outage``, seconds), and when the last one of the other hub
                        was (``after``)
packets.py way          which ``hubs`` a hundred requests go through, and how many are ``lost``

Prints one JSON object. Environment: VTI_LAB_STATE, as for `lab`.
"""

from __future__ import annotations

import collections
import itertools
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable

LAB = str(pathlib.Path(__file__).resolve().parents[3] / "tests/lab/lab")
PATIENCE = 150
INTERVAL = 0.02
# While gateways are deployed, which takes minutes: every packet costs the lab's kernel time that they need.
SLOW = 0.1
SOURCE, TARGET = "10.2.0.10", "10.3.0.10"
HUBS = ("hq", "hq2")
# On the branch, so that all stamps are of one clock and one interface tells the hub: its addresses do.
TUNNELS = {"ipsec2": "hq", "ipsec2847": "hq2"}
ANSWER = re.compile(r"\[(?P<when>[\d.]+)\] \d+ bytes from [\d.]+: icmp_seq=(?P<number>\d+) ")
REQUEST = re.compile(r"(?P<when>[\d.]+) (?P<interface>\S+) +Out +IP .* echo request, id \d+, seq (?P<number>\d+)")
CAPTURE = ("tcpdump", "-i", "any", "-n", "-tt", "-l", "--immediate-mode", "-B", "8192")
ROUTED = (*CAPTURE, "icmp[icmptype] == icmp-echo", "and", "src", SOURCE)
OUTSIDE = (*CAPTURE, "-Q", "in", "esp", "or", "net", "10.0.0.0/8")


def run(host: str, *argv: str) -> str:
    return subprocess.run([LAB, "exec", host, *argv], capture_output=True, text=True, check=True, timeout=60).stdout


def start(host: str, path: str, *argv: str) -> dict[str, t.Any]:
    """Run a program on a host, its output in a file; it outlives this one."""
    with open(path, "w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [LAB, "exec", host, "sh", "-c", 'echo $$; exec "$@" 2>&1', "sh", *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    soon(lambda: bool(read(path)), f"{argv[0]} runs on {host}")
    return {"host": host, "path": path, "pid": read(path)[0], "local": process.pid}


def stop(program: dict[str, t.Any]) -> list[str]:
    """End a program of start(), even one that another run has started, and return the lines it has printed."""
    run(program["host"], "kill", "-INT", program["pid"])
    soon(lambda: not alive(program["local"]), f"{program['path']} is complete")
    return read(program["path"])[1:]


def alive(pid: int) -> bool:
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")


def read(path: str) -> list[str]:
    return pathlib.Path(path).read_text(encoding="utf-8", errors="replace").splitlines()


def soon(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"waited {patience} s in vain until {what}")
        time.sleep(0.1)


def programs(prefix: str, interval: float = INTERVAL) -> dict[str, dict[str, t.Any]]:
    ping = ("ping", "-n", "-D", "-i", f"{interval}", TARGET)
    wan = start("wan", f"{prefix}.wan", *OUTSIDE)
    way = start("branch1", f"{prefix}.way", *ROUTED)
    for one in (wan, way):
        soon(lambda one=one: any("listening" in line for line in read(one["path"])), "tcpdump listens")  # type: ignore[misc]
    return {"wan": wan, "way": way, "ping": start("branch1-lan", f"{prefix}.ping", *ping)}


def outside(lines: list[str]) -> dict[str, int]:
    packets = [line for line in lines if " IP " in line]
    return {
        "in_clear": sum(": ESP(" not in line for line in packets),
        "encrypted": sum(": ESP(" in line for line in packets),
    }


def answers(lines: list[str]) -> dict[int, float]:
    found = (ANSWER.match(line) for line in lines)
    return {int(one["number"]): float(one["when"]) for one in found if one}


def requests(lines: list[str]) -> list[tuple[float, str]]:
    """When each request left the branch, and through which hub, or nothing, it did."""
    found = (REQUEST.match(line) for line in lines)
    return [(float(one["when"]), TUNNELS.get(one["interface"], one["interface"])) for one in found if one]


def begin(path: str) -> None:
    pathlib.Path(path).write_text(json.dumps(programs(path, SLOW)), encoding="utf-8")


def end(path: str) -> dict[str, t.Any]:
    running = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    lines = {name: stop(running[name]) for name in ("ping", "way", "wan")}
    summary = re.search(r"(\d+) packets transmitted, (\d+) received", "\n".join(lines["ping"]))
    if summary is None:
        sys.exit(f"ping says nothing of what it has sent: {lines['ping'][-3:]}")
    sent, received = map(int, summary.groups())
    # The last one may still be under way.
    return {"interval": SLOW, "sent": sent, "lost": max(sent - received - 1, 0), **outside(lines["wan"])}


def gaps(found: dict[int, float], since: float, until: float) -> dict[str, t.Any]:
    """``lost``: pings without an answer between answers of a time; ``outage``: the longest time without one."""
    ordered = sorted((when, number) for number, when in found.items())
    pairs = [(one, two) for one, two in itertools.pairwise(ordered) if since < two[0] <= until]
    return {
        "lost": sum(max(two[1] - one[1] - 1, 0) for one, two in pairs),
        "outage": round(max((two[0] - one[0] for one, two in pairs), default=0), 3),
    }


def now() -> float:
    return float(run("wan", "date", "+%s.%N"))


def failover(directory: str) -> dict[str, t.Any]:
    running = programs(f"{directory}/failover")

    def on(hub: str, since: float) -> bool:
        """Whether the latest requests go through a hub, and are answered."""
        last = [one for one in requests(read(running["way"]["path"])[-60:]) if one[0] > since][-30:]
        answered = max(answers(read(running["ping"]["path"])[-60:]).values(), default=0)
        return len(last) == 30 and {hub} == {one[1] for one in last} and answered > last[0][0]

    soon(lambda: on("hq", 0), "the first hub carries the pings")
    times = [now()]
    run("hq", "systemctl", "stop", "strongswan")
    times.append(now())
    soon(lambda: on("hq2", times[1]), "the second hub carries the pings")
    times.append(now())
    run("hq", "systemctl", "start", "strongswan")
    soon(lambda: on("hq", times[2]), "the first hub carries the pings again")
    times.append(now())
    lines = {name: stop(running[name]) for name in ("ping", "way", "wan")}
    found, sent = answers(lines["ping"]), requests(lines["way"])
    last = max((when for when, hub in sent if hub == "hq2"), default=0.0)

    def hubs(since: float, until: float) -> dict[str, int]:
        return collections.Counter(hub for when, hub in sent if since <= when <= until)

    return {
        "interval": INTERVAL,
        "first": hubs(times[0] - 1, times[0]),
        "second": hubs(times[2] - 0.3, times[2]),
        "again": hubs(times[3] - 0.3, times[3]),
        "there": gaps(found, times[0], times[2]),
        "back": {**gaps(found, times[2], times[3]), "after": round(last - times[2], 3)},
        **outside(lines["wan"]),
    }


def way(directory: str) -> dict[str, t.Any]:
    running = programs(f"{directory}/way")
    soon(lambda: len(requests(read(running["way"]["path"]))) > 100, "a hundred requests are sent")
    lines = {name: stop(running[name]) for name in ("ping", "way", "wan")}
    hubs = collections.Counter(hub for _when, hub in requests(lines["way"]))
    found = answers(lines["ping"])
    return {"hubs": hubs, "lost": max(found, default=1) - len(found), **outside(lines["wan"])}


def main() -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    directory = os.environ.get("MOLECULE_EPHEMERAL_DIRECTORY", "/tmp")
    kind, *paths = sys.argv[1:]
    if kind == "begin":
        begin(*paths)
        return
    result = end(*paths) if kind == "end" else {"failover": failover, "way": way}[kind](directory)
    json.dump(result, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
