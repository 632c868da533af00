"""Readers of sources whose values come one by one: NDJSON and databases."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import sqlalchemy.exc

from features.errors import ContractError, InputError
from features.intake.chunks import Chunk, UnreadableRow, check_columns, unreadable
from features.intake.csv_parquet import BROKEN_STREAM, open_bytes
from features.intake.mapping import FileOptions

_ROWS = 50_000
_LONG_NUMBER = re.compile(r"\d{19}")
_NO_OBJECT = "a line that is no JSON object; expected one object a line"


def ndjson_columns(path: Path, options: FileOptions) -> list[str]:
    """Return all keys of an NDJSON file's rows, in the order they come.

    Raises:
        UnreadableFileError: The file is empty, damaged, or not in its encoding.
    """
    names: dict[str, None] = {}
    for lines in _blocks(path, options):
        for document in _parse(lines):
            if isinstance(document, dict):
                names.update(dict.fromkeys(document))
    return list(names)


def read_ndjson(path: Path, columns: Sequence[str], options: FileOptions) -> Iterator[Chunk]:
    """Yield the wanted keys of an NDJSON file; a key that a row lacks is empty.

    Raises:
        UnreadableFileError: The file is empty, damaged, or not in its encoding.
        ContractError: No row of the file has a wanted key.
    """
    number, seen = 0, set[str]()
    for lines in _blocks(path, options):
        good, numbers, broken = [], [], []
        for line, document in zip(lines, _parse(lines), strict=True):
            number += 1
            if isinstance(document, dict):
                good.append(document)
                numbers.append(number)
                seen.update(document)
            elif line.strip():
                broken.append(UnreadableRow(number, _NO_OBJECT, line))
        arrays = [to_arrow([row.get(name) for row in good]) for name in columns]
        batch = pa.RecordBatch.from_arrays(arrays, names=list(columns))
        yield Chunk(batch, np.array(numbers, dtype=np.int64), tuple(broken), None)
    check_columns(f"file `{path}`", sorted(seen), columns)


def _blocks(path: Path, options: FileOptions) -> Iterator[list[str]]:
    number, position = 0, 0
    try:
        with open_bytes(path) as file:
            while block := list(islice(file, _ROWS)):
                lines = []
                for raw in block:
                    number += 1
                    lines.append(raw.decode(options.encoding))
                    position += len(raw)
                lines[0] = lines[0].removeprefix("\ufeff")
                yield lines
    except UnicodeDecodeError as error:
        raise unreadable(
            path,
            f"byte 0x{error.object[error.start]:02x}, which is not {options.encoding}",
            where=f", line {number}, byte {position + error.start}",
            remedy="say `encoding` under [file] in the mapping",
        ) from error
    except BROKEN_STREAM as error:
        after = f", after line {number}"
        raise unreadable(path, f"damaged gzip ({error})", where=after) from error
    if position == 0:
        raise unreadable(path, "an empty file")


def _parse(lines: Sequence[str]) -> list[Any]:
    documents: list[Any] = []
    for line in lines:
        try:
            document = orjson.loads(line)
            if _LONG_NUMBER.search(line):
                # What does not fit 64 bits comes as a float, and an id would lose its last digits.
                document = json.loads(line)
        except (ValueError, RecursionError):
            document = None
        documents.append(document)
    return documents


def read_query(url: str, query: str, *, columns: Sequence[str] | None) -> Iterator[Chunk]:
    """Yield the wanted columns of a database query, by default all, as the database streams them.

    Raises:
        InputError: The URL, the connection or the query fails; the password is not shown.
        ContractError: The query lacks a wanted column, or has one twice.
    """
    try:
        address = sqlalchemy.make_url(url)
        shown = address.render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        expected = "such as `sqlite:///shop.db`"
        raise InputError("`--from`", got="no SQLAlchemy URL", expected=expected) from None
    try:
        engine = sqlalchemy.create_engine(address)
        with engine.connect().execution_options(yield_per=_ROWS) as connection:
            result = connection.execute(sqlalchemy.text(query))
            yield from _partitions(result, list(result.keys()), columns, shown)
        engine.dispose()
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        cause = getattr(error, "orig", None) or error
        raise InputError(
            f"database `{shown}`", got=str(cause).split("\n")[0], remedy="check URL and query"
        ) from None


def _partitions(
    result: sqlalchemy.CursorResult[Any],
    names: list[str],
    columns: Sequence[str] | None,
    shown: str,
) -> Iterator[Chunk]:
    if len(set(names)) < len(names):
        raise ContractError(f"query on `{shown}`", got="a column twice", remedy="name it with AS")
    check_columns(f"query on `{shown}`", names, columns or ())
    wanted = names if columns is None else list(columns)
    where = [names.index(name) for name in wanted]
    first = 1
    for rows in result.partitions():
        arrays = [to_arrow([row[i] for row in rows]) for i in where]
        numbers = np.arange(first, first + len(rows), dtype=np.int64)
        first += len(rows)
        yield Chunk(pa.RecordBatch.from_arrays(arrays, names=wanted), numbers, (), None)


_PLAIN = (str, bool, int, float, datetime, date, Decimal)


def to_arrow(values: Sequence[Any]) -> pa.Array:
    """Return values as one Arrow array: typed when all are of one type, else as text.

    >>> to_arrow(["a", 1, 2.0, True, {"k": [1]}, None]).to_pylist()
    ['a', '1', '2', 'true', '{"k":[1]}', None]
    """
    kinds = {type(value) for value in values} - {type(None)}
    if not kinds:
        return pa.nulls(len(values), pa.string())
    one_kind = len(kinds) == 1 or kinds == {int, float}
    if one_kind and kinds <= set(_PLAIN) and not _mixes_zones(values, kinds):
        try:
            return pa.array(values)
        except (pa.ArrowException, OverflowError):
            pass
    return pa.array([_text(value) for value in values], pa.string())


def _mixes_zones(values: Sequence[Any], kinds: set[type]) -> bool:
    # Arrow would take a naive time for UTC when another one in the column has a zone.
    return kinds == {datetime} and len({v.tzinfo is None for v in values if v is not None}) == 2


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return str(value)
