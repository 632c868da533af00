"""How busy a queue is: day by day, robustly, and carried forward without a refit.

A level is the contacts a whole week would bring at the current pace; a forecast is level times
weekly profile. Levels are functions of the history alone, so new history moves them at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from features.arrays import Bool, Float64

ETS_DAYS = 182
"""Days that the exponential smoothing runs over."""
_SHIFT_LEAST_CONTACTS = 10
_LEAST_JUMP = float(np.log(1.35))


def quotient(over: Float64, under: Float64, *, where: Bool, otherwise: float = np.nan) -> Float64:
    """Divide where that makes sense, and give another value elsewhere, float64[n].

    >>> under = np.array([2.0, 0.0])
    >>> quotient(np.array([1.0, 1.0]), under, where=under > 0).tolist()
    [0.5, nan]
    """
    out: Float64 = np.full(over.shape, otherwise)
    np.divide(over, under, out=out, where=where)
    return out


@dataclass(frozen=True)
class DayLevels:
    """Contacts observed in each local day, and the share of a week's profile that they are of.

    Both float64[days].
    """

    total: Float64
    exposure: Float64

    @property
    def ratio(self) -> Float64:
        """The level that each day alone would give, float64[days]; NaN where too little is seen."""
        usual = float(np.median(self.exposure[self.exposure > 0])) if self.exposure.any() else 0.0
        seen = (self.exposure > 0.25 * usual) & (self.exposure > 0)
        return quotient(self.total, self.exposure, where=seen)

    def cut(self, days: slice) -> DayLevels:
        """Return some of the days."""
        return DayLevels(self.total[days], self.exposure[days])


def day_levels(days: Float64, profile: Float64) -> DayLevels:
    """Compare float64[days, slots], from a Monday on, with the profile; NaN is not observed."""
    seen = ~np.isnan(days)
    weekly = np.tile(profile.reshape(7, -1), (len(days) // 7, 1))
    return DayLevels(
        total=np.where(seen, days, 0.0).sum(axis=1),
        exposure=np.where(seen, weekly, 0.0).sum(axis=1),
    )


def robust_level(levels: DayLevels, *, half_life_days: float, median_days: int) -> float:
    """Return the level now, in contacts a week.

    The weighted ratio of contacts to exposure, newer days more; each day is first clipped to
    within a factor of 1.6 (and Poisson noise) of the median of the last observed days, so that
    one bad day moves little while a lasting shift is followed once it holds the median.

    >>> steady = DayLevels(np.full(14, 10.0), np.full(14, 1 / 7))
    >>> round(robust_level(steady, half_life_days=5, median_days=7), 6)
    70.0
    """
    seen = np.flatnonzero(levels.exposure > 0)
    if len(seen) == 0:
        return 0.0
    ratio = levels.ratio[seen]
    last = ratio[~np.isnan(ratio)][-median_days:]
    middle = float(np.median(last)) if len(last) else 0.0
    exposure, total = levels.exposure[seen], levels.total[seen]
    expected = middle * exposure
    slack = 3 * np.sqrt(expected) + 1
    clipped = np.clip(total, expected / 1.6 - slack, expected * 1.6 + slack)
    weights = 0.5 ** ((len(levels.total) - 1 - seen) / half_life_days)
    return float(weights @ clipped) / max(float(weights @ exposure), 1e-12)


def level_shift(levels: DayLevels) -> tuple[int, float]:
    """Return the first day after a lasting jump in the last three weeks, and its factor.

    The split of the observed days that parts the medians before (21 days) and after (4 to 21)
    the most; it counts as a jump when the medians lie a factor of 1.35 or more apart and nine
    days in ten lie on their own side of the middle between them. 0 and 1.0 where there was none.

    >>> merged = DayLevels(np.repeat([10.0, 50.0], [40, 7]), np.full(47, 1 / 7))
    >>> first, factor = level_shift(merged)
    >>> first, round(factor, 6)
    (40, 5.0)
    """
    ratio = levels.ratio
    seen = np.flatnonzero(ratio > 0)
    seen = seen[levels.total[seen] >= _SHIFT_LEAST_CONTACTS]
    logs: list[float] = np.log(ratio[seen[-42:]]).tolist()
    best, where, factor = 0.0, 0, 1.0
    for after in range(4, 22):
        old, new = logs[-after - 21 : -after], logs[-after:]
        if len(old) < 14:
            break
        before = median(old)
        jump = median(new) - before
        if abs(jump) <= _LEAST_JUMP:
            continue
        middle = before + jump / 2
        apart = min(
            sum((log - middle) * jump > 0 for log in new) / len(new),
            sum((log - middle) * jump < 0 for log in old) / len(old),
        )
        if apart >= 0.9 and abs(jump) * apart > best:
            best, where, factor = abs(jump) * apart, int(seen[-after]), float(np.exp(jump))
    return where, factor


@dataclass(frozen=True)
class Smoothing:
    """Parameters of exponential smoothing with additive errors and a damped trend.

    Attributes:
        alpha: How far an error moves the level.
        beta: How far it moves the trend; 0 without one.
        phi: Damping of the trend, in (0, 1].
    """

    alpha: float
    beta: float = 0.0
    phi: float = 1.0


def smooth(
    observed: Float64, parameters: Smoothing, *, level: float, trend: float = 0.0
) -> tuple[float, float]:
    """Run ``ETS(A, N|Ad, N)`` over observations, oldest first, to the last level and trend.

    A NaN moves nothing but time. Source: Hyndman, Koehler, Ord, Snyder 2008, table 2.2.

    >>> smooth(np.array([10.0, 12.0]), Smoothing(alpha=0.5), level=10.0)
    (11.0, 0.0)
    """
    alpha, beta, phi = parameters.alpha, parameters.beta, parameters.phi
    values: Sequence[float] = observed.tolist()
    for value in values:
        trend *= phi
        level += trend
        if value == value:  # not NaN
            error = value - level
            level += alpha * error
            trend += beta * error
    return level, trend


def ahead(level: float, trend: float, phi: float, days: int) -> Float64:
    """Return the forecasts 1 … ``days`` ahead, float64[days].

    >>> ahead(10.0, 1.0, 0.5, 3).tolist()
    [10.5, 10.75, 10.875]
    """
    return level + trend * np.cumsum(phi ** np.arange(1, days + 1))


def smoothed_series(levels: DayLevels) -> Float64:
    """Return the day ratios that the smoothing runs over: recent, and clipped to their median.

    float64[<= ETS_DAYS]; NaN where a day was not observed; empty where none was.
    """
    ratio = levels.ratio[-ETS_DAYS:]
    seen = np.flatnonzero(~np.isnan(ratio))
    if len(seen) == 0:
        return np.empty(0)
    ratio = ratio[seen[0] :]
    seen -= seen[0]
    values = ratio[seen]
    padded = np.concatenate((np.repeat(values[:1], 3), values, np.repeat(values[-1:], 3)))
    middle = np.median(np.lib.stride_tricks.sliding_window_view(padded, 7), axis=1)
    noise = 3 * np.sqrt(np.maximum(middle, 1.0) / np.median(levels.exposure[levels.exposure > 0]))
    ratio[seen] = np.clip(values, middle / 2 - noise, middle * 2 + noise)
    return ratio


def smoothed_levels(series: Float64, parameters: Smoothing, days: int) -> Float64:
    """Return the level 1 … ``days`` ahead of a series of day ratios, float64[days], >= 0.

    NaN where the series has fewer than 14 days.
    """
    if len(series) < 14:
        return np.full(days, np.nan)
    level, trend = smooth(series, parameters, level=float(np.nanmean(series[:14])))
    return np.maximum(ahead(level, trend, parameters.phi, days), 0.0)
