"""A planner's own numbers in place of the forecast's, layered and laid on the forecast's grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.calendar import GRID_SECONDS, Float64, Int64


@dataclass(frozen=True)
class Override:
    """One override: what a planner expects in a span of time.

    Attributes:
        override_id: Its id.
        queue: The queue.
        start: First moment of the span, epoch seconds.
        interval_minutes: Length of the span.
        offered: Contacts expected in the whole span.
        aht_seconds: Average handle time expected; None where the forecast's holds.
        made_by: Who made it.
        made_at: When, epoch seconds.
        reason: Why, where it was said.
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

    @property
    def end(self) -> int:
        """One past the last moment of the span, epoch seconds."""
        return self.start + self.interval_minutes * 60


def overridden(
    overrides: Sequence[Override], *, starts: Int64, mean: Float64, interval_minutes: int
) -> Float64:
    """Return the contacts that a planner's overrides put in place of one queue's forecast.

    For each interval the override made last counts, of those made at or before its start. One
    over a longer span is split in proportion to the forecast, or evenly where that is zero. An
    override whose span reaches beyond the forecast cannot be split and is left out, and so is an
    interval that overrides cover in part.

    Args:
        overrides: Of this queue, by ``made_at``, then id.
        starts: Interval starts, epoch seconds, int64[h], ascending.
        mean: The forecast, contacts, float64[h].
        interval_minutes: Length of an interval: 15, 30 or 60.

    Returns:
        float64[h], contacts; NaN where the forecast holds.

    >>> whole = Override("o", "q", 0, 60, 90.0, None, "Ann", 0, None)
    >>> half_hours = np.array([0, 1800])
    >>> mean = np.array([20.0, 10.0])
    >>> overridden([whole], starts=half_hours, mean=mean, interval_minutes=30).tolist()
    [60.0, 30.0]
    """
    per = interval_minutes * 60 // GRID_SECONDS
    cells = (starts[:, None] + np.arange(per) * GRID_SECONDS).reshape(-1)
    usual = np.repeat(mean / per, per)
    must_be_made_by = np.repeat(starts, per)
    found = np.full(len(cells), np.nan)
    for override in overrides:
        first, last = np.searchsorted(cells, (override.start, override.end))
        if (last - first) * GRID_SECONDS != override.end - override.start:
            continue
        total = float(usual[first:last].sum())
        share = usual[first:last] / total if total > 0 else 1 / (last - first)
        counts = must_be_made_by[first:last] >= override.made_at
        found[first:last] = np.where(counts, override.offered * share, found[first:last])
    whole: Float64 = found.reshape(-1, per).sum(axis=1)
    return whole
