"""How well the volume model forecasts, beside what else a planner could use.

Run: python -m benchmarks.volume [SET ...] [--origins N] [--only-ours]

From each rolling origin the model is trained on what was known then, and forecasts 28 days
through the bundle that serving would open. The peers forecast the same hours in the same
process. A run of all sets writes benchmarks/results/, any other one its folder part/. Real sets are
read from EBBFLOW_REAL_DATA and skipped where absent; peers of the extra
`peers` (pip install -e '.[peers]') are skipped where not installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
import warnings
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from benchmarks.peers import (
    MEAN4,
    PEERS,
    SEASONAL_NAIVE,
    Past,
    forecasts_of,
    installed,
    naive_band,
    past_of,
)
from benchmarks.report import RESULTS, Check, finish, skipped
from benchmarks.volume_checks import goals
from benchmarks.volume_intraday import corrected_days, intraday_goals, intraday_table
from benchmarks.volume_picture import draw
from benchmarks.volume_scores import LEADS, OURS, Windows, measured, text_table
from benchmarks.volume_sets import NOW, REAL, SIMULATED, Case, available, end_of, opened
from features.arrays import Float64, Int64
from features.calendar.clock import local_midnight, local_times, to_epoch
from features.volume.history import QueueHistory
from serving.models.volume.distribution import lead_bucket
from serving.models.volume.forecast import QueueForecast, VolumeForecast
from serving.models.volume.model import VolumeModel, open_volume_model
from serving.models.volume.paths import sample_paths
from training.config import VolumeConfig
from training.fit.volume import train_volume
from training.models.volume.components import actuals

ORIGINS = 6
PACKAGES = ("numpy", "lightgbm", "statsforecast", "mlforecast", "prophet")


def main() -> None:
    """Measure the sets that were asked for, print tables and write figures and pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", help=f"of {', '.join((*REAL, SIMULATED))}; all if none")
    parser.add_argument("--origins", type=int, default=ORIGINS, help="rolling origins of a set")
    parser.add_argument("--only-ours", action="store_true", help="seasonal baselines, no peers")
    arguments = parser.parse_args()
    names = arguments.sets or [*REAL, SIMULATED]
    whole = not arguments.only_ours and not arguments.sets and arguments.origins == ORIGINS
    # The figures that are quoted come from whole runs alone.
    results = RESULTS if whole else RESULTS / "part"
    peers = [n for n in PEERS if n in (SEASONAL_NAIVE, MEAN4) or not arguments.only_ours]
    ready = [name for name in peers if installed(name)]
    checks: list[Check] = [
        skipped(name, "-", "not installed (pip install -e '.[peers]')")
        for name in peers
        if name not in ready
    ]
    rows: list[dict[Hashable, object]] = []
    for name in names:
        if not available(name):
            checks.append(skipped(name, "-", "the data are not here"))
            continue
        found, records = measure_set(name, origins=arguments.origins, peers=ready, results=results)
        checks += found
        rows += records
    packages = [name for name in PACKAGES if importlib.util.find_spec(name)]
    finish("volume", checks=checks, rows=rows, packages=packages, results=results)


def measure_set(
    name: str, *, origins: int, peers: list[str], results: Path
) -> tuple[list[Check], list[dict[Hashable, object]]]:
    """Forecast one set from all its origins; print and draw; return goals and figures."""
    began = time.monotonic()
    with opened(name, origins=origins) as case:
        windows = Windows.joined([from_origin(case, origin, peers) for origin in case.origins])
    table = measured(name, windows)
    print(text_table(name, table))
    print(f"{name}: {len(case.origins)} origins, {time.monotonic() - began:.0f} s\n", flush=True)
    draw(name, windows, table, results=results)
    checks, records = goals(name, windows, table), measured_rows(table)
    if len(windows.today):
        today = intraday_table(windows.today)
        print(f"{today.to_string(index=False)}\n")
        checks += intraday_goals(today)
        records += [{"set": name, **record} for record in measured_rows(today)]
    return checks, records


def measured_rows(table: pd.DataFrame) -> list[dict[Hashable, object]]:
    """Return a table's rows without what was not measured, which JSON has no number for."""
    return [
        {key: value for key, value in record.items() if not pd.isna(value)}
        for record in table.to_dict("records")
    ]


def from_origin(case: Case, origin: datetime, peers: list[str]) -> Windows:
    """Return what everybody forecast from one origin, and what came."""
    histories = case.source.volume(origin)
    began = time.monotonic()
    model, forecast = _ours(case, histories, origin=origin)
    seconds = {OURS: time.monotonic() - began}
    laid_out = [
        _laid_out(history, forecast.queues[name], case.truth, origin=origin)
        for name, history in histories.items()
        if history.observed.any() and name in case.truth
    ]
    judged = [each for each in laid_out if not np.isnan(each.actual).all()]
    means = {OURS: [each.forecast.mean for each in judged]}
    for peer in peers:
        began = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            means[peer] = forecasts_of(peer, [each.past for each in judged])
        seconds[peer] = time.monotonic() - began
    bands = day_totals(forecast)
    today = pd.DataFrame()
    if case.panel is not None:
        today = corrected_days(model, case.panel, tuple(case.source.events(origin)), origin=origin)
    parts = [
        _windows(each, {who: found[k] for who, found in means.items()}, bands, origin=origin)
        for k, each in enumerate(judged)
    ]
    spent = [{"origin": to_epoch(origin), "who": who, "seconds": s} for who, s in seconds.items()]
    return replace(Windows.joined(parts), seconds=pd.DataFrame(spent), today=today)


def _ours(
    case: Case, histories: Mapping[str, QueueHistory], *, origin: datetime
) -> tuple[VolumeModel, VolumeForecast]:
    """Train on what was known at an origin, and forecast from it through the bundle."""
    with TemporaryDirectory() as folder:
        trained = train_volume(
            case.source, as_of=origin, config=VolumeConfig(), root=Path(folder), now=NOW
        )
        model = open_volume_model(trained.bundle)
        forecast = model.forecast(
            histories,
            events=case.source.events(origin),
            orders=case.source.orders(origin),
            made_at=origin,
            until=end_of(origin),
        )
    return model, forecast


@dataclass(frozen=True)
class _Queue:
    """One queue from one origin: its past, its forecast, and what came (NaN: not observed)."""

    past: Past
    forecast: QueueForecast
    actual: Float64


def _laid_out(
    history: QueueHistory,
    forecast: QueueForecast,
    truth: Mapping[str, QueueHistory],
    *,
    origin: datetime,
) -> _Queue:
    past = past_of(
        history,
        forecast.queue,
        made_at=origin,
        starts=forecast.starts,
        is_open=forecast.is_open,
    )
    return _Queue(past, forecast, actuals(truth[forecast.queue.queue], forecast.starts))


def _windows(
    each: _Queue,
    means: Mapping[str, Float64],
    bands: Mapping[str, DayTotals],
    *,
    origin: datetime,
) -> Windows:
    """Return one queue's window: observed intervals, and whole observed days."""
    forecast, name = each.forecast, each.forecast.queue.queue
    lead = np.array(LEADS)[lead_bucket((forecast.starts - to_epoch(origin)) / 3600)]
    rows = pd.DataFrame(
        {
            "origin": to_epoch(origin),
            "queue": name,
            "start": forecast.starts,
            "lead": lead,
            "is_open": forecast.is_open,
            "actual": each.actual,
            **means,
        }
    )
    seen = ~np.isnan(each.actual)
    return Windows(
        rows=rows[seen],
        quantiles=forecast.quantiles[seen],
        band=(naive_band(each.past)[each.past.ahead] * forecast.is_open[:, None])[seen],
        days=_days(rows, each, bands[name]),
        seconds=pd.DataFrame(),
        today=pd.DataFrame(),
    )


@dataclass(frozen=True)
class DayTotals:
    """A queue's whole local days: contacts forecast and their 80 % band, each [days]."""

    day: Int64
    mean: Float64
    low: Float64
    high: Float64


def day_totals(forecast: VolumeForecast) -> dict[str, DayTotals]:
    """Return each queue's band of day totals, read off joint sample paths."""
    names, made_at = list(forecast.queues), to_epoch(forecast.made_at)
    paths = sample_paths([forecast.queues[name] for name in names], made_at=made_at)
    return {
        name: _totals(forecast.queues[name], drawn)
        for name, drawn in zip(names, paths, strict=True)
    }


def _totals(forecast: QueueForecast, paths: Float64) -> DayTotals:
    zone = forecast.queue.time_zone
    day, first = np.unique(local_times(forecast.starts, zone).day, return_index=True)
    mean = np.add.reduceat(forecast.mean, first)
    low, high = np.quantile(np.add.reduceat(paths, first, axis=1), (0.1, 0.9), axis=0)
    # The origin may cut the first day, and the horizon the last one.
    begins, ends = (local_midnight(int(at), zone) for at in (day[0], day[-1] + 1))
    covered = int(forecast.starts[-1]) + forecast.queue.interval_minutes * 60
    whole = slice(int(begins < forecast.starts[0]), len(day) - int(ends > covered))
    return DayTotals(day[whole], mean[whole], low[whole], high[whole])


def _days(rows: pd.DataFrame, each: _Queue, band: DayTotals) -> pd.DataFrame:
    """Return the whole observed open days of one window with their bands."""
    day = local_times(each.forecast.starts, each.forecast.queue.time_zone).day
    days = (
        rows.assign(day=day)
        .groupby("day")
        .agg(
            origin=("origin", "first"),
            queue=("queue", "first"),
            lead=("lead", "first"),
            is_open=("is_open", "any"),
            actual=("actual", lambda x: x.sum(skipna=False)),
        )
    )
    days = days.join(
        pd.DataFrame({"mean": band.mean, "low": band.low, "high": band.high}, index=band.day)
    )
    return days[days["is_open"]].dropna().drop(columns="is_open").reset_index(drop=True)


if __name__ == "__main__":
    main()
