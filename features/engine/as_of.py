"""Predicates on both clocks: known, happened, within."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import ibis
import ibis.expr.types as ir

from features.calendar.clock import DAY_SECONDS, to_epoch
from features.errors import InputError


@dataclass(frozen=True)
class AsOf:
    """An as-of inside an expression: written into it, or given at each run.

    Attributes:
        second: Its epoch second, int64.
        time: The same, to be compared with the lake's timestamps (naive UTC).
    """

    second: ir.IntegerScalar
    time: ir.TimestampScalar


def written(as_of: datetime) -> AsOf:
    """Return an as-of as literals, its second as ``whole_second`` gives it."""
    second = ibis.literal(whole_second(as_of), type="int64")
    return AsOf(second=second, time=literal(as_of))


def whole_second(as_of: datetime) -> int:
    """Return an as-of's epoch seconds.

    Raises:
        InputError: It has no time zone, or a fraction of a second.
    """
    if as_of.microsecond:
        raise InputError(
            f"as-of {as_of.isoformat()}", got="a fraction of a second", expected="whole seconds"
        )
    return to_epoch(as_of)


def second_of(timestamp: ir.TimestampValue) -> ir.IntegerValue:
    """Return whole epoch seconds, rounded down, int64."""
    # DuckDB's epoch has a fraction and its cast rounds; Spark's has none.
    return timestamp.epoch_seconds().floor().cast("int64")


def thousandths(value: ir.FloatingValue) -> ir.IntegerValue:
    """Return a number in thousandths, rounded half up, int64: sums of it are exact."""
    return (value * 1000 + 0.5).floor().cast("int64")


def literal(time: datetime) -> ir.TimestampScalar:
    """Return an aware time for a comparison with the lake's timestamps, which are naive UTC."""
    return ibis.literal(naive(time), type="timestamp(6)")


def naive(time: datetime) -> datetime:
    """Return an aware time in UTC without its zone, as the lake's timestamps are."""
    return time.astimezone(UTC).replace(tzinfo=None)


def known(rows: ir.Table, as_of: AsOf) -> ir.BooleanValue:
    """Return whether each row is the version of its key that was known at ``as_of``.

    ``rows`` has ``available_at`` and ``superseded_at``.
    """
    until = rows.superseded_at
    return (rows.available_at <= as_of.time) & (until.isnull() | (until > as_of.time))


def happened(rows: ir.Table, as_of: AsOf) -> ir.Table:
    """Keep what had happened before ``as_of`` and was known at it.

    ``rows`` is as for ``known``, and has ``ts`` (epoch seconds).
    """
    return rows.filter((rows.ts < as_of.second) & known(rows, as_of))


def happened_within(rows: ir.Table, as_of: AsOf, *, days: int) -> ir.Table:
    """Keep what had happened in the days before ``as_of`` and was known at it.

    ``rows`` is as for ``happened``, and has ``happened_at``, zoned.
    """
    first = as_of.second - days * DAY_SECONDS
    # Not by `ts`: only what stands in a file as it is lets parts of the file be skipped.
    return happened(rows.filter(rows.happened_at >= first.as_timestamp("s")), as_of)


def segment(ts: ir.IntegerValue, as_of: AsOf, windows: Sequence[int]) -> ir.IntegerValue:
    """Return the place, among ``windows`` (days, ascending), of the shortest that holds a time.

    ``as_of`` is the end of all windows; what is older than all gets the place after the last.
    """
    inside = [(ts >= as_of.second - days * DAY_SECONDS, i) for i, days in enumerate(windows)]
    return ibis.cases(*inside, else_=len(inside)).cast("int8")


def within(
    cells: ir.Table, columns: Mapping[str, Sequence[int]], windows: Sequence[int]
) -> dict[str, ir.FloatingScalar]:
    """Return sums of segment totals over windows.

    Args:
        cells: Has a column ``segment``, made with ``windows``; one row a customer and segment.
        columns: For each column the windows needed, in days.
        windows: All of them, in days.

    Returns:
        Aggregates named ``{column}_{days}``, whole numbers as float64; 0 where nothing fell
        inside.
    """
    sums = {}
    for name, needed in columns.items():
        # Exact, as every total is a whole number below 2**53; in integers the engine would
        # add 128 bits and take a quarter longer for the whole pass.
        value = cells[name].cast("float64")
        for days in needed:
            inside = (cells.segment <= windows.index(days)).ifelse(value, 0.0)
            sums[f"{name}_{days}"] = inside.sum()
    return sums
