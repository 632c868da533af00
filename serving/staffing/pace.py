"""The steadiest whole agents that do work by its deadlines.

Between the work that has come and the work that is due runs one taut line: it has the least peak
effort, the least squares, and the least of any convex cost. Time counts while the queue is open.
Rounding up keeps what is done at or above the line, so that no deadline is missed by rounding.

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
from serving.staffing.goal import ROUNDING


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


def taut(lane: Corridor) -> Float64:
    """Return the line through a corridor from no work done to all that is due, float64[k].

    >>> at = np.arange(4.0)
    >>> arrived, due = np.array([0.0, 6.0, 6.0, 6.0]), np.array([0.0, 0.0, 0.0, 6.0])
    >>> taut(Corridor(at=at, due=due, arrived=arrived, ends=np.arange(4))).tolist()
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
    """Return whole agents for each open interval who keep at or above a line of ``taut``, int64[o].

    ``per_agent`` is the work that one agent does in an interval, above 0.
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
