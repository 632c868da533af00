"""Runs a definition at one as-of or at many, over one set of histories.

A definition becomes a query once a process, its as-of left open. One as-of reads the files
directly. Several share one preparation: ids become numbers in the order of their bytes, and rows
stand together by customer, so that grouping is fast. The result does not depend on which it was.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Literal

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from features.customers.aggregates import Histories
from features.engine.as_of import AsOf, naive, whole_second
from features.engine.protocol import Engine, Query

Definition = Callable[[Histories, AsOf], ir.Table]
"""Gives rows with ``key``; hashable, since its query is built once."""

_TABLES = ("contacts", "purchases", "people")
_IDS = "customer_numbers"
_Stage = Literal["read", "prepared"]
_Schemas = tuple[ibis.Schema, ibis.Schema, ibis.Schema]


@functools.lru_cache(maxsize=32)
def _query_of(definition: Definition, stage: _Stage, schemas: _Schemas) -> Query:
    """Build a definition over the tables of one stage, sorted by key, its as-of open."""
    tables = (
        ibis.table(schema, name=f"{stage}_{name}")
        for schema, name in zip(schemas, _TABLES, strict=True)
    )
    second, time = ibis.param("int64"), ibis.param("timestamp(6)")
    rows = definition(Histories(*tables), AsOf(second=second, time=time)).order_by("key")
    return Query(rows, {"as_of_second": second, "as_of_time": time})


def _bound(as_of: datetime) -> dict[str, int | datetime]:
    return {"as_of_second": whole_second(as_of), "as_of_time": naive(as_of)}


class FeatureRunner:
    """Runs definitions at as-ofs, over one set of histories.

    ``engine`` stays open, and holds no other passes.
    """

    def __init__(self, engine: Engine, histories: Histories) -> None:
        self._engine = engine
        tables = (histories.contacts, histories.purchases, histories.people)
        self._read = tuple(
            engine.view(table, name=f"read_{name}")
            for table, name in zip(tables, _TABLES, strict=True)
        )
        self._prepared: tuple[ir.Table, ...] = ()
        self._ids: pa.Array | None = None

    def run(self, definition: Definition, as_ofs: Sequence[datetime]) -> pa.Table:
        """Run one definition at each as-of.

        Each as-of (aware, whole seconds) counts once, in any order.

        Returns:
            ``customer_id``, ``as_of`` (timestamp[s, UTC]), then the definition's columns; sorted
            by as-of and the bytes of the id.

        Raises:
            InputError: An as-of has no zone or a fraction of a second.
        """
        bound = [_bound(as_of) for as_of in sorted(set(as_ofs))]
        if len(bound) > 1 and self._ids is None:
            self._prepare()
        query = self._query(definition)
        parts = [
            self._labelled(self._engine.run(query, values), values["as_of_second"])
            for values in bound
        ]
        return pa.concat_tables(parts or [self._labelled(query.schema.empty_table(), 0)])

    def batches(self, definition: Definition, as_of: datetime) -> pa.RecordBatchReader:
        """Run one definition at one as-of, batch by batch.

        Returns:
            A reader of ``customer_id``, then the definition's columns, sorted by the id's bytes.

        Raises:
            InputError: The as-of has no zone or a fraction of a second.
        """
        rows = self._engine.stream(self._query(definition), _bound(as_of))
        schema = pa.schema([pa.field("customer_id", pa.string()), *list(rows.schema)[1:]])

        def named() -> Iterator[pa.RecordBatch]:
            for batch in rows:
                columns = [self._ids_of(batch.column(0)), *batch.columns[1:]]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)

        return pa.RecordBatchReader.from_batches(schema, named())

    def _query(self, definition: Definition) -> Query:
        stage: _Stage = "read" if self._ids is None else "prepared"
        contacts, purchases, people = (t.schema() for t in self._prepared or self._read)
        return _query_of(definition, stage, (contacts, purchases, people))

    def _prepare(self) -> None:
        """Number the customers and keep their rows inside the engine, side by side."""
        keys = ibis.union(*(table.select("key") for table in self._read), distinct=True)
        number = ibis.row_number().over(ibis.window(order_by=keys.key)).cast("int32")
        ids = self._engine.keep(keys.select(id=keys.key, number=number), name=_IDS)
        self._prepared = tuple(
            self._engine.keep(_numbered(table, ids), name=f"prepared_{name}")
            for table, name in zip(self._read, _TABLES, strict=True)
        )
        self._ids = self._engine.arrow(ids.order_by("number")).column("id").combine_chunks()

    def _ids_of(self, keys: pa.Array) -> pa.Array:
        return keys if self._ids is None else self._ids.take(keys)

    def _labelled(self, rows: pa.Table, second: int | datetime) -> pa.Table:
        ids = self._ids_of(rows.column("key").combine_chunks())
        as_of = pa.scalar(second, pa.int64()).cast(pa.timestamp("s", "UTC"))
        values = rows.drop_columns(["key"])
        values = values.add_column(0, "as_of", pa.repeat(as_of, len(rows)))
        return values.add_column(0, pa.field("customer_id", pa.string()), ids)


def _numbered(table: ir.Table, ids: ir.Table) -> ir.Table:
    joined = table.inner_join(ids, table.key == ids.id)
    rest = [name for name in table.columns if name != "key"]
    return joined.select(*rest, key=joined.number).order_by("key")
