"""Published forecast sets with chosen numbers, and the rows that came, for tests of the record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
from serving_world import flat_forecast

from features.artefact import point_to
from features.calendar.clock import to_epoch
from features.calendar.queues import Queue
from features.home import Home
from features.volume.history import QueueHistory
from serving.models.volume.forecast import PARTS, QueueForecast
from serving.published.forecast_set import ForecastSet, open_forecast_set, write_forecast_set


def forecast_of(
    queue: Queue,
    starts: Sequence[int],
    mean: Sequence[float],
    *,
    baseline: Sequence[float] | None = None,
    half_band: float = 2.0,
    is_open: Sequence[bool] | None = None,
) -> QueueForecast:
    """A forecast whose quantiles all stand ``half_band`` below the mean (up to 0.45) or above."""
    middle = np.asarray(mean, dtype=np.float64)
    sides = np.array([-1.0] * 9 + [0.0] + [1.0] * 9)
    return replace(
        flat_forecast(days=1).queues["mail"],
        queue=queue,
        starts=np.asarray(starts, dtype=np.int64),
        is_open=np.ones(len(middle), dtype=bool) if is_open is None else np.asarray(is_open),
        mean=middle,
        quantiles=np.maximum(middle[:, None] + half_band * sides, 0.0),
        parts=np.column_stack((middle, np.zeros((len(middle), len(PARTS) - 1)))),
        baseline=middle if baseline is None else np.asarray(baseline, dtype=np.float64),
        aht_seconds=np.full(len(middle), 300.0),
    )


def put_set(
    home: Home, *queues: QueueForecast, made_at: datetime, base: str | None = None, **more: Any
) -> str:
    """Publish a set with these queues and return its id."""
    forecast = replace(
        flat_forecast(days=1),
        made_at=made_at,
        as_of=made_at,
        queues={queue.queue.queue: queue for queue in queues},
    )
    words = {"snapshot": f"snapshot {made_at}", "model_version": "volume-1", **more}
    id = write_forecast_set(home.forecasts, forecast=forecast, base=base, now=made_at, **words)
    point_to(home.forecasts, id)
    return id


def opened(home: Home, *ids: str) -> list[ForecastSet]:
    return [open_forecast_set(home.forecasts / id) for id in ids]


def history_of(queue: Queue, first: datetime, offered: Sequence[float]) -> QueueHistory:
    """Counts from a moment on, one an interval."""
    step = queue.interval_minutes * 60
    starts = to_epoch(first) + step * np.arange(len(offered), dtype=np.int64)
    counts = np.asarray(offered, dtype=np.float64)
    nothing = np.full(len(counts), np.nan)
    return QueueHistory(queue, starts, counts, nothing, np.zeros(len(counts)))
