"""What customers are worth: fitted on simulated truth, held to the money that came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from churn_world import AS_OF, DAY, NOW, SMALL, Shop

from features.errors import TooLittleDataError
from serving.models.churn.model import TIERS, open_churn_model
from training.config import ChurnConfig
from training.fit.churn import train_churn
from training.models.churn.history import load_history
from training.models.churn.value import fit_value, load_money

SETTINGS = SMALL.model_copy(update={"grid_dates": 20, "step_days": 30})


class PaidShop(Shop):
    """The shop of ``churn_world``, in which a purchase costs what its customer likes to spend.

    Args:
        days: Length of the history before ``AS_OF``.
        after: Days that it goes on, as far as the labels look.
        seed: Seed of everything.
    """

    def __init__(self, *, days: int = 900, seed: int = 1, customers: int = 2000) -> None:
        super().__init__(customers, days, seed=seed, leave_after=500.0)
        rng = np.random.default_rng(seed + 100)
        ids = self.purchases["customer_id"]
        likes = dict(zip(ids.unique(), rng.lognormal(8, 0.8, ids.nunique()), strict=True))
        spread = rng.lognormal(0, 0.5, len(ids))
        self.purchases["paid"] = np.round(ids.map(likes) * spread).astype("int64")

    def customers(self, as_ofs: Sequence[datetime]) -> pa.Table:
        frame = super().customers(as_ofs).to_pandas()
        extra = []
        for as_of in sorted(as_ofs):
            past = self.purchases[self.purchases["at"] < as_of.timestamp()]
            ago = (as_of.timestamp() - past["at"]) / DAY
            spent = {
                f"spend_minor_{days}d": past["paid"]
                .where(ago <= days, 0)
                .groupby(past["customer_id"])
                .sum()
                for days in (90, 365)
            }
            spent["purchases_365d"] = (ago <= 365).groupby(past["customer_id"]).sum()
            spent["purchase_days_ever"] = ago.groupby(past["customer_id"]).size()
            one = pd.DataFrame(spent).astype(float).rename_axis("customer_id").reset_index()
            one["as_of"] = pd.Series(as_of, index=one.index, dtype="datetime64[s, UTC]")
            extra.append(one)
        more = pd.concat(extra)
        more = more[["customer_id", "as_of", *more.columns.difference(frame.columns)]]
        whole = frame.merge(more, on=["customer_id", "as_of"], validate="1:1")
        return pa.Table.from_pandas(whole, preserve_index=False)

    def labels(
        self, as_ofs: Sequence[datetime], *, horizon_days: int, active_days: int
    ) -> pa.Table:
        table = super().labels(as_ofs, horizon_days=horizon_days, active_days=active_days)
        frame = table.to_pandas()
        frame["value_minor"] = 0
        for as_of in as_ofs:
            came = self.came(as_of, days=horizon_days)
            rows = frame["as_of"] == as_of
            frame.loc[rows, "value_minor"] = (
                came.reindex(frame.loc[rows, "customer_id"]).fillna(0).astype("int64").to_numpy()
            )
        return pa.Table.from_pandas(frame, preserve_index=False)

    def came(self, as_of: datetime, *, days: int) -> pd.Series:
        """Return what each customer paid in the days after a moment."""
        at = self.purchases["at"]
        after = self.purchases[(at >= as_of.timestamp()) & (at < as_of.timestamp() + days * DAY)]
        return after.groupby("customer_id")["paid"].sum()


@pytest.fixture(scope="module")
def shop() -> PaidShop:
    return PaidShop()


@pytest.mark.parametrize("back", [400, 800])
def test_the_sum_expected_over_12_months_is_near_the_sum_that_came(
    shop: PaidShop, tmp_path: Path, back: int
) -> None:
    """As of 400 days ago 12 months were seen before; as of 800 days ago none were."""
    at = AS_OF - timedelta(days=back)
    shop = shop if back == 400 else PaidShop(days=1300, seed=2)
    trained = train_churn(shop, as_of=at, config=SETTINGS, root=tmp_path, now=NOW)
    model = open_churn_model(trained.bundle)
    frame = shop.customers([at]).to_pandas()
    scores = model.score(frame[list(model.feature_names)].to_numpy(float))
    inside = scores.state == 0
    expected = scores.expected_value_minor[inside]
    came = shop.came(at, days=365).reindex(frame["customer_id"][inside]).fillna(0).to_numpy()
    assert trained.metrics["value_ratio"] == pytest.approx(1, abs=0.15)
    tolerance = 0.2 if back == 400 else 0.35
    assert expected.sum() == pytest.approx(came.sum(), rel=tolerance)
    # Not only in all: the dearest fifth by expectation brings what it is expected to bring.
    dearest = expected >= np.quantile(expected, 0.8)
    assert expected[dearest].sum() == pytest.approx(came[dearest].sum(), rel=tolerance + 0.1)
    assert came[dearest].sum() > 0.45 * came.sum()


def test_12_months_are_counted_where_they_have_passed(shop: PaidShop) -> None:
    config = SETTINGS.model_copy(update={"grid_dates": 30})
    history = load_history(shop, as_of=AS_OF, config=config, progress=lambda _: None)
    money = load_money(shop, history, config=config)
    assert [m.year is not None for m in money.values()] == [
        at + timedelta(days=365) <= AS_OF for at in money
    ]
    value = fit_value(history, money, AS_OF)
    assert value is not None
    assert 1 < value.reach < 365 / SETTINGS.horizon_days + 0.5
    assert 0 < value.return_share < 0.5
    # By hand at one date: who stayed brought this many horizons of what the model says of one.
    dates = [date for date in history.dates if money[date.at].year is not None]
    said = came = 0.0
    for date in dates:
        stayed = date.churned == 0
        columns = dict(zip(history.names, date.features[stayed].T, strict=True))
        said += value.of_one_horizon(columns).sum()
        came += shop.came(date.at, days=365).reindex(date.ids[stayed]).fillna(0).sum()
    assert value.reach == pytest.approx(came / said, rel=1e-9)


def test_nothing_that_came_after_the_moment_is_looked_at(shop: PaidShop) -> None:
    at = AS_OF - timedelta(days=300)
    history = load_history(shop, as_of=AS_OF, config=SETTINGS, progress=lambda _: None)
    money = load_money(shop, history, config=SETTINGS)
    later = {
        date: replace(m, year=None if m.year is None else m.year * 100)
        if date + timedelta(days=365) > at
        else m
        for date, m in money.items()
        if date + history.horizon <= at
    }
    everything, past = fit_value(history, money, at), fit_value(history, later, at)
    assert everything is not None
    assert past is not None
    assert everything.document() == past.document()


def test_a_shop_that_tells_no_money_has_no_value(tmp_path: Path) -> None:
    trained = train_churn(Shop(), as_of=AS_OF, config=SMALL, root=tmp_path, now=NOW)
    model = open_churn_model(trained.bundle)
    assert model.value is None
    assert model.card["value"] is None
    frame = Shop().customers([AS_OF]).to_pandas()
    scores = model.score(frame[list(model.feature_names)].to_numpy(float))
    assert np.isnan(scores.expected_value_minor).all()
    assert np.isnan(scores.value_at_risk_minor).all()
    assert "value_ratio" not in trained.metrics


MONEY = SETTINGS.model_copy(
    update={"tiers_by": "money", "tier_money_minor": (20_000, 8_000, 2_000)}
)


def test_tiers_by_money_hold_the_value_at_risk_to_their_limits(
    shop: PaidShop, tmp_path: Path
) -> None:
    config = ChurnConfig.model_validate(MONEY.model_dump())
    trained = train_churn(shop, as_of=AS_OF, config=config, root=tmp_path, now=NOW)
    model = open_churn_model(trained.bundle)
    frame = shop.customers([AS_OF]).to_pandas()
    scores = model.score(frame[list(model.feature_names)].to_numpy(float))
    for at_risk, tier in zip(scores.value_at_risk_minor, scores.tier, strict=True):
        if np.isnan(at_risk):
            assert tier == -1
        else:
            below = sum(at_risk < limit for limit in config.tier_money_minor)
            assert TIERS[tier] == TIERS[below]
    assert set(scores.tier) == {-1, 0, 1, 2, 3}


def test_tiers_by_money_without_money_are_refused(tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"tiers_by": "money", "tier_money_minor": (30, 20, 10)})
    with pytest.raises(TooLittleDataError, match=r"tiers by money.*amounts"):
        train_churn(Shop(), as_of=AS_OF, config=config, root=tmp_path, now=NOW)
