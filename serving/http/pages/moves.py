"""What moves a queue's week, in words: holidays, events, orders and what came today, by day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.calendar import DAY_SECONDS, Event, Int64, local_times, moment, workdays
from features.contracts import PARTS
from serving.models.volume.span import cut
from serving.sets.forecast import PublishedForecast

MOST_MOVES = 6
_MOVING_PARTS = ("holiday", "event", "orders", "today")
_LEAST_SHARE = 0.03
_LEAST_CONTACTS = 1.0
_AFTER_SECONDS = 3 * DAY_SECONDS
_DAY_WORDS = {
    "holiday": "{}",
    "eve": "the day before {}",
    "after": "the day after {}",
    "bridge": "the bridge day of {}",
    "between": "the days between holidays around {}",
    "long_weekend": "the long weekend of {}",
}


@dataclass(frozen=True)
class _Move:
    """What one part adds to one day: ``contacts``, and that over what stands before it."""

    day: int
    part: str
    contacts: float
    share: float


def moves(
    forecast: PublishedForecast, *, rows: slice, events: Sequence[Event], today: int
) -> list[str]:
    """Return the largest moves of some intervals, one sentence each, in order of time.

    Args:
        forecast: The queue's forecast.
        rows: The intervals.
        events: The calendar events that the forecast knows.
        today: The local day that is today, days since 1970-01-01.
    """
    week = cut(forecast, rows)
    largest = sorted(_all_moves(week), key=lambda move: -abs(move.contacts))[:MOST_MOVES]
    largest.sort(key=lambda move: (move.day, PARTS.index(move.part)))
    days = {move.day: f"{moment(move.day * DAY_SECONDS):%a %-d %b}" for move in largest}
    days[today] = "Today"
    return [f"{days[move.day]}: {_sentence(move, week, events)}" for move in largest]


def _all_moves(week: PublishedForecast) -> list[_Move]:
    days, place = np.unique(local_times(week.starts, week.queue.time_zone).day, return_inverse=True)
    sums = np.zeros((len(days), len(PARTS)))
    np.add.at(sums, place, week.parts)
    result = []
    for part in _MOVING_PARTS:
        column = PARTS.index(part)
        before = sums[:, :column].sum(axis=1).tolist()
        for day, added, without in zip(
            days.tolist(), sums[:, column].tolist(), before, strict=True
        ):
            share = added / without if without > 0 else 0.0
            if abs(added) >= _LEAST_CONTACTS and abs(share) >= _LEAST_SHARE:
                result.append(_Move(day, part, added, share))
    return result


def _sentence(move: _Move, week: PublishedForecast, events: Sequence[Event]) -> str:
    """Return one move, such as ``promotion, 34 contacts more (+12 %)``."""
    more = "more" if move.contacts > 0 else "fewer"
    count = f"{abs(move.contacts):,.0f}"
    contacts = "contact" if count == "1" else "contacts"
    return (
        f"{_cause(move, week, events)}, {count} {contacts} {more} "
        f"({100 * move.share:+.0f}\N{NO-BREAK SPACE}%)"
    )


def _cause(move: _Move, week: PublishedForecast, events: Sequence[Event]) -> str:
    if move.part == "holiday":
        kind, name = special_days(np.array([move.day]), week.queue.country).get(move.day, ("", ""))
        return _DAY_WORDS.get(kind, "holidays").format(name)
    if move.part == "event":
        day = local_times(week.starts, week.queue.time_zone).day
        starts = week.starts[(day == move.day) & week.is_open]
        return _event_words(events, week, int(starts[0]), int(starts[-1] + week.interval_seconds))
    return (
        "what was ordered lately" if move.part == "orders" else "what came since the full forecast"
    )


def _event_words(events: Sequence[Event], week: PublishedForecast, start: int, end: int) -> str:
    """Name the kinds of events on in [start, end), else of those that ended lately."""
    ours = [e for e in events if not e.queues or week.queue.queue in e.queues]
    on = dict.fromkeys(e.kind for e in ours if e.starts_at < end and e.ends_at > start)
    past = dict.fromkeys(
        e.kind for e in ours if start - _AFTER_SECONDS - DAY_SECONDS < e.ends_at <= start
    )
    if on:
        return " and ".join(on)
    return f"after {' and '.join(past)}" if past else "events of the calendar"


def special_days(days: Int64, country: str | None) -> dict[int, tuple[str, str]]:
    """Return how each local day relates to a holiday, and the holiday's name; ordinary days too.

    >>> special_days(np.array([20546, 20545]), "DE")  # 2026-04-03, and the day before
    {20546: ('holiday', 'Good Friday'), 20545: ('eve', 'Good Friday')}
    """
    known = workdays(days, country) if len(days) else None
    if known is None:
        return {}
    labels = {day: str(known.labels[day - known.first_day]) for day in days.tolist()}
    return {
        day: (label.partition(":")[0], label.partition(":")[2]) for day, label in labels.items()
    }
