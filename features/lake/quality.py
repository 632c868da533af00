"""How complete, timely, linked and clean the lake's rows are, and how that changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import ibis
import ibis.expr.types as ir

from features.contracts.schema import Table
from features.contracts.tables import TABLES
from features.contracts.tables import table as contract_of
from features.engine.duckdb import DuckDBEngine
from features.engine.protocol import Engine
from features.lake.delta import LOADS, Lake
from features.lake.quality_report import ColumnQuality, DayQuality, Quality, TableQuality, Trend

NOTABLE_CHANGE = 0.1
"""A share that moved by more than this from the loads before to the last one earns a note."""

_HOUR = 3600.0


def measure(lake: Lake, *, tables: Sequence[str] | None = None, days: int = 14) -> Quality:
    """Measure tables of a lake, by default every one that was loaded.

    ``days`` says how many days to list, back from each table's last event.

    Raises:
        UnknownNameError: There is no table of a name.
    """
    loads: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(lake.read(LOADS).to_pylist(), key=lambda row: row["loaded_at"]):
        loads.setdefault(row["table"], []).append(json.loads(row["report"]))
    names = [contract_of(name).name for name in tables] if tables else list(TABLES)
    with DuckDBEngine() as engine:
        customers = engine.scan(lake.files("customers"), TABLES["customers"])
        measured = tuple(
            _measure(engine, lake, TABLES[name], customers, loads.get(name, []), days)
            for name in names
            if tables or lake.files(name) or name in loads
        )
    return Quality(measured, tuple(note for table in measured for note in _notes(table)))


def _measure(
    engine: Engine,
    lake: Lake,
    contract: Table,
    customers: ir.Table,
    loads: list[dict[str, Any]],
    days: int,
) -> TableQuality:
    stored = engine.scan(lake.files(contract.name), contract)
    newest = stored.filter(stored.superseded_at.isnull())
    last = next((load["load_id"] for load in reversed(loads) if load["kept"]), "")
    is_last = newest.load_id == last
    shares = _shares(engine, newest, contract)
    in_last = _shares(engine, newest.filter(is_last), contract)
    before = _shares(engine, newest.filter(~is_last), contract)
    by_day = _days(engine, newest, contract)
    events = [day.day for day in by_day]
    return TableQuality(
        table=contract.name,
        rows=int(shares["rows"] or 0),
        versions=_count(engine, stored),
        first=events[0] if events else None,
        last=events[-1] if events else None,
        empty_days=(events[-1] - events[0]).days + 1 - len(events) if events else 0,
        unlinked=shares.get("unlinked"),
        unknown_customers=_unknown(engine, newest, contract, customers),
        delay_p95_hours=shares.get("delay"),
        repeated=_load_share(loads, "repeated"),
        quarantined=_load_share(loads, "quarantined"),
        loads=len(loads),
        last_load=datetime.fromisoformat(loads[-1]["loaded_at"]) if loads else None,
        columns=_columns(contract, shares, in_last, before),
        days=_listed(by_day, days),
        trends=_trends(in_last, before, loads),
    )


def _count(engine: Engine, rows: ir.Table) -> int:
    return int(engine.arrow(rows.aggregate(n=rows.count()))["n"][0].as_py())


def _unlinked(rows: ir.Table, contract: Table) -> Any:
    customer = contract.reference("customers")
    return rows[customer.name].isnull().cast("float64").mean() if customer else None


def _shares(engine: Engine, rows: ir.Table, contract: Table) -> dict[str, float | None]:
    """Return the number of rows, the filled share of each column, linkage and delay."""
    measures: dict[str, Any] = {"rows": rows.count()}
    for name in contract.column_names:
        measures[f"filled_{name}"] = rows[name].notnull().cast("float64").mean()
    if contract.event_time:
        if (unlinked := _unlinked(rows, contract)) is not None:
            measures["unlinked"] = unlinked
        measures["delay"] = _delay_hours(rows, contract).quantile(0.95)
    row: dict[str, float | None] = engine.arrow(rows.aggregate(**measures)).to_pylist()[0]
    return row


def _delay_hours(rows: ir.Table, contract: Table) -> Any:
    event = rows[str(contract.event_time)]
    return (rows.available_at.epoch_seconds() - event.epoch_seconds()).cast("float64") / _HOUR


def _columns(
    contract: Table,
    shares: dict[str, float | None],
    in_last: dict[str, float | None],
    before: dict[str, float | None],
) -> tuple[ColumnQuality, ...]:
    keys = {name: f"filled_{name}" for name in contract.column_names}
    return tuple(
        ColumnQuality(name, filled, in_last[key] or 0.0, before[key])
        for name, key in keys.items()
        if (filled := shares[key]) is not None
    )


def _days(engine: Engine, rows: ir.Table, contract: Table) -> list[DayQuality]:
    """Return the days that have rows, in order."""
    if contract.event_time is None:
        return []
    delay, unlinked = _delay_hours(rows, contract), _unlinked(rows, contract)
    grouped = rows.group_by(day=rows[contract.event_time].date()).aggregate(
        rows=rows.count(),
        unlinked=ibis.null("float64") if unlinked is None else unlinked,
        delay_median_hours=delay.quantile(0.5),
        delay_p95_hours=delay.quantile(0.95),
    )
    return [DayQuality(**row) for row in engine.arrow(grouped.order_by("day")).to_pylist()]


def _listed(filled: list[DayQuality], days: int) -> tuple[DayQuality, ...]:
    """Return the last days, with a row for each that is empty."""
    if not filled:
        return ()
    known = {day.day.toordinal(): day for day in filled}
    last = filled[-1].day.toordinal()
    first = max(filled[0].day.toordinal(), last - days + 1)
    return tuple(
        known.get(n) or DayQuality(date.fromordinal(n), 0, None, None, None)
        for n in range(first, last + 1)
    )


def _unknown(engine: Engine, rows: ir.Table, contract: Table, customers: ir.Table) -> float | None:
    customer = contract.reference("customers")
    if contract.name == "customers" or customer is None or not _count(engine, customers):
        return None
    named = rows.filter(rows[customer.name].notnull())
    strangers = named.anti_join(customers, [(customer.name, TABLES["customers"].key[0])])
    total = _count(engine, rows)
    return _count(engine, strangers) / total if total else None


def _load_share(loads: Sequence[dict[str, Any]], what: str) -> float | None:
    judged = sum(load["rows_read"] - load["left_out"] for load in loads)
    counts = [load[what] for load in loads]
    total = sum(sum(c.values()) if isinstance(c, dict) else c for c in counts)
    return total / judged if judged else None


def _trends(
    in_last: dict[str, float | None], before: dict[str, float | None], loads: list[dict[str, Any]]
) -> tuple[Trend, ...]:
    return (
        *(
            Trend(name, _load_share(loads[:-1], name), _load_share(loads[-1:], name))
            for name in ("repeated", "quarantined")
        ),
        *(
            Trend(name, before[key], in_last[key])
            for name, key in (("unlinked", "unlinked"), ("delay_p95_hours", "delay"))
            if key in in_last
        ),
    )


def _notes(table: TableQuality) -> list[str]:
    notes = []
    if table.empty_days:
        notes.append(f"{table.empty_days:,} days between first and last have no row")
    notes += [
        f"`{column.column}` is filled in {column.last_load:.0%} of the last load's rows, in "
        f"{column.before:.0%} before"
        for column in table.columns
        if column.before is not None and column.before - column.last_load > NOTABLE_CHANGE
    ]
    notes += [
        f"{trend.last:.0%} of the last load's rows {trend.measure}, {trend.before:.0%} before"
        for trend in table.trends
        if trend.measure in ("quarantined", "unlinked")
        and trend.last is not None
        and trend.before is not None
        and trend.last - trend.before > NOTABLE_CHANGE
    ]
    return [f"{table.table}: {note}" for note in notes]
