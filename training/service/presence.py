"""How many agents were on phone, and for which queues, read off the contacts that they answered.

An agent is on phone from the first contact's answer to the end of the last one before a longer gap,
and counts in each queue by its share of that day's handle time. The *pool* of a queue is all the
time of those who serve it. Time before the first and after the last contact is not seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import interval_starts, local_times
from features.volume.contacts import Int32, Waits

GAP_SECONDS = 30 * 60
"""A longer gap between two contacts is not time on phone."""
LONGEST_SECONDS = 8 * 3600
"""What is handled longer is worked on between other things, and says nothing of presence."""
_LEAST_OF_USUAL = 0.1


@dataclass(frozen=True)
class Work:
    """Contacts that an agent was seen to handle, by agent and answer, arrays of c.

    Attributes:
        queue: Place in ``Waits.queues``, int32[c].
        agent: Place in ``Waits.agents``, int32[c].
        begin: When it was answered, epoch seconds, float64[c].
        handle_seconds: float64[c], above 0 and at most ``LONGEST_SECONDS``.
    """

    queue: Int32
    agent: Int32
    begin: Float64
    handle_seconds: Float64


@dataclass(frozen=True)
class Spells:
    """Spans of time in which agents were on phone, arrays of k.

    Attributes:
        agent: Place in ``Waits.agents``, int32[k].
        start: Epoch seconds, float64[k].
        end: Epoch seconds, float64[k].
    """

    agent: Int32
    start: Float64
    end: Float64


@dataclass(frozen=True)
class Pool:
    """Who serves a queue, and what else they serve, on the grid of its presence.

    Attributes:
        agents: Mean agents on phone who serve it, whatever they do, float64[m].
        share: The part of them that is this queue's own, float64[m].
        taken: Share of each queue's contacts that comes to them, float64[m, queues].
    """

    agents: Float64
    share: Float64
    taken: Float64


@dataclass(frozen=True)
class Presence:
    """Who was on phone when, on one grid of intervals.

    A *stay* is what lies of a spell in one interval; a *cell* is one agent's local day; a *task*
    is all that one cell handled of one queue.

    Attributes:
        starts: The grid, epoch seconds, int64[m].
        lengths: Seconds of each interval, int64[m].
        day: Local day of each, counted from the first, int64[m].
        interval: Place in ``starts`` of each stay, int64[k].
        stay_cell: Cell of each stay, agent x days + day, int64[k], ascending.
        stay_seconds: Length of each stay, float64[k].
        task_cell: Cell of each task, int64[t].
        task_queue: Its queue's place in ``Waits.queues``, int64[t].
        task_seconds: Its handle time, float64[t].
    """

    starts: Int64
    lengths: Int64
    day: Int64
    interval: Int64
    stay_cell: Int64
    stay_seconds: Float64
    task_cell: Int64
    task_queue: Int64
    task_seconds: Float64

    @property
    def days(self) -> int:
        """Local days that the grid touches."""
        return int(self.day[-1]) + 1

    def pool(self, queue: int, *, mates: Bool) -> Pool:
        """Return who serves a queue.

        An agent serves it whose share of handle time for it is at least a tenth of the share of
        all agents together: one stray contact in months makes nobody serve a queue. ``mates``,
        bool[queues], are the queues that wait in the same way, itself among them.
        """
        agent = self.task_cell // self.days
        mine = self.task_queue == queue
        given = np.bincount(agent[mine], self.task_seconds[mine], int(agent.max()) + 1)
        worked = np.bincount(agent, self.task_seconds)
        usual = given.sum() / worked.sum()
        serves = given > _LEAST_OF_USUAL * usual * worked
        served = serves[agent] & mates[self.task_queue]
        return Pool(
            agents=self._agents(served),
            share=self._agents(mine),
            taken=self._taken(serves[agent], len(mates))[self.day],
        )

    def _agents(self, tasks: Bool) -> Float64:
        """Return mean agents on phone, each by the share of the day that some tasks took."""
        cells, each = np.unique(self.task_cell[tasks], return_inverse=True)
        own = np.bincount(each, self.task_seconds[tasks])
        share = own / np.bincount(self.task_cell, self.task_seconds)[cells]
        # Stays stand in the order of their cells: those of other agents are not touched.
        low, high = (np.searchsorted(self.stay_cell, cells, side=s) for s in ("left", "right"))
        stay = _ranges(low, high - low)
        there = self.stay_seconds[stay] * np.repeat(share, high - low)
        found: Float64 = np.bincount(self.interval[stay], there, len(self.starts)) / self.lengths
        return found

    def _taken(self, tasks: Bool, queues: int) -> Float64:
        """Return the share of each queue's handle time that is some tasks', float64[days, q]."""
        shape = (self.days, queues)
        place = self.task_cell % self.days * queues + self.task_queue
        own, handled = (
            np.bincount(place[use], self.task_seconds[use], self.days * queues).reshape(shape)
            for use in (tasks, np.ones(len(tasks), dtype=np.bool_))
        )
        whole = np.divide(
            own.sum(axis=0), handled.sum(axis=0), out=np.zeros(queues), where=handled.any(axis=0)
        )
        found: Float64 = np.tile(whole, (self.days, 1))
        np.divide(own, handled, out=found, where=handled > 0)
        return found


def work_of(waits: Waits) -> Work:
    """Return the contacts that an agent was seen to handle."""
    handle = waits.handle_seconds
    use = (waits.agent >= 0) & (handle > 0) & (handle <= LONGEST_SECONDS)
    began = waits.started_at[use].astype(np.float64)
    begin = began + np.nan_to_num(waits.wait_seconds[use]).astype(np.float64)
    agent = waits.agent[use]
    span = float(np.ptp(begin)) + 1 if len(begin) else 1.0
    order = np.argsort(agent * span + begin, kind="stable")
    return Work(
        queue=waits.queue[use][order],
        agent=agent[order],
        begin=begin[order],
        handle_seconds=handle[use][order].astype(np.float64),
    )


def spells_of(work: Work, *, gap_seconds: float = GAP_SECONDS) -> Spells:
    """Return the spans in which each agent was on phone.

    >>> contacts = Work(np.zeros(3, np.int32), np.zeros(3, np.int32),
    ...                 np.array([0.0, 900.0, 9000.0]), np.array([300.0, 300.0, 300.0]))
    >>> found = spells_of(contacts)  # ten minutes without a contact, then more than two hours
    >>> found.start.tolist(), found.end.tolist()
    ([0.0, 9000.0], [1200.0, 9300.0])
    """
    if len(work.begin) == 0:
        return Spells(work.agent, work.begin, work.begin)
    ends = work.begin + work.handle_seconds
    # Agents are laid one after another on one axis, so that a running maximum serves them all.
    apart = (ends.max() - work.begin.min() + gap_seconds + 1) * work.agent
    reach = np.maximum.accumulate(ends + apart)
    first = np.r_[True, work.begin[1:] + apart[1:] > reach[:-1] + gap_seconds]
    last = np.r_[first[1:], True]
    return Spells(work.agent[first], work.begin[first], (reach - apart)[last])


def overlapping(work: Work, queue: int) -> float:
    """Return the share of a queue's handle time in which its agent held another of it as well.

    It is 0 where each agent holds one contact at a time; much of it where several people share one
    id.
    """
    mine: Bool = work.queue == queue
    own = Work(work.queue[mine], work.agent[mine], work.begin[mine], work.handle_seconds[mine])
    total = float(own.handle_seconds.sum())
    if total == 0:
        return 0.0
    busy = spells_of(own, gap_seconds=0.0)
    return 1 - float((busy.end - busy.start).sum()) / total


def presence_of(work: Work, spells: Spells, *, minutes: int, time_zone: str) -> Presence:
    """Lay spells on a grid of intervals.

    ``work``: What the agents handled; at least one contact. ``time_zone``: IANA zone of the grid
    and of the days.
    """
    first, end = int(spells.start.min()), int(np.ceil(spells.end.max()))
    starts = interval_starts(first - minutes * 60, end, minutes, time_zone)
    ends = np.r_[starts[1:], starts[-1] + minutes * 60]
    low = np.searchsorted(starts, spells.start, side="right") - 1
    count = np.searchsorted(starts, spells.end, side="left") - low
    spell = np.repeat(np.arange(len(low)), count)
    interval = _ranges(low, count)
    stay = np.minimum(spells.end[spell], ends[interval])
    stay -= np.maximum(spells.start[spell], starts[interval])
    day = local_times(starts, time_zone).day - local_times(starts[:1], time_zone).day[0]
    days, queues = int(day[-1]) + 1, int(work.queue.max()) + 1
    place = np.searchsorted(starts, work.begin, side="right") - 1
    cell = work.agent.astype(np.int64) * days + day[place]
    task, each = np.unique(cell * queues + work.queue, return_inverse=True)
    return Presence(
        starts=starts,
        lengths=ends - starts,
        day=day,
        interval=interval,
        stay_cell=spells.agent[spell].astype(np.int64) * days + day[interval],
        stay_seconds=stay,
        task_cell=task // queues,
        task_queue=task % queues,
        task_seconds=np.bincount(each, work.handle_seconds).astype(np.float64),
    )


def _ranges(first: Int64, count: Int64) -> Int64:
    """Return the numbers first, first + 1, … of each range, one range after another."""
    before = np.cumsum(count) - count
    found: Int64 = np.arange(int(count.sum())) + np.repeat(first - before, count)
    return found
