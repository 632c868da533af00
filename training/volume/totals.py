"""Bands of whole days' totals, read off joint paths, beside what came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.calendar import Bool, Float64, Int64
from serving.models.volume.paths import Marginal, sample_paths

_COUNT = 100
_LOW, _HIGH = 0.1, 0.9


@dataclass(frozen=True)
class DayTotals:
    """Totals of local days of one past forecast, over its observed intervals; arrays [days].

    Attributes:
        bucket: Lead bucket of the day's last interval, int64.
        actual: Contacts that came, float64.
        low: The 0.1 quantile of the paths' totals, float64.
        high: The 0.9 quantile, float64.
    """

    bucket: Int64
    actual: Float64
    low: Float64
    high: Float64

    def where(self, keep: Bool) -> DayTotals:
        """Return some of the days."""
        return DayTotals(self.bucket[keep], self.actual[keep], self.low[keep], self.high[keep])


def day_totals(
    forecast: Marginal, *, made_at: int, day: Int64, bucket: Int64, actual: Float64
) -> DayTotals:
    """Return the bands of each local day on which contacts were expected.

    Args:
        made_at: When it was made, epoch seconds.
        day: Local day of each interval, int64[h], not decreasing.
        bucket: Lead bucket of each, int64[h].
        actual: What came, float64[h].
    """
    if len(day) == 0:
        return DayTotals(bucket, actual, actual, actual)
    first = np.flatnonzero(np.diff(day, prepend=day[0] - 1))
    paths = sample_paths([forecast], made_at=made_at, count=_COUNT)[0]
    totals = np.add.reduceat(paths, first, axis=1)
    low, high = np.quantile(totals, (_LOW, _HIGH), axis=0)
    found = DayTotals(
        bucket=bucket[np.append(first[1:], len(day)) - 1],
        actual=np.add.reduceat(actual, first),
        low=low,
        high=high,
    )
    return found.where(np.add.reduceat(forecast.mean, first) > 0)


def days_covered(totals: Sequence[DayTotals]) -> float:
    """Return the share of days whose total lay within its 80 % band; NaN without a day."""
    inside = [(t.actual >= t.low) & (t.actual <= t.high) for t in totals]
    joined = np.concatenate(inside) if inside else np.empty(0)
    return float(joined.mean()) if len(joined) else float("nan")
