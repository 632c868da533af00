"""How well a model of some columns ranks the churners of a later date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
from scipy.special import logit
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

from features.calendar import Bool, Float64, Int64
from serving.models.churn.linear import log_scaled
from training.churn.data import RECENCY, AsOf
from training.churn.linear import blank_linear

LEAST_ROWS = 40
"""Fewest customers of either class that a ranking is judged on."""
ROWS_A_DATE = 4_000
LEARNT_DATES = 4
_SAMPLE_SEED = 23
_TREES = {
    "objective": "binary",
    "num_leaves": 8,
    "learning_rate": 0.08,
    "min_data_in_leaf": 30,
    "feature_fraction": 0.5,
    "lambda_l2": 5.0,
    "num_threads": 1,
    "seed": _SAMPLE_SEED,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
_ROUNDS = 60


@dataclass(frozen=True)
class Judged:
    """A later date that columns are judged at, and the earlier ones that a model learns from.

    Attributes:
        earlier: Dates whose labels were complete by then, the most recent first.
    """

    date: AsOf
    earlier: tuple[AsOf, ...]
    names: tuple[str, ...]

    @property
    def silent(self) -> Float64:
        """1 where the customer had been silent for long at the date, else 0, float64[n]."""
        return silent_at(self.date, self.names)


def rest_score(judged: Judged, kept: Bool) -> Float64:
    """Return the ranks of a model of the ``kept`` features, bool[k], learnt on earlier dates."""
    dates = [
        (date, _some_rows(date)) for date in judged.earlier[:LEARNT_DATES] if date.both_classes
    ]
    if not dates or not kept.any():
        return np.zeros(len(judged.date.churned))
    features = np.concatenate([date.features[rows] for date, rows in dates])[:, kept]
    churned = np.concatenate([date.churned[rows] for date, rows in dates])
    offset = np.concatenate([np.full(len(rows), logit(date.base_rate)) for date, rows in dates])
    later = judged.date.features[:, kept]
    booster = lgb.train(_TREES, lgb.Dataset(features, churned, init_score=offset), _ROUNDS)
    trees = np.asarray(booster.predict(later, raw_score=True, num_threads=1))
    line = _line(features, churned, later)
    return np.asarray(rankdata(trees) + rankdata(line), dtype=np.float64)


def _line(features: Float64, churned: Float64, later: Float64) -> Float64:
    blank = blank_linear(features)

    def design(rows: Float64) -> Float64:
        empty = np.isnan(rows)
        scaled = (log_scaled(rows) - blank.mean) / blank.scale
        return np.hstack([np.where(empty, 0.0, scaled), empty])

    model = LogisticRegression(C=0.05, solver="newton-cholesky").fit(design(features), churned)
    return np.asarray(model.decision_function(design(later)))


def silent_at(date: AsOf, names: Sequence[str]) -> Float64:
    """Return 1 where a customer had been silent for longer than half of all, else 0."""
    recency = date.features[:, names.index(RECENCY)]
    return (recency > np.nanmedian(recency)).astype(float)


def _some_rows(date: AsOf) -> Int64:
    n = len(date.churned)
    if n <= ROWS_A_DATE:
        return np.arange(n, dtype=np.int64)
    return np.random.default_rng(_SAMPLE_SEED).choice(n, ROWS_A_DATE, replace=False)


def enough(date: AsOf) -> bool:
    """Return whether a ranking can be judged: enough customers of either class."""
    return bool(min(date.churned.sum(), (1 - date.churned).sum()) >= LEAST_ROWS)
