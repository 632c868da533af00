"""The volume panel: counts laid on each queue's wall clock, dense, with what was not observed.

Not observed (NaN) are: an interval that had not ended at the as-of; one that ended after the
feed's last sign of life; one inside a gap of the feed (``feed_gaps``); and, for a queue that is
fed by interval counts, one without a row. A closed interval (stated opening) is exactly 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from features.calendar import (
    GRID_SECONDS,
    Bool,
    Float64,
    Int64,
    Queue,
    holidays_on,
    interval_of,
    interval_starts,
    is_open,
    local_midnight,
    local_times,
    moment,
)
from features.contracts import INTERVAL_MINUTES
from features.snapshot import QueueHistory

GAP_EXPECTED = 18.0
"""Contacts expected in a silent stretch before it counts as a gap: a chance below 1 in 10^7."""
GAP_SECONDS = 3 * 3600
"""Least length of a gap."""
_HOUR_CELLS = 3600 // GRID_SECONDS
_WEEK_HOURS = 168


@dataclass(frozen=True)
class QueuePanel:
    """One queue's dense volume.

    Attributes:
        history: What the models read.
        answered: Contacts answered, float64[n]; NaN where not known.
        abandoned: Contacts abandoned, float64[n]; NaN where not known.
        is_open: Whether the queue is open in any part, by its stated hours, bool[n].
    """

    history: QueueHistory
    answered: Float64
    abandoned: Float64
    is_open: Bool


@dataclass(frozen=True)
class Panel:
    """All queues as known at one moment.

    Attributes:
        queues: By name, sorted.
        warnings: What a person should know, one sentence each.
    """

    queues: Mapping[str, QueuePanel]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Counts:
    """Counts of one queue from one source, on the queue's grid; NaN where not observed."""

    offered: Float64
    answered: Float64
    abandoned: Float64
    handled: Float64
    handle_seconds: Float64


def feed_gaps(cells: Int64, counts: Int64) -> list[tuple[int, int]]:
    """Find the stretches in which a whole feed fell silent.

    A stretch counts when not one queue of the feed has a contact in it for three hours or more,
    although at the feed's mean rates by hour of the week at least ``GAP_EXPECTED`` were due.

    Args:
        cells: Starts of cells of 900 s that have contacts, epoch seconds, int64[n].
        counts: Contacts in each, int64[n].

    Returns:
        Left-closed stretches in epoch seconds, in order.

    >>> week = np.arange(8 * 168, dtype=np.int64) * 3600
    >>> kept = week[(week < 90_000) | (week >= 180_000)]
    >>> feed_gaps(kept, np.full(len(kept), 10))
    [(87300, 180000)]
    """
    if len(cells) == 0:
        return []
    first = int(cells.min()) // GRID_SECONDS
    size = int(cells.max()) // GRID_SECONDS - first + 1
    total = np.bincount(cells // GRID_SECONDS - first, weights=counts, minlength=size)
    hour = (np.arange(size) + first) // _HOUR_CELLS % _WEEK_HOURS
    seen = np.bincount(hour, minlength=_WEEK_HOURS)
    rate = np.bincount(hour, weights=total, minlength=_WEEK_HOURS) / np.maximum(seen, 1)
    due = np.concatenate(([0.0], np.cumsum(rate[hour])))
    busy = np.flatnonzero(total > 0)
    starts, stops = busy[:-1] + 1, busy[1:]
    silent = (stops - starts) * GRID_SECONDS >= GAP_SECONDS
    silent &= due[stops] - due[starts] >= GAP_EXPECTED
    return [
        (int(a + first) * GRID_SECONDS, int(b + first) * GRID_SECONDS)
        for a, b in zip(starts[silent], stops[silent], strict=True)
    ]


def build_panel(
    queues: Sequence[Queue], *, cells: pa.Table, intervals: pa.Table, as_of: int
) -> Panel:
    """Lay counts on the wall clock of each queue.

    Args:
        queues: Every queue that may have rows.
        cells: From ``volume.contact_cells``.
        intervals: From ``volume.interval_counts``.
        as_of: Epoch seconds.

    Returns:
        A panel of the queues that have at least one full interval.
    """
    warnings: list[str] = []
    gaps = _gaps(cells, warnings)
    reach = max(cells.column("last_ts").to_pylist(), default=0) + GRID_SECONDS
    contacts_of, intervals_of = _by_queue(cells), _by_queue(intervals)
    panels = {}
    for queue in sorted(queues, key=lambda q: q.queue):
        own = contacts_of.get(queue.queue)
        stated = intervals_of.get(queue.queue)
        fitted = _fit_interval(queue, stated, warnings)
        starts = _grid(fitted, own, stated, as_of)
        if len(starts) == 0:
            continue
        parts = []
        if stated is not None:
            parts.append(_from_intervals(fitted, starts, stated))
        if own is not None:
            parts.append(_from_contacts(fitted, starts, own, reach, gaps))
        panels[queue.queue] = _merge(fitted, starts, parts, as_of, warnings)
    return Panel(panels, tuple(warnings))


def _gaps(cells: pa.Table, warnings: list[str]) -> list[tuple[int, int]]:
    gaps = feed_gaps(
        cells.column("ts").to_numpy().astype(np.int64),
        cells.column("offered").to_numpy().astype(np.int64),
    )
    warnings.extend(
        f"no contact of any queue between {moment(a):%Y-%m-%d %H:%M} and "
        f"{moment(b):%Y-%m-%d %H:%M} UTC: taken as not observed"
        for a, b in gaps
    )
    return gaps


def _by_queue(table: pa.Table) -> dict[str, dict[str, Float64]]:
    """Split a table sorted by queue into float64 columns by queue; null becomes NaN."""
    names = np.array(table.column("queue").to_pylist(), dtype=object)
    columns = {
        name: np.asarray(
            table.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64
        )
        for name in table.column_names
        if name != "queue"
    }
    edges = np.flatnonzero(names[1:] != names[:-1]) + 1
    bounds = [0, *edges.tolist(), len(names)]
    return {
        str(names[a]): {name: values[a:b] for name, values in columns.items()}
        for a, b in itertools.pairwise(bounds)
        if b > a
    }


def _fit_interval(queue: Queue, stated: Mapping[str, Float64] | None, warnings: list[str]) -> Queue:
    """Widen a queue's interval to that of its rows: a count cannot be divided."""
    if stated is None:
        return queue
    longest = int(stated["minutes"].max())
    fitting = [m for m in INTERVAL_MINUTES if m >= max(longest, queue.interval_minutes)]
    if not fitting:
        warnings.append(
            f"queue `{queue.queue}`: rows of {longest} minutes are longer than "
            f"{INTERVAL_MINUTES[-1]} minutes and were left out"
        )
        return queue
    if fitting[0] == queue.interval_minutes:
        return queue
    warnings.append(
        f"queue `{queue.queue}`: its rows are {longest} minutes long, so its interval is "
        f"{fitting[0]} minutes and not {queue.interval_minutes}"
    )
    return replace(queue, interval_minutes=fitting[0])


def _grid(
    queue: Queue,
    own: Mapping[str, Float64] | None,
    stated: Mapping[str, Float64] | None,
    as_of: int,
) -> Int64:
    """Return interval starts from the first full local day to the as-of."""
    firsts = []
    if own is not None:
        # The first contact says nothing of the hours before it.
        day = int(local_times(own["ts"][:1].astype(np.int64), queue.time_zone).day[0])
        firsts.append(local_midnight(day + 1, queue.time_zone))
    if stated is not None:
        start = int(stated["ts"][0])
        day = int(local_times(np.array([start], dtype=np.int64), queue.time_zone).day[0])
        midnight = local_midnight(day, queue.time_zone)
        firsts.append(midnight if start == midnight else local_midnight(day + 1, queue.time_zone))
    if not firsts:
        return np.empty(0, dtype=np.int64)
    return interval_starts(min(firsts), as_of, queue.interval_minutes, queue.time_zone)


def _place(queue: Queue, starts: Int64, ts: Float64) -> tuple[Int64, Bool]:
    """Return each row's place on the grid, and whether it has one."""
    at = interval_of(ts.astype(np.int64), queue.interval_minutes, queue.time_zone)
    place = np.searchsorted(starts, at).astype(np.int64)
    on_grid = (place < len(starts)) & (at >= starts[0])
    return place, on_grid


def _sums(place: Int64, values: Float64, size: int) -> Float64:
    return np.bincount(place, weights=values, minlength=size).astype(np.float64)


def _from_intervals(queue: Queue, starts: Int64, rows: Mapping[str, Float64]) -> _Counts:
    place, on_grid = _place(queue, starts, rows["ts"])
    on_grid &= rows["minutes"] <= queue.interval_minutes
    place, kept = place[on_grid], {name: values[on_grid] for name, values in rows.items()}
    covered = _sums(place, kept["minutes"], len(starts))
    missing = covered < queue.interval_minutes
    weight = np.where(np.isnan(kept["answered"]), kept["offered"], kept["answered"])
    weight = np.where(np.isnan(kept["aht_seconds"]), 0.0, weight)
    seconds = weight * np.nan_to_num(kept["aht_seconds"])

    def counts(values: Float64) -> Float64:
        return np.where(missing, np.nan, _sums(place, values, len(starts)))

    return _Counts(
        offered=counts(kept["offered"]),
        answered=counts(kept["answered"]),
        abandoned=counts(kept["abandoned"]),
        handled=_sums(place, weight, len(starts)),
        handle_seconds=_sums(place, seconds, len(starts)),
    )


def _from_contacts(
    queue: Queue,
    starts: Int64,
    rows: Mapping[str, Float64],
    reach: int,
    gaps: Sequence[tuple[int, int]],
) -> _Counts:
    place, on_grid = _place(queue, starts, rows["ts"])
    place, kept = place[on_grid], {name: values[on_grid] for name, values in rows.items()}
    ends = starts + queue.interval_minutes * 60
    first_day = int(local_times(rows["ts"][:1].astype(np.int64), queue.time_zone).day[0]) + 1
    unseen = (ends > reach) | (starts < local_midnight(first_day, queue.time_zone))
    silent = np.zeros(len(starts), dtype=bool)
    for start, stop in gaps:
        silent |= (ends > start) & (starts < stop)
    # A silent public holiday is a holiday, not a gap.
    silent &= ~holidays_on(local_times(starts, queue.time_zone).day, queue.country)
    unseen |= silent

    def counts(values: Float64) -> Float64:
        return np.where(unseen, np.nan, _sums(place, values, len(starts)))

    return _Counts(
        offered=counts(kept["offered"]),
        answered=counts(kept["answered"]),
        abandoned=counts(kept["abandoned"]),
        handled=_sums(place, kept["handled"], len(starts)),
        handle_seconds=_sums(place, kept["handle_ms"], len(starts)) / 1000.0,
    )


def _merge(
    queue: Queue, starts: Int64, parts: Sequence[_Counts], as_of: int, warnings: list[str]
) -> QueuePanel:
    """Prefer the first part where it observed, and apply opening hours and the as-of."""
    merged = parts[0]
    if len(parts) == 2:
        second = parts[1]
        stated = ~np.isnan(merged.offered)
        both = int((stated & (second.offered > 0)).sum())
        if both:
            warnings.append(
                f"queue `{queue.queue}`: {both} intervals have counts and single contacts; "
                "the counts are used"
            )
        merged = _Counts(
            *(
                np.where(stated, getattr(merged, name), getattr(second, name))
                for name in _Counts.__dataclass_fields__
            )
        )
    opened = is_open(queue, starts)
    ended = starts + queue.interval_minutes * 60 <= as_of
    outside = int(np.nansum(merged.offered[~opened & ended]))
    if outside:
        warnings.append(
            f"queue `{queue.queue}`: {outside} contacts came outside its stated opening hours "
            "and are not counted"
        )

    def final(values: Float64) -> Float64:
        return np.where(ended, np.where(opened, values, 0.0), np.nan)

    offered = final(merged.offered)
    counted = opened & ~np.isnan(offered)
    handled = np.where(counted, merged.handled, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        aht = np.where(handled > 0, merged.handle_seconds / handled, np.nan)
    history = QueueHistory(
        queue=queue, starts=starts, offered=offered, aht_seconds=aht, handled=handled
    )
    return QueuePanel(history, final(merged.answered), final(merged.abandoned), opened)


def panel_table(panel: Panel) -> pa.Table:
    """Return the panel as the snapshot's ``volume.arrow`` holds it, sorted by queue and start."""
    parts = [_panel_rows(name, queue) for name, queue in panel.queues.items()]
    return pa.concat_tables([VOLUME_SCHEMA.empty_table(), *parts])


VOLUME_SCHEMA = pa.schema(
    [
        ("queue", pa.string()),
        ("interval_start", pa.timestamp("s", "UTC")),
        ("offered", pa.float64()),
        ("answered", pa.float64()),
        ("abandoned", pa.float64()),
        ("aht_seconds", pa.float64()),
        ("handled", pa.float64()),
        ("is_open", pa.bool_()),
        ("is_observed", pa.bool_()),
    ]
)


def _panel_rows(name: str, queue: QueuePanel) -> pa.Table:
    history = queue.history
    columns = [
        pa.repeat(pa.scalar(name, pa.string()), len(history.starts)),
        pa.array(history.starts, pa.int64()).cast(pa.timestamp("s", "UTC")),
        *(
            pa.array(values)
            for values in (
                history.offered,
                queue.answered,
                queue.abandoned,
                history.aht_seconds,
                history.handled,
                queue.is_open,
                history.observed,
            )
        ),
    ]
    return pa.Table.from_arrays(columns, schema=VOLUME_SCHEMA)
