"""One queue's published forecast beside what came, as sums that can be added to others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.calendar import Bool, Float64, Int64, interval_of, local_times
from features.contracts import LEAD_BUCKETS, QUANTILE_LEVELS
from features.overrides import Override, overridden
from features.snapshot import QueueHistory
from serving.models.volume.forecast import QueueForecast
from serving.models.volume.outlook import lead_bucket
from training.volume.evaluate import pinball_losses

FULL, INTRADAY = "full", "intraday"
KINDS = (FULL, INTRADAY)
"""Forecast sets of the whole horizon, and those that correct one by what came since."""
WEEK_HOURS = 168

SUMS = (
    "intervals",
    "contacts",
    "error",
    "absolute",
    "pinball",
    "inside",
    "baseline_absolute",
    "planned",
    "planned_contacts",
    "planned_error",
    "planned_absolute",
    "planned_forecast_absolute",
    "planned_baseline_absolute",
)
"""What is summed, in the order of the last axis of all sums; `planned` is where a planner spoke."""
_LEVELS = np.array(QUANTILE_LEVELS)
_LOW, _HIGH = QUANTILE_LEVELS.index(0.1), QUANTILE_LEVELS.index(0.9)


@dataclass(frozen=True)
class Span:
    """Which intervals are judged: those that start in [since, until), of these queues.

    Attributes:
        since: Epoch seconds; None for all.
        until: Epoch seconds, excluded; None for all.
    """

    since: int | None = None
    until: int | None = None
    queues: tuple[str, ...] = ()


def judge(
    forecast: QueueForecast,
    history: QueueHistory,
    overrides: Sequence[Override],
    *,
    made_at: int,
    kind: str,
    span: Span,
) -> Float64 | None:
    """Return the sums of one queue in one set.

    Args:
        forecast: The queue's published forecast, of one interval at least.
        made_at: When the forecast was made, epoch seconds.

    Returns:
        float64[leads, hours of the week, sums]; None where nothing is judged.
    """
    actual = came(history, starts=forecast.starts, interval_minutes=forecast.queue.interval_minutes)
    rows = np.flatnonzero(_counted(forecast, actual, made_at=made_at, kind=kind, span=span))
    if len(rows) == 0:
        return None
    planned = np.full(len(rows), np.nan)
    if overrides:
        planned = overridden(
            overrides,
            starts=forecast.starts,
            mean=forecast.mean,
            interval_minutes=forecast.queue.interval_minutes,
        ).offered[rows]
    starts = forecast.starts[rows]
    columns = _columns(
        actual[rows],
        mean=forecast.mean[rows],
        quantiles=forecast.quantiles[rows],
        baseline=forecast.baseline[rows],
        planned=planned,
    )
    hour = local_times(starts, forecast.queue.time_zone).minute_of_week // 60
    cell = lead_bucket((starts - made_at) / 3600.0) * WEEK_HOURS + hour
    size = len(LEAD_BUCKETS) * WEEK_HOURS
    sums: Float64 = np.stack(
        [np.bincount(cell, weights=column, minlength=size) for column in columns],
        axis=1,
        dtype=np.float64,
    )
    return sums.reshape(len(LEAD_BUCKETS), WEEK_HOURS, len(SUMS))


def came(history: QueueHistory, *, starts: Int64, interval_minutes: int) -> Float64:
    """Return what came in each interval of a forecast, contacts.

    Args:
        starts: The forecast's interval starts, epoch seconds, int64[h], ascending, h >= 1.

    Returns:
        float64[h]; NaN where an interval is not observed whole.
    """
    end = int(starts[-1]) + interval_minutes * 60
    first, last = np.searchsorted(history.starts, (int(starts[0]), end))
    offered = history.offered[first:last]
    at = interval_of(history.starts[first:last], interval_minutes, history.queue.time_zone)
    place = np.minimum(np.searchsorted(starts, at), len(starts) - 1)
    on_grid = (starts[place] == at) & ~np.isnan(offered)
    place, offered = place[on_grid], offered[on_grid]
    minutes = np.bincount(place, minlength=len(starts)) * history.queue.interval_minutes
    total = np.bincount(place, weights=offered, minlength=len(starts))
    found: Float64 = np.where(minutes == interval_minutes, total, np.nan)
    return found


def _counted(
    forecast: QueueForecast, actual: Float64, *, made_at: int, kind: str, span: Span
) -> Bool:
    """Return which intervals are judged, bool[h]; one in which a closed queue was closed is not."""
    starts = forecast.starts
    counted = ~np.isnan(actual) & (forecast.is_open | (actual > 0)) & (starts >= made_at)
    if span.since is not None:
        counted &= starts >= span.since
    if span.until is not None:
        counted &= starts < span.until
    if kind == INTRADAY:
        # What lies beyond tomorrow is the full set's own, and is judged there.
        zone = forecast.queue.time_zone
        today = int(local_times(np.array([made_at], dtype=np.int64), zone).day[0])
        counted &= local_times(starts, zone).day <= today + 1
    return counted


def _columns(
    actual: Float64, *, mean: Float64, quantiles: Float64, baseline: Float64, planned: Float64
) -> tuple[Float64, ...]:
    """Return what is summed, one float64[n] for each of ``SUMS``."""
    loss = pinball_losses(actual, quantiles, _LEVELS)
    inside = (actual >= quantiles[:, _LOW]) & (actual <= quantiles[:, _HIGH])
    error, missed = mean - actual, np.abs(baseline - actual)
    spoke = ~np.isnan(planned)
    own_error = np.where(spoke, planned - actual, 0.0)
    return (
        np.ones(len(actual)),
        actual,
        error,
        np.abs(error),
        loss,
        inside.astype(np.float64),
        missed,
        spoke.astype(np.float64),
        actual * spoke,
        own_error,
        np.abs(own_error),
        np.abs(error) * spoke,
        missed * spoke,
    )
