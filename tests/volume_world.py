"""A small centre with known rates, for tests of the volume model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from features.calendar.clock import interval_starts, local_times
from features.calendar.queues import ALWAYS, Queue, is_open, parse_opening
from features.volume.history import QueueHistory

START = 1_735_689_600
"""2025-01-01 00:00 UTC, a Wednesday."""
DAY = 86_400
OFFICE = (*(parse_opening("08:00-18:00"),) * 5, (), ())


def office(name: str = "office", **facts: object) -> Queue:
    """Return a queue that opens on weekdays from 8 to 18 in Berlin."""
    return replace(
        Queue(name, time_zone="Europe/Berlin", opening=OFFICE, opening_source="stated"),
        **facts,  # type: ignore[arg-type]
    )


def around_the_clock(name: str = "hotline", **facts: object) -> Queue:
    """Return a queue that never closes, in New York."""
    return replace(
        Queue(name, time_zone="America/New_York", opening=ALWAYS, opening_source="stated"),
        **facts,  # type: ignore[arg-type]
    )


def rates(queue: Queue, starts: np.ndarray, per_hour: float) -> np.ndarray:
    """Return the true rate of each interval: a day's wave, a quieter weekend, 0 where closed."""
    local = local_times(starts, queue.time_zone)
    wave = 1 + 0.7 * np.sin(2 * np.pi * (local.minute_of_day / 1440 - 0.25))
    weekend = np.where(local.weekday >= 5, 0.6, 1.0)
    return per_hour * queue.interval_minutes / 60 * wave * weekend * is_open(queue, starts)


def history(
    queue: Queue,
    *,
    days: int,
    per_hour: float,
    seed: int = 0,
    start: int = START,
    day_noise: float = 0.1,
) -> QueueHistory:
    """Return a doubly stochastic history of a queue: Poisson counts with a gamma day factor."""
    rng = np.random.default_rng(seed)
    starts = interval_starts(start, start + days * DAY, queue.interval_minutes, queue.time_zone)
    day = local_times(starts, queue.time_zone).day
    factors = rng.gamma(1 / day_noise**2, day_noise**2, size=day.max() - day.min() + 1)
    rate = rates(queue, starts, per_hour) * factors[day - day.min()]
    offered = rng.poisson(rate).astype(np.float64)
    handled = np.floor(0.9 * offered)
    aht = np.where(handled > 0, 240 + rng.normal(0, 5, len(starts)), np.nan)
    return QueueHistory(queue, starts, offered, aht, handled)
