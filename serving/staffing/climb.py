"""The fewest agents where everybody waits, for many intervals in one pass over the servers.

With every server more, each interval's blocking follows from the one before in three
multiplications and additions (``chain.blocking``), and in Erlang C the rest follows from it in
closed form. So all intervals climb together, a few servers at a time, and each is tested from its
load on until it meets the goal: the first number that does is the smallest.
"""

from __future__ import annotations

import numpy as np

from features.calendar import Bool, Float64, Int64
from serving.staffing.chain import least_state
from serving.staffing.erlang import LEAST_LOAD
from serving.staffing.goal import Goal

_STEPS = 8


def climb(load: Float64, *, aht_seconds: Float64, concurrency: int, goal: Goal) -> Int64:
    """Return the smallest number of agents on phone that meets the goal in Erlang C, int64[n].

    Args:
        load: Erlangs, float64[n], above 0.
        aht_seconds: Average handle time, float64[n], above 0.
        concurrency: Contacts that an agent holds at once, none slower for the others.
        goal: The limits to keep; nobody hangs up.

    >>> climb(np.array([50 / 3]), aht_seconds=np.array([300.0]), concurrency=1, goal=Goal())
    array([21])
    """
    order = np.argsort(load)
    a, aht = np.maximum(load[order], LEAST_LOAD), aht_seconds[order]
    start = least_state(a)
    inverse, per_load = np.ones(len(a)), 1 / a
    agents = np.zeros(len(a), dtype=np.int64)
    # Sorted by load: before `first` all are done, from `begun` on none has begun.
    steps = max(_STEPS, concurrency)  # among so many servers are those of a whole agent
    first, m = 0, 0
    while first < len(a):
        m = max(m, int(start[first]))
        servers = np.arange(m + 1, m + 1 + steps)
        m += steps
        begun = int(np.searchsorted(start, m))
        inverses = _climbed(inverse[first:begun], per_load[first:begun], servers)
        inverse[first:begun] = inverses[-1]
        some = slice(first, int(np.searchsorted(a, m)))
        whole = slice(-int(servers[0]) % concurrency, None, concurrency)
        met = _met(
            a[some], aht[some], servers[whole, None], inverses[whole, : some.stop - first], goal
        )
        # Once met, a goal stays met: so many of the last numbers are enough.
        enough = np.add.reduce(met, axis=0, dtype=np.int64)
        fewest = servers[whole][-1] // concurrency + 1 - enough
        agents[some] = np.where((agents[some] == 0) & (enough > 0), fewest, agents[some])
        left = agents[some] == 0
        first = first + int(left.argmax()) if left.any() else some.stop
    found = np.empty(len(a), dtype=np.int64)
    found[order] = agents
    return found


def _climbed(inverse: Float64, per_load: Float64, servers: Int64) -> Float64:
    """Return 1 / B with each of some servers, float64[len(servers), n]."""
    inverses = np.empty((len(servers), len(inverse)))
    with np.errstate(over="ignore"):
        for row, count in zip(inverses, servers.tolist(), strict=True):
            np.multiply(inverse, per_load, out=row)
            row *= count
            row += 1
            inverse = row
    return inverses


def _met(load: Float64, aht: Float64, servers: Int64, inverse: Float64, goal: Goal) -> Bool:
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
