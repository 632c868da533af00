"""Orders by hour and stage, as known at a moment: what contacts follow with a lag."""

from __future__ import annotations

from datetime import datetime

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from features.arrays import Int64
from features.calendar.clock import DAY_SECONDS, to_epoch
from features.contracts.tables import ORDER_STAGES
from features.engine.as_of import happened, second_of, written
from features.volume.counts import feed_gaps
from features.volume.history import NO_ORDERS, OrderFlow

HOUR_SECONDS = 3600
_SETTLED_DAYS = (74, 14)
"""Days back, from and to, of the steps whose delay is looked at: by now they are known."""
_KNOWN_SHARE = 0.95
"""An hour counts as complete from the delay on within which this share of steps is known."""


def order_cells(purchases: ir.Table, as_of: datetime) -> ir.Table:
    """Return steps of orders by stage and UTC hour, as known at ``as_of``, sorted.

    Returns:
        ``stage`` (place in ``contracts.ORDER_STAGES``), ``ts`` (start of the hour, epoch
        seconds), ``steps`` and ``told_ts`` (when the newest version of any was known), all int64.
    """
    rows = happened(_order_steps_of(purchases), written(as_of))
    hour = ((rows.ts // HOUR_SECONDS) * HOUR_SECONDS).cast("int64")
    cells = rows.group_by("stage", hour=hour).aggregate(
        steps=rows.count(), told_ts=second_of(rows.available_at).max()
    )
    return cells.select("stage", "steps", "told_ts", ts=cells.hour).order_by("stage", "ts")


def order_delays(purchases: ir.Table, as_of: datetime) -> ir.Table:
    """Return by stage how many hours passed until a step was first known, sorted.

    Returns:
        ``stage``, ``hours`` (whole, rounded up, at least 0) and ``steps``, all int64; of steps
        14 to 74 days before ``as_of``, so that slow ones are among them.
    """
    at = written(as_of)
    first, last = (at.second - days * DAY_SECONDS for days in _SETTLED_DAYS)
    rows = _order_steps_of(purchases)
    rows = rows.filter((rows.ts >= first) & (rows.ts < last) & (rows.available_at <= at.time))
    # A later version repeats the steps of the earlier ones; the first to tell is what counts.
    told = rows.group_by("purchase_id", "stage").aggregate(
        delay=(second_of(rows.available_at) - rows.ts).min()
    )
    hours = ibis.greatest(-((-told.delay) // HOUR_SECONDS), 0).cast("int64")
    return (
        told.group_by("stage", hours=hours).aggregate(steps=told.count()).order_by("stage", "hours")
    )


def order_flow(cells: pa.Table, delays: pa.Table, *, as_of: datetime) -> OrderFlow:
    """Lay steps on a dense grid of UTC hours.

    Returns:
        From the first full UTC day with a step to the last full hour before ``as_of``; NaN where
        not nearly all steps are known yet, or where the feed broke off; empty where nothing is
        known.
    """
    stage, ts, steps = (cells.column(name).to_numpy() for name in ("stage", "ts", "steps"))
    if len(ts) == 0:
        return NO_ORDERS
    first = (int(ts.min()) // DAY_SECONDS + 1) * DAY_SECONDS
    end = to_epoch(as_of)
    starts = np.arange(first, end - HOUR_SECONDS + 1, HOUR_SECONDS, dtype=np.int64)
    reach = min(int(cells.column("told_ts").to_numpy().max()), end)
    counts = np.zeros((len(starts), len(ORDER_STAGES)))
    inside = (ts >= first) & (ts + HOUR_SECONDS <= end)
    np.add.at(counts, ((ts[inside] - first) // HOUR_SECONDS, stage[inside]), steps[inside])
    for k in range(len(ORDER_STAGES)):
        delay = _delay_hours(delays, k)
        until = -1 if delay is None else reach - delay * HOUR_SECONDS
        counts[starts + HOUR_SECONDS > until, k] = np.nan
    placed = stage == ORDER_STAGES.index("placed")
    for gap in feed_gaps(ts[placed], steps[placed]):
        # A gap starts within the hour of the last order, which was seen.
        counts[(starts >= gap.start) & (starts < gap.end)] = np.nan
    return OrderFlow(starts, counts)


def _delay_hours(delays: pa.Table, stage: int) -> Int64 | None:
    """Return the hours within which nearly all steps of a stage are known; None if unknown."""
    own = delays.filter(pa.array(delays.column("stage").to_numpy() == stage))
    if len(own) == 0:
        return None
    hours, steps = (own.column(name).to_numpy() for name in ("hours", "steps"))
    share = np.cumsum(steps) / steps.sum()
    delay: Int64 = hours[int(np.searchsorted(share, _KNOWN_SHARE))]
    return delay


def _order_steps_of(purchases: ir.Table) -> ir.Table:
    """Return each version's steps, one row a step: stage, time, and both clocks."""
    bought = purchases.kind.isin(("purchase", "renewal"))
    times = {
        "placed": bought.ifelse(purchases.purchased_at, None),
        "shipped": bought.ifelse(purchases.shipped_at, None),
        "completed": bought.ifelse(purchases.completed_at, None),
        "returned": bought.ifelse(None, purchases.purchased_at),
    }
    parts = [
        purchases.select(
            "purchase_id",
            "available_at",
            "superseded_at",
            stage=ibis.literal(k, type="int64"),
            ts=second_of(times[name]),
        )
        for k, name in enumerate(ORDER_STAGES)
    ]
    rows = ibis.union(*parts)
    return rows.filter(rows.ts.notnull())
