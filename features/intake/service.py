"""The service's own database as a source: planners' overrides and the decisions of lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import sqlalchemy
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from features.contracts import OUTREACH, OVERRIDES, Table
from features.errors import ConfigError, DatabaseError
from features.home import Home
from features.intake.sources import Query
from features.mapping import Mapping, parse_mapping

SETTING = "EBBFLOW_DATABASE_URL"
_COLUMNS = """
    o.override_id || '-' || i.place AS override_id, o.queue AS queue,
    i.interval_start AS interval_start, i.interval_minutes AS interval_minutes,
    i.offered AS offered, o.aht_seconds AS aht_seconds, made.made_by AS made_by,
    made.made_at AS made_at, made.reason AS reason
"""
_FROM = """
    FROM override_intervals i
    JOIN overrides o ON o.override_id = i.override_id
    JOIN changes made ON made.change = o.change
"""
_SQL = f"""
SELECT {_COLUMNS}, NULL AS withdrawn_at, made.made_at AS available_at {_FROM}
UNION ALL
SELECT {_COLUMNS}, taken.made_at AS withdrawn_at, taken.made_at AS available_at {_FROM}
    JOIN withdrawals w ON w.override_id = o.override_id
    JOIN changes taken ON taken.change = w.change
"""
_OUTREACH_SQL = """
SELECT d.list_id || '-' || d.place AS outreach_id, d.customer_id AS customer_id,
    l.experiment AS experiment, d.arm AS arm, e.action AS action, l.made_at AS decided_at,
    1 - e.hold_out AS treat_share, d.probability AS probability, l.made_at AS available_at
FROM list_decisions d
JOIN contact_lists l ON l.list_id = d.list_id
JOIN experiments e ON e.experiment = l.experiment
"""


def service_overrides(home: Home, *, url: str | None = None) -> tuple[Query, Mapping]:
    """Return the query for every override that the service keeps, and what turns it into ours.

    Each open interval of an override is a row of its own, with the number that was served. One
    that was taken back is two versions of its row: as it was made, and as it was taken back.

    Args:
        home: Whose service.
        url: SQLAlchemy URL of the service's database; by default the home's own file.

    Returns:
        The query, which gives no row where nothing was ever kept, and the mapping.

    Raises:
        ConfigError: The URL is none.
        DatabaseError: The database cannot be read.
    """
    return _source(OVERRIDES, _SQL, home, url=url, kept_in="override_intervals")


def service_outreach(home: Home, *, url: str | None = None) -> tuple[Query, Mapping]:
    """Return the query for every decision of a contact list, and what turns it into ours.

    Args:
        home: Whose service.
        url: SQLAlchemy URL of the service's database; by default the home's own file.

    Returns:
        The query, which gives no row where no list was ever made, and the mapping.

    Raises:
        ConfigError: The URL is none.
        DatabaseError: The database cannot be read.
    """
    return _source(OUTREACH, _OUTREACH_SQL, home, url=url, kept_in="list_decisions")


SOURCES: dict[str, Callable[..., tuple[Query, Mapping]]] = {
    OVERRIDES.name: service_overrides,
    OUTREACH.name: service_outreach,
}
"""What gives the rows of a table that the service itself keeps."""


def _source(
    table: Table, sql: str, home: Home, *, url: str | None, kept_in: str
) -> tuple[Query, Mapping]:
    try:
        address = sqlalchemy.make_url(
            url or sqlalchemy.URL.create("sqlite", database=str(home.database))
        )
    except ArgumentError:
        raise ConfigError(
            f"setting `{SETTING}`",
            got="no SQLAlchemy URL",
            expected="such as `postgresql+psycopg://user:password@host/name`",
            field=SETTING,
        ) from None
    mapping = parse_mapping(
        {
            "table": table.name,
            "columns": {
                column.name: {"column": column.name, "format": "epoch_seconds"}
                if column.kind == "timestamp"
                else column.name
                for column in table.columns
            },
        }
    )
    if not _is_there(address, kept_in):
        nothing = ", ".join(f"NULL AS {name}" for name in table.column_names)
        return Query("sqlite://", f"SELECT {nothing} WHERE 1 = 0"), mapping
    return Query(address.render_as_string(hide_password=False), sql), mapping


def _is_there(address: sqlalchemy.URL, table: str) -> bool:
    """Return whether the service has such a table; a file is not made by looking."""
    shown = address.render_as_string(hide_password=True)
    if address.get_backend_name() == "sqlite" and not Path(str(address.database)).exists():
        return False
    try:
        engine = sqlalchemy.create_engine(address)
        with engine.connect() as connection:
            found = sqlalchemy.inspect(connection).has_table(table)
        engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        cause = getattr(error, "orig", None) or error
        raise DatabaseError(
            f"the service's database `{shown}` cannot be read",
            got=str(cause).split("\n")[0],
            remedy=f"see docs/operations.md; {SETTING} names another database",
        ) from None
    return found
