"""The verbs ``ingest``, ``quality`` and ``tables`` of ``python -m features``.

They import what reads the lake when they run: Ibis and SQLAlchemy take a second to load.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from features.console import DEFAULT_HOME, HomeOption, JsonOption, print_json
from features.contracts import TABLES, table
from features.describe import contract_markdown
from features.errors import InputError
from features.home import Home
from features.intake.report import print_report
from features.quality_report import print_quality

_FILES = (
    "CSV, Parquet or NDJSON, also .gz; quoted globs work too. Without any, `overrides` and "
    "`outreach` are those that the service keeps."
)
_DATABASE = typer.Option(
    envvar="EBBFLOW_DATABASE_URL",
    metavar="URL",
    help="Database of the service; by default `service.db` in the home.",
)
_MAX_BAD_SHARE = typer.Option(
    min=0.0,
    max=1.0,
    help="Share of bad rows above which nothing is kept; by default one in twenty.",
)


def ingest_command(
    context: typer.Context,
    table_name: Annotated[
        str, typer.Argument(metavar="TABLE", help=f"One of: {', '.join(TABLES)}.")
    ],
    files: Annotated[list[str] | None, typer.Argument(help=_FILES)] = None,
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
    database_url: Annotated[str | None, _DATABASE] = None,
    max_bad_share: Annotated[float | None, _MAX_BAD_SHARE] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Load files, or a query, into a table of the lake.

    The same rows twice change nothing. Bad rows go to quarantine with their reasons.
    """
    from features.ingest import MAX_BAD_SHARE, ingest
    from features.intake.service import SERVICE_TABLES, service_source
    from features.intake.sources import Query
    from features.lake import Lake
    from features.mapping import load_mapping

    if (from_url is None) != (query is None):
        raise InputError("`--from` and `--query`", got="only one", expected="both or none")
    source = None if from_url is None or query is None else Query(from_url, query)
    known = load_mapping(mapping) if mapping else None
    if table_name in SERVICE_TABLES and not files and source is None and known is None:
        source, known = service_source(table_name, Home(home), url=database_url)
    with _progress_bar(shown=not as_json) as progress:
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
        print_report(report)


@contextlib.contextmanager
def _progress_bar(*, shown: bool) -> Iterator[Any]:
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
            if done is not None and done >= 1:
                bar.update(task, description="storing", total=None, rows=rows)
            else:
                total = None if done is None else 1.0
                name = Path(source).name
                bar.update(task, description=name, completed=done, total=total, rows=rows)

        yield step


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
        print_quality(quality)


def tables_command(
    table_name: Annotated[
        str | None, typer.Argument(metavar="[TABLE]", help="Only this table; by default all.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the data contracts: tables, columns, units and ranges, as docs/data.md holds them."""
    contracts = [table(table_name)] if table_name else list(TABLES.values())
    if as_json:
        print_json([asdict(contract) for contract in contracts])
    else:
        typer.echo("\n".join(contract_markdown(contract) for contract in contracts), nl=False)
