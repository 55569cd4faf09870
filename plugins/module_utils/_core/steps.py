# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The vocabulary of change: plain values that say what to do, and do nothing."""

from __future__ import annotations

import dataclasses
import typing as t

DEFAULT_TIMEOUT = 30.0
"""Seconds after which a program counts as hanging."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What a program left behind: exit status, standard output, standard error."""

    rc: int
    stdout: str
    stderr: str


Judge = t.Callable[[Result], t.Optional[str]]
"""Says in the user's words why a program has failed, or None when it has not."""


def nonzero(result: Result) -> str | None:
    """Failed unless the exit status is 0."""
    return None if result.rc == 0 else result.stderr.strip() or result.stdout.strip() or f"exit status {result.rc}"


def silent(result: Result) -> str | None:
    """Failed unless the exit status is 0 and standard error is empty: some programs tell failures only there."""
    return nonzero(result) or result.stderr.strip() or None


def anyhow(result: Result) -> str | None:
    """Never failed: the step is a courtesy, what it did shows in the next observation."""
    return None


@dataclasses.dataclass(frozen=True)
class Command:
    """Run a program; its arguments never pass through a shell."""

    argv: tuple[str, ...]
    failure: Judge = dataclasses.field(default=nonzero, compare=False, repr=False)
    timeout: float = DEFAULT_TIMEOUT

    def __str__(self) -> str:
        return " ".join(self.argv)


@dataclasses.dataclass(frozen=True)
class Batch:
    """Run a program once for several changes that it reads from standard input, a line each."""

    argv: tuple[str, ...]
    lines: tuple[str, ...]
    failure: Judge = dataclasses.field(default=nonzero, compare=False, repr=False)
    timeout: float = DEFAULT_TIMEOUT

    def __str__(self) -> str:
        return f"{' '.join(self.argv)}: {'; '.join(self.lines)}"


@dataclasses.dataclass(frozen=True)
class WriteFile:
    """Replace a file's content in one atomic move; missing parent directories are made.

    ``mode`` None keeps mode and owner of the file that is there: the file is a person's.
    """

    path: str
    content: str = dataclasses.field(repr=False)
    mode: int | None

    def __str__(self) -> str:
        return f"write {self.path}"


@dataclasses.dataclass(frozen=True)
class RemoveFile:
    """Delete a file, and those of the directories ``prune`` that this leaves empty (innermost first)."""

    path: str
    prune: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"remove {self.path}"


Program = t.Union[Command, Batch]
Step = t.Union[Command, Batch, WriteFile, RemoveFile]


def command(*words: str, failure: Judge = nonzero) -> Command:
    return Command(words, failure)
