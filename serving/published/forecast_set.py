"""The forecast set: every queue's published forecast, interval by interval.

- ``forecast.arrow``: one row a queue and interval, sorted by queue name, then start, with the
  columns of ``QueueForecast`` by interval; ``quantiles`` and ``parts`` are lists of fixed size.
- ``queues.json``: one object a queue, in row order, with its count of ``rows`` and all else.
- ``events.json``: the calendar events that were known.
- ``manifest.json``: ``meta`` holds ``made_at``, ``as_of``, ``model_version``, ``warnings``, and
  ``base``: the id of the full set that an intraday set corrects, else null.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from features.arrays import Float64
from features.arrow import one_chunk, read_arrow, write_arrow
from features.artefact import Artefact, open_artefact, open_current, write_artefact
from features.calendar.clock import from_epoch
from features.calendar.queues import Event, event_from_json, queue_from_json, queue_to_json
from features.errors import DamagedArtefactError, UnknownNameError
from features.volume.history import QUARTERS
from serving.models.volume.calendar_effects import DayEffects
from serving.models.volume.distribution import QUANTILE_LEVELS, shape_from_json, shape_to_json
from serving.models.volume.forecast import PARTS, QueueForecast, VolumeForecast
from serving.published import PublishedSet
from serving.staffing.queue_model import ServiceCalibration

FORECAST_SET_KIND = "forecast-set"
FORECAST_SET_SCHEMA = 3
FORECAST_FILE = "forecast.arrow"
QUEUES_FILE = "queues.json"
EVENTS_FILE = "events.json"
_LEVELS = len(QUANTILE_LEVELS)
_PART_TOLERANCE = 1e-6


@dataclass(frozen=True)
class ForecastSet(PublishedSet):
    """One published forecast set, verified and mapped into memory.

    Attributes:
        made_at: When the forecast was made: leads count from here.
        as_of: The moment up to which events were known to it.
        base: Id of the full set that this one corrects with what came since; None for a full one.
        queues: The forecasts by queue name, sorted by name.
    """

    made_at: datetime
    as_of: datetime
    model_version: str
    snapshot: str
    horizon_start: datetime
    horizon_end: datetime
    events: tuple[Event, ...]
    base: str | None
    queues: Mapping[str, QueueForecast]
    warnings: tuple[str, ...]

    def queue(self, name: str, *, field: str | None = None) -> QueueForecast:
        """Return one queue's forecast.

        Raises:
            UnknownNameError: The set has no such queue; the message suggests near names.
        """
        if name not in self.queues:
            raise UnknownNameError("queue", name, self.queues, field=field)
        return self.queues[name]


def write_forecast_set(
    root: Path,
    *,
    forecast: VolumeForecast | ForecastSet,
    snapshot: str,
    model_version: str,
    warnings: tuple[str, ...] = (),
    base: str | None = None,
    now: datetime,
) -> str:
    """Write one forecast set; ``CURRENT`` is not touched.

    Args:
        forecast: What the model forecast, or a published set that was corrected.
        base: Id of the full set that it corrects, if it does.

    Raises:
        DamagedArtefactError: The forecast breaks its own rules; nothing was written.
    """
    queues = [forecast.queues[name] for name in sorted(forecast.queues)]
    for queue in queues:
        _check_forecast(queue, model_version=model_version)
    meta: dict[str, Any] = {
        "made_at": forecast.made_at.isoformat(),
        "as_of": forecast.as_of.isoformat(),
        "model_version": model_version,
        "base": base,
        "warnings": list(warnings),
        "queues": len(queues),
        "rows": sum(len(q.starts) for q in queues),
    }
    with write_artefact(
        root,
        kind=FORECAST_SET_KIND,
        schema=FORECAST_SET_SCHEMA,
        created_at=now,
        lineage={"snapshot": snapshot, "bundle": model_version},
        meta=meta,
    ) as folder:
        write_arrow(folder / FORECAST_FILE, _to_table(queues))
        _write_json(folder / QUEUES_FILE, [_queue_to_json(queue) for queue in queues])
        _write_json(folder / EVENTS_FILE, [asdict(event) for event in forecast.events])
    return folder.name.removeprefix(".writing-")


def _write_json(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")


def _queue_to_json(forecast: QueueForecast) -> dict[str, Any]:
    return {
        "queue": queue_to_json(forecast.queue),
        "rows": len(forecast.starts),
        "method": forecast.method,
        "warnings": list(forecast.warnings),
        "shape": shape_to_json(forecast.shape),
        "effects": asdict(forecast.effects),
        "quarters": forecast.quarters.tolist(),
        "service": asdict(forecast.service),
    }


def _check_forecast(forecast: QueueForecast, *, model_version: str) -> None:
    """Refuse a forecast that no planner should see."""
    mean, quantiles = forecast.mean, forecast.quantiles
    rules = {
        "starts that do not ascend": (np.diff(forecast.starts) > 0).all(),
        "a mean that is negative or no number": _are_counts(mean),
        "contacts where it is closed": (mean[~forecast.is_open] == 0).all(),
        "a quantile that is negative or no number": _are_counts(quantiles),
        "quantiles that cross": (np.diff(quantiles, axis=1) >= 0).all(),
        "parts that do not add up to the mean": (
            np.abs(forecast.parts.sum(axis=1) - mean) <= _PART_TOLERANCE
        ).all(),
        "a baseline that is negative or no number": _are_counts(forecast.baseline),
        "contacts without an AHT above 0": (forecast.aht_seconds[mean > 0] > 0).all(),
        "shares of quarters that are negative or do not add up to 1": (
            (forecast.quarters >= 0).all()
            and (np.abs(forecast.quarters.sum(axis=1) - 1) <= _PART_TOLERANCE).all()
        ),
    }
    for wrong, holds in rules.items():
        if not holds:
            raise DamagedArtefactError(
                f"forecast of queue `{forecast.queue.queue}` by bundle `{model_version}`",
                got=wrong,
                remedy="train and promote the model again",
            )


def _are_counts(values: Float64) -> bool:
    return bool((np.isfinite(values) & (values >= 0)).all())


def _to_table(queues: Sequence[QueueForecast]) -> pa.Table:
    def joined(field: str, dtype: Any = np.float64) -> pa.Array:
        values = [getattr(queue, field).reshape(-1) for queue in queues]
        return pa.array(np.concatenate([np.empty(0, dtype=dtype), *values]))

    names = pa.array([q.queue.queue for q in queues], pa.string())
    which = np.repeat(np.arange(len(queues), dtype=np.int32), [len(q.starts) for q in queues])
    lists = pa.FixedSizeListArray.from_arrays
    return pa.table(
        {
            "queue": pa.DictionaryArray.from_arrays(pa.array(which, pa.int32()), names),
            "interval_start": joined("starts", np.int64).cast(pa.timestamp("s", tz="UTC")),
            "is_open": joined("is_open", np.bool_),
            "mean": joined("mean"),
            "quantiles": lists(joined("quantiles"), _LEVELS),
            "parts": lists(joined("parts"), len(PARTS)),
            "baseline": joined("baseline"),
            "aht_seconds": joined("aht_seconds"),
        }
    )


def open_forecast_set(path: Path) -> ForecastSet:
    """Verify and map one forecast set.

    Raises:
        ArtefactError: It is damaged or of another contract.
    """
    return _read_set(open_artefact(path, kind=FORECAST_SET_KIND, schema=FORECAST_SET_SCHEMA))


def open_current_forecast_set(root: Path) -> ForecastSet:
    """Verify and map the forecast set that ``CURRENT`` names.

    Raises:
        NotPublishedError: None was published.
        ArtefactError: It is damaged or of another contract.
    """
    return _read_set(open_current(root, kind=FORECAST_SET_KIND, schema=FORECAST_SET_SCHEMA))


def _read_set(artefact: Artefact) -> ForecastSet:
    queues = _read_queues(artefact)
    made_at = datetime.fromisoformat(artefact.meta["made_at"])
    some = [f for f in queues.values() if len(f.starts)]
    return ForecastSet(
        artefact=artefact,
        made_at=made_at,
        as_of=datetime.fromisoformat(artefact.meta["as_of"]),
        model_version=artefact.meta["model_version"],
        snapshot=artefact.lineage["snapshot"],
        horizon_start=min((from_epoch(f.starts[0]) for f in some), default=made_at),
        horizon_end=max(
            (from_epoch(f.starts[-1] + f.interval_seconds) for f in some), default=made_at
        ),
        events=tuple(event_from_json(e) for e in artefact.json(EVENTS_FILE)),
        base=artefact.meta["base"],
        queues=queues,
        warnings=tuple(artefact.meta["warnings"]),
    )


def _read_queues(artefact: Artefact) -> dict[str, QueueForecast]:
    table = read_arrow(artefact.file(FORECAST_FILE))
    mapped = {name: one_chunk(table.column(name)) for name in table.column_names}
    columns = {name: mapped[name].to_numpy() for name in ("mean", "baseline", "aht_seconds")} | {
        "starts": mapped["interval_start"].cast(pa.int64()).to_numpy(),
        "is_open": mapped["is_open"].to_numpy(zero_copy_only=False),
        "quantiles": mapped["quantiles"].values.to_numpy().reshape(-1, _LEVELS),
        "parts": mapped["parts"].values.to_numpy().reshape(-1, len(PARTS)),
    }
    queues: dict[str, QueueForecast] = {}
    first = 0
    for document in artefact.json(QUEUES_FILE):
        rows = slice(first, first + int(document["rows"]))
        first = rows.stop
        queue = queue_from_json(document["queue"])
        queues[queue.queue] = QueueForecast(
            queue=queue,
            **{name: values[rows] for name, values in columns.items()},
            shape=shape_from_json(document["shape"]),
            effects=DayEffects(**document["effects"]),
            method=document["method"],
            warnings=tuple(document["warnings"]),
            quarters=np.array(document["quarters"], dtype=np.float64).reshape(QUARTERS),
            service=ServiceCalibration(**document["service"]),
        )
    if first != table.num_rows:
        raise DamagedArtefactError(
            f"{artefact.kind} `{artefact.id}`",
            got=f"{first} rows in `{QUEUES_FILE}` and {table.num_rows} in `{FORECAST_FILE}`",
            expected="the same",
            remedy="publish it again",
        )
    return queues
