"""The verbs ``ingest``, ``quality`` and ``tables`` of ``python -m features``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

from features.console import DEFAULT_HOME, HomeOption, JsonOption, print_json
from features.contracts import TABLES, table
from features.describe import contract_json, contract_markdown
from features.errors import InputError
from features.home import Home
from features.ingest import MAX_BAD_SHARE, Query, Report, ingest
from features.lake import Lake
from features.mapping import load_mapping
from features.quality import Quality, measure


def ingest_command(
    context: typer.Context,
    table_name: Annotated[
        str, typer.Argument(metavar="TABLE", help=f"One of: {', '.join(TABLES)}.")
    ],
    files: Annotated[
        list[str] | None,
        typer.Argument(help="CSV, Parquet or NDJSON, also .gz; quoted globs work too."),
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
    max_bad_share: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Share of bad rows above which nothing is kept."),
    ] = MAX_BAD_SHARE,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Load files, or a query, into a table of the lake.

    The same rows twice change nothing. Bad rows go to quarantine with their reasons.
    """
    if (from_url is None) != (query is None):
        raise InputError("`--from` and `--query`", got="only one", expected="both or none")
    source = None if from_url is None or query is None else Query(from_url, query)
    with _bar(shown=not as_json) as progress:
        report = ingest(
            Lake(Home(home).lake),
            table_name,
            now=context.ensure_object(datetime),
            files=files or (),
            query=source,
            mapping=load_mapping(mapping) if mapping else None,
            max_bad_share=max_bad_share,
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
    console = Console(highlight=False)
    grid = _titled(console, f"Load {report.load_id} into {report.table}")
    grid.add_column("rows")
    grid.add_column("count", justify="right")
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
            grid.add_row(name, f"{count:,}")
    console.print(grid)
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
    names = [table(table_name).name] if table_name else None
    quality = measure(Lake(Home(home).lake), tables=names, days=days)
    if as_json:
        print_json(quality.to_json())
    else:
        _print_quality(quality)


def _print_quality(quality: Quality) -> None:
    console = Console(highlight=False)
    _print_summary(console, quality)
    for found in quality.tables:
        columns = _titled(console, f"{found.table}: share filled")
        columns.add_column("column")
        columns.add_column("all", justify="right")
        columns.add_column("last load", justify="right")
        columns.add_column("change", justify="right")
        for column in found.columns:
            change = _signed(column.last_load, column.before)
            columns.add_row(column.column, _share(column.filled), _share(column.last_load), change)
        console.print(columns)
        if found.days:
            grid = _titled(console, f"{found.table}: days (UTC)")
            for name in ("day", "rows", "without customer", "median delay", "p95 delay"):
                grid.add_column(name, justify="right")
            for day in found.days:
                grid.add_row(
                    f"{day.day:%Y-%m-%d}",
                    f"{day.rows:,}",
                    _share(day.unlinked),
                    _hours(day.delay_median_hours),
                    _hours(day.delay_p95_hours),
                )
            console.print(grid)
        if found.trends:
            grid = _titled(console, f"{found.table}: trend")
            for name in ("measure", "loads before", "last load"):
                grid.add_column(name, justify="right")
            for trend in found.trends:
                show = _hours if trend.measure.endswith("_hours") else _share
                grid.add_row(trend.measure, show(trend.before), show(trend.last))
            console.print(grid)


def _titled(console: Console, title: str) -> RichTable:
    # A table's own title is wrapped to the width of its columns.
    console.print(title, markup=False)
    return RichTable()


def _print_summary(console: Console, quality: Quality) -> None:
    summary = _titled(console, "The lake")
    summary.add_column("table")
    for name in (
        "rows", "versions", "first", "last", "empty days", "no customer", "unknown customer",
        "delay p95", "repeated", "quarantined",
    ):  # fmt: skip
        summary.add_column(name, justify="right")
    for found in quality.tables:
        summary.add_row(
            found.table,
            f"{found.rows:,}",
            f"{found.versions:,}",
            f"{found.first:%Y-%m-%d}" if found.first else "-",
            f"{found.last:%Y-%m-%d}" if found.last else "-",
            f"{found.empty_days:,}",
            _share(found.unlinked),
            _share(found.unknown_customers),
            _hours(found.delay_p95_hours),
            _share(found.repeated),
            _share(found.quarantined),
        )
    console.print(summary)
    for note in quality.notes:
        console.print(f"note: {note}", style="yellow", markup=False)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _signed(value: float | None, before: float | None) -> str:
    return "-" if value is None or before is None else f"{value - before:+.1%}"


def _hours(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} h"


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
