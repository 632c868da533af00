import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from volume_world import DAY, START, around_the_clock, office

from features.calendar.clock import interval_starts, local_times
from features.calendar.queues import Queue, is_open
from serving.models.volume.distribution import (
    CURVE_LEVELS,
    LEAD_BUCKETS,
    QUANTILE_LEVELS,
    AhtDistribution,
    ErrorCorrelation,
    ForecastDistribution,
    lead_bucket,
    plain_shape,
    shape_from_json,
    shape_to_json,
)
from serving.models.volume.paths import sample_paths

MADE_AT = START + 10 * 3600
DAYS = 15


@dataclass(frozen=True)
class Forecast:
    queue: Queue
    starts: np.ndarray
    mean: np.ndarray
    shape: ForecastDistribution

    def cut(self, rows):
        return replace(self, starts=self.starts[rows], mean=self.mean[rows])

    @property
    def bucket(self):
        return lead_bucket((self.starts - MADE_AT) / 3600)


def dependent(day=0.8, memory=0.7, common=0.5, spread=0.1):
    dependence = ErrorCorrelation(day=(day,) * len(LEAD_BUCKETS), memory=memory, common=common)
    return replace(plain_shape(spread), dependence=dependence)


def forecast(queue, per_hour=20.0, shape=None, days=DAYS):
    starts = interval_starts(MADE_AT, MADE_AT + days * DAY, queue.interval_minutes, queue.time_zone)
    wave = per_hour * (1 + 0.5 * np.sin(np.arange(len(starts)) / 4))
    mean = np.where(is_open(queue, starts), wave, 0.0)
    return Forecast(queue, starts, mean, shape or dependent())


def paths(*forecasts, count=200, seed=0):
    return sample_paths(forecasts, made_at=MADE_AT, count=count, seed=seed)


@pytest.mark.parametrize("per_hour", [0.05, 0.8, 3.0, 30.0, 400.0])
def test_each_intervals_values_are_its_own_quantiles(per_hour):
    made = forecast(around_the_clock(), per_hour)
    found = np.sort(paths(made, count=50)[0], axis=0)
    levels = (np.arange(50) + 0.5) / 50
    np.testing.assert_allclose(found.T, made.shape.read(made.mean, made.bucket, levels))


def test_path_quantiles_are_the_published_ones_to_the_step_of_the_grid():
    made = forecast(around_the_clock(), 30.0, days=3)
    published = made.shape.quantiles(made.mean, made.bucket)
    found = paths(made, count=2000)[0]
    step = 0.5 / 2000
    for k, level in enumerate(QUANTILE_LEVELS):
        low, high = np.quantile(found, (level - step, level + step), axis=0)
        assert (low <= published[:, k] + 1e-9).all()
        assert (published[:, k] <= high + 1e-9).all()


def test_the_mean_of_the_paths_is_near_the_mean():
    for per_hour in (0.5, 5.0, 60.0):
        made = forecast(around_the_clock(), per_hour)
        assert paths(made)[0].mean() == pytest.approx(made.mean.mean(), rel=0.01)


def test_a_closed_interval_is_zero_on_every_path_and_a_rare_contact_a_whole_one():
    made = forecast(office(), 0.8)
    found = paths(made)[0]
    assert not found[:, made.mean == 0].any()
    whole = found[:, made.mean <= 1]
    assert whole.any()
    assert (whole == np.round(whole)).all()


def test_the_same_seed_gives_the_same_paths_and_another_seed_others():
    made = forecast(around_the_clock())
    first, again, other = paths(made)[0], paths(made)[0], paths(made, seed=1)[0]
    assert (first == again).all()
    assert (first != other).any()


def test_a_path_depends_neither_on_the_other_queues_nor_on_the_span():
    one, two = forecast(around_the_clock("one")), forecast(office("two"), 7.0)
    alone = paths(one)[0]
    assert (paths(two, one)[1] == alone).all()
    for rows in (slice(0, 5), slice(30, 100), slice(200, None)):
        assert (paths(one.cut(rows))[0] == alone[:, rows]).all()


@settings(max_examples=25, deadline=None)
@given(
    st.floats(0, 2000),
    st.floats(0, 1.5),
    st.floats(0, 5),
    st.floats(0, 0.9),
    st.integers(1, 60),
    st.integers(0, 2**31),
)
def test_paths_are_never_negative_nor_without_a_number(mean, spread, clumps, day, count, seed):
    shape = replace(dependent(day=day, spread=spread), clumps=np.full(len(LEAD_BUCKETS), clumps))
    made = forecast(around_the_clock(), mean, shape, days=2)
    found = paths(made, count=count, seed=seed)[0]
    assert found.shape == (count, len(made.starts))
    assert np.isfinite(found).all()
    assert (found >= 0).all()


def day_sums(made, found):
    day = local_times(made.starts, made.queue.time_zone).day
    whole = [d for d in np.unique(day) if (day == d).sum() == 24]
    return np.stack([found[:, day == d].sum(axis=1) for d in whole], axis=1)


def test_a_days_total_varies_as_the_dependence_says():
    flat = forecast(around_the_clock(), shape=dependent(day=0.6, spread=0.05), days=6)
    flat = replace(flat, mean=np.full(len(flat.starts), 100.0))
    sums = day_sums(flat, paths(flat, count=2000)[0])
    hour = 100 + 0.05 * 100**2
    # 24 hours of variance `hour`, and 24 x 23 covariances of the share that the day has.
    expected = 24 * hour + 24 * 23 * 0.6 * 0.05 * 100**2
    assert sums.var(axis=0).mean() == pytest.approx(expected, rel=0.1)


def test_a_days_part_is_remembered_and_shared_as_the_dependence_says():
    shape = dependent(day=0.9, memory=0.7, common=0.5, spread=0.2)
    one, two = (forecast(around_the_clock(name), 3000.0, shape) for name in ("one", "two"))
    sums = [day_sums(f, p) for f, p in zip((one, two), paths(one, two, count=1000), strict=True)]
    lag = [np.corrcoef(sums[0][:, k], sums[0][:, k + 1])[0, 1] for k in range(10)]
    between = [np.corrcoef(sums[0][:, k], sums[1][:, k])[0, 1] for k in range(10)]
    assert np.mean(lag) == pytest.approx(0.7, abs=0.05)
    assert np.mean(between) == pytest.approx(0.5, abs=0.05)


def test_the_nights_of_a_clock_change_have_paths_of_23_and_25_hours():
    for first, hours in ((1_743_289_200, 23), (1_761_429_600, 25)):  # 2025-03-30, 2025-10-26
        queue = replace(around_the_clock(), time_zone="Europe/Berlin")
        starts = interval_starts(first, first + 26 * 3600, 60, queue.time_zone)
        day = local_times(starts, queue.time_zone).day
        starts = starts[day == day[2]]
        made = Forecast(queue, starts, np.full(len(starts), 9.0), dependent())
        found = sample_paths([made], made_at=first, count=20)[0]
        assert found.shape == (20, hours)
        # No two hours of the night share their noise.
        assert len(np.unique(found, axis=1).T) == hours


def test_a_shape_is_the_same_after_json():
    rng = np.random.default_rng(0)
    curve = np.sort(rng.uniform(size=(len(LEAD_BUCKETS), len(CURVE_LEVELS))), axis=1)
    shape = replace(
        dependent(),
        curve=curve,
        clumps=rng.uniform(size=len(LEAD_BUCKETS)),
        handle=AhtDistribution(0.01, 0.02, 0.9),
    )
    again = shape_from_json(json.loads(json.dumps(shape_to_json(shape))))
    assert (again.curve == shape.curve).all()
    assert (again.clumps == shape.clumps).all()
    assert (again.spread == shape.spread).all()
    assert (again.dependence, again.today) == (shape.dependence, shape.today)
    assert again.handle == shape.handle == AhtDistribution(0.01, 0.02, 0.9)


def test_a_shape_of_another_size_is_refused():
    document = shape_to_json(plain_shape(0.1))
    with pytest.raises(ValueError, match="reshape"):
        shape_from_json({**document, "curve": document["curve"][1:]})
    del document["clumps"]
    with pytest.raises(KeyError):
        shape_from_json(document)


@given(st.lists(st.floats(0.001, 0.999), min_size=2, max_size=40))
def test_levels_that_need_no_correction_are_read_where_they_are(levels):
    ordered = np.sort(np.array(levels))
    assert plain_shape(0.1).moved(0, ordered) == pytest.approx(ordered, abs=1e-6)


@given(st.integers(0, 2**31))
def test_levels_moved_by_any_curve_keep_their_order(seed):
    rng = np.random.default_rng(seed)
    curve = np.sort(rng.uniform(0.001, 0.999, size=(len(LEAD_BUCKETS), len(CURVE_LEVELS))), axis=1)
    moved = replace(plain_shape(0.1), curve=curve).moved(1, np.linspace(1e-4, 1 - 1e-4, 300))
    assert (np.diff(moved) >= 0).all()
    assert ((moved > 0) & (moved < 1)).all()


def test_what_began_before_the_forecast_was_made_and_days_before_1970_have_paths_too():
    made = forecast(around_the_clock(), days=3)
    early = sample_paths([made], made_at=MADE_AT + 2 * DAY, count=20)[0]
    assert np.sort(early, axis=0)[:, :10] == pytest.approx(
        np.sort(paths(made, count=20)[0], axis=0)[:, :10]
    )
    long_ago = replace(made, starts=made.starts - 80 * 365 * DAY)
    assert np.isfinite(sample_paths([long_ago], made_at=int(long_ago.starts[0]), count=5)[0]).all()
