"""Genesys Cloud WFM: the gzipped JSON of one week that imports a short-term forecast.

Fields as in Genesys' public API (`BuImportShortTermForecastSchema`, `ForecastPlanningGroupData`),
with the `timeZone` and `referenceStartDate` of its forecasts. The eighth day is required there.
"""

from __future__ import annotations

import gzip
import io
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import orjson

from features.arrays import Float64, Int64
from features.calendar.clock import (
    DAY_SECONDS,
    GRID_SECONDS,
    from_epoch,
    iso,
    local_midnight,
    local_times,
    zone,
)
from features.errors import InputError, UnreadableFileError
from serving.files.rows import (
    MOST_AHT_SECONDS,
    MOST_BYTES,
    MOST_VOLUME,
    Rows,
    check_name,
    check_queues,
    check_size,
    shown,
    wrong,
)

MINUTES = 15
PADDED = 8 * DAY_SECONDS // GRID_SECONDS
"""Values of an array: eight days of quarters, 768."""
_EPOCH = date(1970, 1, 1)
_DATE = re.compile(r"(19[7-9]|2[01]\d)\d-\d\d-\d\d", re.ASCII)
_TOP = ("description", "weekCount", "timeZone", "referenceStartDate", "planningGroups")
_GROUP = ("planningGroupId", "offeredPerInterval", "averageHandleTimeSecondsPerInterval")


@dataclass(frozen=True)
class Week:
    """Seven local days."""

    first: date
    time_zone: str

    @property
    def starts(self) -> Int64:
        """The quarters of the week, epoch seconds: 672, or 668 or 676 where the clock changes."""
        day = (self.first - _EPOCH).days
        return np.arange(
            local_midnight(day, self.time_zone),
            local_midnight(day + 7, self.time_zone),
            GRID_SECONDS,
            dtype=np.int64,
        )


def write_genesys(rows: Sequence[Rows], *, time_zone: str | None = None) -> bytes:
    """Return queues, each the same whole local week of quarters of an hour, as an import file.

    An array's first value is the quarter that begins at local midnight of the reference date;
    each next one is the next quarter to pass, whatever the clock on the wall does. After the
    week's 7 local days come the values of its first day again, up to 8 x 96. The time zone is the
    business unit's; by default the queues' own, where they share one.

    Raises:
        InputError: There is no queue, a queue is there twice, the queues' zones differ, or a
            queue's intervals are not the quarters of one local week.
    """
    check_queues(rows)
    week = _week(rows, time_zone or _common_zone(rows))
    starts = week.starts
    for queue in rows:
        _check_week(queue, starts, week.time_zone)
    return _packed(
        {
            "description": f"Ebbflow: week from {week.first} ({week.time_zone})",
            "weekCount": 1,
            "timeZone": week.time_zone,
            "referenceStartDate": week.first.isoformat(),
            "planningGroups": [
                {
                    "planningGroupId": queue.queue,
                    "offeredPerInterval": _padded(queue.volume),
                    "averageHandleTimeSecondsPerInterval": _padded(queue.aht_seconds),
                }
                for queue in rows
            ],
        }
    )


def _common_zone(rows: Sequence[Rows]) -> str:
    zones = {queue.time_zone: queue.queue for queue in reversed(rows)}
    if len(zones) == 1:
        return rows[0].time_zone
    names = ", ".join(f"{name} (queue `{queue}`)" for name, queue in sorted(zones.items())[:5])
    raise wrong(
        "queues",
        thing="the queues' time zones",
        got=names or "no queue",
        expected="queues of one time zone, the business unit's",
        remedy="ask for the queues of one time zone at once",
    )


def _week(rows: Sequence[Rows], time_zone: str) -> Week:
    zone(time_zone)
    if not rows:
        raise wrong("queues", got="no queue", expected="at least one")
    day = int(local_times(rows[0].starts[:1], time_zone).day[0])
    return Week(_EPOCH + timedelta(days=day), time_zone)


def _check_week(rows: Rows, starts: Int64, time_zone: str) -> None:
    thing = f"queue `{rows.queue}`"
    if rows.interval_minutes != MINUTES:
        raise wrong(
            "interval_minutes",
            thing=thing,
            got=f"intervals of {rows.interval_minutes} minutes",
            expected=f"{MINUTES} minutes",
            remedy=f"ask for `interval_minutes` {MINUTES}",
        )
    first, end = int(starts[0]), int(starts[-1]) + GRID_SECONDS
    span = f"{iso(from_epoch(first))} to {iso(from_epoch(end))}"
    got_first, got_end = int(rows.starts[0]), int(rows.starts[-1]) + GRID_SECONDS
    if (got_first, got_end) != (first, end):
        raise wrong(
            "start" if got_first != first else "end",
            thing=thing,
            got=f"{iso(from_epoch(got_first))} to {iso(from_epoch(got_end))}",
            expected=f"one local week in {time_zone}, from midnight, such as {span}",
            remedy="ask week by week",
        )
    if len(rows.starts) != len(starts):
        expected = f"{len(starts)}, without a gap, from {span}"
        raise wrong("queues", thing=thing, got=f"{len(rows.starts)} intervals", expected=expected)


def _padded(values: Float64) -> list[float]:
    """Return a week's values, then those of its first day again, 768 in all."""
    return [*values.tolist(), *values[: PADDED - len(values)].tolist()]


def _packed(document: dict[str, Any]) -> bytes:
    """Return gzipped JSON; no time and no file name in it, so that the bytes are always these."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0) as file:
        file.write(orjson.dumps(document))
    return packed.getvalue()


def read_genesys(data: bytes) -> list[Rows]:
    """Return the queues of an import file, each over its 7 local days.

    The values after the seventh day must repeat the first day's: they are no part of the week.

    Raises:
        InputError: It is no such file, or a field is not as it must be; the message names it.
    """
    document = _unpacked(data)
    fields = _fields(document, _TOP, where="")
    if not isinstance(fields["description"], str):
        raise wrong("description", got=type(fields["description"]).__name__, expected="text")
    if fields["weekCount"] != 1 or isinstance(fields["weekCount"], bool):
        raise wrong(
            "weekCount", got=shown(fields["weekCount"]), expected="1: a file holds one week"
        )
    week = Week(_date(fields["referenceStartDate"]), _zone(fields["timeZone"]))
    starts, groups = week.starts, fields["planningGroups"]
    if not isinstance(groups, list) or not groups:
        raise wrong("planningGroups", got="none", expected="a list of at least one planning group")
    rows = [_group(group, n, starts, week.time_zone) for n, group in enumerate(groups)]
    check_queues(rows)
    return rows


def _group(group: object, n: int, starts: Int64, time_zone: str) -> Rows:
    where = f"planningGroups[{n}]"
    fields = _fields(group, _GROUP, where=f"{where}.")
    volume, aht = (
        _values(fields[field], len(starts), most, where=f"{where}.{field}")
        for field, most in zip(_GROUP[1:], (MOST_VOLUME, MOST_AHT_SECONDS), strict=True)
    )
    idle = (volume > 0) & (aht == 0)
    if idle.any():
        at = f"{where}.{_GROUP[2]}[{int(np.argmax(idle))}]"
        raise wrong(at, got=0, expected="above 0 where contacts come")
    return Rows(
        queue=check_name(fields["planningGroupId"], field=f"{where}.planningGroupId"),
        channel=None,
        time_zone=time_zone,
        starts=starts,
        interval_minutes=MINUTES,
        volume=volume,
        aht_seconds=aht,
    )


def _values(values: object, quarters: int, most: int, *, where: str) -> Float64:
    """Return the week's values of an array, its padding checked."""
    if not isinstance(values, list) or len(values) != PADDED:
        got = f"{len(values)} values" if isinstance(values, list) else type(values).__name__
        raise wrong(where, got=got, expected=f"{PADDED} values: 8 days of quarters of an hour")
    for at, value in enumerate(values):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not (math.isfinite(value) and 0 <= value <= most):
            raise wrong(f"{where}[{at}]", got=shown(value), expected=f"a number from 0 to {most}")
        if at >= quarters and value != values[at - quarters]:
            again = f"{values[at - quarters]}, the value at {at - quarters} again"
            expected = f"{again}: after the 7th day the first is repeated"
            raise wrong(f"{where}[{at}]", got=value, expected=expected)
    return np.array(values[:quarters], dtype=np.float64)


def _fields(value: object, names: Sequence[str], *, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        field = where.rstrip(".")
        thing = f"`{field}`" if field else "the file"
        raise wrong(field, thing=thing, got=type(value).__name__, expected="an object")
    for name in names:
        if name not in value:
            raise wrong(f"{where}{name}", got="nothing", expected=f"the fields {', '.join(names)}")
    for name in value:
        if name not in names:
            raise wrong(f"{where}{name[:60]}", got="unknown", expected=f"only {', '.join(names)}")
    return value


def _date(value: object) -> date:
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    expected = "the first day, such as 2026-03-02"
    raise wrong("referenceStartDate", got=shown(value), expected=expected)


def _zone(value: object) -> str:
    try:
        return zone(value if isinstance(value, str) else "").key
    except InputError:
        expected = "an IANA zone such as Europe/Berlin or UTC"
        raise wrong("timeZone", got=shown(value), expected=expected) from None


def _unpacked(data: bytes) -> object:
    """Return the JSON of a gzipped file, whose unpacked size is bounded while it is unpacked."""
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        text = unpacker.decompress(data, MOST_BYTES + 1)
    except zlib.error as error:
        raise UnreadableFileError("the file", got=str(error), expected="gzipped JSON") from None
    check_size(len(text))
    if not unpacker.eof or unpacker.unused_data:
        raise UnreadableFileError(
            "the file",
            got="more bytes after its end" if unpacker.eof else "an end before its end",
            expected="one whole gzipped file",
            remedy="send it again as it was written",
        )
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        fault = f"no JSON: {error}"
        raise UnreadableFileError("the file", got=fault, expected="gzipped JSON") from None
