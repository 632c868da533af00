"""Worlds with a known distribution: what was put into the errors is found again."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nbinom, norm
from volume_world import around_the_clock

from serving.models.volume.distribution import (
    CURVE_LEVELS,
    DEFAULT_DEPENDENCE,
    LEAD_BUCKETS,
    count_quantiles,
    plain_shape,
)
from training.evaluate.volume_windows import day_totals, days_covered
from training.models.volume.dispersion import (
    HALF_LIFE_DAYS,
    ForecastErrors,
    fall_between,
    recency,
    recent_pairs,
)
from training.models.volume.distribution import learn_shapes

DAY = 86_400
WINDOW_DAYS = 28
AS_OF = 200 * DAY
ORIGINS = AS_OF - DAY * np.arange(WINDOW_DAYS, 4 * WINDOW_DAYS + 1, WINDOW_DAYS)[::-1]
NONE = ForecastErrors(
    *(np.empty(0, dtype=np.int64) for _ in range(4)), *(np.empty(0) for _ in range(2))
)


def joined(parts):
    return ForecastErrors(
        *(np.concatenate(values) for values in zip(*map(_columns, parts), strict=True))
    )


def _columns(pairs):
    return (pairs.queue, pairs.bucket, pairs.origin, pairs.day, pairs.mean, pairs.actual)


def learn(pairs, queues=1, young=NONE):
    return learn_shapes(pairs, young=young, queues=queues, as_of_epoch=AS_OF)


def normal_days(rng, *, memory, windows=4, days=WINDOW_DAYS):
    """Return standard normal factors of days with a memory, [windows, days]."""
    drawn = rng.standard_normal((windows, days))
    for k in range(1, days):
        drawn[:, k] = memory * drawn[:, k - 1] + np.sqrt(1 - memory**2) * drawn[:, k]
    return drawn


def world(
    rng,
    *,
    queue=0,
    mean=None,
    spread=0.0,
    clumps=0.0,
    day=0.0,
    factor=None,
    tilt=1.0,
    origins=ORIGINS,
):
    """Return the pairs of a queue whose counts have the variance and the days that are said."""
    parts = []
    for number, origin in enumerate(origins):
        hours = np.arange(WINDOW_DAYS * 24)
        level = 30 + 20 * np.sin(hours / 4) if mean is None else np.full(len(hours), mean)
        rates = spread + clumps / level
        share = day * spread * level / (1 + rates * level)
        common = np.zeros(WINDOW_DAYS) if factor is None else factor[number]
        noise = rng.standard_normal(len(hours))
        score = np.sqrt(share) * common[hours // 24] + np.sqrt(1 - share) * noise
        size = 1 / np.maximum(rates, 1e-9)
        actual = nbinom.ppf(norm.cdf(score), size, size / (size + tilt * level))
        parts.append(
            ForecastErrors(
                queue=np.full(len(hours), queue),
                bucket=np.searchsorted([24, 168, 336], hours, side="right"),
                origin=np.full(len(hours), origin),
                day=origin // DAY + hours // 24,
                mean=level,
                actual=actual,
            )
        )
    return joined(parts)


def test_counts_fall_where_the_negative_binomial_says():
    mean, rates, actual = (
        np.array(x) for x in ([0.2, 3.0, 80.0], [2.0, 0.3, 0.01], [0.0, 5.0, 91.0])
    )
    size = 1 / rates
    low, high = fall_between(mean, rates, actual)
    assert low == pytest.approx(nbinom.cdf(actual - 1, size, size / (size + mean)))
    assert high == pytest.approx(nbinom.cdf(actual, size, size / (size + mean)))


def test_the_spread_of_the_rate_is_found_beside_poisson_noise():
    shape = learn(world(np.random.default_rng(1), spread=0.05)).shapes[0]
    # The two longest leads are known from weeks of days, and hardly drawn to a prior.
    for bucket in (2, 3):
        variance = shape.clumps[bucket] * 30 + shape.spread[bucket] * 30**2
        assert variance == pytest.approx(0.05 * 30**2, rel=0.25)


def test_clumps_are_told_from_spread():
    shape = learn(world(np.random.default_rng(2), clumps=1.0)).shapes[0]
    assert shape.clumps[3] == pytest.approx(1.0, abs=0.35)
    assert shape.spread[3] < 0.015


def test_a_few_wild_hours_do_not_widen_the_band_of_all():
    rng = np.random.default_rng(3)
    calm = world(rng, spread=0.02)
    wild = replace(calm, actual=np.where(rng.uniform(size=len(calm.mean)) < 0.01, 900, calm.actual))
    bands = [
        np.diff(learn(pairs).shapes[0].quantiles(np.array([30.0]), np.array([3]))[0, [1, 17]])[0]
        for pairs in (calm, wild)
    ]
    assert bands[1] == pytest.approx(bands[0], rel=0.15)


@pytest.mark.parametrize("mean", [0.3, 2.5, 30.0])
@pytest.mark.parametrize("spread", [0.02, 0.4])
def test_bands_cover_what_they_say_once_learnt(mean, spread):
    shape = learn(world(np.random.default_rng(4), mean=mean, spread=spread)).shapes[0]
    size = 1 / spread
    true = nbinom(size, size / (size + mean))
    found = shape.quantiles(np.array([mean]), np.array([3]))[0]
    for level, quantile in ((0.1, found[1]), (0.5, found[9]), (0.9, found[17])):
        # Whole counts and jittered ones alike: the level lies between both ends of the step.
        assert true.cdf(np.ceil(quantile - 0.5) - 1) <= level + 0.05
        assert true.cdf(np.floor(quantile + 0.5)) >= level - 0.05


def test_forecasts_that_were_too_high_lower_the_levels_as_far_as_several_windows_show_it():
    rng = np.random.default_rng(12)
    middle = CURVE_LEVELS.index(0.5)
    medians = []
    for origins in (ORIGINS[-1:], AS_OF - DAY * np.arange(28, 140, 7)):
        high = world(rng, mean=30.0, tilt=0.7, origins=origins)
        medians.append(learn(high).shapes[0].curve[3, middle])
    assert medians[1] < medians[0] - 0.05
    assert medians[1] < 0.25
    assert medians[0] < 0.47


def test_without_forecasts_levels_need_no_correction_and_the_rest_is_the_default():
    learnt = learn(NONE, queues=2)
    assert len(learnt.shapes) == 3
    for shape in (*learnt.shapes, learnt.young):
        assert shape.curve == pytest.approx(np.tile(CURVE_LEVELS, (4, 1)), abs=1e-5)
        assert (shape.spread > 0).all()
        assert shape.dependence == DEFAULT_DEPENDENCE
    assert (learnt.young.spread > learnt.shapes[-1].spread).all()


def test_a_queue_without_a_forecast_is_like_all_the_others():
    learnt = learn(world(np.random.default_rng(5), spread=0.3), queues=2)
    assert learnt.shapes[1].spread == pytest.approx(learnt.shapes[2].spread)
    assert learnt.shapes[1].curve == pytest.approx(learnt.shapes[2].curve, abs=0.01)
    assert learnt.shapes[1].spread[3] == pytest.approx(0.3, rel=0.25)


def test_errors_of_young_queues_make_the_shape_of_young_queues():
    rng = np.random.default_rng(6)
    learnt = learn(world(rng, spread=0.02), young=world(rng, spread=0.4))
    assert learnt.shapes[0].spread[3] == pytest.approx(0.02, rel=0.4)
    assert learnt.young.spread[3] == pytest.approx(0.4, rel=0.3)


def test_late_errors_count_more_and_old_ones_not_at_all():
    origin = np.array([AS_OF, AS_OF - int(HALF_LIFE_DAYS) * DAY])
    assert recency(origin, as_of_epoch=AS_OF).tolist() == [1.0, 0.5]
    rng = np.random.default_rng(7)
    late, old = world(rng, spread=0.02), world(rng, spread=0.8)
    old = replace(old, origin=old.origin - 100 * DAY, day=old.day - 100)
    assert len(recent_pairs(joined([late, old]), as_of_epoch=AS_OF).mean) < 1.5 * len(late.mean)
    assert learn(joined([late, old])).shapes[0].spread[3] < 0.06


@pytest.mark.parametrize("day", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("mean", [2.0, 40.0])
def test_the_share_that_a_day_has_in_common_is_found(day, mean):
    rng = np.random.default_rng(8)
    queues = 6
    pairs = [
        world(rng, queue=q, mean=mean, spread=0.2, day=day, factor=normal_days(rng, memory=0))
        for q in range(queues)
    ]
    learnt = learn(joined(pairs), queues=queues)
    assert learnt.shapes[-1].dependence.day[3] == pytest.approx(day, abs=0.12)


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_the_memory_from_day_to_day_is_found(memory):
    rng = np.random.default_rng(9)
    pairs = [
        world(rng, queue=q, spread=0.1, day=0.8, factor=normal_days(rng, memory=memory))
        for q in range(8)
    ]
    found = learn(joined(pairs), queues=8).shapes[-1].dependence.memory
    assert found == pytest.approx(memory, abs=0.12)


@pytest.mark.parametrize("common", [0.0, 0.5, 0.9])
def test_what_queues_have_in_common_is_found(common):
    rng = np.random.default_rng(10)
    shared = normal_days(rng, memory=0.3)
    pairs = []
    for queue in range(6):
        own = normal_days(rng, memory=0.3)
        factor = np.sqrt(common) * shared + np.sqrt(1 - common) * own
        pairs.append(world(rng, queue=queue, spread=0.1, day=0.8, factor=factor))
    found = learn(joined(pairs), queues=6)
    assert found.shapes[-1].dependence.common == pytest.approx(common, abs=0.15)


@pytest.mark.parametrize(("mean", "day"), [(1.5, 0.5), (30.0, 0.0), (30.0, 0.8)])
def test_bands_of_days_totals_cover_what_they_say(mean, day):
    rng = np.random.default_rng(11)

    def pairs():
        return joined(
            [
                world(
                    rng,
                    queue=q,
                    mean=mean,
                    spread=0.1,
                    day=day,
                    factor=normal_days(rng, memory=0.4),
                )
                for q in range(4)
            ]
        )

    learnt = learn(pairs(), queues=4)
    fresh, covered = pairs(), []
    for queue in range(4):
        for origin in ORIGINS:
            one = fresh.where((fresh.queue == queue) & (fresh.origin == origin))
            forecast = Past(
                around_the_clock(f"{queue}-{origin}"),
                one.origin + 3600 * np.arange(len(one.mean)),
                one.mean,
                learnt.shapes[queue],
            )
            covered.append(
                day_totals(
                    forecast, made_at=int(origin), day=one.day, bucket=one.bucket, actual=one.actual
                )
            )
    assert days_covered(covered) == pytest.approx(0.8, abs=0.07)


class Past:
    def __init__(self, queue, starts, mean, shape):
        self.queue, self.starts, self.mean, self.shape = queue, starts, mean, shape


def test_days_without_an_expected_contact_are_not_judged():
    hours = np.arange(48)
    forecast = Past(
        around_the_clock(), hours * 3600, np.where(hours < 24, 5.0, 0.0), plain_shape(0.1)
    )
    bucket = np.zeros(48, dtype=np.int64)
    found = day_totals(forecast, made_at=0, day=hours // 24, bucket=bucket, actual=np.full(48, 5.0))
    assert found.actual.tolist() == [120.0]
    assert found.low[0] < 120 < found.high[0]
    assert np.isnan(days_covered([]))
    empty = np.empty(0)
    nothing = Past(around_the_clock(), empty.astype(int), empty, plain_shape(0.1))
    none = day_totals(nothing, made_at=0, day=bucket[:0], bucket=bucket[:0], actual=empty)
    assert len(none.actual) == 0


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 3), st.floats(0.01, 500))
def test_whatever_came_curves_rise_and_shares_stay_in_bounds(seed, queues, scale):
    rng = np.random.default_rng(seed)
    n = 60
    pairs = ForecastErrors(
        queue=rng.integers(0, queues, n),
        bucket=rng.integers(0, len(LEAD_BUCKETS), n),
        origin=AS_OF - DAY * rng.integers(1, 60, n),
        day=200 + rng.integers(0, 9, n),
        mean=scale * rng.exponential(size=n),
        actual=np.floor(scale * rng.exponential(size=n) ** 3),
    )
    learnt = learn(pairs, queues=queues)
    for shape in (*learnt.shapes, learnt.young):
        assert (np.diff(shape.curve, axis=1) >= 0).all()
        assert ((shape.curve > 0) & (shape.curve < 1)).all()
        assert (shape.spread >= 0).all()
        assert (shape.clumps >= 0).all()
        dependence = shape.dependence
        assert all(
            0 <= share < 1 for share in (*dependence.day, dependence.memory, dependence.common)
        )
        for bucket in range(len(LEAD_BUCKETS)):
            spread = np.array([shape.spread[bucket]])
            assert np.isfinite(
                count_quantiles(np.array([scale]), spread, shape.curve[bucket])
            ).all()
