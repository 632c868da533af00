"""A lake as it stood at a moment: what had not happened or was not known by then is taken out.

An answer as of a moment may not depend on anything later, so it must be the same from this copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.contracts import TABLES, Table
from features.lake import Change, Lake, lake_schema, write_parquet

AHEAD = {"calendar": ("starts_at", "ends_at"), "overrides": ("interval_start",),
         "purchases": ("term_ends_at",)}  # fmt: skip
"""Columns of moments that are known before they come."""
_BATCH = 131_072


def copy_until(
    lake: Lake, to: Lake, *, versions: Mapping[str, int], at: datetime, now: datetime
) -> None:
    """Copy a lake's tables without anything later than a moment.

    A row stays that had happened before the moment and was available at it; where its next
    version came later, it is the newest. A moment later than ``at`` in another column is emptied.

    Args:
        lake: What is copied.
        to: An empty lake.
        versions: The versions of its tables that are copied.
        at: The moment, aware UTC.
        now: The moment of writing, aware UTC.
    """
    for name, version in versions.items():
        contract = TABLES[name]
        schema = lake_schema(contract)
        with to.writing() as staging:
            staged = Path(staging) / f"{name}.parquet"
            with write_parquet(staged, schema) as writer:
                for file in lake.files(name, version):
                    with pq.ParquetFile(file) as parquet:
                        for batch in parquet.iter_batches(batch_size=_BATCH):
                            rows = _whole(pa.Table.from_batches([batch]), schema)
                            writer.write_table(_until(rows, contract, at))
            to.commit(Change(name, schema, (staged,), operation="copy"), now=now)


def _whole(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows with the columns that the contract was given since they were written."""
    for field in schema:
        if field.name not in rows.column_names:
            rows = rows.append_column(field, pa.nulls(len(rows), field.type))
    return rows.select(schema.names).cast(schema)


def _until(rows: pa.Table, contract: Table, at: datetime) -> pa.Table:
    moment = pa.scalar(at.astimezone(UTC), pa.timestamp("us", "UTC"))
    ahead = AHEAD.get(contract.name, ())
    keep = pc.less_equal(rows["available_at"], moment)
    if contract.event_time is not None and contract.event_time not in ahead:
        keep = pc.and_(keep, pc.less(rows[contract.event_time], moment))
    rows = rows.filter(keep)
    others = [
        column.name
        for column in contract.columns
        if column.kind == "timestamp" and column.nullable and column.name not in ahead
    ]
    for name in (*others, "superseded_at"):
        later = pc.fill_null(pc.greater(rows[name], moment), False)
        nothing = pa.scalar(None, rows.schema.field(name).type)
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, name, pc.if_else(later, nothing, rows[name]))
    return rows.cast(lake_schema(contract))
