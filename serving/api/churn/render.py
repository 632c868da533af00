"""Churn responses: looked-up records joined as they are, and pulls as streams."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import orjson
import pyarrow as pa
from starlette.responses import Response, StreamingResponse

from features.errors import UnknownNameError
from serving.api.churn.schemas import ListFilters, ScoresQuery
from serving.api.content import (
    CSV,
    JSON,
    LEAST_PACKED_ROWS,
    NDJSON,
    OFF_LOOP_ROWS,
    PARQUET,
    attachment,
)
from serving.published.score_history import ScoreSetCache
from serving.published.score_set import WORDS, Page, ScoreFilter, ScoreSet
from serving.published.score_writer import REASONS

_SCORE_FILES = {CSV: "scores.csv", PARQUET: "scores.parquet"}


def stream_scores(
    page: Page, *, kind: str, head: bytes, packed: bool, headers: Mapping[str, str]
) -> Response:
    """Return a page of scores: a short one whole, a long or packed one as a stream."""
    response_headers = dict(headers)
    if kind in _SCORE_FILES:
        response_headers |= attachment(_SCORE_FILES[kind])
    packed = packed and page.rows >= LEAST_PACKED_ROWS
    if packed:
        response_headers["Content-Encoding"] = "gzip"
    blocks = body(page, kind=kind, head=head, packed=packed)
    if page.rows <= OFF_LOOP_ROWS and kind in (NDJSON, JSON) and not packed:
        return Response(b"".join(blocks), media_type=kind, headers=response_headers)
    return StreamingResponse(blocks, media_type=kind, headers=response_headers)


PAGE_ROUTE = "/v1/churn/scores"


def look_up(customer_ids: list[str], *, of: ScoreSet) -> bytes:
    """Return the scores of some customers as JSON."""
    records, unknown = [], []
    for id in dict.fromkeys(customer_ids):
        record = of.record(id)
        if record is None:
            unknown.append(id)
        else:
            records.append(record)
    joined = b",".join(records)
    return b'%b,"scores":[%b],"unknown":%b}' % (of.head, joined, orjson.dumps(unknown))


def page_of(query: ScoresQuery, *, of: ScoreSet, score_sets: ScoreSetCache) -> Page:
    """Return one page of a set.

    Raises:
        UnknownNameError: The set has no such tier, stage, segment or action, or no such set is
            stored to compare with.
        SetGoneError: The set to compare with is not fit.
    """
    only = score_filter(query, of=of)
    if query.changed_since is not None:
        only = replace(only, changed=score_sets.changed(query.changed_since, of=of))
    return of.page(after=query.after, limit=query.limit, only=only)


def score_filter(
    filters: ScoresQuery | ListFilters, *, of: ScoreSet, prefix: str = ""
) -> ScoreFilter:
    """Return a request's filters; ``prefix`` is where they stand in it.

    Raises:
        UnknownNameError: The set has no such tier, stage, segment or action.
    """
    words = {column: tuple(getattr(filters, column) or ()) for column in WORDS}
    for column, wanted in words.items():
        for word in wanted:
            if word not in of.words(column):
                raise UnknownNameError(column, word, of.words(column), field=f"{prefix}{column}")
    return ScoreFilter(
        words=words, min_probability=filters.min_probability, min_value_minor=filters.min_value
    )


def page_head(of: ScoreSet) -> bytes:
    """Return what a page as JSON says before its cursor, without the last brace."""
    return b'%b,"customers":%d' % (of.head, len(of))


def page_headers(query: ScoresQuery, page: Page, *, of: ScoreSet) -> dict[str, str]:
    """Return the headers of a page: the set, the rows, and where the next page stands."""
    headers = {"X-Score-Set": of.id, "X-Row-Count": str(page.rows)}
    if page.next is not None:
        parameters = query.model_dump(exclude_none=True, exclude={"set", "after"})
        following = parameters | {"set": of.id, "after": page.next}
        headers["Link"] = f'<{PAGE_ROUTE}?{urlencode(following, doseq=True)}>; rel="next"'
    return headers


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
    """Return a page as the blocks of a response; ``head`` opens a JSON document."""
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
                yield _drain(sink)
        if rows:
            _write_group(writer, rows)
    yield _drain(sink)


def _drain(sink: io.BytesIO) -> bytes:
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
