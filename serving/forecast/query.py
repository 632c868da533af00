"""Evaluates a selection: what-if, grid, sample paths, totals; always in that order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from features.arrays import Float64, Int64
from features.calendar.clock import interval_of, to_epoch
from features.errors import InputError
from serving.forecast.selection import SamplePaths, Selection
from serving.forecast.what_if import WhatIfChanges, apply_what_if
from serving.models.volume.forecast import QueueForecast, slice_intervals
from serving.models.volume.paths import sample_paths
from serving.models.volume.within_hour import split

MOST_SENT_VALUES = 2_000_000
"""Values of paths in one response, some 6 bytes each."""
MOST_TOTALS_VALUES = 5_000_000
"""Values of paths that one response's totals are read off."""


def evaluate(
    selection: Selection,
    *,
    what_if: WhatIfChanges | None = None,
    interval_minutes: int | None = None,
    path_count: int = 0,
    seed: int = 0,
    most_values: int = MOST_SENT_VALUES,
) -> Selection:
    """Return a selection after changes, on the requested grid, with sample paths of the result.

    Without ``interval_minutes`` each queue keeps its own grid; ``most_values`` limits the values
    of the sample paths over all queues and intervals.

    Raises:
        UnknownNameError: A change names an unknown queue or event.
        HorizonError: A change's span is not inside the published one.
        InputError: Factors multiply to too much, a queue's own intervals are shorter, or the
            paths have too many values.
    """
    if what_if is not None:
        selection = apply_what_if(selection, what_if)
    if interval_minutes is not None:
        selection = _split(selection, interval_minutes)
    if path_count:
        selection = _sample(selection, count=path_count, seed=seed, most_values=most_values)
    return selection


def _split(selection: Selection, minutes: int) -> Selection:
    queues = []
    for forecast, rows in selection.queues:
        if forecast.queue.interval_minutes == minutes:
            queues.append((forecast, rows))
            continue
        finer = split(
            slice_intervals(forecast, rows), minutes=minutes, made_at=selection.set.made_at
        )
        queues.append((finer, finer.rows(selection.start, selection.end)))
    return replace(selection, queues=tuple(queues))


def _sample(selection: Selection, *, count: int, seed: int, most_values: int) -> Selection:
    values = selection.intervals * count
    if values > most_values:
        raise InputError(
            "the sample paths",
            got=f"{selection.intervals} intervals x {count} paths = {values} values",
            expected=f"at most {most_values}",
            remedy="ask for fewer paths, fewer queues or a shorter span at once",
            field="paths.count",
        )
    made_at = to_epoch(selection.set.made_at)
    paths = sample_paths(selection.forecasts(), made_at=made_at, count=count, seed=seed)
    return replace(selection, paths=SamplePaths(count, seed, paths))


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
    forecasts: tuple[QueueForecast, ...]
    time_zone: str
    minutes: int
    starts: Int64
    mean: Float64
    paths: Float64


def add_up(selection: Selection, *, by: str) -> list[Group]:
    """Add up an evaluated selection, with sample paths, by ``queue``, ``channel`` or ``all``."""
    groups: dict[str, list[int]] = {}
    for i, (forecast, _) in enumerate(selection.queues):
        queue = forecast.queue
        name = {"queue": queue.queue, "channel": queue.channel}.get(by, ALL)
        groups.setdefault(name, []).append(i)
    return [_add_up_group(name, selection, members) for name, members in groups.items()]


def _add_up_group(name: str, selection: Selection, members: list[int]) -> Group:
    """Add some queues of a selection up on the grid of the one with the longest intervals."""
    queues = [selection.queues[i] for i in members]
    paths = [selection.paths.by_queue[i] for i in members]
    zones = {forecast.queue.time_zone for forecast, _ in queues}
    zone = zones.pop() if len(zones) == 1 else "UTC"
    minutes = max(forecast.queue.interval_minutes for forecast, _ in queues)
    slots = [interval_of(forecast.starts[rows], minutes, zone) for forecast, rows in queues]
    starts = np.unique(np.concatenate(slots))
    mean, path_sums = np.zeros(len(starts)), np.zeros((selection.paths.count, len(starts)))
    for (forecast, rows), path_values, slot in zip(queues, paths, slots, strict=True):
        if len(slot):
            at, first = np.unique(np.searchsorted(starts, slot), return_index=True)
            mean[at] += np.add.reduceat(forecast.mean[rows], first)
            path_sums[:, at] += np.add.reduceat(path_values, first, axis=1)
    forecasts = tuple(forecast for forecast, _ in queues)
    return Group(name, forecasts, zone, minutes, starts, mean, path_sums)
