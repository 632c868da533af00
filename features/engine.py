"""The engine that runs Ibis expressions: DuckDB, in process, its session in UTC.

The only file that knows which engine it is. Expressions are written elsewhere, as plain
predicates and aggregates over integers, so that another engine gives the same numbers.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from features.contracts import Kind, Table

LAKE_COLUMNS: dict[str, str] = {
    "superseded_at": "timestamp(6)",
    "loaded_at": "timestamp(6)",
    "load_id": "string",
    "content_hash": "int64",
}
"""What the lake adds to each table's own columns, with their Ibis types."""

HAPPENED_AT = "happened_at"
"""The event time once more, zoned as the files hold it, in tables of events: a comparison with it
lets the engine skip the parts of a file that hold nothing of the time asked for."""

_TYPES: dict[Kind, str] = {
    "string": "string",
    "timestamp": "timestamp(6)",
    "float": "float64",
    "integer": "int64",
    "boolean": "boolean",
    "json": "string",
}


def schema_of(table: Table) -> ibis.Schema:
    """Return the Ibis schema of a table as ``scan`` gives it, its timestamps naive UTC."""
    own = {column.name: _TYPES[column.kind] for column in table.columns}
    again = {HAPPENED_AT: "timestamp('UTC', 6)"} if table.event_time else {}
    return ibis.schema({**own, **LAKE_COLUMNS, **again})


def parameter(name: str, kind: str) -> ir.Scalar:
    """Return a scalar that is left open in a ``Query`` and given at each run.

    Args:
        name: Under which it is given.
        kind: Its Ibis type.
    """

    def given(variable: str) -> object:
        """Read a variable of the session, which the engine folds into a constant."""

    read = ibis.udf.scalar.builtin(given, name="getvariable", signature=(("string",), kind))
    value: ir.Scalar = read(name)
    return value


@dataclass(frozen=True)
class Query:
    """An expression compiled once, to be run with different parameters.

    Its tables are named, and are looked up in the engine that runs it.

    Attributes:
        sql: What runs.
        schema: The columns it gives.
    """

    sql: str
    schema: pa.Schema

    @classmethod
    def of(cls, expression: ir.Table) -> Self:
        """Compile an expression over unbound tables."""
        return cls(ibis.to_sql(expression, dialect="duckdb"), expression.schema().to_pyarrow())


class Engine:
    """One DuckDB in process.

    Close it, or use it as a context manager; what ``memory`` and ``scan`` returned lives no longer.

    Args:
        threads: Threads to use; by default all cores.
        memory_limit: Most memory to use before spilling, such as ``2GB``.
        spill: Folder for what does not fit; by default one in the system's temporary folder.
    """

    def __init__(
        self,
        *,
        threads: int | None = None,
        memory_limit: str | None = None,
        spill: Path | None = None,
    ) -> None:
        # DuckDB's own default would be a folder in whatever folder the command was started in.
        folder = spill or Path(tempfile.gettempdir()) / _name("ebbflow")
        settings: dict[str, str | int] = {"temp_directory": str(folder)}
        if threads is not None:
            settings["threads"] = threads
        if memory_limit is not None:
            settings["memory_limit"] = memory_limit
        self._connection = ibis.duckdb.connect(**settings)
        # Ibis sets the session's zone too; said here because every epoch second rests on it.
        self._connection.raw_sql("SET TimeZone = 'UTC'")
        # The order of rows is always asked for where it matters; keeping it costs memory.
        self._connection.raw_sql("SET preserve_insertion_order = false")
        self._connection.raw_sql("SET enable_progress_bar = false")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """End the connection and free its memory."""
        self._connection.disconnect()

    def scan(self, files: Sequence[str], table: Table) -> ir.Table:
        """Return a table over the lake's Parquet files, read when the expression runs.

        Args:
            files: Absolute paths; none gives a table without rows.
            table: The contract they keep.

        Returns:
            The contract's columns and the lake's own (``LAKE_COLUMNS``), typed; timestamps are
            naive and mean UTC. Of a table of events ``HAPPENED_AT`` too.
        """
        schema = schema_of(table)
        if not files:
            return self.memory(schema.to_pyarrow().empty_table())
        # DuckDB's own cast of a zoned timestamp goes through a time zone library row by row and
        # takes longer than reading the file; these functions move the microseconds as they are.
        newest = set(pq.read_schema(files[-1]).names)
        again = f', "{table.event_time}" AS {HAPPENED_AT}' if table.event_time else ""
        columns = ", ".join(
            f'NULL::{"TIMESTAMP" if kind.is_timestamp() else kind} AS "{name}"'
            if name not in newest
            else f'make_timestamp(epoch_us("{name}")) AS "{name}"'
            if kind.is_timestamp()
            else f'"{name}"'
            for name, kind in schema.items()
            if name != HAPPENED_AT
        )
        # Files from before a column was added to the contract lack it: it is empty in them.
        older = newest - set(pq.read_schema(files[0]).names)
        option = ", union_by_name = true" if older else ""
        paths = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
        name = _name(table.name)
        source = f"read_parquet([{paths}]{option})"
        self._connection.raw_sql(
            f"CREATE TEMP VIEW {name} AS SELECT {columns}{again} FROM {source}"  # noqa: S608 # columns are our own, paths are quoted
        )
        rows: ir.Table = self._connection.table(name)
        return rows

    def memory(self, arrow: pa.Table) -> ir.Table:
        """Return a table over rows in memory; nothing is copied."""
        name = _name("memory")
        self._connection.con.register(name, arrow)
        rows: ir.Table = self._connection.table(name)
        return rows

    def view(self, expression: ir.Table, *, name: str) -> ir.Table:
        """Name an expression, so that a ``Query`` finds it; it runs at each use."""
        sql = self._connection.compile(expression)
        self._connection.raw_sql(f'CREATE OR REPLACE TEMP VIEW "{name}" AS {sql}')
        return self._connection.table(name)

    def keep(self, expression: ir.Table, *, name: str | None = None) -> ir.Table:
        """Run an expression and keep its rows inside the engine, for several readers.

        The rows live until the engine is closed, in memory or spilled.

        Args:
            expression: What to run; its order is kept.
            name: So that a ``Query`` finds them.
        """
        rows: ir.Table = self._connection.create_table(name or _name("kept"), expression, temp=True)
        return rows

    def arrow(self, expression: ir.Table) -> pa.Table:
        """Run an expression and return its rows."""
        return _in_utc(self._connection.to_pyarrow(expression))

    def batches(self, expression: ir.Table, *, rows: int = 65_536) -> pa.RecordBatchReader:
        """Run an expression and return its rows batch by batch.

        Args:
            expression: What to run.
            rows: About how many rows a batch holds.

        Returns:
            A reader; the engine runs nothing else until it is read to its end.
        """
        # Not Ibis's `to_pyarrow_batches`, which calls a method that DuckDB 2 took away.
        relation = self._connection.con.sql(self._connection.compile(expression))
        return relation.to_arrow_reader(rows)

    def run(self, query: Query, parameters: Mapping[str, int | datetime]) -> pa.Table:
        """Run a compiled query and return its rows.

        Args:
            query: What to run, over tables of ``view`` and ``keep``.
            parameters: A value for each parameter; moments naive.
        """
        self._bind(parameters)
        return self._connection.con.sql(query.sql).to_arrow_table().cast(query.schema)

    def stream(
        self, query: Query, parameters: Mapping[str, int | datetime], *, rows: int = 65_536
    ) -> pa.RecordBatchReader:
        """Run a compiled query batch by batch, as ``batches`` does an expression."""
        self._bind(parameters)
        return self._connection.con.sql(query.sql).to_arrow_reader(rows).cast(query.schema)

    def _bind(self, parameters: Mapping[str, int | datetime]) -> None:
        for name, value in parameters.items():
            kind = "TIMESTAMP" if isinstance(value, datetime) else "BIGINT"
            self._connection.con.execute(f"SET VARIABLE {name} = ?::{kind}", [value])


def _in_utc(table: pa.Table) -> pa.Table:
    """Return the table with time zones spelt ``UTC``, whatever alias the engine writes."""
    fields = [
        pa.field(f.name, pa.timestamp(f.type.unit, "UTC"))
        if pa.types.is_timestamp(f.type) and f.type.tz
        else f
        for f in table.schema
    ]
    return table.cast(pa.schema(fields))


def _name(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex[:12]}"
