"""The logistic regression: a ridge on standardised, log-scaled features, an intercept a date."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from features.calendar import Float64, Int64
from serving.models.churn.linear import LinearScore, log_scaled

_LARGEST_LEVEL = 30.0


def fit_linear(features: Float64, churned: Float64, which: Int64, *, ridge: float) -> LinearScore:
    """Fit a ridge logistic regression with a free intercept a date, by Newton's method.

    ``features`` is float64[n, k], NaN where missing; the rest as for ``newton``.
    """
    k = features.shape[1]
    blank = blank_linear(features)
    weights = moving_weights(
        np.hstack(blank.design(features)),
        lambda design: newton(design, churned, which=which, ridge=ridge)[0],
    )
    return replace(blank, weight=weights[:k], missing_weight=weights[k:])


def moving_weights(design: Float64, fit: Callable[[Float64], Float64]) -> Float64:
    """Fit weights of the columns that vary, float64[m]; a constant column's is 0.

    A column that never moves has no weight to learn, and most centres lack some data.
    """
    moving = np.flatnonzero(np.ptp(design, axis=0) > 1e-9)
    weights = np.zeros(design.shape[1])
    weights[moving] = fit(design[:, moving])
    return weights


def blank_linear(features: Float64) -> LinearScore:
    """Return weights of zero, scaled for features float64[n, k], NaN where missing."""
    missing = np.isnan(features)
    scaled = log_scaled(features)
    known = np.maximum((~missing).sum(axis=0), 1)
    mean = np.where(missing, 0.0, scaled).sum(axis=0) / known
    spread = np.sqrt((np.where(missing, 0.0, scaled - mean) ** 2).sum(axis=0) / known)
    k = features.shape[1]
    return LinearScore(
        mean=mean,
        scale=np.where(spread > 1e-9, spread, 1.0),
        weight=np.zeros(k),
        missing_share=missing.mean(axis=0),
        missing_weight=np.zeros(k),
    )


def newton(
    design: Float64, churned: Float64, *, which: Int64, ridge: float
) -> tuple[Float64, Float64]:
    """Fit a logistic regression with a ridge on the weights and a free intercept a date.

    Args:
        design: float64[n, m].
        churned: 0 or 1, float64[n].
        which: Index of each row's date, int64[n].
        ridge: Half of it times the sum of squared weights is added to the loss.

    Returns:
        Weights float64[m] and intercepts float64[dates].
    """
    m = design.shape[1]
    dates = which[:, None] == np.arange(int(which.max()) + 1)
    whole = np.hstack([design, dates.astype(float)])
    penalty = np.r_[np.full(m, ridge), np.full(dates.shape[1], 1e-6)]

    def slope_and_curve(weights: Float64) -> tuple[Float64, Float64]:
        p = expit(whole @ weights)
        return whole.T @ (churned - p), p * (1 - p)

    weights = newton_weights(whole, slope_and_curve, penalty=penalty, largest_step=2.0)
    return weights[:m], weights[m:]


def newton_weights(
    design: Float64,
    slope_and_curve: Callable[[Float64], tuple[Float64, Float64]],
    *,
    penalty: Float64,
    largest_step: float,
    steps: int = 30,
) -> Float64:
    """Return the weights of greatest penalised likelihood, float64[m], by Newton's method.

    Args:
        design: float64[n, m].
        slope_and_curve: From weights to the slope of the log likelihood, float64[m], and the
            curvature that each row adds, float64[n].
        penalty: Of each weight's square, halved, float64[m].
        largest_step: Far from the optimum a full step can overshoot into where the curvature
            vanishes, so no weight moves by more at once.
        steps: Most steps.
    """
    weights = np.zeros(design.shape[1])
    for _ in range(steps):
        slope, curve = slope_and_curve(weights)
        hessian = (design * curve[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(hessian, slope - penalty * weights)
        largest = float(np.abs(step).max())
        weights += step * min(1.0, largest_step / (largest + 1e-12))
        if largest < 1e-6:
            break
    return weights


def level_of(score: Float64, rate: float) -> float:
    """Return the intercept, in [-30, 30], at which the mean probability equals a rate.

    >>> round(level_of(np.array([2.0, 2.0]), 0.5), 6)
    -2.0
    """

    def miss(level: float) -> float:
        return float(expit(level + score).mean()) - rate

    if miss(-_LARGEST_LEVEL) * miss(_LARGEST_LEVEL) >= 0:
        return math.copysign(_LARGEST_LEVEL, rate - 0.5)
    return float(brentq(miss, -_LARGEST_LEVEL, _LARGEST_LEVEL, xtol=1e-14, rtol=1e-15))
