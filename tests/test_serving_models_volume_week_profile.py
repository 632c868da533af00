from datetime import UTC, datetime

import numpy as np
import pytest
from volume_world import history, office

from features.calendar.clock import interval_starts, to_epoch
from features.calendar.queues import Queue
from features.volume.history import QueueHistory
from serving.models.volume.week_profile import last_seen, mean_seen, recent, week_grid, week_profile

BERLIN = Queue("q", time_zone="Europe/Berlin")


def grid_of(first: datetime, hours: int, values: np.ndarray | None = None):
    starts = interval_starts(to_epoch(first), to_epoch(first) + hours * 3600, 60, "Europe/Berlin")
    return week_grid(BERLIN, starts, np.ones(len(starts)) if values is None else values)


def test_the_hour_that_spring_skips_is_empty_and_the_hour_that_autumn_repeats_is_averaged():
    spring = grid_of(datetime(2026, 3, 28, 23, tzinfo=UTC), 23)
    assert np.isnan(spring.values[0, 6 * 24 + 2])
    assert np.nansum(spring.values) == 23
    autumn = grid_of(datetime(2026, 10, 24, 22, tzinfo=UTC), 25, np.arange(25.0))
    assert autumn.values[0, 6 * 24 + 2] == 2.5
    assert autumn.values[0, 6 * 24 + 3] == 4.0


def test_a_grid_starts_on_a_monday():
    grid = grid_of(datetime(2026, 3, 4, tzinfo=UTC), 24)
    assert (grid.first_day + 3) % 7 == 0
    assert grid.day_numbers[0] == grid.first_day
    assert grid.slots == 24


def test_an_empty_history_is_an_empty_week():
    none = np.empty(0)
    grid = week_grid(BERLIN, none.astype(np.int64), none)
    assert grid.values.shape == (1, 168)
    assert np.isnan(grid.values).all()


def test_closed_hours_are_never_in_the_grid():
    past = history(office(), days=28, per_hour=20)
    grid = week_grid(past.queue, past.starts, past.offered)
    assert np.isnan(grid.values[:, 5 * 24 :]).all()
    assert np.isnan(grid.values[:, :8]).all()


def test_the_last_seen_values_skip_what_was_not_observed():
    values = np.array([[1.0], [np.nan], [3.0], [np.nan], [5.0]])
    assert last_seen(values, 2)[:, 0].tolist() == [5.0, 3.0]
    assert mean_seen(last_seen(values, 4))[0] == 3.0
    assert np.isnan(mean_seen(np.full((2, 1), np.nan)))[0]


def test_a_profile_finds_the_true_shape():
    rng = np.random.default_rng(3)
    shape = rng.uniform(0.5, 2.0, 168)
    shape /= shape.sum()
    levels = 3000 * np.exp(rng.normal(0, 0.3, 26))
    values = rng.poisson(levels[:, None] * shape).astype(np.float64)
    found = week_profile(values, half_life_weeks=26)
    assert found.sum() == pytest.approx(1)
    assert np.abs(found / shape - 1).mean() < 0.05


def bell(hours: list[float]) -> np.ndarray:
    """Return a week whose days rise to noon and fall, each on its own hours, summing to 1."""
    week = np.array([np.exp(-(((np.arange(24) - middle) / 4) ** 2)) for middle in hours])
    week[5:] /= 3
    shape: np.ndarray = (week / week.sum()).reshape(-1)
    return shape


def test_a_month_of_noise_is_smoothed_well_below_the_mean_of_the_weeks():
    shape = bell([12] * 7)
    values = np.random.default_rng(6).poisson(800 * shape, (4, 168)).astype(np.float64)
    found = week_profile(values, half_life_weeks=20)
    raw = values.sum(axis=0) / values.sum()
    assert np.abs(found - shape).sum() < 0.5 * np.abs(raw - shape).sum()


def test_a_weekend_keeps_hours_of_its_own():
    shape = bell([10, 10, 10, 10, 10, 18, 18])
    values = np.random.default_rng(7).poisson(20_000 * shape, (8, 168)).astype(np.float64)
    found = week_profile(values, half_life_weeks=20)
    weekend = slice(5 * 24, None)
    assert np.abs(found - shape)[weekend].sum() < 0.06 * shape[weekend].sum()


def test_a_busy_cell_unlike_its_neighbours_is_kept():
    shape = bell([12] * 7)
    shape[2 * 24 + 9] *= 3
    shape /= shape.sum()
    values = np.random.default_rng(8).poisson(20_000 * shape, (8, 168)).astype(np.float64)
    found = week_profile(values, half_life_weeks=20)
    assert found[2 * 24 + 9] == pytest.approx(shape[2 * 24 + 9], rel=0.1)


def test_one_storm_changes_a_profile_little():
    calm = np.random.default_rng(4).poisson(20.0, (20, 168)).astype(np.float64)
    storm = calm.copy()
    storm[-3, 40:44] = 2000.0
    before, after = (week_profile(v, half_life_weeks=20) for v in (calm, storm))
    assert np.abs(after / before - 1).max() < 0.15


def test_a_cell_without_a_contact_still_has_a_share_and_a_gap_moves_nothing():
    values = np.random.default_rng(5).poisson(0.05, (20, 168)).astype(np.float64)
    assert (week_profile(values, half_life_weeks=20) > 0).all()
    steady = np.tile(1000 + np.arange(168.0), (12, 1))
    gappy = steady.copy()
    gappy[3:5] = np.nan
    assert np.allclose(
        week_profile(steady, half_life_weeks=8), week_profile(gappy, half_life_weeks=8), rtol=0.02
    )


def test_recent_keeps_the_last_weeks_and_takes_an_empty_history():
    past = history(office(), days=70, per_hour=1)
    assert len(recent(past, 2).starts) == pytest.approx(2 * 168, abs=1)
    none = np.empty(0)
    assert len(recent(QueueHistory(BERLIN, none.astype(np.int64), none, none, none)).starts) == 0
