"""The answer of `POST /v1/staffing`, described for the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from serving.http.shapes import Answer
from serving.http.volume_shapes import Drawn, ForecastEnvelope, QueueGoal

_COST = "Expected cost, in the request's currency; null without `costs`."


class Margin(Answer):
    """What one agent in one interval changes: with it or without it, less the plan."""

    goal_probability: float = Field(
        description="Change of the probability that the interval meets the goal.", examples=[0.09]
    )
    service_level: float = Field(
        description="Change of the expected service level.", examples=[0.041]
    )
    abandoned_contacts: float = Field(
        description="Change of the contacts that give up.", examples=[-0.6]
    )
    cost: float | None = Field(
        description="Change of the cost, the agent's own pay counted; null without `costs`.",
        examples=[11.4],
    )


class StaffingInterval(Answer):
    """Agents of one interval of one queue, and what service they are expected to give."""

    id: str = Field(
        description="Stable text: the queue, `@`, the start.",
        examples=["sales@2026-03-02T08:00:00Z"],
    )
    queue_id: str = Field(description="The queue's name.", examples=["sales"])
    channel: str = Field(description="How its contacts come.", examples=["voice"])
    start_time: datetime = Field(description="Start, UTC.", examples=["2026-03-02T08:00:00Z"])
    end_time: datetime = Field(description="End, UTC, excluded.", examples=["2026-03-02T09:00:00Z"])
    interval_minutes: int = Field(description="Its length, minutes.", examples=[60])
    volume: float = Field(description="Expected contacts in the interval.", examples=[41.7])
    aht_seconds: float = Field(
        description="Expected average handle time, seconds: the forecast's.", examples=[312.4]
    )
    required_agents: int = Field(
        description="The same as `agents_rostered`, under the name that scheduling tools read.",
        examples=[10],
    )
    start_local: datetime = Field(
        description="Start on the queue's wall clock, with its offset.",
        examples=["2026-03-02T09:00:00+01:00"],
    )
    is_open: bool = Field(description="Whether the queue is open.", examples=[True])
    agents_on_phone: int = Field(
        description="Agents on contacts, by the policy; filled up to `shifts`.", examples=[7]
    )
    agents_rostered: int = Field(
        description="Agents to schedule, so that shrinkage leaves enough on contacts.",
        examples=[10],
    )
    goal_probability: float = Field(
        description="Share of the sample paths on which the interval meets the goal, in [0, 1].",
        examples=[0.845],
    )
    service_level: float = Field(
        description="Share answered within the threshold, expected over the paths, in [0, 1].",
        examples=[0.8854],
    )
    service_level_low: float = Field(
        description="Its 10 % quantile over the paths.", examples=[0.7712]
    )
    service_level_high: float = Field(
        description="Its 90 % quantile over the paths.", examples=[0.9718]
    )
    asa_seconds: float | None = Field(
        description="Average speed of answer at the mean forecast, seconds; null where nobody is "
        "answered.",
        examples=[14.2],
    )
    occupancy: float = Field(
        description="Share of time that an agent is busy at the mean forecast, in [0, 1].",
        examples=[0.71],
    )
    abandonment: float | None = Field(
        description="Share of contacts that give up, are blocked, or are done after their "
        "deadline, expected over the paths, in [0, 1]; null with `erlang_c`, which knows no "
        "giving up.",
        examples=[0.031],
    )
    abandoned_contacts: float = Field(description="The same in contacts.", examples=[1.3])
    cost: float | None = Field(description=_COST, examples=[312.5])
    backlog: float = Field(
        description="Contacts that still wait at the end of the interval, at the mean forecast.",
        examples=[0.0],
    )
    one_more: Margin = Field(description="What one agent more on contacts changes.")
    one_fewer: Margin = Field(
        description="What one agent fewer changes; all zero where there is none."
    )
    published: Literal["model", "override"] = Field(
        default="model",
        description="Whose number the volume is: the model's, or a planner's override.",
        examples=["model"],
    )
    override_id: str | None = Field(
        default=None,
        description="The override that is in force; null for none.",
        examples=[None],
    )


class StaffingSpan(Answer):
    """What a planner reads of a span of time."""

    contacts: float = Field(description="Expected contacts.", examples=[512.3])
    agent_hours_on_phone: float = Field(description="Agent hours on contacts.", examples=[71.0])
    agent_hours_rostered: float = Field(description="Agent hours to schedule.", examples=[102.0])
    peak_agents_on_phone: int = Field(
        description="Most agents on contacts in any interval.", examples=[9]
    )
    peak_start: datetime = Field(
        description="Start of the first interval that has them, UTC.",
        examples=["2026-03-02T09:00:00Z"],
    )
    service_level: float = Field(
        description="Share of all its contacts answered within the threshold, expected over the "
        "paths, in [0, 1].",
        examples=[0.883],
    )
    goal_probability: float = Field(
        description="Share of the sample paths on which it meets the goal's service level as a "
        "whole; 1 less this is the risk of missing it.",
        examples=[0.93],
    )
    intervals_at_risk: int = Field(
        description="Open intervals with contacts that meet the goal with less than the policy's "
        "probability (0.8 for policies without one).",
        examples=[0],
    )
    abandoned_contacts: float = Field(
        description="Expected contacts that give up.", examples=[15.2]
    )
    cost: float | None = Field(description=_COST, examples=[3242.4])


class StaffingDay(StaffingSpan):
    """What a planner reads of one local day, as far as the span reaches into it."""

    date: str = Field(description="The local day.", examples=["2026-03-02"])


class StaffingGoal(QueueGoal):
    """The goal that was staffed for; a limit that is null does not count."""

    asa_seconds: float | None = Field(
        description="Greatest average speed of answer, seconds.", examples=[30]
    )
    abandonment: float | None = Field(
        description="Greatest share of contacts that give up.", examples=[0.05]
    )
    max_occupancy: float | None = Field(
        description="Greatest share of time an agent is busy.", examples=[0.85]
    )


class QueueStaffing(Answer):
    """How one queue was staffed."""

    queue: str = Field(description="The queue's name.", examples=["sales"])
    channel: str = Field(description="How its contacts come.", examples=["voice"])
    time_zone: str = Field(description="IANA zone of the local times.", examples=["Europe/Berlin"])
    interval_minutes: int = Field(description="Length of an interval, minutes.", examples=[60])
    method: str = Field(description="How the forecast was made.", examples=["combined"])
    model: str = Field(
        description="`erlang_a`, `erlang_b`, `erlang_c` or `backlog`.", examples=["erlang_a"]
    )
    goal: StaffingGoal = Field(description="The request's goal, or the queue's own.")
    patience_seconds: float | None = Field(
        description="Mean patience used, seconds; null where the model knows none.",
        examples=[180],
    )
    patience_source: str | None = Field(
        description="Who says it: `request`, `queue` where it is stated, `learnt` from the "
        "history; null without a patience.",
        examples=["request"],
    )
    efficiency: float = Field(
        description="What the handle time was divided by for staffing, learnt from achieved "
        "service; 1 where nothing was learnt or `calibrated` is false.",
        examples=[1.0],
    )
    concurrency: int = Field(description="Contacts that an agent holds at once.", examples=[1])
    slowdown: float = Field(
        description="Share by which each further contact lengthens all of them.", examples=[0.0]
    )
    shrinkage: float = Field(description="The shrinkage used, in [0, 1).", examples=[0.3])
    warnings: list[str] = Field(
        description="What a reader should know of this queue.", examples=[[]]
    )
    days: list[StaffingDay] = Field(description="Day by day, in order.")
    total: StaffingSpan | None = Field(
        description="The whole span; null where no interval begins in it."
    )


class AppliedPolicy(Answer):
    """How the agents were chosen."""

    kind: str = Field(
        description="`probability`, `mean`, `cost` or `given`.", examples=["probability"]
    )
    probability: float | None = Field(
        description="With which probability each interval was to meet the goal; null for policies "
        "without one.",
        examples=[0.8],
    )
    least_agents: int = Field(
        description="Agents on contacts in every open interval at least.", examples=[0]
    )


class AppliedCosts(Answer):
    """What things cost."""

    agent_hour: float = Field(description="One paid hour of a rostered agent.", examples=[30])
    abandoned_contact: float = Field(
        description="One contact that gives up, is blocked, or is done after its deadline.",
        examples=[12],
    )
    missed_goal: float = Field(
        description="One interval of a queue that misses its goal.", examples=[20]
    )
    currency: str | None = Field(
        description="ISO 4217 code, as in the request; null where it names none.",
        examples=["EUR"],
    )


class StaffingAnswer(ForecastEnvelope):
    """Agents by queue and interval."""

    policy: AppliedPolicy = Field(description="By which policy the agents were chosen.")
    costs: AppliedCosts | None = Field(description="The request's costs; null without.")
    paths: Drawn = Field(description="The sample paths that probabilities are read off.")
    queues: list[QueueStaffing] = Field(description="One entry a queue, as asked for.")
    intervals: list[StaffingInterval] = Field(
        description="The intervals of all queues, queue by queue, in order, no gap."
    )
