"""The answer of `POST /v1/staffing`, described for the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from serving.api.forecast.responses import (
    END,
    START,
    START_LOCAL,
    ForecastEnvelope,
    QueueGoal,
    QueueHead,
    SamplePathsResponse,
)
from serving.api.openapi import ResponseModel, described

_COST = "Expected cost, in the request's currency; null without `costs`."


class Margin(ResponseModel):
    """What one agent in one interval changes: with it or without it, less the plan."""

    goal_probability: float = described("Change of the probability to meet the goal.", 0.105)
    service_level: float = described("Change of the expected service level.", 0.0642)
    abandoned_contacts: float = described("Change of the contacts that give up.", -1.197)
    cost: float | None = described("Change of the cost, pay included; null without `costs`.", 28.5)


class StaffingInterval(ResponseModel):
    """Agents of one interval of one queue, and what service they are expected to give."""

    id: str = described("Stable text: the queue, `@`, the start.", "sales@2026-03-02T08:00:00Z")
    queue_id: str = described("The queue's name.", "sales")
    channel: str = described("How its contacts come.", "voice")
    start_time: datetime = described("Start, UTC.", START)
    end_time: datetime = described("End, UTC, excluded.", END)
    interval_minutes: int = described("Its length, minutes.", 60)
    volume: float = described("Expected contacts in the interval.", 41.7)
    aht_seconds: float = described("Expected average handle time, seconds: the forecast's.", 312.4)
    required_agents: int = described("`agents_rostered` under the name that tools read.", 9)
    start_local: datetime = described("Start on the queue's clock.", START_LOCAL)
    is_open: bool = described("Whether the queue is open.", True)
    agents_on_phone: int = described("Agents on contacts, by the policy; filled up to `shifts`.", 6)
    agents_rostered: int = described("Agents to schedule: shrinkage leaves enough on contacts.", 9)
    goal_probability: float = described("Share of the paths that meet the goal, in [0, 1].", 0.875)
    service_level: float = described("Expected share answered in the threshold, [0, 1].", 0.8726)
    service_level_low: float = described("Its 10 % quantile over the paths.", 0.784)
    service_level_high: float = described("Its 90 % quantile over the paths.", 0.9486)
    asa_seconds: float | None = described(
        "Average speed of answer at the mean forecast, seconds; null where nobody is answered.", 6.0
    )
    occupancy: float = described("Share of time busy at the mean forecast, in [0, 1].", 0.5764)
    abandonment: float | None = described(
        "Share that gives up, is blocked or done late, expected, in [0, 1]; null with `erlang_c`.",
        0.0539,
    )
    abandoned_contacts: float = described("The same in contacts.", 2.248)
    cost: float | None = described(_COST, 284.12)
    backlog: float = described("Contacts that wait at its end, at the mean forecast.", 0.0)
    one_more: Margin = described("What one agent more on contacts changes.")
    one_fewer: Margin = described(
        "What one agent fewer changes; all zero where there is none.",
        {
            "goal_probability": -0.455,
            "service_level": -0.1068,
            "abandoned_contacts": 2.211,
            "cost": -16.33,
        },
    )
    published: Literal["model", "override"] = described("Where the volume comes from.", "model")
    override_id: str | None = described("The override that is in force; null for none.", None)


class StaffingSpan(ResponseModel):
    """What a planner reads of a span of time."""

    contacts: float = described("Expected contacts.", 41.7)
    agent_hours_on_phone: float = described("Agent hours on contacts.", 6.0)
    agent_hours_rostered: float = described("Agent hours to schedule.", 9.0)
    peak_agents_on_phone: int = described("Most agents on contacts in any interval.", 6)
    peak_start: datetime = described("Start of the first with them, UTC.", START)
    service_level: float = described(
        "Share of its contacts answered within the threshold, expected over the paths.", 0.8726
    )
    goal_probability: float = described(
        "Share of the paths on which it meets the goal's service level as a whole.", 0.87
    )
    intervals_at_risk: int = described(
        "Open intervals that meet the goal with less than the policy's probability (else 0.8).", 0
    )
    abandoned_contacts: float = described("Expected contacts that give up.", 2.248)
    cost: float | None = described(_COST, 284.12)


class StaffingDay(StaffingSpan):
    """What a planner reads of one local day, as far as the span reaches into it."""

    date: str = described("The local day.", "2026-03-02")


class StaffingGoal(QueueGoal):
    """The goal that was staffed for; a limit that is null does not count."""

    asa_seconds: float | None = described("Greatest average speed of answer, seconds.", None)
    abandonment: float | None = described("Greatest share of contacts that give up.", None)
    max_occupancy: float | None = described("Greatest share of time an agent is busy.", None)


class QueueStaffing(QueueHead):
    """How one queue was staffed."""

    model: str = described("`erlang_a`, `erlang_b`, `erlang_c` or `backlog`.", "erlang_a")
    goal: StaffingGoal = described("The request's goal, or the queue's own.")
    patience_seconds: float | None = described("Mean patience, seconds; null for none.", 180)
    patience_source: str | None = described(
        "Who says it: `request`, `queue`, or `learnt` from the history; null for none.", "request"
    )
    efficiency: float = described(
        "Learnt divisor of the handle time; 1 where nothing was learnt or `calibrated` is false.",
        1.0,
    )
    concurrency: int = described("Contacts that an agent holds at once.", 1)
    slowdown: float = described("Share by which each further contact lengthens all of them.", 0.0)
    shrinkage: float = described("The shrinkage used, in [0, 1).", 0.3)
    days: list[StaffingDay] = described("Day by day, in order.")
    total: StaffingSpan | None = described("The whole span; null where no interval begins in it.")


class AppliedPolicy(ResponseModel):
    """How the agents were chosen."""

    kind: str = described("`probability`, `mean`, `cost` or `given`.", "probability")
    probability: float | None = described(
        "With which probability each interval was to meet the goal; null without.", 0.8
    )
    least_agents: int = described("Agents on contacts in every open interval at least.", 0)


class AppliedCosts(ResponseModel):
    """What things cost."""

    agent_hour: float = described("One paid hour of a rostered agent.", 30)
    abandoned_contact: float = described("One contact that gives up, is blocked or late.", 12)
    missed_goal: float = described("One interval of a queue that misses its goal.", 0.0)
    currency: str | None = described("ISO 4217 code, as in the request; null for none.", "EUR")


class StaffingResponse(ForecastEnvelope):
    """Agents by queue and interval."""

    policy: AppliedPolicy = described("By which policy the agents were chosen.")
    costs: AppliedCosts | None = described("The request's costs; null without.")
    paths: SamplePathsResponse = described("The sample paths that probabilities are read off.")
    queues: list[QueueStaffing] = described("One entry a queue, as asked for.")
    intervals: list[StaffingInterval] = described("Queue by queue, in order, no gap.")
