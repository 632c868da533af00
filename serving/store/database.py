"""The service's database: opening, transactions, and stored responses by idempotency key."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from features.errors import ConfigError, DatabaseError
from features.home import Home

SETTING = "EBBFLOW_DATABASE_URL"
SCHEMA_VERSION = 1
WAIT_SECONDS = 2
"""Longest wait for a connection, or for the lock to write: less than a request may take."""
_WRITE_LOCK = 7_014_221
"""Number of Postgres's advisory lock under which one writer works at a time."""

METADATA = sa.MetaData()
"""All tables; each module that stores something adds its own."""
_SERVICE = sa.Table("service", METADATA, sa.Column("schema_version", sa.Integer, nullable=False))


class Database:
    """The database behind a URL of a SQLite file or of Postgres; opened on first use.

    Raises:
        ConfigError: It is no such URL, or the driver that it names is not installed.
    """

    def __init__(self, url: str | sa.URL) -> None:
        try:
            address = sa.make_url(url)
        except ArgumentError:
            raise _setting_error("no SQLAlchemy URL") from None
        backend = address.get_backend_name()
        if backend not in _ENGINES:
            raise _setting_error(f"a URL of {backend}")
        if backend == "sqlite" and address.database in (None, "", ":memory:"):
            raise _setting_error("SQLite without a file")
        self._file = Path(str(address.database)) if backend == "sqlite" else None
        self.shown = address.render_as_string(hide_password=True)
        try:
            self._engine = _ENGINES[backend](address)
        except (ImportError, SQLAlchemyError) as error:
            got = f"`{self.shown}`, whose driver cannot be loaded ({error})"
            raise _setting_error(got) from None

    @classmethod
    def of(cls, home: Home, *, url: str | None = None) -> Database:
        """Return the database behind a URL, by default the home's own file."""
        return cls(url or sa.URL.create("sqlite", database=str(home.database)))

    def close(self) -> None:
        """Close the open connections; the next use opens new ones."""
        self._engine.dispose()

    @contextlib.contextmanager
    def reading(self, *, holding: sa.Table = _SERVICE) -> Iterator[sa.Connection | None]:
        """Yield a connection in one transaction; None where nothing was ever stored.

        Args:
            holding: The table to read; a database of an earlier version may lack it.
        """
        if self._file is not None and not self._file.exists():
            yield None
            return
        with (
            self._explained("read"),
            self._engine.connect() as connection,
            connection.begin(),
        ):
            exists = self._is_created(connection)
            if exists and holding is not _SERVICE:
                exists = sa.inspect(connection).has_table(holding.name)
            yield connection if exists else None

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Yield a connection in one transaction as the only writer; create missing tables."""
        with (
            self._explained("written"),
            self._engine.connect().execution_options(writing=True) as connection,
            connection.begin(),
        ):
            if self._file is None:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITE_LOCK)))
            exists = self._is_created(connection)
            # Tables are only ever added: an earlier version goes on reading its own.
            if not set(METADATA.tables) <= set(sa.inspect(connection).get_table_names()):
                METADATA.create_all(connection)
            if not exists:
                connection.execute(_SERVICE.insert(), {"schema_version": SCHEMA_VERSION})
            yield connection

    def _is_created(self, connection: sa.Connection) -> bool:
        if not sa.inspect(connection).has_table(_SERVICE.name):
            return False
        version = connection.execute(sa.select(_SERVICE.c.schema_version)).scalar_one()
        if version != SCHEMA_VERSION:
            raise DatabaseError(
                f"the service's database `{self.shown}`",
                got=f"schema {version}",
                expected=f"schema {SCHEMA_VERSION}",
                remedy="run the version of Ebbflow that wrote it, or name another database in "
                f"{SETTING}",
            )
        return True

    @contextlib.contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            cause = getattr(error, "orig", None) or error
            lines = str(cause).strip().splitlines() or [type(cause).__name__]
            raise DatabaseError(
                f"the service's database `{self.shown}` cannot be {verb}",
                got=lines[0],
                remedy=f"see docs/operations.md; {SETTING} names another database, and "
                "EBBFLOW_HOME the folder of this one",
            ) from error


def _sqlite_engine(address: sa.URL) -> sa.Engine:
    # A new connection for each use, so that a file restored from a backup is seen at once.
    timeout = {"timeout": float(WAIT_SECONDS)}
    engine = sa.create_engine(address, poolclass=NullPool, connect_args=timeout)

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        # The driver's own transactions begin too late to lock out other writers.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _postgres_engine(address: sa.URL) -> sa.Engine:
    arguments: dict[str, Any] = {}
    if address.get_driver_name() in ("psycopg", "psycopg2"):
        limit = 1000 * WAIT_SECONDS
        waits = f"-c lock_timeout={limit} -c statement_timeout={limit}"
        arguments = {"connect_timeout": WAIT_SECONDS, "options": waits}
    pool: dict[str, Any] = {"pool_size": 2, "pool_pre_ping": True, "pool_timeout": WAIT_SECONDS}
    return sa.create_engine(address, connect_args=arguments, **pool)


_ENGINES = {"sqlite": _sqlite_engine, "postgresql": _postgres_engine}


def _setting_error(got: str) -> ConfigError:
    return ConfigError(
        f"setting `{SETTING}`",
        got=got,
        expected="`sqlite:////absolute/path.db` or `postgresql+psycopg://user:password@host/name`",
        remedy="leave it out for `service.db` in the home; see docs/operations.md",
        field=SETTING,
    )


RESPONSE_LIFE_SECONDS = 7 * 86_400
"""How long the response to an idempotency key is stored."""

_RESPONSES = sa.Table(
    "answers",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("answer", sa.LargeBinary, nullable=False),
)


@dataclass(frozen=True)
class StoredResponse:
    """The digest of a request, and the bytes of its response, or the id of what it is made from."""

    digest: str
    content: bytes


def find_response(connection: sa.Connection | None, key: str | None) -> StoredResponse | None:
    """Return the response to the request with an idempotency key; None for a new key or none."""
    if connection is None or key is None:
        return None
    row = connection.execute(sa.select(_RESPONSES).where(_RESPONSES.c.key == key)).first()
    return None if row is None else StoredResponse(row.digest, row.answer)


def store_response(
    connection: sa.Connection, key: str | None, response: StoredResponse, *, at: int
) -> None:
    """Store the response to a new idempotency key at epoch second `at`, and delete old ones.

    Without a key nothing is stored.
    """
    if key is None:
        return
    oldest = at - RESPONSE_LIFE_SECONDS
    connection.execute(_RESPONSES.delete().where(_RESPONSES.c.made_at < oldest))
    row = {"key": key, "digest": response.digest, "made_at": at, "answer": response.content}
    connection.execute(_RESPONSES.insert(), row)
