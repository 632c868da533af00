"""Overrides in force: a worker's copy of what planners sent, laid over the published forecast.

Requests read the copy, not the database; it follows the database, at once in the worker that wrote.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from features.arrays import Int64
from features.calendar.clock import to_epoch
from features.errors import DatabaseError
from features.volume.overrides import StoredOverride, apply_overrides
from serving.models.volume.forecast import QueueForecast
from serving.published.forecast_set import ForecastSet
from serving.store.overrides import NOTHING, OverrideStore, Version


@dataclass(frozen=True)
class OverrideState:
    """What one worker knows of the overrides at one moment; it never changes.

    Attributes:
        version: The last change that it contains.
        since: Overrides that end before this are not in it, epoch seconds.
        overrides: By queue, in the order they were made.
        trouble: Why the database cannot be read.
    """

    version: Version = NOTHING
    since: int = 0
    overrides: Mapping[str, tuple[StoredOverride, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    trouble: str | None = None

    @property
    def count(self) -> int:
        """How many overrides it holds."""
        return sum(map(len, self.overrides.values()))


@dataclass(frozen=True)
class AppliedOverrides:
    """The overrides that count in one queue's forecast.

    Attributes:
        starts: Interval starts of the forecast, epoch seconds, int64[h].
        which: Place in ``overrides`` of the one that counts, int64[h]; -1 where the model does.
    """

    version: Version
    starts: Int64
    which: Int64
    overrides: tuple[StoredOverride, ...]

    def at(self, starts: Int64) -> Int64:
        """Return which override counts in intervals inside those of the forecast, int64[n]."""
        place = np.searchsorted(self.starts, starts, side="right") - 1
        return np.where(place < 0, -1, self.which[np.maximum(place, 0)])

    def counting(self, starts: Int64) -> list[StoredOverride]:
        """Return the overrides that count in at least one of the intervals, in order."""
        return [self.overrides[i] for i in np.unique(self.at(starts)).tolist() if i >= 0]


@dataclass(frozen=True)
class Overlay:
    """A published set with the overrides laid over it.

    Attributes:
        of: The set as it was published.
        queues: The forecast and the overrides of each queue in which one counts.
        set: The set with those forecasts in it.
    """

    of: ForecastSet
    known: OverrideState
    queues: Mapping[str, tuple[QueueForecast, AppliedOverrides]]
    set: ForecastSet

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader should know of it."""
        if self.known.trouble is None:
            return ()
        what = (
            "this is the model's own forecast"
            if self.known.version == NOTHING
            else "those that were read last are in force"
        )
        return (f"planners' overrides cannot be read, see /readyz: {what}",)


def lay_over(of: ForecastSet, known: OverrideState, *, before: Overlay | None = None) -> Overlay:
    """Lay overrides over a published set; what has not changed is taken from ``before``."""
    queues = {}
    for name, overrides in known.overrides.items():
        forecast = of.queues.get(name)
        if forecast is None or len(forecast.starts) == 0:
            continue
        if before is not None and before.of is of and before.known.overrides.get(name) is overrides:
            overlaid = before.queues.get(name)
        else:
            overlaid = _lay_over_queue(
                forecast, overrides, version=known.version, made_at=to_epoch(of.made_at)
            )
        if overlaid is not None:
            queues[name] = overlaid
    forecasts = {name: forecast for name, (forecast, _) in queues.items()}
    after = replace(of, queues={**of.queues, **forecasts}) if queues else of
    return Overlay(of, known, MappingProxyType(queues), after)


def _lay_over_queue(
    forecast: QueueForecast, overrides: Sequence[StoredOverride], *, version: Version, made_at: int
) -> tuple[QueueForecast, AppliedOverrides] | None:
    """Return one queue's forecast under its overrides; None where none counts."""
    intervals = [
        (place, one) for place, override in enumerate(overrides) for one in override.overrides()
    ]
    overlaid = apply_overrides(
        [one for _, one in intervals],
        starts=forecast.starts,
        mean=forecast.mean,
        interval_minutes=forecast.queue.interval_minutes,
    )
    covered = ~np.isnan(overlaid.offered)
    if not covered.any():
        return None
    counts = covered & forecast.is_open
    rows = np.flatnonzero(counts)
    mean, aht = forecast.mean.copy(), forecast.aht_seconds.copy()
    mean[rows] = overlaid.offered[rows]
    with_aht = rows[~np.isnan(overlaid.aht_seconds[rows])]
    aht[with_aht] = overlaid.aht_seconds[with_aht]
    which = np.full(len(mean), -1)
    which[rows] = np.array([place for place, _ in intervals])[overlaid.which[rows]]
    closed = int((covered & ~forecast.is_open).sum())
    notes = (f"overrides of {closed} intervals do not count: the queue is closed in them",)
    in_force = replace(
        forecast, aht_seconds=aht, warnings=(*forecast.warnings, *(notes if closed else ()))
    ).with_mean(mean, made_at=made_at, rows=counts)
    return in_force, AppliedOverrides(version, forecast.starts, which, tuple(overrides))


def with_override_warnings(overlay: Overlay) -> ForecastSet:
    """Return the set in force with a warning on each queue in which overrides count."""
    queues = dict(overlay.set.queues)
    for name, (forecast, applied) in overlay.queues.items():
        count = int((applied.which >= 0).sum())
        by = ", ".join(sorted({applied.overrides[i].made.by for i in set(applied.which) - {-1}}))
        note = f"in {count} intervals a planner's own numbers are in force (by {by})"
        if count:
            queues[name] = replace(forecast, warnings=(*forecast.warnings, note))
    return replace(overlay.set, queues=queues, warnings=(*overlay.set.warnings, *overlay.warnings))


def override_ids(starts: Int64, applied: AppliedOverrides | None) -> list[str | None]:
    """Return the id of the override that counts in each interval; None where the model does."""
    if applied is None:
        return [None] * len(starts)
    ids = [*(override.override_id for override in applied.overrides), None]
    return [ids[place] for place in applied.at(starts).tolist()]


class OverrideCache:
    """One worker's copy of the overrides."""

    def __init__(self, store: OverrideStore) -> None:
        self.store = store
        self._reading = threading.Lock()
        self.known = OverrideState()
        self._overlay: Overlay | None = None

    def refresh(self, forecast: ForecastSet | None) -> None:
        """Read what was changed since, and lay it over the published set; call it in a thread."""
        if forecast is None:
            return
        with self._reading:
            self.known = self._read(since=to_epoch(forecast.horizon_start))
            self.over(forecast)

    def over(self, forecast: ForecastSet) -> Overlay:
        """Return a published set with the overrides that are known laid over it."""
        known, before = self.known, self._overlay
        if before is None or before.of is not forecast or before.known is not known:
            before = self._overlay = lay_over(forecast, known, before=before)
        return before

    def _read(self, *, since: int) -> OverrideState:
        known = self.known
        try:
            seen = known.version if since >= known.since else NOTHING
            changes = self.store.changed(seen=seen, since=since)
        except DatabaseError as error:
            return known if known.trouble == str(error) else replace(known, trouble=str(error))
        if not changes.overrides and changes.version == known.version:
            return known if known.trouble is None else replace(known, trouble=None)
        earlier = (
            ()
            if changes.whole
            else (override for few in known.overrides.values() for override in few)
        )
        by_id = {override.override_id: override for override in (*earlier, *changes.overrides)}
        queues: dict[str, list[StoredOverride]] = {}
        for _, override in sorted(by_id.items()):
            if override.expected.end > since:
                queues.setdefault(override.expected.queue, []).append(override)
        overrides = {
            name: old if (old := known.overrides.get(name)) == tuple(new) else tuple(new)
            for name, new in queues.items()
        }
        return OverrideState(changes.version, since, MappingProxyType(overrides))
