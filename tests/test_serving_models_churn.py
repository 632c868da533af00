"""The served churn model: a bundle that training wrote, opened and asked by serving alone."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest
from churn_world import AS_OF, NOW, SMALL, Shop, sentences

from features.errors import DamagedArtefactError, IncompatibleArtefactError, InputError
from serving.models.churn.model import STATES, TIERS, ChurnModel, open_churn_model, percentile
from training.fit.churn import train_churn


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bundles")
    return train_churn(Shop(), as_of=AS_OF, config=SMALL, root=root, now=NOW).bundle


@pytest.fixture(scope="module")
def model(bundle: Path) -> ChurnModel:
    return open_churn_model(bundle)


@pytest.fixture(scope="module")
def features(model: ChurnModel) -> np.ndarray:
    frame = Shop().customers([AS_OF]).to_pandas()
    return frame[list(model.feature_names)].to_numpy(float)


def test_probabilities_are_given_for_the_population_and_for_nobody_else(
    model: ChurnModel, features: np.ndarray
) -> None:
    recency = features[:, model.feature_names.index("purchase_recency_days")]
    scores = model.score(features)
    inside = recency <= SMALL.active_days
    assert 0 < inside.sum() < len(inside)
    np.testing.assert_array_equal(np.isnan(scores.probability), ~inside)
    assert ((scores.probability[inside] > 0) & (scores.probability[inside] < 1)).all()
    assert (scores.tier[~inside] == -1).all()
    assert (scores.reasons.phrase[~inside] == -1).all()


def test_a_customer_outside_the_population_is_told_why(
    model: ChurnModel, features: np.ndarray
) -> None:
    recency = model.feature_names.index("purchase_recency_days")
    rows = features[:3].copy()
    rows[:, recency] = [5.0, SMALL.active_days + 1, np.nan]
    scores = model.score(rows)
    assert [STATES[state] for state in scores.state] == ["scored", "lapsed", "never_bought"]
    assert model.warnings(scores) == [
        (),
        ("not scored: no purchase in the last 120 days",),
        ("not scored: no purchase yet",),
    ]


def test_a_customer_of_whom_nothing_is_known_gets_a_defined_answer(model: ChurnModel) -> None:
    row = np.full((1, len(model.feature_names)), np.nan)
    scores = model.score(row)
    assert np.isnan(scores.probability[0])
    assert sentences(model.book, scores.reasons) == [[]]


def test_no_customers_get_no_scores(model: ChurnModel) -> None:
    scores = model.score(np.empty((0, len(model.feature_names))))
    assert (
        len(scores.probability)
        == len(percentile(scores.probability))
        == len(sentences(model.book, scores.reasons))
        == 0
    )


def test_an_answer_depends_neither_on_neighbours_nor_on_threads(
    model: ChurnModel, features: np.ndarray
) -> None:
    many = np.tile(features, (40, 1))
    assert len(many) > 2 * 8192
    once, parallel = model.score(many), model.score(many, threads=2)
    np.testing.assert_array_equal(once.probability, parallel.probability)
    np.testing.assert_array_equal(once.reasons.phrase, parallel.reasons.phrase)
    alone = np.concatenate([model.score(row[None]).probability for row in features[:30]])
    np.testing.assert_allclose(alone, once.probability[:30], rtol=1e-12)


def test_what_the_groups_add_sums_to_the_log_odds(model: ChurnModel, features: np.ndarray) -> None:
    groups, log_odds = model.contributions(features)
    rest = log_odds - groups.sum(axis=1)
    np.testing.assert_allclose(rest, rest[0], atol=1e-9)
    scores = model.score(features)
    scored = scores.state == 0
    np.testing.assert_allclose(
        scores.probability[scored], 1 / (1 + np.exp(-log_odds[scored])), rtol=1e-12
    )


def test_tables_score_as_the_booster_in_the_bundle_does(
    bundle: Path, model: ChurnModel, features: np.ndarray
) -> None:
    booster = lgb.Booster(model_file=str(bundle / "model.txt"))
    scoring = replace(model.scoring, linear_weight=0.0, slope=1.0, level=0.0)
    trees_only = ChurnModel(
        model.artefact, feature_names=model.feature_names, scoring=scoring,
        linear=model.linear, trees=model.trees, book=model.book, derived=model.derived,
        standing=model.standing, value=model.value,
    )  # fmt: skip
    _, log_odds = trees_only.contributions(features)
    assert model.derived is not None
    known = model.derived.joined(features, names=model.feature_names)
    np.testing.assert_allclose(log_odds, booster.predict(known, raw_score=True), atol=1e-9)


def test_tiers_follow_the_probability_by_the_stored_limits(
    model: ChurnModel, features: np.ndarray
) -> None:
    scores = model.score(features)
    limits = model.scoring.tier_from
    for probability, tier in zip(scores.probability, scores.tier, strict=True):
        if not np.isnan(probability):
            above = [limit for limit in limits if probability >= limit]
            assert TIERS[tier] == TIERS[len(limits) - len(above)]
    shares = np.bincount(scores.tier[scores.tier >= 0], minlength=4) / (scores.tier >= 0).sum()
    np.testing.assert_allclose(shares, [0.05, 0.15, 0.30, 0.50], atol=0.02)


def test_percentiles_count_the_scored_customers_below() -> None:
    found = percentile(np.array([0.2, np.nan, 0.9, 0.5, 0.5]))
    np.testing.assert_array_equal(found, [0.0, np.nan, 75.0, 25.0, 25.0])
    assert np.isnan(percentile(np.array([np.nan]))).all()


def test_a_longer_silence_never_lowers_the_probability(
    model: ChurnModel, features: np.ndarray
) -> None:
    recency = model.feature_names.index("purchase_recency_days")
    row = features[model.score(features).state == 0][:1]
    rows = np.repeat(row, 50, axis=0)
    rows[:, recency] = np.linspace(1, SMALL.active_days, 50)
    assert model.derived is not None
    known = model.derived.joined(rows, names=model.feature_names)
    trees, _ = model.trees.of(np.ascontiguousarray(known.T))
    assert (np.diff(trees.sum(axis=1)) >= -1e-12).all()


def test_reasons_are_said_in_english_and_chinese(model: ChurnModel, features: np.ndarray) -> None:
    scores = model.score(features)
    english, chinese = (
        sentences(model.book, scores.reasons),
        sentences(model.book, scores.reasons, language="zh"),
    )
    assert [len(said) for said in english] == [len(said) for said in chinese]
    assert any(said for said in english)
    assert all("{" not in text for said in english + chinese for text in said)


@pytest.mark.parametrize("change", [1e-6, -1e-6])
def test_a_tiny_change_of_the_features_changes_no_word(
    model: ChurnModel, features: np.ndarray, change: float
) -> None:
    def said(rows: np.ndarray) -> list[object]:
        scores = model.score(rows)
        standing = (scores.tier.tolist(), scores.stage.tolist(), scores.segment.tolist())
        return [
            sentences(model.book, scores.reasons),
            sentences(model.book, scores.reasons, language="zh"),
            *standing,
        ]

    # Whole and half numbers, as real histories have them.
    rows = np.round(features * 2) / 2
    assert said(rows * (1 + change)) == said(rows)


def test_a_matrix_of_another_width_or_with_an_infinite_value_is_refused_by_name(
    model: ChurnModel, features: np.ndarray
) -> None:
    with pytest.raises(InputError, match="feature_names"):
        model.score(features[:, :-1])
    bad = features.copy()
    bad[3, 1] = np.inf
    with pytest.raises(InputError, match=model.feature_names[1]):
        model.score(bad)


def test_the_golden_customers_score_as_in_training(model: ChurnModel) -> None:
    model.check_golden()


def test_another_answer_than_in_training_is_found_out(model: ChurnModel) -> None:
    moved = replace(model.scoring, level=model.scoring.level + 1e-3)
    other = ChurnModel(
        model.artefact, feature_names=model.feature_names, scoring=moved,
        linear=model.linear, trees=model.trees, book=model.book, derived=model.derived,
        standing=model.standing, value=model.value,
    )  # fmt: skip
    with pytest.raises(DamagedArtefactError, match="another probability"):
        other.check_golden()


def test_a_changed_file_is_refused(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / bundle.name
    shutil.copytree(bundle, copy)
    (copy / "scoring.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DamagedArtefactError, match=r"scoring\.json"):
        open_churn_model(copy)


def test_a_bundle_of_another_kind_is_refused(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / bundle.name
    shutil.copytree(bundle, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "kind": "volume-bundle"}))
    with pytest.raises(IncompatibleArtefactError, match="volume-bundle"):
        open_churn_model(copy)
