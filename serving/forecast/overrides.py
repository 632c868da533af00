"""Overrides that a planner sends: checked against the published forecast, split over intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np

from features.calendar.clock import from_epoch, interval_of, iso, to_epoch
from features.errors import HorizonError, InputError
from features.volume.overrides import OverrideInterval, OverrideValue
from serving.files.rows import Rows
from serving.models.volume.forecast import QueueForecast
from serving.published.forecast_set import ForecastSet


@dataclass(frozen=True)
class NewSpan:
    """What a planner expects; without an end or minutes, of the interval that begins at start."""

    queue: str
    start: datetime
    end: datetime | None
    interval_minutes: int | None
    volume: float
    aht_seconds: float | None


@dataclass(frozen=True)
class OverrideRequest:
    """One override that is requested, its span in epoch seconds.

    Attributes:
        volume: Contacts in the whole span.
        aht_seconds: Average handle time; None for the model's.
        field: Path of the request's field, or of the file's column.
        place: Where it stands, for people: such as ``overrides.0``.
    """

    forecast: QueueForecast
    start: int
    end: int
    volume: float
    aht_seconds: float | None
    field: str
    place: str

    @property
    def queue(self) -> str:
        """The queue's name."""
        return self.forecast.queue.queue

    def field_of(self, name: str) -> str:
        """Return the path of one of its fields; a file has columns alone."""
        return f"{self.field}.{name}" if self.field.startswith("overrides.") else name

    def error(
        self, name: str, *, kind: type[InputError] = InputError, **message: str
    ) -> InputError:
        """Return the error that one of its fields is wrong."""
        return kind(f"{self.place}, `{name}`", field=self.field_of(name), **message)


def override_requests(spans: Iterable[NewSpan], *, of: ForecastSet) -> list[OverrideRequest]:
    """Return the overrides that a planner's list of spans requests.

    Raises:
        UnknownNameError: A queue is not in the set.
        InputError: A time is no whole second.
    """
    requests = []
    for i, new in enumerate(spans):
        place = f"overrides.{i}"
        forecast = of.queue(new.queue, field=f"{place}.queue")
        start = _whole_second(new.start, field=f"{place}.start")
        if new.end is None:
            end = start + (new.interval_minutes or forecast.queue.interval_minutes) * 60
        else:
            end = _whole_second(new.end, field=f"{place}.end")
        requests.append(
            OverrideRequest(forecast, start, end, new.volume, new.aht_seconds, place, f"`{place}`")
        )
    return requests


def _whole_second(at: datetime, *, field: str) -> int:
    if at.microsecond:
        raise InputError(f"`{field}`", got=at.isoformat(), expected="a whole second", field=field)
    return to_epoch(at)


def override_requests_of_rows(
    rows: Sequence[Rows], *, of: ForecastSet, now: int
) -> tuple[list[OverrideRequest], int]:
    """Return the overrides that a file requests, and how many of its intervals are left out.

    Intervals shorter than the queue's own are added up. Those that have begun, and closed ones
    without contacts, are left out: a file holds whole days.

    Raises:
        UnknownNameError: A queue is not in the set.
        InputError: An interval of the queue is covered in part, or nothing is left.
    """
    requests: list[OverrideRequest] = []
    left_out = 0
    for queue_rows in rows:
        forecast = of.queue(queue_rows.queue, field="queue")
        closed = set(forecast.starts[~forecast.is_open].tolist())
        for request in _by_own_interval(queue_rows, forecast):
            if request.start >= now and (request.volume > 0 or request.start not in closed):
                requests.append(request)
            else:
                left_out += 1
    if not requests:
        raise InputError(
            "the file",
            got=f"{left_out} intervals that have begun or are closed",
            expected="intervals still to come",
            field="start",
        )
    return requests, left_out


def _by_own_interval(rows: Rows, forecast: QueueForecast) -> list[OverrideRequest]:
    """Return a file's intervals, those of one of the queue's own intervals as one."""
    own = forecast.queue.interval_minutes
    length = max(own, rows.interval_minutes)
    at = rows.starts
    if rows.interval_minutes < own:
        at = interval_of(rows.starts, own, forecast.queue.time_zone)
    first = np.flatnonzero(np.diff(at, prepend=at[0] - 1))
    parts = np.diff(first, append=len(at))
    short = np.flatnonzero(parts * rows.interval_minutes != length)
    if len(short):
        raise InputError(
            f"queue `{rows.queue}`, {_time(at[first[short[0]]])}",
            got=f"{int(parts[short[0]]) * rows.interval_minutes} of {length} minutes",
            expected="every interval of the queue whole",
            remedy="send all parts of it, or none",
            field="start",
        )
    volume = np.add.reduceat(rows.volume, first)
    work = np.add.reduceat(rows.volume * rows.aht_seconds, first)
    aht = np.divide(work, volume, out=np.zeros_like(work), where=volume > 0)
    requests = []
    columns = (at[first].tolist(), volume.tolist(), aht.tolist())
    for start, contacts, seconds in zip(*columns, strict=True):
        end, place = start + length * 60, f"queue `{rows.queue}`, {_time(start)}"
        requests.append(
            OverrideRequest(forecast, start, end, contacts, seconds or None, "start", place)
        )
    return requests


def validate_overrides(
    requests: Sequence[OverrideRequest], *, of: ForecastSet, now: int
) -> list[OverrideValue]:
    """Check overrides against the published forecast and split them over its intervals.

    Raises:
        HorizonError: A span is not inside the published one.
        InputError: A span is off the queue's intervals, has begun or is closed; two overlap; or
            there are more than intervals.
    """
    _check_count(requests)
    values = [_value(request, of=of, now=now) for request in requests]
    _check_apart(requests)
    return values


def _check_count(requests: Sequence[OverrideRequest]) -> None:
    intervals = {request.queue: len(request.forecast.starts) for request in requests}
    for queue, count in Counter(request.queue for request in requests).items():
        if count > intervals[queue]:
            raise InputError(
                f"`overrides` of queue `{queue}`",
                got=count,
                expected=f"at most {intervals[queue]}, the intervals of its published span",
                remedy="send each interval once",
                field="overrides",
            )


def _check_apart(requests: Sequence[OverrideRequest]) -> None:
    ordered = sorted(requests, key=lambda request: (request.queue, request.start))
    for before, after in pairwise(ordered):
        if before.queue == after.queue and after.start < before.end:
            raise after.error(
                "start",
                got=f"{_time(after.start)}, inside the span of {before.place}",
                expected="spans of one queue that lie apart",
                remedy="send one number for each interval",
            )


def _value(request: OverrideRequest, *, of: ForecastSet, now: int) -> OverrideValue:
    """Return an override split over its intervals in proportion to the model's forecast."""
    forecast, rows = request.forecast, _rows_of(request)
    opened = forecast.is_open[rows]
    _check_content(request, rows, now=now)
    mean = np.where(opened, forecast.mean[rows], 0.0)
    total = float(mean.sum())
    share = mean / total if total > 0 else opened / opened.sum()
    starts = forecast.starts[rows][opened]
    return OverrideValue(
        queue=request.queue,
        start=request.start,
        end=request.end,
        offered=request.volume,
        aht_seconds=request.aht_seconds,
        forecast_set=of.id,
        forecast_offered=total,
        pieces=tuple(
            OverrideInterval(int(start), forecast.queue.interval_minutes, float(contacts))
            for start, contacts in zip(starts, request.volume * share[opened], strict=True)
        ),
    )


def _check_content(request: OverrideRequest, rows: slice, *, now: int) -> None:
    """Refuse a span that has begun, is closed, or needs a handle time that nobody knows."""
    opened = request.forecast.is_open[rows]
    if request.start < now:
        raise request.error(
            "start",
            got=f"{_time(request.start)}, an interval that has begun",
            expected=f"at or after {_time(now)}",
            remedy="override what is still to come",
        )
    if not opened.any():
        raise request.error(
            "start",
            got=f"{_time(request.start)}, when queue `{request.queue}` is closed",
            expected="an open interval",
            remedy="change the queue's opening hours and publish a new forecast",
        )
    if request.aht_seconds is None and not (request.forecast.aht_seconds[rows][opened] > 0).all():
        raise request.error(
            "aht_seconds", got="nothing, and the model knows none", expected="seconds"
        )


def _rows_of(request: OverrideRequest) -> slice:
    """Return the rows of a span that lies on its queue's intervals."""
    forecast = request.forecast
    starts, seconds = forecast.starts, forecast.interval_seconds
    if len(starts) == 0:
        raise InputError(
            f"queue `{request.queue}`",
            got="no published interval",
            expected="a queue with a forecast",
            field=request.field_of("queue"),
        )
    first, last = int(starts[0]), int(starts[-1]) + seconds
    for name, at in (("start", request.start), ("end", request.end)):
        if not first <= at <= last or (name == "start" and at == last):
            raise request.error(
                name,
                got=_time(at),
                expected=f"a moment in the queue's published span, {_time(first)} to {_time(last)}",
                remedy="override what is inside it, or publish a longer forecast",
                kind=HorizonError,
            )
        edges = starts if name == "start" else starts + seconds
        if edges[min(int(np.searchsorted(edges, at)), len(edges) - 1)] != at:
            minutes = forecast.queue.interval_minutes
            raise request.error(
                name,
                got=_time(at),
                expected=f"the {name} of one of the queue's intervals of {minutes} minutes",
            )
    return forecast.rows(request.start, request.end)


def _time(at: int) -> str:
    return iso(from_epoch(at))
