"""One churn fit at one moment, from what was known then: learn, calibrate, learn again on all.

The base rate swings with the season by more than customers differ, so each date has its own
intercept; the level of the months ahead is set from these and from the expected purchases.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from features.calendar import Float64
from features.errors import TooLittleDataError
from serving.models.churn.btyd import BuyTillYouDie
from serving.models.churn.derived import Derived
from training.churn.config import ChurnConfig
from training.churn.data import AsOf, History
from training.churn.learners import Learners, fit_learners, log_loss_at_own_level
from training.churn.level import Level, level_ahead, level_carried
from training.churn.linear import level_of, newton
from training.churn.plain import plain_outlook

SLOPE_RANGE = (0.5, 1.5)
LINEAR_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Fitted:
    """A fit at one moment; nothing known later was looked at.

    Attributes:
        learners: Fitted on every date with complete labels.
        learnt: Dates that the held-out learners saw, the most recent first; empty where history
            was too short to hold anything out.
        calibrated: Dates that blend and slope were chosen on.
        dates: All dates that the final learners saw.
    """

    at: datetime
    learners: Learners
    linear_weight: float
    slope: float
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

    ``features``, float64[n, k], are of the ``population`` customers that will be judged then, or
    of a sample of them.

    Raises:
        TooLittleDataError: No labels were complete, or they are of one class.
    """
    dates = history.before(at)
    _check_dates(dates, at, config=config)
    learn, calibrate = split(dates, history=history, config=config)
    weight, slope, ridge = 0.5, 1.0, config.ridges[0]
    if learn:
        held_out = fit_learners(
            [date for date in learn if date.both_classes],
            # Nothing that they see was unknown when the first held-out date began.
            derived=derived_at(history, calibrate[-1].at, config=config),
            names=history.names,
            ridges=config.ridges,
            config=config,
            later=calibrate,
        )
        ridge = held_out.ridge
        weight, slope = calibrated([(held_out.raw(d.features), d.churned) for d in calibrate])
    learners = fit_learners(
        [date for date in dates if date.both_classes],
        derived=derived_at(history, at, config=config),
        names=history.names,
        ridges=(ridge,),
        config=config,
    )
    return Fitted(
        at=at,
        learners=learners,
        linear_weight=weight,
        slope=slope,
        level=_level(
            history,
            at,
            lambda rows: slope * _blend(learners.raw(rows), weight),
            btyd=learners.derived.btyd,
            features=features,
            population=population,
            config=config,
        ),
        learnt=tuple(date.at for date in learn),
        calibrated=tuple(date.at for date in calibrate),
        dates=tuple(date.at for date in dates),
    )


def _check_dates(dates: Sequence[AsOf], at: datetime, *, config: ChurnConfig) -> None:
    if not dates:
        raise TooLittleDataError(
            f"churn fit at {at:%Y-%m-%d}",
            got="no date with complete labels",
            expected=f"at least {config.least_history_days} days of purchases before it",
            remedy="load a longer history of `purchases`, or set a shorter `horizon_days`",
        )
    if not any(date.both_classes for date in dates):
        churned = np.concatenate([date.churned for date in dates])
        raise TooLittleDataError(
            f"churn fit at {at:%Y-%m-%d}",
            got=f"a share of {churned.mean():.0%} churned at every date",
            expected="customers who churned and customers who did not",
            remedy="check that `purchases` reaches up to the as-of and beyond one purchase each, "
            "or set another `horizon_days`",
        )


def _level(
    history: History,
    at: datetime,
    blend: Callable[[Float64], Float64],
    *,
    btyd: BuyTillYouDie,
    features: Float64,
    population: int,
    config: ChurnConfig,
) -> Level:
    dates, scores = history.before(at), blend(features)
    if config.definition == "contract":
        levels = [level_of(blend(date.features), date.base_rate) for date in dates]
        return level_carried(dates, levels, scores)
    return level_ahead(
        dates,
        scores,
        plain=plain_outlook(btyd, features, names=history.names, ahead_days=config.horizon_days),
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
        if all(d.both_classes for d in calibrate) and any(d.both_classes for d in learn):
            return learn, calibrate
    return (), ()


def derived_at(history: History, at: datetime, *, config: ChurnConfig) -> Derived:
    """Return what the learners see beside the features, as known at a moment."""
    return Derived(history.btyd[at], float(config.horizon_days))


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
