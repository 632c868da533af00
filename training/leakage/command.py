"""The verb ``leakage`` of ``python -m training``: an audit for leaks from the future."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from features.console import DEFAULT_HOME, HomeOption, JsonOption, parse_moment, print_json
from features.home import Home, ModelName
from features.terminal import console as terminal
from features.terminal import grid

if TYPE_CHECKING:
    from training.leakage.audit import Audit, Progress
    from training.leakage.verdict import Verdict

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

        settings = load_config(config)
        moment = None if as_of is None else parse_moment(as_of, option="--as-of")
        with progress(f"leakage {model}") as report:
            if model == "churn":
                audit = audit_churn(
                    Home(home), config=settings.churn, now=clock(), as_of=moment, progress=report
                )
            else:
                audit = audit_volume(Home(home), now=clock(), as_of=moment, progress=report)
        allowed = _allowed(audit, allow or [])
        _show(audit, allowed, json=json)
        if any(verdict.check not in allowed for verdict in audit.leaks):
            raise typer.Exit(LEAKS)


def _allowed(audit: Audit, names: list[str]) -> frozenset[str]:
    from features.errors import UnknownNameError

    known = [verdict.check for verdict in audit.verdicts]
    for name in names:
        if name not in known:
            raise UnknownNameError("check", name, known, field="allow")
    return frozenset(names)


def _show(audit: Audit, allowed: frozenset[str], *, json: bool) -> None:
    leaks = [verdict for verdict in audit.leaks if verdict.check not in allowed]
    if json:
        print_json(
            {
                "model": audit.model,
                "as_of": audit.as_of.isoformat(),
                "leaks": len(leaks),
                "checks": [{**v.document(), "allowed": v.check in allowed} for v in audit.verdicts],
            }
        )
        return
    table = grid("check", "result", "found", "seconds", numbers=("seconds",))
    for verdict in audit.verdicts:
        table.add_row(
            verdict.check,
            _result(verdict, allowed),
            "" if verdict.passed is None else verdict.found,
            f"{verdict.seconds:.1f}",
        )
    terminal().print(table)
    out = Console(highlight=False, soft_wrap=True)
    for why in dict.fromkeys(v.found for v in audit.verdicts if v.passed is None):
        out.print(f"not judged: {why}")
    for verdict in leaks:
        out.print(f"[red]{verdict.check}[/]: {verdict.remedy}.")
    found = f"{len(leaks)} leaks" if len(leaks) != 1 else "1 leak"
    out.print(f"{audit.model} as of {audit.as_of:%Y-%m-%d %H:%M} UTC: {found}")


def _result(verdict: Verdict, allowed: frozenset[str]) -> str:
    if verdict.passed is None:
        return "not judged"
    if verdict.passed:
        return "[green]passed[/]"
    return "[yellow]allowed[/]" if verdict.check in allowed else "[red]leak[/]"
