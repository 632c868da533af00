"""The two learners: dates with their labels into a fitted logistic regression and boosted trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np

from features.calendar import Float64
from serving.models.churn.derived import DERIVED, Derived
from serving.models.churn.linear import LinearScore
from training.churn.config import ChurnConfig
from training.churn.data import PURCHASES, RECENCY, AsOf
from training.churn.linear import fit_linear, level_of
from training.churn.plain import log_odds

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
    dates: Sequence[AsOf],
    *,
    derived: Derived,
    names: Sequence[str],
    ridges: Sequence[float],
    config: ChurnConfig,
    later: Sequence[AsOf] = (),
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
    log_odds = score + level_of(score, float(churned.mean()))
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
