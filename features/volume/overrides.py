"""Planners' overrides of a forecast, layered and laid on the forecast's grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.arrays import Float64, Int64
from features.calendar.clock import GRID_SECONDS


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
class OverriddenForecast:
    """What overrides put in place of one queue's forecast; h intervals.

    Attributes:
        offered: Contacts, float64[h]; NaN where the forecast holds.
        aht_seconds: Average handle time, float64[h]; NaN where the forecast's holds.
        which: Place of the override that counts, of several the last, int64[h]; -1 for none.
    """

    offered: Float64
    aht_seconds: Float64
    which: Int64


def apply_overrides(
    overrides: Sequence[Override], *, starts: Int64, mean: Float64, interval_minutes: int
) -> OverriddenForecast:
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
    >>> found = apply_overrides([whole], starts=half_hours, mean=mean, interval_minutes=30)
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
    return OverriddenForecast(
        offered=sums[:, 0],
        aht_seconds=np.where(np.isnan(sums[:, 0]), np.nan, (weights * aht).sum(axis=1)),
        which=np.where((places < 0).any(axis=1), -1, places.max(axis=1, initial=-1)),
    )


@dataclass(frozen=True)
class OverrideInterval:
    """One interval of an override; ``start`` in epoch seconds, ``offered`` in contacts."""

    start: int
    minutes: int
    offered: float


@dataclass(frozen=True)
class OverrideValue:
    """What a planner expects of one queue in one span of time.

    Attributes:
        start: First moment, epoch seconds.
        end: One past the last, epoch seconds.
        offered: Contacts in the whole span.
        aht_seconds: Average handle time; None where the forecast's holds.
        forecast_set: Id of the set that was in force.
        forecast_offered: Contacts that its model expected in the span.
        pieces: The open intervals of the span.
    """

    queue: str
    start: int
    end: int
    offered: float
    aht_seconds: float | None
    forecast_set: str
    forecast_offered: float
    pieces: tuple[OverrideInterval, ...]


@dataclass(frozen=True)
class AuditStamp:
    """Who changed something, when (epoch seconds) and why."""

    at: int
    by: str
    reason: str


@dataclass(frozen=True)
class StoredOverride:
    """One stored override; ids ascend in the order in which overrides were made."""

    override_id: str
    expected: OverrideValue
    made: AuditStamp
    withdrawn: AuditStamp | None = None

    def overrides(self) -> list[Override]:
        """Return its intervals, each as an override of its own."""
        return [
            Override(
                override_id=self.override_id,
                queue=self.expected.queue,
                start=piece.start,
                interval_minutes=piece.minutes,
                offered=piece.offered,
                aht_seconds=self.expected.aht_seconds,
                made_by=self.made.by,
                made_at=self.made.at,
                reason=self.made.reason,
                withdrawn_at=None if self.withdrawn is None else self.withdrawn.at,
            )
            for piece in self.expected.pieces
        ]
