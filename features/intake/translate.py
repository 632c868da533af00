"""A chunk under the source's names to rows under ours."""

from __future__ import annotations

from collections.abc import Mapping as Lookup
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import Bool
from features.arrow import hex_ids
from features.contracts.checks import Problem
from features.contracts.schema import ARROW_TYPES, UTC_MICROSECONDS, Column, Table, arrow_schema
from features.intake import values
from features.intake.mapping import ColumnSource, Mapping, Scalar
from features.intake.values import (
    Cells,
    as_text,
    flags,
    to_boolean,
    to_float,
    to_id,
    to_integer,
    to_utc,
)


@dataclass(frozen=True)
class Translated:
    """The contract's columns, in order, null where empty or not readable, and what was not."""

    rows: pa.Table
    problems: tuple[Problem, ...]


def selected(rows: pa.RecordBatch, mapping: Mapping) -> Bool:
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
    """Return a chunk's rows under our names; ``now`` is when those are known that do not say.

    Raises:
        MappingError: Times come without a zone and the mapping states none.
    """
    done: dict[str, pa.Array] = {}
    problems: list[Problem] = []
    # A column that follows another one is made after those that are read.
    follows = {name for name, source in mapping.columns.items() if source.after is not None}
    for column in sorted(contract.columns, key=lambda c: c.name in follows):
        name, source = column.name, mapping.columns.get(column.name)
        if source is None:
            done[name] = pa.nulls(rows.num_rows, ARROW_TYPES[column.kind])
        else:
            cells_of = _column(column, source, rows, mapping, done)
            done[name] = cells_of.values
            problems += [p for p in cells_of.problems if p.rows.any()]
        if name == "available_at":
            # A row that does not say when it was known is known from now on.
            done[name] = pc.fill_null(done[name], pa.scalar(now, UTC_MICROSECONDS))
    table = pa.table([done[c.name] for c in contract.columns], schema=arrow_schema(contract))
    return Translated(table, tuple(problems))


def _column(
    column: Column,
    source: ColumnSource,
    rows: pa.RecordBatch,
    mapping: Mapping,
    done: Lookup[str, pa.Array],
) -> Cells:
    if source.after is not None:
        delay = pa.scalar(round(source.seconds * 1e6), pa.duration("us"))
        return Cells(pc.add(done[source.after], delay), ())
    if source.hash is not None:
        return Cells(hex_ids([as_text(rows.column(name)) for name in source.hash]), ())
    if source.sum is not None:
        return _sum(column, source, rows, mapping)
    if source.value is not None:
        constant = pa.repeat(pa.scalar(source.value), rows.num_rows)
        return _typed(column, source, constant, mapping)
    theirs = rows.column(str(source.column))
    if pa.types.is_string(theirs.type):
        theirs = _without(theirs, theirs, mapping.file.null_values)
    if source.null_values:
        theirs = _without(theirs, as_text(theirs), source.null_values)
    if source.values is None:
        return _typed(column, source, theirs, mapping)
    words, unknown = _mapped(theirs, source.values, source.default)
    typed = _typed(column, source, words, mapping)
    reason = f"`{column.name}`: a word that `values` in the mapping does not hold; add it there"
    return Cells(typed.values, (Problem(reason, unknown), *typed.problems))


def _typed(column: Column, source: ColumnSource, values: pa.Array, mapping: Mapping) -> Cells:
    if column.kind == "timestamp":
        return to_utc(values, column.name, mapping.times_of(column.name))
    if column.kind in ("float", "integer"):
        convert = to_float if column.kind == "float" else to_integer
        return convert(values, column.name, decimal=mapping.file.decimal, scale=source.scale)
    if column.kind == "boolean":
        return to_boolean(values, column.name)
    if column.format == "id":
        return to_id(values, column.name)
    return Cells(as_text(values), ())


def _sum(column: Column, source: ColumnSource, rows: pa.RecordBatch, mapping: Mapping) -> Cells:
    parts = [
        values.to_float(rows.column(name), column.name, decimal=mapping.file.decimal, scale=None)
        for name in source.sum or ()
    ]
    total = parts[0].values
    for part in parts[1:]:
        total = pc.add(total, part.values)
    convert = values.to_integer if column.kind == "integer" else values.to_float
    summed = convert(total, column.name, scale=source.scale)
    problems = (p for part in (*parts, summed) for p in part.problems)
    return Cells(summed.values, tuple(problems))


def _without(column: pa.Array, text: pa.Array, words: tuple[str, ...]) -> pa.Array:
    if not words:
        return column
    return pc.if_else(pc.is_in(text, value_set=pa.array(words, pa.string())), None, column)


def _word(value: Scalar) -> str | None:
    text: str | None = as_text(pa.array([value]))[0].as_py()
    return text


def _mapped(
    column: pa.Array, values: Lookup[str, Scalar], default: Scalar | None
) -> tuple[pa.Array, Bool]:
    """Return our words for theirs as text, and where there is none for a filled field."""
    codes = as_text(column).dictionary_encode()
    ours = [values.get(word, default) for word in codes.dictionary.to_pylist()]
    words = pa.array([None if v is None else _word(v) for v in ours], pa.string())
    mapped = words.take(codes.indices)
    return mapped, flags(pc.and_(codes.indices.is_valid(), mapped.is_null()))
