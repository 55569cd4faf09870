# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which gateways count as up, and what a group makes of it."""

from __future__ import annotations

import pytest
from ansible_collections.routed_ipsec.vti.plugins.module_utils._monitor.decision import (
    MEASURED,
    STATUSES,
    TRIGGERS,
    Figures,
    Hysteresis,
    Thresholds,
    choose,
    for_selection,
    grade,
    is_up,
    select,
    tier,
)
from hypothesis import given
from hypothesis import strategies as st

THRESHOLDS = Thresholds(200, 500, 10, 20)
OUT = {
    "down": {"highdelay", "highloss", "down", "force_down"},
    "downloss": {"highdelay", "highloss", "down", "force_down", "loss"},
    "downlatency": {"highdelay", "highloss", "down", "force_down", "delay"},
    "downlosslatency": {"highdelay", "highloss", "down", "force_down", "delay", "loss"},
}
NAMES = ("A", "B", "C", "D")
ALL_STATUSES = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(STATUSES))


@st.composite
def groups(draw):
    members = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    tiers = [{"gateway": member, "tier": draw(st.integers(1, 5))} for member in members]
    return {"GROUP": {"trigger": draw(st.sampled_from(TRIGGERS)), "members": tiers}}


@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("status", STATUSES)
def test_up(status, trigger):
    assert is_up(status, trigger) == (status not in OUT[trigger])


@pytest.mark.parametrize(
    ("latency", "loss", "status"),
    [
        (1.0, 0, "online"),
        (200.0, 10, "online"),
        (200.1, 0, "delay"),
        (1.0, 11, "loss"),
        (300.0, 11, "loss"),
        (500.0, 20, "loss"),
        (500.1, 0, "highdelay"),
        (500.1, 20, "highdelay"),
        (1.0, 21, "highloss"),
        (900.0, 99, "highloss"),
        (1.0, 100, "down"),
        (None, 100, "down"),
        (None, 0, "online"),
    ],
)
def test_grade(latency, loss, status):
    assert grade(Figures(latency, latency, loss), THRESHOLDS) == status


def test_no_loss_threshold_hides_that_nothing_comes_back():
    assert grade(Figures(None, None, 100), Thresholds(200, 500, 99, 100)) == "down"


@given(
    st.lists(st.tuples(st.integers(1, 40), st.sampled_from(MEASURED)), min_size=1, max_size=30),
    st.integers(0, 100),
)
def test_shown_is_the_worst_of_the_time_of_holding(samples, hold):
    hysteresis = Hysteresis()
    now = 0
    measured = []
    for passed, status in samples:
        now += passed
        measured.append((now, MEASURED.index(status)))
        shown = hysteresis.shown(status, float(now), float(hold))
        # Each measurement counts until the next is made.
        ends = [at for at, _bad in measured[1:]] + [None]
        counting = [bad for (_at, bad), end in zip(measured, ends, strict=True) if end is None or now - end < hold]
        assert shown == MEASURED[max(counting)]


def test_better_again_only_after_the_time_of_holding():
    hysteresis = Hysteresis()
    shown = [hysteresis.shown(word, at, 10) for at, word in enumerate(["online", "down", *["online"] * 12])]
    assert shown == ["online", *["down"] * 11, *["online"] * 2]


@given(ALL_STATUSES, st.sampled_from(NAMES))
def test_a_gateway_is_a_target_of_its_own(statuses, name):
    assert select(name, {}, statuses) == ((name,) if is_up(statuses.get(name, "pending")) else ())
    assert choose(name, {}, statuses, "B") == name


@given(groups(), ALL_STATUSES)
def test_select_takes_all_that_are_up_of_one_tier_and_no_better_tier_has_any(groups, statuses):
    group = groups["GROUP"]
    tiers = {member["gateway"]: member["tier"] for member in group["members"]}
    up = {name for name in tiers if statuses.get(name, "pending") not in OUT[group["trigger"]]}
    selected = select("GROUP", groups, statuses)
    assert set(selected) == {name for name in up if tiers[name] == min(tiers[other] for other in up)}
    assert list(selected) == [member["gateway"] for member in group["members"] if member["gateway"] in selected]
    assert tier("GROUP", groups, selected) == (tiers[selected[0]] if selected else None)


@given(groups(), ALL_STATUSES, st.none() | st.sampled_from(NAMES))
def test_choose_stays_where_it_can(groups, statuses, current):
    members = groups["GROUP"]["members"]
    selected = select("GROUP", groups, statuses)
    chosen = choose("GROUP", groups, statuses, current)
    if current in selected:
        assert chosen == current
    elif selected:
        assert chosen == selected[0]
    else:
        best = min(member["tier"] for member in members)
        assert chosen == next(member["gateway"] for member in members if member["tier"] == best)
    assert choose("GROUP", groups, statuses, chosen) == chosen


@pytest.mark.parametrize(
    ("force_down", "action_disable", "counted"),
    [(False, False, "down"), (False, True, "none"), (True, False, "force_down"), (True, True, "force_down")],
)
def test_what_counts_for_a_selection(force_down, action_disable, counted):
    gateways = {
        "A": {"force_down": force_down, "action_disable": action_disable},
        "B": {"force_down": False, "action_disable": False},
    }
    assert for_selection(gateways, {"A": "down"}) == {"A": counted, "B": "pending"}
