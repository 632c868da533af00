"""One preparation of the histories, shared by all as-ofs that are asked of it.

Ids become numbers in the order of their bytes, and rows are laid out customer by customer, so
that a pass over them groups integers that stand together. What a pass returns does not depend
on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from features.engine import Engine
from features.facts import Histories
from features.windows import whole_second

Definition = Callable[[Histories, datetime], ir.Table]


@dataclass(frozen=True)
class Prepared:
    """Rows with numbered keys.

    Attributes:
        histories: The rows, kept inside the engine.
        ids: The customer id of each number, string[n], ascending by bytes.
    """

    histories: Histories
    ids: pa.Array


def prepare(engine: Engine, histories: Histories, *, side_by_side: bool) -> Prepared:
    """Number the customers and keep their rows inside the engine.

    Args:
        engine: Keeps the rows.
        histories: Rows by customer id.
        side_by_side: Whether to lay the rows of a customer side by side, which takes as long as
            a pass and saves half of each.
    """
    tables = (histories.contacts, histories.purchases, histories.people)
    keys = ibis.union(*(table.select("key") for table in tables), distinct=True)
    numbered = keys.select(
        id=keys.key, number=ibis.row_number().over(ibis.window(order_by=keys.key)).cast("int32")
    )
    ids = engine.keep(numbered)
    contacts, purchases, people = (
        engine.keep(_numbered(table, ids, side_by_side=side_by_side)) for table in tables
    )
    names = engine.arrow(ids.order_by("number")).column("id").combine_chunks()
    return Prepared(Histories(contacts, purchases, people), names)


def _numbered(table: ir.Table, ids: ir.Table, *, side_by_side: bool) -> ir.Table:
    joined = table.inner_join(ids, table.key == ids.id)
    rest = [name for name in table.columns if name != "key"]
    numbered = joined.select(*rest, key=joined.number)
    return numbered.order_by("key") if side_by_side else numbered


class Passes:
    """Runs definitions at as-ofs, over one set of histories.

    Args:
        engine: Runs them; stays open.
        histories: Rows by customer id.
    """

    def __init__(self, engine: Engine, histories: Histories) -> None:
        self._engine = engine
        self._histories = histories
        self._prepared: Prepared | None = None
        self._side_by_side = False

    def run(self, definition: Definition, as_ofs: Sequence[datetime]) -> pa.Table:
        """Run one definition at each as-of.

        Args:
            definition: Gives rows with ``key`` from histories and an as-of.
            as_ofs: Aware, whole seconds; each once, in any order.

        Returns:
            ``customer_id``, ``as_of`` (timestamp[s, UTC]), then the definition's columns; sorted
            by as-of and the bytes of the id.
        """
        moments = sorted(set(as_ofs))
        if not moments:
            nothing = definition(self._histories, datetime.fromtimestamp(0, tz=UTC))
            return _labelled(nothing.schema().to_pyarrow().empty_table(), None, None)
        prepared = self._prepare(many=len(moments) > 1)
        return pa.concat_tables(
            [
                _labelled(
                    self._engine.arrow(definition(prepared.histories, moment).order_by("key")),
                    prepared.ids,
                    moment,
                )
                for moment in moments
            ]
        )

    def batches(self, definition: Definition, as_of: datetime) -> pa.RecordBatchReader:
        """Run one definition at one as-of, batch by batch.

        Returns:
            A reader of ``customer_id``, then the definition's columns, sorted by the id's bytes.
        """
        prepared = self._prepare(many=False)
        rows = self._engine.batches(definition(prepared.histories, as_of).order_by("key"))
        schema = pa.schema([pa.field("customer_id", pa.string()), *list(rows.schema)[1:]])

        def named() -> Iterator[pa.RecordBatch]:
            for batch in rows:
                names = prepared.ids.take(batch.column(0))
                yield pa.RecordBatch.from_arrays([names, *batch.columns[1:]], schema=schema)

        return pa.RecordBatchReader.from_batches(schema, named())

    def _prepare(self, *, many: bool) -> Prepared:
        if self._prepared is None or (many and not self._side_by_side):
            self._prepared = prepare(self._engine, self._histories, side_by_side=many)
            self._side_by_side = many
        return self._prepared


def _labelled(rows: pa.Table, ids: pa.Array | None, as_of: datetime | None) -> pa.Table:
    key = rows.column("key")
    names = key if ids is None else ids.take(key.combine_chunks())
    seconds = 0 if as_of is None else whole_second(as_of)
    moment = pa.scalar(seconds, pa.int64()).cast(pa.timestamp("s", "UTC"))
    found = rows.drop_columns(["key"])
    found = found.add_column(0, "as_of", pa.repeat(moment, len(rows)))
    return found.add_column(0, pa.field("customer_id", pa.string()), names)
