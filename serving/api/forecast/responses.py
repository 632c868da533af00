"""The answers of the routes for a scheduling tool, described for the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from serving.api.openapi import AS_OF, BUNDLE_ID, ID, SNAPSHOT_ID, ResponseModel, described

OVERRIDE_ID = "20260302T090000Z-00000001-00000"
START, END = "2026-03-02T08:00:00Z", "2026-03-02T09:00:00Z"
START_LOCAL, END_LOCAL = "2026-03-02T09:00:00+01:00", "2026-03-02T10:00:00+01:00"
"""An override's id and the hour of the examples."""


class Volume(ResponseModel):
    """Contacts offered in one interval."""

    mean: float = described("Expected contacts in the interval.", 41.7)
    quantiles: dict[str, float] = described(
        "Contacts by quantile level: with `0.9`, nine intervals in ten stay at or below.",
        {"0.1": 33.0, "0.5": 41.2, "0.9": 51.5},
    )


class Parts(ResponseModel):
    """What an interval's mean is the sum of, to 1e-6; contacts, some of them below 0."""

    level: float = described("The recent pace, spread evenly over the open week.", 30.0)
    week_pattern: float = described("What this hour of the week adds to it.", 9.5)
    season: float = described("What the time of the year, the trend and recent changes add.", 1.2)
    holiday: float = described("What a public holiday, or a day near one, adds.", 0.0)
    event: float = described("What events of the calendar add.", 1.0)
    orders: float = described("What was ordered lately adds.", 0.0)
    today: float = described("What came since the full forecast was made adds.", 0.0)


class ForecastInterval(ResponseModel):
    """One interval, left-closed, named by its start."""

    start: datetime = described("Start, UTC.", START)
    end: datetime = described("End, UTC, excluded.", END)
    start_local: datetime = described("Start on the queue's clock.", START_LOCAL)
    end_local: datetime = described("End on the queue's clock.", END_LOCAL)
    is_open: bool = described("Whether the queue is open in any part of it; else no volume.", True)
    volume: Volume = described("Contacts offered.")
    aht_seconds: float = described("Expected average handle time, seconds.", 312.4)
    published: Literal["model", "override"] = described("Where the mean comes from.", "model")
    override_id: str | None = described("The override in force, if any.", OVERRIDE_ID, default=None)
    model_mean: float | None = described("The model's mean, with an override.", 41.7, default=None)
    parts: Parts | None = described(
        "What the model's mean is the sum of; only where it was asked for.", default=None
    )
    baseline: float | None = described(
        "Contacts in this hour of the last observed week; with `parts`.", 39.0, default=None
    )


class QueueHead(ResponseModel):
    """What an answer says of a queue before its intervals."""

    queue: str = described("The queue's name.", "sales")
    channel: str = described("How its contacts come.", "voice")
    time_zone: str = described("IANA zone of the local times.", "Europe/Berlin")
    interval_minutes: int = described("Length of an interval, minutes.", 60)
    method: str = described(
        "How the forecast was made: `combined`; `profile` or `baseline` with little "
        "history; `none` without; `intraday` where it was corrected during the day.",
        "combined",
    )
    warnings: list[str] = described("What a reader should know of this queue.", [])


class QueueForecastResponse(QueueHead):
    """One queue's forecast."""

    intervals: list[ForecastInterval] = described("The intervals, in order, no gap.")
    paths: list[list[float]] | None = described(
        "Joint sample paths, a list of contacts by interval each; path i of one queue "
        "belongs to path i of every other. Only where they were asked for.",
        [[38.0], [44.5]],
        default=None,
    )


class OverrideInForce(ResponseModel):
    """An override that is in force in an answer."""

    override_id: str = described("Its id.", OVERRIDE_ID)
    queue: str = described("The queue.", "sales")
    made_by: str = described("Who made it.", "Ann")
    made_at: datetime = described("When, UTC.", END)
    reason: str = described("Why.", "TV spot on Wednesday")


class ForecastEnvelope(ResponseModel):
    """Where the numbers come from."""

    forecast_set: str = described("Id of the published forecast set.", ID)
    base: str | None = described("Id of the full set that it corrects; null for a full one.", None)
    made_at: datetime = described("When it was made: leads count from here.", AS_OF)
    as_of: datetime = described("Events up to here were known to it.", AS_OF)
    method: str = described(
        "The queues' common method, or `mixed`; each names its own.", "combined"
    )
    what_if: bool = described("Whether it was changed on request; else as published.", False)
    model_version: str = described("Id of the volume bundle.", BUNDLE_ID)
    snapshot: str = described("Id of the feature snapshot it was made from.", SNAPSHOT_ID)
    start: datetime = described("First moment answered, UTC.", START)
    end: datetime = described("One past the last moment answered, UTC.", END)
    warnings: list[str] = described("What a reader should know of the whole set.", [])
    overrides: list[OverrideInForce] = described(
        "Planners' overrides that are in force in it, by queue, in the order they were made.", []
    )


class SamplePathsResponse(ResponseModel):
    """How sample paths were drawn: the same count and seed give the same paths of a set."""

    count: int = described("How many.", 200)
    seed: int = described("The seed.", 0)


class ForecastResponse(ForecastEnvelope):
    """A forecast by queue and interval."""

    paths: SamplePathsResponse | None = described(
        "How sample paths were drawn; only with them.", default=None
    )
    queues: list[QueueForecastResponse] = described("One entry a queue, as asked for.")


class Total(ResponseModel):
    """Contacts of several intervals and queues together."""

    mean: float = described("Expected contacts: the sum of the means.", 512.3)
    quantiles: dict[str, float] = described(
        "Contacts by quantile level, of the sample paths' sums.", {"0.1": 455.0, "0.9": 574.1}
    )


class Peak(ResponseModel):
    """The busiest interval."""

    start: datetime = described("Start of the one with the highest mean, UTC.", END)
    start_local: datetime = described("The same on the group's clock.", END_LOCAL)
    mean: float = described("Expected contacts in it.", 61.0)
    quantiles: dict[str, float] = described(
        "Contacts by quantile level, of each sample path's greatest.", {"0.1": 58.0, "0.9": 80.3}
    )


class SpanTotals(ResponseModel):
    """The total and the peak of a span of time."""

    start: datetime = described("Start of the first interval, UTC.", "2026-03-01T23:00:00Z")
    end: datetime = described("End of the last interval, UTC, excluded.", "2026-03-02T23:00:00Z")
    total: Total = described("All its contacts.")
    peak: Peak = described("Its busiest interval.")


class DayTotals(SpanTotals):
    """The total and the peak of one day, as far as the span reaches into it."""

    date: str = described("The day on the group's clock.", "2026-03-02")


class GroupTotals(ResponseModel):
    """Totals and peaks of one group of queues."""

    group: str = described("Name of the queue or of the channel, or `all`.", "sales")
    queues: list[str] = described("The queues added up.", ["sales"])
    time_zone: str = described("IANA zone of the days; `UTC` where queues differ.", "Europe/Berlin")
    interval_minutes: int = described(
        "Minutes of a peak's interval: the longest of the queues'.", 60
    )
    method: str = described("The queues' common method, or `mixed`.", "combined")
    warnings: list[str] = described("What a reader should know of this group.", [])
    span: SpanTotals | None = described("The whole span; null where no interval begins in it.")
    days: list[DayTotals] = described("Day by day, in order.")


class TotalsResponse(ForecastEnvelope):
    """Totals and peaks by group and day."""

    what_if: bool = described("Whether it was changed on request.", True)
    start: datetime = described("First moment answered, UTC.", "2026-03-01T23:00:00Z")
    end: datetime = described("One past the last moment answered, UTC.", "2026-03-02T23:00:00Z")
    by: str = described("What was added up.", "queue")
    paths: SamplePathsResponse = described("How the sample paths were drawn.")
    groups: list[GroupTotals] = described("In the order of the queues asked for.")


class QueueGoal(ResponseModel):
    """What a queue promises by itself."""

    service_level: float = described("Share to be answered within the threshold.", 0.8)
    threshold_seconds: float = described("The threshold, seconds.", 20)


class QueueEntry(QueueHead):
    """One queue that is served."""

    name: str | None = described("A name for people.", "Sales line")
    opening: dict[str, str | None] = described(
        "Opening hours by weekday, local; `closed`; null where not stated.",
        {"mon": "08:00-18:00", "sun": "closed"},
    )
    opening_source: str = described("`stated`, `learnt` from the history, or `assumed`.", "stated")
    goal: QueueGoal = described("Its service goal.")
    patience_seconds: float | None = described("Mean patience, seconds; null where not known.", 180)
    start: datetime | None = described("Start of its span, UTC; null without one.", AS_OF)
    end: datetime | None = described("End of its span, UTC, excluded.", "2026-03-30T04:00:00Z")


class QueuesResponse(ResponseModel):
    """The queues that are served."""

    forecast_set: str = described("Id of the published forecast set.", ID)
    queues: list[QueueEntry] = described("Sorted by name.")


class EventEntry(ResponseModel):
    """One event of the calendar."""

    event_id: str = described("Its id.", "promo-2026-03")
    kind: str = described("Its kind.", "promotion")
    starts_at: datetime = described("First moment, UTC.", "2026-03-10T00:00:00Z")
    ends_at: datetime = described("One past the last moment, UTC.", "2026-03-12T00:00:00Z")
    known_at: datetime = described("When it was known, UTC.", "2026-02-20T09:00:00Z")
    queues: list[str] | None = described("The queues it touches; null for all.", ["sales"])
    size: float | None = described("Its size in the business's own measure; null if unknown.", 0.2)


class EventsResponse(ResponseModel):
    """The calendar events that the published forecast knows."""

    forecast_set: str = described("Id of the published forecast set.", ID)
    events: list[EventEntry] = described("By their start.")
