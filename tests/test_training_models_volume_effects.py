import math
from datetime import UTC, date, datetime

import numpy as np
import pytest
from volume_world import around_the_clock, history

from features.calendar.clock import local_midnight, local_times, to_epoch
from features.calendar.queues import Event
from features.calendar.workdays import learn_workdays
from features.simulate import simulate_panel
from features.volume.history import QueueHistory
from serving.models.volume.calendar_effects import event_factors
from training.models.volume.effects import fit_effects

DAYS = 500
KNOWN = 2**40
QUEUE = around_the_clock(country="US")


def midnight(day, queue=QUEUE):
    return local_midnight(day.toordinal() - date(1970, 1, 1).toordinal(), queue.time_zone)


def promotion(day, *, days=1, name=None, kind="promotion", **facts):
    first = midnight(day)
    last = midnight(date.fromordinal(day.toordinal() + days))
    return Event(name or f"{kind} {day}", kind, first, last, facts.pop("known_at", 0), **facts)


def past(*, seed=0, name="hotline", per_hour=60.0, country="US", scaled=(), noise=0.02):
    """Return a history with some moments scaled: pairs of (rows of starts, local day), factor."""
    queue = around_the_clock(name, country=country)
    found = history(queue, days=DAYS, per_hour=per_hour, seed=seed, day_noise=noise)
    factors = np.ones(len(found.starts))
    for first, last, factor in scaled:
        factors[(found.starts >= first) & (found.starts < last)] *= factor
    rng = np.random.default_rng(seed + 1000)
    offered = rng.poisson(found.offered * factors).astype(float)
    return QueueHistory(queue, found.starts, offered, found.aht_seconds, found.handled)


def during(event, factor):
    return event.starts_at, event.ends_at, factor


ONE, TWO = promotion(date(2025, 9, 10)), promotion(date(2026, 2, 17))


def test_a_second_promotion_is_foreseen_from_the_first():
    effects = fit_effects(
        {"hotline": past(scaled=[during(ONE, 1.8)])}, events=[ONE, TWO], known_by=ONE.ends_at
    )
    starts = np.arange(TWO.starts_at, TWO.ends_at, 3600)
    found = event_factors(effects, QUEUE, starts, [ONE, TWO], known_by=TWO.starts_at)
    # Drawn to no effect, but not far: 1.8 -> at least 1.5.
    assert 1.5 < found.mean() < 1.8
    assert (found == found[0]).all()


def test_more_promotions_leave_less_of_the_draw():
    days = [date(2025, 5, 6), date(2025, 6, 11), date(2025, 9, 10), date(2025, 10, 23),
            date(2026, 1, 14), date(2026, 2, 11)]  # fmt: skip
    events = [promotion(day) for day in days]
    history_ = past(scaled=[during(event, 1.8) for event in events])
    effects = fit_effects({"hotline": history_}, events=events, known_by=KNOWN)
    assert effects.of_event("hotline", ONE, "first") == pytest.approx(1.8, rel=0.06)


def test_a_queue_that_has_seen_none_is_forecast_from_the_others():
    histories = {
        name: past(name=name, seed=k, scaled=[during(ONE, 1.6)])
        for k, name in enumerate(["a", "b", "c"])
    }
    histories["new"] = past(name="new", seed=9)
    event = promotion(date(2025, 9, 10), queues=("a", "b", "c"))
    effects = fit_effects(histories, events=[event], known_by=KNOWN)
    assert 1.35 < effects.of_event("new", TWO, "first") < 1.6
    assert 1.35 < effects.of_event("a", TWO, "first") < 1.65


def test_an_event_not_known_then_teaches_nothing():
    late = promotion(date(2025, 9, 10), known_at=ONE.ends_at + 1)
    history_ = past(scaled=[during(ONE, 1.8)])
    effects = fit_effects({"hotline": history_}, events=[late], known_by=ONE.ends_at)
    assert effects.of_event("hotline", TWO, "first") == 1
    assert fit_effects({"hotline": history_}, events=[late], known_by=ONE.ends_at + 1).own[
        "hotline"
    ]["event:promotion"] > math.log(1.4)


def test_an_event_to_come_teaches_nothing():
    effects = fit_effects({"hotline": past()}, events=[promotion(date(2027, 1, 5))], known_by=KNOWN)
    assert effects.of_event("hotline", TWO, "first") == 1


def test_an_event_without_an_effect_is_learnt_as_such():
    effects = fit_effects({"hotline": past()}, events=[ONE], known_by=KNOWN)
    assert effects.of_event("hotline", TWO, "first") == pytest.approx(1, abs=0.1)


def test_sizes_scale_what_is_learnt():
    events = [
        promotion(date(2025, 5, 6), size=10.0),
        promotion(date(2025, 6, 11), size=20.0),
        promotion(date(2025, 9, 10), size=30.0),
        promotion(date(2025, 10, 23), size=20.0),
    ]
    truth = {10.0: 1.25, 20.0: 1.5, 30.0: 1.75}
    history_ = past(scaled=[during(event, truth[event.size]) for event in events])
    effects = fit_effects({"hotline": history_}, events=events, known_by=KNOWN)
    assert effects.sizes == {"promotion": 20.0}
    for size, factor in truth.items():
        event = promotion(date(2026, 2, 17), size=size)
        assert effects.of_event("hotline", event, "first") == pytest.approx(factor, rel=0.08)


def test_a_promotion_over_a_part_of_the_day_is_learnt_from_its_hours():
    events = [
        Event(f"e{day}", "flash", midnight(day) + 10 * 3600, midnight(day) + 14 * 3600, 0)
        for day in (date(2025, 5, 6), date(2025, 6, 11), date(2025, 9, 10), date(2025, 10, 23))
    ]
    history_ = past(scaled=[during(event, 2.5) for event in events])
    effects = fit_effects({"hotline": history_}, events=events, known_by=KNOWN)
    assert effects.of_event("hotline", events[0], "first") == pytest.approx(2.5, rel=0.1)
    assert effects.of_event("hotline", events[0], "same_day") == pytest.approx(1, abs=0.08)


def test_the_day_after_a_moment_is_learnt_apart_from_it():
    days = [date(2025, 5, 6), date(2025, 6, 11), date(2025, 9, 10), date(2025, 10, 23),
            date(2026, 1, 14), date(2026, 2, 11)]  # fmt: skip
    runs = [Event(f"e{d}", "billing", midnight(d) + 7200, midnight(d) + 10_800, 0) for d in days]
    after = [promotion(date.fromordinal(day.toordinal() + 1)) for day in days]
    history_ = past(scaled=[during(day, 1.4) for day in after])
    effects = fit_effects({"hotline": history_}, events=runs, known_by=KNOWN)
    assert effects.of_event("hotline", runs[0], "next_day") == pytest.approx(1.4, rel=0.1)
    assert effects.of_event("hotline", runs[0], "same_day") == pytest.approx(1, abs=0.06)
    assert effects.of_event("hotline", runs[0], "days_2_3") == pytest.approx(1, abs=0.06)


def test_two_kinds_that_overlap_are_told_apart():
    days = [date(2025, 5, 6), date(2025, 6, 11), date(2025, 9, 10), date(2025, 10, 23)]
    sales = [promotion(day, days=2) for day in days]
    bills = [promotion(date.fromordinal(d.toordinal() + 1), kind="billing") for d in days]
    alone = [promotion(d, kind="billing") for d in (date(2025, 7, 16), date(2025, 11, 13))]
    scaled = [during(e, 1.5) for e in sales] + [during(e, 1.3) for e in bills + alone]
    effects = fit_effects(
        {"hotline": past(scaled=scaled)}, events=[*sales, *bills, *alone], known_by=KNOWN
    )
    assert effects.of_event("hotline", sales[0], "first") == pytest.approx(1.5, rel=0.08)
    assert effects.of_event("hotline", bills[0], "first") == pytest.approx(1.3, rel=0.08)


def test_the_order_of_events_changes_nothing():
    events = [promotion(date(2025, 5, 6)), promotion(date(2025, 6, 11), kind="billing"), ONE]
    known = {"hotline": past(scaled=[during(event, 1.5) for event in events])}
    assert fit_effects(known, events=events, known_by=KNOWN) == fit_effects(
        known, events=events[::-1], known_by=KNOWN
    )


def test_holidays_and_the_days_around_them_are_learnt_by_name():
    queue_past = past()
    local = local_times(queue_past.starts, QUEUE.time_zone)
    known = learn_workdays(local.day, "US")
    labels = known.labels[local.day - known.first_day]
    factors = np.ones(len(labels))
    factors[np.char.startswith(labels, "holiday")] = 0.5
    factors[labels == "holiday:Christmas Day"] = 0.2
    factors[np.char.startswith(labels, "after_long_weekend")] = 1.3
    offered = np.random.default_rng(5).poisson(queue_past.offered * factors).astype(float)
    scaled = QueueHistory(
        queue_past.queue, queue_past.starts, offered, queue_past.aht_seconds, queue_past.handled
    )
    effects = fit_effects({"hotline": scaled}, events=[], known_by=KNOWN)
    assert effects.effect("hotline", "holiday:Labor Day") == pytest.approx(0.5, rel=0.12)
    assert effects.effect("hotline", "holiday:Never Seen") == pytest.approx(0.5, rel=0.2)
    assert effects.effect("hotline", "holiday:Christmas Day") == pytest.approx(0.2, rel=0.35)
    assert effects.effect("hotline", "after_long_weekend:Labor Day") == pytest.approx(1.3, rel=0.1)
    assert effects.effect("hotline", "eve:Labor Day") == pytest.approx(1.0, abs=0.06)


def test_holidays_with_the_hours_of_a_sunday_are_learnt_as_such():
    queue_past = past(per_hour=60.0)
    local = local_times(queue_past.starts, QUEUE.time_zone)
    hour = local.minute_of_day // 60
    known = learn_workdays(local.day, "US")
    kept = np.char.startswith(known.labels[local.day - known.first_day], "holiday")
    sunday = local.weekday == 6
    # On Sundays half of the day's contacts come in its last quarter.
    tilt = np.where(hour >= 18, 2.0, 2 / 3)
    for flags, wanted in ((sunday | kept, 1.0), (sunday, 0.0)):
        factors = np.where(flags, tilt, 1.0)
        offered = np.random.default_rng(5).poisson(queue_past.offered * factors).astype(float)
        scaled = QueueHistory(
            queue_past.queue, queue_past.starts, offered, queue_past.aht_seconds, queue_past.handled
        )
        effects = fit_effects({"hotline": scaled}, events=[], known_by=KNOWN)
        assert effects.rest_shape["hotline"] == pytest.approx(wanted, abs=0.25)


def test_a_history_without_special_days_teaches_nothing():
    effects = fit_effects({"hotline": past(country=None)}, events=[], known_by=KNOWN)
    assert (effects.shared, effects.own, effects.rest_shape) == ({}, {}, {})
    assert fit_effects({}, events=[ONE], known_by=KNOWN).shared == {}


def test_an_outage_within_a_holiday_does_not_teach_the_holiday():
    first = midnight(date(2025, 9, 1))  # Labor Day
    down = Event("o", "outage", first, first + 12 * 3600, 0)
    told = fit_effects(
        {"hotline": past(scaled=[(first, first + 12 * 3600, 0.0)])}, events=[down], known_by=KNOWN
    )
    assert told.effect("hotline", "holiday:Labor Day") == pytest.approx(1, abs=0.12)


def test_a_day_that_only_one_round_can_measure_keeps_what_that_round_says():
    panel = simulate_panel(
        queues=6, days=560, until=datetime(2026, 7, 1, tzinfo=UTC), seed=20, level_shift_share=0.35
    )
    as_of = datetime(2026, 2, 22, 14, tzinfo=UTC)
    history = panel.histories["voice-001"].before(as_of)
    known = [event for event in panel.events if event.known_at <= to_epoch(as_of)]
    found = fit_effects({"voice-001": history}, events=known, known_by=to_epoch(as_of))
    assert np.isfinite(list(found.own["voice-001"].values())).all()
