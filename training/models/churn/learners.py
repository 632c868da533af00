"""Rows into fitted learners: the logistic regression and the boosted trees."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import lightgbm as lgb
import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from features.arrays import Float64, Int64
from serving.models.churn.learners import DERIVED, Derived, LinearScore, log_odds, log_scaled
from training.config import ChurnConfig
from training.models.churn.history import PURCHASES, RECENCY, GridDate, History

SLOPE_RANGE = (0.5, 1.5)


def calibrated(
    parts: Sequence[tuple[tuple[Float64, Float64], Float64]],
) -> tuple[float, float]:
    """Choose the share of the linear score and the slope by log loss on held-out dates.

    Args:
        parts: For each date the two raw scores and the labels; each date keeps its own level.

    Returns:
        ``(linear_weight, slope)``; the slope is kept within ``SLOPE_RANGE``.
    """
    churned = np.concatenate([y for _, y in parts])
    which = np.repeat(np.arange(len(parts)), [len(y) for _, y in parts])
    best = (math.inf, 0.5, 1.0)
    for weight in LINEAR_WEIGHTS:
        blends = [_blend(raw, weight) for raw, _ in parts]
        slopes, _ = newton(np.concatenate(blends)[:, None], churned, which=which, ridge=1e-6)
        slope = float(np.clip(slopes[0], *SLOPE_RANGE))
        loss = sum(
            log_loss_at_own_level(slope * blend, y)
            for blend, (_, y) in zip(blends, parts, strict=True)
        )
        best = min(best, (loss, weight, slope))
    return best[1], best[2]


def _blend(raw: tuple[Float64, Float64], linear_weight: float) -> Float64:
    return linear_weight * raw[0] + (1 - linear_weight) * raw[1]


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


def intercept_for_rate(score: Float64, rate: float) -> float:
    """Return the intercept, in [-30, 30], at which the mean probability equals a rate.

    >>> round(intercept_for_rate(np.array([2.0, 2.0]), 0.5), 6)
    -2.0
    """

    def miss(level: float) -> float:
        return float(expit(level + score).mean()) - rate

    if miss(-_LARGEST_LEVEL) * miss(_LARGEST_LEVEL) >= 0:
        return math.copysign(_LARGEST_LEVEL, rate - 0.5)
    return float(brentq(miss, -_LARGEST_LEVEL, _LARGEST_LEVEL, xtol=1e-14, rtol=1e-15))


_LINEAR_ROWS = 100_000
_MONOTONE = {f"{PURCHASES}_": -1, RECENCY: 1, "btyd_": -1, "silence_": 1}
"""Prefixes of feature names in which the risk is known to fall or rise."""


@dataclass(frozen=True)
class Learners:
    """The two fitted scores, in log-odds without a level."""

    names: tuple[str, ...]
    derived: Derived
    linear: LinearScore
    ridge: float
    booster: lgb.Booster

    def raw(self, features: Float64) -> tuple[Float64, Float64]:
        """Return the linear and the boosted score of each row, float64[n] each."""
        known = self.derived.joined(features, names=self.names)
        boosted = self.booster.predict(known, raw_score=True, num_threads=1)
        return self.linear.score(known), np.asarray(boosted)


def fit_learners(
    dates: Sequence[GridDate],
    *,
    derived: Derived,
    names: Sequence[str],
    ridges: Sequence[float],
    config: ChurnConfig,
    later: Sequence[GridDate] = (),
) -> Learners:
    """Fit both learners on dates that each hold both classes, each date with its own intercept.

    Of several ``ridges`` the one of least log loss on ``later`` dates is taken, their own level
    given.
    """
    features = np.concatenate([derived.joined(date.features, names=names) for date in dates])
    churned = np.concatenate([date.churned for date in dates])
    which = np.repeat(np.arange(len(dates)), [len(date.churned) for date in dates])
    offset = np.array([log_odds(date.base_rate) for date in dates])[which]
    # Every so many-th row: a few hundred weights need no more.
    step = 1 + len(features) // _LINEAR_ROWS
    some = features[::step], churned[::step], which[::step]
    lines = {ridge: fit_linear(*some, ridge=ridge) for ridge in ridges}
    judged = [(derived.joined(date.features, names=names), date.churned) for date in later]

    def loss(ridge: float) -> float:
        return sum(log_loss_at_own_level(lines[ridge].score(x), y) for x, y in judged)

    ridge = min(ridges, key=loss)
    return Learners(
        names=tuple(names),
        derived=derived,
        linear=lines[ridge],
        ridge=ridge,
        booster=_fit_trees(
            features, churned, offset=offset, names=(*names, *DERIVED), config=config
        ),
    )


def log_loss_at_own_level(score: Float64, churned: Float64) -> float:
    """Return the summed log loss, in nats, of a date's scores at the level of its own rate."""
    log_odds = score + intercept_for_rate(score, float(churned.mean()))
    return float(np.sum(np.logaddexp(0, log_odds) - churned * log_odds))


def _fit_trees(
    features: Float64,
    churned: Float64,
    *,
    offset: Float64,
    names: Sequence[str],
    config: ChurnConfig,
) -> lgb.Booster:
    parameters = {
        "objective": "binary",
        "num_leaves": config.leaves,
        "learning_rate": config.learning_rate,
        "min_data_in_leaf": config.min_leaf_customers,
        "feature_fraction": 0.2,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "lambda_l2": 200.0,
        "monotone_constraints": [_monotone(name) for name in names],
        "num_threads": config.num_threads,
        "seed": config.seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    data = lgb.Dataset(
        features, churned, init_score=offset, feature_name=list(names), free_raw_data=True
    )
    return lgb.train(parameters, data, config.trees)


def _monotone(name: str) -> int:
    """Return 1 where the risk is known to rise with a feature, -1 where it falls, else 0.

    >>> _monotone("purchases_90d"), _monotone("handle_seconds_90d")
    (-1, 0)
    """
    return next((sign for prefix, sign in _MONOTONE.items() if name.startswith(prefix)), 0)


LINEAR_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)


def derived_at(history: History, at: datetime, *, config: ChurnConfig) -> Derived:
    """Return what the learners see beside the features, as known at a moment."""
    return Derived(history.btyd[at], float(config.horizon_days))
