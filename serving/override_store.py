"""Overrides in the service's database: read, kept and taken back, never changed.

Rows are only ever added: a change is one row of ``changes``, which says who, when and why, and the
rows that belong to it, in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from features.calendar import moment
from features.errors import UnknownNameError
from serving.answer_store import Answered, find_answer, keep_answer
from serving.database import METADATA, Database
from serving.layers import Change, Expected, Layer, Piece

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
"""The version of a database in which nothing was ever kept."""


@dataclass(frozen=True)
class Changed:
    """What a reader that saw one version has not seen.

    Attributes:
        version: What is kept now.
        layers: New overrides, and those that were taken back, in the order they were made.
        whole: Whether they are all there are: the version that was seen is not known here.
    """

    version: Version
    layers: list[Layer]
    whole: bool


class OverrideStore:
    """The overrides of one database.

    Args:
        database: The database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def version(self) -> Version:
        """Return what was changed last.

        Raises:
            DatabaseError: The database cannot be read.
        """
        with self._database.reading() as connection:
            return NOTHING if connection is None else _version(connection)

    def layers(
        self,
        *,
        since: int | None = None,
        until: int | None = None,
        queues: Sequence[str] | None = None,
    ) -> list[Layer]:
        """Return the overrides that reach into [since, until), in the order they were made.

        Args:
            since: Epoch seconds; None for all.
            until: Epoch seconds; None for all.
            queues: Of these queues alone; None for all.

        Raises:
            DatabaseError: The database cannot be read.
        """
        wanted: list[sa.ColumnElement[bool]] = [sa.true()]
        if since is not None:
            wanted.append(_OVERRIDES.c.span_end > since)
        if until is not None:
            wanted.append(_OVERRIDES.c.span_start < until)
        if queues is not None:
            wanted.append(_OVERRIDES.c.queue.in_(queues))
        with self._database.reading() as connection:
            return [] if connection is None else _layers(connection, sa.and_(*wanted))

    def changed(self, *, seen: Version, since: int) -> Changed:
        """Return what was changed after a version, of what reaches beyond a moment.

        Args:
            seen: The version; ``NOTHING`` for all.
            since: Epoch seconds.

        Raises:
            DatabaseError: The database cannot be read.
        """
        with self._database.reading() as connection:
            if connection is None:
                return Changed(NOTHING, [], whole=True)
            whole = seen == NOTHING or _version(connection, upto=seen[0]) != seen
            wanted = _OVERRIDES.c.span_end > since
            if not whole:
                withdrawn = sa.select(_WITHDRAWALS.c.override_id).where(
                    _WITHDRAWALS.c.change > seen[0]
                )
                wanted &= (_OVERRIDES.c.change > seen[0]) | _OVERRIDES.c.override_id.in_(withdrawn)
            version = _version(connection)
            found = [] if version == seen else _layers(connection, wanted)
            return Changed(version, found, whole=whole)

    def answered(self, key: str) -> Answered | None:
        """Return what the request with an idempotency key was answered; None for a new key.

        Raises:
            DatabaseError: The database cannot be read.
        """
        with self._database.reading() as connection:
            return None if connection is None else find_answer(connection, key)

    def keep(
        self,
        expected: Sequence[Expected],
        *,
        by: str,
        reason: str,
        at: int,
        answer: Callable[[Sequence[Layer]], bytes],
        key: str | None = None,
        digest: str = "",
    ) -> Answered:
        """Keep overrides, and the answer to the request where it has a key, all or nothing.

        Args:
            expected: What the planner expects; spans of one queue lie apart.
            by: Who.
            reason: Why.
            at: When, epoch seconds.
            answer: Makes the answer from what is kept.
            key: The request's idempotency key.
            digest: Of the request.

        Returns:
            The answer; where the key was used before, what was answered then.

        Raises:
            DatabaseError: The database cannot be written; nothing was kept.
        """
        with self._database.writing() as connection:
            before = None if key is None else find_answer(connection, key)
            if before is not None:
                return before
            made = Change(at, by, reason)
            number = _record(connection, made)
            stamp = f"{moment(at):%Y%m%dT%H%M%SZ}-{number:08d}"
            layers = [Layer(f"{stamp}-{i:05d}", e, made) for i, e in enumerate(expected)]
            connection.execute(_OVERRIDES.insert(), [_row(layer, number) for layer in layers])
            connection.execute(
                _INTERVALS.insert(), [row for layer in layers for row in _interval_rows(layer)]
            )
            found = Answered(digest, answer(layers))
            if key is not None:
                keep_answer(connection, key, found, at=at)
            return found

    def withdraw(self, override_id: str, *, by: str, reason: str, at: int) -> Layer:
        """Take an override back from a moment on; it stays kept.

        Args:
            override_id: Its id.
            by: Who.
            reason: Why.
            at: When, epoch seconds.

        Returns:
            The override; one that was taken back before stays as it was then.

        Raises:
            UnknownNameError: There is no such override.
            DatabaseError: The database cannot be written.
        """
        known = self.find(override_id)
        if known.withdrawn is not None:
            return known
        with self._database.writing() as connection:
            (layer,) = _layers(connection, _OVERRIDES.c.override_id == override_id)
            if layer.withdrawn is None:
                number = _record(connection, Change(at, by, reason))
                row = {"override_id": override_id, "change": number}
                connection.execute(_WITHDRAWALS.insert(), row)
            (layer,) = _layers(connection, _OVERRIDES.c.override_id == override_id)
            return layer

    def find(self, override_id: str) -> Layer:
        """Return one override.

        Raises:
            UnknownNameError: There is no such override.
            DatabaseError: The database cannot be read.
        """
        with self._database.reading() as connection:
            found = (
                []
                if connection is None
                else _layers(connection, _OVERRIDES.c.override_id == override_id)
            )
            last = [] if found or connection is None else _last_ids(connection)
        if not found:
            raise UnknownNameError("override", override_id, last, field="override_id")
        return found[0]


def _version(connection: sa.Connection, *, upto: int | None = None) -> Version:
    """Return the last change, of those up to a number."""
    last = sa.select(_CHANGES.c.change, _CHANGES.c.made_at).order_by(_CHANGES.c.change.desc())
    if upto is not None:
        last = last.where(_CHANGES.c.change <= upto)
    found = connection.execute(last.limit(1)).first()
    return NOTHING if found is None else (int(found.change), int(found.made_at))


def _record(connection: sa.Connection, change: Change) -> int:
    number = _version(connection)[0] + 1
    row = {"change": number, "made_at": change.at, "made_by": change.by, "reason": change.reason}
    connection.execute(_CHANGES.insert(), row)
    return number


def _row(layer: Layer, number: int) -> dict[str, Any]:
    expected = layer.expected
    return {
        "override_id": layer.override_id,
        "change": number,
        "queue": expected.queue,
        "span_start": expected.start,
        "span_end": expected.end,
        "offered": expected.offered,
        "aht_seconds": expected.aht_seconds,
        "forecast_set": expected.forecast_set,
        "forecast_offered": expected.forecast_offered,
    }


def _interval_rows(layer: Layer) -> Iterator[dict[str, Any]]:
    for place, piece in enumerate(layer.expected.pieces):
        yield {
            "override_id": layer.override_id,
            "place": place,
            "interval_start": piece.start,
            "interval_minutes": piece.minutes,
            "offered": piece.offered,
        }


def _layers(connection: sa.Connection, wanted: sa.ColumnElement[bool]) -> list[Layer]:
    """Return the overrides that a condition on their table holds for, in order."""
    pieces: dict[str, list[Piece]] = {}
    for row in connection.execute(
        sa.select(_INTERVALS)
        .join(_OVERRIDES)
        .where(wanted)
        .order_by(_INTERVALS.c.override_id, _INTERVALS.c.place)
    ):
        piece = Piece(int(row.interval_start), int(row.interval_minutes), float(row.offered))
        pieces.setdefault(row.override_id, []).append(piece)
    made, taken = _CHANGES.alias("made"), _CHANGES.alias("taken")
    rows = connection.execute(
        sa.select(
            _OVERRIDES,
            made.c.made_at,
            made.c.made_by,
            made.c.reason,
            taken.c.made_at.label("withdrawn_at"),
            taken.c.made_by.label("withdrawn_by"),
            taken.c.reason.label("withdrawn_reason"),
        )
        .select_from(
            _OVERRIDES.join(made, made.c.change == _OVERRIDES.c.change)
            .outerjoin(_WITHDRAWALS, _WITHDRAWALS.c.override_id == _OVERRIDES.c.override_id)
            .outerjoin(taken, taken.c.change == _WITHDRAWALS.c.change)
        )
        .where(wanted)
        .order_by(_OVERRIDES.c.override_id)
    )
    return [_layer(row, tuple(pieces.get(row.override_id, ()))) for row in rows]


def _last_ids(connection: sa.Connection) -> list[str]:
    ids = sa.select(_OVERRIDES.c.override_id).order_by(_OVERRIDES.c.override_id.desc()).limit(100)
    return list(connection.execute(ids).scalars())


def _layer(row: Any, pieces: tuple[Piece, ...]) -> Layer:
    expected = Expected(
        queue=row.queue,
        start=int(row.span_start),
        end=int(row.span_end),
        offered=float(row.offered),
        aht_seconds=None if row.aht_seconds is None else float(row.aht_seconds),
        forecast_set=row.forecast_set,
        forecast_offered=float(row.forecast_offered),
        pieces=pieces,
    )
    taken = None
    if row.withdrawn_at is not None:
        taken = Change(int(row.withdrawn_at), row.withdrawn_by, row.withdrawn_reason)
    return Layer(
        row.override_id, expected, Change(int(row.made_at), row.made_by, row.reason), taken
    )
