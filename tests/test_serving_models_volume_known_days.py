"""What the outlook of a queue makes of known days, events and bad days."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from volume_world import around_the_clock, history, office

from features.calendar.clock import interval_starts, local_midnight, local_times
from features.calendar.queues import Event, parse_opening
from serving.models.volume.calendar_effects import DayEffects
from serving.models.volume.levels import Smoothing
from serving.models.volume.outlook import MEAN4, SEASONAL, component_forecasts

NOTHING = DayEffects({}, {})
DAY = 86_400


def outlook(past, *, days=14, events=(), effects=NOTHING, made_at=None):
    queue = past.queue
    at = int(past.starts[-1]) + 3600 if made_at is None else made_at
    starts = interval_starts(at, at + days * DAY, queue.interval_minutes, queue.time_zone)
    return component_forecasts(
        past, events=events, effects=effects, smoothing=Smoothing(0.2), made_at=at, starts=starts
    )


def scaled(past, rows, factor):
    return replace(past, offered=np.where(rows, np.round(past.offered * factor), past.offered))


def test_a_storm_of_last_week_is_not_repeated():
    past = history(around_the_clock(), days=200, per_hour=30, day_noise=0.05)
    local = local_times(past.starts, past.queue.time_zone)
    storm = local.day == local.day[-1] - 6
    calm, after = outlook(past), outlook(scaled(past, storm, 3.0))
    day = after.day == local.day[-1] + 1
    for part in (SEASONAL, MEAN4):
        assert after.parts[day, part].sum() < 1.15 * calm.parts[day, part].sum()
    assert [bad.day for bad in after.bad_days] == [local.day[-1] - 6]
    assert after.baseline[day].sum() > 2.5 * calm.baseline[day].sum()  # what a planner sees


def test_a_level_that_moved_two_weeks_ago_is_followed():
    past = history(around_the_clock(), days=200, per_hour=30, day_noise=0.05)
    local = local_times(past.starts, past.queue.time_zone)
    moved = scaled(past, local.day > local.day[-1] - 14, 3.0)
    found = outlook(moved)
    assert found.bad_days == ()
    assert found.parts[:, SEASONAL].sum() == pytest.approx(
        3 * outlook(past).parts[:, SEASONAL].sum(), rel=0.05
    )


def test_a_make_up_saturday_is_forecast_like_the_weekday_it_stands_for():
    hours = (*(parse_opening("09:00-18:00"),) * 5, (), ())
    queue = office("shanghai", time_zone="Asia/Shanghai", country="CN", opening=hours)
    queue = replace(queue, open_on_holidays=False)
    first = local_midnight(20_361, "Asia/Shanghai")  # 2025-09-30, a Tuesday
    past = history(queue, days=200, per_hour=30, start=first - 200 * DAY)
    found = outlook(past, days=13, made_at=first)
    saturday = found.day == date(2025, 10, 11).toordinal() - date(1970, 1, 1).toordinal()
    assert found.is_open[saturday].sum() == 9
    assert (found.cell[saturday] // 24 == 2).all()
    holiday = found.day == found.day[saturday][0] - 3  # the Wednesday off
    assert not found.is_open[holiday].any()
    assert (found.parts[saturday, SEASONAL].sum()) > 100


def test_an_event_ahead_moves_its_hours_alone_and_one_behind_is_not_repeated():
    past = history(around_the_clock(), days=200, per_hour=30, day_noise=0.05)
    end = int(past.starts[-1]) + 3600
    rows = (past.starts >= end - 7 * DAY) & (past.starts < end - 6 * DAY)
    effects = DayEffects({"event:promotion": float(np.log(2))}, {})
    behind = Event("a", "promotion", end - 7 * DAY, end - 6 * DAY, 0)
    ahead = Event("b", "promotion", end + 3 * 3600, end + 5 * 3600, end)
    unknown = Event("c", "promotion", end + 8 * 3600, end + 9 * 3600, end + 1)
    found = outlook(scaled(past, rows, 2.0), events=[behind, ahead, unknown], effects=effects)
    calm = outlook(past)
    assert found.event[:8].tolist() == pytest.approx([1, 1, 1, 2, 2, 1, 1, 1])
    assert (found.event[8:] == 1).all()
    first = slice(0, 24)
    assert found.parts[first, SEASONAL].sum() == pytest.approx(
        calm.parts[first, SEASONAL].sum(), rel=0.05
    )
