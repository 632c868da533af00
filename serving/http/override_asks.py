"""What a planner sends, held against the published forecast and split over its intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np

from features.calendar import epoch, interval_of, moment
from features.errors import EbbflowError, HorizonError, InputError
from serving.http.formats.rows import Rows
from serving.http.override_schemas import OverridesRequest
from serving.layers import Expected, Piece
from serving.sets.forecast import ForecastSet, PublishedForecast
from serving.sets.scores import iso


@dataclass(frozen=True)
class Ask:
    """One override that is asked for.

    Attributes:
        forecast: The queue's published forecast.
        start: First moment, epoch seconds.
        end: One past the last, epoch seconds.
        volume: Contacts in the whole span.
        aht_seconds: Average handle time; None for the model's.
        field: Path of the request's field, or of the file's column.
        place: Where it stands, for people: such as ``overrides.0``.
    """

    forecast: PublishedForecast
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


def asks_of(request: OverridesRequest, *, of: ForecastSet) -> list[Ask]:
    """Return what a JSON request asks for.

    Raises:
        UnknownNameError: A queue is not in the set.
        InputError: A time is no whole second.
    """
    found = []
    for i, new in enumerate(request.overrides):
        place = f"overrides.{i}"
        forecast = of.queue(new.queue, field=f"{place}.queue")
        start = _whole(new.start, field=f"{place}.start")
        minutes = new.interval_minutes or forecast.queue.interval_minutes
        end = start + minutes * 60 if new.end is None else _whole(new.end, field=f"{place}.end")
        found.append(Ask(forecast, start, end, new.volume, new.aht_seconds, place, f"`{place}`"))
    return found


def _whole(at: datetime, *, field: str) -> int:
    if at.microsecond:
        raise InputError(f"`{field}`", got=at.isoformat(), expected="a whole second", field=field)
    return epoch(at)


def asks_of_rows(rows: Sequence[Rows], *, of: ForecastSet, now: int) -> tuple[list[Ask], int]:
    """Return what a file asks for, and how many of its intervals are left out.

    Intervals shorter than the queue's own are added up. Those that have begun, and closed ones
    without contacts, are left out: a file holds whole days.

    Args:
        rows: The file's queues.
        of: The published set.
        now: The time, epoch seconds.

    Raises:
        UnknownNameError: A queue is not in the set.
        InputError: An interval of the queue is covered in part, or nothing is left.
    """
    found: list[Ask] = []
    left_out = 0
    for one in rows:
        forecast = of.queue(one.queue, field="queue")
        asks = _added_up(one, forecast)
        shut = set(forecast.starts[~forecast.is_open].tolist())
        kept = [a for a in asks if a.start >= now and (a.volume > 0 or a.start not in shut)]
        found += kept
        left_out += len(asks) - len(kept)
    if not found:
        raise InputError(
            "the file",
            got=f"{left_out} intervals that have begun or are closed",
            expected="intervals still to come",
            field="start",
        )
    return found, left_out


def _added_up(rows: Rows, forecast: PublishedForecast) -> list[Ask]:
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
        start = int(at[first[short[0]]])
        raise InputError(
            f"queue `{rows.queue}`, {iso(moment(start))}",
            got=f"{int(parts[short[0]]) * rows.interval_minutes} of {length} minutes",
            expected="every interval of the queue whole",
            remedy="send all parts of it, or none",
            field="start",
        )
    volume = np.add.reduceat(rows.volume, first)
    work = np.add.reduceat(rows.volume * rows.aht_seconds, first)
    aht = np.divide(work, volume, out=np.zeros_like(work), where=volume > 0)
    return [
        Ask(
            forecast,
            start=start,
            end=start + length * 60,
            volume=contacts,
            aht_seconds=seconds or None,
            field="start",
            place=f"queue `{rows.queue}`, {iso(moment(start))}",
        )
        for start, contacts, seconds in zip(
            at[first].tolist(), volume.tolist(), aht.tolist(), strict=True
        )
    ]


def accept(asks: Sequence[Ask], *, of: ForecastSet, now: int) -> list[Expected]:
    """Hold what is asked for against the published forecast and split it over its intervals.

    Args:
        asks: What is asked for.
        of: The published set.
        now: The time, epoch seconds.

    Raises:
        HorizonError: A span is not inside the published one.
        InputError: A span is off the queue's intervals, has begun or is closed; two overlap; or
            there are more than intervals.
    """
    _check_count(asks)
    found = [_expected(ask, of=of, now=now) for ask in asks]
    _check_apart(asks)
    return found


def _check_count(asks: Sequence[Ask]) -> None:
    forecasts = {ask.queue: ask.forecast for ask in asks}
    for queue, count in Counter(ask.queue for ask in asks).items():
        intervals = len(forecasts[queue].starts)
        if count > intervals:
            raise InputError(
                f"`overrides` of queue `{queue}`",
                got=count,
                expected=f"at most {intervals}, the intervals of its published span",
                remedy="send each interval once",
                field="overrides",
            )


def _check_apart(asks: Sequence[Ask]) -> None:
    ordered = sorted(asks, key=lambda ask: (ask.queue, ask.start))
    for before, after in pairwise(ordered):
        if before.queue == after.queue and after.start < before.end:
            raise InputError(
                f"{after.place}, `start`",
                got=f"{iso(moment(after.start))}, inside the span of {before.place}",
                expected="spans of one queue that lie apart",
                remedy="send one number for each interval",
                field=_sub(after, "start"),
            )


def _expected(ask: Ask, *, of: ForecastSet, now: int) -> Expected:
    forecast, rows = ask.forecast, _rows(ask)
    if ask.start < now:
        raise _wrong(
            ask,
            "start",
            got=f"{iso(moment(ask.start))}, an interval that has begun",
            expected=f"at or after {iso(moment(now))}",
            remedy="override what is still to come",
        )
    opened = forecast.is_open[rows]
    if not opened.any():
        raise _wrong(
            ask,
            "start",
            got=f"{iso(moment(ask.start))}, when queue `{ask.queue}` is closed",
            expected="an open interval",
            remedy="change the queue's opening hours and publish a new forecast",
        )
    mean = np.where(opened, forecast.mean[rows], 0.0)
    if ask.aht_seconds is None and not (forecast.aht_seconds[rows][opened] > 0).all():
        raise _wrong(
            ask, "aht_seconds", got="nothing, and the model knows none", expected="seconds"
        )
    total = float(mean.sum())
    share = mean / total if total > 0 else opened / opened.sum()
    minutes = forecast.queue.interval_minutes
    return Expected(
        queue=ask.queue,
        start=ask.start,
        end=ask.end,
        offered=ask.volume,
        aht_seconds=ask.aht_seconds,
        forecast_set=of.id,
        forecast_offered=total,
        pieces=tuple(
            Piece(start, minutes, contacts)
            for start, contacts, is_open in zip(
                forecast.starts[rows].tolist(),
                (ask.volume * share).tolist(),
                opened.tolist(),
                strict=True,
            )
            if is_open
        ),
    )


def _rows(ask: Ask) -> slice:
    """Return the rows of a span that lies on its queue's intervals."""
    forecast = ask.forecast
    starts, seconds = forecast.starts, forecast.interval_seconds
    if len(starts) == 0:
        raise InputError(
            f"queue `{ask.queue}`",
            got="no published interval",
            expected="a queue with a forecast",
            field=_sub(ask, "queue"),
        )
    first, last = int(starts[0]), int(starts[-1]) + seconds
    for name, at in (("start", ask.start), ("end", ask.end)):
        if not first <= at <= last or (name == "start" and at == last):
            raise _wrong(
                ask,
                name,
                got=iso(moment(at)),
                expected=f"a moment in the queue's published span, {iso(moment(first))} to "
                f"{iso(moment(last))}",
                remedy="override what is inside it, or publish a longer forecast",
                kind=HorizonError,
            )
        edges = starts if name == "start" else starts + seconds
        if edges[min(int(np.searchsorted(edges, at)), len(edges) - 1)] != at:
            raise _wrong(
                ask,
                name,
                got=iso(moment(at)),
                expected=f"the {name} of one of the queue's intervals of "
                f"{forecast.queue.interval_minutes} minutes",
            )
    return forecast.rows(ask.start, ask.end)


def _wrong(
    ask: Ask,
    name: str,
    *,
    got: str,
    expected: str,
    remedy: str | None = None,
    kind: type[InputError] = InputError,
) -> EbbflowError:
    return kind(
        f"{ask.place}, `{name}`", got=got, expected=expected, remedy=remedy, field=_sub(ask, name)
    )


def _sub(ask: Ask, name: str) -> str:
    """Return the path of a field of an ask; a file has columns alone."""
    return f"{ask.field}.{name}" if ask.field.startswith("overrides.") else name
