"""How a queue fares over its sample paths: read at few loads, held to the queue model on all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.arrays import Float64, Int64
from serving.staffing.erlang import Performance, performance
from serving.staffing.policies import cheapest
from serving.staffing.queue_model import QueueModel, ServiceGoal
from serving.staffing.requirement import fewest_agents, meets
from serving.staffing.risk import (
    PathLoads,
    agents_needed,
    answered,
    at_nodes,
    fewest_met,
    interval_performance,
    path_loads,
)
from serving.staffing.workload import Costs, IntervalPerformance, StaffingProblem, Workload

PATIENT = QueueModel(patience_seconds=180.0)
LINES = (
    PATIENT,
    QueueModel(),
    QueueModel(blocked=True),
    QueueModel(patience_seconds=120.0, concurrency=3, slowdown=0.3),
)


def work(
    means: list[float], *, aht: float = 300.0, cv: float = 0.15, aht_cv: float = 0.1, **more: Any
) -> Workload:
    """Return hours whose 200 paths have gamma rates and gamma handle times."""
    rng = np.random.default_rng(more.get("seed", 5))
    count, mean = more.get("paths", 200), np.array(means)
    shape = (count, len(means))
    spread = rng.gamma(cv**-2, cv**2, shape) if cv else np.ones(shape)
    slow = rng.gamma(aht_cv**-2, aht_cv**2, shape) if aht_cv else np.ones(shape)
    return Workload(
        channel="voice",
        starts=np.arange(len(means)) * 3600,
        day=np.zeros(len(means), dtype=np.int64),
        is_open=np.ones(len(means), dtype=bool),
        interval_minutes=60,
        contacts=mean,
        aht_seconds=np.full(len(means), aht),
        rates=mean * spread,
        aht_paths=aht * slow,
    )


def judge(
    outlook: PathLoads, hours: Workload, agents: Int64, ask: StaffingProblem
) -> IntervalPerformance:
    expected = at_nodes(outlook, agents=agents[outlook.rows])
    return interval_performance(outlook, expected, agents=agents, work=hours, ask=ask)


def on_all_paths(
    hours: Workload, agents: Int64, *, line: QueueModel, goal: ServiceGoal
) -> Performance:
    load = hours.rates * hours.aht_paths / 3600
    return performance(
        load.ravel(),
        aht_seconds=hours.aht_paths.ravel(),
        agents=np.tile(agents, len(load)),
        line=line,
        within_seconds=goal.seconds,
    )


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.model}-{line.concurrency}")
@pytest.mark.parametrize(("cv", "aht_cv"), [(0.15, 0.0), (0.15, 0.1), (0.3, 0.1)])
def test_what_is_read_is_what_the_queue_model_says_on_all_paths(
    line: QueueModel, cv: float, aht_cv: float
) -> None:
    hours, goal = work([2.0, 30.0, 120.0, 200.0, 340.0], cv=cv, aht_cv=aht_cv), ServiceGoal()
    load = hours.contacts * hours.aht_seconds / 3600
    agents = fewest_agents(load, aht_seconds=hours.aht_seconds, line=line, goal=goal) + 1
    outlook = path_loads(hours, line=line, goal=goal)
    found = judge(outlook, hours, agents, StaffingProblem(goal=goal, line=line))
    truth = on_all_paths(hours, agents, line=line, goal=goal)
    level = truth.service_level.reshape(hours.rates.shape)
    lost = (truth.abandonment.reshape(level.shape) * hours.rates).mean(axis=0)
    low, high = np.quantile(level, [0.1, 0.9], axis=0)
    assert found.service_level == pytest.approx(level.mean(axis=0), abs=1.5e-3)
    assert found.service_level_low == pytest.approx(low, abs=0.015)
    assert found.service_level_high == pytest.approx(high, abs=0.015)
    assert found.abandoned == pytest.approx(lost, rel=0.02, abs=0.01)
    met = meets(truth, goal).reshape(level.shape)
    assert found.goal_probability.tolist() == met.mean(axis=0).tolist()


def test_a_thousand_agents_are_read_as_well_as_twenty() -> None:
    hours, goal = work([12_000.0, 9_000.0], cv=0.1, aht_cv=0.0), ServiceGoal()
    agents = np.array([1_010, 760])
    outlook = path_loads(hours, line=PATIENT, goal=goal)
    found = judge(outlook, hours, agents, StaffingProblem(goal=goal, line=PATIENT))
    truth = on_all_paths(hours, agents, line=PATIENT, goal=goal)
    level = truth.service_level.reshape(hours.rates.shape)
    assert found.service_level == pytest.approx(level.mean(axis=0), abs=1.5e-3)
    met = meets(truth, goal).reshape(level.shape)
    assert found.goal_probability.tolist() == met.mean(axis=0).tolist()


def test_a_days_contacts_in_time_are_those_of_each_path() -> None:
    hours, goal = work([40.0, 150.0, 200.0, 180.0, 90.0], aht_cv=0.05), ServiceGoal()
    agents = np.array([5, 15, 20, 18, 10])
    outlook = path_loads(hours, line=PATIENT, goal=goal)
    found = answered(outlook, at_nodes(outlook, agents=agents)).sum(axis=0)
    truth = on_all_paths(hours, agents, line=PATIENT, goal=goal)
    in_time = (truth.service_level.reshape(hours.rates.shape) * hours.rates).sum(axis=1)
    assert found / hours.rates.sum(axis=1) == pytest.approx(
        in_time / hours.rates.sum(axis=1), abs=0.005
    )


@settings(max_examples=40, deadline=None)
@given(
    scale=st.floats(0.05, 60.0),
    aht=st.floats(30.0, 900.0),
    cv=st.floats(0.0, 0.5),
    share=st.floats(0.3, 0.98),
    seconds=st.floats(0.0, 400.0),
    asa=st.none() | st.floats(2.0, 200.0),
    limit=st.none() | st.floats(0.4, 1.0),
    line=st.sampled_from(LINES),
    seed=st.integers(0, 99),
)
def test_a_path_needs_what_the_search_for_it_alone_finds(
    scale: float,
    aht: float,
    cv: float,
    share: float,
    seconds: float,
    asa: float | None,
    limit: float | None,
    line: QueueModel,
    seed: int,
) -> None:
    goal = ServiceGoal(share=share, seconds=seconds, asa_seconds=asa, max_occupancy=limit)
    rng = np.random.default_rng(seed)
    load = scale * rng.gamma(4.0, 0.25, (3, 25)) * (rng.random((3, 25)) > 0.05)
    ahts = aht * rng.gamma(cv**-2, cv**2, (3, 25)) if cv > 0.01 else np.full((3, 25), aht)
    found = agents_needed(load, aht_seconds=ahts, line=line, goal=goal)
    alone = fewest_agents(load.ravel(), aht_seconds=ahts.ravel(), line=line, goal=goal)
    assert found.tolist() == alone.reshape(load.shape).tolist()


def test_the_fewest_for_a_probability_are_those_of_the_path_that_completes_it() -> None:
    hours = work([200.0], paths=5, cv=0.0, aht_cv=0.0)
    hours = replace(hours, rates=np.array([[170.0], [190.0], [200.0], [210.0], [230.0]]))
    outlook = path_loads(hours, line=PATIENT, goal=ServiceGoal())
    # Erlang A, 80/20: 170, 190, 200, 210, 230 contacts/h need 17, 19, 19, 20, 22.
    assert sorted(outlook.needed[0].tolist()) == [17, 19, 19, 20, 22]
    chances = (0.01, 0.2, 0.21, 0.6, 0.61, 0.8, 0.81, 0.99)
    found = [int(fewest_met(outlook, probability=p)[0]) for p in chances]
    assert found == [17, 17, 19, 19, 20, 20, 22, 22]


def test_a_path_without_contacts_needs_nobody_and_counts() -> None:
    hours = replace(work([10.0], paths=4, cv=0.0, aht_cv=0.0), rates=np.array([[0.0]] * 3 + [[40]]))
    outlook = path_loads(hours, line=PATIENT, goal=ServiceGoal())
    found = judge(outlook, hours, np.array([0]), StaffingProblem(line=PATIENT))
    assert found.goal_probability.tolist() == [0.75]
    assert found.service_level == pytest.approx([0.75])
    assert found.abandoned == pytest.approx([10.0])


def test_one_path_is_enough() -> None:
    hours = work([200.0], paths=1, cv=0.0, aht_cv=0.0)
    outlook = path_loads(hours, line=PATIENT, goal=ServiceGoal())
    found = judge(outlook, hours, np.array([19]), StaffingProblem(line=PATIENT))
    assert found.goal_probability.tolist() == [1.0]
    for level in (found.service_level, found.service_level_low, found.service_level_high):
        assert level.round(3).tolist() == [0.807]


@settings(max_examples=30, deadline=None)
@given(
    mean=st.floats(0.5, 250.0),
    cv=st.floats(0.02, 0.6),
    line=st.sampled_from(LINES),
    seed=st.integers(0, 99),
)
def test_more_agents_make_everything_better(
    mean: float, cv: float, line: QueueModel, seed: int
) -> None:
    hours = work([mean], cv=cv, paths=60, seed=seed)
    outlook = path_loads(hours, line=line, goal=ServiceGoal())
    found = [
        judge(outlook, hours, np.array([n]), StaffingProblem(line=line))
        for n in range(int(outlook.needed.max()) + 3)
    ]
    chances = [float(one.goal_probability[0]) for one in found]
    levels = [float(one.service_level[0]) for one in found]
    lost = [float(one.abandoned[0]) for one in found]
    assert chances == sorted(chances)
    assert chances[-1] == 1.0
    assert levels == pytest.approx(sorted(levels), abs=1e-12)
    assert lost == pytest.approx(sorted(lost, reverse=True), abs=1e-12)


def all_costs(outlook: PathLoads, hours: Workload, ask: StaffingProblem, most: int) -> Float64:
    """Return what 0 to ``most`` agents cost in each interval, float64[most + 1, h]."""
    rows = []
    for n in range(most + 1):
        cost = judge(outlook, hours, np.full(len(hours.starts), n), ask).cost
        assert cost is not None
        rows.append(cost)
    return np.stack(rows)


@settings(max_examples=60, deadline=None)
@given(
    means=st.lists(st.floats(0.2, 250.0), min_size=1, max_size=3),
    cv=st.floats(0.02, 0.6),
    abandoned=st.floats(0.0, 100.0),
    missed=st.floats(0.0, 2_000.0),
    shrinkage=st.floats(0.0, 0.5),
    least=st.integers(0, 3),
    line=st.sampled_from(LINES),
    seed=st.integers(0, 99),
)
def test_no_other_number_of_agents_costs_less(
    means: list[float],
    cv: float,
    abandoned: float,
    missed: float,
    shrinkage: float,
    least: int,
    line: QueueModel,
    seed: int,
) -> None:
    hours = work(means, cv=cv, paths=50, seed=seed)
    costs = Costs(agent_hour=30.0, abandoned_contact=abandoned, missed_goal=missed)
    outlook = path_loads(hours, line=line, goal=ServiceGoal())
    paid = 1 / (1 - shrinkage)
    found = cheapest(outlook, costs=costs, paid_hours=paid, least=least)
    ask = StaffingProblem(line=line, costs=costs, shrinkage=shrinkage)
    every = all_costs(outlook, hours, ask, 2 * int(outlook.needed.max()) + 20)
    chosen = every[found, np.arange(len(means))]
    assert (found >= least).all()
    assert chosen == pytest.approx(every[least:].min(axis=0), rel=1e-9)


def test_of_two_valleys_of_cost_the_deeper_one_is_found() -> None:
    # Half of the paths bring 20 contacts, half 200: either the first are met, or all.
    hours = work([110.0], paths=40, cv=0.0, aht_cv=0.0)
    hours = replace(hours, rates=np.repeat([20.0, 200.0], 20)[:, None])
    outlook = path_loads(hours, line=PATIENT, goal=ServiceGoal())
    for missed, deep in ((300.0, 3), (1_500.0, 19)):
        costs = Costs(agent_hour=30.0, missed_goal=missed)
        every = all_costs(outlook, hours, StaffingProblem(line=PATIENT, costs=costs), 25)[:, 0]
        valleys = [n for n in range(1, 25) if every[n] < min(every[n - 1], every[n + 1])]
        assert valleys == [3, 19]
        assert cheapest(outlook, costs=costs, paid_hours=1.0).tolist() == [deep]
