"""Rows that cannot be kept: each with its reasons and its content as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.intake.cells import Problem
from features.intake.hashing import hash_rows
from features.intake.source import Broken
from features.lake import QUARANTINE, QUARANTINE_SCHEMA, Lake


@dataclass(frozen=True)
class Example:
    """The first row that a reason was found in.

    Attributes:
        source: The file or query.
        number: The row's number in it.
        row: Its content as JSON, cut short.
    """

    source: str
    number: int
    row: str


class Quarantine:
    """The bad rows of one load, kept in a file until the load is decided.

    Args:
        file: Where to write them.
        table: The table they were meant for.
        load_id: The load.
        now: Its moment, aware UTC.
    """

    def __init__(self, file: Path, table: str, *, load_id: str, now: datetime) -> None:
        self._file, self._table = file, table
        self._load_id, self._now = load_id, now
        self._writer = pq.ParquetWriter(file, QUARANTINE_SCHEMA)
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, Example] = {}

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
        """Take the rows that some problem holds for.

        Args:
            rows: Rows of the source.
            problems: What is wrong; the first that holds for a row is what it counts under.
            source: The file or query.
            numbers: Each row's number in it, int64[n].

        Returns:
            Which rows were taken, bool[n].
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
        documents = [_json(row) for row in rows.take(pa.array(index)).to_pylist()]
        self._write(reasons, documents, source, numbers[index].tolist())
        return bad

    def add_broken(self, broken: Sequence[Broken], *, source: str) -> None:
        """Take rows that could not be split into fields."""
        if broken:
            self._write(
                [[row.reason] for row in broken],
                [_json({"text": row.text}) for row in broken],
                source,
                [row.number for row in broken],
            )

    def _write(
        self, reasons: list[list[str]], rows: list[str], source: str, numbers: list[int]
    ) -> None:
        self.counts.update(found[0] for found in reasons)
        for found, number, row in zip(reasons, numbers, rows, strict=True):
            if found[0] not in self.examples:
                self.examples[found[0]] = Example(source, number, row[:500])
        n = len(rows)
        texts = [pa.array(["; ".join(found) for found in reasons]), pa.array(rows, pa.string())]
        table = pa.repeat(pa.scalar(self._table), n)
        self._writer.write_table(
            pa.table(
                [
                    table,
                    pa.repeat(pa.scalar(self._load_id), n),
                    pa.repeat(pa.scalar(self._now, QUARANTINE_SCHEMA.field("loaded_at").type), n),
                    pa.repeat(pa.scalar(source), n),
                    pa.array(numbers, pa.int64()),
                    *texts,
                    pa.array(hash_rows([table, *texts]).view(np.int64)),
                ],
                schema=QUARANTINE_SCHEMA,
            )
        )

    def close(self) -> None:
        """End the file; nothing can be added any more."""
        self._writer.close()

    def unseen(self, lake: Lake) -> pa.Table:
        """Return the rows that no earlier load has put into the lake's quarantine."""
        mine = pq.read_table(self._file)
        if mine.num_rows == 0:
            return mine
        known = [
            pq.read_table(file, columns=["content_hash"]).column(0)
            for file in lake.files(QUARANTINE)
        ]
        if not known:
            return mine
        values = pa.chunked_array([chunk for column in known for chunk in column.chunks])
        return mine.filter(pc.invert(pc.is_in(mine.column("content_hash"), value_set=values)))


def _json(row: dict[str, Any]) -> str:
    return orjson.dumps(row, default=_text, option=orjson.OPT_NON_STR_KEYS).decode()


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
