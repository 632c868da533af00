"""The cut points of stages and segments, set once per fit on the population of the day.

They are rounded, so that a model fitted a month later moves few customers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from features.calendar import Float64
from serving.models.churn.stages import FREQUENCY, MONEY, RECENCY, Standing
from training.churn.config import ChurnConfig

_SILENT_SHARE = 0.75
"""Share of the population that is no longer silent than a customer who does not slip."""
_OFTEN_SHARE = 0.75
_VALUABLE_SHARE = 0.80
_LEAST_OFTEN = 2.0


def standing_of(
    names: Sequence[str], reference: Float64, probability: Float64, *, config: ChurnConfig
) -> Standing:
    """Return the cut points for a population.

    ``reference`` holds its features at the fit's moment, float64[n, k]; ``probability``, of churn,
    is float64[n].
    """
    columns = {name: reference[:, j] for j, name in enumerate(names)}
    at_risk = config.tier_shares[0] + config.tier_shares[1]
    horizon = float(config.horizon_days)
    # A contract that runs is no sign of leaving, however long ago it was paid for.
    gone = float(config.active_days) if config.definition == "purchase" else np.finfo(float).max
    return Standing(
        new_days=horizon,
        gone_days=gone,
        won_back_days=horizon,
        at_risk_from=float(np.quantile(probability, 1 - at_risk)),
        recent_days=min(_cut(columns.get(RECENCY), _SILENT_SHARE), gone),
        often_purchases=max(_cut(columns.get(FREQUENCY), _OFTEN_SHARE), _LEAST_OFTEN),
        valuable_minor=_cut(columns.get(MONEY), _VALUABLE_SHARE),
    )


def _cut(values: Float64 | None, share: float) -> float:
    """Return a quantile of the known values, rounded; infinity's stand-in where there are none."""
    known = np.empty(0) if values is None else values[~np.isnan(values)]
    return rounded(float(np.quantile(known, share))) if len(known) else np.finfo(float).max


def rounded(value: float) -> float:
    """Return a value rounded to one and a half digits: 1, 1.5, 2, 2.5, … 9.5 times a power of ten.

    >>> [rounded(x) for x in (0.0, 3.3, 67.0, 123_456.0)]
    [0.0, 3.5, 65.0, 100000.0]
    """
    if value <= 0:
        return 0.0
    step = 10.0 ** math.floor(math.log10(value)) / 2
    return float(round(value / step) * step)
