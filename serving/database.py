"""The service's own database: where it stands, how it is opened, and how writers take turns.

SQLite in WAL mode under the home, or Postgres by URL. It is made by the first write; until then
reading finds nothing and leaves no trace.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
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
"""How long a connection, and a turn to write, is waited for: less than a request may take."""
_TURN = 7_014_221
"""Number of the advisory lock by which writers take turns in Postgres."""

METADATA = sa.MetaData()
"""All tables; modules that keep something add theirs."""
_SERVICE = sa.Table("service", METADATA, sa.Column("schema_version", sa.Integer, nullable=False))


class Database:
    """The database behind one URL; nothing is opened before it is read or written.

    Args:
        url: A SQLAlchemy URL of a SQLite file or of Postgres.

    Raises:
        ConfigError: It is no such URL, or the driver that it names is not installed.
    """

    def __init__(self, url: str | sa.URL) -> None:
        try:
            address = sa.make_url(url)
        except ArgumentError:
            raise _wrong("no SQLAlchemy URL") from None
        self._sqlite = address.get_backend_name() == "sqlite"
        if self._sqlite and address.database in (None, "", ":memory:"):
            raise _wrong("SQLite without a file")
        if not self._sqlite and address.get_backend_name() != "postgresql":
            raise _wrong(f"a URL of {address.get_backend_name()}")
        self.shown = address.render_as_string(hide_password=True)
        self._file = Path(str(address.database)) if self._sqlite else None
        try:
            self._engine = _sqlite(address) if self._sqlite else _postgres(address)
        except (ImportError, SQLAlchemyError) as error:
            raise _wrong(f"`{self.shown}`, whose driver cannot be loaded ({error})") from None

    @classmethod
    def of(cls, home: Home, *, url: str | None = None) -> Database:
        """Return the database of a home: the one behind a URL, by default the home's own file."""
        return cls(url or sa.URL.create("sqlite", database=str(home.database)))

    def close(self) -> None:
        """Close the connections that are kept open; the next use opens new ones."""
        self._engine.dispose()

    @contextlib.contextmanager
    def reading(self, *, holding: sa.Table = _SERVICE) -> Iterator[sa.Connection | None]:
        """Yield a connection in one transaction; None where nothing was ever kept.

        Args:
            holding: The table that is read: a database of an earlier version may lack it.
        """
        if self._file is not None and not self._file.exists():
            yield None
            return
        with self._failing("read"), self._engine.connect() as connection, connection.begin():
            made = self._is_made(connection)
            if made and holding is not _SERVICE:
                made = sa.inspect(connection).has_table(holding.name)
            yield connection if made else None

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Yield a connection in one transaction while no other writes; make what is missing."""
        with (
            self._failing("written"),
            self._engine.connect().execution_options(writing=True) as connection,
            connection.begin(),
        ):
            if not self._sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_TURN)))
            if not self._is_made(connection):
                METADATA.create_all(connection)
                connection.execute(_SERVICE.insert(), {"schema_version": SCHEMA_VERSION})
            elif not set(METADATA.tables) <= set(sa.inspect(connection).get_table_names()):
                # Tables are only ever added: an earlier version goes on reading its own.
                METADATA.create_all(connection)
            yield connection

    def _is_made(self, connection: sa.Connection) -> bool:
        if not sa.inspect(connection).has_table(_SERVICE.name):
            return False
        found = connection.execute(sa.select(_SERVICE.c.schema_version)).scalar_one()
        if found != SCHEMA_VERSION:
            raise DatabaseError(
                f"the service's database `{self.shown}`",
                got=f"schema {found}",
                expected=f"schema {SCHEMA_VERSION}",
                remedy="run the version of Ebbflow that wrote it, or name another database in "
                f"{SETTING}",
            )
        return True

    @contextlib.contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            cause = getattr(error, "orig", None) or error
            lines = str(cause).strip().splitlines() or [type(cause).__name__]
            raise DatabaseError(
                f"the service's database `{self.shown}` cannot be {what}",
                got=lines[0],
                remedy=f"see docs/operations.md; {SETTING} names another database, and "
                "EBBFLOW_HOME the folder of this one",
            ) from error


def _sqlite(address: sa.URL) -> sa.Engine:
    # A connection for each use: a file that was restored from a backup is seen at once.
    engine = sa.create_engine(
        address, poolclass=NullPool, connect_args={"timeout": float(WAIT_SECONDS)}
    )

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        # The driver's own transactions begin too late for a turn to write.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _postgres(address: sa.URL) -> sa.Engine:
    arguments: dict[str, Any] = {}
    if address.get_driver_name() in ("psycopg", "psycopg2"):
        limit = 1000 * WAIT_SECONDS
        waits = f"-c lock_timeout={limit} -c statement_timeout={limit}"
        arguments = {"connect_timeout": WAIT_SECONDS, "options": waits}
    return sa.create_engine(
        address,
        pool_size=2,
        pool_pre_ping=True,
        pool_timeout=WAIT_SECONDS,
        connect_args=arguments,
    )


def _wrong(got: str) -> ConfigError:
    return ConfigError(
        f"setting `{SETTING}`",
        got=got,
        expected="`sqlite:////absolute/path.db` or `postgresql+psycopg://user:password@host/name`",
        remedy="leave it out for `service.db` in the home; see docs/operations.md",
        field=SETTING,
    )
