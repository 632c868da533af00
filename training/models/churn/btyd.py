"""The BG/NBD model fitted to histories, and the rate of purchases that it expects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln, gammaln

from features.arrays import Float64
from features.errors import TooLittleDataError
from serving.models.churn.learners import BuyTillYouDie, purchase_histories

_CENTRE = np.log([0.7, 0.7, 0.8, 2.5])
"""Prior of r, alpha (in mean ages), a and b: a shop of middling pace that loses a quarter."""
_SPREAD = 1.5
"""Standard deviation of the prior's logarithms: a factor of 4 either way is nothing unusual."""
_LIMIT = 7.0


class BtydByDate(dict[datetime, BuyTillYouDie]):
    """The model as known at each moment, fitted on first use.

    ``histories`` holds, by moment, what ``history_of`` gives of those who were known then, perhaps
    of a sample.
    """

    def __init__(self, histories: Mapping[datetime, Float64]) -> None:
        super().__init__()
        self.histories = dict(histories)

    def __missing__(self, at: datetime) -> BuyTillYouDie:
        self[at] = fit_btyd(self.histories[at])
        return self[at]


def fit_btyd(histories: Float64) -> BuyTillYouDie:
    """Fit the parameters to the customers who ever bought.

    The likelihood is that of the modified BG/NBD model; a mild prior on the logarithms of the
    parameters, worth about one customer, keeps a handful of histories from running away.

    ``histories``, float64[n, 3]: as from ``purchase_histories``; rows with NaN are left out.

    Raises:
        TooLittleDataError: Nobody ever bought.
    """
    known = histories[~np.isnan(histories).any(axis=1)]
    if not len(known) or known[:, 2].max() <= 0:
        raise TooLittleDataError(
            "purchase histories to fit the buy-till-you-die model on",
            got="no customer with a purchase",
            expected="at least one",
            remedy="load `purchases`, or fit at a later moment",
        )
    # In mean ages, so that a centre that counts in years is fitted like one that counts in days.
    unit = float(known[:, 2].mean())
    rows, counts = np.unique(
        np.column_stack([known[:, 0], np.round(known[:, 1:] / unit, 3)]), axis=0, return_counts=True
    )

    def loss(logarithms: Float64) -> float:
        prior = 0.5 * float((((logarithms - _CENTRE) / _SPREAD) ** 2).sum())
        return prior - float(counts @ log_likelihood(np.exp(logarithms), rows))

    best = minimize(
        loss,
        _CENTRE,
        method="L-BFGS-B",
        bounds=[(centre - _LIMIT, centre + _LIMIT) for centre in _CENTRE],
    )
    r, alpha, a, b = (float(value) for value in np.exp(best.x))
    return BuyTillYouDie(r=r, alpha=alpha * unit, a=a, b=b)


def log_likelihood(parameters: Float64, histories: Float64) -> Float64:
    """Return the log likelihood of each customer's history, float64[n]."""
    r, alpha, a, b = parameters
    x, last, age = histories.T
    bought = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    alive = betaln(a, b + x + 1) - betaln(a, b) - (r + x) * np.log(alpha + age)
    stopped = betaln(a + 1, b + x) - betaln(a, b) - (r + x) * np.log(alpha + last)
    return np.asarray(bought + np.logaddexp(alive, stopped))


@dataclass(frozen=True)
class BtydOutlook:
    """What the buy-till-you-die model, which knows no season, expects of a population.

    Attributes:
        rate: Share that buys nothing within the horizon.
        pace: Log of the purchase days expected of a customer.
    """

    rate: float
    pace: float


def plain_outlook(
    btyd: BuyTillYouDie, features: Float64, *, names: Sequence[str], ahead_days: float
) -> BtydOutlook:
    """Return what a model expects of n customers who bought, features float64[n, k]."""
    frequency, last, age = purchase_histories(features, names=names).T
    silent = btyd.p_silent(frequency, last, age, ahead_days)
    ahead = btyd.expected_purchases(frequency, last, age, ahead_days)
    return BtydOutlook(rate=float(silent.mean()), pace=math.log(max(float(ahead.mean()), 1e-12)))
