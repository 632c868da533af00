"""When within its hour a contact comes: contacts by hour of the local week and quarter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from features.calendar import (
    DAY_SECONDS,
    GRID_SECONDS,
    Bool,
    Float64,
    Int64,
    Queue,
    local_week,
)
from features.observed import Rows, place_on
from features.snapshot import QUARTERS, no_quarters

LATELY_DAYS = 364
"""Days before the as-of that are counted."""
_CELL_MINUTES = GRID_SECONDS // 60


@dataclass(frozen=True)
class Source:
    """One source's rows of a queue, and what it was found to have observed.

    Attributes:
        rows: ``ts``, ``offered`` and, unless the rows are cells of 900 s, ``minutes``.
        offered: Contacts on the queue's grid, float64[n]; NaN where the source did not observe.
    """

    rows: Rows
    offered: Float64


def count_quarters(
    queue: Queue, starts: Int64, sources: Sequence[Source], *, as_of: int
) -> Float64:
    """Count the last 52 weeks' contacts by hour of the local week and quarter, float64[168, 4].

    Counted is what the panel counts: open quarters of intervals that were observed and had ended.
    Rows as long as the queue's interval tell nothing; one of 30 minutes tells of both its quarters
    alike. Where several sources tell, the first one counts.
    """
    counts = no_quarters()
    length = queue.interval_minutes
    open_to_tell = (starts + length * 60 <= as_of) & (starts >= as_of - LATELY_DAYS * DAY_SECONDS)
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
