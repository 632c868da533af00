"""What every file format writes and reads: one queue's intervals, checked once for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from features.calendar import GRID_SECONDS, Float64, Int64
from features.contracts import CHANNELS, INTERVAL_MINUTES, MAX_ID_LENGTH
from features.errors import InputError

MOST_VOLUME = 10_000_000
MOST_AHT_SECONDS = 30 * 86_400
MOST_AGENTS = 10_000_000
_AGENTS = ("agents_on_phone", "agents_rostered")


@dataclass(frozen=True)
class Rows:
    """One queue's forecast over h intervals, with its agents where they are known.

    Attributes:
        queue: Its name in every table, 1 to 512 characters.
        channel: How its contacts come; None where a format does not say.
        time_zone: IANA zone whose local days count; UTC where a format does not say.
        starts: Interval starts, epoch seconds, int64[h], h at least 1, ascending, apart.
        interval_minutes: 15, 30 or 60.
        volume: Contacts expected, float64[h], 0 to 10 million.
        aht_seconds: Average handle time, float64[h], 0 to 30 days, above 0 where contacts come.
        agents_on_phone: Agents on contacts, int64[h].
        agents_rostered: Agents to roster for them, int64[h].
        name: A name for people; None where it is the queue's.

    Raises:
        InputError: A value lies outside its range; the error's field names it.
    """

    queue: str
    channel: str | None
    time_zone: str
    starts: Int64
    interval_minutes: int
    volume: Float64
    aht_seconds: Float64
    agents_on_phone: Int64 | None = None
    agents_rostered: Int64 | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        check_name(self.queue, field="queue")
        if self.channel is not None and self.channel not in CHANNELS:
            raise wrong("channel", got=self.channel, expected=f"one of {', '.join(CHANNELS)}")
        if self.interval_minutes not in INTERVAL_MINUTES:
            minutes = ", ".join(map(str, INTERVAL_MINUTES))
            raise wrong("interval_minutes", got=self.interval_minutes, expected=f"one of {minutes}")
        self._check_starts()
        self._check_values("volume", self.volume, MOST_VOLUME)
        self._check_values("aht_seconds", self.aht_seconds, MOST_AHT_SECONDS)
        idle = (self.volume > 0) & (self.aht_seconds == 0)
        if idle.any():
            at = int(np.argmax(idle))
            raise wrong(f"aht_seconds[{at}]", got=0, expected="above 0 where contacts come")
        for column in _AGENTS:
            agents = getattr(self, column)
            if agents is not None:
                self._check_values(column, agents, MOST_AGENTS)

    def _check_starts(self) -> None:
        if len(self.starts) == 0:
            raise wrong("starts", got="none", expected="at least one interval")
        off = self.starts % GRID_SECONDS != 0
        off[1:] |= np.diff(self.starts) < self.interval_minutes * 60
        if off.any():
            at = int(np.argmax(off))
            expected = "epoch seconds on a quarter of an hour, after the interval before"
            raise wrong(f"starts[{at}]", got=int(self.starts[at]), expected=expected)

    def _check_values(self, column: str, values: Float64 | Int64, most: int) -> None:
        count = len(self.starts)
        if len(values) != count:
            raise wrong(column, got=f"{len(values)} values", expected=f"{count}, as `starts`")
        outside = ~((values >= 0) & (values <= most))
        if outside.any():
            at = int(np.argmax(outside))
            raise wrong(f"{column}[{at}]", got=values[at], expected=f"a number from 0 to {most}")


@dataclass(frozen=True)
class Entry:
    """One line of a table, numbered for messages: one queue's interval, as in `Rows`."""

    line: int
    queue: str
    name: str | None
    channel: str
    start: int
    interval_minutes: int
    volume: float
    aht_seconds: float
    agents_on_phone: int | None = None
    agents_rostered: int | None = None


def gather(entries: Iterable[Entry]) -> list[Rows]:
    """Return the queues of a table's lines, in the order in which they first appear.

    Raises:
        InputError: A queue's lines are not of one kind, or not one after the other in time.
    """
    by_queue: dict[str, list[Entry]] = {}
    for entry in entries:
        lines = by_queue.setdefault(entry.queue, [])
        if lines:
            _check_follows(entry, first=lines[0], last=lines[-1])
        lines.append(entry)
    return [_queue_rows(lines) for lines in by_queue.values()]


def _check_follows(entry: Entry, *, first: Entry, last: Entry) -> None:
    where = f"line {entry.line}, queue {shown(entry.queue)}"
    for column in ("name", "channel", "interval_minutes"):
        got, expected = getattr(entry, column), getattr(first, column)
        if got != expected:
            raise wrong(
                column,
                thing=f"{where}: `{column}`",
                got=got,
                expected=f"{expected} as on line {first.line}: one kind of row a queue",
            )
    for column in _AGENTS:
        if (getattr(entry, column) is None) != (getattr(first, column) is None):
            raise wrong(
                column,
                thing=f"{where}: `{column}`",
                got="none" if getattr(entry, column) is None else "a number",
                expected=f"as on line {first.line}: in all rows of a queue or in none",
            )
    if entry.start < last.start + last.interval_minutes * 60:
        raise wrong(
            "start_time",
            thing=f"{where}: its start",
            got="the same start" if entry.start == last.start else "an earlier or overlapping one",
            expected=f"after the end of the interval on line {last.line}",
            remedy="give each interval once, in order of time",
        )


def _queue_rows(lines: Sequence[Entry]) -> Rows:
    first = lines[0]
    agents = {
        column: np.array([getattr(line, column) for line in lines], dtype=np.int64)
        for column in _AGENTS
        if getattr(first, column) is not None
    }
    return Rows(
        queue=first.queue,
        channel=first.channel,
        time_zone="UTC",
        starts=np.array([line.start for line in lines], dtype=np.int64),
        interval_minutes=first.interval_minutes,
        volume=np.array([line.volume for line in lines], dtype=np.float64),
        aht_seconds=np.array([line.aht_seconds for line in lines], dtype=np.float64),
        name=first.name,
        **agents,
    )


def check_name(queue: object, *, field: str, thing: str | None = None) -> str:
    """Return a queue's name.

    Raises:
        InputError: It is no text of 1 to 512 characters.
    """
    if not isinstance(queue, str) or not 1 <= len(queue) <= MAX_ID_LENGTH:
        expected = f"text of 1 to {MAX_ID_LENGTH} characters"
        raise wrong(field, thing=thing, got=shown(queue), expected=expected)
    return queue


def check_queues(rows: Sequence[Rows]) -> None:
    """Check that each queue is there once.

    Raises:
        InputError: A queue is there twice.
    """
    seen: set[str] = set()
    for queue in rows:
        if queue.queue in seen:
            raise wrong("queues", got=f"{shown(queue.queue)} twice", expected="each queue once")
        seen.add(queue.queue)


def wrong(
    field: str,
    *,
    got: object,
    expected: str,
    thing: str | None = None,
    remedy: str | None = None,
) -> InputError:
    """Return the error that names a field, and the thing it belongs to where there is one."""
    return InputError(thing or f"`{field}`", got=got, expected=expected, remedy=remedy, field=field)


def shown(value: object) -> str:
    """Return a value as a message shows it: no longer than a line.

    >>> shown("a" * 99)[-5:]
    'aaaa…'
    """
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
