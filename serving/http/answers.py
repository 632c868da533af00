"""Forecast answers: from a selection of the published set to bytes.

An answer of one queue and two weeks is some 60 kB. Each queue's intervals are written once per
set and choice of quantiles; an answer is a slice of those bytes behind a short head.
"""

from __future__ import annotations

import csv
import hashlib
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

from features.calendar import Float64, Int64, local_times, moment
from features.contracts import PARTS, QUANTILE_LEVELS
from serving.http.choice import Choice
from serving.http.negotiate import to_json
from serving.http.overrides import Applied, override_ids
from serving.sets.forecast import PublishedForecast

RENDERING = 3
"""Raised when the same set would be written in other bytes: part of every ETag."""

MODEL, OVERRIDE = "model", "override"
"""Values of ``published``: where the mean of an interval comes from."""
VOLUME_DECIMALS = 3
PART_DECIMALS = 7
"""Decimals of parts and of the mean beside them, so that they add up to 1e-6."""
PATH_DECIMALS = 2
AHT_DECIMALS = 1


def quantiles_at(published: Float64, levels: Sequence[float]) -> Float64:
    """Return quantiles at any levels between the published ones, linearly interpolated.

    Args:
        published: Contacts at ``contracts.QUANTILE_LEVELS``, float64[h, 19].
        levels: Levels in [0.05, 0.95].

    Returns:
        Contacts, float64[h, len(levels)].

    >>> quantiles_at(np.arange(19.0)[None], [0.05, 0.075, 0.95]).tolist()
    [[0.0, 0.5, 18.0]]
    """
    step = QUANTILE_LEVELS[1] - QUANTILE_LEVELS[0]
    place = np.round((np.asarray(levels, dtype=np.float64) - QUANTILE_LEVELS[0]) / step, 9)
    low = np.clip(place.astype(np.int64), 0, len(QUANTILE_LEVELS) - 2)
    share = place - low
    mixed: Float64 = published[:, low] * (1 - share) + published[:, low + 1] * share
    return mixed


class IntervalTimes(NamedTuple):
    """The times of each interval as text: in UTC, and on the queue's wall clock."""

    start: list[str]
    end: list[str]
    start_local: list[str]
    end_local: list[str]


def interval_times(forecast: PublishedForecast, rows: slice) -> IntervalTimes:
    """Return the times of some intervals."""
    starts = forecast.starts[rows]
    ends = starts + forecast.interval_seconds
    zone = forecast.queue.time_zone
    return IntervalTimes(
        utc_texts(starts), utc_texts(ends), local_texts(starts, zone), local_texts(ends, zone)
    )


def _text(seconds: Int64) -> list[str]:
    texts: list[str] = np.datetime_as_string(seconds.astype("datetime64[s]")).tolist()
    return texts


def utc_texts(moments: Int64) -> list[str]:
    """Write moments, epoch seconds, as UTC with ``Z``."""
    return [f"{text}Z" for text in _text(moments)]


def local_texts(moments: Int64, zone: str) -> list[str]:
    """Write moments, epoch seconds, on a zone's wall clock with its offset."""
    local = local_times(moments, zone)
    offsets = {offset: _offset(offset) for offset in np.unique(local.offset_seconds).tolist()}
    return [
        text + offsets[offset]
        for text, offset in zip(_text(local.seconds), local.offset_seconds.tolist(), strict=True)
    ]


def _offset(seconds: int) -> str:
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02d}:{minutes:02d}"


def rounded(values: npt.ArrayLike, decimals: int) -> Any:
    """Return values rounded for an answer, without a negative zero; nested as they are."""
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
    """Writes forecast answers; keeps what it has written, up to some bytes, for later requests."""

    def __init__(self, *, cache_bytes: int = 48_000_000) -> None:
        self._cache: OrderedDict[tuple[object, ...], _Written] = OrderedDict()
        self._left = cache_bytes
        self._lock = threading.Lock()

    def json(
        self,
        choice: Choice,
        *,
        quantiles: Sequence[float],
        parts: bool = False,
    ) -> bytes:
        """Return the JSON answer of one selection.

        Quantile levels are ascending, in [0.05, 0.95]; with ``parts`` each interval carries its
        parts and its baseline.
        """
        head, drawn = envelope(choice), choice.drawn
        if drawn.count:
            head["paths"] = {"count": drawn.count, "seed": drawn.seed}
        pieces = [to_json(head)[:-1], b',"queues":[']
        for i, (queue, rows) in enumerate(choice.queues):
            written = self._written(choice, queue, tuple(quantiles), parts=parts)
            pieces += (b"," if i else b"", written.head, written.intervals(rows), b"]")
            if drawn.count:
                pieces += (b',"paths":', _paths_json(drawn.paths[i]))
            pieces.append(b"}")
        pieces.append(b"]}")
        return b"".join(pieces)

    def _written(
        self,
        choice: Choice,
        forecast: PublishedForecast,
        quantiles: tuple[float, ...],
        *,
        parts: bool,
    ) -> _Written:
        name = forecast.queue.queue
        applied = choice.applied.get(name)
        if choice.set.queues.get(name) is not forecast:
            # Made for one request, so nobody asks for it again.
            return _write(forecast, quantiles, parts=parts, applied=applied)
        key = (choice.set.id, name, quantiles, parts, None if applied is None else applied.version)
        with self._lock:
            held = self._cache.get(key)
            if held is not None:
                self._cache.move_to_end(key)
                return held
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
    forecast: PublishedForecast,
    rows: slice,
    quantiles: Sequence[float],
    *,
    parts: bool,
    applied: Applied | None,
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
    forecast: PublishedForecast,
    quantiles: tuple[float, ...],
    *,
    parts: bool,
    applied: Applied | None,
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


def queue_head(forecast: PublishedForecast) -> dict[str, object]:
    """Return what an answer says of a queue before its intervals."""
    return {
        "queue": forecast.queue.queue,
        "channel": forecast.queue.channel,
        "time_zone": forecast.queue.time_zone,
        "interval_minutes": forecast.queue.interval_minutes,
        "method": forecast.method,
        "warnings": list(forecast.warnings),
    }


def envelope(choice: Choice) -> dict[str, object]:
    """Return what an answer says of where its numbers come from."""
    methods = {queue.method for queue, _ in choice.queues}
    return {
        "forecast_set": choice.set.id,
        "base": choice.set.base,
        "made_at": choice.set.made_at,
        "as_of": choice.set.as_of,
        "method": methods.pop() if len(methods) == 1 else "mixed",
        "what_if": choice.what_if,
        "model_version": choice.set.model_version,
        "snapshot": choice.set.snapshot,
        "start": moment(choice.start),
        "end": moment(choice.end),
        "warnings": [*choice.set.warnings, *choice.warnings],
        "overrides": [
            {
                "override_id": layer.override_id,
                "queue": layer.expected.queue,
                "made_by": layer.made.by,
                "made_at": moment(layer.made.at),
                "reason": layer.made.reason,
            }
            for forecast, rows in choice.queues
            if (applied := choice.applied.get(forecast.queue.queue)) is not None
            for layer in applied.counting(forecast.starts[rows])
        ],
    }


def forecast_csv(choice: Choice, *, quantiles: Sequence[float], parts: bool = False) -> bytes:
    """Return the CSV answer of one selection: a row an interval, a column a quantile or part."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(
        ["queue", "start", "end", "start_local", "end_local", "is_open", "volume_mean"]
        + [f"volume_q{level:g}" for level in quantiles]
        + ["aht_seconds", "published", "override_id", "model_mean"]
        + ([f"part_{name}" for name in PARTS] + ["baseline"] if parts else [])
    )
    for forecast, rows in choice.queues:
        name = forecast.queue.queue
        applied = choice.applied.get(name)
        for row in _interval_rows(forecast, rows, quantiles, parts=parts, applied=applied):
            is_open = "true" if row.is_open else "false"
            model_mean = None if row.override_id is None else row.model_mean
            who = (row.published, row.override_id, model_mean)
            numbers = (row.mean, *row.quantiles, row.aht_seconds)
            table.writerow((name, *row[:4], is_open, *numbers, *who, *row.parts))
    return text.getvalue().encode()


def etag(*parts: object) -> str:
    """Return a strong ETag for whatever fixes the bytes of an answer.

    >>> etag("set-1", 5) == etag("set-1", 5), etag("set-1", 5) == etag("set-1", "5")
    (True, False)
    """
    digest = hashlib.blake2b(repr((RENDERING, *parts)).encode("utf-8", "replace"), digest_size=12)
    return f'"{digest.hexdigest()}"'


def matches(if_none_match: str | None, tag: str) -> bool:
    """Return whether an ``If-None-Match`` header names this ETag (weak comparison, RFC 9110)."""
    if if_none_match is None:
        return False
    found = [part.strip().removeprefix("W/") for part in if_none_match.split(",")]
    return "*" in found or tag in found
