"""The buy-till-you-die model against its own definition: integrals, simulation, limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from features.errors import TooLittleDataError
from serving.models.churn.learners import INPUTS, BuyTillYouDie, purchase_histories
from training.models.churn.btyd import fit_btyd, log_likelihood

MODEL = BuyTillYouDie(r=0.8, alpha=40.0, a=0.9, b=2.2)


def column(*values: float) -> tuple[np.ndarray, ...]:
    return tuple(np.array([value]) for value in values)


def integrals(model: BuyTillYouDie, x: float, last: float, age: float, ahead: float) -> np.ndarray:
    """Integrate over rate and chance to stop: alive, stopped, and the purchases ahead."""
    unit, by_rate = special.roots_genlaguerre(60, model.r - 1)
    place, by_stop = special.roots_jacobi(60, model.b - 1, model.a - 1)
    stop, by_stop = (place + 1) / 2, by_stop / by_stop.sum()

    def over_rates(silent_since: float) -> tuple[np.ndarray, np.ndarray]:
        # Density of the rate times exp(-rate * silent_since), up to one common factor.
        scale = model.alpha + silent_since
        return unit / scale, by_rate * (model.alpha / scale) ** model.r / special.gamma(model.r)

    rate, mass = over_rates(age)
    here = np.outer(mass * rate**x, by_stop * (1 - stop) ** (x + 1))
    # Purchases until one stops: a Poisson process of stops, divided by the chance of each.
    bought = (1 - np.exp(-ahead * np.outer(rate, stop))) / stop
    then, mass = over_rates(last)
    gone = np.outer(mass * then**x, by_stop * stop * (1 - stop) ** x)
    return np.array([here.sum(), gone.sum(), (here * bought).sum()])


@pytest.mark.parametrize(("x", "last", "age"), [(0, 0, 60), (3, 90, 120), (8, 50, 300)])
def test_it_equals_the_integral_of_its_own_definition(x: float, last: float, age: float) -> None:
    model = BuyTillYouDie(r=1.3, alpha=40.0, a=1.2, b=2.2)
    alive, gone, purchases = integrals(model, x, last, age, 90.0)
    args = column(x, last, age)
    assert model.p_alive(*args)[0] == pytest.approx(alive / (alive + gone), rel=1e-4)
    expected = purchases / (alive + gone)
    assert model.expected_purchases(*args, 90.0)[0] == pytest.approx(expected, rel=1e-4)
    likelihood = log_likelihood(np.array([1.3, 40.0, 1.2, 2.2]), np.array([[x, last, age]]))[0]
    assert likelihood == pytest.approx(np.log(alive + gone), rel=1e-4)


@given(
    st.integers(0, 5000), st.floats(0, 1), st.floats(0, 4000), st.floats(0.05, 5),
    st.floats(0.5, 500), st.floats(0.05, 5), st.floats(0.1, 50),
)  # fmt: skip
def test_extreme_customers_and_parameters_stay_in_range(
    x: int, share: float, age: float, r: float, alpha: float, a: float, b: float
) -> None:
    model = BuyTillYouDie(r=r, alpha=alpha, a=a, b=b)
    frequency, last, ages = column(float(x), share * age if x else 0.0, age)
    alive = model.p_alive(frequency, last, ages)[0]
    ahead = model.purchases_if_alive(frequency, ages, 90.0)[0]
    assert 0 <= alive <= 1
    # One who buys at his posterior rate and never stops buys no less.
    assert -1e-9 <= ahead <= (r + x) / (alpha + age) * 90 * (1 + 1e-6)


def test_a_chance_to_stop_whose_formula_divides_by_zero_is_bridged() -> None:
    args = column(2.0, 30.0, 50.0)
    low, at, high = (
        BuyTillYouDie(r=0.8, alpha=40.0, a=a, b=2.0).expected_purchases(*args, 90.0)[0]
        for a in (0.99, 1.0, 1.01)
    )
    assert at == pytest.approx((low + high) / 2, rel=1e-4)


def test_a_longer_silence_makes_life_less_likely_and_one_purchase_is_no_proof() -> None:
    silence = np.array([0.0, 30.0, 90.0, 365.0])
    busy = MODEL.p_alive(np.full(4, 6.0), np.full(4, 100.0), 100 + silence)
    once = MODEL.p_alive(np.zeros(4), np.zeros(4), silence)
    assert (np.diff(busy) < 0).all()
    assert (np.diff(once) < 0).all()
    assert busy[-1] < once[-1]


def histories(customers: int, *, model: BuyTillYouDie, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Let customers buy and stop; returns their histories and who is still alive."""
    rng = np.random.default_rng(seed)
    found, here = np.zeros((customers, 3)), np.ones(customers, dtype=bool)
    for i in range(customers):
        rate, stop = rng.gamma(model.r, 1 / model.alpha), rng.beta(model.a, model.b)
        age, at, last, count = rng.uniform(10, 700), 0.0, 0.0, 0
        here[i] = rng.random() >= stop
        while here[i]:
            at += rng.exponential(1 / rate)
            if at > age:
                break
            count, last = count + 1, at
            here[i] = rng.random() >= stop
        found[i] = count, last, age
    return found, here


def test_a_fit_finds_the_model_that_simulated_the_customers() -> None:
    known, here = histories(6000, model=MODEL, seed=2)
    fitted = fit_btyd(known)
    truth, found = (
        log_likelihood(np.array([m.r, m.alpha, m.a, m.b]), known).sum() for m in (MODEL, fitted)
    )
    # Twice the difference is chi-squared with 4 degrees of freedom: above 20 once in 2,000.
    assert -1 < 2 * (found - truth) < 20
    alive = fitted.p_alive(*known.T)
    for low, high in ((0.0, 0.2), (0.4, 0.7), (0.8, 1.0)):
        some = (alive >= low) & (alive < high)
        assert here[some].mean() == pytest.approx(alive[some].mean(), abs=0.05)


def test_a_handful_of_customers_gives_a_usable_model() -> None:
    for rows in ([[0.0, 0.0, 5.0]], [[4.0, 100.0, 101.0], [0.0, 0.0, 300.0]]):
        model = fit_btyd(np.array(rows))
        answers = model.expected_purchases(*column(1.0, 50.0, 80.0), 90.0)
        assert np.isfinite(answers).all()
        assert 0.01 < model.a / (model.a + model.b) < 0.99


def test_a_fit_does_not_depend_on_the_unit_of_time() -> None:
    known, _ = histories(500, model=MODEL, seed=3)
    days, hours = fit_btyd(known), fit_btyd(known * [1, 24, 24])
    np.testing.assert_allclose(
        days.p_alive(*known.T), hours.p_alive(*(known * [1, 24, 24]).T), atol=1e-6
    )


def test_nobody_who_ever_bought_is_refused() -> None:
    with pytest.raises(TooLittleDataError, match="buy-till-you-die"):
        fit_btyd(np.full((3, 3), np.nan))


def test_a_history_is_read_from_the_customers_own_features() -> None:
    names = ["other", *INPUTS]
    features = np.array([[7.0, 3.0, 10.0, 100.0], [7.0, 0.0, np.nan, np.nan]])
    found = purchase_histories(features, names=names)
    assert found[0].tolist() == [2.0, 90.0, 100.0]
    assert np.isnan(found[1]).all()


def test_a_model_survives_its_document() -> None:
    assert BuyTillYouDie.from_document(MODEL.document()) == MODEL
