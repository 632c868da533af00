"""Spark, the engine for data that one machine does not hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir
import pyarrow as pa

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

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


class SparkEngine(Engine):
    """Runs on a Spark session, which it sets to UTC and ends; needs extra ``spark``."""

    def __init__(self, session: SparkSession) -> None:
        self._session = session
        self._connection = ibis.pyspark.connect(session)
        session.conf.set("spark.sql.session.timeZone", "UTC")

    def close(self) -> None:
        """End the session."""
        self._session.stop()

    def scan(self, files: Sequence[str], table: Table) -> ir.Table:
        """Return a table over the lake's Parquet files, typed as ``schema_of`` says."""
        schema = schema_of(table)
        empty = schema.to_pyarrow().empty_table()
        reader = self._session.read.option("mergeSchema", "true")
        frame = reader.parquet(*files) if files else self._session.createDataFrame(empty)
        stored = self._named(frame, unique_name(table.name))
        columns = {}
        for name, kind in schema.items():
            own = table.event_time if name == HAPPENED_AT else name
            columns[name] = stored[own].cast(kind) if own in stored.columns else ibis.null(kind)
        return stored.select(**columns)

    def memory(self, arrow: pa.Table) -> ir.Table:
        """Return a table over rows in memory."""
        return self._named(self._session.createDataFrame(arrow), unique_name("memory"))

    def view(self, expression: ir.Table, *, name: str) -> ir.Table:
        """Name an expression; it runs at each use."""
        return self._named(self._frame(expression), name)

    def keep(self, expression: ir.Table, *, name: str | None = None) -> ir.Table:
        """Keep an expression's rows in the cluster once something has read them."""
        return self._named(self._frame(expression).cache(), name or unique_name("kept"))

    def arrow(self, expression: ir.Table) -> pa.Table:
        """Run an expression and return its rows."""
        return in_utc(self._frame(expression).toArrow().cast(expression.schema().to_pyarrow()))

    def run(self, query: Query, parameters: Parameters) -> pa.Table:
        """Run a query, its parameters written into it, and return its rows."""
        values = {query.parameters[name]: value for name, value in parameters.items()}
        return self._frame(query.expression, values).toArrow().cast(query.schema)

    def _frame(
        self, expression: ir.Table, values: Mapping[ir.Scalar, object] | None = None
    ) -> DataFrame:
        return self._session.sql(self._connection.compile(expression, params=values))

    def _named(self, frame: DataFrame, name: str) -> ir.Table:
        frame.createOrReplaceTempView(name)
        return self._connection.table(name)
