"""How complete, timely, linked and clean the lake's rows are, and how that changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

import ibis
import ibis.expr.types as ir

from features.console import console as terminal
from features.console import grid
from features.contracts.schema import Table
from features.contracts.tables import TABLES
from features.contracts.tables import table as contract_of
from features.engine.duckdb import DuckDBEngine
from features.engine.protocol import Engine
from features.lake.delta import LOADS, Lake

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


@dataclass(frozen=True)
class ColumnQuality:
    """How well one column is filled, as shares of rows in [0, 1].

    Attributes:
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
        rows: 0 for a gap.
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
    """One measure, a field of ``TableQuality``, in the loads before the last, and in the last."""

    measure: str
    before: float | None
    last: float | None


@dataclass(frozen=True)
class TableQuality:
    """The quality of one table.

    Attributes:
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
        last_load: When the last load was, aware UTC.
        days: The last days, oldest first, gaps included.
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
    """The quality of every table that was loaded, and notes on what deserves a look."""

    tables: tuple[TableQuality, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        document: dict[str, Any] = json.loads(json.dumps(asdict(self), default=_iso))
        return document


def _iso(value: date) -> str:
    return (value.astimezone(UTC) if isinstance(value, datetime) else value).isoformat()


def print_quality(quality: Quality) -> None:
    """Print a summary, then completeness by column, days, and what changed, table by table."""
    _print("The lake", _SIZES, [_sizes(table) for table in quality.tables])
    title = "Its health: shares of rows; delay from the event until 95 % of rows were known"
    _print(title, _SHARES, [_share_words(table) for table in quality.tables])
    for note in quality.notes:
        terminal().print(f"note: {note}", style="yellow", markup=False)
    for table in quality.tables:
        columns = [
            (c.column, _share(c.filled), _share(c.last_load), _points(c.last_load, c.before))
            for c in table.columns
        ]
        _print(f"\n{table.table}: share filled", _COLUMNS, columns)
        if table.days:
            _print(f"{table.table}: days", _DAYS, [_day(day) for day in table.days])
        if table.trends:
            titles = ("measure", "loads before", "last load")
            _print(f"{table.table}: trend", titles, [_trend(trend) for trend in table.trends])


def _print(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    shown = grid(*columns, numbers=columns[1:])
    for row in rows:
        shown.add_row(*row)
    console = terminal()
    console.print(title, markup=False)
    console.print(shown)


_SIZES = ("table", "rows", "versions", "first", "last", "empty days")
_SHARES = ("table", "no customer", "unknown customer", "delay, 95 %", "repeated", "quarantined")
_COLUMNS = ("column", "filled", "last load", "change, points")
_DAYS = ("day (UTC)", "rows", "no customer", "delay, median", "delay, 95 %")
_TRENDS = {"unlinked": "no customer", "delay_p95_hours": "delay, 95 %"}


def _sizes(table: TableQuality) -> tuple[str, ...]:
    span = [f"{day:%Y-%m-%d}" if day else "-" for day in (table.first, table.last)]
    counts = (table.rows, table.versions, table.empty_days)
    rows, versions, empty = (f"{count:,}" for count in counts)
    return (table.table, rows, versions, *span, empty)


def _share_words(table: TableQuality) -> tuple[str, ...]:
    return (
        table.table,
        _share(table.unlinked),
        _share(table.unknown_customers),
        _delay(table.delay_p95_hours),
        _share(table.repeated),
        _share(table.quarantined),
    )


def _day(day: DayQuality) -> tuple[str, ...]:
    delays = (_delay(day.delay_median_hours), _delay(day.delay_p95_hours))
    return (f"{day.day:%a %Y-%m-%d}", f"{day.rows:,}", _share(day.unlinked), *delays)


def _trend(trend: Trend) -> tuple[str, ...]:
    show = _delay if trend.measure == "delay_p95_hours" else _share
    return (_TRENDS.get(trend.measure, trend.measure), show(trend.before), show(trend.last))


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _points(value: float | None, before: float | None) -> str:
    return "-" if value is None or before is None else f"{100 * (value - before):+.1f}"


def _delay(hours: float | None) -> str:
    """Show a delay; a negative one belongs to what is known before it happens.

    >>> _delay(7.51), _delay(0.1), _delay(-48.0), _delay(255.0)
    ('7.5 h', '6 min', '2 d ahead', '11 d')
    """
    if hours is None:
        return "-"
    ahead = " ahead" if hours < 0 else ""
    size = abs(hours)
    if size >= 48:
        return f"{size / 24:,.0f} d{ahead}"
    return f"{size:.1f} h{ahead}" if size >= 1 else f"{60 * size:.0f} min{ahead}"
