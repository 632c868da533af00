"""What anybody would try first, fed the same past as the churn model.

Each peer gets what was known at one date: the features of the past dates whose labels were
complete, their labels, and the features of the customers to be judged. It gives a probability.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln, gammaln
from sklearn.linear_model import LogisticRegression

from features.arrays import Float64
from serving.models.churn.learners import purchase_histories

OURS, RECENCY, RFM, BG_NBD, LIGHTGBM = (
    "ebbflow",
    "recency only",
    "RFM logistic",
    "BG/NBD",
    "LightGBM defaults",
)
_RFM = ("purchase_recency_days", "purchases_ever", "spend_minor_ever")
_WINDOWS = r"purchase_recency_days|(purchases|spend_minor)_(\d+d|ever)"


@dataclass(frozen=True)
class Past:
    """What was known at one date.

    Attributes:
        names: Feature names, k.
        features: Of the customers of past dates whose labels were complete, float64[n, k].
        churned: Their labels, float64[n].
        histories: Frequency, recency and age of everybody known at the date, float64[m, 3].
        today: Features of the customers to be judged, float64[q, k].
        horizon_days: Days that the label looks ahead.
    """

    names: tuple[str, ...]
    features: Float64
    churned: Float64
    histories: Float64
    today: Float64
    horizon_days: int

    def columns(self, *names: str) -> tuple[Float64, Float64]:
        """Return some columns of the past and of today."""
        where = [self.names.index(name) for name in names]
        return self.features[:, where], self.today[:, where]


def recency_only(past: Past) -> Float64:
    """Return the probability by a logistic regression on the days since the last purchase."""
    return _logistic(past, *past.columns(_RFM[0]))


def rfm_logistic(past: Past) -> Float64:
    """Return the probability by a logistic regression on log recency, frequency and money."""
    known, today = (np.log1p(np.maximum(part, 0)) for part in past.columns(*_RFM))
    return _logistic(past, known, today)


def lightgbm_defaults(past: Past) -> Float64:
    """Return the probability by LightGBM as it comes, on plain recency, counts and money."""
    known, today = past.columns(*[n for n in past.names if re.fullmatch(_WINDOWS, n)])
    booster = lgb.train(
        {"objective": "binary", "verbosity": -1, "num_threads": 1, "deterministic": True},
        lgb.Dataset(known, past.churned),
    )
    return np.asarray(booster.predict(today))


def bg_nbd(past: Past) -> Float64:
    """Return the probability of no purchase by the plain BG/NBD model of Fader and others."""
    known = past.histories[~np.isnan(past.histories).any(axis=1)]
    unit = float(known[:, 2].mean())
    scaled = known / [1, unit, unit]
    found = minimize(
        lambda logs: -bg_nbd_likelihood(np.exp(logs), scaled).sum(),
        np.log([0.7, 0.7, 0.8, 2.5]),
        method="L-BFGS-B",
        bounds=[(-7, 7)] * 4,
    )
    r, alpha, a, b = np.exp(found.x)
    alpha *= unit
    x, last, age = purchase_histories(past.today, names=past.names).T
    silence = (r + x) * np.log((alpha + age) / (alpha + last))
    gone = np.exp(np.minimum(np.log(a / (b + np.maximum(x - 1, 0))) + silence, 700))
    alive = np.where(x > 0, 1 / (1 + gone), 1.0)
    ahead = ((alpha + age) / (alpha + age + past.horizon_days)) ** (r + x)
    return np.asarray(1 - alive * (1 - ahead))


def bg_nbd_likelihood(parameters: Float64, histories: Float64) -> Float64:
    """Return the log likelihood of each history under the plain BG/NBD model, float64[n].

    Args:
        parameters: r, alpha, a, b.
        histories: Frequency, recency and age, float64[n, 3].
    """
    r, alpha, a, b = parameters
    x, last, age = histories.T
    bought = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    alive = betaln(a, b + x) - betaln(a, b) - (r + x) * np.log(alpha + age)
    repeats = np.maximum(x, 1)
    stopped = betaln(a + 1, b + repeats - 1) - betaln(a, b) - (r + x) * np.log(alpha + last)
    return np.asarray(bought + np.where(x > 0, np.logaddexp(alive, stopped), alive))


PEERS: Mapping[str, Callable[[Past], Float64]] = {
    RECENCY: recency_only,
    RFM: rfm_logistic,
    BG_NBD: bg_nbd,
    LIGHTGBM: lightgbm_defaults,
}
"""By name."""


def _logistic(past: Past, known: Float64, today: Float64) -> Float64:
    mean, scale = known.mean(axis=0), known.std(axis=0) + 1e-12
    fitted = LogisticRegression(max_iter=1000).fit((known - mean) / scale, past.churned)
    return np.asarray(fitted.predict_proba((today - mean) / scale)[:, 1])
