"""What customers are worth, learnt from the money that followed past dates.

Of those who stayed, the money of one horizon is a log-linear model of recency, frequency and
money. It is fitted by quasi-likelihood with a variance between Poisson's and gamma's (power 1.5,
as for claims in insurance), because money is skewed and a few large customers would else decide
alone; then its level is set so that the sum over customers is the sum that came. Dates of one
whole year count alike, so that no season is taken for the ordinary.

How much twelve months bring is counted where twelve months have passed: the money of those who
stayed, over that of their first horizon, and the share of it that those who left still brought.
Where history is too short for that, each later horizon loses the share of customers that the
horizons seen lost, and nobody comes back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from features.calendar import Float64
from serving.models.churn.value import MOST_LOG_MONEY, ValueModel
from training.churn.config import ChurnConfig
from training.churn.data import YEAR, AsOf, ChurnSource, History
from training.churn.fit import blank_linear

YEAR_DAYS = 365
_TOLD_BY = (
    "spend_minor_365d",
    "spend_minor_90d",
    "spend_minor_ever",
    "order_minor_365d",
    "purchases_365d",
    "purchases_90d",
    "purchase_recency_days",
    "purchase_first_days",
    "gap_days_mean",
)
"""Features that money is told by, as far as a centre has them."""
_POWER = 1.5
_STEPS = 50
_LARGEST_STEP = 1.0
_LEAST_ROWS = 50


@dataclass(frozen=True)
class Money:
    """What the customers of one date brought after it, in their order.

    Attributes:
        horizon: Money within the horizon, minor units, float64[n].
        year: Money within 365 days, minor units, float64[n]; None where these are not over.
    """

    horizon: Float64
    year: Float64 | None


def load_money(
    source: ChurnSource, history: History, *, config: ChurnConfig
) -> dict[datetime, Money]:
    """Read what came after each date; empty where the source tells no money.

    Args:
        source: Labels.
        history: The dates, with the customers of each.
        config: Horizon and population.
    """
    dates = {date.at: date for date in history.dates}
    over = [at for at in dates if at + timedelta(days=YEAR_DAYS) <= history.as_of]
    near = _read(source, dates, list(dates), days=config.horizon_days, config=config)
    far = _read(source, dates, over, days=YEAR_DAYS, config=config) if over else {}
    return {at: Money(horizon=money, year=far.get(at)) for at, money in near.items()}


def _read(
    source: ChurnSource,
    dates: Mapping[datetime, AsOf],
    moments: Sequence[datetime],
    *,
    days: int,
    config: ChurnConfig,
) -> dict[datetime, Float64]:
    frame = source.labels(
        sorted(moments), horizon_days=days, active_days=config.active_days
    ).to_pandas()
    if "value_minor" not in frame:
        return {}
    found = {}
    for at in moments:
        rows = frame[frame["as_of"] == at]
        money = pd.Series(rows["value_minor"].to_numpy(dtype=float), index=rows["customer_id"])
        found[at] = money.reindex(dates[at].ids).fillna(0.0).to_numpy(dtype=float)
    return found


def fit_value(history: History, money: Mapping[datetime, Money], at: datetime) -> ValueModel | None:
    """Fit what could be known of customers' worth at a moment.

    Args:
        history: The dates; only those whose labels were complete at ``at`` are used.
        money: From ``load_money``.
        at: The moment, aware UTC.

    Returns:
        The model; None where too few customers stayed or no money came.
    """
    dates = [date for date in history.before(at) if date.at in money]
    names = tuple(name for name in _TOLD_BY if name in history.names)
    year = [date for date in dates if date.at > dates[0].at - YEAR]
    stayed = [date.churned == 0 for date in year]
    if not names or not year or sum(int(mask.sum()) for mask in stayed) < _LEAST_ROWS:
        return None
    where = [history.names.index(name) for name in names]
    features = np.concatenate(
        [date.features[mask][:, where] for date, mask in zip(year, stayed, strict=True)]
    )
    came = np.concatenate(
        [money[date.at].horizon[mask] for date, mask in zip(year, stayed, strict=True)]
    )
    if came.sum() <= 0:
        return None
    near = _fit_money(features, came, names=names)
    return _reaching(near, history, dates, money, at=at)


def _fit_money(features: Float64, came: Float64, *, names: tuple[str, ...]) -> ValueModel:
    """Fit the money of one horizon of customers who stayed."""
    line = blank_linear(features)
    design = np.hstack(line.design(features))
    moving = np.flatnonzero(np.ptp(design, axis=0) > 1e-9)
    weights = np.zeros(design.shape[1])
    weights[moving] = _newton(design[:, moving], came / came.mean())
    k = len(names)
    line = replace(line, weight=weights[:k], missing_weight=weights[k:])
    model = ValueModel(names, line, 0.0, reach=1.0, return_share=0.0)
    said = model.of_one_horizon(dict(zip(names, features.T, strict=True)))
    return replace(model, log_money=float(np.log(came.sum() / said.sum())))


def _newton(design: Float64, came: Float64) -> Float64:
    """Fit log-linear weights by quasi-likelihood of variance ``mean ** 1.5``, with a ridge.

    Args:
        design: float64[n, k].
        came: Money over its mean, float64[n].
    """
    whole = np.hstack([np.ones((len(design), 1)), design])
    penalty = np.r_[1e-6, np.full(design.shape[1], 1e-3 * len(design) ** 0.5)]
    weights = np.zeros(whole.shape[1])
    for _ in range(_STEPS):
        mean = np.exp(np.clip(whole @ weights, -MOST_LOG_MONEY, MOST_LOG_MONEY))
        gradient = whole.T @ ((came - mean) * mean ** (1 - _POWER)) - penalty * weights
        curve = mean ** (2 - _POWER)
        hessian = (whole * curve[:, None]).T @ whole + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        largest = float(np.abs(step).max())
        weights += step * min(1.0, _LARGEST_STEP / (largest + 1e-12))
        if largest < 1e-6:
            break
    return weights[1:]


def _reaching(
    near: ValueModel,
    history: History,
    dates: Sequence[AsOf],
    money: Mapping[datetime, Money],
    *,
    at: datetime,
) -> ValueModel:
    """Stretch a model of one horizon to twelve months."""
    said_stayed = said_left = came_stayed = came_left = 0.0
    for date in dates:
        year = money[date.at].year
        if year is None or date.at + timedelta(days=YEAR_DAYS) > at:
            continue
        said = near.of_one_horizon(dict(zip(history.names, date.features.T, strict=True)))
        stayed = date.churned == 0
        said_stayed += float(said[stayed].sum())
        said_left += float(said[~stayed].sum())
        came_stayed += float(year[stayed].sum())
        came_left += float(year[~stayed].sum())
    if came_stayed <= 0:
        lost = float(np.mean([date.base_rate for date in dates]))
        horizons = timedelta(days=YEAR_DAYS) / history.horizon
        return replace(near, reach=_decaying(horizons, lost), return_share=0.0)
    reach = came_stayed / said_stayed
    back = came_left / (reach * said_left) if said_left > 0 else 0.0
    return replace(near, reach=max(reach, 1.0), return_share=float(np.clip(back, 0.0, 1.0)))


def _decaying(horizons: float, lost: float) -> float:
    """Return the money of some horizons over that of the first, each losing a share.

    >>> _decaying(3.5, 0.5)  # 1 + 1/2 + 1/4, and half of 1/8
    1.8125
    """
    whole = int(horizons)
    kept = (1 - lost) ** np.arange(whole + 1)
    return max(float(kept[:whole].sum() + (horizons - whole) * kept[whole]), 1.0)


def value_facts(
    value: ValueModel | None, money: Mapping[datetime, Money], at: datetime
) -> dict[str, Any] | None:
    """Return what a model card says of a model of value.

    Args:
        value: The model; None where there is none.
        money: From ``load_money``.
        at: The moment it was fitted at.
    """
    if value is None:
        return None
    over = [d for d in money if d + timedelta(days=YEAR_DAYS) <= at]
    return {
        "told_by": list(value.names),
        "horizons_in_12_months": value.reach,
        "share_of_leavers_money_that_comes_back": value.return_share,
        "dates_with_12_months_seen": len(over),
    }
