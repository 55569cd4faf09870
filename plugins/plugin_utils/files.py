# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of the controller that hosts of a run, and several runs, write side by side."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator

Path = t.Union[str, "os.PathLike[str]"]


@contextlib.contextmanager
def locked(directory: Path, name: str = "") -> Iterator[None]:
    """Keep others out who lock the same directory, or a file in it, which is made for its owner alone; OSError.

    The lock (flock(2)) ends with its process, whatever becomes of that.
    """
    flags = os.O_RDWR | os.O_CREAT if name else os.O_RDONLY
    descriptor = os.open(os.path.join(directory, name) if name else directory, flags | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def replace(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file in one move; OSError. Until it is in its place its owner alone can read it."""
    descriptor, temporary = tempfile.mkstemp(prefix=".", dir=os.path.dirname(path))
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
