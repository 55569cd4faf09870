# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of the averaging period, against a model that keeps every probe and counts as dpinger does."""

from __future__ import annotations

import dataclasses
import math

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._monitor.decision import Figures
from ansible_collections.routed_ipsec.vti.plugins.module_utils._monitor.window import Window
from hypothesis import given
from hypothesis import strategies as st

# Probes are sent at whole milliseconds and looked at in between, so that nothing depends on rounding.
BETWEEN = 0.25


@dataclasses.dataclass(frozen=True)
class Sent:
    """A probe sent ``at`` milliseconds; refused ones are not reported, others answered or not."""

    at: int
    latency: int | None
    refused: bool = False


@dataclasses.dataclass(frozen=True)
class Run:
    interval: int
    loss_interval: int
    slots: int
    probes: tuple[Sent, ...]


@st.composite
def runs(draw) -> Run:
    interval = draw(st.integers(1, 50))
    loss_interval = draw(st.integers(interval, 5 * interval))
    outcome = st.integers(0, 1000 * loss_interval - 1) | st.none() | st.just("refused")
    outcomes = draw(st.lists(outcome, min_size=1, max_size=40))
    probes = [Sent(n * interval, None if out == "refused" else out, out == "refused") for n, out in enumerate(outcomes)]
    return Run(interval, loss_interval, draw(st.integers(1, 12)), tuple(probes))


def expected(run: Run, now: float) -> Figures | None:
    """What dpinger's report() makes of its ring."""
    ring = [probe for probe in run.probes if probe.at <= now][-run.slots :]
    latencies = [p.latency for p in ring if p.latency is not None and p.at + p.latency / 1000 <= now]
    lost = sum(now - p.at > run.loss_interval for p in ring if p.latency is None or p.at + p.latency / 1000 > now)
    if not latencies and not lost:
        return None
    loss = lost * 100 // (len(latencies) + lost)
    if not latencies:
        return Figures(None, None, loss)
    average = sum(latencies) // len(latencies)
    squares = sum(latency * latency for latency in latencies) // len(latencies)
    return Figures(average / 1000, math.isqrt(squares - average * average) / 1000, loss)


@given(runs())
def test_figures_are_those_of_dpinger(run):
    window = Window(run.interval, run.loss_interval, run.interval * run.slots)
    window.begin(0.0)
    reports = sorted(
        (probe.at + (run.loss_interval if probe.latency is None else probe.latency / 1000), sequence)
        for sequence, probe in enumerate(run.probes)
        if not probe.refused
    )
    for now in [milliseconds + BETWEEN for milliseconds in range(run.probes[-1].at + 1)]:
        while reports and reports[0][0] <= now:
            at, sequence = reports.pop(0)
            latency = run.probes[sequence].latency
            if latency is None:
                window.timeout(sequence, at / 1000)
            else:
                window.reply(sequence, latency, at / 1000)
        window.overdue(now / 1000, 0)
        assert window.figures() == expected(run, now)


def filled(replies: int = 4) -> Window:
    """Ten slots, a probe each second, with replies of 1 ms."""
    window = Window(1000, 2000, 10_000)
    window.begin(100.0)
    for sequence in range(replies):
        window.reply(sequence, 1000, 100.001 + sequence)
    return window


def test_nothing_is_known_at_first():
    assert Window(500, 2000, 60_000).figures() is None
    assert filled(0).figures() is None


def test_of_a_reply_that_comes_twice_the_first_counts():
    window = filled()
    window.reply(3, 900_000, 103.9)
    assert window.figures() == Figures(1.0, 0.0, 0)


def test_a_late_reply_makes_up_for_the_loss():
    window = filled()
    window.timeout(4, 106.0)
    assert window.figures() == Figures(1.0, 0.0, 20)
    window.reply(4, 2_100_000, 106.1)
    assert window.figures() == Figures(420.8, 839.6, 0)


def test_a_result_older_than_the_period_is_nothing():
    window = filled(30)
    window.reply(5, 24_500_000, 129.5)
    window.timeout(5, 129.5)
    assert window.figures() == Figures(1.0, 0.0, 0)


def test_probes_that_are_not_sent_are_lost_in_time():
    window = filled()
    window.overdue(106.5, 1.0)
    assert window.figures() == Figures(1.0, 0.0, 0)
    window.overdue(108.5, 1.0)
    assert window.figures() == Figures(1.0, 0.0, 33)


def test_what_a_silent_prober_had_sent_is_lost():
    window = filled()
    window.silent(108.5)
    assert window.figures() == Figures(1.0, 0.0, 55)


def test_results_stay_when_the_prober_starts_anew_and_probes_under_way_do_not_count():
    window = filled()
    window.begin(104.5)
    assert window.figures() == Figures(1.0, 0.0, 0)
    window.timeout(0, 106.5)
    assert window.figures() == Figures(1.0, 0.0, 20)
    window.reply(1, 1000, 105.6)
    assert window.figures() == Figures(1.0, 0.0, 16)


@pytest.mark.parametrize("pause", [20.0, 1_000_000.0])
def test_results_are_gone_when_the_prober_starts_anew_long_after(pause):
    window = filled()
    window.begin(104.0 + pause)
    assert window.figures() is None
    window.reply(0, 1000, 104.001 + pause)
    assert window.figures() == Figures(1.0, 0.0, 0)


def test_a_prober_slower_than_its_interval_is_heard_after_long_silence():
    window = filled()
    for now in range(105, 205):
        window.overdue(float(now), 1.0)
    assert window.figures() == Figures(None, None, 100)
    # By the clock this is probe 104 or 105.
    window.reply(100, 1000, 205.001)
    assert window.figures() == Figures(1.0, 0.0, 87)
    window.reply(101, 1000, 206.001)
    assert window.figures() == Figures(1.0, 0.0, 75)
