# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs and hooks that are run without waiting for them."""

from __future__ import annotations

import fcntl
import os
import pathlib
import time

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._monitor.acting import (
    HOOK_TIMEOUT,
    PROGRAM_TIMEOUT,
    Errand,
    Hooks,
    Keeper,
    Lock,
    hooks,
)
from ansible_collections.routed_ipsec.vti.plugins.module_utils._monitor.plan import Program

LONGEST = 20.0


def sh(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


def finish(errand: Errand) -> list[str]:
    deadline = time.monotonic() + LONGEST
    while not errand.step(0.0):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return errand.failures


def finish_hooks(them: Hooks) -> None:
    deadline = time.monotonic() + LONGEST
    while them.busy:
        assert time.monotonic() < deadline
        them.step(0.0)
        time.sleep(0.005)


def until(path: pathlib.Path) -> str:
    """The text of a file as soon as there is any."""
    deadline = time.monotonic() + LONGEST
    while not path.exists() or not path.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return path.read_text()


def alive(pid: int) -> bool:
    """Whether a process still runs; one that has ended but was not waited for does not."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_programs_run_one_after_the_other_and_are_given_their_text(tmp_path):
    log = tmp_path / "log"
    text = "x" * 200_000
    programs = [
        Program((sh(f"cat >>{log}"),), "one\n"),
        Program((sh(f"wc -c >>{log}"),), text),
        Program((sh(f"echo three >>{log}"),)),
    ]
    assert finish(Errand(programs)) == []
    assert log.read_text().split() == ["one", "200000", "three"]


def test_alternatives_are_tried_until_one_does(tmp_path):
    log = tmp_path / "log"
    tries = tuple(sh(f"cat >>{log}; echo {n} >>{log}; exit {rc}") for n, rc in enumerate((1, 2, 0, 0)))
    assert finish(Errand([Program(tries, "text ")])) == []
    assert log.read_text() == "text 0\ntext 1\ntext 2\n"


def test_what_fails_is_told_and_does_not_stop_the_rest(tmp_path):
    log = tmp_path / "log"
    programs = [
        Program((sh("echo no route; exit 3"), sh("echo no; echo way >&2; exit 4"))),
        Program((("/nonexistent/program", "-x"),)),
        Program((sh("exit 5"),), may_fail=True),
        Program((("/nonexistent/conntrack",),), may_fail=True),
        Program((sh(f"echo done >>{log}"),)),
    ]
    assert finish(Errand(programs)) == [
        "sh -c echo no; echo way >&2; exit 4: status 4: no / way",
        "/nonexistent/program: No such file or directory",
        "/nonexistent/conntrack: No such file or directory",
    ]
    assert log.read_text() == "done\n"


def test_a_program_that_prints_a_lot_is_not_held_up():
    assert finish(Errand([Program((sh("yes | head -n 500000"),))])) == []


def test_a_program_that_does_not_end_is_ended(tmp_path):
    pid = tmp_path / "pid"
    errand = Errand([Program((sh(f"echo $$ >{pid}; exec sleep 1000"),)), Program((("true",),))])
    assert not errand.step(0.0)
    running = int(until(pid))
    assert not errand.step(PROGRAM_TIMEOUT - 1)
    while not errand.step(PROGRAM_TIMEOUT + 1):
        time.sleep(0.005)
    assert [failure.rpartition(": ")[2] for failure in errand.failures] == ["not done in 10 seconds"]
    assert not alive(running)


def test_an_errand_given_up_leaves_nothing_running(tmp_path):
    pid = tmp_path / "pid"
    errand = Errand([Program((sh(f"echo $$ >{pid}; exec sleep 1000"),))])
    assert not errand.step(0.0)
    running = int(until(pid))
    errand.close()
    assert not alive(running)


def test_lock(tmp_path):
    path = str(tmp_path / "lock")
    other = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    lock = Lock()
    fcntl.flock(other, fcntl.LOCK_EX)
    assert not lock.acquire(path)
    fcntl.flock(other, fcntl.LOCK_UN)
    assert lock.acquire(path)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    lock.release()
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)


def hook(directory: pathlib.Path, name: str, script: str, mode: int = 0o755) -> None:
    (directory / name).write_text(f"#!/bin/sh\n{script}\n")
    (directory / name).chmod(mode)


def test_hooks_are_the_executable_files_in_order(tmp_path):
    hook(tmp_path, "20-b", "")
    hook(tmp_path, "10-a", "")
    hook(tmp_path, "30-no", "", 0o644)
    (tmp_path / "40-directory").mkdir()
    (tmp_path / "50-gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "60-link").symlink_to("10-a")
    assert [os.path.basename(path) for path in hooks(str(tmp_path))] == ["10-a", "20-b", "60-link"]
    assert hooks(str(tmp_path / "nowhere")) == []


def test_each_hook_runs_for_each_event_and_failures_are_told(tmp_path):
    directory, log = tmp_path / "hooks", tmp_path / "log"
    directory.mkdir()
    hook(directory, "1", f'echo "1 $VTI_NAME" >>{log}; exit 7')
    hook(directory, "2", f'echo "2 $VTI_NAME $PATH" >>{log}')
    (directory / "3").write_text("\x7fELF is not what this is")
    (directory / "3").chmod(0o755)
    said: list[str] = []
    them = Hooks(said.append)
    them.add(str(directory), {"VTI_NAME": "A"})
    them.add(str(directory), {"VTI_NAME": "B"})
    finish_hooks(them)
    path = os.environ["PATH"]
    assert log.read_text() == f"1 A\n2 A {path}\n1 B\n2 B {path}\n"
    assert said == [f"{directory}/1: status 7", f"{directory}/3: Exec format error"] * 2


def test_a_hook_that_does_not_end_is_ended_with_all_it_started(tmp_path):
    directory, pid = tmp_path / "hooks", tmp_path / "pid"
    directory.mkdir()
    hook(directory, "1", f"sleep 1000 & echo $! >{pid}; wait")
    said: list[str] = []
    them = Hooks(said.append)
    them.add(str(directory), {})
    them.step(0.0)
    started = int(until(pid))
    them.step(HOOK_TIMEOUT - 1)
    assert them.busy
    assert alive(started)
    them.step(HOOK_TIMEOUT + 1)
    assert not them.busy
    assert said == [f"{directory}/1: not done in 30 seconds"]
    deadline = time.monotonic() + LONGEST
    while alive(started):
        assert time.monotonic() < deadline
        time.sleep(0.005)


# -- what somebody else undoes --


def look(keeper: Keeper, now: float) -> bool:
    """Whether the looks that are due find something else than before."""
    found = keeper.step(now)
    deadline = time.monotonic() + LONGEST
    while not found and keeper.busy:
        assert time.monotonic() < deadline
        time.sleep(0.005)
        found = keeper.step(now)
    return found


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table"
    path.write_text("rules")
    return path


def test_what_stays_as_it_is_needs_nothing(table):
    keeper = Keeper([{"probe": ["cat", str(table)], "repair": None}], 0.0)
    assert [look(keeper, now) for now in (0.0, 5.0, 10.0, 20.0)] == [False] * 4
    table.write_text("other rules")
    assert not look(keeper, 25.0)
    assert look(keeper, 30.0)
    assert keeper.repairs == []


def test_what_is_gone_is_repaired(table):
    keeper = Keeper(
        [{"probe": ["true"], "repair": None}, {"probe": ["cat", str(table)], "repair": ["make", "it"]}], 0.0
    )
    assert not look(keeper, 0.0)
    table.unlink()
    assert look(keeper, 10.0)
    assert keeper.repairs == [Program((("make", "it"),))]
    keeper.renew(11.0)
    assert keeper.repairs == []
    # Still gone: what is missing can never be right.
    assert look(keeper, 11.0)


def test_what_the_actions_have_made_is_what_is_right(table):
    keeper = Keeper([{"probe": ["cat", str(table)], "repair": None}], 0.0)
    assert not look(keeper, 0.0)
    table.write_text("rules after a failover")
    keeper.renew(1.0)
    assert not look(keeper, 1.0)
    assert not look(keeper, 11.0)


def test_a_probe_that_is_not_installed_finds_nothing():
    keeper = Keeper([{"probe": ["no-such-program"], "repair": None}], 0.0)
    assert [look(keeper, now) for now in (0.0, 10.0)] == [False, False]
