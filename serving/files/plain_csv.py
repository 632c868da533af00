"""CSV: a row an interval, for a spreadsheet or a scheduling tool that reads tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from features.calendar.clock import INTERVAL_MINUTES, utc_texts
from features.contracts.tables import CHANNELS
from serving.files.rows import (
    MOST_AGENTS,
    MOST_AHT_SECONDS,
    MOST_VOLUME,
    Entry,
    Line,
    Rows,
    check_name,
    check_queues,
    gather,
    read_table,
    write_table,
    wrong,
)

HEADER = (
    "queue_id",
    "channel",
    "start_time",
    "end_time",
    "interval_minutes",
    "volume",
    "aht_seconds",
    "agents_on_phone",
    "agents_rostered",
)
_GUARD = "'"
_FORMULA = frozenset("=+-@\t\r\n＝＋－＠")
"""First characters from which a spreadsheet makes a formula of a cell, quoted or not."""


def write_csv(rows: Sequence[Rows]) -> bytes:
    """Return queues as CSV, one after the other; times are UTC, unknown agents empty.

    Raises:
        InputError: A queue has no channel, or is there twice.
    """
    check_queues(rows)
    return write_table(HEADER, (line for queue in rows for line in _csv_lines(queue)))


def _csv_lines(rows: Rows) -> Iterator[tuple[object, ...]]:
    if rows.channel is None:
        thing = f"queue `{rows.queue}`"
        raise wrong("channel", thing=thing, got="no channel", expected="its channel")
    nothing = [None] * len(rows.starts)
    agents = [
        nothing if column is None else column.tolist()
        for column in (rows.agents_on_phone, rows.agents_rostered)
    ]
    ends = rows.starts + rows.interval_minutes * 60
    names, minutes = (guarded(rows.queue), rows.channel), rows.interval_minutes
    for start, end, *values in zip(
        utc_texts(rows.starts),
        utc_texts(ends),
        rows.volume.tolist(),
        rows.aht_seconds.tolist(),
        *agents,
        strict=True,
    ):
        yield (*names, start, end, minutes, *values)


def read_csv(data: bytes) -> list[Rows]:
    """Return the queues of a CSV file as `write_csv` writes it; their lines may alternate.

    Raises:
        InputError: A line, a column or a value is not as it must be; the message names it.
    """
    return gather(_csv_entry(line) for line in read_table(data, header=HEADER))


def _csv_entry(line: Line) -> Entry:
    cells = line.cells
    thing = f"line {line.number}, column `queue_id`"
    queue = check_name(unguarded(cells["queue_id"]), field="queue_id", thing=thing)
    if cells["channel"] not in CHANNELS:
        raise line.wrong("channel", expected=f"one of {', '.join(CHANNELS)}")
    minutes = line.whole_up_to("interval_minutes", max(INTERVAL_MINUTES))
    if minutes not in INTERVAL_MINUTES:
        allowed = ", ".join(map(str, INTERVAL_MINUTES))
        raise line.wrong("interval_minutes", expected=f"one of {allowed}")
    start = line.time("start_time")
    if line.time("end_time") != start + minutes * 60:
        raise line.wrong("end_time", expected=f"{minutes} minutes after `start_time`")
    volume = line.number_up_to("volume", MOST_VOLUME)
    aht = line.number_up_to("aht_seconds", MOST_AHT_SECONDS)
    if volume > 0 and aht == 0:
        raise line.wrong("aht_seconds", expected="above 0 where contacts come")
    on_phone, rostered = (
        line.whole_up_to(column, MOST_AGENTS) if cells[column] else None
        for column in ("agents_on_phone", "agents_rostered")
    )
    return Entry(
        line.number, queue, None, cells["channel"], start, minutes, volume, aht, on_phone, rostered
    )


def guarded(text: str) -> str:
    """Return text that no spreadsheet reads as a formula: with a ``'`` before it where needed.

    >>> guarded("=1+1"), guarded("sales"), guarded("'=1+1")
    ("'=1+1", 'sales', "''=1+1")
    """
    return _GUARD + text if _needs_guard(text) else text


def unguarded(cell: str) -> str:
    """Return what `guarded` was given.

    >>> unguarded("'=1+1"), unguarded("sales"), unguarded("''=1+1"), unguarded("'t Hof")
    ('=1+1', 'sales', "'=1+1", "'t Hof")
    """
    inner = cell.removeprefix(_GUARD)
    return inner if inner != cell and _needs_guard(inner) else cell


def _needs_guard(text: str) -> bool:
    return text.lstrip(_GUARD)[:1] in _FORMULA
