"""Schemas of churn scores."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from serving.api.openapi import (
    AS_OF,
    BUNDLE_ID,
    ID,
    SNAPSHOT_ID,
    Money,
    Name,
    Probability,
    Request,
    ResponseModel,
    Words,
    described,
    optional,
    with_example,
)


class ScoreReason(ResponseModel):
    """One thing that moves a customer's score."""

    code: str = described("Stable word for machines.", "purchase_recency_days_above_own")
    text: str = described("A sentence for people.", "no order for 74 days (usually every 31)")
    text_zh: str = described("The same in Chinese.", "已 74 天未下单（通常每 31 天一次）")
    value: float | None = described("The customer's value; null where undefined.", 74)
    usual: float | None = described("The usual value; null where undefined.", 31)


class ScoreSource(ResponseModel):
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


class ScoresResponse(ScoreEnvelope):
    """Scores of the customers asked for."""

    scores: list[ScoreRecord] = described("In the order asked for, each id once.")
    unknown: list[str] = described("Ids that the score set does not hold.", ["C999999"])


class ScoresPage(ScoreEnvelope):
    """A page of the published score set."""

    customers: int = described("Customers in the whole set.", 100_000)
    next: str | None = described("The `after` of the next page; null on the last.", "C000017")
    scores: list[ScoreRecord] = described("In the order of the ids' UTF-8 bytes.")


MOST_CUSTOMERS = 1_000
MOST_ROWS = 1_000_000

SetId = Annotated[str, StringConstraints(max_length=128)]


class ScoresRequest(Request):
    """Whose scores."""

    model_config = with_example(customer_ids=["C000017", "C999999"])

    customer_ids: list[Name] = described(
        "Customer ids as in the customers table, at most 1,000; case and spaces count.",
        ["C000017", "C000042"],
        min_length=1,
        max_length=MOST_CUSTOMERS,
    )


class ScoresQuery(Request):
    """Which page of the published score set."""

    set: SetId | None = optional(
        "Id of the score set to read, such as that of an earlier page; by default the current one.",
        "20260302T040000Z-0a1b2c3d",
    )
    after: Name | None = optional(
        "Give customers whose id follows this one, in the order of UTF-8 bytes.", "C000042"
    )
    limit: Annotated[int, Field(ge=1, le=MOST_ROWS)] = described(
        "Most customers on the page, up to 1,000,000; a long page comes as a stream.", default=1_000
    )
    tier: Words | None = optional("Only this tier; repeat it for several.", ["high"])
    stage: Words | None = optional("Only this stage; repeat it for several.", ["at_risk"])
    segment: Words | None = optional("Only this segment; repeat it for several.", ["champion"])
    action: Words | None = optional("Only this action; repeat it for several.", ["call"])
    min_probability: Probability | None = optional("Only this churn probability or more.", 0.5)
    changed_since: SetId | None = optional(
        "Id of an earlier score set: only customers who are not in it, whose tier, stage, "
        "segment, action or first reason is another, or whose probability moved by 0.01 or more.",
        "20260301T040000Z-5b6c7d8e",
    )
    min_value: Money | None = optional("Only this value at risk or more, minor units.", 10_000)

    @property
    def filters(self) -> bool:
        """Whether it asks for some customers only, so that they have to be looked for."""
        unfiltered = {"set", "after", "limit"}
        return bool(self.model_dump(exclude=unfiltered, exclude_none=True))


class ListFilters(Request):
    """Which customers of the score set may be on a list; all where a filter is left out."""

    tier: Words | None = optional("Only these tiers.", ["high"])
    stage: Words | None = optional("Only these stages of the life cycle.", ["at_risk"])
    segment: Words | None = optional("Only these segments.", ["champion"])
    action: Words | None = optional("Only where one of these is suggested.", ["call"])
    min_probability: Probability | None = optional("Only this churn probability or more.", 0.3)
    min_value: Money | None = optional("Only this value at risk or more, minor units.", 10_000)
