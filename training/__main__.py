"""The command ``python -m training``: fit, compare, promote, roll back.

The verbs import what they need when they run: statsforecast, scikit-learn and MLflow are slow to
load, and LightGBM must not load before its threads were told how to wait.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

import typer

from features.console import EXIT_CODES, run
from training.commands import accuracy, experiments, fit, leakage, progress_bar, registry, service
from training.commands.explore import register_bad_days, register_propose

app = typer.Typer(
    help="Fit the models, compare them, promote one, roll back.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
)


def _clock() -> datetime:
    return datetime.now(UTC)


@app.callback()
def _with_clock(context: typer.Context) -> None:
    context.obj = _clock


app.command(epilog="Example: python -m training fit volume --as-of 2026-03-01T00:00Z")(fit.fit)
app.command(epilog="Example: python -m training promote churn --version 3")(registry.promote)
app.command(epilog="Example: python -m training rollback volume --reason 'odd peaks'")(
    registry.rollback
)
app.command(epilog="Example: python -m training models --json")(registry.models)
app.command(epilog="Example: python -m training ledger --json")(registry.ledger)
accuracy.register(app, clock=_clock)
register_bad_days(app, clock=_clock)
service.register(app, clock=_clock)
register_propose(app, clock=_clock)
experiments.register(app, clock=_clock)
app.command(epilog="Example: python -m training config > training.toml")(fit.config)
leakage.register(app, clock=_clock, progress=progress_bar)

if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    run(app)
