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
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from features.calendar import Float64, Int64, epoch, local_times, moment
from features.contracts import QUANTILE_LEVELS
from features.errors import HorizonError, InputError
from serving.http.schemas import ForecastRequest, StaffingRequest
from serving.sets.forecast import ForecastSet, PublishedForecast
from serving.sets.scores import iso

RENDERING = 1
"""Raised when the same set would be written in other bytes: part of every ETag."""

DEFAULT_SPAN = timedelta(days=14)
MOST_INTERVALS = 100_000
VOLUME_DECIMALS = 3
AHT_DECIMALS = 1


@dataclass(frozen=True)
class Choice:
    """The part of a set that one request asks for.

    Attributes:
        set: The published set.
        start: First moment, epoch seconds.
        end: One past the last, epoch seconds.
        queues: Each queue with the rows of its intervals.
    """

    set: ForecastSet
    start: int
    end: int
    queues: tuple[tuple[PublishedForecast, slice], ...]

    @property
    def intervals(self) -> int:
        """How many intervals it holds, over all queues."""
        return sum(rows.stop - rows.start for _, rows in self.queues)


def choose(request: ForecastRequest | StaffingRequest, *, of: ForecastSet) -> Choice:
    """Find what a request asks for in the published set.

    Args:
        request: The request, validated.
        of: The published set.

    Raises:
        UnknownNameError: A queue is not in the set; the message suggests near names.
        HorizonError: The span is not inside the published one.
        InputError: The interval is not the queue's own, or the answer would be too large.
    """
    names = request.queues if request.queues is not None else list(of.queues)
    queues = [of.queue(name, field=f"queues.{i}") for i, name in enumerate(names)]
    start, end = _span(request.start, request.end, of)
    for queue in queues:
        own = queue.queue.interval_minutes
        if request.interval_minutes not in (None, own):
            raise InputError(
                f"`interval_minutes` of queue `{queue.queue.queue}`",
                got=request.interval_minutes,
                expected=f"{own}, the queue's own",
                remedy="leave `interval_minutes` out, or ask for queues of one length",
                field="interval_minutes",
            )
    choice = Choice(of, start, end, tuple((q, q.rows(start, end)) for q in queues))
    if choice.intervals > MOST_INTERVALS:
        raise InputError(
            "the answer",
            got=f"{choice.intervals} intervals",
            expected=f"at most {MOST_INTERVALS}",
            remedy="ask for fewer queues or a shorter span at once",
            field="queues",
        )
    return choice


def _span(start: datetime | None, end: datetime | None, of: ForecastSet) -> tuple[int, int]:
    first, last = epoch(of.horizon_start), epoch(of.horizon_end)
    begin = first if start is None else _ceil(start)
    stop = min(begin + int(DEFAULT_SPAN.total_seconds()), last) if end is None else _ceil(end)
    span = f"{iso(of.horizon_start)} to {iso(of.horizon_end)}"
    if begin < first or begin >= last:
        raise HorizonError(
            "`start`",
            got=start.isoformat() if start else "nothing",
            expected=f"a moment in the published span, {span}",
            remedy="leave `start` out for its beginning",
            field="start",
        )
    if stop > last:
        raise HorizonError(
            "`end`",
            got=end.isoformat() if end else "nothing",
            expected=f"at most {iso(of.horizon_end)}, where the published forecast ends",
            remedy="ask for less, or publish a new forecast",
            field="end",
        )
    return begin, stop


def _ceil(at: datetime) -> int:
    return epoch(at) + (at.microsecond > 0)


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
    return IntervalTimes(_utc(starts), _utc(ends), _local(starts, zone), _local(ends, zone))


def _text(seconds: Int64) -> list[str]:
    texts: list[str] = np.datetime_as_string(seconds.astype("datetime64[s]")).tolist()
    return texts


def _utc(moments: Int64) -> list[str]:
    return [f"{text}Z" for text in _text(moments)]


def _local(moments: Int64, zone: str) -> list[str]:
    local = local_times(moments, zone)
    offsets = {offset: _offset(offset) for offset in np.unique(local.offset_seconds).tolist()}
    return [
        text + offsets[offset]
        for text, offset in zip(_text(local.seconds), local.offset_seconds.tolist(), strict=True)
    ]


def _offset(seconds: int) -> str:
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02d}:{minutes:02d}"


def rounded(values: npt.NDArray[Any], decimals: int) -> list[Any]:
    """Return values rounded for an answer, without a negative zero; nested as they are."""
    numbers: list[Any] = (np.round(values, decimals) + 0.0).tolist()
    return numbers


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
        self._cache: OrderedDict[tuple[str, str, tuple[float, ...]], _Written] = OrderedDict()
        self._left = cache_bytes
        self._lock = threading.Lock()

    def json(self, choice: Choice, *, quantiles: Sequence[float]) -> bytes:
        """Return the JSON answer of one choice.

        Args:
            choice: What was asked for.
            quantiles: Levels in [0.05, 0.95], ascending.
        """
        methods = {queue.method for queue, _ in choice.queues}
        head = envelope(choice) | {"method": methods.pop() if len(methods) == 1 else "mixed"}
        parts = [orjson.dumps(head)[:-1], b',"queues":[']
        for i, (queue, rows) in enumerate(choice.queues):
            written = self._written(choice.set.id, queue, tuple(quantiles))
            parts += (b"," if i else b"", written.head, written.intervals(rows), b"]}")
        parts.append(b"]}")
        return b"".join(parts)

    def _written(
        self, set_id: str, forecast: PublishedForecast, quantiles: tuple[float, ...]
    ) -> _Written:
        key = (set_id, forecast.queue.queue, quantiles)
        with self._lock:
            found = self._cache.get(key)
            if found is not None:
                self._cache.move_to_end(key)
                return found
        written = _write(forecast, quantiles)
        with self._lock:
            if key not in self._cache:
                self._cache[key] = written
                self._left -= len(written.body)
            while self._left < 0 and len(self._cache) > 1:
                self._left += len(self._cache.popitem(last=False)[1].body)
        return written


def _write(forecast: PublishedForecast, quantiles: tuple[float, ...]) -> _Written:
    """Write all intervals of one queue."""
    times = interval_times(forecast, slice(0, len(forecast.starts)))
    names = [f"{level:g}" for level in quantiles]
    levels = rounded(quantiles_at(forecast.quantiles, quantiles), VOLUME_DECIMALS)
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
        )
        for start, end, start_local, end_local, is_open, mean, values, aht in zip(
            times.start,
            times.end,
            times.start_local,
            times.end_local,
            forecast.is_open.tolist(),
            rounded(forecast.mean, VOLUME_DECIMALS),
            levels,
            rounded(forecast.aht_seconds, AHT_DECIMALS),
            strict=True,
        )
    ]
    ends = np.cumsum([len(text) + 1 for text in intervals], dtype=np.int64) - 1
    head = orjson.dumps(queue_head(forecast))[:-1] + b',"intervals":['
    return _Written(head, b",".join(intervals), ends)


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
    return {
        "forecast_set": choice.set.id,
        "made_at": iso(choice.set.made_at),
        "as_of": iso(choice.set.as_of),
        "model_version": choice.set.model_version,
        "snapshot": choice.set.snapshot,
        "start": iso(moment(choice.start)),
        "end": iso(moment(choice.end)),
        "warnings": list(choice.set.warnings),
    }


def forecast_csv(choice: Choice, *, quantiles: Sequence[float]) -> bytes:
    """Return the CSV answer of one choice: a row an interval, a column a quantile.

    Args:
        choice: What was asked for.
        quantiles: Levels in [0.05, 0.95], ascending.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(
        ["queue", "start", "end", "start_local", "end_local", "is_open", "volume_mean"]
        + [f"volume_q{level:g}" for level in quantiles]
        + ["aht_seconds"]
    )
    for forecast, rows in choice.queues:
        times = interval_times(forecast, rows)
        levels = rounded(quantiles_at(forecast.quantiles[rows], quantiles), VOLUME_DECIMALS)
        for start, end, start_local, end_local, is_open, mean, values, aht in zip(
            times.start,
            times.end,
            times.start_local,
            times.end_local,
            forecast.is_open[rows].tolist(),
            rounded(forecast.mean[rows], VOLUME_DECIMALS),
            levels,
            rounded(forecast.aht_seconds[rows], AHT_DECIMALS),
            strict=True,
        ):
            opened = "true" if is_open else "false"
            row = (forecast.queue.queue, start, end, start_local, end_local, opened)
            table.writerow((*row, mean, *values, aht))
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
