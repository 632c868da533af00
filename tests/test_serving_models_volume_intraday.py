"""Today's correction against hand-worked posteriors, integration and what must never happen."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from volume_world import DAY, around_the_clock, office, rates

from features.calendar.clock import from_epoch, interval_starts, local_midnight, to_epoch
from features.calendar.queues import Queue, is_open
from features.volume.history import QueueHistory
from serving.models.volume.calendar_effects import DayEffects
from serving.models.volume.distribution import IntradayModel, lead_bucket, plain_shape
from serving.models.volume.forecast import PARTS, QueueForecast, rest
from serving.models.volume.intraday import (
    TODAY,
    Evidence,
    Hours,
    correct,
    evidence_of,
    posterior,
    unseen_today,
)

PLAIN = IntradayModel(day_variance=0.02, hour_variance=0.01, carry=0.5)
MONDAY = 20_605
"""2026-06-01."""


def forecast(
    queue: Queue,
    *,
    day: int = MONDAY,
    days: int = 5,
    per_hour: float = 100.0,
    today: IntradayModel = PLAIN,
) -> QueueForecast:
    """Return a full forecast made at a local midnight."""
    first, end = (local_midnight(d, queue.time_zone) for d in (day, day + days))
    starts = interval_starts(first, end, queue.interval_minutes, queue.time_zone)
    mean = rates(queue, starts, per_hour)
    shape = replace(plain_shape(0.05), today=today)
    return QueueForecast(
        queue=queue,
        starts=starts,
        is_open=is_open(queue, starts),
        mean=mean,
        quantiles=shape.quantiles(mean, lead_bucket((starts - first) / 3600)),
        parts=np.column_stack((mean, np.zeros((len(mean), len(PARTS) - 1)))),
        baseline=mean,
        aht_seconds=np.full(len(mean), 300.0),
        shape=shape,
        effects=DayEffects({}, {}),
        method="combined",
        warnings=(),
    )


def came(base: QueueForecast, factor: object = 1.0) -> QueueHistory:
    """Return a history in which exactly the forecast times a factor came."""
    nothing = np.full(len(base.starts), np.nan)
    offered = base.mean * np.asarray(factor)
    return QueueHistory(base.queue, base.starts, offered, nothing, np.zeros(len(nothing)))


def clock(base: QueueForecast, hours: float, *, day: int = MONDAY) -> datetime:
    """Return the moment so many hours after a local midnight."""
    return from_epoch(local_midnight(day, base.queue.time_zone)) + timedelta(hours=hours)


def made(base: QueueForecast) -> datetime:
    return from_epoch(int(base.starts[0]))


def ratio(base: QueueForecast, corrected: QueueForecast) -> np.ndarray:
    """Return corrected over base, where anything is expected."""
    kept = base.mean[np.isin(base.starts, corrected.starts)]
    return np.divide(corrected.mean, kept, out=np.full(len(kept), np.nan), where=kept > 0)


def on_day(corrected: QueueForecast, day: int) -> np.ndarray:
    zone = corrected.queue.time_zone
    first, end = (local_midnight(d, zone) for d in (day, day + 1))
    return (corrected.starts >= first) & (corrected.starts < end) & (corrected.mean > 0)


def test_one_day_gives_the_posterior_that_is_worked_out_by_hand():
    # Precisions 1 / (1/50 + 0.01) = 33.333 and 1 / (1/100 + 0.01) = 50; ratios +0.2 and +0.1.
    # 1 + 0.02 (33.333 x 0.2 + 50 x 0.1) / (1 + 0.02 x 83.333) = 1 + 0.23333 / 2.66667.
    hours = Hours(np.array([3, 3]), np.array([72.0, 73.0]))
    seen = Evidence(hours, np.array([50.0, 100.0]), np.array([60.0, 110.0]))
    later = Hours(np.array([3, 4, 5]), np.array([80.0, 99.0, 120.0]))
    found = posterior(seen, later, parameters=PLAIN)
    np.testing.assert_allclose(found.factor - 1, [0.0875, 0.04375, 0.021875])
    # 1 / 2.66667 of the day's own variance is left; of later days' 1 - carry^2 (1 - 0.375).
    np.testing.assert_allclose(found.left, [0.375, 1 - 0.25 * 0.625, 1 - 0.0625 * 0.625])


def test_a_swing_fades_with_the_hours_and_ends_with_the_day():
    swinging = IntradayModel(0.0, 0.0, 0.0, swing_variance=0.03, memory=0.5)
    seen = Evidence(Hours(np.array([3]), np.array([72.0])), np.array([100.0]), np.array([110.0]))
    hours = Hours(np.array([3, 3, 4]), np.array([73.0, 75.0, 96.0]))
    found = posterior(seen, hours, parameters=swinging)
    # 0.1 x 0.03 / (0.03 + 0.01) = 0.075, halved each hour.
    np.testing.assert_allclose(found.factor, [1 + 0.075 / 2, 1 + 0.075 / 8, 1.0])


def test_with_poisson_counts_and_a_gamma_factor_it_is_the_exact_posterior_mean():
    expected, counts, variance = np.array([8.0, 12.0, 5.0]), np.array([11.0, 10.0, 7.0]), 0.05
    factor = np.linspace(1e-4, 6, 200_001)
    log = (1 / variance - 1) * np.log(factor) - factor / variance
    log += counts.sum() * np.log(factor) - expected.sum() * factor
    weight = np.exp(log - log.max())
    exact = float((factor * weight).sum() / weight.sum())
    hours = Hours(np.full(3, 3), np.array([72.0, 73.0, 74.0]))
    found = posterior(
        Evidence(hours, expected, counts), hours, parameters=IntradayModel(variance, 0.0, 0.0)
    )
    np.testing.assert_allclose(found.factor, exact, rtol=1e-6)


def test_todays_factor_moves_the_rest_of_today_and_tomorrow_and_nothing_later():
    base = forecast(around_the_clock())
    found = correct(base, came(base, 1.3), made_at=made(base), now=clock(base, 12))
    moved = ratio(base, found)
    today, tomorrow = moved[on_day(found, MONDAY)], moved[on_day(found, MONDAY + 1)]
    assert 1.2 < today[0] < 1.3
    np.testing.assert_allclose(today, today[0])
    np.testing.assert_allclose(tomorrow - 1, 0.5 * (today[0] - 1))
    assert (moved[on_day(found, MONDAY + 2)] == 1).all()
    assert found.starts[0] == to_epoch(clock(base, 12))
    assert found.method == "intraday"


def test_what_came_as_expected_changes_no_mean_and_narrows_the_band():
    base = forecast(around_the_clock())
    now = clock(base, 12)
    found = correct(base, came(base), made_at=made(base), now=now)
    kept = rest(base, now=now)
    np.testing.assert_allclose(found.mean, kept.mean, rtol=1e-12)
    near = found.starts < to_epoch(now) + DAY
    wide, narrow = (q[near, 17] - q[near, 1] for q in (kept.quantiles, found.quantiles))
    assert (narrow < wide).all()
    later = found.starts >= to_epoch(now) + 2 * DAY
    np.testing.assert_array_equal(found.quantiles[later], kept.quantiles[later])


def test_the_published_quantiles_are_those_of_the_published_shape():
    base = forecast(around_the_clock())
    now = clock(base, 9)
    found = correct(base, came(base, 0.8), made_at=made(base), now=now)
    bucket = lead_bucket((found.starts - to_epoch(now)) / 3600)
    np.testing.assert_array_equal(found.quantiles, found.shape.quantiles(found.mean, bucket))
    assert 0 < found.shape.spread[0] < base.shape.spread[0]
    assert 0 <= found.shape.dependence.day[0] < base.shape.dependence.day[0]


def test_an_outage_hour_does_not_halve_the_day():
    base = forecast(around_the_clock())
    factor = np.ones(len(base.starts))
    factor[9] = 0.0
    found = correct(base, came(base, factor), made_at=made(base), now=clock(base, 11))
    assert 0.93 < ratio(base, found)[0] < 1


def test_a_wild_hour_pulls_no_harder_the_wilder_it_is():
    base = forecast(around_the_clock())
    pulled = []
    for wild in (5.0, 50.0):
        factor = np.ones(len(base.starts))
        factor[9] = wild
        found = correct(base, came(base, factor), made_at=made(base), now=clock(base, 11))
        pulled.append(ratio(base, found)[0])
    assert pulled[0] == pytest.approx(pulled[1], rel=1e-3)
    assert pulled[0] < 1.07


def test_a_quiet_queue_is_barely_moved():
    base = forecast(around_the_clock(), per_hour=0.05)
    for contacts in (0.0, 1.0):
        history = came(base, 0.0)
        history.offered[9] = contacts
        found = correct(base, history, made_at=made(base), now=clock(base, 20))
        assert abs(ratio(base, found)[0] - 1) < 0.03


def test_closed_hours_say_nothing_and_stay_zero():
    base = forecast(office())
    history = came(base, 1.2)
    history.offered[~base.is_open] = 40.0
    clean = came(base, 1.2)
    now = clock(base, 12)
    found, expected = (correct(base, h, made_at=made(base), now=now) for h in (history, clean))
    np.testing.assert_array_equal(found.mean, expected.mean)
    assert (found.mean[~found.is_open] == 0).all()
    assert (found.quantiles[~found.is_open] == 0).all()


def test_hours_that_were_not_observed_say_nothing():
    base = forecast(around_the_clock())
    history = came(base, 0.7)
    history.offered[:] = np.nan
    now = clock(base, 12)
    found = correct(base, history, made_at=made(base), now=now)
    np.testing.assert_array_equal(found.mean, rest(base, now=now).mean)
    assert found.method == "combined"
    assert unseen_today(base, history, now=now)
    history.offered[3] = base.mean[3]
    assert not unseen_today(base, history, now=now)


def test_before_the_queue_opens_nothing_is_missed():
    base = forecast(office())
    assert not unseen_today(base, came(base, np.nan), now=clock(base, 7))
    assert unseen_today(base, came(base, np.nan), now=clock(base, 10))


def test_an_hour_that_has_not_ended_says_nothing():
    base = forecast(around_the_clock())
    history = came(base)
    history.offered[10] = 0.0
    now = clock(base, 10.9)
    found = correct(base, history, made_at=made(base), now=now)
    np.testing.assert_allclose(found.mean, rest(base, now=now).mean)


def test_a_queue_that_stopped_falls_hour_by_hour_and_never_below_zero():
    base = forecast(around_the_clock())
    factors = []
    for hours in (6, 12, 18, 23):
        found = correct(base, came(base, 0.0), made_at=made(base), now=clock(base, hours))
        factors.append(ratio(base, found)[0])
    assert factors == sorted(factors, reverse=True)
    assert 0 <= factors[-1] < 0.5


def test_a_base_of_yesterday_is_moved_by_what_yesterday_hands_on():
    base = forecast(around_the_clock())
    history = came(base, 1.3)
    history.offered[24:] = np.nan
    found = correct(base, history, made_at=made(base), now=clock(base, 2, day=MONDAY + 1))
    today = ratio(base, found)[on_day(found, MONDAY + 1)]
    assert 1.1 < today[0] < 1.15
    tomorrow = ratio(base, found)[on_day(found, MONDAY + 2)]
    np.testing.assert_allclose(tomorrow - 1, 0.5 * (today[0] - 1))


def test_quarters_of_an_hour_tell_what_their_hour_tells():
    hourly = forecast(around_the_clock())
    queue = around_the_clock(interval_minutes=15)
    starts = (hourly.starts[:, None] + 900 * np.arange(4)).reshape(-1)
    quarters = replace(
        forecast(queue), starts=starts, mean=np.repeat(hourly.mean / 4, 4), quantiles=np.empty(0)
    )
    one, other = (
        evidence_of(base, came(base, 1.2), now=clock(hourly, 9)) for base in (hourly, quarters)
    )
    np.testing.assert_allclose(one.expected, other.expected)
    np.testing.assert_allclose(one.came, other.came)
    np.testing.assert_array_equal(one.hours.hour, other.hours.hour)


@pytest.mark.parametrize(("day", "hours"), [(20_541, 23), (20_751, 25)])
def test_a_day_of_23_or_25_hours_is_one_day(day: int, hours: int):
    queue = around_the_clock(time_zone="Europe/Berlin")
    base = forecast(queue, day=day)
    now = clock(base, hours - 1, day=day)
    found = correct(base, came(base, 1.2), made_at=made(base), now=now)
    seen = evidence_of(base, came(base, 1.2), now=now)
    assert len(seen.hours.hour) == len(np.unique(seen.hours.hour)) == hours - 1
    assert set(seen.hours.day) == {day}
    assert on_day(found, day).sum() == 1
    moved = ratio(base, found)
    np.testing.assert_allclose(moved[1:25] - 1, 0.5 * (moved[0] - 1))


def test_a_zone_off_by_half_an_hour_has_its_own_hours():
    base = forecast(around_the_clock(time_zone="Asia/Kolkata", interval_minutes=30))
    seen = evidence_of(base, came(base), now=clock(base, 5))
    assert len(seen.hours.hour) == 5
    np.testing.assert_allclose(seen.expected[0], base.mean[:2].sum())


counts = st.lists(st.integers(0, 400), min_size=14, max_size=14)
parameters = st.builds(
    IntradayModel,
    day_variance=st.floats(0, 0.3),
    hour_variance=st.floats(0.001, 0.3),
    carry=st.floats(0, 1),
    swing_variance=st.floats(0, 0.3),
    memory=st.floats(0, 0.99),
)


@settings(max_examples=60, deadline=None)
@given(counts=counts, today=parameters, hours=st.integers(1, 14))
def test_whatever_came_the_answer_keeps_its_rules(
    counts: list[int], today: IntradayModel, hours: int
):
    base = forecast(office(), today=today, days=4)
    history = came(base)
    history.offered[: len(counts)] = np.array(counts) * base.is_open[: len(counts)]
    found = correct(base, history, made_at=made(base), now=clock(base, hours))
    assert np.isfinite(found.mean).all()
    assert (found.mean >= 0).all()
    assert (found.mean[~found.is_open] == 0).all()
    assert (np.diff(found.quantiles, axis=1) >= 0).all()
    np.testing.assert_allclose(found.parts.sum(axis=1), found.mean, rtol=0, atol=1e-9)
    kept = rest(base, now=clock(base, hours))
    np.testing.assert_allclose(found.parts[:, TODAY], found.mean - kept.mean, atol=1e-9)
    np.testing.assert_array_equal(found.parts[:, :TODAY], kept.parts[:, :TODAY])


@settings(max_examples=60, deadline=None)
@given(
    factor=st.floats(0.6, 1.6), size=st.floats(0.05, 300), more=st.floats(1.1, 10), today=parameters
)
def test_more_evidence_of_the_same_moves_further(
    factor: float, size: float, more: float, today: IntradayModel
):
    hours = Hours(np.full(4, 3), np.arange(72.0, 76.0))
    moved = []
    for expected in (np.full(4, size), np.full(4, size * more)):
        found = posterior(Evidence(hours, expected, expected * factor), hours, parameters=today)
        moved.append((abs(found.factor[0] - 1), found.left[0]))
    assert moved[0][0] <= moved[1][0] + 1e-9
    assert moved[1][1] <= moved[0][1] + 1e-9
    assert moved[1][0] <= abs(factor - 1) + 1e-9
