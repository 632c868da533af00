"""Where past counts fell in their predicted distributions: recalibration curves, normal scores.

A count's probability is spread evenly over its step of the distribution function (Czado,
Gneiting and Held 2009), so that right forecasts of small counts need no correction.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betainc

from features.calendar import Float64
from serving.models.shrinkage import Ladder, shrink_ladder
from serving.models.volume.counts import normal_quantile
from serving.models.volume.shape import CURVE_LEVELS
from training.volume.dispersion import BUCKETS, DAYS_TO_TRUST_ANY, Pairs

_EDGES = np.array((0.0, *CURVE_LEVELS, 1.0))
_DAYS_TO_TRUST = 42.0
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
    pairs: Pairs, ends: tuple[Float64, Float64], weight: Float64, *, days: Float64, windows: Float64
) -> Float64:
    """Learn where to read each of ``shape.CURVE_LEVELS``.

    Args:
        ends: From ``fall_between``.
        weight: What each counts, float64[n].
        days: From ``dispersion.evidence``.
        windows: From ``dispersion.evidence``.

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
        weight=_DAYS_TO_TRUST,
    )
    # A strictly rising share, so that it can be inverted.
    shares = (own + 1e-6 * _EDGES) / (1 + 1e-6)
    curves = np.empty((*shares.shape[:2], len(CURVE_LEVELS)))
    for place in np.ndindex(shares.shape[:2]):
        curves[place] = np.interp(CURVE_LEVELS, shares[place], _EDGES)
    return np.clip(curves, _NARROWEST, 1 - _NARROWEST)


def _falls(pairs: Pairs, ends: tuple[Float64, Float64], weight: Float64, *, queues: int) -> Float64:
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
    falls, days, windows = seen
    trust = (days / (days + days_to_trust))[..., None]
    believed = trust * (windows / (windows + _WINDOWS_TO_TRUST_LEAN))[..., None]
    even, prior_even = ((f + 1 - f[..., ::-1]) / 2 for f in (falls, prior))
    drawn: Float64 = (
        trust * even
        + (1 - trust) * prior_even
        + believed * (falls - even)
        + (1 - believed) * (prior - prior_even)
    )
    return np.maximum.accumulate(np.clip(drawn, 0, 1), axis=-1)


def normal_scores(pairs: Pairs, ends: tuple[Float64, Float64], curves: Float64) -> Float64:
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
