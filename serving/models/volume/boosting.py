"""LightGBM's inputs, and its components of a forecast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np

from features.arrays import Float64, Int64
from serving.models.volume.levels import DayLevels, quotient
from serving.models.volume.outlook import BOOSTED, SMOOTHING, ComponentForecasts
from serving.models.volume.week_profile import mean_seen

NAMES = (
    "lead_days",
    "weekday",
    "hour",
    "day_of_year",
    "day_of_month",
    "log_base",
    "log_weekly_level",
    "lag1_ratio",
    "lag2_ratio",
    "lag3_ratio",
    "lag4_ratio",
    "lags_mean_ratio",
    "fast_share",
    "fast_level_ratio",
    "smoothed_level_ratio",
    "last_day_ratio",
    "week1_ratio",
    "week2_ratio",
    "weeks4_ratio",
    "weeks12_ratio",
    "same_weekday_ratio",
    "year_ratio",
    "weeks_seen",
)
"""Feature columns, in order."""
_LEAST_BASE = 1e-6
_RECENT_DAYS = ((1, 0), (7, 0), (14, 7), (28, 0), (84, 0))
"""The last day, week, second-last week, 4 weeks and 12 weeks, in days before the moment."""


def volume_features(outlook: ComponentForecasts) -> Float64:
    """Return the features of each forecast interval, float64[h, len(NAMES)], NaN where unknown."""
    base = np.maximum(outlook.base, _LEAST_BASE)
    h, today = len(base), len(outlook.days.total)
    level = max(outlook.levels[1], _LEAST_BASE)
    lags = outlook.lags / base
    recent_levels = (
        _level(outlook.days, today - first, today - last) for first, last in _RECENT_DAYS
    )
    date = outlook.day.astype("datetime64[D]")
    interval_hours = outlook.queue.interval_minutes / 60
    cells_a_day = 24 / interval_hours
    columns = (
        outlook.lead_hours / 24,
        outlook.cell // cells_a_day,
        outlook.cell % cells_a_day * interval_hours,
        (date - date.astype("datetime64[Y]")).astype(np.float64),
        (date - date.astype("datetime64[M]")).astype(np.float64),
        np.log(base / interval_hours),
        np.full(h, np.log(level)),
        *lags,
        mean_seen(lags),
        outlook.fast_share,
        np.full(h, outlook.levels[0] / level),
        outlook.parts[:, SMOOTHING] / base,
        *(np.full(h, recent / level) for recent in recent_levels),
        _same_weekday(outlook) / level,
        _year_ratio(outlook),
        np.full(h, outlook.weeks_seen),
    )
    return np.column_stack(columns).astype(np.float64)


def _level(days: DayLevels, first: int, last: int) -> float:
    span = slice(max(first, 0), max(last, 0))
    exposure = days.exposure[span].sum()
    return float(days.total[span].sum() / exposure) if exposure > 0.02 else np.nan


def _same_weekday(outlook: ComponentForecasts) -> Float64:
    """Return the level over the last 4 days of each interval's weekday, float64[h]."""
    total, exposure = outlook.days.total[-35:], outlook.days.exposure[-35:]
    weekday = (
        outlook.first_day + len(outlook.days.total) - len(total) + 3 + np.arange(len(total))
    ) % 7
    sums = np.bincount(weekday, weights=total, minlength=7).astype(np.float64)
    seen = np.bincount(weekday, weights=exposure, minlength=7).astype(np.float64)
    level: Float64 = quotient(sums, seen, where=seen > 0)[(outlook.day + 3) % 7]
    return level


def _year_ratio(outlook: ComponentForecasts) -> Float64:
    """Return how the level moved, a year ago, from this season to the interval's, float64[h].

    The level over the 3 weeks around 364 days before the interval, over that of the 4 weeks that
    ended 364 days before ``made_at``; NaN where the history is shorter.
    """
    days = outlook.days
    now = len(days.total) - 364
    before = _level(days, now - 28, now) if now >= 28 else np.nan
    if not before > 0:
        return np.full(len(outlook.day), np.nan)
    at: Int64 = outlook.day - outlook.first_day - 364
    total, exposure = (np.concatenate(([0.0], np.cumsum(x))) for x in (days.total, days.exposure))
    low, high = (np.clip(at + shift, 0, len(days.total)) for shift in (-10, 11))
    seen = exposure[high] - exposure[low]
    return quotient(total[high] - total[low], seen * before, where=seen > 1)


_L1_LEAST_PER_HOUR = 3.0
_MOST_RATIO = 8.0


@dataclass(frozen=True)
class Boosters:
    """The LightGBM models of the ratio to the slow profile: of its mean (Tweedie), its median (L1).

    None where too little was known.
    """

    tweedie: lgb.Booster | None
    l1: lgb.Booster | None


def add_boosted(outlooks: Sequence[ComponentForecasts], boosters: Boosters) -> None:
    """Fill LightGBM's columns of the outlooks' parts, in one call for all queues.

    The median's model speaks only where an hour brings 3 contacts or more; below that the mean's
    takes its place, since the median of a small count is 0.
    """
    if boosters.tweedie is None or boosters.l1 is None or not outlooks:
        return
    features = np.vstack([volume_features(outlook) for outlook in outlooks])
    mean, median = (
        np.clip(np.asarray(booster.predict(features, num_threads=1)), 0, _MOST_RATIO)
        for booster in (boosters.tweedie, boosters.l1)
    )
    first = 0
    for outlook in outlooks:
        rows = slice(first, first + len(outlook.starts))
        busy = outlook.base * 60 / outlook.queue.interval_minutes >= _L1_LEAST_PER_HOUR
        ratios = (mean[rows], np.where(busy, median[rows], mean[rows]))
        for column, ratio in zip(BOOSTED, ratios, strict=True):
            outlook.parts[:, column] = outlook.base * ratio
        first = rows.stop
