"""What an engine must do to run Ibis expressions over the lake's tables.

Expressions use integers and plain predicates only, so that every engine gives the same numbers.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, Self

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from features.contracts.schema import Kind, Table

LAKE_COLUMNS: dict[str, str] = {
    "superseded_at": "timestamp(6)",
    "loaded_at": "timestamp(6)",
    "load_id": "string",
    "content_hash": "int64",
}
"""What the lake adds to each table's own columns, with their Ibis types."""

HAPPENED_AT = "happened_at"
"""A second, zoned copy of the event time in tables of events: a comparison with it lets an engine
skip the parts of a file that lie outside the time needed."""

_TYPES: dict[Kind, str] = {
    "string": "string",
    "timestamp": "timestamp(6)",
    "float": "float64",
    "integer": "int64",
    "boolean": "boolean",
    "json": "string",
}

Parameters = Mapping[str, int | datetime]
"""A value for each parameter of a query; times are naive and mean UTC."""


def schema_of(table: Table) -> ibis.Schema:
    """Return the Ibis schema of a table as ``scan`` gives it, its timestamps naive UTC."""
    own = {column.name: _TYPES[column.kind] for column in table.columns}
    zoned = {HAPPENED_AT: "timestamp('UTC', 6)"} if table.event_time else {}
    return ibis.schema({**own, **LAKE_COLUMNS, **zoned})


@dataclass(frozen=True, eq=False)
class Query:
    """An expression over named tables, built once and run with different parameters.

    Attributes:
        expression: Over unbound tables, which are looked up by name in the engine that runs it.
        parameters: From ``ibis.param``, by name.
    """

    expression: ir.Table
    parameters: Mapping[str, ir.Scalar]

    @property
    def schema(self) -> pa.Schema:
        """The columns of its result."""
        return self.expression.schema().to_pyarrow()


class Engine(Protocol):
    """Runs Ibis expressions, its session in UTC.

    What ``scan``, ``memory``, ``view`` and ``keep`` return can be used until the engine is closed.
    """

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the engine."""
        self.close()

    def close(self) -> None:
        """End the session and free its memory."""

    def scan(self, files: Sequence[str], table: Table) -> ir.Table:
        """Return a table over the lake's Parquet files, read when an expression runs.

        Args:
            files: Absolute paths, oldest first; none gives a table without rows.
            table: The contract they follow; a column that a file lacks is null.

        Returns:
            The columns of ``schema_of(table)``, of its types.
        """

    def memory(self, arrow: pa.Table) -> ir.Table:
        """Return a table over rows in memory."""

    def view(self, expression: ir.Table, *, name: str) -> ir.Table:
        """Name an expression, so that a ``Query`` finds it; it runs at each use."""

    def keep(self, expression: ir.Table, *, name: str | None = None) -> ir.Table:
        """Run an expression once and keep its rows in the engine, under a name for a ``Query``."""

    def arrow(self, expression: ir.Table) -> pa.Table:
        """Run an expression and return its rows; time zones are spelt ``UTC``."""

    def batches(self, expression: ir.Table, *, rows: int = 65_536) -> pa.RecordBatchReader:
        """Run an expression and return its rows in batches of about ``rows``.

        The engine runs nothing else until the reader is at its end.
        """
        return self.arrow(expression).to_reader(rows)

    def run(self, query: Query, parameters: Parameters) -> pa.Table:
        """Run a query over tables of ``view`` and ``keep``; return rows of ``query.schema``."""

    def stream(
        self, query: Query, parameters: Parameters, *, rows: int = 65_536
    ) -> pa.RecordBatchReader:
        """Run a query as ``run`` does, in batches as ``batches`` does."""
        return self.run(query, parameters).to_reader(rows)


def unique_name(prefix: str) -> str:
    """Return a table name that no other table has."""
    return f"{prefix}_{uuid.uuid4().hex[:12]}"


def in_utc(table: pa.Table) -> pa.Table:
    """Return a table with its time zones spelt ``UTC``, whatever alias the engine writes."""
    fields = [
        pa.field(f.name, pa.timestamp(f.type.unit, "UTC"))
        if pa.types.is_timestamp(f.type) and f.type.tz
        else f
        for f in table.schema
    ]
    return table.cast(pa.schema(fields))
