"""The verb ``propose`` of ``python -m training``: churn defined by the data's own gaps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from features.console import DEFAULT_HOME, HomeOption, JsonOption, parse_moment, print_json
from features.home import Home

if TYPE_CHECKING:
    from training.churn.propose import Proposal


def register(app: typer.Typer, *, clock: Callable[[], datetime]) -> None:
    """Add the verb to the command."""

    @app.command(name="propose", epilog="Example: python -m training propose churn --json")
    def propose(
        model: Annotated[Literal["churn"], typer.Argument(help="Which model.")],
        as_of: Annotated[
            str | None,
            typer.Option(help="As known at this time (ISO 8601 with zone); default: latest data."),
        ] = None,
        home: HomeOption = DEFAULT_HOME,
        json: JsonOption = False,
    ) -> None:
        """Propose `horizon_days` and `active_days` from the gaps between purchases, and say why."""
        del model  # the other one has none
        moment = None if as_of is None else parse_moment(as_of, option="--as-of")
        found = read_proposal(Home(home), now=clock(), as_of=moment)
        if json:
            print_json({**asdict(found), "why": found.why})
            return
        text = f"[churn]\nhorizon_days = {found.horizon_days}\nactive_days = {found.active_days}"
        Console().print(text, highlight=False, markup=False)
        Console(stderr=True).print(found.why, highlight=False, soft_wrap=True)


def read_proposal(home: Home, *, now: datetime, as_of: datetime | None = None) -> Proposal:
    """Propose a definition from the histories in the lake.

    ``as_of``: What was known then counts; by default, all that the data hold.

    Raises:
        TooLittleDataError: Too few customers bought on two days.
    """
    from features.store import FeatureStore
    from training.churn.propose import propose as from_gaps

    with FeatureStore(home) as store:
        return from_gaps(store, as_of=store.latest(now=now) if as_of is None else as_of)
