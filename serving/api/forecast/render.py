"""Forecast responses: from a selection of the published set to bytes.

A response of one queue and two weeks is some 60 kB. Each queue's intervals are written once per
set and quantiles; a response is a slice of those bytes behind a short head.
"""

from __future__ import annotations

import csv
import io
import itertools
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from features.arrays import Float64, Int64
from features.calendar.clock import from_epoch, local_texts, utc_texts
from features.calendar.queues import Event, opening_text
from serving.api.content import to_json
from serving.forecast.overlay import AppliedOverrides, override_ids
from serving.forecast.selection import Selection
from serving.models.volume.distribution import quantiles_at
from serving.models.volume.forecast import PARTS, QueueForecast
from serving.published.forecast_set import ForecastSet

MODEL, OVERRIDE = "model", "override"
"""Values of ``published``: where the mean of an interval comes from."""
VOLUME_DECIMALS = 3
PART_DECIMALS = 7
"""Decimals of parts and of the mean beside them, so that they add up to 1e-6."""
PATH_DECIMALS = 2
AHT_DECIMALS = 1


class IntervalTimes(NamedTuple):
    """The times of each interval as text: in UTC, and on the queue's wall clock."""

    start: list[str]
    end: list[str]
    start_local: list[str]
    end_local: list[str]


def interval_times(forecast: QueueForecast, rows: slice) -> IntervalTimes:
    """Return the times of some intervals."""
    starts = forecast.starts[rows]
    ends = starts + forecast.interval_seconds
    zone = forecast.queue.time_zone
    return IntervalTimes(
        utc_texts(starts), utc_texts(ends), local_texts(starts, zone), local_texts(ends, zone)
    )


def rounded(values: npt.ArrayLike, decimals: int) -> Any:
    """Return rounded values, without a negative zero; nested as they are."""
    return (np.round(np.asarray(values), decimals) + 0.0).tolist()


@dataclass(frozen=True)
class _Written:
    """One queue's intervals as JSON, joined by commas; interval i ends at ``ends[i]``."""

    head: bytes
    body: bytes
    ends: Int64

    def intervals(self, rows: slice) -> bytes:
        if rows.stop <= rows.start:
            return b""
        first = int(self.ends[rows.start - 1]) + 1 if rows.start else 0
        return self.body[first : int(self.ends[rows.stop - 1])]


class ForecastWriter:
    """Writes forecast responses; stores what it wrote, up to some bytes, for later requests."""

    def __init__(self, *, cache_bytes: int = 48_000_000) -> None:
        self._cache: OrderedDict[tuple[object, ...], _Written] = OrderedDict()
        self._left = cache_bytes
        self._lock = threading.Lock()

    def json(
        self,
        selection: Selection,
        *,
        quantiles: Sequence[float],
        parts: bool = False,
    ) -> bytes:
        """Return one selection as JSON.

        Quantile levels are ascending, in [0.05, 0.95]; with ``parts`` each interval carries its
        parts and its baseline.
        """
        head, paths = envelope(selection), selection.paths
        if paths.count:
            head["paths"] = {"count": paths.count, "seed": paths.seed}
        pieces = [to_json(head)[:-1], b',"queues":[']
        for i, (queue, rows) in enumerate(selection.queues):
            written = self._written(selection, queue, tuple(quantiles), parts=parts)
            pieces += (b"," if i else b"", written.head, written.intervals(rows), b"]")
            if paths.count:
                pieces += (b',"paths":', _paths_json(paths.by_queue[i]))
            pieces.append(b"}")
        pieces.append(b"]}")
        return b"".join(pieces)

    def _written(
        self,
        selection: Selection,
        forecast: QueueForecast,
        quantiles: tuple[float, ...],
        *,
        parts: bool,
    ) -> _Written:
        name = forecast.queue.queue
        applied = selection.applied.get(name)
        if selection.set.queues.get(name) is not forecast:
            # It exists for one request, so no other can use it.
            return _write(forecast, quantiles, parts=parts, applied=applied)
        key = (
            selection.set.id,
            name,
            quantiles,
            parts,
            None if applied is None else applied.version,
        )
        with self._lock:
            cached = self._cache.get(key)
            if cached is not None:
                self._cache.move_to_end(key)
                return cached
        written = _write(forecast, quantiles, parts=parts, applied=applied)
        with self._lock:
            if key not in self._cache:
                self._cache[key] = written
                self._left -= len(written.body)
            while self._left < 0 and len(self._cache) > 1:
                self._left += len(self._cache.popitem(last=False)[1].body)
        return written


def _paths_json(values: Float64) -> bytes:
    decimals = np.ascontiguousarray(np.round(values, PATH_DECIMALS) + 0.0)
    return orjson.dumps(decimals, option=orjson.OPT_SERIALIZE_NUMPY)


class _Interval(NamedTuple):
    """One interval as it is written."""

    start: str
    end: str
    start_local: str
    end_local: str
    is_open: bool
    mean: float
    quantiles: list[float]
    aht_seconds: float
    published: str
    override_id: str | None
    model_mean: float
    parts: tuple[float, ...]


def _interval_rows(
    forecast: QueueForecast,
    rows: slice,
    quantiles: Sequence[float],
    *,
    parts: bool,
    applied: AppliedOverrides | None,
) -> Iterator[_Interval]:
    """Yield some intervals of one queue; with ``parts`` the baseline is the last of them."""
    ids = override_ids(forecast.starts[rows], applied)
    # The parts go on explaining the model.
    model_mean = rounded(forecast.parts[rows].sum(axis=1), VOLUME_DECIMALS)
    split: Iterable[tuple[float, ...]] = itertools.repeat(())
    if parts:
        by_part = rounded(forecast.parts[rows].T, PART_DECIMALS)
        split = zip(*by_part, rounded(forecast.baseline[rows], VOLUME_DECIMALS), strict=True)
    return map(
        _Interval,
        *interval_times(forecast, rows),
        forecast.is_open[rows].tolist(),
        rounded(forecast.mean[rows], PART_DECIMALS if parts else VOLUME_DECIMALS),
        rounded(quantiles_at(forecast.quantiles[rows], quantiles), VOLUME_DECIMALS),
        rounded(forecast.aht_seconds[rows], AHT_DECIMALS),
        (MODEL if id is None else OVERRIDE for id in ids),
        ids,
        model_mean,
        split,
    )


def _write(
    forecast: QueueForecast,
    quantiles: tuple[float, ...],
    *,
    parts: bool,
    applied: AppliedOverrides | None,
) -> _Written:
    """Write all intervals of one queue."""
    names = [f"{level:g}" for level in quantiles]
    every = slice(0, len(forecast.starts))
    intervals = [
        orjson.dumps(_interval_json(row, names))
        for row in _interval_rows(forecast, every, quantiles, parts=parts, applied=applied)
    ]
    ends = np.cumsum([len(text) + 1 for text in intervals], dtype=np.int64) - 1
    head = orjson.dumps(queue_head(forecast))[:-1] + b',"intervals":['
    return _Written(head, b",".join(intervals), ends)


def _interval_json(row: _Interval, quantile_names: list[str]) -> dict[str, object]:
    interval: dict[str, object] = {
        "start": row.start,
        "end": row.end,
        "start_local": row.start_local,
        "end_local": row.end_local,
        "is_open": row.is_open,
        "volume": {
            "mean": row.mean,
            "quantiles": dict(zip(quantile_names, row.quantiles, strict=True)),
        },
        "aht_seconds": row.aht_seconds,
        "published": row.published,
    }
    if row.override_id is not None:
        interval |= {"override_id": row.override_id, "model_mean": row.model_mean}
    if row.parts:
        parts = dict(zip(PARTS, row.parts[:-1], strict=True))
        interval |= {"parts": parts, "baseline": row.parts[-1]}
    return interval


def queue_head(forecast: QueueForecast) -> dict[str, object]:
    """Return what stands before a queue's intervals."""
    return {
        "queue": forecast.queue.queue,
        "channel": forecast.queue.channel,
        "time_zone": forecast.queue.time_zone,
        "interval_minutes": forecast.queue.interval_minutes,
        "method": forecast.method,
        "warnings": list(forecast.warnings),
    }


def envelope(selection: Selection) -> dict[str, object]:
    """Return where the numbers of a response come from."""
    methods = {queue.method for queue, _ in selection.queues}
    return {
        "forecast_set": selection.set.id,
        "base": selection.set.base,
        "made_at": selection.set.made_at,
        "as_of": selection.set.as_of,
        "method": methods.pop() if len(methods) == 1 else "mixed",
        "what_if": selection.what_if,
        "model_version": selection.set.model_version,
        "snapshot": selection.set.snapshot,
        "start": from_epoch(selection.start),
        "end": from_epoch(selection.end),
        "warnings": [*selection.set.warnings, *selection.warnings],
        "overrides": [
            {
                "override_id": override.override_id,
                "queue": override.expected.queue,
                "made_by": override.made.by,
                "made_at": from_epoch(override.made.at),
                "reason": override.made.reason,
            }
            for forecast, rows in selection.queues
            if (applied := selection.applied.get(forecast.queue.queue)) is not None
            for override in applied.counting(forecast.starts[rows])
        ],
    }


def forecast_csv(selection: Selection, *, quantiles: Sequence[float], parts: bool = False) -> bytes:
    """Return one selection as CSV: a row an interval, a column a quantile or part."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(
        ["queue", "start", "end", "start_local", "end_local", "is_open", "volume_mean"]
        + [f"volume_q{level:g}" for level in quantiles]
        + ["aht_seconds", "published", "override_id", "model_mean"]
        + ([f"part_{name}" for name in PARTS] + ["baseline"] if parts else [])
    )
    for forecast, rows in selection.queues:
        name = forecast.queue.queue
        applied = selection.applied.get(name)
        for row in _interval_rows(forecast, rows, quantiles, parts=parts, applied=applied):
            is_open = "true" if row.is_open else "false"
            model_mean = None if row.override_id is None else row.model_mean
            source = (row.published, row.override_id, model_mean)
            numbers = (row.mean, *row.quantiles, row.aht_seconds)
            table.writerow((name, *row[:4], is_open, *numbers, *source, *row.parts))
    return text.getvalue().encode()


def queues(forecast: ForecastSet) -> dict[str, Any]:
    """Return the queues of a forecast set, as ``GET /v1/queues`` gives them."""
    return {
        "forecast_set": forecast.id,
        "queues": [_queue_json(queue) for queue in forecast.queues.values()],
    }


def _queue_json(forecast: QueueForecast) -> dict[str, Any]:
    queue = forecast.queue
    published = len(forecast.starts) > 0
    return {
        "queue": queue.queue,
        "name": queue.name,
        "channel": queue.channel,
        "time_zone": queue.time_zone,
        "interval_minutes": queue.interval_minutes,
        "opening": opening_text(queue),
        "opening_source": queue.opening_source,
        "goal": {"service_level": queue.goal_share, "threshold_seconds": queue.goal_seconds},
        "patience_seconds": queue.patience_seconds,
        "method": forecast.method,
        "start": from_epoch(forecast.starts[0]) if published else None,
        "end": from_epoch(forecast.starts[-1] + forecast.interval_seconds) if published else None,
        "warnings": list(forecast.warnings),
    }


def events(forecast: ForecastSet) -> dict[str, Any]:
    """Return the calendar events of a forecast set, as ``GET /v1/events`` gives them."""
    ordered = sorted(forecast.events, key=lambda event: (event.starts_at, event.event_id))
    return {"forecast_set": forecast.id, "events": [_event_json(event) for event in ordered]}


def _event_json(event: Event) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "kind": event.kind,
        "starts_at": from_epoch(event.starts_at),
        "ends_at": from_epoch(event.ends_at),
        "known_at": from_epoch(event.known_at),
        "queues": list(event.queues) or None,
        "size": event.size,
    }
