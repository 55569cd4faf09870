# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the commands of a simulated host share: results, failures and the host's files."""

from __future__ import annotations

import fnmatch
import glob
import os
import pathlib
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """What a command left: exit status, standard output, standard error."""

    rc: int
    stdout: str = ""
    stderr: str = ""


class Failed(Exception):
    """A command that ends here: exit status, standard error, standard output so far."""

    def __init__(self, rc: int, stderr: str = "", stdout: str = "") -> None:
        super().__init__(stderr)
        self.result = Result(rc, stdout, stderr and stderr.rstrip("\n") + "\n")


def lines(*rows: str) -> str:
    """The rows as text that ends in a newline; nothing for no rows."""
    return "".join(row + "\n" for row in rows)


class MemoryFiles(MutableMapping[str, str]):
    """Files of a host in memory: absolute path to text, with modes beside."""

    def __init__(self, text: dict[str, str] | None = None) -> None:
        self._text = dict(text or {})
        self.modes: dict[str, int] = {}

    def __getitem__(self, path: str) -> str:
        return self._text[path]

    def __setitem__(self, path: str, text: str) -> None:
        self._text[path] = text
        self.modes.setdefault(path, 0o644)

    def __delitem__(self, path: str) -> None:
        del self._text[path]
        self.modes.pop(path, None)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._text))

    def __len__(self) -> int:
        return len(self._text)

    def put(self, path: str, text: str, mode: int) -> None:
        """Write a file with a mode, directories above included."""
        self[path] = text
        self.modes[path] = mode

    def executable(self, path: str) -> bool:
        """Whether there is such a file that its owner may run."""
        return path in self and bool(self.modes[path] & 0o100)

    def glob(self, pattern: str) -> list[str]:
        """Paths that match; as in a shell, ``*`` does not cross a slash."""
        depth = pattern.count("/")
        return [path for path in self if path.count("/") == depth and fnmatch.fnmatchcase(path, pattern)]

    def has_parent(self, path: str) -> bool:
        """Whether the directory of a path exists (in memory: the usual ones, or one that holds a file)."""
        parent = os.path.dirname(path)
        return parent in ("/etc", "/boot", "/usr/local/etc") or any(other.startswith(parent + "/") for other in self)


class DiskFiles(MutableMapping[str, str]):
    """The same view on the real file system below a root directory."""

    def __init__(self, root: str = "/") -> None:
        self._root = pathlib.Path(root)

    def _real(self, path: str) -> pathlib.Path:
        return self._root / path.lstrip("/")

    def __getitem__(self, path: str) -> str:
        try:
            return self._real(path).read_text(encoding="utf-8", errors="surrogateescape")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise KeyError(path) from None

    def __setitem__(self, path: str, text: str) -> None:
        self._real(path).write_text(text, encoding="utf-8", errors="surrogateescape")

    def __delitem__(self, path: str) -> None:
        self._real(path).unlink()

    def __iter__(self) -> Iterator[str]:
        raise TypeError("the files of a real host are not listed, use glob()")

    def __len__(self) -> int:
        raise TypeError("the files of a real host are not counted")

    def __contains__(self, path: object) -> bool:
        return self._real(str(path)).is_file()

    def put(self, path: str, text: str, mode: int) -> None:
        """Write a file with a mode, directories above included."""
        self._real(path).parent.mkdir(parents=True, exist_ok=True)
        self[path] = text
        self._real(path).chmod(mode)

    def executable(self, path: str) -> bool:
        """Whether there is such a file that its owner may run."""
        return path in self and bool(self._real(path).stat().st_mode & 0o100)

    def glob(self, pattern: str) -> list[str]:
        """Paths that match, without the root."""
        found = glob.glob(str(self._real(pattern)))
        return sorted("/" + os.path.relpath(path, self._root) for path in found if os.path.isfile(path))

    def has_parent(self, path: str) -> bool:
        """Whether the directory of a path exists."""
        return self._real(path).parent.is_dir()


Files = MemoryFiles | DiskFiles
