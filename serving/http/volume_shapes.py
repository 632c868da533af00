"""The answers of the routes for a scheduling tool, described for the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from serving.http.shapes import ID, Answer

OVERRIDE_ID = "20260302T090000Z-00000001-00000"
"""An override's id as it stands in examples."""


class Volume(Answer):
    """Contacts offered in one interval."""

    mean: float = Field(description="Expected contacts in the interval.", examples=[41.7])
    quantiles: dict[str, float] = Field(
        description="Contacts by quantile level: with `0.9`, nine intervals in ten stay at or "
        "below. Never crossing, never negative.",
        examples=[{"0.1": 33.0, "0.5": 41.0, "0.9": 51.5}],
    )


class Parts(Answer):
    """What an interval's mean is the sum of, to 1e-6; contacts, some of them below 0."""

    level: float = Field(
        description="The recent pace, spread evenly over the open week.", examples=[30.0]
    )
    week_pattern: float = Field(
        description="What this hour of the week adds to it.", examples=[9.5]
    )
    season: float = Field(
        description="What the time of the year, the trend and recent changes add.", examples=[1.2]
    )
    holiday: float = Field(
        description="What a public holiday, or a day near one, adds.", examples=[0.0]
    )
    event: float = Field(description="What events of the calendar add.", examples=[1.0])
    orders: float = Field(description="What was ordered lately adds.", examples=[0.0])
    today: float = Field(
        description="What came since the full forecast was made adds.", examples=[0.0]
    )


class ForecastInterval(Answer):
    """One interval, left-closed, named by its start."""

    start: datetime = Field(description="Start, UTC.", examples=["2026-03-02T08:00:00Z"])
    end: datetime = Field(description="End, UTC, excluded.", examples=["2026-03-02T09:00:00Z"])
    start_local: datetime = Field(
        description="Start on the queue's wall clock, with its offset.",
        examples=["2026-03-02T09:00:00+01:00"],
    )
    end_local: datetime = Field(
        description="End on the queue's wall clock, with its offset.",
        examples=["2026-03-02T10:00:00+01:00"],
    )
    is_open: bool = Field(
        description="Whether the queue is open in any part of it; a closed interval has no volume.",
        examples=[True],
    )
    volume: Volume = Field(description="Contacts offered.")
    aht_seconds: float = Field(
        description="Expected average handle time, seconds.", examples=[312.4]
    )
    published: Literal["model", "override"] = Field(
        description="Whose number the mean is: the model's, or a planner's override.",
        examples=["model"],
    )
    override_id: str | None = Field(
        default=None,
        description="The override that is in force; only with one.",
        examples=[OVERRIDE_ID],
    )
    model_mean: float | None = Field(
        default=None,
        description="Contacts that the model expects; only with an override.",
        examples=[41.7],
    )
    parts: Parts | None = Field(
        default=None,
        description="What the model's mean is the sum of (`model_mean` where an override is in "
        "force); only where it was asked for.",
    )
    baseline: float | None = Field(
        default=None,
        description="Contacts in the same hour of the last observed week; only with `parts`.",
        examples=[39.0],
    )


class QueueForecast(Answer):
    """One queue's forecast."""

    queue: str = Field(description="The queue's name.", examples=["sales"])
    channel: str = Field(description="How its contacts come.", examples=["voice"])
    time_zone: str = Field(description="IANA zone of the local times.", examples=["Europe/Berlin"])
    interval_minutes: int = Field(description="Length of an interval, minutes.", examples=[60])
    method: str = Field(
        description="How the forecast was made: `combined`; `profile` or `baseline` with little "
        "history; `none` without; `intraday` where it was corrected during the day.",
        examples=["combined"],
    )
    warnings: list[str] = Field(
        description="What a reader should know of this queue.", examples=[[]]
    )
    intervals: list[ForecastInterval] = Field(description="The intervals, in order, no gap.")
    paths: list[list[float]] | None = Field(
        default=None,
        description="Joint sample paths, a list of contacts by interval each; path i of one queue "
        "belongs to path i of every other. Only where they were asked for.",
        examples=[[[38.0], [44.5]]],
    )


class OverrideInForce(Answer):
    """An override that is in force in an answer."""

    override_id: str = Field(description="Its id.", examples=[OVERRIDE_ID])
    queue: str = Field(description="The queue.", examples=["sales"])
    made_by: str = Field(description="Who made it.", examples=["Ann"])
    made_at: datetime = Field(description="When, UTC.", examples=["2026-03-02T09:00:00Z"])
    reason: str = Field(description="Why.", examples=["TV spot on Wednesday"])


class ForecastEnvelope(Answer):
    """Where the numbers come from."""

    forecast_set: str = Field(description="Id of the published forecast set.", examples=[ID])
    base: str | None = Field(
        description="Id of the full set that this one corrects with what came since; null where "
        "it is a full one.",
        examples=[None],
    )
    made_at: datetime = Field(
        description="When the forecast was made: leads count from here.",
        examples=["2026-03-02T04:00:00Z"],
    )
    as_of: datetime = Field(
        description="Events up to here were known to it.", examples=["2026-03-02T04:00:00Z"]
    )
    method: str = Field(
        description="The queues' common method, or `mixed`; each queue names its own.",
        examples=["combined"],
    )
    what_if: bool = Field(
        description="Whether it was changed on request; false for what is published.",
        examples=[False],
    )
    model_version: str = Field(description="Id of the volume bundle.", examples=[ID])
    snapshot: str = Field(description="Id of the feature snapshot it was made from.", examples=[ID])
    start: datetime = Field(
        description="First moment answered, UTC.", examples=["2026-03-02T08:00:00Z"]
    )
    end: datetime = Field(
        description="One past the last moment answered, UTC.", examples=["2026-03-16T08:00:00Z"]
    )
    warnings: list[str] = Field(
        description="What a reader should know of the whole set.", examples=[[]]
    )
    overrides: list[OverrideInForce] = Field(
        description="Planners' overrides that are in force in it, by queue, in the order they "
        "were made.",
        examples=[[]],
    )


class Drawn(Answer):
    """How sample paths were drawn: the same count and seed give the same paths of a set."""

    count: int = Field(description="How many.", examples=[200])
    seed: int = Field(description="The seed.", examples=[0])


class ForecastAnswer(ForecastEnvelope):
    """A forecast by queue and interval."""

    paths: Drawn | None = Field(
        default=None, description="How the sample paths were drawn; only with them."
    )
    queues: list[QueueForecast] = Field(description="One entry a queue, as asked for.")


class Total(Answer):
    """Contacts of several intervals and queues together."""

    mean: float = Field(description="Expected contacts: the sum of the means.", examples=[512.3])
    quantiles: dict[str, float] = Field(
        description="Contacts by quantile level, of the sample paths' sums.",
        examples=[{"0.1": 455.0, "0.5": 510.2, "0.9": 574.1}],
    )


class Peak(Answer):
    """The busiest interval."""

    start: datetime = Field(
        description="Start of the interval with the highest mean, UTC.",
        examples=["2026-03-02T09:00:00Z"],
    )
    start_local: datetime = Field(
        description="The same on the group's clock, with its offset.",
        examples=["2026-03-02T10:00:00+01:00"],
    )
    mean: float = Field(description="Expected contacts in it.", examples=[61.0])
    quantiles: dict[str, float] = Field(
        description="Contacts by quantile level, of the sample paths' greatest intervals, "
        "whichever they are.",
        examples=[{"0.1": 58.0, "0.5": 68.9, "0.9": 80.3}],
    )


class SpanTotals(Answer):
    """The total and the peak of a span of time."""

    start: datetime = Field(
        description="Start of the first interval, UTC.", examples=["2026-03-02T07:00:00Z"]
    )
    end: datetime = Field(
        description="End of the last interval, UTC, excluded.", examples=["2026-03-02T23:00:00Z"]
    )
    total: Total = Field(description="All its contacts.")
    peak: Peak = Field(description="Its busiest interval.")


class DayTotals(SpanTotals):
    """The total and the peak of one day, as far as the span reaches into it."""

    date: str = Field(description="The day on the group's clock.", examples=["2026-03-02"])


class GroupTotals(Answer):
    """Totals and peaks of one group of queues."""

    group: str = Field(
        description="Name of the queue or of the channel, or `all`.", examples=["voice"]
    )
    queues: list[str] = Field(description="The queues added up.", examples=[["sales"]])
    time_zone: str = Field(
        description="IANA zone of the days: the queues' own; `UTC` where they keep different "
        "clocks.",
        examples=["Europe/Berlin"],
    )
    interval_minutes: int = Field(
        description="Length of the intervals that peaks are of, minutes: the longest of the "
        "queues'.",
        examples=[60],
    )
    method: str = Field(description="The queues' common method, or `mixed`.", examples=["combined"])
    warnings: list[str] = Field(
        description="What a reader should know of this group.", examples=[[]]
    )
    span: SpanTotals | None = Field(
        description="The whole span; null where no interval begins in it."
    )
    days: list[DayTotals] = Field(description="Day by day, in order.")


class TotalsAnswer(ForecastEnvelope):
    """Totals and peaks by group and day."""

    by: str = Field(description="What was added up.", examples=["channel"])
    paths: Drawn = Field(description="How the sample paths were drawn.")
    groups: list[GroupTotals] = Field(description="In the order of the queues asked for.")


class QueueGoal(Answer):
    """What a queue promises by itself."""

    service_level: float = Field(
        description="Share to be answered within the threshold.", examples=[0.8]
    )
    threshold_seconds: float = Field(description="The threshold, seconds.", examples=[20])


class QueueEntry(Answer):
    """One queue that is served."""

    queue: str = Field(description="Its name in every request.", examples=["sales"])
    name: str | None = Field(description="A name for people.", examples=["Sales line"])
    channel: str = Field(description="How its contacts come.", examples=["voice"])
    time_zone: str = Field(description="IANA zone of its clock.", examples=["Europe/Berlin"])
    interval_minutes: int = Field(description="Length of its intervals, minutes.", examples=[60])
    opening: dict[str, str | None] = Field(
        description="Opening hours by weekday, local; `closed`; null where not stated.",
        examples=[{"mon": "08:00-18:00", "sun": "closed"}],
    )
    opening_source: str = Field(
        description="`stated`, `learnt` from the history, or `assumed`.", examples=["stated"]
    )
    goal: QueueGoal = Field(description="Its service goal.")
    patience_seconds: float | None = Field(
        description="Mean patience, seconds; null where not known.", examples=[180]
    )
    method: str = Field(description="How its forecast was made.", examples=["combined"])
    start: datetime | None = Field(
        description="Start of its published span, UTC; null where it has none.",
        examples=["2026-03-02T04:00:00Z"],
    )
    end: datetime | None = Field(
        description="End of its published span, UTC, excluded.",
        examples=["2026-03-30T04:00:00Z"],
    )
    warnings: list[str] = Field(
        description="What a reader should know of this queue.", examples=[[]]
    )


class QueuesAnswer(Answer):
    """The queues that are served."""

    forecast_set: str = Field(description="Id of the published forecast set.", examples=[ID])
    queues: list[QueueEntry] = Field(description="Sorted by name.")


class EventEntry(Answer):
    """One event of the calendar."""

    event_id: str = Field(description="Its id.", examples=["promo-2026-03"])
    kind: str = Field(description="Its kind.", examples=["promotion"])
    starts_at: datetime = Field(description="First moment, UTC.", examples=["2026-03-10T00:00:00Z"])
    ends_at: datetime = Field(
        description="One past the last moment, UTC.", examples=["2026-03-12T00:00:00Z"]
    )
    known_at: datetime = Field(
        description="When it was known, UTC.", examples=["2026-02-20T09:00:00Z"]
    )
    queues: list[str] | None = Field(
        description="The queues it touches; null for all.", examples=[["sales"]]
    )
    size: float | None = Field(
        description="Its size in the business's own measure; null where none is known.",
        examples=[0.2],
    )


class EventsAnswer(Answer):
    """The calendar events that the published forecast knows."""

    forecast_set: str = Field(description="Id of the published forecast set.", examples=[ID])
    events: list[EventEntry] = Field(description="By their start.")
