"""Publish today's correction: the last full forecast, moved by what came since it was made.

It needs no bundle and no refit: a queue costs some milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from features.artefact import current_id
from features.calendar import Event, epoch
from features.errors import HorizonError, NotPublishedError, TooLittleDataError
from features.home import Home
from features.snapshot import QueueHistory, Snapshot
from serving.models.volume.forecast import QueueForecast
from serving.models.volume.span import rest
from serving.models.volume.today import INTRADAY, correct, unseen_today
from serving.report import (
    PublishedReport,
    age_warnings,
    put_forecast_in_force,
    snapshot_in_force,
)
from serving.sets.forecast import ForecastSet, open_forecast_set

OLD_TODAY = timedelta(hours=3)
"""Rows that end longer ago than this say little of today."""
OLD_BASE = timedelta(days=2)
"""A full forecast older than this should be made again."""


def publish_intraday(home: Home, *, now: datetime) -> PublishedReport:
    """Correct the last full forecast with the current snapshot and put the result in force.

    Raises:
        NotPublishedError: No full forecast or no snapshot is published.
        ArtefactError: One of them is damaged or of another contract.
        TooLittleDataError: The snapshot knows nothing that the full forecast did not know.
        HorizonError: The full forecast has ended.
    """
    base = _full_forecast(home)
    snapshot = snapshot_in_force(home)
    _check_correctable(base, snapshot)
    queues = {
        name: _corrected(forecast, snapshot.histories.get(name), base=base, as_of=snapshot.as_of)
        for name, forecast in base.queues.items()
    }
    moved = sum(q.method == INTRADAY for q in queues.values())
    warnings = _intraday_warnings(base, snapshot, now=now)
    if not moved:
        warnings += ("nothing was observed since the full forecast; nothing is corrected",)
    return put_forecast_in_force(
        home,
        replace(base, made_at=snapshot.as_of, as_of=snapshot.as_of, queues=queues),
        snapshot=snapshot,
        model_version=base.model_version,
        counts={"corrected": moved},
        warnings=warnings,
        base=base.id,
        now=now,
    )


def _full_forecast(home: Home) -> ForecastSet:
    id = current_id(home.forecasts)
    if id is None:
        raise NotPublishedError(
            "no full forecast is published", remedy="run `python -m serving forecast`"
        )
    current = open_forecast_set(home.forecasts / id)
    return current if current.base is None else open_forecast_set(home.forecasts / current.base)


def _check_correctable(base: ForecastSet, snapshot: Snapshot) -> None:
    """Refuse to correct where there is nothing to correct with, or nothing left to correct."""
    if snapshot.as_of <= base.as_of:
        raise TooLittleDataError(
            f"snapshot `{snapshot.artefact.id}`",
            got=f"data up to {snapshot.as_of:%Y-%m-%d %H:%M} UTC",
            expected=f"more than forecast set `{base.id}` knew, {base.as_of:%Y-%m-%d %H:%M} UTC",
            remedy="ingest what came since and run `python -m features build --only volume`",
        )
    if base.horizon_end <= snapshot.as_of:
        raise HorizonError(
            f"full forecast `{base.id}`",
            got=f"an end at {base.horizon_end:%Y-%m-%d %H:%M} UTC",
            expected=f"an end after {snapshot.as_of:%Y-%m-%d %H:%M} UTC",
            remedy="run `python -m serving forecast`",
        )


def _corrected(
    forecast: QueueForecast,
    history: QueueHistory | None,
    *,
    base: ForecastSet,
    as_of: datetime,
) -> QueueForecast:
    """Return one queue's forecast from the snapshot's as-of on, corrected where that can be."""
    name = forecast.queue.queue
    if history is None:
        warning = f"`{name}` is not in the snapshot; it is not corrected"
        return rest(forecast, now=as_of).with_warnings(warning)
    minutes = history.queue.interval_minutes
    if minutes != forecast.queue.interval_minutes:
        warning = f"`{name}` is now counted by {minutes} minutes; it is not corrected"
        return rest(forecast, now=as_of).with_warnings(warning)
    corrected = correct(forecast, history, made_at=base.made_at, now=as_of)
    if unseen_today(forecast, history, now=as_of):
        return corrected.with_warnings(f"nothing of today was observed in `{name}`")
    return corrected


def _intraday_warnings(base: ForecastSet, snapshot: Snapshot, *, now: datetime) -> tuple[str, ...]:
    warnings = list(age_warnings(snapshot.as_of, now=now, old=OLD_TODAY))
    if snapshot.as_of - base.made_at > OLD_BASE:
        warnings.append(
            f"the full forecast was made at {base.made_at:%Y-%m-%d %H:%M} UTC; "
            "run `python -m serving forecast`"
        )
    new = sorted(set(snapshot.histories) - set(base.queues))
    if new:
        warnings.append(f"not in the full forecast, and so not in this one: {', '.join(new)}")
    fresh = _fresh_events(base, snapshot.events)
    if fresh:
        warnings.append(
            f"calendar events that became known since the full forecast are not in this one: "
            f"{', '.join(fresh)}; run `python -m serving forecast`"
        )
    return tuple(warnings)


def _fresh_events(base: ForecastSet, events: Sequence[Event]) -> list[str]:
    old, end = {event.event_id for event in base.events}, epoch(base.horizon_end)
    return [
        event.event_id
        for event in events
        if event.event_id not in old and event.starts_at < end and event.ends_at > epoch(base.as_of)
    ]
