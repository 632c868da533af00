"""What a load reads: files, queries, and the service's own database."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import sqlalchemy
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from features.contracts.schema import Table
from features.contracts.tables import table as contract_of
from features.errors import ConfigError, DatabaseError, UnreadableFileError
from features.home import Home
from features.intake.chunks import Chunk, check_columns
from features.intake.csv_parquet import csv_columns, open_parquet, read_csv, read_parquet
from features.intake.mapping import FileOptions, Mapping, own_names, parse_mapping
from features.intake.ndjson_sql import ndjson_columns, read_ndjson, read_query


@dataclass(frozen=True)
class Query:
    """A query to the database of a SQLAlchemy URL."""

    url: str
    sql: str


@dataclass(frozen=True)
class Source:
    """One file, named by its path, or one query, named ``query``."""

    name: str
    mapping: Mapping
    chunks: Iterator[Chunk]
    warnings: tuple[str, ...] = ()


def open_sources(
    contract: Table, files: Sequence[str | Path], query: Query | None, mapping: Mapping | None
) -> Iterator[Source]:
    """Yield every source of a load: what names and globs of files stand for, or the query.

    Without a mapping their columns are named as ours.

    Raises:
        UnreadableFileError: A file is missing or unreadable.
        ContractError: Without a mapping, a required column is missing.
    """
    if query is not None:
        yield _query_source(contract, query, mapping)
        return
    options = mapping.file if mapping else FileOptions()
    for path in find_files([str(file) for file in files]):
        names: list[str] = []
        # NDJSON would be read once more for the names alone.
        if mapping is None or format_of(path, options) != "ndjson":
            names = columns_of(path, options)
        used = mapping or _by_name(contract, f"file `{path}`", names)
        chunks = read_file(path, columns=used.theirs, options=options)
        warnings = (*_overlooked(contract, used, names), *_maybe_cut(path, options))
        yield Source(str(path), used, chunks, warnings)


def _query_source(contract: Table, query: Query, mapping: Mapping | None) -> Source:
    chunks = read_query(query.url, query.sql, columns=mapping.theirs if mapping else None)
    if mapping is None:
        first = list(islice(chunks, 1))
        names = first[0].rows.schema.names if first else contract.required
        mapping = _by_name(contract, "query", names)
        chunks = chain(first, chunks)
    return Source("query", mapping, chunks)


def _by_name(contract: Table, what: str, names: Sequence[str]) -> Mapping:
    if not set(contract.required) <= set(names):
        check_columns(what, names, contract.required)
    return own_names(contract, names)


def _overlooked(contract: Table, mapping: Mapping, names: Sequence[str]) -> tuple[str, ...]:
    left = [
        name
        for name in contract.column_names
        if name in names and name not in mapping.columns and name not in mapping.theirs
    ]
    if not left:
        return ()
    listed = ", ".join(f"`{name}`" for name in left)
    return (f"not read, because the mapping does not name them: {listed}",)


def _maybe_cut(path: Path, options: FileOptions) -> tuple[str, ...]:
    """Point at a CSV file without a last line break: its last field may be half of one."""
    if format_of(path, options) != "csv" or path.suffix.lower() == ".gz":
        return ()
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 4, 0))
        if any(sign in file.read() for sign in (b"\n", b"\r")):
            return ()
    return (
        f"`{path}` ends without a line break: if it was cut short, load the whole file again, "
        "which corrects its last row",
    )


_ENDINGS = {
    ".csv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}


def find_files(patterns: Sequence[str]) -> list[Path]:
    """Return the files that names and globs stand for, each once, in order.

    Raises:
        UnreadableFileError: A name or glob matches no file; a near name is suggested.
    """
    files: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        matches = [path] if path.is_file() else _glob(path)
        if not matches:
            names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
            remedy = f"did you mean `{path.parent / near[0]}`?" if near else None
            if path.is_dir():
                remedy = f"name what is inside, such as '{path}/*.csv'"
            raise UnreadableFileError(
                f"file `{pattern}`",
                got="a folder" if path.is_dir() else "no such file",
                expected="a file, or a glob that matches some",
                remedy=remedy,
            )
        files.update(dict.fromkeys(matches))
    return list(files)


def _glob(path: Path) -> list[Path]:
    if not any(sign in str(path) for sign in "*?["):
        return []
    matches = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
    return sorted(match for match in matches if match.is_file())


def format_of(path: Path, options: FileOptions) -> str:
    """Return ``csv``, ``parquet`` or ``ndjson``, as the mapping or the file's ending says.

    Raises:
        UnreadableFileError: Neither says.

    >>> format_of(Path("calls.csv.gz"), FileOptions())
    'csv'
    """
    if options.format is not None:
        return options.format
    endings = [ending.lower() for ending in path.suffixes if ending.lower() != ".gz"]
    if not endings or endings[-1] not in _ENDINGS:
        raise UnreadableFileError(
            f"file `{path}`",
            got=f"the ending `{path.suffix}`",
            expected=f"one of {', '.join(_ENDINGS)}, with or without .gz",
            remedy='say `format = "csv"` (or parquet, ndjson) under [file] in the mapping',
        )
    return _ENDINGS[endings[-1]]


def columns_of(path: Path, options: FileOptions) -> list[str]:
    """Return the names of a file's columns; NDJSON is read whole for them.

    Raises:
        UnreadableFileError: The file is empty, damaged, or not in its encoding.
    """
    kind = format_of(path, options)
    if kind == "parquet":
        with open_parquet(path) as file:
            return list(file.schema_arrow.names)
    return csv_columns(path, options) if kind == "csv" else ndjson_columns(path, options)


def read_file(path: Path, *, columns: Sequence[str], options: FileOptions) -> Iterator[Chunk]:
    """Yield a file's rows, with the wanted columns alone.

    Raises:
        UnreadableFileError: The file is empty, damaged, half-written, or not in its encoding.
        ContractError: A wanted column is missing; the message holds a diff.
    """
    kind = format_of(path, options)
    if kind == "ndjson":
        yield from read_ndjson(path, columns, options)
        return
    check_columns(f"file `{path}`", columns_of(path, options), columns)
    if kind == "parquet":
        yield from read_parquet(path, columns)
    else:
        yield from read_csv(path, columns, options)


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
