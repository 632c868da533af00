"""The agents of least expected cost: paid hours, contacts lost and goals missed.

Contacts lost are convex in the agents; the chance of a missed goal is not, but is known exactly
(``Outlook.needed``). So contacts lost are worked out for few agents; the lines through these bound
the rest from below, and the search ends where no bound is below the least cost counts.

Sources: convexity in the agents, A. Harel, "Convexity properties of the Erlang loss formula",
Operations Research 38 (1990); with patience, Armony, Plambeck and Seshadri, "Sensitivity of optimal
capacity to customer impatience in an unobservable M/M/S queue", M&SOM 11 (2009).
"""

from __future__ import annotations

import numpy as np

from features.calendar import Float64, Int64
from features.errors import InputError
from serving.staffing.asked import Costs
from serving.staffing.risk import Outlook, at_nodes, cost

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


def cheapest(outlook: Outlook, *, costs: Costs, paid_hours: float, least: int = 0) -> Int64:
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


def _counts_to_try(outlook: Outlook, *, least: int) -> int:
    """Return how many numbers of agents, from nobody on, may be worth asking about; at least 3."""
    load = float(outlook.node_load.max(initial=0.0))
    enough = (load + _FAR_DEVIATIONS * np.sqrt(load)) / outlook.line.concurrency
    needed = int(outlook.needed.max(initial=0))
    return max(int(np.ceil(enough)), needed, least, 1) + 2


def _share_met(outlook: Outlook, count: int) -> Float64:
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


def _lost(outlook: Outlook, agents: Int64, rows: Int64) -> Float64:
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
