"""Performance of a queue over its sample paths with some agents: chances, bands and costs.

The paths of an interval are sorted by load, the queue model is evaluated at some of them
(`_NODES`), and the paths between are interpolated. Whether a path meets the goal is exact: its
fewest agents are known (``agents_needed``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.arrays import Float64, Int64
from serving.staffing.erlang import Levels, levels, performance
from serving.staffing.queue_model import ROUNDING, QueueModel, ServiceGoal
from serving.staffing.requirement import capacity, meets
from serving.staffing.workload import Costs, IntervalPerformance, StaffingProblem, Workload

_NODES = {"erlang_a": 17, "erlang_b": 17, "erlang_c": 45}
"""Erlang C has an edge where the load reaches the agents."""

_TAILS = 1.4
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

BAND = (0.1, 0.9)
"""Quantiles over the paths between which the service level is stated."""


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
    low, high = (_load_quantile(outlook, level, 1 - share) for share in BAND)
    return IntervalPerformance(
        goal_probability=probability,
        service_level=spread(np.clip((outlook.path_weights * level).sum(axis=1), 0, 1), 1.0),
        service_level_low=spread(low, 1.0),
        service_level_high=spread(high, 1.0),
        abandoned=abandoned,
        cost=cost_of(agents, abandoned, probability, work=work, ask=ask),
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


def cost_of(
    agents: Int64, abandoned: Float64, probability: Float64, *, work: Workload, ask: StaffingProblem
) -> Float64 | None:
    """Return the cost of a problem's intervals, float64[h]; None where it states no costs."""
    if ask.costs is None:
        return None
    hours = paid_hours(work, ask)
    return cost(agents, abandoned, probability, costs=ask.costs, paid_hours=hours)


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
    band = [int(q * (paths - 1)) + step for q in BAND for step in (0, 1)]
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


def agents_needed(
    load: Float64, *, aht_seconds: Float64, line: QueueModel, goal: ServiceGoal
) -> Int64:
    """Return the fewest agents that meet the goal at each of many loads, int64[n, S].

    The load is float64[n, S], at least 0; fastest where each row ascends.

    >>> busy, aht = np.array([[0.0, 200 * 300 / 3600]]), np.full((1, 2), 300.0)
    >>> patient = QueueModel(patience_seconds=180.0)
    >>> agents_needed(busy, aht_seconds=aht, line=patient, goal=ServiceGoal())
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


def _interpolated(load: Float64, aht: Float64, line: QueueModel, goal: ServiceGoal) -> Float64:
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


def _capacity_table(
    most: float, ahts: Float64, line: QueueModel, goal: ServiceGoal
) -> tuple[Int64, Float64]:
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
