"""Rows of the lake's tables as the things that they state."""

from __future__ import annotations

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
    given = {
        name: row[name]
        for name in (
            "name",
            "country",
            "open_on_holidays",
            "interval_minutes",
            "goal_seconds",
            "goal_share",
            "default_aht_seconds",
            "patience_seconds",
            "concurrency",
        )
        if row[name] is not None
    }
    if given.get("interval_minutes", 60) not in INTERVAL_MINUTES:
        raise InputError(
            f"`interval_minutes` of queue `{row['queue']}`",
            got=given["interval_minutes"],
            expected=f"one of {INTERVAL_MINUTES}",
            remedy="correct the row of `queues` and load it again",
            field="interval_minutes",
        )
    return Queue(
        queue=row["queue"],
        channel=row["channel"],
        time_zone=row["time_zone"],
        opening=opening,
        opening_source="stated" if any(o is not None for o in opening) else "assumed",
        **given,
    )


def event_of(row: dict[str, Any]) -> Event:
    """Return the event that a row of the table ``calendar`` states, its times in epoch seconds."""
    names = (part.strip() for part in (row["queues"] or "").split(","))
    return Event(**{**row, "queues": tuple(name for name in names if name)})
