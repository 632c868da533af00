"""Planners' overrides of a forecast, layered and laid on the forecast's grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.calendar import GRID_SECONDS, Float64, Int64


@dataclass(frozen=True)
class Override:
    """What a planner expects in a span of time.

    Attributes:
        start: First moment of the span, epoch seconds.
        interval_minutes: Length of the span.
        offered: Contacts expected in the whole span.
        aht_seconds: Average handle time expected; None where the forecast's holds.
        made_at: Epoch seconds.
        withdrawn_at: Epoch seconds; None where it still stands.
    """

    override_id: str
    queue: str
    start: int
    interval_minutes: int
    offered: float
    aht_seconds: float | None
    made_by: str
    made_at: int
    reason: str | None
    withdrawn_at: int | None = None

    @property
    def end(self) -> int:
        """One past the last moment of the span, epoch seconds."""
        return self.start + self.interval_minutes * 60


@dataclass(frozen=True)
class Overridden:
    """What overrides put in place of one queue's forecast; h intervals.

    Attributes:
        offered: Contacts, float64[h]; NaN where the forecast holds.
        aht_seconds: Average handle time, float64[h]; NaN where the forecast's holds.
        which: Place of the override that counts, of several the last, int64[h]; -1 for none.
    """

    offered: Float64
    aht_seconds: Float64
    which: Int64


def overridden(
    overrides: Sequence[Override], *, starts: Int64, mean: Float64, interval_minutes: int
) -> Overridden:
    """Lay overrides over one queue's forecast.

    For each interval the override made last counts, of those made at or before its start and not
    withdrawn by then. One over a longer span is split in proportion to the forecast, or evenly
    where that is zero. Left out are overrides whose span reaches beyond the forecast, and
    intervals that overrides cover in part.

    Args:
        overrides: Of this queue, in the order they were made.
        starts: Interval starts, epoch seconds, int64[h], ascending.
        mean: The forecast, contacts, float64[h].
        interval_minutes: 15, 30 or 60.

    >>> whole = Override("o", "q", 0, 60, 90.0, 300.0, "Ann", 0, None)
    >>> half_hours = np.array([0, 1800])
    >>> mean = np.array([20.0, 10.0])
    >>> found = overridden([whole], starts=half_hours, mean=mean, interval_minutes=30)
    >>> found.offered.tolist(), found.aht_seconds.tolist(), found.which.tolist()
    ([60.0, 30.0], [300.0, 300.0], [0, 0])
    """
    per = interval_minutes * 60 // GRID_SECONDS
    cells = (starts[:, None] + np.arange(per) * GRID_SECONDS).reshape(-1)
    forecast = np.repeat(mean / per, per)
    begins = np.repeat(starts, per)
    offered, aht = np.full((2, len(cells)), np.nan)
    which = np.full(len(cells), -1)
    for place, override in enumerate(overrides):
        first, last = np.searchsorted(cells, (override.start, override.end))
        if (last - first) * GRID_SECONDS != override.end - override.start:
            continue
        span = slice(first, last)
        counts = begins[span] >= override.made_at
        if override.withdrawn_at is not None:
            counts &= begins[span] < override.withdrawn_at
        total = float(forecast[span].sum())
        share = forecast[span] / total if total > 0 else 1 / (last - first)
        aht_seconds = np.nan if override.aht_seconds is None else override.aht_seconds
        offered[span] = np.where(counts, override.offered * share, offered[span])
        aht[span] = np.where(counts, aht_seconds, aht[span])
        which[span] = np.where(counts, place, which[span])
    by_interval = (len(starts), per)
    offered, aht = offered.reshape(by_interval), aht.reshape(by_interval)
    places = which.reshape(by_interval)
    # The sum is NaN where overrides cover an interval in part, or not at all.
    sums = offered.sum(axis=1, keepdims=True)
    weights = np.divide(offered, sums, out=np.full_like(offered, 1 / per), where=sums > 0)
    return Overridden(
        offered=sums[:, 0],
        aht_seconds=np.where(np.isnan(sums[:, 0]), np.nan, (weights * aht).sum(axis=1)),
        which=np.where((places < 0).any(axis=1), -1, places.max(axis=1, initial=-1)),
    )
