"""The distribution of a rate: the contacts to expect, once all that moves them is known.

A gamma of a mean m and a squared coefficient of variation v, read by Wilson and Hilferty's
cube-root normal (1931). A rate that varies by more than an exponential one is zero with some
probability and else an exponential one, which has the same mean and variance.
"""

from __future__ import annotations

import numpy as np

from features.calendar import Float64
from serving.models.volume.counts import normal_quantile

MOST_GAMMA = 1.0
"""Squared coefficient of variation up to which a rate is a gamma."""


def rate_quantiles(mean: Float64, spread: Float64, levels: Float64) -> Float64:
    """Return quantiles of a rate, float64[n, q], rising; the mean itself where the spread is 0.

    Args:
        mean: float64[n], >= 0.
        spread: Squared coefficient of variation, float64[n], >= 0.
        levels: Quantile levels in (0, 1), float64[q], not decreasing.

    >>> rate_quantiles(np.array([8.0]), np.array([0.0]), np.array([0.1, 0.9])).tolist()
    [[8.0, 8.0]]
    """
    out = np.empty((len(mean), len(levels)))
    gamma = spread <= MOST_GAMMA
    out[gamma] = _gamma_rates(mean[gamma], spread[gamma], normal_quantile(levels))
    if not gamma.all():
        some = (1 + MOST_GAMMA) / (1 + spread[~gamma])[:, None]
        inside = (levels - (1 - some)) / some
        busy = _gamma_rates(mean[~gamma] / some[:, 0], MOST_GAMMA, normal_quantile(inside))
        out[~gamma] = np.where(inside > 0, busy, 0.0)
    return out


def _gamma_rates(mean: Float64, spread: Float64 | float, scores: Float64) -> Float64:
    ninth = np.broadcast_to(np.asarray(spread) / 9, mean.shape)[:, None]
    out: Float64 = scores * np.sqrt(ninth)
    out += 1 - ninth
    np.maximum(out, 0.0, out=out)
    # The cube of a normal of this mean and variance has the mean 1 - ninth³.
    out *= out * out * (mean[:, None] / (1 - ninth**3))
    return out
