"""Sums over the contacts present: the birth and death chain of Erlang B, C, A and chat.

With m contacts in service the agents complete S(m) within one AHT; with every place taken and k
more waiting, S(full) complete and k may hang up. Every term is positive: nothing cancels.

Sources: A. K. Erlang (1917) for the blocking formula; D. L. Jagerman, "Some properties of the
Erlang loss function", Bell System Technical Journal 53 (1974), for its inverse; A. Mandelbaum and
S. Zeltyn, "Service engineering in action: the Palm/Erlang-A queue" (2007), for A(x, y).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.arrays import Bool, Float64, Int64
from serving.staffing.queue_model import ServiceGoal

_CHECK_EVERY = 8
_RESCALE = 1e200
_NEGLIGIBLE = 1e-16
_NEVER_BELOW = 9.0
"""A Poisson count falls this many standard deviations below its mean once in 1e17."""


def blocking(load: Float64, servers: Int64) -> Float64:
    """Return the probability that all servers are busy when nobody waits: Erlang's B formula.

    Uses 1/B(0) = 1, 1/B(m) = 1 + (m/a) / B(m-1). States far below the load are left out, so that
    the work grows with the root of a large load. Erlangs float64[n], servers int64[n], from 0.

    >>> blocking(np.array([2.0]), np.array([3])).round(4).tolist()  # (8/6) / (1 + 2 + 2 + 8/6)
    [0.2105]
    """
    start = least_state(np.minimum(load, servers))
    length = servers - start.astype(np.int64)
    order = np.argsort(length, kind="stable")
    length, rate = length[order], start[order]
    inverse = np.ones(len(load))
    first, longest = 0, int(length[-1]) if len(length) else 0
    with np.errstate(divide="ignore", over="ignore"):
        per_load = 1 / load[order]
        v, m, share = inverse, rate, per_load
        for step in range(1, longest + 1):
            if length[first] < step:
                first += int(np.searchsorted(length[first:], step))
                v, m, share = inverse[first:], rate[first:], per_load[first:]
            m += 1
            v *= share
            v *= m
            v += 1
    out = np.empty(len(load))
    out[order] = 1 / inverse
    return out


def least_state(load: Float64) -> Float64:
    """Return how many contacts are always present but for once in 1e17; ascends with the load."""
    start: Float64 = np.maximum(np.floor(load - _NEVER_BELOW * np.sqrt(load)), 0.0)
    return start


@dataclass(frozen=True)
class Chats:
    """What chat agents hold when nobody waits.

    ``full`` is the probability that no agent has room, ``held`` the mean contacts in service while
    some agent has room (0 without agents), float64[n] each.
    """

    full: Float64
    held: Float64


def chat_blocking(load: Float64, agents: Int64, *, concurrency: int, slowdown: float) -> Chats:
    """Return how full agents are who hold several contacts, each slower for the others.

    An agent who holds j contacts completes j (1 + s(k-1)) / (1 + s(j-1)) of them within the AHT
    of one who holds k = ``concurrency``, s the slowdown. The contacts are spread evenly: no agent
    holds two more than another. The load, float64[n], is in erlangs at the AHT of k contacts.

    >>> one = chat_blocking(np.array([1.0]), np.array([1]), concurrency=2, slowdown=0.5)
    >>> one.full.round(4).tolist(), one.held.round(4).tolist()  # 1 : 1/1.5 : 1/3 in 0, 1, 2
    ([0.1667], [0.4])
    """
    held = np.arange(concurrency + 1)
    done = held * (1 + slowdown * (concurrency - 1)) / (1 + slowdown * np.maximum(held - 1, 0))
    gain = np.diff(done)
    order = np.argsort(agents, kind="stable")
    n = agents[order]
    rate, mean, inverse = np.zeros(len(n)), np.zeros(len(n)), np.ones(len(n))
    first, longest = 0, int(n[-1]) * concurrency if len(n) else 0
    with np.errstate(divide="ignore", over="ignore"):
        per_load = 1 / load[order]
        for m in range(1, longest + 1):
            first += int(np.searchsorted(n[first:] * concurrency, m))
            v, below = inverse[first:], mean[first:]
            below += (m - 1 - below) / v
            rate[first:] += gain[(m - 1) // n[first:]]
            v *= per_load[first:]
            v *= rate[first:]
            v += 1
    back = np.empty(len(n), dtype=np.int64)
    back[order] = np.arange(len(n))
    return Chats(full=(1 / inverse)[back], held=mean[back])


def log_waiting(x: Float64, y: Float64) -> Float64:
    """Return log A(x, y), where A = 1 + y/(x+1) + y²/((x+1)(x+2)) and so on.

    A is the chance that any number waits, relative to that of all busy and nobody waiting; x is
    the completions of all busy agents within one patience, above 0, y the arrivals, at least 0.

    >>> log_waiting(np.array([1.0]), np.array([1.0])).round(4).tolist()  # log(e - 1)
    [0.5413]
    """
    out = np.empty(len(x))
    place = np.arange(len(x))
    divisor, term, excess, log_scale = x.copy(), np.ones(len(x)), np.zeros(len(x)), np.zeros(len(x))
    while len(place):
        for _ in range(_CHECK_EVERY):
            divisor += 1
            term *= y
            term /= divisor
            excess += term
        if excess.max() > _RESCALE:
            scale = np.where(excess > _RESCALE, 1 / _RESCALE, 1.0)
            term *= scale
            excess *= scale
            log_scale -= np.log(scale)
        live = (term > _NEGLIGIBLE * (1 + excess)) | (y >= divisor)
        if 2 * np.count_nonzero(live) > len(place):
            continue
        done = ~live
        with np.errstate(divide="ignore"):
            out[place[done]] = np.where(
                log_scale[done] > 0, log_scale[done] + np.log(excess[done]), np.log1p(excess[done])
            )
        place, y, divisor = place[live], y[live], divisor[live]
        term, excess, log_scale = term[live], excess[live], log_scale[live]
    return out


def answered_wait(x: Float64, y: Float64) -> Float64:
    """Return the mean, over all who wait, of the wait in patiences, 0 for who is not answered.

    Who finds k waiting moves up through k + 1 places, which takes 1/(x+1) + … + 1/(x+k+1), and is
    answered with probability x / (x + k + 1); x and y as in ``log_waiting``.
    """
    term, total, divisor = np.ones(len(x)), np.ones(len(x)), x + 1
    places = 1 / divisor
    answered = places * places
    while ((term > _NEGLIGIBLE * total) | (y >= divisor)).any():
        for _ in range(_CHECK_EVERY):
            term *= y
            term /= divisor
            total += term
            divisor += 1
            step = 1 / divisor
            places += step
            step *= places
            step *= term
            answered += step
        if total.size and total.max() > _RESCALE:
            scale = np.where(total > _RESCALE, 1 / _RESCALE, 1.0)
            term *= scale
            total *= scale
            answered *= scale
    waits: Float64 = x * answered / total
    return waits


_SERVERS_AT_ONCE = 8


def fewest_when_all_wait(
    load: Float64, *, aht_seconds: Float64, concurrency: int, goal: ServiceGoal
) -> Int64:
    """Return the smallest number of agents on phone that meets the goal in Erlang C, int64[n].

    Load and AHT are above 0, float64[n]; contacts that an agent holds do not slow one another.

    >>> aht, goal = np.array([300.0]), ServiceGoal()
    >>> fewest_when_all_wait(np.array([50 / 3]), aht_seconds=aht, concurrency=1, goal=goal)
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


@np.errstate(over="ignore")  # for tiny loads 1 / B is as great as a number can be, or infinite
def _goal_met(
    load: Float64, aht: Float64, servers: Int64, inverse: Float64, goal: ServiceGoal
) -> Bool:
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


LEAST_LOAD = 1e-200
"""Erlangs: no contact ever comes, and 1 / load is still a number."""
