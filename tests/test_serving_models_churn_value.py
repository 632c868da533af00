"""Stages and segments: by fixed cut points, the same from day to day for most customers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from churn_world import AS_OF, NOW, SMALL
from test_training_models_churn_value import PaidShop

from serving.models.churn.model import ChurnModel, ChurnScores, open_churn_model
from serving.models.churn.value import SEGMENTS, STAGES, Segmentation
from training.fit.churn import train_churn

CUTS = Segmentation(
    new_days=90,
    gone_days=180,
    won_back_days=90,
    at_risk_from=0.5,
    recent_days=60,
    often_purchases=4,
    valuable_minor=50_000,
)


def stage(*, first: float = 400, silent: float = 20, gap: float = 30, chance: float = 0.2) -> str:
    columns = {
        "purchase_first_days": np.array([first]),
        "purchase_recency_days": np.array([silent]),
        "gap_days_last": np.array([gap]),
    }
    found = CUTS.stage(columns, probability=np.array([chance]), bought=~np.isnan([silent]))
    return STAGES[found[0]]


@pytest.mark.parametrize(
    ("customer", "expected"),
    [
        ({}, "active"),
        ({"chance": 0.5}, "at_risk"),
        ({"chance": 0.4999}, "active"),
        ({"first": 90, "chance": 0.9}, "new"),
        ({"first": 91, "chance": 0.9}, "at_risk"),
        ({"gap": 181}, "won_back"),
        ({"gap": 180}, "active"),
        ({"gap": 181, "silent": 91}, "active"),
        ({"gap": np.nan}, "active"),
        ({"silent": 200, "chance": np.nan}, "lapsed"),
        ({"first": np.nan, "silent": np.nan, "chance": np.nan}, "prospect"),
    ],
)
def test_a_stage_is_the_first_that_fits(customer: dict[str, float], expected: str) -> None:
    assert stage(**customer) == expected


def test_a_feature_that_a_centre_lacks_puts_nobody_into_a_stage_that_needs_it() -> None:
    one = np.ones(1)
    found = CUTS.stage({}, probability=0.2 * one, bought=one > 0)
    assert STAGES[found[0]] == "active"
    assert SEGMENTS[CUTS.segment({}, bought=one > 0)[0]] == "regular"


def test_nobody_who_bought_nothing_has_a_segment_of_buyers() -> None:
    columns = {"spend_minor_365d": np.array([1e9]), "purchases_365d": np.array([9.0])}
    assert SEGMENTS[CUTS.segment(columns, bought=np.array([False]))[0]] == "no_purchase"


@pytest.fixture(scope="module")
def shop() -> PaidShop:
    return PaidShop(days=500, customers=1500)


@pytest.fixture(scope="module")
def model(shop: PaidShop, tmp_path_factory: pytest.TempPathFactory) -> ChurnModel:
    root = tmp_path_factory.mktemp("bundles")
    config = SMALL.model_copy(update={"grid_dates": 4, "step_days": 30})
    return open_churn_model(
        train_churn(shop, as_of=AS_OF, config=config, root=root, now=NOW).bundle
    )


def scored(model: ChurnModel, shop: PaidShop, *, day: int) -> ChurnScores:
    frame = shop.customers([AS_OF + timedelta(days=day)]).to_pandas().set_index("customer_id")
    known = shop.customers([AS_OF]).column("customer_id").to_pylist()
    return model.score(frame.loc[known, list(model.feature_names)].to_numpy(float))


def test_few_customers_move_from_one_day_to_the_next(model: ChurnModel, shop: PaidShop) -> None:
    today, tomorrow = (scored(model, shop, day=day) for day in (0, 1))
    for name, most in (("segment", 0.03), ("stage", 0.05)):
        before, after = getattr(today, name), getattr(tomorrow, name)
        moved = float((before != after).mean())
        assert moved <= most, name
        assert len(set(before.tolist())) >= 4, name


def test_the_segments_of_a_day_do_not_depend_on_who_else_is_scored(
    model: ChurnModel, shop: PaidShop
) -> None:
    frame = shop.customers([AS_OF]).to_pandas()
    rows = frame[list(model.feature_names)].to_numpy(float)
    whole, half = model.score(rows), model.score(rows[::2])
    np.testing.assert_array_equal(whole.segment[::2], half.segment)
    np.testing.assert_array_equal(whole.stage[::2], half.stage)


def test_cut_points_survive_json() -> None:
    assert Segmentation(**CUTS.document()) == CUTS
    assert replace(CUTS, new_days=1) != CUTS


def test_a_model_without_features_of_money_still_cuts(tmp_path: Path) -> None:
    from churn_world import Shop

    bundle = train_churn(Shop(), as_of=AS_OF, config=SMALL, root=tmp_path, now=NOW).bundle
    found = open_churn_model(bundle)
    frame = Shop().customers([AS_OF]).to_pandas()
    scores = found.score(frame[list(found.feature_names)].to_numpy(float))
    named = {SEGMENTS[i] for i in scores.segment}
    assert not named & {"champion", "loyal", "big_spender", "slipping_valuable"}
