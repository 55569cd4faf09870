# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded output of FreeBSD's commands; tests/fixtures/freebsd/README.md tells the form of the files."""

from __future__ import annotations

import dataclasses
import pathlib

FIXTURES = pathlib.Path(__file__).resolve().parents[4] / "fixtures"


@dataclasses.dataclass(frozen=True)
class Transcript:
    name: str
    command: str
    rc: int
    stdout: str
    stderr: str


def load(name: str) -> Transcript:
    """One transcript by its folder and number, as in ``net/189``."""
    (path,) = (FIXTURES / "freebsd").glob(f"{name}-*.txt")
    command, rc, output = path.read_text(encoding="utf-8").split("\n", 2)
    stdout, _marker, stderr = f"\n{output}".partition("\n--- stderr ---\n")
    return Transcript(name, command, int(rc[len("rc=") :]), f"{stdout[1:]}\n" if stdout else "", stderr)


def of_command(*words: str) -> list[Transcript]:
    """All transcripts of the folders net and ipsec-up whose command starts with the words, in their order."""
    paths = sorted(path for folder in ("net", "ipsec-up") for path in (FIXTURES / "freebsd" / folder).glob("*.txt"))
    transcripts = [load(f"{path.parent.name}/{path.name[:3]}") for path in paths]
    return [transcript for transcript in transcripts if tuple(transcript.command.split()[: len(words)]) == words]
