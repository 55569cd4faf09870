# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gateway monitor: watches gateways, and leads routes, tables and rules through those that are up.

Runs in the foreground of a service: ``python3 -m routed_ipsec_monitor.daemon --config FILE --state DIR``. One thread;
whatever takes time is another process, and looked after once in a while. SIGTERM ends it, SIGHUP has it read the
configuration, which it also does when the file changes.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import platform
import signal
import socket
import sys
import time
import typing as t

from . import status
from .acting import KEEP_INTERVAL, Errand, Hooks, Keeper, Lock
from .configuration import Configuration, Malformed, read
from .decision import MEASURED, Figures, Hysteresis, choose, for_selection, grade, is_up, select, tier
from .plan import Program, commands, kills
from .probers import DIRECTORIES, Probe, Probers, command_line

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from .configuration import Gateway

_EMPTY = Configuration({"lock": "", "hooks": "", "gateways": {}, "groups": {}, "actions": []}, {})

# Seconds. What probers print is read in bulk: waking up for each line would cost more than all the rest.
_DRAIN = 0.25
_LOOK = 1.0
_PUBLISH = 1.0
_LOCK_RETRY = 0.1
_FIRST_STATUSES = 5.0


def log(message: str) -> None:
    """To the supervisor, which has it in syslog."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()


class Watched:
    """A gateway and what is known of it."""

    def __init__(self, settings: Gateway, since: float) -> None:
        self.settings = settings
        self.hysteresis = Hysteresis()
        self.figures: Figures | None = None
        self.status = "pending"
        self.since = since

    def measure(self, figures: Figures | None, now: float) -> str:
        """The status now; without figures the one it had, if that was measured."""
        self.figures = figures
        if self.settings.force_down:
            return "force_down"
        if self.settings.monitor is None:
            return "none"
        if figures is None:
            return self.status if self.status in MEASURED else "pending"
        measured = grade(figures, self.settings.thresholds)
        return self.hysteresis.shown(measured, now, self.settings.alert_hold / 1000)


class Monitor:
    """All of it."""

    def __init__(self, config: str, state: str, pids: t.IO[str], prober: str | None, keep_interval: float) -> None:
        self._path = config
        self._state = state
        self._pids = pids
        self._linux = platform.system() == "Linux"
        self._configuration = _EMPTY
        self._seen: tuple[int, int, int] | None = None
        self._complaint = ""
        self._watched: dict[str, Watched] = {}
        self._due: dict[int, float] = {}
        self._probers = Probers(log, prober)
        self._hooks = Hooks(log)
        self._lock = Lock()
        self._keep_interval = keep_interval
        self._keeper = Keeper((), 0.0)
        self._errand: Errand | None = None
        self._under_way: set[str] = set()
        self._wanted: set[str] = set()
        self._kills: list[Program] = []
        self._act_at = 0.0
        self._failures: list[str] = []
        # When the first configuration came, and whether the first statuses are in: nothing is decided before.
        self._began: float | None = None
        self._settled = False
        # What was decided last, beginning with what an earlier run reported.
        self._remembered = status.read(os.path.join(state, "status.json"))
        self._known = dict(self._remembered.gateways)
        self._up: dict[str, bool] = {}
        self._selections: dict[str, tuple[str, ...]] = {}
        self._routes: dict[str, str] = {}
        self._since: dict[str, float] = {}
        self._publish_at = 0.0
        self._publish_failure = ""
        self.ended = False
        self.reread = False

    def run(self, wakeups: socket.socket) -> None:
        """Go on until ``ended``; a signal makes ``wakeups`` readable."""
        look_at = drain_at = 0.0
        while not self.ended:
            now = time.monotonic()
            if self.reread or now >= look_at:
                look_at = now + _LOOK
                self._look(now)
                self._probers.check(now)
            if now >= self._probers.start_at:
                self._probers.start(now)
            if now >= drain_at:
                drain_at = now + _DRAIN
                self._probers.drain(now)
                self._evaluate(now)
            self._act(now)
            self._keep(now)
            if self._probers.take_changes():
                self._note_processes()
            # A hook that reads the report finds what it is told of.
            self._publish(now)
            self._hooks.step(now)
            waiting = [look_at, drain_at, self._probers.start_at]
            if self._errand is None and self._wanted:
                waiting.append(self._act_at)
            wakeups.settimeout(max(0.001, min(waiting) - time.monotonic()))
            with contextlib.suppress(OSError):
                wakeups.recv(4096)

    def close(self) -> None:
        if self._errand is not None:
            self._errand.close()
        self._keeper.close()
        self._hooks.close()
        self._probers.close(time.monotonic())
        self._note_processes()

    def _look(self, now: float) -> None:
        """Read the configuration when there is another one; one that is no good leaves all as it is."""
        try:
            if _identity(os.stat(self._path)) == self._seen and not self.reread:
                return
            with open(self._path, encoding="utf-8") as file:
                self._seen = _identity(os.fstat(file.fileno()))
                configuration = read(file.read())
        except FileNotFoundError:
            # Taken away: nothing is to be watched, and nothing led anywhere, should the service not have been ended.
            if not self._complaint:
                log(f"{self._path}: there is no such file: nothing is watched")
                self._load(_EMPTY, now)
            self._complaint, self._seen = "no such file", None
        except (OSError, Malformed, UnicodeDecodeError) as error:
            if str(error) != self._complaint or self.reread:
                log(f"{self._path}: {error}; going on with what there is")
            self._complaint = str(error)
        else:
            self._complaint = ""
            self._load(configuration, now)
        self.reread = False

    def _load(self, configuration: Configuration, now: float) -> None:
        if self._began is None:
            self._began = now
        self._configuration = configuration
        self._keeper.close()
        self._keeper = Keeper(configuration.raw.get("keep", ()), now, self._keep_interval)
        self._known = {name: known for name, known in self._known.items() if name in configuration.gateways}
        former, self._watched = self._watched, {}
        for name, settings in configuration.gateways.items():
            known = former.get(name)
            if known is not None and known.settings.monitor == settings.monitor:
                known.settings = settings
            else:
                known = Watched(settings, time.time())
            self._watched[name] = known
        self._probers.replace((_probe(n, g) for n, g in configuration.gateways.items() if g.probed), now)
        periods = {gateway.alert_interval for gateway in configuration.gateways.values()}
        self._due = {period: self._due.get(period, now) for period in sorted(periods)}
        self._measure(self._watched, now)
        self._recall()
        if self._settled:
            self._decide(set(configuration.targets), now)

    def _recall(self) -> None:
        """For what is new: what an earlier run decided, else what follows while nothing is known."""
        raw, groups = self._configuration.raw, self._configuration.groups
        known = for_selection(raw["gateways"], {name: word for name, (word, _since) in self._known.items()})
        for name, word in known.items():
            self._up.setdefault(name, is_up(word))
        statuses = for_selection(raw["gateways"], self._statuses())
        for target in self._configuration.targets:
            if target in self._selections:
                continue
            report = self._remembered.groups.get(target)
            members = {member["gateway"] for member in groups[target]["members"]} if target in groups else {target}
            if report is not None and {report.route, *report.selected} <= members:
                self._selections[target], self._routes[target] = report.selected, report.route
                self._since[target] = report.since
            else:
                self._selections[target] = select(target, groups, statuses)
                self._routes[target] = choose(target, groups, statuses, None)
                self._since[target] = time.time()

    def _statuses(self) -> dict[str, str]:
        return {name: watched.status for name, watched in self._watched.items()}

    def _evaluate(self, now: float) -> None:
        """Look at the gateways whose alert interval has passed, and decide when a status is another."""
        due = {period for period, at in self._due.items() if now >= at}
        for period in due:
            self._due[period] = max(self._due[period] + period / 1000, now)
        changed = self._measure((n for n, w in self._watched.items() if w.settings.alert_interval in due), now)
        if not self._settled:
            pending = any(watched.status == "pending" for watched in self._watched.values())
            if self._began is not None and (not pending or now - self._began >= _FIRST_STATUSES):
                self._settled = True
                self._decide(set(self._configuration.targets), now)
        elif changed:
            self._decide(self._concerned(changed), now)

    def _measure(self, names: Iterable[str], now: float) -> list[str]:
        """Bring statuses up to date; those that changed."""
        changed = []
        for name in names:
            watched = self._watched[name]
            word = watched.measure(self._probers.figures(name, now), now)
            if word != watched.status:
                watched.status = word
                watched.since = time.time()
                changed.append(name)
                self._announce(name, watched)
        return changed

    def _announce(self, name: str, watched: Watched) -> None:
        """Log and hooks, unless it is what was known before a time of not knowing: that is no event."""
        self._publish_at = 0.0
        if watched.status == "pending":
            return
        previous, since = self._known.get(name, ("pending", watched.since))
        if watched.status == previous:
            watched.since = since
            return
        self._known[name] = watched.status, watched.since
        log(f"gateway {name}: {previous} -> {watched.status}{_figures(watched.figures)}")
        self._event("gateway", name, watched.status, previous)

    def _event(self, kind: str, name: str, word: str, previous: str) -> None:
        words = {"VTI_EVENT": kind, "VTI_NAME": name, "VTI_STATUS": word, "VTI_PREVIOUS": previous}
        self._hooks.add(self._configuration.raw["hooks"], words)

    def _concerned(self, gateways: Iterable[str]) -> set[str]:
        """The targets that these gateways are or are members of."""
        names = set(gateways)
        groups = self._configuration.groups
        members = {name: {member["gateway"] for member in group["members"]} for name, group in groups.items()}
        return {target for target in self._configuration.targets if names & members.get(target, {target})}

    def _decide(self, targets: set[str], now: float) -> None:
        """Select anew, and have the actions of the targets carried out, even where the selection is as before."""
        raw, groups = self._configuration.raw, self._configuration.groups
        statuses = for_selection(raw["gateways"], self._statuses())
        former = {target: self._selections[target] for target in self._configuration.targets}
        improved = []
        for target in self._configuration.targets:
            selected = select(target, groups, statuses)
            self._routes[target] = choose(target, groups, statuses, self._routes[target])
            self._selections[target] = selected
            if target in groups and selected != former[target]:
                self._since[target] = time.time()
                before, after = ",".join(former[target]), ",".join(selected)
                log(f"group {target}: {before or 'none'} -> {after or 'none'}")
                self._event("group", target, after, before)
                old, new = tier(target, groups, former[target]), tier(target, groups, selected)
                if old is not None and new is not None and new < old:
                    improved.append(target)
        up = {name: is_up(word) for name, word in statuses.items()}
        fell = [name for name, is_it in up.items() if self._up[name] and not is_it]
        self._up = up
        self._kills += kills(raw, fell, improved, former, linux=self._linux)
        self._wanted |= targets
        self._act_at = now
        self._publish_at = 0.0

    def _act(self, now: float) -> None:
        """Carry out what is wanted, under the lock; what fails is tried again."""
        if self._errand is None and self._wanted and now >= self._act_at:
            try:
                locked = self._lock.acquire(self._configuration.raw["lock"])
            except OSError as error:
                self._fail([f"{error.filename}: {error.strerror}"], now)
                return
            if not locked:
                self._act_at = now + _LOCK_RETRY
                return
            # Whoever had the lock may have written another configuration.
            self._look(now)
            wanted = self._wanted & set(self._configuration.targets)
            programs = commands(self._configuration.raw, self._selections, self._routes, wanted)
            self._errand = Errand([*self._keeper.repairs, *programs, *self._kills])
            self._under_way, self._wanted, self._kills = wanted, set(), []
        if self._errand is not None and self._errand.step(now):
            failures, self._errand = self._errand.failures, None
            self._lock.release()
            self._keeper.renew(now)
            if failures:
                self._wanted |= self._under_way
                self._fail(failures, now)
            elif self._failures:
                self._failures = []
                log("what failed has been done")

    def _keep(self, now: float) -> None:
        """When nothing else is under way, see that what was done is still there; else do it again."""
        if self._errand is None and not self._wanted and self._settled and self._keeper.step(now):
            log("somebody else has changed routes or rules of gateways: done again")
            self._wanted |= set(self._configuration.targets)
            self._act_at = now

    def _fail(self, failures: list[str], now: float) -> None:
        """Say so once, and try again after the alert interval."""
        if failures != self._failures:
            for failure in failures:
                log(failure)
        self._failures = failures
        self._act_at = now + min(self._due, default=1000) / 1000

    def _publish(self, now: float) -> None:
        """Write what there is to know, once a second and whenever something is new."""
        if now < self._publish_at:
            return
        self._publish_at = now + max(_PUBLISH, min(self._due, default=0) / 1000)
        gateways = {
            name: status.GatewayReport(
                watched.status,
                watched.since,
                watched.figures,
                watched.settings.interface,
                watched.settings.monitor,
                watched.settings.source,
            )
            for name, watched in self._watched.items()
        }
        groups = {name: self._group(name) for name in self._configuration.groups}
        try:
            text = status.as_json(time.time(), gateways, groups)
            status.write(os.path.join(self._state, "status.json"), text)
            status.write(os.path.join(self._state, "gateways.prom"), status.as_prometheus(gateways, groups))
        except OSError as error:
            if str(error) != self._publish_failure:
                log(str(error))
            self._publish_failure = str(error)

    def _group(self, name: str) -> status.GroupReport:
        selected = self._selections[name]
        return status.GroupReport(
            selected, self._routes[name], tier(name, self._configuration.groups, selected), self._since[name]
        )

    def _note_processes(self) -> None:
        """For the next run, should this one end without a chance to end them."""
        lines = [f"{pid} {' '.join(argv)}\n" for pid, argv in self._probers.processes().items()]
        with contextlib.suppress(OSError):
            self._pids.seek(0)
            self._pids.truncate()
            self._pids.write("".join(lines))
            self._pids.flush()


def _identity(found: os.stat_result) -> tuple[int, int, int]:
    return (found.st_mtime_ns, found.st_ino, found.st_size)


def _probe(name: str, gateway: Gateway) -> Probe:
    return Probe(
        name,
        gateway.interface,
        gateway.source,
        gateway.monitor or "",
        gateway.interval,
        gateway.loss_interval,
        gateway.time_period,
        gateway.alert_interval,
        gateway.data_payload,
    )


def _figures(figures: Figures | None) -> str:
    if figures is None:
        return ""
    latency = "" if figures.latency_ms is None else f"latency {figures.latency_ms} ms, "
    return f" ({latency}loss {figures.loss_percent} %)"


def end_leftovers(pids: t.IO[str]) -> None:
    """End the probers of a run that was killed, if they are still those: a number may be another process by now."""
    pids.seek(0)
    for line in pids:
        number, _blank, words = line.rstrip("\n").partition(" ")
        # A script's line begins with its interpreter.
        if number.isdigit() and words and command_line(int(number)).endswith(words):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(number), signal.SIGKILL)


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM; the exit status."""
    parser = argparse.ArgumentParser(prog="routed_ipsec_monitor", description="Gateway monitor of routed_ipsec.vti")
    parser.add_argument("--config", required=True, help="the configuration file")
    parser.add_argument("--state", required=True, help="the directory for what it reports")
    parser.add_argument("--prober", choices=["dpinger", "fping"], help="what to probe with, if both are there")
    parser.add_argument(
        "--keep-interval",
        type=float,
        default=KEEP_INTERVAL,
        metavar="SECONDS",
        help="time between looks at whether somebody else has changed what was done",
    )
    options = parser.parse_args(arguments)
    # A service has few directories in its path.
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:{DIRECTORIES}".lstrip(":")
    os.environ["LC_ALL"] = "C"
    os.makedirs(options.state, 0o755, exist_ok=True)
    with open(os.path.join(options.state, "probers.pid"), "a+", encoding="utf-8") as pids:
        try:
            fcntl.flock(pids, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log(f"another one runs with the state {options.state}")
            return 1
        end_leftovers(pids)
        monitor = Monitor(options.config, options.state, pids, options.prober, options.keep_interval)
        _watch_signals(monitor)
        wakeups, waker = socket.socketpair()
        with wakeups, waker:
            waker.setblocking(False)
            signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
            try:
                monitor.run(wakeups)
            finally:
                signal.set_wakeup_fd(-1)
                monitor.close()
    return 0


def _watch_signals(monitor: Monitor) -> None:
    def end(number: int, frame: object) -> None:
        monitor.ended = True

    def reread(number: int, frame: object) -> None:
        monitor.reread = True

    def look(number: int, frame: object) -> None:
        """A child has ended: waking up is all there is to do."""

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGHUP, reread)
    signal.signal(signal.SIGCHLD, look)


if __name__ == "__main__":
    raise SystemExit(main())
