"""The distribution of a count around its forecast.

Given the mean m, a count is negative binomial with variance m + spread x m²: Poisson noise on a
rate that is itself uncertain (doubly stochastic arrivals). Its quantile levels are then moved
to where past forecasts actually fell (recalibration), which corrects the shape and the bias.
"""

from __future__ import annotations

import numpy as np

from features.calendar import Float64

_TABLE_MEAN = 40.0
"""Above this mean, quantiles come from a gamma's approximation instead of the summed masses."""
_LEAST_SPREAD = 1e-4


def count_quantiles(mean: Float64, spread: Float64, levels: Float64) -> Float64:
    """Return quantiles of negative binomial counts.

    Up to a mean of 1 they are whole counts; from 4 on they are those of the count plus a uniform
    jitter of one contact, so that a band covers what it says although counts are discrete; in
    between the jitter grows.

    Args:
        mean: float64[n], >= 0.
        spread: Squared coefficient of variation of the rate, float64[n], >= 0.
        levels: Quantile levels in (0, 1), float64[n, q], not decreasing along q.

    Returns:
        float64[n, q], >= 0, not decreasing along q; 0 where the mean is 0.

    >>> count_quantiles(np.array([0.05]), np.array([0.0]), np.array([[0.5, 0.96]])).tolist()
    [[0.0, 1.0]]
    """
    spread = np.maximum(spread, _LEAST_SPREAD)
    out = np.empty(levels.shape)
    small = mean <= _TABLE_MEAN
    out[small] = _summed(mean[small], spread[small], levels[small])
    out[~small] = _gamma(mean[~small], spread[~small], levels[~small])
    np.maximum.accumulate(out, axis=1, out=out)
    out[mean <= 0] = 0.0
    return np.maximum(out, 0.0)


def _summed(mean: Float64, spread: Float64, levels: Float64) -> Float64:
    """Walk up the counts, adding masses, and note where each level is passed."""
    size = 1 / spread
    fail = spread * mean / (1 + spread * mean)
    mass = np.exp(-size * np.log1p(spread * mean))
    width = np.clip((mean - 1) / 3, 0, 1)[:, None]
    below = np.zeros(len(mean))
    out = np.zeros(levels.shape)
    pending = np.ones(levels.shape, dtype=bool)
    count = 0
    limit = int(60 + 12 * _TABLE_MEAN + 60 * np.sqrt(float(spread.max(initial=0))) * _TABLE_MEAN)
    while pending.any() and count < limit:
        above = below + mass
        passed = pending & (levels <= above[:, None])
        inside = (levels - below[:, None]) / np.maximum(mass, 1e-300)[:, None]
        out = np.where(passed, count + width * (inside - 0.5), out)
        pending &= ~passed
        below = above
        mass = mass * fail * (size + count) / (count + 1)
        count += 1
    return np.where(pending, float(count), out)


def _gamma(mean: Float64, spread: Float64, levels: Float64) -> Float64:
    """Wilson and Hilferty's cube-root normal for a gamma of the count's mean and variance."""
    variance = mean + spread * mean**2
    ninth = (variance / (9 * mean**2))[:, None]
    root: Float64 = np.maximum(1 - ninth + normal_quantile(levels) * np.sqrt(ninth), 0.0)
    return mean[:, None] * root**3


def normal_quantile(levels: Float64) -> Float64:
    """Return quantiles of the standard normal, to 5e-9 relative.

    Source: P. J. Acklam's rational approximation, with one step of Halley's method left out.

    >>> float(round(normal_quantile(np.array([0.975]))[0], 6))
    1.959964
    """
    a = (-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.3577518672690,
         -30.66479806614716, 2.506628277459239)  # fmt: skip
    b = (-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972,
         -13.28068155288572, 1.0)  # fmt: skip
    c = (-0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734,
         4.374664141464968, 2.938163982698783)  # fmt: skip
    d = (0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416, 1.0)
    p = np.clip(levels, 1e-12, 1 - 1e-12)
    tail = np.sqrt(-2 * np.log(np.minimum(p, 1 - p)))
    outer = np.polyval(c, tail) / np.polyval(d, tail) * np.where(p < 0.5, 1.0, -1.0)
    q = p - 0.5
    r = q * q
    inner = q * np.polyval(a, r) / np.polyval(b, r)
    found: Float64 = np.where(np.abs(q) <= 0.47575, inner, outer)
    return found
