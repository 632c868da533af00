"""The record of published forecasts as tables, CSV, JSON and a picture."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure

from features.arrays import Float64
from features.calendar.clock import WEEKDAYS
from features.console import console as terminal
from features.console import grid
from features.errors import InputError
from serving.models.volume.distribution import LEAD_BUCKETS
from training.watch.accuracy import FULL, INTRADAY, AccuracyRecord, Measures, PlannedMeasures

ALL = "all"
_TITLES = {FULL: "Full forecasts", INTRADAY: "Intraday corrections, today and tomorrow"}


def record_document(record: AccuracyRecord, left_out: Sequence[str]) -> dict[str, Any]:
    """Return the record as JSON-ready values; a ratio of nothing is null."""
    return {
        "as_of": record.as_of.isoformat(),
        "sets": dict(record.sets),
        "left_out": list(left_out),
        "never_seen": list(record.never_seen),
        "rows": list(_rows(record)),
    }


def _rows(record: AccuracyRecord) -> Iterator[dict[str, Any]]:
    """Yield one flat row a kind, queue and lead, then one a kind and hour of the week."""
    for kind in _TITLES:
        for queue in (None, *record.queues(kind)):
            for lead in (None, *range(len(LEAD_BUCKETS))):
                found = record.measures(kind, queue=queue, lead=lead)
                if found.intervals:
                    where = {
                        "kind": kind,
                        "queue": queue or ALL,
                        "lead": ALL if lead is None else LEAD_BUCKETS[lead][2],
                        "weekday": ALL,
                        "hour": ALL,
                    }
                    planned = record.planned(kind, queue=queue, lead=lead)
                    yield {**where, **_figures(found), **_planned_figures(planned)}
        for weekday, hours in zip(WEEKDAYS, record.by_hour(kind), strict=True):
            for hour, found in enumerate(hours):
                if found.intervals:
                    where = {"kind": kind, "queue": ALL, "lead": ALL}
                    yield {**where, "weekday": weekday, "hour": hour, **_figures(found)}


def _figures(found: Measures) -> dict[str, float | None]:
    return {name: _number(v) for name, v in {**asdict(found), "skill": found.skill}.items()}


def _planned_figures(found: PlannedMeasures) -> dict[str, float | None]:
    if found.intervals == 0:
        return {"overridden_intervals": 0}
    return {
        "overridden_intervals": found.intervals,
        "overridden_contacts": found.contacts,
        "overridden_wape_override": _number(found.wape_override),
        "overridden_bias_override": _number(found.bias_override),
        "overridden_wape": _number(found.wape),
        "overridden_wape_baseline": _number(found.wape_baseline),
        "overridden_gain": _number(found.gain),
        "overridden_gain_contacts": _number(found.gain_contacts),
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


_CSV_COLUMNS = (
    "kind", "queue", "lead", "weekday", "hour", "intervals", "contacts", "wape", "bias", "pinball",
    "coverage_80", "wape_baseline", "skill", "overridden_intervals", "overridden_contacts",
    "overridden_wape_override", "overridden_bias_override", "overridden_wape",
    "overridden_wape_baseline", "overridden_gain", "overridden_gain_contacts",
)  # fmt: skip


def print_csv(record: AccuracyRecord) -> None:
    """Print one line a kind, queue and lead, then one a kind and hour of the week."""
    writer = csv.DictWriter(sys.stdout, _CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rows(record))


def print_record(record: AccuracyRecord, left_out: Sequence[str], *, by_hour: bool) -> None:
    """Print the record for people.

    Args:
        by_hour: Whether to print WAPE and bias by hour of the week as well.
    """
    console = terminal()
    counts = ", ".join(f"{count:,} {kind}" for kind, count in record.sets.items())
    console.print(
        f"Published forecasts beside what came until {record.as_of:%Y-%m-%d %H:%M} UTC\n"
        f"Sets read: {counts}"
    )
    for sentence in (
        *left_out,
        *(f"queue `{name}` was forecast, and nothing is known of it" for name in record.never_seen),
    ):
        console.print(f"warning: {sentence}", style="yellow", markup=False)
    for kind, title in _TITLES.items():
        queues = record.queues(kind)
        if not queues:
            continue
        _print_measures(
            f"{title}, by queue",
            [
                ("all queues", record.measures(kind)),
                *((name, record.measures(kind, queue=name)) for name in queues),
            ],
        )
        _print_measures(
            f"{title}, by lead",
            [
                (label, record.measures(kind, lead=lead))
                for lead, (_, _, label) in enumerate(LEAD_BUCKETS)
            ],
        )
        _print_planned(record, kind, queues)
        if by_hour:
            _print_hours(record, kind)


def _print_measures(title: str, rows: Sequence[tuple[str, Measures]]) -> None:
    numbers = (
        "intervals", "contacts", "WAPE", "baseline", "better by", "bias", "pinball", "80 % band",
    )  # fmt: skip
    shown = grid("", *numbers, numbers=numbers)
    for name, found in rows:
        if found.intervals:
            shown.add_row(
                name,
                f"{found.intervals:,}",
                f"{found.contacts:,.0f}",
                _percent(found.wape),
                _percent(found.wape_baseline),
                _percent(found.skill),
                _signed(found.bias),
                _percent(found.pinball),
                _percent(found.coverage_80),
            )
    terminal().print(f"\n{title}")
    terminal().print(shown)


def _print_planned(record: AccuracyRecord, kind: str, queues: Sequence[str]) -> None:
    found = [(name, record.planned(kind, queue=name)) for name in queues]
    found = [(name, planned) for name, planned in found if planned.intervals]
    if not found:
        return
    numbers = (
        "intervals", "contacts", "override", "its bias", "forecast", "baseline", "added",
        "in contacts",
    )  # fmt: skip
    shown = grid("WAPE where a planner overrode", *numbers, numbers=numbers)
    for name, planned in [("all queues", record.planned(kind)), *found]:
        shown.add_row(
            name,
            f"{planned.intervals:,}",
            f"{planned.contacts:,.0f}",
            _percent(planned.wape_override),
            _signed(planned.bias_override),
            _percent(planned.wape),
            _percent(planned.wape_baseline),
            _signed(planned.gain),
            "-" if math.isnan(planned.gain) else f"{planned.gain_contacts:+,.0f}",
        )
    terminal().print(shown)


def _print_hours(record: AccuracyRecord, kind: str) -> None:
    days = tuple(day.capitalize() for day in WEEKDAYS)
    week = record.by_hour(kind)
    for title, pick in (("WAPE, %", _whole("wape")), ("bias, %", _whole("bias"))):
        shown = grid("hour", *days, numbers=days)
        for hour in range(24):
            shown.add_row(f"{hour:02d}", *(pick(week[day][hour]) for day in range(7)))
        terminal().print(f"\n{_TITLES[kind]}, by hour of the week on the queues' clocks: {title}")
        terminal().print(shown)


def _whole(name: str) -> Callable[[Measures], str]:
    def show(found: Measures) -> str:
        value: float = getattr(found, name)
        return "" if math.isnan(value) else f"{100 * value:{'+' if name == 'bias' else ''}.0f}"

    return show


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1%}"


def _signed(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.1%}"


_HOURS = range(0, 24, 3)


def draw_record(record: AccuracyRecord, path: Path) -> None:
    """Write heat maps of WAPE and bias by hour of the week as a PNG.

    Raises:
        InputError: The name does not end in ``.png``.
    """
    if path.suffix.lower() != ".png":
        raise InputError("`--figure`", got=f"`{path}`", expected="a name that ends in .png")
    record_figure(record).savefig(path, dpi=120)


def record_figure(record: AccuracyRecord) -> Figure:
    """Return heat maps of WAPE and bias, days down and hours across."""
    week = record.by_hour(FULL if record.queues(FULL) else INTRADAY)
    figure = Figure(figsize=(11, 5.6), layout="constrained")
    figure.suptitle("Where in the week published forecasts miss", x=0.01, ha="left")
    wape, bias = _values(week, "wape"), _values(week, "bias")
    # One hour with a contact or two may miss by 500 %; it must not bleach all others.
    highest = _high(wape)
    widest = _high(np.abs(bias))
    for axis, values, norm, colours, label in zip(
        figure.subplots(2, 1, sharex=True),
        (wape, bias),
        (Normalize(0, highest), TwoSlopeNorm(0, -widest, widest)),
        ("YlGnBu", "RdBu_r"),
        ("missed / all contacts (WAPE), %", "too high (+) or too low (-), %"),
        strict=True,
    ):
        image = axis.imshow(values, aspect="auto", cmap=colours, norm=norm)
        axis.set_yticks(range(7), [day.capitalize() for day in WEEKDAYS])
        axis.set_facecolor("#eeeeee")
        figure.colorbar(image, ax=axis, label=label, extend="max" if norm.vmin == 0 else "both")
    axis.set_xticks(_HOURS, [f"{hour:02d}" for hour in _HOURS])
    axis.set_xlabel("hour on the queue's clock; grey: nothing to judge")
    return figure


def _values(week: Sequence[Sequence[Measures]], name: str) -> Float64:
    return 100 * np.array([[getattr(found, name) for found in day] for day in week], np.float64)


def _high(values: Float64) -> float:
    known = values[~np.isnan(values)]
    return max(float(np.percentile(known, 95)), 1.0) if len(known) else 100.0
