from dataclasses import replace

import numpy as np
import pytest
from volume_world import START, around_the_clock, history, office

from features.calendar.clock import local_times
from features.calendar.queues import Event
from serving.models.volume.anomalies import AnomalousDay, bad_days, describe, find_anomalies
from serving.models.volume.calendar_effects import DayEffects
from serving.models.volume.week_profile import week_grid, week_profile

NOTHING = DayEffects({}, {})
DAYS = 140


def grid_of(past, offered=None):
    return week_grid(past.queue, past.starts, past.offered if offered is None else offered)


def found_in(grid):
    anomalies = bad_days(grid.days, week_profile(grid.values, half_life_weeks=20))
    return describe(grid, anomalies)


def changed(past, days, factor, *, hours=(0, 24)):
    """Return the grid of a history with some of its days (counted from the first) scaled."""
    local = local_times(past.starts, past.queue.time_zone)
    rows = np.isin(local.day - local.day[0], days)
    hour = local.minute_of_day // 60
    rows &= (hour >= hours[0]) & (hour < hours[1])
    return grid_of(past, np.where(rows, np.round(past.offered * factor), past.offered))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("queue", [around_the_clock(), office()])
@pytest.mark.parametrize("per_hour", [2.0, 40.0])
def test_ordinary_histories_have_next_to_no_bad_days(queue, per_hour, seed):
    past = history(queue, days=DAYS, per_hour=per_hour, seed=seed)
    assert len(found_in(grid_of(past))) <= 1


@pytest.mark.parametrize(("factor", "kind"), [(0.0, "shut"), (0.3, "outage"), (2.5, "surge")])
def test_a_day_far_from_its_neighbours_is_found_with_its_factor(factor, kind):
    past = history(around_the_clock(), days=DAYS, per_hour=30)
    first = int(local_times(past.starts, past.queue.time_zone).day[0])
    (bad,) = found_in(changed(past, [70], factor))
    assert bad.day == first + 70
    assert bad.kind == kind
    assert bad.ratio == pytest.approx(factor, rel=0.3)
    assert (bad.from_minute, bad.to_minute) == (0, 1440)


def test_an_outage_of_hours_is_found_with_its_hours():
    past = history(around_the_clock(), days=DAYS, per_hour=60)
    (bad,) = found_in(changed(past, [70], 0.0, hours=(11, 14)))
    assert (bad.kind, bad.from_minute, bad.to_minute) == ("outage", 11 * 60, 14 * 60)
    assert bad.ratio == 0


def test_a_surge_of_hours_is_found():
    past = history(around_the_clock(), days=DAYS, per_hour=60)
    (bad,) = found_in(changed(past, [70], 4.0, hours=(11, 14)))
    assert (bad.kind, bad.from_minute, bad.to_minute) == ("surge", 11 * 60, 14 * 60)


def test_a_storm_of_three_days_is_bad_and_weighs_nothing():
    past = history(around_the_clock(), days=DAYS, per_hour=30)
    grid = changed(past, [70, 71, 72], 2.5)
    anomalies = bad_days(grid.days, week_profile(grid.values, half_life_weeks=20))
    assert int((anomalies.weights == 0).sum()) == 3
    assert len(describe(grid, anomalies)) == 3


@pytest.mark.parametrize("factor", [0.2, 2.0, 5.0])
def test_a_level_that_moves_for_good_is_no_bad_day(factor):
    past = history(around_the_clock(), days=DAYS, per_hour=30)
    assert len(found_in(changed(past, list(range(70, DAYS + 2)), factor))) <= 1


def test_a_level_that_moved_five_days_ago_is_no_bad_day_any_more():
    past = history(around_the_clock(), days=DAYS, per_hour=30)
    last = int(np.ptp(local_times(past.starts, past.queue.time_zone).day))
    assert found_in(changed(past, list(range(last - 5, last + 1)), 3.0)) == []


def test_a_weekly_habit_is_no_bad_day():
    past = history(around_the_clock(), days=DAYS, per_hour=30)
    assert len(found_in(changed(past, list(range(73, DAYS + 2, 7)), 2.5))) <= 1


def test_new_opening_hours_are_no_bad_days():
    past = history(around_the_clock(), days=DAYS, per_hour=60)
    assert len(found_in(changed(past, list(range(70, DAYS + 2)), 0.0, hours=(20, 24)))) <= 1


def test_what_is_said_of_a_past_rests_on_that_past_alone():
    past = history(around_the_clock(), days=DAYS, per_hour=30)
    grid = changed(past, [70], 0.3)
    # Of three days alone nobody can say yet whether the level has moved.
    moved = changed(past, list(range(69, DAYS + 2)), 3.0)
    weeks = 11
    cut = replace(moved, values=moved.values[:weeks].copy())
    cut.days[73:] = np.nan
    assert [bad.kind for bad in found_in(cut)] == ["surge"] * 3
    assert found_in(moved) == []
    assert len(found_in(grid)) == 1


def test_too_short_a_history_has_no_bad_days():
    past = history(around_the_clock(), days=20, per_hour=30)
    assert found_in(changed(past, [10], 0.0)) == []
    assert found_in(week_grid(past.queue, past.starts[:0], past.offered[:0])) == []


def test_a_quiet_queue_with_an_empty_day_has_no_outage():
    past = history(around_the_clock(), days=DAYS, per_hour=0.05)
    assert [bad for bad in found_in(grid_of(past)) if bad.kind != "surge"] == []


def test_an_hour_that_was_not_observed_is_not_bad():
    past = history(around_the_clock(), days=DAYS, per_hour=30)
    offered = past.offered.copy()
    offered[70 * 24 : 72 * 24] = np.nan
    grid = grid_of(past, offered)
    anomalies = bad_days(grid.days, week_profile(grid.values, half_life_weeks=20))
    assert not anomalies.bad[np.isnan(grid.days)].any()


def test_a_known_event_is_no_bad_day_once_its_effect_is_known():
    past = history(around_the_clock(), days=DAYS, per_hour=30)
    first = START + 70 * 86_400
    rows = (past.starts >= first) & (past.starts < first + 86_400)
    past.offered[rows] = np.round(past.offered[rows] * 3)
    sale = Event("e", "promotion", first, first + 86_400, 0)
    known = DayEffects({"event:promotion": float(np.log(3))}, {})
    assert find_anomalies(past, known, [sale], known_by=first)[1] == []
    assert find_anomalies(past, known, [], known_by=first)[1] != []
    late = Event("e", "promotion", first, first + 86_400, first + 1)
    assert find_anomalies(past, known, [late], known_by=first)[1] != []


def test_an_outage_of_the_calendar_is_bad_whatever_came_in_it():
    past = history(around_the_clock(), days=DAYS, per_hour=30)
    down = Event("o", "outage", int(past.starts[100]), int(past.starts[102]), 0)
    bad, _ = find_anomalies(past, NOTHING, [down], known_by=0)
    assert np.flatnonzero(bad).tolist() == [100, 101]


def test_bad_intervals_line_up_with_the_history():
    past = history(around_the_clock(), days=DAYS, per_hour=60)
    local = local_times(past.starts, past.queue.time_zone)
    rows = (local.day - local.day[0] == 70) & (local.minute_of_day // 60 == 12)
    rows |= np.roll(rows, 1)
    past.offered[rows] = 0.0
    bad, _ = find_anomalies(past, NOTHING, [], known_by=0)
    assert np.array_equal(bad, rows)
    empty = replace(past, starts=past.starts[:0], offered=past.offered[:0])
    assert find_anomalies(empty, NOTHING, [], known_by=0)[1] == []


def test_a_bad_day_is_told_in_words():
    whole = AnomalousDay("q", 20_454, 2.5, "surge", 0, 1440)
    assert str(whole) == "2026-01-01 (surge, 2.50 times the usual)"
