"""What each component of the volume model says about one queue, at one moment.

An outlook is a pure function of the history known at ``made_at``: the serving predictor, the
back-test and the training rows of LightGBM are all made from it, so that what is measured is
what is served. Components forecast ordinary days; effects of special days multiply them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import local_times
from features.calendar.queues import Event, Queue, learn_opening, local_week
from features.volume.history import QueueHistory
from serving.models.volume.anomalies import Anomalies, AnomalousDay, bad_days, describe
from serving.models.volume.calendar_effects import (
    DayEffects,
    event_factors,
    holiday_factors,
    ordinary,
)
from serving.models.volume.distribution import LEAD_BUCKETS, lead_bucket
from serving.models.volume.levels import (
    DayLevels,
    Smoothing,
    day_levels,
    level_shift,
    robust_level,
    smoothed_levels,
    smoothed_series,
)
from serving.models.volume.orders import QueueOrders, order_factors
from serving.models.volume.week_profile import (
    WeekGrid,
    last_seen,
    mean_seen,
    recent,
    week_grid,
    week_profile,
)

REVERSION_DAYS = 14.0
_LAGS = 4

Method = Literal["combined", "profile", "baseline", "none", "intraday"]

COMBINED_WEEKS = 4.0
"""Weeks of history from which a queue's learnt weights are used; before that, profiles."""
PROFILE_WEEKS = 1.25
"""Weeks of history from which profiles are used; before that, the mean of what was seen."""


@dataclass(frozen=True)
class OrdinaryHistory:
    """What components forecast h intervals from: the ordinary days of one queue until a moment.

    Attributes:
        lags: Last observed values of the interval's cell, newest first, float64[4, h].
        fast: Recent forecast: share of the cell times the level of the last weeks, float64[h].
        slow: Long-run forecast, float64[h].
        slow_share: Long-run share of the cell in a week's contacts, float64[h].
        smoothed_level: Contacts a week by exponential smoothing, for the day, float64[h].
    """

    lags: Float64
    fast: Float64
    slow: Float64
    slow_share: Float64
    smoothed_level: Float64

    def or_slow(self, values: Float64) -> Float64:
        """Return float64[h], the long-run forecast where the cell was not observed lately."""
        return np.where(np.isnan(self.lags[0]), self.slow, values)


@dataclass(frozen=True)
class Component:
    """One simple forecast of an ordinary day.

    Attributes:
        forecast: Its values, float64[h]; None for LightGBM's, which ``add_boosted`` fills.
        prior: Its weight without evidence, relative to the other components': in the first two
            lead buckets, and further ahead.
        methods: The methods for short histories that use it, each of its components alike.
    """

    forecast: Callable[[OrdinaryHistory], Float64] | None
    prior: tuple[float, float] = (1.0, 1.0)
    methods: tuple[Method, ...] = ()


COMPONENT_TABLE = {
    # Last week's raw values are mostly noise, and so is much of the mean of four weeks.
    "last_week": Component(lambda past: past.or_slow(past.lags[0]), prior=(0.0, 0.0)),
    "mean4": Component(
        lambda past: past.or_slow(mean_seen(past.lags)), prior=(0.5, 0.5), methods=("baseline",)
    ),
    # The further ahead, the less counts what changed last.
    "fast": Component(lambda past: past.fast, prior=(1.0, 0.5), methods=("profile",)),
    "slow": Component(lambda past: past.slow, prior=(1.0, 2.0), methods=("profile",)),
    "smoothing": Component(
        lambda past: past.slow_share * past.smoothed_level, methods=("profile",)
    ),
    "tweedie": Component(None),
    "l1": Component(None),
}
"""Every component by name: a new one needs only its row, then the models are trained again."""

COMPONENTS = tuple(COMPONENT_TABLE)
"""Columns of ``ComponentForecasts.parts``, in order."""
BOOSTED = tuple(i for i, row in enumerate(COMPONENT_TABLE.values()) if row.forecast is None)
"""Columns that are LightGBM's: of the mean's model, of the median's."""
SEASONAL = COMPONENTS.index("last_week")
MEAN4 = COMPONENTS.index("mean4")
SLOW = COMPONENTS.index("slow")
SMOOTHING = COMPONENTS.index("smoothing")


@dataclass(frozen=True)
class ComponentForecasts:
    """One queue as seen at ``made_at``, laid out for its forecast intervals.

    Attributes:
        queue: The queue, with its opening filled.
        starts: Forecast interval starts, epoch seconds, int64[h].
        is_open: Whether the queue is open in each, bool[h].
        day: Local day of each, int64[h].
        cell: Cell of the week of each, int64[h].
        lead_hours: From ``made_at`` to the start, float64[h].
        holiday: Factor of public holidays and the days around them, float64[h].
        event: Factor of calendar events, float64[h].
        orders: Factor of what was ordered lately, float64[h].
        parts: Each component's forecast of an ordinary day, float64[h, components], NaN where
            the component has nothing to say.
        baseline: The same hour of the last observed week, as it came, float64[h].
        lags: Last observed ordinary values of the same cell, newest first, float64[4, h].
        fast_share: Recent over long-run share of the cell, float64[h].
        levels: Levels, contacts a week: fast, slow.
        first_day: Local day of ``days``' first.
        usual_share: Mean share of a week's contacts in an open cell.
        weeks_seen: Weeks of observed history, in units of whole weeks' exposure.
        bad_days: What was found bad in the history, and not learnt from.
    """

    queue: Queue
    made_at: int
    starts: Int64
    is_open: Bool
    day: Int64
    cell: Int64
    lead_hours: Float64
    holiday: Float64
    event: Float64
    orders: Float64
    parts: Float64
    baseline: Float64
    lags: Float64
    fast_share: Float64
    levels: tuple[float, float]
    days: DayLevels
    first_day: int
    usual_share: float
    weeks_seen: float
    bad_days: tuple[AnomalousDay, ...]

    @property
    def effect(self) -> Float64:
        """What the blend of ordinary days is multiplied by, float64[h]."""
        return self.holiday * self.event * self.orders

    @property
    def base(self) -> Float64:
        """The slow profile's forecast, which LightGBM's targets are relative to, float64[h]."""
        base: Float64 = self.parts[:, SLOW]
        return base


@dataclass(frozen=True)
class _Ordinary:
    """A history of ordinary days, float64[weeks, cells], and its long-run profile.

    Anomalies are left out, and lasting jumps of the level evened out.
    """

    values: Float64
    slow: Float64
    anomalies: Anomalies


def component_forecasts(
    history: QueueHistory,
    *,
    events: Sequence[Event],
    effects: DayEffects,
    smoothing: Smoothing,
    made_at: int,
    starts: Int64,
    orders: QueueOrders | None = None,
) -> ComponentForecasts:
    """Compute one queue's outlook at ``made_at``, epoch seconds.

    Args:
        history: What was known, and had ended by then; events known later are left out here.
        starts: Interval starts to forecast, epoch seconds, int64[h], ascending.
        orders: The flow of orders that was known at ``made_at``; None: they are not used.
    """
    history = recent(history)
    queue = learn_opening(history.queue, history.starts, history.offered)
    plain = ordinary(effects, queue, history.starts, history.offered, events, known_by=made_at)
    grid = week_grid(queue, history.starts, plain)
    week = local_week(queue, starts)
    day, cell = week.day, week.minute // queue.interval_minutes
    reach = np.arange(grid.first_day, max(grid.day_numbers[-1], day.max(initial=0)) + 1)
    order_factor = order_factors(orders, queue, reach, events, known_by=made_at)
    learnt = _ordinary_days(grid.days / order_factor[: len(grid.days), None])
    values, slow = learnt.values, learnt.slow
    fast = week_profile(values, half_life_weeks=8)
    by_day = values.reshape(-1, grid.slots)
    # Levels look no further than the moment; the grid's last week may be only begun.
    known = slice(_known_days(grid, made_at))
    days, fast_days = (day_levels(by_day, profile).cut(known) for profile in (slow, fast))
    level = robust_level(fast_days, half_life_days=5, median_days=7)
    slow_level = robust_level(days, half_life_days=20, median_days=21)
    smoothed = _smoothed(days, smoothing, day, grid.first_day, long_run=slow_level)
    lags = last_seen(values, _LAGS)[:, cell]
    recent_level, share = fast[cell] * level, slow[cell]
    past = OrdinaryHistory(lags, recent_level, share * slow_level, share, smoothed)
    return ComponentForecasts(
        queue=queue,
        made_at=made_at,
        starts=starts,
        is_open=week.is_open,
        day=day,
        cell=cell,
        lead_hours=(starts - made_at) / 3600,
        holiday=holiday_factors(effects, queue, day=day, cell=cell, profile=slow),
        event=event_factors(effects, queue, starts, events, known_by=made_at),
        orders=order_factor[day - grid.first_day],
        parts=_parts(past),
        baseline=_seasonal_baseline(history, queue, cell) * week.is_open,
        lags=lags,
        fast_share=(fast / slow)[cell],
        levels=(level, slow_level),
        days=days,
        first_day=grid.first_day,
        usual_share=1 / max(int((~np.isnan(values)).any(axis=0).sum()), 1),
        weeks_seen=float(days.exposure.sum()),
        bad_days=tuple(describe(grid, learnt.anomalies)),
    )


def _ordinary_days(days: Float64) -> _Ordinary:
    """Leave anomalies out of float64[days, slots] freed of known effects; changes it in place."""
    weeks = days.reshape(-1, 7 * days.shape[1])
    profile = week_profile(weeks, half_life_weeks=20)
    anomalies = bad_days(days, profile)
    days[anomalies.bad] = np.nan
    jumped, factor = level_shift(day_levels(days, profile))
    # Lags, means and levels from before a lasting jump would drag behind it for weeks.
    days[:jumped] *= factor
    if jumped > 0 or anomalies.bad.any():
        profile = week_profile(weeks, half_life_weeks=20)
    return _Ordinary(weeks, profile, anomalies)


def _parts(past: OrdinaryHistory) -> Float64:
    """Return each component's forecast, float64[h, components], NaN for LightGBM's."""
    parts = np.full((len(past.slow), len(COMPONENTS)), np.nan)
    for column, component in enumerate(COMPONENT_TABLE.values()):
        if component.forecast is not None:
            parts[:, column] = component.forecast(past)
    return parts


def _seasonal_baseline(history: QueueHistory, queue: Queue, cell: Int64) -> Float64:
    """Return the same hour of the last observed week, float64[h]; 0 where never observed."""
    always = replace(queue, opening=(None,) * 7, open_on_holidays=True)
    lags = last_seen(week_grid(always, history.starts, history.offered).values, 1)
    baseline: Float64 = np.nan_to_num(lags[0])[cell]
    return baseline


def _known_days(grid: WeekGrid, made_at: int) -> int:
    today = local_times(np.array([made_at], dtype=np.int64), grid.queue.time_zone).day[0]
    return int(np.clip(today - grid.first_day + 1, 1, len(grid.days)))


def _smoothed(
    days: DayLevels, smoothing: Smoothing, day: Int64, first_day: int, *, long_run: float
) -> Float64:
    """Return the smoothed level of each forecast interval's day, float64[h].

    Half of what it differs from the long run is forgotten in ``REVERSION_DAYS``: what moved a
    queue lately seldom lasts for the whole horizon.
    """
    if len(day) == 0:
        return np.empty(0)
    steps = np.maximum(day - (first_day + len(days.total) - 1), 1)
    levels = smoothed_levels(smoothed_series(days), smoothing, int(steps.max()))
    memory = 0.5 ** ((steps - 1) / REVERSION_DAYS)
    smoothed: Float64 = long_run + (levels[steps - 1] - long_run) * memory
    return smoothed


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


def combine(outlook: ComponentForecasts, weights: Float64) -> Float64:
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


def split(outlook: ComponentForecasts, ordinary: Float64) -> Float64:
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
    used = np.array([float(method in row.methods) for row in COMPONENT_TABLE.values()])
    return np.tile(used / used.sum(), (len(LEAD_BUCKETS), 1))
