# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that can go wrong, as exceptions the module boundary turns into fail_json()."""

from __future__ import annotations

import typing as t


class VtiError(Exception):
    """A failure the user can act on; ``details`` become extra keys of the task result."""

    def __init__(self, message: str, **details: t.Any) -> None:
        super().__init__(message)
        self.details = details


class InvalidOption(VtiError):
    """An option's value makes no sense, alone, together with another, or on this host."""


class ParseError(VtiError):
    """A file or a command's output does not have the form it should have."""


class CommandError(VtiError):
    """A program is missing, did not end in time, or reported a failure."""

    def __init__(self, argv: t.Sequence[str], reason: str, *, rc: int | None = None, known: bool = False) -> None:
        """``known``: the reason is in the user's words and needs no command before it."""
        super().__init__(reason if known else f"{' '.join(argv)}: {reason}", cmd=list(argv), rc=rc)
        self.reason = reason


class FileError(VtiError):
    """A file could not be read or written."""


class NotConverged(VtiError):
    """All steps were applied, yet the system still differs from what was asked for."""
