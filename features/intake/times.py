"""Times of any kind to aware UTC: epoch numbers, text, naive local clocks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.calendar import local_times
from features.errors import MappingError
from features.intake.cells import Bool, Cells, Problem, as_text, flags
from features.mapping import EPOCH_FORMATS, TimeOptions

UTC_MICROSECONDS = pa.timestamp("us", "UTC")
_SECOND = 1_000_000
_DAY = 86_400
# Beyond these, a clock is broken or a placeholder was exported; wall clocks are not tabled there.
_FIRST = int(np.datetime64("1900-01-01", "s").astype(np.int64))
_LAST = int(np.datetime64("2200-01-01", "s").astype(np.int64))
_HAS_ZONE = r"\d:?\d\d(:?\d\d([.,]\d+)?)?\s?([Zz]|[+-]\d\d(:?\d\d)?)$"

Int64 = npt.NDArray[np.int64]


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
