"""What a staffing request asks of each queue, and the plans that answer it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np

from features.calendar import Float64, epoch, local_times
from features.errors import InputError, UnknownNameError
from serving.http.choice import Choice
from serving.http.problems import LONGEST_SHOWN
from serving.http.staffing_schemas import StaffingRequest
from serving.models.volume.paths import sample_aht, sample_rates
from serving.models.volume.span import cut
from serving.sets.forecast import PublishedForecast
from serving.staffing.asked import DEFERRED, Ask, Costs, Plan, Policy, Work
from serving.staffing.goal import Goal, Line
from serving.staffing.plan import plan

MOST_DRAWN = 2_000_000
"""Most intervals x paths of one answer: some 2 seconds of one core."""
LEAST_DRAWN = 20_000
"""What a queue counts as at least: its tables take as long, however short the span."""
DEADLINE_SECONDS = 86_400
"""Of deferred work whose queue states none that could be kept."""

PatienceSource = Literal["request", "queue", "learnt"]
_GIVEN = "policy.agents_on_phone"
_FIELDS = {
    "goal.share": "goal.service_level",
    "goal.seconds": "goal.threshold_seconds",
    "goal.max_occupancy": "max_occupancy",
    "block_minutes": "shifts.minimum_minutes",
}
"""What the request calls what the maths calls otherwise."""


@dataclass(frozen=True)
class Patience:
    """A mean patience and who says it.

    Attributes:
        seconds: Mean time until a waiting contact gives up.
        source: ``request``, ``queue`` where its owner states it, or ``learnt`` from its history.
    """

    seconds: float
    source: PatienceSource


@dataclass(frozen=True)
class Staffed:
    """One queue staffed: what was asked of it, and the agents.

    Attributes:
        forecast: Its forecast over the intervals asked for.
        ask: What was asked.
        patience: The patience that it was staffed with; None where the model knows none.
        efficiency: What its handle time was divided by.
        plan: The agents.
        warnings: What to know of them.
    """

    forecast: PublishedForecast
    ask: Ask
    patience: Patience | None
    efficiency: float
    plan: Plan
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Asked:
    """What is asked of one queue, whose patience it is, and what to know of it."""

    ask: Ask
    patience: Patience | None
    warnings: tuple[str, ...]


def staff_choice(choice: Choice, *, request: StaffingRequest) -> list[Staffed]:
    """Return the agents of each queue that was asked for.

    Args:
        choice: The part of the forecast that is staffed, changed and split as it was asked.
        request: How; its queues, span and changes are not looked at.

    Raises:
        UnknownNameError: The backlog or the given agents name a queue that was not asked for.
        InputError: A value is outside its range or does not fit a queue, or there are too many
            sample paths.
    """
    _check_size(choice, request)
    forecasts = [cut(forecast, rows) for forecast, rows in choice.queues]
    return staff_queues(forecasts, request=request, made_at=choice.set.made_at)


def staff_queues(
    forecasts: Sequence[PublishedForecast], *, request: StaffingRequest, made_at: datetime
) -> list[Staffed]:
    """Return the agents of some queues.

    Args:
        forecasts: Their forecasts over the intervals that are staffed.
        request: How; its queues, span and changes are not looked at.
        made_at: When the forecasts were made: leads count from there.

    Raises:
        UnknownNameError: The backlog or the given agents name another queue.
        InputError: A value is outside its range or does not fit a queue.
    """
    names = [forecast.queue.queue for forecast in forecasts]
    _check_names("backlog", request.backlog, known=names)
    _check_names(_GIVEN, request.policy.agents_on_phone or (), known=names)
    # Every queue's request is checked before the first is worked on.
    asks = [_ask(forecast, request) for forecast in forecasts]
    at, count, seed = epoch(made_at), request.paths.count, request.paths.seed
    rates = sample_rates(forecasts, made_at=at, count=count, seed=seed)
    ahts = sample_aht(forecasts, made_at=at, count=count, seed=seed)
    found = []
    for forecast, asked, rate, aht in zip(forecasts, asks, rates, ahts, strict=True):
        efficiency = _efficiency(forecast, request)
        work = _work(forecast, rates=rate, aht_paths=aht, efficiency=efficiency)
        made = _plan(work, asked.ask, forecast)
        warnings = (*forecast.warnings, *asked.warnings, *made.warnings)
        found.append(Staffed(forecast, asked.ask, asked.patience, efficiency, made, warnings))
    return found


def _check_size(choice: Choice, request: StaffingRequest) -> None:
    """Refuse what takes longer than a client waits."""
    count = request.paths.count
    values = [(rows.stop - rows.start) * count for _, rows in choice.queues]
    if sum(max(value, LEAST_DRAWN) for value in values) > MOST_DRAWN:
        raise InputError(
            "the sample paths",
            got=f"{choice.intervals} intervals x {count} paths = {sum(values)} values of "
            f"{len(values)} queues",
            expected=f"at most {MOST_DRAWN}, where each queue counts as {LEAST_DRAWN} at least",
            remedy="ask for fewer paths, fewer queues or a shorter span at once",
            field="paths.count",
        )


def _check_names(field: str, names: Iterable[str], *, known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise UnknownNameError("queue", name, known, field=f"{field}.{name[:LONGEST_SHOWN]}")


def _ask(forecast: PublishedForecast, request: StaffingRequest) -> _Asked:
    """Return what is asked of one queue."""
    patience, costs = _patience(forecast, request), request.costs
    if request.policy.kind == "cost" and costs is None:
        raise InputError(
            "`costs`",
            got="none",
            expected="what things cost, for the policy `cost`",
            remedy="send `costs`, such as `agent_hour` and `abandoned_contact`",
            field="costs",
        )
    seconds, warnings = _threshold(forecast, request)
    ask = Ask(
        goal=_goal(forecast, request, seconds=seconds),
        line=Line(
            patience_seconds=None if patience is None else patience.seconds,
            blocked=request.model == "erlang_b",
            concurrency=request.concurrency or forecast.queue.concurrency,
            slowdown=request.slowdown,
        ),
        policy=_policy(forecast, request),
        costs=None
        if costs is None
        else Costs(costs.agent_hour, costs.abandoned_contact, costs.missed_goal),
        shrinkage=request.shrinkage,
        block_minutes=_block_minutes(forecast, request),
        backlog_contacts=request.backlog.get(forecast.queue.queue, 0.0),
        deferred=_deferred(forecast, request),
    )
    return _Asked(ask, patience, warnings)


def _threshold(
    forecast: PublishedForecast, request: StaffingRequest
) -> tuple[float, tuple[str, ...]]:
    """Return the seconds of the goal, and what to know of them.

    Deferred work cannot be done sooner than it takes; a queue that never stated a deadline has
    the goal of a telephone line. It is staffed for a day's, and says so.
    """
    asked, own = request.goal.threshold_seconds, forecast.queue.goal_seconds
    if not _deferred(forecast, request):
        return (own if asked is None else asked), ()
    warnings = []
    if request.patience_seconds is not None:
        warnings.append("`patience_seconds` does not count here: contacts do not hang up")
    if asked is not None:
        return asked, tuple(warnings)
    busy = forecast.aht_seconds[forecast.mean > 0]
    if own >= busy.max(initial=0) / _efficiency(forecast, request):
        return own, tuple(warnings)
    warnings.append(
        f"its own goal of {own:g} seconds is no deadline, since a contact takes longer: staffed "
        f"for one of {DEADLINE_SECONDS} seconds; send `goal.threshold_seconds` for another"
    )
    return DEADLINE_SECONDS, tuple(warnings)


def _efficiency(forecast: PublishedForecast, request: StaffingRequest) -> float:
    return forecast.service.efficiency if request.calibrated else 1.0


def _deferred(forecast: PublishedForecast, request: StaffingRequest) -> bool:
    if request.model is None:
        return forecast.queue.channel in DEFERRED
    return request.model == "backlog"


def _patience(forecast: PublishedForecast, request: StaffingRequest) -> Patience | None:
    """Return the patience to staff with; None where nobody hangs up, by the model."""
    queue, model = forecast.queue, request.model
    if model not in (None, "erlang_a"):
        if request.patience_seconds is None:
            return None
        raise InputError(
            "`patience_seconds`",
            got=f"{request.patience_seconds:g} with `{model}`",
            expected="none: that model knows no patience",
            remedy="leave it out, or ask for `erlang_a`",
            field="patience_seconds",
        )
    if _deferred(forecast, request):
        return None
    said: tuple[tuple[PatienceSource, float | None], ...] = (
        ("request", request.patience_seconds),
        ("queue", queue.patience_seconds),
        ("learnt", forecast.service.patience_seconds),
    )
    for source, seconds in said:
        if seconds is not None:
            return Patience(seconds, source)
    if model is None:
        return None
    raise InputError(
        f"`patience_seconds` of queue `{queue.queue}`",
        got="none in the request, none stated and none learnt of the queue",
        expected="seconds for `erlang_a`",
        remedy="send `patience_seconds`, or ask for `erlang_c`",
        field="patience_seconds",
    )


def _goal(forecast: PublishedForecast, request: StaffingRequest, *, seconds: float) -> Goal:
    queue, asked = forecast.queue, request.goal
    share = queue.goal_share if asked.service_level is None else asked.service_level
    if not 0 < share < 1:
        raise InputError(
            f"`goal.service_level` of queue `{queue.queue}`, its own",
            got=f"{share:g}",
            expected="above 0 and below 1: no number of agents answers all",
            remedy="send `goal.service_level`, such as 0.95",
            field="goal.service_level",
        )
    return Goal(
        share=share,
        seconds=seconds,
        asa_seconds=asked.asa_seconds,
        abandonment=asked.abandonment,
        max_occupancy=request.max_occupancy,
    )


def _policy(forecast: PublishedForecast, request: StaffingRequest) -> Policy:
    asked, queue = request.policy, forecast.queue.queue
    if (asked.kind == "given") != (asked.agents_on_phone is not None):
        raise InputError(
            f"`{_GIVEN}`",
            got="none" if asked.agents_on_phone is None else f"agents for `{asked.kind}`",
            expected="agents by queue with the policy `given`, and with no other",
            field=_GIVEN,
        )
    agents = None
    if asked.agents_on_phone is not None:
        numbers, hours = asked.agents_on_phone.get(queue), len(forecast.starts)
        if numbers is None or len(numbers) != hours:
            raise InputError(
                f"`{_GIVEN}` of queue `{queue}`",
                got="none" if numbers is None else f"{len(numbers)} numbers",
                expected=f"{hours}, one for each of its intervals",
                field=f"{_GIVEN}.{queue}",
            )
        agents = np.array(numbers, dtype=np.int64)
    return Policy(asked.kind, asked.probability, agents, asked.least_agents)


def _block_minutes(forecast: PublishedForecast, request: StaffingRequest) -> int:
    if request.shifts is None:
        return 0
    minutes, own = request.shifts.minimum_minutes, forecast.queue.interval_minutes
    if minutes < own:
        raise InputError(
            "`shifts.minimum_minutes`",
            got=minutes,
            expected=f"at least {own}, an interval of queue `{forecast.queue.queue}`",
            field="shifts.minimum_minutes",
        )
    return minutes


def _work(
    forecast: PublishedForecast, *, rates: Float64, aht_paths: Float64, efficiency: float
) -> Work:
    return Work(
        channel=forecast.queue.channel,
        starts=forecast.starts,
        day=local_times(forecast.starts, forecast.queue.time_zone).day,
        is_open=forecast.is_open,
        interval_minutes=forecast.queue.interval_minutes,
        contacts=forecast.mean,
        aht_seconds=forecast.aht_seconds / efficiency,
        rates=rates,
        aht_paths=aht_paths / efficiency,
    )


def _plan(work: Work, ask: Ask, forecast: PublishedForecast) -> Plan:
    """Return the plan; an error of the maths names its queue, and the request's own fields."""
    try:
        return plan(work, ask=ask)
    except InputError as error:
        thing, field = error.thing, error.field or ""
        for ours, theirs in _FIELDS.items():
            thing, field = thing.replace(ours, theirs), field.replace(ours, theirs)
        raise InputError(
            f"queue `{forecast.queue.queue}`, {thing}",
            got=error.got,
            expected=error.expected,
            remedy=error.remedy,
            field="queues" if "[" in field else field,
        ) from error
