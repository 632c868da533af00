"""A simulated panel: reproducible, closed is zero, and counts that follow the told truth."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import holidays
import numpy as np
import pytest

from features.calendar.clock import local_times
from features.errors import ConfigError, InputError
from features.simulate import SimulatedPanel, simulate_panel

UNTIL = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def panel() -> SimulatedPanel:
    return simulate_panel(queues=8, days=500, until=UNTIL, seed=3)


def test_the_same_seed_gives_the_same_panel_and_another_seed_another(panel: SimulatedPanel) -> None:
    again = simulate_panel(queues=8, days=500, until=UNTIL, seed=3)
    other = simulate_panel(queues=8, days=500, until=UNTIL, seed=4)
    assert again.events == panel.events
    for name, history in panel.histories.items():
        same = again.histories[name]
        assert same.queue == history.queue
        np.testing.assert_array_equal(same.offered, history.offered)
        np.testing.assert_array_equal(same.aht_seconds, history.aht_seconds)
        np.testing.assert_array_equal(again.truth[name].rate, panel.truth[name].rate)
    assert any(
        not np.array_equal(other.histories[name].offered, history.offered)
        for name, history in panel.histories.items()
        if name in other.histories
    )


def test_a_larger_panel_begins_with_the_smaller_one(panel: SimulatedPanel) -> None:
    few = simulate_panel(queues=3, days=500, until=UNTIL, seed=3)
    assert list(few.histories) == list(panel.histories)[:3]
    for name, history in few.histories.items():
        np.testing.assert_array_equal(history.offered, panel.histories[name].offered)


def test_queues_differ_in_scale_clock_and_opening(panel: SimulatedPanel) -> None:
    many = simulate_panel(queues=60, days=28, until=UNTIL, seed=1)
    rates = [truth.rate[truth.rate > 0].mean() for truth in many.truth.values()]
    assert min(rates) < 0.2
    assert max(rates) > 200
    assert len({h.queue.time_zone for h in many.histories.values()}) >= 5
    assert len({h.queue.opening for h in many.histories.values()}) >= 4
    assert len({h.queue.channel for h in many.histories.values()}) >= 3


def test_closed_hours_hold_exactly_zero_and_open_ones_a_rate(panel: SimulatedPanel) -> None:
    for name, history in panel.histories.items():
        queue, truth = history.queue, panel.truth[name]
        zone = ZoneInfo(queue.time_zone)
        opened = np.zeros(len(history.starts), dtype=bool)
        country, _, part = (queue.country or "").partition("-")
        shut = (
            holidays.country_holidays(country, subdiv=part or None, years=range(2024, 2027))
            if country and not queue.open_on_holidays
            else {}
        )
        for k, start in enumerate(history.starts.tolist()):
            wall = datetime.fromtimestamp(start, tz=zone)
            minute = wall.hour * 60 + wall.minute
            spans = queue.opening[wall.weekday()] or ()
            opened[k] = any(a <= minute < b for a, b in spans) and wall.date() not in shut
        assert (history.offered[~opened] == 0).all(), name
        assert (truth.rate[~opened] == 0).all(), name
        assert (truth.rate[opened] > 0).all(), name


def test_counts_are_poisson_around_the_true_rate(panel: SimulatedPanel) -> None:
    for name, history in panel.histories.items():
        rate = panel.truth[name].rate
        scaled = (history.offered - rate)[rate > 0] / np.sqrt(rate[rate > 0])
        assert abs(history.offered.sum() - rate.sum()) < 4 * np.sqrt(rate.sum()), name
        # A variance of one and no memory: nothing random is left beside the rate.
        assert np.mean(scaled**2) == pytest.approx(1, abs=0.15), name
        assert abs(np.corrcoef(scaled[1:], scaled[:-1])[0, 1]) < 0.06, name


def test_the_rate_is_the_expected_one_times_the_day_factor_but_for_outages(
    panel: SimulatedPanel,
) -> None:
    outages = 0
    for truth in panel.truth.values():
        factor = truth.day_factor[truth.day - truth.days[0]]
        outage = truth.rate < 0.5 * truth.expected * factor
        np.testing.assert_allclose(truth.rate[~outage], (truth.expected * factor)[~outage])
        assert np.isin(truth.day[outage], truth.days[truth.bad]).all()
        outages += int(outage.sum())
    assert outages > 0


def test_a_shocked_day_is_one_beyond_a_quarter_and_their_share_is_as_asked() -> None:
    panel = simulate_panel(queues=20, days=700, until=UNTIL, seed=2, shock_share=0.1, bad_share=0.0)
    for truth in panel.truth.values():
        np.testing.assert_array_equal(truth.shocked, np.abs(truth.day_factor - 1) > 0.25)
    share = np.mean([truth.shocked.mean() for truth in panel.truth.values()])
    # 4 % of the days shock all queues, so 700 days say little more than 700 x 20 would.
    assert share == pytest.approx(0.1, abs=0.02)


def test_without_shocks_and_bad_days_every_day_is_ordinary() -> None:
    panel = simulate_panel(queues=4, days=200, until=UNTIL, seed=2, shock_share=0.0, bad_share=0.0)
    for truth in panel.truth.values():
        assert not truth.shocked.any()
        assert not truth.bad.any()
        assert truth.day_factor.mean() == pytest.approx(1, abs=0.03)


def test_day_factors_have_the_asked_memory_and_share_of_all_queues() -> None:
    panel = simulate_panel(
        queues=40,
        days=900,
        until=UNTIL,
        seed=5,
        shock_share=0.0,
        bad_share=0.0,
        day_factor_sd=0.05,
        day_factor_memory=0.6,
        day_factor_shared=0.3,
    )
    waves = np.log(np.stack([t.day_factor[-900:] for t in panel.truth.values()]))
    memory = np.mean([np.corrcoef(wave[1:], wave[:-1])[0, 1] for wave in waves])
    between = np.corrcoef(waves)[np.triu_indices(len(waves), 1)].mean()
    assert waves.std() == pytest.approx(0.05, rel=0.1)
    assert memory == pytest.approx(0.6, abs=0.05)
    assert between == pytest.approx(0.3, abs=0.06)


def test_days_have_the_length_that_the_clock_gives_them(panel: SimulatedPanel) -> None:
    found = set()
    for name, history in panel.histories.items():
        zone = ZoneInfo(history.queue.time_zone)
        for day, count in zip(*np.unique(panel.truth[name].day, return_counts=True), strict=True):
            date = datetime(1970, 1, 1) + timedelta(days=int(day))  # noqa: DTZ001 (a wall clock)
            begins, ends = (
                (date + timedelta(days=k)).replace(tzinfo=zone).timestamp() for k in (0, 1)
            )
            if ends <= UNTIL.timestamp():
                assert count == (ends - begins) / 3600, (name, date)
                found.add(int(count))
    assert found == {23, 24, 25}


def test_no_interval_ends_after_the_end(panel: SimulatedPanel) -> None:
    for history in panel.histories.values():
        assert history.starts[-1] + 3600 <= UNTIL.timestamp()
        assert (np.diff(history.starts) > 0).all()
        assert np.isfinite(history.offered).all()


@pytest.mark.parametrize("minutes", [15, 30])
def test_shorter_intervals_bring_as_many_contacts_a_day(minutes: int) -> None:
    hourly = simulate_panel(queues=6, days=120, until=UNTIL, seed=9)
    finer = simulate_panel(queues=6, days=120, until=UNTIL, seed=9, interval_minutes=minutes)
    for name, history in finer.histories.items():
        assert history.queue.interval_minutes == minutes
        per_hour = finer.truth[name].rate.mean() * 60 / minutes
        assert per_hour == pytest.approx(hourly.truth[name].rate.mean(), rel=0.1)


def test_events_are_known_ahead_and_lift_those_who_react(panel: SimulatedPanel) -> None:
    assert {event.kind for event in panel.events} == {"promotion", "billing"}
    assert any(event.starts_at > UNTIL.timestamp() for event in panel.events)
    for event in panel.events:
        assert event.known_at + 28 * 86_400 < event.starts_at < event.ends_at
    billing = [e for e in panel.events if e.kind == "billing" and e.ends_at < UNTIL.timestamp()]
    lifts = {}
    for name, history in panel.histories.items():
        expected = panel.truth[name].expected
        inside, around = [], []
        for event in billing:
            for days, into in ((0, inside), (-7, around), (7, around)):
                shift = days * 86_400
                span = (history.starts >= event.starts_at + shift) & (
                    history.starts < event.ends_at + shift
                )
                into.append(expected[span].sum())
        lifts[name] = 2 * sum(inside) / sum(around)
    assert max(lifts.values()) > 1.15
    assert min(lifts.values()) < 1.1


def test_a_level_shift_stays_and_is_told() -> None:
    shifted = simulate_panel(queues=5, days=400, until=UNTIL, seed=8, level_shift_share=1.0)
    steady = simulate_panel(queues=5, days=400, until=UNTIL, seed=8, level_shift_share=0.0)
    for name, truth in shifted.truth.items():
        assert steady.truth[name].shift_at is None
        assert truth.shift_at is not None
        assert not 0.75 < truth.shift < 1.35
        after = shifted.histories[name].starts >= truth.shift_at
        wanted = steady.truth[name].expected * np.where(after, truth.shift, 1.0)
        np.testing.assert_allclose(truth.expected, wanted)


def test_handle_times_stand_where_something_was_handled(panel: SimulatedPanel) -> None:
    for history in panel.histories.values():
        assert (history.handled <= history.offered).all()
        np.testing.assert_array_equal(np.isnan(history.aht_seconds), history.handled == 0)
        handled = history.handled > 0
        mean = np.average(history.aht_seconds[handled], weights=history.handled[handled])
        assert mean == pytest.approx(history.queue.default_aht_seconds, rel=0.4)


def test_handle_times_follow_the_hour() -> None:
    panel = simulate_panel(queues=5, days=200, until=UNTIL, seed=6)
    history = max(panel.histories.values(), key=lambda h: h.offered.sum())
    hour = local_times(history.starts, history.queue.time_zone).minute_of_day // 60
    seen = history.handled > 0
    noon, night = (
        np.average(history.aht_seconds[seen & at], weights=history.handled[seen & at])
        for at in ((hour >= 11) & (hour < 13), (hour < 1) | (hour >= 23))
    )
    assert night > noon


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("queues", 0),
        ("days", 0),
        ("days", 5_000),
        ("shock_share", 0.6),
        ("bad_share", -0.1),
        ("level_shift_share", 1.1),
        ("day_factor_sd", 0.5),
        ("day_factor_memory", 1.0),
        ("day_factor_shared", -1),
    ],
)
def test_a_setting_out_of_range_is_named(name: str, value: float) -> None:
    settings = {"queues": 1, "days": 7, "until": UNTIL, "seed": 1} | {name: value}
    with pytest.raises(ConfigError, match=f"`{name}`"):
        simulate_panel(**settings)  # type: ignore[arg-type]


def test_an_end_without_a_zone_and_an_interval_of_seven_minutes_are_refused() -> None:
    with pytest.raises(InputError, match="no time zone"):
        simulate_panel(queues=1, days=7, until=datetime(2026, 7, 1), seed=1)  # noqa: DTZ001
    with pytest.raises(InputError, match="7 minutes"):
        simulate_panel(queues=1, days=7, until=UNTIL, seed=1, interval_minutes=7)
