"""The command ``python -m features``: simulate, ingest, quality, tables, build."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import typer

# Told before LightGBM or Arrow start threads: spinning ones starve a neighbour on few cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from features import build, commands
from features.commands import simulate
from features.console import EXIT_CODES, run

app = typer.Typer(
    help="What happened, what was known when, and what it means as numbers.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
)


@app.callback()
def _with_clock(context: typer.Context) -> None:
    context.obj = datetime.now(UTC)


app.command(
    "simulate",
    epilog="Example: python -m features simulate --customers 5000 --days 400 --seed 7 --out centre",
)(simulate)
app.command(
    "ingest",
    epilog="Example: python -m features ingest interactions calls.csv.gz --mapping calls.toml",
)(commands.ingest_command)
app.command("quality", epilog="Example: python -m features quality --table interactions")(
    commands.quality_command
)
app.command("tables", epilog="Example: python -m features tables purchases")(
    commands.tables_command
)
build.register(app, clock=lambda: datetime.now(UTC))

if __name__ == "__main__":
    run(app)
