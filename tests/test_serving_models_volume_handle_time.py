"""The average handle time: a level that follows shifts, a shape as far as evidence goes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from volume_world import START, office

from features.calendar.clock import interval_starts, local_times
from features.calendar.queues import ALWAYS, Queue
from features.volume.history import QueueHistory
from serving.models.volume.handle_time import aht_by_cell
from serving.models.volume.week_profile import week_cells

DAY = 86_400
QUEUE = Queue("q", opening=ALWAYS, opening_source="stated")


def calls(
    true_seconds,
    *,
    days: int = 84,
    per_hour: float = 20.0,
    variation: float = 0.8,
    seed: int = 0,
    queue: Queue = QUEUE,
) -> QueueHistory:
    """Draw single calls of log-normal handle times and average them by interval.

    Args:
        true_seconds: The mean as a function of the local times and of days since the start.
    """
    rng = np.random.default_rng(seed)
    starts = interval_starts(START, START + days * DAY, queue.interval_minutes, queue.time_zone)
    local = local_times(starts, queue.time_zone)
    mean = true_seconds(local, (starts - START) // DAY) * np.ones(len(starts))
    count = rng.poisson(per_hour * queue.interval_minutes / 60, len(starts)).astype(float)
    sigma = np.sqrt(np.log(1 + variation**2))
    aht = np.full(len(starts), np.nan)
    for k in np.flatnonzero(count):
        single = rng.lognormal(np.log(mean[k]) - sigma**2 / 2, sigma, int(count[k]))
        aht[k] = single.mean()
    return QueueHistory(queue, starts, count, aht, count)


def off(history: QueueHistory, truth) -> np.ndarray:
    """Return the relative error of each cell of the week after the history."""
    queue, end = history.queue, history.starts[-1] + history.queue.interval_minutes * 60
    starts = interval_starts(int(end), int(end) + 7 * DAY, queue.interval_minutes, queue.time_zone)
    _, cell = week_cells(queue, starts)
    wanted = truth(local_times(starts, queue.time_zone), (starts - START) // DAY)
    return aht_by_cell(queue, history)[cell] / wanted - 1


def flat(_local, _day):
    return 240.0


def by_hour(local, _day):
    return 240.0 + 60.0 * np.sin(2 * np.pi * local.minute_of_day / 1440)


def test_a_steady_queue_gets_its_mean_in_every_cell():
    assert np.abs(off(calls(flat), flat)).max() < 0.03


def test_an_hour_of_the_day_that_takes_longer_is_learnt():
    errors = off(calls(by_hour), by_hour)
    assert np.abs(errors).mean() < 0.025
    assert np.abs(by_hour(local_times(np.arange(24) * 3600, "UTC"), 0) / 240 - 1).mean() > 0.15


def test_a_weekday_that_takes_longer_is_learnt():
    def saturdays(local, _day):
        return np.where(local.weekday == 5, 400.0, 240.0)

    assert np.abs(off(calls(saturdays), saturdays)).mean() < 0.03


def test_the_clock_on_the_wall_counts():
    queue = replace(QUEUE, time_zone="America/New_York")
    history = calls(by_hour, queue=queue, days=120)
    assert np.abs(off(history, by_hour)).mean() < 0.03


def test_a_few_calls_move_the_default_by_as_much_as_they_say():
    starts = START + 3600 * np.arange(168, dtype=np.int64)
    seconds, handled = np.full(168, np.nan), np.zeros(168)
    seconds[40:43], handled[40:43] = 600.0, 1.0
    found = aht_by_cell(QUEUE, QueueHistory(QUEUE, starts, handled, seconds, handled))
    assert 300 < found.min() <= found.max() <= 600
    seconds[40:100], handled[40:100] = 600.0, 10.0
    busier = aht_by_cell(QUEUE, QueueHistory(QUEUE, starts, handled, seconds, handled))
    assert busier.min() > found.min()
    assert busier == pytest.approx(600, rel=0.01)


def test_cells_of_a_thin_queue_are_not_torn_apart_by_noise():
    thin = calls(flat, per_hour=0.3, days=120, variation=1.2)
    found = aht_by_cell(QUEUE, thin)
    raw = thin.aht_seconds[~np.isnan(thin.aht_seconds)]
    assert np.std(found) < 0.1 * np.std(raw)
    assert np.abs(found / 240 - 1).max() < 0.25


@pytest.mark.parametrize("factor", [0.6, 1.6])
def test_a_lasting_shift_is_followed_within_two_weeks(factor):
    def shifted(_local, day):
        return np.where(day >= 98, 240.0 * factor, 240.0)

    errors = off(calls(shifted, days=112), shifted)
    assert np.abs(errors).mean() < 0.07


def test_a_wild_interval_moves_little():
    history = calls(flat)
    wild = history.aht_seconds.copy()
    wild[-30:-28] = 40_000.0
    hit = aht_by_cell(QUEUE, replace(history, aht_seconds=wild))
    assert np.abs(hit / aht_by_cell(QUEUE, history) - 1).max() < 0.1


def test_a_trend_is_not_carried_on():
    def rising(_local, day):
        return 200.0 + day

    found = aht_by_cell(QUEUE, calls(rising, days=84))
    assert found.max() < 200 + 84 + 10


def test_intervals_of_a_quarter_of_an_hour_share_their_hour():
    quarter = replace(QUEUE, interval_minutes=15)
    history = calls(by_hour, queue=quarter, days=56, per_hour=20)
    assert len(aht_by_cell(quarter, history)) == 672
    assert np.abs(off(history, by_hour)).mean() < 0.04


@pytest.mark.parametrize("handled", [0.0, np.nan])
def test_without_a_handled_contact_the_default_holds(handled):
    starts = START + 3600 * np.arange(24, dtype=np.int64)
    nothing = np.full(24, np.nan)
    queue = replace(QUEUE, default_aht_seconds=123.0)
    past = QueueHistory(queue, starts, np.zeros(24), nothing, np.full(24, handled))
    assert set(aht_by_cell(queue, past)) == {123.0}
    none = np.empty(0)
    assert set(
        aht_by_cell(queue, QueueHistory(queue, none.astype(np.int64), none, none, none))
    ) == {123.0}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    share=st.floats(0, 1),
    scale=st.sampled_from([0.01, 1.0, 300.0, 80_000.0]),
    days=st.integers(1, 40),
)
def test_every_cell_is_a_positive_finite_number_whatever_came(seed, share, scale, days):
    rng = np.random.default_rng(seed)
    queue = office()
    starts = interval_starts(START, START + days * DAY, 60, queue.time_zone)
    aht = scale * rng.lognormal(0, 2, len(starts))
    count = np.floor(rng.exponential(3, len(starts)))
    aht[rng.random(len(starts)) < share] = np.nan
    found = aht_by_cell(queue, QueueHistory(queue, starts, count, aht, count))
    assert np.isfinite(found).all()
    assert found.min() >= 1
    assert found.max() <= max(25 * max(np.nanmax(aht, initial=0), queue.default_aht_seconds), 1)


@settings(max_examples=10, deadline=None)
@given(factor=st.sampled_from([0.5, 2.0, 7.0]), seed=st.integers(0, 100))
def test_handle_times_in_another_unit_give_the_forecast_in_that_unit(factor, seed):
    history = calls(by_hour, days=28, seed=seed)
    queue = replace(QUEUE, default_aht_seconds=300.0 * factor)
    scaled = replace(history, aht_seconds=factor * history.aht_seconds)
    assert aht_by_cell(queue, scaled) == pytest.approx(factor * aht_by_cell(QUEUE, history))
