"""How many agents each of many loads needs: one table of capacities instead of as many searches.

The greatest load that n agents can carry is smooth in the AHT and in n. So it is computed at few
of both (`capacity`), turned round, and read in between. Where the reading lies too near a whole
number to be sure of it, the queue model itself decides: the answer is what ``fewest_agents``
gives, load by load.
"""

from __future__ import annotations

import numpy as np

from features.calendar import Float64, Int64
from serving.staffing.erlang import fare
from serving.staffing.fewest import capacity, meets
from serving.staffing.goal import Goal, Line

_AHT_STEP = 0.2
"""Between the table's handle times, in logarithms: read to 0.01 agents in between."""

_AHT_STEP_LIMITS = 0.04
"""Where a goal has several limits: the capacity bends where another of them takes over."""

_AGENTS_STEP = 0.05
"""Between the table's agents, as a share of them: read to 0.002 agents in between."""

_NEAR = 0.005
"""The table's capacities, in erlangs."""

_UNSURE = 0.03
"""So near a whole number of agents that the queue model decides."""


def agents_needed(load: Float64, *, aht_seconds: Float64, line: Line, goal: Goal) -> Int64:
    """Return the fewest agents that meet the goal at each of many loads, int64[n, S].

    Args:
        load: Erlangs, float64[n, S], at least 0; fastest where each row ascends.
        aht_seconds: Average handle time, float64[n, S], above 0 where there is load.
        line: How contacts wait and are served.
        goal: What to meet.

    >>> busy, aht = np.array([[0.0, 200 * 300 / 3600]]), np.full((1, 2), 300.0)
    >>> agents_needed(busy, aht_seconds=aht, line=Line(patience_seconds=180.0), goal=Goal())
    array([[ 0, 19]])
    """
    needed = np.zeros(load.shape, dtype=np.int64)
    busy = load > 0
    if not busy.any():
        return needed
    loads, ahts = load[busy], aht_seconds[busy]
    about = _read(loads, ahts, line, goal)
    low = np.maximum(np.ceil(about - _UNSURE).astype(np.int64), 1)
    unsure = np.flatnonzero(np.ceil(about + _UNSURE) > low)
    expected = fare(
        loads[unsure],
        aht_seconds=ahts[unsure],
        agents=low[unsure],
        line=line,
        within_seconds=goal.seconds,
    )
    low[unsure] += ~meets(expected, goal)
    needed[busy] = low
    return needed


def _read(load: Float64, aht: Float64, line: Line, goal: Goal) -> Float64:
    """Return the agents needed as real numbers, whole where a load is just carried."""
    limits = (goal.asa_seconds, goal.abandonment, goal.max_occupancy)
    step = _AHT_STEP if limits == (None, None, None) else _AHT_STEP_LIMITS
    log_aht = np.log(aht)
    lowest = float(log_aht.min())
    columns = 2 + int((float(log_aht.max()) - lowest) / step)
    ahts = np.exp(lowest + step * np.arange(columns))
    agents, carried = _table(float(load.max()), ahts, line, goal)
    place = (log_aht - lowest) / step
    left = place.astype(np.int64)
    about = np.empty(len(load))
    for column in range(columns - 1):
        here = np.flatnonzero(left == column)
        loads = load[here]
        below = np.interp(loads, carried[:, column], agents)
        above = np.interp(loads, carried[:, column + 1], agents)
        about[here] = below + (place[here] - column) * (above - below)
    return about


def _table(most: float, ahts: Float64, line: Line, goal: Goal) -> tuple[Int64, Float64]:
    """Return some numbers of agents, int64[N], and the loads they carry, float64[N, J].

    Args:
        most: The greatest load that the last of them must carry, erlangs.
        ahts: Handle times, float64[J].
        line: How contacts wait and are served.
        goal: What to meet.
    """
    top = (most + 2 * np.sqrt(most) + 1) / line.concurrency
    while True:
        agents = _some(top)
        carried = capacity(
            np.repeat(agents, len(ahts)),
            aht_seconds=np.tile(ahts, len(agents)),
            line=line,
            goal=goal,
            tolerance=_NEAR / top,
        ).reshape(len(agents), len(ahts))
        if carried[-1].min() >= most:
            return agents, carried
        top *= 1.5


def _some(most: float) -> Int64:
    """Return numbers of agents from 0 to at least ``most``: all small ones, then ever fewer."""
    some = [0]
    while some[-1] < most:
        some.append(some[-1] + max(1, int(_AGENTS_STEP * some[-1])))
    return np.array(some, dtype=np.int64)
