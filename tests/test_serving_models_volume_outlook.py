from dataclasses import replace

import numpy as np
import pytest
from volume_world import DAY, START, around_the_clock, history, rates

from features.calendar.clock import interval_starts
from serving.models.volume.calendar_effects import DayEffects
from serving.models.volume.levels import Smoothing
from serving.models.volume.outlook import (
    MEAN4,
    REVERSION_DAYS,
    SLOW,
    SMOOTHING,
    ComponentForecasts,
    component_forecasts,
)

HOTLINE = around_the_clock(time_zone="UTC")


def outlook(days: int, *, per_hour: float, surge: float = 1.0) -> ComponentForecasts:
    past = history(HOTLINE, days=days, per_hour=per_hour, seed=days, day_noise=0.01)
    late = past.starts >= START + (days - 5) * DAY
    made_at = START + days * DAY
    return component_forecasts(
        replace(past, offered=np.where(late, np.round(past.offered * surge), past.offered)),
        events=(),
        effects=DayEffects({}, {}),
        smoothing=Smoothing(alpha=0.3),
        made_at=made_at,
        starts=interval_starts(made_at, made_at + 28 * DAY, 60, "UTC"),
    )


@pytest.mark.parametrize("days", [14, 28, 56])
def test_a_young_queues_profile_is_nearer_the_truth_than_the_mean_of_its_weeks(days):
    found = outlook(days, per_hour=6)
    truth = rates(HOTLINE, found.starts, 6)
    slow, mean4 = (np.abs(found.parts[:, c] - truth).sum() for c in (SLOW, MEAN4))
    assert slow < 0.6 * mean4


def test_a_late_surge_is_half_forgotten_by_the_smoothed_level_in_the_days_it_says():
    found = outlook(100, per_hour=200, surge=1.2)
    excess = (found.parts[:, SMOOTHING] / found.parts[:, SLOW] - 1)[::24]
    assert excess[0] > 0.05
    assert excess[1 + int(REVERSION_DAYS)] == pytest.approx(excess[1] / 2, rel=1e-6)
    assert (np.diff(excess[1:]) < 0).all()
