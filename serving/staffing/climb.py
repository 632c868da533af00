"""The fewest agents where everybody waits (Erlang C), for many intervals in one pass over servers.

With every server more, each interval's blocking follows from the one before (``chain.blocking``),
and the rest in closed form. The first number of agents that meets the goal is the smallest.
"""

from __future__ import annotations

import numpy as np

from features.calendar import Bool, Float64, Int64
from serving.staffing.chain import least_state
from serving.staffing.erlang import LEAST_LOAD
from serving.staffing.goal import Goal

_SERVERS_AT_ONCE = 8


def climb(load: Float64, *, aht_seconds: Float64, concurrency: int, goal: Goal) -> Int64:
    """Return the smallest number of agents on phone that meets the goal in Erlang C, int64[n].

    Load and AHT are above 0, float64[n]; contacts that an agent holds do not slow one another.

    >>> climb(np.array([50 / 3]), aht_seconds=np.array([300.0]), concurrency=1, goal=Goal())
    array([21])
    """
    order = np.argsort(load)
    a, aht = np.maximum(load[order], LEAST_LOAD), aht_seconds[order]
    start = least_state(a)
    inverse, per_load = np.ones(len(a)), 1 / a
    agents = np.zeros(len(a), dtype=np.int64)
    # Sorted by load: before `first` all are done, from `begun` on none has begun.
    steps = max(_SERVERS_AT_ONCE, concurrency)  # among so many servers are those of a whole agent
    first, m = 0, 0
    while first < len(a):
        m = max(m, int(start[first]))
        servers = np.arange(m + 1, m + 1 + steps)
        m += steps
        begun = int(np.searchsorted(start, m))
        inverses = _inverse_blocking(inverse[first:begun], per_load[first:begun], servers)
        inverse[first:begun] = inverses[-1]
        some = slice(first, int(np.searchsorted(a, m)))
        whole = slice(-int(servers[0]) % concurrency, None, concurrency)
        met = _goal_met(
            a[some], aht[some], servers[whole, None], inverses[whole, : some.stop - first], goal
        )
        # Once met, a goal stays met: so many of the last numbers are enough.
        enough = np.add.reduce(met, axis=0, dtype=np.int64)
        fewest = servers[whole][-1] // concurrency + 1 - enough
        agents[some] = np.where((agents[some] == 0) & (enough > 0), fewest, agents[some])
        left = agents[some] == 0
        first = first + int(left.argmax()) if left.any() else some.stop
    fewest_agents = np.empty(len(a), dtype=np.int64)
    fewest_agents[order] = agents
    return fewest_agents


def _inverse_blocking(inverse: Float64, per_load: Float64, servers: Int64) -> Float64:
    """Return 1 / B with each of some servers, float64[len(servers), n]."""
    inverses = np.empty((len(servers), len(inverse)))
    with np.errstate(over="ignore"):
        for row, count in zip(inverses, servers.tolist(), strict=True):
            np.multiply(inverse, per_load, out=row)
            row *= count
            row += 1
            inverse = row
    return inverses


def _goal_met(load: Float64, aht: Float64, servers: Int64, inverse: Float64, goal: Goal) -> Bool:
    """Return whether the goal is met with each of some servers, bool[len(servers), n].

    P(wait) is servers / (spare / B + load), so that each limit is a product, without a division;
    where spare is not above 0 that sum is at most the servers, and no limit is met.
    """
    spare = servers - load
    states = spare * inverse
    states += load
    late = spare * (-goal.seconds / aht)
    np.minimum(late, 0.0, out=late)  # fewer servers than erlangs are never enough
    np.exp(late, out=late)
    late *= servers
    met: Bool = late <= (1 - goal.share) * states
    if goal.asa_seconds is not None:
        met &= servers * aht <= goal.asa_seconds * spare * states
    if goal.max_occupancy is not None:
        met &= load <= goal.max_occupancy * servers
    return met
