"""A chunk under the source's names to rows under ours."""

from __future__ import annotations

from collections.abc import Mapping as Lookup
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.contracts import Column, Table
from features.intake import cells
from features.intake.cells import Cells, Problem, as_text
from features.intake.hashing import hex_ids
from features.intake.times import UTC_MICROSECONDS, to_utc
from features.mapping import ColumnSource, Mapping, Scalar

ARROW_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "json": pa.string(),
    "timestamp": UTC_MICROSECONDS,
    "float": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
}
"""The Arrow type of each kind of column."""


@dataclass(frozen=True)
class Translated:
    """Rows under our names.

    Attributes:
        rows: The contract's columns, in order; null where empty or not readable.
        problems: What could not be read, by reason.
    """

    rows: pa.Table
    problems: tuple[Problem, ...]


def arrow_schema(contract: Table) -> pa.Schema:
    """Return the Arrow schema of a table's own columns."""
    return pa.schema([(c.name, ARROW_TYPES[c.kind]) for c in contract.columns])


def selected(rows: pa.RecordBatch, mapping: Mapping) -> npt.NDArray[np.bool_]:
    """Return which rows the mapping's [rows] keeps, bool[n]."""
    keep = np.ones(rows.num_rows, dtype=bool)
    for name in mapping.rows.drop_if_null:
        keep &= as_text(rows.column(name)).is_valid().to_numpy(zero_copy_only=False)
    for name, wanted in mapping.rows.where.items():
        words = pa.array([_word(value) for value in wanted], pa.string())
        inside = pc.is_in(as_text(rows.column(name)), value_set=words)
        keep &= inside.to_numpy(zero_copy_only=False)
    return keep


def translate(
    rows: pa.RecordBatch, *, mapping: Mapping, contract: Table, now: datetime
) -> Translated:
    """Return a chunk's rows under our names.

    Args:
        rows: Under the source's names.
        mapping: Which of theirs is which of ours.
        contract: Our table.
        now: When the rows are available where the mapping does not say, aware UTC.

    Raises:
        MappingError: Times come without a zone and the mapping states none.
    """
    done: dict[str, pa.Array] = {}
    problems: list[Problem] = []
    # A column that follows another one is made after those that are read.
    for column in sorted(contract.columns, key=lambda c: _follows(mapping.columns.get(c.name))):
        source = mapping.columns.get(column.name)
        if source is None:
            value = now if column.name == "available_at" else None
            done[column.name] = _constant(value, rows.num_rows, ARROW_TYPES[column.kind])
            continue
        found = _column(column, source, rows, mapping, done)
        # A row whose own column does not say when it was known is known from now on.
        empty_is_now = column.name == "available_at"
        done[column.name] = _filled(found.values, now) if empty_is_now else found.values
        problems += [p for p in found.problems if p.rows.any()]
    table = pa.table([done[c.name] for c in contract.columns], schema=arrow_schema(contract))
    return Translated(table, tuple(problems))


def _follows(source: ColumnSource | None) -> bool:
    return source is not None and source.after is not None


def _column(
    column: Column,
    source: ColumnSource,
    rows: pa.RecordBatch,
    mapping: Mapping,
    done: Lookup[str, pa.Array],
) -> Cells:
    if source.after is not None:
        return Cells(_later(done[source.after], source.seconds), ())
    if source.hash is not None:
        return Cells(hex_ids([as_text(rows.column(name)) for name in source.hash]), ())
    if source.sum is not None:
        return _sum(column, source, rows, mapping)
    if source.value is not None:
        return _typed(column, source, _constant(source.value, rows.num_rows, None), mapping)
    theirs = rows.column(str(source.column))
    if mapping.file.null_values:
        theirs = _without(theirs, mapping.file.null_values)
    if source.null_values:
        empty = pc.is_in(as_text(theirs), value_set=pa.array(source.null_values, pa.string()))
        theirs = pc.if_else(empty, None, theirs)
    if source.values is None:
        return _typed(column, source, theirs, mapping)
    words, unknown = _mapped(theirs, source.values, source.default)
    found = _typed(column, source, words, mapping)
    reason = f"`{column.name}`: a word that `values` in the mapping does not hold; add it there"
    return Cells(found.values, (Problem(reason, unknown), *found.problems))


def _typed(column: Column, source: ColumnSource, values: pa.Array, mapping: Mapping) -> Cells:
    decimal = mapping.file.decimal
    if column.kind == "timestamp":
        return to_utc(values, column.name, mapping.times_of(column.name))
    if column.kind == "float":
        return cells.to_float(values, column.name, decimal=decimal, scale=source.scale)
    if column.kind == "integer":
        return cells.to_integer(values, column.name, decimal=decimal, scale=source.scale)
    if column.kind == "boolean":
        return cells.to_boolean(values, column.name)
    if column.name.endswith("_id"):
        return cells.to_id(values, column.name)
    return cells.to_string(values)


def _sum(column: Column, source: ColumnSource, rows: pa.RecordBatch, mapping: Mapping) -> Cells:
    parts = [
        cells.to_float(rows.column(name), column.name, decimal=mapping.file.decimal, scale=None)
        for name in source.sum or ()
    ]
    total = parts[0].values
    for part in parts[1:]:
        total = pc.add(total, part.values)
    convert = cells.to_integer if column.kind == "integer" else cells.to_float
    found = convert(total, column.name, scale=source.scale)
    return Cells(found.values, (*(p for part in parts for p in part.problems), *found.problems))


def _filled(times: pa.Array, moment: datetime) -> pa.Array:
    return pc.fill_null(times, pa.scalar(moment, UTC_MICROSECONDS))


def _later(times: pa.Array, seconds: float) -> pa.Array:
    return pc.add(times, pa.scalar(round(seconds * 1e6), pa.duration("us")))


def _constant(value: Scalar | datetime | None, n: int, kind: pa.DataType | None) -> pa.Array:
    return pa.nulls(n, kind) if value is None else pa.repeat(pa.scalar(value, kind), n)


def _without(column: pa.Array, words: tuple[str, ...]) -> pa.Array:
    if not pa.types.is_string(column.type):
        return column
    return pc.if_else(pc.is_in(column, value_set=pa.array(words, pa.string())), None, column)


def _word(value: Scalar) -> str | None:
    text: str | None = as_text(pa.array([value]))[0].as_py()
    return text


def _mapped(
    column: pa.Array, values: Lookup[str, Scalar], default: Scalar | None
) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """Return our words for theirs as text, and where there is none for a filled field."""
    codes = as_text(column).dictionary_encode()
    ours = [values.get(word, default) for word in codes.dictionary.to_pylist()]
    words = pa.array([None if v is None else _word(v) for v in ours], pa.string())
    found = words.take(codes.indices)
    unknown = pc.and_(codes.indices.is_valid(), found.is_null())
    return found, np.asarray(unknown.to_numpy(zero_copy_only=False), dtype=bool)
