"""A forecast on a finer grid: intervals split by the learnt profile within the hour."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np

from features.calendar import Bool, Float64, LocalWeek, epoch, local_week
from features.contracts import INTERVAL_MINUTES
from features.errors import InputError
from serving.models.volume.forecast import QueueForecast

_LEAST_SHARE = 1e-9
"""Of an hour: somebody may always come."""


def check_minutes(minutes: int, *, own: int, queue: str) -> None:
    """Refuse a length of interval that a queue's forecast cannot be split into.

    Raises:
        InputError: It is longer than the queue's own, or no length of an interval at all.
    """
    possible = [m for m in INTERVAL_MINUTES if m <= own]
    if minutes not in possible:
        raise InputError(
            f"`interval_minutes` of queue `{queue}`",
            got=minutes,
            expected=f"one of {', '.join(map(str, possible))}: its own is {own}",
            remedy="leave `interval_minutes` out, or ask for shorter intervals",
            field="interval_minutes",
        )


def split(forecast: QueueForecast, *, minutes: int, made_at: datetime) -> QueueForecast:
    """Split each interval of a forecast into shorter ones.

    Volume, parts and baseline are shared out by the profile within the hour, and add up to what
    the interval held. A part in which the queue is closed gets nothing, and the others take its
    share. Quantiles are those of the same shape around the new means; the AHT stays.

    Args:
        minutes: Length of the new intervals: 15 or 30, at most the queue's own; the queue's own
            gives the forecast as it is.
        made_at: When the forecast was made, aware: leads count from here.

    Raises:
        InputError: The length is longer than the queue's own; the error's field is
            ``interval_minutes``.
    """
    own = forecast.queue.interval_minutes
    check_minutes(minutes, own=own, queue=forecast.queue.queue)
    if minutes == own:
        return forecast
    queue = replace(forecast.queue, interval_minutes=minutes)
    pieces = own // minutes
    offsets = np.arange(pieces, dtype=np.int64) * (minutes * 60)
    starts = (forecast.starts[:, None] + offsets).reshape(-1)
    week = local_week(queue, starts)
    opened = week.is_open & np.repeat(forecast.is_open, pieces)
    shares = _shared_out(_profile(forecast, week, minutes), opened, pieces=pieces)
    return replace(
        forecast,
        queue=queue,
        starts=starts,
        is_open=opened,
        parts=np.repeat(forecast.parts, pieces, axis=0) * shares[:, None],
        baseline=np.repeat(forecast.baseline, pieces) * shares,
        aht_seconds=np.repeat(forecast.aht_seconds, pieces),
    ).with_mean(np.repeat(forecast.mean, pieces) * shares, made_at=epoch(made_at))


def _profile(forecast: QueueForecast, week: LocalWeek, minutes: int) -> Float64:
    """Return the share of its hour's contacts that the profile gives each piece, float64[n]."""
    pieces = forecast.quarters.reshape(len(forecast.quarters), 60 // minutes, -1).sum(axis=2)
    shares: Float64 = pieces[week.hour, week.minute % 60 // minutes]
    return np.maximum(shares, _LEAST_SHARE)


def _shared_out(weight: Float64, opened: Bool, *, pieces: int) -> Float64:
    """Return each piece's share of its interval, float64[n], adding up to 1 in each interval."""
    weight, opened = weight.reshape(-1, pieces), opened.reshape(-1, pieces)
    open_weight = np.where(opened, weight, 0.0)
    # Contacts that a plan puts where the calendar says closed still have to come some time.
    shares = np.where(open_weight.any(axis=1, keepdims=True), open_weight, weight)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares.reshape(-1)
