"""How many agents deferred work needs: e-mail, messages and back office, with a deadline.

Such work is a backlog that agents do over hours, first come, first served; the promise is that a
share of it is done within a deadline on the clock. Agents work while the queue is open, at most
`ServiceGoal.max_occupancy` of the time. The plan is the steadiest that keeps the promise
(``steadiest_effort``), judged with the work of each path (``in_time``).

- ``mean``: the work as expected is done in time.
- ``probability``: the quantile over the paths of the work so far is done in time; then agents are
  raised until each interval keeps its promise on enough of the paths.
- ``cost``: of the plans for 50 % to 99 %, before that raising, the cheapest over the paths.
- ``given``: the agents are judged as they are.

After the span its last week repeats (its last day where it is shorter); work due beyond the span
need not be done in it. Work that comes while closed, with less than an hour of opening before its
deadline, is due with what comes at the opening. The handle time should be short against the
deadline, and work is not picked by its kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import DAY_MINUTES
from serving.staffing.deadlines import (
    Deadline,
    corridor,
    cumulative_work,
    deadline,
    feasible,
    finished,
    in_time,
    mean_delay,
    steadiest_effort,
    whole_agents,
)
from serving.staffing.erlang import Performance
from serving.staffing.queue_model import ROUNDING, check_contacts, expect
from serving.staffing.risk import BAND, cost_of
from serving.staffing.workload import IntervalPerformance, StaffingProblem, Workload

MOST_DEADLINE_DAYS = 30
_CHANCES = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99)
_RAISING_ROUNDS = 6


@dataclass(frozen=True)
class BacklogPlan:
    """The agents of h intervals of deferred work, and their expected performance.

    Attributes:
        agents_on_phone: Agents working contacts, int64[h].
        performance: Of the contacts that come in each interval, over the paths.
        one_more: With one agent more in every open interval of the span, not of one alone: work
            flows on, and an hour more today may save a contact of tomorrow.
        one_fewer: With one fewer in every open interval; with nobody where there is nobody.
        in_time: Contacts of each interval done within the deadline on each path, float64[S, h].
        expected: At the mean: the share of what comes in an interval that is done in time, the
            mean time until it is done (infinite where it is not done by a day and the deadline
            after the span), all of it waits, none is abandoned.
        backlog: Contacts still waiting at the end of each interval, at the mean, float64[h].
    """

    agents_on_phone: Int64
    performance: IntervalPerformance
    one_more: IntervalPerformance
    one_fewer: IntervalPerformance
    in_time: Float64
    expected: Performance
    backlog: Float64


def plan_backlog(work: Workload, *, ask: StaffingProblem) -> BacklogPlan:
    """Return the agents of one queue's deferred work by a policy; the ``line`` is not used.

    Raises:
        InputError: A value is out of range; the error's field names it.
    """
    _check_backlog(work, ask)
    span = _span_of(work, ask)
    agents = _policy_agents(span, work, ask)
    _, levels = span.follow(span.paths, agents)
    return BacklogPlan(
        agents_on_phone=agents[: span.intervals],
        performance=_over_paths(span, levels, agents, work, ask),
        one_more=_over_paths_with(span, agents + span.is_open, work, ask),
        one_fewer=_over_paths_with(span, np.maximum(agents - 1, 0), work, ask),
        in_time=work.rates * levels.T,
        expected=_expected(span, agents, work),
        backlog=_waiting(span, agents, work, ask),
    )


@dataclass(frozen=True)
class _Span:
    """The h intervals asked about, and those after them until all their work is due.

    Attributes:
        intervals: h.
        source: The interval of the span that each of the H is, or repeats, int64[H].
        is_open: bool[H].
        within: The deadline.
        share: Share of what comes to do within it.
        least_open: As in `feasible`: an hour.
        mean: Work that has come at the mean, in agent-seconds, float64[H + 1, 1].
        paths: The same on each path, float64[H + 1, S].
        possible: Whether an interval is held to the goal, bool[h].
        per_agent: Work that an agent does in an interval.
        least: Agents in every open interval.
    """

    intervals: int
    source: Int64
    is_open: Bool
    within: Deadline
    share: float
    least_open: float
    mean: Float64
    paths: Float64
    possible: Bool
    per_agent: float
    least: int

    def capacity(self, agents: Int64) -> Float64:
        return np.where(self.is_open, agents * self.per_agent, 0.0)

    def follow(self, arrived: Float64, agents: Int64) -> tuple[Float64, Float64]:
        """Return the work done, and the share of each interval's done in time, float64[h, S]."""
        capacity = self.capacity(agents)
        done = finished(arrived, capacity)
        levels = in_time(arrived, done, capacity, within=self.within, intervals=self.intervals)
        return done, levels

    def met(self, levels: Float64) -> Bool:
        enough: Bool = levels >= self.share - ROUNDING
        return enough


def _span_of(work: Workload, ask: StaffingProblem) -> _Span:
    h = len(work.contacts)
    within = deadline(ask.goal.seconds, interval_minutes=work.interval_minutes)
    day = DAY_MINUTES // work.interval_minutes
    period = 7 * day if h >= 7 * day else min(day, h)
    if not work.is_open[h - period :].any():
        period = h
    after = h - period + np.arange(within.whole + 2 + day) % max(period, 1)
    source = np.concatenate([np.arange(h), after]) if h else np.arange(0)
    is_open = work.is_open[source]
    seconds = work.interval_minutes * 60
    waits = ask.backlog_contacts
    least_open = max(60 / work.interval_minutes, 1.0)
    return _Span(
        intervals=h,
        source=source,
        is_open=is_open,
        within=within,
        share=ask.goal.share,
        least_open=least_open,
        mean=_arrived_work(work.contacts[:, None], work.aht_seconds[:, None], source, waits),
        paths=_arrived_work(work.rates.T, work.aht_paths.T, source, waits),
        possible=feasible(is_open, within=within, least=least_open)[:h],
        per_agent=seconds * (ask.goal.max_occupancy or 1.0),
        least=ask.policy.least_agents,
    )


def _arrived_work(contacts: Float64, aht: Float64, source: Int64, waits: float) -> Float64:
    """Return the work that has come by each moment, float64[H + 1, S].

    Contacts that wait at the beginning take the first AHT known.
    """
    backlog = np.zeros(contacts.shape[1])
    if waits > 0:
        known = aht > 0
        backlog = waits * np.where(known, aht, 0.0)[known.argmax(axis=0), np.arange(len(backlog))]
    return cumulative_work((contacts * np.where(contacts > 0, aht, 0.0))[source], backlog=backlog)


def _policy_agents(span: _Span, work: Workload, ask: StaffingProblem) -> Int64:
    """Return the agents of the H intervals by the policy, int64[H]."""
    policy = ask.policy
    if policy.agents_on_phone is not None:
        return policy.agents_on_phone[span.source]
    if policy.kind == "mean":
        return _steadiest(span, span.mean[:, 0])
    if policy.kind == "probability":
        return _probable_agents(span, policy.probability)
    plans = [_steadiest(span, need) for need in np.quantile(span.paths, _CHANCES, axis=1)]
    costs = [_total_cost(span, plan, work, ask) for plan in plans]
    return plans[int(np.argmin(costs))]


def _steadiest(span: _Span, arrived: Float64) -> Int64:
    """Return the steadiest agents who do work in time that comes so, int64[H]."""
    agents = np.zeros(len(span.is_open), dtype=np.int64)
    if not span.is_open.any():
        return agents
    lane = corridor(
        arrived,
        is_open=span.is_open,
        within=span.within,
        share=span.share,
        least_open=span.least_open,
    )
    agents[span.is_open] = whole_agents(
        lane, steadiest_effort(lane), per_agent=span.per_agent, least=span.least
    )
    return agents


def _probable_agents(span: _Span, probability: float) -> Int64:
    """Return agents with whom each interval meets its goal with a probability, int64[H].

    What paths lack in an interval is added to the work that must be done by then, a few times;
    should that not be enough, agents are added from the interval to its deadline.
    """
    need = np.quantile(span.paths, probability, axis=1)
    for _ in range(_RAISING_ROUNDS):
        agents = _steadiest(span, need)
        short, lack = _lacking_work(span, agents, probability)
        if not short.any():
            return agents
        need = np.maximum.accumulate(need + lack)
    step = 1
    while short.any():
        begin = np.flatnonzero(short)
        until = np.minimum(begin + span.within.whole + 2, len(span.is_open))
        turns = np.zeros(len(need), dtype=np.int64)
        np.add.at(turns, begin, 1)
        np.add.at(turns, until, -1)
        agents = agents + step * ((np.cumsum(turns)[:-1] > 0) & span.is_open)
        short, _ = _lacking_work(span, agents, probability)
        step *= 2
    return agents


def _lacking_work(span: _Span, agents: Int64, probability: float) -> tuple[Bool, Float64]:
    """Return which intervals miss their goal on too many paths, bool[h], and what they lack.

    What they lack is how much more work should be taken to have come by each moment, so that it is
    done in time on all but a few of the paths, float64[H + 1].
    """
    done, levels = span.follow(span.paths, agents)
    short = (span.met(levels).mean(axis=1) < probability - ROUNDING) & span.possible
    interval, capacity = np.flatnonzero(short), span.capacity(agents)
    before = span.paths[interval]
    lack = np.zeros(len(span.paths))
    # The promised part of an interval's work is in time if its first and its last are.
    for part in (0.0, span.share):
        due = interval + part + span.within.whole + span.within.part
        last = np.minimum(due.astype(np.int64), len(capacity) - 1)
        there = done[last] + ((due - last) * capacity[last])[:, None]
        missing = before + part * (span.paths[interval + 1] - before) - there
        enough = np.quantile(np.maximum(missing, 0.0), probability, axis=1)
        lack[interval + (part > 0)] += enough / (part or 1.0)
    return short, lack


def _total_cost(span: _Span, agents: Int64, work: Workload, ask: StaffingProblem) -> float:
    spent = _over_paths_with(span, agents, work, ask).cost
    return 0.0 if spent is None else float(spent.sum())


def _over_paths_with(
    span: _Span, agents: Int64, work: Workload, ask: StaffingProblem
) -> IntervalPerformance:
    return _over_paths(span, span.follow(span.paths, agents)[1], agents, work, ask)


def _over_paths(
    span: _Span, levels: Float64, agents: Int64, work: Workload, ask: StaffingProblem
) -> IntervalPerformance:
    probability = span.met(levels).mean(axis=1)
    late = (work.rates.T * (1 - levels)).mean(axis=1)
    low, high = np.quantile(levels, BAND, axis=1)
    return IntervalPerformance(
        goal_probability=probability,
        service_level=levels.mean(axis=1),
        service_level_low=low,
        service_level_high=high,
        abandoned=late,
        cost=cost_of(agents[: span.intervals], late, probability, work=work, ask=ask),
    )


def _expected(span: _Span, agents: Int64, work: Workload) -> Performance:
    h = span.intervals
    done, levels = span.follow(span.mean, agents)
    worked = np.diff(done[: h + 1, 0])
    seconds = work.interval_minutes * 60
    paid = agents[:h] * seconds
    return Performance(
        service_level=levels[:, 0],
        asa_seconds=mean_delay(span.mean[:, 0], span.capacity(agents), intervals=h) * seconds,
        wait_probability=(work.contacts > 0).astype(np.float64),
        abandonment=np.zeros(h),
        occupancy=np.divide(worked, paid, out=np.zeros(h), where=paid > 0),
    )


def _waiting(span: _Span, agents: Int64, work: Workload, ask: StaffingProblem) -> Float64:
    """Return the contacts that wait at the end of each interval at the mean, float64[h]."""
    h = span.intervals
    done = finished(span.mean, span.capacity(agents))[1 : h + 1, 0]
    contacts = cumulative_work(work.contacts[:, None], backlog=np.array([ask.backlog_contacts]))[
        :, 0
    ]
    # First come, first served: so much work done is the contacts that brought it.
    arrived = np.concatenate([[0.0], span.mean[: h + 1, 0]])
    gone = np.interp(done, arrived, np.concatenate([[0.0], contacts]))
    waiting: Float64 = contacts[1:] - gone
    return waiting


def _check_backlog(work: Workload, ask: StaffingProblem) -> None:
    contacts, aht = work.contacts, work.aht_seconds
    check_contacts(contacts, aht_seconds=aht)
    given = ask.policy.agents_on_phone
    if given is not None:
        expect(
            len(given) == len(contacts) and bool((given >= 0).all()),
            "policy.agents_on_phone",
            f"{len(given)} numbers, the least {min(given, default=0)}",
            f"{len(contacts)} numbers, each at least 0",
        )
    mean = float((contacts * np.where(contacts > 0, aht, 0.0)).sum() / max(contacts.sum(), 1e-9))
    most = MOST_DEADLINE_DAYS * 86_400
    expect(
        max(mean, 1e-9) <= ask.goal.seconds <= most,
        "goal.seconds",
        ask.goal.seconds,
        f"a deadline of {mean:.0f} seconds (the AHT, as no contact is done before) to {most}",
    )
