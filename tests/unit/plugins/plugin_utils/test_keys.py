# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of keys: what is in them, who may read them, and that all who ask at once get the same."""

from __future__ import annotations

import base64
import multiprocessing
import os
import pathlib
import stat

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import FileError, InvalidOption, ParseError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.secret import Secret
from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import keys
from hypothesis import given
from hypothesis import strategies as st

LINK = "hq--branch1"
secrets = st.text(min_size=1).map(Secret)


class Plain:
    """Encrypts nothing."""

    def __init__(self, *, private: bool = False) -> None:
        self.private = private

    def seal(self, text: str) -> str:
        return text

    def open(self, content: str) -> str:
        return content


class Backwards(Plain):
    """A cipher that one can see through, but not by accident."""

    def seal(self, text: str) -> str:
        return text[::-1]

    open = seal


class Refusing(Plain):
    def seal(self, text: str) -> str:
        raise InvalidOption("encryption: no")


@pytest.fixture(name="directory")
def _directory(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "fleet" / "keys"


def store(directory: pathlib.Path, box: keys.Box | None = None, *, writes: bool = True) -> keys.Store:
    return keys.Store(str(directory), box or Plain(), writes=writes)


@given(st.builds(keys.Keys, secrets, st.none() | secrets))
def test_what_is_written_is_read(known: keys.Keys) -> None:
    assert keys.parse("file", keys.render(known)) == known


@pytest.mark.parametrize(
    "text",
    ["", "[]", "hello", "next: a", "current: a\nmore: b", "current: 7", "current: ''", "current: a\nnext: null", "{"],
)
def test_other_files_are_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ParseError, match=r"^/keys/file\.yml: ") as caught:
        keys.parse("/keys/file.yml", text.replace("hello", "s3cret") or "s3cret: 1")
    assert "s3cret" not in str(caught.value)


def test_a_new_key_has_256_bits() -> None:
    made = {keys.generate().reveal() for _number in range(100)}
    assert len(made) == 100
    assert {len(base64.urlsafe_b64decode(key + "=")) for key in made} == {32}


def test_changing_to_another_key() -> None:
    first = keys.Keys(Secret("a"))
    changing = keys.with_next(first)
    assert changing.current == first.current
    assert changing.next not in (None, first.current)
    assert keys.with_next(changing) is changing
    assert keys.promoted(changing) == keys.Keys(changing.next)  # type: ignore[arg-type]
    assert keys.promoted(first) is first


@pytest.mark.parametrize("name", ["hq--branch1", "hq--branch1--2", "Zürich--b", "a b", "-x"])
def test_names_of_links(name: str) -> None:
    assert keys.check_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", ".lock", "a/b", "../a", "a\0b", "a\nb", "x" * 300, None, 7, ["a"]])
def test_names_that_are_no_files(name: object) -> None:
    with pytest.raises(InvalidOption, match=r"^link: "):
        keys.check_name(name)


def test_where_the_directory_is(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "hosts.yml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    here = str(tmp_path)
    for sources, directory, wanted in (
        (["hosts.yml"], "k", f"{here}/k"),
        ([f"{here}/inventory", "/"], "k", f"{here}/k"),  # beside it: inside, it would be an inventory itself
        (["inventory/"], "k", f"{here}/k"),
        (["a,b,", "gone.yml", "hosts.yml"], "../k", f"{tmp_path.parent}/k"),
        (["a,b,"], "k", "/plays/k"),
        ([], "k/", "/plays/k"),
        (["hosts.yml"], "/srv/k", "/srv/k"),
        (["hosts.yml"], "~/k", "/home/me/k"),
    ):
        assert keys.beside(sources, "/plays", directory) == wanted, (sources, directory)


def test_a_key_is_made_once_and_only_for_its_owner(directory: pathlib.Path) -> None:
    old = os.umask(0)
    try:
        made = store(directory).keys(LINK)
    finally:
        os.umask(old)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {
        ".lock": 0o600,
        f"{LINK}.yml": 0o600,
    }
    assert made.next is None
    assert store(directory).keys(LINK) == made == store(directory).read(LINK)
    assert store(directory).keys("hq--branch2") != made


def test_what_is_not_asked_to_be_made_is_refused(directory: pathlib.Path) -> None:
    for change in (lambda known: known, keys.with_next, keys.promoted):
        with pytest.raises(InvalidOption, match=r"^link: there is no key for hq--branch1 in .*create=true"):
            store(directory).keys(LINK, change, create=False)
    assert not directory.exists()


def test_a_rotation(directory: pathlib.Path) -> None:
    first = store(directory).keys(LINK)
    changing = store(directory).keys(LINK, keys.with_next)
    assert changing.current == first.current
    assert store(directory).keys(LINK, keys.with_next) == changing == store(directory).keys(LINK)
    done = store(directory).keys(LINK, keys.promoted)
    assert done == keys.Keys(changing.next)  # type: ignore[arg-type]
    assert store(directory).keys(LINK, keys.promoted) == done == store(directory).read(LINK)
    assert sorted(path.name for path in directory.iterdir()) == [".lock", f"{LINK}.yml"]


def test_check_mode_writes_nothing(directory: pathlib.Path) -> None:
    checking = store(directory, writes=False)
    assert checking.keys(LINK) != checking.keys(LINK)
    assert checking.keys(LINK, keys.with_next).next is not None
    assert not directory.exists()
    known = store(directory).keys(LINK)
    before = (directory / f"{LINK}.yml").read_bytes()
    assert checking.keys(LINK) == known
    assert checking.keys(LINK, keys.with_next).current == known.current
    assert (directory / f"{LINK}.yml").read_bytes() == before


def test_files_are_encrypted(directory: pathlib.Path) -> None:
    made = store(directory, Backwards(private=True)).keys(LINK)
    content = (directory / f"{LINK}.yml").read_text()
    assert made.current.reveal() not in content
    assert made.current.reveal() in content[::-1]
    assert store(directory, Backwards(private=True)).read(LINK) == made


def test_nothing_is_left_when_encrypting_fails(directory: pathlib.Path) -> None:
    with pytest.raises(InvalidOption, match=r"^encryption: no"):
        store(directory, Refusing()).keys(LINK)
    assert [path.name for path in directory.iterdir()] == [".lock"]


def test_plain_keys_want_a_directory_of_their_own(directory: pathlib.Path) -> None:
    directory.mkdir(parents=True)
    directory.chmod(0o750)
    with pytest.raises(InvalidOption, match=r"^directory: others may enter .*chmod 700"):
        store(directory).keys(LINK)
    assert store(directory, Backwards(private=True)).keys(LINK).current


def test_files_that_cannot_be_used(directory: pathlib.Path) -> None:
    directory.mkdir(parents=True, mode=0o700)
    (directory / f"{LINK}.yml").mkdir()
    with pytest.raises(FileError, match=r"hq--branch1\.yml: cannot be read: Is a directory"):
        store(directory).keys(LINK)
    (directory / "b.yml").write_bytes(b"\xff")
    with pytest.raises(FileError, match=r"b\.yml: cannot be read: it is no text"):
        store(directory).keys("b")
    with pytest.raises(FileError, match=r"cannot be read: Not a directory"):
        store(directory / "b.yml").keys(LINK, keys.with_next)
    (directory / ".lock").mkdir()
    with pytest.raises(FileError, match=r"^directory: .*: Is a directory; name another one"):
        store(directory).keys("c")


def test_no_temporary_file_stays(directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_paths: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(FileError, match="cannot be written: No space left on device"):
        store(directory).keys(LINK)
    assert [path.name for path in directory.iterdir()] == [".lock"]


def _ask(directory: str, start, answers, change: str) -> None:
    start.wait()
    found = keys.Store(directory, Plain()).keys(LINK, getattr(keys, change))
    answers.put((found.current.reveal(), found.next.reveal() if found.next else None))


@pytest.mark.parametrize("change", ["with_next", "promoted"])
def test_all_who_ask_at_once_get_the_same(directory: pathlib.Path, change: str) -> None:
    context = multiprocessing.get_context("fork")
    start, answers = context.Barrier(8), context.Queue()
    processes = [context.Process(target=_ask, args=(str(directory), start, answers, change)) for _number in range(8)]
    for process in processes:
        process.start()
    found = {answers.get(timeout=60) for _process in processes}
    for process in processes:
        process.join(60)
    assert len(found) == 1
    known = keys.Store(str(directory), Plain()).read(LINK)
    assert known is not None
    assert found == {(known.current.reveal(), known.next.reveal() if known.next else None)}


def test_a_key_is_in_no_representation(directory: pathlib.Path) -> None:
    known = store(directory).keys(LINK, keys.with_next)
    assert known.current.reveal() not in repr(known)
    assert known.next is not None
    assert known.next.reveal() not in repr(known)
