"""Rankings are judged out of fold, and their differences against what chance allows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from training.leakage.ranking import alone, beside, bins, difference, strength


def classes(rng: np.random.Generator, n: int) -> np.ndarray:
    return (rng.random(n) < 0.4).astype(float)


def test_a_column_of_noise_ranks_like_a_coin_however_small_the_data() -> None:
    rng = np.random.default_rng(1)
    found = [strength(rng.normal(size=120), classes(rng, 120)) for _ in range(200)]
    assert np.mean(found) < 0.52
    assert np.quantile(found, 0.99) < 0.66


def test_a_column_ranks_as_its_own_bins_do_in_whichever_direction() -> None:
    rng = np.random.default_rng(2)
    churned = classes(rng, 4000)
    signal = churned + rng.normal(size=4000)
    expected = roc_auc_score(churned, signal)
    assert strength(signal, churned) == pytest.approx(expected, abs=0.02)
    assert strength(-signal, churned) == pytest.approx(expected, abs=0.02)
    # What lies far on either side, told by no straight line.
    far = np.where(churned == 1, np.sign(rng.normal(size=4000)) * 3, 0) + rng.normal(size=4000)
    assert strength(far, churned) > 0.9


def test_empty_cells_are_a_bin_of_their_own() -> None:
    assert bins(np.full(3, np.nan)).tolist() == [0, 0, 0]
    assert len(np.unique(bins(np.r_[np.arange(100.0), np.nan]))) == 11
    churned = np.tile([0.0, 1.0], 100)
    assert strength(np.where(churned == 1, np.nan, 1.0), churned) == 1.0


def test_a_score_of_a_customer_never_uses_the_customer_s_own_label() -> None:
    rng = np.random.default_rng(3)
    churned, values = classes(rng, 60), np.arange(60.0)
    before = alone(values, churned)
    for i in range(0, 60, 7):
        flipped = churned.copy()
        flipped[i] = 1 - flipped[i]
        assert alone(values, flipped)[i] == before[i]


def test_noise_beside_a_score_adds_nothing_and_the_label_adds_what_is_missing() -> None:
    rng = np.random.default_rng(4)
    churned = classes(rng, 1500)
    score = churned + rng.normal(size=1500)
    noise, error = difference(churned, beside(rng.normal(size=1500), churned, score=score), score)
    assert noise < 3 * error
    assert roc_auc_score(churned, beside(churned, churned, score=score)) == 1.0


def test_the_error_of_a_difference_is_that_of_resampled_customers() -> None:
    rng = np.random.default_rng(5)
    churned = classes(rng, 500)
    one = churned + rng.normal(size=500)
    other = 0.5 * one + rng.normal(size=500)
    gain, error = difference(churned, one, other)
    assert gain == pytest.approx(roc_auc_score(churned, one) - roc_auc_score(churned, other))
    drawn = [rng.integers(0, 500, 500) for _ in range(600)]
    again = [roc_auc_score(churned[d], one[d]) - roc_auc_score(churned[d], other[d]) for d in drawn]
    assert error == pytest.approx(np.std(again), rel=0.15)
