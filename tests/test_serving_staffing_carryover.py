"""Lines over a day: Erlang where nothing is carried, a simulation's answer where something is."""

from __future__ import annotations

import heapq
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features.arrays import Float64, Int64
from features.errors import InputError
from serving.staffing.carryover import CarriedOver, carryover
from serving.staffing.erlang import Performance, performance
from serving.staffing.queue_model import QueueModel, ServiceGoal

AHT = 300.0
MEASURES = ("service_level", "asa_seconds", "wait_probability", "abandonment", "occupancy")
RUSH = np.array([120.0, 120.0, 220.0, 210.0, 120.0, 110.0, 120.0, 120.0])
"""Contacts by hour; 15 agents answer 180 an hour."""


def day(
    contacts: Float64 | list[float],
    *,
    agents: int | list[int] = 15,
    patience: float | None = None,
    minutes: int = 60,
    goal: ServiceGoal | None = None,
    backlog: float = 0.0,
    **line: Any,
) -> CarriedOver:
    offered = np.array(contacts, dtype=np.float64)
    there = np.broadcast_to(np.array(agents, dtype=np.int64), offered.shape)
    return carryover(
        offered,
        aht_seconds=np.full(len(offered), AHT),
        agents=there,
        interval_minutes=minutes,
        line=QueueModel(patience_seconds=patience, **line),
        goal=goal or ServiceGoal(),
        backlog_contacts=backlog,
    )


def steady(
    contacts: Float64 | list[float], *, agents: int = 15, patience: float | None = None, **line: Any
) -> Performance:
    offered = np.array(contacts, dtype=np.float64)
    return performance(
        offered * AHT / 3600,
        aht_seconds=np.full(len(offered), AHT),
        agents=np.full(len(offered), agents),
        line=QueueModel(patience_seconds=patience, **line),
        within_seconds=20.0,
    )


def simulated(
    contacts: Float64, *, agents: Int64, patience: float | None, days: int, seed: int
) -> tuple[Float64, Float64]:
    """Return service level and abandonment by hour of arrival, each contact and agent followed.

    Agents are on duty from the first; agent k is off in the hours that have k agents or fewer,
    and first finishes her contact.
    """
    rng = np.random.default_rng(seed)
    hours = len(contacts)
    offered, in_time, gone = np.zeros(hours), np.zeros(hours), np.zeros(hours)
    for _ in range(days):
        times = np.sort(
            np.concatenate(
                [h * 3600 + 3600 * rng.random(rng.poisson(contacts[h])) for h in range(hours)]
            )
        )
        handle = rng.exponential(AHT, len(times))
        patient = (
            np.full(len(times), np.inf)
            if patience is None
            else rng.exponential(patience, len(times))
        )
        free = [(0.0, k) for k in range(int(agents.max()))]
        for t, work, willing in zip(times, handle, patient, strict=True):
            hour = int(t // 3600)
            offered[hour] += 1
            start = max(t, free[0][0])
            while free and agents[min(int(start // 3600), hours - 1)] <= free[0][1]:
                heapq.heapreplace(free, ((start // 3600 + 1) * 3600.0, free[0][1]))
                start = max(t, free[0][0])
            if start - t >= willing:
                gone[hour] += 1
                continue
            in_time[hour] += start - t <= 20.0
            heapq.heapreplace(free, (start + work, free[0][1]))
    return in_time / offered, gone / offered


@pytest.mark.parametrize(
    ("patience", "agents"),
    [
        (None, [15] * 8),
        (180.0, [15] * 8),
        (900.0, [15] * 8),
        (None, [15, 15, 12, 12, 15, 15, 15, 15]),
        (600.0, [15, 15, 12, 12, 15, 15, 15, 15]),
    ],
)
def test_a_day_with_two_understaffed_hours_fares_as_a_simulation_of_it(
    patience: float | None, agents: list[int]
) -> None:
    contacts = RUSH if min(agents) == 15 else np.where(RUSH > 200, 175.0, RUSH)
    found = day(contacts, agents=agents, patience=patience)
    level, _ = simulated(contacts, agents=np.array(agents), patience=patience, days=250, seed=7)
    hours = np.flatnonzero(found.waiting > 0)
    assert hours.tolist()[:2] == [2, 3]
    assert len(hours) >= 3, "the hour after the rush begins with what the rush left"
    assert np.abs(found.expected.service_level - level)[hours].max() < 0.04


def test_carrying_over_is_far_nearer_to_the_truth_than_steady_states_are() -> None:
    level, _ = simulated(RUSH, agents=np.full(8, 15), patience=None, days=200, seed=11)
    wrong = np.abs(steady(RUSH).service_level - level)
    ours = np.abs(day(RUSH).expected.service_level - level)
    assert wrong[4] > 0.5, "the hour after the rush looks well to a steady state"
    assert ours.max() < 0.1 * wrong.max()
    assert ours.sum() < 0.2 * wrong.sum()


def test_abandonment_is_that_of_a_simulation() -> None:
    found = day(RUSH, patience=600.0)
    _, gone = simulated(RUSH, agents=np.full(8, 15), patience=600.0, days=200, seed=5)
    # By hour of hanging up against by hour of coming: alike over the rush as a whole.
    total = (found.expected.abandonment * RUSH).sum()
    assert total == pytest.approx((gone * RUSH).sum(), rel=0.08)


@settings(max_examples=60, deadline=None)
@given(
    contacts=st.lists(st.floats(0.0, 130.0), min_size=1, max_size=8),
    patience=st.none() | st.floats(10.0, 2_000.0),
)
def test_where_the_agents_keep_up_it_is_erlang_to_the_digit(
    contacts: list[float], patience: float | None
) -> None:
    found = day(contacts, patience=patience)
    expected = steady(contacts, patience=patience)
    for name in MEASURES:
        assert getattr(found.expected, name).tolist() == getattr(expected, name).tolist()
    assert found.waiting.tolist() == [0.0] * len(contacts)


def test_hours_before_and_long_after_a_rush_keep_erlangs_answer() -> None:
    quiet = np.array([100.0, 100.0, 230.0, 60.0, 60.0, 60.0, 100.0])
    found, expected = day(quiet), steady(quiet)
    for name in MEASURES:
        kept, wanted = getattr(found.expected, name), getattr(expected, name)
        assert kept[[0, 1, 5, 6]].tolist() == wanted[[0, 1, 5, 6]].tolist()


def test_blocked_contacts_do_not_wait_and_nothing_is_carried() -> None:
    found = day(RUSH, blocked=True)
    assert found.waiting.tolist() == [0.0] * 8
    assert found.expected.abandonment.tolist() == steady(RUSH, blocked=True).abandonment.tolist()


def test_a_line_that_loses_callers_by_design_and_meets_its_goal_is_in_its_steady_state() -> None:
    goal = ServiceGoal(share=0.5, seconds=20.0)
    found = day([200.0, 200.0], patience=60.0, goal=goal)
    expected = steady([200.0, 200.0], patience=60.0)
    assert expected.service_level.min() >= 0.5
    assert found.expected.service_level.tolist() == expected.service_level.tolist()


def test_an_overload_that_lasts_ends_in_erlang_a_itself() -> None:
    found = day([260.0] * 6, patience=120.0)
    expected = steady([260.0] * 6, patience=120.0)
    for name in MEASURES:
        assert getattr(found.expected, name)[3:] == pytest.approx(
            getattr(expected, name)[3:], rel=1e-4
        )


def test_an_overloaded_erlang_c_line_grows_by_what_is_not_answered() -> None:
    found = day([200.0] * 6)
    # 15 agents answer 180: 20 more wait each hour, once all are busy all the time.
    assert np.diff(found.waiting)[2:] == pytest.approx(20.0, abs=0.6)
    assert found.expected.occupancy[3:] == pytest.approx(1.0, abs=2e-3)


def test_who_comes_while_the_line_is_still_short_is_answered_in_time() -> None:
    # 100 contacts a second come and 90 are answered. All 900 agents are busy after 11 s; then 10 a
    # second join the line, and the wait is 20 s once 20 x 90 wait: after 180 s.
    found = carryover(
        np.array([250_000.0, 360_000.0]),
        aht_seconds=np.full(2, 10.0),
        agents=np.array([900, 900]),
        interval_minutes=60,
        line=QueueModel(),
        goal=ServiceGoal(),
    )
    assert found.expected.service_level[1] == pytest.approx(191 / 3600, abs=0.005)


@pytest.mark.parametrize("patience", [None, 400.0])
def test_no_contact_is_lost_from_the_books(patience: float | None) -> None:
    contacts = np.array([210.0, 220.0, 100.0, 100.0, 230.0])
    found = day(contacts, patience=patience)
    completed = found.expected.occupancy * 15 * 3600 / AHT
    gone = found.expected.abandonment * contacts
    assert (found.waiting[[0, 1, 4]] > 3).all()
    # All came to an empty room; at the end 15 are with an agent, as the last hour is overloaded.
    left = found.waiting[-1] + 15
    assert contacts.sum() == pytest.approx(completed.sum() + gone.sum() + left, abs=0.5)


def test_what_waits_at_the_beginning_is_answered_first() -> None:
    with_backlog, without = day([100.0] * 4, backlog=100.0), day([100.0] * 4)
    # 80 an hour more can be answered than come: the 85 that wait last a little over an hour.
    assert with_backlog.expected.service_level[0] < 0.1 < without.expected.service_level[0]
    assert 2 < with_backlog.waiting[0] < 20
    assert with_backlog.expected.service_level[3] == without.expected.service_level[3]


def test_a_backlog_below_a_contact_changes_little() -> None:
    some, none = day([100.0], backlog=0.25), day([100.0])
    assert some.expected.service_level.tolist() == none.expected.service_level.tolist()


def test_who_waits_when_the_line_closes_is_lost() -> None:
    contacts, agents = [200.0, 0.0, 100.0], [15, 0, 15]
    found = day(contacts, agents=agents)
    stays = day([200.0, 100.0])
    assert found.waiting.tolist() == [0.0, 0.0, 0.0]
    assert found.expected.abandonment[0] == pytest.approx(stays.waiting[0] / 200)
    assert found.expected.service_level[2] == steady([100.0]).service_level[0]


def test_a_lunch_break_without_agents_leaves_its_contacts_to_the_next_hour() -> None:
    found = day([100.0, 50.0, 100.0], agents=[15, 0, 15])
    assert found.expected.service_level[1] == 0
    assert found.expected.occupancy[1] == 0
    assert math.isinf(found.expected.asa_seconds[1])
    assert found.waiting[1] >= 50
    assert found.expected.service_level[2] < steady([100.0]).service_level[0] - 0.3
    impatient = day([100.0, 50.0, 100.0], agents=[15, 0, 15], patience=120.0)
    assert impatient.expected.abandonment[1] > 0.9
    assert math.isinf(impatient.expected.asa_seconds[1])


def test_agents_without_contacts_work_off_what_waits() -> None:
    found = day([220.0, 0.0, 100.0])
    assert found.expected.service_level[1] == 1
    assert found.expected.occupancy[1] > 0.1
    assert found.expected.service_level[2] == steady([100.0]).service_level[0]


def test_chats_that_do_not_slow_one_another_are_as_many_servers() -> None:
    chat, voice = day(RUSH, agents=5, concurrency=3), day(RUSH, agents=15)
    assert chat.expected.service_level.tolist() == pytest.approx(
        voice.expected.service_level.tolist()
    )
    assert chat.waiting.tolist() == pytest.approx(voice.waiting.tolist())


def test_chats_that_slow_one_another_settle_to_erlang_too() -> None:
    line: dict[str, Any] = {"patience": 150.0, "concurrency": 3, "slowdown": 0.4}
    found = day([260.0] * 5, agents=5, **line)
    expected = steady([260.0] * 5, agents=5, **line)
    for name in MEASURES:
        assert getattr(found.expected, name)[3:] == pytest.approx(
            getattr(expected, name)[3:], rel=1e-3
        )


def test_quarters_of_an_hour_carry_as_hours_do() -> None:
    hours = day(RUSH, patience=300.0)
    quarters = day(np.repeat(RUSH / 4, 4), patience=300.0, minutes=15)
    by_hour = quarters.expected.service_level.reshape(8, 4).mean(axis=1)
    assert by_hour[2:4] == pytest.approx(hours.expected.service_level[2:4], abs=0.01)


@settings(max_examples=100, deadline=None)
@given(
    contacts=st.lists(st.floats(60.0, 260.0), min_size=2, max_size=6),
    agents=st.integers(5, 18),
    patience=st.none() | st.floats(30.0, 1_000.0),
)
@example(contacts=[60.0, 186.0], agents=13, patience=None)  # 16 are too few for a steady state
def test_more_agents_leave_fewer_waiting(
    contacts: list[float], agents: int, patience: float | None
) -> None:
    few, more = (day(contacts, agents=n, patience=patience) for n in (agents, agents + 3))
    assert (more.waiting <= few.waiting + 0.51).all()
    assert (more.expected.service_level >= few.expected.service_level - 0.02).all()


def test_an_empty_day_is_empty() -> None:
    assert day([]).waiting.tolist() == []
    assert day([0.0, 0.0], agents=0).expected.service_level.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"contacts": np.array([1.0, -1.0])}, "contacts[1]"),
        ({"contacts": np.array([math.nan, 1.0])}, "contacts[0]"),
        ({"aht_seconds": np.array([300.0, 0.0])}, "aht_seconds[1]"),
        ({"aht_seconds": np.array([math.nan, 300.0])}, "aht_seconds[0]"),
        ({"agents": np.array([1, -1])}, "agents[1]"),
        ({"backlog_contacts": -1.0}, "backlog_contacts"),
        ({"backlog_contacts": math.nan}, "backlog_contacts"),
    ],
)
def test_a_value_outside_its_range_names_its_field(change: dict[str, Any], field: str) -> None:
    right: dict[str, Any] = {
        "contacts": np.array([10.0, 10.0]),
        "aht_seconds": np.array([300.0, 300.0]),
        "agents": np.array([2, 2]),
        "interval_minutes": 60,
        "line": QueueModel(),
        "goal": ServiceGoal(),
    }
    asked = {**right, **change}
    with pytest.raises(InputError) as caught:
        carryover(asked.pop("contacts"), **asked)
    assert caught.value.field == field
