"""The answers, described for the OpenAPI document.

Answers are written as bytes (``answers.py``) and are not validated on the way out: a test holds
real answers against these models instead.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

ID = "20260302T040000Z-0a1b2c3d"
"""An id as it stands in examples."""


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


class ScoreReason(Answer):
    """One thing that moves a customer's score."""

    code: str = Field(description="Stable word for machines.", examples=["recency_days"])
    text: str = Field(
        description="A sentence for people.", examples=["no order for 74 days (usually every 31)"]
    )
    text_zh: str = Field(
        description="The same in Chinese.", examples=["已 74 天未下单（通常每 31 天一次）"]
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
    expected_value_minor: int | None = Field(
        description="Money expected over the next 12 months, minor units; null where unknown.",
        examples=[24_000],
    )
    value_at_risk_minor: int | None = Field(
        description="What is lost of the next 12 months' money if the customer leaves, times the "
        "probability, minor units; null where unknown.",
        examples=[41_000],
    )
    stage: str = Field(
        description="Stage of the life cycle: `new`, `active`, `at_risk`, `lapsed`, `won_back` or, "
        "without a purchase, `prospect`.",
        examples=["at_risk"],
    )
    segment: str = Field(
        description="Segment by recency, frequency and money of a year.", examples=["champion"]
    )
    action: str = Field(
        description="What to do, by the table of actions; see `python -m serving actions`.",
        examples=["call"],
    )
    reasons: list[ScoreReason] = Field(description="At most three, the weightiest first.")
    warnings: list[str] = Field(
        description="What a reader should know of this customer.", examples=[[]]
    )
    as_of: datetime = Field(
        description="The moment the features look back from, UTC.",
        examples=["2026-03-02T04:00:00Z"],
    )
    model_version: str = Field(description="Id of the churn bundle.", examples=[ID])
    score_set: str = Field(description="Id of the score set.", examples=[ID])


class ScoreEnvelope(Answer):
    """Where the scores come from."""

    score_set: str = Field(description="Id of the published score set.", examples=[ID])
    as_of: datetime = Field(
        description="The moment the features look back from, UTC.",
        examples=["2026-03-02T04:00:00Z"],
    )
    model_version: str = Field(description="Id of the churn bundle.", examples=[ID])
    snapshot: str = Field(description="Id of the feature snapshot.", examples=[ID])
    tiers: list[str] = Field(
        description="The tiers, from the highest risk down.", examples=[["high", "medium", "low"]]
    )
    stages: list[str] = Field(
        description="The stages that a customer can be in.", examples=[["new", "active"]]
    )
    segments: list[str] = Field(
        description="The segments that a customer can be of.", examples=[["champion", "loyal"]]
    )
    actions: list[str] = Field(
        description="The actions that can be suggested.", examples=[["no_contact", "call", "none"]]
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


class ModelEntry(Answer):
    """One promoted model."""

    model: str = Field(description="`volume` or `churn`.", examples=["volume"])
    version: str = Field(description="Id of the promoted bundle.", examples=[ID])
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
        examples=[ID],
    )


class ModelsAnswer(Answer):
    """The promoted models, with their cards."""

    models: list[ModelEntry] = Field(description="At most one entry a model.")


class PartState(Answer):
    """One published part."""

    part: str = Field(
        description="`forecast`, `scores`, `volume`, `churn` or `snapshot`.", examples=["forecast"]
    )
    id: str | None = Field(description="Id of what is served; null for none.", examples=[ID])
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


class OverridesState(Answer):
    """What this worker knows of planners' overrides."""

    known: int = Field(
        description="Overrides of the published span that it knows, all layers.", examples=[12]
    )
    trouble: str | None = Field(
        description="Why the database cannot be read; null where it can. Forecasts are answered "
        "all the same.",
        examples=[None],
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
    overrides: OverridesState = Field(description="Planners' overrides.")


class Health(Answer):
    """That the process answers."""

    status: str = Field(description="Always `ok`.", examples=["ok"])
