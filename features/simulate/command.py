"""The verb ``simulate`` of ``python -m features``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from features.console import JsonOption, print_json
from features.errors import ConfigError
from features.simulate.centre import SimulationConfig
from features.simulate.files import SOURCES, TRUTH, Written, write


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
