"""Rows on their way into the lake: written once, patched only where versions meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.arrow import hash_rows
from features.contracts.schema import Table
from features.lake.delta import LAKE_FIELDS, lake_schema, widened, write_parquet
from features.lake.versions import OPEN, Rows, VersionPlan, among

FILE_ROWS = 1_000_000
"""Rows of one file: a correction rewrites no more than the files it touches."""

Int64 = npt.NDArray[np.int64]
_BATCH = 131_072
_NO_ROWS = np.empty(0, dtype=np.int64)


class Stage:
    """Good rows of one load, written to files in an empty folder that belong to no table yet."""

    def __init__(self, folder: Path, contract: Table, *, load_id: str, now: datetime) -> None:
        self._folder, self._contract = folder, contract
        self._schema = lake_schema(contract)
        self._load_id, self._now = load_id, now
        self._writer: pq.ParquetWriter | None = None
        self._files: list[tuple[Path, int]] = []
        self._rows = 0
        self._parts: list[Rows] = []

    def add(self, rows: pa.Table) -> None:
        """Write rows that keep the contract."""
        if rows.num_rows == 0:
            return
        prints = _fingerprints(rows, self._contract)
        self._parts.append(prints)
        n = rows.num_rows
        extra = [
            pa.nulls(n, LAKE_FIELDS.field("superseded_at").type),
            pa.repeat(pa.scalar(self._now, LAKE_FIELDS.field("loaded_at").type), n),
            pa.repeat(pa.scalar(self._load_id), n),
            pa.array(prints.content),
        ]
        table = pa.table([*rows.columns, *extra], schema=self._schema)
        self._writer_with_room().write_table(table, row_group_size=n)
        self._rows += n

    def _writer_with_room(self) -> pq.ParquetWriter:
        if self._writer is not None:
            if self._rows - self._files[-1][1] < FILE_ROWS:
                return self._writer
            self._writer.close()
        path = self._folder / f"staged-{len(self._files):05d}.parquet"
        self._writer = write_parquet(path, self._schema)
        self._files.append((path, self._rows))
        return self._writer

    def rows(self) -> Rows:
        """Close the files and return what is compared of all rows, in file order."""
        if self._writer is not None:
            self._writer.close()
        rows = Rows.joined(self._parts)
        self._parts.clear()
        return rows

    def pick(self, wanted: npt.NDArray[np.bool_]) -> pa.Table:
        """Return some staged rows, by a flag for each."""
        parts = [
            pq.read_table(path).filter(pa.array(wanted[start:stop]))
            for path, start, stop in self._spans()
            if wanted[start:stop].any()
        ]
        return pa.concat_tables(parts) if parts else self._schema.empty_table()

    def files(self, placed: VersionPlan) -> list[Path]:
        """Return the files to commit: those written, without rows that are not kept."""
        files = []
        for path, start, stop in self._spans():
            keep, ends = placed.keep[start:stop], placed.superseded[start:stop]
            if keep.all() and (ends == OPEN).all():
                files.append(path)
            elif keep.any():
                patched = path.with_suffix(".kept.parquet")
                changed = np.flatnonzero(ends != OPEN)
                with write_parquet(patched, self._schema) as writer:
                    copy_rows(path, writer, Patch(changed, ends[changed], np.flatnonzero(~keep)))
                files.append(patched)
        return files

    def _spans(self) -> list[tuple[Path, int, int]]:
        stops = [start for _, start in self._files[1:]] + [self._rows]
        return [(p, start, stop) for (p, start), stop in zip(self._files, stops, strict=True)]


def _fingerprints(rows: pa.Table, contract: Table) -> Rows:
    columns = {
        column.name: rows.column(column.name).combine_chunks()
        for column in contract.columns
        if column.name != "available_at"
    }
    key = [columns[name] for name in contract.key]
    added = [column.name for column in contract.columns if column.added]
    content = hash_rows([values for name, values in columns.items() if name not in added])
    for number, name in enumerate(added, start=1):
        # Left out where it is empty, so that rows from before it was added stay the same rows.
        filled = pc.is_valid(columns[name]).to_numpy(zero_copy_only=False)
        if filled.any():
            hashes = pa.array(content.view(np.int64))
            content = np.where(filled, hash_rows([hashes, columns[name]], seed=number), content)
    return Rows(
        key=np.stack([hash_rows(key, seed=1), hash_rows(key, seed=2)]),
        available=_as_int64(rows.column("available_at")),
        content=content.view(np.int64),
    )


@dataclass(frozen=True)
class Stored:
    """The m stored versions of some keys, in the order they were stored.

    Attributes:
        superseded: When each ends, microseconds, int64[m].
        file: Number of the file that each stands in, int64[m].
        position: Its row there, int64[m].
    """

    rows: Rows
    superseded: Int64
    file: Int64
    position: Int64


def find_stored(files: Sequence[str], contract: Table, keys: npt.NDArray[np.uint64]) -> Stored:
    """Return the stored versions of the keys with these first hashes, oldest file first."""
    wanted = np.sort(keys) if files else keys
    columns = [*contract.key, "available_at", "superseded_at", "content_hash"]
    parts, places = list[Rows](), [np.empty((3, 0), dtype=np.int64)]
    for number, file in enumerate(files):
        first = 0
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(batch_size=_BATCH, columns=columns):
                hashes = hash_rows([batch.column(name) for name in contract.key], seed=1)
                hits = np.flatnonzero(among(hashes, wanted))
                if len(hits):
                    some = batch.take(pa.array(hits))
                    second = hash_rows([some.column(name) for name in contract.key], seed=2)
                    available = _as_int64(some.column("available_at"))
                    content = _as_int64(some.column("content_hash"))
                    parts.append(Rows(np.stack([hashes[hits], second]), available, content))
                    ends = _as_int64(some.column("superseded_at"))
                    places.append(np.stack([ends, np.full(len(hits), number), first + hits]))
                first += batch.num_rows
    return Stored(Rows.joined(parts), *np.concatenate(places, axis=1))


def _as_int64(column: pa.Array | pa.ChunkedArray) -> Int64:
    """Return times as microseconds; an empty one is ``OPEN``."""
    filled = pc.fill_null(column.cast(pa.int64()), OPEN)
    return np.array(filled.to_numpy(), dtype=np.int64)


@dataclass(frozen=True)
class Patch:
    """What changes in a file that is copied, by row.

    Attributes:
        changed: Rows whose end changes, ascending, int64[k].
        ends: Their new ends, microseconds, ``OPEN`` for none, int64[k].
        dropped: Rows to leave out, ascending.
    """

    changed: Int64
    ends: Int64
    dropped: Int64 = field(default_factory=lambda: _NO_ROWS)


def copy_rows(file: Path | str, writer: pq.ParquetWriter, patch: Patch) -> None:
    """Copy a lake file's rows into a writer, with other ends or without some."""
    first = 0
    with pq.ParquetFile(file) as parquet:
        where = parquet.schema_arrow.get_field_index("superseded_at")
        for batch in parquet.iter_batches(batch_size=_BATCH):
            n = batch.num_rows
            ends = _as_int64(batch.column(where))
            here = (patch.changed >= first) & (patch.changed < first + n)
            ends[patch.changed[here] - first] = patch.ends[here]
            column = pa.array(ends, mask=ends == OPEN).cast(batch.column(where).type)
            table = pa.Table.from_batches([batch]).set_column(where, "superseded_at", column)
            gone = patch.dropped[(patch.dropped >= first) & (patch.dropped < first + n)] - first
            if len(gone):
                table = table.filter(pa.array(~np.isin(np.arange(n), gone)))
            writer.write_table(widened(table, writer.schema), row_group_size=_BATCH)
            first += n
