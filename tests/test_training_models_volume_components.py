"""What of a past forecast's future says nothing of how to forecast."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from volume_world import DAY, START, around_the_clock, history

from features.calendar.clock import from_epoch
from features.volume.history import QueueHistory
from serving.models.volume.boosting import add_boosted
from serving.models.volume.calendar_effects import DayEffects
from serving.models.volume.levels import Smoothing
from serving.models.volume.outlook import BOOSTED, ComponentForecasts
from training.config import VolumeConfig
from training.evaluate.origins import Histories
from training.evaluate.volume_backtest import Backtest, run_backtest
from training.evaluate.volume_windows import pairs_of
from training.models.volume.components import (
    bad_starts,
    fit_boosters,
    jumped,
    past_outlook,
    training_rows,
)

LEAD = np.arange(672.0)
WEEK = LEAD // 168
NO_BAD = np.empty(0, dtype=np.int64)
SMOOTHING = Smoothing(alpha=0.15)


def weeks_of(per_hour: tuple[float, ...], forecast: float = 4.0) -> list[bool]:
    """Return whether each of four weeks is found to lie after a jump, by most of its days."""
    actual = np.repeat(per_hour, 168)
    found = jumped(actual, np.full((672, 1), forecast), lead_hours=LEAD)
    return [bool(found[week == WEEK].mean() > 0.5) for week in range(4)]


@pytest.mark.parametrize(
    ("per_hour", "after"),
    [
        ((4, 4, 4, 4), (False, False, False, False)),
        ((4, 0, 0, 0), (False, True, True, True)),
        ((4, 4, 13, 13), (False, False, True, True)),
        ((4, 4, 4, 13), (False, False, False, True)),
        # A factor of two and a half is an error of the forecast.
        ((10, 10, 10, 10), (False, False, False, False)),
        # What has ended was a surge, or an outage; and so are two that follow each other.
        ((4, 13, 13, 4), (False, False, False, False)),
        ((4, 0, 4, 4), (False, False, False, False)),
        ((4, 4, 13, 0), (False, False, False, True)),
    ],
)
def test_only_a_jump_that_lasts_is_no_lesson(
    per_hour: tuple[float, ...], after: tuple[bool, ...]
) -> None:
    assert weeks_of(per_hour) == list(after)


def test_chance_in_a_quiet_queue_is_no_jump() -> None:
    # 34 contacts a week were due, and none came.
    assert not any(weeks_of((0, 0, 0, 0), forecast=0.2))


def test_a_jump_that_one_component_foresaw_is_a_lesson() -> None:
    actual = np.full(672, 1.0)
    assert jumped(actual, np.full((672, 1), 4.0), lead_hours=LEAD).all()
    both = np.column_stack((np.full(672, 4.0), np.full(672, 1.5)))
    assert not jumped(actual, both, lead_hours=LEAD).any()


def test_what_was_not_observed_neither_makes_a_jump_nor_ends_one() -> None:
    actual = np.repeat([4.0, 0.0, np.nan, 0.0], 168)
    found = jumped(actual, np.full((672, 1), 4.0), lead_hours=LEAD)
    assert found[WEEK >= 1].all()
    assert not found[LEAD < 5 * 24].any()
    late = jumped(np.where(WEEK < 2, actual, np.nan), np.full((672, 1), 4.0), lead_hours=LEAD)
    assert late[WEEK == 1].all()
    nothing = np.full(672, np.nan)
    assert not jumped(nothing, np.full((672, 1), 4.0), lead_hours=LEAD).any()


@given(
    per_hour=st.lists(st.integers(0, 40), min_size=4, max_size=4),
    forecast=st.floats(0.5, 20),
)
def test_what_lies_after_a_jump_runs_to_the_end(per_hour: list[int], forecast: float) -> None:
    found = weeks_of(tuple(map(float, per_hour)), forecast)
    assert found == sorted(found)


def made(came: QueueHistory, *, after_days: int) -> tuple[ComponentForecasts, np.ndarray]:
    return past_outlook(
        came,
        events=(),
        effects=DayEffects({}, {}),
        smoothing=SMOOTHING,
        made_at=from_epoch(START) + timedelta(days=after_days),
        horizon_days=28,
    )


def test_a_stop_in_an_outlooks_future_is_left_out_and_the_days_before_it_are_kept() -> None:
    whole = history(around_the_clock(), days=120, per_hour=4)
    stops = START + 98 * DAY
    stopped = replace(whole, offered=np.where(whole.starts < stops, whole.offered, 0.0))
    outlook, actual = made(stopped, after_days=84)
    kept = ~np.isnan(training_rows(outlook, actual, outlook.base[:, None], bad=NO_BAD))
    assert not kept[outlook.starts >= stops].any()
    # Two ordinary days and five without contacts are a week below a third of its due.
    assert kept[outlook.starts < stops - 2 * DAY].all()


def test_bad_hours_are_no_lesson_and_all_others_are() -> None:
    whole = history(around_the_clock(), days=120, per_hour=30)
    out = (whole.starts >= START + 90 * DAY) & (whole.starts < START + 91 * DAY)
    broken = replace(whole, offered=np.where(out, 0.0, whole.offered))
    bad = bad_starts(broken, DayEffects({}, {}), (), known_by=START + 120 * DAY)
    outlook, actual = made(broken, after_days=84)
    lost = np.isnan(training_rows(outlook, actual, outlook.base[:, None], bad=bad)) & ~np.isnan(
        actual
    )
    assert 20 <= lost.sum() <= 28
    assert np.isin(outlook.starts[lost], bad).all()


def test_a_queue_that_stops_does_not_teach_lightgbm_that_its_sibling_will() -> None:
    steady = history(around_the_clock("steady"), days=120, per_hour=4, seed=1)
    old = history(around_the_clock("old"), days=120, per_hour=4, seed=2)
    old = replace(old, offered=np.where(old.starts < START + 105 * DAY, old.offered, 0.0))
    as_of = from_epoch(START) + timedelta(days=120)
    boosters = fit_boosters(
        {"steady": steady, "old": old},
        events=(),
        effects=DayEffects({}, {}),
        smoothing={"": SMOOTHING},
        as_of=as_of,
        config=VolumeConfig(threads=1, boosting_rounds=60, boosting_rows=20_000),
    )
    outlook, _ = made(steady, after_days=120)
    add_boosted([outlook], boosters)
    lightgbm = outlook.parts[:, BOOSTED].mean(axis=0) / outlook.base.mean()
    assert (np.abs(lightgbm - 1) < 0.15).all()


@pytest.fixture(scope="module")
def merged() -> Backtest:
    """Return the back-test of a queue that takes over four times its contacts."""
    queue = around_the_clock()
    few, many = (history(queue, days=140, per_hour=p, seed=int(p)) for p in (4, 20))
    after = few.starts >= START + 125 * DAY
    joined = replace(few, offered=np.where(after, many.offered, few.offered))
    return run_backtest(
        Histories({queue.queue: joined}),
        as_of=from_epoch(START) + timedelta(days=140),
        config=VolumeConfig(origins=3, refits=1, boosting_rounds=2, threads=1),
    )


def test_what_came_after_a_merger_does_not_shape_the_distribution(merged: Backtest) -> None:
    known_by = START + 140 * DAY
    pairs = pairs_of(merged.windows, known_by=known_by)
    assert len(pairs.mean) < sum(w.is_open.sum() for w in merged.windows)
    assert pairs.actual.sum() == pytest.approx(pairs.mean.sum(), rel=0.25)
    assert merged.state.shapes[0].spread.max() < 0.1


def test_what_is_judged_stays_all_that_came(merged: Backtest) -> None:
    assert all(len(w.actual) == 672 for w in merged.windows)


def test_jumps_that_are_usual_for_a_queue_stay_in_its_distribution(merged: Backtest) -> None:
    windows = [replace(w, actual=5 * w.mean) for w in merged.windows]
    pairs = pairs_of(windows, known_by=START + 140 * DAY)
    assert len(pairs.mean) == sum(w.is_open.sum() for w in windows)


def test_no_windows_are_no_pairs() -> None:
    assert len(pairs_of([], known_by=START).mean) == 0


def test_less_than_four_days_are_never_a_jump() -> None:
    few = np.where(LEAD < 72, 0.0, np.nan)
    assert not jumped(few, np.full((672, 1), 4.0), lead_hours=LEAD).any()
    more = np.where(LEAD < 96, 0.0, np.nan)
    assert jumped(more, np.full((672, 1), 4.0), lead_hours=LEAD)[:96].all()
