"""Calendar events on a queue's intervals: what they reach, in which phase, and by which factor.

Each event has a factor of its own on every interval that it covers, and smaller ones on the rest
of its last day and the three days after. Factors of several events multiply.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from features.calendar import DAY_SECONDS, Bool, Event, Float64, Int64, Queue, local_times
from serving.models.volume.effects import FIRST, HOLIDAY, LATER, PHASES, DayEffects

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
