import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluate.metrics import bias, coverage, pinball, wape


def test_measures_equal_numbers_worked_by_hand():
    actual, forecast = np.array([4.0, 0.0, 6.0]), np.array([5.0, 1.0, 3.0])
    assert wape(actual, forecast) == pytest.approx(0.5)
    assert bias(actual, forecast) == pytest.approx(-0.1)
    # 0.9: 4 of 5 too high costs 0.1; 6 of 3 too low costs 2.7; 0 of 1 too high costs 0.1.
    assert pinball(actual, forecast[:, None], np.array([0.9])) == pytest.approx(0.29)
    assert coverage(actual, np.array([4, 1, 5]), np.array([4, 2, 7])) == pytest.approx(2 / 3)


def test_without_contacts_or_rows_there_is_no_figure():
    nothing = np.zeros(3)
    assert math.isnan(wape(nothing, nothing))
    assert math.isnan(bias(nothing, nothing))
    assert math.isnan(pinball(nothing, np.zeros((3, 1)), np.array([0.5])))
    assert math.isnan(coverage(nothing[:0], nothing[:0], nothing[:0]))


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1))
def test_at_the_median_pinball_loss_is_half_the_wape(pairs):
    actual, forecast = np.array(pairs).T + 1.0
    half = pinball(actual, forecast[:, None], np.array([0.5]))
    assert half == pytest.approx(wape(actual, forecast) / 2, abs=1e-9)


@given(st.lists(st.floats(0.5, 100), min_size=1), st.floats(0.1, 10))
def test_wape_does_not_depend_on_the_unit(actual, unit):
    came = np.array(actual)
    assert wape(came * unit, (came + 1) * unit) == pytest.approx(wape(came, came + 1))
