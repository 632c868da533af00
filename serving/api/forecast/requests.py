"""Bodies and queries of the forecast routes, with the changes of a what-if."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from features.calendar.clock import to_epoch
from serving.api.openapi import (
    LONGEST_TEXT,
    MOST_QUEUES,
    Flag,
    Moment,
    Name,
    Request,
    described,
    optional,
    with_example,
)
from serving.forecast.what_if import HIGHEST_FACTOR, NewEvent, SpanFactor, WhatIfChanges
from serving.models.volume.distribution import QUANTILE_LEVELS

MOST_PATHS = 1_000

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


QueueNames = Annotated[list[Name], Field(max_length=MOST_QUEUES)]

Quantiles = Annotated[list[float], Field(max_length=19), AfterValidator(_in_published_range)]
Minutes = Literal[15, 30, 60]

LONGEST_KIND = 100
LONGEST_EVENT = timedelta(days=366)

Queues = Annotated[
    list[Name] | None,
    Field(
        min_length=1,
        max_length=MOST_QUEUES,
        description="Names of the queues it touches; all where it is left out.",
        examples=[["sales"]],
    ),
]


class AddedEvent(Request):
    """A calendar event that is not in the calendar."""

    kind: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_KIND)] = described(
        "Its kind, as in the calendar; of a kind that the model never learnt it changes nothing, "
        "and a warning says so.",
        "promotion",
    )
    starts_at: Moment = described(
        "First moment, ISO 8601 with `Z` or an offset.", "2026-03-10T00:00:00Z"
    )
    ends_at: Moment = described(
        "One past the last moment, ISO 8601 with `Z` or an offset; the event must touch the "
        f"published span and last at most {LONGEST_EVENT.days} days.",
        "2026-03-12T00:00:00Z",
    )
    queues: Queues = None
    size: float | None = optional(
        "Its size in the measure of the calendar's events of this kind.", 0.2, gt=0, le=1e12
    )

    @model_validator(mode="after")
    def _forward(self) -> AddedEvent:
        if to_epoch(self.ends_at) <= to_epoch(self.starts_at):
            raise ValueError("`ends_at` must lie after `starts_at`")
        if self.ends_at - self.starts_at > LONGEST_EVENT:
            raise ValueError(f"must last at most {LONGEST_EVENT.days} days")
        return self


MOST_CHANGES = 100


class _Spanned(Request):
    start: Moment | None = optional(
        "First moment, inside the published span; its start where it is left out. An interval "
        "that is partly covered changes by the covered share.",
        "2026-03-10T07:00:00Z",
    )
    end: Moment | None = optional(
        "One past the last moment, inside the published span; its end where it is left out.",
        "2026-03-10T17:00:00Z",
    )

    @model_validator(mode="after")
    def _forward(self) -> _Spanned:
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError("`end` must lie after `start`")
        return self


class Scaling(_Spanned):
    """More or less of something, over a span of time."""

    factor: float = described(
        f"What it is multiplied by, above 0 and at most {HIGHEST_FACTOR:g}.",
        1.1,
        gt=0,
        le=HIGHEST_FACTOR,
    )
    queues: Queues = None


class Closing(_Spanned):
    """Hours in which queues are shut."""

    start: Moment = described(
        "First moment shut, inside the published span. An interval that is partly shut loses the "
        "covered share of its contacts.",
        "2026-03-10T07:00:00Z",
    )
    end: Moment = described(
        "One past the last moment shut, inside the published span.", "2026-03-10T17:00:00Z"
    )
    queues: Queues = None


class WhatIf(Request):
    """Changes to the published forecast; they apply together, in whatever order they stand."""

    add_events: list[AddedEvent] = Field(
        default=[], description="Events to add to the calendar.", max_length=MOST_CHANGES
    )
    remove_events: list[Annotated[str, StringConstraints(max_length=LONGEST_TEXT)]] = Field(
        default=[],
        max_length=MOST_CHANGES,
        description="Ids of events to take out of it, as `GET /v1/events` lists them.",
        examples=[["promo-2026-03"]],
    )
    scale_volume: list[Scaling] = Field(
        default=[], description="Factors on the contacts.", max_length=MOST_CHANGES
    )
    scale_aht: list[Scaling] = Field(
        default=[], description="Factors on the average handle time.", max_length=MOST_CHANGES
    )
    closed: list[Closing] = Field(
        default=[], description="Hours to shut queues in.", max_length=MOST_CHANGES
    )

    @model_validator(mode="after")
    def _at_most(self) -> WhatIf:
        changes = sum(len(items) for _, items in self)
        if changes > MOST_CHANGES:
            raise ValueError(f"must have at most {MOST_CHANGES} changes, got {changes}")
        return self

    def to_changes(self) -> WhatIfChanges:
        """Return the changes as plain values."""
        return WhatIfChanges(
            add_events=[NewEvent(**event.model_dump()) for event in self.add_events],
            remove_events=self.remove_events,
            scale_volume=[SpanFactor(**scaling.model_dump()) for scaling in self.scale_volume],
            scale_aht=[SpanFactor(**scaling.model_dump()) for scaling in self.scale_aht],
            closed=[SpanFactor(**closing.model_dump()) for closing in self.closed],
        )


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
