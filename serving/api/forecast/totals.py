"""Totals and peaks by group and local day, as JSON: means added up, quantiles of path sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from features.arrays import Float64
from features.calendar.clock import from_epoch, local_texts, local_times
from serving.api.content import to_json
from serving.api.forecast.render import VOLUME_DECIMALS, envelope, rounded
from serving.forecast.query import Group
from serving.forecast.selection import Selection

UTC_DAYS = "its queues keep different clocks, so its days are UTC days"


def totals_json(
    selection: Selection, groups: Sequence[Group], *, by: str, quantiles: Sequence[float]
) -> bytes:
    """Return totals, with quantiles at some levels, as JSON."""
    paths = selection.paths
    head = envelope(selection) | {"by": by, "paths": {"count": paths.count, "seed": paths.seed}}
    return to_json(head | {"groups": [_group_json(group, quantiles) for group in groups]})


def _group_json(group: Group, quantiles: Sequence[float]) -> dict[str, Any]:
    day = local_times(group.starts, group.time_zone).day
    days, first = np.unique(day, return_index=True)
    edges = [*first.tolist(), len(day)]
    methods = {forecast.method for forecast in group.forecasts}
    return {
        "group": group.name,
        "queues": [forecast.queue.queue for forecast in group.forecasts],
        "time_zone": group.time_zone,
        "interval_minutes": group.minutes,
        "method": methods.pop() if len(methods) == 1 else "mixed",
        "warnings": _group_warnings(group),
        "span": _span_totals(group, slice(0, len(day)), quantiles) if len(day) else None,
        "days": [
            {"date": from_epoch(date * 86_400).date()}
            | _span_totals(group, slice(edges[i], edges[i + 1]), quantiles)
            for i, date in enumerate(days.tolist())
        ],
    }


def _group_warnings(group: Group) -> list[str]:
    forecasts = group.forecasts
    warnings = [
        warning if len(forecasts) == 1 else f"`{forecast.queue.queue}`: {warning}"
        for forecast in forecasts
        for warning in forecast.warnings
    ]
    mixed = len({forecast.queue.time_zone for forecast in forecasts}) > 1
    return [*warnings, UTC_DAYS] if mixed else warnings


def _span_totals(group: Group, rows: slice, quantiles: Sequence[float]) -> dict[str, Any]:
    """Return the total and the peak of at least one interval of a group."""
    starts, mean, paths = group.starts[rows], group.mean[rows], group.paths[:, rows]
    top = int(np.argmax(mean))
    return {
        "start": from_epoch(starts[0]),
        "end": from_epoch(starts[-1] + group.minutes * 60),
        "total": {
            "mean": rounded(mean.sum(), VOLUME_DECIMALS),
            "quantiles": _path_quantiles(paths.sum(axis=1), quantiles),
        },
        "peak": {
            "start": from_epoch(starts[top]),
            "start_local": local_texts(starts[top : top + 1], group.time_zone)[0],
            "mean": rounded(mean[top], VOLUME_DECIMALS),
            "quantiles": _path_quantiles(paths.max(axis=1), quantiles),
        },
    }


def _path_quantiles(values: Float64, levels: Sequence[float]) -> dict[str, float]:
    """Return quantiles of the paths' values by level.

    >>> _path_quantiles(np.array([1.0, 2.0, 4.0]), [0.25, 0.5])
    {'0.25': 1.5, '0.5': 2.0}
    """
    quantiles = rounded(np.quantile(values, levels), VOLUME_DECIMALS) if levels else []
    return {f"{level:g}": value for level, value in zip(levels, quantiles, strict=True)}
