"""The steadiest whole agents that do work by its deadlines.

Between the work that has come (nobody can be ahead of it) and the work that is due (nobody may be
behind it) runs one line that is pulled taut: of all lines between the two it has the least peak
pace, the least squares, and altogether the least of any cost that grows ever faster with the pace.
Time counts while the queue is open. Agents are then rounded up to whole ones so that what is done
stays at or above the line, what rounding adds being taken off the intervals after: no deadline is
missed by rounding, and the peak is the least possible.

Source: Barlow, Bartholomew, Bremner and Brunk, Statistical Inference under Order Restrictions
(1972), ch. 1, for the taut string; Modigliani and Hohn, "Production planning over time",
Econometrica 23 (1955), for its use on production with due dates.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from features.calendar import Bool, Float64, Int64
from serving.staffing.deadline import Deadline

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Corridor:
    """Where the work done must run, over open time.

    Attributes:
        at: Open time in intervals, float64[k], ascending from 0.
        due: Work that must be done by then, float64[k].
        come: Work that has come by then, float64[k], at least ``due``.
        ends: Place in ``at`` of each open interval's begin, and of the end, int64[o + 1].
    """

    at: Float64
    due: Float64
    come: Float64
    ends: Int64


def corridor(
    arrived: Float64,
    *,
    is_open: Bool,
    within: Deadline,
    share: float,
    least_open: float,
) -> Corridor:
    """Return where the work done must run so that the first part of each interval's is in time.

    Work that is not feasible (`feasible`) is due with what comes when the queue opens.

    Args:
        arrived: Work that has come by each interval's start and by the end, float64[h + 1].
        is_open: Whether agents work, bool[h].
        within: The deadline.
        share: Share of each interval's work to do within the deadline.
        least_open: As in ``feasible``.
    """
    h = len(is_open)
    clock = np.concatenate([[0.0], np.cumsum(is_open)])
    grid = np.arange(h + 1, dtype=np.float64)
    parts = [0.0, share] + ([1 - within.part] if 1 - within.part < share else [])
    moments = np.concatenate([grid[:-1] + part for part in parts])
    due = moments + within.whole + within.part
    opened = np.round(np.interp(due, grid, clock), 9)
    asked = feasible(is_open, within=within, least=least_open) & (np.diff(arrived) > 0)
    asked |= is_open & ~np.concatenate([[False], is_open[:-1]])  # what came before an opening
    kept = (due <= h) & np.tile(asked, len(parts))
    kept[0] |= arrived[0] > 0  # what waits at the beginning
    amounts = np.interp(moments[kept], grid, arrived)
    at, places = np.unique(np.concatenate([clock, opened[kept]]), return_inverse=True)
    least = np.zeros(len(at))
    np.maximum.at(least, places[h + 1 :], amounts)
    least = np.maximum.accumulate(least)
    # The moment on the clock at which so much open time has first passed.
    after = np.searchsorted(clock, at, side="left")
    before = np.maximum(after - 1, 0)
    moment = np.where(clock[after] == at, after, before + at - clock[before])
    most = np.maximum(np.interp(moment, grid, arrived), least)  # equal but for rounding, or more
    ends = np.searchsorted(at, np.arange(round(clock[-1]) + 1))
    return Corridor(at=at, due=least, come=most, ends=ends)


def feasible(is_open: Bool, *, within: Deadline, least: float) -> Bool:
    """Return whether what comes in an interval can be done in time by agents in their senses.

    What comes while the queue is closed must have some opening before its deadline: with a minute
    of it, all that came over a weekend would be due within that minute.

    Args:
        is_open: Whether agents work, bool[h].
        within: The deadline.
        least: That much opening, in intervals.
    """
    h = len(is_open)
    clock = np.concatenate([[0.0], np.cumsum(is_open)])
    due = np.interp(np.arange(h) + within.whole + within.part, np.arange(h + 1), clock)
    enough: Bool = is_open | (due - clock[:-1] >= least - _ROUNDING)
    return enough


def taut(lane: Corridor) -> Float64:
    """Return the line through a corridor from no work done to all that is due, float64[k].

    >>> at = np.arange(4.0)
    >>> come, due = np.array([0.0, 6.0, 6.0, 6.0]), np.array([0.0, 0.0, 0.0, 6.0])
    >>> taut(Corridor(at=at, due=due, come=come, ends=np.arange(4))).tolist()
    [0.0, 2.0, 4.0, 6.0]
    """
    at, low, high = lane.at, lane.due, lane.come.copy()
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
    """Return whole agents for each open interval who keep at or above a line, int64[o].

    Args:
        lane: The corridor.
        line: The line through it, as ``taut`` gives it.
        per_agent: Work that one agent does in an interval, above 0.
        least: Agents in every interval, whatever the work.
    """
    agents = np.empty(len(lane.ends) - 1, dtype=np.int64)
    at, due, ends = lane.at.tolist(), lane.due.tolist(), lane.ends.tolist()
    steady, come = line.tolist(), lane.come.tolist()
    done = 0.0
    for i, (begin, end) in enumerate(itertools.pairwise(ends)):
        pace = (steady[end] - done) / per_agent
        for k in range(begin + 1, end):
            pace = max(pace, (due[k] - done) / ((at[k] - at[begin]) * per_agent))
        agents[i] = max(math.ceil(pace * (1 - _ROUNDING) - _ROUNDING), least)
        done = min(done + int(agents[i]) * per_agent, come[end])
    return agents
