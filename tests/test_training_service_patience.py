import numpy as np
import pytest

from training.service.patience import (
    LEAST_ABANDONED,
    fit_exponential,
    fit_patience,
    kaplan_meier,
    short_seconds,
)


def censored(rng, count, *, patience, offered):
    """Waits of contacts that would be answered after an exponential time."""
    patient, answer = rng.exponential(patience, count), rng.exponential(offered, count)
    return np.minimum(patient, answer), patient < answer


def whole(count):
    """Groups and halves for contacts in no particular order."""
    group = np.arange(count) // 20
    return {"group": group, "later": group >= group[-1] * 2 / 3}


def test_the_product_limit_estimate_is_the_one_worked_by_hand():
    # Remission times of 21 patients under 6-MP, E. A. Gehan 1965; + is censored:
    # 6 6 6 6+ 7 9+ 10 10+ 11+ 13 16 17+ 19+ 20+ 22 23 25+ 32+ 32+ 34+ 35+
    # The textbook's estimate: .857 .807 .753 .690 .627 .538 .448
    weeks = np.array([6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35])
    ended = np.isin(np.arange(21), [0, 1, 2, 4, 6, 9, 10, 14, 15])
    found = kaplan_meier(weeks.astype(float), ended)
    assert found.seconds.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert found.waiting.tolist() == [21, 17, 15, 12, 11, 7, 6]
    np.testing.assert_allclose(
        found.share, [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], atol=5e-4
    )


def test_the_order_of_contacts_does_not_matter():
    rng = np.random.default_rng(1)
    seconds, ended = np.round(rng.exponential(10, 200)), rng.random(200) < 0.4
    mixed = rng.permutation(200)
    one, other = kaplan_meier(seconds, ended), kaplan_meier(seconds[mixed], ended[mixed])
    np.testing.assert_array_equal(one.share, other.share)


def test_nobody_who_hung_up_leaves_an_empty_curve():
    assert len(kaplan_meier(np.array([1.0, 2.0]), np.zeros(2, bool)).seconds) == 0
    assert len(kaplan_meier(np.empty(0), np.empty(0, bool)).seconds) == 0


def test_censored_waits_give_the_true_patience_where_the_mean_of_hang_ups_is_far_off():
    rng = np.random.default_rng(7)
    means, naive = [], []
    for _ in range(200):
        seconds, ended = censored(rng, 1000, patience=240, offered=40)
        means.append(fit_exponential(seconds, ended).mean_seconds)
        naive.append(seconds[ended].mean())
    assert np.mean(means) == pytest.approx(240, rel=0.02)
    assert np.mean(naive) < 40  # the shorter of the two ends it: 1 / (1/240 + 1/40) = 34


def test_the_interval_holds_the_truth_nineteen_times_in_twenty():
    rng = np.random.default_rng(8)
    inside = 0
    for _ in range(1000):
        found = fit_exponential(*censored(rng, 400, patience=180, offered=60))
        inside += found.low_seconds <= 180 <= found.high_seconds
    assert 0.93 <= inside / 1000 <= 0.97


def test_seconds_before_and_after_do_not_count():
    seconds = np.repeat([2.0, 10.0, 100.0], [30, 40, 50])
    found = fit_exponential(seconds, np.ones(120, bool), after=5, until=60)
    assert found.abandoned == 40
    assert found.mean_seconds == pytest.approx((40 * 5 + 50 * 55) / 40)


def test_too_few_hang_ups_say_nothing():
    few = np.arange(1000) < LEAST_ABANDONED - 1
    assert fit_exponential(np.full(1000, 9.0), few) is None
    assert fit_patience(np.full(1000, 9.0), few, **whole(1000)) is None


def test_hang_ups_at_once_are_found_and_left_out():
    rng = np.random.default_rng(3)
    seconds, ended = censored(rng, 5000, patience=300, offered=60)
    early = rng.random(5000) < 0.08
    seconds, ended = np.where(early, 0.0, seconds), ended | early
    after = short_seconds(seconds, ended)
    assert after == 5
    found = fit_patience(seconds, ended, **whole(5000), after=after)
    assert found.low_seconds < 300 < found.high_seconds
    with_them = fit_exponential(seconds, ended)
    assert with_them.high_seconds < 250


def test_an_even_hazard_leaves_nothing_out():
    rng = np.random.default_rng(4)
    for _ in range(50):
        assert short_seconds(*censored(rng, 3000, patience=200, offered=50)) == 0


def test_a_centre_without_waits_has_no_short_hang_ups_to_speak_of():
    assert short_seconds(np.zeros(100), np.zeros(100, bool)) == 0
    assert short_seconds(np.empty(0), np.empty(0, bool)) == 0


def test_a_hazard_that_falls_late_does_not_hide_the_hazard_near_the_origin():
    # Half of the contacts hang up at a mean of 60 s, half hardly ever; nine in ten wait below 40 s
    # for an answer, a few for minutes.
    rng = np.random.default_rng(5)
    count = 30_000
    patient = np.where(rng.random(count) < 0.5, rng.exponential(60, count), 1e9)
    answer = np.where(rng.random(count) < 0.97, rng.exponential(15, count), 900.0)
    seconds, ended = np.minimum(patient, answer), patient < answer
    found = fit_patience(seconds, ended, **whole(count))
    everything = fit_exponential(seconds, ended)
    near = 120  # half the people at a hazard of 1/60
    assert abs(found.mean_seconds - near) < abs(everything.mean_seconds - near)
    assert np.isfinite(found.horizon_seconds)
