"""Counts on a queue's grid: gaps, quarters of an hour, and what was observed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import (
    DAY_SECONDS,
    GRID_SECONDS,
    from_epoch,
    interval_of,
    local_midnight,
    local_times,
)
from features.calendar.queues import Event, Queue, local_week
from features.calendar.workdays import holidays_on
from features.volume.history import QUARTERS, no_quarters

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
            first = from_epoch(int(rows["ts"][wrong][0]))
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


GAP_SECONDS = 3 * 3600
"""Least length of a gap."""
GAP_EXPECTED = 18.0
"""Contacts in the same hours of other weeks that make a silence a gap: by chance 1 in 10^7."""
GAP_WEEKS = 4
"""Weeks before, and as many after, that a silence is compared with."""
STOPPED_SECONDS = 14 * DAY_SECONDS
"""A queue that is silent alone for longer was shut: its silence is no contact."""
UNENDED_SECONDS = 3 * DAY_SECONDS
"""The same for a silence that has not ended yet."""
_WEEK_CELLS = 7 * DAY_SECONDS // GRID_SECONDS


@dataclass(frozen=True)
class Gap:
    """A stretch in which a feed was broken: [start, end), epoch seconds.

    ``due`` contacts usually come in the same hours: the median of the weeks around.
    """

    start: int
    end: int
    due: float


def feed_gaps(
    cells: Int64, counts: Int64, *, time_zone: str = "UTC", until: int | None = None
) -> list[Gap]:
    """Find the stretches in which contacts must have come and are not known.

    A stretch counts when no contact came in it for three hours or more, although in at least
    three quarters of the same hours of the four weeks before and after, and of no fewer than two
    weeks, ``GAP_EXPECTED`` or more came.

    Args:
        cells: Starts of cells of 900 s that have contacts, epoch seconds, int64[n].
        counts: Contacts in each, int64[n].
        time_zone: IANA zone of the clock that contacts follow.
        until: Epoch seconds until which silence would be known; None: the last cell.

    >>> week = np.arange(8 * 168, dtype=np.int64) * 3600
    >>> seen = week[(week < 90_000) | (week >= 180_000)]
    >>> feed_gaps(seen, np.full(len(seen), 10))
    [Gap(start=87300, end=180000, due=250.0)]
    """
    if len(cells) == 0:
        return []
    order = np.argsort(cells, kind="stable")
    moments = cells[order]
    edges = np.append(moments, moments[-1] + GRID_SECONDS if until is None else until)
    wall = local_times(edges, time_zone).seconds // GRID_SECONDS
    place = wall - wall[0]
    size = int(place.max()) + 1
    total = np.zeros(size + 1)
    np.cumsum(np.bincount(place[:-1], weights=counts[order], minlength=size), out=total[1:])
    starts, ends = moments + GRID_SECONDS, edges[1:]
    silent = np.flatnonzero(ends - starts >= GAP_SECONDS)
    if until is not None and len(silent) and silent[-1] == len(moments) - 1:
        # What is known may end in the middle of the last cell.
        size = int(place[-1])
    around = _weeks_around(total, place[:-1][silent] + 1, place[1:][silent], size)
    seen = ~np.isnan(around)
    weeks = seen.sum(axis=1)
    ranked = np.sort(around, axis=1)  # NaN last
    low = np.take_along_axis(ranked, (weeks // 4)[:, None], axis=1)[:, 0]
    gap = (weeks >= 2) & (low >= GAP_EXPECTED)
    return [
        Gap(int(starts[i]), int(ends[i]), float(np.nanmedian(around[k])))
        for k, i in enumerate(silent)
        if gap[k]
    ]


def _weeks_around(total: Float64, first: Int64, last: Int64, size: int) -> Float64:
    """Return contacts in the same hours of other weeks, float64[stretches, 8]; NaN if unknown.

    ``total`` is the running total of contacts by cell of the wall clock, of which ``size`` are
    known; a stretch is the cells [first, last).
    """
    contacts = np.full((len(first), 2 * GAP_WEEKS), np.nan)
    # A silence of ten days is compared with stretches two, three, … weeks away.
    length = np.maximum(-(-(last - first) // _WEEK_CELLS), 1)
    for column in range(2 * GAP_WEEKS):
        away = length + column % GAP_WEEKS
        shift = np.where(column < GAP_WEEKS, -away, away) * _WEEK_CELLS
        a, b = first + shift, last + shift
        known = (a >= 0) & (b <= size) & (b > a)
        contacts[known, column] = total[b[known]] - total[a[known]]
    return contacts


def stopped(gap: Gap, *, until: int) -> bool:
    """Return whether a queue's silence, while others were busy, is too long for a fault.

    ``until``: epoch seconds until which the feed is known to have worked.

    >>> stopped(Gap(0, 4 * 86_400, 99.0), until=4 * 86_400)
    True
    >>> stopped(Gap(0, 4 * 86_400, 99.0), until=9 * 86_400)
    False
    """
    limit = UNENDED_SECONDS if gap.end >= until else STOPPED_SECONDS
    return gap.end - gap.start > limit


LATELY_DAYS = 364
"""Days before the as-of that are counted."""
_CELL_MINUTES = GRID_SECONDS // 60


@dataclass(frozen=True)
class ObservedSource:
    """One source's rows of a queue, and what it was found to have observed.

    Attributes:
        rows: ``ts``, ``offered`` and, unless the rows are cells of 900 s, ``minutes``.
        offered: Contacts on the queue's grid, float64[n]; NaN where the source did not observe.
    """

    rows: Rows
    offered: Float64


def count_quarters(
    queue: Queue, starts: Int64, sources: Sequence[ObservedSource], *, as_of_epoch: int
) -> Float64:
    """Count the last 52 weeks' contacts by hour of the local week and quarter, float64[168, 4].

    Counted is what the panel counts: open quarters of intervals that were observed and had ended.
    Rows as long as the queue's interval tell nothing; one of 30 minutes tells of both its quarters
    alike. Where several sources tell, the first one counts.
    """
    counts = no_quarters()
    length = queue.interval_minutes
    open_to_tell = (starts + length * 60 <= as_of_epoch) & (
        starts >= as_of_epoch - LATELY_DAYS * DAY_SECONDS
    )
    for source in sources:
        rows = source.rows
        place, inside = place_on(queue, starts, rows["ts"])
        minutes = rows.get("minutes", np.full(len(rows["ts"]), float(_CELL_MINUTES)))
        use = inside & (minutes < length) & open_to_tell[place] & ~np.isnan(source.offered[place])
        counts += _counted(queue, rows, minutes, use)
        open_to_tell[place[use]] = False
    return counts


def _counted(queue: Queue, rows: Rows, minutes: Float64, use: Bool) -> Float64:
    """Return the contacts of some rows by hour of the week and quarter, float64[168, 4]."""
    cells = (minutes[use] // _CELL_MINUTES).astype(np.int64)
    row = np.repeat(np.arange(len(cells)), cells)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(cells) - cells, cells)
    starts = rows["ts"][use].astype(np.int64)[row] + nth * GRID_SECONDS
    week = local_week(replace(queue, interval_minutes=_CELL_MINUTES), starts)
    row, cell = row[week.is_open], week.minute[week.is_open] // _CELL_MINUTES
    share = rows["offered"][use] / np.maximum(np.bincount(row, minlength=len(cells)), 1)
    size = QUARTERS[0] * QUARTERS[1]
    return np.bincount(cell, share[row], minlength=size).astype(np.float64).reshape(QUARTERS)
