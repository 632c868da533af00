"""One fit of the volume model: from the store to its bundle, card and table of bad days."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, fields, replace
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.artefact import write_artefact
from features.calendar.clock import from_epoch, to_epoch
from features.calendar.queues import Event
from features.volume.history import NO_ORDERS, QueueHistory
from serving.models.volume.anomalies import AnomalousDay, find_anomalies
from serving.models.volume.boosting import NAMES
from serving.models.volume.bundle import write_golden, write_volume_state
from serving.models.volume.calendar_effects import DayEffects
from serving.models.volume.distribution import LEAD_BUCKETS
from serving.models.volume.model import (
    VOLUME_BUNDLE_KIND,
    VOLUME_BUNDLE_SCHEMA,
    forecast_with,
    open_volume_model,
)
from serving.models.volume.outlook import COMPONENTS
from training.config import VolumeConfig
from training.evaluate.origins import KnownHistory, VolumeSource
from training.evaluate.volume_backtest import (
    ALL_QUEUES,
    Backtest,
    judged_windows,
    run_backtest,
    score_table,
    volume_figures,
)
from training.evaluate.volume_windows import order_gains
from training.models.volume.orders import orders_table
from training.registry.artifacts import TrainingResult
from training.service import DAYS
from training.service.calibration import calibrate
from training.service.report import service_table

_GOLDEN_QUEUES = 2
_LEAST_JUDGED_PER_HOUR = 1.0


def train_volume(
    source: VolumeSource,
    *,
    as_of: datetime,
    config: VolumeConfig,
    root: Path,
    now: datetime,
    progress: Callable[[str, float], None] | None = None,
) -> TrainingResult:
    """Back-test on rolling origins, fit on everything known at ``as_of``, and write a bundle.

    Args:
        as_of: What was known then is learnt from, aware UTC.
        now: When it is trained, aware UTC.
        progress: Told what is being done, and the share that is done.

    Raises:
        TooLittleDataError: The history is too short for one origin.
    """
    backtest = run_backtest(source, as_of=as_of, config=config, progress=progress)
    table = score_table(backtest)
    known, events = source.volume(as_of), tuple(source.events(as_of))
    histories = {name: known[name] for name in backtest.queues}
    queues = {name: history.queue for name, history in histories.items()}
    served = calibrate(source.waits(as_of, days=DAYS), queues)
    service = {name: found.service for name, found in served.items()}
    backtest = replace(backtest, state=replace(backtest.state, service=service))
    bad = bad_days_table(histories, backtest.state.effects, events=events, known_by=to_epoch(as_of))
    metrics = {**_metrics(backtest, table), "bad_days": float(len(bad))}
    card = _card(backtest, table, histories, metrics=metrics, as_of=as_of, now=now, config=config)
    with write_artefact(
        root,
        kind=VOLUME_BUNDLE_KIND,
        schema=VOLUME_BUNDLE_SCHEMA,
        created_at=now,
        lineage={"as_of": as_of.isoformat()},
        meta={"card": card},
    ) as folder:
        write_volume_state(folder, backtest.state)
        past = KnownHistory(histories, events, source.orders(as_of))
        _write_golden(folder, past, backtest, as_of=as_of, config=config)
        bundle = root / folder.name.removeprefix(".writing-")
    open_volume_model(bundle).check_golden()
    gains = order_gains(backtest.windows, backtest.queues)
    return TrainingResult(
        model="volume",
        bundle=bundle,
        params={**config.model_dump(), "queues": len(backtest.queues)},
        metrics=metrics,
        tables={
            "accuracy": table,
            "weights": _weights_table(backtest),
            "bad_days": bad,
            "orders": orders_table(backtest.queues, gains, backtest.state.orders.used),
            "service": service_table(served),
        },
        figures=volume_figures(backtest, table),
        lineage={"as_of": as_of.isoformat()},
    )


def _write_golden(
    folder: Path, past: KnownHistory, backtest: Backtest, *, as_of: datetime, config: VolumeConfig
) -> None:
    """Store a request on the busiest queues: they say most about each component."""
    recent = {n: np.nansum(past.queues[n].offered[-2000:]) for n in backtest.queues}
    # Those that use orders come first, so that the flow is replayed too.
    used = backtest.state.orders.used
    names = sorted(recent, key=lambda n: (n not in used, -recent[n], n))[:_GOLDEN_QUEUES]
    until = as_of + timedelta(days=config.horizon_days)
    chosen = {name: past.queues[name] for name in names}
    forecast = forecast_with(
        backtest.state,
        chosen,
        events=past.events,
        orders=past.flow if used else NO_ORDERS,
        made_at=as_of,
        until=until,
    )
    write_golden(
        folder,
        chosen,
        forecast,
        events=past.events,
        orders=past.flow if used else NO_ORDERS,
        until=until,
    )


def _metrics(backtest: Backtest, table: pd.DataFrame) -> dict[str, float]:
    """Return flat metrics; a name ends with its lead, such as ``wape_1-24h``."""
    pooled = table[table["queue"] == ALL_QUEUES].drop(columns=["queue"])
    by_lead: dict[Any, dict[Any, float]] = pooled.set_index("lead").to_dict("index")
    found: dict[str, float] = dict(by_lead["all"])
    for _, _, label in LEAD_BUCKETS:
        if label in by_lead:
            for name in (
                "wape",
                "wape_seasonal_naive",
                "wape_mean4",
                "skill",
                "coverage_80",
                "coverage_80_days",
            ):
                found[f"{name}_{label.replace(' ', '')}"] = by_lead[label][name]
    found["queues_worse_than_seasonal_naive"] = float(len(_worse(table)))
    found["origins"] = float(len({w.origin for w in judged_windows(backtest)}))
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _worse(table: pd.DataFrame) -> list[str]:
    """Return queues with a contact an hour or more that lose to the seasonal baseline."""
    per_hour = table["contacts"] / table["hours"].clip(lower=1)
    judged = table[(per_hour >= _LEAST_JUDGED_PER_HOUR) & (table["queue"] != ALL_QUEUES)]
    return sorted(set(judged.loc[judged["skill"] < 0, "queue"]))


def _card(
    backtest: Backtest,
    table: pd.DataFrame,
    histories: Mapping[str, QueueHistory],
    *,
    metrics: Mapping[str, float],
    as_of: datetime,
    now: datetime,
    config: VolumeConfig,
) -> dict[str, Any]:
    firsts = [int(h.starts[h.observed][0]) for h in histories.values()]
    warnings = [
        f"`{name}` was no better than the same hour of the last week at some lead"
        for name in _worse(table)
    ]
    short = [
        n for n in backtest.queues if not any(w.method == "combined" for w in _of(backtest, n))
    ]
    warnings += [f"`{name}` was too short to be judged by its own back-test" for name in short]
    return {
        "model": "volume",
        "trained_at": now.isoformat(),
        "as_of": as_of.isoformat(),
        "training_start": from_epoch(min(firsts)).isoformat(),
        "training_end": as_of.isoformat(),
        "queues": list(backtest.queues),
        "horizon_days": config.horizon_days,
        "origins": [origin.isoformat() for origin in backtest.origins],
        "metrics": dict(metrics),
        "warnings": warnings,
        "components": list(COMPONENTS),
        "queues_with_orders": list(backtest.state.orders.used),
        "feature_names": list(NAMES),
        "config": config.model_dump(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "lightgbm", "statsforecast")},
        },
    }


def _of(backtest: Backtest, queue: str) -> list[Any]:
    row = backtest.queues.index(queue)
    return [w for w in backtest.windows if w.row == row]


def _weights_table(backtest: Backtest) -> pd.DataFrame:
    names = (*backtest.queues, "any other")
    return pd.DataFrame(
        [
            {"queue": name, "lead": label, **dict(zip(COMPONENTS, weights, strict=True))}
            for name, by_lead in zip(names, backtest.state.weights.tolist(), strict=True)
            for (_, _, label), weights in zip(LEAD_BUCKETS, by_lead, strict=True)
        ]
    )


COLUMNS = tuple(field.name for field in fields(AnomalousDay))


def bad_days_table(
    histories: Mapping[str, QueueHistory],
    effects: DayEffects,
    *,
    events: Sequence[Event],
    known_by: int,
) -> pd.DataFrame:
    """List what no forecast learns from, by queue, oldest first.

    Args:
        known_by: Epoch seconds; an event known later does not exist.

    Returns:
        One row a bad day, with the columns of ``BadDay``; ``day`` is a date of the queue's zone.
    """
    found = [
        astuple(bad)
        for name in sorted(histories)
        for bad in find_anomalies(histories[name], effects, events, known_by=known_by)[1]
    ]
    table = pd.DataFrame(found, columns=list(COLUMNS))
    return table.assign(day=pd.to_datetime(table["day"], unit="D").dt.date)
