"""The verb ``experiments`` of ``python -m training``: what contacts did, and whether to stop."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.console import DEFAULT_HOME, HomeOption, JsonOption, parse_moment, print_json
from features.errors import InputError
from features.home import Home
from training.experiments import HORIZON_DAYS, LEAST_EFFECT

if TYPE_CHECKING:
    from training.experiments.analyse import Result


def register(app: typer.Typer, *, clock: Callable[[], datetime]) -> None:
    """Add the verb to the command."""

    @app.command(epilog="Example: python -m training experiments --experiment winback-1")
    def experiments(
        experiment: Annotated[
            str | None, typer.Option(help="Only this one; by default all.")
        ] = None,
        as_of: Annotated[
            str | None,
            typer.Option(help="As known at this time (ISO 8601 with zone); default: latest data."),
        ] = None,
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
        from training.experiments.publish import document

        for name, share in (("--treat-share", treat_share), ("--least-effect", least_effect)):
            if share is not None and not 0 < share < 1:
                raise InputError(f"`{name}`", got=share, expected="a share above 0 and below 1")
        moment, results = analyse_experiments(
            Home(home),
            now=clock(),
            as_of=None if as_of is None else parse_moment(as_of, option="--as-of"),
            horizon_days=horizon_days,
            treat_share=treat_share,
            least_effect=least_effect,
            only=experiment,
        )
        if figure is not None:
            from training.experiments.figure import draw_experiments

            draw_experiments(results, figure)
        if json:
            print_json(
                [
                    document(
                        result, as_of=moment, horizon_days=horizon_days, least_effect=least_effect
                    )
                    for result in results
                ]
            )
            return
        from training.experiments.tables import print_results

        print_results(results, as_of=moment, horizon_days=horizon_days)


def analyse_experiments(
    home: Home,
    *,
    now: datetime,
    as_of: datetime | None = None,
    horizon_days: int = HORIZON_DAYS,
    treat_share: float | None = None,
    least_effect: float = LEAST_EFFECT,
    only: str | None = None,
) -> tuple[datetime, tuple[Result, ...]]:
    """Analyse the experiments of a home's lake and publish the results.

    ``as_of``: What is known then counts, aware UTC; by default the latest that the data allow.
    ``treat_share``: Chance of being contacted, in (0, 1), where the decisions do not state it.
    ``least_effect``: The smallest gain in retention worth having, in (0, 1). ``only``: The one
    experiment to analyse; None for all. Results of others stay as they were.

    Returns:
        The moment that counts, and the results, by name.

    Raises:
        TooLittleDataError: No decision is known.
        UnknownNameError: There is no such experiment.
    """
    from features.store import FeatureStore
    from training.experiments.analyse import analyse
    from training.experiments.publish import publish_results
    from training.experiments.read import read_experiments

    with FeatureStore(home) as store:
        moment = as_of or store.latest(now=now)
        decided = read_experiments(
            store, as_of=moment, horizon_days=horizon_days, treat_share=treat_share, only=only
        )
        versions = store.versions
    results = tuple(analyse(one, least_effect=least_effect) for one in decided)
    publish_results(
        home.experiments,
        results,
        as_of=moment,
        horizon_days=horizon_days,
        least_effect=least_effect,
        lineage={"tables": versions},
        now=now,
    )
    return moment, results
