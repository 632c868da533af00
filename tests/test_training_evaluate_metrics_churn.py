"""Metrics of churn probabilities against scikit-learn and against numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from features.errors import TooLittleDataError
from training.evaluate.metrics import evaluate, expected_calibration_error, lift, reliability

PAIRS = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0]), st.integers(1, 19)), min_size=2, max_size=60
).filter(lambda rows: 0 < sum(y for y, _ in rows) < len(rows))


@given(PAIRS)
def test_figures_equal_those_of_scikit_learn_ties_included(rows: list[tuple[float, int]]) -> None:
    churned = np.array([y for y, _ in rows])
    probability = np.array([p / 20 for _, p in rows])
    found = evaluate(churned, probability)
    assert found.auc == pytest.approx(roc_auc_score(churned, probability))
    assert found.average_precision == pytest.approx(average_precision_score(churned, probability))
    assert found.log_loss == pytest.approx(log_loss(churned, probability))
    assert found.base_rate == churned.mean()
    assert found.customers == len(rows)


@given(PAIRS)
def test_auc_does_not_change_under_a_rising_transformation(rows: list[tuple[float, int]]) -> None:
    churned = np.array([y for y, _ in rows])
    probability = np.array([p / 20 for _, p in rows])
    assert evaluate(churned, probability).auc == evaluate(churned, probability**3).auc


def test_the_base_log_loss_is_the_entropy_of_the_base_rate() -> None:
    churned = np.array([1.0, 0, 0, 0])
    found = evaluate(churned, np.full(4, 0.9))
    assert found.base_log_loss == pytest.approx(-(0.25 * np.log(0.25) + 0.75 * np.log(0.75)))


def test_the_top_decile_of_a_perfect_ranking_lifts_by_one_over_the_base_rate() -> None:
    churned = np.r_[np.ones(20), np.zeros(80)]
    found = evaluate(churned, np.linspace(0.9, 0.1, 100))
    assert found.top_decile_lift == pytest.approx(5.0)
    assert found.auc == 1.0


def test_calibration_error_is_zero_where_every_bin_comes_true() -> None:
    churned = np.tile([1.0, 0.0], 50)
    assert expected_calibration_error(churned, np.full(100, 0.5)) == 0.0
    assert expected_calibration_error(churned, np.full(100, 0.8)) == pytest.approx(0.3)


def test_bins_hold_all_customers_once() -> None:
    rng = np.random.default_rng(0)
    table = reliability((rng.random(103) < 0.4).astype(float), rng.random(103))
    assert table["customers"].sum() == 103
    assert table["mean_probability"].is_monotonic_increasing


def test_contacting_everyone_reaches_all_churners_without_lift() -> None:
    rng = np.random.default_rng(0)
    table = lift((rng.random(200) < 0.4).astype(float), rng.random(200))
    assert table["lift"].iloc[-1] == pytest.approx(1.0)
    assert table["reached"].iloc[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("churned", [np.ones(5), np.zeros(5), np.array([])])
def test_labels_of_one_class_cannot_be_measured_on(churned: np.ndarray) -> None:
    with pytest.raises(TooLittleDataError, match="Measure at another date"):
        evaluate(churned, np.full(len(churned), 0.5))
