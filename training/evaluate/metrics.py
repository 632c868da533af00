"""How good probabilities, means and quantiles are, by scikit-learn's metrics where it has them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics

from features.arrays import Float64
from features.errors import TooLittleDataError
from serving.models.volume.distribution import pinball_losses

BINS = 10


@dataclass(frozen=True)
class ChurnMetrics:
    """Figures of one set of probabilities against what happened.

    Attributes:
        auc: Chance that a churner is ranked above a stayer, ties counted half; 0.5 is blind.
        average_precision: Mean precision over the churners from the highest probability down.
        top_decile_lift: Churn rate in the tenth of highest probability over the base rate.
        log_loss: Mean negative log likelihood, in nats.
        base_log_loss: The same when everyone gets the base rate that came true.
        ece: Expected calibration error over ten bins of equal size.
        base_rate: Share that churned.
    """

    auc: float
    average_precision: float
    top_decile_lift: float
    log_loss: float
    base_log_loss: float
    ece: float
    base_rate: float
    mean_probability: float
    customers: int

    def flat(self) -> dict[str, Any]:
        """Return the figures by name."""
        return asdict(self)


def evaluate(churned: Float64, probability: Float64) -> ChurnMetrics:
    """Measure probabilities, in [0, 1], float64[n], by what happened, 0 or 1, float64[n].

    Raises:
        TooLittleDataError: All customers churned, or none: ranking has no meaning.
    """
    rate = float(churned.mean()) if len(churned) else float("nan")
    if not 0 < rate < 1:
        raise TooLittleDataError(
            "churn labels to measure on",
            got=f"{len(churned)} customers, a share of {rate} churned",
            expected="customers who churned and customers who did not",
            remedy="measure at another date",
        )
    top = np.argsort(-probability, kind="stable")[: max(1, round(len(churned) / 10))]
    off_the_ends = np.clip(probability, 1e-12, 1 - 1e-12)
    return ChurnMetrics(
        auc=float(metrics.roc_auc_score(churned, probability)),
        average_precision=float(metrics.average_precision_score(churned, probability)),
        top_decile_lift=float(churned[top].mean()) / rate,
        log_loss=float(metrics.log_loss(churned, off_the_ends)),
        base_log_loss=float(metrics.log_loss(churned, np.full(len(churned), rate))),
        ece=expected_calibration_error(churned, probability),
        base_rate=rate,
        mean_probability=float(probability.mean()),
        customers=len(churned),
    )


def expected_calibration_error(churned: Float64, probability: Float64) -> float:
    """Return the mean distance of probability and outcome over ten bins of equal size.

    >>> expected_calibration_error(np.array([1.0, 0.0]), np.array([0.75, 0.25]))
    0.25
    """
    table = reliability(churned, probability)
    distance = (table["mean_probability"] - table["churn_rate"]).abs()
    return float((distance * table["customers"]).sum() / table["customers"].sum())


def reliability(churned: Float64, probability: Float64) -> pd.DataFrame:
    """Return mean probability and outcome in ten bins of equal size, the lowest first.

    Returns:
        Columns ``mean_probability``, ``churn_rate``, ``customers``.
    """
    order = np.argsort(probability, kind="stable")
    bins = [part for part in np.array_split(order, BINS) if len(part)]
    return pd.DataFrame(
        {
            "mean_probability": [float(probability[part].mean()) for part in bins],
            "churn_rate": [float(churned[part].mean()) for part in bins],
            "customers": [len(part) for part in bins],
        }
    )


def lift(churned: Float64, probability: Float64) -> pd.DataFrame:
    """Return what contacting the highest probabilities first would reach.

    Returns:
        Columns ``contacted`` (share of customers, 0.05 to 1), ``lift`` (churn rate among them
        over the base rate) and ``reached`` (share of all churners).
    """
    order = np.argsort(-probability, kind="stable")
    shares = np.arange(1, 21) / 20
    counts = np.maximum(1, np.round(shares * len(order)).astype(int))
    hits = np.cumsum(churned[order])[counts - 1]
    return pd.DataFrame(
        {
            "contacted": shares,
            "lift": hits / counts / churned.mean(),
            "reached": hits / churned.sum(),
        }
    )


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


def coverage(actual: Float64, low: Float64, high: Float64) -> float:
    """Return the share of rows within [low, high]; NaN where there is no row.

    >>> coverage(np.array([1.0, 5.0]), np.array([0.0, 0.0]), np.array([2.0, 4.0]))
    0.5
    """
    if len(actual) == 0:
        return float("nan")
    return float(((actual >= low) & (actual <= high)).mean())
