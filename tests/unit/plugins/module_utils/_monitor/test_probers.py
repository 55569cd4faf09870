# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the probing programs are told, what they print, and how many of them there are."""

from __future__ import annotations

import dataclasses
import os
import pathlib

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._monitor import probers as module
from ansible_collections.routed_ipsec.vti.plugins.module_utils._monitor.decision import Figures
from ansible_collections.routed_ipsec.vti.plugins.module_utils._monitor.probers import (
    MOST_BOUND,
    MOST_TARGETS,
    FpingResult,
    Probe,
    Probers,
    command_line,
    dpinger_figures,
    dpinger_job,
    fping_jobs,
    fping_results,
    is_assigned,
    kernel_source,
)
from ansible_collections.routed_ipsec.vti.tests.unit.plugins.module_utils._monitor.standins import Host, alive, until
from hypothesis import given
from hypothesis import strategies as st

FIXTURES = pathlib.Path(__file__).resolve().parents[4] / "fixtures" / "fping"
NO_PROCESS = 2**22 + 1  # beyond pid_max
PROBE = Probe("GW", "ipsec1", "10.6.106.2", "10.6.106.1", 500, 2000, 60000, 1000, 1)


def results(name: str) -> dict[bytes, list[tuple[int, int | None]]]:
    found: dict[bytes, list[tuple[int, int | None]]] = {}
    for result in fping_results((FIXTURES / name).read_bytes()):
        found.setdefault(result.monitor, []).append((result.sequence, result.latency))
    return found


@pytest.mark.parametrize(
    ("file", "answers", "silent"),
    [
        ("inet.txt", b"10.9.0.1", [b"10.9.0.77", b"10.9.0.78"]),
        ("inet6.txt", b"fd00:9::1", [b"fd00:9::78"]),
    ],
)
def test_reads_what_fping_printed(file, answers, silent):
    found = results(file)
    assert sorted(found) == sorted([answers, *silent])
    assert [sequence for sequence, _latency in found[answers]] == list(range(9))
    assert all(0 < latency < 1000 for _sequence, latency in found[answers])
    for monitor in silent:
        assert found[monitor] == [(sequence, None) for sequence in range(7)]


def test_reads_latencies_of_any_size():
    lines = (
        b"10.9.0.1 : [0], 9 bytes, 0.230 ms (0.230 avg, 0% loss)\n"
        b"10.9.0.1 : [1], 9 bytes, 53.0 ms (48.5 avg, 40% loss)\n"
        b"10.9.0.1 : [65536], 9 bytes, 1510 ms (151 avg, 0% loss)\n"
    )
    assert list(fping_results(lines)) == [
        FpingResult(b"10.9.0.1", 0, 230),
        FpingResult(b"10.9.0.1", 1, 53_000),
        FpingResult(b"10.9.0.1", 65536, 1_510_000),
    ]


def test_fping_says_nothing_of_a_probe_that_is_refused():
    assert [sequence for sequence, _latency in results("refused.txt")[b"127.0.0.1"]] == [0, 1, 2, 5, 6, 7, 8]
    assert b"10.99.0.1" not in results("refused.txt")
    assert results("no-source.txt") == {}


@pytest.mark.parametrize(
    ("output", "figures"),
    [
        (b"GW 10312 1844 0\n", Figures(10.312, 1.844, 0)),
        (b"GW 10312 1844 0\nGW 10400 1900 3\n", Figures(10.4, 1.9, 3)),
        (b"GW 0 0 100\n", Figures(None, None, 100)),
        (b"GW 0 0 0\n", None),
        (b"GW 10.6.106.1: sendto error: 65\nGW 10312 1844 7\n", Figures(10.312, 1.844, 7)),
        (b"GW 10312 1844 7\nGW 10.6.106.1: sendto error: 65\n", Figures(10.312, 1.844, 7)),
        (b"GW 10.6.106.1: duplicate echo reply received\n", None),
        (b"", None),
    ],
)
def test_reads_what_dpinger_reports(output, figures):
    assert dpinger_figures(output) == figures


def test_dpinger_is_told_its_source_and_no_interface():
    job = dpinger_job("/usr/local/bin/dpinger", PROBE)
    assert " ".join(job.argv) == (
        "/usr/local/bin/dpinger -f -i GW -B 10.6.106.2 -s 500 -l 2000 -t 60000 -r 1000 -d 1 10.6.106.1"
    )
    assert "-B" not in dpinger_job("dpinger", dataclasses.replace(PROBE, source=None)).argv


def jobs(probes, natural=(), bound=0):
    """The jobs for fping, where the kernel gives the targets in ``natural`` the source that is wanted."""
    sources = {probe.monitor: probe.source for probe in probes if probe.monitor in natural}
    return fping_jobs("/usr/bin/fping", probes, lambda monitor: sources.get(monitor, "192.0.2.1"), bound)


def probe(number: int, **changes: object) -> Probe:
    pair = {"source": f"10.1.{number // 200}.{number % 200}", "monitor": f"10.2.{number // 200}.{number % 200}"}
    return dataclasses.replace(PROBE, gateway=f"GW{number}", **{**pair, **changes})


def test_fping_is_told_its_source_and_no_interface():
    (job,) = jobs([PROBE, dataclasses.replace(PROBE, gateway="GW2", monitor="192.0.2.9")])
    assert " ".join(job.argv) == ("/usr/bin/fping -4 -l -i 1 -p 500 -t 2000 -b 1 -S 10.6.106.2 10.6.106.1 192.0.2.9")
    assert "-I" not in job.argv
    (job,) = jobs([dataclasses.replace(PROBE, source=None, monitor="fd00::1")])
    assert " ".join(job.argv) == "/usr/bin/fping -6 -l -i 1 -p 500 -t 2000 -b 1 fd00::1"


@pytest.mark.parametrize(
    "change",
    [{"source": "10.6.107.2"}, {"source": None}, {"interval": 400}, {"loss_interval": 1000}, {"data_payload": 2}],
)
def test_what_differs_in_source_or_rhythm_has_a_process_of_its_own(change):
    other = dataclasses.replace(PROBE, gateway="GW2", **{"monitor": "192.0.2.9", **change})
    assert [job.probes for job in jobs([PROBE, other])] == [(PROBE,), (other,)]


def test_each_source_has_its_process_until_they_are_too_many():
    many = [probe(number) for number in range(MOST_BOUND + 1)]
    natural = {p.monitor for p in many[:-1]}
    few = jobs(many[1:], natural)
    assert [job.bound for job in few] == [p.source for p in many[1:]]
    shared, own = jobs(many, natural)
    assert shared.bound is None
    assert "-S" not in shared.argv
    assert shared.probes == tuple(many[:-1])
    assert (own.bound, own.probes) == (many[-1].source, (many[-1],))
    assert [job.bound for job in jobs(many[:1], natural, bound=MOST_BOUND)] == [None]
    assert [job.bound for job in jobs(many[:1], natural, bound=MOST_BOUND - 1)] == [many[0].source]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.sampled_from([500, 1000]), st.booleans()), max_size=40),
    st.integers(0, MOST_BOUND + 1),
)
def test_every_gateway_is_probed_once_and_nowhere_two_of_a_target(kinds, bound):
    probes = [
        probe(n, source=f"10.1.0.{s}", monitor=f"fd00::{m}" if v6 else f"10.2.0.{m}", interval=i)
        for n, (s, m, i, v6) in enumerate(kinds)
    ]
    natural = {p.monitor for p in probes if p.monitor.endswith(("1", "3"))}
    made = jobs(probes, natural, bound)
    assert sorted(p.gateway for job in made for p in job.probes) == sorted(p.gateway for p in probes)
    for job in made:
        targets = [p.monitor for p in job.probes]
        assert len(set(targets)) == len(targets)
        assert job.argv[-len(targets) :] == tuple(targets)
        assert len({(p.interval, ":" in p.monitor) for p in job.probes}) == 1
        assert {p.source for p in job.probes} == {job.bound} or job.bound is None


@pytest.mark.parametrize("count", [MOST_TARGETS, MOST_TARGETS + 1, 500])
def test_no_process_has_more_replies_to_take_at_once_than_its_socket_holds(count):
    made = jobs([probe(number, source="10.1.0.1") for number in range(count)])
    sizes = sorted(len(job.probes) for job in made)
    assert sum(sizes) == count
    assert sizes[-1] <= MOST_TARGETS
    assert sizes[-1] - sizes[0] <= 1
    assert len(made) == -(-count // MOST_TARGETS)


@pytest.mark.parametrize(
    ("count", "interval", "pause"),
    [(1, 500, "1"), (100, 500, "1"), (101, 500, "0.01"), (250, 5000, "0.01"), (10, 20, "1"), (11, 20, "0.01")],
)
def test_packets_to_few_targets_are_spread(count, interval, pause):
    (job,) = jobs([probe(number, source="10.1.0.1", interval=interval) for number in range(count)])
    assert job.argv[job.argv.index("-i") + 1] == pause


@pytest.mark.parametrize(("address", "assigned"), [("127.0.0.1", True), ("192.0.2.77", False), ("nonsense", False)])
def test_addresses_of_this_host(address, assigned):
    assert is_assigned(address) == assigned


def test_source_that_the_kernel_chooses():
    assert kernel_source("127.0.0.1") == "127.0.0.1"
    assert kernel_source("nonsense") is None


def test_command_line_of_a_process():
    assert command_line(os.getpid()).split()[0]
    assert command_line(NO_PROCESS) == ""


@pytest.fixture
def host(tmp_path, monkeypatch):
    made = Host(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    yield made
    made.close()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def probers(said):
    made = Probers(said.append, "fping")
    yield made
    made.close(0.0)


def local(number: int, **changes: object) -> Probe:
    """A probe that the stand-in sends, from an address that every host has."""
    pair = {"source": f"127.0.1.{number}", "monitor": f"127.0.2.{number}", "interface": "lo"}
    return dataclasses.replace(PROBE, gateway=f"GW{number}", **{**pair, **changes})


def told(probers: Probers) -> list[str]:
    """Of each process its source and its targets."""
    return sorted(" ".join(words[words.index("-b") + 2 :]) for words in probers.processes().values())


def test_a_source_that_the_kernel_chooses_no_longer_is_told_from_then_on(host, probers, said, monkeypatch):
    probes = [local(number) for number in range(1, 5)]
    chosen = {probe.monitor: probe.source for probe in probes}
    monkeypatch.setattr(module, "MOST_BOUND", 2)
    monkeypatch.setattr(module, "kernel_source", chosen.get)
    probers.replace(probes, 0.0)
    assert told(probers) == ["127.0.2.1 127.0.2.2 127.0.2.3 127.0.2.4"]
    (shared,) = probers.processes()
    for turn in range(5):
        probers.check(1.0 + turn / 10)
    assert list(probers.processes()) == [shared]
    chosen["127.0.2.3"] = "192.0.2.1"
    for turn in range(5):
        probers.check(2.0 + turn / 10)
    probers.start(3.0)
    assert told(probers) == ["-S 127.0.1.3 127.0.2.3", "127.0.2.1 127.0.2.2 127.0.2.4"]
    assert shared not in probers.processes()
    assert said == ["GW3: packets to 127.0.2.3 have another source address now"]


def until_ended(probers: Probers, now: float) -> None:
    until(lambda: (probers.drain(now), not probers.processes())[1])


def test_one_that_ends_is_started_again_with_ever_longer_pauses(host, probers, said):
    host.probe("127.0.2.1", "die")
    probers.replace([local(1)], 0.0)
    now, pauses = 0.0, []
    while len(pauses) < 7:
        until_ended(probers, now)
        probers.check(now)
        pauses.append(probers.start_at - now)
        now = probers.start_at
        if len(pauses) == 7:
            host.probe("127.0.2.1", "hang")
        probers.start(now)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert said == ["GW1: fping has ended: fping: out of order"] * 7
    # Once it has run for longer than that all begins anew.
    os.kill(until(lambda: host.hanging() and host.prober("127.0.2.1")), 9)
    until_ended(probers, now + 31)
    probers.check(now + 31)
    assert probers.start_at == now + 32


def test_one_whose_interface_is_recreated_is_replaced_and_its_results_stay(host, probers, monkeypatch):
    indexes = [(1, "lo"), (7, "ipsec1"), (8, "ipsec2")]
    monkeypatch.setattr(module.socket, "if_nameindex", lambda: indexes)
    probers.replace([local(1, interface="ipsec1"), local(2, interface="ipsec2")], 0.0)
    probers.start(1.0)
    until(lambda: (probers.drain(1.0), probers.figures("GW1", 1.0))[1])
    first, second = probers.processes()
    indexes[1] = (9, "ipsec1")
    probers.check(1.5)
    third, fourth = sorted(probers.processes(), key=second.__eq__)
    assert first != third
    until(lambda: not alive(first))
    assert second == fourth
    assert probers.figures("GW1", 1.5) == Figures(1.0, 0.0, 0)


def test_what_is_no_longer_to_be_probed_is_forgotten(host, probers):
    probers.replace([local(1), local(2)], 0.0)
    probers.start(1.0)
    until(lambda: (probers.drain(1.0), probers.figures("GW1", 1.0) and probers.figures("GW2", 1.0))[1])
    before = set(probers.processes())
    probers.replace([local(2)], 1.0)
    assert probers.figures("GW1", 1.0) is None
    assert set(probers.processes()) < before
    probers.replace([local(1), local(2, monitor="127.0.2.9")], 1.0)
    assert probers.figures("GW1", 1.0) is None
    assert probers.figures("GW2", 1.0) is None
