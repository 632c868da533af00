"""The values of staffing: `Workload` and `StaffingProblem` in, `Plan` out."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np

from features.arrays import Bool, Float64, Int64
from serving.staffing.erlang import Performance
from serving.staffing.queue_model import ROUNDING, QueueModel, ServiceGoal, expect

PolicyKind = Literal["mean", "probability", "cost", "given"]
DEFERRED = frozenset({"email", "message", "social"})
"""Channels whose contacts are a backlog with a deadline, not a line with waits."""


@dataclass(frozen=True)
class Policy:
    """How the agents of an interval are chosen.

    Attributes:
        kind: ``mean``: the fewest that meet the goal at the mean forecast. ``probability``: the
            fewest that meet it with a probability. ``cost``: those of least expected cost.
            ``given``: those that the caller has, to be judged.
        probability: For ``probability``: above 0 and below 1.
        agents_on_phone: For ``given``: int64[h], at least 0.
        least_agents: On phone in every open interval, contacts or none, at least 0.
    """

    kind: PolicyKind = "probability"
    probability: float = 0.8
    agents_on_phone: Int64 | None = None
    least_agents: int = 0

    def __post_init__(self) -> None:
        expect(
            0 < self.probability < 1, "policy.probability", self.probability, "above 0 and below 1"
        )
        expect(self.least_agents >= 0, "policy.least_agents", self.least_agents, "at least 0")
        expect(
            (self.kind == "given") == (self.agents_on_phone is not None),
            "policy.agents_on_phone",
            "none" if self.agents_on_phone is None else f"agents for `{self.kind}`",
            "agents with the policy `given`, and with no other",
        )


@dataclass(frozen=True)
class Costs:
    """Costs in one currency, each at least 0 and one of them above 0.

    Attributes:
        agent_hour: One paid hour of a rostered agent.
        abandoned_contact: One contact that hangs up, is blocked or is done after its deadline.
        missed_goal: One interval of a queue that misses its goal.
    """

    agent_hour: float = 0.0
    abandoned_contact: float = 0.0
    missed_goal: float = 0.0

    def __post_init__(self) -> None:
        for name in ("agent_hour", "abandoned_contact", "missed_goal"):
            value = getattr(self, name)
            expect(0 <= value < np.inf, f"costs.{name}", value, "a cost, at least 0")
        expect(
            max(self.agent_hour, self.abandoned_contact, self.missed_goal) > 0,
            "costs",
            "all zero",
            "at least one cost above 0",
        )


@dataclass(frozen=True)
class Workload:
    """What comes to one queue over a span of h intervals, with S joint paths.

    Attributes:
        channel: The queue's channel.
        starts: Epoch seconds, int64[h], ascending.
        day: Local day that each begins in, days since 1970-01-01, int64[h].
        is_open: bool[h]; a closed interval needs nobody.
        interval_minutes: Length of an interval.
        contacts: Expected, float64[h], at least 0.
        aht_seconds: Expected, float64[h], above 0 where contacts come.
        rates: Contacts to expect on each path, float64[S, h], without the Poisson noise, which
            the queue models add. Path i of one queue belongs to path i of another.
        aht_paths: AHT on each path, seconds, float64[S, h].
    """

    channel: str
    starts: Int64
    day: Int64
    is_open: Bool
    interval_minutes: int
    contacts: Float64
    aht_seconds: Float64
    rates: Float64
    aht_paths: Float64


@dataclass(frozen=True)
class StaffingProblem:
    """What is wanted of one queue.

    Attributes:
        goal: The service goal.
        line: How contacts wait and are served; not used for deferred work.
        policy: How the agents are chosen.
        costs: Needed by the policy ``cost``, else for the summary.
        shrinkage: Share of paid time that is not on phone, at least 0 and below 1.
        block_minutes: Least time that an agent is on phone at a stretch; 0 for none.
        backlog_contacts: Contacts that wait when the span begins, at least 0.
        deferred: Whether the work is a backlog with a deadline, not a line with waits; None where
            the channel says it (`DEFERRED`).
    """

    goal: ServiceGoal = field(default_factory=ServiceGoal)
    line: QueueModel = field(default_factory=QueueModel)
    policy: Policy = field(default_factory=Policy)
    costs: Costs | None = None
    shrinkage: float = 0.0
    block_minutes: int = 0
    backlog_contacts: float = 0.0
    deferred: bool | None = None

    def __post_init__(self) -> None:
        expect(0 <= self.shrinkage < 1, "shrinkage", self.shrinkage, "at least 0 and below 1")
        expect(self.block_minutes >= 0, "block_minutes", self.block_minutes, "at least 0")
        expect(0 <= self.backlog_contacts < np.inf, "backlog", self.backlog_contacts, "at least 0")
        expect(
            self.costs is not None or self.policy.kind != "cost",
            "costs",
            "none",
            "costs, for the policy `cost`",
        )


@dataclass(frozen=True)
class IntervalPerformance:
    """Performance of h intervals over the paths with some agents, float64[h] each.

    Attributes:
        goal_probability: Share of the paths on which the interval meets the goal.
        service_level: Mean over the paths.
        service_level_low: 10 % quantile over the paths.
        service_level_high: 90 % quantile over the paths.
        abandoned: Contacts that hang up, are blocked or miss the deadline, mean.
        cost: Agents, abandoned contacts and missed goals, mean; None without costs.
    """

    goal_probability: Float64
    service_level: Float64
    service_level_low: Float64
    service_level_high: Float64
    abandoned: Float64
    cost: Float64 | None


@dataclass(frozen=True)
class DayPlan:
    """What a planner reads of one local day; means over the paths.

    Attributes:
        day: Days since 1970-01-01.
        contacts: Expected.
        hours_on_phone: Agent hours.
        hours_rostered: Agent hours.
        peak_on_phone: Most agents on phone in any interval.
        peak_start: Start of the first interval that needs them, epoch seconds.
        service_level: Of the whole day, in [0, 1].
        goal_probability: Share of the paths on which the day as a whole meets the goal's share.
        intervals_at_risk: Open intervals with contacts that meet the goal with less than the
            policy's probability (0.8 for policies without one).
        abandoned: Contacts.
        cost: None without costs.
    """

    day: int
    contacts: float
    hours_on_phone: float
    hours_rostered: float
    peak_on_phone: int
    peak_start: int
    service_level: float
    goal_probability: float
    intervals_at_risk: int
    abandoned: float
    cost: float | None


@dataclass(frozen=True)
class Plan:
    """The agents of h intervals, and their expected performance.

    Attributes:
        agents_on_phone: Agents working contacts, int64[h].
        agents_rostered: Agents to roster so that these are on phone, int64[h].
        required_on_phone: What the policy asked for before shift blocks were filled up, int64[h].
        model: ``erlang_a``, ``erlang_b``, ``erlang_c`` or ``backlog``.
        expected: At the mean forecast, carried-over contacts counted.
        performance: Over the paths.
        one_more: The same with one agent more in the interval.
        one_fewer: With one fewer; with nobody where there is nobody.
        backlog: Contacts still waiting at the end of each interval, at the mean, float64[h].
        days: By local day.
        total: The same over the whole span, its ``day`` the first one; None without intervals.
        warnings: What does not fit the model's assumptions, in words.
    """

    agents_on_phone: Int64
    agents_rostered: Int64
    required_on_phone: Int64
    model: str
    expected: Performance
    performance: IntervalPerformance
    one_more: IntervalPerformance
    one_fewer: IntervalPerformance
    backlog: Float64
    days: tuple[DayPlan, ...]
    total: DayPlan | None
    warnings: tuple[str, ...]


_RISK_PROBABILITY = 0.8


@dataclass(frozen=True)
class StaffTotals:
    """The agents of h intervals and their performance.

    Attributes:
        on_phone: int64[h].
        rostered: int64[h].
        performance: Over the paths.
        contacts: Expected, float64[h].
        offered: Contacts that come on each path, float64[S, h].
        in_time: How many of them are served in time, float64[S, h].
    """

    on_phone: Int64
    rostered: Int64
    performance: IntervalPerformance
    contacts: Float64
    offered: Float64
    in_time: Float64


def by_day(work: Workload, staffed: StaffTotals, *, ask: StaffingProblem) -> tuple[DayPlan, ...]:
    """Return the summary of each local day, in order."""
    begins = np.flatnonzero(np.diff(work.day, prepend=work.day[:1] - 1))
    spans = pairwise([*begins, len(work.day)])
    return tuple(_summary(work, staffed, ask, slice(*span)) for span in spans)


def in_all(work: Workload, staffed: StaffTotals, *, ask: StaffingProblem) -> DayPlan | None:
    """Return the summary of the whole span, named by its first day; None without intervals."""
    return _summary(work, staffed, ask, slice(None)) if len(work.day) else None


def _summary(work: Workload, staffed: StaffTotals, ask: StaffingProblem, span: slice) -> DayPlan:
    contacts, on_phone = staffed.contacts[span], staffed.on_phone[span]
    offered = staffed.offered[:, span].sum(axis=1)
    in_time = staffed.in_time[:, span].sum(axis=1)
    level = np.divide(in_time, offered, out=np.ones(len(offered)), where=offered > 0)
    policy, probability = ask.policy, staffed.performance.goal_probability[span]
    asked = policy.probability if policy.kind == "probability" else _RISK_PROBABILITY
    hours, peak, cost = work.interval_minutes / 60, int(on_phone.argmax()), staffed.performance.cost
    return DayPlan(
        day=int(work.day[span][0]),
        contacts=float(contacts.sum()),
        hours_on_phone=float(on_phone.sum() * hours),
        hours_rostered=float(staffed.rostered[span].sum() * hours),
        peak_on_phone=int(on_phone[peak]),
        peak_start=int(work.starts[span][peak]),
        service_level=float(level.mean()),
        goal_probability=float((level >= ask.goal.share - ROUNDING).mean()),
        intervals_at_risk=int(((contacts > 0) & (probability < asked - ROUNDING)).sum()),
        abandoned=float(staffed.performance.abandoned[span].sum()),
        cost=None if cost is None else float(cost[span].sum()),
    )
