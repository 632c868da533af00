"""A centre of impatient contacts and single agents, event by event, of which the truth is known."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass

import numpy as np

from features.calendar.clock import DAY_SECONDS
from features.volume.contacts import Waits

_HOUR = 3600


@dataclass(frozen=True)
class Line:
    """One queue of the centre: Poisson contacts, exponential patience.

    Attributes:
        name: Its name.
        per_hour: Contacts an hour while the centre is open.
        aht_seconds: Mean of the exponential handle time that is recorded.
        patience_seconds: Mean patience.
    """

    name: str
    per_hour: float
    aht_seconds: float
    patience_seconds: float


@dataclass(frozen=True)
class Shift:
    """One agent, every day.

    Attributes:
        first_hour: When the agent comes, UTC.
        last_hour: When the agent takes no more contacts.
        queues: Places of the queues served; the longest waiting contact of any goes first.
    """

    first_hour: float
    last_hour: float
    queues: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Centre:
    """The centre.

    Attributes:
        lines: Its queues.
        shifts: Its agents.
        open_hours: First hour, UTC, and one past the last.
        efficiency: Recorded handle time as a share of the time that a contact takes: the rest is
            work after it that no record shows.
        swing: Standard deviation of each hour's rate around the mean, as a share of it.
    """

    lines: tuple[Line, ...]
    shifts: tuple[Shift, ...]
    open_hours: tuple[float, float] = (8, 20)
    efficiency: float = 1.0
    swing: float = 0.0


def run_centre(centre: Centre, *, days: int, start: int, seed: int) -> Waits:
    """Run the centre and return what its records say.

    Args:
        centre: The centre.
        days: How many days, each on its own: who still waits at night hangs up.
        start: First midnight, epoch seconds.
        seed: Seed of all chances.
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple[float, int, float, float, int]] = []
    for day in range(days):
        today = _Day(centre, rng)
        for at, queue, patience in _arrivals(centre, rng):
            today.arrive(at, queue, patience)
        today.close()
        rows += [(start + day * DAY_SECONDS + at, *rest) for at, *rest in today.rows]
    rows.sort()
    moments, queues, wait, handle, agent = (np.array(column) for column in zip(*rows, strict=True))
    return Waits(
        queues=tuple(line.name for line in centre.lines),
        agents=tuple(f"agent {k:03d}" for k in range(len(centre.shifts))),
        queue=queues.astype(np.int32),
        started_at=np.floor(moments).astype(np.int64),
        wait_seconds=wait.astype(np.float32),
        handle_seconds=handle.astype(np.float32),
        abandoned=agent < 0,
        agent=agent.astype(np.int32),
    )


def _arrivals(centre: Centre, rng: np.random.Generator) -> list[tuple[float, int, float]]:
    """Return moment, queue and patience of a day's contacts, in order of time."""
    first, last = centre.open_hours
    found = []
    for number, line in enumerate(centre.lines):
        for hour in np.arange(first, last):
            rate = line.per_hour * (1 + centre.swing * rng.uniform(-1, 1) * np.sqrt(3))
            count = rng.poisson(rate)
            at = hour * _HOUR + rng.uniform(0, _HOUR, count)
            patience = rng.exponential(line.patience_seconds, count)
            found += [(float(a), number, float(p)) for a, p in zip(at, patience, strict=True)]
    return sorted(found)


class _Day:
    """One day of a centre, event by event.

    Attributes:
        rows: Moment, queue, wait, handle time and agent (-1: hung up) of each contact.
    """

    def __init__(self, centre: Centre, rng: np.random.Generator) -> None:
        self.centre, self.rng = centre, rng
        self.rows: list[tuple[float, int, float, float, int]] = []
        self.waiting: list[deque[tuple[float, float]]] = [deque() for _ in centre.lines]
        self.free: list[int] = []
        # An agent's event: from now on free, either come or done with a contact.
        self.events = [(shift.first_hour * _HOUR, k) for k, shift in enumerate(centre.shifts)]
        heapq.heapify(self.events)

    def arrive(self, at: float, queue: int, patience: float) -> None:
        """Let a contact come: to whoever has been free longest, or into the line."""
        self.run_to(at)
        shifts = self.centre.shifts
        self.free = [k for k in self.free if at < shifts[k].last_hour * _HOUR]
        able = [k for k in self.free if queue in shifts[k].queues]
        if able:
            self.free.remove(able[0])
            self._serve(able[0], queue, at, at)
        else:
            self.waiting[queue].append((at, patience))

    def run_to(self, now: float) -> None:
        """Let agents come free up to a moment."""
        while self.events and self.events[0][0] <= now:
            moment, agent = heapq.heappop(self.events)
            if moment < self.centre.shifts[agent].last_hour * _HOUR:
                self._look(agent, moment)

    def close(self) -> None:
        """Finish the day; who still waits hangs up in time."""
        self.run_to(np.inf)
        for queue, line in enumerate(self.waiting):
            self.rows += [(at, queue, patience, np.nan, -1) for at, patience in line]

    def _look(self, agent: int, now: float) -> None:
        """Give a free agent the contact that waits longest, of those that still do."""
        queues = self.centre.shifts[agent].queues
        for queue in queues:
            line = self.waiting[queue]
            while line and sum(line[0]) <= now:
                at, patience = line.popleft()
                self.rows.append((at, queue, patience, np.nan, -1))
        mine = [queue for queue in queues if self.waiting[queue]]
        if not mine:
            self.free.append(agent)
            return
        first = min(mine, key=lambda queue: self.waiting[queue][0])
        at, _ = self.waiting[first].popleft()
        self._serve(agent, first, at, now)

    def _serve(self, agent: int, queue: int, at: float, now: float) -> None:
        centre = self.centre
        took = self.rng.exponential(centre.lines[queue].aht_seconds / centre.efficiency)
        self.rows.append((at, queue, now - at, took * centre.efficiency, agent))
        heapq.heappush(self.events, (now + took, agent))
