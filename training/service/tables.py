"""What was learnt of service as tables: for people, as JSON and as CSV."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from features.terminal import console as terminal
from features.terminal import grid
from training.service.calibrate import Calibration
from training.service.compare import Compared

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
