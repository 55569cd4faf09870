# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The programs that probe: dpinger(8), one for each gateway, or fping(8), one for many.

They are told their source address and never an interface: a probe bound to an interface is dead once that is recreated.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import re
import selectors
import shutil
import socket
import subprocess
import typing as t

from .decision import Figures
from .window import Window

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

DIRECTORIES = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"
MOST_BOUND = 50
"""Up to how many fping processes each has a source of its own."""
MOST_TARGETS = 250
"""Of one fping: the buffer of its socket (net.core.rmem_default) has room for 277 replies, if they come all at once."""
_MOST_SPREAD = 100
_SPREAD = "1"
_AT_ONCE = "0.01"

_FPING = re.compile(rb"^(\S+) *: \[(\d+)\], (?:\d+ bytes, (\S+) ms|timed out)", re.MULTILINE)
_DPINGER = re.compile(rb"^(\S+) (\d+) (\d+) (\d+)$", re.MULTILINE)
_CHUNK = 65536
_STRAY_TURNS = 5
_FIRST_DELAY = 1.0
_LONGEST_DELAY = 30.0


@dataclasses.dataclass(frozen=True)
class Probe:
    """What one gateway's probes are like: times in milliseconds, ``data_payload`` in bytes, no ``source``: any."""

    gateway: str
    interface: str
    source: str | None
    monitor: str
    interval: int
    loss_interval: int
    time_period: int
    report_interval: int
    data_payload: int


@dataclasses.dataclass(frozen=True)
class Job:
    """What one process does. ``bound`` is the source it is told; without one the kernel chooses for each probe."""

    kind: t.Literal["dpinger", "fping"]
    argv: tuple[str, ...]
    probes: tuple[Probe, ...]
    bound: str | None


class FpingResult(t.NamedTuple):
    """A probe answered after ``latency`` microseconds, or not in time (None)."""

    monitor: bytes
    sequence: int
    latency: int | None


def fping_results(output: bytes) -> Iterator[FpingResult]:
    """Read whole lines of ``fping -l`` (5.1); its other lines, such as what ICMP errors came in, are passed over."""
    for monitor, sequence, latency in _FPING.findall(output):
        yield FpingResult(monitor, int(sequence), round(float(latency) * 1000) if latency else None)


def dpinger_figures(output: bytes) -> Figures | None:
    """Read the last report among whole lines of ``dpinger -f -i NAME`` (3.2): microseconds and percent.

    None when there is none, or that has nothing to report yet, which dpinger prints as zeros.
    """
    reports = _DPINGER.findall(output)
    if not reports:
        return None
    average, deviation, loss = map(int, reports[-1][1:])
    if not average and not loss:
        return None
    if not average:
        return Figures(None, None, loss)
    return Figures(average / 1000, deviation / 1000, loss)


def dpinger_job(program: str, probe: Probe) -> Job:
    source = ("-B", probe.source) if probe.source is not None else ()
    times = (("-s", probe.interval), ("-l", probe.loss_interval), ("-t", probe.time_period))
    numbers = (*times, ("-r", probe.report_interval), ("-d", probe.data_payload))
    words = (word for option, number in numbers for word in (option, str(number)))
    return Job("dpinger", (program, "-f", "-i", probe.gateway, *source, *words, probe.monitor), (probe,), probe.source)


def fping_jobs(
    program: str, probes: Iterable[Probe], kernel_source: Callable[[str], str | None], bound: int = 0
) -> list[Job]:
    """Make as few processes as is right: each has one source, one rhythm, MOST_TARGETS and no address twice.

    A process for each source is the safe way, but its probes cost five times those of a process with many (measured).
    So when there are more than MOST_BOUND of them (``bound`` run already), those gateways share processes whose source
    the kernel chooses anyway; whoever runs these must watch that it goes on doing so.
    """
    rhythms: dict[tuple[t.Any, ...], list[Probe]] = {}
    for probe in probes:
        rhythms.setdefault((probe.source, *_rhythm(probe)), []).append(probe)
    if bound + len(rhythms) > MOST_BOUND:
        split: dict[tuple[t.Any, ...], list[Probe]] = {}
        for (source, *rhythm), members in rhythms.items():
            for probe in members:
                chosen = source is not None and kernel_source(probe.monitor) == source
                split.setdefault((None if chosen else source, *rhythm), []).append(probe)
        rhythms = split
    return [
        _fping_job(program, source, members)
        for (source, *_rest), group in rhythms.items()
        for members in _shares(group)
    ]


def _rhythm(probe: Probe) -> tuple[t.Any, ...]:
    return (":" in probe.monitor, probe.interval, probe.loss_interval, probe.data_payload)


def _shares(probes: Sequence[Probe]) -> list[list[Probe]]:
    """Share probes out evenly so that nowhere two have the same target, for a result names nothing else."""
    ranks: dict[str, int] = {}
    distinct: list[list[Probe]] = []
    for probe in probes:
        rank = ranks[probe.monitor] = ranks.get(probe.monitor, -1) + 1
        if rank == len(distinct):
            distinct.append([])
        distinct[rank].append(probe)
    return [group[n::count] for group in distinct for count in [-(-len(group) // MOST_TARGETS)] for n in range(count)]


def _fping_job(program: str, source: str | None, probes: Sequence[Probe]) -> Job:
    first = probes[0]
    # A pause between packets is gentle, but costs a wake-up for each: with many targets more than all the rest. There
    # must be some pause: at 0, fping takes in replies only when all is sent, and loses a fifth of 500 (measured).
    spread = len(probes) <= min(_MOST_SPREAD, first.interval // 2)
    # -4, -6: not to be woken by the other family's packets.
    argv = [program, "-6" if ":" in first.monitor else "-4", "-l", "-i", _SPREAD if spread else _AT_ONCE]
    argv += ["-p", str(first.interval), "-t", str(first.loss_interval), "-b", str(first.data_payload)]
    argv += ["-S", source] if source is not None else []
    return Job("fping", (*argv, *(probe.monitor for probe in probes)), tuple(probes), source)


def kernel_source(destination: str) -> str | None:
    """The source address that the kernel gives packets to ``destination``; None without a route."""
    try:
        with _socket(destination) as end:
            end.connect((destination, 9))
            return str(end.getsockname()[0])
    except OSError:
        return None


def is_assigned(address: str) -> bool:
    """Whether an interface of this host has the address, ready for use."""
    try:
        with _socket(address) as end:
            end.bind((address, 0))
    except OSError:
        return False
    return True


def _socket(address: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)


class Prober:
    """One job and its process, if that runs."""

    def __init__(self, job: Job, windows: Mapping[bytes, Window]) -> None:
        """``windows`` by target, for the results of fping."""
        self.job = job
        self.windows = windows
        self.process: subprocess.Popen[bytes] | None = None
        self.output = -1
        self.interfaces: tuple[int | None, ...] = ()
        self.missing_since: float | None = None
        self.retry_at = 0.0
        self._started = 0.0
        self._heard = 0.0
        self._delay = _FIRST_DELAY
        self._rest = b""
        self._last = b""

    def start(self, now: float) -> None:
        """OSError when there is no such program. It ends by itself when it prints and nobody is there to read."""
        self.output, printed = os.pipe()
        os.set_blocking(self.output, False)
        try:
            self.process = subprocess.Popen(
                self.job.argv, stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT
            )
        except OSError:
            os.close(self.output)
            raise
        finally:
            os.close(printed)
        self._started = self._heard = now
        self._rest = self._last = b""

    def read(self, now: float) -> tuple[bytes, bool]:
        """The whole lines it has printed since, and whether there will be no more."""
        text = self._rest
        closed = False
        with contextlib.suppress(BlockingIOError):
            while not closed:
                chunk = os.read(self.output, _CHUNK)
                text += chunk
                closed = not chunk
        lines, newline, self._rest = text.rpartition(b"\n")
        if lines:
            self._heard = now
            self._last = lines.rpartition(b"\n")[2]
        return lines + newline, closed

    @property
    def has_spoken(self) -> bool:
        return bool(self._last)

    def is_silent(self, now: float) -> bool:
        """Whether it has printed nothing for so long that it must be stuck."""
        expected = [probe.report_interval if self.job.kind == "dpinger" else 0 for probe in self.job.probes]
        intervals = [probe.interval for probe in self.job.probes]
        return now - self._heard > max(5.0, 10 * max(intervals) / 1000, 3 * max(expected) / 1000)

    def last_words(self) -> str:
        return (self._rest or self._last).decode(errors="replace")

    def end(self, now: float) -> subprocess.Popen[bytes] | None:
        """End the process, if there is one, for the caller to wait for. The next start is to wait for ``retry_at``."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            os.close(self.output)
            if now - self._started > _LONGEST_DELAY:
                self._delay = _FIRST_DELAY
        self.retry_at = now + self._delay
        self._delay = min(2 * self._delay, _LONGEST_DELAY)
        return process


class Probers:
    """All of them: what they found, and that they run."""

    def __init__(self, log: Callable[[str], None], only: str | None = None) -> None:
        """``only``: dpinger or fping, whatever else there is."""
        self._log = log
        self._only = only
        self._probes: dict[str, Probe] = {}
        self._probers: list[Prober] = []
        self._prober: dict[str, Prober] = {}
        self._windows: dict[str, Window] = {}
        self._reported: dict[str, Figures] = {}
        self._dying: list[subprocess.Popen[bytes]] = []
        self._outputs = selectors.DefaultSelector()
        self._changed = False
        self._installed = True
        self._turn = 0
        self.start_at = math.inf
        """When start() will have something to do."""

    def replace(self, probes: Iterable[Probe], now: float) -> None:
        """Probe just these from now on. A process with nothing but probes as before goes on, and so does a window."""
        former, self._probes = self._probes, {probe.gateway: probe for probe in probes}
        for gateway, probe in former.items():
            if gateway not in self._probes or _measured(self._probes[gateway]) != _measured(probe):
                self._windows.pop(gateway, None)
                self._reported.pop(gateway, None)
        self._assign(now)

    def _assign(self, now: float, *, not_by: Sequence[Prober] = ()) -> None:
        """Give each probe to a process: those that run with nothing but probes that are wanted go on."""
        kept = []
        for prober in self._probers:
            if prober not in not_by and all(self._probes.get(p.gateway) == p for p in prober.job.probes):
                kept.append(prober)
            else:
                self._end(prober, now)
        covered = {probe.gateway for prober in kept for probe in prober.job.probes}
        jobs = self._jobs([p for name, p in self._probes.items() if name not in covered], kept)
        fresh = [Prober(job, self._windows_of(job)) for job in jobs]
        self._probers = kept + fresh
        self._prober = {probe.gateway: prober for prober in self._probers for probe in prober.job.probes}
        for number, prober in enumerate(fresh):
            # One after the other within their interval, so that they do not all send at the same time ever after.
            prober.retry_at = now + number / len(fresh) * min(prober.job.probes[0].interval / 1000, 1.0)
        self.start(now)

    def _jobs(self, probes: list[Probe], kept: Iterable[Prober]) -> list[Job]:
        if not probes:
            return []
        names = (self._only,) if self._only else ("dpinger", "fping")
        path = f"{os.environ.get('PATH', '')}:{DIRECTORIES}"
        for name in names:
            program = shutil.which(name, path=path)
            self._installed = self._installed or bool(program)
            if program and name == "dpinger":
                return [dpinger_job(program, probe) for probe in probes]
            if program:
                bound = sum(prober.job.bound is not None for prober in kept)
                return fping_jobs(program, probes, kernel_source, bound)
        if self._installed:
            self._installed = False
            self._log(f"nothing is probed: there is no {' or '.join(names)}")
        return []

    def _windows_of(self, job: Job) -> dict[bytes, Window]:
        if job.kind == "dpinger":
            return {}
        for probe in job.probes:
            if probe.gateway not in self._windows:
                self._windows[probe.gateway] = Window(probe.interval, probe.loss_interval, probe.time_period)
        return {probe.monitor.encode(): self._windows[probe.gateway] for probe in job.probes}

    def start(self, now: float) -> None:
        """Start what is to run and has waited long enough."""
        for prober in self._probers:
            if prober.process is None and now >= prober.retry_at:
                self._start(prober, now)
        idle = (prober.retry_at for prober in self._probers if prober.process is None)
        self.start_at = min(idle, default=math.inf)

    def _start(self, prober: Prober, now: float) -> None:
        """Start it, or see to it that this is tried again."""
        bound = prober.job.bound
        if bound is not None and not is_assigned(bound):
            if prober.missing_since is None:
                prober.missing_since = now
                self._log(f"{_names(prober.job)}: no interface has the source address {bound}")
            prober.retry_at = now + _FIRST_DELAY
            return
        prober.missing_since = None
        prober.interfaces = _indexes(prober.job, _present())
        try:
            prober.start(now)
        except OSError as error:
            self._log(f"{prober.job.argv[0]}: {error.strerror}")
            prober.end(now)
            return
        self._outputs.register(prober.output, selectors.EVENT_READ, prober)
        self._changed = True
        for window in prober.windows.values():
            window.begin(now)

    def _end(self, prober: Prober, now: float) -> None:
        if prober.process is not None:
            self._outputs.unregister(prober.output)
            self._changed = True
        process = prober.end(now)
        if process is not None:
            self._dying.append(process)

    def drain(self, now: float) -> None:
        """Take in what was printed, and notice what has ended. Never waits."""
        for key, _events in self._outputs.select(0):
            prober: Prober = key.data
            output, closed = prober.read(now)
            self._take(prober, output, now)
            if closed:
                self._log(f"{_names(prober.job)}: {prober.job.kind} has ended: {prober.last_words()}")
                self._end(prober, now)

    def _take(self, prober: Prober, output: bytes, now: float) -> None:
        if prober.job.kind == "dpinger":
            figures = dpinger_figures(output)
            if figures is not None:
                self._reported[prober.job.probes[0].gateway] = figures
            return
        for monitor, sequence, latency in fping_results(output):
            window = prober.windows.get(monitor)
            if window is None:
                continue
            if latency is None:
                window.timeout(sequence, now)
            else:
                window.reply(sequence, latency, now)

    def check(self, now: float) -> None:
        """Once a second: end and start again what is stuck, or was started while an interface was another."""
        self._dying = [process for process in self._dying if process.poll() is None]
        present = _present()
        for prober in self._probers:
            if prober.process is not None and prober.is_silent(now):
                self._log(f"{_names(prober.job)}: {prober.job.kind} is silent")
                # So is an fping whose every probe the kernel refuses to send.
                for window in prober.windows.values():
                    window.silent(now)
                self._end(prober, now)
                prober.retry_at = now
            elif prober.process is not None and prober.interfaces != _indexes(prober.job, present):
                self._log(f"{_names(prober.job)}: an interface has come, gone or been recreated")
                self._end(prober, now)
                prober.retry_at = now
        # A part of the many each time; an interface that is another has been noticed above.
        self._turn = (self._turn + 1) % _STRAY_TURNS
        strayed = []
        for prober in self._probers:
            asked = prober.job.probes[self._turn :: _STRAY_TURNS] if prober.job.bound is None else ()
            for probe in filter(_strays, asked):
                self._log(f"{probe.gateway}: packets to {probe.monitor} have another source address now")
                strayed.append(prober)
        if strayed or len(self._prober) < len(self._probes):
            self._assign(now, not_by=strayed)
        self.start(now)

    def figures(self, gateway: str, now: float) -> Figures | None:
        """A gateway's figures; None while there are none.

        Without its source address no probe can be sent: all is lost. While a prober cannot run for another reason
        the figures stay as they were.
        """
        prober = self._prober.get(gateway)
        if prober is None:
            return None
        missing = prober.missing_since
        if missing is not None and now - missing > self._probes[gateway].loss_interval / 1000:
            return Figures(None, None, 100)
        if prober.job.kind == "dpinger":
            return self._reported.get(gateway)
        window = self._windows[gateway]
        # One that has yet to say its first word is slow to start, or will be found silent.
        if prober.process is not None and prober.has_spoken:
            window.overdue(now, _patience(self._probes[gateway]))
        return window.figures()

    def take_changes(self) -> bool:
        """Whether processes came or went since this was asked last."""
        changed, self._changed = self._changed, False
        return changed

    def processes(self) -> dict[int, tuple[str, ...]]:
        """The command lines of the processes by number."""
        return {p.process.pid: p.job.argv for p in self._probers if p.process is not None}

    def close(self, now: float) -> None:
        """End all of them and wait for that."""
        for prober in self._probers:
            self._end(prober, now)
        for process in self._dying:
            process.wait()
        self._outputs.close()


def _measured(probe: Probe) -> tuple[t.Any, ...]:
    """What the results depend on."""
    return (probe.monitor, probe.source, probe.interval, probe.loss_interval, probe.time_period)


def _patience(probe: Probe) -> float:
    """Seconds after the loss interval by which a prober has said what became of a probe, even one on a busy host."""
    return min(1.0, (probe.time_period - probe.loss_interval) / 2000)


def _strays(probe: Probe) -> bool:
    """Whether the kernel gives its probes another source than is wanted."""
    return probe.source is not None and kernel_source(probe.monitor) != probe.source


def _present() -> dict[str, int]:
    return {name: index for index, name in socket.if_nameindex()}


def _indexes(job: Job, present: Mapping[str, int]) -> tuple[int | None, ...]:
    return tuple(present.get(probe.interface) for probe in job.probes)


def _names(job: Job) -> str:
    names = [probe.gateway for probe in job.probes]
    return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:3])} and {len(names) - 3} more"


def command_line(pid: int) -> str:
    """The words of a process, separated by spaces; "" when there is none."""
    if os.path.exists("/proc/self/cmdline"):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return file.read().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    ps = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], stdout=subprocess.PIPE, check=False)
    return ps.stdout.decode(errors="replace").strip()
