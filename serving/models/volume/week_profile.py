"""The weekly shape of a queue: its history laid out by week, and the profile that fits it.

A history becomes a matrix of weeks (Monday first, on the wall clock) by cells of the week. A
clock that jumps leaves a cell empty; an hour that comes twice is averaged. A cell that was
closed, or not observed, is NaN and takes part in nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import DAY_MINUTES
from features.calendar.queues import Queue, local_week
from features.calendar.workdays import made_up
from features.volume.history import QueueHistory
from serving.models.shrinkage import shrink
from serving.models.volume.levels import quotient

LOOKBACK_WEEKS = 60
"""Weeks of history that a forecast looks at: a year, and the weeks around its start."""

_CLIP_DEVIATIONS = 4.0
_CLIP_RELATIVE = 0.25
_HOURS_AROUND = 1.5
"""Standard deviation of the kernel over neighbouring hours."""
_ALTERNATIONS = 4


@dataclass(frozen=True)
class WeekGrid:
    """One queue's history, float64[weeks, cells]; NaN where closed or not observed.

    ``first_day`` is the Monday of the first week, in local days since 1970-01-01.
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
    """Return the local day and the cell of the week of each interval, int64[n] each.

    A make-up working day has the cells of the weekday whose hours it keeps.
    """
    week = local_week(queue, starts)
    return week.day, week.minute // queue.interval_minutes


def week_grid(queue: Queue, starts: Int64, values: Float64) -> WeekGrid:
    """Lay one value an interval, float64[n], NaN where not observed, out by week.

    From the Monday before the first interval to the Sunday after the last; one empty week where
    there is no interval. Closed intervals and make-up working days are left out.
    """
    cells = 7 * DAY_MINUTES // queue.interval_minutes
    if len(starts) == 0:
        return WeekGrid(queue, 4, np.full((1, cells), np.nan))
    week = local_week(queue, starts)
    day, cell = week.day, week.minute // queue.interval_minutes
    first_day = int(day.min()) - (int(day.min()) + 3) % 7
    weeks = (int(day.max()) - first_day) // 7 + 1
    # A make-up working day is no second Tuesday of its week.
    use = week.is_open & ~np.isnan(values) & ~made_up(day, queue.country)
    where = ((day - first_day) // 7 * cells + cell)[use]
    total = np.bincount(where, weights=values[use], minlength=weeks * cells)
    count = np.bincount(where, minlength=weeks * cells)
    grid = np.full(weeks * cells, np.nan)
    np.divide(total, count, out=grid, where=count > 0)
    return WeekGrid(queue, first_day, grid.reshape(weeks, cells))


def last_seen(values: Float64, depth: int, window_weeks: int = 13) -> Float64:
    """Return the last observed values of each cell of the week, float64[depth, cells].

    Newest first; NaN where fewer were observed in the last ``window_weeks``.

    >>> last_seen(np.array([[1.0, 2.0], [3.0, np.nan]]), 2).tolist()
    [[3.0, 2.0], [1.0, nan]]
    """
    newest_first = values[::-1][:window_weeks]
    unseen = np.isnan(newest_first)
    order = np.argsort(unseen, axis=0, kind="stable")[:depth]
    seen_values = np.full((depth, values.shape[1]), np.nan)
    seen_values[: len(order)] = np.take_along_axis(newest_first, order, axis=0)
    return seen_values


def mean_seen(values: Float64) -> Float64:
    """Return the mean over axis 0 of what is not NaN; NaN where nothing is."""
    seen = ~np.isnan(values)
    count = seen.sum(axis=0).astype(np.float64)
    return quotient(np.where(seen, values, 0).sum(axis=0), count, where=count > 0)


def week_profile(values: Float64, *, half_life_weeks: float, rounds: int = 3) -> Float64:
    """Fit the share of each cell in a week's contacts, robust to bad weeks and empty cells.

    The model is Poisson with mean (level of the week) x (profile of the cell), fitted by
    alternating sums with weights that halve every ``half_life_weeks``. Values far above or below
    the fit are clipped to it. The profile is smoothed by empirical Bayes: a flat week is moved
    to the weekday and the hour, that to the hours around on the same weekday, and that to the
    cell, each time only as far as what was seen is more than noise.

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
    clipped = np.minimum(filled, 3 * usual + 4 * np.sqrt(usual) + 5)
    noise = 1.0
    for turn in range(rounds):
        levels = _week_levels(clipped, seen, profile)
        if turn:
            fit = levels[:, None] * profile
            spread = _CLIP_DEVIATIONS * np.sqrt(fit + (_CLIP_RELATIVE * fit) ** 2) + 1
            clipped = np.clip(filled, fit - spread, fit + spread) * seen
            noise = _overdispersion(clipped, fit * seen, weights)
            levels = _week_levels(clipped, seen, profile)
        sums = weights @ clipped, (weights * levels) @ seen, noise * ((weights**2 * levels) @ seen)
        profile = _smoothed_rates(*(x.reshape(7, -1) for x in sums))
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


def _overdispersion(clipped: Float64, fit: Float64, weights: Float64) -> float:
    """Return the variance of a value over its mean, at least Poisson's 1."""
    squares = float((weights @ (clipped - fit) ** 2).sum())
    return max(squares / max(float((weights @ fit).sum()), 1e-9), 1.0)


def _smoothed_rates(contacts: Float64, exposure: Float64, noise: Float64) -> Float64:
    """Return the rate of each cell, drawn to its weekday, its hour and the hours around.

    Contacts, exposure (contacts at a rate of 1) and noise (their variance) are float64[7, slots].
    """
    rate = _weekday_by_hour(contacts, exposure)
    width = _HOURS_AROUND * contacts.shape[1] / 24
    reach = int(np.ceil(3 * width))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    contacts_around, expected_around = _around(contacts, kernel), _around(exposure * rate, kernel)
    rate *= _ratios(contacts_around, expected_around, _around(noise * rate, kernel**2))
    rate *= _ratios(contacts, exposure * rate, noise * rate)
    cells: Float64 = np.maximum(rate.reshape(-1), 1e-12)
    return cells


def _around(cells: Float64, kernel: Float64) -> Float64:
    """Return sums over the neighbours of each cell, round the week, float64[7, slots]."""
    reach = len(kernel) // 2
    week = cells.reshape(-1)
    week = np.concatenate((week[-reach:], week, week[:reach]))
    sums: Float64 = np.convolve(week, kernel, mode="valid").reshape(cells.shape)
    return sums


def _ratios(contacts: Float64, expected: Float64, variance: Float64) -> Float64:
    """Return contacts over expected, drawn to 1 as far as noise explains it, float64[7, slots].

    How much cells differ beyond noise is estimated by weekday, by the method of moments: a
    weekend may follow hours of its own where all other days are alike (Efron and Morris 1973).
    """
    beyond = ((contacts - expected) ** 2 - variance).sum(axis=1, keepdims=True)
    scale = np.maximum((expected**2).sum(axis=1, keepdims=True), 1e-12)
    weight = np.maximum(beyond / scale, 1e-4) * expected
    noise = np.maximum(variance, 1e-12)
    return shrink(weight * contacts, weight=weight * expected, prior=1.0, prior_weight=noise)


def _weekday_by_hour(contacts: Float64, exposure: Float64) -> Float64:
    """Return the rate of each cell as weekday factor x hour of the day, float64[7, slots]."""
    rate = shrink(contacts.sum(), weight=exposure.sum(), prior=1.0, prior_weight=1.0)
    by_hour, by_day, daily = contacts.sum(axis=0), contacts.sum(axis=1), np.ones(7)
    for _ in range(_ALTERNATIONS):
        hourly = shrink(by_hour, weight=daily @ exposure, prior=rate, prior_weight=2.0 / rate)
        daily = shrink(by_day, weight=exposure @ hourly, prior=1.0, prior_weight=5.0)
    rates: Float64 = np.maximum(daily[:, None] * hourly[None, :], 1e-12)
    return rates
