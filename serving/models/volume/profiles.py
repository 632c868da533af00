"""The weekly shape of a queue: its history laid out by week, and the profile that fits it.

A history becomes a matrix of weeks (Monday first, on the wall clock) by cells of the week. A
clock that jumps leaves a cell empty; an hour that comes twice is averaged. A cell that was
closed, or not observed, is NaN and takes part in nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from features.calendar import (
    DAY_MINUTES,
    Bool,
    Float64,
    Int64,
    Queue,
    is_open,
    local_times,
)
from features.snapshot import QueueHistory
from serving.models.volume.levels import quotient

LOOKBACK_WEEKS = 60
"""Weeks of history that a forecast looks at: a year, and the weeks around its start."""

_CLIP_DEVIATIONS = 4.0
_CLIP_RELATIVE = 0.25


@dataclass(frozen=True)
class WeekGrid:
    """One queue's history by week and cell of the week.

    Attributes:
        queue: The queue, with every weekday's opening filled.
        first_day: The Monday of the first week, in local days since 1970-01-01.
        values: Contacts per interval, float64[weeks, cells]; NaN where closed or not observed.
    """

    queue: Queue
    first_day: int
    values: Float64

    @property
    def slots(self) -> int:
        """Intervals in a day of 24 hours."""
        return int(self.values.shape[1]) // 7

    @property
    def days(self) -> Float64:
        """The values by local day, float64[weeks * 7, slots]."""
        return self.values.reshape(-1, self.slots)

    @property
    def day_numbers(self) -> Int64:
        """Each day's number since 1970-01-01, int64[weeks * 7]."""
        return self.first_day + np.arange(self.values.shape[0] * 7)


def recent(history: QueueHistory, weeks: int = LOOKBACK_WEEKS) -> QueueHistory:
    """Return the last weeks of a history, counted back from its end."""
    if len(history.starts) == 0:
        return history
    first = int(np.searchsorted(history.starts, history.starts[-1] - weeks * 7 * 86_400))
    return replace(
        history,
        starts=history.starts[first:],
        offered=history.offered[first:],
        aht_seconds=history.aht_seconds[first:],
        handled=history.handled[first:],
    )


def week_cells(queue: Queue, starts: Int64) -> tuple[Int64, Int64]:
    """Return the local day and the cell of the week of each interval, int64[n] each."""
    local = local_times(starts, queue.time_zone)
    return local.day, local.minute_of_week // queue.interval_minutes


def week_grid(queue: Queue, starts: Int64, values: Float64) -> WeekGrid:
    """Lay values out by week.

    Args:
        queue: The queue; closed intervals are left out by its opening hours.
        starts: Interval starts, epoch seconds, int64[n], ascending.
        values: One value an interval, float64[n]; NaN where not observed.

    Returns:
        The grid, from the Monday before the first interval to the Sunday after the last; one
        empty week where there is no interval.
    """
    cells = 7 * DAY_MINUTES // queue.interval_minutes
    if len(starts) == 0:
        return WeekGrid(queue, 4, np.full((1, cells), np.nan))
    day, cell = week_cells(queue, starts)
    first_day = int(day.min()) - (int(day.min()) + 3) % 7
    weeks = (int(day.max()) - first_day) // 7 + 1
    use = is_open(queue, starts) & ~np.isnan(values)
    where = ((day - first_day) // 7 * cells + cell)[use]
    total = np.bincount(where, weights=values[use], minlength=weeks * cells)
    count = np.bincount(where, minlength=weeks * cells)
    grid = np.full(weeks * cells, np.nan)
    np.divide(total, count, out=grid, where=count > 0)
    return WeekGrid(queue, first_day, grid.reshape(weeks, cells))


def last_seen(values: Float64, depth: int, window_weeks: int = 13) -> Float64:
    """Return the last observed values of each cell of the week, newest first.

    Args:
        values: float64[weeks, cells], NaN where not observed.
        depth: How many to return.
        window_weeks: Weeks to look back; what is older is not "last" any more.

    Returns:
        float64[depth, cells]; NaN where fewer were observed.

    >>> last_seen(np.array([[1.0, 2.0], [3.0, np.nan]]), 2).tolist()
    [[3.0, 2.0], [1.0, nan]]
    """
    newest_first = values[::-1][:window_weeks]
    unseen = np.isnan(newest_first)
    order = np.argsort(unseen, axis=0, kind="stable")[:depth]
    found = np.full((depth, values.shape[1]), np.nan)
    found[: len(order)] = np.take_along_axis(newest_first, order, axis=0)
    return found


def mean_seen(found: Float64) -> Float64:
    """Return the mean over axis 0 of what is not NaN; NaN where nothing is."""
    seen = ~np.isnan(found)
    count = seen.sum(axis=0).astype(np.float64)
    return quotient(np.where(seen, found, 0).sum(axis=0), count, where=count > 0)


def week_profile(
    values: Float64, *, half_life_weeks: float, prior_contacts: float = 8.0, rounds: int = 3
) -> Float64:
    """Fit the share of each cell in a week's contacts, robust to bad weeks and empty cells.

    The model is Poisson with mean (level of the week) x (profile of the cell), fitted by
    alternating sums with weights that halve every ``half_life_weeks``. Values far above or below
    the fit are clipped to it, and each cell is drawn to the product of its weekday and its hour
    as if ``prior_contacts`` had been seen there, so that a quiet queue gets a smooth profile.

    Args:
        values: float64[weeks, cells], NaN where closed or not observed.
        half_life_weeks: Age at which a week counts half.
        prior_contacts: Strength of the draw, in contacts.
        rounds: Alternations.

    Returns:
        float64[cells], positive, summing to 1 over the cells that were ever observed.
    """
    seen = ~np.isnan(values)
    filled = np.where(seen, values, 0.0)
    ever = seen.any(axis=0) if seen.any() else np.ones(values.shape[1], dtype=bool)
    weights = 0.5 ** (np.arange(len(values))[::-1] / half_life_weeks)
    profile = np.full(values.shape[1], 1 / values.shape[1])
    # A storm must not shape the first fit, against which later ones are clipped.
    usual = _median_seen(values)
    kept = np.minimum(filled, 3 * usual + 4 * np.sqrt(usual) + 5)
    for turn in range(rounds):
        if turn:
            fit = _week_levels(kept, seen, profile)[:, None] * profile
            spread = _CLIP_DEVIATIONS * np.sqrt(fit + (_CLIP_RELATIVE * fit) ** 2) + 1
            kept = np.clip(filled, fit - spread, fit + spread) * seen
        levels = _week_levels(kept, seen, profile)
        contacts, exposure = weights @ kept, (weights * levels) @ seen
        shape = _weekday_by_hour(contacts, exposure)
        profile = (contacts + prior_contacts) / (exposure + prior_contacts / shape)
        profile /= profile[ever].sum()
    return profile


def _median_seen(values: Float64) -> Float64:
    """Return the (lower) median of each column, 0 where nothing was observed."""
    ordered = np.sort(values, axis=0)
    middle = np.maximum((~np.isnan(values)).sum(axis=0) - 1, 0) // 2
    median: Float64 = np.nan_to_num(np.take_along_axis(ordered, middle[None], axis=0)[0])
    return median


def _week_levels(filled: Float64, seen: Bool, profile: Float64) -> Float64:
    exposure = seen @ profile
    return quotient(filled.sum(axis=1), exposure, where=exposure > 0, otherwise=0.0)


def _weekday_by_hour(contacts: Float64, exposure: Float64) -> Float64:
    """Return the rate of each cell as weekday factor x hour of the day, smoothed over hours."""
    by_day, open_by_day = contacts.reshape(7, -1), exposure.reshape(7, -1)
    slots = by_day.shape[1]
    total, seen = contacts.sum(), exposure.sum()
    mean_rate = (total + 1.0) / (seen + 1.0) if seen > 0 else 1.0
    hourly = (by_day.sum(axis=0) + 2.0) / (open_by_day.sum(axis=0) + 2.0 / mean_rate)
    expected = open_by_day @ hourly
    daily = (by_day.sum(axis=1) + 5.0) / (expected + 5.0)
    rate: Float64 = np.maximum((daily[:, None] * hourly[None, :]).reshape(7 * slots), 1e-12)
    return rate


def aht_profile(
    grid: WeekGrid, handled: WeekGrid, *, default_seconds: float, half_life_weeks: float = 6.0
) -> Float64:
    """Return the average handle time of each cell of the week, float64[cells], seconds.

    Means weighted by handled contacts, recent weeks more, drawn from the queue's default to its
    level, from the level to the hour of the day, and from there to the cell of the week, each as
    if 30 contacts had been seen. A mean outside a factor of 4 of the median is clipped to it.

    Args:
        grid: Average handle time by week, seconds.
        handled: Contacts that each mean is of.
        default_seconds: Where no history says.
        half_life_weeks: Age at which a week counts half.
    """
    prior = 30.0
    usable = (grid.values > 0) & (handled.values > 0)
    if not usable.any():
        return np.full(grid.values.shape[1], default_seconds)
    middle = float(np.median(grid.values[usable]))
    seconds = np.where(usable, np.clip(grid.values, middle / 4, middle * 4), 0.0)
    age = np.arange(len(grid.values))[::-1, None]
    weights = np.where(usable, handled.values, 0.0) * 0.5 ** (age / half_life_weeks)
    total, count = (weights * seconds).sum(axis=0), weights.sum(axis=0)
    level = (total.sum() + prior * default_seconds) / (count.sum() + prior)
    hour_total, hour_count = (x.reshape(7, -1).sum(axis=0) for x in (total, count))
    hourly = np.tile((hour_total + prior * level) / (hour_count + prior), 7)
    cells: Float64 = (total + prior * hourly) / (count + prior)
    return cells
