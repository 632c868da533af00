"""The answers, described for the OpenAPI document.

Answers are written as bytes (``answers.py``) and are not validated on the way out: a test holds
real answers against these models instead.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_ID = "20260302T040000Z-0a1b2c3d"


class Answer(BaseModel):
    """An answer has these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class FieldProblem(Answer):
    """What is wrong with one field of the request."""

    field: str = Field(
        description="Path of the field, such as `queues.0`; empty for the whole.",
        examples=["start"],
    )
    message: str = Field(
        description="What was given, what was expected, what to do.",
        examples=["has no time zone: add `Z` or an offset such as `+02:00`"],
    )


class ProblemDetails(Answer):
    """Every answer that is not a success (RFC 9457, `application/problem+json`)."""

    type: str = Field(
        description="Identifies the kind of problem.", examples=["/docs#problem-invalid"]
    )
    title: str = Field(description="The kind in words.", examples=["A field is not as it must be"])
    status: int = Field(description="The HTTP status.", examples=[422])
    detail: str = Field(
        description="What happened this time and what to do.",
        examples=["`start` has no time zone: add `Z` or an offset such as `+02:00`."],
    )
    instance: str = Field(description="Path of the request.", examples=["/v1/forecast"])
    request_id: str = Field(
        description="The request's id, also in `X-Request-ID` and in the log.",
        examples=["5f0c2c9be4b14d1e9a5e"],
    )
    errors: list[FieldProblem] = Field(
        description="The fields at fault; empty where no field is.",
        examples=[[{"field": "start", "message": "has no time zone: add `Z`"}]],
    )


class Volume(Answer):
    """Contacts offered in one interval."""

    mean: float = Field(description="Expected contacts in the interval.", examples=[41.7])
    quantiles: dict[str, float] = Field(
        description="Contacts by quantile level: with `0.9`, nine intervals in ten stay at or "
        "below. Never crossing, never negative.",
        examples=[{"0.1": 33.0, "0.5": 41.0, "0.9": 51.5}],
    )


class ForecastInterval(Answer):
    """One interval, left-closed, named by its start."""

    start: datetime = Field(description="Start, UTC.", examples=["2026-03-02T08:00:00Z"])
    end: datetime = Field(description="End, UTC, excluded.", examples=["2026-03-02T09:00:00Z"])
    start_local: datetime = Field(
        description="Start on the queue's wall clock, with its offset.",
        examples=["2026-03-02T09:00:00+01:00"],
    )
    end_local: datetime = Field(
        description="End on the queue's wall clock, with its offset.",
        examples=["2026-03-02T10:00:00+01:00"],
    )
    is_open: bool = Field(
        description="Whether the queue is open in any part of it; a closed interval has no volume.",
        examples=[True],
    )
    volume: Volume = Field(description="Contacts offered.")
    aht_seconds: float = Field(
        description="Expected average handle time, seconds.", examples=[312.4]
    )


class QueueForecast(Answer):
    """One queue's forecast."""

    queue: str = Field(description="The queue's name.", examples=["sales"])
    channel: str = Field(description="How its contacts come.", examples=["voice"])
    time_zone: str = Field(description="IANA zone of the local times.", examples=["Europe/Berlin"])
    interval_minutes: int = Field(description="Length of an interval, minutes.", examples=[60])
    method: str = Field(
        description="How the forecast was made; `baseline` is a seasonal average.",
        examples=["ensemble"],
    )
    warnings: list[str] = Field(
        description="What a reader should know of this queue.", examples=[[]]
    )
    intervals: list[ForecastInterval] = Field(description="The intervals, in order, no gap.")


class ForecastEnvelope(Answer):
    """Where the numbers come from."""

    forecast_set: str = Field(description="Id of the published forecast set.", examples=[_ID])
    made_at: datetime = Field(
        description="When the forecast was made: leads count from here.",
        examples=["2026-03-02T04:00:00Z"],
    )
    as_of: datetime = Field(
        description="Events up to here were known to it.", examples=["2026-03-02T04:00:00Z"]
    )
    model_version: str = Field(description="Id of the volume bundle.", examples=[_ID])
    snapshot: str = Field(
        description="Id of the feature snapshot it was made from.", examples=[_ID]
    )
    start: datetime = Field(
        description="First moment answered, UTC.", examples=["2026-03-02T08:00:00Z"]
    )
    end: datetime = Field(
        description="One past the last moment answered, UTC.", examples=["2026-03-16T08:00:00Z"]
    )
    warnings: list[str] = Field(
        description="What a reader should know of the whole set.", examples=[[]]
    )


class ForecastAnswer(ForecastEnvelope):
    """A forecast by queue and interval."""

    method: str = Field(
        description="The queues' common method, or `mixed`; each queue names its own.",
        examples=["ensemble"],
    )
    queues: list[QueueForecast] = Field(description="One entry a queue, as asked for.")


class StaffingInterval(Answer):
    """Agents that one interval needs, and what service they are expected to give."""

    start: datetime = Field(description="Start, UTC.", examples=["2026-03-02T08:00:00Z"])
    end: datetime = Field(description="End, UTC, excluded.", examples=["2026-03-02T09:00:00Z"])
    start_local: datetime = Field(
        description="Start on the queue's wall clock, with its offset.",
        examples=["2026-03-02T09:00:00+01:00"],
    )
    end_local: datetime = Field(
        description="End on the queue's wall clock, with its offset.",
        examples=["2026-03-02T10:00:00+01:00"],
    )
    is_open: bool = Field(description="Whether the queue is open.", examples=[True])
    volume: float = Field(description="Expected contacts in the interval.", examples=[41.7])
    aht_seconds: float = Field(
        description="Expected average handle time, seconds.", examples=[312.4]
    )
    agents_on_phone: int = Field(
        description="Least number of agents on contacts that meets the goal.", examples=[6]
    )
    agents_rostered: int = Field(
        description="Agents to schedule, so that shrinkage leaves enough on contacts.",
        examples=[9],
    )
    service_level: float = Field(
        description="Expected share answered within the threshold, in [0, 1].", examples=[0.853]
    )
    asa_seconds: float = Field(
        description="Expected average speed of answer, seconds.", examples=[14.2]
    )
    abandonment: float | None = Field(
        description="Expected share that gives up, in [0, 1]; null with `erlang_c`, which knows "
        "no abandonment.",
        examples=[0.031],
    )
    occupancy: float = Field(
        description="Expected share of time that an agent is busy, in [0, 1].", examples=[0.71]
    )


class StaffingDay(Answer):
    """One local day's sum."""

    date: str = Field(description="The local day.", examples=["2026-03-02"])
    agent_hours_on_phone: float = Field(description="Agent hours on contacts.", examples=[71.0])
    agent_hours_rostered: float = Field(description="Agent hours to schedule.", examples=[102.0])
    peak_agents_on_phone: int = Field(
        description="Most agents on contacts in any interval.", examples=[9]
    )
    contacts: float = Field(description="Expected contacts.", examples=[512.3])


class StaffingGoal(Answer):
    """The goal that was staffed for."""

    service_level: float = Field(
        description="Share to be answered within the threshold.", examples=[0.8]
    )
    threshold_seconds: float = Field(description="The threshold, seconds.", examples=[20])


class QueueStaffing(Answer):
    """One queue's staffing."""

    queue: str = Field(description="The queue's name.", examples=["sales"])
    channel: str = Field(description="How its contacts come.", examples=["voice"])
    time_zone: str = Field(description="IANA zone of the local times.", examples=["Europe/Berlin"])
    interval_minutes: int = Field(description="Length of an interval, minutes.", examples=[60])
    method: str = Field(description="How the forecast was made.", examples=["ensemble"])
    model: str = Field(description="`erlang_c` or `erlang_a`.", examples=["erlang_a"])
    goal: StaffingGoal = Field(description="The request's goal, or the queue's own.")
    patience_seconds: float | None = Field(
        description="Mean patience used, seconds; null with `erlang_c`.", examples=[180]
    )
    shrinkage: float = Field(description="The shrinkage used, in [0, 1).", examples=[0.3])
    max_occupancy: float | None = Field(
        description="The limit of occupancy used; null for none.", examples=[0.85]
    )
    warnings: list[str] = Field(
        description="What a reader should know of this queue.", examples=[[]]
    )
    intervals: list[StaffingInterval] = Field(description="The intervals, in order, no gap.")
    days: list[StaffingDay] = Field(description="The same by local day.")


class StaffingAnswer(ForecastEnvelope):
    """Agents by queue and interval."""

    queues: list[QueueStaffing] = Field(description="One entry a queue, as asked for.")


class ScoreReason(Answer):
    """One thing that moves a customer's score."""

    code: str = Field(description="Stable word for machines.", examples=["recency_days"])
    text: str = Field(
        description="A sentence for people.", examples=["No purchase for 74 days (usual: 31)"]
    )
    value: float | None = Field(
        description="The customer's value; null where undefined.", examples=[74]
    )
    usual: float | None = Field(description="The usual value; null where undefined.", examples=[31])


class ScoreRecord(Answer):
    """One customer's score."""

    customer_id: str = Field(description="The customer's id.", examples=["C000017"])
    in_population: bool = Field(
        description="Whether the model may judge this customer (bought in its active days).",
        examples=[True],
    )
    probability: float | None = Field(
        description="Calibrated probability of churn, in [0, 1]; null outside the population.",
        examples=[0.712345],
    )
    percentile: float | None = Field(
        description="Share of the scored customers with a lower probability, in [0, 100].",
        examples=[96.21],
    )
    tier: str | None = Field(
        description="The tier; null outside the population.", examples=["high"]
    )
    reasons: list[ScoreReason] = Field(description="At most three, the weightiest first.")
    warnings: list[str] = Field(
        description="What a reader should know of this customer.", examples=[[]]
    )
    as_of: datetime = Field(
        description="The moment the features look back from, UTC.",
        examples=["2026-03-02T04:00:00Z"],
    )
    model_version: str = Field(description="Id of the churn bundle.", examples=[_ID])
    score_set: str = Field(description="Id of the score set.", examples=[_ID])


class ScoreEnvelope(Answer):
    """Where the scores come from."""

    score_set: str = Field(description="Id of the published score set.", examples=[_ID])
    as_of: datetime = Field(
        description="The moment the features look back from, UTC.",
        examples=["2026-03-02T04:00:00Z"],
    )
    model_version: str = Field(description="Id of the churn bundle.", examples=[_ID])
    snapshot: str = Field(description="Id of the feature snapshot.", examples=[_ID])
    tiers: list[str] = Field(
        description="The tiers, from the highest risk down.", examples=[["high", "medium", "low"]]
    )
    warnings: list[str] = Field(
        description="What a reader should know of the whole set.", examples=[[]]
    )


class ScoresAnswer(ScoreEnvelope):
    """Scores of the customers asked for."""

    scores: list[ScoreRecord] = Field(description="In the order asked for, each id once.")
    unknown: list[str] = Field(
        description="Ids that the score set does not hold.", examples=[["C999999"]]
    )


class ScoresPage(ScoreEnvelope):
    """A page of the published score set."""

    customers: int = Field(description="Customers in the whole set.", examples=[100_000])
    next: str | None = Field(
        description="Id to pass as `after` for the next page; null on the last.",
        examples=["C001000"],
    )
    scores: list[ScoreRecord] = Field(description="In the order of the ids' UTF-8 bytes.")


class QueueEntry(Answer):
    """One queue that is served."""

    queue: str = Field(description="Its name in every request.", examples=["sales"])
    name: str | None = Field(description="A name for people.", examples=["Sales line"])
    channel: str = Field(description="How its contacts come.", examples=["voice"])
    time_zone: str = Field(description="IANA zone of its clock.", examples=["Europe/Berlin"])
    interval_minutes: int = Field(description="Length of its intervals, minutes.", examples=[60])
    opening: dict[str, str | None] = Field(
        description="Opening hours by weekday, local; `closed`; null where not stated.",
        examples=[{"mon": "08:00-18:00", "sun": "closed"}],
    )
    opening_source: str = Field(
        description="`stated`, `learnt` from the history, or `assumed`.", examples=["stated"]
    )
    goal: StaffingGoal = Field(description="Its service goal.")
    patience_seconds: float | None = Field(
        description="Mean patience, seconds; null where not known.", examples=[180]
    )
    method: str = Field(description="How its forecast was made.", examples=["ensemble"])
    start: datetime | None = Field(
        description="Start of its published span, UTC; null where it has none.",
        examples=["2026-03-02T04:00:00Z"],
    )
    end: datetime | None = Field(
        description="End of its published span, UTC, excluded.",
        examples=["2026-03-30T04:00:00Z"],
    )
    warnings: list[str] = Field(
        description="What a reader should know of this queue.", examples=[[]]
    )


class QueuesAnswer(Answer):
    """The queues that are served."""

    forecast_set: str = Field(description="Id of the published forecast set.", examples=[_ID])
    queues: list[QueueEntry] = Field(description="Sorted by name.")


class ModelEntry(Answer):
    """One promoted model."""

    model: str = Field(description="`volume` or `churn`.", examples=["volume"])
    version: str = Field(description="Id of the promoted bundle.", examples=[_ID])
    created_at: datetime = Field(
        description="When the bundle was made, UTC.", examples=["2026-03-01T02:00:00Z"]
    )
    card: dict[str, Any] = Field(
        description="The model card: metrics out of sample, training span, configuration, "
        "versions of data and libraries.",
        examples=[{"training_start": "2024-03-01", "metrics": {"wape": 0.14}}],
    )
    serves: str | None = Field(
        description="Id of the published set that this very version made; null where the set in "
        "force came from another version.",
        examples=[_ID],
    )


class ModelsAnswer(Answer):
    """The promoted models, with their cards."""

    models: list[ModelEntry] = Field(description="At most one entry a model.")


class PartState(Answer):
    """One published part."""

    part: str = Field(
        description="`forecast`, `scores`, `volume`, `churn` or `snapshot`.", examples=["forecast"]
    )
    id: str | None = Field(description="Id of what is served; null for none.", examples=[_ID])
    as_of: datetime | None = Field(
        description="The moment its content looks back from, UTC; null where it has none.",
        examples=["2026-03-02T04:00:00Z"],
    )
    age_seconds: float | None = Field(
        description="Seconds since it was published.", examples=[5_400]
    )
    remedy: str | None = Field(
        description="What to run where it is missing; null where it is there.", examples=[None]
    )
    refused: str | None = Field(
        description="Why a newer folder is not served; null where there is none.", examples=[None]
    )


class Readiness(Answer):
    """Whether this worker can answer, from local facts."""

    ready: bool = Field(
        description="Whether at least one set, a forecast or scores, is served.", examples=[True]
    )
    version: str = Field(description="Version of the software.", examples=["0.1.0"])
    refreshed_seconds_ago: float | None = Field(
        description="Seconds since this worker last looked for new folders.", examples=[0.8]
    )
    parts: list[PartState] = Field(description="Each published part.")


class Health(Answer):
    """That the process answers."""

    status: str = Field(description="Always `ok`.", examples=["ok"])
