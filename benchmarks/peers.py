"""What else a planner could use: other forecasters, each at its documented use.

Every peer gets the same past (``Past``) and returns contacts for each hour ahead. The past lies
on the wall clock, its closed hours are zero and its gaps are filled with the mean of the same
hour, since none of the peers can read a gap; closed hours ahead are set to zero for all. A peer
that learns across queues gets them together.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import local_times
from features.calendar.queues import Queue
from features.volume.history import QueueHistory
from serving.models.volume.distribution import QUANTILE_LEVELS

DECOMPOSED_WEEKS = 26
"""History that decompositions get: their cost grows faster than its length."""
LEARNT_WEEKS = 104
"""History that Prophet and mlforecast get."""
BAND_WEEKS = 12
"""Weeks of errors that the reference band is made of."""
SEASONAL_NAIVE, MEAN4 = "seasonal naive", "mean of 4 weeks"
MSTL, AUTO_ETS, THETA = "MSTL + AutoETS", "AutoETS x profile", "DynamicOptimizedTheta"
MLFORECAST, PROPHET = "mlforecast + LightGBM", "Prophet"


@dataclass(frozen=True)
class Past:
    """One queue's past and the hours to forecast, on its wall clock.

    Attributes:
        queue: The queue, with its opening stated or learnt.
        first: Wall-clock time of the first value.
        seen: Contacts in each interval, float64[n]; NaN where not observed.
        values: The same with gaps filled, float64[n].
        ahead: Position of each forecast interval after the last value, int64[h], from 0 on.
        is_open: Whether the queue is open in each forecast interval, bool[h].
    """

    queue: Queue
    first: pd.Timestamp
    seen: Float64
    values: Float64
    ahead: Int64
    is_open: Bool

    @property
    def day(self) -> int:
        """Intervals in a day."""
        return 1440 // self.queue.interval_minutes

    @property
    def steps(self) -> int:
        """Wall-clock intervals ahead."""
        return int(self.ahead[-1]) + 1

    def times(self, start: int, stop: int) -> pd.DatetimeIndex:
        """Return the wall-clock times of the positions [start, stop); n is the first ahead."""
        step = pd.Timedelta(minutes=self.queue.interval_minutes)
        return pd.date_range(self.first + start * step, periods=stop - start, freq=step)

    def last(self, weeks: int) -> Float64:
        """Return the filled values of the last weeks."""
        return self.values[-weeks * 7 * self.day :]


Peer = Callable[[Sequence[Past]], list[Float64]]


def past_of(
    history: QueueHistory, queue: Queue, *, made_at: datetime, starts: Int64, is_open: Bool
) -> Past:
    """Lay a history out for the peers.

    Args:
        history: What was known at ``made_at``.
        queue: The queue, with its opening filled.
        made_at: The origin, aware.
        starts: Interval starts to forecast, epoch seconds, int64[h].
        is_open: Whether the queue is open in each, bool[h].
    """
    known = history.before(made_at)
    step = queue.interval_minutes * 60
    seen = known.observed
    at = local_times(known.starts[seen], queue.time_zone).seconds // step
    ahead = local_times(starts, queue.time_zone).seconds // step
    first, end = int(at[0]), int(ahead[0])
    # The hour that a clock passes twice is one value; the one that it skips is a gap.
    hits = np.bincount(at - first, minlength=end - first)[: end - first]
    sums = np.bincount(at - first, weights=known.offered[seen], minlength=end - first)
    raw = np.where(hits > 0, sums[: end - first] / np.maximum(hits, 1), np.nan)
    return Past(
        queue=queue,
        first=pd.Timestamp(first * step, unit="s"),
        seen=raw,
        values=_filled(raw, week=7 * 24 * 3600 // step),
        ahead=ahead - end,
        is_open=is_open,
    )


def _filled(raw: Float64, *, week: int) -> Float64:
    """Fill gaps with the mean of the same hour of the week, or of all hours."""
    seen = ~np.isnan(raw)
    cell = np.arange(len(raw)) % week
    hits = np.bincount(cell[seen], minlength=week)
    sums = np.bincount(cell[seen], weights=raw[seen], minlength=week)
    mean = np.where(hits > 0, sums / np.maximum(hits, 1), sums.sum() / max(hits.sum(), 1))
    return np.where(seen, raw, mean[cell])


def _last_weeks(past: Past, count: int) -> Float64:
    """Return the last observed values of each hour of the week ahead, float64[count, week]."""
    week = 7 * past.day
    padded = np.concatenate([np.full(-len(past.seen) % week, np.nan), past.seen])
    weeks = padded.reshape(-1, week)
    order = np.argsort(np.isnan(weeks[::-1]), axis=0, kind="stable")
    newest = np.take_along_axis(weeks[::-1], order, axis=0)[:count]
    found = np.full((count, week), np.nan)
    found[: len(newest)] = newest
    return found


def seasonal_naive(pasts: Sequence[Past]) -> list[Float64]:
    """Repeat the same hour of the last observed week."""
    return [np.resize(np.nan_to_num(_last_weeks(p, 1)[0]), p.steps) for p in pasts]


def mean_of_4_weeks(pasts: Sequence[Past]) -> list[Float64]:
    """Repeat the mean of the same hour over its last four observed weeks."""
    found = []
    for past in pasts:
        weeks = _last_weeks(past, 4)
        seen = (~np.isnan(weeks)).sum(axis=0)
        found.append(np.resize(np.nansum(weeks, axis=0) / np.maximum(seen, 1), past.steps))
    return found


def naive_band(past: Past) -> Float64:
    """Return a split-conformal band around seasonal naive, float64[steps, 19].

    Its own errors of the last weeks, as many weeks ahead, are ranked by hour of day; the band is
    the forecast plus their quantiles (ranks of n + 1), at ``contracts.QUANTILE_LEVELS``.
    """
    week, hour = 7 * past.day, np.arange(len(past.seen))
    forecast = seasonal_naive([past])[0]
    hours_ahead = (np.arange(past.steps) + len(past.seen)) % past.day
    band = np.repeat(forecast[:, None], len(QUANTILE_LEVELS), axis=1)
    for ahead in range(-(-past.steps // week)):
        lag = (ahead + 1) * week
        error = past.seen[lag:] - past.seen[:-lag]
        recent = (hour[lag:] >= len(past.seen) - BAND_WEEKS * week) & ~np.isnan(error)
        rows = slice(ahead * week, (ahead + 1) * week)
        for slot in range(past.day):
            errors = error[recent & (hour[lag:] % past.day == slot)]
            if len(errors):
                shift = np.quantile(errors, QUANTILE_LEVELS, method="weibull")
                band[rows][hours_ahead[rows] == slot] += shift
    return np.maximum(band, 0.0)


def mstl(pasts: Sequence[Past]) -> list[Float64]:
    """Decompose into day, week and trend (statsforecast MSTL); AutoETS carries the trend."""
    from statsforecast import models

    found = []
    for past in pasts:
        model = models.MSTL(
            season_length=[past.day, 7 * past.day], trend_forecaster=models.AutoETS(model="ZZN")
        )
        found.append(model.forecast(past.last(DECOMPOSED_WEEKS), h=past.steps)["mean"])
    return found


def auto_ets_profile(pasts: Sequence[Past]) -> list[Float64]:
    """Forecast day totals with AutoETS (season 7); spread them by the hour-of-week profile."""
    from statsforecast.models import AutoETS

    found = []
    for past in pasts:
        values = past.last(DECOMPOSED_WEEKS)
        clock = past.times(len(past.values) - len(values), len(past.values) + past.steps)
        slot = (clock.hour * 60 + clock.minute).to_numpy() // past.queue.interval_minutes
        day = (clock.normalize() - clock[0].normalize()).days.to_numpy()
        cell = clock.weekday.to_numpy() * past.day + slot
        known = np.arange(len(values))
        whole = np.bincount(day[known]) == past.day
        totals = np.bincount(day[known], weights=values)[whole]
        first = int(np.flatnonzero(whole)[-1]) + 1
        ahead = AutoETS(season_length=7).forecast(totals, h=int(day[-1]) - first + 1)["mean"]
        sums = np.bincount(cell[known], weights=values, minlength=7 * past.day).reshape(7, -1)
        share = sums / np.maximum(sums.sum(axis=1, keepdims=True), 1e-9)
        rows = slice(len(values), None)
        found.append(ahead[day[rows] - first] * share.reshape(-1)[cell[rows]])
    return found


def theta(pasts: Sequence[Past]) -> list[Float64]:
    """Forecast with statsforecast's DynamicOptimizedTheta at the season of a week."""
    from statsforecast.models import DynamicOptimizedTheta

    return [
        DynamicOptimizedTheta(season_length=7 * past.day).forecast(
            past.last(DECOMPOSED_WEEKS), h=past.steps
        )["mean"]
        for past in pasts
    ]


def mlforecast_lightgbm(pasts: Sequence[Past]) -> list[Float64]:
    """Forecast all queues with one recursive LightGBM, fed as mlforecast's guides feed hourly data.

    Source: ``docs/tutorials`` of mlforecast on hourly series: lags of whole days up to a week, the
    running mean, the mean of the two days before yesterday, hour and weekday. The differences
    that these guides take on top are left out: over 28 days they add up to far larger errors.
    """
    import lightgbm as lgb
    from mlforecast import MLForecast
    from mlforecast.lag_transforms import ExpandingMean, RollingMean

    day = pasts[0].day
    model = MLForecast(
        models={"lightgbm": lgb.LGBMRegressor(verbosity=-1, random_state=0, n_jobs=1)},
        freq=f"{pasts[0].queue.interval_minutes}min",
        lags=[day * (k + 1) for k in range(7)],
        lag_transforms={1: [ExpandingMean()], day: [RollingMean(window_size=2 * day)]},
        date_features=["hour", "dayofweek"],
    )
    steps = max(past.steps for past in pasts)
    model.fit(pd.concat([_long(past, LEARNT_WEEKS) for past in pasts], ignore_index=True))
    table = model.predict(steps)
    by_queue = {name: part["lightgbm"].to_numpy() for name, part in table.groupby("unique_id")}
    return [by_queue[past.queue.queue][: past.steps] for past in pasts]


def _long(past: Past, weeks: int) -> pd.DataFrame:
    values = past.last(weeks)
    clock = past.times(len(past.values) - len(values), len(past.values))
    return pd.DataFrame({"unique_id": past.queue.queue, "ds": clock, "y": values})


def prophet(pasts: Sequence[Past]) -> list[Float64]:
    """Forecast with Prophet's defaults and the country's holidays, fitted to open hours.

    Source: Prophet's documentation, "Non-daily data" and "Data with regular gaps": what is
    closed is left out of the history.
    """
    from prophet import Prophet

    logging.getLogger("cmdstanpy").disabled = True
    found = []
    for past in pasts:
        rows = _long(past, LEARNT_WEEKS)[["ds", "y"]]
        open_ahead = np.zeros(past.steps, dtype=bool)
        open_ahead[past.ahead] = past.is_open
        week = 7 * past.day
        cell = np.arange(len(past.values), len(past.values) + past.steps) % week
        ever_open = np.bincount(cell, weights=open_ahead, minlength=week) > 0
        position = np.arange(len(past.values) - len(rows), len(past.values))
        model = Prophet()
        if past.queue.country:
            model.add_country_holidays(country_name=past.queue.country.partition("-")[0])
        model.fit(rows[ever_open[position % week]])
        clock = past.times(len(past.values), len(past.values) + past.steps)
        found.append(model.predict(pd.DataFrame({"ds": clock}))["yhat"].to_numpy())
    return found


PEERS: dict[str, Peer] = {
    SEASONAL_NAIVE: seasonal_naive,
    MEAN4: mean_of_4_weeks,
    MSTL: mstl,
    AUTO_ETS: auto_ets_profile,
    THETA: theta,
    MLFORECAST: mlforecast_lightgbm,
    PROPHET: prophet,
}
"""By name; the first two are the seasonal baselines."""
PACKAGES = {MLFORECAST: "mlforecast", PROPHET: "prophet"}
"""Packages of the extra ``peers`` that a peer needs."""


def installed(name: str) -> bool:
    """Return whether the packages that a peer needs are installed."""
    return name not in PACKAGES or importlib.util.find_spec(PACKAGES[name]) is not None


def forecasts_of(name: str, pasts: Sequence[Past]) -> list[Float64]:
    """Return a peer's contacts per forecast interval: never negative, zero where closed.

    Args:
        name: Of ``PEERS``.
        pasts: One a queue, with values.

    Returns:
        One float64[h] a queue.
    """
    return [
        np.maximum(np.nan_to_num(found[past.ahead]), 0.0) * past.is_open
        for past, found in zip(pasts, PEERS[name](pasts), strict=True)
    ]
