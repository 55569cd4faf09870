# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cut the links of a running tests/lab/gateways.lab one after the other, and tell where each packet went meanwhile.

The branch's LAN pings the headquarters' LAN all the time, and an address on the Internet; its guests ping two, of which
one has a policy route with on_down: follow, the other one with on_down: block. The stages:

    first      as it should be: everything is on the first tunnel
    second     the branch's first WAN link is cut
    back       it is whole again
    none       ESP and IKE are cut, and with them both tunnels
    again      they are whole again

A stage counts from when its way is taken until the ping has sent WINDOW packets more. What it waits for that does
not come within PATIENCE seconds ends the program with 1, which says what it was.

Prints one JSON object: ``stages`` (see Stage.report()), ``failover`` (see failover()), ``defaults`` (each change of a
default route of the branch's main table, as ip-monitor(8) tells it), ``leaks`` (how many packets left the branch in
clear that must not, whenever it was, and some of them). Times are seconds of the lab's clock.
Environment: VTI_LAB_STATE, as for `lab`.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import itertools
import json
import pathlib
import re
import subprocess
import sys
import threading
import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LAB = str(pathlib.Path(__file__).resolve().parents[3] / "tests/lab/lab")
PATIENCE = 60
WINDOW = 50
INTERVAL = 0.02

LAN, GUEST, HQ_LAN = "10.2.0.10", "10.2.1.10", "10.1.0.10"
BLOCK, FOLLOW = "192.0.2.130", "192.0.2.200"
TUNNELS = {1: "ipsec1", 2: "ipsec2"}
UPLINKS = ("branch1-wan0", "branch1-wan1")  # as wan calls them
FLOWS = {"lan": (LAN, HQ_LAN), "internet": (LAN, BLOCK), "block": (GUEST, BLOCK), "follow": (GUEST, FOLLOW)}
GROUPS = {"branch1": "FAILOVER", "hq": "BRANCH1"}

STATUS = "/run/routed_ipsec/status.json"
TCPDUMP = ("tcpdump", "-i", "any", "-n", "-tt", "-l", "--immediate-mode", "-B", "8192")
PACKET = re.compile(
    r"(?P<when>[\d.]+) (?P<interface>\S+) +(?P<way>In|Out) +IP (?P<source>[\d.]+) > (?P<target>[\d.]+): "
    r"(?:ICMP echo (?P<echo>request|reply), id \d+, seq (?P<number>\d+)|(?P<esp>ESP))"
)
ANSWER = re.compile(r"\[(?P<when>[\d.]+)\] \d+ bytes from [\d.]+: icmp_seq=(?P<number>\d+) ")
DEFAULT = re.compile(r"(Deleted )?(\w+ )?(default|0\.0\.0\.0/0|::/0) ")

# Before everything else and after it: also what is for wan itself, and what comes from it.
CUT_LINK = """table inet cut {
  chain in { type filter hook prerouting priority -400; iifname "branch1-wan0" drop; }
  chain out { type filter hook postrouting priority 400; oifname "branch1-wan0" drop; }
}"""
CUT_TUNNELS = """table inet cut {
  chain in { type filter hook prerouting priority -400; meta l4proto esp drop; udp dport { 500, 4500 } drop; }
}"""


def run(host: str, *argv: str, stdin: str = "") -> str:
    command = [LAB, "exec", host, *argv]
    return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout


class Tap:
    """A program on a host, and the lines that it has printed so far."""

    def __init__(self, host: str, *argv: str) -> None:
        self.host = host
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [LAB, "exec", host, "sh", "-c", 'echo $$; exec "$@" 2>&1', "sh", *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.pid = self.process.stdout.readline().strip()
        self.reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self.reader.start()

    def _read(self, stream: t.IO[str]) -> None:
        for line in stream:
            self.take(line.rstrip("\n"))

    def take(self, line: str) -> None:
        self.lines.append(line)

    def stop(self) -> None:
        if self.process.poll() is None:
            run(self.host, "kill", "-INT", self.pid)
        self.process.wait(timeout=30)
        self.reader.join(timeout=30)


@dataclasses.dataclass(frozen=True)
class Packet:
    """One packet on one interface; ``what`` is request, reply or esp."""

    when: float
    interface: str
    way: str
    source: str
    target: str
    what: str
    number: int


class Capture(Tap):
    """tcpdump(8) on all interfaces of a host."""

    def __init__(self, host: str, *argv: str) -> None:
        self.packets: list[Packet] = []
        super().__init__(host, *TCPDUMP, *argv)
        soon(lambda: any("listening" in line for line in self.lines), f"tcpdump on {host} listens")

    def take(self, line: str) -> None:
        found = PACKET.match(line)
        if found is None:
            super().take(line)
            return
        self.packets.append(
            Packet(
                float(found["when"]),
                *(found[name] for name in ("interface", "way", "source", "target")),
                found["echo"] or "esp",
                int(found["number"] or 0),
            )
        )


class Ping(Tap):
    """ping(8): when each answer came, by sequence number."""

    def __init__(self, host: str, target: str, interval: float) -> None:
        self.answers: dict[int, float] = {}
        super().__init__(host, "ping", "-n", "-D", "-i", f"{interval}", target)

    def take(self, line: str) -> None:
        found = ANSWER.match(line)
        if found is None:
            super().take(line)
        else:
            self.answers[int(found["number"])] = float(found["when"])


def soon(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"waited {PATIENCE} s in vain until {what}")
        time.sleep(0.05)


@dataclasses.dataclass
class Watch:
    """Everything that runs while the links are cut."""

    branch: Capture
    wan: Capture
    routes: Tap
    pings: dict[str, Ping]

    def now(self) -> float:
        """The lab's clock, which all stamps are of."""
        return float(run("wan", "date", "+%s.%N"))

    def cut(self, rules: str) -> float:
        return float(run("wan", "sh", "-c", "nft -f - && date +%s.%N", stdin=rules))

    def mend(self) -> float:
        return float(run("wan", "sh", "-c", "nft delete table inet cut && date +%s.%N"))

    def lan_on(self, interface: str, after: float) -> bool:
        """Whether what the LANs send each other takes one tunnel both ways, and is answered."""
        for what, way in (("request", "Out"), ("reply", "In")):
            last = [p for p in self.branch.packets[-100:] if p.what == what and p.way == way and p.when > after]
            last = [p for p in last if p.interface.startswith("ipsec")][-10:]
            if len(last) < 10 or {p.interface for p in last} != {interface}:
                return False
        return True

    def answered(self, name: str, after: float) -> bool:
        return bool(self.pings[name].answers) and max(self.pings[name].answers.values()) > after

    def refused(self, after: float) -> bool:
        """Whether guests may no longer send anything anywhere but where a rule says follow, and that goes out."""
        source, target = FLOWS["follow"]
        out = [p for p in self.wan.packets[-200:] if (p.source, p.target) == (source, target) and p.when > after]
        blocked = any("unreachable" in line and "table" in line for line in self.routes.lines)
        return blocked and any(p.interface in UPLINKS for p in out)

    def window(self) -> tuple[float, float]:
        """From now on until WINDOW packets more have come through the LAN's flood."""
        begin = self.now()

        def sent() -> bool:
            return sum(p.when > begin and p.way == "In" and p.what == "request" for p in self.branch.packets) >= WINDOW

        soon(sent, "the flood has gone on")
        return begin, self.now()


@dataclasses.dataclass
class Stage:
    begin: float
    end: float

    def report(self, watch: Watch) -> dict[str, t.Any]:
        """What became of the packets of a stage.

        ``lan``: the LAN's requests by the interface they took, ``back``: their answers likewise; ``lost``: requests
        without an answer; ``plain``: packets on the branch's links that are not encrypted, by flow; ``esp``: encrypted
        ones by the address they come from; ``answered``: answers by flow.
        """
        inside = [p for p in watch.branch.packets if self.begin <= p.when <= self.end]
        outside = [p for p in watch.wan.packets if self.begin <= p.when <= self.end and p.interface in UPLINKS]
        requests = [p for p in inside if p.what == "request"]
        # What is under way when the next link is cut is no loss of this stage.
        sent = {p.number for p in requests if p.way == "In" and p.when < self.end - 0.2}
        return {
            "lan": collections.Counter(p.interface for p in requests if p.way == "Out"),
            "back": collections.Counter(p.interface for p in inside if p.what == "reply" and p.way == "In"),
            "lost": sum(number not in watch.pings["lan"].answers for number in sent),
            "plain": {
                name: sum((p.source, p.target) == flow for p in outside if p.what != "esp")
                for name, flow in FLOWS.items()
            },
            "esp": collections.Counter(p.source for p in outside if p.what == "esp"),
            "answered": {
                name: sum(self.begin <= when <= self.end for when in ping.answers.values())
                for name, ping in watch.pings.items()
            },
        }


def failover(ping: Ping, begin: float, end: float) -> dict[str, t.Any]:
    """``lost``: how many pings between the answers of a time have none; ``outage``: the longest time without one."""
    answers = sorted((when, number) for number, when in ping.answers.items())
    pairs = [(one, two) for one, two in itertools.pairwise(answers) if begin < two[0] <= end]
    return {
        "lost": sum(max(two[1] - one[1] - 1, 0) for one, two in pairs),
        "outage": round(max((two[0] - one[0] for one, two in pairs), default=0), 3),
    }


def group(host: str) -> dict[str, t.Any]:
    """What the monitor of a host says of the group that its route to the other LAN leads through; {} before it does."""
    said = json.loads(run(host, "sh", "-c", f"cat {STATUS} || echo '{{}}'"))
    found: dict[str, t.Any] = said.get("groups", {}).get(GROUPS[host], {})
    return found


def agreed(tier: int | None) -> bool:
    """Whether the monitors of both ends have chosen that tier, None being none."""
    return all(group(host).get("tier", 0) == tier for host in GROUPS)


@contextlib.contextmanager
def watching() -> Iterator[Watch]:
    with contextlib.ExitStack() as stack:

        def keep(tap: t.Any) -> t.Any:
            stack.callback(tap.stop)
            return tap

        stack.callback(run, "wan", "sh", "-c", "nft delete table inet cut 2> /dev/null || :")
        yield Watch(
            keep(Capture("branch1", f"icmp and host {LAN} and host {HQ_LAN}")),
            keep(Capture("wan", "-Q", "in", "icmp or esp")),
            keep(Tap("branch1", "ip", "-o", "monitor", "route")),
            {
                "lan": keep(Ping("branch1-lan", HQ_LAN, INTERVAL)),
                "internet": keep(Ping("branch1-lan", BLOCK, 0.1)),
                "block": keep(Ping("branch1-guest", BLOCK, 0.1)),
                "follow": keep(Ping("branch1-guest", FOLLOW, 0.1)),
            },
        )


def main() -> None:
    stages: dict[str, Stage] = {}
    times: dict[str, float] = {}
    with watching() as watch:

        def settle(name: str, tier: int, flows: tuple[str, ...]) -> None:
            begun = times.get(name, 0.0)
            interface = TUNNELS[tier]
            soon(lambda: watch.lan_on(interface, begun), f"{name}: the LANs' packets are on {interface}")
            soon(lambda: agreed(tier), f"{name}: both monitors have chosen tier {tier}")
            for flow in flows:
                soon(functools.partial(watch.answered, flow, begun), f"{name}: {flow} is answered")
            stages[name] = Stage(*watch.window())

        settle("first", 1, tuple(FLOWS))
        times["second"] = watch.cut(CUT_LINK)
        settle("second", 2, ("lan", "block", "follow"))
        noticed = {host: float(group(host)["since"]) for host in GROUPS}
        times["back"] = watch.mend()
        settle("back", 1, tuple(FLOWS))
        times["none"] = watch.cut(CUT_TUNNELS)
        soon(lambda: agreed(None), "none: both monitors have no tunnel left")
        soon(lambda: watch.refused(times["none"]), "none: guests are refused, or let out in clear")
        stages["none"] = Stage(*watch.window())
        times["again"] = watch.mend()
        settle("again", 1, tuple(FLOWS))
    ping = watch.pings["lan"]
    secret = (FLOWS["lan"], FLOWS["block"])
    leaks = [p for p in watch.wan.packets if (p.source, p.target) in secret and p.interface in UPLINKS]
    result = {
        "interval": INTERVAL,
        "stages": {name: stage.report(watch) for name, stage in stages.items()},
        "failover": {
            "there": {
                **failover(ping, times["second"], times["back"]),
                "noticed": {host: round(when - times["second"], 3) for host, when in noticed.items()},
            },
            "back": {
                **failover(ping, times["back"], times["none"]),
                "after": round(stages["back"].begin - times["back"], 3),
            },
        },
        "defaults": [line for line in watch.routes.lines if DEFAULT.match(line) and " table " not in line],
        "leaks": {"count": len(leaks), "examples": [str(p) for p in leaks[:5]]},
    }
    json.dump(result, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
