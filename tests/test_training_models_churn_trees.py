"""Tree tables against LightGBM's own predictions and Shapley values."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pytest

from features.errors import ConfigError
from serving.models.churn.learners import TreeTables
from training.models.churn.bundle import tree_tables


def boosted(leaves: int, *, missing: bool) -> tuple[lgb.Booster, np.ndarray]:
    rng = np.random.default_rng(3)
    features = np.round(rng.normal(size=(3000, 6)) * 2, 1)
    if missing:
        features[rng.random(features.shape) < 0.15] = np.nan
    signal = np.nansum(features[:, :3], axis=1) + np.isnan(features[:, 0])
    churned = (signal + rng.normal(size=3000) > 0).astype(float)
    parameters = {
        "objective": "binary", "num_leaves": leaves, "num_threads": 1, "seed": 1,
        "deterministic": True, "force_row_wise": True, "verbosity": -1,
        "monotone_constraints": [1, 0, 0, 0, 0, 0],
    }  # fmt: skip
    data = lgb.Dataset(features, churned, init_score=np.full(3000, 0.4))
    return lgb.train(parameters, data, 15), features


@pytest.mark.parametrize("missing", [True, False])
@pytest.mark.parametrize("leaves", [2, 8])
def test_tables_equal_lightgbms_own_shapley_values_and_scores(leaves: int, missing: bool) -> None:
    booster, features = boosted(leaves, missing=missing)
    features[:20, 1] = np.nan  # missing at serving, whether or not it was in training
    tables = tree_tables(booster, groups=np.arange(6), group_count=6)
    groups, raw = tables.of(np.ascontiguousarray(features.T))
    expected = booster.predict(features, pred_contrib=True)
    np.testing.assert_allclose(groups, expected[:, :-1], atol=1e-12)
    np.testing.assert_allclose(raw, booster.predict(features, raw_score=True), atol=1e-12)
    np.testing.assert_allclose(tables.base + groups.sum(axis=1), raw, atol=1e-10)


def test_a_group_adds_what_its_features_add() -> None:
    booster, features = boosted(8, missing=True)
    alone, _ = tree_tables(booster, groups=np.arange(6), group_count=6).of(features.T)
    grouped, _ = tree_tables(booster, groups=np.array([0, 0, 1, 1, 2, 2]), group_count=3).of(
        features.T
    )
    np.testing.assert_allclose(grouped, alone.reshape(-1, 3, 2).sum(axis=2), atol=1e-12)


def test_stored_tables_answer_the_same(tmp_path: object) -> None:
    booster, features = boosted(4, missing=True)
    tables = tree_tables(booster, groups=np.zeros(6, dtype=int), group_count=1)
    again = TreeTables.from_arrays(tables.arrays())
    np.testing.assert_array_equal(tables.of(features.T)[1], again.of(features.T)[1])


def test_a_tree_too_large_for_a_table_is_refused() -> None:
    booster, _ = boosted(40, missing=False)
    with pytest.raises(ConfigError, match="leaves of a tree"):
        tree_tables(booster, groups=np.zeros(6, dtype=int), group_count=1)
