"""Deferred work: deadlines kept by the steadiest agents, over nights and weekends."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from features.arrays import Bool, Float64, Int64
from features.errors import InputError
from serving.staffing.backlog import BacklogPlan, plan_backlog
from serving.staffing.deadlines import (
    Corridor,
    deadline,
    finished,
    in_time,
    mean_delay,
    steadiest_effort,
    whole_agents,
)
from serving.staffing.queue_model import ServiceGoal
from serving.staffing.workload import Costs, Policy, StaffingProblem, Workload

HOUR = 3600.0
ALL = 0.999
"""A share that leaves nothing to spare; a share of 1 is no goal."""


def office(days: int, *, closed_days: tuple[int, ...] = ()) -> Bool:
    """Open 8 to 18 on all days but some."""
    hours = np.arange(24 * days)
    there: Bool = (hours % 24 >= 8) & (hours % 24 < 18) & ~np.isin(hours // 24, closed_days)
    return there


def mails(
    contacts: Float64,
    *,
    is_open: Bool | None = None,
    aht: float = 360.0,
    rates: Float64 | None = None,
    minutes: int = 60,
) -> Workload:
    h = len(contacts)
    starts = np.arange(h) * minutes * 60
    paths = contacts[None] if rates is None else rates
    return Workload(
        channel="email",
        starts=starts,
        day=starts // 86_400,
        is_open=np.ones(h, dtype=bool) if is_open is None else is_open,
        interval_minutes=minutes,
        contacts=contacts,
        aht_seconds=np.full(h, aht),
        rates=paths,
        aht_paths=np.full(paths.shape, aht),
    )


def at(hours: int, **contacts: float) -> Float64:
    """Return contacts by hour: h17=40 is 40 in the hour from 17 on the first day."""
    out = np.zeros(hours)
    for name, count in contacts.items():
        out[int(name[1:])] = count
    return out


def planned(
    work: Workload, hours: float, *, share: float = ALL, kind: str = "mean", **ask: Any
) -> BacklogPlan:
    policy = Policy(kind=kind, **ask.pop("policy", {}))  # type: ignore[arg-type]
    goal = ServiceGoal(share=share, seconds=hours * HOUR, **ask.pop("goal", {}))
    return plan_backlog(work, ask=StaffingProblem(goal=goal, policy=policy, **ask))


def given_agents(
    work: Workload, agents: Int64 | list[int], hours: float, **ask: Any
) -> BacklogPlan:
    there = {"agents_on_phone": np.array(agents, dtype=np.int64)}
    return planned(work, hours, kind="given", policy=there, **ask)


def week(seed: int = 0, *, days: int = 7, paths: int = 100, scale: float = 20.0) -> Workload:
    """Mails around the clock, fewer at night and at weekends, with good and bad days."""
    rng = np.random.default_rng(seed)
    hours = np.arange(24 * days)
    shape = np.exp(-((((hours % 24) - 12) / 5.0) ** 2)) * np.where(hours // 24 % 7 < 5, 1.0, 0.3)
    by_day = np.repeat(rng.gamma(40.0, 1 / 40, (paths, days)), 24, axis=1)
    rates = scale * shape * by_day * rng.gamma(60.0, 1 / 60, (paths, 24 * days))
    is_open = office(days, closed_days=(5, 6))
    return mails(rates.mean(axis=0), is_open=is_open, rates=rates)


# Hand cases


def test_a_morning_of_mail_is_spread_over_its_deadline_and_not_done_at_once() -> None:
    # 100 mails of 6 minutes are 10 hours of work; the last is due at 13: 5 hours of 2 agents.
    work = mails(at(24, h8=100), is_open=office(1))
    found = planned(work, 4.0)
    assert found.agents_on_phone.tolist() == [0] * 8 + [2] * 5 + [0] * 11
    assert found.expected.service_level[8] == pytest.approx(1.0)
    assert found.backlog[8:14].round(6).tolist() == [80, 60, 40, 20, 0, 0]
    # The one at 8:00 is done at once, the one at 9:00 at 13:00.
    assert found.expected.asa_seconds[8] == pytest.approx(2 * HOUR)
    assert found.expected.occupancy[8:13].tolist() == pytest.approx([1.0] * 5)


def test_mail_of_the_evening_is_done_over_the_next_day_where_its_deadline_allows() -> None:
    # 10 hours of work from 17 to 18, due 24 hours later: 11 hours of opening, 1 agent.
    work = mails(at(48, h17=40), is_open=office(2), aht=900.0)
    found = planned(work, 24.0)
    assert found.agents_on_phone[:17].sum() == 0
    assert found.agents_on_phone.max() == 1
    assert found.agents_on_phone[18:32].sum() == 0, "the office is closed"
    assert found.expected.service_level[17] == pytest.approx(1.0)


def test_a_weekend_counts_on_the_clock_of_the_deadline_but_nobody_works_in_it() -> None:
    friday = mails(at(96, h17=40), is_open=office(4, closed_days=(1, 2)), aht=900.0)
    assert planned(friday, 24.0).agents_on_phone[17] == 10, "it is due while closed"
    relaxed = planned(friday, 72.0)
    assert relaxed.agents_on_phone.max() == 1
    assert relaxed.agents_on_phone[24:72].sum() == 0
    assert relaxed.expected.service_level[17] == pytest.approx(1.0)


def test_work_that_comes_while_closed_and_is_due_before_the_opening_is_late_without_a_panic() -> (
    None
):
    # 10 hours of work at 2 in the night, due at 6; the office opens at 8.
    work = mails(at(24, h2=100), is_open=office(1))
    found = planned(work, 4.0)
    assert found.expected.service_level[2] < 1e-6
    # It is due with what comes at the opening, 4 hours later.
    assert found.agents_on_phone[8:12].tolist() == [3, 2, 3, 2]
    assert found.agents_on_phone[12:].sum() == 0


def test_what_waits_at_the_beginning_is_due_a_deadline_later() -> None:
    work = mails(np.zeros(24), aht=1800.0)
    found = planned(work, 2.0, backlog_contacts=20.0)
    assert found.agents_on_phone.tolist() == [5, 5] + [0] * 22
    assert found.backlog[:3].tolist() == [10, 0, 0]


def test_steady_mail_needs_its_work_and_no_more() -> None:
    # 25 mails an hour of 6 minutes are 2.5 agents; a deadline lets two and three take turns.
    found = planned(mails(np.full(72, 25.0)), 4.0)
    assert set(found.agents_on_phone[4:].tolist()) <= {2, 3}
    # At most the work of a deadline, 10 hours, is left to those after the span.
    assert 72 * 2.5 - 10 <= found.agents_on_phone.sum() <= 72 * 2.5


def test_a_limit_on_occupancy_asks_for_more_agents() -> None:
    work = mails(at(24, h8=100), is_open=office(1))
    found = planned(work, 4.0, goal={"max_occupancy": 0.8})
    assert found.agents_on_phone.sum() == 13, "10 hours of work at 80 %"
    assert found.expected.occupancy.max() <= 0.8 + 1e-9


def test_a_smaller_share_lets_the_last_of_an_interval_come_late() -> None:
    work = mails(at(24, h8=100), is_open=office(1))
    # 8 hours of work by 12:48 are 1.67 agents; all of it by 13:00 would be 2.
    found = given_agents(work, [0] * 8 + [2, 2, 2, 2, 0] + [0] * 11, 4.0, share=0.8)
    assert found.expected.service_level[8] == pytest.approx(0.8)
    assert found.performance.goal_probability[8] == 1
    assert found.performance.abandoned[8] == pytest.approx(20)
    # With 2, 2, 1, 2, 2 the first 80 are in time; the last 20 are done in the evening.
    found = planned(work, 4.0, share=0.8)
    assert found.agents_on_phone[8:13].sum() == 9
    assert found.expected.service_level[8] >= 0.8
    assert found.agents_on_phone[13:].sum() == 1


def test_agents_that_are_given_in_closed_intervals_do_nothing() -> None:
    work = mails(at(24, h8=100), is_open=office(1))
    found = given_agents(work, [9] * 8 + [0] * 10 + [9] * 6, 4.0)
    assert found.expected.service_level[8] < 1e-6
    assert found.backlog[-1] == 100


def test_at_least_so_many_agents_are_there_whenever_it_is_open() -> None:
    work = mails(at(24, h8=100), is_open=office(1))
    found = planned(work, 4.0, policy={"least_agents": 1})
    assert found.agents_on_phone.tolist() == [0] * 8 + [2] * 5 + [1] * 5 + [0] * 6


def test_quarters_of_an_hour_plan_as_hours_do() -> None:
    hours = planned(mails(at(24, h8=100), is_open=office(1)), 4.0)
    quarters = mails(np.repeat(at(24, h8=100) / 4, 4), is_open=np.repeat(office(1), 4), minutes=15)
    found = planned(quarters, 4.0)
    assert found.agents_on_phone.sum() == 4 * hours.agents_on_phone.sum()
    assert found.agents_on_phone.max() == hours.agents_on_phone.max()


def test_a_week_that_goes_on_is_not_left_with_a_pile_at_its_end() -> None:
    steady = np.full(14 * 24, 25.0)
    found = planned(mails(steady), 24.0)
    # No more than a day's mail, which is not due yet, waits at any time.
    assert found.backlog.max() <= 25 * 24 + 1e-6
    assert found.agents_on_phone[-24:].sum() >= 24 * 2


# Against other ways


def poured(work: Workload, agents: Float64, hours: float, *, turns: int = 1) -> Float64:
    """Return the share in time, the span repeated, followed in small steps."""
    steps = 40
    rate = np.tile(np.repeat(work.contacts * work.aht_seconds / HOUR, steps), turns) / steps
    able = np.tile(np.repeat(np.where(work.is_open, agents, 0.0), steps), turns) / steps
    arrived, done = np.cumsum(rate), np.zeros(len(rate))
    so_far = 0.0
    for k in range(len(rate)):
        so_far = min(so_far + able[k], arrived[k])
        done[k] = so_far
    due = np.minimum(np.arange(len(rate)) + round(hours * steps), len(rate) - 1)
    met = done[due] >= arrived - 1e-6
    share: Float64 = met[: len(work.contacts) * steps].reshape(-1, steps).mean(axis=1)
    return np.where(work.contacts > 0, share, 1.0)


@settings(max_examples=40, deadline=None)
@given(
    contacts=st.lists(st.integers(0, 40), min_size=24, max_size=24),
    opens=st.integers(0, 9),
    hours=st.integers(16, 30),
)
def test_the_peak_is_the_least_with_which_any_plan_is_in_time(
    contacts: list[int], opens: int, hours: int
) -> None:
    clock = np.arange(72) % 24
    work = mails(
        np.concatenate([np.array(contacts, dtype=float), np.zeros(48)]),
        is_open=(clock >= opens) & (clock < 18),
    )
    found = planned(work, float(hours))
    assert poured(work, found.agents_on_phone.astype(float), hours).min() > 0.97
    peak = int(found.agents_on_phone.max())
    # As many as the peak all the time can do whatever a plan of that peak could.
    assert poured(work, np.full(72, float(peak)), hours).min() == 1
    assert peak == 0 or poured(work, np.full(72, peak - 1.0), hours).min() < 1


@settings(max_examples=40, deadline=None)
@given(
    work=st.lists(st.integers(0, 8), min_size=6, max_size=12),
    agents=st.lists(st.integers(0, 8), min_size=6, max_size=12),
    hours=st.integers(1, 160).map(lambda step: step / 40),
)
def test_shares_in_time_are_those_of_a_simulation_in_small_steps(
    work: list[int], agents: list[int], hours: float
) -> None:
    n = min(len(work), len(agents))
    is_open = np.array(agents[:n]) > 0
    some = mails(np.array(work[:n]) * 10, is_open=is_open)
    arrived = np.concatenate([[0.0], np.cumsum(np.tile(work[:n], 3))])[:, None]
    capacity = np.tile(np.array(agents[:n], dtype=float), 3)
    within = deadline(hours * HOUR, interval_minutes=60)
    share = in_time(arrived, finished(arrived, capacity), capacity, within=within, intervals=n)[
        :, 0
    ]
    expected = poured(some, np.array(agents[:n], dtype=float), hours, turns=3)
    assert np.where(some.contacts > 0, share, 1.0) == pytest.approx(expected, abs=0.06)


def one_by_one(
    work: Workload, agents: Int64, hours: float, rng: np.random.Generator
) -> tuple[Float64, Float64]:
    """Follow each mail and agent by the minute; return mails and mails in time by hour."""
    h = len(work.contacts)
    came = np.sort(
        np.concatenate([60 * (t + rng.random(rng.poisson(work.contacts[t]))) for t in range(h)])
    )
    length = work.aht_seconds[0] / 60
    desk = np.full(int(agents.max()), -1)
    rest = np.zeros(len(desk))
    total, met = np.zeros(h), np.zeros(h)
    nxt = 0
    for mail in came:
        total[int(mail // 60)] += 1
    for minute in range(60 * h):
        there = int(agents[minute // 60]) if work.is_open[minute // 60] else 0
        for k in range(there):
            left = 1.0
            while left > 0:
                if desk[k] < 0:
                    if nxt >= len(came) or came[nxt] > minute:
                        break
                    desk[k], rest[k], nxt = nxt, length, nxt + 1
                spent = min(left, rest[k])
                rest[k] -= spent
                left -= spent
                if rest[k] <= 1e-9:
                    mail = came[desk[k]]
                    met[int(mail // 60)] += minute + 1 - left - mail <= hours * 60
                    desk[k] = -1
    return total, met


def test_a_day_of_mails_and_agents_one_by_one_agrees() -> None:
    contacts = np.zeros(48)
    contacts[8:18] = [60, 90, 120, 60, 40, 30, 30, 40, 60, 50]
    work = mails(contacts, is_open=office(2))
    agents = np.where(work.is_open, 5, 0)
    found = given_agents(work, agents.tolist(), 3.0)
    rng = np.random.default_rng(3)
    total, met = np.zeros(48), np.zeros(48)
    for _ in range(60):
        some, in_due_time = one_by_one(work, agents, 3.0, rng)
        total += some
        met += in_due_time
    level = met[8:18] / total[8:18]
    fluid = found.expected.service_level[8:18]
    assert fluid.min() < 0.2, "some hours are late"
    assert fluid.max() > 0.9, "some are not"
    # Chance blurs the moment at which lateness begins by about an hour.
    assert np.abs(level - fluid).max() < 0.3
    assert level.mean() == pytest.approx(fluid.mean(), abs=0.05)


@settings(max_examples=60, deadline=None)
@given(
    come=st.lists(st.floats(0.0, 9.0), min_size=1, max_size=12),
    lag=st.integers(0, 4),
    seed=st.integers(0, 1000),
)
def test_the_taut_line_has_the_least_peak_and_the_least_squares(
    come: list[float], lag: int, seed: int
) -> None:
    n = len(come)
    arrived = np.concatenate([[0.0], np.cumsum(come)])
    due = np.concatenate([np.zeros(min(lag, n)), arrived])[: n + 1]
    due[-1] = arrived[-1]
    lane = Corridor(at=np.arange(n + 1.0), due=due, arrived=arrived, ends=np.arange(n + 1))
    line = steadiest_effort(lane)
    assert (line >= due - 1e-9).all()
    assert (line <= arrived + 1e-9).all()
    pace = np.diff(line)
    assert (pace >= -1e-9).all()
    # The least peak, by linear programming: pace_i <= peak, due <= sums <= arrived.
    sums = np.tril(np.ones((n, n)))
    rows = np.vstack(
        [
            np.hstack([np.eye(n), -np.ones((n, 1))]),
            np.hstack([sums, np.zeros((n, 1))]),
            np.hstack([-sums, np.zeros((n, 1))]),
        ]
    )
    limits = np.concatenate([np.zeros(n), arrived[1:], -due[1:]])
    least = linprog(np.append(np.zeros(n), 1.0), A_ub=rows, b_ub=limits)
    assert pace.max() == pytest.approx(least.fun, abs=1e-6)
    # Any other line between the two is less even.
    mix = np.random.default_rng(seed).random(n + 1)
    other = np.maximum.accumulate(due + mix * (arrived - due))
    other[0], other[-1] = 0.0, line[-1]
    for weight in (0.1, 1.0):
        between = np.diff(line + weight * (other - line))
        assert (pace**2).sum() <= (between**2).sum() + 1e-9


@given(
    come=st.lists(st.floats(0.0, 9.0), min_size=1, max_size=12),
    per_agent=st.floats(0.2, 3.0),
)
def test_whole_agents_keep_up_with_the_line_and_never_pass_its_peak(
    come: list[float], per_agent: float
) -> None:
    n = len(come)
    arrived = np.concatenate([[0.0], np.cumsum(come)])
    due = np.concatenate([[0.0, 0.0], arrived])[: n + 1]
    lane = Corridor(at=np.arange(n + 1.0), due=due, arrived=arrived, ends=np.arange(n + 1))
    line = steadiest_effort(lane)
    agents = whole_agents(lane, line, per_agent=per_agent, least=0)
    done = finished(arrived[:, None], agents * per_agent)[:, 0]
    assert (done >= due - 1e-6).all()
    assert agents.max() <= math.ceil(np.diff(line).max() / per_agent - 1e-9)
    assert agents.sum() * per_agent <= line[-1] + 2 * per_agent + (arrived - line).max()


def test_the_time_until_done_is_that_of_the_last_come_and_first_served() -> None:
    # 4 hours of work come in the first hour and one a half in the next; two agents.
    arrived = np.array([0.0, 4.0, 5.5, 5.5, 5.5])
    delay = mean_delay(arrived, np.full(4, 2.0), intervals=3)
    # From 0 at once to 1 hour for the last of the first; then from 1 to 0.75.
    assert delay.tolist() == pytest.approx([0.5, 0.875, 0.0])
    never = mean_delay(arrived, np.array([2.0, 2.0, 0.0, 0.0]), intervals=2)
    assert never[0] == pytest.approx(0.5)
    assert math.isinf(never[1])


# Policies


@pytest.mark.parametrize(("hours", "probability"), [(4.0, 0.8), (24.0, 0.8), (8.0, 0.95)])
def test_each_interval_that_can_keeps_its_promise_with_the_asked_probability(
    hours: float, probability: float
) -> None:
    work = week()
    found = planned(work, hours, share=0.9, kind="probability", policy={"probability": probability})
    # What comes while open can always be in time; so can what finds an hour of opening.
    opened = np.concatenate([[0.0], np.cumsum(np.tile(work.is_open, 2))])
    until = (np.arange(len(work.contacts)) + hours).astype(int)
    can = work.is_open | (opened[until] - opened[: len(work.contacts)] >= 1)
    assert (found.performance.goal_probability[can] >= probability).all()
    offered = (work.contacts * work.aht_seconds).sum() / HOUR
    assert found.agents_on_phone.sum() < 1.5 * offered, "and not by brute force"


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), hours=st.floats(2.0, 60.0), share=st.floats(0.3, 0.98))
def test_the_mean_is_in_time_and_more_probability_never_hurts(
    seed: int, hours: float, share: float
) -> None:
    work = week(seed, paths=40)
    certain = replace(work, rates=work.contacts[None], aht_paths=work.aht_seconds[None])
    found = planned(certain, hours, share=share, kind="probability")
    can = work.is_open & (work.contacts > 0)
    assert (found.expected.service_level[can] >= share - 1e-6).all()
    assert (found.performance.goal_probability[can] == 1).all()
    likely = planned(work, hours, share=share, kind="probability")
    assert (likely.performance.goal_probability[can] >= 0.8).all()


def test_dear_lateness_buys_agents() -> None:
    work = week()
    cheap, dear = (
        planned(
            work, 8.0, share=0.9, kind="cost", costs=Costs(agent_hour=30.0, abandoned_contact=late)
        )
        for late in (0.01, 100.0)
    )
    assert dear.agents_on_phone.sum() > cheap.agents_on_phone.sum()
    assert dear.performance.abandoned.sum() < cheap.performance.abandoned.sum()


def test_the_cheapest_plan_costs_no_more_than_those_for_other_chances() -> None:
    work, costs = week(), Costs(agent_hour=30.0, abandoned_contact=4.0, missed_goal=10.0)
    found = planned(work, 24.0, share=0.9, kind="cost", costs=costs)
    assert found.performance.cost is not None
    for probability in (0.6, 0.8, 0.95):
        other = planned(
            work,
            24.0,
            share=0.9,
            kind="probability",
            policy={"probability": probability},
            costs=costs,
        )
        assert other.performance.cost is not None
        assert found.performance.cost.sum() <= other.performance.cost.sum() * 1.02


def test_an_agent_more_all_span_long_helps_and_one_fewer_hurts() -> None:
    found = planned(week(), 8.0, share=0.9, kind="mean")
    made = found.performance
    for better, worse in ((found.one_more, made), (made, found.one_fewer)):
        assert (better.service_level >= worse.service_level - 1e-12).all()
        assert (better.goal_probability >= worse.goal_probability).all()
        assert better.abandoned.sum() < worse.abandoned.sum()


def test_costs_count_paid_hours_late_contacts_and_missed_goals() -> None:
    work = mails(at(24, h8=100), is_open=office(1))
    costs = Costs(agent_hour=20.0, abandoned_contact=3.0, missed_goal=50.0)
    found = given_agents(
        work, [0] * 8 + [1] * 5 + [0] * 11, 4.0, costs=costs, shrinkage=0.2, share=0.9
    )
    # 1 of 100 mails a 6 minutes: the one at 8:00 + x is done at 8:00 + 10 x, in time to x = 4/9 h.
    assert found.expected.service_level[8] == pytest.approx(4 / 9)
    cost = found.performance.cost
    assert cost is not None
    assert cost[8] == pytest.approx(20 / 0.8 + 3 * 100 * 5 / 9 + 50)
    assert cost[9] == pytest.approx(25)
    assert planned(work, 4.0).performance.cost is None


def test_no_mail_is_lost_from_the_books() -> None:
    work = week()
    found = planned(work, 30.0, share=0.9, backlog_contacts=12.0)
    done = found.expected.occupancy * found.agents_on_phone * HOUR / 360
    so_far = 12 + np.cumsum(work.contacts) - np.cumsum(done)
    assert found.backlog == pytest.approx(so_far, abs=1e-6)
    assert found.in_time.shape == work.rates.shape
    assert (work.rates - found.in_time).mean(axis=0) == pytest.approx(found.performance.abandoned)


def test_bands_enclose_the_paths_and_widen_with_them() -> None:
    found = planned(week(), 8.0, share=0.9)
    performance = found.performance
    assert (performance.service_level_low <= performance.service_level_high).all()
    assert (performance.service_level_low < performance.service_level_high - 0.1).any()


def test_the_same_question_has_the_same_answer() -> None:
    one, two = (planned(week(), 8.0, kind="probability") for _ in range(2))
    assert one.agents_on_phone.tolist() == two.agents_on_phone.tolist()


def test_a_span_without_work_or_without_opening_needs_nobody() -> None:
    assert planned(mails(np.zeros(24)), 4.0).agents_on_phone.tolist() == [0] * 24
    never = planned(mails(np.full(24, 5.0), is_open=np.zeros(24, dtype=bool)), 4.0)
    assert never.agents_on_phone.tolist() == [0] * 24
    assert never.expected.service_level.max() < 1e-6
    assert never.backlog[-1] == 120
    assert planned(mails(np.zeros(0)), 4.0).agents_on_phone.tolist() == []
    assert planned(mails(np.full(3, 5.0)), 4.0).expected.service_level.min() == 1


def test_the_aht_may_be_unknown_where_nothing_comes() -> None:
    contacts = at(24, h8=100)
    known = mails(contacts, is_open=office(1))
    gaps = np.where(contacts > 0, 360.0, np.nan)
    unknown = replace(known, aht_seconds=gaps, aht_paths=gaps[None])
    for backlog in (0.0, 5.0):
        one, two = (planned(w, 4.0, backlog_contacts=backlog) for w in (known, unknown))
        assert one.agents_on_phone.tolist() == two.agents_on_phone.tolist()
        assert one.performance.service_level.tolist() == two.performance.service_level.tolist()


@pytest.mark.parametrize(
    ("change", "hours", "field"),
    [
        ({"contacts": np.array([1.0, -1.0])}, 4.0, "contacts[1]"),
        ({"contacts": np.array([math.nan, 1.0])}, 4.0, "contacts[0]"),
        ({"aht_seconds": np.array([360.0, 0.0])}, 4.0, "aht_seconds[1]"),
        ({"aht_seconds": np.array([math.nan, 360.0])}, 4.0, "aht_seconds[0]"),
        ({}, 0.05, "goal.seconds"),
        ({}, 24.0 * 31, "goal.seconds"),
    ],
)
def test_a_value_outside_its_range_names_its_field(
    change: dict[str, Any], hours: float, field: str
) -> None:
    work = replace(mails(np.array([10.0, 10.0])), **change)
    with pytest.raises(InputError) as caught:
        planned(work, hours)
    assert caught.value.field == field
    assert field in str(caught.value)


@pytest.mark.parametrize("agents", [[1], [1, -1]])
def test_agents_that_are_given_fit_the_span(agents: list[int]) -> None:
    with pytest.raises(InputError) as caught:
        given_agents(mails(np.array([10.0, 10.0])), agents, 4.0)
    assert caught.value.field == "policy.agents_on_phone"
