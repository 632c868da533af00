"""The changes that a request may ask "what if" with: described and validated."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from features.calendar import epoch
from serving.http.fields import LONGEST_TEXT, MOST_QUEUES, Moment, Name, Request
from serving.http.whatif import HIGHEST_FACTOR, NewEvent, SpanFactor, WhatIfChanges

MOST_CHANGES = 100
LONGEST_KIND = 100
LONGEST_EVENT = timedelta(days=366)

Factor = Annotated[
    float,
    Field(
        gt=0,
        le=HIGHEST_FACTOR,
        description=f"What it is multiplied by, above 0 and at most {HIGHEST_FACTOR:g}.",
        examples=[1.1],
    ),
]
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

    kind: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_KIND)] = Field(
        description="Its kind, as in the calendar; of a kind that the model never learnt it "
        "changes nothing, and a warning says so.",
        examples=["promotion"],
    )
    starts_at: Moment = Field(
        description="First moment, ISO 8601 with `Z` or an offset.",
        examples=["2026-03-10T00:00:00Z"],
    )
    ends_at: Moment = Field(
        description="One past the last moment, ISO 8601 with `Z` or an offset; the event must "
        f"touch the published span and last at most {LONGEST_EVENT.days} days.",
        examples=["2026-03-12T00:00:00Z"],
    )
    queues: Queues = None
    size: float | None = Field(
        default=None,
        gt=0,
        le=1e12,
        description="Its size in the measure of the calendar's events of this kind.",
        examples=[0.2],
    )

    @model_validator(mode="after")
    def _forward(self) -> AddedEvent:
        if epoch(self.ends_at) <= epoch(self.starts_at):
            raise ValueError("`ends_at` must lie after `starts_at`")
        if self.ends_at - self.starts_at > LONGEST_EVENT:
            raise ValueError(f"must last at most {LONGEST_EVENT.days} days")
        return self


class _Spanned(Request):
    start: Moment | None = Field(
        default=None,
        description="First moment, inside the published span; its start where it is left out. "
        "An interval that is partly covered changes by the covered share.",
        examples=["2026-03-10T07:00:00Z"],
    )
    end: Moment | None = Field(
        default=None,
        description="One past the last moment, inside the published span; its end where it is "
        "left out.",
        examples=["2026-03-10T17:00:00Z"],
    )

    @model_validator(mode="after")
    def _forward(self) -> _Spanned:
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError("`end` must lie after `start`")
        return self


class Scaling(_Spanned):
    """More or less of something, over a span of time."""

    factor: Factor
    queues: Queues = None


class Closing(_Spanned):
    """Hours in which queues are shut."""

    start: Moment = Field(
        description="First moment shut, inside the published span. An interval that is partly "
        "shut loses the covered share of its contacts.",
        examples=["2026-03-10T07:00:00Z"],
    )
    end: Moment = Field(
        description="One past the last moment shut, inside the published span.",
        examples=["2026-03-10T17:00:00Z"],
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
    def _few(self) -> WhatIf:
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
