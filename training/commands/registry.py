"""The verbs ``promote``, ``rollback``, ``models`` and ``ledger``."""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, get_args

import typer

from features.artefact import current_id
from features.console import DEFAULT_HOME, HomeOption, JsonOption, grid, print_json
from features.console import console as terminal
from features.home import Home, ModelName
from training.commands import DEFAULT_MLRUNS, MlrunsOption, ModelArgument, tell, warn
from training.registry.tracking import Tracking, Version


def promote(
    context: typer.Context,
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
    from training.registry import promotion

    change = promotion.promote(
        Home(home),
        tracking=Tracking(mlruns),
        model=model,
        now=context.obj(),
        who=_user(),
        number=version,
        force_reason=force_reason,
        seen=lambda gates: _show_gates(map(asdict, gates)),
    )
    _report_change(asdict(change), json=json)


def rollback(
    context: typer.Context,
    model: ModelArgument,
    reason: Annotated[str, typer.Option(help="Why, for the ledger.")] = "not given",
    home: HomeOption = DEFAULT_HOME,
    mlruns: MlrunsOption = DEFAULT_MLRUNS,
    json: JsonOption = False,
) -> None:
    """Make the bundle serve again that served before."""
    from training.registry import promotion

    change = promotion.rollback(
        Home(home),
        tracking=Tracking(mlruns),
        model=model,
        now=context.obj(),
        who=_user(),
        reason=reason,
        seen=lambda gates: _show_gates(map(asdict, gates)),
    )
    _report_change(asdict(change), json=json)


def models(
    context: typer.Context,
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
            [{**version_document(v), "serves": serving[v.model] == v.bundle_id} for v in versions]
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
            _age(version.created_at, now=context.obj()),
            headline(version),
        )
    terminal().print(table)


def ledger(home: HomeOption = DEFAULT_HOME, json: JsonOption = False) -> None:
    """List the promotions and roll-backs: who, when, why, from what, to what."""
    from training.registry import promotion

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


def version_document(version: Version) -> dict[str, Any]:
    """Return a registered version as JSON."""
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


def headline(version: Version) -> str:
    """Return the figures of a version that people look at first, in one line."""
    shown = [f"{w} {version.metrics[n]:.3f}" for n, w in _HEADLINES.items() if n in version.metrics]
    return ", ".join(shown)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return "unknown"


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
        warn(change["warning"])
    if json:
        print_json(change)
        return
    number = "" if change["version"] is None else f" version {change['version']}"
    serves = f"bundle {change['to_bundle']} serves now" if change["changed"] else None
    tell(f"{change['model']}{number}: {serves or 'it serves already'}")


def _age(since: datetime, *, now: datetime) -> str:
    minutes = int((now - since).total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"
