"""The verb ``service`` of ``python -m training``: patience, and service predicted and achieved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from features.console import DEFAULT_HOME, HomeOption, JsonOption, print_json
from features.home import Home
from training.commands import (
    AsOfOption,
    CsvOption,
    QueuesOption,
    VolumeArgument,
    one_format,
    read_as_of,
    save_figure,
)
from training.service import DAYS


def register(app: typer.Typer, *, clock: Callable[[], datetime]) -> None:
    """Add the verb to the command."""

    @app.command(epilog="Example: python -m training service volume --queue sales --by-hour")
    def service(
        model: VolumeArgument,
        queue: QueuesOption = None,
        as_of: AsOfOption = None,
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
        as_csv: CsvOption = False,
    ) -> None:
        """Estimate patience and the effective service rate, and compare service levels."""
        from training.service.calibration import read_service
        from training.service.report import print_csv, print_service, service_document

        del model  # the other one has no queues
        one_format(json=json, csv=as_csv)
        moment, found = read_service(
            Home(home),
            now=clock(),
            as_of=read_as_of(as_of),
            days=days,
            queues=tuple(queue or ()),
        )
        if figure is not None:
            from training.service.report import service_figure

            save_figure(service_figure(found), figure)
        if json:
            print_json(service_document(found, as_of=moment, days=days))
        elif as_csv:
            print_csv(found)
        else:
            print_service(found, as_of=moment, days=days, by_hour=by_hour)
