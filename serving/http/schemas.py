"""The requests that routes take: validated by pydantic, described for the OpenAPI document."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from features.contracts import QUANTILE_LEVELS
from serving.http.changes import WhatIf
from serving.http.fields import MOST_QUEUES, Moment, Name, Request
from serving.http.shapes import described, optional, with_example
from serving.http.whatif import WhatIfChanges

MOST_CUSTOMERS = 1_000
MOST_ROWS = 1_000_000
MOST_PATHS = 1_000
MOST_MONEY = 2**62
DEFAULT_QUANTILES = (0.1, 0.5, 0.9)
LOWEST, HIGHEST = QUANTILE_LEVELS[0], QUANTILE_LEVELS[-1]


def _in_published_range(levels: list[float]) -> list[float]:
    for level in levels:
        if not math.isfinite(level) or not LOWEST <= level <= HIGHEST:
            raise ValueError(
                f"must lie in [{LOWEST}, {HIGHEST}], got {level:g}: the published distribution "
                "says nothing beyond"
            )
    return sorted({round(level, 4) for level in levels})


Probability = Annotated[float, Field(ge=0, le=1)]
Money = Annotated[int, Field(ge=0, le=MOST_MONEY)]
QueueNames = Annotated[list[Name], Field(max_length=MOST_QUEUES)]
Words = Annotated[list[Annotated[str, StringConstraints(max_length=64)]], Field(max_length=20)]
Quantiles = Annotated[list[float], Field(max_length=19), AfterValidator(_in_published_range)]
Minutes = Literal[15, 30, 60]
Flag = Annotated[bool, Field(strict=True)]
SetId = Annotated[str, StringConstraints(max_length=128)]


class Span(Request):
    """Which queues, which span, in which intervals, after which changes."""

    queues: Annotated[QueueNames, Field(min_length=1)] | None = optional(
        "Names of queues, as `GET /v1/queues` lists them; all where it is left out.", ["sales"]
    )
    start: Moment | None = optional(
        "First moment, ISO 8601 with `Z` or an offset; intervals that begin at or after it are "
        "given. By default the start of the published span.",
        "2026-03-02T00:00:00Z",
    )
    end: Moment | None = optional(
        "One past the last moment, ISO 8601 with `Z` or an offset. By default 14 days after "
        "`start`, or the end of the published span where that is earlier.",
        "2026-03-16T00:00:00Z",
    )
    interval_minutes: Minutes | None = optional(
        "Length of an interval, minutes: the queue's own, which is the default, or a shorter one, "
        "into which its contacts are split by the learnt profile within the hour.",
        60,
    )
    what_if: WhatIf | None = optional(
        "Changes to answer from instead of the published forecast, which stays as it is; the "
        "answer says `what_if: true`.",
        {"scale_volume": [{"factor": 1.1}]},
    )
    overrides: Flag = described(
        "Whether planners' overrides count; false for the model's own forecast.", default=True
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

    count: Annotated[int, Field(strict=True, ge=1, le=MOST_PATHS)] = described(
        f"How many sample paths, 1 to {MOST_PATHS:,}.", default=200
    )
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**32)] = described(
        "Seed of the draw: the same seed on the same set gives the same paths.", default=0
    )


class ForecastRequest(Span):
    """Which queues, which span, which quantiles."""

    model_config = with_example(
        queues=["sales"],
        start="2026-03-02T08:00:00Z",
        end="2026-03-02T09:00:00Z",
        quantiles=[0.1, 0.5, 0.9],
    )

    quantiles: Quantiles = described(
        f"Quantiles of the volume, each in [{LOWEST}, {HIGHEST}]; between published levels (every "
        "0.05) they are interpolated linearly. An empty list gives the mean alone.",
        default=list(DEFAULT_QUANTILES),
    )
    parts: Flag = described(
        "Whether each interval carries the `parts` of its mean and the `baseline`.", default=False
    )
    paths: PathsRequest | None = optional(
        "Asks for joint sample paths of every queue over the span; none where it is left out.",
        {"count": 200, "seed": 0},
    )


class TotalsRequest(Span):
    """Which queues and span, how they are grouped, which quantiles."""

    model_config = with_example(
        queues=["sales"],
        start="2026-03-02T00:00:00+01:00",
        end="2026-03-03T00:00:00+01:00",
        by="queue",
        quantiles=[0.1, 0.9],
        what_if={"scale_volume": [{"factor": 1.1}]},
    )

    by: Literal["queue", "channel", "all"] = described(
        "What is added up: each queue, each channel's queues, or all.", "channel", default="queue"
    )
    quantiles: Quantiles = described(
        f"Quantiles of totals and peaks, each in [{LOWEST}, {HIGHEST}], read off the sample paths.",
        default=list(DEFAULT_QUANTILES),
    )
    paths: PathsRequest = Field(
        default_factory=PathsRequest,
        description="The sample paths that quantiles are read off.",
        examples=[{"count": 200, "seed": 0}],
    )


class ForecastQuery(Request):
    """The same question as query parameters."""

    queue: QueueNames | None = optional(
        "Name of a queue; repeat it for several. All queues where it is left out.", ["sales"]
    )
    start: Moment | None = optional(
        "First moment, ISO 8601; write the `+` of an offset as `%2B`.", "2026-03-02T00:00:00Z"
    )
    end: Moment | None = optional(
        "End, excluded; by default 14 days after.", "2026-03-16T00:00:00Z"
    )
    quantile: Quantiles = described(
        f"A quantile in [{LOWEST}, {HIGHEST}]; repeatable.", default=list(DEFAULT_QUANTILES)
    )
    interval_minutes: Minutes | None = optional(
        "Length of an interval, minutes: the queue's own, or a shorter one.", 60
    )
    parts: bool = described(
        "Whether each interval carries the parts of its mean and the baseline.", default=False
    )
    overrides: bool = described(
        "Whether planners' overrides count; false for the model's own forecast.", default=True
    )

    @field_validator("interval_minutes", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return int(value) if isinstance(value, str) and value.isdigit() else value

    def to_request(self) -> ForecastRequest:
        """Return the same question in the form that the body takes."""
        return ForecastRequest(
            queues=self.queue,
            quantiles=self.quantile,
            **self.model_dump(exclude={"queue", "quantile"}),
        )


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
