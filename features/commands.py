"""The verbs ``ingest``, ``quality`` and ``tables`` of ``python -m features``.

They import what reads the lake when they run: Ibis and SQLAlchemy take a second to load.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from features.console import DEFAULT_HOME, HomeOption, JsonOption, print_json
from features.contracts import TABLES, table
from features.describe import contract_json, contract_markdown
from features.errors import InputError
from features.home import Home
from features.terminal import console as terminal
from features.terminal import grid

if TYPE_CHECKING:
    from features.ingest import Report
    from features.quality import Quality, TableQuality


def ingest_command(
    context: typer.Context,
    table_name: Annotated[
        str, typer.Argument(metavar="TABLE", help=f"One of: {', '.join(TABLES)}.")
    ],
    files: Annotated[
        list[str] | None,
        typer.Argument(
            help="CSV, Parquet or NDJSON, also .gz; quoted globs work too. Without any, "
            "`overrides` and `outreach` are those that the service keeps."
        ),
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option(
            "--mapping", "-m", help="TOML file; not needed when columns are named as ours."
        ),
    ] = None,
    from_url: Annotated[
        str | None,
        typer.Option("--from", metavar="URL", help="SQLAlchemy URL of a database; with --query."),
    ] = None,
    query: Annotated[str | None, typer.Option("--query", help="SQL to run there.")] = None,
    database_url: Annotated[
        str | None,
        typer.Option(
            envvar="EBBFLOW_DATABASE_URL",
            metavar="URL",
            help="Database of the service; by default `service.db` in the home.",
        ),
    ] = None,
    max_bad_share: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of bad rows above which nothing is kept; by default one in twenty.",
        ),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Load files, or a query, into a table of the lake.

    The same rows twice change nothing. Bad rows go to quarantine with their reasons.
    """
    from features.ingest import MAX_BAD_SHARE, Query, ingest
    from features.intake.service import SOURCES
    from features.lake import Lake
    from features.mapping import load_mapping

    if (from_url is None) != (query is None):
        raise InputError("`--from` and `--query`", got="only one", expected="both or none")
    source = None if from_url is None or query is None else Query(from_url, query)
    known = load_mapping(mapping) if mapping else None
    if table_name in SOURCES and not files and source is None and known is None:
        source, known = SOURCES[table_name](Home(home), url=database_url)
    with _bar(shown=not as_json) as progress:
        report = ingest(
            Lake(Home(home).lake),
            table_name,
            now=context.ensure_object(datetime),
            files=files or (),
            query=source,
            mapping=known,
            max_bad_share=MAX_BAD_SHARE if max_bad_share is None else max_bad_share,
            progress=progress,
        )
    if as_json:
        print_json(report.to_json())
    else:
        _print_report(report)


@contextlib.contextmanager
def _bar(*, shown: bool) -> Iterator[Any]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    hidden = not (shown and console.is_terminal)
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("reading", total=None, rows=0)

        def step(source: str, done: float | None, rows: int) -> None:
            name = Path(source).name
            if done is not None and done >= 1:
                bar.update(task, description="storing", total=None, rows=rows)
            else:
                total = None if done is None else 1.0
                bar.update(task, description=name, completed=done, total=total, rows=rows)

        yield step


def _print_report(report: Report) -> None:
    console = terminal()
    console.print(f"Load {report.load_id} into {report.table}", markup=False)
    shown = grid("rows", "count", numbers=("count",))
    lines: list[tuple[str, int | None]] = [
        ("read", report.rows_read),
        ("kept", report.kept),
        ("  new", report.new),
        ("  changed", report.changed),
        ("repeated", report.repeated),
        ("left out by the mapping", report.left_out),
        ("quarantined", sum(report.quarantined.values())),
        *((f"  {reason}", count) for reason, count in report.quarantined.items()),
        ("with a customer", report.linked),
        ("without a customer", report.unlinked),
    ]
    for name, count in lines:
        if count is not None:
            shown.add_row(name, f"{count:,}")
    console.print(shown)
    for warning in report.warnings:
        console.print(f"warning: {warning}", style="yellow", markup=False)


def quality_command(
    table_name: Annotated[
        str | None, typer.Option("--table", help="Only this table; by default all.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="Days to list, counted back.")] = 14,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Show how complete, timely and linked the lake's rows are.

    A summary first, then completeness by column, days, and what changed since the load before.
    """
    from features.lake import Lake
    from features.quality import measure

    names = [table(table_name).name] if table_name else None
    quality = measure(Lake(Home(home).lake), tables=names, days=days)
    if as_json:
        print_json(quality.to_json())
    else:
        _print_quality(quality)


def _print_quality(quality: Quality) -> None:
    console = terminal()
    _print_summary(console, quality)
    for found in quality.tables:
        _print_columns(console, found)
        _print_days(console, found)
        _print_trends(console, found)


def _print_summary(console: Console, quality: Quality) -> None:
    sizes = ("rows", "versions", "first", "last", "empty days")
    size = grid("table", *sizes, numbers=sizes)
    shares = (
        "no customer", "unknown customer", "delay, 95 %", "repeated", "quarantined",
    )  # fmt: skip
    health = grid("table", *shares, numbers=shares)
    for found in quality.tables:
        size.add_row(
            found.table,
            f"{found.rows:,}",
            f"{found.versions:,}",
            f"{found.first:%Y-%m-%d}" if found.first else "-",
            f"{found.last:%Y-%m-%d}" if found.last else "-",
            f"{found.empty_days:,}",
        )
        health.add_row(
            found.table,
            _share(found.unlinked),
            _share(found.unknown_customers),
            _delay(found.delay_p95_hours),
            _share(found.repeated),
            _share(found.quarantined),
        )
    console.print("The lake")
    console.print(size)
    console.print("Its health: shares of rows; delay from the event until 95 % of rows were known")
    console.print(health)
    for note in quality.notes:
        console.print(f"note: {note}", style="yellow", markup=False)


def _print_columns(console: Console, found: TableQuality) -> None:
    numbers = ("filled", "last load", "change, points")
    shown = grid("column", *numbers, numbers=numbers)
    for column in found.columns:
        change = _points(column.last_load, column.before)
        shown.add_row(column.column, _share(column.filled), _share(column.last_load), change)
    console.print(f"\n{found.table}: share filled", markup=False)
    console.print(shown)


def _print_days(console: Console, found: TableQuality) -> None:
    if not found.days:
        return
    numbers = ("rows", "no customer", "delay, median", "delay, 95 %")
    shown = grid("day (UTC)", *numbers, numbers=numbers)
    for day in found.days:
        shown.add_row(
            f"{day.day:%a %Y-%m-%d}",
            f"{day.rows:,}",
            _share(day.unlinked),
            _delay(day.delay_median_hours),
            _delay(day.delay_p95_hours),
        )
    console.print(f"{found.table}: days", markup=False)
    console.print(shown)


_TRENDS = {"unlinked": "no customer", "delay_p95_hours": "delay, 95 %"}


def _print_trends(console: Console, found: TableQuality) -> None:
    if not found.trends:
        return
    numbers = ("loads before", "last load")
    shown = grid("measure", *numbers, numbers=numbers)
    for trend in found.trends:
        show = _delay if trend.measure == "delay_p95_hours" else _share
        measure = _TRENDS.get(trend.measure, trend.measure)
        shown.add_row(measure, show(trend.before), show(trend.last))
    console.print(f"{found.table}: trend", markup=False)
    console.print(shown)


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


def tables_command(
    table_name: Annotated[
        str | None, typer.Argument(metavar="[TABLE]", help="Only this table; by default all.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the data contracts: tables, columns, units and ranges, as docs/data.md holds them."""
    contracts = [table(table_name)] if table_name else list(TABLES.values())
    if as_json:
        print_json([contract_json(contract) for contract in contracts])
    else:
        typer.echo("\n".join(contract_markdown(contract) for contract in contracts), nl=False)
