"""From one queue's distribution of work to its agents, by a policy: ``plan`` is the one entry.

The policy says how many agents each interval asks for alone; intervals that inherit waiting
contacts get more (``relieved``); shift blocks are filled up; the agents are judged over the paths,
also with one more and one fewer. Nobody is on phone in a closed interval.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from features.arrays import Float64, Int64
from serving.staffing.backlog import plan_backlog
from serving.staffing.policies import (
    MeanForecast,
    cheapest,
    check_costs,
    over_time,
    relieved,
    shift_cover,
)
from serving.staffing.queue_model import expect
from serving.staffing.requirement import fewest_agents, load_of, rostered
from serving.staffing.risk import (
    PathLoads,
    answered,
    at_nodes,
    fewest_met,
    interval_performance,
    paid_hours,
    path_loads,
)
from serving.staffing.workload import (
    DEFERRED,
    IntervalPerformance,
    Plan,
    StaffingProblem,
    StaffTotals,
    Workload,
    by_day,
    in_all,
)


def plan(work: Workload, *, ask: StaffingProblem) -> Plan:
    """Return the agents of one queue and their expected performance.

    Raises:
        InputError: A value is out of range, or the costs cannot choose; the error's field names it.

    >>> from serving.staffing.queue_model import QueueModel
    >>> hour = Workload(
    ...     channel="voice", starts=np.array([0]), day=np.array([0]), is_open=np.array([True]),
    ...     interval_minutes=60, contacts=np.array([200.0]), aht_seconds=np.array([300.0]),
    ...     rates=np.array([[170.0], [190.0], [200.0], [210.0], [230.0]]),
    ...     aht_paths=np.full((5, 1), 300.0))
    >>> made = plan(hour, ask=StaffingProblem(line=QueueModel(patience_seconds=180.0)))
    >>> made.agents_on_phone.tolist(), made.performance.goal_probability.tolist()
    ([20], [0.8])
    """
    deferred = work.channel in DEFERRED if ask.deferred is None else ask.deferred
    _check_problem(work, ask, deferred=deferred)
    given = ask.policy.agents_on_phone
    if given is not None:
        ask = _given(ask, np.where(work.is_open, given, 0))
    result = _plan_deferred(work, ask) if deferred else _plan_line(work, ask)
    if given is None or not given[~work.is_open].any():
        return result
    left_out = "agents who are given in closed intervals are left out"
    return replace(result, warnings=(*result.warnings, left_out))


def _plan_line(work: Workload, ask: StaffingProblem) -> Plan:
    """Return the plan of contacts that wait in a line."""
    outlook, mean = path_loads(work, line=ask.line, goal=ask.goal), _mean(work)
    required = _required(outlook, work, ask)
    if ask.policy.kind == "given":
        carried = over_time(mean, agents=required, ask=ask)
    else:
        required, carried = relieved(mean, agents=required, ask=ask)
    agents = _in_blocks(work, ask, required)
    if agents is not required:
        carried = over_time(mean, agents=agents, ask=ask)
    expected = at_nodes(outlook, agents=agents[outlook.rows])
    in_time = np.zeros(work.rates.shape)
    in_time[:, outlook.rows] = answered(outlook, expected).T
    staffed = StaffTotals(
        on_phone=agents,
        rostered=rostered(agents, shrinkage=ask.shrinkage),
        performance=interval_performance(outlook, expected, agents=agents, work=work, ask=ask),
        contacts=mean.contacts,
        offered=np.where(work.is_open, work.rates, 0.0),
        in_time=in_time,
    )
    return Plan(
        agents_on_phone=agents,
        agents_rostered=staffed.rostered,
        required_on_phone=required,
        model=ask.line.model,
        expected=carried.expected,
        performance=staffed.performance,
        one_more=_performance_with(outlook, work, ask, np.where(work.is_open, agents + 1, 0)),
        one_fewer=_performance_with(outlook, work, ask, np.maximum(agents - 1, 0)),
        backlog=carried.waiting,
        days=by_day(work, staffed, ask=ask),
        total=in_all(work, staffed, ask=ask),
        warnings=_warnings(work, ask),
    )


def _plan_deferred(work: Workload, ask: StaffingProblem) -> Plan:
    """Return the plan of work that is a backlog with a deadline."""
    result = plan_backlog(work, ask=ask)
    required = result.agents_on_phone
    agents = _in_blocks(work, ask, required)
    if agents is not required:
        result = plan_backlog(work, ask=_given(ask, agents))
    staffed = StaffTotals(
        on_phone=agents,
        rostered=rostered(agents, shrinkage=ask.shrinkage),
        performance=result.performance,
        contacts=work.contacts,
        offered=work.rates,
        in_time=result.in_time,
    )
    return Plan(
        agents_on_phone=agents,
        agents_rostered=staffed.rostered,
        required_on_phone=required,
        model="backlog",
        expected=result.expected,
        performance=result.performance,
        one_more=result.one_more,
        one_fewer=result.one_fewer,
        backlog=result.backlog,
        days=by_day(work, staffed, ask=ask),
        total=in_all(work, staffed, ask=ask),
        warnings=_warnings_deferred(ask),
    )


def _given(ask: StaffingProblem, agents: Int64) -> StaffingProblem:
    return replace(ask, policy=replace(ask.policy, kind="given", agents_on_phone=agents))


def _in_blocks(work: Workload, ask: StaffingProblem, required: Int64) -> Int64:
    """Return the agents of whole shift blocks; ``required`` itself where no block is asked for."""
    if ask.block_minutes == 0:
        return required
    return shift_cover(
        required,
        is_open=work.is_open,
        interval_minutes=work.interval_minutes,
        block_minutes=ask.block_minutes,
    )


def _performance_with(
    outlook: PathLoads, work: Workload, ask: StaffingProblem, agents: Int64
) -> IntervalPerformance:
    expected = at_nodes(outlook, agents=agents[outlook.rows])
    return interval_performance(outlook, expected, agents=agents, work=work, ask=ask)


def _required(outlook: PathLoads, work: Workload, ask: StaffingProblem) -> Int64:
    """Return what the policy asks for in each interval, taken alone, int64[h]."""
    policy = ask.policy
    if policy.agents_on_phone is not None:
        return policy.agents_on_phone
    agents = np.zeros(len(work.starts), dtype=np.int64)
    if policy.kind == "mean":
        agents = fewest_agents(
            _mean_load(work, ask),
            aht_seconds=_mean(work).aht_seconds,
            line=ask.line,
            goal=ask.goal,
        )
    elif policy.kind == "probability":
        agents[outlook.rows] = fewest_met(outlook, probability=policy.probability)
    elif ask.costs is not None:
        agents[outlook.rows] = cheapest(
            outlook, costs=ask.costs, paid_hours=paid_hours(work, ask), least=policy.least_agents
        )
    return np.where(work.is_open, np.maximum(agents, policy.least_agents), 0)


def _mean(work: Workload) -> MeanForecast:
    contacts = np.where(work.is_open, work.contacts, 0.0)
    return MeanForecast(
        contacts, np.where(contacts > 0, work.aht_seconds, 1.0), work.interval_minutes
    )


def _mean_load(work: Workload, ask: StaffingProblem) -> Float64:
    return load_of(
        np.where(work.is_open, work.contacts, 0.0),
        aht_seconds=work.aht_seconds,
        interval_minutes=work.interval_minutes,
        line=ask.line,
    )


def _check_problem(work: Workload, ask: StaffingProblem, *, deferred: bool) -> None:
    """Refuse what the parts would not refuse themselves."""
    given = ask.policy.agents_on_phone
    if given is not None:
        expect(
            len(given) == len(work.starts),
            "policy.agents_on_phone",
            f"{len(given)} numbers",
            f"{len(work.starts)}, one for each interval",
        )
        for i in np.flatnonzero(given < 0)[:1]:
            expect(False, f"policy.agents_on_phone[{i}]", int(given[i]), "agents, at least 0")
    if ask.policy.kind == "cost" and ask.costs is not None:
        check_costs(ask.costs, gives_up=deferred or ask.line.model != "erlang_c")
    if not deferred:
        _mean_load(work, ask)


def _warnings(work: Workload, ask: StaffingProblem) -> tuple[str, ...]:
    line, result = ask.line, []
    if line.model == "erlang_c":
        result.append(
            "Erlang C assumes that nobody hangs up and asks for more agents than are needed; with "
            "a patience, Erlang A answers"
        )
    if line.concurrency > 1:
        result.append(
            f"the AHT is taken as that of agents who hold {line.concurrency} contacts at once"
            + ("" if line.slowdown else "; without a slowdown it is the same with fewer")
        )
    if (_mean(work).aht_seconds > work.interval_minutes * 60).any():
        result.append(
            "some contacts last longer than an interval: the steady state that Erlang assumes is "
            "not reached within one"
        )
    return tuple(result)


def _warnings_deferred(ask: StaffingProblem) -> tuple[str, ...]:
    if ask.goal.asa_seconds is None and ask.goal.abandonment is None:
        return ()
    return ("limits on the ASA and on abandonment do not count for a backlog with a deadline",)
