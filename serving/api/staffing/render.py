"""Staffing responses: from the agents of each queue to the bytes that a scheduling tool reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from features.arrays import Float64
from features.calendar.clock import from_epoch
from serving.api.content import to_json
from serving.api.forecast.render import (
    AHT_DECIMALS,
    MODEL,
    OVERRIDE,
    VOLUME_DECIMALS,
    envelope,
    interval_times,
    queue_head,
    rounded,
)
from serving.api.staffing.requests import StaffingRequest
from serving.files import Format
from serving.files.rows import Rows
from serving.forecast.overlay import AppliedOverrides, override_ids
from serving.forecast.selection import Selection
from serving.forecast.staffing import QueuePlan
from serving.staffing.workload import DayPlan, IntervalPerformance

SHARE_DECIMALS = 4
SECONDS_DECIMALS = 1
HOURS_DECIMALS = 2
COST_DECIMALS = 2
EFFICIENCY_DECIMALS = 3


def staffing_json(
    selection: Selection, plans: list[QueuePlan], *, request: StaffingRequest
) -> bytes:
    """Return the plans of a staffing request as JSON."""
    policy = request.policy
    head = envelope(selection) | {
        "policy": {
            "kind": policy.kind,
            "probability": policy.probability if policy.kind == "probability" else None,
            "least_agents": policy.least_agents,
        },
        "costs": None if request.costs is None else request.costs.model_dump(),
        "paths": request.paths.model_dump(),
    }
    intervals = [
        interval
        for queue_plan in plans
        for interval in _intervals(
            queue_plan, selection.applied.get(queue_plan.forecast.queue.queue)
        )
    ]
    # orjson writes what is infinite or no number as null.
    return to_json(
        head | {"queues": [_queue(queue_plan) for queue_plan in plans], "intervals": intervals}
    )


def staffing_file(plans: list[QueuePlan], *, form: Format) -> bytes:
    """Return the agents as a file that another tool imports; volumes are not rounded.

    Raises:
        InputError: The format cannot hold such queues or intervals; the message says which.
    """
    return form.write(
        [
            Rows(
                queue=queue_plan.forecast.queue.queue,
                channel=queue_plan.forecast.queue.channel,
                time_zone=queue_plan.forecast.queue.time_zone,
                starts=queue_plan.forecast.starts,
                interval_minutes=queue_plan.forecast.queue.interval_minutes,
                volume=queue_plan.forecast.mean,
                aht_seconds=queue_plan.forecast.aht_seconds,
                agents_on_phone=queue_plan.plan.agents_on_phone,
                agents_rostered=queue_plan.plan.agents_rostered,
                name=queue_plan.forecast.queue.name,
            )
            for queue_plan in plans
        ]
    )


def _queue(queue_plan: QueuePlan) -> dict[str, Any]:
    plan, problem = queue_plan.plan, queue_plan.problem
    goal, patience = problem.goal, problem.line.patience_seconds
    return queue_head(queue_plan.forecast) | {
        "warnings": list(queue_plan.warnings),
        "model": plan.model,
        "goal": {
            "service_level": goal.share,
            "threshold_seconds": goal.seconds,
            "asa_seconds": goal.asa_seconds,
            "abandonment": goal.abandonment,
            "max_occupancy": goal.max_occupancy,
        },
        "patience_seconds": None if patience is None else rounded(patience, SECONDS_DECIMALS),
        "patience_source": queue_plan.patience_source,
        "efficiency": rounded(queue_plan.efficiency, EFFICIENCY_DECIMALS),
        "concurrency": problem.line.concurrency,
        "slowdown": problem.line.slowdown,
        "shrinkage": problem.shrinkage,
        "days": [
            {"date": from_epoch(day.day * 86_400).date()} | span_json(day) for day in plan.days
        ],
        "total": None if plan.total is None else span_json(plan.total),
    }


def span_json(span: DayPlan) -> dict[str, Any]:
    """Return the figures of a span of time."""
    return {
        "contacts": rounded(span.contacts, VOLUME_DECIMALS),
        "agent_hours_on_phone": rounded(span.hours_on_phone, HOURS_DECIMALS),
        "agent_hours_rostered": rounded(span.hours_rostered, HOURS_DECIMALS),
        "peak_agents_on_phone": span.peak_on_phone,
        "peak_start": from_epoch(span.peak_start),
        "service_level": rounded(span.service_level, SHARE_DECIMALS),
        "goal_probability": rounded(span.goal_probability, SHARE_DECIMALS),
        "intervals_at_risk": span.intervals_at_risk,
        "abandoned_contacts": rounded(span.abandoned, VOLUME_DECIMALS),
        "cost": None if span.cost is None else rounded(span.cost, COST_DECIMALS),
    }


def _intervals(queue_plan: QueuePlan, applied: AppliedOverrides | None) -> list[dict[str, Any]]:
    forecast, plan = queue_plan.forecast, queue_plan.plan
    queue, performance, count = forecast.queue, plan.performance, len(forecast.starts)
    times = interval_times(forecast, slice(0, count))
    ids = override_ids(forecast.starts, applied)
    rostered = plan.agents_rostered.tolist()
    columns: dict[str, list[Any]] = {
        "id": [f"{queue.queue}@{start}" for start in times.start],
        "queue_id": [queue.queue] * count,
        "channel": [queue.channel] * count,
        "start_time": times.start,
        "end_time": times.end,
        "interval_minutes": [queue.interval_minutes] * count,
        "volume": rounded(forecast.mean, VOLUME_DECIMALS),
        "aht_seconds": rounded(forecast.aht_seconds, AHT_DECIMALS),
        "required_agents": rostered,
        "start_local": times.start_local,
        "is_open": forecast.is_open.tolist(),
        "agents_on_phone": plan.agents_on_phone.tolist(),
        "agents_rostered": rostered,
        "goal_probability": rounded(performance.goal_probability, SHARE_DECIMALS),
        "service_level": rounded(performance.service_level, SHARE_DECIMALS),
        "service_level_low": rounded(performance.service_level_low, SHARE_DECIMALS),
        "service_level_high": rounded(performance.service_level_high, SHARE_DECIMALS),
        "asa_seconds": rounded(plan.expected.asa_seconds, SECONDS_DECIMALS),
        "occupancy": rounded(plan.expected.occupancy, SHARE_DECIMALS),
        "abandonment": _abandonment(queue_plan),
        "abandoned_contacts": rounded(performance.abandoned, VOLUME_DECIMALS),
        "cost": _costs(performance.cost, count),
        "backlog": rounded(plan.backlog, VOLUME_DECIMALS),
        "one_more": _margins(plan.one_more, performance),
        "one_fewer": _margins(plan.one_fewer, performance),
        "published": [MODEL if id is None else OVERRIDE for id in ids],
        "override_id": ids,
    }
    return _records(columns)


def _abandonment(queue_plan: QueuePlan) -> list[float | None]:
    """Return the share that gives up over the paths; None where the model knows no giving up."""
    contacts = queue_plan.forecast.mean
    if queue_plan.plan.model == "erlang_c":
        return [None] * len(contacts)
    share = np.zeros(len(contacts))
    np.divide(queue_plan.plan.performance.abandoned, contacts, out=share, where=contacts > 0)
    shares: list[float | None] = rounded(np.minimum(share, 1.0), SHARE_DECIMALS)
    return shares


def _margins(other: IntervalPerformance, plan: IntervalPerformance) -> list[dict[str, Any]]:
    cost = None if other.cost is None or plan.cost is None else other.cost - plan.cost
    change = other.goal_probability - plan.goal_probability
    return _records(
        {
            "goal_probability": rounded(change, SHARE_DECIMALS),
            "service_level": rounded(other.service_level - plan.service_level, SHARE_DECIMALS),
            "abandoned_contacts": rounded(other.abandoned - plan.abandoned, VOLUME_DECIMALS),
            "cost": _costs(cost, len(change)),
        }
    )


def _costs(values: Float64 | None, count: int) -> list[float | None]:
    shares: list[float | None] = (
        [None] * count if values is None else rounded(values, COST_DECIMALS)
    )
    return shares


def _records(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
