"""Hours split into quarters by a learnt profile: what is learnt, and that it adds up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from volume_world import DAY, around_the_clock, office

from features.arrays import Float64
from features.calendar.clock import from_epoch, interval_starts, local_midnight, local_times
from features.calendar.queues import Queue, is_open, parse_opening
from features.errors import InputError
from serving.models.volume.calendar_effects import DayEffects
from serving.models.volume.distribution import lead_bucket, plain_shape
from serving.models.volume.forecast import PARTS, QueueForecast, flat_quarters
from serving.models.volume.within_hour import quarter_shares, split

MONDAY = 20_605
"""2026-06-01."""
RAMP = np.array([0.1, 0.2, 0.3, 0.4])


def forecast(
    queue: Queue,
    *,
    day: int = MONDAY,
    days: int = 7,
    quarters: Float64 | None = None,
    seed: int = 0,
) -> QueueForecast:
    rng = np.random.default_rng(seed)
    first, end = (local_midnight(d, queue.time_zone) for d in (day, day + days))
    starts = interval_starts(first, end, queue.interval_minutes, queue.time_zone)
    opened = is_open(queue, starts)
    parts = np.where(opened[:, None], rng.normal(5, 3, (len(starts), len(PARTS))), 0.0)
    parts[:, 0] += np.maximum(-parts.sum(axis=1), 0)
    mean = np.maximum(parts.sum(axis=1), 0)
    shape = plain_shape(0.05)
    return QueueForecast(
        queue=queue,
        starts=starts,
        is_open=opened,
        mean=mean,
        quantiles=shape.quantiles(mean, lead_bucket((starts - first) / 3600)),
        parts=parts,
        baseline=np.where(opened, rng.uniform(0, 50, len(starts)), 0.0),
        aht_seconds=rng.uniform(100, 500, len(starts)),
        shape=shape,
        effects=DayEffects({}, {}),
        method="combined",
        warnings=(),
        quarters=np.tile(RAMP, (168, 1)) if quarters is None else quarters,
    )


def parted(made: QueueForecast, minutes: int) -> QueueForecast:
    return split(made, minutes=minutes, made_at=from_epoch(int(made.starts[0])))


def test_an_hour_is_split_by_its_profile() -> None:
    made = forecast(around_the_clock())
    quarters, halves = parted(made, 15), parted(made, 30)
    np.testing.assert_allclose(quarters.mean.reshape(-1, 4), np.outer(made.mean, RAMP))
    np.testing.assert_allclose(halves.mean.reshape(-1, 2), np.outer(made.mean, [0.3, 0.7]))
    assert (quarters.queue.interval_minutes, halves.queue.interval_minutes) == (15, 30)
    assert np.diff(quarters.starts).tolist() == [900] * (len(quarters.starts) - 1)


def test_a_half_hour_is_split_by_its_own_half_of_the_profile() -> None:
    made = forecast(around_the_clock(interval_minutes=30))
    found = parted(made, 15).mean.reshape(-1, 4)
    np.testing.assert_allclose(found[:, :2], np.outer(made.mean[::2], [1 / 3, 2 / 3]))
    np.testing.assert_allclose(found[:, 2:], np.outer(made.mean[1::2], [3 / 7, 4 / 7]))


def test_each_hour_of_the_week_has_the_profile_of_its_wall_clock() -> None:
    quarters = flat_quarters()
    monday_at_nine = 9
    quarters[monday_at_nine] = RAMP
    made = forecast(around_the_clock(), quarters=quarters)
    found = parted(made, 15).mean.reshape(-1, 4)
    local = local_times(made.starts, made.queue.time_zone)
    ramped = (local.weekday == 0) & (local.minute_of_day == 9 * 60)
    assert ramped.sum() == 1
    np.testing.assert_allclose(found[ramped][0], made.mean[ramped][0] * RAMP)
    np.testing.assert_allclose(found[~ramped], np.outer(made.mean[~ramped], [0.25] * 4))


def test_the_own_length_gives_the_forecast_as_it_is() -> None:
    made = forecast(around_the_clock(interval_minutes=30))
    assert parted(made, 30) is made


@pytest.mark.parametrize(("own", "minutes"), [(30, 60), (15, 30), (15, 60), (60, 45), (60, 0)])
def test_another_length_is_refused_and_the_possible_ones_are_named(own: int, minutes: int) -> None:
    made = forecast(around_the_clock(interval_minutes=own), days=1)
    with pytest.raises(InputError, match=f"its own is {own}") as caught:
        parted(made, minutes)
    assert caught.value.field == "interval_minutes"


def test_a_closed_quarter_gets_nothing_and_the_others_take_its_share() -> None:
    spans = parse_opening("08:20-17:15")
    queue = replace(office(), opening=(*(spans,) * 5, (), ()))
    made = forecast(queue)
    found = parted(made, 15)
    local = local_times(found.starts, queue.time_zone)
    monday = {m: k for k, m in enumerate(local.minute_of_day.tolist()) if local.weekday[k] == 0}
    eight, seventeen = made.mean[8], made.mean[17]
    # From 08:15 the queue is open in part; from 17:15 it is closed.
    for minute, wanted in (
        (480, 0.0),
        (495, eight * 2 / 9),
        (510, eight * 3 / 9),
        (525, eight * 4 / 9),
        (1020, seventeen),
        (1035, 0.0),
    ):
        assert found.mean[monday[minute]] == pytest.approx(wanted)
        assert found.is_open[monday[minute]] == (wanted > 0)
    assert not found.mean[~found.is_open].any()


def test_volume_stays_where_the_calendar_says_closed_all_the_hour() -> None:
    made = forecast(office(), days=1)
    night = made.mean.copy()
    night[3] = 8.0
    found = parted(replace(made, mean=night), 15)
    np.testing.assert_allclose(found.mean[12:16], 8 * RAMP)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe",
                     "America/St_Johns", "Pacific/Chatham"]),
    st.sampled_from([(60, 30), (60, 15), (30, 15)]),
    st.sampled_from([MONDAY, 20_540, 20_750, 20_548, 20_723, 20_730]),
    st.sampled_from([None, "08:20-17:50", "00:00-00:15", "09:45-10:10,23:30-24:00"]),
    st.integers(0, 2**31),
)  # fmt: skip
def test_whatever_is_split_adds_up(
    zone: str, lengths: tuple[int, int], day: int, hours: str | None, seed: int
) -> None:
    own, minutes = lengths
    opening = (parse_opening(hours),) * 7
    queue = around_the_clock(interval_minutes=own)
    queue = replace(queue, time_zone=zone, opening=opening if hours else queue.opening)
    rng = np.random.default_rng(seed)
    quarters = rng.dirichlet(np.full(4, rng.choice([0.05, 1.0, 50.0])), size=168)
    made = forecast(queue, day=day, days=3, quarters=quarters, seed=seed)
    found = parted(made, minutes)
    pieces = own // minutes
    for name in ("mean", "baseline", "parts"):
        values = getattr(found, name)
        sums = values.reshape(len(made.starts), pieces, *values.shape[1:]).sum(axis=1)
        np.testing.assert_allclose(sums, getattr(made, name), rtol=1e-12, atol=1e-9)
    assert np.abs(found.parts.sum(axis=1) - found.mean).max() < 1e-6
    assert (np.diff(found.starts) > 0).all()
    assert (found.starts[::pieces] == made.starts).all()
    local = local_times(found.starts, zone)
    assert (local.seconds % (minutes * 60) == 0).all()
    assert (found.mean >= 0).all()
    assert not found.mean[~found.is_open].any()
    assert (found.aht_seconds.reshape(-1, pieces) == made.aht_seconds[:, None]).all()


def test_quantiles_are_those_of_the_shape_around_the_new_mean() -> None:
    made = forecast(around_the_clock())
    found = parted(made, 15)
    bucket = lead_bucket((found.starts - made.starts[0]) / 3600)
    np.testing.assert_allclose(found.quantiles, made.shape.quantiles(found.mean, bucket))


def test_the_hours_of_a_clock_change_keep_their_contacts() -> None:
    berlin = replace(around_the_clock(), time_zone="Europe/Berlin")
    for day, hours in ((20_541, 23), (20_751, 25)):  # 2026-03-29, 2026-10-25
        made = forecast(berlin, day=day, days=1)
        found = parted(made, 15)
        assert len(made.starts) == hours
        assert len(found.starts) == 4 * hours
        assert found.mean.sum() == pytest.approx(made.mean.sum())


def seen(shares: Float64, *, weeks: int, per_hour: float, seed: int = 0) -> Float64:
    """Return multinomial counts of some weeks, float64[168, 4]."""
    rng = np.random.default_rng(seed)
    totals = rng.poisson(weeks * per_hour, size=len(shares))
    return np.stack([rng.multinomial(n, p) for n, p in zip(totals, shares, strict=True)]) * 1.0


def test_nothing_seen_gives_equal_quarters() -> None:
    assert (quarter_shares(np.zeros((168, 4))) == 0.25).all()


def test_shares_add_up_and_none_is_zero() -> None:
    for counts in (seen(flat_quarters(), weeks=1, per_hour=0.1), np.eye(4)[np.arange(168) % 4]):
        found = quarter_shares(counts)
        assert found.sum(axis=1) == pytest.approx(1, abs=1e-12)
        assert (found > 0).all()


def test_a_ramp_that_all_hours_have_is_found_with_few_contacts_an_hour() -> None:
    counts = seen(np.tile(RAMP, (168, 1)), weeks=12, per_hour=2.0)
    found = quarter_shares(counts)
    raw = counts / counts.sum(axis=1, keepdims=True)
    truth = np.tile(RAMP, (168, 1))
    assert np.abs(found - truth).mean() < 0.015
    assert np.abs(found - truth).mean() < 0.3 * np.abs(raw - truth).mean()


def test_where_hours_truly_differ_each_keeps_its_own() -> None:
    rng = np.random.default_rng(3)
    truth = rng.dirichlet(np.full(4, 20.0), size=168)
    found = quarter_shares(seen(truth, weeks=52, per_hour=50.0))
    assert np.abs(found - truth).mean() < 0.01


def test_chance_alone_is_not_taken_for_a_profile() -> None:
    found = quarter_shares(seen(flat_quarters(), weeks=20, per_hour=5.0))
    raw_error = np.sqrt(0.25 * 0.75 / 100)
    assert np.abs(found - 0.25).mean() < 0.25 * raw_error


def test_an_hour_of_the_day_is_followed_where_its_weekday_was_seldom_seen() -> None:
    truth = flat_quarters().reshape(7, 24, 4)
    truth[:, 9] = RAMP
    counts = seen(truth.reshape(168, 4), weeks=30, per_hour=20.0).reshape(7, 24, 4)
    counts[6] = 0
    found = quarter_shares(counts.reshape(168, 4)).reshape(7, 24, 4)
    assert found[6, 9] == pytest.approx(RAMP, abs=0.03)
    assert found[6, 15] == pytest.approx([0.25] * 4, abs=0.03)


def test_days_are_independent_of_the_seconds_that_a_forecast_began() -> None:
    made = forecast(around_the_clock(), days=2)
    late = split(made, minutes=15, made_at=from_epoch(int(made.starts[0]) - 40 * DAY))
    assert (late.mean == parted(made, 15).mean).all()
