"""What planners send and are answered about overrides, described for the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from features.calendar.clock import to_epoch
from features.contracts.tables import OVERRIDES
from serving.api.forecast.requests import QueueNames
from serving.api.forecast.responses import OVERRIDE_ID
from serving.api.openapi import (
    ID,
    Moment,
    Name,
    Request,
    ResponseModel,
    Who,
    Why,
    described,
    optional,
    with_example,
)
from serving.files import FormatName
from serving.forecast.overrides import NewSpan

MOST_OVERRIDES = 100_000
_VOLUME, _AHT = OVERRIDES.column("offered"), OVERRIDES.column("aht_seconds")
SpanVolume = Annotated[float, Field(ge=0, le=_VOLUME.maximum, allow_inf_nan=False)]
AhtSeconds = Annotated[float, Field(ge=_AHT.minimum, le=_AHT.maximum, allow_inf_nan=False)]


class NewOverride(Request):
    """What a planner expects of one queue in one span of time."""

    queue: Name = described("The queue.", "sales")
    start: Moment = described(
        "First moment, ISO 8601 with `Z` or an offset: the start of one of the queue's intervals, "
        "in the published span and not begun.",
        "2026-03-04T09:00:00Z",
    )
    end: Moment | None = optional(
        "One past the last moment: the end of one of its intervals. By default that of the "
        "interval that begins at `start`.",
        "2026-03-04T11:00:00Z",
    )
    interval_minutes: int | None = optional(
        "Length of the span, minutes, instead of `end`.", None, ge=15, le=1_000_000, strict=True
    )
    volume: SpanVolume = described(
        "Contacts expected in the whole span, 0 to 10,000,000. Over several intervals they are "
        "split in proportion to the model's forecast, closed ones left out.",
        180,
    )
    aht_seconds: AhtSeconds | None = optional(
        "Average handle time expected, seconds; the model's where it is left out.", 320
    )

    @model_validator(mode="after")
    def _one_end(self) -> NewOverride:
        if self.end is not None and self.interval_minutes is not None:
            raise ValueError("give `end` or `interval_minutes`, not both")
        if self.end is not None and to_epoch(self.end) <= to_epoch(self.start):
            raise ValueError("`end` must lie after `start`")
        return self

    def to_span(self) -> NewSpan:
        """Return the override as plain values."""
        return NewSpan(**self.model_dump())


class OverridesRequest(Request):
    """A planner's own numbers for some queues and spans of time."""

    model_config = with_example(
        made_by="Ann",
        reason="TV spot on Wednesday",
        overrides=[
            {
                "queue": "sales",
                "start": "2026-03-04T09:00:00Z",
                "end": "2026-03-04T11:00:00Z",
                "volume": 180,
                "aht_seconds": 320,
            }
        ],
    )

    made_by: Who = described("Who sends them, at most 200 characters.", "Ann")
    reason: Why = described("Why, at most 1,000 characters.", "TV spot on Wednesday")
    overrides: list[NewOverride] = described(
        "The overrides; no two of one queue overlap, and there are at most as many of one queue "
        "as its published span has intervals.",
        min_length=1,
        max_length=MOST_OVERRIDES,
    )


class WithdrawRequest(Request):
    """Who takes an override back, and why."""

    made_by: Who = described("Who, at most 200 characters.", "Ann")
    reason: Why = described("Why, at most 1,000 characters.", "The spot fell out")


class OverridesForm(Request):
    """In which form overrides come."""

    format: FormatName = described(
        "`json`, or a file: `csv`, `genesys` (gzipped JSON) or `connect` (override CSV), as "
        "`POST /v1/staffing` writes them.",
        default="json",
    )
    made_by: Who | None = optional("Who sends a file; with `json` the body says it.", "Ann")
    reason: Why | None = optional(
        "Why a file is sent; with `json` the body says it.", "TV spot on Wednesday"
    )


class OverridesQuery(Request):
    """Which overrides to list."""

    queue: QueueNames | None = optional(
        "Name of a queue; repeat it for several. All queues where it is left out.", ["sales"]
    )
    start: Moment | None = optional(
        "Those that end after this; by default now.", "2026-03-02T00:00:00Z"
    )
    end: Moment | None = optional(
        "Those that begin before this; by default all.", "2026-03-16T00:00:00Z"
    )
    include: Literal["all", "in_force"] = described(
        "`all` layers, or only those `in_force` in one interval.", "in_force", default="all"
    )


class Withdrawal(ResponseModel):
    """Who took an override back."""

    made_by: str = described("Who.", "Ann")
    made_at: datetime = described("When, UTC.", "2026-03-03T10:00:00Z")
    reason: str = described("Why.", "The spot fell out")


class OverrideEntry(ResponseModel):
    """One override as it is kept."""

    override_id: str = described("Its id.", OVERRIDE_ID)
    queue: str = described("The queue.", "sales")
    start: datetime = described("First moment, UTC.", "2026-03-04T09:00:00Z")
    end: datetime = described("One past the last moment, UTC.", "2026-03-04T11:00:00Z")
    volume: float = described("Contacts expected in the whole span.", 180)
    aht_seconds: float | None = described("Expected AHT, seconds; null for the model's.", 320)
    model_volume: float = described(
        "Contacts that the model expected when the override was made: what it replaced.", 121.4
    )
    forecast_set: str = described("Id of the forecast set of then.", ID)
    made_by: str = described("Who made it.", "Ann")
    made_at: datetime = described("When, UTC.", "2026-03-02T09:00:00Z")
    reason: str = described("Why.", "TV spot on Wednesday")
    withdrawn: Withdrawal | None = described("Who took it back; null where nobody did.", None)
    in_force: bool = described("Whether it counts in an interval: later ones cover it.", True)
    intervals: int = described("Open intervals in its span.", 2)
    in_force_intervals: int = described("Those in which it counts.", 2)


class WithdrawnOverride(OverrideEntry):
    """An override that was taken back."""

    withdrawn: Withdrawal = described("Who took it back.")
    in_force: bool = described("Whether it counts in one interval that has begun.", False)
    in_force_intervals: int = described("Those in which it counts.", 0)


class OverridesStored(ResponseModel):
    """The overrides that a request made."""

    forecast_set: str = described("Id of the forecast set they lie over.", ID)
    overrides: list[OverrideEntry] = described("One entry each, in the order sent.")
    left_out: int = described("Intervals of a file: begun, or closed and empty.", 0)


class OverridesResponse(ResponseModel):
    """The overrides that are kept."""

    overrides: list[OverrideEntry] = described("In the order they were made.")
