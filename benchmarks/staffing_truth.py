"""What staffing policies cost where the truth is known: who staffs, what came, what it cost.

Costs are realised with the queue model at the true rates: paid hours, contacts that hang up, and
intervals whose service level lies below the goal. The *oracle* staffs at least cost at the true
rate itself; what a policy costs more than it is that policy's regret. Nobody can be an oracle:
the *law* staffs at least expected cost knowing all that can be known ahead, the expected rate and
how days scatter around it, so that its regret is what no forecast removes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.volume_sets import NOW, UNTIL, end_of, spread_origins
from features.arrays import Float64, Int64
from features.calendar.clock import local_times, to_epoch
from features.simulate import SimulatedPanel, simulate_panel
from features.volume.history import QueueHistory
from serving.models.volume.forecast import QueueForecast
from serving.models.volume.model import open_volume_model
from serving.models.volume.paths import sample_aht, sample_rates
from serving.staffing.erlang import levels
from serving.staffing.plan import plan
from serving.staffing.queue_model import QueueModel, ServiceGoal
from serving.staffing.workload import DEFERRED, Costs, Policy, PolicyKind, StaffingProblem, Workload
from training.config import VolumeConfig
from training.evaluate.origins import Histories
from training.fit.volume import train_volume

MAIN = "30 an hour, 15 a lost contact, 100 a missed goal"
COSTS = {
    MAIN: Costs(agent_hour=30.0, abandoned_contact=15.0, missed_goal=100.0),
    "30, 40, 50": Costs(agent_hour=30.0, abandoned_contact=40.0, missed_goal=50.0),
    "30, 5, 40": Costs(agent_hour=30.0, abandoned_contact=5.0, missed_goal=40.0),
}
OURS, PROBABILITY, MEAN, CERTAIN, LAW, ORACLE = (
    "least expected cost",
    "met with probability 0.8",
    "the mean",
    "least cost at the mean",
    "law known",
    "oracle",
)
WHO = (OURS, PROBABILITY, MEAN, CERTAIN, LAW, ORACLE)
_LAW_PATHS = 200
GOAL, LINE = ServiceGoal(share=0.8, seconds=20.0), QueueModel(patience_seconds=180.0)


@dataclass(frozen=True)
class Span:
    """One queue's work over h intervals, as forecast and as it was.

    Attributes:
        work: What was forecast.
        law: The same as one would forecast who knows the expected rate and how days scatter.
        rate: True contacts to expect of each interval, float64[h].
        aht_seconds: True average handle time, float64[h].
    """

    work: Workload
    law: Workload
    rate: Float64
    aht_seconds: Float64


@dataclass(frozen=True)
class Realised:
    """What one way to staff came to, over all intervals with contacts.

    Attributes:
        cost: All of it.
        hours: Agent hours paid.
        lost: Contacts that hung up.
        met: Share of the intervals that met the goal.
    """

    cost: float
    hours: float
    lost: float
    met: float


def realised(spans: list[Span], *, who: str, costs: Costs) -> Realised:
    """Return what a way to staff came to at the true rates.

    Args:
        spans: What was forecast, and what was true.
        who: One of ``WHO``.
        costs: What things cost; also what the least cost is sought by.
    """
    hours = lost = 0.0
    met: list[Float64] = []
    for span in spans:
        agents = staffed(span, who=who, costs=costs)
        busy = span.work.is_open & (span.rate > 0)
        seconds = span.work.interval_minutes * 60
        found = levels(
            span.rate * span.aht_seconds / seconds,
            aht_seconds=span.aht_seconds,
            agents=agents,
            line=LINE,
            within_seconds=GOAL.seconds,
        )
        hours += float(agents.sum()) * seconds / 3600
        lost += float((found.abandonment * span.rate)[busy].sum())
        met.append((found.service_level >= GOAL.share)[busy])
    each = np.concatenate(met)
    cost = (
        costs.agent_hour * hours
        + costs.abandoned_contact * lost
        + costs.missed_goal * float((~each).sum())
    )
    return Realised(cost, hours, lost, float(each.mean()))


def staffed(span: Span, *, who: str, costs: Costs) -> Int64:
    """Return the agents on phone of one way to staff, int64[h]."""
    work, kind = span.work, policy_of(who)
    if who == CERTAIN:
        work = known(work, rate=work.contacts, aht_seconds=work.aht_seconds)
    if who == LAW:
        work = span.law
    if who == ORACLE:
        work = known(work, rate=span.rate, aht_seconds=span.aht_seconds)
    ask = StaffingProblem(goal=GOAL, line=LINE, policy=Policy(kind=kind), costs=costs)
    return plan(work, ask=ask).agents_on_phone


def policy_of(who: str) -> PolicyKind:
    """Return the policy that a way to staff asks for."""
    if who == MEAN:
        return "mean"
    return "probability" if who == PROBABILITY else "cost"


def known(work: Workload, *, rate: Float64, aht_seconds: Float64) -> Workload:
    """Return work of which nothing is uncertain."""
    return replace(
        work,
        contacts=rate,
        aht_seconds=aht_seconds,
        rates=rate[None, :],
        aht_paths=aht_seconds[None, :],
    )


def removed(found: dict[str, Realised], who: str) -> float:
    """Return the share of the regret of staffing at the mean that a way to staff removes."""
    least = found[ORACLE].cost
    return 1 - (found[who].cost - least) / (found[MEAN].cost - least)


def forecast_spans(*, queues: int, days: int, origins: int) -> list[Span]:
    """Train and forecast a simulated panel from several origins, 28 days each.

    Args:
        queues: Queues of the panel; those of deferred work are left out.
        days: Days of history.
        origins: Moments to forecast from, spread over the panel's last year.
    """
    panel = simulate_panel(queues=queues, days=days, until=UNTIL, seed=20, level_shift_share=0.35)
    return [
        span
        for origin in spread_origins(panel.histories, count=origins)
        for span in _from_origin(panel, origin)
    ]


def _from_origin(panel: SimulatedPanel, origin: datetime) -> Iterator[Span]:
    source = Histories(panel.histories, panel.events)
    histories = source.volume(origin)
    with TemporaryDirectory() as folder:
        trained = train_volume(
            source, as_of=origin, config=VolumeConfig(), root=Path(folder), now=NOW
        )
        forecast = open_volume_model(trained.bundle).forecast(
            histories,
            events=source.events(origin),
            orders=source.orders(origin),
            made_at=origin,
            until=end_of(origin),
        )
    for name, queue in forecast.queues.items():
        if queue.queue.channel not in DEFERRED:
            yield _span(queue, panel, name, made_at=to_epoch(origin))


def _span(forecast: QueueForecast, panel: SimulatedPanel, name: str, *, made_at: int) -> Span:
    [rates] = sample_rates([forecast], made_at=made_at)
    [ahts] = sample_aht([forecast], made_at=made_at)
    history, zone = panel.histories[name], forecast.queue.time_zone
    work = Workload(
        channel=forecast.queue.channel,
        starts=forecast.starts,
        day=local_times(forecast.starts, zone).day,
        is_open=forecast.is_open,
        interval_minutes=forecast.queue.interval_minutes,
        contacts=forecast.mean,
        aht_seconds=forecast.aht_seconds,
        rates=rates,
        aht_paths=ahts,
    )
    place, truth = np.searchsorted(history.starts, forecast.starts), panel.truth[name]
    aht = _handle_times(history)[place]
    factors = np.quantile(truth.day_factor, (np.arange(_LAW_PATHS) + 0.5) / _LAW_PATHS)
    law = replace(
        work,
        contacts=truth.expected[place] * factors.mean(),
        aht_seconds=aht,
        rates=factors[:, None] * truth.expected[place],
        aht_paths=np.tile(aht, (_LAW_PATHS, 1)),
    )
    return Span(work, law, truth.rate[place], aht)


def _handle_times(history: QueueHistory) -> Float64:
    """Return the mean handle time by local time of day over the whole history, seconds."""
    minute = local_times(history.starts, history.queue.time_zone).minute_of_day
    handled = np.where(np.isnan(history.aht_seconds), 0.0, history.handled)
    seconds = np.bincount(minute, weights=handled * np.nan_to_num(history.aht_seconds))
    count = np.bincount(minute, weights=handled)
    overall = seconds.sum() / count.sum()
    return np.divide(seconds, count, out=np.full(len(count), overall), where=count > 0)[minute]


def lawful_span(*, intervals: int, variation: float, seed: int) -> Span:
    """Return hours whose rate follows a known gamma law: 20 to 400 contacts, AHT 300 s.

    Args:
        intervals: Hours.
        variation: Coefficient of variation of the rate around its forecast.
        seed: Of the forecasts and the true rates; the paths are quantiles of the law.
    """
    rng = np.random.default_rng(seed)
    mean = rng.uniform(20, 400, intervals)
    return gamma_span(mean, rng.gamma(1 / variation**2, mean * variation**2), variation=variation)


def gamma_span(mean: Float64, rate: Float64, *, variation: float, paths: int = 200) -> Span:
    """Return hours forecast as a gamma law and the true rates that came.

    Args:
        mean: Contacts forecast, float64[h].
        rate: Contacts to expect in truth, float64[h].
        variation: Coefficient of variation of the law.
        paths: Quantiles of it that staffing is given.
    """
    from scipy.stats import gamma

    factors = gamma.ppf((np.arange(paths) + 0.5) / paths, variation**-2, scale=variation**2)
    hours, aht = np.arange(len(mean)), np.full(len(mean), 300.0)
    work = Workload(
        channel="voice",
        starts=hours * 3600,
        day=hours // 24,
        is_open=np.ones(len(mean), dtype=bool),
        interval_minutes=60,
        contacts=mean,
        aht_seconds=aht,
        rates=factors[:, None] * mean,
        aht_paths=np.tile(aht, (paths, 1)),
    )
    return Span(work, work, rate, aht)
