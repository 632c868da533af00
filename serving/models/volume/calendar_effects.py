"""Holidays and events: labels of days, reach of events, and their learnt factors.

Factors are learnt with shrinkage and kept as logarithms; a label of which nothing is known falls
back to its group.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import DAY_MINUTES, DAY_SECONDS, local_times
from features.calendar.queues import Event, Queue
from features.calendar.workdays import learn_workdays

Labels = npt.NDArray[np.str_]
HOLIDAY, EVE, AFTER = "holiday", "eve", "after"
BRIDGE, BRIDGE_EVE, BETWEEN = "bridge", "bridge_eve", "between"
LONG_WEEKEND = "long_weekend"
BEFORE_WEEKEND, AFTER_WEEKEND = "before_long_weekend", "after_long_weekend"
KIN = {BRIDGE_EVE: EVE, BRIDGE: AFTER}
"""The group that stands in for a group of which nothing is known."""
EVENT = "event"
FIRST, LATER = "first", "later"
SAME_DAY, NEXT_DAY, DAYS_2_3 = "same_day", "next_day", "days_2_3"
PHASES = (FIRST, LATER, SAME_DAY, NEXT_DAY, DAYS_2_3)
"""Of an event: its first local day, its other days, then the rest of its last day, and so on."""
_MOST_SIZE = 5.0
_MOST_FACTOR = 20.0


@dataclass(frozen=True)
class DayEffects:
    """Logarithms of the effects of day labels and of the phases of events.

    Attributes:
        shared: By label, phase or group of them, over all queues.
        own: By queue, then label, phase or group; what is missing falls back to ``shared``.
        sizes: By kind of event, the usual size of those that were learnt from.
        rest_shape: By queue, how far the hours of a holiday follow those of the weekly day of
            rest, in [0, 1]; the key ``""`` is for any other queue.
    """

    shared: Mapping[str, float]
    own: Mapping[str, Mapping[str, float]]
    sizes: Mapping[str, float] = field(default_factory=dict)
    rest_shape: Mapping[str, float] = field(default_factory=dict)

    def effect(self, queue: str, label: str) -> float:
        """Return the factor of a label on a queue; 1 where nothing is known of it.

        >>> effects = DayEffects({"holiday": -0.6931471805599453}, {})
        >>> round(effects.effect("sales", "holiday:New Year's Day"), 6)
        0.5
        """
        own = self.own.get(queue, {})
        for known in (own, self.shared):
            for name in (label, group_of(label), KIN.get(group_of(label), "")):
                if name in known:
                    return math.exp(known[name])
        return 1.0

    def by_day(self, queue: str, labels: Labels) -> Float64:
        """Return the factor of each day, float64[days]."""
        factors = np.ones(len(labels))
        for day in np.flatnonzero(labels != ""):
            factors[day] = self.effect(queue, str(labels[day]))
        return factors

    def of_event(self, queue: str, event: Event, phase: str) -> float:
        """Return the factor of one phase of an event on a queue.

        The factor learnt less 1 grows in proportion to the event's size over the usual size of
        its kind, up to five times it; an event or kind without a size has the usual one.

        >>> effects = DayEffects({"event:promotion": 0.4054651081}, {}, sizes={"promotion": 20})
        >>> sale = Event("e", "promotion", 0, 1, 0, size=40)
        >>> round(effects.of_event("sales", sale, "first"), 6)
        2.0
        """
        usual = self.effect(queue, event_label(event.kind, phase))
        factor = 1 + (usual - 1) * relative_size(event, self.sizes)
        return min(max(factor, 1 / _MOST_FACTOR), _MOST_FACTOR)

    def of(self, queue: str) -> DayEffects:
        """Return the effects of one queue alone."""
        own = {q: effects for q, effects in self.own.items() if q == queue}
        rest = {q: share for q, share in self.rest_shape.items() if q in (queue, "")}
        return DayEffects(self.shared, own, self.sizes, rest)


def event_label(kind: str, phase: str) -> str:
    """Return the name of a phase of a kind of event.

    >>> event_label("promotion", FIRST)
    'event:promotion:first'
    """
    return f"{EVENT}:{kind}:{phase}"


def group_of(label: str) -> str:
    """Return what a label is a kind of; a phase after an event is a group of its own.

    >>> group_of("holiday:Epiphany"), group_of("event:promotion:first")
    ('holiday', 'event:promotion')
    >>> group_of("event:promotion:next_day")
    'event:promotion:next_day'
    """
    if not label.startswith(f"{EVENT}:"):
        return label.partition(":")[0]
    return label.removesuffix(f":{FIRST}").removesuffix(f":{LATER}")


def relative_size(event: Event, sizes: Mapping[str, float]) -> float:
    """Return an event's size over the usual of its kind, in [0, 5]; 1 where either is missing."""
    usual = sizes.get(event.kind)
    if event.size is None or not usual:
        return 1.0
    return min(max(event.size / usual, 0.0), _MOST_SIZE)


OUTAGE = "outage"
AFTER_DAYS = 3


@dataclass(frozen=True)
class Reach:
    """The intervals that one phase of one event covers.

    Attributes:
        rows: Indices into the intervals, consecutive.
        first_share: Share of the first of them that is covered, in (0, 1].
        last_share: Share of the last, where it is not the first too; all others are whole.
    """

    event: Event
    phase: str
    rows: slice
    first_share: float = 1.0
    last_share: float = 1.0

    @property
    def share(self) -> Float64:
        """Share of each interval that is covered, float64[rows], in (0, 1]."""
        share = np.ones(self.rows.stop - self.rows.start)
        share[-1] = self.last_share
        share[0] = min(share[0], self.first_share)
        return share

    def multiply(self, values: Float64, factor: float) -> None:
        """Multiply the intervals by a factor, in place; a covered share moves that share."""
        low, high = self.rows.start, self.rows.stop
        if self.first_share < 1:
            values[low] *= 1 + (factor - 1) * self.first_share
            low += 1
        if self.last_share < 1:
            high -= 1
            values[high] *= 1 + (factor - 1) * self.last_share
        values[low:high] *= factor


def touching(queue: Queue, events: Sequence[Event], *, known_by: int) -> list[Event]:
    """Return the events that a queue could have known of by a moment, in order of their starts."""
    return sorted(
        (
            event
            for event in events
            if event.known_at <= known_by
            and event.kind != HOLIDAY
            and (not event.queues or queue.queue in event.queues)
        ),
        key=lambda event: (event.starts_at, event.event_id),
    )


def reaches(queue: Queue, starts: Int64, events: Sequence[Event]) -> Iterator[Reach]:
    """Lay the phases of events, from ``touching``, on intervals in ascending order.

    An event covers [starts_at, ends_at), and of an interval the share that lies in it. After it,
    until the next event of its kind begins, come the rest of its last local day, the next local
    day, and the second and third.
    """
    if len(starts) == 0 or not events:
        return
    step = queue.interval_minutes * 60
    near = starts[0] - (AFTER_DAYS + 2) * DAY_SECONDS, starts[-1] + step
    events = [e for e in events if e.ends_at > near[0] and e.starts_at < near[1]]
    if not events:
        return
    day = local_times(starts, queue.time_zone).day
    bounds = np.array([(e.starts_at, e.ends_at, e.ends_at - 1) for e in events], dtype=np.int64)
    local = local_times(bounds.reshape(-1), queue.time_zone).day.reshape(-1, 3)
    end = int(starts[-1]) + step
    first = np.searchsorted(starts, bounds[:, 0] - step, side="right")
    stop = np.searchsorted(starts, bounds[:, 1])
    split = np.clip(np.searchsorted(day, local[:, 0], side="right"), first, stop)
    latest = np.searchsorted(starts, [min(at, end) for at in _taken_over(events)])
    after = [np.searchsorted(day, local[:, 2] + k, side="right") for k in (0, 1, AFTER_DAYS)]
    marks = [np.minimum(np.maximum(at, stop), latest) for at in after]
    for event, edges in zip(
        events, np.stack((first, split, stop, *marks), 1).tolist(), strict=True
    ):
        for phase, (low, high) in zip(PHASES, pairwise(edges), strict=True):
            if high > low and phase in (FIRST, LATER):
                yield _during(event, phase, starts, slice(low, high), step)
            elif high > low:
                yield Reach(event, phase, slice(low, high))


def _taken_over(events: Sequence[Event]) -> list[int]:
    """Return when each event's last phases end: as soon as another of its kind is on."""
    ends = [sys.maxsize] * len(events)
    following: dict[str, list[int]] = {}
    for k, event in enumerate(events):
        waiting = following.setdefault(event.kind, [])
        still = []
        for j in waiting:
            if event.ends_at > events[j].ends_at:
                ends[j] = min(ends[j], max(event.starts_at, events[j].ends_at))
            else:
                # It lies within the other, which goes on after it.
                ends[k] = event.ends_at
                still.append(j)
        following[event.kind] = [*still, k]
    return ends


def _during(event: Event, phase: str, starts: Int64, rows: slice, step: int) -> Reach:
    def share(at: int) -> float:
        start = int(starts[at])
        return (min(start + step, event.ends_at) - max(start, event.starts_at)) / step

    first = share(rows.start)
    last = share(rows.stop - 1) if rows.stop - rows.start > 1 else 1.0
    return Reach(event, phase, rows, first, last)


def event_factors(
    effects: DayEffects, queue: Queue, starts: Int64, events: Sequence[Event], *, known_by: int
) -> Float64:
    """Return the product of the factors of all known events on each interval, float64[h].

    An event that covers a share of an interval moves that share of it. Starts are ascending.

    >>> effects = DayEffects({"event:promotion": 0.6931471805599453}, {})
    >>> sale = Event("e", "promotion", starts_at=1800, ends_at=7200, known_at=0)
    >>> hours = np.array([0, 3600, 7200])
    >>> event_factors(effects, Queue("sales"), hours, [sale], known_by=0).round(6).tolist()
    [1.5, 2.0, 1.0]
    """
    factors = np.ones(len(starts))
    known: dict[tuple[str, str, float | None], float] = {}
    for reach in reaches(queue, starts, touching(queue, events, known_by=known_by)):
        key = reach.event.kind, reach.phase, reach.event.size
        if key not in known:
            known[key] = effects.of_event(queue.queue, reach.event, reach.phase)
        reach.multiply(factors, known[key])
    return factors


def outages(queue: Queue, starts: Int64, events: Sequence[Event], *, known_by: int) -> Bool:
    """Return whether an outage of the calendar lay in each interval, bool[n]."""
    down = np.zeros(len(starts), dtype=bool)
    stops = starts + queue.interval_minutes * 60
    for event in touching(queue, events, known_by=known_by):
        if event.kind == OUTAGE:
            down |= (starts < event.ends_at) & (stops > event.starts_at)
    return down


_LEFT_OUT_BELOW = 1 / 3


def day_labels(queue: Queue, days: Int64) -> Labels:
    """Return each local day's label in the work calendar of the queue's country, str[n].

    Empty on an ordinary day, and on every day of a queue without a country; the groups are those
    of ``features.calendar.workdays.Workdays``.
    """
    known = learn_workdays(days, queue.country) if len(days) else None
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
    known = learn_workdays(ahead, queue.country)
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
