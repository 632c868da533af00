"""What was learnt of service as tables: for people, as JSON and as CSV."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from features.terminal import console as terminal
from features.terminal import grid
from training.service.calibrate import Calibration
from training.service.compare import Compared

ALL = "all"
_COLUMNS = (
    "queue", "hour", "contacts", "abandoned", "short_abandoned", "patience_seconds",
    "patience_low_seconds", "patience_high_seconds", "patience_horizon_seconds", "aht_seconds",
    "agents_on_phone", "intervals", "predicted", "achieved", "fitted_efficiency", "efficiency",
    "later_predicted", "later_corrected", "later_achieved", "later_error",
    "later_error_corrected", "note",
)  # fmt: skip


def service_rows(found: Mapping[str, Calibration]) -> Iterator[dict[str, Any]]:
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


def _whole(one: Calibration) -> dict[str, Any]:
    service, patience, compared = one.service, one.patience, one.compared
    row: dict[str, Any] = {
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


def _hour(one: Calibration, compared: Compared, hour: int) -> dict[str, Any]:
    use = compared.hour == hour
    later = use & compared.later
    plain = compared.predicted()
    row: dict[str, Any] = {
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


def service_document(
    found: Mapping[str, Calibration], *, as_of: datetime, days: int
) -> dict[str, Any]:
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
    _print_levels([row for row in rows if row["hour"] == ALL])
    for row in rows:
        if row["hour"] == ALL and row["note"]:
            terminal().print(f"{row['queue']}: {row['note']}", style="yellow", markup=False)
    if by_hour:
        hours = [row for row in rows if row["hour"] != ALL]
        _print_hours(hours)


def _print_waits(rows: list[dict[str, Any]]) -> None:
    numbers = ("contacts", "abandoned", "at once", "patience", "95 %", "up to", "AHT")
    shown = grid("queue", *numbers, numbers=numbers)
    for row in rows:
        low, high = (_seconds(row[f"patience_{end}_seconds"]) for end in ("low", "high"))
        unlimited = row["patience_seconds"] is not None and row["patience_horizon_seconds"] is None
        shown.add_row(
            row["queue"],
            f"{row['contacts']:,}",
            f"{row['abandoned']:,}",
            f"{row['short_abandoned']:,}",
            _seconds(row["patience_seconds"]),
            "-" if low == "-" else f"{low} - {high}",
            "the end" if unlimited else _seconds(row["patience_horizon_seconds"]),
            _seconds(row["aht_seconds"]),
        )
    terminal().print("\nPatience, seconds; `at once`: hang-ups in the first seconds, left out")
    terminal().print(shown)


def _print_levels(rows: list[dict[str, Any]]) -> None:
    numbers = (
        "intervals", "agents", "predicted", "achieved", "efficiency", "later predicted",
        "corrected", "achieved ", "error", "corrected ",
    )  # fmt: skip
    shown = grid("queue", *numbers, numbers=numbers)
    compared = [row for row in rows if row["intervals"]]
    for row in compared:
        shown.add_row(
            row["queue"],
            f"{row['intervals']:,}",
            f"{row['agents_on_phone']:.1f}",
            _percent(row["predicted"]),
            _percent(row["achieved"]),
            f"{row['efficiency']:.2f}",
            _percent(row["later_predicted"]),
            _percent(row["later_corrected"]),
            _percent(row["later_achieved"]),
            _percent(row["later_error"]),
            _percent(row["later_error_corrected"]),
        )
    if compared:
        terminal().print("\nService level, predicted and achieved; the error is by hour of the day")
        terminal().print(shown)


def _print_hours(rows: list[dict[str, Any]]) -> None:
    numbers = (
        "contacts", "agents", "predicted", "achieved", "later predicted", "corrected", "achieved ",
    )  # fmt: skip
    shown = grid("queue", "hour", *numbers, numbers=numbers)
    for row in rows:
        later = (row.get(f"later_{name}") for name in ("predicted", "corrected", "achieved"))
        shown.add_row(
            row["queue"],
            f"{row['hour']:02d}",
            f"{row['contacts']:,}",
            f"{row['agents_on_phone']:.1f}",
            _percent(row["predicted"]),
            _percent(row["achieved"]),
            *(_percent(level) for level in later),
        )
    terminal().print("\nService level by hour of the day on the queues' clocks")
    terminal().print(shown)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
