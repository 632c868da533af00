"""Contacts by queue and quarter of an hour, and interval counts, as known at a moment."""

from __future__ import annotations

from datetime import datetime

import ibis
import ibis.expr.types as ir

from features.calendar import GRID_SECONDS
from features.windows import happened, second_of, thousandths, whole_second, written


def contact_cells(interactions: ir.Table, as_of: datetime) -> ir.Table:
    """Return contacts by queue and cell of 900 s, as known at ``as_of``, sorted.

    Returns:
        ``queue``, ``ts`` (start of the cell, epoch seconds), ``last_ts`` (of the last contact),
        ``offered``, ``answered``, ``abandoned``, ``handled`` and ``handle_ms``, all int64.
    """
    rows = interactions.select(
        queue=interactions.queue,
        ts=second_of(interactions.started_at),
        available_at=interactions.available_at,
        superseded_at=interactions.superseded_at,
        abandoned=(interactions.outcome == "abandoned").cast("int64"),
        waiting=(interactions.outcome == "open").cast("int64"),
        handle_ms=thousandths(interactions.handle_seconds),
    )
    # Some exports write 0 for what nobody handled.
    unhandled = (rows.abandoned == 1) & (rows.handle_ms == 0)
    rows = rows.mutate(handle_ms=unhandled.ifelse(ibis.null("int64"), rows.handle_ms))
    rows = happened(rows, written(as_of))
    cell = ((rows.ts // GRID_SECONDS) * GRID_SECONDS).cast("int64")
    cells = rows.group_by("queue", cell=cell).aggregate(
        last_ts=rows.ts.max(),
        offered=rows.count(),
        abandoned=rows.abandoned.sum().cast("int64"),
        waiting=rows.waiting.sum().cast("int64"),
        handled=rows.handle_ms.count(),
        handle_ms=rows.handle_ms.sum().coalesce(0).cast("int64"),
    )
    cells = cells.mutate(ts=cells.cell, answered=cells.offered - cells.abandoned - cells.waiting)
    return cells.drop("cell", "waiting").order_by("queue", "ts")


def interval_counts(intervals: ir.Table, as_of: datetime) -> ir.Table:
    """Return the interval rows that had ended by ``as_of`` and were known at it, sorted.

    Returns:
        ``queue``, ``ts`` (epoch seconds), ``minutes``, ``offered``, ``answered``, ``abandoned``
        (int64, null where not stated) and ``aht_seconds`` (float64, null where not stated).
    """
    rows = intervals.select(
        "queue",
        "offered",
        "answered",
        "abandoned",
        "aht_seconds",
        "available_at",
        "superseded_at",
        ts=second_of(intervals.interval_start),
        minutes=intervals.interval_minutes,
    )
    rows = happened(rows, written(as_of))
    ended = rows.ts + rows.minutes * 60 <= whole_second(as_of)
    return rows.filter(ended).drop("available_at", "superseded_at").order_by("queue", "ts")


def seen_queues(interactions: ir.Table, intervals: ir.Table) -> ir.Table:
    """Return the names of all queues that either table has ever seen: one column, ``queue``."""
    return ibis.union(interactions.select("queue"), intervals.select("queue"), distinct=True)
