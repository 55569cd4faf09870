# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of a chart, from which tests/sim/hosts starts simulated hosts."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import pathlib
import sys
import typing as t

import pytest

PROGRAM = pathlib.Path(__file__).resolve().parents[2] / "sim" / "hosts"


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> t.Any:
    """The program as a module."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = importlib.machinery.SourceFileLoader("sim_hosts", str(PROGRAM))
    module = importlib.util.module_from_spec(t.cast("t.Any", importlib.util.spec_from_loader("sim_hosts", loader)))
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("# nobody", [[]]),
        ("", [[]]),
        ("hq wan0=192.0.2.1/24  # the first", [["hq", "wan0=192.0.2.1/24"]]),
        ("hq wan0=192.0.2.{n}/24", [["hq", "wan0=192.0.2.{n}/24"]]),
        ("b[09:10] lan0=10.{n}.0.1/24", [["b09", "lan0=10.9.0.1/24"], ["b10", "lan0=10.10.0.1/24"]]),
        ("b[1:2] x={n}.{n}", [["b1", "x=1.1"], ["b2", "x=2.2"]]),
    ],
)
def test_a_line_stands_for_hosts(hosts: t.Any, line: str, expected: list[list[str]]) -> None:
    assert list(hosts.each(line)) == expected
