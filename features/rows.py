"""Rows of the lake's tables as the queues and events that they state."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from features.calendar import Event, Queue, parse_opening
from features.contracts import INTERVAL_MINUTES, WEEKDAYS
from features.errors import InputError


def queue_of(row: dict[str, Any]) -> Queue:
    """Return the queue that a row of the table ``queues`` states.

    Raises:
        InputError: Its opening hours or interval are malformed.
    """
    opening = tuple(
        parse_opening(row[f"open_{day}"], field=f"open_{day} of queue {row['queue']}")
        for day in WEEKDAYS
    )
    stated = {f.name: row[f.name] for f in fields(Queue) if row.get(f.name) is not None}
    if stated.get("interval_minutes", 60) not in INTERVAL_MINUTES:
        raise InputError(
            f"`interval_minutes` of queue `{row['queue']}`",
            got=stated["interval_minutes"],
            expected=f"one of {INTERVAL_MINUTES}",
            remedy="correct the row of `queues` and load it again",
            field="interval_minutes",
        )
    source = "stated" if any(spans is not None for spans in opening) else "assumed"
    return Queue(**{**stated, "opening": opening, "opening_source": source})


def event_of(row: dict[str, Any]) -> Event:
    """Return the event that a row of the table ``calendar`` states, its times in epoch seconds."""
    names = (part.strip() for part in (row["queues"] or "").split(","))
    return Event(**{**row, "queues": tuple(name for name in names if name)})
