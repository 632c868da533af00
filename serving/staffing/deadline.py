"""A backlog of work with a deadline: what waits, what is in time, how long it takes.

Work comes evenly within an interval, in agent-seconds (contacts x AHT), and is done first come,
first served. That is right where many contacts come within one deadline. A contact that comes at s
is in time where the work done by s + deadline is at least the work that had come by s.

Source: Newell, Applications of Queueing Theory (1982), ch. 2: cumulative arrivals and departures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from features.calendar import Float64
from serving.staffing.goal import ROUNDING

_MOMENTS = (np.arange(16) + 0.5) / 16


@dataclass(frozen=True)
class Deadline:
    """Clock time from coming to being done: whole intervals and a part of one in [0, 1)."""

    whole: int
    part: float


def deadline(seconds: float, *, interval_minutes: int) -> Deadline:
    """Return a deadline in intervals.

    >>> deadline(5400.0, interval_minutes=60)
    Deadline(whole=1, part=0.5)
    """
    intervals = seconds / (interval_minutes * 60)
    whole = math.floor(intervals + ROUNDING)
    part = intervals - whole
    return Deadline(whole, part if part > ROUNDING else 0.0)


def cumulative_work(work: Float64, *, backlog: Float64) -> Float64:
    """Return the work that has come by each interval's start and by the end, float64[h + 1, S].

    Work is that of each interval, float64[h, S]; the backlog waits at the beginning, float64[S].
    """
    return np.cumsum(np.concatenate([backlog[None], work]), axis=0)


def finished(arrived: Float64, capacity: Float64) -> Float64:
    """Return the work that is done by each interval's start and by the end, float64[h + 1, S].

    The capacity is the work that the agents can do in each interval, float64[h].

    >>> arrived = np.array([[0.0], [5.0], [6.0], [6.0]])
    >>> finished(arrived, np.array([2.0, 2.0, 9.0])).ravel().tolist()
    [0.0, 2.0, 4.0, 6.0]
    """
    able = np.concatenate([[0.0], np.cumsum(capacity)])[:, None]
    # What agents could have done while nothing waited is lost for good.
    idle = np.minimum.accumulate(arrived - able, axis=0)
    np.minimum(idle, 0.0, out=idle)
    idle += able
    return idle


def in_time(
    arrived: Float64, done: Float64, capacity: Float64, *, within: Deadline, intervals: int
) -> Float64:
    """Return the share done within the deadline, of what comes in each interval, float64[n, S].

    Work arrives as from ``cumulative_work``, at least ``within`` and an interval more than the n
    judged, and is done as from ``finished``.

    >>> arrived, capacity = np.array([[0.0], [4.0], [4.0], [4.0]]), np.array([1.0, 1.0, 2.0])
    >>> due = dict(within=Deadline(1, 0.0), intervals=1)  # of 4 one is done before any is due
    >>> in_time(arrived, finished(arrived, capacity), capacity, **due).round(3).tolist()
    [[0.333]]
    """
    m, n, part = within.whole, intervals, within.part
    pace = capacity[:, None]
    before, after = arrived[:n], arrived[1 : n + 1]
    slack = ROUNDING * arrived[-1]
    # Who comes in the first 1 - part of interval t is due in t + m, the others in the next one.
    # Within an interval the agents' line may run above what has come: who is due is done then.
    turn = after - part * (after - before) - slack
    begin, speed = done[m : m + n], pace[m : m + n]
    share = _share_above_zero(begin + part * speed - before + slack, begin + speed - turn)
    if part > 0:
        begin, speed = done[m + 1 : m + 1 + n], pace[m + 1 : m + 1 + n]
        share *= 1 - part
        share += part * _share_above_zero(begin - turn, begin + part * speed - after + slack)
    share[after <= before] = 1.0
    return share


def _share_above_zero(first: Float64, last: Float64) -> Float64:
    """Return the share of a straight line, given by its ends, that is not below 0."""
    above = np.maximum(first, 0.0) + np.maximum(last, 0.0)
    size = np.abs(first) + np.abs(last)
    share: Float64 = np.divide(above, size, out=np.ones(size.shape), where=size > 0)
    return share


def mean_delay(arrived: Float64, capacity: Float64, *, intervals: int) -> Float64:
    """Return how long work of one path takes from coming to being done, in intervals, float64[n].

    The mean over what comes in the interval; 0 where nothing comes; infinite where some of it is
    not done by the end of h.
    """
    done = finished(arrived[:, None], capacity)[:, 0]
    waits = arrived - done
    rate = np.diff(arrived)
    # Where the backlog ends within an interval, the pace drops to that of what comes.
    ends = (waits[:-1] > 0) & (waits[1:] <= ROUNDING * arrived[-1]) & (capacity > rate)
    at = np.flatnonzero(ends) + waits[:-1][ends] / (capacity - rate)[ends]
    amount = done[:-1][ends] + capacity[ends] * (at - np.floor(at))
    clock = np.concatenate([np.arange(len(arrived), dtype=np.float64), at])
    order = np.argsort(clock, kind="stable")
    clock, amount = clock[order], np.concatenate([done, amount])[order]
    amount = np.maximum.accumulate(amount)
    came = np.arange(intervals)[:, None] + _MOMENTS
    mark = arrived[:intervals, None] + rate[:intervals, None] * _MOMENTS
    end = np.interp(mark.ravel(), amount, clock).reshape(mark.shape)
    end[mark > amount[-1] * (1 + ROUNDING)] = np.inf
    delay = np.maximum(end - came, 0.0).mean(axis=1)
    return np.where(rate[:intervals] > 0, delay, 0.0)
