"""Totals and peaks by group and local day: sums of the forecast and of its sample paths.

A total's mean is the sum of the means; its quantiles are those of the paths' sums, so that totals
over queues, channels and days all belong to one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from features.calendar import Float64, Int64, interval_of, local_times, moment
from serving.http.answers import VOLUME_DECIMALS, envelope, local_texts, rounded, utc_texts
from serving.http.choice import Choice
from serving.http.sampled import Drawn
from serving.http.schemas import TotalsRequest
from serving.sets.forecast import PublishedForecast

ALL = "all"
UTC_DAYS = "its queues keep different clocks, so its days are UTC days"


@dataclass(frozen=True)
class _Member:
    """One queue of a group: its forecast, and the rows and the paths of what is added up."""

    forecast: PublishedForecast
    rows: slice
    paths: Float64


@dataclass(frozen=True)
class _Group:
    """Queues added up on one grid.

    Attributes:
        name: Name of the queue or channel, or ``all``.
        members: Its queues.
        time_zone: The queues' zone; UTC where they have several.
        minutes: Length of the grid's intervals: the longest of the queues'.
        starts: Where they start, epoch seconds, ascending, int64[n].
        mean: Contacts expected, float64[n].
        paths: Contacts by path, float64[count, n].
    """

    name: str
    members: tuple[_Member, ...]
    time_zone: str
    minutes: int
    starts: Int64
    mean: Float64
    paths: Float64

    @property
    def mixed(self) -> bool:
        """Whether its queues keep different clocks."""
        return len({m.forecast.queue.time_zone for m in self.members}) > 1


def totals_json(choice: Choice, *, request: TotalsRequest, drawn: Drawn) -> bytes:
    """Return the JSON answer of a request for totals.

    Args:
        choice: The part of the forecast that it asks for.
        request: The request, validated: its grouping and quantiles.
        drawn: The sample paths of the choice.
    """
    members: dict[str, list[_Member]] = {}
    for (forecast, rows), paths in zip(choice.queues, drawn.paths, strict=True):
        queue = forecast.queue
        name = {"queue": queue.queue, "channel": queue.channel}.get(request.by, ALL)
        members.setdefault(name, []).append(_Member(forecast, rows, paths))
    groups = [_add_up(name, tuple(found)) for name, found in members.items()]
    head = envelope(choice) | {"by": request.by, "paths": drawn.head()}
    return orjson.dumps(head | {"groups": [_answer(g, request.quantiles) for g in groups]})


def _add_up(name: str, members: tuple[_Member, ...]) -> _Group:
    """Add the queues of a group up on the grid of the one with the longest intervals."""
    zones = {m.forecast.queue.time_zone for m in members}
    zone = zones.pop() if len(zones) == 1 else "UTC"
    minutes = max(m.forecast.queue.interval_minutes for m in members)
    slots = [interval_of(m.forecast.starts[m.rows], minutes, zone) for m in members]
    starts = np.unique(np.concatenate(slots))
    mean, paths = np.zeros(len(starts)), np.zeros((len(members[0].paths), len(starts)))
    for member, slot in zip(members, slots, strict=True):
        if len(slot):
            at, first = np.unique(np.searchsorted(starts, slot), return_index=True)
            mean[at] += np.add.reduceat(member.forecast.mean[member.rows], first)
            paths[:, at] += np.add.reduceat(member.paths, first, axis=1)
    return _Group(name, members, zone, minutes, starts, mean, paths)


def _answer(group: _Group, quantiles: Sequence[float]) -> dict[str, Any]:
    day = local_times(group.starts, group.time_zone).day
    days, first = np.unique(day, return_index=True)
    edges = [*first.tolist(), len(day)]
    methods = {m.forecast.method for m in group.members}
    return {
        "group": group.name,
        "queues": [m.forecast.queue.queue for m in group.members],
        "time_zone": group.time_zone,
        "interval_minutes": group.minutes,
        "method": methods.pop() if len(methods) == 1 else "mixed",
        "warnings": _warnings(group),
        "span": _span(group, slice(0, len(day)), quantiles) if len(day) else None,
        "days": [
            {"date": f"{moment(date * 86_400):%Y-%m-%d}"}
            | _span(group, slice(edges[i], edges[i + 1]), quantiles)
            for i, date in enumerate(days.tolist())
        ],
    }


def _warnings(group: _Group) -> list[str]:
    alone = len(group.members) == 1
    found = [
        warning if alone else f"`{m.forecast.queue.queue}`: {warning}"
        for m in group.members
        for warning in m.forecast.warnings
    ]
    return [*found, UTC_DAYS] if group.mixed else found


def _span(group: _Group, rows: slice, quantiles: Sequence[float]) -> dict[str, Any]:
    """Return the total and the peak of some intervals of a group; at least one."""
    mean, paths = group.mean[rows], group.paths[:, rows]
    top = rows.start + int(np.argmax(mean))
    edges = np.array([group.starts[rows.start], group.starts[rows.stop - 1] + group.minutes * 60])
    start, end = utc_texts(edges)
    peak = group.starts[top : top + 1]
    return {
        "start": start,
        "end": end,
        "total": {
            "mean": rounded(mean.sum(), VOLUME_DECIMALS),
            "quantiles": _quantiles(paths.sum(axis=1), quantiles),
        },
        "peak": {
            "start": utc_texts(peak)[0],
            "start_local": local_texts(peak, group.time_zone)[0],
            "mean": rounded(group.mean[top], VOLUME_DECIMALS),
            "quantiles": _quantiles(paths.max(axis=1), quantiles),
        },
    }


def _quantiles(values: Float64, levels: Sequence[float]) -> dict[str, float]:
    """Return quantiles of the paths' values by level.

    >>> _quantiles(np.array([1.0, 2.0, 4.0]), [0.25, 0.5])
    {'0.25': 1.5, '0.5': 2.0}
    """
    found = rounded(np.quantile(values, levels), VOLUME_DECIMALS) if levels else []
    return {f"{level:g}": value for level, value in zip(levels, found, strict=True)}
