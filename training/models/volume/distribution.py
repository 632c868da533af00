"""The whole distribution of forecast errors, and how they move together over days and queues.

All is read from products of normal scores of past errors. They are summed over days in
contacts, since the totals of days are what must come out right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from features.arrays import Bool, Float64, Int64
from serving.models.shrinkage import Ladder, shrink, shrink_ladder
from serving.models.volume.distribution import (
    DEFAULT_DEPENDENCE,
    DEFAULT_TODAY,
    ErrorCorrelation,
    ForecastDistribution,
)
from training.models.volume.dispersion import (
    BUCKETS,
    ForecastErrors,
    Spreads,
    cells,
    evidence,
    fall_between,
    learn_curves,
    learn_spreads,
    normal_scores,
    recency,
    recent_pairs,
    total,
)

_DEPENDENCE_DAYS_TO_TRUST = 30.0

_DAYS_TO_TRUST_ANY = 10.0
LAGS = 6
"""Most days apart that say how long a day's common part is remembered."""
_MEMORIES = np.linspace(0, 0.98, 50)
_MOST_DAY, _MOST_COMMON = 0.9, 0.98
_LEAST_SQUARE = 0.05
_LEAST_PRODUCT = 1e-12


@dataclass(frozen=True)
class QueueDays:
    """One row a queue, origin and local day, by queue then time; arrays [n]."""

    queue: Int64
    origin: Int64
    day: Int64
    weight: Float64


@dataclass(frozen=True)
class _Days(QueueDays):
    """Sums over the pairs of each day; arrays [n]."""

    score: Float64
    signal: Float64


def learn_dependence(
    pairs: ForecastErrors, score: Float64, spreads: Spreads, weight: Float64, *, queues: int
) -> tuple[ErrorCorrelation, ...]:
    """Learn each queue's dependence, drawn to that of all queues; the last is for any other.

    Args:
        score: From ``dispersion.normal_scores``.
        spreads: From ``dispersion.learn_spreads``.
        weight: What each pair counts, float64[n].
    """
    if not len(pairs.mean):
        return (DEFAULT_DEPENDENCE,) * (queues + 1)
    variance = 1 + spreads.rates(pairs) * pairs.mean
    scale = np.sqrt(pairs.mean * variance)
    # In units of the queue's own contacts, so that a day of any queue counts as one.
    summed, counted = (
        total(values, by=pairs.queue, count=queues) for values in (scale, np.ones_like(scale))
    )
    scale = scale / (summed / np.maximum(counted, 1))[pairs.queue]
    reach = scale * np.sqrt(1 - 1 / variance)
    reach = reach * _mean_square(pairs, score, weight * scale, queues=queues)
    moved = scale * score
    share = _day_shares(pairs, moved, reach, weight, queues=queues)
    days = _days(pairs, moved, reach * np.sqrt(share[pairs.queue, pairs.bucket]), weight)
    memory = _memories(days, queues=queues)
    common = _common(days, queues=queues)
    return tuple(
        ErrorCorrelation(day=tuple(share[row].tolist()), memory=float(memory[row]), common=float(c))
        for row, c in enumerate(common)
    )


def _mean_square(pairs: ForecastErrors, score: Float64, weight: Float64, *, queues: int) -> Float64:
    """Return the mean square score of each pair's queue: below 1 where counts are small."""
    above = total(weight * score**2, by=pairs.queue, count=queues)
    below = total(weight, by=pairs.queue, count=queues)
    square: Float64 = np.clip(above / np.maximum(below, 1e-12), _LEAST_SQUARE, 1.0)
    return square[pairs.queue]


def _day_shares(
    pairs: ForecastErrors, moved: Float64, reach: Float64, weight: Float64, *, queues: int
) -> Float64:
    """Return the share of variance that a day has in common, float64[queues + 1, buckets].

    Products of the scores of two different intervals of a day, over what they would be if all
    variance beyond Poisson's were common.
    """
    cell, first = cells(pairs.pool, pairs.origin, pairs.day)
    together, most = (
        total(values, by=cell) ** 2 - total(values**2, by=cell) for values in (moved, reach)
    )
    counts, pool = weight[first], pairs.pool[first]
    above, below, days = (
        total(counts * values, by=pool, count=queues * BUCKETS).reshape(queues, BUCKETS)
        for values in (together, most, (most > 0) + 0.0)
    )
    usual = below.sum() / max(float(days.sum()), 1e-12)
    if usual <= 0:
        return np.tile(DEFAULT_DEPENDENCE.day, (queues + 1, 1))

    def toward(seen: tuple[Float64, Float64], prior: Float64, prior_days: float) -> Float64:
        together, most = seen
        share = shrink(together, weight=most, prior=prior, prior_weight=prior_days * usual)
        return np.asarray(np.clip(share, 0, _MOST_DAY))

    return shrink_ladder(
        Ladder(
            overall=(above.sum(), below.sum()),
            lead=(above.sum(axis=0), below.sum(axis=0)),
            queue=(above.sum(axis=1, keepdims=True), below.sum(axis=1, keepdims=True)),
            cell=(above, below),
        ),
        prior=np.array(DEFAULT_DEPENDENCE.day),
        toward=toward,
        alike=lambda queue, lead, every: np.clip(
            queue * lead / np.maximum(every, 1e-3), 0, _MOST_DAY
        ),
        overall_weight=_DAYS_TO_TRUST_ANY,
        weight=_DEPENDENCE_DAYS_TO_TRUST,
    )


def _days(pairs: ForecastErrors, moved: Float64, signal: Float64, weight: Float64) -> _Days:
    cell, first = cells(pairs.queue, pairs.origin, pairs.day)
    return _Days(
        queue=pairs.queue[first],
        origin=pairs.origin[first],
        day=pairs.day[first],
        weight=weight[first],
        score=total(moved, by=cell),
        signal=total(signal, by=cell),
    )


def _memories(days: _Days, *, queues: int) -> Float64:
    """Return the correlation of a day's common part with the next day's, float64[queues + 1]."""
    # Both days of a product are of one origin, and count the same.
    root = np.sqrt(days.weight)
    values = root * days.score, root * days.signal
    products, most = lagged_products(days, values, queues=queues)
    usual = most.sum(axis=0) / max(len(np.unique(days.queue)), 1)
    counted = total(days.weight, by=days.queue, count=queues)
    return learn_memories(
        products,
        most,
        of_a_day=usual / max(float(counted[counted > 0].mean()), 1e-12),
        prior=DEFAULT_DEPENDENCE.memory,
        days_to_trust_any=_DAYS_TO_TRUST_ANY,
        days_to_trust=_DEPENDENCE_DAYS_TO_TRUST,
    )


def lagged_products(
    days: QueueDays, values: tuple[Float64, Float64], *, queues: int
) -> tuple[Float64, Float64]:
    """Sum products of the values, float64[n], of days of one origin that lie 1, 2, … apart.

    Returns:
        float64[queues, LAGS] for each of the two values.
    """
    first, second = np.zeros((queues, LAGS)), np.zeros((queues, LAGS))
    for lag in range(1, LAGS + 1):
        earlier, later = _days_apart(days, lag)
        for sums, value in zip((first, second), values, strict=True):
            products = value[earlier] * value[later]
            sums[:, lag - 1] = total(products, by=days.queue[later], count=queues)
    return first, second


def learn_memories(
    products: Float64,
    most: Float64,
    *,
    of_a_day: Float64 | float,
    prior: float,
    days_to_trust_any: float,
    days_to_trust: float,
) -> Float64:
    """Return the correlation of a day with the next that fits those at each lag best.

    Args:
        products: Of days that lie 1, 2, … days apart, float64[queues, LAGS].
        most: What they would be if nothing were ever forgotten, float64[queues, LAGS].
        of_a_day: What one day of evidence adds to ``most``.
        prior: What to expect overall where nothing was seen.
        days_to_trust_any: Weight of the prior for all queues, in days.
        days_to_trust: Weight of all queues for one, in days.

    Returns:
        float64[queues + 1]; the last is for any other queue.
    """
    every, pull = most.sum(axis=0), days_to_trust_any * of_a_day
    if (every + pull).max() <= 0:
        return np.full(len(most) + 1, prior)
    shared = shrink(
        products.sum(axis=0),
        weight=every,
        prior=prior ** np.arange(1, LAGS + 1),
        prior_weight=np.maximum(pull, _LEAST_PRODUCT),
    )
    own_pull = days_to_trust * of_a_day
    own = shrink(
        products, weight=most, prior=shared, prior_weight=np.maximum(own_pull, _LEAST_PRODUCT)
    )
    rows = zip(np.vstack((own, shared)), np.vstack((most + own_pull, every + pull)), strict=True)
    return np.array([_nearest_memory(correlation, weight) for correlation, weight in rows])


def _nearest_memory(correlation: Float64, weight: Float64) -> float:
    """Return the memory whose powers are nearest to the correlations at each lag."""
    powers = _MEMORIES[:, None] ** np.arange(1, LAGS + 1)
    misses = (weight * (correlation - powers) ** 2).sum(axis=1)
    return float(_MEMORIES[int(np.argmin(misses))])


def _days_apart(days: QueueDays, lag: int) -> tuple[Int64, Int64]:
    """Return rows of the same queue and origin whose days lie ``lag`` apart."""
    first = days.day.min()
    span = int(days.day.max() - first) + LAGS + 2
    cell, _ = cells(days.queue, days.origin)
    key = cell * span + (days.day - first)
    at = np.searchsorted(key, key + lag)
    same: Bool = (at < len(key)) & (key[np.minimum(at, len(key) - 1)] == key + lag)
    return np.flatnonzero(same), at[same]


def _common(days: _Days, *, queues: int) -> Float64:
    """Return the share of days' common parts that is common to all queues, float64[queues + 1].

    One factor stands for what queues have in common: the product of two queues' scores of a day
    is the product of their signals and of the square roots of their shares.
    """
    cell, _ = cells(days.origin, days.day)
    score, signal = (total(values, by=cell)[cell] for values in (days.score, days.signal))
    above = days.weight * days.score * (score - days.score)
    below = days.weight * days.signal * (signal - days.signal)
    others, counted = (total(values, by=days.queue, count=queues) for values in (above, below))
    known = float(counted.sum())
    if known <= 0:
        return np.full(queues + 1, DEFAULT_DEPENDENCE.common)
    pull = known / max(len(above), 1) * _DAYS_TO_TRUST_ANY
    prior = DEFAULT_DEPENDENCE.common
    pooled = shrink(float(others.sum()), weight=known, prior=prior, prior_weight=pull)
    pooled = float(np.clip(pooled, 0, _MOST_COMMON))
    pull = known / max(len(above), 1) * _DEPENDENCE_DAYS_TO_TRUST
    loading = np.maximum(shrink(others, weight=counted, prior=pooled, prior_weight=pull), 0)
    own = loading**2 / max(pooled, 1e-3)
    return np.asarray(np.clip(np.append(own, pooled), 0, _MOST_COMMON))


_YOUNG_SPREAD = 2.0
"""Factor on the variance beyond Poisson of young queues, where no past forecast of one says."""


@dataclass(frozen=True)
class LearntShapes:
    """What past forecasts say of all queues' errors.

    Attributes:
        shapes: One a queue; the last is for any other queue.
        young: Of a queue that is too young for learnt weights.
    """

    shapes: tuple[ForecastDistribution, ...]
    young: ForecastDistribution


def learn_shapes(
    pairs: ForecastErrors, *, young: ForecastErrors, queues: int, as_of_epoch: int
) -> LearntShapes:
    """Learn the distribution of each queue's forecasts, all of it but today's parameters.

    Args:
        as_of_epoch: What had come by then is learnt from, epoch seconds.
    """
    shapes = _shapes(pairs, queues=queues, as_of_epoch=as_of_epoch)
    return LearntShapes(shapes, young=_young(young, shapes[-1], as_of_epoch=as_of_epoch))


def _shapes(
    pairs: ForecastErrors, *, queues: int, as_of_epoch: int
) -> tuple[ForecastDistribution, ...]:
    pairs = recent_pairs(pairs, as_of_epoch=as_of_epoch)
    weight = recency(pairs.origin, as_of_epoch=as_of_epoch)
    days, windows = evidence(pairs, weight, queues=queues)
    spreads = learn_spreads(pairs, weight, queues=queues, days=days)
    ends = fall_between(pairs.mean, spreads.rates(pairs), pairs.actual)
    curves = learn_curves(pairs, ends, weight, days=days, windows=windows)
    scores = normal_scores(pairs, ends, curves)
    dependence = learn_dependence(pairs, scores, spreads, weight, queues=queues)
    return tuple(
        ForecastDistribution(
            spread=spreads.spread[row],
            clumps=spreads.clumps[row],
            curve=curves[row],
            dependence=dependence[row],
            today=DEFAULT_TODAY,
        )
        for row in range(queues + 1)
    )


def _young(
    pairs: ForecastErrors, other: ForecastDistribution, *, as_of_epoch: int
) -> ForecastDistribution:
    """Learn one shape for all young queues."""
    if not len(pairs.mean):
        return replace(
            other, spread=_YOUNG_SPREAD * other.spread, clumps=_YOUNG_SPREAD * other.clumps
        )
    merged = replace(pairs, queue=np.zeros_like(pairs.queue))
    return replace(
        _shapes(merged, queues=1, as_of_epoch=as_of_epoch)[0], dependence=other.dependence
    )
