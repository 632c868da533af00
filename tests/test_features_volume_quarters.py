"""Contacts by quarter of an hour: what the panel counts, where it counts it, as known then."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from features_rows import T0, at, contact, load

from features.arrays import Float64
from features.calendar.clock import WEEKDAYS
from features.home import Home
from features.store import FeatureStore

HOUR = timedelta(hours=1)
SUNDAY, MONDAY, SATURDAY = 6, 0, 5
"""``T0`` is a Sunday, 2026-03-01."""


def counted(folder: Path, as_of: datetime = T0, **tables: list[dict[str, Any]]) -> Float64:
    """Return the counts of queue ``q`` by weekday, hour and quarter, float64[7, 24, 4]."""
    home = Home(folder)
    load(home, tables)
    with FeatureStore(home, threads=1) as store:
        return store.panel(as_of).queues["q"].history.quarters.reshape(7, 24, 4)


def queue(**facts: Any) -> dict[str, Any]:
    row = {"queue": "q", "channel": "voice", "time_zone": "UTC", "available_at": at(-999)}
    return {**row, **facts}


def contacts(days: int, *, minute: int = 50, first: int = 0) -> list[dict[str, Any]]:
    """Return one contact an hour over the last days, at one minute of the hour."""
    begin = at(-days)
    return [
        contact(f"c{first}{k}", None, begin + k * HOUR + timedelta(minutes=minute))
        for k in range(days * 24)
    ]


def interval(start: datetime, offered: int, minutes: int) -> dict[str, Any]:
    return {
        "queue": "q",
        "interval_start": start,
        "interval_minutes": minutes,
        "offered": offered,
        "available_at": start,
    }


def test_a_contact_counts_in_the_quarter_of_its_hour_of_the_local_week(tmp_path: Path) -> None:
    found = counted(tmp_path, interactions=contacts(8), queues=[queue()])
    # The first day is partial; the seven others are whole.
    assert (found[:, :, 3] == 1).all()
    assert not found[:, :, :3].any()


def test_quarters_are_those_of_the_wall_clock(tmp_path: Path) -> None:
    kathmandu = [queue(time_zone="Asia/Kathmandu")]  # UTC+05:45
    found = counted(tmp_path, interactions=contacts(9, minute=20), queues=kathmandu)
    # Twenty past in UTC is five past there.
    assert (found[:, :, 0].sum(axis=1) > 20).all()
    assert not found[:, :, 1:].any()


def test_what_was_known_only_later_is_not_counted(tmp_path: Path) -> None:
    late = contact("late", None, at(-1) + timedelta(minutes=5), available_at=at(1))
    rows = [*contacts(8), late]
    assert counted(tmp_path, interactions=rows, queues=[queue()])[:, :, 0].sum() == 0
    later = counted(tmp_path / "later", at(2), interactions=rows, queues=[queue()])
    assert later[SATURDAY, 0, 0] == 1


def test_the_hour_under_way_is_not_counted(tmp_path: Path) -> None:
    rows = [*contacts(8), contact("now", None, at(0, seconds=60))]
    found = counted(tmp_path, at(0, seconds=1800), interactions=rows, queues=[queue()])
    assert found[SUNDAY, 0, 0] == 0


def test_what_came_in_a_closed_quarter_is_not_counted(tmp_path: Path) -> None:
    rows = contacts(9, minute=5) + contacts(9, minute=35, first=1)
    opening = {f"open_{day}": "08:30-17:00" for day in WEEKDAYS}
    found = counted(tmp_path, interactions=rows, queues=[queue(**opening)])
    assert not found[:, :8].any()
    assert not found[:, 17:].any()
    assert found[MONDAY, 8].tolist() == [0, 0, 1, 0]
    assert found[MONDAY, 9].tolist() == [1, 0, 1, 0]


def test_short_rows_of_counts_tell_and_long_ones_do_not(tmp_path: Path) -> None:
    hours = [at(-7) + k * HOUR for k in range(7 * 24)]
    quarters = [
        interval(hour + timedelta(minutes=15 * k), k, 15) for hour in hours for k in range(4)
    ]
    found = counted(tmp_path / "15", intervals=quarters, queues=[queue()])
    assert (found == [0, 1, 2, 3]).all()
    halves = [interval(hour + timedelta(minutes=30 * k), 2 * k, 30) for hour in hours
              for k in range(2)]  # fmt: skip
    found = counted(tmp_path / "30", intervals=halves, queues=[queue()])
    assert (found == [0, 0, 1, 1]).all()
    whole = [interval(hour, 3, 60) for hour in hours]
    assert not counted(tmp_path / "60", intervals=whole, queues=[queue()]).any()


def test_contacts_tell_where_only_long_rows_of_counts_stand_beside_them(tmp_path: Path) -> None:
    whole = [interval(at(-7) + k * HOUR, 1, 60) for k in range(7 * 24)]
    found = counted(tmp_path, interactions=contacts(8), intervals=whole, queues=[queue()])
    assert (found[:, :, 3] == 1).all()


def test_an_hour_is_counted_once_where_contacts_stand_beside_short_rows(tmp_path: Path) -> None:
    short = [interval(at(-7) + k * HOUR / 4, 5, 15) for k in range(4 * 7 * 24)]
    found = counted(tmp_path, interactions=contacts(8), intervals=short, queues=[queue()])
    assert (found == 5).all()


def test_a_queue_of_quarters_needs_no_profile(tmp_path: Path) -> None:
    found = counted(tmp_path, interactions=contacts(8), queues=[queue(interval_minutes=15)])
    assert not found.any()


@pytest.mark.parametrize(("days", "weeks"), [(380, 52)])
def test_only_the_last_year_counts(tmp_path: Path, days: int, weeks: int) -> None:
    found = counted(tmp_path, interactions=contacts(days), queues=[queue()])
    assert (found[:, :, 3] == weeks).all()
