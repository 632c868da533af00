"""The service's own database as a source: planners' overrides and the decisions of lists."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from features.contracts import table as contract_of
from features.errors import ConfigError, DatabaseError
from features.home import Home
from features.intake.sources import Query
from features.mapping import Mapping, parse_mapping

SETTING = "EBBFLOW_DATABASE_URL"

_OVERRIDE = {
    "override_id": "o.override_id || '-' || i.place",
    "queue": "o.queue",
    "interval_start": "i.interval_start",
    "interval_minutes": "i.interval_minutes",
    "offered": "i.offered",
    "aht_seconds": "o.aht_seconds",
    "made_by": "made.made_by",
    "made_at": "made.made_at",
    "reason": "made.reason",
    "withdrawn_at": "NULL",
    "available_at": "made.made_at",
}
_WITHDRAWN = {**_OVERRIDE, "withdrawn_at": "taken.made_at", "available_at": "taken.made_at"}
_OVERRIDES_FROM = """
    FROM override_intervals i
    JOIN overrides o ON o.override_id = i.override_id
    JOIN changes made ON made.change = o.change"""
_WITHDRAWALS_FROM = f"""{_OVERRIDES_FROM}
    JOIN withdrawals w ON w.override_id = o.override_id
    JOIN changes taken ON taken.change = w.change"""
_OUTREACH = {
    "outreach_id": "d.list_id || '-' || d.place",
    "customer_id": "d.customer_id",
    "experiment": "l.experiment",
    "arm": "d.arm",
    "action": "e.action",
    "decided_at": "l.made_at",
    "treat_share": "1 - e.hold_out",
    "probability": "d.probability",
    "available_at": "l.made_at",
}
_OUTREACH_FROM = """
    FROM list_decisions d
    JOIN contact_lists l ON l.list_id = d.list_id
    JOIN experiments e ON e.experiment = l.experiment"""

_QUERIES = {
    "overrides": (
        "override_intervals",
        ((_OVERRIDE, _OVERRIDES_FROM), (_WITHDRAWN, _WITHDRAWALS_FROM)),
    ),
    "outreach": ("list_decisions", ((_OUTREACH, _OUTREACH_FROM),)),
}
SERVICE_TABLES = tuple(_QUERIES)
"""Tables whose rows the service itself keeps."""


def service_source(table: str, home: Home, *, url: str | None = None) -> tuple[Query, Mapping]:
    """Return the query for all rows that the service keeps of a table, and what makes them ours.

    Each open interval of an override is a row of its own, with the number that was served. One
    that was taken back is two versions of its row: as it was made, and as it was taken back.
    Where nothing was ever kept the query gives no row. By default the database is the home's own.

    Raises:
        ConfigError: The URL is none.
        DatabaseError: The database cannot be read.
    """
    first_table, selects = _QUERIES[table]
    address = _address(home, url)
    # What the service does not keep is left empty.
    columns = {
        column.name: {"column": column.name, "format": "epoch_seconds"}
        if column.kind == "timestamp"
        else column.name
        for column in contract_of(table).columns
        if column.name in selects[0][0]
    }
    mapping = parse_mapping({"table": table, "columns": columns})
    if not _is_there(address, first_table):
        nothing = ", ".join(f"NULL AS {column}" for column in columns)
        return Query("sqlite://", f"SELECT {nothing} WHERE 1 = 0"), mapping
    sql = " UNION ALL ".join(
        "SELECT " + ", ".join(f"{values[column]} AS {column}" for column in columns) + tables
        for values, tables in selects
    )
    return Query(address.render_as_string(hide_password=False), sql), mapping


def _address(home: Home, url: str | None) -> sqlalchemy.URL:
    if not url:
        return sqlalchemy.URL.create("sqlite", database=str(home.database))
    try:
        return sqlalchemy.make_url(url)
    except ArgumentError:
        raise ConfigError(
            f"setting `{SETTING}`",
            got="no SQLAlchemy URL",
            expected="such as `postgresql+psycopg://user:password@host/name`",
            field=SETTING,
        ) from None


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
