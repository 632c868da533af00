"""Measures of a volume forecast: WAPE, bias, pinball loss, coverage.

Errors are forecast minus actual. All measures are pooled: sums over rows, then one ratio, so
that an hour with no contact needs no special care (MAPE would divide by it).
"""

from __future__ import annotations

import numpy as np

from features.calendar import Float64


def wape(actual: Float64, forecast: Float64) -> float:
    """Return the sum of absolute errors over the sum of actuals; NaN where nothing came.

    >>> wape(np.array([10.0, 30.0]), np.array([12.0, 26.0]))
    0.15
    """
    total = float(actual.sum())
    return float(np.abs(forecast - actual).sum()) / total if total > 0 else float("nan")


def bias(actual: Float64, forecast: Float64) -> float:
    """Return the sum of errors over the sum of actuals; NaN where nothing came.

    >>> bias(np.array([10.0, 30.0]), np.array([12.0, 26.0]))
    -0.05
    """
    total = float(actual.sum())
    return float((forecast - actual).sum()) / total if total > 0 else float("nan")


def pinball(actual: Float64, quantiles: Float64, levels: Float64) -> float:
    """Return the mean pinball loss over levels, summed over rows, over the sum of actuals.

    Source: Koenker and Bassett 1978; at level 0.5 alone it is half the WAPE.

    Args:
        actual: float64[n].
        quantiles: float64[n, q].
        levels: float64[q], each in (0, 1).

    >>> pinball(np.array([10.0]), np.array([[8.0, 11.0]]), np.array([0.1, 0.9]))
    0.015
    """
    total = float(actual.sum())
    loss = pinball_losses(actual, quantiles, levels).sum()
    return float(round(float(loss) / total, 12)) if total > 0 else float("nan")


def pinball_losses(actual: Float64, quantiles: Float64, levels: Float64) -> Float64:
    """Return the pinball loss of each row, the mean over levels, float64[n]."""
    short = actual[:, None] - quantiles
    losses: Float64 = np.maximum(levels * short, (levels - 1) * short).mean(axis=1)
    return losses


def coverage(actual: Float64, low: Float64, high: Float64) -> float:
    """Return the share of rows within [low, high]; NaN where there is no row.

    >>> coverage(np.array([1.0, 5.0]), np.array([0.0, 0.0]), np.array([2.0, 4.0]))
    0.5
    """
    if len(actual) == 0:
        return float("nan")
    return float(((actual >= low) & (actual <= high)).mean())
