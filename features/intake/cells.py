"""Columns of any type to the types of the contracts, with what did not fit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Bool = npt.NDArray[np.bool_]

_BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}
_EXACT = 2.0**53


@dataclass(frozen=True)
class Problem:
    """What is wrong and what was expected, and the rows it holds for, bool[n]."""

    reason: str
    rows: Bool


@dataclass(frozen=True)
class Cells:
    """One column in the contract's type, null where empty or where a problem holds.

    A problem may hold for no row.
    """

    values: pa.Array
    problems: tuple[Problem, ...]


def as_text(column: pa.Array) -> pa.Array:
    """Return a column as text: whole numbers without ``.0``, empty text and NaN as null.

    >>> as_text(pa.array([12.0, 1.5, float("nan")])).to_pylist()
    ['12', '1.5', None]
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_floating(kind):
        column = _floats_as_text(column)
    elif pa.types.is_decimal(kind):
        column = pc.replace_substring_regex(column.cast(pa.string()), r"\.0*$", "")
    elif pa.types.is_nested(kind) or pa.types.is_null(kind):
        column = pa.array([_json_text(value) for value in column.to_pylist()], pa.string())
    text = column.cast(pa.string())
    empty = pc.equal(text, "")
    return pc.if_else(empty, None, text) if pc.any(empty).as_py() else text


def _json_text(value: Any) -> str | None:
    if value is None:
        return None
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _floats_as_text(column: pa.Array) -> pa.Array:
    numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    empty = np.isnan(numbers)
    whole = ~empty & (np.abs(numbers) < _EXACT) & (np.floor(numbers) == numbers)
    as_whole = pa.array(np.where(whole, numbers, 0).astype(np.int64)).cast(pa.string())
    other = pa.array(np.where(empty, 0, numbers)).cast(pa.string())
    text = pc.if_else(pa.array(whole), as_whole, other)
    return pc.if_else(pa.array(empty), None, text)


def to_id(column: pa.Array, name: str) -> Cells:
    """Return a column of ids as text; one that was exported as ``123.0`` is ``123``.

    An id is text or a number: of anything else two may look alike, or one in two ways.

    >>> to_id(pa.array([7.0, 8.5, 2.0**60]), "customer_id").values.to_pylist()
    ['7', '8.5', None]
    """
    text = as_text(column)
    reason, bad = _no_id(column, text)
    if bad.any():
        text = pc.if_else(pa.array(bad), None, text)
    if pc.any(pc.ends_with(text, ".0")).as_py():
        text = pc.replace_substring_regex(text, r"^(-?\d+)\.0$", r"\1")
    problem = f"`{name}`: {reason} is no id; map a column of text or of numbers"
    return Cells(text, (Problem(problem, bad),))


def _no_id(column: pa.Array, text: pa.Array) -> tuple[str, Bool]:
    """Return what is no id, in words, and where it stands."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_boolean(kind):
        return "true or false", flags(text.is_valid())
    if pa.types.is_temporal(kind):
        return "a time", flags(text.is_valid())
    if pa.types.is_floating(kind):
        size = pc.abs(column.cast(pa.float64()))
        return "a number beyond 2^53, which lost digits,", flags(pc.greater_equal(size, _EXACT))
    bad = flags(pc.match_substring_regex(text, r"^(\{.*\}|\[.*\])$"))
    for row in np.flatnonzero(bad):
        bad[row] = _parses(text[row].as_py())
    return "a list or an object", bad


def _parses(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def to_float(column: pa.Array, name: str, *, decimal: str = ".", scale: float | None) -> Cells:
    """Return a column as float64, times ``scale``.

    >>> to_float(pa.array(["1,5", "x"]), "wait_seconds", decimal=",", scale=None).values.to_pylist()
    [1.5, None]
    """
    numbers, problems = _numbers(column, name, decimal)
    scaled = numbers * (1.0 if scale is None else scale)
    return Cells(pa.array(scaled, from_pandas=True), problems)


def to_integer(column: pa.Array, name: str, *, decimal: str = ".", scale: float | None) -> Cells:
    """Return a column as int64; with a scale the product is rounded to the nearest.

    >>> to_integer(pa.array([19.99]), "amount_minor", scale=100).values.to_pylist()
    [1999]
    """
    if scale is None:
        try:
            plain = pc.utf8_trim_whitespace(column) if pa.types.is_string(column.type) else column
            if not pa.types.is_floating(plain.type):
                return Cells(plain.cast(pa.int64()), ())
        except pa.ArrowException:
            pass
    numbers, problems = _numbers(column, name, decimal)
    if scale is not None:
        numbers = np.rint(numbers * scale)
    known = ~np.isnan(numbers)
    filled = np.where(known, numbers, 0)
    fraction, large = np.rint(filled) != filled, np.abs(filled) >= _EXACT
    bad = ~known | fraction | large
    values = pa.array(np.where(bad, 0, filled).astype(np.int64), mask=bad)
    unfit = (
        Problem(f"`{name}`: no whole number; map it with `scale` to round", fraction),
        Problem(f"`{name}`: a number beyond 2^53", large),
    )
    return Cells(values, (*problems, *unfit))


def to_boolean(column: pa.Array, name: str) -> Cells:
    """Return a column as booleans: true, t, yes, y, 1 and their opposites, in any case.

    >>> to_boolean(pa.array(["Yes", "0", None]), "resolved").values.to_pylist()
    [True, False, None]
    """
    if pa.types.is_boolean(column.type):
        return Cells(column, ())
    words = pc.utf8_lower(pc.utf8_trim_whitespace(as_text(column))).dictionary_encode()
    meaning = pa.array([_BOOLEANS.get(word) for word in words.dictionary.to_pylist()], pa.bool_())
    values = meaning.take(words.indices)
    bad = flags(pc.and_(pc.is_valid(words.indices), pc.is_null(values)))
    return Cells(values, (Problem(f"`{name}`: no yes or no; map it with `values`", bad),))


def _numbers(
    column: pa.Array, name: str, decimal: str
) -> tuple[npt.NDArray[np.float64], tuple[Problem, ...]]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    unread = np.zeros(len(column), dtype=bool)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        text = pc.utf8_trim_whitespace(column)
        if decimal == ",":
            text = pc.replace_substring(pc.replace_substring(text, ".", ""), ",", ".")
        try:
            numbers = text.cast(pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            read = pd.to_numeric(pd.Series(text.to_pandas()), errors="coerce")
            numbers = read.to_numpy(np.float64)
            unread = np.isnan(numbers) & flags(pc.not_equal(text, ""))
    else:
        try:
            numbers = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        except pa.ArrowException:
            numbers, unread = np.full(len(column), np.nan), flags(pc.is_valid(column))
    numbers = np.array(numbers, dtype=np.float64)
    infinite = np.isinf(numbers)
    numbers[infinite] = np.nan
    return numbers, (
        Problem(f"`{name}`: no number", unread),
        Problem(f"`{name}`: not a finite number", infinite),
    )


def flags(column: pa.Array) -> Bool:
    """Return a column of booleans as bool[n], false where it is empty."""
    return np.asarray(pc.fill_null(column, False).to_numpy(zero_copy_only=False), dtype=bool)
