"""Each interval's forecast is the sum of named parts, and each part says what its name says."""

from dataclasses import replace

import numpy as np
import pytest
from volume_world import DAY, START, around_the_clock, history, office

from features.calendar.clock import from_epoch, local_times
from features.calendar.queues import Event
from serving.models.volume.forecast import PARTS
from serving.models.volume.model import forecast_with
from training.config import VolumeConfig
from training.evaluate.origins import Histories
from training.evaluate.volume_backtest import run_backtest

DAYS = 220
CONFIG = VolumeConfig(
    origins=3, refits=1, horizon_days=14, boosting_rounds=10, boosting_rows=8000, threads=1
)
AS_OF = from_epoch(START + DAYS * DAY)
UNTIL = from_epoch(START + (DAYS + 14) * DAY)


def promotion(day, name):
    start = START + day * DAY
    return Event(name, "promotion", start, start + 2 * DAY, start - 30 * DAY)


EVENTS = (*(promotion(day, f"p{day}") for day in (60, 100, 150, 190)), promotion(DAYS + 3, "next"))


@pytest.fixture(scope="module")
def forecast():
    lifted = []
    for queue, seed in ((office(country="DE"), 1), (around_the_clock(), 2)):
        plain = history(queue, days=DAYS, per_hour=30, seed=seed)
        touched = np.zeros(len(plain.starts), dtype=bool)
        for event in EVENTS:
            touched |= (plain.starts >= event.starts_at) & (plain.starts < event.ends_at)
        lifted.append(replace(plain, offered=np.where(touched, 2 * plain.offered, plain.offered)))
    histories = {h.queue.queue: h for h in lifted}
    state = run_backtest(Histories(histories, EVENTS), as_of=AS_OF, config=CONFIG).state
    return forecast_with(state, histories, events=EVENTS, made_at=AS_OF, until=UNTIL)


def part(found, name):
    return found.parts[:, PARTS.index(name)]


@pytest.mark.parametrize("name", ["office", "hotline"])
def test_the_parts_of_each_interval_sum_to_its_mean(forecast, name):
    found = forecast.queues[name]
    assert found.parts.shape == (len(found.starts), len(PARTS))
    np.testing.assert_allclose(found.parts.sum(axis=1), found.mean, rtol=0, atol=1e-9)


def test_the_level_is_the_same_in_every_open_interval_and_nothing_is_where_closed(forecast):
    found = forecast.queues["office"]
    levels = part(found, "level")[found.is_open]
    assert levels.min() == levels.max() > 0
    assert not found.parts[~found.is_open].any()


def test_the_week_pattern_takes_and_gives_over_the_week_and_leaves_the_level(forecast):
    found = forecast.queues["hotline"]
    week = slice(0, 168)
    moved = part(found, "week_pattern")[week]
    assert moved.min() < 0 < moved.max()
    assert abs(moved.sum()) < 1e-6 * part(found, "level")[week].sum()


def test_a_promotion_shows_in_the_part_of_events_on_its_days_alone(forecast):
    found = forecast.queues["hotline"]
    begins, ends = EVENTS[-1].starts_at, EVENTS[-1].ends_at
    during = (found.starts >= begins + DAY // 2) & (found.starts < ends)
    before = found.starts < begins - DAY
    share = part(found, "event")[during].sum() / found.mean[during].sum()
    assert share == pytest.approx(0.5, abs=0.12)
    assert not part(found, "event")[before].any()


def test_a_holiday_shows_in_the_part_of_holidays_alone(forecast):
    found = forecast.queues["office"]
    local = local_times(found.starts, found.queue.time_zone)
    holiday = part(found, "holiday")
    quiet = (local.day < local.day[0] + 1) & found.is_open
    assert not holiday[quiet].any()


def test_nothing_of_today_and_no_orders_leave_their_parts_empty(forecast):
    for found in forecast.queues.values():
        assert not part(found, "today").any()
        assert not part(found, "orders").any()
