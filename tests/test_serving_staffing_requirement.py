"""The fewest agents that meet a goal, and the greatest load they carry: minimal and complete."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features.errors import InputError
from serving.staffing.erlang import levels, performance
from serving.staffing.queue_model import QueueModel, ServiceGoal
from serving.staffing.requirement import (
    MOST_ERLANGS,
    MOST_PER_PATIENCE,
    capacity,
    fewest_agents,
    load_of,
    meets,
    rostered,
)

PATIENT = QueueModel(patience_seconds=180.0)


def need(
    contacts: float | list[float],
    *,
    aht: float = 300.0,
    line: QueueModel | None = None,
    **goal: Any,
) -> list[int]:
    """Agents for contacts an hour."""
    values = np.atleast_1d(np.array(contacts, dtype=np.float64))
    ahts, line = np.full(len(values), aht), line or QueueModel()
    load = load_of(values, aht_seconds=ahts, interval_minutes=60, line=line)
    return fewest_agents(load, aht_seconds=ahts, line=line, goal=ServiceGoal(**goal)).tolist()


def keeps(
    load: float, aht: float, agents: np.ndarray, line: QueueModel, goal: ServiceGoal
) -> np.ndarray:
    """Whether every limit holds, for each number of agents."""
    some = len(agents)
    p = performance(
        np.full(some, load),
        aht_seconds=np.full(some, aht),
        agents=agents,
        line=line,
        within_seconds=goal.seconds,
    )
    return (
        (p.service_level >= goal.share)
        & (p.asa_seconds <= (math.inf if goal.asa_seconds is None else goal.asa_seconds))
        & (p.abandonment <= (1.0 if goal.abandonment is None else goal.abandonment))
        & (p.occupancy <= (1.0 if goal.max_occupancy is None else goal.max_occupancy))
    )


LINES = st.one_of(
    st.builds(
        QueueModel,
        patience_seconds=st.none() | st.floats(5.0, 2_000.0),
        concurrency=st.integers(1, 20),
        slowdown=st.sampled_from([0.0, 0.0, 0.3, 1.0]),
    ),
    st.builds(QueueModel, blocked=st.just(True), concurrency=st.integers(1, 20)),
)
GOALS = st.builds(
    ServiceGoal,
    share=st.floats(0.05, 0.995),
    seconds=st.floats(0.0, 5_000.0),
    asa_seconds=st.none() | st.floats(0.5, 600.0),
    abandonment=st.none() | st.floats(0.001, 0.5),
    max_occupancy=st.none() | st.floats(0.3, 1.0),
)


def test_200_contacts_an_hour_need_21_agents_by_erlang_c_and_19_by_erlang_a() -> None:
    # 200 contacts/h, AHT 300 s, 80 % within 20 s, mean patience 180 s.
    assert need(200.0) == [21]
    assert need(200.0, line=PATIENT) == [19]


@settings(max_examples=60, deadline=None)
@given(
    loads=st.lists(st.floats(0.0, 60.0), min_size=1, max_size=4),
    aht=st.floats(20.0, 900.0),
    line=LINES,
    goal=GOALS,
)
@example(loads=[1.2e-38], aht=300.0, line=QueueModel(), goal=ServiceGoal(share=0.5, seconds=0.0))
def test_no_smaller_number_meets_the_goal(
    loads: list[float], aht: float, line: QueueModel, goal: ServiceGoal
) -> None:
    found = fewest_agents(
        np.array(loads), aht_seconds=np.full(len(loads), aht), line=line, goal=goal
    )
    for load, agents in zip(loads, found.tolist(), strict=True):
        met = keeps(load, aht, np.arange(300), line, goal)
        assert met[agents:].all()
        assert not met[:agents].any()


@settings(max_examples=60, deadline=None)
@given(agents=st.integers(1, 90), aht=st.floats(20.0, 900.0), line=LINES, goal=GOALS)
def test_the_greatest_load_needs_these_agents_and_a_little_more_needs_another(
    agents: int, aht: float, line: QueueModel, goal: ServiceGoal
) -> None:
    ahts = np.array([aht])
    most = capacity(np.array([agents]), aht_seconds=ahts, line=line, goal=goal)
    below = fewest_agents(most * (1 - 1e-6), aht_seconds=ahts, line=line, goal=goal)
    above = fewest_agents(most * (1 + 1e-6), aht_seconds=ahts, line=line, goal=goal)
    assert below[0] <= agents < above[0]


@settings(max_examples=60, deadline=None)
@given(load=st.floats(0.01, 80.0), more=st.floats(1.0, 2.0), line=LINES, goal=GOALS)
def test_more_load_never_needs_fewer(
    load: float, more: float, line: QueueModel, goal: ServiceGoal
) -> None:
    loads = np.array([load, load * more])
    light, heavy = fewest_agents(loads, aht_seconds=np.full(2, 240.0), line=line, goal=goal)
    assert light <= heavy


def test_the_capacity_of_nobody_is_nothing() -> None:
    two = np.full(2, 300.0)
    found = capacity(np.array([0, 19]), aht_seconds=two, line=PATIENT, goal=ServiceGoal())
    assert found[0] == 0
    assert 200 <= found[1] * 12 < 205


@pytest.mark.parametrize("line", [QueueModel(), PATIENT, QueueModel(blocked=True)])
def test_a_large_centre_is_staffed_to_the_agent(line: QueueModel) -> None:
    load, aht, goal = MOST_ERLANGS, 300.0, ServiceGoal(share=0.95, seconds=5.0)
    [agents] = fewest_agents(np.array([load]), aht_seconds=np.array([aht]), line=line, goal=goal)
    assert keeps(load, aht, agents - np.arange(2), line, goal).tolist() == [True, False]


def test_each_limit_is_kept_and_binds() -> None:
    # Erlang C at 16.67 erlangs: 21 agents for 80/20; 22 wait 8.7 s, 23 4.8 s on average.
    assert need(200.0, max_occupancy=0.7) == [math.ceil(200 * 300 / 3600 / 0.7)]
    assert need(200.0, asa_seconds=9.0) == [22]
    assert need(200.0, asa_seconds=8.0) == [23]
    # Erlang A: 19 agents lose 5.4 %.
    assert need(200.0, line=PATIENT, abandonment=0.06) == [19]
    assert need(200.0, line=PATIENT, abandonment=0.05) == [20]


def test_a_goal_is_met_only_where_every_limit_is_kept() -> None:
    three = np.full(3, 200 * 300 / 3600)
    ask: dict[str, Any] = {
        "aht_seconds": np.full(3, 300.0),
        "agents": np.array([20, 21, 24]),
        "line": QueueModel(),
        "within_seconds": 20.0,
    }
    found = performance(three, **ask)
    assert meets(found, ServiceGoal()).tolist() == [False, True, True]
    assert meets(found, ServiceGoal(asa_seconds=5.0)).tolist() == [False, False, True]
    assert meets(found, ServiceGoal(max_occupancy=0.75)).tolist() == [False, False, True]
    assert meets(levels(three, **ask), ServiceGoal()).tolist() == [False, True, True]


def test_a_long_threshold_asks_for_the_least_stable_number_and_not_one_more() -> None:
    # 192 contacts/h at 300 s are exactly 16 erlangs; 16 agents would never catch up.
    assert need([192.0, 200.0, 198.0], seconds=36_000.0) == [17, 17, 17]


def test_no_contacts_need_nobody_and_a_third_of_a_contact_needs_one() -> None:
    for line in (QueueModel(), PATIENT, QueueModel(concurrency=3, slowdown=0.2)):
        assert need([0.0, 0.3, 1e-9], line=line) == [0, 1, 1]
    assert need([0.0, 0.3], line=QueueModel(blocked=True)) == [0, 1]


def test_an_agent_with_three_chats_that_do_not_slow_her_is_three_servers() -> None:
    assert need(200.0, line=QueueModel(concurrency=3)) == [math.ceil(need(200.0)[0] / 3)]


def test_shorter_intervals_carry_more_load() -> None:
    quarter = load_of(
        np.array([50.0]), aht_seconds=np.array([300.0]), interval_minutes=15, line=QueueModel()
    )
    assert quarter[0] == pytest.approx(200 * 300 / 3600)


def test_an_interval_without_contacts_has_no_load_whatever_its_handle_time() -> None:
    found = load_of(
        np.zeros(3),
        aht_seconds=np.array([0.0, np.nan, np.inf]),
        interval_minutes=30,
        line=QueueModel(),
    )
    assert found.tolist() == [0, 0, 0]


def test_no_intervals_need_nothing() -> None:
    assert need([]) == []
    assert need([], line=PATIENT) == []
    none = np.empty(0, dtype=np.int64)
    assert len(capacity(none, aht_seconds=np.empty(0), line=QueueModel(), goal=ServiceGoal())) == 0


@given(whole=st.integers(0, 10_000), percent=st.integers(0, 99))
def test_rostering_is_exact_where_the_division_is(whole: int, percent: int) -> None:
    # -(-a // b) rounds up in whole numbers: on phone / (1 - percent/100).
    exact = -(-whole * 100 // (100 - percent))
    assert rostered(np.array([whole]), shrinkage=percent / 100).tolist() == [exact]


@pytest.mark.parametrize("shrinkage", [1.0, -0.1, math.nan])
def test_a_shrinkage_outside_its_range_is_named(shrinkage: float) -> None:
    with pytest.raises(InputError) as caught:
        rostered(np.array([1]), shrinkage=shrinkage)
    assert caught.value.field == "shrinkage"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"share": 1.0}, "goal.share"),
        ({"share": 0.0}, "goal.share"),
        ({"share": math.nan}, "goal.share"),
        ({"seconds": -1.0}, "goal.seconds"),
        ({"seconds": math.inf}, "goal.seconds"),
        ({"asa_seconds": 0.0}, "goal.asa_seconds"),
        ({"abandonment": 1.0}, "goal.abandonment"),
        ({"max_occupancy": 0.0}, "goal.max_occupancy"),
        ({"max_occupancy": 1.01}, "goal.max_occupancy"),
    ],
)
def test_a_goal_outside_its_range_names_its_field(change: dict[str, float], field: str) -> None:
    with pytest.raises(InputError) as caught:
        replace(ServiceGoal(), **change)
    assert caught.value.field == field
    assert field in str(caught.value)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"patience_seconds": 0.0}, "patience_seconds"),
        ({"patience_seconds": math.inf}, "patience_seconds"),
        ({"patience_seconds": 60.0, "blocked": True}, "patience_seconds"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 21}, "concurrency"),
        ({"slowdown": -0.1}, "slowdown"),
        ({"slowdown": 1.1}, "slowdown"),
        ({"slowdown": math.nan}, "slowdown"),
    ],
)
def test_a_line_outside_its_range_names_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        QueueModel(**change)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"contacts": [1.0, -1.0]}, "contacts[1]"),
        ({"contacts": [math.nan]}, "contacts[0]"),
        ({"contacts": [math.inf]}, "contacts[0]"),
        ({"contacts": 10.0, "aht": 0.0}, "aht_seconds[0]"),
        ({"contacts": 10.0, "aht": math.nan}, "aht_seconds[0]"),
        ({"contacts": MOST_ERLANGS * 12 * 1.01}, "contacts[0]"),
        (
            {"contacts": 100_000.0, "line": QueueModel(patience_seconds=MOST_PER_PATIENCE)},
            "patience_seconds",
        ),
    ],
)
def test_work_outside_its_range_names_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        need(**change)
    assert caught.value.field == field


@pytest.mark.parametrize("load", [-1.0, math.nan, math.inf, 1e6])
def test_a_load_that_cannot_be_searched_is_named(load: float) -> None:
    with pytest.raises(InputError) as caught:
        fewest_agents(
            np.array([1.0, load]),
            aht_seconds=np.full(2, 300.0),
            line=QueueModel(),
            goal=ServiceGoal(),
        )
    assert caught.value.field == "load[1]"


def test_a_negative_number_of_agents_is_named() -> None:
    with pytest.raises(InputError) as caught:
        capacity(
            np.array([-1]), aht_seconds=np.array([300.0]), line=QueueModel(), goal=ServiceGoal()
        )
    assert caught.value.field == "agents[0]"
