"""A backlog of work with a deadline: what waits, what is in time, how long it takes.

Work comes evenly within an interval, in agent-seconds (contacts x AHT), and is done first come,
first served. That is right where many contacts come within one deadline. A contact that comes at s
is in time where the work done by s + deadline is at least the work that had come by s.

Source: Newell, Applications of Queueing Theory (1982), ch. 2: cumulative arrivals and departures.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from features.arrays import Bool, Float64, Int64
from serving.staffing.queue_model import ROUNDING

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


@dataclass(frozen=True)
class Corridor:
    """Where the work done must run, over open time.

    Attributes:
        at: Open time in intervals, float64[k], ascending from 0.
        due: Work that must be done by then, float64[k].
        arrived: Work that has come by then, float64[k], at least ``due``.
        ends: Place in ``at`` of each open interval's begin, and of the end, int64[o + 1].
    """

    at: Float64
    due: Float64
    arrived: Float64
    ends: Int64


def corridor(
    arrived: Float64,
    *,
    is_open: Bool,
    within: Deadline,
    share: float,
    least_open: float,
) -> Corridor:
    """Return where the work done must run so that this share of each interval's is in time.

    ``arrived`` is the work by each interval's start and by the end, float64[h + 1]. Work that is
    not feasible (`feasible`) is due with what comes when the queue opens.
    """
    h = len(is_open)
    clock = np.concatenate([[0.0], np.cumsum(is_open)])
    grid = np.arange(h + 1, dtype=np.float64)
    parts = [0.0, share] + ([1 - within.part] if 1 - within.part < share else [])
    moments = np.concatenate([grid[:-1] + part for part in parts])
    due = moments + within.whole + within.part
    opened = np.round(np.interp(due, grid, clock), 9)
    promised = feasible(is_open, within=within, least=least_open) & (np.diff(arrived) > 0)
    promised |= is_open & ~np.concatenate([[False], is_open[:-1]])  # what came before an opening
    held = (due <= h) & np.tile(promised, len(parts))
    held[0] |= arrived[0] > 0  # what waits at the beginning
    amounts = np.interp(moments[held], grid, arrived)
    at, places = np.unique(np.concatenate([clock, opened[held]]), return_inverse=True)
    least = np.zeros(len(at))
    np.maximum.at(least, places[h + 1 :], amounts)
    least = np.maximum.accumulate(least)
    # The moment on the clock at which so much open time has first passed.
    after = np.searchsorted(clock, at, side="left")
    before = np.maximum(after - 1, 0)
    moment = np.where(clock[after] == at, after, before + at - clock[before])
    most = np.maximum(np.interp(moment, grid, arrived), least)  # equal but for rounding, or more
    ends = np.searchsorted(at, np.arange(round(clock[-1]) + 1))
    return Corridor(at=at, due=least, arrived=most, ends=ends)


def feasible(is_open: Bool, *, within: Deadline, least: float) -> Bool:
    """Return which intervals' work has ``least`` intervals of opening before its deadline, bool[h].

    What comes while the queue is closed must have some: with a minute of it, all that came over a
    weekend would be due within that minute.
    """
    h = len(is_open)
    clock = np.concatenate([[0.0], np.cumsum(is_open)])
    due = np.interp(np.arange(h) + within.whole + within.part, np.arange(h + 1), clock)
    enough: Bool = is_open | (due - clock[:-1] >= least - ROUNDING)
    return enough


def steadiest_effort(lane: Corridor) -> Float64:
    """Return the line through a corridor from no work done to all that is due, float64[k].

    >>> at = np.arange(4.0)
    >>> arrived, due = np.array([0.0, 6.0, 6.0, 6.0]), np.array([0.0, 0.0, 0.0, 6.0])
    >>> steadiest_effort(Corridor(at=at, due=due, arrived=arrived, ends=np.arange(4))).tolist()
    [0.0, 2.0, 4.0, 6.0]
    """
    at, low, high = lane.at, lane.due, lane.arrived.copy()
    high[-1] = low[-1]
    line = np.zeros(len(at))
    here, done = 0, 0.0
    while here < len(at) - 1:
        span = at[here + 1 :] - at[here]
        least, most = (low[here + 1 :] - done) / span, (high[here + 1 :] - done) / span
        steepest, flattest = np.maximum.accumulate(least), np.minimum.accumulate(most)
        crossed = steepest > flattest
        if not crossed.any():
            bend, goal = len(span) - 1, low[-1]
        else:
            k = int(np.argmax(crossed))
            if least[k] > flattest[k]:  # the line must hold back, then turn up
                bend = int(np.flatnonzero(most[:k] == flattest[k - 1])[-1])
                goal = high[here + 1 + bend]
            else:
                bend = int(np.flatnonzero(least[:k] == steepest[k - 1])[-1])
                goal = low[here + 1 + bend]
        there = here + 1 + bend
        line[here + 1 : there + 1] = done + (goal - done) * span[: bend + 1] / span[bend]
        here, done = there, float(goal)
    return line


def whole_agents(lane: Corridor, line: Float64, *, per_agent: float, least: int) -> Int64:
    """Return whole agents for each open interval who keep at or above a line of work, int64[o].

    The line is that of ``steadiest_effort``; ``per_agent`` is what one agent does in an interval.
    """
    agents = np.empty(len(lane.ends) - 1, dtype=np.int64)
    at, due, ends = lane.at.tolist(), lane.due.tolist(), lane.ends.tolist()
    steady, arrived = line.tolist(), lane.arrived.tolist()
    done = 0.0
    for i, (begin, end) in enumerate(itertools.pairwise(ends)):
        pace = (steady[end] - done) / per_agent
        for k in range(begin + 1, end):
            pace = max(pace, (due[k] - done) / ((at[k] - at[begin]) * per_agent))
        agents[i] = max(math.ceil(pace * (1 - ROUNDING) - ROUNDING), least)
        done = min(done + int(agents[i]) * per_agent, arrived[end])
    return agents
