"""Amazon Connect: the CSV file that overrides a short-term forecast.

The columns, their values and the characters that are allowed are those of Amazon's administrator
guide, "Override a forecast in Amazon Connect".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from features.calendar.clock import local_times, utc_texts
from serving.files.rows import (
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
    "QueueName",
    "QueueId",
    "ChannelType",
    "TimeStamp",
    "IntervalDuration",
    "IncomingContactVolume",
    "AverageHandleTime",
)
CHANNEL_TYPES = {"voice": "VOICE", "chat": "CHAT"}
DURATIONS = {15: "15mins", 30: "30mins"}
_CHANNELS = {name: channel for channel, name in CHANNEL_TYPES.items()}
_MINUTES = {name: minutes for minutes, name in DURATIONS.items()}
_SIGNS = frozenset("-_.() ")


def write_connect(rows: Sequence[Rows]) -> bytes:
    """Return queues as an override file: whole contacts and whole seconds, times in UTC.

    The contacts of each of the queue's local days add up to the day's total, rounded.

    Raises:
        InputError: A queue has another channel or interval, or a name that Connect refuses.
    """
    check_queues(rows)
    for queue in rows:
        _check_connect(queue)
    return write_table(HEADER, (line for queue in rows for line in _connect_lines(queue)))


def _check_connect(rows: Rows) -> None:
    thing = f"queue `{rows.queue}`"
    if rows.channel not in CHANNEL_TYPES:
        raise wrong(
            "queues",
            thing=thing,
            got=f"channel {rows.channel}",
            expected="voice or chat, the channels that Amazon Connect forecasts",
            remedy="ask for queues of these channels alone",
        )
    if rows.interval_minutes not in DURATIONS:
        raise wrong(
            "interval_minutes",
            thing=thing,
            got=f"intervals of {rows.interval_minutes} minutes",
            expected="15 or 30 minutes",
            remedy="ask for `interval_minutes` 15 or 30",
        )
    for name in (rows.queue, rows.name or rows.queue):
        if not _is_allowed(name):
            allowed = "letters, digits, space and -_.() only, not - first"
            expected = f"a name that Amazon Connect takes: {allowed}"
            raise wrong("queues", thing=thing, got=repr(name), expected=expected)


def _is_allowed(name: str) -> bool:
    """Return whether a name has only characters that Connect takes, and is no formula."""
    return name[:1] != "-" and all(sign.isalnum() or sign in _SIGNS for sign in name)


def _connect_lines(rows: Rows) -> Iterator[tuple[object, ...]]:
    names = (rows.name or rows.queue, rows.queue, CHANNEL_TYPES[rows.channel or ""])
    duration = DURATIONS[rows.interval_minutes]
    for start, volume, whole, aht in zip(
        utc_texts(rows.starts),
        rows.volume.tolist(),
        _whole_contacts(rows),
        rows.aht_seconds.tolist(),
        strict=True,
    ):
        seconds = max(round(aht), 1) if volume > 0 else round(aht)
        yield (*names, start, duration, whole, seconds)


def _whole_contacts(rows: Rows) -> list[int]:
    """Return whole contacts: after each interval the day's running total, rounded, is kept.

    So the day's total is kept, no interval moves by one contact or more, an interval without
    contacts stays empty, and small intervals get their contacts spread over the day.
    """
    days = local_times(rows.starts, rows.time_zone).day
    contacts: list[int] = []
    for day in np.split(rows.volume, np.flatnonzero(np.diff(days)) + 1):
        values = day.tolist()
        totals = [_nearest(math.fsum(values[:end])) for end in range(len(values) + 1)]
        contacts += [after - before for before, after in itertools.pairwise(totals)]
    return contacts


def _nearest(total: float) -> int:
    """Return the nearest whole number, of two the greater.

    Halves to the even one would give an interval of one contact two, after one of a half.
    """
    whole = math.floor(total)
    return whole + (total - whole >= 0.5)


def read_connect(data: bytes) -> list[Rows]:
    """Return the queues of an override file, in the order in which they first appear.

    As Connect does, it allows an offset in place of ``Z`` and a handle time with decimals.

    Raises:
        InputError: A line, a column or a value is not as it must be; the message names it.
    """
    return gather(_connect_entry(line) for line in read_table(data, header=HEADER))


def _connect_entry(line: Line) -> Entry:
    cells = line.cells
    for column in ("QueueName", "QueueId"):
        check_name(cells[column], field=column, thing=f"line {line.number}, column `{column}`")
        if not _is_allowed(cells[column]):
            raise line.wrong(column, expected="letters, digits, space and -_.() only, not - first")
    channel = _CHANNELS.get(cells["ChannelType"])
    if channel is None:
        raise line.wrong("ChannelType", expected=" or ".join(_CHANNELS))
    minutes = _MINUTES.get(cells["IntervalDuration"])
    if minutes is None:
        raise line.wrong("IntervalDuration", expected=" or ".join(_MINUTES))
    name, queue = cells["QueueName"], cells["QueueId"]
    volume = line.whole_up_to("IncomingContactVolume", MOST_VOLUME)
    aht = line.number_up_to("AverageHandleTime", MOST_AHT_SECONDS)
    if volume > 0 and aht == 0:
        raise line.wrong("AverageHandleTime", expected="above 0 where contacts come")
    return Entry(
        line=line.number,
        queue=queue,
        name=None if name == queue else name,
        channel=channel,
        start=line.time("TimeStamp"),
        interval_minutes=minutes,
        volume=volume,
        aht_seconds=aht,
    )
