"""Text to numbers, ids and UTC times; each value that cannot be read is named."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import Bool, Int64
from features.calendar.clock import local_times
from features.contracts.checks import Problem
from features.contracts.schema import UTC_MICROSECONDS
from features.errors import MappingError
from features.intake.mapping import EPOCH_FORMATS, TimeOptions

_BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}
_EXACT = 2.0**53


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


_SECOND = 1_000_000
_DAY = 86_400
# Beyond these, a clock is broken or a placeholder was exported; wall clocks are not tabled there.
_FIRST = int(np.datetime64("1900-01-01", "s").astype(np.int64))
_LAST = int(np.datetime64("2200-01-01", "s").astype(np.int64))
_HAS_ZONE = r"\d:?\d\d(:?\d\d([.,]\d+)?)?\s?([Zz]|[+-]\d\d(:?\d\d)?)$"


def to_utc(column: pa.Array, name: str, options: TimeOptions) -> Cells:
    """Return a column of times, dates, text or epoch numbers as ``timestamp[us, UTC]``.

    Raises:
        MappingError: No value states a zone and the mapping states none, or numbers come
            without an epoch format.
    """
    if options.format in EPOCH_FORMATS:
        return _from_epoch(column, name, str(options.format))
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        return _bounded(column.cast(UTC_MICROSECONDS, safe=False), name, [])
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return _localised(column.cast(pa.timestamp("us"), safe=False), name, options, [])
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        if pa.types.is_null(column.type):
            return Cells(pa.nulls(len(column), UTC_MICROSECONDS), ())
        if options.format is None:
            raise MappingError(
                f"column `{name}`",
                got=f"{column.type} where times are expected",
                remedy="say `format`: `epoch_seconds`, `epoch_milliseconds` or a strptime format",
                field=f"columns.{name}",
            )
        column = as_text(column)
    return _from_text(column, name, options)


def _from_epoch(column: pa.Array, name: str, form: str) -> Cells:
    numbers = pd.to_numeric(pd.Series(column.to_pandas()), errors="coerce").to_numpy(np.float64)
    scale = _SECOND if form == "epoch_seconds" else 1_000
    bad = np.isnan(numbers) & ~_null(column)
    numbers = np.where(np.abs(numbers) < 1e15, numbers, np.nan)
    micro = np.where(np.isnan(numbers), 0, np.rint(numbers * scale)).astype(np.int64)
    times = pa.array(micro, mask=np.isnan(numbers)).cast(UTC_MICROSECONDS)
    return _bounded(times, name, [Problem(f"`{name}`: no number; expected {form}", bad)])


def _from_text(column: pa.Array, name: str, options: TimeOptions) -> Cells:
    text = pc.utf8_trim_whitespace(column)
    if options.format is not None and "%z" not in options.format:
        naive = _parsed(text, options.format, zoned=False)
        return _localised(naive, name, options, [_unparsed(text, naive, name, options)])
    has_zone = flags(pc.match_substring_regex(text, _HAS_ZONE))
    if options.format is not None or has_zone.all():
        times = _parsed(text, options.format, zoned=True)
        return _bounded(times, name, [_unparsed(text, times, name, options)])
    naive = _parsed(pc.if_else(pa.array(has_zone), None, text), None, zoned=False)
    zoned = _parsed(pc.if_else(pa.array(has_zone), text, None), None, zoned=True)
    if options.zone is None and has_zone.any():
        reason = f"`{name}`: a time without a zone where others state one; say `zone` in [time]"
        without = Problem(reason, ~_null(naive))
        return _bounded(zoned, name, [without, _unparsed(text, naive, name, options, zoned)])
    local = _localised(naive, name, options, [_unparsed(text, naive, name, options, zoned)])
    both = _bounded(zoned, name, list(local.problems))
    return Cells(pc.coalesce(both.values, local.values), both.problems)


def _parsed(text: pa.Array, form: str | None, *, zoned: bool) -> pa.Array:
    kind = UTC_MICROSECONDS if zoned else pa.timestamp("us")
    if text.null_count == len(text):
        return pa.nulls(len(text), kind)
    if form is None:
        try:
            return text.cast(kind)
        except pa.ArrowInvalid:
            pass
    series = pd.Series(text.to_pandas())
    times = pd.to_datetime(series, format=form or "ISO8601", errors="coerce", utc=zoned)
    return pa.Array.from_pandas(times).cast(kind, safe=False)


def _unparsed(
    text: pa.Array, times: pa.Array, name: str, options: TimeOptions, other: pa.Array | None = None
) -> Problem:
    bad = ~_null(text) & _null(times)
    if other is not None:
        bad &= _null(other)
    expected = f"the format {options.format}" if options.format else "ISO 8601"
    return Problem(f"`{name}`: no time that can be read; expected {expected}", bad)


def _localised(naive: pa.Array, name: str, options: TimeOptions, problems: list[Problem]) -> Cells:
    if naive.null_count == len(naive):
        return Cells(pa.nulls(len(naive), UTC_MICROSECONDS), tuple(problems))
    if options.zone is None:
        example = pc.drop_null(naive)[0].as_py()
        raise MappingError(
            f"column `{name}`",
            got=f"times without a zone, such as {example}",
            expected="aware times, or the zone of the clock that wrote them",
            remedy='say `zone = "Europe/Berlin"` (or another) under [time] in the mapping',
            field="time.zone",
        )
    bounded = _bounded(naive, name, problems)
    known = ~_null(bounded.values)
    micro = _micro(bounded.values)
    earlier, later, exists = _both_readings(micro[known] // _SECOND, options.zone)
    seconds = later if options.ambiguous == "later" else earlier
    utc = np.zeros(len(naive), dtype=np.int64)
    utc[known] = seconds * _SECOND + micro[known] % _SECOND
    skipped, repeated = np.zeros_like(known), np.zeros_like(known)
    skipped[known] = ~exists
    if options.ambiguous == "quarantine":
        repeated[known] = exists & (earlier != later)
    twice = f"`{name}`: an hour that {options.zone} has twice; say `ambiguous` in [time]"
    missing = Problem(f"`{name}`: an hour that does not exist in {options.zone}", skipped)
    values = pa.array(utc, mask=~known | skipped | repeated).cast(UTC_MICROSECONDS)
    return Cells(values, (*bounded.problems, missing, Problem(twice, repeated)))


def _both_readings(local: Int64, zone: str) -> tuple[Int64, Int64, Bool]:
    """Return the earlier and later UTC second of each local second, and whether it exists.

    A clock changes at most once within a day on either side, so the offsets a day before and a
    day after are all that can hold.
    """
    before = local - local_times(local - _DAY, zone).offset_seconds
    after = local - local_times(local + _DAY, zone).offset_seconds
    before_holds = local_times(before, zone).seconds == local
    after_holds = local_times(after, zone).seconds == local
    first = np.where(before_holds, before, after)
    second = np.where(after_holds, after, before)
    return np.minimum(first, second), np.maximum(first, second), before_holds | after_holds


def _bounded(times: pa.Array, name: str, problems: list[Problem]) -> Cells:
    seconds = _micro(times) // _SECOND
    outside = ~_null(times) & ((seconds < _FIRST) | (seconds >= _LAST))
    if outside.any():
        times = pc.if_else(pa.array(outside), None, times)
    reason = f"`{name}`: a time outside 1900 to 2200; leave it empty where it is not known"
    return Cells(times, (*problems, Problem(reason, outside)))


def _micro(times: pa.Array) -> Int64:
    whole = pc.fill_null(times.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    return np.asarray(whole, dtype=np.int64)


def _null(column: pa.Array) -> Bool:
    return flags(pc.is_null(column))
