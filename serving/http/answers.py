"""Forecast answers: from a request and the published set to bytes.

An answer of one queue and two weeks is some 60 kB, so its JSON is not made per request: each
queue's intervals are written once per set and choice of quantiles, and an answer is a slice of
those bytes behind a short head.
"""

from __future__ import annotations

import csv
import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class IntervalTimes:
    """The four times of each interval, as text.

    Attributes:
        start: UTC, with ``Z``.
        end: UTC, excluded.
        start_local: On the queue's wall clock, with its offset.
        end_local: On the queue's wall clock, with its offset.
    """

    start: list[str]
    end: list[str]
    start_local: list[str]
    end_local: list[str]


def interval_times(forecast: PublishedForecast, rows: slice) -> IntervalTimes:
    """Write the times of some intervals."""
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
    """Writes forecast answers, keeping what it has written for the next request.

    Args:
        cache_bytes: Most bytes kept.
    """

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
        """Return the JSON answer of one choice.

        Args:
            choice: What was asked for.
            quantiles: Levels in [0.05, 0.95], ascending.
            parts: Whether each interval carries its parts and its baseline.
        """
        head, drawn = envelope(choice), choice.drawn
        if drawn.count:
            head["paths"] = {"count": drawn.count, "seed": drawn.seed}
        pieces = [to_json(head)[:-1], b',"queues":[']
        for i, (queue, rows) in enumerate(choice.queues):
            applied = choice.applied.get(queue.queue.queue)
            written = (
                _write(queue, tuple(quantiles), parts=parts, applied=applied)
                # Made for one request, so nobody asks for it again.
                if choice.set.queues.get(queue.queue.queue) is not queue
                else self._written(
                    choice.set.id, queue, tuple(quantiles), parts=parts, applied=applied
                )
            )
            pieces += (b"," if i else b"", written.head, written.intervals(rows), b"]")
            if drawn.count:
                pieces += (b',"paths":', _paths(drawn.paths[i]))
            pieces.append(b"}")
        pieces.append(b"]}")
        return b"".join(pieces)

    def _written(
        self,
        set_id: str,
        forecast: PublishedForecast,
        quantiles: tuple[float, ...],
        *,
        parts: bool,
        applied: Applied | None,
    ) -> _Written:
        layers = None if applied is None else applied.version
        key = (set_id, forecast.queue.queue, quantiles, parts, layers)
        with self._lock:
            found = self._cache.get(key)
            if found is not None:
                self._cache.move_to_end(key)
                return found
        written = _write(forecast, quantiles, parts=parts, applied=applied)
        with self._lock:
            if key not in self._cache:
                self._cache[key] = written
                self._left -= len(written.body)
            while self._left < 0 and len(self._cache) > 1:
                self._left += len(self._cache.popitem(last=False)[1].body)
        return written


def _paths(values: Float64) -> bytes:
    rounded = np.ascontiguousarray(np.round(values, PATH_DECIMALS) + 0.0)
    return orjson.dumps(rounded, option=orjson.OPT_SERIALIZE_NUMPY)


def _write(
    forecast: PublishedForecast,
    quantiles: tuple[float, ...],
    *,
    parts: bool,
    applied: Applied | None,
) -> _Written:
    """Write all intervals of one queue."""
    every = slice(0, len(forecast.starts))
    times = interval_times(forecast, every)
    names = [f"{level:g}" for level in quantiles]
    levels = rounded(quantiles_at(forecast.quantiles, quantiles), VOLUME_DECIMALS)
    split = part_columns(forecast, every) if parts else {}
    rows = zip(*split.values(), strict=True) if parts else ((),) * len(forecast.starts)
    intervals = [
        orjson.dumps(
            {
                "start": start,
                "end": end,
                "start_local": start_local,
                "end_local": end_local,
                "is_open": is_open,
                "volume": {"mean": mean, "quantiles": dict(zip(names, values, strict=True))},
                "aht_seconds": aht,
            }
            | who
            | _parts(tuple(split), row)
        )
        for start, end, start_local, end_local, is_open, mean, values, aht, who, row in zip(
            times.start,
            times.end,
            times.start_local,
            times.end_local,
            forecast.is_open.tolist(),
            rounded(forecast.mean, PART_DECIMALS if parts else VOLUME_DECIMALS),
            levels,
            rounded(forecast.aht_seconds, AHT_DECIMALS),
            published(forecast, every, applied),
            rows,
            strict=True,
        )
    ]
    ends = np.cumsum([len(text) + 1 for text in intervals], dtype=np.int64) - 1
    head = orjson.dumps(queue_head(forecast))[:-1] + b',"intervals":['
    return _Written(head, b",".join(intervals), ends)


def published(
    forecast: PublishedForecast, rows: slice, applied: Applied | None
) -> list[dict[str, object]]:
    """Return what each interval says of where its mean comes from.

    Args:
        forecast: A queue's forecast, also one that was changed or split.
        rows: Which of its intervals.
        applied: The overrides that count in it; None for none.
    """
    ids = override_ids(forecast.starts[rows], applied)
    # The parts go on explaining the model.
    model_mean = rounded(forecast.parts[rows].sum(axis=1), VOLUME_DECIMALS)
    return [
        {"published": MODEL}
        if id is None
        else {"published": OVERRIDE, "override_id": id, "model_mean": mean}
        for id, mean in zip(ids, model_mean, strict=True)
    ]


def part_columns(forecast: PublishedForecast, rows: slice) -> dict[str, list[float]]:
    """Return the parts of some intervals by name, then the baseline, rounded for an answer."""
    found = {name: rounded(forecast.parts[rows, i], PART_DECIMALS) for i, name in enumerate(PARTS)}
    return found | {"baseline": rounded(forecast.baseline[rows], VOLUME_DECIMALS)}


def _parts(names: tuple[str, ...], row: tuple[float, ...]) -> dict[str, object]:
    """Return what an interval says of its parts; nothing where they were not asked for."""
    if not names:
        return {}
    return {"parts": dict(zip(PARTS, row[:-1], strict=True)), "baseline": row[-1]}


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
    """Return the CSV answer of one choice: a row an interval, a column a quantile.

    Args:
        choice: What was asked for.
        quantiles: Levels in [0.05, 0.95], ascending.
        parts: Whether each row ends with the parts of its mean and the baseline.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(
        ["queue", "start", "end", "start_local", "end_local", "is_open", "volume_mean"]
        + [f"volume_q{level:g}" for level in quantiles]
        + ["aht_seconds", "published", "override_id", "model_mean"]
        + ([f"part_{name}" for name in PARTS] + ["baseline"] if parts else [])
    )
    for forecast, rows in choice.queues:
        count = rows.stop - rows.start
        times = interval_times(forecast, rows)
        levels = rounded(quantiles_at(forecast.quantiles[rows], quantiles), VOLUME_DECIMALS)
        split = zip(*part_columns(forecast, rows).values(), strict=True) if parts else ((),) * count
        whom = published(forecast, rows, choice.applied.get(forecast.queue.queue))
        for start, end, start_local, end_local, is_open, mean, values, aht, who, row in zip(
            times.start,
            times.end,
            times.start_local,
            times.end_local,
            forecast.is_open[rows].tolist(),
            rounded(forecast.mean[rows], PART_DECIMALS if parts else VOLUME_DECIMALS),
            levels,
            rounded(forecast.aht_seconds[rows], AHT_DECIMALS),
            ((w["published"], w.get("override_id"), w.get("model_mean")) for w in whom),
            split,
            strict=True,
        ):
            opened = "true" if is_open else "false"
            where = (forecast.queue.queue, start, end, start_local, end_local, opened)
            table.writerow((*where, mean, *values, aht, *who, *row))
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
