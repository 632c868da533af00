"""The verbs ``forecast``, ``score``, ``actions``, ``run``, ``pack`` and ``openapi``.

They import what they need when they run: BentoML takes seconds to load, and LightGBM must not
load before its threads were told how to wait.
"""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.console import DEFAULT_HOME, HomeOption, JsonOption, print_json
from features.errors import ConfigError, InputError
from features.home import Home
from serving.settings import load_settings

if TYPE_CHECKING:
    from serving.batch.forecast import PublishedReport

SOURCE = Path(__file__).resolve().parents[1]


def _progress(step: str, share: float) -> None:
    sys.stderr.write(f"{share:4.0%} {step}\n")


def _tell(report: PublishedReport, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(report))
        return
    counts = ", ".join(f"{number:,} {what}" for what, number in report.counts.items())
    sys.stdout.write(
        f"published {report.kind} {report.id}: {counts}, as of {report.as_of:%Y-%m-%d %H:%M} UTC\n"
    )
    for warning in report.warnings:
        sys.stderr.write(f"warning: {warning}\n")


def forecast(
    home: HomeOption = DEFAULT_HOME,
    horizon_days: Annotated[
        int | None, typer.Option(help="Days ahead; by default all that the model was trained for.")
    ] = None,
    intraday: Annotated[
        bool,
        typer.Option(
            "--intraday", help="Correct today and tomorrow of the last full forecast instead."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Forecast every queue of the current snapshot and put the forecast in force.

    Running servers pick it up within seconds.
    """
    if intraday and horizon_days is not None:
        raise InputError(
            "`--intraday` and `--horizon-days`",
            got="both",
            expected="one of them",
            remedy="leave `--horizon-days` out: a correction reaches as far as what it corrects",
        )
    now = datetime.now(UTC)
    if intraday:
        from serving.batch.forecast import publish_intraday

        _tell(publish_intraday(Home(home), now=now), as_json=as_json)
        return
    from serving.batch.forecast import publish_forecast

    report = publish_forecast(Home(home), now=now, horizon_days=horizon_days, progress=_progress)
    _tell(report, as_json=as_json)


def score(
    home: HomeOption = DEFAULT_HOME,
    threads: Annotated[int, typer.Option(min=1, help="Threads that score.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Score every customer of the current snapshot and put the scores in force.

    Running servers pick them up within seconds.
    """
    from serving.batch.scores import publish_scores

    report = publish_scores(Home(home), now=datetime.now(UTC), threads=threads, progress=_progress)
    _tell(report, as_json=as_json)


def actions(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Print the table that suggests what to do about a customer, and what its keys mean.

    It is the file `actions.toml` in the home, or the shipped table where there is none.
    """
    from serving.models.churn.actions import read_actions

    table = read_actions(Home(home).actions)
    if as_json:
        print_json([rule.model_dump(mode="json", exclude_defaults=True) for rule in table.rules])
        return
    sys.stdout.write(table.render())


def serve(
    home: HomeOption = DEFAULT_HOME,
    host: Annotated[str | None, typer.Option(help="Address; by default EBBFLOW_HOST.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Processes.")] = None,
) -> None:
    """Serve what is published; stop it with Ctrl-C or SIGTERM.

    The same as `bentoml serve serving.service:Ebbflow`.
    Settings come from EBBFLOW_* variables, see docs/operations.md; options win.
    """
    given = {"HOME": home.absolute(), "HOST": host, "PORT": port, "WORKERS": workers}
    os.environ.update({f"EBBFLOW_{k}": str(v) for k, v in given.items() if v is not None})
    settings = load_settings()
    chosen = settings.port or _free_port(settings.host)
    os.environ["EBBFLOW_PORT"] = str(chosen)
    os.environ["BENTOML_DO_NOT_TRACK"] = "true"
    sys.stdout.write(f"serving on http://{settings.host}:{chosen}\n")
    sys.stdout.flush()
    arguments = ["serve", "serving.service:Ebbflow", "--working-dir", str(SOURCE)]
    command = [sys.executable, "-m", "bentoml", *arguments]
    os.execv(sys.executable, command)  # noqa: S606 (our own interpreter, no shell)


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
        except OSError as error:
            raise ConfigError(
                f"address `{host}`",
                got=error.strerror,
                expected="an address of this machine",
                remedy="set EBBFLOW_HOST or --host, such as 127.0.0.1",
            ) from None
        return int(probe.getsockname()[1])


def pack(
    home: HomeOption = DEFAULT_HOME,
    version: Annotated[str | None, typer.Option(help="Version of the Bento.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Build a Bento that holds the promoted bundles and what is published now."""
    os.environ["BENTOML_DO_NOT_TRACK"] = "true"
    from serving.pack import pack as build

    packed = build(Home(home), source=SOURCE, version=version)
    if as_json:
        print_json(asdict(packed))
        return
    sys.stdout.write(f"packed {packed.tag} in {packed.path}\n")
    for place, id in packed.contents.items():
        sys.stdout.write(f"  {place}: {id}\n")


def openapi() -> None:
    """Print the OpenAPI document of the HTTP API."""
    from serving.app import create_app
    from serving.published.parts import Watcher
    from serving.settings import Settings, json_log

    made = create_app(
        Watcher(Home(DEFAULT_HOME)),
        settings=Settings(),
        clock=lambda: datetime.now(UTC),
        log=json_log(sys.stderr.buffer),
    )
    print_json(made.openapi())
