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
from features.lake import Change, Lake, lake_schema, widened, write_parquet

_BATCH = 131_072


def copy_until(
    lake: Lake, to: Lake, *, versions: Mapping[str, int], at: datetime, now: datetime
) -> None:
    """Copy versions of a lake's tables to an empty lake without anything later than a moment.

    A row stays that had happened before the moment and was available at it; where its next
    version came later, it is the newest. A moment later than ``at`` in another column is emptied.
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
                            rows = widened(pa.Table.from_batches([batch]), schema)
                            writer.write_table(_until(rows, contract, at))
            to.commit(Change(name, schema, (staged,), operation="copy"), now=now)


def _until(rows: pa.Table, contract: Table, at: datetime) -> pa.Table:
    schema = rows.schema
    moment = pa.scalar(at.astimezone(UTC), pa.timestamp("us", "UTC"))
    keep = pc.less_equal(rows["available_at"], moment)
    if contract.past_event_time is not None:
        keep = pc.and_(keep, pc.less(rows[contract.past_event_time], moment))
    rows = rows.filter(keep)
    for name in (*contract.later_moments, "superseded_at"):
        later = pc.fill_null(pc.greater(rows[name], moment), False)
        emptied = pc.if_else(later, pa.scalar(None, schema.field(name).type), rows[name])
        rows = rows.set_column(schema.get_field_index(name), name, emptied)
    return rows.cast(schema)
