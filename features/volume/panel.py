"""The volume panel: counts laid on each queue's wall clock, dense, with what was not observed.

Not observed (NaN) are: an interval that had not ended at the as-of; one that ended after the
feed's last sign of life; one inside a gap of the feed, or of this queue alone (``gaps.py``); and,
for a queue that is fed by interval counts, one that rows do not cover exactly. A closed interval
(stated opening) is exactly 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime

import numpy as np
import pyarrow as pa

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import (
    DAY_SECONDS,
    GRID_SECONDS,
    INTERVAL_MINUTES,
    from_epoch,
    interval_starts,
    local_midnight,
    local_times,
    to_epoch,
)
from features.calendar.queues import Event, Queue, is_open
from features.calendar.workdays import holidays_on
from features.volume.counts import (
    GAP_EXPECTED,
    GAP_WEEKS,
    Counts,
    Gap,
    ObservedSource,
    Rows,
    count_quarters,
    feed_gaps,
    from_contacts,
    from_intervals,
    stopped,
)
from features.volume.history import VOLUME_SCHEMA, QueueHistory


@dataclass(frozen=True)
class QueuePanel:
    """One queue's dense volume.

    Attributes:
        history: What the models read.
        answered: float64[n], NaN where not known; ``abandoned`` alike.
        is_open: Whether the queue is open in any part, by its stated hours, bool[n].
    """

    history: QueueHistory
    answered: Float64
    abandoned: Float64
    is_open: Bool


@dataclass(frozen=True)
class Panel:
    """All queues as known at one moment, by name, sorted; and a sentence a warning."""

    queues: Mapping[str, QueuePanel]
    warnings: tuple[str, ...]


def build_panel(
    queues: Sequence[Queue],
    *,
    cells: pa.Table,
    intervals: pa.Table,
    events: Sequence[Event] = (),
    as_of: datetime,
) -> Panel:
    """Lay counts on the wall clock of each queue that has at least one full interval.

    Args:
        queues: Every queue that may have rows.
        cells: From ``volume.contact_cells``.
        intervals: From ``volume.interval_counts``.
        events: Calendar events: a silence during one is no gap of the feed.
        as_of: Aware.
    """
    warnings: list[str] = []
    contacts_of, intervals_of = _by_queue(cells), _by_queue(intervals)
    reach = max(cells.column("last_ts").to_pylist(), default=0) + GRID_SECONDS
    shared = _shared_gaps(queues, contacts_of)
    warnings.extend(_gap_warning("no contact of any queue", shared))
    panels = {}
    for queue in sorted(queues, key=lambda q: q.queue):
        panel = _queue_panel(
            queue,
            contacts=contacts_of.get(queue.queue),
            intervals=intervals_of.get(queue.queue),
            events=[e for e in events if not e.queues or queue.queue in e.queues],
            shared_gaps=shared,
            reach=reach,
            as_of_epoch=to_epoch(as_of),
            warnings=warnings,
        )
        if panel is not None:
            panels[queue.queue] = panel
    return Panel(panels, tuple(warnings))


def _queue_panel(
    queue: Queue,
    *,
    contacts: Rows | None,
    intervals: Rows | None,
    events: Sequence[Event],
    shared_gaps: Sequence[Gap],
    reach: int,
    as_of_epoch: int,
    warnings: list[str],
) -> QueuePanel | None:
    """Return one queue's panel, interval counts before single contacts; None without a row."""
    queue = _fit_interval(queue, intervals, warnings)
    starts = _panel_grid(queue, contacts, intervals, as_of_epoch)
    if len(starts) == 0:
        return None
    parts, sources = [], []
    if intervals is not None:
        counts, notes = from_intervals(queue, starts, intervals)
        warnings.extend(notes)
        parts.append(counts)
        sources.append(ObservedSource(intervals, counts.offered))
    if contacts is not None:
        alone = _own_gaps(queue, contacts, shared_gaps, reach=reach)
        warnings.extend(_gap_warning(f"queue `{queue.queue}`: no contact", alone))
        gaps = (*shared_gaps, *alone)
        counts = from_contacts(queue, starts, contacts, reach=reach, gaps=gaps, events=events)
        parts.append(counts)
        sources.append(ObservedSource(contacts, counts.offered))
    panel = _merge_sources(queue, starts, parts, as_of_epoch, warnings)
    quarters = count_quarters(queue, starts, sources, as_of_epoch=as_of_epoch)
    return replace(panel, history=replace(panel.history, quarters=quarters))


def _shared_gaps(queues: Sequence[Queue], contacts_of: Mapping[str, Rows]) -> list[Gap]:
    """Return when the whole feed was silent, on the clock of the queue with most contacts."""
    if not contacts_of:
        return []
    ts = np.concatenate([rows["ts"] for rows in contacts_of.values()]).astype(np.int64)
    offered = np.concatenate([rows["offered"] for rows in contacts_of.values()]).astype(np.int64)
    cells, where = np.unique(ts, return_inverse=True)
    zones = {queue.queue: queue.time_zone for queue in queues}
    busiest = max(sorted(contacts_of), key=lambda name: contacts_of[name]["offered"].sum())
    total = np.bincount(where, weights=offered).astype(np.int64)
    fed = [queue for queue in queues if queue.queue in contacts_of]
    return [
        gap
        for gap in feed_gaps(cells, total, time_zone=zones.get(busiest, "UTC"))
        if sum(_due(queue, contacts_of[queue.queue], gap) for queue in fed) >= GAP_EXPECTED
    ]


def _own_gaps(queue: Queue, rows: Rows, shared: Sequence[Gap], *, reach: int) -> list[Gap]:
    """Return when one queue was silent alone, by a fault and not because it had stopped."""
    silences = feed_gaps(
        rows["ts"].astype(np.int64),
        rows["offered"].astype(np.int64),
        time_zone=queue.time_zone,
        until=reach,
    )
    return [
        gap
        for gap in silences
        if not any(gap.start < other.end and other.start < gap.end for other in shared)
        and not stopped(gap, until=reach)
        and _due(queue, rows, gap) >= GAP_EXPECTED
    ]


def _due(queue: Queue, rows: Rows, gap: Gap) -> float:
    """Return what usually comes in the hours of a silence that are open and no public holiday.

    The median of the weeks around; what a closed weekend or a holiday leaves is no gap.
    """
    cells = np.arange(gap.start, gap.end, GRID_SECONDS, dtype=np.int64)
    day = local_times(cells, queue.time_zone).day
    cells = cells[is_open(queue, cells) & ~holidays_on(day, queue.country)]
    # A silence of ten days is compared with stretches two, three, … weeks away.
    length = (gap.end - gap.start) // (7 * DAY_SECONDS) + 1
    away = [7 * DAY_SECONDS * k for k in range(length, length + GAP_WEEKS)]
    first, last = rows["ts"][0], rows["ts"][-1]
    weeks = [
        shift
        for shift in (*(-week for week in away), *away)
        if first <= gap.start + shift and gap.end + shift <= last + GRID_SECONDS
    ]
    sums = [float(rows["offered"][np.isin(rows["ts"], cells + week)].sum()) for week in weeks]
    return float(np.median(sums)) if sums else 0.0


def _gap_warning(what: str, gaps: Sequence[Gap]) -> list[str]:
    if not gaps:
        return []
    last = gaps[-1]
    often = "" if len(gaps) == 1 else f"in {len(gaps)} stretches, the last "
    return [
        f"{what} {often}between {from_epoch(last.start):%Y-%m-%d %H:%M} and "
        f"{from_epoch(last.end):%Y-%m-%d %H:%M} UTC, where some {last.due:,.0f} are usual: "
        "taken as not observed"
    ]


def _by_queue(table: pa.Table) -> dict[str, Rows]:
    """Split a table sorted by queue into float64 columns by queue; null becomes NaN."""
    names = np.array(table.column("queue").to_pylist(), dtype=object)
    columns = {
        name: table.column(name).cast(pa.float64()).to_numpy()
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


def _fit_interval(queue: Queue, intervals: Rows | None, warnings: list[str]) -> Queue:
    """Widen a queue's interval to that of its rows: a count cannot be divided."""
    if intervals is None:
        return queue
    longest = int(intervals["minutes"].max())
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


def _panel_grid(
    queue: Queue, contacts: Rows | None, intervals: Rows | None, as_of_epoch: int
) -> Int64:
    """Return interval starts from the first full local day to the as-of."""
    firsts = []
    for rows in (contacts, intervals):
        if rows is None:
            continue
        start = rows["ts"][:1].astype(np.int64)
        day = int(local_times(start, queue.time_zone).day[0])
        midnight = local_midnight(day, queue.time_zone)
        # The first contact says nothing of the hours before it.
        whole_day = rows is intervals and start[0] == midnight
        firsts.append(midnight if whole_day else local_midnight(day + 1, queue.time_zone))
    if not firsts:
        return np.empty(0, dtype=np.int64)
    return interval_starts(min(firsts), as_of_epoch, queue.interval_minutes, queue.time_zone)


def _merge_sources(
    queue: Queue, starts: Int64, parts: Sequence[Counts], as_of_epoch: int, warnings: list[str]
) -> QueuePanel:
    """Prefer the first part where it observed, and apply opening hours and the as-of."""
    merged = parts[0]
    if len(parts) == 2:
        second = parts[1]
        stated = ~np.isnan(merged.offered)
        both = stated & (second.offered > 0)
        if both.any():
            warnings.append(_overlap_warning(queue, merged.offered[both], second.offered[both]))
        merged = Counts(
            *(
                np.where(stated, getattr(merged, part.name), getattr(second, part.name))
                for part in fields(Counts)
            )
        )
    opened = is_open(queue, starts)
    ended = starts + queue.interval_minutes * 60 <= as_of_epoch
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
    timed = (handled > 0) & (merged.handle_seconds > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        aht = np.where(timed, merged.handle_seconds / handled, np.nan)
    history = QueueHistory(
        queue=queue, starts=starts, offered=offered, aht_seconds=aht, handled=handled
    )
    return QueuePanel(history, final(merged.answered), final(merged.abandoned), opened)


def _overlap_warning(queue: Queue, counts: Float64, contacts: Float64) -> str:
    differ = int((counts != contacts).sum())
    comparison = (
        "both say the same"
        if differ == 0
        else f"{differ} differ: {counts.sum():,.0f} counted, {contacts.sum():,.0f} single ones"
    )
    return (
        f"queue `{queue.queue}`: {len(counts)} intervals have counts and single contacts; "
        f"the counts are used; {comparison}"
    )


def panel_table(panel: Panel) -> pa.Table:
    """Return the panel as the snapshot's ``volume.arrow`` holds it, sorted by queue and start."""
    parts = [_panel_rows(name, queue) for name, queue in panel.queues.items()]
    return pa.concat_tables([VOLUME_SCHEMA.empty_table(), *parts])


def _panel_rows(name: str, queue: QueuePanel) -> pa.Table:
    history = queue.history
    columns = [
        pa.repeat(pa.scalar(name, pa.string()), len(history.starts)),
        pa.array(history.starts, pa.int64()).cast(pa.timestamp("s", "UTC")),
        pa.array(history.offered),
        pa.array(queue.answered),
        pa.array(queue.abandoned),
        pa.array(history.aht_seconds),
        pa.array(history.handled),
        pa.array(queue.is_open),
        pa.array(history.observed),
    ]
    return pa.Table.from_arrays(columns, schema=VOLUME_SCHEMA)
