"""What each component of the volume model says about one queue, at one moment.

An outlook is a pure function of the history known at ``made_at``: the serving predictor, the
back-test and the training rows of LightGBM are all made from it, so that what is measured is
what is served. Components forecast ordinary days; effects of special days multiply them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.calendar import Bool, Event, Float64, Int64, Queue, is_open, learn_opening
from features.contracts import LEAD_BUCKETS
from features.snapshot import QueueHistory
from serving.models.volume.levels import (
    DayLevels,
    Smoothing,
    day_levels,
    level_shift,
    robust_level,
    smoothed_levels,
    smoothed_series,
)
from serving.models.volume.profiles import (
    WeekGrid,
    last_seen,
    mean_seen,
    recent,
    week_cells,
    week_grid,
    week_profile,
)
from serving.models.volume.specials import DayEffects, day_labels, ordinary

COMPONENTS = ("last_week", "mean4", "fast", "slow", "smoothing", "tweedie", "l1")
"""Columns of ``Outlook.parts``, in order; the last two are LightGBM's and start as NaN."""
SEASONAL = COMPONENTS.index("last_week")
MEAN4 = COMPONENTS.index("mean4")
FAST = COMPONENTS.index("fast")
SLOW = COMPONENTS.index("slow")
BOOSTED = (COMPONENTS.index("tweedie"), COMPONENTS.index("l1"))
_LAGS = 4


@dataclass(frozen=True)
class Outlook:
    """One queue as seen at ``made_at``, laid out for its forecast intervals.

    Attributes:
        queue: The queue, with its opening filled.
        made_at: Epoch seconds.
        starts: Forecast interval starts, epoch seconds, int64[h].
        is_open: Whether the queue is open in each, bool[h].
        day: Local day of each, int64[h].
        cell: Cell of the week of each, int64[h].
        lead_hours: From ``made_at`` to the start, float64[h].
        effect: Factor of the special day, float64[h].
        parts: Each component's forecast of an ordinary day, float64[h, components], NaN where
            the component has nothing to say.
        lags: Last observed ordinary values of the same cell, newest first, float64[4, h].
        fast_share: Recent over long-run share of the cell, float64[h].
        levels: Levels, contacts a week: fast, slow.
        days: What each day of the history says about the level.
        first_day: Local day of ``days``' first.
        weeks_seen: Weeks of observed history, in units of whole weeks' exposure.
    """

    queue: Queue
    made_at: int
    starts: Int64
    is_open: Bool
    day: Int64
    cell: Int64
    lead_hours: Float64
    effect: Float64
    parts: Float64
    lags: Float64
    fast_share: Float64
    levels: tuple[float, float]
    days: DayLevels
    first_day: int
    weeks_seen: float

    @property
    def base(self) -> Float64:
        """The slow profile's forecast, which LightGBM's targets are relative to, float64[h]."""
        base: Float64 = self.parts[:, SLOW]
        return base


def lead_bucket(lead_hours: Float64) -> Int64:
    """Return the index in ``contracts.LEAD_BUCKETS`` of each lead; the last holds all beyond.

    >>> lead_bucket(np.array([0.0, 23.9, 24.0, 5000.0])).tolist()
    [0, 0, 1, 3]
    """
    edges = [first for first, _, _ in LEAD_BUCKETS[1:]]
    return np.searchsorted(edges, lead_hours, side="right").astype(np.int64)


def look_out(
    history: QueueHistory,
    *,
    events: Sequence[Event],
    effects: DayEffects,
    smoothing: Smoothing,
    made_at: int,
    starts: Int64,
) -> Outlook:
    """Compute one queue's outlook.

    Args:
        history: What was known at ``made_at``, and had ended by then.
        events: Calendar events; later-known ones are left out here.
        effects: Learnt effects of special days.
        smoothing: Parameters of the queue's exponential smoothing.
        made_at: Epoch seconds.
        starts: Interval starts to forecast, int64[h], ascending.
    """
    history = recent(history)
    queue = learn_opening(history.queue, history.starts, history.offered)
    grid = week_grid(queue, history.starts, history.offered)
    day, cell = week_cells(queue, starts)
    past = day_labels(queue, grid.day_numbers, events, known_by=made_at)
    freed = ordinary(grid.days, past, effects.by_day(queue.queue, past))
    ahead = np.arange(int(day.min()), int(day.max()) + 1) if len(day) else day
    labels = day_labels(queue, ahead, events, known_by=made_at)
    factors = effects.by_day(queue.queue, labels)
    lead_hours = (starts - made_at) / 3600
    shape = week_profile(freed.reshape(grid.values.shape), half_life_weeks=20)
    jumped, factor = level_shift(day_levels(freed, shape))
    # Lags, means and levels from before a lasting jump would drag behind it for weeks.
    freed[:jumped] *= factor
    values = freed.reshape(grid.values.shape)
    slow, fast = week_profile(values, half_life_weeks=20), week_profile(values, half_life_weeks=4)
    # Levels look no further than the moment; the grid's last week may be only begun.
    known_days = _known_days(grid, made_at, queue)
    days, fast_days = day_levels(freed, slow), day_levels(freed, fast)
    days, fast_days = _cut(days, known_days), _cut(fast_days, known_days)
    level = robust_level(fast_days, half_life_days=5, median_days=7)
    slow_level = robust_level(days, half_life_days=20, median_days=21)
    smoothed = _smoothed(days, smoothing, day, grid.first_day)
    lags = last_seen(values, _LAGS)
    parts = np.full((len(starts), len(COMPONENTS)), np.nan)
    fallback = slow * slow_level
    for column, cells in (
        (SEASONAL, np.where(np.isnan(lags[0]), fallback, lags[0])),
        (MEAN4, np.where(np.isnan(lags[0]), fallback, mean_seen(lags))),
        (FAST, fast * level),
        (SLOW, fallback),
    ):
        parts[:, column] = cells[cell]
    parts[:, COMPONENTS.index("smoothing")] = slow[cell] * smoothed
    return Outlook(
        queue=queue,
        made_at=made_at,
        starts=starts,
        is_open=is_open(queue, starts),
        day=day,
        cell=cell,
        lead_hours=lead_hours,
        effect=factors[day - ahead[0]] if len(day) else np.empty(0),
        parts=parts,
        lags=lags[:, cell],
        fast_share=(fast / slow)[cell],
        levels=(level, slow_level),
        days=days,
        first_day=grid.first_day,
        weeks_seen=float(days.exposure.sum()),
    )


def _known_days(grid: WeekGrid, made_at: int, queue: Queue) -> int:
    last_day, _ = week_cells(queue, np.array([made_at], dtype=np.int64))
    return int(np.clip(last_day[0] - grid.first_day + 1, 1, len(grid.days)))


def _cut(days: DayLevels, count: int) -> DayLevels:
    return DayLevels(days.total[:count], days.exposure[:count])


def _smoothed(days: DayLevels, smoothing: Smoothing, day: Int64, first_day: int) -> Float64:
    """Return the smoothed level of each forecast interval's day, float64[h]."""
    if len(day) == 0:
        return np.empty(0)
    steps = np.maximum(day - (first_day + len(days.total) - 1), 1)
    levels = smoothed_levels(smoothed_series(days), smoothing, int(steps.max()))
    found: Float64 = levels[steps - 1]
    return found
