# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs and hooks that are run without waiting for them: each has a step() for the caller's loop to call."""

from __future__ import annotations

import collections
import contextlib
import fcntl
import os
import signal
import stat
import subprocess
import sys
import tempfile
import typing as t

from .plan import Program

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

PROGRAM_TIMEOUT = 10.0
HOOK_TIMEOUT = 30.0
KEEP_INTERVAL = 10.0
"""Seconds between looks at whether what the actions made is still there."""
_MOST_SAID = 1 << 20


class Lock:
    """The lock that whoever changes the host in our name holds, flock(2) on a file."""

    def __init__(self) -> None:
        self._descriptor: int | None = None

    def acquire(self, path: str) -> bool:
        """Try to take it; OSError when the file cannot be opened."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class _Run:
    """One command line that runs, with its output in a file, so that it never waits for us to read."""

    def __init__(self, argv: tuple[str, ...], stdin: str, now: float) -> None:
        """OSError when there is no such program."""
        self._argv = argv
        self._deadline = now + PROGRAM_TIMEOUT
        text, self._output = _nameless(stdin), _nameless("")
        try:
            self.process = subprocess.Popen(argv, stdin=text, stdout=self._output, stderr=subprocess.STDOUT)
        except OSError:
            os.close(self._output)
            raise
        finally:
            os.close(text)

    def ended(self, now: float) -> tuple[int | None, bytes] | None:
        """None while it runs, else its status and what it said; a status of None when time was up."""
        status = self.process.poll()
        if status is None and now < self._deadline:
            return None
        if status is None:
            self.close()
            return None, b""
        said = os.pread(self._output, _MOST_SAID, 0)
        os.close(self._output)
        return status, said

    def failure(self, now: float, *, may_fail: bool) -> str | None:
        """None while it runs, "" once it has ended well, which is whatever its status if it may fail; else why not."""
        name, outcome = " ".join(self._argv), self.ended(now)
        if outcome is None:
            return None
        status, said = outcome
        if status is None:
            return f"{name}: not done in {PROGRAM_TIMEOUT:g} seconds"
        lines = filter(None, said[:2000].decode(errors="replace").split("\n"))
        return f"{name}: status {status}: {' / '.join(lines)}" if status and not may_fail else ""

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._output)


def _nameless(text: str) -> int:
    """A file without a name that holds the text, at its beginning."""
    descriptor, path = tempfile.mkstemp()
    os.unlink(path)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(text.encode())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


class Errand:
    """Programs to run one after the other."""

    def __init__(self, programs: Iterable[Program]) -> None:
        self._waiting = collections.deque(programs)
        self._tries: collections.deque[tuple[str, ...]] = collections.deque()
        self._run: _Run | None = None
        self.failures: list[str] = []

    def step(self, now: float) -> bool:
        """Go on as far as is possible without waiting; True when all is done."""
        while self._waiting:
            program = self._waiting[0]
            if self._run is None:
                self._tries = self._tries or collections.deque(program.tries)
                failure = self._start(self._tries.popleft(), program.stdin, now)
            else:
                failure = self._run.failure(now, may_fail=program.may_fail)
            if failure is None:
                return False
            self._run = None
            if failure and self._tries:
                continue
            if failure:
                self.failures.append(failure)
            self._tries.clear()
            self._waiting.popleft()
        return True

    def _start(self, argv: tuple[str, ...], stdin: str, now: float) -> str | None:
        try:
            self._run = _Run(argv, stdin, now)
        except OSError as error:
            return f"{argv[0]}: {error.strerror}"
        return None

    def close(self) -> None:
        """Give it up."""
        if self._run is not None:
            self._run.close()


class Keeper:
    """Notices when somebody else has changed what the actions made, as reloading a firewall does.

    Each probe is a program; what it says right after the actions is what it has to go on saying. One that fails has
    found something missing.
    """

    def __init__(self, kept: Iterable[Mapping[str, t.Any]], now: float, interval: float = KEEP_INTERVAL) -> None:
        """``interval`` are the seconds between two looks."""
        self._kept = list(kept)
        self._interval = interval
        self._said: dict[int, tuple[int | None, bytes]] = {}
        self._number = 0
        self._run: _Run | None = None
        self._at = now
        self.repairs: list[Program] = []

    def renew(self, now: float) -> None:
        """Something was done: what is said next is right."""
        self.close()
        self._said, self._number, self._at, self.repairs = {}, 0, now, []

    def step(self, now: float) -> bool:
        """Go on as far as is possible without waiting; True when something is not as it was, with ``repairs``."""
        while self._kept and (self._run is not None or now >= self._at):
            if self._run is None:
                try:
                    self._run = _Run(tuple(self._kept[self._number]["probe"]), "", now)
                except OSError:
                    self._at = now + self._interval
                    return False
            outcome = self._run.ended(now)
            if outcome is None:
                return False
            self._run = None
            repair = self._kept[self._number]["repair"]
            expected = self._said.setdefault(self._number, outcome)
            self._number += 1
            if self._number == len(self._kept):
                self._number, self._at = 0, now + self._interval
            if outcome != expected or outcome[0] != 0:
                self.repairs = [Program((tuple(repair),))] if repair else []
                self._number, self._at = 0, now + self._interval
                return True
        return False

    @property
    def busy(self) -> bool:
        """Whether a probe is under way."""
        return self._run is not None

    def close(self) -> None:
        """Give up a probe that is under way."""
        if self._run is not None:
            self._run.close()
            self._run = None


class Hooks:
    """A person's programs, run one after the other for each event, in the order of the events."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._events: collections.deque[tuple[str, Mapping[str, str]]] = collections.deque()
        self._paths: collections.deque[str] = collections.deque()
        self._environment: Mapping[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._path = ""
        self._deadline = 0.0

    def add(self, directory: str, environment: Mapping[str, str]) -> None:
        """An event; the hooks in the directory are looked up when its turn comes."""
        self._events.append((directory, environment))

    @property
    def busy(self) -> bool:
        return self._process is not None or bool(self._paths) or bool(self._events)

    def step(self, now: float) -> None:
        """Go on as far as is possible without waiting."""
        while self.busy:
            if self._process is not None:
                status = self._process.poll()
                if status is None and now < self._deadline:
                    return
                if status is None:
                    self._log(f"{self._path}: not done in {HOOK_TIMEOUT:g} seconds")
                    self.close()
                elif status:
                    self._log(f"{self._path}: status {status}")
                self._process = None
            elif self._paths:
                self._start(self._paths.popleft(), now)
            else:
                directory, self._environment = self._events.popleft()
                self._paths.extend(hooks(directory))

    def _start(self, path: str, now: float) -> None:
        self._path = path
        self._deadline = now + HOOK_TIMEOUT
        try:
            self._process = subprocess.Popen(
                [path],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                env={**os.environ, **self._environment},
                # A group of its own, which can be ended with all that the hook has started.
                start_new_session=True,
            )
        except OSError as error:
            self._log(f"{path}: {error.strerror}")

    def close(self) -> None:
        """End what runs."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def hooks(directory: str) -> list[str]:
    """The executable regular files in a directory, sorted; none where there is no directory."""
    try:
        paths = [os.path.join(directory, name) for name in sorted(os.listdir(directory))]
    except OSError:
        return []
    return [path for path in paths if _is_program(path)]


def _is_program(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode) and os.access(path, os.X_OK)
    except OSError:
        return False
