"""The requests that routes take: validated by pydantic, described for the OpenAPI document."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from features.contracts import QUANTILE_LEVELS
from serving.http.changes import WhatIf
from serving.http.fields import MOST_QUEUES, Moment, Name, Request
from serving.http.whatif import WhatIfChanges

MOST_CUSTOMERS = 1_000
MOST_ROWS = 1_000_000
MOST_PATHS = 1_000
MOST_MONEY = 2**62
DEFAULT_QUANTILES = (0.1, 0.5, 0.9)
LOWEST, HIGHEST = QUANTILE_LEVELS[0], QUANTILE_LEVELS[-1]

Words = list[Annotated[str, StringConstraints(max_length=64)]] | None


def _ranged(values: list[float]) -> list[float]:
    for value in values:
        if not math.isfinite(value) or not LOWEST <= value <= HIGHEST:
            raise ValueError(
                f"must lie in [{LOWEST}, {HIGHEST}], got {value:g}: the published distribution "
                "says nothing beyond"
            )
    return sorted({round(value, 4) for value in values})


class Span(Request):
    """Which queues, which span, in which intervals, after which changes."""

    queues: list[Name] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_QUEUES,
        description="Names of queues, as `GET /v1/queues` lists them; all where it is left out.",
        examples=[["sales"]],
    )
    start: Moment | None = Field(
        default=None,
        description="First moment, ISO 8601 with `Z` or an offset; intervals that begin at or "
        "after it are given. By default the start of the published span.",
        examples=["2026-03-02T00:00:00Z"],
    )
    end: Moment | None = Field(
        default=None,
        description="One past the last moment, ISO 8601 with `Z` or an offset. By default 14 "
        "days after `start`, or the end of the published span where that is earlier.",
        examples=["2026-03-16T00:00:00Z"],
    )
    interval_minutes: Literal[15, 30, 60] | None = Field(
        default=None,
        description="Length of an interval, minutes: the queue's own, which is the default, or a "
        "shorter one, into which its contacts are split by the learnt profile within the hour.",
        examples=[60],
    )
    what_if: WhatIf | None = Field(
        default=None,
        description="Changes to answer from instead of the published forecast, which stays as it "
        "is; the answer says `what_if: true`.",
        examples=[{"scale_volume": [{"factor": 1.1}]}],
    )

    overrides: bool = Field(
        default=True,
        strict=True,
        description="Whether planners' overrides are in force; false for the model's own forecast.",
        examples=[True],
    )

    @field_validator("queues")
    @classmethod
    def _once_each(cls, queues: list[str] | None) -> list[str] | None:
        return None if queues is None else list(dict.fromkeys(queues))

    @model_validator(mode="after")
    def _forward(self) -> Span:
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError("`end` must lie after `start`")
        return self

    def to_changes(self) -> WhatIfChanges | None:
        """Return the what-if as plain values; None for the forecast as it is."""
        return None if self.what_if is None else self.what_if.to_changes()


class PathsRequest(Request):
    """How many sample paths, and from which seed."""

    count: int = Field(
        default=200,
        strict=True,
        ge=1,
        le=MOST_PATHS,
        description=f"How many sample paths, 1 to {MOST_PATHS:,}.",
        examples=[200],
    )
    seed: int = Field(
        default=0,
        strict=True,
        ge=0,
        lt=2**32,
        description="Seed of the draw: the same seed on the same set gives the same paths.",
        examples=[0],
    )


class ForecastRequest(Span):
    """Which queues, which span, which quantiles."""

    quantiles: list[float] = Field(
        default=list(DEFAULT_QUANTILES),
        max_length=19,
        description=f"Quantiles of the volume, each in [{LOWEST}, {HIGHEST}]; between published "
        "levels (every 0.05) they are interpolated linearly. An empty list gives the mean alone.",
        examples=[list(DEFAULT_QUANTILES)],
    )
    parts: bool = Field(
        default=False,
        strict=True,
        description="Whether each interval carries the `parts` that its mean is the sum of, and "
        "the `baseline`.",
        examples=[False],
    )
    paths: PathsRequest | None = Field(
        default=None,
        description="Asks for joint sample paths of every queue over the span; none where it is "
        "left out.",
        examples=[{"count": 200, "seed": 0}],
    )

    @field_validator("quantiles")
    @classmethod
    def _published(cls, quantiles: list[float]) -> list[float]:
        return _ranged(quantiles)


class TotalsRequest(Span):
    """Which queues and span, how they are grouped, which quantiles."""

    by: Literal["queue", "channel", "all"] = Field(
        default="queue",
        description="What is added up: each queue alone, the queues of each channel, or all.",
        examples=["channel"],
    )
    quantiles: list[float] = Field(
        default=list(DEFAULT_QUANTILES),
        max_length=19,
        description=f"Quantiles of totals and peaks, each in [{LOWEST}, {HIGHEST}], read off the "
        "sample paths.",
        examples=[list(DEFAULT_QUANTILES)],
    )
    paths: PathsRequest = Field(
        default_factory=PathsRequest,
        description="The sample paths that quantiles are read off.",
        examples=[{"count": 200, "seed": 0}],
    )

    @field_validator("quantiles")
    @classmethod
    def _published(cls, quantiles: list[float]) -> list[float]:
        return _ranged(quantiles)


class ForecastQuery(Request):
    """The same question as query parameters."""

    queue: list[Name] | None = Field(
        default=None,
        max_length=MOST_QUEUES,
        description="Name of a queue; repeat it for several. All queues where it is left out.",
        examples=[["sales"]],
    )
    start: Moment | None = Field(
        default=None,
        description="First moment, ISO 8601 with `Z` or an offset (`+` is `%2B` in an address).",
        examples=["2026-03-02T00:00:00Z"],
    )
    end: Moment | None = Field(
        default=None,
        description="One past the last moment; by default 14 days after `start`.",
        examples=["2026-03-16T00:00:00Z"],
    )
    quantile: list[float] = Field(
        default=list(DEFAULT_QUANTILES),
        max_length=19,
        description=f"A quantile in [{LOWEST}, {HIGHEST}]; repeat it for several.",
        examples=[list(DEFAULT_QUANTILES)],
    )
    interval_minutes: Literal[15, 30, 60] | None = Field(
        default=None,
        description="Length of an interval, minutes: the queue's own, or a shorter one.",
        examples=[60],
    )
    parts: bool = Field(
        default=False,
        description="Whether each interval carries the parts of its mean and the baseline.",
        examples=[False],
    )
    overrides: bool = Field(
        default=True,
        description="Whether planners' overrides are in force; false for the model's own forecast.",
        examples=[True],
    )

    @field_validator("quantile")
    @classmethod
    def _published(cls, quantiles: list[float]) -> list[float]:
        return _ranged(quantiles)

    @field_validator("interval_minutes", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return int(value) if isinstance(value, str) and value.isdigit() else value

    def to_request(self) -> ForecastRequest:
        """Return the same question in the form that the body takes."""
        return ForecastRequest(
            queues=self.queue,
            start=self.start,
            end=self.end,
            quantiles=self.quantile,
            interval_minutes=self.interval_minutes,
            parts=self.parts,
            overrides=self.overrides,
        )


class ScoresRequest(Request):
    """Whose scores."""

    customer_ids: list[Name] = Field(
        min_length=1,
        max_length=MOST_CUSTOMERS,
        description="Customer ids as in the customers table, at most 1,000; case and spaces count.",
        examples=[["C000017", "C000042"]],
    )


class ScoresQuery(Request):
    """Which page of the published score set."""

    set: Annotated[str, StringConstraints(max_length=128)] | None = Field(
        default=None,
        description="Id of the score set to read, such as that of an earlier page, so that a whole "
        "pull comes from one set; the current one where it is left out.",
        examples=["20260302T040000Z-0a1b2c3d"],
    )
    after: Name | None = Field(
        default=None,
        description="Give customers whose id follows this one, in the order of UTF-8 bytes; from "
        "the first where it is left out.",
        examples=["C000042"],
    )
    limit: int = Field(
        default=1_000,
        ge=1,
        le=MOST_ROWS,
        description="Greatest number of customers on the page, at most 1,000,000; a long page "
        "comes as a stream.",
        examples=[1_000],
    )
    tier: Words = Field(
        default=None,
        max_length=20,
        description="Only customers of this tier; repeat it for several.",
        examples=[["high"]],
    )
    stage: Words = Field(
        default=None,
        max_length=20,
        description="Only customers in this stage of the life cycle; repeat it for several.",
        examples=[["at_risk"]],
    )
    segment: Words = Field(
        default=None,
        max_length=20,
        description="Only customers of this segment; repeat it for several.",
        examples=[["champion"]],
    )
    action: Words = Field(
        default=None,
        max_length=20,
        description="Only customers for whom this action is suggested; repeat it for several.",
        examples=[["call"]],
    )
    min_probability: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Only customers with at least this probability of churn, in [0, 1].",
        examples=[0.5],
    )
    changed_since: Annotated[str, StringConstraints(max_length=128)] | None = Field(
        default=None,
        description="Id of an earlier score set: only customers who are not in it, whose tier, "
        "stage, segment, action or first reason is another, or whose probability moved by 0.01 or "
        "more.",
        examples=["20260301T040000Z-5b6c7d8e"],
    )
    min_value: int | None = Field(
        default=None,
        ge=0,
        le=MOST_MONEY,
        description="Only customers with at least this value at risk, minor units.",
        examples=[10_000],
    )

    @property
    def filters(self) -> bool:
        """Whether it asks for some customers only, so that they have to be looked for."""
        unfiltered = {"set", "after", "limit"}
        return bool(self.model_dump(exclude=unfiltered, exclude_none=True))
