"""The verb ``service`` of ``python -m training``: patience, and service predicted and achieved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from features.console import DEFAULT_HOME, HomeOption, JsonOption, parse_moment, print_json
from features.errors import InputError, TooLittleDataError, UnknownNameError
from features.home import Home
from training.service import DAYS

if TYPE_CHECKING:
    from training.service.calibrate import Calibration


def register(app: typer.Typer, *, clock: Callable[[], datetime]) -> None:
    """Add the verb to the command."""

    @app.command(epilog="Example: python -m training service volume --queue sales --by-hour")
    def service(
        model: Annotated[Literal["volume"], typer.Argument(help="Which model.")],
        queue: Annotated[
            list[str] | None, typer.Option("--queue", help="Only this queue; may be repeated.")
        ] = None,
        as_of: Annotated[
            str | None,
            typer.Option(help="As known at this time (ISO 8601 with zone); default: latest data."),
        ] = None,
        days: Annotated[int, typer.Option(help="Days of contacts to look back on.", min=1)] = DAYS,
        by_hour: Annotated[
            bool, typer.Option("--by-hour", help="Also print it by hour of the day.")
        ] = False,
        figure: Annotated[
            Path | None,
            typer.Option(help="Draw predicted against achieved, and patience, into this PNG."),
        ] = None,
        home: HomeOption = DEFAULT_HOME,
        json: JsonOption = False,
        as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV for a spreadsheet.")] = False,
    ) -> None:
        """Estimate patience and the effective service rate, and compare service levels."""
        del model  # the other one has no queues
        if json and as_csv:
            raise InputError("`--json` and `--csv`", got="both", expected="one of them")
        moment, found = read_service(
            Home(home),
            now=clock(),
            as_of=None if as_of is None else parse_moment(as_of, option="--as-of"),
            days=days,
            queues=tuple(queue or ()),
        )
        if figure is not None:
            from training.service.figure import draw_service

            draw_service(found, figure)
        from training.service.tables import print_csv, print_service, service_document

        if json:
            print_json(service_document(found, as_of=moment, days=days))
        elif as_csv:
            print_csv(found)
        else:
            print_service(found, as_of=moment, days=days, by_hour=by_hour)


def read_service(
    home: Home,
    *,
    now: datetime,
    as_of: datetime | None = None,
    days: int = DAYS,
    queues: tuple[str, ...] = (),
) -> tuple[datetime, dict[str, Calibration]]:
    """Learn how the queues in the lake are served.

    ``as_of``: As known then, aware UTC; by default the latest that the data allow. ``queues``: Only
    these; empty for all.

    Returns:
        The moment that was looked back from, and what was learnt, by queue.

    Raises:
        TooLittleDataError: There is no contact in these days, or none with a wait.
        UnknownNameError: There is no such queue.
    """
    from features.store import FeatureStore
    from training.service.calibrate import calibrate

    with FeatureStore(home) as store:
        moment = as_of or store.latest(now=now)
        known = {queue.queue: queue for queue in store.queues(moment)}
        for name in queues:
            if name not in known:
                raise UnknownNameError("queue", name, known, field="queue")
        waits = store.waits(moment, days=days)
    if len(waits) == 0:
        raise TooLittleDataError(
            f"no single contact of the {days} days before {moment:%Y-%m-%d %H:%M} UTC is known",
            remedy="load some with `python -m features ingest interactions`, or ask for another "
            "time with `--as-of`",
        )
    found = calibrate(waits, known)
    missing = [name for name in queues if name not in found]
    if missing or not found:
        names = ", ".join(f"`{name}`" for name in missing) or "all queues"
        raise TooLittleDataError(
            f"nothing is known of waits in {names}",
            got=f"{len(waits):,} contacts",
            expected="contacts with `wait_seconds`, of channels that wait for an agent",
            remedy="map the column that holds the wait",
        )
    return moment, {name: found[name] for name in queues or sorted(found)}
