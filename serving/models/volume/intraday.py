"""Today's correction: a published forecast, moved by what came since it was made.

Counts are doubly stochastic: Poisson around the forecast times a factor, with noise of its own in
each hour. The factor's deviation from 1 has a part that belongs to the local day, of which the next
day keeps a share, and a swing within the day that fades from hour to hour. What was observed since
the forecast was made gives the posterior of both; the rest of today and tomorrow are multiplied by
it. No model is opened: the answer is a function of the published forecast and of the rows known
now, whatever order they came in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from features.arrays import Float64, Int64
from features.calendar.clock import DAY_SECONDS, local_times, to_epoch
from features.volume.history import QueueHistory
from serving.models.volume.distribution import ForecastDistribution, IntradayModel, lead_bucket
from serving.models.volume.forecast import PARTS, QueueForecast, rest

TODAY = PARTS.index("today")
INTRADAY = "intraday"
"""Method of a corrected forecast."""
LOOKBACK_DAYS = 3
"""Local days before today that are looked at: what is older hands next to nothing on."""
_WILD = 2.5
"""Standard deviations from its day's factor from which an hour is wild, and pulls no harder."""
_NEVER_WILD_CONTACTS = 2.0
"""So few contacts too many or too few are never wild: a quiet hour brings one or none."""
_ROUNDS = 20
_LEAST_SHARE = 0.1
"""Share of the spread that stays, however well a day is known."""


@dataclass(frozen=True)
class Hours:
    """Hours of a queue, in the order of time: local day, int64[n], and hours since the epoch."""

    day: Int64
    hour: Float64


@dataclass(frozen=True)
class Evidence:
    """What came in the hours since a forecast was made; closed and unobserved ones are left out.

    Attributes:
        expected: Contacts forecast in what was observed of each, float64[n], > 0.
        came: Contacts that came in it, float64[n].
    """

    hours: Hours
    expected: Float64
    came: Float64


@dataclass(frozen=True)
class Factors:
    """The posterior of the factor of some hours, float64[k], >= 0.

    ``left`` is the variance that is left of the factor's own, float64[k], in [0, 1].
    """

    factor: Float64
    left: Float64


def evidence_of(base: QueueForecast, history: QueueHistory, *, now: datetime) -> Evidence:
    """Compare a forecast with what came, by hour; what had not ended by ``now`` is left out."""
    known = history.before(now)
    today = _local_days(np.array([to_epoch(now)]), base)[0]
    day = _local_days(base.starts, base)
    at = np.searchsorted(known.starts, base.starts)
    there = at < len(known.starts)
    there[there] = known.starts[at[there]] == base.starts[there]
    came = np.full(len(base.starts), np.nan)
    came[there] = known.offered[at[there]]
    use = ~np.isnan(came) & (base.mean > 0) & (day >= today - LOOKBACK_DAYS)
    hour, first = np.unique(_hours(base.starts[use], base), return_index=True)
    return Evidence(
        hours=Hours(day[use][first], hour),
        expected=np.add.reduceat(base.mean[use], first) if len(hour) else np.empty(0),
        came=np.add.reduceat(came[use], first) if len(hour) else np.empty(0),
    )


def posterior(evidence: Evidence, hours: Hours, *, parameters: IntradayModel) -> Factors:
    """Return the factor of some hours, given what came in others.

    The linear posterior (credibility) of a factor of mean 1: an hour's ratio of what came to what
    was expected has the variance ``1 / expected + hour_variance`` around the factor. With no swing
    and no earlier day it is ``1 + v p / (1 + v w)``, where v is the day's variance, w the sum of
    the hours' precisions and p that of the precisions times the ratios less 1. An hour further
    than 2.5 deviations from the factor counts so much less that it pulls no harder than at 2.5
    (Huber 1964).

    Source: Bühlmann and Straub 1970; the exact posterior of gamma factors and Poisson counts.

    >>> seen = Hours(np.array([20000]), np.array([0.0]))
    >>> parameters = IntradayModel(day_variance=0.01, hour_variance=0.0, carry=0.5)
    >>> found = posterior(Evidence(seen, np.array([100.0]), np.array([120.0])), seen,
    ...                   parameters=parameters)
    >>> round(float(found.factor[0]), 6), round(float(found.left[0]), 6)
    (1.1, 0.5)
    """
    total = parameters.day_variance + parameters.swing_variance
    count = len(hours.hour)
    if len(evidence.expected) == 0 or total <= 0:
        return Factors(np.ones(count), np.ones(count))
    ratio = evidence.came / evidence.expected - 1
    noise = 1 / evidence.expected + parameters.hour_variance
    prior = _covariance(evidence.hours, evidence.hours, parameters)
    across = _covariance(hours, evidence.hours, parameters)
    inflation = _inflation(ratio, noise, prior, slack=_NEVER_WILD_CONTACTS / evidence.expected)
    gain = np.linalg.solve(prior + np.diag(noise * inflation), across.T).T
    left = 1 - (gain * across).sum(axis=1) / total
    return Factors(np.maximum(1 + gain @ ratio, 0.0), np.clip(left, 0.0, 1.0))


def _inflation(ratio: Float64, noise: Float64, prior: Float64, *, slack: Float64) -> Float64:
    """Return the factor on each hour's noise that caps its pull, by reweighted least squares."""
    inflation = np.ones(len(ratio))
    most = _WILD * np.sqrt(noise) + slack
    for _ in range(_ROUNDS):
        middle = prior @ np.linalg.solve(prior + np.diag(noise * inflation), ratio)
        wanted = np.maximum(np.abs(ratio - middle) / most, 1.0)
        if np.allclose(wanted, inflation, rtol=1e-3):
            break
        inflation = wanted
    return inflation


def _covariance(one: Hours, other: Hours, parameters: IntradayModel) -> Float64:
    """Return the covariance of the factors of hours, float64[n, m]."""
    days = np.abs(one.day[:, None] - other.day[None, :])
    hours = np.abs(one.hour[:, None] - other.hour[None, :])
    swing = np.where(days == 0, parameters.swing_variance * parameters.memory**hours, 0.0)
    covariance: Float64 = parameters.day_variance * parameters.carry**days + swing
    return covariance


def correct(
    base: QueueForecast, history: QueueHistory, *, made_at: datetime, now: datetime
) -> QueueForecast:
    """Return a forecast from ``now`` on, the rest of today and tomorrow moved by what came.

    Days are the queue's local ones. The AHT, the baseline and what lies after tomorrow stay as
    they are. The distribution is the base's with its spread within 24 hours of ``now`` replaced:
    the share of it that the day's factor accounts for shrinks to what is left of it.

    Args:
        base: A full forecast, as it was made.
        made_at: When the base was made, aware.

    Returns:
        ``base`` from the first interval at or after ``now``; of method ``intraday`` where at least
        one hour has told something, else as it was.
    """
    evidence = evidence_of(base, history, now=now)
    ahead = rest(base, now=now)
    if len(ahead.starts) == 0 or len(evidence.expected) == 0:
        return ahead
    today = _local_days(np.array([to_epoch(now)]), base)[0]
    day = _local_days(ahead.starts, ahead)
    near = day <= today + 1
    hours = Hours(day[near], _hours(ahead.starts[near], ahead))
    near_factors = posterior(evidence, hours, parameters=base.shape.today)
    factor, left = np.ones(len(day)), np.ones(len(day))
    factor[near], left[near] = near_factors.factor, near_factors.left
    mean = ahead.mean * factor
    parts = ahead.parts.copy()
    parts[:, TODAY] += mean - ahead.mean
    shape = _narrowed(ahead, left, mean=mean, made_at=to_epoch(made_at), now=to_epoch(now))
    bucket, before = (lead_bucket((ahead.starts - to_epoch(at)) / 3600) for at in (now, made_at))
    corrected = replace(ahead, parts=parts, shape=shape, method=INTRADAY)
    # Reading quantiles is nearly all that this costs, and most of the horizon stays as it was.
    fresh = near | (bucket == 0) | (bucket != before)
    return corrected.with_mean(mean, made_at=to_epoch(now), rows=fresh)


def unseen_today(base: QueueForecast, history: QueueHistory, *, now: datetime) -> bool:
    """Return whether contacts were due today, and not one hour of today was observed."""
    today = _local_days(np.array([to_epoch(now)]), base)[0]
    ended = base.starts + base.queue.interval_minutes * 60 <= to_epoch(now)
    due = bool((ended & (base.mean > 0) & (_local_days(base.starts, base) == today)).any())
    return due and not (evidence_of(base, history, now=now).hours.day == today).any()


def _narrowed(
    ahead: QueueForecast,
    left: Float64,
    *,
    mean: Float64,
    made_at: int,
    now: int,
) -> ForecastDistribution:
    """Return the base's distribution with what is resolved taken from the next 24 hours."""
    shape, soon = ahead.shape, ahead.starts < now + DAY_SECONDS
    weights = mean[soon] ** 2
    if not weights.any():
        return shape
    before = shape.spread[lead_bucket((ahead.starts[soon] - made_at) / 3600)]
    variance = shape.today.day_variance + shape.today.swing_variance
    resolved = np.minimum(variance, (1 - _LEAST_SHARE) * before) * (1 - left[soon])
    spread, taken = (float(np.average(x, weights=weights)) for x in (before, resolved))
    # Poisson noise of the next 24 hours, on the scale of the spreads.
    noise = float(mean[soon].sum() / weights.sum())
    shared = (shape.dependence.day[0] * (noise + spread) - taken) / (noise + spread - taken)
    day = (max(shared, 0.0), *shape.dependence.day[1:])
    return replace(
        shape,
        spread=np.concatenate(([spread - taken], shape.spread[1:])),
        dependence=replace(shape.dependence, day=day),
    )


def _local_days(moments: Int64, base: QueueForecast) -> Int64:
    return local_times(moments, base.queue.time_zone).day


def _hours(moments: Int64, base: QueueForecast) -> Float64:
    """Return the hour of the wall clock that each moment falls into, hours since the epoch."""
    offset = local_times(moments, base.queue.time_zone).offset_seconds % 3600
    return ((moments + offset) // 3600).astype(np.float64)
