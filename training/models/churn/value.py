"""What customers are worth, and the cut points of stages and segments.

They are rounded, so that a model fitted a month later moves few customers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from features.arrays import Float64
from serving.models.churn.learners import INPUTS, purchase_histories
from serving.models.churn.value import (
    FREQUENCY,
    MONEY,
    MOST_CORRECTION,
    RECENCY,
    YEAR_DAYS,
    PurchaseRate,
    Segmentation,
    ValueModel,
)
from training.config import ChurnConfig
from training.models.churn.btyd import fit_btyd
from training.models.churn.history import YEAR, ChurnSource, GridDate, History, labelled
from training.models.churn.learners import blank_linear, moving_weights, newton_weights

SPEND = "spend_minor_365d"
SINCE = "purchase_first_days"
_CORRECTED_BY = ("purchases_365d", "purchase_recency_days", "purchase_first_days", "gap_days_mean")
"""Features that the pace is corrected by, as far as a centre has them; short windows would take the
last season for the next."""
_LEAST_PACE = 0.05
"""Of the mean pace: who spent less is taken for somebody who spends this."""
_POWER = 1.5
_RIDGE = 0.02
"""Penalty on a correction, in shares of the rows: little was seen where history is short."""
_LEAST_ROWS = 50
_YEAR = timedelta(days=YEAR_DAYS)


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
    """Read what came after each date; empty where the source tells no money."""
    dates = {date.at: date for date in history.dates}
    over = {at: date for at, date in dates.items() if at + _YEAR <= history.as_of}
    near = _money_after(source, dates, days=config.horizon_days, config=config)
    far = _money_after(source, over, days=YEAR_DAYS, config=config) if over else {}
    return {at: Money(horizon=money, year=far.get(at)) for at, money in near.items()}


def _money_after(
    source: ChurnSource, dates: Mapping[datetime, GridDate], *, days: int, config: ChurnConfig
) -> dict[datetime, Float64]:
    config = config.model_copy(update={"horizon_days": days})
    frame = labelled(source, sorted(dates), config).to_pandas()
    if "value_minor" not in frame:
        return {}
    frame = frame.set_index("customer_id")
    return {
        at: frame["value_minor"][frame["as_of"] == at].reindex(date.ids).fillna(0).to_numpy(float)
        for at, date in dates.items()
    }


def fit_value(history: History, money: Mapping[datetime, Money], at: datetime) -> ValueModel | None:
    """Fit what could be known of customers' worth at a moment.

    Only dates whose labels were complete at ``at`` are used. None where too few customers stayed
    or no money came.
    """
    dates = [date for date in history.before(at) if date.at in money]
    if not {SPEND, SINCE} <= set(history.names) or not dates:
        return None
    year = [date for date in dates if date.at > dates[0].at - YEAR]
    features = np.concatenate([date.features[date.churned == 0] for date in year])
    came = np.concatenate([money[date.at].horizon[date.churned == 0] for date in year])
    columns = dict(zip(history.names, features.T, strict=True))
    names = tuple(name for name in _CORRECTED_BY if name in history.names)
    if len(came) < _LEAST_ROWS or came.sum() <= 0 or columns[SPEND].sum() <= 0:
        return None
    near = _fit_money(columns, came, names=names, horizon=history.horizon)
    return _reaching(near, history, dates, money, at=at)


def _fit_money(
    columns: Mapping[str, Float64], came: Float64, *, names: tuple[str, ...], horizon: timedelta
) -> ValueModel:
    """Fit the money of one horizon of customers who stayed."""
    pace = PurchaseRate(SPEND, SINCE, horizon_days=horizon / timedelta(days=1), least_minor=1e-9)
    pace = replace(pace, least_minor=_LEAST_PACE * float(pace.of(columns).mean()))
    features = np.column_stack([columns[name] for name in names])
    blank = blank_linear(features)
    own = pace.of(columns)
    weights = moving_weights(
        np.hstack(blank.design(features)),
        lambda design: _corrections(design, came / came.mean(), own / own.mean()),
    )
    k = len(names)
    line = replace(blank, weight=weights[:k], missing_weight=weights[k:])
    model = ValueModel(pace, names, line, 0.0, reach=1.0, return_share=0.0)
    expected = model.of_one_horizon(columns)
    return replace(model, log_level=float(np.log(came.sum() / expected.sum())))


def _corrections(design: Float64, came: Float64, own: Float64) -> Float64:
    """Fit log-linear weights by quasi-likelihood of variance ``mean ** 1.5``, with a ridge.

    ``came``, float64[n], is money over its mean; ``own`` is what is corrected, over its mean.
    """
    whole = np.hstack([np.ones((len(design), 1)), design])

    def slope_and_curve(weights: Float64) -> tuple[Float64, Float64]:
        mean = own * np.exp(np.clip(whole @ weights, -MOST_CORRECTION, MOST_CORRECTION))
        return whole.T @ ((came - mean) * mean ** (1 - _POWER)), mean ** (2 - _POWER)

    penalty = np.r_[1e-6, np.full(design.shape[1], _RIDGE * len(design))]
    return newton_weights(whole, slope_and_curve, penalty=penalty, largest_step=1.0, steps=50)[1:]


def _reaching(
    near: ValueModel,
    history: History,
    dates: Sequence[GridDate],
    money: Mapping[datetime, Money],
    *,
    at: datetime,
) -> ValueModel:
    """Stretch a model of one horizon to twelve months.

    What was counted weighs as much as the dates it was counted at fill of a year of seasons.
    """
    seen = [date for date in dates if money[date.at].year is not None and date.at + _YEAR <= at]
    weight = min(1.0, (seen[0].at - seen[-1].at) / YEAR) if seen else 0.0
    # Each: its weight, the horizons that 12 months are worth, the share that leavers still bring.
    estimates: list[tuple[float, float, float]] = []
    if seen:
        estimates.append((weight, *_counted_reach(near, history, seen, money)))
    if weight < 1 and set(INPUTS) <= set(history.names):
        estimates.append((1 - weight, *_foreseen_reach(near, history, dates[0])))
    if not estimates:
        stayed, left = _by_outcome(near.of_one_horizon(_columns(history, dates[0])), dates[0])
        estimates.append((1.0, _decaying(_YEAR / history.horizon, left / (left + stayed)), 0.0))
    weights, reaches, shares = np.array(estimates).T
    weights = np.maximum(weights, 1e-9)
    return replace(
        near,
        reach=float(np.average(reaches, weights=weights)),
        return_share=float(np.average(shares, weights=weights)),
    )


def _counted_reach(
    near: ValueModel, history: History, dates: Sequence[GridDate], money: Mapping[datetime, Money]
) -> tuple[float, float]:
    """Return the horizons that twelve months are worth, and the share that leavers still bring."""
    year = [_by_outcome(np.asarray(money[date.at].year), date) for date in dates]
    one = [_by_outcome(near.of_one_horizon(_columns(history, date)), date) for date in dates]
    stayed, left = (sum(sums) for sums in zip(*year, strict=True))
    stayed_one, left_one = (sum(sums) for sums in zip(*one, strict=True))
    reach = max(stayed / stayed_one, 1.0)
    return reach, float(np.clip(left / max(reach * left_one, 1e-9), 0.0, 1.0))


def _by_outcome(money: Float64, date: GridDate) -> tuple[float, float]:
    """Return the money of those who stayed and of those who left."""
    left = date.churned == 1
    return float(money[~left].sum()), float(money[left].sum())


def _columns(history: History, date: GridDate) -> dict[str, Float64]:
    return dict(zip(history.names, date.features.T, strict=True))


def _foreseen_reach(near: ValueModel, history: History, date: GridDate) -> tuple[float, float]:
    """Return the same by the purchases expected of each customer, worth what theirs were."""
    days = history.horizon / timedelta(days=1)
    purchases = purchase_histories(date.features, names=history.names)
    model = fit_btyd(purchases)
    frequency, recency, age = purchases.T
    columns = _columns(history, date)
    spent = columns.get("spend_minor_ever")
    # The mean money of a day with purchases; 1 each where that is not known.
    price = np.ones(len(age)) if spent is None else spent / np.maximum(columns[INPUTS[0]], 1.0)
    one, year = (
        price * model.expected_purchases(frequency, recency, age, ahead)
        for ahead in (days, float(YEAR_DAYS))
    )
    # Who left was silent for one horizon more, and has the rest of the year to come back.
    back = price * model.expected_purchases(frequency, recency, age + days, YEAR_DAYS - days)
    left = date.churned == 1
    share = min(float(np.nansum(back[left]) / np.nansum(year)), 0.9)
    stayed, left_money = _by_outcome(near.of_one_horizon(columns), date)
    reach = max(float(np.nansum(year) / np.nansum(one)) * (1 - share), 1.0)
    return reach, min(share / (1 - share) * stayed / max(left_money, 1e-9), 1.0)


def _decaying(horizons: float, lost: float) -> float:
    """Return the money of some horizons over that of the first, each losing a share.

    >>> _decaying(3.5, 0.5)  # 1 + 1/2 + 1/4, and half of 1/8
    1.8125
    """
    whole = int(horizons)
    staying = (1 - lost) ** np.arange(whole + 1)
    return max(float(staying[:whole].sum() + (horizons - whole) * staying[whole]), 1.0)


def value_facts(
    value: ValueModel | None, money: Mapping[datetime, Money], at: datetime
) -> dict[str, Any] | None:
    """Return what a model card says of a model of value; None where there is none."""
    if value is None:
        return None
    return {
        "horizons_in_12_months": value.reach,
        "share_of_leavers_money_that_comes_back": value.return_share,
        "dates_with_12_months_seen": sum(date + _YEAR <= at for date in money),
    }


_SILENT_SHARE = 0.75
"""Share of the population that is no longer silent than a customer who does not slip."""
_OFTEN_SHARE = 0.75
_VALUABLE_SHARE = 0.80
_LEAST_OFTEN = 2.0


def standing_of(
    names: Sequence[str], reference: Float64, probability: Float64, *, config: ChurnConfig
) -> Segmentation:
    """Return the cut points for a population.

    ``reference`` holds its features at the fit's moment, float64[n, k]; ``probability``, of churn,
    is float64[n].
    """
    columns = {name: reference[:, j] for j, name in enumerate(names)}
    at_risk = config.tier_shares[0] + config.tier_shares[1]
    horizon = float(config.horizon_days)
    # A contract that runs is no sign of leaving, however long ago it was paid for.
    gone = float(config.active_days) if config.definition == "purchase" else np.finfo(float).max
    return Segmentation(
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
