"""What if: factors on the published mean and its parts, and quantiles around the new mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

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
    of = selection.set
    changes = _ResolvedChanges(
        _events(what_if, of=of),
        *(
            _spans(name, getattr(what_if, name), of=of)
            for name in ("scale_volume", "scale_aht", "closed")
        ),
    )
    queues = tuple(
        (_apply(changes, forecast, of=of), slice(0, len(forecast.starts)))
        for forecast in selection.forecasts()
    )
    warnings = (*selection.warnings, *_unlearnt_kinds(what_if.add_events, of=of))
    return replace(selection, queues=queues, what_if=True, warnings=warnings)


class _Span(NamedTuple):
    """A factor on some queues, None for all, in [start, end), epoch seconds."""

    start: int
    end: int
    queues: Sequence[str] | None
    factor: float


@dataclass(frozen=True)
class _ResolvedChanges:
    """Changes whose names and times are checked against the published set."""

    events: tuple[Event, ...]
    scale_volume: list[_Span]
    scale_aht: list[_Span]
    closed: list[_Span]


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
    first, last = to_epoch(of.horizon_start), to_epoch(of.horizon_end)
    end = _moment(f"{field}.ends_at", added.ends_at, least=first + 1, of=of)
    start = _moment(f"{field}.starts_at", added.starts_at, most=last - 1, of=of)
    queues = tuple(sorted(set(added.queues or ())))
    return Event(field, added.kind, start, end, to_epoch(of.as_of), queues, added.size)


def _spans(name: str, changes: Sequence[SpanFactor], *, of: ForecastSet) -> list[_Span]:
    first, last = to_epoch(of.horizon_start), to_epoch(of.horizon_end)
    spans = []
    for i, change in enumerate(changes):
        field, start, end = f"{FIELD}.{name}.{i}", 0, _FOREVER
        if change.start is not None:
            start = _moment(f"{field}.start", change.start, least=first, most=last - 1, of=of)
        if change.end is not None:
            end = _moment(f"{field}.end", change.end, least=first + 1, most=last, of=of)
        _check_queues(change.queues, field, of=of)
        spans.append(_Span(start, end, change.queues, change.factor))
    return spans


def _moment(
    field: str, at: datetime, *, least: int = 0, most: int = _FOREVER, of: ForecastSet
) -> int:
    """Return a requested time in epoch seconds, refused outside its limits."""
    seconds = to_epoch(at)
    if not least <= seconds <= most:
        raise outside_span(field, at, of=of, remedy=_REMEDY)
    return seconds


def _check_queues(queues: Sequence[str] | None, field: str, *, of: ForecastSet) -> None:
    for i, name in enumerate(queues or ()):
        of.queue(name, field=f"{field}.queues.{i}")


def _apply(changes: _ResolvedChanges, forecast: QueueForecast, *, of: ForecastSet) -> QueueForecast:
    """Return one queue's forecast after the changes."""
    open_share = 1 - _closed_share(changes.closed, forecast)
    factor = _factor("scale_volume", changes.scale_volume, forecast) * open_share
    ratio = _event_ratio(changes.events, forecast, of=of)
    scaled = replace(
        forecast,
        parts=_scale_parts(forecast.parts, ratio) * factor[:, None],
        is_open=forecast.is_open & (open_share > 0),
        aht_seconds=forecast.aht_seconds * _factor("scale_aht", changes.scale_aht, forecast),
    )
    mean = forecast.mean * ratio * factor
    return scaled.with_mean(mean, made_at=to_epoch(of.made_at), rows=ratio * factor != 1)


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


def _scale_parts(parts: Float64, ratio: Float64) -> Float64:
    """Return parts whose sum is the sum of before times a ratio, moved where events move it.

    What stands before the events stays; the event part takes the difference; what multiplies
    after them grows or shrinks with them.

    >>> day = np.array([[10.0, 2.0, 0.0, -4.0, 4.0, 0.0, 6.0]])  # an event of factor 1.5
    >>> _scale_parts(day, np.array([2.0])).tolist()
    [[10.0, 2.0, 0.0, -4.0, 16.0, 0.0, 12.0]]
    """
    scaled = parts.copy()
    before = parts[:, :EVENT_PART].sum(axis=1)
    scaled[:, EVENT_PART] = (before + parts[:, EVENT_PART]) * ratio - before
    scaled[:, EVENT_PART + 1 :] *= ratio[:, None]
    return np.where((ratio == 1)[:, None], parts, scaled)


def _factor(name: str, spans: Sequence[_Span], forecast: QueueForecast) -> Float64:
    """Return the product of the factors on each interval, float64[h]."""
    factor = np.ones(len(forecast.starts))
    for span in _touching(spans, forecast):
        factor *= 1 + _share(span.start, span.end, forecast) * (span.factor - 1)
    highest = float(factor.max(initial=0))
    if highest > HIGHEST_FACTOR:
        raise InputError(
            f"the factors of `{name}` on queue `{forecast.queue.queue}`",
            got=f"{highest:g} where they overlap",
            expected=f"at most {HIGHEST_FACTOR:g} together",
            field=f"{FIELD}.{name}",
        )
    return factor


def _closed_share(closed: Sequence[_Span], forecast: QueueForecast) -> Float64:
    """Return the share of each interval that closings cover, float64[h]; none counts twice."""
    share, upto = np.zeros(len(forecast.starts)), 0
    for span in sorted(_touching(closed, forecast), key=lambda span: span.start):
        if span.end > upto:
            share += _share(max(span.start, upto), span.end, forecast)
            upto = span.end
    return np.minimum(share, 1.0)


def _touching(spans: Sequence[_Span], forecast: QueueForecast) -> list[_Span]:
    queue = forecast.queue.queue
    return [span for span in spans if span.queues is None or queue in span.queues]


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
