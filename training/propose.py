"""The verb ``propose`` of ``python -m training``: churn defined by the data's own gaps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Literal

import typer
from rich.console import Console

from features.console import DEFAULT_HOME, HomeOption, JsonOption, print_json
from features.home import Home
from training.commands import AsOfOption, read_as_of, tell


def register_propose(app: typer.Typer, *, clock: Callable[[], datetime]) -> None:
    """Add the verb to the command."""

    @app.command(name="propose", epilog="Example: python -m training propose churn --json")
    def propose_verb(
        model: Annotated[Literal["churn"], typer.Argument(help="Which model.")],
        as_of: AsOfOption = None,
        home: HomeOption = DEFAULT_HOME,
        json: JsonOption = False,
    ) -> None:
        """Propose `horizon_days` and `active_days` from the gaps between purchases, and say why."""
        from features.store import FeatureStore
        from training.churn.propose import propose

        del model  # the other one has none
        moment = read_as_of(as_of)
        with FeatureStore(Home(home)) as store:
            proposal = propose(store, as_of=moment or store.latest(now=clock()))
        if json:
            print_json({**asdict(proposal), "why": proposal.why})
            return
        horizon, active = proposal.horizon_days, proposal.active_days
        text = f"[churn]\nhorizon_days = {horizon}\nactive_days = {active}"
        Console().print(text, highlight=False, markup=False)
        tell(proposal.why, stderr=True)
