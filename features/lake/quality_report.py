"""What is measured of the lake's quality, and how it is shown on a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

from features.console import console as terminal
from features.console import grid


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
    _print(title, _SHARES, [_shares(table) for table in quality.tables])
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


def _shares(table: TableQuality) -> tuple[str, ...]:
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
