"""The forecast set: every queue's published forecast, interval by interval.

Layout of the folder:

- ``forecast.arrow``: one row a queue and interval, sorted by queue name, then start. Columns
  ``queue``, ``interval_start`` (timestamp[s, UTC]), ``is_open``, ``mean`` (contacts),
  ``quantiles`` (19 float64 at ``contracts.QUANTILE_LEVELS``, contacts), ``parts`` (float64 by
  ``contracts.PARTS``, contacts, summing to the mean), ``baseline`` (the same hour of the last
  observed week, contacts), ``aht_seconds``. Arrow IPC in one uncompressed batch, mapped into
  memory.
- ``queues.json``: one object a queue, in row order: the queue itself, ``rows``, ``method``,
  ``warnings``, the ``shape`` of its distribution, the ``effects`` of special days on it, the
  shares of an hour's contacts by ``quarters`` and how it was served (``service``).
- ``events.json``: the calendar events that were known.
- ``manifest.json``: ``meta`` holds ``made_at``, ``as_of``, ``model_version``, ``warnings``, and
  ``base``: the id of the full set that an intraday set corrects, else null; ``lineage`` holds
  ``snapshot`` and ``bundle``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from features.artefact import Artefact, open_artefact, open_current, writing
from features.calendar import Bool, Event, Float64, Int64, Queue, moment
from features.contracts import PARTS, QUANTILE_LEVELS
from features.errors import DamagedArtefactError, UnknownNameError
from features.snapshot import (
    QUARTERS,
    event_from_json,
    queue_from_json,
    queue_to_json,
    read_arrow,
    write_arrow,
)
from serving.models.volume.effects import DayEffects
from serving.models.volume.quarters import flat_quarters
from serving.models.volume.service import UNKNOWN, Service, service_from_json, service_to_json
from serving.models.volume.shape import Shape, shape_from_json, shape_to_json
from serving.sets.mapped import one_chunk

if TYPE_CHECKING:
    from serving.models.volume.model import QueueForecast, VolumeForecast

FORECAST_SET_KIND = "forecast-set"
FORECAST_SET_SCHEMA = 3
FORECAST_FILE = "forecast.arrow"
QUEUES_FILE = "queues.json"
EVENTS_FILE = "events.json"
_LEVELS = len(QUANTILE_LEVELS)
_PART_TOLERANCE = 1e-6


@dataclass(frozen=True)
class PublishedForecast:
    """One queue's published forecast; h intervals, ascending, without a hole.

    Attributes:
        queue: The queue, with its clock, opening hours and goals.
        starts: Interval starts, epoch seconds UTC, int64[h].
        is_open: Whether the queue is open in any part of the interval, bool[h].
        mean: Expected contacts in the interval, float64[h]; 0 where closed.
        quantiles: Contacts at ``contracts.QUANTILE_LEVELS``, float64[h, 19], never crossing.
        parts: What the mean is the sum of, float64[h, len(contracts.PARTS)], contacts.
        baseline: The same hour of the last observed week, float64[h].
        aht_seconds: Expected average handle time, float64[h].
        shape: The distribution around the mean.
        effects: Effects of special days on the queue.
        method: How it was made, such as ``baseline``.
        warnings: What a reader should know, in words.
        quarters: Share of an hour's contacts that comes in each of its quarters, by hour of the
            local week from Monday 00:00, float64[168, 4]; each row adds up to 1.
        service: How the queue was served.
    """

    queue: Queue
    starts: Int64
    is_open: Bool
    mean: Float64
    quantiles: Float64
    parts: Float64
    baseline: Float64
    aht_seconds: Float64
    shape: Shape
    effects: DayEffects
    method: str
    warnings: tuple[str, ...]
    quarters: Float64 = field(default_factory=flat_quarters)
    service: Service = UNKNOWN

    @property
    def interval_seconds(self) -> int:
        """Length of one interval, seconds."""
        return self.queue.interval_minutes * 60

    def rows(self, start: int, end: int) -> slice:
        """Return the rows of the intervals that begin in [start, end).

        Args:
            start: Epoch seconds.
            end: Epoch seconds, excluded.
        """
        first, last = np.searchsorted(self.starts, (start, end))
        return slice(int(first), max(int(first), int(last)))


@dataclass(frozen=True)
class ForecastSet:
    """One published forecast set, verified and mapped into memory.

    Attributes:
        artefact: The verified folder; its ``id`` names the set.
        made_at: When the forecast was made: leads count from here.
        as_of: The moment up to which events were known to it.
        model_version: Id of the volume bundle that made it.
        snapshot: Id of the feature snapshot it was made from.
        horizon_start: Start of the earliest interval.
        horizon_end: End of the latest interval.
        events: Calendar events that were known to it.
        base: Id of the full set that this one corrects with what came since; None for a full one.
        queues: The forecasts by queue name, sorted by name.
        warnings: What a reader should know of the whole set.
    """

    artefact: Artefact
    made_at: datetime
    as_of: datetime
    model_version: str
    snapshot: str
    horizon_start: datetime
    horizon_end: datetime
    events: tuple[Event, ...]
    base: str | None
    queues: Mapping[str, PublishedForecast]
    warnings: tuple[str, ...]

    @property
    def id(self) -> str:
        """Name of the set."""
        return self.artefact.id

    @property
    def created_at(self) -> datetime:
        """When it was published, aware UTC."""
        return self.artefact.created_at

    def queue(self, name: str, *, field: str | None = None) -> PublishedForecast:
        """Return one queue's forecast.

        Args:
            name: The queue's name.
            field: Path of the request's field, for the error.

        Raises:
            UnknownNameError: The set has no such queue; the message suggests near names.
        """
        found = self.queues.get(name)
        if found is None:
            raise UnknownNameError("queue", name, self.queues, field=field)
        return found


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
        root: Folder of all forecast sets.
        forecast: What the model forecast, or a published set that was corrected.
        snapshot: Id of the snapshot it was made from.
        model_version: Id of the bundle that made it.
        warnings: What a reader should know of the whole set.
        base: Id of the full set that it corrects, if it does.
        now: The time, aware UTC.

    Returns:
        The new set's id.

    Raises:
        DamagedArtefactError: The forecast breaks its own rules; nothing was written.
    """
    of: Mapping[str, QueueForecast | PublishedForecast] = forecast.queues
    queues = [of[name] for name in sorted(of)]
    for queue in queues:
        _check(queue, model_version=model_version)
    meta: dict[str, Any] = {
        "made_at": forecast.made_at.isoformat(),
        "as_of": forecast.as_of.isoformat(),
        "model_version": model_version,
        "base": base,
        "warnings": list(warnings),
        "queues": len(queues),
        "rows": sum(len(q.starts) for q in queues),
    }
    lineage = {"snapshot": snapshot, "bundle": model_version}
    with writing(
        root,
        kind=FORECAST_SET_KIND,
        schema=FORECAST_SET_SCHEMA,
        created_at=now,
        lineage=lineage,
        meta=meta,
    ) as folder:
        write_arrow(folder / FORECAST_FILE, _to_table(queues))
        documents = [
            {
                "queue": queue_to_json(q.queue),
                "rows": len(q.starts),
                "method": q.method,
                "warnings": list(q.warnings),
                "shape": shape_to_json(q.shape),
                "effects": asdict(q.effects),
                "quarters": q.quarters.tolist(),
                "service": service_to_json(q.service),
            }
            for q in queues
        ]
        (folder / QUEUES_FILE).write_text(
            json.dumps(documents, ensure_ascii=False), encoding="utf-8"
        )
        (folder / EVENTS_FILE).write_text(
            json.dumps([asdict(event) for event in forecast.events], ensure_ascii=False),
            encoding="utf-8",
        )
    return folder.name.removeprefix(".writing-")


def _check(forecast: QueueForecast | PublishedForecast, *, model_version: str) -> None:
    """Refuse a forecast that no planner should see."""
    mean, quantiles = forecast.mean, forecast.quantiles
    rules = {
        "starts that do not ascend": (np.diff(forecast.starts) > 0).all(),
        "a mean that is negative or no number": (np.isfinite(mean) & (mean >= 0)).all(),
        "contacts where it is closed": (mean[~forecast.is_open] == 0).all(),
        "a quantile that is negative or no number": (
            np.isfinite(quantiles) & (quantiles >= 0)
        ).all(),
        "quantiles that cross": (np.diff(quantiles, axis=1) >= 0).all(),
        "parts that do not add up to the mean": (
            np.abs(forecast.parts.sum(axis=1) - mean) <= _PART_TOLERANCE
        ).all(),
        "a baseline that is negative or no number": (
            np.isfinite(forecast.baseline) & (forecast.baseline >= 0)
        ).all(),
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


def _to_table(queues: Sequence[QueueForecast | PublishedForecast]) -> pa.Table:
    def joined(parts: list[Any], dtype: Any) -> Any:
        return np.concatenate([np.empty(0, dtype=dtype), *parts])

    quantiles = joined([q.quantiles.reshape(-1) for q in queues], np.float64)
    names = pa.array([q.queue.queue for q in queues], pa.string())
    which = np.repeat(np.arange(len(queues), dtype=np.int32), [len(q.starts) for q in queues])
    starts = pa.array(joined([q.starts for q in queues], np.int64))
    return pa.table(
        {
            "queue": pa.DictionaryArray.from_arrays(pa.array(which, pa.int32()), names),
            "interval_start": starts.cast(pa.timestamp("s", tz="UTC")),
            "is_open": pa.array(joined([q.is_open for q in queues], np.bool_)),
            "mean": pa.array(joined([q.mean for q in queues], np.float64)),
            "quantiles": pa.FixedSizeListArray.from_arrays(pa.array(quantiles), _LEVELS),
            "parts": pa.FixedSizeListArray.from_arrays(
                pa.array(joined([q.parts.reshape(-1) for q in queues], np.float64)), len(PARTS)
            ),
            "baseline": pa.array(joined([q.baseline for q in queues], np.float64)),
            "aht_seconds": pa.array(joined([q.aht_seconds for q in queues], np.float64)),
        }
    )


def open_forecast_set(path: Path) -> ForecastSet:
    """Verify and map one forecast set.

    Raises:
        ArtefactError: It is damaged or of another contract.
    """
    return _read(open_artefact(path, kind=FORECAST_SET_KIND, schema=FORECAST_SET_SCHEMA))


def open_current_forecast_set(root: Path) -> ForecastSet:
    """Verify and map the forecast set that ``CURRENT`` names.

    Raises:
        NotPublishedError: None was published.
        ArtefactError: It is damaged or of another contract.
    """
    return _read(open_current(root, kind=FORECAST_SET_KIND, schema=FORECAST_SET_SCHEMA))


def _read(artefact: Artefact) -> ForecastSet:
    table = read_arrow(artefact.file(FORECAST_FILE))
    columns = {name: one_chunk(table.column(name)) for name in table.column_names}
    starts = columns["interval_start"].cast(pa.int64()).to_numpy()
    is_open = columns["is_open"].to_numpy(zero_copy_only=False)
    mean, aht = columns["mean"].to_numpy(), columns["aht_seconds"].to_numpy()
    quantiles = columns["quantiles"].values.to_numpy().reshape(-1, _LEVELS)
    parts = columns["parts"].values.to_numpy().reshape(-1, len(PARTS))
    baseline = columns["baseline"].to_numpy()
    queues: dict[str, PublishedForecast] = {}
    first = 0
    for document in artefact.json(QUEUES_FILE):
        rows = slice(first, first + int(document["rows"]))
        first = rows.stop
        queue = queue_from_json(document["queue"])
        queues[queue.queue] = PublishedForecast(
            queue=queue,
            starts=starts[rows],
            is_open=is_open[rows],
            mean=mean[rows],
            quantiles=quantiles[rows],
            parts=parts[rows],
            baseline=baseline[rows],
            aht_seconds=aht[rows],
            shape=shape_from_json(document["shape"]),
            effects=DayEffects(**document["effects"]),
            method=document["method"],
            warnings=tuple(document["warnings"]),
            quarters=np.array(document["quarters"], dtype=np.float64).reshape(QUARTERS),
            service=service_from_json(document["service"]),
        )
    if first != table.num_rows:
        raise DamagedArtefactError(
            f"{artefact.kind} `{artefact.id}`",
            got=f"{first} rows in `{QUEUES_FILE}` and {table.num_rows} in `{FORECAST_FILE}`",
            expected="the same",
            remedy="publish it again",
        )
    made_at = datetime.fromisoformat(artefact.meta["made_at"])
    some = [f for f in queues.values() if len(f.starts)]
    return ForecastSet(
        artefact=artefact,
        made_at=made_at,
        as_of=datetime.fromisoformat(artefact.meta["as_of"]),
        model_version=artefact.meta["model_version"],
        snapshot=artefact.lineage["snapshot"],
        horizon_start=min((moment(f.starts[0]) for f in some), default=made_at),
        horizon_end=max((moment(f.starts[-1] + f.interval_seconds) for f in some), default=made_at),
        events=tuple(event_from_json(e) for e in artefact.json(EVENTS_FILE)),
        base=artefact.meta["base"],
        queues=queues,
        warnings=tuple(artefact.meta["warnings"]),
    )
