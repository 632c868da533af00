"""Repeated and bad rows in the exports, of which the number is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.calendar import DAY_SECONDS, Int64, local_midnight, local_times
from features.simulate.config import SimulationConfig
from features.simulate.exports import PHONE_CLOCK

BadValue = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True)
class Dirty:
    """An export with what was planted in it.

    Attributes:
        table: The rows, the planted ones last.
        duplicates: Rows that stand there a second time.
        bad: Rows that no reader can accept, by what is wrong with them.
    """

    table: pa.Table
    duplicates: int
    bad: dict[str, int]


def soil(
    clean: pa.Table,
    kinds: Mapping[str, BadValue],
    *,
    config: SimulationConfig,
    planted: Mapping[str, int],
    rng: np.random.Generator,
) -> Dirty:
    """Plant repeated and bad rows in one file of an export.

    A bad row is a copy of a good one, with an id of its own and one bad field.

    Args:
        clean: The export's rows, the id first.
        kinds: What can be wrong, and how to make it so.
        config: How much of it.
        planted: Bad rows of the export so far, by kind; of each kind there is at least one.
        rng: Source of which rows.
    """
    n = len(clean)
    if n == 0:
        return Dirty(clean, 0, {})
    repeated = np.flatnonzero(rng.random(n) < config.duplicate_share)
    number = sum(planted.values())
    parts, bad = [clean, clean.take(pa.array(repeated))], {}
    for kind, spoil in kinds.items():
        mean = n * config.bad_share / len(kinds)
        count = max(int(rng.poisson(mean)), int(config.bad_share > 0 and not planted.get(kind)))
        rows = clean.take(pa.array(rng.integers(0, n, count)))
        fresh = pa.array([f"X{number + k:09d}" for k in range(count)], pa.string())
        parts.append(spoil(rows.set_column(0, clean.column_names[0], fresh)))
        bad[kind] = count
        number += count
    return Dirty(pa.concat_tables(parts), len(repeated), bad)


def constant(column: str, value: object) -> BadValue:
    """Return a function that sets one column to a value."""

    def spoil(rows: pa.Table) -> pa.Table:
        place = rows.schema.get_field_index(column)
        kind = rows.schema.field(column).type
        return rows.set_column(place, column, pa.array([value] * len(rows), kind))

    return spoil


def bad_calls(first: int, last: int) -> dict[str, BadValue]:
    """Return what can be wrong with a call of the days that begin in [first, last).

    Args:
        first: Epoch seconds.
        last: Epoch seconds, excluded.
    """
    kinds = {
        "negative_wait": constant("WaitSec", -7),
        "unparsable_time": constant("CallStart", "n/a"),
        "time_in_the_future": constant("CallStart", "24/12/2199 10:00:00"),
        "unknown_disposition": constant("Disposition", "??"),
        "missing_id": constant("CallId", None),
    }
    jump = _spring_day(first, last)
    if jump is not None:
        day = np.datetime64(jump, "D").astype(object)
        kinds["hour_that_does_not_exist"] = constant("CallStart", f"{day:%d/%m/%Y} 02:30:00")
    return kinds


BAD_TICKETS: dict[str, BadValue] = {
    "unknown_channel": constant("medium", "carrier pigeon"),
    "unparsable_time": constant("created_at", "yesterday"),
    "recommendation_out_of_range": constant("recommend", 37),
}
BAD_ORDERS: dict[str, BadValue] = {
    "missing_customer": constant("buyer", None),
    "missing_time": constant("placed_at", None),
}


def repeated_hour_rows(started_at: Int64) -> int:
    """Return how many calls began in an hour that the wall clock went through twice.

    Args:
        started_at: Epoch seconds, int64[n].
    """
    now = local_times(started_at, PHONE_CLOCK).offset_seconds
    before = local_times(started_at - 3_600, PHONE_CLOCK).offset_seconds
    after = local_times(started_at + 3_600, PHONE_CLOCK).offset_seconds
    return int(((before > now) | (after < now)).sum())


def _spring_day(first: int, last: int) -> int | None:
    for day in range(first // DAY_SECONDS, last // DAY_SECONDS):
        length = local_midnight(day + 1, PHONE_CLOCK) - local_midnight(day, PHONE_CLOCK)
        if length < DAY_SECONDS:
            return day
    return None
