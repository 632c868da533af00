"""The bad days of all queues' histories, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields

import pandas as pd

from features.calendar import Event
from features.snapshot import QueueHistory
from serving.models.volume.bad_days import BadDay, find_bad_days
from serving.models.volume.effects import DayEffects

COLUMNS = tuple(field.name for field in fields(BadDay))


def bad_days_table(
    histories: Mapping[str, QueueHistory],
    effects: DayEffects,
    *,
    events: Sequence[Event],
    known_by: int,
) -> pd.DataFrame:
    """List what no forecast learns from, by queue, oldest first.

    Args:
        known_by: Epoch seconds; an event known later does not exist.

    Returns:
        One row a bad day, with the columns of ``BadDay``; ``day`` is a date of the queue's zone.
    """
    found = [
        astuple(bad)
        for name in sorted(histories)
        for bad in find_bad_days(histories[name], effects, events, known_by=known_by)[1]
    ]
    table = pd.DataFrame(found, columns=list(COLUMNS))
    return table.assign(day=pd.to_datetime(table["day"], unit="D").dt.date)
