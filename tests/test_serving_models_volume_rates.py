"""Paths of rates and of handle times: their moments, their order, what they have in common."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from volume_world import DAY, START, around_the_clock, office

from features.arrays import Float64, Int64
from features.calendar.clock import interval_starts, local_times
from features.calendar.queues import Queue, is_open
from serving.models.volume.distribution import (
    CURVE_LEVELS,
    LEAD_BUCKETS,
    AhtDistribution,
    ErrorCorrelation,
    ForecastDistribution,
    plain_shape,
    rate_quantiles,
)
from serving.models.volume.paths import sample_aht, sample_paths, sample_rates

MADE_AT = START + 10 * 3600
BUCKETS = len(LEAD_BUCKETS)


@dataclass(frozen=True)
class Forecast:
    queue: Queue
    starts: Int64
    mean: Float64
    shape: ForecastDistribution
    aht_seconds: Float64

    def cut(self, rows: slice) -> Forecast:
        kept = {name: getattr(self, name)[rows] for name in ("starts", "mean", "aht_seconds")}
        return replace(self, **kept)


def shape_of(
    spread: float = 0.05,
    clumps: float = 0.0,
    *,
    day: float = 0.6,
    memory: float = 0.7,
    common: float = 0.5,
    handle: AhtDistribution | None = None,
) -> ForecastDistribution:
    return replace(
        plain_shape(spread),
        clumps=np.full(BUCKETS, clumps),
        dependence=ErrorCorrelation((day,) * BUCKETS, memory=memory, common=common),
        handle=handle or AhtDistribution(0.01, 0.02, 0.5),
    )


def forecast(
    queue: Queue, per_hour: float = 20.0, shape: ForecastDistribution | None = None, days: int = 15
) -> Forecast:
    starts = interval_starts(MADE_AT, MADE_AT + days * DAY, queue.interval_minutes, queue.time_zone)
    mean = np.where(is_open(queue, starts), per_hour * queue.interval_minutes / 60, 0.0)
    return Forecast(queue, starts, mean, shape or shape_of(), np.full(len(starts), 300.0))


def rates(*forecasts: Forecast, count: int = 200, seed: int = 0) -> list[Float64]:
    return sample_rates(forecasts, made_at=MADE_AT, count=count, seed=seed)


def handled(*forecasts: Forecast, count: int = 200, seed: int = 0) -> list[Float64]:
    return sample_aht(forecasts, made_at=MADE_AT, count=count, seed=seed)


@pytest.mark.parametrize("spread", [0.0004, 0.02, 0.3, 0.8])
def test_rate_quantiles_are_those_of_a_gamma(spread: float) -> None:
    levels = np.array([0.05, 0.25, 0.5, 0.75, 0.95, 0.99])
    found = rate_quantiles(np.array([10.0]), np.array([spread]), levels)[0]
    wanted = stats.gamma.ppf(levels, 1 / spread, scale=10 * spread)
    assert found == pytest.approx(wanted, rel=0.01, abs=0.1)


@pytest.mark.parametrize("mean", [0.02, 0.5, 4.0, 300.0])
@pytest.mark.parametrize(("spread", "clumps"), [(0.0, 0.0), (0.05, 0.3), (0.8, 2.0), (0.0, 5.0)])
def test_the_rate_has_the_mean_and_the_variance_beyond_poissons(
    mean: float, spread: float, clumps: float
) -> None:
    levels = (np.arange(20_000) + 0.5) / 20_000
    shape = shape_of(spread, clumps)
    found = shape.read_rates(np.array([mean]), np.zeros(1, dtype=np.int64), levels)[0]
    assert found.mean() == pytest.approx(mean, rel=0.005)
    assert found.var() == pytest.approx(clumps * mean + spread * mean**2, rel=0.03, abs=1e-9)


@settings(max_examples=50)
@given(st.floats(0, 3000), st.floats(0, 200), st.integers(2, 300))
def test_rate_quantiles_rise_and_are_never_negative(mean: float, spread: float, count: int) -> None:
    levels = (np.arange(count) + 0.5) / count
    found = rate_quantiles(np.array([mean]), np.array([spread]), levels)[0]
    assert (found >= 0).all()
    assert (np.diff(found) >= 0).all()


def test_poisson_counts_of_the_rates_vary_as_the_counts_do() -> None:
    made = forecast(around_the_clock(), 12.0, shape_of(0.06, 0.4), days=2)
    rate = rates(made, count=4000)[0]
    counts = np.random.default_rng(0).poisson(rate)
    assert counts.var(axis=0).mean() == pytest.approx(12 + 0.4 * 12 + 0.06 * 144, rel=0.03)
    count = sample_paths([made], made_at=MADE_AT, count=4000)[0]
    assert counts.var(axis=0).mean() == pytest.approx(count.var(axis=0).mean(), rel=0.05)


def test_the_mean_of_the_paths_is_near_the_mean_and_nothing_where_closed() -> None:
    for per_hour in (0.5, 5.0, 60.0):
        made = forecast(office(), per_hour, shape_of(0.05, 0.2))
        found = rates(made)[0]
        assert found.mean(axis=0) == pytest.approx(made.mean, rel=0.01)
        assert not found[:, made.mean == 0].any()


def test_a_curve_moves_rates_as_it_moves_counts() -> None:
    made = forecast(around_the_clock(), 400.0, days=3)
    grid = stats.norm.cdf(stats.norm.ppf(np.array(CURVE_LEVELS)) + 0.5)
    moved = replace(made, shape=replace(made.shape, curve=np.tile(grid, (BUCKETS, 1))))
    plain, higher = rates(made)[0].mean(), rates(moved)[0].mean()
    # Half a standard deviation of a rate with a coefficient of variation of sqrt(0.05).
    assert higher / plain - 1 == pytest.approx(0.5 * np.sqrt(0.05), rel=0.05)


def test_a_path_that_is_high_in_contacts_is_high_in_its_rate() -> None:
    made = forecast(around_the_clock(), 30.0)
    count = sample_paths([made], made_at=MADE_AT)[0]
    rate = rates(made)[0]
    found = [stats.spearmanr(count[:, k], rate[:, k])[0] for k in range(0, 300, 20)]
    assert min(found) > 0.85


def test_a_days_total_varies_as_the_rates_dependence_says() -> None:
    made = forecast(around_the_clock(), 100.0, shape_of(0.05, day=0.6), days=6)
    found = rates(made, count=2000)[0]
    day = local_times(made.starts, made.queue.time_zone).day
    sums = [found[:, day == d].sum(axis=1) for d in np.unique(day) if (day == d).sum() == 24]
    variance = 0.05 * 100**2
    assert np.mean([s.var() for s in sums]) == pytest.approx(
        24 * variance * (1 + 23 * 0.6), rel=0.1
    )


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata", "Asia/Kathmandu"])
def test_quarters_of_an_hour_share_its_noise_and_add_up_to_it(zone: str) -> None:
    hourly = replace(around_the_clock(), time_zone=zone)
    whole = forecast(hourly, 40.0)
    parts = forecast(replace(hourly, interval_minutes=15), 40.0)
    first = int(np.flatnonzero(parts.starts == whole.starts[0])[0])
    found = rates(parts)[0][:, first:]
    hours = len(whole.starts) - 1
    sums = found[:, : 4 * hours].reshape(len(found), hours, 4).sum(axis=2)
    np.testing.assert_allclose(sums, rates(whole)[0][:, :hours])


def test_the_same_seed_gives_the_same_paths_whatever_else_is_asked_for() -> None:
    one, two = forecast(around_the_clock("one")), forecast(office("two"), 7.0)
    for sample in (rates, handled):
        alone = sample(one)[0]
        assert (sample(two, one)[1] == alone).all()
        assert (sample(one.cut(slice(30, 100)))[0] == alone[:, 30:100]).all()
        assert (sample(one, seed=1)[0] != alone).mean() > 0.9
        assert sample(one.cut(slice(0, 0)))[0].shape == (200, 0)


def test_handle_times_are_the_forecast_where_nothing_moves_them() -> None:
    still = shape_of(handle=AhtDistribution(0.0, 0.0, 0.5))
    made = forecast(around_the_clock(), shape=still)
    made = replace(made, aht_seconds=np.linspace(100, 500, len(made.starts)))
    assert (handled(made)[0] == made.aht_seconds).all()


def test_handle_times_have_the_mean_and_the_spread_that_was_learnt() -> None:
    made = forecast(around_the_clock(), shape=shape_of(handle=AhtDistribution(0.01, 0.03, 0.5)))
    relative = handled(made, count=5000)[0] / 300
    assert relative.mean() == pytest.approx(1, abs=0.005)
    assert relative.var(axis=0).mean() == pytest.approx(1.01 * 1.03 - 1, rel=0.05)
    day = local_times(made.starts, made.queue.time_zone).day
    same = np.flatnonzero(day == day[30])[:2]
    assert np.cov(relative[:, same].T)[0, 1] == pytest.approx(0.01, rel=0.15)


def test_a_days_handle_time_is_remembered_the_next_day() -> None:
    made = forecast(around_the_clock(), shape=shape_of(handle=AhtDistribution(0.02, 0.0, 0.7)))
    logs = np.log(handled(made, count=4000)[0][:, ::24])
    found = [np.corrcoef(logs[:, k], logs[:, k + 1])[0, 1] for k in range(10)]
    assert np.mean(found) == pytest.approx(0.7, abs=0.02)


def test_quarters_of_an_hour_share_its_handle_time() -> None:
    made = forecast(around_the_clock(interval_minutes=15), days=2)
    found = handled(made)[0].reshape(200, -1, 4)
    assert (found == found[:, :, :1]).all()


def test_handle_times_say_nothing_of_the_contacts() -> None:
    made = forecast(around_the_clock(), 200.0, shape_of(handle=AhtDistribution(0.02, 0.02, 0.5)))
    pairs = zip(rates(made, count=2000)[0].T, handled(made, count=2000)[0].T, strict=True)
    found = [np.corrcoef(a, b)[0, 1] for a, b in pairs]
    assert np.abs(np.mean(found)) < 0.01
    assert np.abs(found).max() < 0.12
