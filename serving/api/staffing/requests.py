"""The request of `POST /v1/staffing`: validated by pydantic, described for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from serving.api.forecast.requests import PathsRequest, Span
from serving.api.openapi import MOST_QUEUES, Flag, Name, Request, described, optional, with_example
from serving.files import FormatName
from serving.forecast.staffing import QueueModelName, StaffingOptions
from serving.staffing.queue_model import LEAST_OCCUPANCY_LIMIT, MOST_CONCURRENCY
from serving.staffing.workload import Costs, PolicyKind

MOST_SECONDS = 86_400 * 31
"""Of a threshold or an average wait: a month, since deferred work has days."""
MOST_AGENTS = 100_000
MOST_COST = 1e9
MOST_SLOWDOWN = 10.0
MOST_SHIFT_MINUTES = 720
MOST_BACKLOG = 1e7

Agents = Annotated[int, Field(ge=0, le=MOST_AGENTS, strict=True)]
Backlog = Annotated[float, Field(ge=0, le=MOST_BACKLOG, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=MOST_SECONDS, allow_inf_nan=False)]
AnswerSeconds = Annotated[float, Field(gt=0, le=MOST_SECONDS, allow_inf_nan=False)]
Occupancy = Annotated[float, Field(ge=LEAST_OCCUPANCY_LIMIT, le=1, allow_inf_nan=False)]
Patience = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Concurrency = Annotated[int, Field(ge=1, le=MOST_CONCURRENCY, strict=True)]
Slowdown = Annotated[float, Field(ge=0, le=MOST_SLOWDOWN, allow_inf_nan=False)]
Shrinkage = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
ShiftMinutes = Annotated[int, Field(ge=15, le=MOST_SHIFT_MINUTES, strict=True)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Cost = Annotated[float, Field(ge=0, le=MOST_COST, allow_inf_nan=False)]


class ServiceGoalRequest(Request):
    """What a queue promises; each limit that is left out is the queue's own, or none."""

    service_level: Share | None = optional(
        "Share of contacts answered within `threshold_seconds`, above 0 and below 1; by default "
        "the queue's own goal.",
        0.8,
    )
    threshold_seconds: Seconds | None = optional(
        "Seconds within which a contact is to be answered, for deferred work its deadline, 0 to "
        f"{MOST_SECONDS:,}; by default the queue's own goal.",
        20,
    )
    asa_seconds: AnswerSeconds | None = optional(
        f"Greatest average speed of answer, seconds, above 0 and at most {MOST_SECONDS:,}; no "
        "limit where it is left out.",
        30,
    )
    abandonment: Share | None = optional(
        "Greatest share of contacts that give up, above 0 and below 1; by default no limit.", 0.05
    )


class StaffingPolicy(Request):
    """How the agents of an interval are chosen."""

    kind: PolicyKind = described(
        "`probability`: the fewest that meet the goal with `probability`. `mean`: the fewest that "
        "meet it at the mean forecast. `cost`: those of the least expected cost, which needs "
        "`costs`. `given`: your own, to be judged.",
        default="probability",
    )
    probability: Share = described(
        "For `probability`: that with which each interval meets the goal, above 0, below 1.",
        default=0.8,
    )
    least_agents: Agents = described(
        f"Agents on contacts in every open interval, contacts or none, 0 to {MOST_AGENTS:,}.",
        1,
        default=0,
    )
    agents_on_phone: dict[Name, list[Agents]] | None = optional(
        "For `given`: by queue the agents on contacts, one number an interval of the answer, 0 to "
        f"{MOST_AGENTS:,} each.",
        {"sales": [6]},
        max_length=MOST_QUEUES,
    )


class StaffingCosts(Request):
    """What things cost, in one currency's major unit; at least one is above 0."""

    agent_hour: Cost = described(f"One paid hour of an agent, 0 to {MOST_COST:g}.", 30, default=0.0)
    abandoned_contact: Cost = described(
        "One contact that gives up, is blocked, or is done after its deadline, 0 to "
        f"{MOST_COST:g}.",
        12,
        default=0.0,
    )
    missed_goal: Cost = described(f"An interval off its goal, 0 to {MOST_COST:g}.", 20, default=0.0)
    currency: Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")] | None = optional(
        "Its ISO 4217 code, three capital letters; only repeated in the answer.", "EUR"
    )

    @model_validator(mode="after")
    def _above_zero(self) -> StaffingCosts:
        if max(self.agent_hour, self.abandoned_contact, self.missed_goal) <= 0:
            raise ValueError(
                "must have one of `agent_hour`, `abandoned_contact` and `missed_goal` above 0, "
                "got all zero"
            )
        return self


class Shifts(Request):
    """How long an agent works at a stretch."""

    minimum_minutes: ShiftMinutes = described(
        "Least minutes on contacts at a stretch, from the length of an interval to "
        f"{MOST_SHIFT_MINUTES}.",
        240,
    )


class StaffingRequest(Span):
    """Which queues and span, what service is to be reached, and how surely."""

    model_config = with_example(
        queues=["sales"],
        start="2026-03-02T08:00:00Z",
        end="2026-03-02T09:00:00Z",
        goal={"service_level": 0.8, "threshold_seconds": 20},
        patience_seconds=180,
        policy={"kind": "probability", "probability": 0.8},
        costs={"agent_hour": 30, "abandoned_contact": 12, "currency": "EUR"},
        shrinkage=0.3,
    )

    goal: ServiceGoalRequest = Field(
        default_factory=ServiceGoalRequest,
        description="The service goal; by default each queue's own.",
    )
    max_occupancy: Occupancy | None = optional(
        f"Greatest share of time an agent is busy, {LEAST_OCCUPANCY_LIMIT:g} to 1; by default no "
        "limit.",
        0.85,
    )
    model: QueueModelName | None = optional(
        "`erlang_a`: contacts wait until their patience runs out, which needs a patience. "
        "`erlang_c`: everyone waits, safe and generous. `erlang_b`: nobody waits, who finds no "
        "agent is lost. `backlog`: work with a deadline. By default `backlog` for deferred "
        "channels (email, message, social), `erlang_a` where a patience is known, else "
        "`erlang_c`.",
        "erlang_a",
    )
    patience_seconds: Patience | None = optional(
        "Mean time until a waiting contact gives up, seconds, above 0 and at most 86,400; by "
        "default the queue's stated one, else the one learnt from its history.",
        180,
    )
    concurrency: Concurrency | None = optional(
        f"Contacts that an agent holds at once, 1 to {MOST_CONCURRENCY}; by default the queue's.", 3
    )
    slowdown: Slowdown = described(
        "Share by which each further contact that an agent holds lengthens all of them, 0 to "
        f"{MOST_SLOWDOWN:g}. The forecast's AHT is that of agents who hold `concurrency` "
        "contacts.",
        0.15,
        default=0.0,
    )
    policy: StaffingPolicy = Field(
        default_factory=StaffingPolicy,
        description="How the agents are chosen; by default so that each interval meets the goal "
        "with probability 0.8.",
        examples=[{"kind": "probability", "probability": 0.8}],
    )
    costs: StaffingCosts | None = optional(
        "What things cost, for the policy `cost` and for the costs in the answer; none where it "
        "is left out.",
        {"agent_hour": 30, "abandoned_contact": 12, "currency": "EUR"},
    )
    shrinkage: Shrinkage = described(
        "Share of paid time away from contacts (breaks, training, absence), from 0 to below 1; "
        "rostered = on phone / (1 - shrinkage), rounded up.",
        0.3,
        default=0.0,
    )
    shifts: Shifts | None = optional(
        "Fills the agents up so that nobody is called in for less than a stretch of time; each "
        "interval alone where it is left out.",
        {"minimum_minutes": 240},
    )
    backlog: dict[Name, Backlog] = described(
        f"By queue the contacts that wait when the span begins, 0 to {MOST_BACKLOG:,.0f}.",
        {"sales": 12},
        default={},
        max_length=MOST_QUEUES,
    )
    calibrated: Flag = described(
        "Whether a queue's handle time is divided by its learnt `efficiency`, so that what is "
        "expected is what was achieved.",
        default=True,
    )
    paths: PathsRequest = Field(
        default_factory=PathsRequest,
        description="The sample paths that probabilities are read off.",
        examples=[{"count": 200, "seed": 0}],
    )

    def to_options(self) -> StaffingOptions:
        """Return how to staff as plain values; queues, span and changes stand apart."""
        costs = self.costs
        return StaffingOptions(
            **self.goal.model_dump(),
            **self.policy.model_dump(exclude={"kind"}),
            **self.model_dump(include=_SAME_NAMES),
            policy=self.policy.kind,
            costs=None if costs is None else Costs(**costs.model_dump(exclude={"currency"})),
            shift_minutes=0 if self.shifts is None else self.shifts.minimum_minutes,
            path_count=self.paths.count,
            seed=self.paths.seed,
        )


_SAME_NAMES = {
    *("max_occupancy", "model", "patience_seconds", "concurrency", "slowdown"),
    *("shrinkage", "backlog", "calibrated"),
}
"""Fields of a request that ``StaffingOptions`` takes as they are."""


class StaffingQuery(Request):
    """In which form the agents are wanted."""

    format: FormatName = described(
        "`json`: everything. For import into another tool volume, AHT and agents alone, as `csv`, "
        "`genesys` (gzipped JSON of 15-minute arrays) or `connect` (override CSV).",
        default="json",
    )
