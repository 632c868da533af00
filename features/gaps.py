"""Silence that is a fault of the feed, told from silence that is no contact.

A stretch without a contact is a gap when the same hours of the weeks around it were busy. Weeks
are compared on the wall clock, so that a clock change makes no gap of a night; only weeks near
the stretch are, so that a queue that grew, or that has a season, is measured by its own time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.calendar import DAY_SECONDS, GRID_SECONDS, Float64, Int64, local_times

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
