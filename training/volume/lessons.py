"""What of a past forecast's future is no lesson: lasting jumps, and bad hours.

A queue that stops, or takes over another's contacts, says nothing of how its level is best
forecast from its past, and one such queue among others would teach all of them to expect it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.calendar import Bool, Event, Float64, Int64
from features.snapshot import QueueHistory
from serving.models.volume.bad_days import find_bad_days
from serving.models.volume.effects import DayEffects
from serving.models.volume.outlook import Outlook

JUMP = 3.0
"""Factor, either way, beyond every forecast, from which a week has jumped."""
LEAST_CONTACTS = 60.0
"""Contacts due and come in a week, below which chance alone might look like a jump."""
MOST_JUMPED = 1 / 3
"""Share of a queue's past forecasts that may come after a jump for jumps not to be usual."""
LEAST_DAYS = 4
"""Days that the last week compared must have; fewer that are far off are bad days."""
_WEEK_DAYS = 7


def jumped(actual: Float64, forecasts: Float64, *, lead_hours: Float64) -> Bool:
    """Return what comes after a lasting jump that no forecast foresaw.

    Contacts are compared over the seven observed days from each day on. A jump lasts that reaches
    the end of what was observed: a surge that has ended, however large, is an error like any
    other.

    Args:
        actual: What came, contacts, float64[h], NaN where it is not compared.
        forecasts: What was forecast, contacts, float64[h, n].
        lead_hours: From the forecast's making to each interval, float64[h].

    Returns:
        bool[h].

    >>> lead = np.arange(672.0)
    >>> stopped = np.where(lead < 336, 5.0, 0.0)
    >>> found = jumped(stopped, np.full((672, 1), 4.0), lead_hours=lead)
    >>> int(found.argmax()) // 24, int(found.sum()) // 24
    (13, 15)
    """
    seen = ~np.isnan(actual)
    lead_days = lead_hours // 24
    days, day = np.unique(lead_days[seen], return_inverse=True)
    size = len(days)
    if size < LEAST_DAYS:
        return np.zeros(len(actual), dtype=bool)

    def weekly(values: Float64) -> Float64:
        so_far = np.cumsum(np.append(0.0, np.bincount(day, values[seen], size)))
        first = np.arange(size - LEAST_DAYS + 1)
        found: Float64 = so_far[np.minimum(first + _WEEK_DAYS, size)] - so_far[first]
        return found

    came = weekly(actual)
    due = np.stack([weekly(column) for column in forecasts.T])
    low, high = due.min(axis=0), due.max(axis=0)
    rose = (came + 1 >= JUMP * (high + 1)) & (came + high >= LEAST_CONTACTS)
    fell = (JUMP * (came + 1) <= low + 1) & (came + low >= LEAST_CONTACTS)
    lasts = [np.logical_and.accumulate(far[::-1])[::-1] for far in (rose, fell)]
    found: Bool = (lasts[0] | lasts[1])[np.minimum(np.searchsorted(days, lead_days), len(came) - 1)]
    return found


def lessons(outlook: Outlook, actual: Float64, forecasts: Float64, *, bad: Int64) -> Float64:
    """Return what came, NaN where it says nothing of how an outlook should have been made.

    Args:
        actual: What came, float64[h], NaN where not observed.
        forecasts: Of ordinary days, one of which may have foreseen a jump, float64[h, n].
    """
    kept = np.where(np.isin(outlook.starts, bad), np.nan, actual)
    after = jumped(
        np.where(outlook.is_open, kept, np.nan),
        forecasts * outlook.effect[:, None],
        lead_hours=outlook.lead_hours,
    )
    return np.where(after, np.nan, kept)


def bad_starts(
    history: QueueHistory, effects: DayEffects, events: Sequence[Event], *, known_by: int
) -> Int64:
    """Return the starts of a history's bad intervals, int64[n], epoch seconds.

    Args:
        known_by: Epoch seconds; an event known later does not exist.
    """
    return history.starts[find_bad_days(history, effects, events, known_by=known_by)[0]]
