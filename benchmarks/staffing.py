"""What staffing from the distribution is worth, how sure it is, and how fast.

Run: python -m benchmarks.staffing [--quick]

On simulated queues whose true rates are known: the realised cost of our policies beside staffing
at the mean, beside an oracle that knows the true rate, and beside one who knows the law that it is
drawn from, the most that any forecast could; how often the goal is met where a probability was
asked for. Then the agents needed beside pyworkforce (skipped where it is not
installed), and the time from published forecast to plan on one core. A quick run takes fewer
queues and hours, and writes to the folder part/ of the results.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Hashable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from statistics import median

import numpy as np

from benchmarks import staffing_peer
from benchmarks.report import RESULTS, Check, at_least, at_most, finish, skipped
from benchmarks.staffing_picture import draw
from benchmarks.staffing_truth import (
    CERTAIN,
    COSTS,
    GOAL,
    LAW,
    LINE,
    MAIN,
    OURS,
    PROBABILITY,
    WHO,
    Realised,
    Span,
    forecast_spans,
    gamma_span,
    lawful_span,
    realised,
    removed,
)
from features.arrays import Float64, Int64
from features.calendar.clock import interval_starts, local_times, to_epoch
from features.calendar.queues import ALWAYS, Queue
from serving.models.volume.distribution import ForecastDistribution, plain_shape
from serving.models.volume.paths import sample_aht, sample_rates
from serving.staffing.erlang import levels
from serving.staffing.plan import plan
from serving.staffing.queue_model import ServiceGoal
from serving.staffing.workload import Policy, PolicyKind, StaffingProblem, Workload

VARIATION = 0.15
ASKED = (0.5, 0.7, 0.8, 0.9, 0.95)
PANEL, GAMMA = "simulated panel", "gamma law"
MADE_AT = datetime(2026, 3, 2, tzinfo=UTC)
Row = dict[Hashable, object]


def main() -> None:
    """Measure everything, print the table, and write figures and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small run, to results/part/")
    quick = parser.parse_args().quick
    results = RESULTS / "part" if quick else RESULTS
    spans = {
        PANEL: forecast_spans(
            queues=3 if quick else 6, days=300 if quick else 560, origins=2 if quick else 4
        ),
        GAMMA: [lawful_span(intervals=300 if quick else 2_000, variation=VARIATION, seed=1)],
    }
    checks, rows = regrets(spans)
    asked, asked_rows = probabilities(hours=2_000 if quick else 50_000)
    peer, peer_rows = beside(count=1_000 if quick else 10_000)
    speed, speed_rows = times(rounds=3 if quick else 9)
    rows += asked_rows + peer_rows + speed_rows
    draw(rows, results=results)
    packages = ["numpy", *([staffing_peer.PEER] if staffing_peer.installed() else [])]
    finish(
        "staffing",
        checks=checks + asked + peer + speed,
        rows=[{str(key): value for key, value in row.items()} for row in rows],
        packages=packages,
        results=results,
    )


def regrets(spans: dict[str, list[Span]]) -> tuple[list[Check], list[Row]]:
    """Return how much of the regret of staffing at the mean is removed, by set and costs."""
    checks: list[Check] = []
    rows: list[Row] = []
    for name, each in spans.items():
        for label, costs in COSTS.items():
            found = {who: realised(each, who=who, costs=costs) for who in WHO}
            rows += [_cost_row(name, label, who, found) for who in WHO]
            print(_cost_text(name, label, found), flush=True)
            what = f"{name}, {label}: mean-staffing regret removed"
            if label == MAIN:
                checks.append(at_least(what, 100 * removed(found, OURS), 60, unit=" %"))
            else:
                checks.append(Check(what, "-", f"{100 * removed(found, OURS):.3g} %", None))
            for who in (PROBABILITY, CERTAIN, LAW):
                share = f"{100 * removed(found, who):.3g} %"
                checks.append(Check(f"the same by {who}", "-", share, None))
    return checks, rows


def _cost_row(name: str, label: str, who: str, found: dict[str, Realised]) -> Row:
    kept = removed(found, who)
    return {"part": "cost", "set": name, "costs": label, "who": who, "removed": kept} | asdict(
        found[who]
    )


def _cost_text(name: str, label: str, found: dict[str, Realised]) -> str:
    lines = [f"{name}; costs {label}"]
    lines += [
        f"  {who:26s} cost {one.cost:12,.0f}  agent hours {one.hours:9,.0f}  "
        f"lost {one.lost:8,.0f}  met {100 * one.met:5.1f} %"
        for who, one in found.items()
    ]
    return "\n".join(lines)


def probabilities(*, hours: int) -> tuple[list[Check], list[Row]]:
    """Return how often 200 contacts/h meet 80/20 where a probability was asked for.

    Args:
        hours: True rates drawn, afresh: not those that staffing was given.
    """
    rate = np.random.default_rng(99).gamma(VARIATION**-2, 200 * VARIATION**2, hours)
    one = gamma_span(np.array([200.0]), rate[:1], variation=VARIATION)
    checks: list[Check] = []
    rows: list[Row] = []
    for asked in ASKED:
        ask = StaffingProblem(
            goal=GOAL, line=LINE, policy=Policy(kind="probability", probability=asked)
        )
        made = plan(one.work, ask=ask)
        agents = int(made.agents_on_phone[0])
        said = float(made.performance.goal_probability[0])
        achieved, with_fewer = (_share_met(rate, agents=n) for n in (agents, agents - 1))
        rows.append(
            {
                "part": "probability",
                "asked": asked,
                "agents": agents,
                "said": said,
                "achieved": achieved,
                "achieved_with_one_fewer": with_fewer,
            }
        )
        away = 100 * (achieved - asked)
        checks += [
            at_most(
                f"asked {asked:g}: hours that meet 80/20 away from the share that the plan states",
                100 * abs(achieved - said),
                3,
                unit=" points",
            ),
            Check(
                f"asked {asked:g}: hours that meet it, with {agents} whole agents "
                f"(one fewer: {100 * with_fewer:.3g} %)",
                f"{100 * asked:g} % +-3",
                f"{100 * achieved:.3g} %",
                abs(away) <= 3,
            ),
        ]
    return checks, rows


def _share_met(rate: Float64, *, agents: int) -> float:
    found = levels(
        rate / 12,
        aht_seconds=np.full(len(rate), 300.0),
        agents=np.full(len(rate), agents),
        line=LINE,
        within_seconds=GOAL.seconds,
    )
    return float((found.service_level >= GOAL.share).mean())


def beside(*, count: int) -> tuple[list[Check], list[Row]]:
    """Return the comparison with pyworkforce on random intervals, Erlang C."""
    if not staffing_peer.installed():
        return [skipped("pyworkforce", ">= 100x", "not installed (pip install -e '.[peers]')")], []
    intervals = staffing_peer.draw_intervals(count, seed=3)
    quiet = replace(intervals, contacts=np.where(np.arange(count) % 10 == 0, 0, intervals.contacts))
    checks: list[Check] = []
    rows: list[Row] = []
    for name, goal, given in (
        ("80/20", ServiceGoal(), intervals),
        ("80 % within 600 s", staffing_peer.EASY, intervals),
        ("80/20, every tenth hour without contacts", ServiceGoal(), quiet),
    ):
        found = staffing_peer.beside(given, goal=goal)
        ratio = found.peer_seconds / found.seconds
        rows.append(
            {"part": "peer", "goal": name, "intervals": count, "faster": ratio} | asdict(found)
        )
        checks.append(
            Check(
                f"{name}, {count:,} hours: differ from pyworkforce, each checked by sums",
                "ours the smallest",
                f"{found.differ} (it asks for one more in {found.peer_over}, "
                f"refuses {found.refused}; ours the smallest in {found.ours_right})",
                found.ours_right == found.differ,
            )
        )
        if goal == ServiceGoal() and given is intervals:
            checks.append(
                at_least(
                    f"{name}, {count:,} intervals: faster than pyworkforce "
                    f"({1000 * found.seconds:.3g} ms and {1000 * found.peer_seconds:,.0f} ms)",
                    ratio,
                    100,
                )
            )
    return checks, rows


def times(*, rounds: int) -> tuple[list[Check], list[Row]]:
    """Return the time from published forecast to plan, on one core."""
    checks: list[Check] = []
    rows: list[Row] = []
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        for queues in (1, 24):
            forecasts = [_forecast(number) for number in range(queues)]
            kinds: tuple[PolicyKind, ...] = ("mean", "probability", "cost")
            for kind in kinds:
                spent = [_planned(forecasts, kind=kind, seed=k) for k in range(rounds + 1)][1:]
                took = 1000 * median(spent)
                rows.append({"part": "time", "queues": queues, "policy": kind, "ms": took})
                what = f"{queues} queue(s) x 14 days x 200 paths to a plan, policy {kind}"
                checks.append(
                    at_most(what, took, 100, unit=" ms")
                    if queues == 1
                    else Check(what, "-", f"{took:.3g} ms", None)
                )
    finally:
        os.sched_setaffinity(0, cores)
    return checks, rows


@dataclass(frozen=True)
class Forecast:
    """What planning reads of one queue's published forecast."""

    queue: Queue
    starts: Int64
    mean: Float64
    aht_seconds: Float64
    shape: ForecastDistribution


def _forecast(number: int) -> Forecast:
    """Return 14 days of an hourly queue that is always open, up to some 350 contacts an hour."""
    queue = Queue(f"voice-{number}", time_zone="UTC", opening=ALWAYS, opening_source="stated")
    start = to_epoch(MADE_AT)
    starts = interval_starts(start, start + 14 * 86_400, 60, queue.time_zone)
    wave = 1 + 0.9 * np.sin(2 * np.pi * (starts // 3600 % 24 - 8) / 24)
    mean = (100 + 8 * (number % 10)) * wave
    return Forecast(queue, starts, mean, np.full(len(starts), 300.0), plain_shape(VARIATION**2))


def _planned(forecasts: list[Forecast], *, kind: PolicyKind, seed: int) -> float:
    """Return the seconds from the forecasts to their plans."""
    began = time.perf_counter()
    made_at = to_epoch(MADE_AT)
    rates = sample_rates(forecasts, made_at=made_at, seed=seed)
    ahts = sample_aht(forecasts, made_at=made_at, seed=seed)
    for forecast, rate, aht in zip(forecasts, rates, ahts, strict=True):
        work = Workload(
            channel=forecast.queue.channel,
            starts=forecast.starts,
            day=local_times(forecast.starts, forecast.queue.time_zone).day,
            is_open=np.ones(len(forecast.starts), dtype=bool),
            interval_minutes=forecast.queue.interval_minutes,
            contacts=forecast.mean,
            aht_seconds=forecast.aht_seconds,
            rates=rate,
            aht_paths=aht,
        )
        plan(
            work,
            ask=StaffingProblem(goal=GOAL, line=LINE, policy=Policy(kind=kind), costs=COSTS[MAIN]),
        )
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
