"""The command ``python -m training``: fit, compare, promote, roll back.

The verbs import what they need when they run: statsforecast, scikit-learn and MLflow are slow to
load, and LightGBM must not load before its threads were told how to wait.
"""

from __future__ import annotations

import contextlib
import getpass
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar

from features.artefact import current_id
from features.console import DEFAULT_HOME, EXIT_CODES, HomeOption, JsonOption, grid, print_json, run
from features.console import console as terminal
from features.home import Home, ModelName
from training.commands import (
    DEFAULT_MLRUNS,
    MlrunsOption,
    ModelArgument,
    Progress,
    accuracy,
    experiments,
    leakage,
    read_as_of,
    service,
    tell,
)
from training.commands.explore import register_bad_days, register_propose
from training.registry import promotion
from training.registry.tracking import Tracking, Version

app = typer.Typer(
    help="Fit the models, compare them, promote one, roll back.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
)


def _clock() -> datetime:
    return datetime.now(UTC)


@app.command(epilog="Example: python -m training fit volume --as-of 2026-03-01T00:00Z")
def fit(
    model: ModelArgument,
    config: Annotated[
        Path | None, typer.Option(help="TOML file; `config` prints one with every default.")
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(help="Look back from this time (ISO 8601 with zone); default: latest data."),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    mlruns: MlrunsOption = DEFAULT_MLRUNS,
    json: JsonOption = False,
) -> None:
    """Fit a model, record it in MLflow and make it the challenger."""
    from training.config import load_config
    from training.fit.run import fit as run_fit

    settings = load_config(config)
    moment = read_as_of(as_of)
    with _progress(f"fit {model}") as report:
        fitted = run_fit(
            Home(home),
            tracking=Tracking(mlruns),
            model=model,
            config=settings,
            clock=_clock,
            as_of=moment,
            progress=report,
        )
    _warn(*fitted.warnings)
    version = fitted.version
    if json:
        print_json({**_version_document(version), "warnings": fitted.warnings})
        return
    tell(
        f"{model} version {version.number} is the challenger: bundle {version.bundle_id}, "
        f"as of {version.as_of:%Y-%m-%d %H:%M} UTC. {_headline(version)}"
    )
    if count := int(version.metrics.get("bad_days", 0)):
        tell(
            f"{count} bad days were not learnt from; `python -m training bad-days {model}` "
            "lists them."
        )


@app.command("promote", epilog="Example: python -m training promote churn --version 3")
def promote_verb(
    model: ModelArgument,
    version: Annotated[
        int | None, typer.Option(help="Registered version; default: the challenger.")
    ] = None,
    force_reason: Annotated[
        str | None,
        typer.Option(help="Serve it although an accuracy or change gate fails, and why."),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    mlruns: MlrunsOption = DEFAULT_MLRUNS,
    json: JsonOption = False,
) -> None:
    """Examine a version and, if no gate refuses it, make it serve."""
    from training.registry.promotion import promote

    change = promote(
        Home(home),
        tracking=Tracking(mlruns),
        model=model,
        now=_clock(),
        who=_user(),
        number=version,
        force_reason=force_reason,
        seen=lambda gates: _show_gates(map(asdict, gates)),
    )
    _report_change(asdict(change), json=json)


@app.command("rollback", epilog="Example: python -m training rollback volume --reason 'odd peaks'")
def rollback_verb(
    model: ModelArgument,
    reason: Annotated[str, typer.Option(help="Why, for the ledger.")] = "not given",
    home: HomeOption = DEFAULT_HOME,
    mlruns: MlrunsOption = DEFAULT_MLRUNS,
    json: JsonOption = False,
) -> None:
    """Make the bundle serve again that served before."""
    from training.registry.promotion import rollback

    change = rollback(
        Home(home),
        tracking=Tracking(mlruns),
        model=model,
        now=_clock(),
        who=_user(),
        reason=reason,
        seen=lambda gates: _show_gates(map(asdict, gates)),
    )
    _report_change(asdict(change), json=json)


@app.command(epilog="Example: python -m training models --json")
def models(
    home: HomeOption = DEFAULT_HOME,
    mlruns: MlrunsOption = DEFAULT_MLRUNS,
    json: JsonOption = False,
) -> None:
    """List the registered versions with their aliases, figures and age."""
    tracking = Tracking(mlruns)
    versions = [version for model in get_args(ModelName) for version in tracking.versions(model)]
    serving = {model: current_id(Home(home).bundles(model)) for model in get_args(ModelName)}
    if json:
        print_json(
            [{**_version_document(v), "serves": serving[v.model] == v.bundle_id} for v in versions]
        )
        return
    table = grid("model", "version", "aliases", "serves", "data up to (UTC)", "age", "figures")
    for version in versions:
        table.add_row(
            version.model,
            str(version.number),
            "\n".join(version.aliases),
            "yes" if serving[version.model] == version.bundle_id else "",
            f"{version.as_of:%Y-%m-%d %H:%M}",
            _age(version.created_at),
            _headline(version),
        )
    terminal().print(table)


@app.command(epilog="Example: python -m training ledger --json")
def ledger(home: HomeOption = DEFAULT_HOME, json: JsonOption = False) -> None:
    """List the promotions and roll-backs: who, when, why, from what, to what."""
    entries = promotion.read(Home(home).ledger)
    if json:
        print_json([{**asdict(entry), "at": entry.at.isoformat()} for entry in entries])
        return
    table = grid("at (UTC)", "who", "what", "bundle", "reason")
    for entry in entries:
        version = "" if entry.version is None else f" {entry.version}"
        before = f"\nbefore {entry.from_bundle}" if entry.from_bundle else ""
        table.add_row(
            f"{entry.at:%Y-%m-%d %H:%M}",
            entry.who,
            f"{entry.action}\n{entry.model}{version}",
            f"{entry.to_bundle}{before}",
            entry.reason,
        )
    terminal().print(table)


accuracy.register(app, clock=_clock)
register_bad_days(app, clock=_clock)
service.register(app, clock=_clock)
register_propose(app, clock=_clock)
experiments.register(app, clock=_clock)


@app.command(epilog="Example: python -m training config > training.toml")
def config(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the table that stands in docs/training.md.")
    ] = False,
) -> None:
    """Print the configuration file with every key, its meaning and its default."""
    from training.config import reference, render

    typer.echo(reference() if markdown else render(), nl=False)


def _warn(*warnings: str) -> None:
    for warning in warnings:
        tell(f"[yellow]warning:[/] {warning}", stderr=True)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return "unknown"


@contextlib.contextmanager
def _progress(title: str) -> Iterator[Progress]:
    """Show steps on standard error: a moving bar on a terminal, a line a step elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        last = [""]

        def say(step: str, share: float) -> None:
            if step != last[0]:
                last[0] = step
                tell(f"{title}: {share:4.0%} {step}", stderr=True)

        yield say
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with ProgressBar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda step, share: bar.update(task, completed=share, description=f"{title}: {step}")


def _show_gates(gates: Iterable[dict[str, Any]]) -> None:
    """Print the gates, as ``training.registry.gates.Gate`` turned into a dictionary."""
    table = grid("gate", "result", "detail")
    for gate in gates:
        result = "[green]passed[/]" if gate["passed"] else "[red]failed[/]"
        table.add_row(gate["name"], result, gate["detail"])
    terminal(stderr=True).print(table)


def _report_change(change: dict[str, Any], *, json: bool) -> None:
    """Print what a promotion or roll-back did."""
    if change["warning"]:
        _warn(change["warning"])
    if json:
        print_json(change)
        return
    number = "" if change["version"] is None else f" version {change['version']}"
    serves = f"bundle {change['to_bundle']} serves now" if change["changed"] else None
    tell(f"{change['model']}{number}: {serves or 'it serves already'}")


def _version_document(version: Version) -> dict[str, Any]:
    return {
        "model": version.model,
        "version": version.number,
        "bundle": version.bundle_id,
        "run": version.run_id,
        "created_at": version.created_at.isoformat(),
        "as_of": version.as_of.isoformat(),
        "aliases": version.aliases,
        "metrics": dict(version.metrics),
    }


_HEADLINES = {
    "skill": "skill",
    "wape": "WAPE",
    "auc": "AUC",
    "log_loss": "log loss",
    "ece": "calibration error",
}


def _headline(version: Version) -> str:
    shown = [f"{w} {version.metrics[n]:.3f}" for n, w in _HEADLINES.items() if n in version.metrics]
    return ", ".join(shown)


def _age(since: datetime) -> str:
    minutes = int((_clock() - since).total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"


leakage.register(app, clock=_clock, progress=_progress)

if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    run(app)
