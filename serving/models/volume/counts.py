"""The distribution of a count around its forecast.

Given the mean m, a count is negative binomial with variance m + spread x m²: Poisson noise on a
rate that is itself uncertain (doubly stochastic arrivals). Its quantile levels are then moved
to where past forecasts actually fell (recalibration), which corrects the shape and the bias.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr

from features.calendar import Float64

LEAST_SPREAD = 1e-4
"""Below this spread a count is Poisson for all purposes."""
_TABLE_MEANS = (1.0, 4.0, 12.0, 40.0)
"""Rows up to the last mean are read from summed masses, in groups of tables of like length;
above it, quantiles come from a gamma's approximation."""


def count_quantiles(mean: Float64, spread: Float64, levels: Float64) -> Float64:
    """Return quantiles of negative binomial counts, float64[n, q], rising; 0 where the mean is.

    Up to a mean of 1 they are whole counts; from 2 on they are those of the count plus a uniform
    jitter of one contact, so that a band covers what it says although counts are discrete; in
    between the jitter grows.

    Args:
        mean: float64[n], >= 0.
        spread: Squared coefficient of variation of the rate, float64[n], >= 0.
        levels: Quantile levels in (0, 1), float64[q], not decreasing.

    >>> count_quantiles(np.array([0.05]), np.array([0.0]), np.array([0.5, 0.96])).tolist()
    [[0.0, 1.0]]
    """
    spread = np.maximum(spread, LEAST_SPREAD)
    out = np.zeros((len(mean), len(levels)))
    floor = 0.0
    for most in _TABLE_MEANS:
        rows = np.flatnonzero((mean > floor) & (mean <= most))
        if len(rows):
            out[rows] = _summed(mean[rows], spread[rows], levels)
        floor = most
    rows = np.flatnonzero(mean > floor)
    out[rows] = _gamma_counts(mean[rows], spread[rows], levels)
    np.maximum.accumulate(out, axis=1, out=out)
    return np.maximum(out, 0.0, out=out)


def _summed(mean: Float64, spread: Float64, levels: Float64) -> Float64:
    """Count, for each level, the counts whose distribution function stays below it."""
    mass = _masses(mean, spread, most_level=float(levels[-1]))
    up_to = np.cumsum(mass, axis=1)
    n, q = len(mean), len(levels)
    passed = np.searchsorted(levels, up_to.ravel(), side="right").reshape(up_to.shape)
    cells = (np.arange(n) * (q + 1))[:, None] + passed
    below = np.bincount(cells.ravel(), minlength=n * (q + 1)).reshape(n, q + 1)
    count = np.minimum(np.cumsum(below, axis=1)[:, :q], mass.shape[1] - 1)
    width = np.clip(mean - 1, 0, 1)[:, None]
    if not width.any():
        return np.asarray(count, dtype=np.float64)
    step = np.take_along_axis(mass, count, axis=1)
    above = np.take_along_axis(up_to, count, axis=1)
    inside = np.clip(1 - (above - levels) / np.maximum(step, 1e-300), 0, 1)
    jittered: Float64 = count + width * (inside - 0.5)
    return jittered


def _masses(mean: Float64, spread: Float64, *, most_level: float) -> Float64:
    """Return each count's probability, float64[n, counts], as far as the level asks."""
    fail = (spread * mean / (1 + spread * mean))[:, None]
    size = (1 / spread)[:, None]
    counts = np.arange(_longest(mean, spread, most_level))
    steps = np.empty((len(mean), len(counts)))
    steps[:, 0] = np.exp(-np.log1p(spread * mean) / spread)
    steps[:, 1:] = fail * ((size + counts[:-1]) / (counts[:-1] + 1))
    np.cumprod(steps, axis=1, out=steps)
    return steps


def _longest(mean: Float64, spread: Float64, level: float) -> int:
    """Return how many counts reach the level (Bernstein's bound of a sub-gamma tail)."""
    tail = -math.log(max(1 - level, 1e-9))
    variance, scale = mean + spread * mean**2, 1 + spread * mean
    return int(np.ceil((mean + np.sqrt(2 * variance * tail) + scale * tail).max())) + 2


def _gamma_counts(mean: Float64, spread: Float64, levels: Float64) -> Float64:
    """Wilson and Hilferty's cube-root normal for a gamma of the count's mean and variance."""
    ninth = ((1 / mean + spread) / 9)[:, None]
    root: Float64 = normal_quantile(levels) * np.sqrt(ninth) + (1 - ninth)
    np.maximum(root, 0.0, out=root)
    return mean[:, None] * (root * root * root)


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
    scores: Float64 = np.where(np.abs(q) <= 0.47575, inner, outer)
    return scores


def normal_level(scores: Float64) -> Float64:
    """Return the standard normal's distribution function, of the same shape."""
    levels: Float64 = ndtr(scores)
    return levels
