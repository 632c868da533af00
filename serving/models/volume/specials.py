"""What is known ahead to move a queue's contacts: public holidays, days around them, events.

Each local day has at most one label of the work calendar, with one factor for the whole day; it
multiplies with the factors of calendar events. Forecasts are made for ordinary days and
multiplied; the history is divided by the same factors before anything is learnt.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.calendar import DAY_MINUTES, Event, Float64, Int64, Queue, local_times, workdays
from serving.models.volume.effects import HOLIDAY, DayEffects, Labels
from serving.models.volume.events import event_factors, outages

_LEFT_OUT_BELOW = 1 / 3


def day_labels(queue: Queue, days: Int64) -> Labels:
    """Return each local day's label in the work calendar of the queue's country, str[n].

    Empty on an ordinary day, and on every day of a queue without a country; the groups are those
    of ``features.workdays.Workdays``.
    """
    known = workdays(days, queue.country) if len(days) else None
    if known is None:
        return np.full(len(days), "", dtype=np.str_)
    labels: Labels = known.labels[days - known.first_day]
    return labels


def holiday_factors(
    effects: DayEffects, queue: Queue, *, day: Int64, cell: Int64, profile: Float64
) -> Float64:
    """Return the factor of the work calendar on each interval, float64[h].

    The hours of a public holiday follow, in part, those of the weekly day of rest: the day's
    factor is spread over them, by the profile of float64[cells], so that the day's total keeps it.
    """
    if len(day) == 0 or queue.country is None:
        return np.ones(len(day))
    ahead, where = np.unique(day, return_inverse=True)
    labels = day_labels(queue, ahead)
    factors: Float64 = effects.by_day(queue.queue, labels)[where]
    share = effects.rest_shape.get(queue.queue, effects.rest_shape.get("", 0.0))
    known = workdays(ahead, queue.country)
    holiday = np.char.startswith(labels, f"{HOLIDAY}:")[where]
    if share == 0 or known is None or not holiday.any():
        return factors
    ratio = rest_ratio(profile, queue, known.rest_weekday)[cell]
    factors[holiday] *= 1 + share * (ratio[holiday] - 1)
    return factors


def rest_ratio(profile: Float64, queue: Queue, rest_weekday: int) -> Float64:
    """Return the shares of the day of rest over those of each weekday, by cell, float64[cells].

    Each day's shares are of its own total. 1 where either day has less than a hundredth of its
    contacts in the hour, or the day of rest is all but closed.
    """
    days = profile.reshape(7, DAY_MINUTES // queue.interval_minutes)
    own = days / np.maximum(days.sum(axis=1, keepdims=True), 1e-12)
    rest = own[rest_weekday]
    if days[rest_weekday].sum() < 0.05 * days.sum(axis=1).max():
        return np.ones(profile.size)
    ratio = rest / np.maximum(own, 1e-12)
    # The day's total keeps its factor only where the ratios average to 1 over its own shares.
    ratio = np.clip(ratio, 0.2, 5.0)
    ratio /= np.maximum((ratio * own).sum(axis=1, keepdims=True), 1e-12)
    ratios: Float64 = ratio.reshape(-1)
    return ratios


def ordinary(
    effects: DayEffects,
    queue: Queue,
    starts: Int64,
    values: Float64,
    events: Sequence[Event],
    *,
    known_by: int,
) -> Float64:
    """Return a history, float64[n], freed of what was known to be special by a moment.

    Public holidays, outages, and intervals left with less than a third of their contacts become
    NaN, since their hours differ in shape too; what is left is divided by its factors.
    """
    if len(starts) == 0:
        return values.copy()
    factors = event_factors(effects, queue, starts, events, known_by=known_by)
    left_out = outages(queue, starts, events, known_by=known_by)
    if queue.country is not None:
        day = local_times(starts, queue.time_zone).day
        first = int(day[0])
        labels = day_labels(queue, np.arange(first, int(day[-1]) + 1))
        factors *= effects.by_day(queue.queue, labels)[day - first]
        left_out |= np.char.startswith(labels, f"{HOLIDAY}:")[day - first]
    left_out |= factors < _LEFT_OUT_BELOW
    return np.where(left_out, np.nan, values / factors)
