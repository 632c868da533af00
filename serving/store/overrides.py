"""Overrides in the service's database; rows are added, never changed.

A change is one row of ``changes`` (who, when, why) and its other rows, in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from features.calendar.clock import from_epoch
from features.errors import UnknownNameError
from features.volume.overrides import AuditStamp, OverrideInterval, OverrideValue, StoredOverride
from serving.store.database import METADATA, Database, StoredResponse, find_response, store_response

_CHANGES = sa.Table(
    "changes",
    METADATA,
    sa.Column("change", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)
_OVERRIDES = sa.Table(
    "overrides",
    METADATA,
    sa.Column("override_id", sa.Text, primary_key=True),
    sa.Column("change", sa.ForeignKey(_CHANGES.c.change), nullable=False),
    sa.Column("queue", sa.Text, nullable=False),
    sa.Column("span_start", sa.BigInteger, nullable=False),
    sa.Column("span_end", sa.BigInteger, nullable=False, index=True),
    sa.Column("offered", sa.Double, nullable=False),
    sa.Column("aht_seconds", sa.Double),
    sa.Column("forecast_set", sa.Text, nullable=False),
    sa.Column("forecast_offered", sa.Double, nullable=False),
)
_INTERVALS = sa.Table(
    "override_intervals",
    METADATA,
    sa.Column("override_id", sa.ForeignKey(_OVERRIDES.c.override_id), primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("interval_start", sa.BigInteger, nullable=False),
    sa.Column("interval_minutes", sa.Integer, nullable=False),
    sa.Column("offered", sa.Double, nullable=False),
)
_WITHDRAWALS = sa.Table(
    "withdrawals",
    METADATA,
    sa.Column("override_id", sa.ForeignKey(_OVERRIDES.c.override_id), primary_key=True),
    sa.Column("change", sa.ForeignKey(_CHANGES.c.change), nullable=False),
)

Version = tuple[int, int]
"""Number and time of a change."""
NOTHING: Version = (0, 0)
"""The version of an empty database."""


@dataclass(frozen=True)
class Changed:
    """The changes that a reader of an earlier version has not seen.

    Attributes:
        version: The version now.
        overrides: New and withdrawn overrides, in the order of their ids.
        whole: Whether they are all there are: the reader's version is not known here.
    """

    version: Version
    overrides: list[StoredOverride]
    whole: bool


class OverrideStore:
    """The overrides of one database; its methods raise `DatabaseError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def version(self) -> Version:
        """Return the last change."""
        with self._database.reading() as connection:
            return NOTHING if connection is None else _last_version(connection)

    def overlapping(
        self,
        *,
        since: int | None = None,
        until: int | None = None,
        queues: Sequence[str] | None = None,
    ) -> list[StoredOverride]:
        """Return the overrides that reach into [since, until), epoch seconds, in id order."""
        condition: sa.ColumnElement[bool] = sa.true()
        if since is not None:
            condition &= _OVERRIDES.c.span_end > since
        if until is not None:
            condition &= _OVERRIDES.c.span_start < until
        if queues is not None:
            condition &= _OVERRIDES.c.queue.in_(queues)
        with self._database.reading() as connection:
            return _read_overrides(connection, condition)

    def changed(self, *, seen: Version, since: int) -> Changed:
        """Return what changed after a version, of overrides that end after an epoch second."""
        with self._database.reading() as connection:
            if connection is None:
                return Changed(NOTHING, [], whole=True)
            whole = seen == NOTHING or _last_version(connection, up_to=seen[0]) != seen
            condition = _OVERRIDES.c.span_end > since
            if not whole:
                withdrawn = sa.select(_WITHDRAWALS.c.override_id)
                withdrawn = withdrawn.where(_WITHDRAWALS.c.change > seen[0])
                condition &= (_OVERRIDES.c.change > seen[0]) | _OVERRIDES.c.override_id.in_(
                    withdrawn
                )
            version = _last_version(connection)
            overrides = [] if version == seen else _read_overrides(connection, condition)
            return Changed(version, overrides, whole=whole)

    def stored_response(self, key: str | None) -> StoredResponse | None:
        """Return the response to the request with an idempotency key; None for a new key."""
        if key is None:
            return None
        with self._database.reading() as connection:
            return find_response(connection, key)

    def add(
        self,
        expected: Sequence[OverrideValue],
        *,
        by: str,
        reason: str,
        at: int,
        render: Callable[[Sequence[StoredOverride]], bytes],
        key: str | None = None,
        digest: str = "",
    ) -> StoredResponse:
        """Store overrides, and the response to the request where it has a key, all or nothing.

        Args:
            expected: The planner's values; spans of one queue lie apart.
            at: Epoch seconds.
            render: Renders the response from the stored overrides.
            key: The request's idempotency key, ``digest`` its digest.

        Returns:
            The response; for a key that was used before, the response of then.
        """
        with self._database.writing() as connection:
            earlier = find_response(connection, key)
            if earlier is not None:
                return earlier
            change = AuditStamp(at, by, reason)
            number = _add_change(connection, change)
            stamp = f"{from_epoch(at):%Y%m%dT%H%M%SZ}-{number:08d}"
            overrides = [
                StoredOverride(f"{stamp}-{i:05d}", e, change) for i, e in enumerate(expected)
            ]
            connection.execute(
                _OVERRIDES.insert(), [_override_row(override, number) for override in overrides]
            )
            connection.execute(
                _INTERVALS.insert(),
                [row for override in overrides for row in _interval_rows(override)],
            )
            response = StoredResponse(digest, render(overrides))
            store_response(connection, key, response, at=at)
            return response

    def withdraw(self, override_id: str, *, by: str, reason: str, at: int) -> StoredOverride:
        """Withdraw an override at an epoch second; its rows stay.

        Returns:
            The override; one that was withdrawn before stays as it was then.

        Raises:
            UnknownNameError: There is no such override.
        """
        known = self.find(override_id)
        if known.withdrawn is not None:
            return known
        with self._database.writing() as connection:
            (override,) = _read_overrides(connection, _OVERRIDES.c.override_id == override_id)
            if override.withdrawn is None:
                number = _add_change(connection, AuditStamp(at, by, reason))
                row = {"override_id": override_id, "change": number}
                connection.execute(_WITHDRAWALS.insert(), row)
            (override,) = _read_overrides(connection, _OVERRIDES.c.override_id == override_id)
            return override

    def find(self, override_id: str) -> StoredOverride:
        """Return one override.

        Raises:
            UnknownNameError: There is no such override.
        """
        last: list[str] = []
        with self._database.reading() as connection:
            for override in _read_overrides(connection, _OVERRIDES.c.override_id == override_id):
                return override
            if connection is not None:
                ids = sa.select(_OVERRIDES.c.override_id)
                ids = ids.order_by(_OVERRIDES.c.override_id.desc()).limit(100)
                last = list(connection.execute(ids).scalars())
        raise UnknownNameError("override", override_id, last, field="override_id")


def _last_version(connection: sa.Connection, *, up_to: int | None = None) -> Version:
    last = sa.select(_CHANGES.c.change, _CHANGES.c.made_at).order_by(_CHANGES.c.change.desc())
    if up_to is not None:
        last = last.where(_CHANGES.c.change <= up_to)
    row = connection.execute(last.limit(1)).first()
    return NOTHING if row is None else (row.change, row.made_at)


def _add_change(connection: sa.Connection, change: AuditStamp) -> int:
    number = _last_version(connection)[0] + 1
    row = {"change": number, "made_at": change.at, "made_by": change.by, "reason": change.reason}
    connection.execute(_CHANGES.insert(), row)
    return number


def _override_row(override: StoredOverride, number: int) -> dict[str, Any]:
    expected = override.expected
    return {
        "override_id": override.override_id,
        "change": number,
        "queue": expected.queue,
        "span_start": expected.start,
        "span_end": expected.end,
        "offered": expected.offered,
        "aht_seconds": expected.aht_seconds,
        "forecast_set": expected.forecast_set,
        "forecast_offered": expected.forecast_offered,
    }


def _interval_rows(override: StoredOverride) -> list[dict[str, Any]]:
    return [
        {
            "override_id": override.override_id,
            "place": place,
            "interval_start": piece.start,
            "interval_minutes": piece.minutes,
            "offered": piece.offered,
        }
        for place, piece in enumerate(override.expected.pieces)
    ]


def _read_overrides(
    connection: sa.Connection | None, condition: sa.ColumnElement[bool]
) -> list[StoredOverride]:
    """Return the overrides for which a condition on their table holds, in id order."""
    if connection is None:
        return []
    pieces: dict[str, list[OverrideInterval]] = {}
    intervals = sa.select(_INTERVALS).join(_OVERRIDES).where(condition)
    for row in connection.execute(intervals.order_by(_INTERVALS.c.override_id, _INTERVALS.c.place)):
        piece = OverrideInterval(row.interval_start, row.interval_minutes, row.offered)
        pieces.setdefault(row.override_id, []).append(piece)
    made, withdrawn = _CHANGES.alias("made"), _CHANGES.alias("withdrawn")
    overrides = (
        sa.select(
            _OVERRIDES,
            made.c.made_at,
            made.c.made_by,
            made.c.reason,
            withdrawn.c.made_at.label("withdrawn_at"),
            withdrawn.c.made_by.label("withdrawn_by"),
            withdrawn.c.reason.label("withdrawn_reason"),
        )
        .join(made, made.c.change == _OVERRIDES.c.change)
        .outerjoin(_WITHDRAWALS, _WITHDRAWALS.c.override_id == _OVERRIDES.c.override_id)
        .outerjoin(withdrawn, withdrawn.c.change == _WITHDRAWALS.c.change)
        .where(condition)
        .order_by(_OVERRIDES.c.override_id)
    )
    rows = connection.execute(overrides)
    return [_read_override(row, tuple(pieces.get(row.override_id, ()))) for row in rows]


def _read_override(row: Any, pieces: tuple[OverrideInterval, ...]) -> StoredOverride:
    expected = OverrideValue(
        queue=row.queue,
        start=row.span_start,
        end=row.span_end,
        offered=row.offered,
        aht_seconds=row.aht_seconds,
        forecast_set=row.forecast_set,
        forecast_offered=row.forecast_offered,
        pieces=pieces,
    )
    withdrawn = None
    if row.withdrawn_at is not None:
        withdrawn = AuditStamp(row.withdrawn_at, row.withdrawn_by, row.withdrawn_reason)
    return StoredOverride(
        row.override_id, expected, AuditStamp(row.made_at, row.made_by, row.reason), withdrawn
    )
