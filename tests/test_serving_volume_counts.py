from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import nbinom

from features.contracts import QUANTILE_LEVELS
from serving.models.volume.counts import count_quantiles, normal_quantile

LEVELS = np.array([QUANTILE_LEVELS])


@pytest.mark.parametrize("mean", [0.01, 0.05, 0.4, 0.99])
@pytest.mark.parametrize("spread", [0.01, 0.3, 2.0])
def test_small_counts_have_exactly_the_negative_binomials_quantiles(mean, spread):
    found = count_quantiles(np.array([mean]), np.array([spread]), LEVELS)[0]
    size = 1 / spread
    assert found.tolist() == nbinom.ppf(LEVELS[0], size, size / (size + mean)).tolist()


@pytest.mark.parametrize("mean", [1.5, 7.0, 39.0, 41.0, 300.0, 5000.0])
@pytest.mark.parametrize("spread", [0.0, 0.02, 0.2])
def test_larger_counts_have_them_to_within_half_a_contact_and_two_percent(mean, spread):
    found = count_quantiles(np.array([mean]), np.array([spread]), LEVELS)[0]
    size = 1 / max(spread, 1e-4)
    exact = nbinom.ppf(LEVELS[0], size, size / (size + mean))
    assert np.abs(found - exact).max() <= 0.51 + 0.02 * mean


def test_a_band_covers_what_it_says_over_many_means():
    rng = np.random.default_rng(0)
    mean = rng.uniform(4, 80, 20_000)
    counts = rng.poisson(mean * rng.gamma(20, 1 / 20, len(mean)))
    levels = np.tile([0.1, 0.9], (len(mean), 1))
    low, high = count_quantiles(mean, np.full(len(mean), 0.05), levels).T
    assert ((counts >= low) & (counts <= high)).mean() == pytest.approx(0.8, abs=0.02)


@given(st.floats(0, 1e6), st.floats(0, 4), st.lists(st.floats(0.003, 0.997), min_size=2))
def test_quantiles_never_cross_and_are_never_negative(mean, spread, levels):
    ordered = np.sort(np.array([levels]))
    found = count_quantiles(np.array([mean]), np.array([spread]), ordered)[0]
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (np.diff(found) >= 0).all()


def test_a_mean_of_zero_has_quantiles_of_exactly_zero():
    assert not count_quantiles(np.zeros(1), np.ones(1), LEVELS).any()


def test_normal_quantiles_equal_the_standard_librarys():
    levels = np.linspace(0.001, 0.999, 333)
    exact = [NormalDist().inv_cdf(p) for p in levels]
    assert normal_quantile(levels) == pytest.approx(exact, abs=1e-7)
