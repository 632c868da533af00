"""How far forecasts were off, and where in their distribution the outcomes fell.

Errors made lately count most, since a forecast gets better as its history grows. What few past
days say of one queue and lead is drawn to what its other leads and other queues say, and this
to a prior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, ndtr

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import DAY_SECONDS
from serving.models.shrinkage import Ladder, shrink, shrink_ladder
from serving.models.volume.distribution import (
    CURVE_LEVELS,
    LEAD_BUCKETS,
    LEAST_SPREAD,
    normal_quantile,
)

BUCKETS = len(LEAD_BUCKETS)
DEFAULT_SPREAD = 0.06
DEFAULT_CLUMPS = 0.2
HALF_LIFE_DAYS = 30.0
"""Days by which an origin must be older for its errors to count half."""
DAYS_TO_TRUST_ANY = 5.0
"""Days, over all queues, that are trusted as much as a prior."""
_OLDEST = 4 * HALF_LIFE_DAYS * DAY_SECONDS
_DAYS_TO_TRUST = 21.0
_WILD = 1.5
"""Errors count as no larger than so many standard deviations, and ``_WILD_CONTACTS`` more."""
_WILD_CONTACTS = 2.0
_STEPS = 6
_MOST_SPREAD, _MOST_CLUMPS = 1.5, 5.0
_LEAST_VARIANCE = 0.05
_MOST_RATIO = 2.0

Pooled = tuple[Float64, Float64, Float64, Float64]
"""One value of each queue and bucket [q, b], each queue [q, 1], each bucket [b], and of all [1]."""


@dataclass(frozen=True)
class ForecastErrors:
    """Out-of-sample forecasts and what came, of open and observed intervals; arrays [n].

    Attributes:
        queue: Row of the queue, int64.
        bucket: Lead bucket, int64.
        origin: When the forecast was made, epoch seconds, int64.
        day: Local day, int64.
        mean: Forecast, float64.
        actual: What came, float64.
    """

    queue: Int64
    bucket: Int64
    origin: Int64
    day: Int64
    mean: Float64
    actual: Float64

    def where(self, keep: Bool) -> ForecastErrors:
        """Return some of them."""
        return ForecastErrors(
            self.queue[keep],
            self.bucket[keep],
            self.origin[keep],
            self.day[keep],
            self.mean[keep],
            self.actual[keep],
        )

    @property
    def pool(self) -> Int64:
        """Queue and bucket in one number, int64[n]."""
        return self.queue * BUCKETS + self.bucket


@dataclass(frozen=True)
class Spreads:
    """The variance of counts around their forecasts, m + clumps x m + spread x m².

    Attributes:
        spread: Squared coefficient of variation of the rate, float64[queues + 1, buckets]; the
            last row is for any other queue.
        clumps: What the variance exceeds the mean by at small means, of the same shape.
    """

    spread: Float64
    clumps: Float64

    def rates(self, pairs: ForecastErrors) -> Float64:
        """Return the squared coefficient of variation of each rate, clumps counted in."""
        at = pairs.queue, pairs.bucket
        return np.maximum(self.spread[at] + self.clumps[at] / pairs.mean, LEAST_SPREAD)


def recent_pairs(pairs: ForecastErrors, *, as_of_epoch: int) -> ForecastErrors:
    """Return the pairs that are young enough to count, of forecasts above zero."""
    return pairs.where((as_of_epoch - pairs.origin <= _OLDEST) & (pairs.mean > 1e-6))


def recency(origin: Int64, *, as_of_epoch: int) -> Float64:
    """Return what each origin counts, 1 now and half as much ``HALF_LIFE_DAYS`` before."""
    found: Float64 = 0.5 ** ((as_of_epoch - origin) / (HALF_LIFE_DAYS * DAY_SECONDS))
    return found


def cells(*keys: Int64) -> tuple[Int64, Int64]:
    """Return the cell of each row, int64[n], and one row of each cell, ordered by the keys."""
    code = np.zeros(len(keys[0]), dtype=np.int64)
    for key in keys:
        low = key.min(initial=0)
        code = code * (int(key.max(initial=0) - low) + 1) + (key - low)
    _, first, cell = np.unique(code, return_index=True, return_inverse=True)
    return cell.ravel(), first


def total(values: Float64, *, by: Int64, count: int = 0) -> Float64:
    """Return the sum of the values of each cell, float64[at least ``count``]."""
    return np.asarray(np.bincount(by, values, count), dtype=np.float64)


def evidence(pairs: ForecastErrors, weight: Float64, *, queues: int) -> tuple[Float64, Float64]:
    """Return days and windows that each queue and bucket is known from, by their weight.

    Args:
        weight: What each counts, float64[n].

    Returns:
        float64[queues, buckets] each.
    """
    origin = cells(pairs.origin)[0]
    _, days = cells(pairs.pool, origin, pairs.day)
    _, windows = cells(pairs.pool, origin)
    counted = (
        total(weight[rows], by=pairs.pool[rows], count=queues * BUCKETS) for rows in (days, windows)
    )
    first, second = (values.reshape(queues, BUCKETS) for values in counted)
    return first, second


def learn_spreads(pairs: ForecastErrors, weight: Float64, *, queues: int, days: Float64) -> Spreads:
    """Learn spreads and clumps per queue and lead bucket.

    Squared errors beyond Poisson are regressed on the mean and its square. Wild errors are cut
    relative to the queue's last fit (Huber's second proposal), so that a few do not widen every
    band.

    Args:
        weight: What each counts, float64[n].
        days: From ``evidence``.
    """
    mean, squares = pairs.mean, (pairs.actual - pairs.mean) ** 2
    spread, clumps = np.full(queues, DEFAULT_SPREAD), np.full(queues, DEFAULT_CLUMPS)
    sums = np.zeros((5, queues, BUCKETS))
    for _ in range(_STEPS):
        variance = mean * (1 + clumps[pairs.queue]) + spread[pairs.queue] * mean**2
        variance = np.maximum(variance, _LEAST_VARIANCE)
        beyond = _cut(squares, variance) - mean
        rise = weight * mean / variance**2
        sums = np.stack(
            [
                total(values, by=pairs.pool, count=queues * BUCKETS).reshape(queues, BUCKETS)
                for values in (
                    rise * mean**3,
                    rise * mean**2,
                    rise * mean,
                    rise * mean * beyond,
                    rise * beyond,
                )
            ]
        )
        spread, clumps = _regressed(sums.sum(axis=2))
    own, queue = _regressed(sums), _regressed(sums.sum(axis=2, keepdims=True))
    lead, every = _regressed(sums.sum(axis=1)), _regressed(sums.sum(axis=(1, 2))[:, None])
    first, second = (
        _shrunk_spread((own[k], queue[k], lead[k], every[k]), days=days, prior=prior)
        for k, prior in enumerate((DEFAULT_SPREAD, DEFAULT_CLUMPS))
    )
    return Spreads(first, second)


def _cut(squares: Float64, variance: Float64) -> Float64:
    """Cut wild squares, and scale the rest so that normal errors keep their variance.

    Small counts are skewed: a few contacts more than expected are not wild.
    """
    most = _WILD + _WILD_CONTACTS / np.sqrt(variance)
    density = np.exp(-(most**2) / 2) / np.sqrt(2 * np.pi)
    beyond = ndtr(-most)
    kept = 1 - 2 * beyond - 2 * most * density + 2 * most**2 * beyond
    cut: Float64 = np.minimum(squares, most**2 * variance) / kept
    return cut


def _regressed(sums: Float64) -> tuple[Float64, Float64]:
    """Solve the two normal equations of each group for values that are not negative."""
    aa, ab, bb, ya, yb = sums
    aa, bb = aa + 1e-9, bb + 1e-9
    both = aa * bb - ab * ab
    apart = both > 1e-6 * aa * bb
    both = np.where(apart, both, 1.0)
    spread, clumps = (ya * bb - yb * ab) / both, (yb * aa - ya * ab) / both
    # Where one of the two would be negative, or they cannot be told apart, one is enough.
    no_clumps = (clumps <= 0) | ~apart
    no_spread = (spread <= 0) & ~no_clumps
    spread, clumps = np.where(no_clumps, ya / aa, spread), np.where(no_clumps, 0.0, clumps)
    clumps = np.where(no_spread, yb / bb, clumps)
    return np.clip(spread, LEAST_SPREAD, _MOST_SPREAD), np.clip(clumps, 0.0, _MOST_CLUMPS)


def _shrunk_spread(found: Pooled, *, days: Float64, prior: float) -> Float64:
    """Draw each queue's value at a lead to what its other leads and other queues say of it.

    Returns:
        float64[queues + 1, buckets]; the last row is for any other queue.
    """
    own, queue, lead, every = found
    return shrink_ladder(
        Ladder(
            overall=(every, days.sum()),
            lead=(lead, days.sum(axis=0)),
            queue=(queue, days.sum(axis=1, keepdims=True)),
            cell=(own, days),
        ),
        prior=np.array([prior]),
        toward=_spread_toward,
        alike=_alike_spread,
        overall_weight=DAYS_TO_TRUST_ANY,
        weight=_DAYS_TO_TRUST,
    )


def _spread_toward(seen: tuple[Float64, Float64], prior: Float64, prior_days: float) -> Float64:
    mean, days = seen
    return shrink(mean * days, weight=days, prior=prior, prior_weight=prior_days)


def _alike_spread(queue: Float64, lead: Float64, every: Float64) -> Float64:
    ratio = np.clip(lead / np.maximum(every, LEAST_SPREAD), 1 / _MOST_RATIO, _MOST_RATIO)
    return np.asarray(queue * ratio)


_EDGES = np.array((0.0, *CURVE_LEVELS, 1.0))

_RECALIBRATION_DAYS_TO_TRUST = 42.0

_WINDOWS_TO_TRUST_LEAN = 2.0
_NARROWEST = 1e-3
_THINNEST = 1e-3
_FARTHEST_SCORE = 4.0


def fall_between(mean: Float64, rates: Float64, actual: Float64) -> tuple[Float64, Float64]:
    """Return the predicted probability of less than what came, and of at most that.

    Args:
        mean: float64[n], > 0.
        rates: Squared coefficient of variation of each rate, float64[n], > 0.
        actual: Counts, float64[n].

    >>> low, high = fall_between(np.array([1.0]), np.array([1.0]), np.array([1.0]))
    >>> low.tolist(), high.tolist()  # a geometric count: a half, then a quarter
    ([0.5], [0.75])
    """
    size = 1 / rates
    chance = size / (size + mean)
    high = betainc(size, actual + 1, chance)
    low = np.where(actual >= 1, betainc(size, np.maximum(actual, 1), chance), 0.0)
    return np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)


def learn_curves(
    pairs: ForecastErrors,
    ends: tuple[Float64, Float64],
    weight: Float64,
    *,
    days: Float64,
    windows: Float64,
) -> Float64:
    """Learn where to read each of ``CURVE_LEVELS``.

    Args:
        ends: From ``fall_between``.
        weight: What each counts, float64[n].
        days: From ``evidence``.
        windows: From ``evidence``.

    Returns:
        float64[queues + 1, buckets, levels], rising; the last row is for any other queue.
    """
    falls = _falls(pairs, ends, weight, queues=len(days))
    queue, lead, every = (
        np.einsum("qb,qbe->" + kept, days, falls) / np.maximum(total, 1e-9)[..., None]
        for kept, total in (
            ("qe", days.sum(axis=1)),
            ("be", days.sum(axis=0)),
            ("e", days.sum()),
        )
    )
    own = shrink_ladder(
        Ladder(
            overall=(every, days.sum(), windows.max(initial=0)),
            lead=(lead, days.sum(axis=0), windows.max(axis=0, initial=0)),
            queue=(
                queue[:, None],
                days.sum(axis=1, keepdims=True),
                windows.max(axis=1, initial=0, keepdims=True),
            ),
            cell=(falls, days, windows),
        ),
        prior=_EDGES,
        toward=_falls_toward,
        alike=lambda queue, lead, every: queue + lead - every,
        overall_weight=DAYS_TO_TRUST_ANY,
        weight=_RECALIBRATION_DAYS_TO_TRUST,
    )
    # A strictly rising share, so that it can be inverted.
    shares = (own + 1e-6 * _EDGES) / (1 + 1e-6)
    curves = np.empty((*shares.shape[:2], len(CURVE_LEVELS)))
    for place in np.ndindex(shares.shape[:2]):
        curves[place] = np.interp(CURVE_LEVELS, shares[place], _EDGES)
    return np.clip(curves, _NARROWEST, 1 - _NARROWEST)


def _falls(
    pairs: ForecastErrors, ends: tuple[Float64, Float64], weight: Float64, *, queues: int
) -> Float64:
    """Return the share of counts below each edge of the predicted distribution.

    Returns:
        float64[queues, buckets, edges]; the diagonal where nothing is known.
    """
    low, high = ends
    span = np.maximum(high - low, 1e-12)
    total = np.bincount(pairs.pool, weight, queues * BUCKETS)
    shares = np.tile(_EDGES, (queues * BUCKETS, 1))
    known = total > 0
    for k, edge in enumerate(_EDGES):
        inside = weight * np.clip((edge - low) / span, 0, 1)
        shares[known, k] = np.bincount(pairs.pool, inside, queues * BUCKETS)[known] / total[known]
    return shares.reshape(queues, BUCKETS, len(_EDGES))


def _falls_toward(
    seen: tuple[Float64, Float64, Float64], prior: Float64, days_to_trust: float
) -> Float64:
    """Draw shares to a prior: the even part by days, the lean to one side by windows too.

    All days of one window share its error of level, so a lean is believed as far as several
    windows show it.
    """
    falls, days, windows = (np.asarray(value) for value in seen)
    days, windows = days[..., None], windows[..., None]
    even, prior_even = ((f + 1 - f[..., ::-1]) / 2 for f in (falls, prior))
    trust = days / (days + days_to_trust) * (windows / (windows + _WINDOWS_TO_TRUST_LEAN))
    shrunk = shrink(days * even, weight=days, prior=prior_even, prior_weight=days_to_trust)
    lean = shrink(
        trust * (falls - even), weight=trust, prior=prior - prior_even, prior_weight=1 - trust
    )
    return np.maximum.accumulate(np.clip(shrunk + lean, 0, 1), axis=-1)


def normal_scores(pairs: ForecastErrors, ends: tuple[Float64, Float64], curves: Float64) -> Float64:
    """Return each pair's normal score: the mean of a standard normal over its count's step.

    Args:
        ends: From ``fall_between``.
        curves: From ``learn_curves``.

    Returns:
        float64[n]; of mean 0 where forecasts are right, and of variance 1 at large counts.
    """
    both = np.stack(ends)
    order = np.argsort(pairs.pool, kind="stable")
    pools, first = np.unique(pairs.pool[order], return_index=True)
    for pool, rows in zip(pools, np.split(order, first)[1:], strict=True):
        curve = np.concatenate(([0.0], curves[pool // BUCKETS, pool % BUCKETS], [1.0]))
        both[:, rows] = np.interp(both[:, rows], curve, _EDGES)
    low, high = both
    span = high - low
    density = np.exp(-(normal_quantile(both) ** 2) / 2) / np.sqrt(2 * np.pi)
    middle = normal_quantile((low + high) / 2)
    step = (density[0] - density[1]) / np.maximum(span, _THINNEST)
    score: Float64 = np.where(span > _THINNEST, step, middle)
    return np.clip(score, -_FARTHEST_SCORE, _FARTHEST_SCORE)
