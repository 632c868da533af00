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
from scipy.special import expit

from features.arrays import Float64
from features.errors import TooLittleDataError
from serving.models.churn.learners import BuyTillYouDie, log_odds
from serving.models.shrinkage import shrink
from training.config import ChurnConfig
from training.models.churn.btyd import BtydOutlook, plain_outlook
from training.models.churn.history import GridDate, History
from training.models.churn.learners import (
    Learners,
    _blend,
    calibrated,
    derived_at,
    fit_learners,
    intercept_for_rate,
)


@dataclass(frozen=True)
class Level:
    """The intercept for the months ahead, and where it comes from.

    Attributes:
        value: Log-odds: the mean probability of the population is ``rate`` with it.
        rate: Share expected to churn.
        plain_rate: The same as the buy-till-you-die model expects it, which knows no season.
        surprise: Log-odds that were added to it.
        pace_slope: Log-odds for each unit of log pace.
        pace_ahead: The pace expected; None where history is shorter than a year.
        by_date: Base rate of each date learnt from, the plain rate and its pace.
    """

    value: float
    rate: float
    plain_rate: float
    surprise: float
    pace_slope: float
    pace_ahead: float | None
    by_date: tuple[tuple[datetime, float, float, float | None], ...]


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


def _check_dates(dates: Sequence[GridDate], at: datetime, *, config: ChurnConfig) -> None:
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
        levels = [intercept_for_rate(blend(date.features), date.base_rate) for date in dates]
        return level_carried(dates, levels, scores)
    return level_ahead(
        dates,
        scores,
        plain=plain_outlook(btyd, features, names=history.names, ahead_days=config.horizon_days),
        recent=history.surprise(at),
        pace_ahead=history.pace_ahead(at, population=population),
    )


def split(
    dates: Sequence[GridDate], *, history: History, config: ChurnConfig
) -> tuple[tuple[GridDate, ...], tuple[GridDate, ...]]:
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


PACE_PRIOR = -1.0
"""Log-odds of churn for each unit of log pace. It is -1.4 where all buy at one rate and half of
them churn, p = exp(-rate x horizon), and less where rates differ."""
PACE_PRIOR_WEIGHT = 0.25
"""Sum of squares of log pace at which the data weigh as much as the prior."""
RECENT_SHARE = 0.5
"""What of the latest surprise is expected to last over the horizon."""


def level_ahead(
    dates: Sequence[GridDate],
    scores: Float64,
    *,
    plain: BtydOutlook,
    recent: float | None,
    pace_ahead: float | None,
) -> Level:
    """Return the level for the months ahead.

    A level carried over from the last complete labels is a horizon old, and drifts with how far
    histories reach back. So the buy-till-you-die model of today, which needs no labels, says the
    rate that an average season would bring. By how much past rates differed from what it said then
    is explained by how much brisker purchases were than it expected; what last year's same weeks
    lead to expect is put in for the months ahead. Without a year of history, half of how it erred
    over the last weeks counts.

    The first of ``dates`` is the most recent; ``scores`` are log-odds without a level, float64[n].
    """
    slope, surprise = 0.0, RECENT_SHARE * (recent or 0.0)
    errors = [error for date in dates if (error := _errors(date)) is not None]
    if pace_ahead is not None and errors:
        miss, brisk = np.array(errors).T
        centred = brisk - brisk.mean()
        slope = shrink(
            float(centred @ (miss - miss.mean())),
            weight=float(centred @ centred),
            prior=PACE_PRIOR,
            prior_weight=PACE_PRIOR_WEIGHT,
        )
        rest = miss - slope * brisk
        surprise = slope * (pace_ahead - plain.pace) + 0.5 * rest[0] + 0.5 * rest.mean()
    rate = float(expit(log_odds(plain.rate) + surprise))
    return Level(
        value=intercept_for_rate(scores, rate),
        rate=rate,
        plain_rate=plain.rate,
        surprise=float(surprise),
        pace_slope=slope,
        pace_ahead=pace_ahead,
        by_date=tuple(
            (d.at, d.base_rate, d.plain.rate if d.plain else math.nan, d.pace) for d in dates
        ),
    )


def level_carried(dates: Sequence[GridDate], levels: Sequence[float], scores: Float64) -> Level:
    """Return the level of past dates, carried over: half the most recent one's, half the mean.

    For contracts, whose scores hold the ends of their terms: no season of purchases moves them.
    The first of ``dates`` and ``levels`` is the most recent; ``scores`` are as for ``level_ahead``.
    """
    level = float(0.5 * levels[0] + 0.5 * np.mean(levels))
    rate = float(expit(scores + level).mean())
    return Level(
        value=level,
        rate=rate,
        plain_rate=rate,
        surprise=0.0,
        pace_slope=0.0,
        pace_ahead=None,
        by_date=tuple((date.at, date.base_rate, date.base_rate, None) for date in dates),
    )


def _errors(date: GridDate) -> tuple[float, float] | None:
    """Return by how much the rate, in log-odds, and the pace, in logs, exceeded the plain ones."""
    if date.plain is None or date.pace is None:
        return None
    return log_odds(date.base_rate) - log_odds(date.plain.rate), date.pace - date.plain.pace
