"""How well a model of some columns ranks the churners of a later date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

from features.calendar import Bool, Float64, Int64
from serving.models.churn.linear import log_scaled
from training.churn.data import RECENCY, AsOf

LEAST_ROWS = 40
"""Fewest customers of either class that a ranking is judged on."""
ROWS_A_DATE = 4_000
LEARNT_DATES = 4
_SEED = 23
_TREES = {
    "objective": "binary",
    "num_leaves": 8,
    "learning_rate": 0.08,
    "min_data_in_leaf": 30,
    "feature_fraction": 0.5,
    "lambda_l2": 5.0,
    "num_threads": 1,
    "seed": _SEED,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
_ROUNDS = 60


@dataclass(frozen=True)
class Judged:
    """A later date that columns are judged at, and the earlier ones that a model learns from.

    Attributes:
        date: The later date.
        earlier: Dates whose labels were complete by then, the most recent first.
        names: Feature names.
    """

    date: AsOf
    earlier: tuple[AsOf, ...]
    names: tuple[str, ...]

    @property
    def silent(self) -> Float64:
        """1 where the customer had been silent for long at the date, else 0, float64[n]."""
        return silent_at(self.date, self.names)


def rest_score(judged: Judged, kept: Bool) -> Float64:
    """Return the ranks of a model of some features at the date, learnt on the earlier ones.

    ``kept``: Which features it sees, bool[k].
    """
    dates = [date for date in judged.earlier[:LEARNT_DATES] if two_classes(date)]
    if not dates or not kept.any():
        return np.zeros(len(judged.date.churned))
    rows = [_some(date) for date in dates]
    features = np.concatenate([d.features[r] for d, r in zip(dates, rows, strict=True)])[:, kept]
    churned = np.concatenate([d.churned[r] for d, r in zip(dates, rows, strict=True)])
    level = np.concatenate([np.full(len(r), d.base_rate) for d, r in zip(dates, rows, strict=True)])
    offset = np.log(level / (1 - level))
    later = judged.date.features[:, kept]
    booster = lgb.train(_TREES, lgb.Dataset(features, churned, init_score=offset), _ROUNDS)
    trees = np.asarray(booster.predict(later, raw_score=True, num_threads=1))
    line = _line(features, churned, later)
    return np.asarray(rankdata(trees) + rankdata(line), dtype=np.float64)


def _line(features: Float64, churned: Float64, later: Float64) -> Float64:
    scaled, empty = log_scaled(features), np.isnan(features)
    seen = np.maximum((~empty).sum(axis=0), 1)
    mean = np.where(empty, 0.0, scaled).sum(axis=0) / seen
    spread = np.sqrt((np.where(empty, 0.0, scaled - mean) ** 2).sum(axis=0) / seen)
    spread = np.where(spread > 1e-9, spread, 1.0)

    def design(rows: Float64) -> Float64:
        gone = np.isnan(rows)
        return np.hstack([np.where(gone, 0.0, (log_scaled(rows) - mean) / spread), gone])

    model = LogisticRegression(C=0.05, solver="newton-cholesky").fit(design(features), churned)
    return np.asarray(model.decision_function(design(later)))


def silent_at(date: AsOf, names: Sequence[str]) -> Float64:
    """Return 1 where a customer had been silent for longer than half of all, else 0."""
    recency = date.features[:, names.index(RECENCY)]
    return (recency > np.nanmedian(recency)).astype(float)


def _some(date: AsOf) -> Int64:
    n = len(date.churned)
    if n <= ROWS_A_DATE:
        return np.arange(n, dtype=np.int64)
    return np.random.default_rng(_SEED).choice(n, ROWS_A_DATE, replace=False)


def two_classes(date: AsOf) -> bool:
    """Return whether some churned and some stayed."""
    return bool(date.churned.min() < date.churned.max())


def enough(date: AsOf) -> bool:
    """Return whether a ranking can be judged: enough customers of either class."""
    return bool(min(date.churned.sum(), (1 - date.churned).sum()) >= LEAST_ROWS)
