# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The results of one gateway's probes over the averaging period, computed as dpinger(8) does; pure."""

from __future__ import annotations

import math

from .decision import Figures

_EMPTY = -2
_LOST = -1


class Window:
    """A ring of one slot for each probe of the averaging period; a new probe takes the slot of the oldest.

    A slot is empty while its probe is under way, then holds the latency in microseconds or that the probe is lost:
    that no reply came within the loss interval. Times passed in are seconds of a clock that never goes back.

    A prober reports results, not that it sends; it sends at even intervals, so a result tells which probes were sent
    meanwhile. It is silent on a probe that the kernel refused to send: overdue() finds those.
    """

    def __init__(self, interval: int, loss_interval: int, time_period: int) -> None:
        """Take milliseconds; ``loss_interval`` is how long a reply is waited for."""
        self._interval = interval * 1000
        self._loss_interval = loss_interval * 1000
        self._slots = [_EMPTY] * max(1, time_period // interval)
        # Probes are numbered on and on over the restarts of the prober, which numbers from 0 each time.
        self._base = 0
        self._newest = -1
        self._examined = -1
        self._epoch: float | None = None
        self._received = 0
        self._lost = 0
        self._sum = 0
        self._squares = 0

    def begin(self, now: float) -> None:
        """A prober starts now: what its predecessor had under way counts neither way."""
        if self._epoch is not None:
            self._base = max(self._newest + 1, self._sent(now, self._epoch))
            self._advance(self._base - 1)
        self._examined = self._base - 1
        self._epoch = now - self._base * self._interval / 1_000_000

    def reply(self, sequence: int, latency: int, now: float) -> None:
        """The prober's probe of that number was answered after ``latency`` microseconds."""
        self._put(self._number(sequence, latency, now), latency)

    def timeout(self, sequence: int, now: float) -> None:
        """The prober's probe of that number was not answered within the loss interval."""
        self._put(self._number(sequence, self._loss_interval, now), _LOST)

    def overdue(self, now: float, patience: float) -> None:
        """Make room for what was sent by now, and count as lost what was not heard of ``patience`` seconds too long."""
        if self._epoch is None:
            return
        self._advance(self._sent(now, self._epoch))
        latest = self._sent(now - patience - self._loss_interval / 1_000_000, self._epoch)
        for number in range(max(self._examined + 1, latest - len(self._slots) + 1), latest + 1):
            self._put(number, _LOST)
        self._examined = max(self._examined, latest)

    def silent(self, now: float) -> None:
        """The prober is ended for its silence: whatever it sent until now is lost."""
        self.overdue(now, -self._loss_interval / 1_000_000)

    def figures(self) -> Figures | None:
        """The figures, in dpinger's integer arithmetic; None while there is no result."""
        if not self._received and not self._lost:
            return None
        loss = self._lost * 100 // (self._received + self._lost)
        if not self._received:
            return Figures(None, None, loss)
        average = self._sum // self._received
        deviation = math.isqrt(self._squares // self._received - average * average)
        return Figures(average / 1000, deviation / 1000, loss)

    def _sent(self, now: float, epoch: float) -> int:
        """The number of the latest probe sent by ``now``, by the clock."""
        return math.floor((now - epoch) * 1_000_000 / self._interval)

    def _number(self, sequence: int, age: int, now: float) -> int:
        """Place a result of a probe sent ``age`` microseconds ago, and make room for what was sent since."""
        number = self._base + sequence
        since = age // self._interval
        behind = self._newest - number - since
        if behind > 1:
            # It sends more slowly than its interval says, which told while there was nothing to go by but the clock.
            self._base += behind
            number += behind
        self._advance(number + since)
        self._epoch = now - (age + number * self._interval) / 1_000_000
        return number

    def _advance(self, newest: int) -> None:
        """Empty the slots of all probes up to ``newest`` that are new."""
        size = len(self._slots)
        for number in range(max(self._newest + 1, newest - size + 1), newest + 1):
            self._set(number % size, _EMPTY)
        self._newest = max(self._newest, newest)

    def _put(self, number: int, value: int) -> None:
        """Note a result; of several the first counts, but for a reply to what was held lost."""
        size = len(self._slots)
        if number > self._newest - size and self._slots[number % size] < min(value, 0):
            self._set(number % size, value)

    def _set(self, slot: int, value: int) -> None:
        former = self._slots[slot]
        self._slots[slot] = value
        if former >= 0:
            self._received -= 1
            self._sum -= former
            self._squares -= former * former
        elif former == _LOST:
            self._lost -= 1
        if value >= 0:
            self._received += 1
            self._sum += value
            self._squares += value * value
        elif value == _LOST:
            self._lost += 1
