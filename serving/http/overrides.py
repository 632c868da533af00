"""Overrides in force: a worker's copy of what planners sent, laid over the published forecast.

Requests read it without touching the database; it is brought up to date when the database changed,
and at once in the worker that wrote.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from features.calendar import Float64, Int64, epoch, moment
from features.errors import DatabaseError
from features.overrides import overridden
from serving.layers import Layer
from serving.override_store import NOTHING, OverrideStore, Version
from serving.sets.forecast import ForecastSet, PublishedForecast
from serving.sets.scores import iso

if TYPE_CHECKING:
    from serving.http.choice import Choice

MODEL, OVERRIDE = "model", "override"
"""What ``published`` says of an interval: whose number its mean is."""


@dataclass(frozen=True)
class Book:
    """What one worker knows of the overrides at one moment; it never changes.

    Attributes:
        version: What was changed last.
        since: Overrides that end before this are not in it, epoch seconds.
        layers: By queue, in the order they were made.
        trouble: Why the database cannot be read; None where it can.
    """

    version: Version = NOTHING
    since: int = 0
    layers: Mapping[str, tuple[Layer, ...]] = field(default_factory=lambda: MappingProxyType({}))
    trouble: str | None = None


@dataclass(frozen=True)
class Applied:
    """The overrides that count in one queue's forecast.

    Attributes:
        version: The book's: fixes what is written of them.
        starts: Interval starts of the forecast, epoch seconds, int64[h].
        which: Place in ``layers`` of the one that counts, int64[h]; -1 where the model does.
        layers: Overrides of the queue.
    """

    version: Version
    starts: Int64
    which: Int64
    layers: tuple[Layer, ...]

    def at(self, starts: Int64) -> Int64:
        """Return which override counts in intervals inside those of the forecast, int64[n]."""
        place = np.searchsorted(self.starts, starts, side="right") - 1
        return np.where(place < 0, -1, self.which[np.maximum(place, 0)])

    def ids(self, starts: Int64) -> list[str | None]:
        """Return the id of the override that counts in each interval; None for the model's."""
        names = [*(layer.override_id for layer in self.layers), None]
        return [names[place] for place in self.at(starts).tolist()]


@dataclass(frozen=True)
class Overlay:
    """A published set with the overrides laid over it.

    Attributes:
        of: The set.
        book: The overrides.
        queues: The forecast and the overrides of each queue in which one counts.
        set: The set with those forecasts in it.
    """

    of: ForecastSet
    book: Book
    queues: Mapping[str, tuple[PublishedForecast, Applied]]
    set: ForecastSet

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know of an answer from it."""
        if self.book.trouble is None:
            return ()
        what = (
            "this is the model's own forecast"
            if self.book.version == NOTHING
            else "those that were read last are in force"
        )
        return (f"planners' overrides cannot be read, see /readyz: {what}",)


def lay_over(of: ForecastSet, book: Book, *, before: Overlay | None = None) -> Overlay:
    """Lay overrides over a published set.

    Args:
        of: The set.
        book: The overrides.
        before: An earlier overlay, from which what has not changed is taken.
    """
    queues = {}
    for name, layers in book.layers.items():
        forecast = of.queues.get(name)
        if forecast is None or len(forecast.starts) == 0:
            continue
        same = before is not None and before.of is of and before.book.layers.get(name) is layers
        if same and before is not None:
            if name in before.queues:
                queues[name] = before.queues[name]
            continue
        found = _lay(forecast, layers, version=book.version, made_at=epoch(of.made_at))
        if found is not None:
            queues[name] = found
    forecasts = {name: forecast for name, (forecast, _) in queues.items()}
    laid = replace(of, queues={**of.queues, **forecasts}) if queues else of
    return Overlay(of, book, MappingProxyType(queues), laid)


def _lay(
    forecast: PublishedForecast, layers: Sequence[Layer], *, version: Version, made_at: int
) -> tuple[PublishedForecast, Applied] | None:
    """Return one queue's forecast under its overrides; None where none counts."""
    pieces = [(place, one) for place, layer in enumerate(layers) for one in layer.overrides()]
    found = overridden(
        [one for _, one in pieces],
        starts=forecast.starts,
        mean=forecast.mean,
        interval_minutes=forecast.queue.interval_minutes,
    )
    said = ~np.isnan(found.offered)
    counts = said & forecast.is_open
    if not said.any():
        return None
    rows = np.flatnonzero(counts)
    mean, aht = forecast.mean.copy(), forecast.aht_seconds.copy()
    mean[rows] = found.offered[rows]
    hers = rows[~np.isnan(found.aht_seconds[rows])]
    aht[hers] = found.aht_seconds[hers]
    which = np.full(len(mean), -1)
    which[rows] = np.array([place for place, _ in pieces])[found.which[rows]]
    shut = int((said & ~forecast.is_open).sum())
    notes = (f"overrides of {shut} intervals do not count: the queue is closed in them",)
    laid = replace(
        forecast, aht_seconds=aht, warnings=(*forecast.warnings, *(notes if shut else ()))
    ).with_mean(mean, made_at=made_at, rows=counts)
    return laid, Applied(version, forecast.starts, which, tuple(layers))


def in_force(choice: Choice, overlay: Overlay) -> Choice:
    """Return a choice with the numbers that are in force: planners' where they sent some.

    Args:
        choice: What was asked for of the published set.
        overlay: That set with the overrides laid over it.
    """
    touched = {
        forecast.queue.queue: overlay.queues[forecast.queue.queue]
        for forecast, _ in choice.queues
        if forecast.queue.queue in overlay.queues
    }
    if not touched and not overlay.warnings:
        return choice
    return replace(
        choice,
        set=overlay.set,
        queues=tuple(
            (touched[f.queue.queue][0] if f.queue.queue in touched else f, rows)
            for f, rows in choice.queues
        ),
        applied={name: applied for name, (_, applied) in touched.items()},
        warnings=(*choice.warnings, *overlay.warnings),
    )


def said(overlay: Overlay) -> ForecastSet:
    """Return the set in force with a warning on each queue in which a planner's numbers count."""
    queues = dict(overlay.set.queues)
    for name, (forecast, applied) in overlay.queues.items():
        count = int((applied.which >= 0).sum())
        by = ", ".join(sorted({applied.layers[i].made.by for i in set(applied.which) - {-1}}))
        note = f"in {count} intervals a planner's own numbers are in force (by {by})"
        if count:
            queues[name] = replace(forecast, warnings=(*forecast.warnings, note))
    return replace(overlay.set, queues=queues, warnings=(*overlay.set.warnings, *overlay.warnings))


def listed(choice: Choice) -> list[dict[str, Any]]:
    """Return what the head of an answer says of the overrides that count in it."""
    found = []
    for forecast, rows in choice.queues:
        applied = choice.applied.get(forecast.queue.queue)
        if applied is None:
            continue
        for place in np.unique(applied.at(forecast.starts[rows])).tolist():
            if place >= 0:
                layer = applied.layers[place]
                found.append(
                    {
                        "override_id": layer.override_id,
                        "queue": layer.expected.queue,
                        "made_by": layer.made.by,
                        "made_at": iso(moment(layer.made.at)),
                        "reason": layer.made.reason,
                    }
                )
    return found


@dataclass(frozen=True)
class Whose:
    """Whose number each interval's mean is, ready to be written.

    Attributes:
        published: ``model`` or ``override``.
        override_id: Of the override; None for the model.
        model_mean: What the model expects, float64[n].
    """

    published: list[str]
    override_id: list[str | None]
    model_mean: Float64


def whose(forecast: PublishedForecast, rows: slice, applied: Applied | None) -> Whose:
    """Say whose numbers some intervals of a queue's forecast are.

    Args:
        forecast: The forecast, also one that was changed or split after the overrides.
        rows: Which of its intervals.
        applied: The overrides that count in it; None for none.
    """
    starts = forecast.starts[rows]
    ids = [None] * len(starts) if applied is None else applied.ids(starts)
    return Whose(
        published=[MODEL if id is None else OVERRIDE for id in ids],
        override_id=list(ids),
        # The parts go on explaining the model.
        model_mean=forecast.parts[rows].sum(axis=1),
    )


class Overrides:
    """One worker's view of the overrides.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: OverrideStore) -> None:
        self.store = store
        self._reading = threading.Lock()
        self._book = Book()
        self._overlay: Overlay | None = None

    @property
    def book(self) -> Book:
        """What is known now."""
        return self._book

    def refresh(self, forecast: ForecastSet | None) -> None:
        """Read what was changed since, and lay it over the published set; call it in a thread."""
        if forecast is None:
            return
        with self._reading:
            self._book = self._read(since=epoch(forecast.horizon_start))
            self.over(forecast)

    def over(self, forecast: ForecastSet) -> Overlay:
        """Return a published set with the overrides that are known laid over it."""
        book, before = self._book, self._overlay
        if before is None or before.of is not forecast or before.book is not book:
            before = self._overlay = lay_over(forecast, book, before=before)
        return before

    def _read(self, *, since: int) -> Book:
        book = self._book
        try:
            seen = book.version if since >= book.since else NOTHING
            found = self.store.changed(seen=seen, since=since)
        except DatabaseError as error:
            return book if book.trouble == str(error) else replace(book, trouble=str(error))
        if not found.layers and found.version == book.version:
            return book if book.trouble is None else replace(book, trouble=None)
        kept = {} if found.whole else _by_id(book)
        kept |= {layer.override_id: layer for layer in found.layers}
        queues: dict[str, list[Layer]] = {}
        for id in sorted(kept):
            if kept[id].expected.end > since:
                queues.setdefault(kept[id].expected.queue, []).append(kept[id])
        layers = {
            name: old if (old := book.layers.get(name)) == tuple(found) else tuple(found)
            for name, found in queues.items()
        }
        return Book(found.version, since, MappingProxyType(layers))


def _by_id(book: Book) -> dict[str, Layer]:
    return {layer.override_id: layer for layers in book.layers.values() for layer in layers}
