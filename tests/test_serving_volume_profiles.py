from datetime import UTC, datetime

import numpy as np
import pytest

from features.calendar import Queue, epoch, interval_starts
from features.snapshot import QueueHistory
from serving.models.volume.profiles import (
    aht_profile,
    last_seen,
    mean_seen,
    recent,
    week_grid,
    week_profile,
)
from tests.volume_world import START, history, office

BERLIN = Queue("q", time_zone="Europe/Berlin")


def grid_of(first: datetime, hours: int, values: np.ndarray | None = None):
    starts = interval_starts(epoch(first), epoch(first) + hours * 3600, 60, "Europe/Berlin")
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


def test_handle_time_is_drawn_from_the_default_to_the_level_to_the_hour_to_the_cell():
    starts = START + 3600 * np.arange(168, dtype=np.int64)
    seconds, handled = np.full(168, np.nan), np.zeros(168)
    seconds[0], handled[0] = 600.0, 30.0
    queue = Queue("q")
    cells = aht_profile(
        week_grid(queue, starts, seconds),
        week_grid(queue, starts, handled),
        default_seconds=300,
    )
    # START is a Wednesday at midnight; two week rows, the first one a week old at most.
    weight = 30 * 0.5 ** (1 / 6)
    level = (weight * 600 + 30 * 300) / (weight + 30)
    hour = (weight * 600 + 30 * level) / (weight + 30)
    assert cells[2 * 24] == pytest.approx((weight * 600 + 30 * hour) / (weight + 30))
    assert cells[3 * 24] == pytest.approx(hour)
    assert cells[2 * 24 + 1] == pytest.approx(level)


def test_without_a_handled_contact_the_default_handle_time_holds():
    none = grid_of(datetime(2026, 3, 2, tzinfo=UTC), 168, np.full(168, np.nan))
    assert set(aht_profile(none, none, default_seconds=123)) == {123.0}
