"""Epoch seconds, time zones, intervals, and times as text."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from features.arrays import Int64
from features.errors import InputError

DAY_SECONDS = 86_400
DAY_MINUTES = 1_440
GRID_SECONDS = 900
"""Every zone's offset, and every interval's start, is a multiple of this."""


@dataclass(frozen=True)
class LocalTimes:
    """The wall clock at each of n moments: local seconds since 1970-01-01, and local minus UTC."""

    seconds: Int64
    offset_seconds: Int64

    @property
    def day(self) -> Int64:
        """Local days since 1970-01-01, int64[n]."""
        return self.seconds // DAY_SECONDS

    @property
    def weekday(self) -> Int64:
        """0 for Monday to 6 for Sunday, int64[n]."""
        return (self.day + 3) % 7

    @property
    def minute_of_day(self) -> Int64:
        """0 to 1439, int64[n]."""
        return self.seconds % DAY_SECONDS // 60

    @property
    def minute_of_week(self) -> Int64:
        """0 at Monday 00:00 to 10079, int64[n]."""
        return self.weekday * DAY_MINUTES + self.minute_of_day


def to_epoch(moment: datetime) -> int:
    """Return a moment's epoch seconds.

    Raises:
        InputError: The moment has no time zone.

    >>> to_epoch(datetime(1970, 1, 2, tzinfo=UTC))
    86400
    """
    if moment.tzinfo is None:
        raise InputError(
            f"time {moment.isoformat()}",
            got="no time zone",
            expected="an aware time",
            remedy="add Z",
        )
    return math.floor(moment.timestamp())


def from_epoch(epoch_seconds: int) -> datetime:
    """Return the aware UTC time of epoch seconds."""
    return datetime.fromtimestamp(int(epoch_seconds), tz=UTC)


def zone(name: str) -> ZoneInfo:
    """Return an IANA time zone.

    Raises:
        InputError: There is no zone of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(
            f"time zone {name!r}",
            got="no such zone",
            expected="an IANA name such as `Europe/Berlin` or `UTC`",
            field="time_zone",
        ) from None


@lru_cache(maxsize=512)
def _offsets(time_zone: str, first_day: int, last_day: int) -> tuple[Int64, Int64]:
    """Return the moments from which each UTC offset holds, and the offsets, over whole UTC days."""
    tz = zone(time_zone)

    def offset_at(second: int) -> int:
        delta = datetime.fromtimestamp(second, tz=tz).utcoffset()
        return int((delta or timedelta()).total_seconds())

    starts, offsets = [first_day * DAY_SECONDS], [offset_at(first_day * DAY_SECONDS)]
    for day in range(first_day, last_day):
        low, high = day * DAY_SECONDS, (day + 1) * DAY_SECONDS
        after = offset_at(high)
        if after != offsets[-1]:
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if offset_at(middle) == after else (middle, high)
            starts.append(high)
            offsets.append(after)
    return np.array(starts, dtype=np.int64), np.array(offsets, dtype=np.int64)


def local_times(moments: Int64, time_zone: str) -> LocalTimes:
    """Return the wall clock at each moment: epoch seconds, int64[n], in any order.

    >>> t = local_times(np.array([1774746000, 1774749600]), "Europe/Berlin")
    >>> (t.minute_of_day // 60).tolist()  # the night the clock jumps from 2 to 3
    [3, 4]
    """
    if len(moments) == 0:
        empty = np.empty(0, dtype=np.int64)
        return LocalTimes(empty, empty)
    first, last = int(moments.min()) // DAY_SECONDS, int(moments.max()) // DAY_SECONDS
    # Whole years, so that neighbouring calls share one cached table.
    starts, offsets = _offsets(time_zone, first // 366 * 366, (last // 366 + 1) * 366)
    offset = offsets[np.searchsorted(starts, moments, side="right") - 1]
    return LocalTimes(moments + offset, offset)


def local_midnight(day: int, time_zone: str) -> int:
    """Return the epoch second at which a local day (days since 1970-01-01) begins."""
    local = datetime.fromordinal(date(1970, 1, 1).toordinal() + day)
    return math.floor(local.replace(tzinfo=zone(time_zone)).timestamp())


def interval_starts(first: int, end: int, minutes: int, time_zone: str) -> Int64:
    """Return the starts of all intervals that begin in [first, end), on the wall clock's grid.

    All in epoch seconds; ``minutes`` is 15, 30 or 60.

    Raises:
        InputError: It is another length.

    >>> day = local_midnight(20541, "Europe/Berlin")  # 2026-03-29 has 23 hours
    >>> len(interval_starts(day, local_midnight(20542, "Europe/Berlin"), 60, "Europe/Berlin"))
    23
    """
    if minutes not in INTERVAL_MINUTES:
        raise InputError(
            "interval", got=f"{minutes} minutes", expected=f"one of {INTERVAL_MINUTES}"
        )
    grid = np.arange(-(-first // GRID_SECONDS), -(-end // GRID_SECONDS), dtype=np.int64)
    grid *= GRID_SECONDS
    on_grid: Int64 = grid[local_times(grid, time_zone).seconds % (minutes * 60) == 0]
    return on_grid


def interval_of(moments: Int64, minutes: int, time_zone: str) -> Int64:
    """Return the start of the interval that each moment falls into, int64[n]."""
    return moments - local_times(moments, time_zone).seconds % (minutes * 60)


def _opening_span(part: str, field: str, text: str) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d+):(\d+)\s*-\s*(\d+):(\d+)\s*", part)
    if match:
        hour, minute, end_hour, end_minute = map(int, match.groups())
        start, end = hour * 60 + minute, end_hour * 60 + end_minute
        if minute < 60 and end_minute < 60 and start < end <= DAY_MINUTES:
            return start, end
    raise InputError(
        f"`{field}`",
        got=repr(text),
        expected="`08:00-18:00`, several joined by `,`, or `closed`",
        remedy="write hours past midnight as two spans, one on each day",
        field=field,
    )


def _years_of(days: Int64) -> tuple[int, int]:
    first, last = (from_epoch(int(day) * DAY_SECONDS).year for day in (days.min(), days.max()))
    return first, last


WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
INTERVAL_MINUTES = (15, 30, 60)


def _text(seconds: Int64) -> list[str]:
    texts: list[str] = np.datetime_as_string(seconds.astype("datetime64[s]")).tolist()
    return texts


def utc_texts(moments: Int64) -> list[str]:
    """Write moments, epoch seconds, as UTC with ``Z``."""
    return [f"{text}Z" for text in _text(moments)]


def local_texts(moments: Int64, zone: str) -> list[str]:
    """Write moments, epoch seconds, on a zone's wall clock with its offset."""
    local = local_times(moments, zone)
    offsets = {offset: _offset(offset) for offset in np.unique(local.offset_seconds).tolist()}
    return [
        text + offsets[offset]
        for text, offset in zip(_text(local.seconds), local.offset_seconds.tolist(), strict=True)
    ]


def _offset(seconds: int) -> str:
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02d}:{minutes:02d}"


def iso(moment: datetime) -> str:
    """Return a moment as the API writes it: UTC, seconds, ``Z``.

    >>> iso(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02T03:04:05Z'
    """
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
