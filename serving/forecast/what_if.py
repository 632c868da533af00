"""What if: factors on the published mean and its parts, and quantiles around the new mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from features.arrays import Float64
from features.calendar.clock import to_epoch
from features.calendar.queues import Event
from features.errors import InputError, UnknownNameError
from serving.forecast.selection import Selection, outside_span
from serving.models.volume.calendar_effects import (
    PHASES,
    DayEffects,
    event_factors,
    event_label,
    group_of,
)
from serving.models.volume.forecast import PARTS, QueueForecast
from serving.published.forecast_set import ForecastSet

EVENT_PART = PARTS.index("event")
FIELD = "what_if"
HIGHEST_FACTOR = 100.0
_FOREVER = 2**40
_REMEDY = "change what is inside it, or publish a longer forecast"


@dataclass(frozen=True)
class NewEvent:
    """A calendar event to add; of all queues where none is named."""

    kind: str
    starts_at: datetime
    ends_at: datetime
    queues: Sequence[str] | None = None
    size: float | None = None


@dataclass(frozen=True)
class SpanFactor:
    """A factor on some queues (None: all) in a span (None: as far as is published).

    The factor 0 stands for hours in which the queues are closed.
    """

    start: datetime | None = None
    end: datetime | None = None
    queues: Sequence[str] | None = None
    factor: float = 0.0


@dataclass(frozen=True)
class WhatIfChanges:
    """Changes that apply together; ``remove_events`` holds ids of events."""

    add_events: Sequence[NewEvent] = ()
    remove_events: Sequence[str] = ()
    scale_volume: Sequence[SpanFactor] = ()
    scale_aht: Sequence[SpanFactor] = ()
    closed: Sequence[SpanFactor] = ()


def apply_what_if(selection: Selection, what_if: WhatIfChanges) -> Selection:
    """Return a selection with the forecasts that it would have after some changes.

    Raises:
        UnknownNameError: A queue or an event is not known.
        HorizonError: A span is not inside the published one.
        InputError: Factors multiply to more than ``HIGHEST_FACTOR``.
    """
    events = _events(what_if, of=selection.set)
    for name in ("scale_volume", "scale_aht", "closed"):
        _check_spans(name, getattr(what_if, name), of=selection.set)
    queues = tuple(
        (_apply(what_if, forecast, events=events, of=selection.set), slice(0, len(forecast.starts)))
        for forecast in selection.forecasts()
    )
    warnings = (*selection.warnings, *_unlearnt_kinds(what_if.add_events, of=selection.set))
    return replace(selection, queues=queues, what_if=True, warnings=warnings)


def _events(what_if: WhatIfChanges, *, of: ForecastSet) -> tuple[Event, ...]:
    """Return the calendar with the events added and without those removed."""
    known = {event.event_id: event for event in of.events}
    for i, id in enumerate(what_if.remove_events):
        if id not in known:
            raise UnknownNameError("event", id, known, field=f"{FIELD}.remove_events.{i}")
    remaining = [event for event in of.events if event.event_id not in what_if.remove_events]
    added = [_event(event, i, of=of) for i, event in enumerate(what_if.add_events)]
    return (*remaining, *added)


def _event(added: NewEvent, place: int, *, of: ForecastSet) -> Event:
    field = f"{FIELD}.add_events.{place}"
    _check_queues(added.queues, field, of=of)
    start, end = to_epoch(added.starts_at), to_epoch(added.ends_at)
    if end <= to_epoch(of.horizon_start):
        raise outside_span(f"{field}.ends_at", added.ends_at, of=of, remedy=_REMEDY)
    if start >= to_epoch(of.horizon_end):
        raise outside_span(f"{field}.starts_at", added.starts_at, of=of, remedy=_REMEDY)
    queues = tuple(sorted(set(added.queues or ())))
    known_at = to_epoch(of.as_of)
    return Event(field, added.kind, start, end, known_at, queues, added.size)


def _check_spans(name: str, changes: Sequence[SpanFactor], *, of: ForecastSet) -> None:
    first, last = to_epoch(of.horizon_start), to_epoch(of.horizon_end)
    for i, change in enumerate(changes):
        field = f"{FIELD}.{name}.{i}"
        if change.start is not None and not first <= to_epoch(change.start) < last:
            raise outside_span(f"{field}.start", change.start, of=of, remedy=_REMEDY)
        if change.end is not None and not first < to_epoch(change.end) <= last:
            raise outside_span(f"{field}.end", change.end, of=of, remedy=_REMEDY)
        _check_queues(change.queues, field, of=of)


def _check_queues(queues: Sequence[str] | None, field: str, *, of: ForecastSet) -> None:
    for i, name in enumerate(queues or ()):
        of.queue(name, field=f"{field}.queues.{i}")


def _apply(
    what_if: WhatIfChanges,
    forecast: QueueForecast,
    *,
    events: tuple[Event, ...],
    of: ForecastSet,
) -> QueueForecast:
    """Return one queue's forecast after the changes."""
    open_share = 1 - _closed_share(what_if.closed, forecast)
    factor = _factor("scale_volume", what_if.scale_volume, forecast) * open_share
    ratio = _event_ratio(events, forecast, of=of)
    moved = replace(
        forecast,
        parts=_moved(forecast.parts, ratio) * factor[:, None],
        is_open=forecast.is_open & (open_share > 0),
        aht_seconds=forecast.aht_seconds * _factor("scale_aht", what_if.scale_aht, forecast),
    )
    mean = forecast.mean * ratio * factor
    return moved.with_mean(mean, made_at=to_epoch(of.made_at), rows=ratio * factor != 1)


def _event_ratio(events: tuple[Event, ...], forecast: QueueForecast, *, of: ForecastSet) -> Float64:
    """Return the events' factor after the changes over the one before, float64[h]."""
    if events == of.events:
        return np.ones(len(forecast.starts))
    queue, starts, known_by = forecast.queue, forecast.starts, to_epoch(of.as_of)
    after, before = (
        event_factors(forecast.effects, queue, starts, calendar, known_by=known_by)
        for calendar in (events, of.events)
    )
    ratio: Float64 = after / before
    return ratio


def _moved(parts: Float64, ratio: Float64) -> Float64:
    """Return parts whose sum is the sum of before times a ratio, moved where events move it.

    What stands before the events stays; the event part takes the difference; what multiplies
    after them grows or shrinks with them.

    >>> day = np.array([[10.0, 2.0, 0.0, -4.0, 4.0, 0.0, 6.0]])  # an event of factor 1.5
    >>> _moved(day, np.array([2.0])).tolist()
    [[10.0, 2.0, 0.0, -4.0, 16.0, 0.0, 12.0]]
    """
    moved = parts.copy()
    before = parts[:, :EVENT_PART].sum(axis=1)
    moved[:, EVENT_PART] = (before + parts[:, EVENT_PART]) * ratio - before
    moved[:, EVENT_PART + 1 :] *= ratio[:, None]
    return np.where((ratio == 1)[:, None], parts, moved)


def _factor(name: str, changes: Sequence[SpanFactor], forecast: QueueForecast) -> Float64:
    """Return the product of the factors on each interval, float64[h]."""
    factor = np.ones(len(forecast.starts))
    for start, end, multiplier in _spans(changes, forecast):
        factor *= 1 + _share(start, end, forecast) * (multiplier - 1)
    highest = float(factor.max(initial=0))
    if highest > HIGHEST_FACTOR:
        raise InputError(
            f"the factors of `{name}` on queue `{forecast.queue.queue}`",
            got=f"{highest:g} where they overlap",
            expected=f"at most {HIGHEST_FACTOR:g} together",
            field=f"{FIELD}.{name}",
        )
    return factor


def _closed_share(closed: Sequence[SpanFactor], forecast: QueueForecast) -> Float64:
    """Return the share of each interval that closings cover, float64[h]; none counts twice."""
    share, upto = np.zeros(len(forecast.starts)), 0
    for start, end, _ in sorted(_spans(closed, forecast), key=lambda span: span[0]):
        if end > upto:
            share += _share(max(start, upto), end, forecast)
            upto = end
    return np.minimum(share, 1.0)


def _spans(
    changes: Sequence[SpanFactor], forecast: QueueForecast
) -> Iterator[tuple[int, int, float]]:
    """Yield the start, end and factor of the changes that touch a queue."""
    for change in changes:
        if change.queues is None or forecast.queue.queue in change.queues:
            start = 0 if change.start is None else to_epoch(change.start)
            end = _FOREVER if change.end is None else to_epoch(change.end)
            yield start, end, change.factor


def _share(start: int, end: int, forecast: QueueForecast) -> Float64:
    """Return the share of each interval that lies in [start, end), float64[h]."""
    seconds = forecast.interval_seconds
    inside = np.minimum(end, forecast.starts + seconds) - np.maximum(start, forecast.starts)
    share: Float64 = np.maximum(inside, 0) / seconds
    return share


def _unlearnt_kinds(added: Sequence[NewEvent], *, of: ForecastSet) -> list[str]:
    """Warn of the kinds of events of which nothing was learnt on the queues they touch."""
    unlearnt = dict.fromkeys(
        event.kind
        for event in added
        if not any(
            _is_learnt(of.queue(name).effects, event.kind) for name in event.queues or of.queues
        )
    )
    return [
        f"no event of the kind `{kind}` was learnt from: adding one changes nothing"
        for kind in unlearnt
    ]


def _is_learnt(effects: DayEffects, kind: str) -> bool:
    labels = {event_label(kind, phase) for phase in PHASES}
    names = labels | {group_of(label) for label in labels}
    return any(not names.isdisjoint(known) for known in (effects.shared, *effects.own.values()))
