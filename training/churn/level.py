"""The base rate of the months ahead: the intercept of the calibrated log-odds.

It moves with the season by more than any model of single customers can know, so it is set for a
whole date at once, from past dates' intercepts and the pace of purchases expected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from scipy.special import expit

from features.calendar import Float64
from training.churn.data import AsOf
from training.churn.linear import level_of
from training.churn.plain import Plain, log_odds

PACE_PRIOR = -1.0
"""Log-odds of churn for each unit of log pace. It is -1.4 where all buy at one rate and half of
them churn, p = exp(-rate x horizon), and less where rates differ."""
PACE_PRIOR_WEIGHT = 0.25
"""Sum of squares of log pace at which the data weigh as much as the prior."""
RECENT_SHARE = 0.5
"""What of the latest surprise is expected to last over the horizon."""


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


def level_ahead(
    dates: Sequence[AsOf],
    scores: Float64,
    *,
    plain: Plain,
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
        slope = float(
            (centred @ (miss - miss.mean()) + PACE_PRIOR_WEIGHT * PACE_PRIOR)
            / (centred @ centred + PACE_PRIOR_WEIGHT)
        )
        rest = miss - slope * brisk
        surprise = slope * (pace_ahead - plain.pace) + 0.5 * rest[0] + 0.5 * rest.mean()
    rate = float(expit(log_odds(plain.rate) + surprise))
    return Level(
        value=level_of(scores, rate),
        rate=rate,
        plain_rate=plain.rate,
        surprise=float(surprise),
        pace_slope=slope,
        pace_ahead=pace_ahead,
        by_date=tuple(
            (d.at, d.base_rate, d.plain.rate if d.plain else math.nan, d.pace) for d in dates
        ),
    )


def level_carried(dates: Sequence[AsOf], levels: Sequence[float], scores: Float64) -> Level:
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


def _errors(date: AsOf) -> tuple[float, float] | None:
    """Return by how much the rate, in log-odds, and the pace, in logs, exceeded the plain ones."""
    if date.plain is None or date.pace is None:
        return None
    return log_odds(date.base_rate) - log_odds(date.plain.rate), date.pace - date.plain.pace
