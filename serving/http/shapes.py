"""The answers, described for the OpenAPI document.

Answers are written as bytes and not validated on the way out: tests hold real ones against these.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

ID = "20260302T040000Z-0a1b2c3d"
BUNDLE_ID = "20260301T020000Z-4e5f6a7b"
SNAPSHOT_ID = "20260302T035500Z-8c9d0e1f"
AS_OF = "2026-03-02T04:00:00Z"
"""Ids and a moment as they stand in examples."""


def described(description: str, *examples: Any, default: Any = ..., **limits: Any) -> Any:
    """Return a field, required without a default; by default the default is the example."""
    if not examples and default not in (None, ...):
        examples = (default,)
    return Field(default, description=description, examples=list(examples) or None, **limits)


def with_example(**fields: Any) -> ConfigDict:
    """Return the ``model_config`` of a request with its whole example."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


def optional(description: str, *examples: Any, **limits: Any) -> Any:
    """Return a field that may be left out and then is None."""
    return described(description, *examples, default=None, **limits)


class Answer(BaseModel):
    """An answer has these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class FieldProblem(Answer):
    """What is wrong with one field of the request."""

    field: str = described("Path of the field, such as `queues.0`; empty for the whole.", "start")
    message: str = described(
        "What was given, what was expected, what to do.", "has no time zone: add `Z` or an offset"
    )


class ProblemDetails(Answer):
    """Every answer that is not a success (RFC 9457, `application/problem+json`)."""

    type: str = described("Identifies the kind of problem.", "/docs#problem-invalid")
    title: str = described("The kind in words.", "A field is not as it must be")
    status: int = described("The HTTP status.", 422)
    detail: str = described(
        "What happened and what to do.", "`start` has no time zone: add `Z` or an offset."
    )
    instance: str = described("Path of the request.", "/v1/forecast")
    request_id: str = described("The id in `X-Request-ID` and the log.", "5f0c2c9be4b14d1e9a5e")
    errors: list[FieldProblem] = described(
        "The fields at fault; empty where no field is.",
        [{"field": "start", "message": "has no time zone: add `Z`"}],
    )


class ScoreReason(Answer):
    """One thing that moves a customer's score."""

    code: str = described("Stable word for machines.", "purchase_recency_days_above_own")
    text: str = described("A sentence for people.", "no order for 74 days (usually every 31)")
    text_zh: str = described("The same in Chinese.", "已 74 天未下单（通常每 31 天一次）")
    value: float | None = described("The customer's value; null where undefined.", 74)
    usual: float | None = described("The usual value; null where undefined.", 31)


class ScoreSource(Answer):
    """Where scores come from."""

    score_set: str = described("Id of the published score set.", ID)
    as_of: datetime = described("The moment the features look back from, UTC.", AS_OF)
    model_version: str = described("Id of the churn bundle.", BUNDLE_ID)


class ScoreRecord(ScoreSource):
    """One customer's score."""

    customer_id: str = described("The customer's id.", "C000017")
    in_population: bool = described(
        "Whether the model may judge the customer (bought recently).", True
    )
    probability: float | None = described(
        "Calibrated, in [0, 1]; null outside the population.", 0.712345
    )
    percentile: float | None = described("Percent of scored customers with a lower one.", 96.21)
    tier: str | None = described("The tier; null outside the population.", "high")
    expected_value_minor: int | None = described("Expected in 12 months, minor units.", 24_000)
    value_at_risk_minor: int | None = described(
        "Money of the next 12 months lost by leaving, times the probability, minor units.", 41_000
    )
    stage: str = described("Stage of the life cycle, one of `stages`.", "at_risk")
    segment: str = described("Segment by recency, frequency and money of a year.", "champion")
    action: str = described("What to do; see `python -m serving actions`.", "call")
    reasons: list[ScoreReason] = described("At most three, the weightiest first.")
    warnings: list[str] = described("What a reader should know of this customer.", [])


class ScoreEnvelope(ScoreSource):
    """What an answer says before its scores."""

    snapshot: str = described("Id of the feature snapshot.", SNAPSHOT_ID)
    tiers: list[str] = described(
        "The tiers, highest risk first.", ["critical", "high", "medium", "low"]
    )
    stages: list[str] = described(
        "The possible stages.", ["new", "active", "at_risk", "lapsed", "won_back", "prospect"]
    )
    segments: list[str] = described("The possible segments.", ["champion", "loyal", "regular"])
    actions: list[str] = described("The possible actions.", ["no_contact", "call", "none"])
    warnings: list[str] = described("What a reader should know of the whole set.", [])


class ScoresAnswer(ScoreEnvelope):
    """Scores of the customers asked for."""

    scores: list[ScoreRecord] = described("In the order asked for, each id once.")
    unknown: list[str] = described("Ids that the score set does not hold.", ["C999999"])


class ScoresPage(ScoreEnvelope):
    """A page of the published score set."""

    customers: int = described("Customers in the whole set.", 100_000)
    next: str | None = described("The `after` of the next page; null on the last.", "C000017")
    scores: list[ScoreRecord] = described("In the order of the ids' UTF-8 bytes.")


class ModelEntry(Answer):
    """One promoted model."""

    model: str = described("`volume` or `churn`.", "volume")
    version: str = described("Id of the promoted bundle.", BUNDLE_ID)
    created_at: datetime = described("When the bundle was made, UTC.", "2026-03-01T02:00:00Z")
    card: dict[str, Any] = described(
        "The model card: metrics out of sample, training span, configuration, versions.",
        {"training_start": "2024-03-01T00:00:00Z", "metrics": {"wape": 0.14}},
    )
    serves: str | None = described("Id of the set in force, if this very version made it.", ID)


class ModelsAnswer(Answer):
    """The promoted models, with their cards."""

    models: list[ModelEntry] = described("At most one entry a model.")


class PartState(Answer):
    """One published part."""

    part: str = described("`forecast`, `scores`, `volume`, `churn` or `snapshot`.", "forecast")
    id: str | None = described("Id of what is served; null for none.", ID)
    as_of: datetime | None = described("What it looks back from, UTC; null for none.", AS_OF)
    age_seconds: float | None = described("Seconds since it was published.", 5_400)
    remedy: str | None = described("What to run where it is missing; null where it is there.", None)
    refused: str | None = described("Why a newer folder is not served; null for none.", None)


class OverridesState(Answer):
    """What this worker knows of planners' overrides."""

    known: int = described("Overrides of the published span that it knows, all layers.", 12)
    trouble: str | None = described(
        "Why the database cannot be read; null where it can. Forecasts are answered all the same.",
        None,
    )


class Readiness(Answer):
    """Whether this worker can answer, from local facts."""

    ready: bool = described("Whether at least one set, a forecast or scores, is served.", True)
    version: str = described("Version of the software.", "0.1.0")
    refreshed_seconds_ago: float | None = described(
        "Seconds since the last look for new folders.", 0.8
    )
    parts: list[PartState] = described("Each published part.")
    overrides: OverridesState = described("Planners' overrides.")


class Health(Answer):
    """That the process answers."""

    status: str = described("Always `ok`.", "ok")
