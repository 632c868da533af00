"""Queues, events, opening hours, and the local week."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import (
    DAY_MINUTES,
    DAY_SECONDS,
    INTERVAL_MINUTES,
    WEEKDAYS,
    _opening_span,
    local_times,
)
from features.calendar.workdays import effective_weekday, holidays_on, made_up, true_runs
from features.errors import InputError


def queue_to_json(queue: Queue) -> dict[str, Any]:
    """Return a queue as JSON-ready values."""
    return asdict(queue)


def queue_from_json(document: Mapping[str, Any]) -> Queue:
    """Return the queue that ``queue_to_json`` wrote."""
    opening = tuple(
        None if spans is None else tuple((int(a), int(b)) for a, b in spans)
        for spans in document["opening"]
    )
    return Queue(**{**document, "opening": opening})


def event_from_json(document: Mapping[str, Any]) -> Event:
    """Return the event that ``dataclasses.asdict`` turned into JSON."""
    return Event(**{**document, "queues": tuple(document["queues"])})


OpeningSpans = tuple[tuple[int, int], ...]
"""Opening of one day: minutes of the local day, left-closed, sorted, apart."""

ALWAYS: tuple[OpeningSpans, ...] = (((0, DAY_MINUTES),),) * 7


@dataclass(frozen=True)
class Queue:
    """One queue's clock, opening hours and goals.

    Attributes:
        name: A name for people; ``queue`` is that of every table.
        opening: Spans of each weekday from Monday; None where not stated.
        opening_source: ``stated``, ``learnt`` or ``assumed`` (no statement and no evidence).
        country: Code of its public holidays, with a subdivision as in ``DE-BY``.
        interval_minutes: 15, 30 or 60.
        goal_share: Service goal: share answered within ``goal_seconds``, in [0, 1].
        default_aht_seconds: AHT where no history says.
        patience_seconds: Its mean.
        concurrency: Contacts an agent holds at once.
    """

    queue: str
    channel: str = "voice"
    time_zone: str = "UTC"
    name: str | None = None
    opening: tuple[OpeningSpans | None, ...] = (None,) * 7
    opening_source: str = "assumed"
    country: str | None = None
    open_on_holidays: bool = True
    interval_minutes: int = 60
    goal_seconds: float = 20.0
    goal_share: float = 0.8
    default_aht_seconds: float = 300.0
    patience_seconds: float | None = None
    concurrency: int = 1


@dataclass(frozen=True)
class Event:
    """One known-ahead event in [starts_at, ends_at), epoch seconds.

    Attributes:
        kind: Such as ``promotion``.
        known_at: When it was known, epoch seconds.
        queues: Queues it touches; empty for all.
        size: In the business's own measure.
    """

    event_id: str
    kind: str
    starts_at: int
    ends_at: int
    known_at: int
    queues: tuple[str, ...] = ()
    size: float | None = None


def parse_opening(text: str | None, *, field: str = "opening") -> OpeningSpans | None:
    """Read one day's opening hours: empty when closed, None when not stated.

    Args:
        text: ``08:00-18:00``, several joined by ``,``; ``closed``; None or empty: not stated.
        field: Name for the error.

    Raises:
        InputError: The text is malformed, or spans overlap or end before they start.

    >>> parse_opening("08:00-12:00,13:30-24:00")
    ((480, 720), (810, 1440))
    """
    if text is None or not text.strip():
        return None
    if text.strip().lower() == "closed":
        return ()
    spans = sorted(_opening_span(part, field, text) for part in text.split(","))
    if any(a[1] > b[0] for a, b in itertools.pairwise(spans)):
        raise InputError(
            f"`{field}`",
            got=f"{text!r}, which overlaps itself",
            expected="spans apart",
            field=field,
        )
    return tuple(spans)


@dataclass(frozen=True)
class LocalWeek:
    """Where each of n intervals lies in a queue's week.

    Attributes:
        day: Local days since 1970-01-01, int64[n].
        minute: Minute of the week from Monday 00:00, int64[n]; a make-up working day has those of
            the weekday whose hours it keeps.
        is_open: Whether the queue is open in any part of each, bool[n].
    """

    day: Int64
    minute: Int64
    is_open: Bool

    @property
    def hour(self) -> Int64:
        """Hour of the week, 0 to 167, int64[n]."""
        return self.minute // 60


def local_week(queue: Queue, starts: Int64) -> LocalWeek:
    """Return the local day, the minute of the week and the openness of intervals.

    A weekday whose opening is neither stated nor learnt counts as open; a make-up working day
    has the hours of the day off that it makes up for. ``starts``: epoch seconds, int64[n].

    >>> night = Queue("night", opening=(((0, 360),),) * 7)  # 1970-01-01 is a Thursday
    >>> week = local_week(night, np.array([5 * 3600, 6 * 3600]))
    >>> week.hour.tolist(), week.is_open.tolist()
    ([77, 78], [True, False])
    """
    local = local_times(starts, queue.time_zone)
    step = queue.interval_minutes
    week = np.ones((7, DAY_MINUTES), dtype=bool)
    for weekday, spans in enumerate(queue.opening):
        if spans is not None:
            week[weekday] = False
            for start, end in spans:
                week[weekday, start:end] = True
    cells = np.any(week.reshape(-1, step), axis=1)
    minute = effective_weekday(local.day, queue.country) * DAY_MINUTES + local.minute_of_day
    opened: Bool = cells[minute // step]
    if not queue.open_on_holidays:
        opened = opened & ~holidays_on(local.day, queue.country)
    return LocalWeek(local.day, minute, opened)


def is_open(queue: Queue, starts: Int64) -> Bool:
    """Return whether the queue is open in any part of each interval, bool[n]."""
    return local_week(queue, starts).is_open


def learn_opening(queue: Queue, starts: Int64, offered: Float64) -> Queue:
    """Fill the weekdays whose opening is not stated from the history.

    A cell of the week counts as closed when not one contact came in it in the last 26 weeks,
    although at the queue's mean rate at least 7 would have been expected (a chance of 1 in 1,000
    were it open and average). Where nothing can be learnt, the queue is returned as it is.

    Args:
        queue: Its stated weekdays stay.
        starts: Interval starts, epoch seconds, int64[n], ascending.
        offered: Contacts in each, float64[n]; NaN where not observed.
    """
    if all(spans is not None for spans in queue.opening) or len(starts) == 0:
        return queue
    recent = (starts >= starts[-1] - 26 * 7 * DAY_SECONDS) & ~np.isnan(offered)
    local = local_times(starts, queue.time_zone)
    # A make-up working day says nothing of the weekend that it falls on.
    recent &= ~made_up(local.day, queue.country)
    step = queue.interval_minutes
    slots = local.minute_of_week[recent] // step
    size = 7 * DAY_MINUTES // step
    total = np.bincount(slots, weights=offered[recent], minlength=size)
    seen = np.bincount(slots, minlength=size)
    rate = total.sum() / max(seen.sum(), 1)
    closed = np.asarray((total == 0) & (seen * rate >= 7)).reshape(7, -1)
    if not closed.any():
        return queue
    opening = tuple(
        tuple((start * step, end * step) for start, end in true_runs(~closed[weekday]))
        if stated is None
        else stated
        for weekday, stated in enumerate(queue.opening)
    )
    return replace(queue, opening=opening, opening_source="learnt")


def opening_text(queue: Queue) -> dict[str, str | None]:
    """Return the opening of each weekday as ``parse_opening`` reads it.

    >>> opening_text(Queue("q", opening=ALWAYS))["mon"]
    '00:00-24:00'
    """

    def text(spans: OpeningSpans | None) -> str | None:
        if spans is None:
            return None
        clock = "{:02d}:{:02d}-{:02d}:{:02d}"
        return ",".join(clock.format(*divmod(a, 60), *divmod(b, 60)) for a, b in spans) or "closed"

    return {day: text(spans) for day, spans in zip(WEEKDAYS, queue.opening, strict=True)}


def queue_of(row: dict[str, Any]) -> Queue:
    """Return the queue that a row of the table ``queues`` states.

    Raises:
        InputError: Its opening hours or interval are malformed.
    """
    opening = tuple(
        parse_opening(row[f"open_{day}"], field=f"open_{day} of queue {row['queue']}")
        for day in WEEKDAYS
    )
    stated = {f.name: row[f.name] for f in fields(Queue) if row.get(f.name) is not None}
    if stated.get("interval_minutes", 60) not in INTERVAL_MINUTES:
        raise InputError(
            f"`interval_minutes` of queue `{row['queue']}`",
            got=stated["interval_minutes"],
            expected=f"one of {INTERVAL_MINUTES}",
            remedy="correct the row of `queues` and load it again",
            field="interval_minutes",
        )
    source = "stated" if any(spans is not None for spans in opening) else "assumed"
    return Queue(**{**stated, "opening": opening, "opening_source": source})


def event_of(row: dict[str, Any]) -> Event:
    """Return the event that a row of the table ``calendar`` states, its times in epoch seconds."""
    names = (part.strip() for part in (row["queues"] or "").split(","))
    return Event(**{**row, "queues": tuple(name for name in names if name)})
