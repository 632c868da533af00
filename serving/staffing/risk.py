"""Performance of a queue over its sample paths with some agents: chances, bands and costs.

The paths of an interval are sorted by load, the queue model is evaluated at some of them
(`_NODES`), and the paths between are interpolated. Whether a path meets the goal is exact: its
fewest agents are known (``needs.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.arrays import Float64, Int64
from serving.staffing.erlang import Levels, levels
from serving.staffing.queue_model import ROUNDING, QueueModel, ServiceGoal
from serving.staffing.requirement import agents_needed
from serving.staffing.workload import Costs, IntervalPerformance, StaffingProblem, Workload

_NODES = {"erlang_a": 17, "erlang_b": 17, "erlang_c": 45}
"""Erlang C has an edge where the load reaches the agents."""

_TAILS = 1.4
_LOW, _HIGH = 0.1, 0.9


@dataclass(frozen=True)
class PathLoads:
    """What the S sample paths of a queue ask for, in the b intervals in which contacts may come.

    Attributes:
        line: How contacts wait and are served.
        goal: What is promised.
        rows: The intervals, int64[b].
        contacts: Contacts on each path, float64[b, S].
        needed: Fewest agents that meet the goal on each path, by rank of load, int64[b, S].
        order: The paths by load, int64[b, S].
        node_load: Loads at which the queue model is evaluated, float64[b, K], ascending.
        node_aht: AHT there, float64[b, K].
        left: For each rank of a path by load, the node at or before it, int64[S].
        share: How far it lies towards the next node, in [0, 1], float64[b, S].
        path_weights: Weight of a node in the mean over the paths, float64[b, K].
        contact_weights: Its weight in the mean of contacts x value, float64[b, K].
    """

    line: QueueModel
    goal: ServiceGoal
    rows: Int64
    contacts: Float64
    needed: Int64
    order: Int64
    node_load: Float64
    node_aht: Float64
    left: Int64
    share: Float64
    path_weights: Float64
    contact_weights: Float64

    def ranked(self, at_nodes: Float64, ranks: Int64) -> Float64:
        """Return node values interpolated to the paths of some ranks of load, float64[b, r]."""
        left = self.left[ranks]
        below = at_nodes[:, left]
        return below + self.share[:, ranks] * (at_nodes[:, left + 1] - below)


def path_loads(work: Workload, *, line: QueueModel, goal: ServiceGoal) -> PathLoads:
    """Return what the sample paths of a queue ask for."""
    rows = np.flatnonzero(work.is_open & (work.rates > 0).any(axis=0))
    contacts = np.ascontiguousarray(work.rates[:, rows].T)
    aht = np.ascontiguousarray(work.aht_paths[:, rows].T)
    aht = np.where(aht > 0, aht, 1.0)
    load = contacts * aht / (work.interval_minutes * 60)
    order = np.argsort(load, axis=1)
    load, aht = (np.take_along_axis(values, order, axis=1) for values in (load, aht))
    paths = load.shape[1]
    nodes = _node_ranks(paths, _NODES[line.model])
    left = np.clip(np.searchsorted(nodes, np.arange(paths), side="right") - 1, 0, len(nodes) - 2)
    node_load = load[:, nodes]
    gap = np.diff(node_load, axis=1)[:, left]
    share = np.divide(load - node_load[:, left], gap, out=np.zeros(load.shape), where=gap > 0)
    return PathLoads(
        line=line,
        goal=goal,
        rows=rows,
        contacts=contacts,
        needed=agents_needed(load, aht_seconds=aht, line=line, goal=goal),
        order=order,
        node_load=node_load,
        node_aht=_means_around(nodes, aht),
        left=left,
        share=share,
        path_weights=_node_weights(share, left, np.ones(load.shape)),
        contact_weights=_node_weights(share, left, np.take_along_axis(contacts, order, axis=1)),
    )


def fewest_met(outlook: PathLoads, *, probability: float) -> Int64:
    """Return the fewest agents with which enough paths meet the goal, int64[b]."""
    enough = int(np.ceil(probability * outlook.needed.shape[1] * (1 - ROUNDING)))
    return np.partition(outlook.needed, enough - 1, axis=1)[:, enough - 1]


def at_nodes(outlook: PathLoads, *, agents: Int64, rows: Int64 | slice = slice(None)) -> Levels:
    """Return the levels at the nodes of some intervals of the outlook, float64[r, K] each."""
    load = outlook.node_load[rows]
    at = levels(
        load.ravel(),
        aht_seconds=outlook.node_aht[rows].ravel(),
        agents=np.repeat(agents, load.shape[1]),
        line=outlook.line,
        within_seconds=outlook.goal.seconds,
    )
    return Levels(at.service_level.reshape(load.shape), at.abandonment.reshape(load.shape))


def interval_performance(
    outlook: PathLoads, expected: Levels, *, agents: Int64, work: Workload, ask: StaffingProblem
) -> IntervalPerformance:
    """Return the performance of the work's intervals over the paths, float64[h] each.

    ``expected`` holds the levels at the nodes with these agents, int64[h].
    """
    level, lost = expected.service_level, expected.abandonment

    def spread(values: Float64, elsewhere: float) -> Float64:
        out = np.full(len(agents), elsewhere)
        out[outlook.rows] = values
        return out

    probability = spread((outlook.needed <= agents[outlook.rows, None]).mean(axis=1), 1.0)
    abandoned = spread((outlook.contact_weights * lost).sum(axis=1), 0.0)
    # The more load, the lower the service level.
    low, high = (_load_quantile(outlook, level, 1 - share) for share in (_LOW, _HIGH))
    return IntervalPerformance(
        goal_probability=probability,
        service_level=spread(np.clip((outlook.path_weights * level).sum(axis=1), 0, 1), 1.0),
        service_level_low=spread(low, 1.0),
        service_level_high=spread(high, 1.0),
        abandoned=abandoned,
        cost=None
        if ask.costs is None
        else cost(
            agents, abandoned, probability, costs=ask.costs, paid_hours=paid_hours(work, ask)
        ),
    )


def cost(
    agents: Int64, abandoned: Float64, probability: Float64, *, costs: Costs, paid_hours: float
) -> Float64:
    """Return the cost of intervals: paid hours, contacts lost and goals missed.

    ``paid_hours`` are those of one agent on phone in one interval.

    >>> price = Costs(agent_hour=30.0, abandoned_contact=8.0, missed_goal=50.0)
    >>> cost(np.array([10]), np.array([2.5]), np.array([0.8]), costs=price, paid_hours=0.5)
    array([180.])
    """
    return (
        costs.agent_hour * paid_hours * agents
        + costs.abandoned_contact * abandoned
        + costs.missed_goal * (1 - probability)
    )


def paid_hours(work: Workload, ask: StaffingProblem) -> float:
    """Return the hours paid for one agent on phone in one interval, with shrinkage."""
    return work.interval_minutes / 60 / (1 - ask.shrinkage)


def answered(outlook: PathLoads, expected: Levels) -> Float64:
    """Return the contacts answered in time on each path, float64[b, S]."""
    ranked = outlook.ranked(expected.service_level, np.arange(outlook.contacts.shape[1]))
    levels = np.empty(ranked.shape)
    np.put_along_axis(levels, outlook.order, ranked, axis=1)
    return outlook.contacts * levels


def _node_ranks(paths: int, count: int) -> Int64:
    """Return the ranks at which the queue model is evaluated, int64[K], at least 2.

    Closer in the tails, where paths lie far apart in load, and with those the band is read from.
    """
    even = np.linspace(0, 1, count)
    share = even**_TAILS / (even**_TAILS + (1 - even) ** _TAILS)
    band = [int(q * (paths - 1)) + step for q in (_LOW, _HIGH) for step in (0, 1)]
    ranks = np.concatenate([share * (paths - 1), np.minimum(band, paths - 1)])
    nodes = np.unique(np.round(ranks).astype(np.int64))
    return nodes if paths > 1 else np.zeros(2, dtype=np.int64)


def _node_weights(share: Float64, left: Int64, values: Float64) -> Float64:
    """Return what each node counts in the mean over the paths of value x what the path reads."""
    nodes = int(left[-1]) + 2
    starts = np.searchsorted(left, np.arange(nodes - 1))
    weights = np.zeros((len(share), nodes))
    weights[:, :-1] = np.add.reduceat((1 - share) * values, starts, axis=1)
    weights[:, 1:] += np.add.reduceat(share * values, starts, axis=1)
    return weights / len(left)


def _means_around(nodes: Int64, values: Float64) -> Float64:
    """Return the mean of the values nearer to each node than to any other, float64[b, K]."""
    starts = np.concatenate([[0], (nodes[:-1] + nodes[1:] + 1) // 2])
    counts = np.add.reduceat(np.ones(values.shape[1]), starts)
    means: Float64 = np.add.reduceat(values, starts, axis=1) / counts
    return means


def _load_quantile(outlook: PathLoads, level: Float64, share: float) -> Float64:
    """Return what the path at a quantile of load reads, float64[b]."""
    last = outlook.contacts.shape[1] - 1
    place = share * last
    rank = int(place)
    pair = outlook.ranked(level, np.array([rank, min(rank + 1, last)]))
    between: Float64 = pair[:, 0] + (place - rank) * (pair[:, 1] - pair[:, 0])
    return between
