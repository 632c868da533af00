"""A queue's forecast, and the same around another mean."""

from __future__ import annotations

import numpy as np
from volume_world import DAY, START, around_the_clock

from features.calendar.clock import interval_starts
from serving.models.volume.calendar_effects import DayEffects
from serving.models.volume.distribution import plain_shape
from serving.models.volume.forecast import PARTS, QueueForecast


def flat(days: int = 3) -> QueueForecast:
    queue = around_the_clock()
    starts = interval_starts(START, START + days * DAY, 60, queue.time_zone)
    h = len(starts)
    return QueueForecast(
        queue=queue,
        starts=starts,
        is_open=np.ones(h, dtype=bool),
        mean=np.full(h, 10.0),
        quantiles=np.zeros((h, 19)),
        parts=np.zeros((h, len(PARTS))),
        baseline=np.full(h, 10.0),
        aht_seconds=np.full(h, 300.0),
        shape=plain_shape(0.05),
        effects=DayEffects({}, {}),
        method="combined",
        warnings=(),
    )


def test_another_mean_has_the_quantiles_of_the_same_shape_at_its_lead():
    made = flat()
    found = made.with_mean(made.mean * 2, made_at=START)
    bucket = np.where(made.starts < START + DAY, 0, 1)
    assert (found.mean == 20).all()
    assert (found.quantiles == made.shape.quantiles(found.mean, bucket)).all()
    assert found.parts is made.parts


def test_rows_that_are_left_out_keep_their_quantiles():
    made = flat()
    rows = np.arange(len(made.starts)) < 5
    found = made.with_mean(made.mean, made_at=START, rows=rows)
    assert (found.quantiles[rows] > 0).all()
    assert (found.quantiles[~rows] == 0).all()
    assert (made.quantiles == 0).all()


def test_a_warning_is_added_behind_those_that_were_there():
    assert flat().with_warnings("a").with_warnings("b").warnings == ("a", "b")
