from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import nbinom

from serving.models.volume.distribution import (
    QUANTILE_LEVELS,
    count_quantiles,
    normal_level,
    normal_quantile,
)

LEVELS = np.array(QUANTILE_LEVELS)


def quantiles(mean, spread, levels=LEVELS):
    return count_quantiles(np.array([mean]), np.array([spread]), levels)[0]


@pytest.mark.parametrize("mean", [1e-6, 0.01, 0.05, 0.4, 0.99])
@pytest.mark.parametrize("spread", [0.01, 0.3, 2.0, 100.0])
def test_small_counts_have_exactly_the_negative_binomials_quantiles(mean, spread):
    size = 1 / spread
    assert (
        quantiles(mean, spread).tolist() == nbinom.ppf(LEVELS, size, size / (size + mean)).tolist()
    )


@pytest.mark.parametrize("mean", [1.5, 7.0, 39.0, 41.0, 300.0, 5000.0])
@pytest.mark.parametrize("spread", [0.0, 0.02, 0.2])
def test_larger_counts_have_them_to_within_a_contact_and_two_percent(mean, spread):
    levels = np.array([0.005, *QUANTILE_LEVELS, 0.995])
    size = 1 / max(spread, 1e-4)
    exact = nbinom.ppf(levels, size, size / (size + mean))
    off = np.abs(quantiles(mean, spread, levels) - exact)
    assert (off <= 0.6 + 0.02 * np.maximum(mean, exact)).all()


def test_rows_of_any_means_together_are_what_each_is_alone():
    mean = np.array([50.0, 0.3, 0.0, 3.0, 11.0, 0.02, 39.0, 1e6])
    spread = np.linspace(0.0, 1.0, len(mean))
    together = count_quantiles(mean, spread, LEVELS)
    alone = [quantiles(m, s) for m, s in zip(mean, spread, strict=True)]
    assert together == pytest.approx(np.array(alone))


@pytest.mark.parametrize(("lowest", "highest"), [(2, 6), (4, 80)])
def test_a_band_covers_what_it_says_over_many_means(lowest, highest):
    rng = np.random.default_rng(0)
    mean = rng.uniform(lowest, highest, 20_000)
    counts = rng.poisson(mean * rng.gamma(20, 1 / 20, len(mean)))
    low, high = count_quantiles(mean, np.full(len(mean), 0.05), np.array([0.1, 0.9])).T
    assert ((counts >= low) & (counts <= high)).mean() == pytest.approx(0.8, abs=0.02)


@given(
    st.floats(0, 1e6),
    st.floats(0, 4),
    st.lists(st.floats(1e-5, 1 - 1e-5), min_size=2),
)
def test_quantiles_never_cross_and_are_never_negative(mean, spread, levels):
    found = quantiles(mean, spread, np.sort(np.array(levels)))
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (np.diff(found) >= 0).all()


def test_a_mean_of_zero_has_quantiles_of_exactly_zero():
    assert not quantiles(0.0, 1.0).any()


def test_normal_quantiles_equal_the_standard_librarys():
    levels = np.linspace(0.001, 0.999, 333)
    exact = [NormalDist().inv_cdf(p) for p in levels]
    assert normal_quantile(levels) == pytest.approx(exact, abs=1e-7)


def test_normal_levels_equal_the_standard_librarys_in_any_shape():
    scores = np.linspace(-6, 6, 12).reshape(3, 4)
    exact = [[NormalDist().cdf(z) for z in row] for row in scores]
    assert normal_level(scores) == pytest.approx(np.array(exact), rel=1e-12)
