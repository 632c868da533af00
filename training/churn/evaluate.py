"""How good churn probabilities are: ranking, sharpness and calibration, in plain numpy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.calendar import Float64
from features.errors import TooLittleDataError

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
        mean_probability: Mean of the probabilities.
        customers: Customers measured.
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
    """Measure probabilities.

    Args:
        churned: 0 or 1, float64[n].
        probability: In [0, 1], float64[n].

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
    return ChurnMetrics(
        auc=auc(churned, probability),
        average_precision=average_precision(churned, probability),
        top_decile_lift=float(churned[top].mean()) / rate,
        log_loss=log_loss(churned, probability),
        base_log_loss=log_loss(churned, np.full(len(churned), rate)),
        ece=expected_calibration_error(churned, probability),
        base_rate=rate,
        mean_probability=float(probability.mean()),
        customers=len(churned),
    )


def auc(churned: Float64, score: Float64) -> float:
    """Return the chance that a churner scores above a stayer, ties counted half.

    >>> auc(np.array([0, 0, 1, 1.0]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    positive, negative = score[churned == 1], np.sort(score[churned == 0])
    below = np.searchsorted(negative, positive, side="left")
    upto = np.searchsorted(negative, positive, side="right")
    return float((below + upto).sum() / (2 * len(positive) * len(negative)))


def average_precision(churned: Float64, score: Float64) -> float:
    """Return the area under precision over recall, as steps; ties enter together.

    >>> round(average_precision(np.array([0, 0, 1, 1.0]), np.array([0.1, 0.4, 0.35, 0.8])), 4)
    0.8333
    """
    order = np.argsort(-score, kind="stable")
    hits, ranked = np.cumsum(churned[order]), score[order]
    last = np.r_[np.flatnonzero(np.diff(ranked)), len(ranked) - 1]
    recall = hits[last] / hits[-1]
    return float(np.sum(np.diff(np.r_[0.0, recall]) * hits[last] / (last + 1)))


def log_loss(churned: Float64, probability: Float64) -> float:
    """Return the mean negative log likelihood in nats; probabilities are kept off 0 and 1.

    >>> round(log_loss(np.array([1.0, 0.0]), np.array([0.5, 0.5])), 4)
    0.6931
    """
    p = np.clip(probability, 1e-12, 1 - 1e-12)
    return float(-np.mean(churned * np.log(p) + (1 - churned) * np.log1p(-p)))


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
