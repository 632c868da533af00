"""The record of published forecasts as tables: for people, as JSON and as CSV."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from features.contracts import LEAD_BUCKETS, WEEKDAYS
from features.terminal import console as terminal
from features.terminal import grid
from training.volume.record import Measures, PlannedMeasures, Record
from training.volume.record_sums import FULL, INTRADAY

ALL = "all"
_TITLES = {FULL: "Full forecasts", INTRADAY: "Intraday corrections, today and tomorrow"}


def record_document(record: Record, left_out: Sequence[str]) -> dict[str, Any]:
    """Return the record as JSON-ready values; a ratio of nothing is null."""
    return {
        "as_of": record.as_of.isoformat(),
        "sets": dict(record.sets),
        "left_out": list(left_out),
        "never_seen": list(record.never_seen),
        "rows": list(_rows(record)),
    }


def _rows(record: Record) -> Iterator[dict[str, Any]]:
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


def print_csv(record: Record) -> None:
    """Print one line a kind, queue and lead, then one a kind and hour of the week."""
    writer = csv.DictWriter(sys.stdout, _CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rows(record))


def print_record(record: Record, left_out: Sequence[str], *, by_hour: bool) -> None:
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


def _print_planned(record: Record, kind: str, queues: Sequence[str]) -> None:
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


def _print_hours(record: Record, kind: str) -> None:
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
