"""The commands `simulate`, `ingest`, `quality` and `tables`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from features.console import DEFAULT_HOME, HomeOption, JsonOption, print_json
from features.contracts.schema import contract_markdown
from features.contracts.tables import TABLES, table
from features.errors import ConfigError, InputError
from features.home import Home
from features.simulate.centre import SimulationConfig
from features.simulate.files import SOURCES, TRUTH, Written, write

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
    from features.intake.load import MAX_BAD_SHARE, ingest, print_report
    from features.intake.mapping import load_mapping
    from features.intake.sources import SERVICE_TABLES, Query, service_source
    from features.lake.delta import Lake

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
    from features.lake.delta import Lake
    from features.lake.quality import measure, print_quality

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


def simulate(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="New or empty folder for the files.")],
    customers: Annotated[int, typer.Option("--customers", help="Customers in all.")] = 5_000,
    days: Annotated[int, typer.Option("--days", help="Days of history.")] = 400,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of all randomness.")] = 1,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            help="Last day of the history (UTC), as 2026-03-31; by default yesterday.",
            metavar="DATE",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the files of a simulated contact centre whose truth is known.

    One folder a source, with its mapping.toml, and truth/ beside them. The same arguments and
    seed give the same bytes.
    """
    end = _end_of_history(until, context.obj)
    config = SimulationConfig(until=end, customers=customers, days=days)
    written = write(config, seed=seed, out=out, progress=None if as_json else _show_progress)
    if not as_json:
        sys.stdout.write(_simulation_summary(written))
        return
    sources = [
        {
            "table": source.table,
            "glob": str(out / source.name / source.files),
            "mapping": str(out / source.name / "mapping.toml"),
            **asdict(written.sources[source.name]),
        }
        for source in SOURCES
    ]
    contacts = asdict(written.contacts)
    until = end.isoformat()
    print_json({"out": str(out), "until": until, "contacts": contacts, "sources": sources})


def _end_of_history(until: str | None, now: datetime) -> datetime:
    if until is None:
        return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        last = datetime.strptime(until, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise ConfigError(
            "`--until`", got=repr(until), expected="a day such as 2026-03-31", field="until"
        ) from None
    return last + timedelta(days=1)


def _show_progress(word: str, share: float) -> None:
    """Show the progress on one line of a terminal, and as a line a step in a log."""
    watched = sys.stderr.isatty()
    end = "\n" if share >= 1 or not watched else ""
    sys.stderr.write(("\r" if watched else "") + f"simulating {word} {share:4.0%}" + end)
    sys.stderr.flush()


def _simulation_summary(written: Written) -> str:
    lines = [f"{'source':<10} {'files':>6} {'rows':>10}  to ingest it"]
    for source in SOURCES:
        counts, folder = written.sources[source.name], written.out / source.name
        lines.append(
            f"{source.name:<10} {counts.files:>6} {counts.rows:>10}  python -m features ingest "
            f"{source.table} '{folder / source.files}' --mapping {folder / 'mapping.toml'}"
        )
    lines.append(f"the truth stands in {written.out / TRUTH}")
    return "\n".join(lines) + "\n"
