"""Days that are known ahead to be unlike others: public holidays, the days around them, events.

Each local day has at most one label; each label has a multiplicative effect on the queue's
contacts, learnt in training with shrinkage and kept as its logarithm. Forecasts are made for
ordinary days and multiplied by the effect; the history is freed of it before anything is learnt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.calendar import (
    DAY_SECONDS,
    Event,
    Float64,
    Int64,
    Queue,
    local_times,
    moment,
    public_holidays,
)

Labels = npt.NDArray[np.str_]
EVE, AFTER, HOLIDAY, EVENT = "eve", "after", "holiday", "event"
_LEAST_OVERLAP_SECONDS = 6 * 3600


@dataclass(frozen=True)
class DayEffects:
    """Logarithms of the effects of day labels.

    Attributes:
        shared: By label or group of labels, over all queues.
        own: By queue, then label or group; what is missing falls back to ``shared``.
    """

    shared: Mapping[str, float]
    own: Mapping[str, Mapping[str, float]]

    def effect(self, queue: str, label: str) -> float:
        """Return the factor of a label on a queue; 1 where nothing is known of it.

        >>> effects = DayEffects({"holiday": -0.6931471805599453}, {})
        >>> round(effects.effect("sales", "holiday:New Year's Day"), 6)
        0.5
        """
        own = self.own.get(queue, {})
        for known in (own, self.shared):
            for name in (label, group_of(label)):
                if name in known:
                    return float(np.exp(known[name]))
        return 1.0

    def by_day(self, queue: str, labels: Labels) -> Float64:
        """Return the factor of each day, float64[days]."""
        factors = np.ones(len(labels))
        for label in np.unique(labels):
            if label:
                factors[labels == label] = self.effect(queue, str(label))
        return factors


def group_of(label: str) -> str:
    """Return what a label is a kind of: holidays share one group, an event's kind is its own.

    >>> group_of("holiday:Epiphany"), group_of("event:promotion")
    ('holiday', 'event:promotion')
    """
    return HOLIDAY if label.startswith(HOLIDAY) else label


def day_labels(queue: Queue, days: Int64, events: Sequence[Event], *, known_by: int) -> Labels:
    """Name each local day that is known to be special; an ordinary day has an empty label.

    A holiday beats an event, and an event beats the eve of a holiday and the day after one.

    Args:
        queue: The queue: its country's holidays, its zone.
        days: Local days since 1970-01-01, int64[n], consecutive.
        events: Calendar events; those of other queues and those not yet known are left out.
        known_by: Epoch seconds; an event known later does not exist.
    """
    labels = np.full(len(days), "", dtype=object)
    if len(days) == 0:
        return labels.astype(np.str_)
    holidays = _holidays(queue, days)
    for shift, word in ((-1, EVE), (1, AFTER)):
        for day in holidays:
            at = day + shift - int(days[0])
            if 0 <= at < len(days) and day + shift not in holidays:
                labels[at] = word
    for event in sorted(events, key=lambda e: (e.starts_at, e.event_id)):
        touches = not event.queues or queue.queue in event.queues
        if touches and event.known_at <= known_by and event.kind != HOLIDAY:
            labels[_event_days(event, queue, days)] = f"{EVENT}:{event.kind}"
    for day, name in holidays.items():
        if days[0] <= day <= days[-1]:
            labels[day - int(days[0])] = f"{HOLIDAY}:{name}"
    return labels.astype(np.str_)


def _holidays(queue: Queue, days: Int64) -> dict[int, str]:
    if queue.country is None:
        return {}
    years = [moment(int(d) * DAY_SECONDS).year for d in (days[0] - 1, days[-1] + 1)]
    known = public_holidays(queue.country, years[0], years[1])
    return {d: n for d, n in known.items() if days[0] - 1 <= d <= days[-1] + 1}


def _event_days(event: Event, queue: Queue, days: Int64) -> npt.NDArray[np.bool_]:
    ends = np.array([event.starts_at, event.ends_at], dtype=np.int64)
    start, end = local_times(ends, queue.time_zone).seconds
    overlap = np.minimum(end, (days + 1) * DAY_SECONDS) - np.maximum(start, days * DAY_SECONDS)
    touched: npt.NDArray[np.bool_] = overlap >= max(1, min(_LEAST_OVERLAP_SECONDS, end - start))
    return touched


def ordinary(days: Float64, labels: Labels, factors: Float64) -> Float64:
    """Return a history freed of its special days, float64[days, slots].

    Holidays, and days with less than a third of their contacts, are left out, since their hours
    differ in shape too; other special days are divided by their effect.
    """
    left_out = np.char.startswith(labels, HOLIDAY) | (factors < 1 / 3)
    freed = days / np.where(left_out, 1.0, factors)[:, None]
    freed[left_out] = np.nan
    return freed
