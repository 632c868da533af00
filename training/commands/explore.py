"""The verbs ``propose`` and ``bad-days``: what the data say before a fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from features.calendar.clock import to_epoch
from features.console import DEFAULT_HOME, HomeOption, JsonOption, grid, print_json
from features.console import console as terminal
from features.errors import UnknownNameError
from features.home import Home
from training.commands import AsOfOption, QueuesOption, VolumeArgument, read_as_of, tell

if TYPE_CHECKING:
    import pandas as pd


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
        from training.models.churn.horizon import propose

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


def register_bad_days(app: typer.Typer, *, clock: Callable[[], datetime]) -> None:
    """Add the verb to the command."""

    @app.command(name="bad-days", epilog="Example: python -m training bad-days volume --json")
    def bad_days(
        model: VolumeArgument,
        as_of: AsOfOption = None,
        queue: QueuesOption = None,
        home: HomeOption = DEFAULT_HOME,
        json: JsonOption = False,
    ) -> None:
        """List the outages, surges and shut days that forecasts do not learn from."""
        del model  # the other one has none
        table = read_bad_days(
            Home(home), now=clock(), as_of=read_as_of(as_of), queues=tuple(queue or ())
        )
        rows: list[Any] = table.to_dict("records")
        if json:
            print_json(
                [{**row, "from": row["from"] or None, "to": row["to"] or None} for row in rows]
            )
            return
        if not rows:
            tell("no bad days")
            return
        shown = grid("queue", "day", "from", "to", "kind", "times the usual")
        for row in rows:
            whole = ("all day", "") if not row["from"] else (row["from"], row["to"])
            shown.add_row(row["queue"], str(row["day"]), *whole, row["kind"], f"{row['ratio']:.2f}")
        terminal().print(shown)


def read_bad_days(
    home: Home, *, now: datetime, as_of: datetime | None = None, queues: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Find the bad days of the histories in the lake.

    ``as_of`` is by default the latest that the data allow; empty ``queues`` stand for all.

    Returns:
        Columns ``queue``, ``day``, ``from`` and ``to`` (clock times, empty for a whole day),
        ``kind``, ``ratio``.

    Raises:
        UnknownNameError: There is no such queue.
    """
    from features.store import FeatureStore
    from training.fit.volume import bad_days_table
    from training.models.volume.effects import fit_effects

    with FeatureStore(home) as store:
        moment = as_of or store.latest(now=now)
        known = {name: h for name, h in store.volume(moment).items() if h.observed.any()}
        events = tuple(store.events(moment))
    for name in queues:
        if name not in known:
            raise UnknownNameError("queue", name, known, field="queue")
    effects = fit_effects(known, events=events, known_by=to_epoch(moment))
    chosen = {name: known[name] for name in queues or known}
    table = bad_days_table(chosen, effects, events=events, known_by=to_epoch(moment))
    whole = table["to_minute"] - table["from_minute"] == 24 * 60
    clock = {
        name: [f"{m // 60:02d}:{m % 60:02d}" for m in table[f"{name}_minute"]]
        for name in ("from", "to")
    }
    table = table.assign(**clock)
    table.loc[whole, ["from", "to"]] = ""
    return table[["queue", "day", "from", "to", "kind", "ratio"]]
