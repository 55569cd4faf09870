# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The only module that touches the managed node."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import os
import platform
import signal
import stat
import subprocess
import sys
import tempfile
import typing as t

from .errors import CommandError, FileError
from .steps import DEFAULT_TIMEOUT, Batch, RemoveFile, Result, WriteFile, nonzero, silent

if t.TYPE_CHECKING:
    from .steps import Program, Step

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LOCK = "/var/run/routed_ipsec.lock"
"""Held while a run works on the node, and by whatever else changes it in our name."""


@dataclasses.dataclass(frozen=True)
class File:
    """A regular file: its text and its permission bits. Never printed: the text may hold secrets."""

    content: str = dataclasses.field(repr=False)
    mode: int | None = 0o644


class System(t.Protocol):
    """What observing and changing a node requires; tests provide one that lives in memory."""

    @property
    def platform(self) -> str:
        """``FreeBSD`` or ``Linux``, as platform.system() says it."""

    @property
    def python(self) -> str:
        """The path of the Python that runs this, for services that need one."""

    def run(self, argv: t.Sequence[str], *, stdin: str | None = None, timeout: float = DEFAULT_TIMEOUT) -> Result:
        """Run a program; CommandError when it is missing or does not end within ``timeout`` seconds."""

    def read(self, path: str) -> File | None:
        """Return a regular file, or None where there is none."""

    def names(self, directory: str) -> tuple[str, ...]:
        """Return the sorted names in a directory; none where there is no such directory."""

    def exists(self, path: str) -> bool:
        """Say whether a path exists, even as a dangling symbolic link."""

    def apply(self, step: Step) -> None:
        """Carry out one step; VtiError when it fails."""

    def exclusive(self) -> t.ContextManager[None]:
        """Keep other runs of this collection off the node meanwhile."""


def output(system: System, *argv: str) -> str:
    """What a program prints; CommandError when it fails."""
    result = system.run(argv)
    failure = nonzero(result)
    if failure:
        raise CommandError(argv, failure, rc=result.rc)
    return result.stdout


def execute(system: System, program: Program) -> None:
    """Carry out a step that runs a program, on any System; CommandError when it fails."""
    stdin = "".join(f"{line}\n" for line in program.lines) if isinstance(program, Batch) else None
    result = system.run(program.argv, stdin=stdin, timeout=program.timeout)
    failure = program.failure(result)
    if failure:
        known = failure != nonzero(result) and failure != silent(result)
        raise CommandError(program.argv, failure, rc=result.rc, known=known)


class HostSystem:
    """The node this process runs on."""

    platform = platform.system()
    python = sys.executable or "/usr/bin/env python3"

    def run(self, argv: t.Sequence[str], *, stdin: str | None = None, timeout: float = DEFAULT_TIMEOUT) -> Result:
        environment = {"PATH": f"{os.environ.get('PATH', '')}:{_PATH}", "LC_ALL": "C", "HOME": "/"}
        try:
            # A session of its own: what the program started ends with it when time is up.
            with subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
                encoding="utf-8",
                errors="replace",
            ) as process:
                try:
                    stdout, stderr = process.communicate(stdin, timeout=timeout)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    raise CommandError(argv, f"did not end within {timeout:g} s; is its daemon hanging?") from None
                return Result(process.returncode, stdout, stderr)
        except FileNotFoundError:
            raise CommandError(argv, "not found on this host; install the package that has it") from None
        except PermissionError as error:
            raise CommandError(argv, f"{error.strerror}; run the task as root (become: true)") from None

    def read(self, path: str) -> File | None:
        try:
            with open(path, encoding="utf-8") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                return File(file.read(), mode)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise FileError(f"{path}: cannot be read: {_why(error)}") from None

    def names(self, directory: str) -> tuple[str, ...]:
        try:
            return tuple(sorted(os.listdir(directory)))
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise FileError(f"{directory}: cannot be read: {_why(error)}") from None

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)

    def apply(self, step: Step) -> None:
        if isinstance(step, WriteFile):
            self._write(step)
        elif isinstance(step, RemoveFile):
            self._remove(step.path, step.prune)
        else:
            execute(self, step)

    @contextlib.contextmanager
    def exclusive(self) -> t.Iterator[None]:
        try:
            descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FileError(f"{LOCK}: {_why(error)}; run the task as root (become: true)") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @staticmethod
    def _write(step: WriteFile) -> None:
        """mkstemp() gives 0600, so a secret is never readable by others, not even for an instant."""
        temporary = None
        try:
            directory = os.path.dirname(step.path)
            os.makedirs(directory, mode=0o755, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=".", suffix=".tmp")
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(step.content)
                file.flush()
                os.fsync(file.fileno())
                if step.mode is not None:
                    os.fchmod(file.fileno(), step.mode)
                else:
                    _copy_owner(step.path, file.fileno())
            os.replace(temporary, step.path)
        except OSError as error:
            if temporary is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary)
            raise FileError(f"{step.path}: cannot be written: {_why(error)}; {_remedy(error)}") from None

    @staticmethod
    def _remove(path: str, prune: tuple[str, ...]) -> None:
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            for directory in prune:
                os.rmdir(directory)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise FileError(f"{path}: cannot be removed: {_why(error)}") from None


def _copy_owner(path: str, descriptor: int) -> None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        os.fchmod(descriptor, 0o644)
    else:
        os.fchown(descriptor, status.st_uid, status.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode))


def _remedy(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room on its file system"
    if error.errno == errno.EROFS:
        return "mount its file system for writing"
    return "run the task as root (become: true), and see what is at that path"


def _why(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
