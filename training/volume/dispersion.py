"""How far forecasts were off: spreads and recalibrated quantile levels from past forecasts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import nbinom

from features.calendar import Float64, Int64
from features.contracts import LEAD_BUCKETS, QUANTILE_LEVELS

DEFAULT_SPREAD = 0.06
_EDGES = np.linspace(0, 1, 41)
_DAYS_TO_TRUST_SPREAD = 21.0
_DAYS_TO_TRUST_LEVELS = 42.0
_MOST_ROWS = 4000


@dataclass(frozen=True)
class Pairs:
    """Out-of-sample forecasts and what came, of open and observed intervals.

    Attributes:
        queue: Row of the queue, int64[n].
        bucket: Lead bucket, int64[n].
        day: Local day, int64[n].
        mean: Forecast, float64[n].
        actual: What came, float64[n].
    """

    queue: Int64
    bucket: Int64
    day: Int64
    mean: Float64
    actual: Float64


def learn_dispersion(pairs: Pairs, *, queues: int) -> tuple[Float64, Float64]:
    """Learn spreads and levels per queue and lead bucket, drawn to those of all queues.

    Returns:
        Squared coefficients of variation, float64[queues + 1, buckets], and where to read each
        published quantile, float64[queues + 1, buckets, 19]; last rows are for any other queue.
    """
    size = len(LEAD_BUCKETS)
    spread = np.full((queues + 1, size), DEFAULT_SPREAD)
    levels = np.tile(np.array(QUANTILE_LEVELS), (queues + 1, size, 1))
    for b in range(size):
        pools = [_pool(pairs, queue, b) for queue in range(queues)]
        days = np.array([len(np.unique(pool.day)) for pool in pools], dtype=np.float64)
        if not days.any():
            continue
        raw = np.array([_spread(pool) if len(pool.day) else DEFAULT_SPREAD for pool in pools])
        spread[-1, b] = np.average(raw, weights=days)
        trust = days / (days + _DAYS_TO_TRUST_SPREAD)
        spread[:-1, b] = trust * raw + (1 - trust) * spread[-1, b]
        falls = np.array([_falls(p, spread[q, b]) for q, p in enumerate(pools)])
        common: Float64 = (days @ falls) / days.sum()
        trust = days / (days + _DAYS_TO_TRUST_LEVELS)
        mixed = trust[:, None] * falls + (1 - trust)[:, None] * common
        for row, fall in enumerate((*mixed, common)):
            levels[row, b] = np.clip(np.interp(QUANTILE_LEVELS, fall, _EDGES), 0.003, 0.997)
    return spread, levels


def _pool(pairs: Pairs, queue: int, bucket: int) -> Pairs:
    rows = np.flatnonzero((pairs.queue == queue) & (pairs.bucket == bucket) & (pairs.mean > 0))
    rows = rows[:: max(1, len(rows) // _MOST_ROWS)]
    return Pairs(
        pairs.queue[rows],
        pairs.bucket[rows],
        pairs.day[rows],
        pairs.mean[rows],
        pairs.actual[rows],
    )


def _spread(pool: Pairs) -> float:
    """Return the squared coefficient of variation beyond Poisson, wild errors clipped."""
    error = pool.actual - pool.mean
    most = 4 * np.sqrt(pool.mean + 0.1 * pool.mean**2)
    squares = np.clip(error, -most, most) ** 2
    return float(np.clip((squares - pool.mean).sum() / (pool.mean**2).sum(), 1e-4, 4.0))


def _falls(pool: Pairs, spread: float) -> Float64:
    """Return the share of counts below each edge of the predicted distribution, float64[41].

    A count's probability is spread evenly over its step of the distribution function (Czado,
    Gneiting and Held 2009), so that a right forecast of small counts gives the diagonal.
    """
    if len(pool.day) == 0:
        return _EDGES
    size = 1 / max(spread, 1e-4)
    chance = size / (size + pool.mean)
    low: Float64 = np.asarray(nbinom.cdf(pool.actual - 1, size, chance))[:, None]
    high: Float64 = np.asarray(nbinom.cdf(pool.actual, size, chance))[:, None]
    inside = np.clip((_EDGES - low) / np.maximum(high - low, 1e-12), 0, 1)
    found: Float64 = inside.mean(axis=0)
    # A strictly rising curve, so that it can be inverted.
    return (found + 1e-6 * _EDGES) / (1 + 1e-6)
