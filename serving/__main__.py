"""The command ``python -m serving``: publish, serve, pack."""

from __future__ import annotations

import os

import typer

from features.console import EXIT_CODES, run
from serving import commands

app = typer.Typer(
    help="Publish forecasts and scores, and serve them over HTTP.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
)
app.command(epilog="Example: python -m serving forecast --horizon-days 14 --json")(
    commands.forecast
)
app.command(epilog="Example: python -m serving score --threads 2 --json")(commands.score)
app.command(epilog="Example: python -m serving actions > .ebbflow/actions.toml")(commands.actions)
app.command("run", epilog="Example: python -m serving run --port 8080 --workers 2")(commands.serve)
app.command(epilog="Example: python -m serving pack --version 2026.03.02")(commands.pack)
app.command(epilog="Example: python -m serving openapi > openapi.json")(commands.openapi)

if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    run(app)
