"""What part of a day says of its rest, learnt from the first days of past forecasts.

The covariance of the relative errors of two hours of one day is the variance of the day's factor
plus that of its swing, which fades with the hours between them; an hour's own variance adds its
noise, and the covariance of two days' errors says what a day hands on. All are moments, free of
Poisson noise. Each queue's are drawn to those of all queues, and these to a prior, by how many of
its days could be told from Poisson noise at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from features.arrays import Float64, Int64
from features.calendar.clock import DAY_SECONDS
from serving.models.shrinkage import Mean, shrink
from serving.models.volume.distribution import DEFAULT_TODAY, IntradayModel

LEAD_SECONDS = 7 * DAY_SECONDS
"""Errors at longer leads are of the level, more than of a day."""
_PAIRS_SECONDS = 3 * DAY_SECONDS
"""What a day hands on to the next is learnt from pairs of days this early."""
MEMORIES = (0.6, 0.7, 0.8, 0.9)
"""Values of ``IntradayModel.memory`` that are tried."""
_HOURS = 24
_BETWEEN_QUEUES = 0.5
"""How far queues' variances lie apart, as a share of the common one."""
_WILD = 4.0
_MOST_CARRY = 0.95
_LEAST_HOUR_VARIANCE = 1e-3


@dataclass(frozen=True)
class Errors:
    """Out-of-sample forecasts of open and observed intervals at short leads, and what came.

    Attributes:
        queue: Row of the queue, int64[n].
        origin: When the forecast was made, epoch seconds, int64[n].
        day: Local day, int64[n].
        hour: Local hour of the day, int64[n].
        mean: Forecast, float64[n].
        actual: What came, float64[n].
    """

    queue: Int64
    origin: Int64
    day: Int64
    hour: Int64
    mean: Float64
    actual: Float64


@dataclass(frozen=True)
class Moments:
    """What the errors of some days say.

    Attributes:
        error: Standard error of the factor's variance; infinite without a day.
        errors: Standard error of each of ``apart``, float64[24].
        apart: Covariance of the relative errors of two hours of a day by the hours between them,
            float64[24]; the first is an hour's own variance.
        weight: Weight of each in a fit, float64[24].
        next_day: Covariance of the relative errors of a day and the next.
    """

    error: float
    errors: Float64
    apart: Float64
    weight: Float64
    next_day: float


_NOTHING = Moments(np.inf, np.full(_HOURS, np.inf), np.zeros(_HOURS), np.zeros(_HOURS), 0.0)


def learn_today(errors: Errors, *, queues: int) -> tuple[IntradayModel, ...]:
    """Return one queue's parameters after another; the last are for any other queue."""
    own = [_moments(errors, queue) for queue in range(queues)]
    usual = DEFAULT_TODAY.day_variance + DEFAULT_TODAY.swing_variance
    common = _toward(
        _expected(DEFAULT_TODAY),
        own or [_NOTHING],
        between=usual,
        apart=_BETWEEN_QUEUES * usual,
    )
    memory = min(MEMORIES, key=lambda m: _fit(common, memory=m)[1])
    between = _BETWEEN_QUEUES * max(float(common.apart[1:] @ common.weight[1:]), 1e-4)
    shrunk = [_toward(common, [m], between=between) for m in own]
    # Another queue may lie as far from the common one as queues do.
    shrunk.append(replace(common, error=between))
    return tuple(_fit(m, memory=memory)[0] for m in shrunk)


def _moments(errors: Errors, queue: int) -> Moments:
    """Return the moments of one queue's days."""
    mean, error, follows = _by_day(errors, queue)
    if len(mean) == 0:
        return _NOTHING
    usual = DEFAULT_TODAY.day_variance + DEFAULT_TODAY.swing_variance
    variance = mean + (usual + DEFAULT_TODAY.hour_variance) * mean**2
    products, squares = _apart(error), _apart(mean)
    products[0] -= mean.sum()
    total, off = mean.sum(axis=1), error.sum(axis=1)
    both = float((total[:-1] * total[1:])[follows].sum())
    whole = float(np.sqrt(2 * ((usual * total**2 + total) ** 2).sum()) / (total**2).sum())
    pairs = np.divide(_apart(variance), squares**2, out=np.full(_HOURS, np.inf), where=squares > 0)
    return Moments(
        error=whole,
        errors=np.sqrt(whole**2 + pairs),
        apart=np.divide(products, squares, out=np.zeros(_HOURS), where=squares > 0),
        weight=squares / squares.sum(),
        next_day=float((off[:-1] * off[1:])[follows].sum()) / both if both > 0 else 0.0,
    )


def _apart(values: Float64) -> Float64:
    """Return the sums of products of two hours of a day by the hours between them, float64[24]."""
    return np.array([(values[:, k:] * values[:, : _HOURS - k]).sum() for k in range(_HOURS)])


def _by_day(errors: Errors, queue: int) -> tuple[Float64, Float64, Int64]:
    """Lay one queue's errors out by day and hour, wild ones clipped.

    Returns:
        Forecast and error, float64[days, 24] each, 0 where there is none; and the early days
        whose next day is the next row, as indices.
    """
    mine = errors.queue == queue
    keys = np.stack((errors.origin[mine], errors.day[mine]), axis=1)
    days, place = np.unique(keys, axis=0, return_inverse=True)
    cell = place.reshape(-1) * _HOURS + errors.hour[mine]
    mean, actual = (
        np.bincount(cell, weights=values[mine], minlength=len(days) * _HOURS)
        .reshape(-1, _HOURS)
        .astype(np.float64)
        for values in (errors.mean, errors.actual)
    )
    most = _WILD * np.sqrt(mean + 0.1 * mean**2)
    error = np.clip(actual - mean, -most, most)
    follows = (np.diff(days, axis=0) == (0, 1)).all(axis=1)
    early = days[:-1, 1] * DAY_SECONDS - days[:-1, 0] < _PAIRS_SECONDS
    return mean, error, np.flatnonzero(follows & early).astype(np.int64)


def _expected(today: IntradayModel) -> Moments:
    """Return the moments that parameters imply."""
    faded: Float64 = today.memory ** np.arange(_HOURS, dtype=np.float64)
    apart = today.day_variance + today.swing_variance * faded
    apart[0] += today.hour_variance
    weight = np.arange(_HOURS, 0, -1.0)
    return Moments(
        np.inf, _NOTHING.errors, apart, weight / weight.sum(), today.carry * today.day_variance
    )


def _toward(
    prior: Moments, own: Sequence[Moments], *, between: float, apart: float = 0.0
) -> Moments:
    """Draw the moments of queues, each counting by its precision, to a prior.

    Args:
        own: Of one queue or more; of infinite error where nothing was seen.
        between: Standard deviation of what the moments measure around the prior.
        apart: Standard deviation of each queue's around what they measure together.
    """
    whole = np.array([1 / (apart**2 + m.error**2) for m in own])
    by_lag = 1 / (apart**2 + np.stack([m.errors for m in own]) ** 2)
    prior_weight = 1 / between**2
    known, known_by_lag = float(whole.sum()), by_lag.sum(axis=0)

    def shrunk(total: Mean, to: Mean, *, weight: Mean | float = known) -> Mean:
        return shrink(total, weight=weight, prior=to, prior_weight=prior_weight)

    by_lag_total = (by_lag * np.stack([m.apart for m in own])).sum(axis=0)
    return Moments(
        error=(known + prior_weight) ** -0.5,
        errors=(known_by_lag + prior_weight) ** -0.5,
        apart=shrunk(by_lag_total, prior.apart, weight=known_by_lag),
        weight=shrunk(whole @ np.stack([m.weight for m in own]), prior.weight),
        next_day=shrunk(float(whole @ np.array([m.next_day for m in own])), prior.next_day),
    )


def _fit(moments: Moments, *, memory: float) -> tuple[IntradayModel, float]:
    """Return the parameters of least weighted squares, >= 0, and their loss.

    What is said of the factor is taken to be one standard error less than it seems: to move a
    forecast for nothing costs more than to leave it.
    """
    wanted, weight = moments.apart[1:], moments.weight[1:]
    shapes = np.stack((np.ones(_HOURS - 1), memory ** np.arange(1, _HOURS)))
    gram, cross = (shapes * weight) @ shapes.T, (shapes * weight) @ wanted
    candidates = [
        np.linalg.solve(gram + 1e-9 * np.eye(2), cross),
        np.array([cross[0] / gram[0, 0], 0.0]),
        np.array([0.0, cross[1] / gram[1, 1]]),
    ]
    fits = [np.maximum(c, 0.0) for c in candidates]
    losses = [float(weight @ (wanted - fit @ shapes) ** 2) for fit in fits]
    best = int(np.argmin(losses))
    day, swing = (float(v) for v in fits[best])
    hour = max(float(moments.apart[0]) - day - swing, _LEAST_HOUR_VARIANCE)
    next_day = moments.next_day - moments.error
    carry = float(np.clip(next_day / day, 0, _MOST_CARRY)) if day > 0 else 0.0
    sure = max(1 - moments.error / (day + swing), 0.0) if day + swing > 0 else 0.0
    return IntradayModel(sure * day, hour, carry, sure * swing, memory), losses[best]
