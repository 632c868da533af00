"""DuckDB in process, the engine of one machine."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from features.contracts.schema import Table
from features.engine.protocol import (
    HAPPENED_AT,
    Engine,
    Parameters,
    Query,
    in_utc,
    schema_of,
    unique_name,
)


class DuckDBEngine(Engine):
    """DuckDB in this process; close it, or use it as a context manager.

    Args:
        threads: By default all cores.
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
        folder = spill or Path(tempfile.gettempdir()) / unique_name("ebbflow")
        settings: dict[str, str | int] = {"temp_directory": str(folder)}
        if threads is not None:
            settings["threads"] = threads
        if memory_limit is not None:
            settings["memory_limit"] = memory_limit
        self._connection = ibis.duckdb.connect(**settings)
        # Ibis sets the session's zone too; repeated because every epoch second rests on it.
        self._connection.raw_sql("SET TimeZone = 'UTC'")
        # Rows are sorted explicitly where their order matters; keeping it costs memory.
        self._connection.raw_sql("SET preserve_insertion_order = false")
        self._connection.raw_sql("SET enable_progress_bar = false")

    def close(self) -> None:
        """End the connection and free its memory."""
        self._connection.disconnect()

    def scan(self, files: Sequence[str], table: Table) -> ir.Table:
        """Return a table over the lake's Parquet files, typed as ``schema_of`` says."""
        schema = schema_of(table)
        if not files:
            return self.memory(schema.to_pyarrow().empty_table())
        # DuckDB's own cast of a zoned timestamp goes through a time zone library row by row and
        # takes longer than reading the file; these functions move the microseconds as they are.
        newest = set(pq.read_schema(files[-1]).names)
        zoned = f', "{table.event_time}" AS {HAPPENED_AT}' if table.event_time else ""
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
        name = unique_name(table.name)
        source = f"read_parquet([{paths}]{option})"
        self._connection.raw_sql(
            f"CREATE TEMP VIEW {name} AS SELECT {columns}{zoned} FROM {source}"  # noqa: S608 # columns are our own, paths are quoted
        )
        return self._connection.table(name)

    def memory(self, arrow: pa.Table) -> ir.Table:
        """Return a table over rows in memory; nothing is copied."""
        name = unique_name("memory")
        self._connection.con.register(name, arrow)
        return self._connection.table(name)

    def view(self, expression: ir.Table, *, name: str) -> ir.Table:
        """Name an expression; it runs at each use."""
        sql = self._connection.compile(expression)
        self._connection.raw_sql(f'CREATE OR REPLACE TEMP VIEW "{name}" AS {sql}')
        return self._connection.table(name)

    def keep(self, expression: ir.Table, *, name: str | None = None) -> ir.Table:
        """Run an expression and keep its rows, in memory or spilled, in their order."""
        table = name or unique_name("kept")
        return self._connection.create_table(table, expression, temp=True)

    def arrow(self, expression: ir.Table) -> pa.Table:
        """Run an expression and return its rows."""
        return in_utc(self._connection.to_pyarrow(expression))

    def batches(self, expression: ir.Table, *, rows: int = 65_536) -> pa.RecordBatchReader:
        """Run an expression and return its rows in batches."""
        # Not Ibis's `to_pyarrow_batches`, which calls a method that DuckDB 2 took away.
        relation = self._connection.con.sql(self._connection.compile(expression))
        return relation.to_arrow_reader(rows)

    def run(self, query: Query, parameters: Parameters) -> pa.Table:
        """Run a query and return its rows."""
        self._bind(parameters)
        return self._connection.con.sql(_sql_of(query)).to_arrow_table().cast(query.schema)

    def stream(
        self, query: Query, parameters: Parameters, *, rows: int = 65_536
    ) -> pa.RecordBatchReader:
        """Run a query and return its rows in batches."""
        self._bind(parameters)
        return self._connection.con.sql(_sql_of(query)).to_arrow_reader(rows).cast(query.schema)

    def _bind(self, parameters: Parameters) -> None:
        for name, value in parameters.items():
            kind = "TIMESTAMP" if isinstance(value, datetime) else "BIGINT"
            self._connection.con.execute(f"SET VARIABLE {name} = ?::{kind}", [value])


@functools.lru_cache(maxsize=32)
def _sql_of(query: Query) -> str:
    """Compile a query once; each parameter becomes a session variable, folded as a constant."""
    variables = {p.op(): _variable(n, p.type()).op() for n, p in query.parameters.items()}
    expression = query.expression.op().replace(variables).to_expr()
    return str(ibis.to_sql(expression, dialect="duckdb"))


def _variable(name: str, kind: ibis.DataType) -> ir.Scalar:
    def given(variable: str) -> object:
        """Read a variable of the session."""

    read = ibis.udf.scalar.builtin(given, name="getvariable", signature=(("string",), kind))
    return read(name)
