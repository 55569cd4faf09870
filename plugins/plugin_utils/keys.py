# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pre-shared keys of links, one file each, on the controller.

A file is YAML: ``current``, and while the key is being changed ``next``; encrypted as a whole or not at all. It is
replaced in one move, so who reads needs no lock; who may write takes one, and reads again under it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import secrets
import typing as t

import yaml
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import FileError, InvalidOption, ParseError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.secret import Secret

from . import files

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BYTES = 32
"""Length of a new key before it is written in base64url (RFC 4648), 43 characters."""
SUFFIX = ".yml"
_LOCK = ".lock"


@dataclasses.dataclass(frozen=True)
class Keys:
    """The key of a link. ``next``: the one that it is being changed to."""

    current: Secret
    next: Secret | None = None


class Box(t.Protocol):
    """Encrypts the content of a file. ``private``: whether it does, so that others may read the file."""

    private: bool

    def seal(self, text: str) -> str:
        """Encrypt."""

    def open(self, content: str) -> str:
        """Decrypt whatever is in a file; of plain text return it."""


def check_name(name: t.Any) -> str:
    """Return the name of a link that can be a file's name, or refuse it with InvalidOption."""
    if not isinstance(name, str) or not name:
        raise InvalidOption(f"link: {name!r} is no name; give the name of a link, such as hq--branch1")
    if name.startswith(".") or "/" in name or not name.isprintable():
        raise InvalidOption(f"link: {name!r} cannot name a file of keys; use no '/', and no '.' at the start")
    if len(os.fsencode(name + SUFFIX)) > 255:
        raise InvalidOption(f"link: {name[:40]!r}... is too long to name a file of keys")
    return str(name)


def generate() -> Secret:
    return Secret(secrets.token_urlsafe(BYTES))


def render(keys: Keys) -> str:
    known = {"current": keys.current, **({"next": keys.next} if keys.next else {})}
    return str(yaml.safe_dump({name: key.reveal() for name, key in known.items()}, sort_keys=False))


def parse(path: str, text: str) -> Keys:
    """Of what render() gives; anything else is a ParseError, which says nothing of the content."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict) or "current" not in found or set(found) - {"current", "next"}:
        raise ParseError(f"{path}: is no file of keys; it must have current, and may have next")
    if not all(isinstance(key, str) and key for key in found.values()):
        raise ParseError(f"{path}: a key must be text, and not empty; put it in quotes")
    return Keys(Secret(found["current"]), Secret(found["next"]) if "next" in found else None)


def with_next(keys: Keys) -> Keys:
    """A key to change to; one that is there already stays, for a gateway may have it."""
    return keys if keys.next else dataclasses.replace(keys, next=generate())


def promoted(keys: Keys) -> Keys:
    """The key that was changed to is the link's; without one nothing changes."""
    return Keys(keys.next) if keys.next else keys


def beside(sources: t.Sequence[str], otherwise: str, directory: str) -> str:
    """A directory beside the first inventory source that is a file or a directory; absolute ones and ``~`` as given.

    Never inside an inventory directory, where Ansible would take the files for inventories. Every host of a run gets
    the same answer, which inventory_dir does not promise.
    """
    path = os.path.expanduser(directory)
    existing = (os.path.abspath(source) for source in sources if os.path.exists(source))
    base = next((os.path.dirname(source) for source in existing), otherwise)
    return os.path.abspath(os.path.join(base, path))


class Store:
    """The files of a directory. ``writes`` is false in check mode: a missing key is made up and forgotten then."""

    def __init__(self, directory: str, box: Box, *, writes: bool = True) -> None:
        self._directory = pathlib.Path(directory)
        self._box = box
        self._writes = writes

    def read(self, name: str) -> Keys | None:
        path = self._path(name)
        try:
            content = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeError) as error:
            raise FileError(f"{path}: cannot be read: {_why(error)}") from None
        return parse(str(path), self._box.open(content))

    def keys(self, name: str, change: Callable[[Keys], Keys] = lambda keys: keys, *, create: bool = True) -> Keys:
        """The keys of a link after a change, which is written where it makes a difference."""
        found = self.read(name)
        if found is not None and change(found) == found:
            return found
        if found is None and not create:
            raise InvalidOption(f"link: there is no key for {name} in {self._directory}; make one, or say create=true")
        if not self._writes:
            return change(found or Keys(generate()))
        with self._locked():
            known = self.read(name)
            wanted = change(known or Keys(generate()))
            if wanted != known:
                self._write(self._path(name), self._box.seal(render(wanted)))
            return wanted

    def _path(self, name: str) -> pathlib.Path:
        return self._directory / (check_name(name) + SUFFIX)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with contextlib.ExitStack() as lock:
            try:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not self._box.private and self._directory.stat().st_mode & 0o077:
                    raise InvalidOption(
                        f"directory: others may enter {self._directory}, and its keys are not encrypted; "
                        f"chmod 700 it first"
                    )
                lock.enter_context(files.locked(self._directory, _LOCK))
            except OSError as error:
                raise FileError(f"directory: {self._directory}: {_why(error)}; name another one") from None
            yield

    def _write(self, path: pathlib.Path, content: str) -> None:
        try:
            files.replace(path, content)
        except OSError as error:
            raise FileError(f"{path}: cannot be written: {_why(error)}") from None


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or "it is no text"
