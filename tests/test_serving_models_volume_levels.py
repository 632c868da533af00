import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsforecast.ets import forward_ets
from statsforecast.models import AutoETS

from serving.models.volume.levels import (
    DayLevels,
    Smoothing,
    ahead,
    day_levels,
    level_shift,
    robust_level,
    smooth,
    smoothed_levels,
    smoothed_series,
)


def series(days: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.exp(np.cumsum(rng.normal(0.002, 0.04, days))) + rng.normal(0, 0.05, days)


@pytest.mark.parametrize(("model", "damped"), [("ANN", None), ("AAN", True)])
def test_smoothing_equals_statsforecasts_own_forward_on_new_data(model, damped):
    fitted = AutoETS(season_length=1, model=model, damped=damped).fit(series(150, 1))
    alpha, beta, _, phi, level = fitted.model_["par"][:5]
    trend = fitted.model_["par"][5] if model == "AAN" else 0.0
    parameters = Smoothing(alpha, *((beta, phi) if model == "AAN" else ()))
    new = series(80, 2)
    state = smooth(new, parameters, level=level, trend=trend)
    theirs = forward_ets(fitted.model_, new)["states"][-1]
    assert state[: len(theirs)] == pytest.approx(theirs, rel=1e-9)
    # Further ahead statsforecast 2.1 adds the first power of the damping twice, so one step.
    assert ahead(*state, parameters.phi, 1) == pytest.approx(fitted.forward(new, h=1)["mean"])


def test_forecasts_ahead_follow_the_damped_trend_step_by_step():
    level, trend, found = 10.0, 1.0, []
    for _ in range(28):
        trend *= 0.9
        level += trend
        found.append(level)
    assert ahead(10.0, 1.0, 0.9, 28) == pytest.approx(found)


def test_a_day_that_was_not_observed_moves_only_the_trend_on():
    parameters = Smoothing(alpha=0.5, beta=0.1, phi=0.9)
    level, trend = smooth(np.array([np.nan, np.nan]), parameters, level=10.0, trend=1.0)
    assert (level, trend) == pytest.approx((10 + 0.9 + 0.81, 0.81))


def days_at(levels: np.ndarray) -> DayLevels:
    return DayLevels(levels / 7, np.full(len(levels), 1 / 7))


def test_one_bad_day_moves_a_level_little_and_a_lasting_shift_is_followed():
    steady = np.full(60, 7000.0)
    bad = steady.copy()
    bad[-1] = 700.0
    assert robust_level(days_at(bad), half_life_days=5, median_days=7) > 6200
    shifted = steady.copy()
    shifted[-14:] *= 5
    assert robust_level(days_at(shifted), half_life_days=5, median_days=7) == pytest.approx(
        35000, rel=0.12
    )


def test_a_level_without_any_observation_is_zero():
    nothing = DayLevels(np.zeros(7), np.zeros(7))
    assert robust_level(nothing, half_life_days=5, median_days=7) == 0
    assert len(smoothed_series(nothing)) == 0
    assert np.isnan(smoothed_levels(np.empty(0), Smoothing(0.2), 3)).all()


def test_a_partly_observed_day_tells_its_share():
    profile = np.full(168, 1 / 168)
    days = np.full((7, 24), np.nan)
    days[0, :12] = 10.0
    levels = day_levels(days, profile)
    assert levels.total[0] == 120
    assert levels.exposure[0] == pytest.approx(12 / 168)
    assert levels.ratio[0] == pytest.approx(1680)
    assert np.isnan(levels.ratio[1:]).all()


@given(
    st.lists(st.floats(0, 1e5), min_size=20, max_size=60),
    st.floats(0.01, 0.99),
    st.floats(0.5, 100.0),
)
def test_levels_scale_with_the_contacts(totals, alpha, factor):
    one = DayLevels(np.array(totals) + 1000.0, np.full(len(totals), 1 / 7))
    found = smoothed_levels(one.ratio, Smoothing(alpha), 3)
    more = smoothed_levels(one.ratio * factor, Smoothing(alpha), 3)
    assert more == pytest.approx(found * factor, rel=1e-9)
    assert (found >= 0).all()


def test_a_merger_is_found_on_its_day_and_noise_and_one_bad_day_are_not_one():
    rng = np.random.default_rng(9)
    calm = 7000 * np.exp(rng.normal(0, 0.08, 70))
    assert level_shift(days_at(calm)) == (0, 1.0)
    merged = calm.copy()
    merged[62:] *= 5
    first, factor = level_shift(days_at(merged))
    assert first == 62
    assert factor == pytest.approx(5, rel=0.1)
    bad = calm.copy()
    bad[-3] /= 5
    assert level_shift(days_at(bad)) == (0, 1.0)
