from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.calendar.clock import (
    WEEKDAYS,
    from_epoch,
    interval_of,
    interval_starts,
    local_midnight,
    local_times,
    to_epoch,
    zone,
)
from features.calendar.queues import (
    ALWAYS,
    Queue,
    is_open,
    learn_opening,
    local_week,
    opening_text,
    parse_opening,
)
from features.calendar.workdays import (
    effective_weekday,
    holidays_on,
    learn_workdays,
    made_up,
    public_holidays,
)
from features.errors import InputError

ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]
)
SECONDS = st.integers(0, 2_000_000_000)


def days(*dates):
    return np.array([d.toordinal() - date(1970, 1, 1).toordinal() for d in dates], dtype=np.int64)


@given(st.lists(SECONDS, min_size=1, max_size=20), ZONES)
@settings(max_examples=50, deadline=None)
def test_wall_times_equal_those_of_the_standard_library(seconds, name):
    found = local_times(np.array(seconds, dtype=np.int64), name)
    for k, second in enumerate(seconds):
        local = datetime.fromtimestamp(second, tz=ZoneInfo(name))
        assert found.offset_seconds[k] == local.utcoffset().total_seconds()
        assert found.weekday[k] == local.weekday()
        assert found.minute_of_day[k] == local.hour * 60 + local.minute
        assert found.day[k] == days(local.date())[0]
        assert found.minute_of_week[k] == local.weekday() * 1440 + found.minute_of_day[k]


@given(SECONDS, ZONES, st.sampled_from([15, 30, 60]))
@settings(max_examples=50, deadline=None)
def test_every_moment_falls_into_an_interval_of_the_grid(second, name, minutes):
    start = int(interval_of(np.array([second], dtype=np.int64), minutes, name)[0])
    assert start <= second
    grid = interval_starts(second - 3 * 3600, second + 1, minutes, name)
    # Half an hour of change (Lord Howe) leaves one interval of the wall longer or shorter.
    assert start == grid[-1] or name == "Australia/Lord_Howe"


def test_no_moments_have_no_wall_times():
    assert len(local_times(np.empty(0, dtype=np.int64), "UTC").day) == 0


def test_a_day_when_the_clock_goes_back_has_25_hours():
    first = local_midnight(int(days(date(2026, 10, 25))[0]), "Europe/Berlin")
    after = local_midnight(int(days(date(2026, 10, 26))[0]), "Europe/Berlin")
    assert len(interval_starts(first, after, 60, "Europe/Berlin")) == 25
    assert len(interval_starts(first, after, 15, "Europe/Berlin")) == 100


def test_a_grid_ends_before_its_end_and_may_be_empty():
    assert interval_starts(0, 3600, 60, "UTC").tolist() == [0]
    assert interval_starts(1, 3600, 60, "UTC").tolist() == []
    with pytest.raises(InputError):
        interval_starts(0, 3600, 20, "UTC")


def test_epoch_and_moment_are_inverse_and_refuse_a_naive_time():
    at = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    assert from_epoch(to_epoch(at)) == at
    assert to_epoch(at + timedelta(microseconds=999_999)) == to_epoch(at)
    with pytest.raises(InputError, match="time zone"):
        to_epoch(at.replace(tzinfo=None))


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "Europe"])
def test_an_unknown_zone_is_an_error_that_names_it(name):
    with pytest.raises(InputError, match="time zone"):
        zone(name)


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        (None, None),
        ("  ", None),
        ("Closed", ()),
        ("08:00-18:00", ((480, 1080),)),
        ("13:30-24:00, 08:00-12:00", ((480, 720), (810, 1440))),
        ("00:00-24:00", ((0, 1440),)),
    ],
)
def test_opening_is_read(text, spans):
    assert parse_opening(text) == spans


@pytest.mark.parametrize(
    "text",
    [
        "8",
        "08:00",
        "18:00-08:00",
        "08:00-08:00",
        "08:60-09:00",
        "08:00-24:01",
        "a-b",
        "08:00-12:00,11:00-13:00",
        "08:00-12:00-13:00",
        "08:00-,",
    ],
)
def test_malformed_opening_is_an_error_that_names_the_field(text):
    with pytest.raises(InputError) as caught:
        parse_opening(text, field="open_mon")
    assert caught.value.field == "open_mon"


@given(
    st.lists(
        st.lists(st.integers(0, 96), unique=True, max_size=6).map(sorted), min_size=7, max_size=7
    )
)
@settings(max_examples=30, deadline=None)
def test_opening_text_reads_back(edges):
    opening = tuple(
        tuple((a * 15, b * 15) for a, b in zip(e[::2], e[1::2], strict=False)) for e in edges
    )
    text = opening_text(Queue("q", opening=opening))
    assert tuple(parse_opening(text[day]) for day in WEEKDAYS) == opening


def test_holidays_of_a_subdivision_and_none_without_a_country():
    found = days(date(2026, 1, 6), date(2026, 1, 7))
    assert holidays_on(found, "DE-BY").tolist() == [True, False]
    assert holidays_on(found, "DE").tolist() == [False, False]
    assert holidays_on(found, None).tolist() == [False, False]
    assert holidays_on(found[:0], "DE").tolist() == []


@pytest.mark.parametrize("country", ["XX", "DE-XX", ""])
def test_an_unknown_country_is_an_error(country):
    with pytest.raises(InputError, match="country"):
        public_holidays(country, 2026, 2026)


def test_a_queue_is_open_by_the_wall_clock_and_closed_on_holidays():
    weekdays = (((480, 1080),),) * 5 + ((), ())
    queue = Queue(
        "q", time_zone="Europe/Berlin", opening=weekdays, country="DE", open_on_holidays=False
    )

    def opened(*wall):
        at = datetime(*wall, tzinfo=ZoneInfo("Europe/Berlin"))
        return bool(is_open(queue, np.array([to_epoch(at)], dtype=np.int64))[0])

    assert opened(2026, 3, 27, 8)
    assert opened(2026, 3, 30, 8)  # after the clock changed
    assert not opened(2026, 3, 30, 7)
    assert not opened(2026, 3, 28, 12)
    assert not opened(2026, 5, 1, 12)  # a holiday on a Friday


def test_a_weekday_not_stated_counts_as_open():
    starts = np.arange(0, 7 * 86400, 3600, dtype=np.int64)
    assert is_open(Queue("q"), starts).all()
    assert is_open(Queue("q", opening=ALWAYS), starts).all()


def test_opening_is_learnt_from_half_a_year_of_silence():
    starts = np.arange(26 * 7 * 24, dtype=np.int64) * 3600
    local = local_times(starts, "UTC")
    busy = (local.weekday < 5) & (local.minute_of_day >= 480) & (local.minute_of_day < 1080)
    queue = learn_opening(Queue("q"), starts, np.where(busy, 3.0, 0.0))
    assert queue.opening == (((480, 1080),),) * 5 + ((), ())
    assert queue.opening_source == "learnt"


def test_a_stated_weekday_is_never_learnt_and_too_little_teaches_nothing():
    starts = np.arange(26 * 7 * 24, dtype=np.int64) * 3600
    stated = Queue("q", opening=ALWAYS)
    assert learn_opening(stated, starts, np.zeros(len(starts))) is stated
    quiet = Queue("q")
    assert learn_opening(quiet, starts[:48], np.ones(48)) is quiet
    assert learn_opening(quiet, starts, np.full(len(starts), np.nan)) is quiet


def label(day, country):
    at = days(day)
    known = learn_workdays(at, country)
    return str(known.labels[at[0] - known.first_day])


CHINA_MADE_UP = {
    # State Council notices for 2024, 2025 and 2026: the day worked, and the weekday it stands for.
    date(2024, 2, 4): 3,
    date(2024, 2, 18): 4,
    date(2024, 4, 7): 4,
    date(2024, 4, 28): 3,
    date(2024, 5, 11): 4,
    date(2024, 9, 14): 0,
    date(2024, 9, 29): 4,
    date(2024, 10, 12): 0,
    date(2025, 1, 26): 0,
    date(2025, 2, 8): 1,
    date(2025, 4, 27): 0,
    date(2025, 9, 28): 1,
    date(2025, 10, 11): 2,
    date(2026, 1, 4): 4,
    date(2026, 2, 14): 4,
    date(2026, 2, 28): 0,
    date(2026, 5, 9): 1,
    date(2026, 9, 20): 1,
    date(2026, 10, 10): 2,
}


def test_china_works_on_its_make_up_days_with_the_hours_of_the_day_off():
    every = days(*(date(2024, 1, 1) + timedelta(k) for k in range(3 * 366 - 2)))
    worked = days(*CHINA_MADE_UP)
    assert every[made_up(every, "CN")].tolist() == worked.tolist()
    assert effective_weekday(worked, "CN").tolist() == list(CHINA_MADE_UP.values())
    others = np.setdiff1d(every, worked)
    assert (effective_weekday(others, "CN") == (others + 3) % 7).all()


def test_an_office_in_china_opens_on_a_make_up_saturday_and_not_on_the_next():
    weekdays = (*(parse_opening("09:00-18:00"),) * 5, (), ())
    office = Queue("q", time_zone="Asia/Shanghai", opening=weekdays, country="CN",
                   open_on_holidays=False)  # fmt: skip

    def hours(day):
        first = local_midnight(int(days(day)[0]), "Asia/Shanghai")
        return int(is_open(office, first + np.arange(24) * 3600).sum())

    assert hours(date(2025, 10, 11)) == 9
    assert hours(date(2025, 10, 18)) == 0
    assert hours(date(2025, 10, 8)) == 0  # the day off that it makes up for


def test_a_make_up_saturday_does_not_teach_that_saturdays_are_open():
    first = int(days(date(2025, 8, 4))[0]) * 86_400
    starts = first + np.arange(10 * 7 * 24) * 3600
    day, hour = starts // 86_400, starts // 3600 % 24
    worked = ((day + 3) % 7 < 5) | (day == days(date(2025, 10, 11))[0])
    offered = np.where(worked & (hour >= 9) & (hour < 18), 10.0, 0.0)
    learnt = learn_opening(Queue("q", country="CN"), starts, offered)
    assert learnt.opening[5] == ()
    assert learn_opening(Queue("q"), starts, offered).opening[5] == ((540, 1080),)


def test_other_countries_have_make_up_days_too_and_most_have_none():
    assert made_up(days(date(2026, 8, 8)), "HU").tolist() == [True]  # for Friday the 21st
    assert effective_weekday(days(date(2026, 8, 8)), "HU").tolist() == [4]
    year = days(*(date(2026, 1, 1) + timedelta(k) for k in range(365)))
    assert not made_up(year, "DE").any()
    assert not made_up(year, None).any()
    assert len(made_up(year[:0], "CN")) == len(effective_weekday(year[:0], "CN")) == 0


@pytest.mark.parametrize(
    ("day", "wanted"),
    [
        (date(2026, 5, 13), "eve:Ascension Day"),
        (date(2026, 5, 14), "holiday:Ascension Day"),
        (date(2026, 5, 15), "bridge:Ascension Day"),
        (date(2026, 5, 16), ""),
        (date(2026, 5, 18), ""),
        (date(2026, 5, 22), "before_long_weekend:Pentecost Monday"),
        (date(2026, 5, 23), "long_weekend:Pentecost Monday"),
        (date(2026, 5, 26), "after:Pentecost Monday"),
        (date(2026, 5, 4), "after_long_weekend:Labor Day"),
        (date(2024, 4, 30), "eve:Labor Day"),
        (date(2025, 12, 24), "eve:Christmas Day"),
        (date(2024, 12, 24), "eve:Christmas Day"),
        (date(2023, 10, 2), "bridge_eve:German Unity Day"),
        (date(2026, 12, 29), "between:New Year's Day"),
        (date(2026, 12, 31), "eve:New Year's Day"),
        (date(2026, 7, 15), ""),
    ],
)
def test_days_around_a_german_holiday_are_named_by_it(day, wanted):
    assert label(day, "DE") == wanted


def test_a_holiday_that_falls_on_a_weekend_lengthens_none():
    assert label(date(2026, 10, 2), "DE") == "eve:German Unity Day"
    assert label(date(2026, 10, 3), "DE") == "holiday:German Unity Day"  # a Saturday
    assert label(date(2026, 10, 4), "DE") == ""
    assert label(date(2026, 10, 5), "DE") == "after_long_weekend:German Unity Day"


def test_a_day_kept_for_another_has_the_holiday_s_own_name():
    assert label(date(2026, 7, 3), "US") == label(date(2026, 7, 4), "US")
    assert label(date(2022, 12, 26), "US") == "holiday:Christmas Day"
    assert label(date(2025, 10, 8), "CN") == "holiday:Mid-Autumn Festival"  # joined to it
    assert label(date(2026, 2, 23), "CN") == "holiday:Chinese New Year (Spring Festival)"


def test_israel_rests_on_friday_and_saturday():
    at = days(date(2026, 4, 1))
    assert learn_workdays(at, "IL").rest_weekday == 5
    assert label(date(2026, 4, 1), "IL") == "eve:Pesach"  # a Wednesday
    assert label(date(2026, 4, 3), "IL").startswith("long_weekend")  # a Friday


def test_names_of_holidays_do_not_depend_on_the_locale_of_the_process(monkeypatch):
    monkeypatch.setenv("LANGUAGE", "de")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    public_holidays.cache_clear()
    first = days(date(2026, 1, 1))[0]
    assert public_holidays("DE", 2026, 2026)[first] == "New Year's Day"


def test_the_local_week_follows_the_wall_clock_and_the_hours_of_a_make_up_day():
    opening = (*(((480, 1080),),) * 5, (), ())
    queue = Queue("cn", time_zone="Asia/Shanghai", country="CN", opening=opening)
    saturday = 20_512  # 2026-02-28, on which Monday's hours are worked
    starts = np.array([saturday, saturday + 1]) * 86_400 + np.array([[0], [4]]) * 3600
    week = local_week(queue, starts.reshape(-1))
    assert (week.day - saturday).tolist() == [0, 1, 0, 1]
    assert week.hour.tolist() == [8, 6 * 24 + 8, 12, 6 * 24 + 12]
    assert (week.minute % 60).tolist() == [0, 0, 0, 0]
    assert week.is_open.tolist() == [True, False, True, False]
