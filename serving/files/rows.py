"""Intervals of one queue as rows of a file, and strict reading of its cells."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from features.arrays import Float64, Int64
from features.calendar.clock import GRID_SECONDS, INTERVAL_MINUTES, to_epoch
from features.contracts.schema import MAX_ID_LENGTH
from features.contracts.tables import CHANNELS
from features.errors import InputError, UnreadableFileError

MOST_BYTES = 16_000_000
"""Of a file, unpacked: a week of 15-minute intervals of some hundred queues."""

_TIME = re.compile(
    r"(19[7-9]|2[01]\d)\d-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]([01]\d|2[0-3]):[0-5]\d)", re.ASCII
)
_NUMBER = re.compile(r"\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"\d{1,15}", re.ASCII)


@dataclass(frozen=True)
class Line:
    """One numbered line of a table; a cell that is not as expected raises `InputError`."""

    number: int
    cells: dict[str, str]

    def wrong(self, column: str, *, expected: str) -> InputError:
        """Return the error that names a cell of this line."""
        thing = f"line {self.number}, column `{column}`"
        return wrong(column, thing=thing, got=shown(self.cells[column]), expected=expected)

    def time(self, column: str) -> int:
        """Return the cell's moment in epoch seconds, on a quarter of an hour."""
        text = self.cells[column]
        if _TIME.fullmatch(text):
            try:
                moment = to_epoch(datetime.fromisoformat(text))
            except ValueError:  # a day or an hour that no calendar has
                moment = -1
            if moment % GRID_SECONDS == 0:
                return moment
        example = "with `Z` or an offset, such as 2026-03-02T08:00:00Z"
        raise self.wrong(column, expected=f"a time on a quarter of an hour {example}")

    def number_up_to(self, column: str, most: int) -> float:
        """Return the cell's number, from 0 to the most."""
        text = self.cells[column]
        value = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not 0 <= value <= most:
            raise self.wrong(column, expected=f"a number from 0 to {most}")
        return value

    def whole_up_to(self, column: str, most: int) -> int:
        """Return the cell's whole number, from 0 to the most."""
        text = self.cells[column]
        value = int(text) if _WHOLE.fullmatch(text) else -1
        if not 0 <= value <= most:
            raise self.wrong(column, expected=f"a whole number from 0 to {most}")
        return value


def write_table(header: Sequence[str], lines: Iterable[Sequence[object]]) -> bytes:
    """Return a table as CSV by RFC 4180: UTF-8, lines that end with CR LF, quotes where needed.

    A float is written as the shortest text that reads as the same float.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(header)
    table.writerows(lines)
    return text.getvalue().encode()


def read_table(data: bytes, *, header: Sequence[str]) -> Iterator[Line]:
    """Yield the lines of a CSV file under its header; LF alone and a byte order mark are allowed.

    Raises:
        UnreadableFileError: It is too large, no UTF-8 text, no CSV, or of other columns.
    """
    check_size(len(data))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        fault = f"bytes that are no text at byte {error.start}"
        raise UnreadableFileError("the file", got=fault, expected="UTF-8") from None
    table = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        _check_header(next(table, []), header)
        for cells in table:
            if len(cells) != len(header):
                where, got = f"line {table.line_num}", f"{len(cells)} cells"
                expected = f"{len(header)}: {', '.join(header)}"
                raise UnreadableFileError(where, got=got, expected=expected)
            yield Line(table.line_num, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        where = f"line {table.line_num}"
        raise UnreadableFileError(where, got=str(error), expected="CSV as in RFC 4180") from None


def check_size(size: int) -> None:
    """Check that a file is not too large, unpacked."""
    if size > MOST_BYTES:
        raise UnreadableFileError(
            "the file",
            got=f"more than {MOST_BYTES} bytes",
            expected=f"at most {MOST_BYTES}, unpacked",
            remedy="split it by queue or by week",
        )


def _check_header(got: Sequence[str], header: Sequence[str]) -> None:
    if list(got) == list(header):
        return
    missing = next((name for name in header if name not in got), None)
    fault = f"no column `{missing}`" if missing else f"{len(got)} columns, not these in this order"
    expected = ",".join(header)
    raise UnreadableFileError("the header on line 1", got=fault, expected=expected, field=missing)


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
