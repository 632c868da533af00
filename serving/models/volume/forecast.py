"""A queue's forecast: made by the model, published, corrected, overridden or changed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import to_epoch
from features.calendar.queues import Event, Queue
from features.volume.history import QUARTERS
from serving.models.volume.calendar_effects import DayEffects
from serving.models.volume.distribution import ForecastDistribution, lead_bucket
from serving.staffing.queue_model import UNKNOWN, ServiceCalibration

PARTS = ("level", "week_pattern", "season", "holiday", "event", "orders", "today")
"""Names of the parts that each interval's forecast is the sum of, in order."""


def flat_quarters() -> Float64:
    """Return four equal quarters in each hour of the week, float64[168, 4]."""
    return np.full(QUARTERS, 1 / QUARTERS[1])


@dataclass(frozen=True)
class QueueForecast:
    """One queue's forecast; h intervals, ascending, without a hole.

    Attributes:
        queue: The queue, with its opening hours stated or learnt.
        starts: Interval starts, epoch seconds, int64[h].
        is_open: Whether the queue is open in any part of the interval, bool[h].
        mean: Expected contacts in the interval, float64[h]; 0 where closed.
        quantiles: Contacts at ``contracts.QUANTILE_LEVELS``, float64[h, 19], never crossing.
        parts: What the mean is the sum of, float64[h, len(contracts.PARTS)], contacts.
        baseline: The same hour of the last observed week, float64[h].
        aht_seconds: Expected average handle time, float64[h].
        shape: The distribution around the mean.
        method: ``combined``; ``profile`` or ``baseline`` with little history; ``none`` without;
            ``intraday`` where corrected with what came since.
        warnings: What a planner should know, one sentence each.
        quarters: Share of an hour's contacts that comes in each of its quarters, by hour of the
            local week from Monday 00:00, float64[168, 4]; each row adds up to 1.
    """

    queue: Queue
    starts: Int64
    is_open: Bool
    mean: Float64
    quantiles: Float64
    parts: Float64
    baseline: Float64
    aht_seconds: Float64
    shape: ForecastDistribution
    effects: DayEffects
    method: str
    warnings: tuple[str, ...]
    quarters: Float64 = field(default_factory=flat_quarters)
    service: ServiceCalibration = UNKNOWN

    @property
    def interval_seconds(self) -> int:
        """Length of one interval, seconds."""
        return self.queue.interval_minutes * 60

    def rows(self, start: int, end: int) -> slice:
        """Return the rows of the intervals that begin in [start, end), epoch seconds."""
        first, last = np.searchsorted(self.starts, (start, end))
        return slice(int(first), max(int(first), int(last)))

    def with_mean(self, mean: Float64, *, made_at: int, rows: Bool | None = None) -> QueueForecast:
        """Return the forecast around another mean: quantiles of the same shape, read anew.

        Args:
            mean: Expected contacts, float64[h].
            made_at: When the forecast was made, epoch seconds: leads count from here.
            rows: Where to read quantiles, bool[h]; others keep theirs. None: everywhere.
        """
        bucket = lead_bucket((self.starts - made_at) / 3600)
        if rows is None:
            return replace(self, mean=mean, quantiles=self.shape.quantiles(mean, bucket))
        quantiles = self.quantiles.copy()
        quantiles[rows] = self.shape.quantiles(mean[rows], bucket[rows])
        return replace(self, mean=mean, quantiles=quantiles)

    def with_warnings(self, *warnings: str) -> QueueForecast:
        """Return the forecast with further warnings."""
        return replace(self, warnings=(*self.warnings, *warnings))


@dataclass(frozen=True)
class VolumeForecast:
    """The forecasts of several queues made at one moment, from what was known ``as_of``."""

    made_at: datetime
    as_of: datetime
    events: tuple[Event, ...]
    queues: dict[str, QueueForecast]


_BY_INTERVAL = ("starts", "is_open", "mean", "quantiles", "parts", "baseline", "aht_seconds")


def slice_intervals(forecast: QueueForecast, rows: slice) -> QueueForecast:
    """Return a forecast that holds some of its intervals alone."""
    columns: dict[str, Any] = {name: getattr(forecast, name)[rows] for name in _BY_INTERVAL}
    return replace(forecast, **columns)


def rest(forecast: QueueForecast, *, now: datetime) -> QueueForecast:
    """Return a forecast from its first interval at or after a moment, as it is."""
    return slice_intervals(
        forecast, slice(int(np.searchsorted(forecast.starts, to_epoch(now))), None)
    )
