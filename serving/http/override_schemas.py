"""What planners send and are answered about overrides, described for the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from features.calendar import epoch
from features.contracts import OVERRIDES
from serving.http.fields import MOST_QUEUES, Moment, Name, Request
from serving.http.override_asks import NewSpan
from serving.http.shapes import ID, Answer
from serving.http.volume_shapes import OVERRIDE_ID

MOST_OVERRIDES = 100_000
MOST_VOLUME = float(OVERRIDES.column("offered").maximum or 0)
MOST_AHT_SECONDS = float(OVERRIDES.column("aht_seconds").maximum or 0)
LEAST_AHT_SECONDS = float(OVERRIDES.column("aht_seconds").minimum or 0)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be printable text on one line")
    return text


Who = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(_printable),
]
Why = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000),
    AfterValidator(_printable),
]


class NewOverride(Request):
    """What a planner expects of one queue in one span of time."""

    queue: Name = Field(description="The queue.", examples=["sales"])
    start: Moment = Field(
        description="First moment, ISO 8601 with `Z` or an offset: the start of one of the "
        "queue's intervals, in the published span and not begun.",
        examples=["2026-03-04T09:00:00Z"],
    )
    end: Moment | None = Field(
        default=None,
        description="One past the last moment: the end of one of its intervals. By default that "
        "of the interval that begins at `start`.",
        examples=["2026-03-04T11:00:00Z"],
    )
    interval_minutes: int | None = Field(
        default=None,
        ge=15,
        le=1_000_000,
        strict=True,
        description="Length of the span, minutes, instead of `end`.",
        examples=[None],
    )
    volume: float = Field(
        ge=0,
        le=MOST_VOLUME,
        allow_inf_nan=False,
        description="Contacts expected in the whole span, 0 to 10,000,000. Over several intervals "
        "they are split in proportion to the model's forecast, closed ones left out.",
        examples=[180],
    )
    aht_seconds: float | None = Field(
        default=None,
        ge=LEAST_AHT_SECONDS,
        le=MOST_AHT_SECONDS,
        allow_inf_nan=False,
        description="Average handle time expected, seconds; the model's where it is left out.",
        examples=[320],
    )

    @model_validator(mode="after")
    def _one_end(self) -> NewOverride:
        if self.end is not None and self.interval_minutes is not None:
            raise ValueError("give `end` or `interval_minutes`, not both")
        if self.end is not None and epoch(self.end) <= epoch(self.start):
            raise ValueError("`end` must lie after `start`")
        return self

    def to_span(self) -> NewSpan:
        """Return the override as plain values."""
        return NewSpan(**self.model_dump())


class OverridesRequest(Request):
    """A planner's own numbers for some queues and spans of time."""

    made_by: Who = Field(description="Who sends them, at most 200 characters.", examples=["Ann"])
    reason: Why = Field(
        description="Why, at most 1,000 characters.", examples=["TV spot on Wednesday"]
    )
    overrides: list[NewOverride] = Field(
        min_length=1,
        max_length=MOST_OVERRIDES,
        description="The overrides; no two of one queue overlap, and there are at most as many of "
        "one queue as its published span has intervals.",
    )


class WithdrawRequest(Request):
    """Who takes an override back, and why."""

    made_by: Who = Field(description="Who, at most 200 characters.", examples=["Ann"])
    reason: Why = Field(
        description="Why, at most 1,000 characters.", examples=["The spot fell out"]
    )


class OverridesForm(Request):
    """In which form overrides come."""

    format: Literal["json", "csv", "genesys", "connect"] = Field(
        default="json",
        description="`json`, or a file: `csv`, `genesys` (gzipped JSON) or `connect` (override "
        "CSV), as `POST /v1/staffing` writes them.",
        examples=["json"],
    )
    made_by: Who | None = Field(
        default=None,
        description="Who sends a file; with `json` the body says it.",
        examples=["Ann"],
    )
    reason: Why | None = Field(
        default=None,
        description="Why, of a file; with `json` the body says it.",
        examples=["TV spot on Wednesday"],
    )


class OverridesQuery(Request):
    """Which overrides to list."""

    queue: list[Name] | None = Field(
        default=None,
        max_length=MOST_QUEUES,
        description="Name of a queue; repeat it for several. All queues where it is left out.",
        examples=[["sales"]],
    )
    start: Moment | None = Field(
        default=None,
        description="Overrides that end after this time; by default now.",
        examples=["2026-03-02T00:00:00Z"],
    )
    end: Moment | None = Field(
        default=None,
        description="Overrides that begin before this time; by default all.",
        examples=["2026-03-16T00:00:00Z"],
    )
    include: Literal["all", "in_force"] = Field(
        default="all",
        description="`all` layers, or only those `in_force` in one interval at least.",
        examples=["in_force"],
    )


class Withdrawal(Answer):
    """Who took an override back."""

    made_by: str = Field(description="Who.", examples=["Ann"])
    made_at: datetime = Field(description="When, UTC.", examples=["2026-03-03T10:00:00Z"])
    reason: str = Field(description="Why.", examples=["The spot fell out"])


class OverrideEntry(Answer):
    """One override as it is kept."""

    override_id: str = Field(description="Its id.", examples=[OVERRIDE_ID])
    queue: str = Field(description="The queue.", examples=["sales"])
    start: datetime = Field(description="First moment, UTC.", examples=["2026-03-04T09:00:00Z"])
    end: datetime = Field(
        description="One past the last moment, UTC.", examples=["2026-03-04T11:00:00Z"]
    )
    volume: float = Field(description="Contacts expected in the whole span.", examples=[180])
    aht_seconds: float | None = Field(
        description="Average handle time expected, seconds; null where the model's holds.",
        examples=[320],
    )
    model_volume: float = Field(
        description="Contacts that the model expected in the span when the override was made: "
        "what it replaced.",
        examples=[121.4],
    )
    forecast_set: str = Field(description="Id of the forecast set of then.", examples=[ID])
    made_by: str = Field(description="Who made it.", examples=["Ann"])
    made_at: datetime = Field(description="When, UTC.", examples=["2026-03-02T09:00:00Z"])
    reason: str = Field(description="Why.", examples=["TV spot on Wednesday"])
    withdrawn: Withdrawal | None = Field(
        description="Who took it back; null where nobody did.", examples=[None]
    )
    in_force: bool = Field(
        description="Whether it counts in one interval at least: later ones cover it elsewhere.",
        examples=[True],
    )
    intervals: int = Field(description="Open intervals in its span.", examples=[2])
    in_force_intervals: int = Field(description="Those in which it counts.", examples=[2])


class OverridesKept(Answer):
    """The overrides that a request made."""

    forecast_set: str = Field(description="Id of the forecast set they lie over.", examples=[ID])
    overrides: list[OverrideEntry] = Field(description="One entry each, in the order sent.")
    left_out: int = Field(
        description="Intervals of a file that had begun, or are closed and have no contacts.",
        examples=[0],
    )


class OverridesAnswer(Answer):
    """The overrides that are kept."""

    overrides: list[OverrideEntry] = Field(description="In the order they were made.")
