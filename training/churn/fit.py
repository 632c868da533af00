"""One churn fit at one moment, from what was known then: learn, calibrate, learn again on all.

The base rate swings with the season by more than customers differ, so each date gets its own
intercept: the learners see only who churns *among the customers of a date*. The level of the
months ahead is then set from the dates' intercepts and from the pace of purchases expected.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import lightgbm as lgb
import numpy as np

from features.calendar import Float64
from features.errors import TooLittleDataError
from serving.models.churn.derived import DERIVED, Derived
from serving.models.churn.linear import LinearScore
from training.churn.btyd import fit_btyd
from training.churn.config import ChurnConfig
from training.churn.data import PURCHASES, RECENCY, AsOf, History
from training.churn.level import Level, carried, level_ahead, level_carried, level_of
from training.churn.linear import fit_linear, newton
from training.churn.plain import log_odds, plain_outlook

SLOPE_RANGE = (0.5, 1.5)
_LINEAR_ROWS = 100_000
LINEAR_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
_MONOTONE = {f"{PURCHASES}_": -1, RECENCY: 1, "btyd_": -1, "silence_": 1}
"""Prefixes of feature names in which the risk is known to fall or rise."""


@dataclass(frozen=True)
class Learners:
    """The two fitted scores, in log-odds without a level.

    Attributes:
        names: The features that they are asked with.
        derived: What they see beside them.
        linear: The logistic regression.
        booster: The boosted trees.
    """

    names: tuple[str, ...]
    derived: Derived
    linear: LinearScore
    booster: lgb.Booster

    def raw(self, features: Float64) -> tuple[Float64, Float64]:
        """Return the linear and the boosted score of each row, float64[n] each."""
        known = self.derived.joined(features, names=self.names)
        line = self.linear.grouped(known, groups=np.ones((known.shape[1], 1)))[:, 0]
        return line, np.asarray(self.booster.predict(known, raw_score=True, num_threads=1))


@dataclass(frozen=True)
class Fitted:
    """A fit at one moment.

    Attributes:
        at: The moment; nothing known later was looked at.
        learners: Fitted on every date with complete labels.
        linear_weight: Share of the linear score in the blend.
        slope: Calibration slope.
        ridge: Penalty on the weights of the logistic regression.
        level: Calibration intercept.
        learnt: Dates that the held-out learners saw, the most recent first; empty where history
            was too short to hold anything out.
        calibrated: Dates that blend and slope were chosen on.
        dates: All dates that the final learners saw.
    """

    at: datetime
    learners: Learners
    linear_weight: float
    slope: float
    ridge: float
    level: Level
    learnt: tuple[datetime, ...]
    calibrated: tuple[datetime, ...]
    dates: tuple[datetime, ...]

    def blend(self, features: Float64) -> Float64:
        """Return the calibrated log-odds without the level, float64[n]."""
        return self.slope * _blend(self.learners.raw(features), self.linear_weight)


def fit_at(
    history: History, at: datetime, *, features: Float64, population: int, config: ChurnConfig
) -> Fitted:
    """Fit the model that could have been made at a moment.

    Args:
        history: Dates and season; only what was complete at ``at`` is used.
        at: The moment, aware UTC.
        features: Features of the customers that will be judged then, perhaps of a sample of them,
            float64[n, k].
        population: How many they are.
        config: Sizes.

    Raises:
        TooLittleDataError: No labels were complete, or they are of one class.
    """
    dates = history.before(at)
    if not dates:
        raise TooLittleDataError(
            f"churn fit at {at:%Y-%m-%d}",
            got="no date with complete labels",
            expected=f"at least {config.least_history_days} days of purchases before it",
            remedy="load a longer history of `purchases`, or set a shorter `horizon_days`",
        )
    check_classes(dates, what=f"churn fit at {at:%Y-%m-%d}")
    learn, calibrate = split(dates, history=history, config=config)
    weight, slope, ridge = 0.5, 1.0, config.ridges[0]
    if learn:
        # Nothing that the held-out learners see was unknown when the first held-out date began.
        derived = derived_at(history, calibrate[-1].at, config=config)
        ridge = best_ridge(learn, calibrate, derived=derived, names=history.names, config=config)
        held_out = learn_from(
            learn, derived=derived, names=history.names, ridge=ridge, config=config
        )
        weight, slope = calibrated([(held_out.raw(d.features), d.churned) for d in calibrate])
    derived = derived_at(history, at, config=config)
    learners = learn_from(
        dates,
        derived=derived,
        names=history.names,
        ridge=ridge,
        config=config,
    )
    return Fitted(
        at=at,
        learners=learners,
        linear_weight=weight,
        slope=slope,
        ridge=ridge,
        level=_level(
            history,
            at,
            lambda some: slope * _blend(learners.raw(some), weight),
            learners=learners,
            features=features,
            population=population,
            config=config,
        ),
        learnt=tuple(date.at for date in learn),
        calibrated=tuple(date.at for date in calibrate),
        dates=tuple(date.at for date in dates),
    )


def _level(
    history: History,
    at: datetime,
    blend: Callable[[Float64], Float64],
    *,
    learners: Learners,
    features: Float64,
    population: int,
    config: ChurnConfig,
) -> Level:
    dates, scores = history.before(at), blend(features)
    if config.definition == "contract":
        levels = [level_of(blend(date.features), date.base_rate) for date in dates]
        rate = float(np.mean(1 / (1 + np.exp(-(scores + carried(levels))))))
        return level_carried(dates, levels, rate=rate)
    return level_ahead(
        dates,
        scores,
        plain=plain_outlook(
            learners.derived.btyd, features, names=history.names, ahead_days=config.horizon_days
        ),
        recent=history.surprise(at),
        pace_ahead=history.pace_ahead(at, population=population),
    )


def split(
    dates: Sequence[AsOf], *, history: History, config: ChurnConfig
) -> tuple[tuple[AsOf, ...], tuple[AsOf, ...]]:
    """Split dates into those to learn from and later ones to calibrate on, a horizon between.

    Takes as many of the most recent dates to calibrate on as leave one to learn from; none of
    either where not even one does.
    """
    for count in range(min(config.calibrate_dates, len(dates)), 0, -1):
        calibrate = tuple(dates[:count])
        learn = tuple(d for d in dates if d.at + history.horizon <= calibrate[-1].at)
        if learn and _two_classes(learn) and all(_two_classes([d]) for d in calibrate):
            return learn, calibrate
    return (), ()


def check_classes(dates: Sequence[AsOf], *, what: str) -> None:
    """Refuse labels of one class.

    Raises:
        TooLittleDataError: All customers of the dates churned, or none.
    """
    if not _two_classes(dates):
        rate = float(np.mean(np.concatenate([date.churned for date in dates])))
        raise TooLittleDataError(
            what,
            got=f"a share of {rate:.0%} churned at every date",
            expected="customers who churned and customers who did not",
            remedy="check that `purchases` reaches up to the as-of and beyond one purchase each, "
            "or set another `horizon_days`",
        )


def _two_classes(dates: Sequence[AsOf]) -> bool:
    churned = np.concatenate([date.churned for date in dates])
    return bool(churned.min() < churned.max())


def derived_at(history: History, at: datetime, *, config: ChurnConfig) -> Derived:
    """Return what the learners see beside the features, as known at a moment."""
    return Derived(fit_btyd(history.histories[at]), float(config.horizon_days))


def learn_from(
    dates: Sequence[AsOf],
    *,
    derived: Derived,
    names: Sequence[str],
    ridge: float,
    config: ChurnConfig,
) -> Learners:
    """Fit both learners on some dates, each with its own intercept."""
    features, churned, which, offset = _rows(dates, derived=derived, names=names)
    return Learners(
        names=tuple(names),
        derived=derived,
        linear=fit_linear(*_some(features, churned, which), ridge=ridge),
        booster=_fit_trees(
            features, churned, offset=offset, names=(*names, *DERIVED), config=config
        ),
    )


def best_ridge(
    learn: Sequence[AsOf],
    calibrate: Sequence[AsOf],
    *,
    derived: Derived,
    names: Sequence[str],
    config: ChurnConfig,
) -> float:
    """Return the penalty of the least log loss on later dates, their own level given."""
    features, churned, which, _ = _rows(learn, derived=derived, names=names)
    some = _some(features, churned, which)

    def loss(ridge: float) -> float:
        linear = fit_linear(*some, ridge=ridge)
        found = 0.0
        for date in calibrate:
            known = derived.joined(date.features, names=names)
            line = linear.grouped(known, groups=np.ones((known.shape[1], 1)))[:, 0]
            found += _loss(line, date.churned)
        return found

    return min(config.ridges, key=loss)


def _rows(
    dates: Sequence[AsOf], *, derived: Derived, names: Sequence[str]
) -> tuple[Float64, Float64, Any, Float64]:
    """Return what the learners see, the labels, each row's date and its date's log-odds."""
    usable = [date for date in dates if _two_classes([date])]
    features = np.concatenate([derived.joined(date.features, names=names) for date in usable])
    churned = np.concatenate([date.churned for date in usable])
    which = np.repeat(np.arange(len(usable)), [len(date.churned) for date in usable])
    offset = np.array([log_odds(date.base_rate) for date in usable])[which]
    return features, churned, which, offset


def _some(features: Float64, churned: Float64, which: Any) -> tuple[Float64, Float64, Any]:
    """Return every so many-th row: a few hundred weights need no more."""
    step = 1 + len(features) // _LINEAR_ROWS
    return features[::step], churned[::step], which[::step]


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
        "monotone_constraints": [monotone(name) for name in names],
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


def monotone(name: str) -> int:
    """Return 1 where the risk is known to rise with a feature, -1 where it falls, else 0.

    >>> monotone("purchases_90d"), monotone("handle_seconds_90d")
    (-1, 0)
    """
    return next((sign for prefix, sign in _MONOTONE.items() if name.startswith(prefix)), 0)


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
        blend = np.concatenate([_blend(raw, weight) for raw, _ in parts])
        slopes, _ = newton(blend[:, None], churned, which=which, ridge=1e-6)
        slope = float(np.clip(slopes[0], *SLOPE_RANGE))
        loss = sum(_loss(slope * _blend(raw, weight), y) for raw, y in parts)
        best = min(best, (loss, weight, slope))
    return best[1], best[2]


def _blend(raw: tuple[Float64, Float64], linear_weight: float) -> Float64:
    return linear_weight * raw[0] + (1 - linear_weight) * raw[1]


def _loss(score: Float64, churned: Float64) -> float:
    log_odds = score + level_of(score, float(churned.mean()))
    return float(np.sum(np.logaddexp(0, log_odds) - churned * log_odds))
