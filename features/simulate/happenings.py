"""What the calendar of a simulated panel holds: promotions and billing runs, known ahead."""

from __future__ import annotations

import numpy as np

from features.calendar import DAY_SECONDS, Event, Float64, Int64, moment
from features.simulate.habits import Habits

PROMOTION, BILLING = "promotion", "billing"
AHEAD_DAYS = 35
"""Days after the end of the history that the calendar reaches."""
_PROMOTION_EVERY_DAYS = (35, 75)
_PROMOTION_DAYS = (3, 8)
_PROMOTION_SIZE = (0.7, 1.3)
_PROMOTION_KNOWN_DAYS = 40
_BILLING_DAY_OF_MONTH = 3
_BILLING_DAYS = 2
_BILLING_KNOWN_DAYS = 90


def draw_events(start: int, end: int, rng: np.random.Generator) -> tuple[Event, ...]:
    """Draw a calendar from the start of a history to some weeks past its end, by start.

    Promotions come every five to eleven weeks, differ in size, and are known 40 days ahead;
    billing runs come on the third of each month and are known 90 days ahead.

    Args:
        start: Epoch seconds.
        end: End of the history, epoch seconds.
        rng: Source of the promotions' dates, lengths and sizes.
    """
    found = []
    last = end // DAY_SECONDS + AHEAD_DAYS
    day = start // DAY_SECONDS + int(rng.integers(7, 28))
    while day < last:
        length = int(rng.integers(*_PROMOTION_DAYS))
        size = round(float(rng.uniform(*_PROMOTION_SIZE)), 2)
        found.append(_event(PROMOTION, day, length, _PROMOTION_KNOWN_DAYS, size))
        day += int(rng.integers(*_PROMOTION_EVERY_DAYS))
    found += [
        _event(BILLING, day, _BILLING_DAYS, _BILLING_KNOWN_DAYS, None)
        for day in range(start // DAY_SECONDS, last)
        if moment(day * DAY_SECONDS).day == _BILLING_DAY_OF_MONTH
    ]
    return tuple(sorted(found, key=lambda event: (event.starts_at, event.event_id)))


def _event(kind: str, day: int, length: int, known_days: int, size: float | None) -> Event:
    return Event(
        event_id=f"{kind}-{moment(day * DAY_SECONDS):%Y-%m-%d}",
        kind=kind,
        starts_at=day * DAY_SECONDS,
        ends_at=(day + length) * DAY_SECONDS,
        known_at=(day - known_days) * DAY_SECONDS,
        size=size,
    )


def event_factor(habits: Habits, starts: Int64, events: tuple[Event, ...]) -> Float64:
    """Return what the calendar multiplies each interval's rate by, float64[n].

    Args:
        habits: The queue; some do not react to promotions or billing runs.
        starts: Interval starts, epoch seconds, int64[n], ascending.
        events: The calendar.
    """
    factor = np.ones(len(starts))
    for event in events:
        excess = habits.promotion if event.kind == PROMOTION else habits.billing
        first, last = np.searchsorted(starts, (event.starts_at, event.ends_at))
        factor[first:last] *= 1 + excess * (event.size or 1.0)
    return factor
