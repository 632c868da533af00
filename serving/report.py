"""What every batch needs: the snapshot in force, and the report of what was published."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from features.artefact import current_id
from features.errors import NotPublishedError
from features.home import Home
from features.snapshot import Snapshot, open_current_snapshot

OLD_SNAPSHOT = timedelta(days=2)
"""A snapshot that looks back from further than this puts a warning into what is made from it."""


@dataclass(frozen=True)
class PublishedReport:
    """What a batch published.

    Attributes:
        kind: ``forecast-set`` or ``score-set``.
        id: The set's id.
        path: Its folder.
        as_of: The moment up to which events were known to it, aware UTC.
        snapshot: The snapshot's id.
        model_version: The bundle's id.
        counts: How many queues and intervals, or customers and scored ones.
        warnings: What a reader should know; also in the set.
    """

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


def age_warnings(
    as_of: datetime, *, now: datetime, old: timedelta = OLD_SNAPSHOT
) -> tuple[str, ...]:
    """Return a warning where what is known is old.

    Args:
        as_of: The moment up to which events are known.
        now: The time.
        old: Age from which it is worth a warning.

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
