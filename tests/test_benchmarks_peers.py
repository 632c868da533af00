"""The peers that the volume benchmark measures beside: a fair layout, and known answers."""

from __future__ import annotations

import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from benchmarks.peers import (
    AUTO_ETS,
    MEAN4,
    MLFORECAST,
    MSTL,
    PEERS,
    PROPHET,
    SEASONAL_NAIVE,
    THETA,
    Past,
    forecasts_of,
    installed,
    naive_band,
    past_of,
)
from benchmarks.report import within
from features.calendar.clock import interval_starts, to_epoch
from features.calendar.queues import ALWAYS, Queue, is_open, parse_opening
from features.volume.history import QueueHistory

BERLIN = Queue("q", time_zone="Europe/Berlin", opening=ALWAYS, opening_source="stated")
MADE_AT = datetime(2026, 4, 5, 22, tzinfo=UTC)
"""A Monday's midnight in Berlin, eight days after the clock jumped ahead."""


def past(
    values: np.ndarray | None = None, *, queue: Queue = BERLIN, weeks: int = 8, days: int = 28
) -> Past:
    """Return a past of whole weeks of Berlin hours; by default each value is its UTC hour."""
    first = to_epoch(MADE_AT) - weeks * 7 * 86_400
    known = interval_starts(first, to_epoch(MADE_AT), 60, queue.time_zone)
    offered = np.arange(len(known), dtype=float) if values is None else values[: len(known)]
    starts = interval_starts(
        to_epoch(MADE_AT), to_epoch(MADE_AT) + days * 86_400, 60, queue.time_zone
    )
    nothing = np.full(len(known), np.nan)
    return past_of(
        QueueHistory(queue, known, offered, nothing, np.zeros(len(known))),
        queue,
        made_at=MADE_AT,
        starts=starts,
        is_open=is_open(queue, starts),
    )


def weekly(hour: int) -> float:
    """Return the load of an hour of the week: a day's wave and a quiet weekend."""
    wave = 20 + 10 * np.sin(2 * np.pi * (hour % 24) / 24)
    return float(wave * (0.5 if hour // 24 % 7 >= 5 else 1.0))


def test_the_past_lies_on_the_wall_clock_and_fills_the_hour_that_was_skipped() -> None:
    found = past()
    gap = int(np.flatnonzero(np.isnan(found.seen))[0])
    assert np.isnan(found.seen).sum() == 1
    assert str(found.times(gap, gap + 1)[0]) == "2026-03-29 02:00:00"
    same_hour = found.seen[gap % 168 :: 168]
    assert found.values[gap] == pytest.approx(np.nanmean(same_hour))
    assert str(found.times(len(found.values), len(found.values) + 1)[0]) == "2026-04-06 00:00:00"
    assert found.ahead.tolist() == list(range(28 * 24))


def test_an_hour_that_the_clock_passes_twice_is_one_value() -> None:
    made_at = datetime(2025, 11, 1, tzinfo=UTC)
    starts = interval_starts(
        to_epoch(made_at) - 14 * 86_400, to_epoch(made_at), 60, "Europe/Berlin"
    )
    offered = np.ones(len(starts))
    twice = np.isin(starts, [to_epoch(datetime(2025, 10, 26, h, tzinfo=UTC)) for h in (0, 1)])
    offered[twice] = [4.0, 6.0]
    ahead = interval_starts(to_epoch(made_at), to_epoch(made_at) + 86_400, 60, "Europe/Berlin")
    found = past_of(
        QueueHistory(BERLIN, starts, offered, offered, offered),
        BERLIN,
        made_at=made_at,
        starts=ahead,
        is_open=np.ones(len(ahead), bool),
    )
    assert len(found.values) == 14 * 24 - 1
    assert sorted(found.values.tolist())[-2:] == [1.0, 5.0]


def test_what_comes_after_the_origin_is_not_seen() -> None:
    starts = interval_starts(
        to_epoch(MADE_AT) - 21 * 86_400, to_epoch(MADE_AT) + 7 * 86_400, 60, "Europe/Berlin"
    )
    offered = np.where(starts < to_epoch(MADE_AT), 3.0, 1e9)
    ahead = starts[starts >= to_epoch(MADE_AT)]
    found = past_of(
        QueueHistory(BERLIN, starts, offered, offered, offered),
        BERLIN,
        made_at=MADE_AT,
        starts=ahead,
        is_open=np.ones(len(ahead), bool),
    )
    assert set(found.values.tolist()) == {3.0}


def test_the_baselines_repeat_the_last_week_and_the_mean_of_the_last_four() -> None:
    found = past()
    naive, mean = (forecasts_of(name, [found])[0] for name in (SEASONAL_NAIVE, MEAN4))
    last = found.seen[-168:]
    np.testing.assert_array_equal(naive[:168][~np.isnan(last)], last[~np.isnan(last)])
    np.testing.assert_array_equal(naive[168:336], naive[:168])
    assert mean[0] == np.mean([found.seen[-168 * k] for k in (1, 2, 3, 4)])


def test_the_baselines_look_past_a_gap_to_the_week_before() -> None:
    values = np.arange(8 * 168, dtype=float)
    values[-170:-160] = np.nan
    assert np.isfinite(forecasts_of(SEASONAL_NAIVE, [past(values)])[0]).all()
    assert forecasts_of(SEASONAL_NAIVE, [past(values)])[0][5] == past().seen[-168 + 5 - 168]


@pytest.mark.parametrize(
    "name", [SEASONAL_NAIVE, MEAN4, MSTL, AUTO_ETS, THETA, MLFORECAST, PROPHET]
)
def test_a_peer_finds_a_plain_week_pattern(name: str) -> None:
    if not installed(name):
        pytest.skip(f"{name} is not installed: pip install -e '.[peers]'")
    rng = np.random.default_rng(3)
    utc = replace(BERLIN, time_zone="UTC")
    hours = np.arange(10 * 168) - 2
    values = rng.poisson([weekly(int(h)) for h in hours]).astype(float)
    found = past(values, queue=utc, weeks=10)
    truth = np.array([weekly(int(h)) for h in np.arange(28 * 24) + 10 * 168 - 2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (forecast,) = forecasts_of(name, [found])
    assert forecast.shape == truth.shape
    assert np.abs(forecast - truth).sum() / truth.sum() < 0.25


@pytest.mark.parametrize("name", [n for n in PEERS if n != PROPHET])
def test_closed_hours_are_zero_for_all(name: str) -> None:
    if not installed(name):
        pytest.skip(f"{name} is not installed: pip install -e '.[peers]'")
    office = replace(BERLIN, opening=(*(parse_opening("08:00-18:00"),) * 5, (), ()))
    values = np.random.default_rng(1).poisson(5, 8 * 168).astype(float)
    found = past(values, queue=office)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (forecast,) = forecasts_of(name, [found])
    assert (forecast[~found.is_open] == 0).all()
    assert forecast[found.is_open].sum() > 0


def test_the_reference_band_covers_what_it_says_on_a_steady_queue() -> None:
    rng = np.random.default_rng(5)
    shares = []
    for _ in range(6):
        found = past(rng.poisson(50, 20 * 168).astype(float), weeks=20)
        band = naive_band(found)[found.ahead]
        actual = rng.poisson(50, len(band))
        shares.append(((actual >= band[:, 1]) & (actual <= band[:, 17])).mean())
    assert np.mean(shares) == pytest.approx(0.8, abs=0.04)
    assert (np.diff(band, axis=1) >= 0).all()


def test_a_check_within_bounds_allows_both_ends() -> None:
    assert [within("x", value, 77, 83).met for value in (76.9, 77, 83, 83.1)] == [
        False,
        True,
        True,
        False,
    ]


def test_the_horizon_may_begin_within_a_day() -> None:
    starts = interval_starts(
        to_epoch(MADE_AT) + 5 * 3600, to_epoch(MADE_AT + timedelta(days=3)), 60, "Europe/Berlin"
    )
    known = interval_starts(
        to_epoch(MADE_AT) - 56 * 86_400, to_epoch(MADE_AT) + 5 * 3600, 60, "UTC"
    )
    offered = 10.0 + known // 86_400 % 7
    found = past_of(
        QueueHistory(BERLIN, known, offered, offered, offered),
        BERLIN,
        made_at=MADE_AT + timedelta(hours=5),
        starts=starts,
        is_open=np.ones(len(starts), bool),
    )
    (forecast,) = forecasts_of(AUTO_ETS, [found])
    assert len(forecast) == len(starts)
    assert forecast.mean() == pytest.approx(13, abs=2)
