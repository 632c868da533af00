"""Experiments: the ratio of the arms, effects with intervals, advice, ranking by effect."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from features.arrays import Float64
from features.errors import InputError, TooLittleDataError
from training.commands import save_figure
from training.experiments.analysis import analyse
from training.experiments.effects import (
    Effect,
    adjusters,
    advise,
    always_valid,
    effect,
    independent,
    sample_ratio,
    target_error,
)
from training.experiments.report import experiments_figure
from training.experiments.sample import PROBABILITY, ExperimentData, Sample
from training.experiments.uplift import (
    SHARES,
    area,
    check_enough,
    cross_fit,
    fit_uplift,
    gains,
    pseudo_effect,
    qini,
)


def drawn(
    n: int = 4_000,
    *,
    seed: int = 0,
    share: float = 0.5,
    gain: Any = 0.05,
    noise: float = 1.0,
) -> Sample:
    """Customers whose chance to stay follows one feature, and gains what is asked for."""
    rng = np.random.default_rng(seed)
    spend = rng.lognormal(8, 1, n)
    wounds = rng.poisson(0.5, n).astype(float)
    odd = np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n))
    chance = 1 / (1 + np.exp(-(np.log(spend) - 8) * noise))
    gains = gain(wounds) if callable(gain) else gain
    treated = rng.random(n) < share
    stays = (rng.random(n) < np.clip(chance + gains * treated, 0, 1)).astype(float)
    value = stays * spend * rng.lognormal(0, 0.3, n)
    return Sample(
        customer_ids=tuple(f"c{i}" for i in range(n)),
        treated=treated,
        share=np.full(n, share),
        retained=stays,
        value=value,
        names=(PROBABILITY, "spend_minor_90d", "contacts_90d", "tenure_days"),
        features=np.column_stack((1 - chance, spend, wounds, odd)),
    )


def decided(sample: Sample, **more: Any) -> ExperimentData:
    known = {
        "experiment": "x",
        "actions": ("call",),
        "first_at": 0,
        "last_at": 0,
        "decided": len(sample),
        "other_arm": 0,
        "share_stated": True,
        "sample": sample,
    }
    return ExperimentData(**{**known, **more})


# The ratio


@given(st.integers(1, 500), st.integers(1, 500), st.floats(0.05, 0.95))
def test_the_ratio_check_is_pearsons_chi_square(treated: int, held: int, share: float) -> None:
    n = treated + held
    found = sample_ratio(np.arange(n) < treated, np.full(n, share))
    expected = stats.chisquare([treated, held], [n * share, n * (1 - share)])
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-300)


def test_a_sound_draw_raises_no_alarm_and_lost_customers_do() -> None:
    sound = drawn(20_000, share=0.9)
    assert not sample_ratio(sound.treated, sound.share).alarm
    # One in ten of those who were called and left never made it into the file.
    lost = sound.treated & (sound.retained == 0) & (np.arange(20_000) % 3 == 0)
    rest = sound.take(~lost)
    assert sample_ratio(rest.treated, rest.share).alarm
    assert analyse(decided(rest)).advice.word == "mend first"


# Effects


def test_the_plain_effect_is_the_difference_of_means_with_welchs_interval() -> None:
    sample = drawn(300)
    found = effect(sample.value, treated=sample.treated, weight=sample.weight)
    ours, theirs = sample.value[sample.treated], sample.value[~sample.treated]
    welch = stats.ttest_ind(ours, theirs, equal_var=False)
    assert found.estimate == pytest.approx(ours.mean() - theirs.mean(), rel=1e-9)
    low, high = welch.confidence_interval(0.95)
    assert found.interval() == pytest.approx((low, high), rel=1e-6)


def test_the_adjusted_effect_is_lins_interacted_regression_with_hc2_errors() -> None:
    sample = drawn(400, share=0.7)
    facts, _ = adjusters(sample)
    assert facts.shape[1] >= 3
    found = effect(sample.value, treated=sample.treated, weight=sample.weight, covariates=facts)
    # One regression with every product, errors from the whole hat matrix.
    arm = sample.treated.astype(float)
    design = np.column_stack((np.ones(400), arm, facts, facts * arm[:, None]))
    inverse = np.linalg.inv(design.T @ design)
    slopes = inverse @ design.T @ sample.value
    left = sample.value - design @ slopes
    hat = np.einsum("ij,jk,ik->i", design, inverse, design)
    cover = inverse @ (design.T * (left**2 / (1 - hat))) @ design @ inverse
    k = facts.shape[1]
    between = slopes[2 + k :]
    mix = between @ np.cov(facts.T, bias=True) @ between / 400
    assert found.estimate == pytest.approx(slopes[1], rel=1e-8)
    assert found.standard_error == pytest.approx(math.sqrt(cover[1, 1] + mix), rel=1e-8)


def test_adjusting_takes_noise_away_and_no_effect() -> None:
    plain, adjusted = [], []
    for seed in range(60):
        sample = drawn(600, seed=seed, gain=0.1, noise=2.0)
        facts, _ = adjusters(sample)
        plain.append(effect(sample.retained, treated=sample.treated, weight=sample.weight))
        adjusted.append(
            effect(sample.retained, treated=sample.treated, weight=sample.weight, covariates=facts)
        )
    truth = 0.1
    for found in (plain, adjusted):
        estimates = np.array([one.estimate for one in found])
        # Clipping at 1 takes a little of the effect from the surest.
        assert abs(estimates.mean() - truth) < 0.02
        said = np.mean([one.standard_error for one in found])
        assert 0.75 < said / estimates.std(ddof=1) < 1.35
    smaller = np.mean(
        [a.standard_error < p.standard_error for a, p in zip(adjusted, plain, strict=True)]
    )
    assert smaller > 0.95


def test_shares_that_differ_are_weighed_by_the_chance_of_the_own_arm() -> None:
    rng = np.random.default_rng(3)
    n = 40_000
    rich = rng.random(n) < 0.5
    share = np.where(rich, 0.9, 0.3)
    treated = rng.random(n) < share
    outcome = 10.0 * rich + 1.0 * treated + rng.normal(size=n)
    weight = 1 / np.where(treated, share, 1 - share)
    found = effect(outcome, treated=treated, weight=weight)
    low, high = found.interval(0.999)
    assert low < 1.0 < high
    naive = outcome[treated].mean() - outcome[~treated].mean()
    assert naive > 5


def test_what_repeats_other_columns_is_left_out() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 100))
    treated = np.arange(100) < 50
    only_theirs = np.where(treated, 0.0, rng.normal(size=100))
    kept = independent([a, 2 * a + 1, np.full(100, 7.0), b, a - b, only_theirs], treated=treated)
    assert kept.shape == (100, 2)
    assert np.allclose(kept.mean(axis=0), 0)


def test_a_small_arm_is_adjusted_for_little() -> None:
    small = drawn(400, share=0.9)
    facts, names = adjusters(small)
    assert facts.shape[1] <= small.smaller_arm() // 20
    assert names[0] == PROBABILITY


# Advice


def test_the_interval_of_all_looks_holds_at_all_looks() -> None:
    rng = np.random.default_rng(7)
    missed = 0
    for _ in range(400):
        steps = np.cumsum(rng.normal(size=(200, 50)).sum(axis=1))
        counts = 50.0 * np.arange(1, 201)
        ends = [
            always_valid(Effect(s / c, c**-0.5, 1e9), target_error=0.01)
            for s, c in zip(steps, counts, strict=True)
        ]
        missed += any(low > 0 or high < 0 for low, high in ends)
    assert missed <= stats.binom.ppf(0.999, 400, 0.05)


def test_a_single_look_interval_would_not() -> None:
    rng = np.random.default_rng(7)
    steps = np.cumsum(rng.normal(size=(400, 200, 50)).sum(axis=2), axis=1)
    far = np.abs(steps) / np.sqrt(50.0 * np.arange(1, 201))
    assert (far.max(axis=1) > 1.96).mean() > 0.2


@pytest.mark.parametrize(
    ("estimate", "error", "word"),
    [
        (0.05, 0.008, "stop: it helps"),
        (-0.05, 0.008, "stop: it harms"),
        (0.0, 0.002, "stop: no effect worth having within reach"),
        (0.02, 0.012, "go on"),
        (0.0, 0.02, "go on"),
    ],
)
def test_the_advice_follows_the_interval(estimate: float, error: float, word: str) -> None:
    found = advise(Effect(estimate, error, 1e6), customers=5_000)
    assert found.word == word
    assert found.low is not None
    assert found.high is not None
    assert found.low < estimate < found.high


def test_the_customers_that_are_missing_are_told() -> None:
    found = advise(Effect(0.01, target_error(0.01) * 2, 1e6), customers=3_000)
    assert found.information_share == pytest.approx(0.25)
    assert "about 9,000 more customers" in found.reason


# Ranking


def test_gains_and_area_are_those_of_brute_force() -> None:
    rng = np.random.default_rng(1)
    effects, by = rng.normal(size=(2, 40))
    order = np.argsort(-by)
    found = gains(effects, order, np.ones(40))
    for share, gain in zip(SHARES, found, strict=True):
        first = round(share * 40)
        assert gain == pytest.approx(effects[order][:first].sum() / 40)
    # Under the polygon: each customer's gain counts from his place on, his own step by half.
    places = np.empty(40)
    places[order] = np.arange(40)
    expected = float((effects * (1 - (places + 0.5) / 40)).sum() / 40 - effects.mean() / 2)
    assert area(effects, order, np.ones(40)) == pytest.approx(expected)


def test_drawing_a_customer_twice_is_having_him_twice() -> None:
    effects = np.array([1.0, -2.0, 0.5])
    times = np.array([2.0, 0.0, 1.0])
    order = np.array([2, 0, 1])
    assert area(effects, order, times) == pytest.approx(
        area(np.array([0.5, 1.0, 1.0]), np.arange(3), np.ones(3))
    )


def only_the_wounded(wounds: Float64) -> Float64:
    return np.where(wounds > 0, 0.3, -0.1)


def test_a_model_of_the_effect_finds_who_gains() -> None:
    sample = drawn(6_000, gain=only_the_wounded)
    model = fit_uplift(sample, rng=np.random.default_rng(0))
    fresh = drawn(6_000, seed=9, gain=only_the_wounded)
    found = model.predict(fresh.features)
    truth = only_the_wounded(fresh.features[:, 2])
    assert np.corrcoef(found, truth)[0, 1] > 0.7
    result = analyse(decided(sample))
    assert result.qini is not None
    assert result.qini.uplift_wins
    assert result.qini.coefficient_uplift.low > 0


def test_where_everybody_gains_alike_no_ranking_wins() -> None:
    wins = 0
    for seed in range(8):
        result = analyse(decided(drawn(1_500, seed=seed, gain=0.1)))
        assert result.qini is not None
        wins += result.qini.uplift_wins
    assert wins <= 2


def test_no_customers_outcome_has_a_part_in_what_is_said_of_him() -> None:
    sample = drawn(1_500)
    fitted = cross_fit(sample, rng=np.random.default_rng(5))
    changed = sample.retained.copy()
    changed[7] = 1 - changed[7]
    other = cross_fit(replace(sample, retained=changed), rng=np.random.default_rng(5))
    assert fitted.effect[7] == other.effect[7]
    assert fitted.untouched[7] == other.untouched[7]
    assert not np.array_equal(fitted.effect, other.effect)


def test_the_pseudo_effect_is_right_on_average_whatever_the_forecast() -> None:
    sample = drawn(60_000, share=0.8, gain=0.1, noise=0.3)
    rng = np.random.default_rng(0)
    for forecast in (np.zeros(60_000), rng.random(60_000)):
        found = pseudo_effect(sample, forecast)
        assert abs(found.mean() - 0.1) < 4 * found.std() / np.sqrt(60_000)


def test_bands_come_from_the_customers_drawn_again() -> None:
    rng = np.random.default_rng(0)
    effects = rng.normal(0.05, 1, 2_000)
    by = rng.normal(size=(2, 2_000))
    found = qini(effects, by_uplift=by[0], by_risk=by[1], rng=rng)
    end = found.uplift[-1]
    assert (end.high - end.low) / (2 * 1.96 / np.sqrt(2_000)) == pytest.approx(1, abs=0.15)
    assert found.uplift[0].estimate == 0
    assert found.difference.low < 0 < found.difference.high


# What does not suffice


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        (drawn(0), "no customer's horizon has ended yet"),
        (drawn(50, share=0.999), "nobody whose horizon has ended was held out"),
        (drawn(50, share=0.0001), "nobody whose horizon has ended was contacted"),
        (drawn(60, share=0.9), "20 of each at least"),
    ],
)
def test_too_few_customers_are_an_answer_that_says_so(sample: Sample, said: str) -> None:
    found = analyse(decided(sample))
    assert (found.retention, found.value, found.qini) == (None, None, None)
    assert found.advice.word == "go on"
    assert said in found.advice.reason
    assert said in found.no_uplift


def test_an_arm_that_is_missing_altogether_is_an_alarm() -> None:
    everybody = drawn(1_000, share=0.9)
    called = everybody.take(everybody.treated)
    found = analyse(decided(called))
    assert found.advice.word == "mend first"
    assert found.retention is None
    assert "was held out" in found.no_uplift


def test_where_everybody_stays_nothing_is_told() -> None:
    sample = drawn(400)
    found = analyse(decided(replace(sample, retained=np.ones(400), value=np.ones(400))))
    assert found.retention is not None
    assert found.retention.plain.estimate == pytest.approx(0)
    assert found.retention.plain.standard_error == found.retention.variance_removed == 0
    assert found.advice.word == "go on"
    assert "the intervals are rough" in found.warnings[0]


def test_a_sample_too_small_for_uplift_is_refused_with_what_is_missing() -> None:
    with pytest.raises(TooLittleDataError, match="300 at least in each arm"):
        check_enough(drawn(1_000, share=0.9))
    few = drawn(2_000)
    with pytest.raises(TooLittleDataError, match="stayed"):
        check_enough(replace(few, retained=np.zeros(2_000)))


def test_what_is_odd_is_warned_of() -> None:
    found = analyse(
        decided(drawn(400), share_stated=False, other_arm=3, actions=("call", "discount"))
    )
    assert found.ratio is None
    assert [warning.split(" ")[0] for warning in found.warnings] == ["the", "3", "several"]


def test_a_figure_is_a_png(tmp_path: Any) -> None:
    results = [analyse(decided(drawn(900))), analyse(decided(drawn(0)))]
    save_figure(experiments_figure(results), tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match=r"ends in \.png"):
        save_figure(experiments_figure(results), tmp_path / "x.pdf")
