"""The base rate of the months ahead: the intercept of the calibrated log-odds.

How many customers buy again within a horizon moves with the season by more than any model of
single customers can know. It is set here, for a whole date at once, from past dates' intercepts
and from the pace of purchases that last year's same weeks lead to expect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from features.calendar import Float64
from training.churn.data import AsOf

PACE_PRIOR = -1.4
"""Log-odds of churn for each unit of log pace: the slope of log(p / (1 - p)) where customers buy
as a Poisson process and half of them churn, p = exp(-rate × horizon)."""
PACE_PRIOR_WEIGHT = 0.25
"""Sum of squares of log pace at which the data weigh as much as the prior."""


@dataclass(frozen=True)
class Level:
    """The intercept for the months ahead, and where it comes from.

    Attributes:
        value: Log-odds.
        pace_slope: Log-odds for each unit of log pace.
        pace_ahead: The pace expected; None where history is shorter than a year.
        by_date: Intercept of each date learnt from, with its pace.
    """

    value: float
    pace_slope: float
    pace_ahead: float | None
    by_date: tuple[tuple[datetime, float, float | None], ...]


def level_of(score: Float64, rate: float) -> float:
    """Return the intercept at which the mean probability equals a rate, by bisection.

    >>> round(level_of(np.array([2.0, 2.0]), 0.5), 6)
    -2.0
    """
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        if float(np.mean(1 / (1 + np.exp(-np.clip(middle + score, -500, 500))))) < rate:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def level_ahead(
    dates: Sequence[AsOf], levels: Sequence[float], *, pace_ahead: float | None
) -> Level:
    """Return the level for the months ahead.

    Each date's level is explained by its pace of purchases, with a slope that is shrunk to the
    one of Poisson buyers. What the pace leaves unexplained, and all of it where no year of
    history tells the pace ahead, is taken half from the most recent date and half from the mean.

    Args:
        dates: Dates learnt from, the most recent first.
        levels: The level of each.
        pace_ahead: The pace expected; None where it cannot be.
    """
    level = np.array(levels)
    slope, pace = 0.0, np.zeros(len(level))
    known = [date.pace for date in dates if date.pace is not None]
    if pace_ahead is not None and len(known) == len(dates):
        pace = np.array(known)
        centred = pace - pace.mean()
        slope = float(
            (centred @ (level - level.mean()) + PACE_PRIOR_WEIGHT * PACE_PRIOR)
            / (centred @ centred + PACE_PRIOR_WEIGHT)
        )
    rest = level - slope * pace
    value = slope * (pace_ahead or 0.0) + 0.5 * rest[0] + 0.5 * rest.mean()
    return Level(
        value=float(value),
        pace_slope=slope,
        pace_ahead=pace_ahead,
        by_date=tuple((d.at, float(x), d.pace) for d, x in zip(dates, level, strict=True)),
    )
