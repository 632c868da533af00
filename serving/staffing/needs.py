"""How many agents each of many loads needs, from one table of capacities.

The greatest load of n agents is smooth in n and in the AHT: it is computed at few of both and
interpolated. Where that lies too near a whole number, the queue model itself decides, so that the
answer is what ``fewest_agents`` gives.
"""

from __future__ import annotations

import numpy as np

from features.calendar import Float64, Int64
from serving.staffing.erlang import performance
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

    The load is float64[n, S], at least 0; fastest where each row ascends.

    >>> busy, aht = np.array([[0.0, 200 * 300 / 3600]]), np.full((1, 2), 300.0)
    >>> agents_needed(busy, aht_seconds=aht, line=Line(patience_seconds=180.0), goal=Goal())
    array([[ 0, 19]])
    """
    needed = np.zeros(load.shape, dtype=np.int64)
    busy = load > 0
    if not busy.any():
        return needed
    loads, ahts = load[busy], aht_seconds[busy]
    about = _interpolated(loads, ahts, line, goal)
    low = np.maximum(np.ceil(about - _UNSURE).astype(np.int64), 1)
    unsure = np.flatnonzero(np.ceil(about + _UNSURE) > low)
    expected = performance(
        loads[unsure],
        aht_seconds=ahts[unsure],
        agents=low[unsure],
        line=line,
        within_seconds=goal.seconds,
    )
    low[unsure] += ~meets(expected, goal)
    needed[busy] = low
    return needed


def _interpolated(load: Float64, aht: Float64, line: Line, goal: Goal) -> Float64:
    """Return the agents needed as real numbers, whole where a load is just most_load."""
    limits = (goal.asa_seconds, goal.abandonment, goal.max_occupancy)
    step = _AHT_STEP if limits == (None, None, None) else _AHT_STEP_LIMITS
    log_aht = np.log(aht)
    lowest = float(log_aht.min())
    columns = 2 + int((float(log_aht.max()) - lowest) / step)
    ahts = np.exp(lowest + step * np.arange(columns))
    agents, most_load = _capacity_table(float(load.max()), ahts, line, goal)
    place = (log_aht - lowest) / step
    left = place.astype(np.int64)
    about = np.empty(len(load))
    for column in range(columns - 1):
        here = np.flatnonzero(left == column)
        loads = load[here]
        below = np.interp(loads, most_load[:, column], agents)
        above = np.interp(loads, most_load[:, column + 1], agents)
        about[here] = below + (place[here] - column) * (above - below)
    return about


def _capacity_table(most: float, ahts: Float64, line: Line, goal: Goal) -> tuple[Int64, Float64]:
    """Return agents numbers of agents, int64[N], and the loads they can carry, float64[N, J].

    The last of them can carry ``most`` erlangs at each of the handle times, float64[J].
    """
    top = (most + 2 * np.sqrt(most) + 1) / line.concurrency
    while True:
        agents = _table_agents(top)
        most_load = capacity(
            np.repeat(agents, len(ahts)),
            aht_seconds=np.tile(ahts, len(agents)),
            line=line,
            goal=goal,
            tolerance=_NEAR / top,
        ).reshape(len(agents), len(ahts))
        if most_load[-1].min() >= most:
            return agents, most_load
        top *= 1.5


def _table_agents(most: float) -> Int64:
    """Return numbers of agents from 0 to at least ``most``: all small ones, then ever fewer."""
    agents = [0]
    while agents[-1] < most:
        agents.append(agents[-1] + max(1, int(_AGENTS_STEP * agents[-1])))
    return np.array(agents, dtype=np.int64)
