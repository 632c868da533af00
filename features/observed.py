"""What one source says of one queue: counts on the queue's grid, and where it says nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from features.calendar import (
    Bool,
    Event,
    Float64,
    Int64,
    Queue,
    holidays_on,
    interval_of,
    local_midnight,
    local_times,
    moment,
)
from features.gaps import Gap

Rows = Mapping[str, Float64]
"""Columns of one queue's rows by name, ascending by ``ts``, NaN where empty."""

_FEW_ROWS = 24


@dataclass(frozen=True)
class Counts:
    """Counts of one queue from one source, on the queue's grid, float64[n] each.

    The first three are NaN where not observed. ``handled`` counts contacts with a handle time.
    """

    offered: Float64
    answered: Float64
    abandoned: Float64
    handled: Float64
    handle_seconds: Float64


def from_intervals(queue: Queue, starts: Int64, rows: Rows) -> tuple[Counts, tuple[str, ...]]:
    """Lay interval counts on a queue's grid.

    An interval is observed where its rows cover it whole, each minute once.

    Args:
        queue: Its interval is no shorter than any row.
        starts: The grid, epoch seconds, int64[n].
        rows: ``ts``, ``minutes``, ``offered``, ``answered``, ``abandoned``, ``aht_seconds``.

    Returns:
        The counts, and sentences on rows that could not be used.
    """
    place, inside = place_on(queue, starts, rows["ts"])
    length = rows["minutes"] * 60
    fits = rows["ts"] + length <= starts[place] + queue.interval_minutes * 60
    twice = _overlap(rows["ts"], length)
    torn = np.zeros(len(starts), dtype=bool)
    torn[place[inside & twice]] = True
    use = inside & fits
    notes = _row_warnings(queue, rows, inside=inside, fits=fits, twice=twice)
    place, used = place[use], {name: values[use] for name, values in rows.items()}
    missing = torn | (_sums(place, used["minutes"], len(starts)) < queue.interval_minutes)
    weight = np.where(np.isnan(used["answered"]), used["offered"], used["answered"])
    weight = np.where(np.isnan(used["aht_seconds"]), 0.0, weight)
    seconds = weight * np.nan_to_num(used["aht_seconds"])

    def summed(values: Float64, otherwise: float = np.nan) -> Float64:
        return np.where(missing, otherwise, _sums(place, values, len(starts)))

    counts = Counts(
        offered=summed(used["offered"]),
        answered=summed(used["answered"]),
        abandoned=summed(used["abandoned"]),
        handled=summed(weight, 0.0),
        handle_seconds=summed(seconds, 0.0),
    )
    return counts, (*notes, *_never_zero(queue, rows, missing))


def _overlap(ts: Float64, length: Float64) -> Bool:
    """Return which rows share a moment with another one, bool[n]; ``ts`` ascends."""
    ends = ts + length
    twice = np.zeros(len(ts), dtype=bool)
    twice[1:] |= np.maximum.accumulate(ends)[:-1] > ts[1:]
    twice[:-1] |= ends[:-1] > ts[1:]
    return twice


def _row_warnings(queue: Queue, rows: Rows, *, inside: Bool, fits: Bool, twice: Bool) -> list[str]:
    warnings = []
    for wrong, what in (
        (inside & twice, "rows overlap in time"),
        (
            inside & ~fits & ~twice,
            f"rows reach over two intervals of {queue.interval_minutes} minutes on its clock",
        ),
    ):
        if wrong.any():
            first = moment(int(rows["ts"][wrong][0]))
            warnings.append(
                f"queue `{queue.queue}`: {int(wrong.sum())} {what}, the first at "
                f"{first:%Y-%m-%d %H:%M} UTC: those intervals are taken as not observed"
            )
    return warnings


def _never_zero(queue: Queue, rows: Rows, missing: Bool) -> tuple[str, ...]:
    """Point at an export that may leave out the intervals in which nobody came."""
    if len(rows["ts"]) < _FEW_ROWS or (rows["offered"] == 0).any() or missing.mean() < 0.2:
        return ()
    return (
        f"queue `{queue.queue}`: {missing.mean():.0%} of its intervals have no row and no row says "
        "0: intervals without a row are taken as not observed. If the export leaves out intervals "
        "without a contact, load rows of 0 for them, or the forecast is too high",
    )


def from_contacts(
    queue: Queue,
    starts: Int64,
    rows: Rows,
    *,
    reach: int,
    gaps: Sequence[Gap],
    events: Sequence[Event],
) -> Counts:
    """Count single contacts on a queue's grid.

    Args:
        queue: Whose contacts.
        starts: The grid, epoch seconds, int64[n].
        rows: Of ``volume.contact_cells``.
        reach: Until when the feed is known to have worked, epoch seconds.
        gaps: When it was broken for this queue.
        events: Calendar events of this queue; one that silence fills by half explains it.
    """
    place, inside = place_on(queue, starts, rows["ts"])
    place = place[inside]
    ends = starts + queue.interval_minutes * 60
    first_day = int(local_times(rows["ts"][:1].astype(np.int64), queue.time_zone).day[0]) + 1
    unseen = (ends > reach) | (starts < local_midnight(first_day, queue.time_zone))
    silent = np.zeros(len(starts), dtype=bool)
    for gap in gaps:
        silent |= (ends > gap.start) & (starts < gap.end)
    # A silent public holiday is a holiday and no gap.
    silent &= ~holidays_on(local_times(starts, queue.time_zone).day, queue.country)
    for event in events:
        if _explains(event, gaps):
            silent &= (ends <= event.starts_at) | (starts >= event.ends_at)
    unseen |= silent

    sums = {name: _sums(place, values[inside], len(starts)) for name, values in rows.items()}
    return Counts(
        offered=np.where(unseen, np.nan, sums["offered"]),
        answered=np.where(unseen, np.nan, sums["answered"]),
        abandoned=np.where(unseen, np.nan, sums["abandoned"]),
        handled=sums["handled"],
        handle_seconds=sums["handle_ms"] / 1000.0,
    )


def _explains(event: Event, gaps: Sequence[Gap]) -> bool:
    """Return whether an event is a closure: a fault in a month of promotion stays a fault."""
    silent = sum(
        max(0, min(gap.end, event.ends_at) - max(gap.start, event.starts_at)) for gap in gaps
    )
    return 2 * silent >= event.ends_at - event.starts_at


def place_on(queue: Queue, starts: Int64, ts: Float64) -> tuple[Int64, Bool]:
    """Return each row's place on a queue's grid, int64[n], and whether it has one, bool[n].

    ``starts`` is the grid, at least one; ``ts`` when each row begins; epoch seconds.
    """
    at = interval_of(ts.astype(np.int64), queue.interval_minutes, queue.time_zone)
    place = np.searchsorted(starts, at).astype(np.int64)
    inside = (place < len(starts)) & (at >= starts[0])
    return np.minimum(place, len(starts) - 1), inside


def _sums(place: Int64, values: Float64, size: int) -> Float64:
    return np.bincount(place, weights=values, minlength=size).astype(np.float64)
