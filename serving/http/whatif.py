"""What if: a forecast of one's own, by factor arithmetic on the published one.

Everything after the blend of ordinary days multiplies, so a change is a factor on the mean and on
its parts; quantiles are read again from the published distribution around the new mean. Nothing
that is published changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from features.calendar import Event, Float64, epoch
from features.contracts import PARTS
from features.errors import HorizonError, InputError, UnknownNameError
from serving.http.changes import HIGHEST_FACTOR, AddedEvent, Closing, Scaling, WhatIf
from serving.http.choice import Choice
from serving.models.volume.effects import PHASES, DayEffects, event_label, group_of
from serving.models.volume.events import event_factors
from serving.models.volume.span import cut
from serving.sets.forecast import ForecastSet, PublishedForecast
from serving.sets.scores import iso

EVENT_PART = PARTS.index("event")
FIELD = "what_if"


@dataclass(frozen=True)
class _Change:
    """A factor over a span of time, or a closing.

    Attributes:
        start: Epoch seconds.
        end: Epoch seconds, excluded.
        queues: The queues it touches; None for all.
        factor: What it multiplies; 0 for a closing.
    """

    start: int
    end: int
    queues: frozenset[str] | None
    factor: float

    def touches(self, forecast: PublishedForecast) -> bool:
        return self.queues is None or forecast.queue.queue in self.queues


@dataclass(frozen=True)
class _Plan:
    """The changes of one request, resolved against the published set.

    Attributes:
        before: Calendar events of the published forecast.
        after: Calendar events with those added and without those removed.
        volume: Factors on the contacts.
        aht: Factors on the average handle time.
        closed: Closings.
    """

    before: tuple[Event, ...]
    after: tuple[Event, ...]
    volume: tuple[_Change, ...]
    aht: tuple[_Change, ...]
    closed: tuple[_Change, ...]


def changed(choice: Choice, what_if: WhatIf | None) -> Choice:
    """Return a choice with the forecasts that it would have after some changes.

    Args:
        choice: What was asked for of the published set.
        what_if: The changes; None for the published forecast itself.

    Raises:
        UnknownNameError: A queue or an event is not known.
        HorizonError: A span is not inside the published one.
        InputError: Factors multiply to more than ``HIGHEST_FACTOR``.
    """
    if what_if is None:
        return choice
    plan = _plan(what_if, of=choice.set)
    queues = []
    for forecast, rows in choice.queues:
        found = _apply(plan, cut(forecast, rows), of=choice.set)
        queues.append((found, slice(0, len(found.starts))))
    warnings = (*choice.warnings, *_unlearnt(what_if, of=choice.set))
    return replace(choice, queues=tuple(queues), what_if=True, warnings=warnings)


def _plan(what_if: WhatIf, *, of: ForecastSet) -> _Plan:
    known = {event.event_id: event for event in of.events}
    for i, id in enumerate(what_if.remove_events):
        if id not in known:
            raise UnknownNameError("event", id, known, field=f"{FIELD}.remove_events.{i}")
    kept = [event for event in of.events if event.event_id not in what_if.remove_events]
    added = [_event(e, i, of=of) for i, e in enumerate(what_if.add_events)]
    return _Plan(
        before=of.events,
        after=(*kept, *added),
        volume=_changes("scale_volume", what_if.scale_volume, of=of),
        aht=_changes("scale_aht", what_if.scale_aht, of=of),
        closed=_changes("closed", what_if.closed, of=of),
    )


def _event(added: AddedEvent, place: int, *, of: ForecastSet) -> Event:
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


def _changes(
    name: str, asked: Sequence[Scaling | Closing], *, of: ForecastSet
) -> tuple[_Change, ...]:
    first, last = epoch(of.horizon_start), epoch(of.horizon_end)
    found = []
    for i, change in enumerate(asked):
        field = f"{FIELD}.{name}.{i}"
        start = first if change.start is None else epoch(change.start)
        end = last if change.end is None else epoch(change.end)
        if change.start is not None and not first <= start < last:
            raise _outside(f"{field}.start", change.start, of=of)
        if change.end is not None and not first < end <= last:
            raise _outside(f"{field}.end", change.end, of=of)
        factor = change.factor if isinstance(change, Scaling) else 0.0
        found.append(_Change(start, end, _names(change.queues, field, of=of), factor))
    return tuple(found)


def _names(queues: list[str] | None, field: str, *, of: ForecastSet) -> frozenset[str] | None:
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
    moved = replace(
        forecast,
        parts=_moved(forecast.parts, ratio) * factor[:, None],
        is_open=forecast.is_open & (open_share > 0),
        aht_seconds=forecast.aht_seconds * _factor("scale_aht", plan.aht, forecast),
    )
    mean = forecast.mean * ratio * factor
    return moved.with_mean(mean, made_at=epoch(of.made_at), rows=ratio * factor != 1)


def _event_ratio(plan: _Plan, forecast: PublishedForecast, *, of: ForecastSet) -> Float64:
    """Return the events' factor after the changes over the one before, float64[h]."""
    if plan.before == plan.after:
        return np.ones(len(forecast.starts))
    after, before = (
        event_factors(
            forecast.effects, forecast.queue, forecast.starts, events, known_by=epoch(of.as_of)
        )
        for events in (plan.after, plan.before)
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


def _factor(name: str, changes: Sequence[_Change], forecast: PublishedForecast) -> Float64:
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


def _shut(closings: Sequence[_Change], forecast: PublishedForecast) -> Float64:
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


def _unlearnt(what_if: WhatIf, *, of: ForecastSet) -> tuple[str, ...]:
    """Name the kinds of added events that nothing is known of on the queues they touch."""
    kinds: dict[str, None] = {}
    for event in what_if.add_events:
        touched = [of.queue(name) for name in event.queues or of.queues]
        if not any(_learnt(forecast.effects, event.kind) for forecast in touched):
            kinds[event.kind] = None
    return tuple(
        f"no event of the kind `{kind}` was learnt from: adding one changes nothing"
        for kind in kinds
    )


def _learnt(effects: DayEffects, kind: str) -> bool:
    labels = {event_label(kind, phase) for phase in PHASES}
    names = labels | {group_of(label) for label in labels}
    return any(not names.isdisjoint(known) for known in (effects.shared, *effects.own.values()))
