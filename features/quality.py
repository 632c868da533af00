"""How complete, timely, linked and clean the lake's rows are, and how that changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

import ibis
import ibis.expr.types as ir

from features.contracts import CUSTOMERS, TABLES, Table
from features.contracts import table as contract_of
from features.engine import DuckDBEngine
from features.engine_protocol import Engine
from features.lake import LOADS, Lake

NOTABLE_CHANGE = 0.1
"""A share that moved by more than this from the loads before to the last one earns a note."""

_HOUR = 3600.0


@dataclass(frozen=True)
class ColumnQuality:
    """How well one column is filled, as shares of rows in [0, 1].

    Attributes:
        column: The column.
        filled: In the newest version of every row.
        last_load: In the rows of the last load that kept any.
        before: In all other rows; None where there is one load only.
    """

    column: str
    filled: float
    last_load: float
    before: float | None


@dataclass(frozen=True)
class DayQuality:
    """The rows that happened on one day (UTC).

    Attributes:
        day: The day.
        rows: How many; 0 for a gap.
        unlinked: Share that names no customer; None where the table names none, or without rows.
        delay_median_hours: From the event until it was available, hours.
        delay_p95_hours: The same, exceeded by one row in twenty.
    """

    day: date
    rows: int
    unlinked: float | None
    delay_median_hours: float | None
    delay_p95_hours: float | None


@dataclass(frozen=True)
class Trend:
    """One measure in the loads before the last one, and in the last.

    Attributes:
        measure: A field of ``TableQuality``.
        before: In the loads before; None without any.
        last: In the last load.
    """

    measure: str
    before: float | None
    last: float | None


@dataclass(frozen=True)
class TableQuality:
    """The quality of one table.

    Attributes:
        table: The table.
        rows: Keys, each in its newest version.
        versions: Stored rows, older versions included.
        first: Day of the first event; None where nothing happens at a time.
        last: Day of the last event.
        empty_days: Days between them without a row.
        unlinked: Share of rows that name no customer.
        unknown_customers: Share of rows that name a customer whom table ``customers`` lacks; None
            where it is empty.
        delay_p95_hours: From event until available, hours, exceeded by one row in twenty.
        repeated: Share of the rows read, over all loads, that were there already.
        quarantined: Share of the rows read, over all loads, that were bad.
        loads: How many loads there were.
        last_load: When the last one was, aware UTC.
        columns: Completeness.
        days: The last days, oldest first, gaps included.
        trends: The last load beside those before.
    """

    table: str
    rows: int
    versions: int
    first: date | None
    last: date | None
    empty_days: int
    unlinked: float | None
    unknown_customers: float | None
    delay_p95_hours: float | None
    repeated: float | None
    quarantined: float | None
    loads: int
    last_load: datetime | None
    columns: tuple[ColumnQuality, ...]
    days: tuple[DayQuality, ...]
    trends: tuple[Trend, ...]


@dataclass(frozen=True)
class Quality:
    """The quality of the lake.

    Attributes:
        tables: Every table that was loaded.
        notes: What deserves a look.
    """

    tables: tuple[TableQuality, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        document: dict[str, Any] = json.loads(json.dumps(asdict(self), default=_iso))
        return document


def measure(lake: Lake, *, tables: Sequence[str] | None = None, days: int = 14) -> Quality:
    """Measure the tables of a lake.

    Args:
        lake: The lake.
        tables: Their names; by default every table that was loaded.
        days: How many days to list, back from each table's last event.

    Raises:
        UnknownNameError: There is no table of a name.
    """
    loads: dict[str, list[dict[str, Any]]] = {}
    rows = sorted(lake.read(LOADS).to_pylist(), key=lambda row: row["loaded_at"])
    for row in rows:
        loads.setdefault(row["table"], []).append(json.loads(row["report"]))
    names = [contract_of(name).name for name in tables] if tables else list(TABLES)
    with DuckDBEngine() as engine:
        customers = engine.scan(lake.files("customers"), CUSTOMERS)
        found = tuple(
            _measure(engine, lake, TABLES[name], customers, loads.get(name, []), days)
            for name in names
            if tables or lake.files(name) or name in loads
        )
    return Quality(found, tuple(note for table in found for note in _notes(table)))


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
        versions=int(engine.arrow(stored.aggregate(n=stored.count()))["n"][0].as_py()),
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


def _shares(engine: Engine, rows: ir.Table, contract: Table) -> dict[str, float | None]:
    """Return the number of rows, the filled share of each column, linkage and delay."""
    measures: dict[str, Any] = {"rows": rows.count()}
    for column in contract.columns:
        measures[f"filled_{column.name}"] = rows[column.name].notnull().cast("float64").mean()
    if "customer_id" in contract.column_names and contract.event_time:
        measures["unlinked"] = rows.customer_id.isnull().cast("float64").mean()
    if contract.event_time:
        measures["delay"] = _delay(rows, contract).quantile(0.95)
    row: dict[str, float | None] = engine.arrow(rows.aggregate(**measures)).to_pylist()[0]
    return row


def _delay(rows: ir.Table, contract: Table) -> Any:
    event = rows[str(contract.event_time)]
    return (rows.available_at.epoch_seconds() - event.epoch_seconds()).cast("float64") / _HOUR


def _columns(
    contract: Table,
    shares: dict[str, float | None],
    in_last: dict[str, float | None],
    before: dict[str, float | None],
) -> tuple[ColumnQuality, ...]:
    names = [name for name in contract.column_names if shares[f"filled_{name}"] is not None]
    return tuple(
        ColumnQuality(
            name,
            shares[f"filled_{name}"] or 0.0,
            in_last[f"filled_{name}"] or 0.0,
            before[f"filled_{name}"],
        )
        for name in names
    )


def _days(engine: Engine, rows: ir.Table, contract: Table) -> list[DayQuality]:
    """Return the days that have rows, in order."""
    if contract.event_time is None:
        return []
    delay = _delay(rows, contract)
    linked = "customer_id" in contract.column_names
    unlinked = rows.customer_id.isnull().cast("float64").mean() if linked else ibis.null("float64")
    grouped = rows.group_by(day=rows[contract.event_time].date()).aggregate(
        rows=rows.count(),
        unlinked=unlinked,
        delay_median_hours=delay.quantile(0.5),
        delay_p95_hours=delay.quantile(0.95),
    )
    return [DayQuality(**row) for row in engine.arrow(grouped.order_by("day")).to_pylist()]


def _listed(found: list[DayQuality], days: int) -> tuple[DayQuality, ...]:
    """Return the last days, with a row for each that is empty."""
    if not found:
        return ()
    known = {day.day.toordinal(): day for day in found}
    last = found[-1].day.toordinal()
    first = max(found[0].day.toordinal(), last - days + 1)
    return tuple(
        known.get(n) or DayQuality(date.fromordinal(n), 0, None, None, None)
        for n in range(first, last + 1)
    )


def _unknown(engine: Engine, rows: ir.Table, contract: Table, customers: ir.Table) -> float | None:
    if contract is CUSTOMERS or "customer_id" not in contract.column_names:
        return None
    if engine.arrow(customers.aggregate(n=customers.count()))["n"][0].as_py() == 0:
        return None
    named = rows.filter(rows.customer_id.notnull())
    strangers = named.anti_join(customers, "customer_id")
    total = engine.arrow(rows.aggregate(n=rows.count()))["n"][0].as_py()
    unknown = engine.arrow(strangers.aggregate(n=strangers.count()))["n"][0].as_py()
    return float(unknown / total) if total else None


def _load_share(loads: Sequence[dict[str, Any]], what: str) -> float | None:
    judged = sum(load["rows_read"] - load["left_out"] for load in loads)
    counts = [load[what] for load in loads]
    total = sum(sum(c.values()) if isinstance(c, dict) else c for c in counts)
    return total / judged if judged else None


def _trends(
    in_last: dict[str, float | None], before: dict[str, float | None], loads: list[dict[str, Any]]
) -> tuple[Trend, ...]:
    found = [
        Trend(name, _load_share(loads[:-1], what), _load_share(loads[-1:], what))
        for name, what in (("repeated", "repeated"), ("quarantined", "quarantined"))
    ]
    for name, key in (("unlinked", "unlinked"), ("delay_p95_hours", "delay")):
        if key in in_last:
            found.append(Trend(name, before[key], in_last[key]))
    return tuple(found)


def _notes(table: TableQuality) -> list[str]:
    notes = []
    if table.empty_days:
        notes.append(f"{table.table}: {table.empty_days:,} days between first and last have no row")
    notes += [
        f"{table.table}: `{column.column}` is filled in {column.last_load:.0%} of the last load's "
        f"rows, in {column.before:.0%} before"
        for column in table.columns
        if column.before is not None and column.before - column.last_load > NOTABLE_CHANGE
    ]
    notes += [
        f"{table.table}: {trend.last:.0%} of the last load's rows {trend.measure}, "
        f"{trend.before:.0%} before"
        for trend in table.trends
        if trend.measure in ("quarantined", "unlinked")
        and trend.last is not None
        and trend.before is not None
        and trend.last - trend.before > NOTABLE_CHANGE
    ]
    return notes


def _iso(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value.isoformat())
