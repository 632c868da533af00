"""The lake: one Delta table a folder, each change of a table one commit.

A data table holds all columns of its contract and, beside them, ``superseded_at`` (null while a
row is the newest version of its key), ``loaded_at``, ``load_id`` and ``content_hash``. The version
of a key that was known at T is the row with ``available_at <= T`` and ``superseded_at`` null or
later than T. ``_quarantine`` holds the rows that could not be kept, ``_loads`` a report a load.
A crash leaves the last good state. One process writes at a time; readers are never held up.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction

from features.contracts.schema import UTC_MICROSECONDS, Table, arrow_schema
from features.contracts.tables import TABLES
from features.errors import DamagedArtefactError, InputError, UnknownNameError

QUARANTINE = "_quarantine"
LOADS = "_loads"
_UTC = UTC_MICROSECONDS

LAKE_FIELDS = pa.schema(
    {
        "superseded_at": _UTC,
        "loaded_at": _UTC,
        "load_id": pa.string(),
        "content_hash": pa.int64(),
    }
)
"""What the lake adds to the columns of a contract."""

QUARANTINE_SCHEMA = pa.schema(
    {
        "table": pa.string(),
        "load_id": pa.string(),
        "loaded_at": _UTC,
        "source": pa.string(),
        "row_number": pa.int64(),
        "reason": pa.string(),
        "row": pa.string(),
        "content_hash": pa.int64(),
    }
)
LOADS_SCHEMA = pa.schema(
    {"load_id": pa.string(), "table": pa.string(), "loaded_at": _UTC, "report": pa.string()}
)
SMALL_BYTES = 16 << 20
"""A file below this size is small; many small ones are joined by the next load."""
MANY_SMALL = 16


def lake_schema(contract: Table) -> pa.Schema:
    """Return the Arrow schema of a data table in the lake."""
    return pa.schema([*arrow_schema(contract), *LAKE_FIELDS])


def write_parquet(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Return a writer of one of the lake's files."""
    # A dictionary only pays for words that come back; ids and numbers would try in vain.
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    words = [name for name in texts if not name.endswith("_id")]
    return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=words)


def widened(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows with all columns of a schema, null where they were written before one was added.

    >>> widened(pa.table({"a": ["x"]}), pa.schema({"a": pa.string(), "b": pa.int64()})).to_pylist()
    [{'a': 'x', 'b': None}]
    """
    for field in schema:
        if field.name not in rows.column_names:
            rows = rows.append_column(field, pa.nulls(len(rows), field.type))
    return rows.select(schema.names).cast(schema)


@dataclass(frozen=True)
class Change:
    """One commit to one table: staged files that join it, absolute paths of files that leave it.

    ``operation`` says what was done, for the table's history.
    """

    table: str
    schema: pa.Schema
    add: tuple[Path, ...]
    remove: tuple[str, ...] = ()
    operation: str = "load"


class Lake:
    """The tables under one folder, which the first load makes."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def version(self, table: str) -> int | None:
        """Return the number of a table's newest commit; None where nothing was loaded."""
        delta = self._open(table)
        return None if delta is None else delta.version()

    def versions(self) -> dict[str, int]:
        """Return the newest commit of every data table that was loaded."""
        newest = {name: self.version(name) for name in TABLES}
        return {name: version for name, version in newest.items() if version is not None}

    def files(self, table: str, version: int | None = None) -> list[str]:
        """Return the absolute paths of a table's Parquet files, oldest commit first.

        They are those of the newest commit by default; none where nothing was loaded. A reader that
        keeps them reads the same rows whatever is loaded meanwhile.

        Raises:
            DamagedArtefactError: A file is gone or cut short, or the table's log is damaged.
        """
        delta = self._open(table, version)
        if delta is None:
            return []
        path = self._path(table)
        # Not `file_uris`, which escapes blanks and umlauts of the folder.
        added = pa.table(delta.get_add_actions())
        sizes = dict(zip(added["path"].to_pylist(), added["size_bytes"].to_pylist(), strict=True))
        for name, size in sizes.items():
            if not (path / name).is_file() or (path / name).stat().st_size != size:
                raise _damaged(table, f"no whole file `{path / name}` of {size:,} bytes")
        return [str(path / name) for name in sorted(sizes)]

    def read(self, table: str) -> pa.Table:
        """Return all rows of a small table, such as ``_quarantine`` or ``_loads``."""
        schema = self.schema(table)
        parts = [pq.read_table(file, schema=schema) for file in self.files(table)]
        return pa.concat_tables(parts) if parts else schema.empty_table()

    def schema(self, table: str) -> pa.Schema:
        """Return the Arrow schema of a table.

        Raises:
            UnknownNameError: There is no such table.
        """
        own = {QUARANTINE: QUARANTINE_SCHEMA, LOADS: LOADS_SCHEMA}
        if table in own:
            return own[table]
        if table not in TABLES:
            raise UnknownNameError("table", table, (*TABLES, *own))
        return lake_schema(TABLES[table])

    @contextlib.contextmanager
    def writing(self) -> Iterator[Path]:
        """Hold the lake for one load, and give an empty folder for its files.

        A second load waits for the first. What is still in the folder at the end is deleted.

        Raises:
            InputError: The lake's folder cannot be written.
        """
        staging = self.root / "_staging"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = (self.root / ".lock").open("w")
        except OSError as error:
            raise InputError(
                f"lake `{self.root}`", got=error.strerror, expected="a folder"
            ) from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # What a load that was killed left behind belongs to no commit.
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            try:
                yield staging
            finally:
                shutil.rmtree(staging, ignore_errors=True)

    def commit(self, change: Change, *, now: datetime) -> int:
        """Make a change in one commit, within ``writing``; return the table's new version.

        Columns that the contract was given since the table was made are added to it.
        """
        path = self._path(change.table)
        if not DeltaTable.is_deltatable(str(path)):
            DeltaTable.create(path, schema=change.schema, name=change.table.lstrip("_"))
        delta = DeltaTable(path)
        known = {field.name for field in delta.schema().fields}
        added = [field for field in change.schema if field.name not in known]
        if added:
            delta.alter.add_columns(Schema.from_arrow(pa.schema(added)).fields)
        stamp = int(now.timestamp() * 1000)
        actions: list[AddAction | RemoveAction] = [
            RemoveAction(
                Path(file).name, True, stamp, size=Path(file).stat().st_size, partition_values={}
            )
            for file in change.remove
        ]
        for staged in change.add:
            # The next commit's number leads, so that names sort by age.
            name = f"{delta.version() + 1:010d}-{len(actions):05d}-{uuid.uuid4().hex}.parquet"
            rows = pq.read_metadata(staged).num_rows
            os.replace(staged, path / name)
            size = (path / name).stat().st_size
            stats = json.dumps({"numRecords": rows})
            actions.append(AddAction(name, size, {}, stamp, True, stats))
        delta.create_write_transaction(
            actions,
            "append",
            change.schema,
            commit_properties=CommitProperties(custom_metadata={"ebbflow": change.operation}),
        )
        delta.update_incremental()
        return int(delta.version())

    def append(self, table: str, rows: pa.Table, *, staging: Path, now: datetime) -> None:
        """Add rows to a small table in one commit, joining its files when there are many."""
        schema = self.schema(table)
        old = self.files(table)
        joins = len(old) >= MANY_SMALL
        parts = [pq.read_table(f, schema=schema) for f in old] if joins else []
        staged = staging / f"{table}.parquet"
        with write_parquet(staged, schema) as writer:
            writer.write_table(pa.concat_tables([*parts, rows.cast(schema)]))
        self.commit(Change(table, schema, (staged,), tuple(old) if joins else ()), now=now)

    def _path(self, table: str) -> Path:
        return (self.root / table).absolute()

    def _open(self, table: str, version: int | None = None) -> DeltaTable | None:
        path = self._path(table)
        if not DeltaTable.is_deltatable(str(path)):
            return None
        try:
            return DeltaTable(path, version=version)
        except DeltaError as error:
            raise _damaged(
                table, f"a log that cannot be read ({str(error).splitlines()[0]})"
            ) from error


def _damaged(table: str, got: str) -> DamagedArtefactError:
    return DamagedArtefactError(
        f"lake table `{table}`",
        got=got,
        remedy="restore its folder from a backup, or move it away and ingest its files again; "
        "what is published goes on serving",
    )


def small_files(files: Sequence[str]) -> list[str]:
    """Return the files to join, once there are many small ones; else none."""
    small = [file for file in files if Path(file).stat().st_size < SMALL_BYTES]
    return small if len(small) >= MANY_SMALL else []
