"""Publish every queue's forecast, in full or as today's correction, and report it.

It needs no bundle and no refit: a queue costs some milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from features.artefact import current_id, point_to
from features.calendar.clock import to_epoch
from features.calendar.queues import Event
from features.errors import HorizonError, NotPublishedError, TooLittleDataError
from features.home import Home, ModelName
from features.snapshot import Snapshot, open_current_snapshot
from features.volume.history import QueueHistory
from serving.models.volume.forecast import QueueForecast, VolumeForecast, rest
from serving.models.volume.intraday import INTRADAY, correct, unseen_today
from serving.models.volume.model import VolumeModel, open_volume_model
from serving.published.forecast_set import (
    FORECAST_SET_KIND,
    ForecastSet,
    open_forecast_set,
    write_forecast_set,
)

OLD_SNAPSHOT = timedelta(days=2)
"""A snapshot that looks back from further than this puts a warning into what is made from it."""


@dataclass(frozen=True)
class PublishedReport:
    """What a batch published; ``counts`` are queues and intervals, or customers and scored ones."""

    kind: str
    id: str
    path: Path
    as_of: datetime
    snapshot: str
    model_version: str
    counts: dict[str, int]
    warnings: tuple[str, ...]


def snapshot_in_force(home: Home) -> Snapshot:
    """Verify and read the current snapshot.

    Raises:
        NotPublishedError: None was published; the message says what to run.
        ArtefactError: It is damaged or of another contract.
    """
    if current_id(home.snapshots) is None:
        raise NotPublishedError(
            "no feature snapshot is published", remedy="run `python -m features build`"
        )
    return open_current_snapshot(home.snapshots)


def put_forecast_in_force(
    home: Home,
    forecast: VolumeForecast | ForecastSet,
    *,
    snapshot: Snapshot,
    model_version: str,
    counts: Mapping[str, int],
    warnings: tuple[str, ...],
    base: str | None = None,
    now: datetime,
) -> PublishedReport:
    """Write a forecast set and put it in force; ``counts`` go beside queues and intervals."""
    queues = forecast.queues
    id = write_forecast_set(
        home.forecasts,
        forecast=forecast,
        snapshot=snapshot.artefact.id,
        model_version=model_version,
        warnings=warnings,
        base=base,
        now=now,
    )
    point_to(home.forecasts, id)
    return PublishedReport(
        kind=FORECAST_SET_KIND,
        id=id,
        path=home.forecasts / id,
        as_of=snapshot.as_of,
        snapshot=snapshot.artefact.id,
        model_version=model_version,
        counts={
            "queues": len(queues),
            **counts,
            "intervals": sum(len(queue.starts) for queue in queues.values()),
        },
        warnings=warnings,
    )


def age_warnings(
    as_of: datetime, *, now: datetime, old: timedelta = OLD_SNAPSHOT
) -> tuple[str, ...]:
    """Return a warning where what is known is old.

    >>> from datetime import UTC
    >>> then = datetime(2026, 3, 2, 9, tzinfo=UTC)
    >>> age_warnings(then, now=then + timedelta(hours=5), old=timedelta(hours=3))
    ('made from data up to 2026-03-02 09:00 UTC, 5 hours ago',)
    """
    age = now - as_of
    if age <= old:
        return ()
    ago = f"{age.days} days" if age >= OLD_SNAPSHOT else f"{age // timedelta(hours=1)} hours"
    return (f"made from data up to {as_of:%Y-%m-%d %H:%M} UTC, {ago} ago",)


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
    corrected = sum(q.method == INTRADAY for q in queues.values())
    warnings = _intraday_warnings(base, snapshot, now=now)
    if not corrected:
        warnings += ("nothing was observed since the full forecast; nothing is corrected",)
    return put_forecast_in_force(
        home,
        replace(base, made_at=snapshot.as_of, as_of=snapshot.as_of, queues=queues),
        snapshot=snapshot,
        model_version=base.model_version,
        counts={"corrected": corrected},
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
    old, end = {event.event_id for event in base.events}, to_epoch(base.horizon_end)
    return [
        event.event_id
        for event in events
        if event.event_id not in old
        and event.starts_at < end
        and event.ends_at > to_epoch(base.as_of)
    ]


Progress = Callable[[str, float], None]
"""Receives the step that begins, and the share of the work that is done, in [0, 1]."""


def ignore_progress(step: str, share: float) -> None:
    """Take no notice of progress."""
    del step, share


def publish_forecast(
    home: Home,
    *,
    now: datetime,
    horizon_days: int | None = None,
    progress: Progress = ignore_progress,
) -> PublishedReport:
    """Forecast every queue of the current snapshot and put the forecast in force.

    Args:
        horizon_days: Days ahead of the snapshot's as-of; by default all the model was trained for.

    Raises:
        NotPublishedError: No volume model is promoted or no snapshot is published.
        ArtefactError: One of them is damaged or of another contract.
        HorizonError: The horizon is longer than the model was trained for, or below one day.
        TooLittleDataError: The snapshot knows no queue.
    """
    progress("opening the model and the snapshot", 0.0)
    model = open_volume_model(_bundle(home, "volume"))
    snapshot = snapshot_in_force(home)
    if not snapshot.histories:
        raise _empty(snapshot, "queue", "`python -m features ingest interactions` or `intervals`")
    days = _horizon(model, horizon_days)
    model.check_golden()
    progress("forecasting", 0.2)
    forecast = model.forecast(
        snapshot.histories,
        events=snapshot.events,
        orders=snapshot.orders,
        made_at=snapshot.as_of,
        until=snapshot.as_of + timedelta(days=days),
    )
    progress("writing", 0.9)
    report = put_forecast_in_force(
        home,
        forecast,
        snapshot=snapshot,
        model_version=model.artefact.id,
        counts={},
        warnings=age_warnings(snapshot.as_of, now=now),
        now=now,
    )
    progress("published", 1.0)
    return report


def _horizon(model: VolumeModel, days: int | None) -> int:
    if days is None:
        return model.horizon_days
    if not 1 <= days <= model.horizon_days:
        raise HorizonError(
            "`horizon_days`",
            got=days,
            expected=f"1 to {model.horizon_days}, as trained",
            remedy="ask for less, or train with a longer `horizon_days`",
            field="horizon_days",
        )
    return days


def _bundle(home: Home, model: ModelName) -> Path:
    root = home.bundles(model)
    id = current_id(root)
    if id is None:
        raise NotPublishedError(
            f"no {model} model is promoted",
            remedy=f"run `python -m training fit {model}` and then "
            f"`python -m training promote {model}`",
        )
    return root / id


def _empty(snapshot: Snapshot, what: str, how: str) -> TooLittleDataError:
    return TooLittleDataError(
        f"snapshot `{snapshot.artefact.id}`",
        got=f"no {what}",
        expected=f"at least one {what}",
        remedy=f"run {how}, then `python -m features build`",
    )
