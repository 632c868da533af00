import math
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.calendar.clock import interval_starts, local_midnight
from features.calendar.queues import Event, Queue
from serving.models.volume.calendar_effects import (
    DayEffects,
    day_labels,
    event_factors,
    holiday_factors,
    ordinary,
    outages,
    reaches,
    relative_size,
    rest_ratio,
    touching,
)

US = Queue("q", time_zone="America/New_York", country="US")
UTC_QUEUE = Queue("q")
DAY, HOUR = 86_400, 3600
TWICE = DayEffects({"event:promotion": math.log(2)}, {})
PHASES = DayEffects(
    {
        "event:launch:first": math.log(2),
        "event:launch:later": math.log(3),
        "event:launch:same_day": math.log(1.5),
        "event:launch:next_day": math.log(1.2),
        "event:launch:days_2_3": math.log(1.1),
    },
    {},
)


def event(first, last, **facts):
    defaults = {"event_id": "e", "kind": "promotion", "known_at": 0}
    return Event(starts_at=first, ends_at=last, **{**defaults, **facts})


def hours(count, start=0):
    return start + np.arange(count) * HOUR


def local_day(day):
    return day.toordinal() - date(1970, 1, 1).toordinal()


def factors(events, starts, effects=TWICE, queue=UTC_QUEUE, known_by=0):
    return event_factors(effects, queue, starts, events, known_by=known_by)


def test_a_queue_without_a_country_has_no_holidays():
    first = local_day(date(2026, 7, 4))
    assert day_labels(UTC_QUEUE, np.array([first])).tolist() == [""]
    assert day_labels(US, np.array([first])).tolist() == ["holiday:Independence Day"]
    assert day_labels(US, np.array([], dtype=np.int64)).tolist() == []


def test_effects_fall_back_from_the_label_to_its_group_to_all_queues_to_none():
    half, third = math.log(1 / 2), math.log(1 / 3)
    effects = DayEffects({"holiday": half}, {"q": {"holiday:A": third}})
    assert effects.effect("q", "holiday:A") == pytest.approx(1 / 3)
    assert effects.effect("q", "holiday:B") == pytest.approx(1 / 2)
    assert effects.effect("other", "holiday:A") == pytest.approx(1 / 2)
    assert effects.effect("q", "event:launch:first") == 1
    assert effects.by_day("q", np.array(["", "holiday:A"])) == pytest.approx([1, 1 / 3])


def test_one_queue_s_effects_are_those_it_needs():
    effects = DayEffects({"eve": 0.1}, {"a": {}, "b": {}}, {"sale": 2.0}, {"a": 1.0, "": 0.5})
    mine = effects.of("b")
    assert mine == DayEffects({"eve": 0.1}, {"b": {}}, {"sale": 2.0}, {"": 0.5})


def test_an_event_moves_the_intervals_that_it_covers_and_no_others():
    sale = event(10 * HOUR, 12 * HOUR)
    assert factors([sale], hours(24)).tolist() == [1.0] * 10 + [2.0] * 2 + [1.0] * 12


def test_an_event_moves_the_share_of_an_interval_that_it_covers():
    sale = event(900, 2 * HOUR + 1800)
    assert factors([sale], hours(4)).tolist() == [1.75, 2.0, 1.5, 1.0]


def test_an_event_shorter_than_an_interval_moves_its_share():
    assert factors([event(900, 1800)], hours(2)).tolist() == [1.25, 1.0]


def test_a_moment_works_on_the_rest_of_its_day_and_the_three_days_after():
    run = event(2 * HOUR, 3 * HOUR, kind="launch")
    found = factors([run], hours(6 * 24), PHASES).reshape(6, 24)
    assert found[0].tolist() == [1, 1, 2, *[pytest.approx(1.5)] * 21]
    assert found[1:, 12] == pytest.approx([1.2, 1.1, 1.1, 1, 1])
    assert (found[1:] == found[1:, :1]).all()


def test_an_event_that_ends_at_midnight_has_no_rest_of_its_day():
    days = event(DAY, 3 * DAY, kind="launch")
    found = factors([days], hours(8 * 24), PHASES)[12::24]
    assert found == pytest.approx([1, 2, 3, 1.2, 1.1, 1.1, 1, 1])


def test_days_of_an_event_are_those_of_the_wall_clock():
    berlin = Queue("q", time_zone="Europe/Berlin")
    first = local_day(date(2026, 3, 28))
    midnights = [local_midnight(first + k, "Europe/Berlin") for k in range(4)]
    # Saturday, and the Sunday that has 23 hours.
    weekend = event(midnights[0], midnights[2], kind="launch")
    starts = interval_starts(midnights[0], midnights[3], 60, "Europe/Berlin")
    found = factors([weekend], starts, PHASES, berlin)
    assert found == pytest.approx([2] * 24 + [3] * 23 + [1.2] * 24)


def test_an_event_over_the_hour_that_comes_twice_covers_both():
    berlin = Queue("q", time_zone="Europe/Berlin")
    midnight = local_midnight(local_day(date(2026, 10, 25)), "Europe/Berlin")
    night = event(midnight + 2 * HOUR, midnight + 4 * HOUR)  # 02:00 to the second 03:00
    starts = midnight + np.arange(6) * HOUR
    assert factors([night], starts, queue=berlin).tolist() == [1, 1, 2, 2, 1, 1]


def test_events_that_overlap_multiply_in_any_order():
    first, second = event(0, 3 * HOUR), event(2 * HOUR, 5 * HOUR, event_id="f")
    other = event(2 * HOUR, 3 * HOUR, event_id="g", kind="billing")
    effects = DayEffects({"event:promotion": math.log(2), "event:billing": math.log(5)}, {})
    found = factors([first, second, other], hours(6), effects)
    assert found == pytest.approx([2, 2, 20, 2, 2, 1])
    again = factors([other, second, first], hours(6), effects)
    assert (found == again).all()


def test_the_days_after_an_event_end_when_another_of_its_kind_begins():
    one = event(0, DAY, kind="launch")
    two = event(2 * DAY, 3 * DAY, kind="launch", event_id="f")
    found = factors([one, two], hours(8 * 24), PHASES)[12::24]
    assert found == pytest.approx([2, 1.2, 2, 1.2, 1.1, 1.1, 1, 1])


def test_an_event_within_another_of_its_kind_has_no_days_after_of_its_own():
    long, short = event(0, 3 * DAY, kind="launch"), event(0, DAY, kind="launch", event_id="f")
    found = factors([long, short], hours(5 * 24), PHASES)[12::24]
    assert found == pytest.approx([4, 3, 3, 1.2, 1.1])


@pytest.mark.parametrize(
    ("size", "wanted"), [(None, 1.5), (10.0, 1.5), (20.0, 2.0), (0.0, 1.0), (5.0, 1.25)]
)
def test_the_effect_less_one_is_in_proportion_to_the_size(size, wanted):
    effects = DayEffects({"event:promotion": math.log(1.5)}, {}, {"promotion": 10.0})
    found = factors([event(0, HOUR, size=size)], hours(1), effects)
    assert found == pytest.approx([wanted])


def test_a_size_counts_at_most_five_times_the_usual():
    effects = DayEffects({"event:promotion": math.log(1.5)}, {}, {"promotion": 10.0})
    assert factors([event(0, HOUR, size=1e9)], hours(1), effects) == pytest.approx([3.5])
    down = DayEffects({"event:promotion": math.log(0.5)}, {}, {"promotion": 10.0})
    assert factors([event(0, HOUR, size=1e9)], hours(1), down) == pytest.approx([1 / 20])
    assert relative_size(event(0, 1, size=3.0), {}) == 1
    assert relative_size(event(0, 1, size=-3.0), {"promotion": 10.0}) == 0


@pytest.mark.parametrize("facts", [{"known_at": 11}, {"queues": ("other",)}, {"kind": "holiday"}])
def test_an_event_not_yet_known_or_of_another_queue_or_a_holiday_does_not_exist(facts):
    assert touching(UTC_QUEUE, [event(0, DAY, **facts)], known_by=10) == []
    assert factors([event(0, DAY, **facts)], hours(24), known_by=10).tolist() == [1] * 24


def test_an_event_known_in_time_for_the_queue_touches_it():
    sale = event(0, DAY, known_at=10, queues=("other", "q"))
    assert touching(UTC_QUEUE, [sale], known_by=10) == [sale]


@given(
    st.lists(
        st.tuples(st.integers(-90, 90), st.integers(1, 60), st.sampled_from(["launch", "promo"])),
        max_size=6,
    )
)
@settings(max_examples=60, deadline=None)
def test_phases_of_one_event_never_overlap_and_factors_equal_brute_force(drawn):
    events = [
        event(first * HOUR, (first + length) * HOUR, kind=kind, event_id=str(k))
        for k, (first, length, kind) in enumerate(drawn)
    ]
    starts = hours(150)
    seen = {}
    for reach in reaches(UTC_QUEUE, starts, touching(UTC_QUEUE, events, known_by=0)):
        rows = seen.setdefault(reach.event.event_id, set())
        mine = set(range(reach.rows.start, reach.rows.stop))
        assert mine
        assert not (mine & rows)
        rows |= mine
    effects = DayEffects({**PHASES.shared, "event:promo": math.log(0.5)}, {})
    found = factors(events, starts, effects)
    assert found == pytest.approx([brute(int(start), events, effects) for start in starts])


def brute(start, events, effects):
    """Return the product of factors at one whole hour, from the definition alone."""
    product = 1.0
    for e in events:
        day, last = start // DAY, (e.ends_at - 1) // DAY
        if e.starts_at <= start < e.ends_at:
            phase = "first" if day == e.starts_at // DAY else "later"
        elif start < e.ends_at or day > last + 3:
            continue
        else:
            others = [o for o in events if o.kind == e.kind and o is not e]
            # Another of its kind has begun that goes on, or went on, beyond this one's end.
            if any(o.starts_at <= start and o.ends_at > e.ends_at for o in others):
                continue
            twins = [o for o in others if o.ends_at == e.ends_at]
            order = sorted([e, *twins], key=lambda o: (o.starts_at, o.event_id))
            if order[0] is not e:
                continue
            phase = {0: "same_day", 1: "next_day"}.get(day - last, "days_2_3")
        product *= effects.of_event("q", e, phase)
    return product


def test_a_holiday_multiplies_every_hour_of_its_day():
    effects = DayEffects({"holiday": math.log(0.5)}, {})
    first = local_day(date(2026, 7, 3))
    day = np.repeat(np.arange(first, first + 4), 24)
    cell = (day + 3) % 7 * 24 + np.tile(np.arange(24), 4)
    found = holiday_factors(effects, US, day=day, cell=cell, profile=np.full(168, 1 / 168))
    assert found.reshape(4, 24)[:, 0].tolist() == pytest.approx([0.5, 0.5, 1, 1])
    assert (found.reshape(4, 24) == found[::24, None]).all()
    none = holiday_factors(effects, UTC_QUEUE, day=day, cell=cell, profile=np.ones(168))
    assert (none == 1).all()


def test_a_holiday_with_the_hours_of_a_sunday_keeps_its_total():
    rng = np.random.default_rng(0)
    profile = rng.uniform(0.5, 1.5, 168)
    profile /= profile.sum()
    first = local_day(date(2026, 11, 26))  # Thanksgiving, a Thursday
    day, cell = np.full(24, first), 3 * 24 + np.arange(24)
    effects = DayEffects({"holiday": math.log(0.5)}, {}, rest_shape={"": 1.0})
    found = holiday_factors(effects, US, day=day, cell=cell, profile=profile)
    thursday, sunday = profile[72:96], profile[144:]
    assert (found * thursday).sum() == pytest.approx(0.5 * thursday.sum())
    assert found * thursday == pytest.approx(0.5 * thursday.sum() * sunday / sunday.sum(), rel=1e-9)


def test_a_queue_shut_on_the_day_of_rest_keeps_its_own_hours():
    profile = np.full(168, 1 / 144)
    profile[144:] = 0
    assert (rest_ratio(profile, US, 6) == 1).all()


def test_a_history_is_freed_of_holidays_events_and_outages():
    first = local_midnight(local_day(date(2026, 7, 1)), "America/New_York")
    starts = interval_starts(first, first + 6 * DAY, 60, "America/New_York")
    sale, outage, flop = (
        event(first, first + DAY),
        event(first + DAY, first + DAY + 2 * HOUR, kind="outage", event_id="o"),
        event(first + DAY + 12 * HOUR, first + DAY + 13 * HOUR, kind="flop", event_id="f"),
    )
    effects = DayEffects({"event:promotion": math.log(2), "event:flop": math.log(0.2)}, {})
    freed = ordinary(
        effects, US, starts, np.full(len(starts), 12.0), [sale, outage, flop], known_by=0
    )
    by_day = freed.reshape(6, 24)
    assert (by_day[0] == 6).all()
    assert np.isnan(by_day[1, [0, 1, 12]]).all()
    assert (np.delete(by_day[1], [0, 1, 12]) == 12).all()
    assert np.isnan(by_day[2:4]).all()  # kept on Friday, and the Fourth itself
    assert (by_day[4:] == 12).all()


def test_a_history_that_knew_of_no_event_is_left_as_it_was():
    values = np.array([1.0, np.nan, 3.0])
    freed = ordinary(TWICE, UTC_QUEUE, hours(3), values, [event(0, DAY, known_at=9)], known_by=8)
    assert np.array_equal(freed, values, equal_nan=True)
    assert ordinary(TWICE, UTC_QUEUE, hours(0), values[:0], [], known_by=8).tolist() == []


def test_an_outage_marks_the_intervals_that_it_touches():
    down = event(1800, 2 * HOUR, kind="outage")
    assert outages(UTC_QUEUE, hours(3), [down], known_by=0).tolist() == [True, True, False]


def test_what_was_known_at_a_moment_is_all_that_counts():
    at = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    sale = event(at, at + DAY, known_at=at - DAY)
    starts = hours(24, at)
    assert (factors([sale], starts, known_by=at - DAY - 1) == 1).all()
    assert (factors([sale], starts, known_by=at - DAY) == 2).all()
