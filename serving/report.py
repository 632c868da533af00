"""What every batch needs: the snapshot in force, and the report of what was published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from features.artefact import current_id, point_to
from features.errors import NotPublishedError
from features.home import Home
from features.snapshot import Snapshot, open_current_snapshot
from serving.models.volume.forecast import VolumeForecast
from serving.sets.forecast import FORECAST_SET_KIND, ForecastSet, write_forecast_set

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
    """Write a forecast set and put it in force; ``counts`` are told beside queues and intervals."""
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
