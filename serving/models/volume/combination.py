"""How the components of an outlook become one forecast: LightGBM's part, weights, method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import lightgbm as lgb
import numpy as np

from features.calendar import Float64
from serving.models.volume.features import volume_features
from serving.models.volume.outlook import (
    BOOSTED,
    COMPONENTS,
    FAST,
    MEAN4,
    SLOW,
    SMOOTHING,
    Outlook,
    lead_bucket,
)

Method = Literal["combined", "profile", "baseline", "none", "intraday"]

COMBINED_WEEKS = 4.0
"""Weeks of history from which a queue's learnt weights are used; before that, profiles."""
PROFILE_WEEKS = 1.25
"""Weeks of history from which profiles are used; before that, the mean of what was seen."""
_L1_LEAST_PER_HOUR = 3.0
_MOST_RATIO = 8.0


@dataclass(frozen=True)
class Boosters:
    """The LightGBM models of the ratio to the slow profile: of its mean (Tweedie), its median (L1).

    None where too little was known.
    """

    tweedie: lgb.Booster | None
    l1: lgb.Booster | None


def add_boosted(outlooks: Sequence[Outlook], boosters: Boosters) -> None:
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
        outlook.parts[:, BOOSTED[0]] = outlook.base * mean[rows]
        outlook.parts[:, BOOSTED[1]] = outlook.base * np.where(busy, median[rows], mean[rows])
        first = rows.stop


def method_of(weeks_seen: float) -> Method:
    """Return how a queue with so many weeks of history is forecast.

    >>> method_of(0.5), method_of(3.0), method_of(30.0)
    ('baseline', 'profile', 'combined')
    """
    if weeks_seen <= 0:
        return "none"
    if weeks_seen < PROFILE_WEEKS:
        return "baseline"
    return "profile" if weeks_seen < COMBINED_WEEKS else "combined"


def combine(outlook: Outlook, weights: Float64) -> Float64:
    """Return what an ordinary day would bring, float64[h], >= 0; 0 where closed.

    With enough history its components are weighted by float64[lead buckets, components].
    """
    method = method_of(outlook.weeks_seen)
    if method == "none":
        return np.zeros(len(outlook.starts))
    rows = (weights if method == "combined" else _fixed(method))[lead_bucket(outlook.lead_hours)]
    rows = np.where(np.isnan(outlook.parts), 0.0, rows)
    total = rows.sum(axis=1)
    # Where no weighted component can speak, the slow profile always can.
    rows[total <= 0, SLOW] = 1.0
    blended = (rows * np.nan_to_num(outlook.parts)).sum(axis=1) / rows.sum(axis=1)
    forecast: Float64 = np.maximum(blended, 0.0) * outlook.is_open
    return forecast


def split(outlook: Outlook, ordinary: Float64) -> Float64:
    """Split an ordinary day of float64[h] into its parts, float64[h, len(contracts.PARTS)].

    The level is the recent pace spread evenly over the open week; the week pattern moves it to
    the hour; the season is what the components add to that (the time of the year, trends, recent
    changes of the pattern); each factor then adds what it multiplies. 0 where closed.
    """
    level = outlook.levels[0] * outlook.usual_share * outlook.is_open
    long_run = max(outlook.levels[1], 1e-12)
    week = outlook.base / long_run * outlook.levels[0] * outlook.is_open
    holiday = ordinary * outlook.holiday
    event = holiday * outlook.event
    orders = event * outlook.orders
    steps = np.stack((np.zeros_like(level), level, week, ordinary, holiday, event, orders), axis=1)
    return np.column_stack((np.diff(steps, axis=1), np.zeros(len(level))))


def _fixed(method: Method) -> Float64:
    row = np.zeros(len(COMPONENTS))
    used = [MEAN4] if method == "baseline" else [FAST, SLOW, SMOOTHING]
    row[used] = 1 / len(used)
    return np.tile(row, (4, 1))
