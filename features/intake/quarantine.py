"""Rows that cannot be kept: each with its reasons and its content as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.arrow import hash_rows
from features.contracts.checks import Problem
from features.intake.chunks import UnreadableRow
from features.lake.delta import QUARANTINE, QUARANTINE_SCHEMA, Lake


class Quarantine:
    """The bad rows of one load, kept in a file until the load is decided."""

    def __init__(self, file: Path, table: str, *, load_id: str, now: datetime) -> None:
        self._file, self._table, self._load_id, self._now = file, table, load_id, now
        self._writer = pq.ParquetWriter(file, QUARANTINE_SCHEMA)
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    @property
    def total(self) -> int:
        """How many rows it holds."""
        return self.counts.total()

    def add(
        self,
        rows: pa.Table | pa.RecordBatch,
        problems: Sequence[Problem],
        *,
        source: str,
        numbers: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.bool_]:
        """Take the rows that some problem holds for; return which were taken, bool[n].

        A row counts under its first problem. ``numbers`` are the rows' own in their source.
        """
        bad = np.zeros(rows.num_rows, dtype=bool)
        for problem in problems:
            bad |= problem.rows
        index = np.flatnonzero(bad)
        if len(index) == 0:
            return bad
        reasons: list[list[str]] = [[] for _ in index]
        for problem in problems:
            for place in np.flatnonzero(problem.rows[index]):
                reasons[place].append(problem.reason)
        documents = [_row_json(row) for row in rows.take(pa.array(index)).to_pylist()]
        self._write(reasons, documents, source, numbers[index].tolist())
        return bad

    def add_broken(self, broken: Sequence[UnreadableRow], *, source: str) -> None:
        """Take rows that could not be split into fields."""
        if broken:
            self._write(
                [[row.reason] for row in broken],
                [_row_json({"text": row.text}) for row in broken],
                source,
                [row.number for row in broken],
            )

    def _write(
        self, reasons: list[list[str]], rows: list[str], source: str, numbers: list[int]
    ) -> None:
        for (first, *_), number, row in zip(reasons, numbers, rows, strict=True):
            self.counts[first] += 1
            self.examples.setdefault(first, f"{source}, row {number}: {row[:500]}")
        n = len(rows)
        texts = [pa.array(["; ".join(words) for words in reasons]), pa.array(rows, pa.string())]
        table = pa.repeat(pa.scalar(self._table), n)
        columns = [
            table,
            pa.repeat(pa.scalar(self._load_id), n),
            pa.repeat(pa.scalar(self._now, QUARANTINE_SCHEMA.field("loaded_at").type), n),
            pa.repeat(pa.scalar(source), n),
            pa.array(numbers, pa.int64()),
            *texts,
            pa.array(hash_rows([table, *texts]).view(np.int64)),
        ]
        self._writer.write_table(pa.table(columns, schema=QUARANTINE_SCHEMA))

    def close(self) -> None:
        """End the file; nothing can be added any more."""
        self._writer.close()

    def unseen(self, lake: Lake) -> pa.Table:
        """Return the rows that no earlier load has put into the lake's quarantine."""
        rows = pq.read_table(self._file)
        files = lake.files(QUARANTINE) if rows.num_rows else []
        if not files:
            return rows
        known = pa.concat_tables(pq.read_table(f, columns=["content_hash"]) for f in files)
        seen = pc.is_in(rows.column("content_hash"), value_set=known.column(0))
        return rows.filter(pc.invert(seen))


def _row_json(row: dict[str, Any]) -> str:
    return orjson.dumps(row, default=_value_text, option=orjson.OPT_NON_STR_KEYS).decode()


def _value_text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
