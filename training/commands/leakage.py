"""The verb ``leakage`` of ``python -m training``: an audit for leaks from the future."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from features.console import DEFAULT_HOME, HomeOption, JsonOption, grid, print_json
from features.console import console as terminal
from features.errors import UnknownNameError
from features.home import Home, ModelName
from training.commands import Progress, read_as_of, tell
from training.leakage import Verdict

LEAKS = 3
"""Exit code where a leak was found: refused, as by a gate."""


def register(
    app: typer.Typer,
    *,
    clock: Callable[[], datetime],
    progress: Callable[[str], AbstractContextManager[Progress]],
) -> None:
    """Add the verb to the command."""

    @app.command(epilog="Example: python -m training leakage --model churn --json")
    def leakage(
        model: Annotated[ModelName, typer.Option(help="Whose data to audit.")] = "churn",
        as_of: Annotated[
            str | None,
            typer.Option(help="As a fit at this time (ISO 8601 with zone); default: latest data."),
        ] = None,
        config: Annotated[Path | None, typer.Option(help="TOML file, as `fit` takes it.")] = None,
        allow: Annotated[
            list[str] | None,
            typer.Option("--allow", help="A check whose leak is known and meant; may be repeated."),
        ] = None,
        home: HomeOption = DEFAULT_HOME,
        json: JsonOption = False,
    ) -> None:
        """Look for leaks from the future into what a model learns from; exit code 3 if any."""
        from training.config import load_config
        from training.leakage.audit import audit_churn, audit_volume

        settings, moment, allowed = load_config(config), read_as_of(as_of), allow or []
        with progress(f"leakage {model}") as report:
            if model == "churn":
                audit = audit_churn(
                    Home(home), config=settings.churn, now=clock(), as_of=moment, progress=report
                )
            else:
                audit = audit_volume(Home(home), now=clock(), as_of=moment, progress=report)
        _refuse_unknown(allowed, audit.verdicts)
        leaks = [verdict for verdict in audit.leaks if verdict.check not in allowed]
        if json:
            print_json(
                {
                    "model": audit.model,
                    "as_of": audit.as_of.isoformat(),
                    "leaks": len(leaks),
                    "checks": [
                        {**asdict(v), "allowed": v.check in allowed} for v in audit.verdicts
                    ],
                }
            )
        else:
            _show(f"{audit.model} as of {audit.as_of:%Y-%m-%d %H:%M} UTC", audit.verdicts, leaks)
        if leaks:
            raise typer.Exit(LEAKS)


def _refuse_unknown(names: Collection[str], verdicts: Sequence[Verdict]) -> None:
    known = [verdict.check for verdict in verdicts]
    for name in names:
        if name not in known:
            raise UnknownNameError("check", name, known, field="allow")


def _show(title: str, verdicts: Sequence[Verdict], leaks: Sequence[Verdict]) -> None:
    """Print a table of the checks, and of the leaks that are not allowed what to do."""
    table = grid("check", "result", "found", "seconds", numbers=("seconds",))
    for verdict in verdicts:
        table.add_row(
            verdict.check,
            _result(verdict, allowed=verdict not in leaks),
            "" if verdict.passed is None else verdict.found,
            f"{verdict.seconds:.1f}",
        )
    terminal().print(table)
    for why in dict.fromkeys(v.found for v in verdicts if v.passed is None):
        tell(f"not judged: {why}")
    for verdict in leaks:
        tell(f"[red]{verdict.check}[/]: {verdict.remedy}.")
    tell(f"{title}: {len(leaks)} {'leak' if len(leaks) == 1 else 'leaks'}")


def _result(verdict: Verdict, *, allowed: bool) -> str:
    if verdict.passed is None:
        return "not judged"
    if verdict.passed:
        return "[green]passed[/]"
    return "[yellow]allowed[/]" if allowed else "[red]leak[/]"
