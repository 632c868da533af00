"""Dense histories of queues and of orders: what the models read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import pyarrow as pa

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import to_epoch
from features.calendar.queues import Queue
from features.contracts.tables import ORDER_STAGES

QUARTERS = (7 * 24, 4)
"""Hours of the local week from Monday 00:00, and quarters of each."""


def no_quarters() -> Float64:
    """Return the contacts by quarter where none were counted."""
    return np.zeros(QUARTERS)


@dataclass(frozen=True)
class QueueHistory:
    """What is known of one queue's volume, interval by interval, without a hole in the grid.

    Attributes:
        starts: Interval starts, epoch seconds, int64[n], ascending.
        offered: float64[n]; NaN where not observed, 0 where closed.
        aht_seconds: float64[n]; NaN where nothing was handled.
        handled: Contacts that the AHT is the mean of, float64[n].
        quarters: Contacts seen lately by hour of the local week and quarter of it,
            float64[168, 4]; all 0 where none were counted by quarters.
    """

    queue: Queue
    starts: Int64
    offered: Float64
    aht_seconds: Float64
    handled: Float64
    quarters: Float64 = field(default_factory=no_quarters)

    @property
    def observed(self) -> Bool:
        """Whether each interval was observed, bool[n]."""
        return ~np.isnan(self.offered)

    def before(self, moment: datetime) -> QueueHistory:
        """Return the intervals that had ended by a moment; the quarters stay as they are."""
        last = to_epoch(moment) - self.queue.interval_minutes * 60
        n = int(np.searchsorted(self.starts, last, side="right"))
        columns = ("starts", "offered", "aht_seconds", "handled")
        return replace(self, **{name: getattr(self, name)[:n] for name in columns})


@dataclass(frozen=True)
class OrderFlow:
    """Steps of orders by UTC hour, without a hole in the grid.

    Attributes:
        starts: Starts of the hours, epoch seconds, int64[n], ascending.
        counts: Orders that took each of ``contracts.ORDER_STAGES``, float64[n, stages]; NaN
            where not all of them are known yet.
    """

    starts: Int64
    counts: Float64

    def before(self, moment: datetime) -> OrderFlow:
        """Return the hours that had ended by a moment."""
        n = int(np.searchsorted(self.starts, to_epoch(moment) - 3600, side="right"))
        return OrderFlow(self.starts[:n], self.counts[:n])


NO_ORDERS = OrderFlow(np.empty(0, dtype=np.int64), np.empty((0, len(ORDER_STAGES))))
"""The flow of a centre that knows no purchases."""

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
