"""How an hour splits into quarters: the learnt profile, and the forecast on a finer grid.

What was counted in an hour of the week is drawn to its hour of the day, this to all hours, and
these to four equal quarters, as far as chance explains how they differ (a Dirichlet-multinomial
model, its strength by moments: Mosimann 1962).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np

from features.arrays import Bool, Float64
from features.calendar.clock import INTERVAL_MINUTES, to_epoch
from features.calendar.queues import LocalWeek, local_week
from features.errors import InputError
from features.volume.history import QUARTERS
from serving.models.shrinkage import shrink
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
    ).with_mean(np.repeat(forecast.mean, pieces) * shares, made_at=to_epoch(made_at))


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


_WEEKDAYS, _HOURS, _PARTS = 7, 24, QUARTERS[1]
_LEAST_STRENGTH, _MOST_STRENGTH = 20.0, 100_000.0
"""Contacts that the wider group's shares count as, at least and at most."""


def quarter_shares(contacts: Float64) -> Float64:
    """Return the share of an hour's contacts that comes in each of its quarters, float64[168, 4].

    Args:
        contacts: Contacts seen by hour of the week from Monday 00:00 and quarter, float64[168, 4].

    >>> seen = np.zeros((168, 4))
    >>> seen[:, 0] = 1000.0
    >>> quarter_shares(seen)[5].round(2).tolist()
    [1.0, 0.0, 0.0, 0.0]
    """
    week = contacts.reshape(_WEEKDAYS, _HOURS, _PARTS)
    any_hour = _shrunk_shares(week.sum(axis=(0, 1)), np.full(_PARTS, 1 / _PARTS), fitted=0.0)
    # The wider group's shares were already taken from the same contacts.
    hour = _shrunk_shares(week.sum(axis=0), any_hour, fitted=1 / _HOURS)
    return _shrunk_shares(week, hour, fitted=1 / _WEEKDAYS).reshape(QUARTERS)


def _shrunk_shares(contacts: Float64, prior: Float64, *, fitted: float) -> Float64:
    """Return shares drawn to those of a wider group, whose fit took ``fitted`` of the distance."""
    count = contacts.sum(axis=-1, keepdims=True)
    expected = count * prior
    seen = count[..., 0] > 0
    distance = ((contacts - expected) ** 2 / np.maximum(expected, 1e-12)).sum(axis=-1)[seen].sum()
    free = (_PARTS - 1) * (1 - fitted)
    beyond = max(float(distance) - free * float(seen.sum()), 0.0)
    spare = free * float(np.maximum(count - 1, 0).sum())
    # What a share's variance is of that of a single contact: 1 / (1 + strength).
    alike = beyond / spare if spare > 0 else 0.0
    strength = np.clip(1 / max(alike, 1e-12) - 1, _LEAST_STRENGTH, _MOST_STRENGTH)
    return shrink(contacts, weight=count, prior=prior, prior_weight=strength)
