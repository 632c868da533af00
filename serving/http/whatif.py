"""What if: changes to the published forecast, by factor arithmetic.

Everything after the blend of ordinary days multiplies, so a change is a factor on the mean and on
its parts; quantiles are read again from the published distribution around the new mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from features.calendar import Event, Float64, epoch
from features.contracts import PARTS
from features.errors import HorizonError, InputError, UnknownNameError
from serving.http.choice import Choice
from serving.models.volume.effects import PHASES, DayEffects, event_label, group_of
from serving.models.volume.events import event_factors
from serving.models.volume.outlook import lead_bucket
from serving.models.volume.span import cut
from serving.sets.forecast import ForecastSet, PublishedForecast
from serving.sets.scores import iso

EVENT_PART = PARTS.index("event")
FIELD = "what_if"
HIGHEST_FACTOR = 100.0


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


@dataclass(frozen=True)
class _Factor:
    """A factor, held against the published set; the span in epoch seconds, its end excluded."""

    start: int
    end: int
    queues: frozenset[str] | None
    factor: float

    def touches(self, forecast: PublishedForecast) -> bool:
        return self.queues is None or forecast.queue.queue in self.queues


@dataclass(frozen=True)
class _Plan:
    """The changes of one request, held against the published set.

    Attributes:
        events: The calendar with the events added and without those removed.
    """

    events: tuple[Event, ...]
    volume: tuple[_Factor, ...]
    aht: tuple[_Factor, ...]
    closed: tuple[_Factor, ...]


def changed(choice: Choice, what_if: WhatIfChanges) -> Choice:
    """Return a selection with the forecasts that it would have after some changes.

    Raises:
        UnknownNameError: A queue or an event is not known.
        HorizonError: A span is not inside the published one.
        InputError: Factors multiply to more than ``HIGHEST_FACTOR``.
    """
    plan = _plan(what_if, of=choice.set)
    queues = []
    for forecast, rows in choice.queues:
        after = _apply(plan, cut(forecast, rows), of=choice.set)
        queues.append((after, slice(0, len(after.starts))))
    warnings = (*choice.warnings, *_unlearnt_kinds(what_if.add_events, of=choice.set))
    return replace(choice, queues=tuple(queues), what_if=True, warnings=warnings)


def _plan(what_if: WhatIfChanges, *, of: ForecastSet) -> _Plan:
    known = {event.event_id: event for event in of.events}
    for i, id in enumerate(what_if.remove_events):
        if id not in known:
            raise UnknownNameError("event", id, known, field=f"{FIELD}.remove_events.{i}")
    remaining = [event for event in of.events if event.event_id not in what_if.remove_events]
    added = [_event(event, i, of=of) for i, event in enumerate(what_if.add_events)]
    return _Plan(
        events=(*remaining, *added),
        volume=_factors("scale_volume", what_if.scale_volume, of=of),
        aht=_factors("scale_aht", what_if.scale_aht, of=of),
        closed=_factors("closed", what_if.closed, of=of),
    )


def _event(added: NewEvent, place: int, *, of: ForecastSet) -> Event:
    field = f"{FIELD}.add_events.{place}"
    queues = _names(added.queues, field, of=of)
    start, end = epoch(added.starts_at), epoch(added.ends_at)
    if end <= epoch(of.horizon_start) or start >= epoch(of.horizon_end):
        name = "ends_at" if end <= epoch(of.horizon_start) else "starts_at"
        raise _outside(f"{field}.{name}", getattr(added, name), of=of)
    return Event(
        event_id=field,
        kind=added.kind,
        starts_at=start,
        ends_at=end,
        known_at=epoch(of.as_of),
        queues=tuple(sorted(queues or ())),
        size=added.size,
    )


def _factors(name: str, changes: Sequence[SpanFactor], *, of: ForecastSet) -> tuple[_Factor, ...]:
    first, last = epoch(of.horizon_start), epoch(of.horizon_end)
    factors = []
    for i, change in enumerate(changes):
        field = f"{FIELD}.{name}.{i}"
        start = first if change.start is None else epoch(change.start)
        end = last if change.end is None else epoch(change.end)
        if change.start is not None and not first <= start < last:
            raise _outside(f"{field}.start", change.start, of=of)
        if change.end is not None and not first < end <= last:
            raise _outside(f"{field}.end", change.end, of=of)
        factors.append(_Factor(start, end, _names(change.queues, field, of=of), change.factor))
    return tuple(factors)


def _names(queues: Sequence[str] | None, field: str, *, of: ForecastSet) -> frozenset[str] | None:
    if queues is None:
        return None
    return frozenset(
        of.queue(name, field=f"{field}.queues.{i}").queue.queue for i, name in enumerate(queues)
    )


def _outside(field: str, got: datetime, *, of: ForecastSet) -> HorizonError:
    return HorizonError(
        f"`{field}`",
        got=got.isoformat(),
        expected=f"a moment in the published span, {iso(of.horizon_start)} to "
        f"{iso(of.horizon_end)}",
        remedy="change what is inside it, or publish a longer forecast",
        field=field,
    )


def _apply(plan: _Plan, forecast: PublishedForecast, *, of: ForecastSet) -> PublishedForecast:
    """Return one queue's forecast after the changes."""
    open_share = 1 - _shut(plan.closed, forecast)
    factor = _factor("scale_volume", plan.volume, forecast) * open_share
    ratio = _event_ratio(plan, forecast, of=of)
    parts = _moved(forecast.parts, ratio) * factor[:, None]
    mean = forecast.mean * ratio * factor
    quantiles = forecast.quantiles.copy()
    other = np.flatnonzero(ratio * factor != 1)
    bucket = lead_bucket((forecast.starts[other] - epoch(of.made_at)) / 3600)
    quantiles[other] = forecast.shape.quantiles(mean[other], bucket)
    return replace(
        forecast,
        mean=mean,
        parts=parts,
        quantiles=quantiles,
        is_open=forecast.is_open & (open_share > 0),
        aht_seconds=forecast.aht_seconds * _factor("scale_aht", plan.aht, forecast),
    )


def _event_ratio(plan: _Plan, forecast: PublishedForecast, *, of: ForecastSet) -> Float64:
    """Return the events' factor after the changes over the one before, float64[h]."""
    if plan.events == of.events:
        return np.ones(len(forecast.starts))
    after, before = (
        event_factors(
            forecast.effects, forecast.queue, forecast.starts, events, known_by=epoch(of.as_of)
        )
        for events in (plan.events, of.events)
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
    found = parts.copy()
    before = parts[:, :EVENT_PART].sum(axis=1)
    found[:, EVENT_PART] = (before + parts[:, EVENT_PART]) * ratio - before
    found[:, EVENT_PART + 1 :] *= ratio[:, None]
    return np.where((ratio == 1)[:, None], parts, found)


def _factor(name: str, changes: Sequence[_Factor], forecast: PublishedForecast) -> Float64:
    """Return the product of the factors on each interval, float64[h]."""
    factor = np.ones(len(forecast.starts))
    for change in changes:
        if change.touches(forecast):
            factor *= 1 + _share(change.start, change.end, forecast) * (change.factor - 1)
    highest = float(factor.max(initial=0))
    if highest > HIGHEST_FACTOR:
        raise InputError(
            f"the factors of `{name}` on queue `{forecast.queue.queue}`",
            got=f"{highest:g} where they overlap",
            expected=f"at most {HIGHEST_FACTOR:g} together",
            field=f"{FIELD}.{name}",
        )
    return factor


def _shut(closings: Sequence[_Factor], forecast: PublishedForecast) -> Float64:
    """Return the share of each interval that closings cover, float64[h]; none counts twice."""
    shut, upto = np.zeros(len(forecast.starts)), 0
    for change in sorted(closings, key=lambda c: c.start):
        if change.touches(forecast) and change.end > upto:
            shut += _share(max(change.start, upto), change.end, forecast)
            upto = change.end
    return np.minimum(shut, 1.0)


def _share(start: int, end: int, forecast: PublishedForecast) -> Float64:
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
