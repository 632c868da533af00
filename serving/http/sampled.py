"""From a selection to its numbers: what-if, then the grid, then sample paths, in that order."""

from __future__ import annotations

from dataclasses import replace

from features.calendar import epoch
from features.errors import InputError
from serving.http.choice import Choice, Drawn
from serving.http.whatif import WhatIfChanges, changed
from serving.models.volume.paths import sample_paths
from serving.models.volume.span import cut
from serving.models.volume.within import split

MOST_SENT = 2_000_000
"""Values of paths in one answer, some 6 bytes each."""
MOST_DRAWN = 5_000_000
"""Values of paths that one answer's totals are read off."""


def evaluate(
    choice: Choice,
    *,
    what_if: WhatIfChanges | None = None,
    interval_minutes: int | None = None,
    path_count: int = 0,
    seed: int = 0,
    most_values: int = MOST_SENT,
) -> Choice:
    """Return a selection after changes, on the grid asked for, with sample paths of the result.

    Without ``interval_minutes`` each queue keeps its own grid; ``most_values`` limits the values
    of the sample paths over all queues and intervals.

    Raises:
        UnknownNameError: A change names an unknown queue or event.
        HorizonError: A change's span is not inside the published one.
        InputError: Factors multiply to too much, a queue's own intervals are shorter, or the
            paths have too many values.
    """
    if what_if is not None:
        choice = changed(choice, what_if)
    if interval_minutes is not None:
        choice = _split(choice, interval_minutes)
    if path_count:
        choice = _sample(choice, count=path_count, seed=seed, most_values=most_values)
    return choice


def _split(choice: Choice, minutes: int) -> Choice:
    queues = []
    for forecast, rows in choice.queues:
        if forecast.queue.interval_minutes == minutes:
            queues.append((forecast, rows))
            continue
        finer = split(cut(forecast, rows), minutes=minutes, made_at=choice.set.made_at)
        queues.append((finer, finer.rows(choice.start, choice.end)))
    return replace(choice, queues=tuple(queues))


def _sample(choice: Choice, *, count: int, seed: int, most_values: int) -> Choice:
    values = choice.intervals * count
    if values > most_values:
        raise InputError(
            "the sample paths",
            got=f"{choice.intervals} intervals x {count} paths = {values} values",
            expected=f"at most {most_values}",
            remedy="ask for fewer paths, fewer queues or a shorter span at once",
            field="paths.count",
        )
    made_at = epoch(choice.set.made_at)
    paths = sample_paths(choice.forecasts(), made_at=made_at, count=count, seed=seed)
    return replace(choice, drawn=Drawn(count, seed, paths))
