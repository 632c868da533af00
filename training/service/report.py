"""Patience and service as tables, CSV, JSON and a picture."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from features.arrays import Float64
from features.console import console as terminal
from features.console import grid
from training.service.calibration import Calibration
from training.service.comparison import Compared

ALL = "all"
_Row = dict[str, Any]
_COLUMNS = (
    "queue", "hour", "contacts", "abandoned", "short_abandoned", "patience_seconds",
    "patience_low_seconds", "patience_high_seconds", "patience_horizon_seconds", "aht_seconds",
    "agents_on_phone", "intervals", "predicted", "achieved", "fitted_efficiency", "efficiency",
    "later_predicted", "later_corrected", "later_achieved", "later_error",
    "later_error_corrected", "note",
)  # fmt: skip


def service_rows(found: Mapping[str, Calibration]) -> Iterator[_Row]:
    """Yield one flat row a queue, then one a queue and hour of the day; what is not known is null.

    Service levels, shares and errors lie in [0, 1]. ``later_`` is what no efficiency was learnt
    from; its errors are those of the hours of the day, weighted by contacts.
    """
    for name, one in found.items():
        yield {"queue": name, "hour": ALL, **_whole(one)}
    for name, one in found.items():
        if one.compared is not None:
            for hour in np.unique(one.compared.hour).tolist():
                yield {"queue": name, "hour": hour, **_hour(one, one.compared, hour)}


def _whole(one: Calibration) -> _Row:
    service, patience, compared = one.service, one.patience, one.compared
    row: _Row = {
        "contacts": service.contacts,
        "abandoned": service.abandoned,
        "short_abandoned": one.short,
        "patience_seconds": patience and patience.mean_seconds,
        "patience_low_seconds": patience and patience.low_seconds,
        "patience_high_seconds": patience and patience.high_seconds,
        "patience_horizon_seconds": patience and _number(patience.horizon_seconds),
        "aht_seconds": _number(one.aht_seconds),
        "note": one.why,
    }
    if compared is None:
        return row | {"intervals": 0, "efficiency": service.efficiency}
    plain, corrected = compared.predicted(), compared.predicted(service.efficiency)
    return row | {
        "agents_on_phone": compared.mean(compared.agents),
        "intervals": service.intervals,
        "predicted": service.predicted,
        "achieved": service.achieved,
        "fitted_efficiency": one.efficiency,
        "efficiency": service.efficiency,
        "later_predicted": compared.mean(plain, compared.later),
        "later_corrected": service.corrected,
        "later_achieved": service.corrected_achieved,
        "later_error": compared.error(plain),
        "later_error_corrected": compared.error(corrected),
    }


def _hour(one: Calibration, compared: Compared, hour: int) -> _Row:
    use = compared.hour == hour
    later = use & compared.later
    plain = compared.predicted()
    row: _Row = {
        "contacts": int(compared.contacts[use].sum()),
        "agents_on_phone": compared.mean(compared.agents, use),
        "intervals": int(use.sum()),
        "predicted": compared.mean(plain, use),
        "achieved": compared.mean(compared.achieved, use),
        "efficiency": one.service.efficiency,
    }
    if not later.any():
        return row
    return row | {
        "later_predicted": compared.mean(plain, later),
        "later_corrected": compared.mean(compared.predicted(one.service.efficiency), later),
        "later_achieved": compared.mean(compared.achieved, later),
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def service_table(found: Mapping[str, Calibration]) -> pd.DataFrame:
    """Return the rows of ``service_rows``; no row, but all columns, where nothing was learnt."""
    return pd.DataFrame(list(service_rows(found)), columns=list(_COLUMNS))


def service_document(found: Mapping[str, Calibration], *, as_of: datetime, days: int) -> _Row:
    """Return what was learnt as JSON-ready values."""
    return {"as_of": as_of.isoformat(), "days": days, "rows": list(service_rows(found))}


def print_csv(found: Mapping[str, Calibration]) -> None:
    """Print one line a queue, then one a queue and hour of the day."""
    writer = csv.DictWriter(sys.stdout, _COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(service_rows(found))


def print_service(
    found: Mapping[str, Calibration], *, as_of: datetime, days: int, by_hour: bool
) -> None:
    """Print what was learnt for people."""
    rows = list(service_rows(found))
    terminal().print(f"Contacts of {days} days known at {as_of:%Y-%m-%d %H:%M} UTC")
    _print_waits([row for row in rows if row["hour"] == ALL])
    _print_levels([row for row in rows if row["hour"] == ALL and row["intervals"]])
    for row in rows:
        if row["hour"] == ALL and row["note"]:
            terminal().print(f"{row['queue']}: {row['note']}", style="yellow", markup=False)
    if by_hour:
        _print_hours([row for row in rows if row["hour"] != ALL])


def _print_waits(rows: Sequence[_Row]) -> None:
    told = []
    for row in rows:
        low, high = (_cell("_seconds", row[f"patience_{end}_seconds"]) for end in ("low", "high"))
        unlimited = row["patience_seconds"] is not None and row["patience_horizon_seconds"] is None
        horizon = "the end" if unlimited else row["patience_horizon_seconds"]
        interval = "-" if low == "-" else f"{low} - {high}"
        told.append({**row, "interval": interval, "horizon_seconds": horizon})
    titles = {
        "contacts": "contacts",
        "abandoned": "abandoned",
        "at once": "short_abandoned",
        "patience": "patience_seconds",
        "95 %": "interval",
        "up to": "horizon_seconds",
        "AHT": "aht_seconds",
    }
    _print_rows(
        "Patience, seconds; `at once`: hang-ups in the first seconds, left out", told, titles
    )


def _print_levels(rows: Sequence[_Row]) -> None:
    titles = {
        "intervals": "intervals",
        **_LEVELS,
        "efficiency": "efficiency",
        **_LATER,
        "error": "later_error",
        "corrected ": "later_error_corrected",
    }
    if rows:
        title = "Service level, predicted and achieved; the error is by hour of the day"
        _print_rows(title, rows, titles)


def _print_hours(rows: Sequence[_Row]) -> None:
    titles = {"hour": "hour", "contacts": "contacts", **_LEVELS, **_LATER}
    _print_rows("Service level by hour of the day on the queues' clocks", rows, titles)


_LEVELS = {"agents": "agents_on_phone", "predicted": "predicted", "achieved": "achieved"}
_LATER = {
    "later predicted": "later_predicted",
    "corrected": "later_corrected",
    "achieved ": "later_achieved",
}


def _print_rows(title: str, rows: Sequence[_Row], keys: Mapping[str, str]) -> None:
    """Print each row's queue and the values of some keys, by the titles of their columns."""
    shown = grid("queue", *keys, numbers=keys.keys() - {"hour"})
    for row in rows:
        shown.add_row(row["queue"], *(_cell(key, row.get(key)) for key in keys.values()))
    terminal().print(f"\n{title}")
    terminal().print(shown)


_CELLS = {"agents_on_phone": ".1f", "efficiency": ".2f", "hour": "02d"}


def _cell(key: str, value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or "-"
    if key.endswith("_seconds"):
        return f"{value:,.0f}"
    return format(value, _CELLS.get(key, ",d" if isinstance(value, int) else ".1%"))


_MOST_QUEUES = 6
_BEFORE, _AFTER, _SOFT = "#d55e00", "#0072b2", "#8a8f98"
"""Vermilion and blue, which colour-blind readers tell apart."""
_LARGEST = 260.0
_LEAST_WAITING = 10


def service_figure(found: Mapping[str, Calibration]) -> Figure:
    """Return one column a queue: service levels by hour of the day above, patience below."""
    names = sorted(found, key=lambda name: -found[name].service.contacts)[:_MOST_QUEUES]
    figure = Figure(figsize=(2.4 + 2.6 * len(names), 6.6), layout="constrained")
    figure.suptitle(
        "Predicted and achieved service level by hour of the day, and patience", x=0.01, ha="left"
    )
    axes = figure.subplots(2, len(names), squeeze=False, sharey="row")
    for above, below, name in zip(axes[0], axes[1], names, strict=True):
        _draw_levels(above, found[name])
        _draw_patience(below, found[name])
        above.set_title(f"{name}: {found[name].service.contacts:,} contacts", fontsize=10)
    axes[0, 0].set_ylabel("achieved, % of the contacts of an hour")
    axes[1, 0].set_ylabel("would wait longer, %")
    for row in axes:
        handles = [axis.get_legend_handles_labels() for axis in row]
        most = max(handles, key=lambda pair: len(pair[0]))
        if most[0]:
            row[-1].legend(*most, fontsize=8, frameon=False, loc="best")
    return figure


def _draw_levels(axis: Axes, one: Calibration) -> None:
    axis.plot([0, 100], [0, 100], color=_SOFT, lw=1, ls="--")
    axis.set(xlim=(0, 102), ylim=(0, 102), xlabel="predicted, % (later third of the days)")
    axis.spines[["top", "right"]].set_visible(False)
    compared = one.compared
    if compared is None:
        axis.text(50, 55, "not compared", ha="center", color=_SOFT, fontsize=9)
        return
    kept = one.service.efficiency
    sizes = np.bincount(
        compared.hour[compared.later], compared.contacts[compared.later], 24
    ).astype(np.float64)
    _dots(axis, compared, 1.0, sizes, colour="none", edge=_BEFORE, label="as it is")
    if kept != 1:
        label = "with the efficiency"
        _dots(axis, compared, kept, sizes, colour=_AFTER, edge="white", label=label)
        axis.text(3, 96, f"efficiency {kept:.2f}", fontsize=8, va="top")


def _dots(
    axis: Axes,
    compared: Compared,
    efficiency: float,
    sizes: Float64,
    *,
    colour: str,
    edge: str,
    label: str,
) -> None:
    predicted = compared.predicted(efficiency)
    hours = np.unique(compared.hour[compared.later])
    points = np.array(
        [
            [compared.mean(levels, compared.later & (compared.hour == hour)) for hour in hours]
            for levels in (predicted, compared.achieved)
        ]
    )
    area = np.maximum(_LARGEST * sizes[hours] / sizes.max(), 8.0)
    axis.scatter(
        100 * points[0], 100 * points[1], s=area, c=colour, edgecolors=edge, lw=1.2, label=label
    )


def _draw_patience(axis: Axes, one: Calibration) -> None:
    axis.set(ylim=(0, 102), xlabel="waited, seconds")
    axis.spines[["top", "right"]].set_visible(False)
    if len(one.survival.seconds) == 0:
        axis.text(0.5, 0.5, "nobody hung up", ha="center", transform=axis.transAxes, color=_SOFT)
        return
    # Where few still wait, one who goes takes a cliff out of the curve.
    many = one.survival.waiting >= _LEAST_WAITING
    seconds = np.r_[0.0, one.survival.seconds[many]]
    share = 100 * np.r_[1.0, one.survival.share[many]]
    axis.step(seconds, share, where="post", color=_BEFORE, lw=1.6, label="seen (Kaplan-Meier)")
    if one.patience is not None:
        mean = one.patience.mean_seconds
        at = np.linspace(0, seconds[-1], 200)
        label = "exponential"
        axis.plot(at, 100 * np.exp(-at / mean), color=_AFTER, lw=1.4, ls="-.", label=label)
        axis.text(0.97, 0.95, f"mean {mean:,.0f} s", ha="right", va="top", transform=axis.transAxes)
        if one.patience.horizon_seconds < seconds[-1]:
            axis.axvline(one.patience.horizon_seconds, color=_SOFT, lw=0.8, ls=":")
