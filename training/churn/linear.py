"""The logistic regression: a ridge on standardised, log-scaled features, an intercept a date."""

from __future__ import annotations

from typing import Any

import numpy as np

from features.calendar import Float64
from serving.models.churn.linear import LinearScore, log_scaled

_NEWTON_STEPS = 30


def fit_linear(features: Float64, churned: Float64, which: Any, *, ridge: float) -> LinearScore:
    """Fit a ridge logistic regression with a free intercept a date, by Newton's method.

    Args:
        features: float64[n, k], NaN where missing.
        churned: 0 or 1, float64[n].
        which: Index of each row's date, int64[n].
        ridge: Penalty: half of it times the sum of squared weights is added to the loss.
    """
    k = features.shape[1]
    blank = blank_linear(features)
    design = np.hstack(blank.design(features))
    # A column that never moves has no weight to learn, and most centres lack some data.
    moving = np.flatnonzero(np.ptp(design, axis=0) > 1e-9)
    found = np.zeros(2 * k)
    found[moving], _ = newton(design[:, moving], churned, which=which, ridge=ridge)
    return LinearScore(
        mean=blank.mean,
        scale=blank.scale,
        weight=found[:k],
        missing_share=blank.missing_share,
        missing_weight=found[k:],
    )


def blank_linear(features: Float64) -> LinearScore:
    """Return weights of zero, scaled for some rows.

    Args:
        features: float64[n, k], NaN where missing.
    """
    missing = np.isnan(features)
    scaled = log_scaled(features)
    seen = np.maximum((~missing).sum(axis=0), 1)
    mean = np.where(missing, 0.0, scaled).sum(axis=0) / seen
    spread = np.sqrt((np.where(missing, 0.0, scaled - mean) ** 2).sum(axis=0) / seen)
    k = features.shape[1]
    return LinearScore(
        mean=mean,
        scale=np.where(spread > 1e-9, spread, 1.0),
        weight=np.zeros(k),
        missing_share=missing.mean(axis=0),
        missing_weight=np.zeros(k),
    )


def newton(
    design: Float64, churned: Float64, *, which: Any, ridge: float
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
    weights = np.zeros(whole.shape[1])
    for _ in range(_NEWTON_STEPS):
        p = 1 / (1 + np.exp(-(whole @ weights)))
        gradient = whole.T @ (churned - p) - penalty * weights
        hessian = (whole * (p * (1 - p))[:, None]).T @ whole + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        largest = float(np.abs(step).max())
        # Far from the optimum a full step can overshoot into where the curvature vanishes.
        weights += step * min(1.0, 2.0 / (largest + 1e-12))
        if largest < 1e-6:
            break
    return weights[:m], weights[m:]
