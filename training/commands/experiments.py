"""The verb ``experiments`` of ``python -m training``: what contacts did, and whether to stop."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from features.console import DEFAULT_HOME, HomeOption, JsonOption, print_json
from features.errors import InputError
from features.home import Home
from training.commands import AsOfOption, read_as_of, save_figure
from training.experiments import HORIZON_DAYS, LEAST_EFFECT


def register(app: typer.Typer, *, clock: Callable[[], datetime]) -> None:
    """Add the verb to the command."""

    @app.command(epilog="Example: python -m training experiments --experiment winback-1")
    def experiments(
        experiment: Annotated[
            str | None, typer.Option(help="Only this one; by default all.")
        ] = None,
        as_of: AsOfOption = None,
        horizon_days: Annotated[
            int, typer.Option(min=1, max=730, help="Days that are looked ahead from a decision.")
        ] = HORIZON_DAYS,
        treat_share: Annotated[
            float | None,
            typer.Option(help="Chance of being contacted, where the decisions do not state it."),
        ] = None,
        least_effect: Annotated[
            float, typer.Option(help="Smallest gain in retention worth having; 0.01 is a point.")
        ] = LEAST_EFFECT,
        figure: Annotated[
            Path | None, typer.Option(help="Draw the effects and the Qini curves into this PNG.")
        ] = None,
        home: HomeOption = DEFAULT_HOME,
        json: JsonOption = False,
    ) -> None:
        """Compare customers contacted with those held out, and publish what came of it."""
        from features.store import FeatureStore
        from training.experiments.analysis import analyse
        from training.experiments.report import Settings, document, print_results, publish_results
        from training.experiments.sample import read_experiments

        for name, share in (("--treat-share", treat_share), ("--least-effect", least_effect)):
            if share is not None and not 0 < share < 1:
                raise InputError(f"`{name}`", got=share, expected="a share above 0 and below 1")
        stated, now = read_as_of(as_of), clock()
        with FeatureStore(Home(home)) as store:
            settings = Settings(stated or store.latest(now=now), horizon_days, least_effect)
            known = read_experiments(
                store,
                as_of=settings.as_of,
                horizon_days=horizon_days,
                treat_share=treat_share,
                only=experiment,
            )
            lineage = {"tables": store.versions}
        results = tuple(analyse(one, least_effect=least_effect) for one in known)
        publish_results(Home(home).experiments, results, settings, lineage=lineage, now=now)
        if figure is not None:
            from training.experiments.report import experiments_figure

            save_figure(experiments_figure(results), figure)
        if json:
            print_json([document(result, settings) for result in results])
        else:
            print_results(results, settings)
