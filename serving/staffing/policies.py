"""Policies that choose agents: least expected cost, relief of waiting lines, shift blocks.

Contacts lost are convex in the agents; the chance of a missed goal is not, but is known exactly
(``PathLoads.needed``). So contacts lost are worked out for few agents; the lines through these
bound the rest from below, and the search ends where no bound is below the least cost counts.

Sources: convexity in the agents, A. Harel, "Convexity properties of the Erlang loss formula",
Operations Research 38 (1990); with patience, Armony, Plambeck and Seshadri, "Sensitivity of optimal
capacity to customer impatience in an unobservable M/M/S queue", M&SOM 11 (2009).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.arrays import Bool, Float64, Int64
from features.errors import InputError
from serving.staffing.carryover import CarriedOver, carryover
from serving.staffing.erlang import performance
from serving.staffing.queue_model import expect
from serving.staffing.requirement import meets
from serving.staffing.risk import PathLoads, at_nodes, cost
from serving.staffing.workload import Costs, StaffingProblem

_FAR_DEVIATIONS = 6.0
"""Standard deviations of the busy beyond the load, past which nobody is lost."""


def check_costs(costs: Costs, *, gives_up: bool) -> None:
    """Refuse costs with which more agents, or fewer, are always cheaper.

    ``gives_up`` says whether contacts can be lost at all.

    Raises:
        InputError: They cannot choose; the error's field names them.
    """
    if costs.agent_hour <= 0:
        raise InputError(
            "`costs.agent_hour`",
            got=f"{costs.agent_hour:g}",
            expected="above 0 for the policy `cost`",
            remedy="say what an agent hour costs: free agents are never too many",
            field="costs.agent_hour",
        )
    if costs.missed_goal == 0 and not gives_up:
        raise InputError(
            "`costs`",
            got="no `missed_goal`, and contacts that wait for ever",
            expected="a cost of too few agents, for the policy `cost`",
            remedy="give a patience, so that contacts hang up, or a `missed_goal` above 0",
            field="costs",
        )
    if costs.missed_goal == 0 and costs.abandoned_contact == 0:
        raise InputError(
            "`costs`",
            got="neither `abandoned_contact` nor `missed_goal`",
            expected="a cost of too few agents, for the policy `cost`",
            remedy="give one of them above 0: without both the cheapest is nobody",
            field="costs",
        )


def cheapest(outlook: PathLoads, *, costs: Costs, paid_hours: float, least: int = 0) -> Int64:
    """Return the agents of least expected cost, at least ``least``, in each interval, int64[b].

    ``paid_hours`` are those of one agent on phone in one interval.
    """
    count = _counts_to_try(outlook, least=least)
    agents, met = np.arange(count), _share_met(outlook, count)
    load, contacts, held = outlook.node_load, outlook.contact_weights, outlook.line.concurrency
    rows, known = np.arange(len(load)), np.zeros((len(load), count), dtype=np.bool_)

    def least_cost(lost: Float64) -> Int64:
        total = cost(agents, lost, met, costs=costs, paid_hours=paid_hours)
        total[:, :least] = np.inf
        best: Int64 = total.argmin(axis=1)
        return best

    # What chance adds to a queue is about what a load spread so far would add: a place to begin.
    swing = np.sqrt(3 * load)
    spread = np.hstack([np.maximum(load - swing, 0), load, load + swing])
    best = least_cost(
        _beyond(spread, np.hstack([contacts, 4 * contacts, contacts]) / 6, count, held)
    )
    lost = np.zeros(known.shape)
    if outlook.line.model != "erlang_c":
        lost = _beyond(load, contacts, count, held)
    while len(doubtful := np.flatnonzero(~known[rows, best])):
        near = np.clip(best[doubtful], 1, count - 2)[:, None] + np.array([-1, 0, 1])
        lost[doubtful] = _bounded(lost[doubtful], agents, near, _lost(outlook, near, doubtful))
        known[doubtful[:, None], near] = True
        best = least_cost(lost)
    return best


def _counts_to_try(outlook: PathLoads, *, least: int) -> int:
    """Return how many numbers of agents, from nobody on, may be worth asking about; at least 3."""
    load = float(outlook.node_load.max(initial=0.0))
    enough = (load + _FAR_DEVIATIONS * np.sqrt(load)) / outlook.line.concurrency
    needed = int(outlook.needed.max(initial=0))
    return max(int(np.ceil(enough)), needed, least, 1) + 2


def _share_met(outlook: PathLoads, count: int) -> Float64:
    """Return the share of the paths on which 0, 1, … agents meet the goal, float64[b, count]."""
    rows, paths = outlook.needed.shape
    cell = outlook.needed + np.arange(rows)[:, None] * count
    counts = np.bincount(cell.ravel(), minlength=rows * count).reshape(rows, count)
    met: Float64 = counts.cumsum(axis=1) / paths
    return met


def _beyond(load: Float64, contacts: Float64, count: int, concurrency: int) -> Float64:
    """Return contacts beyond what 0, 1, … always busy agents can serve, float64[b, count].

    Load in erlangs at some points, and the contacts each stands for, float64[b, K].
    """
    rows = len(load)
    # From so many agents on the point is served.
    serve = np.minimum(np.ceil(load / concurrency), count - 1).astype(np.int64)
    cell = (serve + np.arange(rows)[:, None] * count).ravel()

    def unserved(values: Float64) -> Float64:
        counts = np.bincount(cell, values.ravel(), minlength=rows * count).reshape(rows, count)
        rest: Float64 = counts.sum(axis=1, keepdims=True) - counts.cumsum(axis=1)
        return rest

    per_erlang = np.divide(contacts, load, out=np.zeros(load.shape), where=load > 0)
    beyond = unserved(contacts) - np.arange(count) * concurrency * unserved(per_erlang)
    return np.maximum(beyond, 0.0)


def _lost(outlook: PathLoads, agents: Int64, rows: Int64) -> Float64:
    """Return the contacts lost, mean over the paths, float64[r, 3]; agents int64[r, 3]."""
    columns = [
        (outlook.contact_weights[rows] * at_nodes(outlook, agents=n, rows=rows).abandonment).sum(
            axis=1
        )
        for n in agents.T
    ]
    return np.stack(columns, axis=1)


def _bounded(lost: Float64, agents: Int64, near: Int64, known: Float64) -> Float64:
    """Return bounds of a convex cost, float64[r, N], raised to the lines through known points.

    ``near`` holds three neighbouring numbers of agents, int64[r, 3], ``known`` what they lose.
    """
    for left in (0, 1):
        slope = known[:, left + 1] - known[:, left]
        line = known[:, left, None] + slope[:, None] * (agents - near[:, left, None])
        lost = np.maximum(lost, line)
    np.put_along_axis(lost, near, known, axis=1)
    return lost


_RELIEF_ROUNDS = 10


@dataclass(frozen=True)
class MeanForecast:
    """The mean forecast, float64[h]; nothing comes to closed intervals, each AHT is above 0."""

    contacts: Float64
    aht_seconds: Float64
    interval_minutes: int

    @property
    def agents_a_contact(self) -> Float64:
        """Agents whom one contact keeps busy for the whole interval, float64[h]."""
        return self.aht_seconds / (self.interval_minutes * 60)


def over_time(mean: MeanForecast, *, agents: Int64, ask: StaffingProblem) -> CarriedOver:
    """Return the performance of the mean forecast, one interval after the other."""
    return carryover(
        mean.contacts,
        aht_seconds=mean.aht_seconds,
        agents=agents,
        interval_minutes=mean.interval_minutes,
        line=ask.line,
        goal=ask.goal,
        backlog_contacts=ask.backlog_contacts,
    )


def relieved(
    mean: MeanForecast, *, agents: Int64, ask: StaffingProblem
) -> tuple[Int64, CarriedOver]:
    """Return the agents, more where intervals need relief, and their performance over time."""
    most, day = 2 * agents, over_time(mean, agents=agents, ask=ask)
    if ask.backlog_contacts == 0 and not day.waiting.any():
        return agents, day
    alone = performance(
        mean.contacts * mean.agents_a_contact,
        aht_seconds=mean.aht_seconds,
        agents=agents,
        line=ask.line,
        within_seconds=ask.goal.seconds,
    )
    met = meets(alone, ask.goal)
    for _ in range(_RELIEF_ROUNDS):
        broken = met & ~meets(day.expected, ask.goal)
        waiting = np.concatenate([[ask.backlog_contacts], day.waiting[:-1]])
        # Half of what would work it off: the goal wants it gone early, and that is not linear.
        lack = np.ceil(waiting * mean.agents_a_contact / ask.line.concurrency / 2).astype(np.int64)
        more = _shared_out(lack, room=most - agents, broken=broken)
        if not more.any():
            break
        agents = agents + more
        day = over_time(mean, agents=agents, ask=ask)
    return agents, day


def _shared_out(lack: Int64, *, room: Int64, broken: Bool) -> Int64:
    """Return more agents for each run of broken intervals: what its first lacks, from there on.

    ``lack`` and ``room`` are the agents each would need and may get, int64[h].
    """
    more = np.zeros(len(lack), dtype=np.int64)
    rest = 0
    for i in np.flatnonzero(broken):
        if i == 0 or not broken[i - 1]:
            rest = max(int(lack[i]), 1)
        more[i] = min(rest, room[i])
        rest -= more[i]
    return more


def shift_cover(
    required: Int64, *, is_open: Bool, interval_minutes: int, block_minutes: int
) -> Int64:
    """Return the agents on duty of least paid time that cover a requirement in whole blocks.

    The result, int64[h], is at least ``required`` where open and 0 where closed; of several plans
    of the same paid time always the same one. Blocks are rounded up to whole intervals; an open
    run shorter than a block is worked whole, by its greatest requirement.

    Raises:
        InputError: A value is out of range; the error's field names it.

    >>> day = dict(is_open=np.ones(4, dtype=bool), interval_minutes=60, block_minutes=120)
    >>> int(shift_cover(np.array([1, 3, 1, 1]), **day).sum())  # the third at 1 stays an hour more
    7
    """
    for i in np.flatnonzero(required < 0)[:1]:
        expect(False, f"required[{i}]", int(required[i]), "agents, at least 0")
    expect(block_minutes >= 0, "block_minutes", block_minutes, "at least 0")
    needed = np.where(is_open, required, 0)
    block = -(-block_minutes // interval_minutes)
    if block <= 1:
        return needed
    long_enough = is_open.copy()
    for begin, end in _open_runs(is_open):
        if end - begin <= block:
            needed[begin:end] = needed[begin:end].max()
            long_enough[begin:end] = False
    if needed[long_enough].any():
        needed[long_enough] = _least_cover(np.where(long_enough, needed, 0), long_enough, block)[
            long_enough
        ]
    return needed


def _open_runs(is_open: Bool) -> list[tuple[int, int]]:
    """Return begin and end of each run of open intervals."""
    steps = np.diff(np.concatenate([[0], is_open.astype(np.int8), [0]]))
    return list(zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True))


def _least_cover(needed: Int64, is_open: Bool, block: int) -> Int64:
    """Return the covering agents of least sum, int64[h]; no open run is shorter than a block."""
    from scipy import sparse
    from scipy.optimize import Bounds, LinearConstraint, milp

    h = len(needed)
    one = sparse.eye_array(h)
    rise = one - sparse.eye_array(h, k=-1)
    begun_lately = one
    for lag in range(1, min(block, h)):
        begun_lately = begun_lately + sparse.eye_array(h, k=-lag)
    # Whoever is more than before has begun; who began within a block is still there. The second
    # also keeps blocks from reaching into closed intervals, where nobody may be.
    rows = sparse.block_array([[rise, -one], [-one, begun_lately]], format="csc")
    least = np.concatenate([needed, np.zeros(h)])
    may_begin = is_open & (np.arange(h) <= h - block)
    most = np.where(np.concatenate([is_open, may_begin]), np.inf, 0.0)
    solution = milp(
        np.repeat([1.0, 0.0], h),
        constraints=LinearConstraint(rows, ub=0.0),
        bounds=Bounds(least, most),
        options={"presolve": False},  # it costs more than it saves here
    )
    whole: Int64 = np.rint(np.asarray(solution.x)[:h]).astype(np.int64)
    return whole
