"""From a selection of the forecast to the agents of each of its queues."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from features.calendar.clock import local_times, to_epoch
from features.errors import InputError, UnknownNameError
from serving.forecast.selection import Selection
from serving.models.volume.forecast import QueueForecast
from serving.models.volume.paths import DEFAULT_COUNT, sample_aht, sample_rates
from serving.staffing.plan import plan
from serving.staffing.queue_model import QueueModel, ServiceGoal
from serving.staffing.workload import (
    DEFERRED,
    Costs,
    Plan,
    Policy,
    PolicyKind,
    StaffingProblem,
    Workload,
)

MOST_PATH_VALUES = 2_000_000
"""Most intervals x paths of one response: some 2 seconds of one core."""
LEAST_PATH_VALUES = 20_000
"""What a queue counts as at least: its tables take as long, however short the span."""
DEADLINE_SECONDS = 86_400
"""Of deferred work whose queue states no deadline that can be met."""
_LONGEST_NAME = 120
"""Characters of an unknown queue that the path of an error repeats."""

PatienceSource = Literal["request", "queue", "learnt"]

QueueModelName = Literal["erlang_a", "erlang_b", "erlang_c", "backlog"]

_GIVEN = "policy.agents_on_phone"
_FIELDS = {
    "goal.share": "goal.service_level",
    "goal.seconds": "goal.threshold_seconds",
    "goal.max_occupancy": "max_occupancy",
    "block_minutes": "shifts.minimum_minutes",
}
"""The request's field by that of the mathematics."""


@dataclass(frozen=True)
class StaffingOptions:
    """How queues are staffed; what is None is each queue's own, or no limit.

    Units and ranges are those of ``ServiceGoal``, ``QueueModel``, ``Policy`` and
    ``StaffingProblem``.

    Attributes:
        agents_on_phone: By queue, for the policy ``given``: agents in each interval.
        shift_minutes: Least time on contacts at a stretch; 0 for none.
        backlog: Contacts that wait when the span begins, by queue.
        calibrated: Whether handle times are divided by the learnt efficiency.
        path_count: Sample paths that probabilities are read off.
    """

    service_level: float | None = None
    threshold_seconds: float | None = None
    asa_seconds: float | None = None
    abandonment: float | None = None
    max_occupancy: float | None = None
    model: QueueModelName | None = None
    patience_seconds: float | None = None
    concurrency: int | None = None
    slowdown: float = 0.0
    policy: PolicyKind = "probability"
    probability: float = 0.8
    least_agents: int = 0
    agents_on_phone: Mapping[str, Sequence[int]] | None = None
    costs: Costs | None = None
    shrinkage: float = 0.0
    shift_minutes: int = 0
    backlog: Mapping[str, float] = field(default_factory=dict)
    calibrated: bool = True
    path_count: int = DEFAULT_COUNT
    seed: int = 0


@dataclass(frozen=True)
class QueuePlan:
    """One queue and its agents.

    Attributes:
        forecast: Its forecast over the intervals that are staffed.
        patience_source: None where the model knows no patience.
        efficiency: What its handle time was divided by.
    """

    forecast: QueueForecast
    problem: StaffingProblem
    patience_source: PatienceSource | None
    efficiency: float
    plan: Plan
    warnings: tuple[str, ...]


def staff_selection(selection: Selection, *, options: StaffingOptions) -> list[QueuePlan]:
    """Return the agents of each queue of an evaluated selection.

    Raises:
        UnknownNameError: The backlog or the given agents name a queue that is not selected.
        InputError: A value is outside its range or does not fit a queue, or there are too many
            sample paths.
    """
    count = options.path_count
    values = [(rows.stop - rows.start) * count for _, rows in selection.queues]
    if sum(max(value, LEAST_PATH_VALUES) for value in values) > MOST_PATH_VALUES:
        raise InputError(
            "the sample paths",
            got=f"{selection.intervals} intervals x {count} paths = {sum(values)} values of "
            f"{len(values)} queues",
            expected=f"at most {MOST_PATH_VALUES}, where each queue counts as "
            f"{LEAST_PATH_VALUES} at least",
            remedy="ask for fewer paths, fewer queues or a shorter span at once",
            field="paths.count",
        )
    forecasts = selection.forecasts()
    names = [forecast.queue.queue for forecast in forecasts]
    _check_names("backlog", options.backlog, known=names)
    _check_names(_GIVEN, options.agents_on_phone or (), known=names)
    # Every queue's problem is checked before the first is solved.
    problems = [_problem(forecast, options) for forecast in forecasts]
    made_at, seed = to_epoch(selection.set.made_at), options.seed
    rates = sample_rates(forecasts, made_at=made_at, count=count, seed=seed)
    ahts = sample_aht(forecasts, made_at=made_at, count=count, seed=seed)
    plans = []
    columns = zip(forecasts, problems, rates, ahts, strict=True)
    for forecast, (problem, source, notes), rate, aht in columns:
        efficiency = _efficiency(forecast, options)
        work = Workload(
            channel=forecast.queue.channel,
            starts=forecast.starts,
            day=local_times(forecast.starts, forecast.queue.time_zone).day,
            is_open=forecast.is_open,
            interval_minutes=forecast.queue.interval_minutes,
            contacts=forecast.mean,
            aht_seconds=forecast.aht_seconds / efficiency,
            rates=rate,
            aht_paths=aht / efficiency,
        )
        solved = _plan(work, problem, forecast)
        warnings = (*forecast.warnings, *notes, *solved.warnings)
        plans.append(QueuePlan(forecast, problem, source, efficiency, solved, warnings))
    return plans


def _check_names(field: str, names: Iterable[str], *, known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise UnknownNameError("queue", name, known, field=f"{field}.{name[:_LONGEST_NAME]}")


def _problem(
    forecast: QueueForecast, options: StaffingOptions
) -> tuple[StaffingProblem, PatienceSource | None, list[str]]:
    """Return one queue's problem, where its patience comes from, and warnings."""
    patience, source = _patience(forecast, options)
    if options.policy == "cost" and options.costs is None:
        raise InputError(
            "`costs`",
            got="none",
            expected="what things cost, for the policy `cost`",
            remedy="send `costs`, such as `agent_hour` and `abandoned_contact`",
            field="costs",
        )
    seconds, warnings = _threshold(forecast, options)
    problem = StaffingProblem(
        goal=_goal(forecast, options, seconds=seconds),
        line=QueueModel(
            patience_seconds=patience,
            blocked=options.model == "erlang_b",
            concurrency=options.concurrency or forecast.queue.concurrency,
            slowdown=options.slowdown,
        ),
        policy=_policy(forecast, options),
        costs=options.costs,
        shrinkage=options.shrinkage,
        block_minutes=_block_minutes(forecast, options),
        backlog_contacts=options.backlog.get(forecast.queue.queue, 0.0),
        deferred=_is_deferred(forecast, options),
    )
    return problem, source, warnings


def _threshold(forecast: QueueForecast, options: StaffingOptions) -> tuple[float, list[str]]:
    """Return the seconds of the goal, and warnings.

    Deferred work cannot be done sooner than it takes; a queue that never stated a deadline has
    the goal of a telephone line. It is staffed for a day's, and says so.
    """
    wanted, own = options.threshold_seconds, forecast.queue.goal_seconds
    warnings: list[str] = []
    if not _is_deferred(forecast, options):
        return (own if wanted is None else wanted), warnings
    if options.patience_seconds is not None:
        warnings.append("`patience_seconds` does not count here: contacts do not hang up")
    if wanted is not None:
        return wanted, warnings
    busy = forecast.aht_seconds[forecast.mean > 0]
    if own >= busy.max(initial=0) / _efficiency(forecast, options):
        return own, warnings
    warnings.append(
        f"its own goal of {own:g} seconds is no deadline, since a contact takes longer: staffed "
        f"for one of {DEADLINE_SECONDS} seconds; send `goal.threshold_seconds` for another"
    )
    return DEADLINE_SECONDS, warnings


def _efficiency(forecast: QueueForecast, options: StaffingOptions) -> float:
    return forecast.service.efficiency if options.calibrated else 1.0


def _is_deferred(forecast: QueueForecast, options: StaffingOptions) -> bool:
    if options.model is None:
        return forecast.queue.channel in DEFERRED
    return options.model == "backlog"


def _patience(
    forecast: QueueForecast, options: StaffingOptions
) -> tuple[float, PatienceSource] | tuple[None, None]:
    """Return the seconds of patience and their source; None where nobody hangs up, by the model."""
    queue, model = forecast.queue, options.model
    if model not in (None, "erlang_a"):
        if options.patience_seconds is None:
            return None, None
        raise InputError(
            "`patience_seconds`",
            got=f"{options.patience_seconds:g} with `{model}`",
            expected="none: that model knows no patience",
            remedy="leave it out, or ask for `erlang_a`",
            field="patience_seconds",
        )
    if _is_deferred(forecast, options):
        return None, None
    sources: tuple[tuple[PatienceSource, float | None], ...] = (
        ("request", options.patience_seconds),
        ("queue", queue.patience_seconds),
        ("learnt", forecast.service.patience_seconds),
    )
    for source, seconds in sources:
        if seconds is not None:
            return seconds, source
    if model is None:
        return None, None
    raise InputError(
        f"`patience_seconds` of queue `{queue.queue}`",
        got="none in the request, none stated and none learnt of the queue",
        expected="seconds for `erlang_a`",
        remedy="send `patience_seconds`, or ask for `erlang_c`",
        field="patience_seconds",
    )


def _goal(forecast: QueueForecast, options: StaffingOptions, *, seconds: float) -> ServiceGoal:
    queue = forecast.queue
    share = queue.goal_share if options.service_level is None else options.service_level
    if not 0 < share < 1:
        raise InputError(
            f"`goal.service_level` of queue `{queue.queue}`, its own",
            got=f"{share:g}",
            expected="above 0 and below 1: no number of agents answers all",
            remedy="send `goal.service_level`, such as 0.95",
            field="goal.service_level",
        )
    return ServiceGoal(
        share, seconds, options.asa_seconds, options.abandonment, options.max_occupancy
    )


def _policy(forecast: QueueForecast, options: StaffingOptions) -> Policy:
    kind, given = options.policy, options.agents_on_phone
    if (kind == "given") != (given is not None):
        raise InputError(
            f"`{_GIVEN}`",
            got="none" if given is None else f"agents for `{kind}`",
            expected="agents by queue with the policy `given`, and with no other",
            field=_GIVEN,
        )
    agents = None
    if given is not None:
        queue, intervals = forecast.queue.queue, len(forecast.starts)
        numbers = given.get(queue)
        if numbers is None or len(numbers) != intervals:
            raise InputError(
                f"`{_GIVEN}` of queue `{queue}`",
                got="none" if numbers is None else f"{len(numbers)} numbers",
                expected=f"{intervals}, one for each of its intervals",
                field=f"{_GIVEN}.{queue}",
            )
        agents = np.array(numbers, dtype=np.int64)
    return Policy(kind, options.probability, agents, options.least_agents)


def _block_minutes(forecast: QueueForecast, options: StaffingOptions) -> int:
    minutes, own = options.shift_minutes, forecast.queue.interval_minutes
    if 0 < minutes < own:
        raise InputError(
            "`shifts.minimum_minutes`",
            got=minutes,
            expected=f"at least {own}, an interval of queue `{forecast.queue.queue}`",
            field="shifts.minimum_minutes",
        )
    return minutes


def _plan(work: Workload, problem: StaffingProblem, forecast: QueueForecast) -> Plan:
    """Return the plan; an error of the mathematics names its queue, and the request's fields."""
    try:
        return plan(work, ask=problem)
    except InputError as error:
        thing, field = error.thing, error.field or ""
        for name, path in _FIELDS.items():
            thing, field = thing.replace(name, path), field.replace(name, path)
        raise InputError(
            f"queue `{forecast.queue.queue}`, {thing}",
            got=error.got,
            expected=error.expected,
            remedy=error.remedy,
            field="queues" if "[" in field else field,
        ) from error
