# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/freebsd.md lists the commands that run on FreeBSD, no more and no less, and its proofs are recordings."""

from __future__ import annotations

import dataclasses
import functools
import re
import shlex

import pytest
from ansible_collections.routed_ipsec.vti.tests.unit.freebsd import boot
from ansible_collections.routed_ipsec.vti.tests.unit.freebsd.runs import (
    FIXTURES,
    ROOT,
    SEQUENCES,
    by_modules,
    by_roles_and_playbooks,
    by_the_monitor,
    hosts,
)
from ansible_collections.routed_ipsec.vti.tests.unit.simulated import SimulatedSystem, run

DOCUMENT = ROOT / "docs" / "freebsd.md"
BOOT = "What rc runs at boot from our files"
_RECORDING = re.compile(r"\b(?:net|ipsec-up)/\d{3}\b|\bansible/\d\d\b|\brc-conf-d\.md\b|\bexperiments\.md\b")


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of a table; ``proofs`` are recordings of this command, ``nearby`` those of others."""

    section: str
    command: str
    proofs: tuple[str, ...]
    nearby: tuple[str, ...]
    unproven: str | None

    @functools.cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(" ".join(_word(word) for word in self.command.split()))

    def matches(self, argv: tuple[str, ...]) -> bool:
        return bool(self.pattern.fullmatch(" ".join(argv)))


def _tables() -> dict[str, list[list[str]]]:
    """The cells of each table below its heading, without the table's own heading."""
    found: dict[str, list[list[str]]] = {}
    section = ""
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif line.startswith("|"):
            cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            found.setdefault(section, []).append(cells)
    return {section: rows[2:] for section, rows in found.items()}


TABLES = _tables()
PLACEHOLDERS = {cells[0]: cells[2].strip("`") for cells in TABLES.pop("Placeholders")}


def _word(word: str) -> str:
    name, more, _rest = word.partition("...")
    if more:
        return rf"{PLACEHOLDERS[name]}(?: {PLACEHOLDERS[name]})*"
    return "=".join(
        f"(?:{PLACEHOLDERS[part]})" if part in PLACEHOLDERS else re.escape(part) for part in word.split("=")
    )


def _row(section: str, cells: list[str]) -> Row:
    command, _when, _output, _errors, proof = cells
    own, _see, nearby = proof.partition("; see ")
    unproven = own.removeprefix("unproven: ") if own.startswith("unproven: ") else None
    proofs = () if unproven else tuple(own.split(", "))
    return Row(section, command.strip("`"), proofs, tuple(_RECORDING.findall(nearby)), unproven)


ROWS = [_row(section, cells) for section, rows in TABLES.items() for cells in rows]
OURS = [row for row in ROWS if row.section != BOOT]
RC = [row for row in ROWS if row.section == BOOT]
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.section}: {row.command}")


@functools.cache
def ran_by_us() -> frozenset[tuple[str, ...]]:
    return frozenset(by_modules() | by_roles_and_playbooks() | by_the_monitor())


@functools.cache
def ran_at_boot() -> frozenset[tuple[str, ...]]:
    """The commands of rc for our interfaces and routes, after each state of the runs."""
    found: set[tuple[str, ...]] = set()
    for name, sequence in SEQUENCES.items():
        host = hosts(pf=name.startswith("pf"))[1]
        for options in sequence:
            run(SimulatedSystem(host), "site", **options)
            found |= set(boot.commands(dict(host.files), "enc0 lo0"))
    return frozenset(
        words
        for words in found
        if words[1].startswith("ipsec") or words == ("ifconfig", "enc0", "up") or _is_ours(words)
    )


def _is_ours(words: tuple[str, ...]) -> bool:
    return words[0] == "route" and "default" not in words


def test_the_runs_reach_a_good_deal() -> None:
    assert len(ran_by_us()) > 60
    assert len(ran_at_boot()) > 15


@pytest.mark.parametrize(("what", "rows"), [("us", OURS), ("boot", RC)])
def test_every_command_is_listed(what: str, rows: list[Row]) -> None:
    ran = ran_by_us() if what == "us" else ran_at_boot()
    assert sorted(" ".join(argv) for argv in ran if not any(row.matches(argv) for row in rows)) == []


@each_row
def test_code_runs_what_is_listed(row: Row) -> None:
    ran = ran_at_boot() if row.section == BOOT else ran_by_us()
    assert any(row.matches(argv) for argv in ran)


@each_row
def test_no_two_rows_are_of_one_command(row: Row) -> None:
    assert [other.command for other in ROWS if other.section == row.section].count(row.command) == 1
    ran = ran_at_boot() if row.section == BOOT else ran_by_us()
    others = [other for other in (RC if row.section == BOOT else OURS) if other is not row]
    assert not [other for other in others for argv in ran if row.matches(argv) and other.matches(argv)]


@functools.cache
def _recorded(name: str) -> tuple[tuple[str, ...], int]:
    """Command and exit status of a recording; of a pipe the last command, of Ansible's service module its options."""
    (path,) = FIXTURES.glob(f"{name}-*.txt")
    command, rc = path.read_text(encoding="utf-8").split("\n", 2)[:2]
    module = re.search(r"-m service -a name=(\S+) state=(\S+)", command)
    words = ("service", *module.groups()) if module else tuple(shlex.split(command.rpartition(" | ")[2]))
    return words, int(rc.removeprefix("rc="))


@each_row
def test_proofs_are_recordings_of_the_command(row: Row) -> None:
    assert (row.unproven is None) == bool(row.proofs)
    recorded = {name: _recorded(name) for name in row.proofs}
    assert [name for name, (argv, _rc) in recorded.items() if not row.matches(argv)] == []
    assert not recorded or 0 in {rc for _argv, rc in recorded.values()}


@each_row
def test_what_is_unproven_says_what_to_record(row: Row) -> None:
    assert row.unproven is None or row.unproven.startswith("record ")


def test_every_recording_that_is_named_exists() -> None:
    names = _RECORDING.findall(DOCUMENT.read_text(encoding="utf-8"))
    assert len(names) > 100
    for name in set(names):
        assert list(FIXTURES.glob(name if name.endswith(".md") else f"{name}-*.txt")), name


@each_row
def test_what_is_unproven_has_no_recording(row: Row) -> None:
    """A recording that shows the command succeeding is to be named."""
    if row.unproven is None:
        return
    for path in sorted(FIXTURES.glob("*/[0-9]*.txt")):
        argv, rc = _recorded(f"{path.parent.name}/{path.name.partition('-')[0]}")
        assert rc != 0 or not row.matches(argv), path.name
