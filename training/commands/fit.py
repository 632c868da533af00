"""The verbs ``fit`` and ``config``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from features.console import DEFAULT_HOME, HomeOption, JsonOption, print_json
from features.home import Home
from training.commands import (
    DEFAULT_MLRUNS,
    MlrunsOption,
    ModelArgument,
    progress_bar,
    read_as_of,
    tell,
    warn,
)
from training.commands.registry import headline, version_document
from training.registry.tracking import Tracking


def fit(
    context: typer.Context,
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
    with progress_bar(f"fit {model}") as report:
        fitted = run_fit(
            Home(home),
            tracking=Tracking(mlruns),
            model=model,
            config=settings,
            clock=context.obj,
            as_of=moment,
            progress=report,
        )
    warn(*fitted.warnings)
    version = fitted.version
    if json:
        print_json({**version_document(version), "warnings": fitted.warnings})
        return
    tell(
        f"{model} version {version.number} is the challenger: bundle {version.bundle_id}, "
        f"as of {version.as_of:%Y-%m-%d %H:%M} UTC. {headline(version)}"
    )
    if count := int(version.metrics.get("bad_days", 0)):
        tell(
            f"{count} bad days were not learnt from; `python -m training bad-days {model}` "
            "lists them."
        )


def config(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the table that stands in docs/training.md.")
    ] = False,
) -> None:
    """Print the configuration file with every key, its meaning and its default."""
    from training.config import reference, render

    typer.echo(reference() if markdown else render(), nl=False)
