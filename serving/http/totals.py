"""Sums of a selection's forecast and sample paths by queue, by channel or over all queues."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.calendar import Float64, Int64, interval_of
from serving.http.choice import Choice
from serving.sets.forecast import PublishedForecast

ALL = "all"


@dataclass(frozen=True)
class Group:
    """Queues added up on one grid; n intervals.

    Attributes:
        name: Name of the queue or channel, or ``all``.
        time_zone: The queues' zone; UTC where they have several.
        minutes: Length of the grid's intervals: the longest of the queues'.
        starts: Where they start, epoch seconds, ascending, int64[n].
        mean: Contacts expected, float64[n].
        paths: Contacts by path, float64[count, n].
    """

    name: str
    forecasts: tuple[PublishedForecast, ...]
    time_zone: str
    minutes: int
    starts: Int64
    mean: Float64
    paths: Float64


def add_up(choice: Choice, *, by: str) -> list[Group]:
    """Add up an evaluated selection, with sample paths, by ``queue``, ``channel`` or ``all``."""
    groups: dict[str, list[int]] = {}
    for i, (forecast, _) in enumerate(choice.queues):
        queue = forecast.queue
        name = {"queue": queue.queue, "channel": queue.channel}.get(by, ALL)
        groups.setdefault(name, []).append(i)
    return [_add_up_group(name, choice, members) for name, members in groups.items()]


def _add_up_group(name: str, choice: Choice, members: list[int]) -> Group:
    """Add some queues of a selection up on the grid of the one with the longest intervals."""
    queues = [choice.queues[i] for i in members]
    paths = [choice.drawn.paths[i] for i in members]
    zones = {forecast.queue.time_zone for forecast, _ in queues}
    zone = zones.pop() if len(zones) == 1 else "UTC"
    minutes = max(forecast.queue.interval_minutes for forecast, _ in queues)
    slots = [interval_of(forecast.starts[rows], minutes, zone) for forecast, rows in queues]
    starts = np.unique(np.concatenate(slots))
    mean, path_sums = np.zeros(len(starts)), np.zeros((choice.drawn.count, len(starts)))
    for (forecast, rows), of_queue, slot in zip(queues, paths, slots, strict=True):
        if len(slot):
            at, first = np.unique(np.searchsorted(starts, slot), return_index=True)
            mean[at] += np.add.reduceat(forecast.mean[rows], first)
            path_sums[:, at] += np.add.reduceat(of_queue, first, axis=1)
    forecasts = tuple(forecast for forecast, _ in queues)
    return Group(name, forecasts, zone, minutes, starts, mean, path_sums)
