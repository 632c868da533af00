"""Wall clocks, opening hours and working days, as pure functions of time.

Times are epoch seconds (int64, UTC); intervals are left-closed and named by their start.
Local wall time is derived from the queue's IANA zone, so a day has 23, 24 or 25 hours and a
profile by hour of week follows the clock on the wall.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from features.contracts import INTERVAL_MINUTES, WEEKDAYS
from features.errors import InputError
from features.workdays import Workdays, public_holidays, true_runs, workdays_of_years

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

DAY_SECONDS = 86_400
DAY_MINUTES = 1_440
GRID_SECONDS = 900
"""Every zone's offset, and every interval's start, is a multiple of this."""

Spans = tuple[tuple[int, int], ...]
"""Opening of one day: minutes of the local day, left-closed, sorted, apart."""

ALWAYS: tuple[Spans, ...] = (((0, DAY_MINUTES),),) * 7


@dataclass(frozen=True)
class Queue:
    """One queue's clock, opening hours and goals.

    Attributes:
        name: A name for people; ``queue`` is that of every table.
        opening: Spans of each weekday from Monday; None where not stated.
        opening_source: ``stated``, ``learnt`` or ``assumed`` (no statement and no evidence).
        country: Code of its public holidays, with a subdivision as in ``DE-BY``.
        interval_minutes: 15, 30 or 60.
        goal_share: Service goal: share answered within ``goal_seconds``, in [0, 1].
        default_aht_seconds: AHT where no history says.
        patience_seconds: Its mean.
        concurrency: Contacts an agent holds at once.
    """

    queue: str
    channel: str = "voice"
    time_zone: str = "UTC"
    name: str | None = None
    opening: tuple[Spans | None, ...] = (None,) * 7
    opening_source: str = "assumed"
    country: str | None = None
    open_on_holidays: bool = True
    interval_minutes: int = 60
    goal_seconds: float = 20.0
    goal_share: float = 0.8
    default_aht_seconds: float = 300.0
    patience_seconds: float | None = None
    concurrency: int = 1


@dataclass(frozen=True)
class Event:
    """One known-ahead event in [starts_at, ends_at), epoch seconds.

    Attributes:
        kind: Such as ``promotion``.
        known_at: When it was known, epoch seconds.
        queues: Queues it touches; empty for all.
        size: In the business's own measure.
    """

    event_id: str
    kind: str
    starts_at: int
    ends_at: int
    known_at: int
    queues: tuple[str, ...] = ()
    size: float | None = None


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


def epoch(moment: datetime) -> int:
    """Return a moment's epoch seconds.

    Raises:
        InputError: The moment has no time zone.

    >>> epoch(datetime(1970, 1, 2, tzinfo=UTC))
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


def moment(epoch_seconds: int) -> datetime:
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


def parse_opening(text: str | None, *, field: str = "opening") -> Spans | None:
    """Read one day's opening hours: empty when closed, None when not stated.

    Args:
        text: ``08:00-18:00``, several joined by ``,``; ``closed``; None or empty: not stated.
        field: Name for the error.

    Raises:
        InputError: The text is malformed, or spans overlap or end before they start.

    >>> parse_opening("08:00-12:00,13:30-24:00")
    ((480, 720), (810, 1440))
    """
    if text is None or not text.strip():
        return None
    if text.strip().lower() == "closed":
        return ()
    spans = sorted(_opening_span(part, field, text) for part in text.split(","))
    if any(a[1] > b[0] for a, b in itertools.pairwise(spans)):
        raise InputError(
            f"`{field}`",
            got=f"{text!r}, which overlaps itself",
            expected="spans apart",
            field=field,
        )
    return tuple(spans)


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


def holidays_on(days: Int64, country: str | None) -> Bool:
    """Return whether each local day (days since 1970-01-01) is a public holiday, bool[n]."""
    if country is None or len(days) == 0:
        return np.zeros(len(days), dtype=bool)
    known = public_holidays(country, *_years_of(days))
    return np.isin(days, np.fromiter(known, dtype=np.int64, count=len(known)))


def workdays(days: Int64, country: str | None) -> Workdays | None:
    """Return the work calendar over the years of local days (since 1970-01-01, at least one).

    None without a country.
    """
    return None if country is None else workdays_of_years(country, *_years_of(days))


def _years_of(days: Int64) -> tuple[int, int]:
    first, last = (moment(int(day) * DAY_SECONDS).year for day in (days.min(), days.max()))
    return first, last


def followed_weekday(days: Int64, country: str | None) -> Int64:
    """Return the weekday whose hours and shape each local day has, 0 for Monday, int64[n].

    A day's own weekday, save for a make-up working day, as China has them: that keeps the hours
    of the day off that it makes up for.

    >>> saturday, sunday = 20_512, 20_513  # 2026-02-28, worked in China, and the day after
    >>> followed_weekday(np.array([saturday, sunday]), "CN").tolist()
    [0, 6]
    """
    weekday: Int64 = (days + 3) % 7
    known = workdays(days, country) if len(days) else None
    if known is None or not known.made_up.any():
        return weekday
    effective: Int64 = known.follows[days - known.first_day]
    return effective


def made_up(days: Int64, country: str | None) -> Bool:
    """Return whether each local day is a make-up working day, bool[n]."""
    known = workdays(days, country) if len(days) else None
    if known is None:
        return np.zeros(len(days), dtype=bool)
    flags: Bool = known.made_up[days - known.first_day]
    return flags


@dataclass(frozen=True)
class LocalWeek:
    """Where each of n intervals lies in a queue's week.

    Attributes:
        day: Local days since 1970-01-01, int64[n].
        minute: Minute of the week from Monday 00:00, int64[n]; a make-up working day has those of
            the weekday whose hours it keeps.
        is_open: Whether the queue is open in any part of each, bool[n].
    """

    day: Int64
    minute: Int64
    is_open: Bool

    @property
    def hour(self) -> Int64:
        """Hour of the week, 0 to 167, int64[n]."""
        return self.minute // 60


def local_week(queue: Queue, starts: Int64) -> LocalWeek:
    """Return the local day, the minute of the week and the openness of intervals.

    A weekday whose opening is neither stated nor learnt counts as open; a make-up working day
    has the hours of the day off that it makes up for. ``starts``: epoch seconds, int64[n].

    >>> night = Queue("night", opening=(((0, 360),),) * 7)  # 1970-01-01 is a Thursday
    >>> week = local_week(night, np.array([5 * 3600, 6 * 3600]))
    >>> week.hour.tolist(), week.is_open.tolist()
    ([77, 78], [True, False])
    """
    local = local_times(starts, queue.time_zone)
    step = queue.interval_minutes
    week = np.ones((7, DAY_MINUTES), dtype=bool)
    for weekday, spans in enumerate(queue.opening):
        if spans is not None:
            week[weekday] = False
            for start, end in spans:
                week[weekday, start:end] = True
    cells = np.any(week.reshape(-1, step), axis=1)
    minute = followed_weekday(local.day, queue.country) * DAY_MINUTES + local.minute_of_day
    opened: Bool = cells[minute // step]
    if not queue.open_on_holidays:
        opened = opened & ~holidays_on(local.day, queue.country)
    return LocalWeek(local.day, minute, opened)


def is_open(queue: Queue, starts: Int64) -> Bool:
    """Return whether the queue is open in any part of each interval, bool[n]."""
    return local_week(queue, starts).is_open


def learn_opening(queue: Queue, starts: Int64, offered: Float64) -> Queue:
    """Fill the weekdays whose opening is not stated from the history.

    A cell of the week counts as closed when not one contact came in it in the last 26 weeks,
    although at the queue's mean rate at least 7 would have been expected (a chance of 1 in 1,000
    were it open and average). Where nothing can be learnt, the queue is returned as it is.

    Args:
        queue: Its stated weekdays stay.
        starts: Interval starts, epoch seconds, int64[n], ascending.
        offered: Contacts in each, float64[n]; NaN where not observed.
    """
    if all(spans is not None for spans in queue.opening) or len(starts) == 0:
        return queue
    recent = (starts >= starts[-1] - 26 * 7 * DAY_SECONDS) & ~np.isnan(offered)
    local = local_times(starts, queue.time_zone)
    # A make-up working day says nothing of the weekend that it falls on.
    recent &= ~made_up(local.day, queue.country)
    step = queue.interval_minutes
    slots = local.minute_of_week[recent] // step
    size = 7 * DAY_MINUTES // step
    total = np.bincount(slots, weights=offered[recent], minlength=size)
    seen = np.bincount(slots, minlength=size)
    rate = total.sum() / max(seen.sum(), 1)
    closed = np.asarray((total == 0) & (seen * rate >= 7)).reshape(7, -1)
    if not closed.any():
        return queue
    opening = tuple(
        tuple((start * step, end * step) for start, end in true_runs(~closed[weekday]))
        if stated is None
        else stated
        for weekday, stated in enumerate(queue.opening)
    )
    return replace(queue, opening=opening, opening_source="learnt")


def opening_text(queue: Queue) -> dict[str, str | None]:
    """Return the opening of each weekday as ``parse_opening`` reads it.

    >>> opening_text(Queue("q", opening=ALWAYS))["mon"]
    '00:00-24:00'
    """

    def text(spans: Spans | None) -> str | None:
        if spans is None:
            return None
        clock = "{:02d}:{:02d}-{:02d}:{:02d}"
        return ",".join(clock.format(*divmod(a, 60), *divmod(b, 60)) for a, b in spans) or "closed"

    return {day: text(spans) for day, spans in zip(WEEKDAYS, queue.opening, strict=True)}
