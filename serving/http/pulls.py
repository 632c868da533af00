"""A pull of scores as a stream: lines, one document or a table; gzipped on request.

A few hundred kilobytes are held at a time, for a million customers as for a thousand.
"""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa

from serving.http.negotiate import CSV, JSON, NDJSON, PARQUET
from serving.sets.score_writer import REASONS
from serving.sets.scores import Page

GZIP_LEVEL = 1
"""Scores repeat themselves: the lowest level packs eightfold at several times the speed."""
_GROUP_ROWS = 5_000
"""Rows of a Parquet row group."""

_PLAIN = {
    "customer_id": pa.string(),
    "in_population": pa.bool_(),
    "probability": pa.float64(),
    "percentile": pa.float64(),
    "tier": pa.string(),
    "expected_value_minor": pa.int64(),
    "value_at_risk_minor": pa.int64(),
    "stage": pa.string(),
    "segment": pa.string(),
    "action": pa.string(),
}
_REASON = {
    "code": pa.string(),
    "text": pa.string(),
    "text_zh": pa.string(),
    "value": pa.float64(),
    "usual": pa.float64(),
}
_SOURCE = ("as_of", "model_version", "score_set")
TABLE_SCHEMA = pa.schema(
    [
        *_PLAIN.items(),
        *(
            (f"reason_{k}" if name == "code" else f"reason_{k}_{name}", kind)
            for k in range(1, REASONS + 1)
            for name, kind in _REASON.items()
        ),
        *((name, pa.string()) for name in ("warnings", *_SOURCE)),
    ]
)
"""The columns of a table of scores: a record with its reasons side by side."""


def body(page: Page, *, kind: str, head: bytes, packed: bool) -> Iterator[bytes]:
    """Return a page as the blocks of an answer; ``head`` opens a JSON document."""
    if kind == NDJSON:
        blocks = page.blocks()
    elif kind == JSON:
        blocks = _document(page, head)
    else:
        blocks = {CSV: _csv, PARQUET: _parquet}[kind](page)
    return _gzip(blocks) if packed else blocks


def _gzip(blocks: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(GZIP_LEVEL, wbits=31)
    for block in blocks:
        if out := packer.compress(block):
            yield out
    yield packer.flush()


def _document(page: Page, head: bytes) -> Iterator[bytes]:
    yield head + b',"next":%b,"scores":[' % orjson.dumps(page.next)
    first = True
    for block in page.blocks():
        # A line break inside a text is written `\\n` in JSON, so these end records.
        records = block[:-1].replace(b"\n", b",")
        yield records if first else b"," + records
        first = False
    yield b"]}"


def _csv(page: Page) -> Iterator[bytes]:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(TABLE_SCHEMA.names)
    for block in page.blocks():
        table.writerows(_row(orjson.loads(line), "true", "false") for line in block.splitlines())
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()
    if text.tell():
        yield text.getvalue().encode()


def _row(record: dict[str, Any], yes: object, no: object) -> list[Any]:
    """Return a record as the cells of a table."""
    row = [record[name] for name in _PLAIN]
    row[1] = yes if row[1] else no
    for reason in record["reasons"]:
        row += [reason[name] for name in _REASON]
    row += [None] * (len(_REASON) * (REASONS - len(record["reasons"])))
    row.append("; ".join(record["warnings"]) or None)
    return row + [record[name] for name in _SOURCE]


def _parquet(page: Page) -> Iterator[bytes]:
    import pyarrow.parquet as pq  # only who asks for Parquet pays its start

    sink = io.BytesIO()
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), TABLE_SCHEMA) as writer:
        rows: list[list[Any]] = []
        for block in page.blocks():
            rows += [_row(orjson.loads(line), True, False) for line in block.splitlines()]
            if len(rows) >= _GROUP_ROWS:
                _write_group(writer, rows)
                rows = []
                yield _taken(sink)
        if rows:
            _write_group(writer, rows)
    yield _taken(sink)


def _taken(sink: io.BytesIO) -> bytes:
    """Return what was written, and empty the sink."""
    content = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return content


def _write_group(writer: Any, rows: list[list[Any]]) -> None:
    columns = zip(*rows, strict=True)
    arrays = [
        pa.array(column, field.type) for column, field in zip(columns, TABLE_SCHEMA, strict=True)
    ]
    writer.write_table(pa.Table.from_arrays(arrays, schema=TABLE_SCHEMA))
