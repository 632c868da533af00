"""What outcomes are adjusted for: features known before the decision (CUPED).

The arm cannot have moved them, so they take away noise and no effect (Deng, Xu, Kohavi and Walker,
2013). The list is fixed: choosing it by the outcomes would be a search for a good result.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import linalg

from features.calendar import Bool, Float64
from training.experiments.sample import Sample

PROBABILITY = "churn_probability"
"""Name of the churn probability at the decision, beside the features."""
ADJUSTED_FOR = (
    PROBABILITY,
    "spend_minor_90d",
    "purchases_90d",
    "purchase_recency_days",
    "spend_minor_365d",
    "purchases_365d",
    "gap_days_mean",
    "tenure_days",
    "contacts_90d",
)
"""Features that outcomes are adjusted for, the first first where there are few customers."""
MONEY = "spend_minor_90d"
CUSTOMERS_A_COLUMN = 20
"""Customers of the smaller arm for each column, so that the adjustment costs less than it gives."""
_CAP = 0.99
_LEAST_NEW = 1e-3
"""Spread of what a column adds to the others, in its own, below which it is left out."""


def adjusters(sample: Sample) -> tuple[Float64, tuple[str, ...]]:
    """Return what to adjust for: centred columns, and the features they are of.

    Each feature stands as its signed logarithm; money of the last 90 days also as it is, capped
    at its 99th percentile, since money ahead is in proportion to it. A missing value is the mean,
    and a column says where it is missing. What repeats other columns is left out.

    Returns:
        float64[n, k], and the names.
    """
    most = sample.smaller_arm() // CUSTOMERS_A_COLUMN
    columns: list[Float64] = []
    used: list[str] = []
    for name in ADJUSTED_FOR:
        values = sample.column(name)
        if values is None or np.isnan(values).all():
            continue
        for column in _columns(name, values):
            if len(columns) < most:
                columns.append(column)
                used.append(name)
    found = independent(columns, treated=sample.treated)
    return found, tuple(dict.fromkeys(used))


def _columns(name: str, values: Float64) -> list[Float64]:
    missing = np.isnan(values)
    filled = [signed_log(values)]
    if name == MONEY:
        filled.insert(0, np.minimum(values, np.nanquantile(values, _CAP)))
    if name == PROBABILITY:
        filled.insert(0, values)
    found = [np.where(missing, np.nanmean(column), column) for column in filled]
    return [*found, missing.astype(np.float64)] if missing.any() else found


def signed_log(values: Float64) -> Float64:
    """Return the sign times the logarithm of one plus the size.

    >>> signed_log(np.array([0.0, np.e - 1, 1 - np.e])).tolist()
    [0.0, 1.0, -1.0]
    """
    found: Float64 = np.sign(values) * np.log1p(np.abs(values))
    return found


def independent(columns: Sequence[Float64], *, treated: Bool) -> Float64:
    """Return the columns centred and scaled, without those that others give in one of the arms.

    Args:
        columns: Each float64[n].
        treated: Whether each customer was contacted, bool[n].
    """
    arms = (treated, ~treated)
    bases = [np.full((int(arm.sum()), 1), 1 / np.sqrt(max(int(arm.sum()), 1))) for arm in arms]
    kept: list[Float64] = []
    for column in columns:
        spread = float(column.std())
        if spread <= 1e-12 * max(1.0, float(np.abs(column).max())):
            continue
        scaled = (column - column.mean()) / spread
        rests = [
            scaled[arm] - basis @ (basis.T @ scaled[arm])
            for arm, basis in zip(arms, bases, strict=True)
        ]
        sizes = [float(linalg.norm(rest)) for rest in rests]
        if all(
            size > _LEAST_NEW * np.sqrt(len(rest)) for size, rest in zip(sizes, rests, strict=True)
        ):
            kept.append(scaled)
            bases = [
                np.column_stack((basis, rest / size))
                for basis, rest, size in zip(bases, rests, sizes, strict=True)
            ]
    return np.column_stack(kept) if kept else np.empty((len(treated), 0))
