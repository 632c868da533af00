"""What a model without seasons and labels expects of a population: the ground of its rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from features.calendar import Float64
from serving.models.churn.btyd import BuyTillYouDie, history_of


@dataclass(frozen=True)
class Plain:
    """What the buy-till-you-die model, which knows no season, expects of a population.

    Attributes:
        rate: Share that buys nothing within the horizon.
        pace: Log of the purchase days expected of a customer.
    """

    rate: float
    pace: float


def plain_outlook(
    btyd: BuyTillYouDie, features: Float64, *, names: Sequence[str], ahead_days: float
) -> Plain:
    """Return what a model expects of n customers who bought, features float64[n, k]."""
    frequency, last, age = history_of(features, names=names).T
    silent = btyd.p_silent(frequency, last, age, ahead_days)
    ahead = btyd.expected_purchases(frequency, last, age, ahead_days)
    return Plain(rate=float(silent.mean()), pace=math.log(max(float(ahead.mean()), 1e-12)))


def log_odds(rate: float) -> float:
    """Return the log-odds of a share, which is kept off 0 and 1.

    >>> log_odds(0.5)
    0.0
    """
    return float(logit(np.clip(rate, 1e-6, 1 - 1e-6)))
