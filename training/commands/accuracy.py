"""The verb ``accuracy`` of ``python -m training``: every published forecast beside what came."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from features.calendar.clock import to_epoch
from features.console import DEFAULT_HOME, HomeOption, JsonOption, parse_moment, print_json
from features.errors import EbbflowError, NotPublishedError, TooLittleDataError, UnknownNameError
from features.home import Home
from training.commands import CsvOption, QueuesOption, VolumeArgument, one_format

if TYPE_CHECKING:
    from serving.published.forecast_set import ForecastSet
    from training.watch.accuracy import AccuracyRecord, Actuals, Span

_UNREADABLE = (EbbflowError, OSError, ValueError, LookupError, TypeError)


def register(app: typer.Typer, *, clock: Callable[[], datetime]) -> None:
    """Add the verb to the command."""

    @app.command(epilog="Example: python -m training accuracy volume --since 2026-03-01T00:00Z")
    def accuracy(
        model: VolumeArgument,
        since: Annotated[
            str | None, typer.Option(help="Only intervals from this time on (ISO 8601 with zone).")
        ] = None,
        until: Annotated[
            str | None, typer.Option(help="Only intervals that start before this time.")
        ] = None,
        queue: QueuesOption = None,
        by_hour: Annotated[
            bool, typer.Option("--by-hour", help="Also print WAPE and bias by hour of the week.")
        ] = False,
        figure: Annotated[
            Path | None, typer.Option(help="Draw WAPE and bias by hour of the week into this PNG.")
        ] = None,
        home: HomeOption = DEFAULT_HOME,
        json: JsonOption = False,
        as_csv: CsvOption = False,
    ) -> None:
        """Join every forecast that was published with what came, and print how good it was."""
        from training.watch.report import print_csv, print_record, record_document

        del model  # the one there is a record of
        one_format(json=json, csv=as_csv)
        record, left_out = read_record(
            Home(home),
            now=clock(),
            since=None if since is None else parse_moment(since, option="--since"),
            until=None if until is None else parse_moment(until, option="--until"),
            queues=tuple(queue or ()),
        )
        if figure is not None:
            from training.watch.report import draw_record

            draw_record(record, figure)
        if json:
            print_json(record_document(record, left_out))
        elif as_csv:
            print_csv(record)
        else:
            print_record(record, left_out, by_hour=by_hour)


def read_record(
    home: Home,
    *,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    queues: tuple[str, ...] = (),
) -> tuple[AccuracyRecord, tuple[str, ...]]:
    """Judge every kept forecast set by what the lake knows now.

    ``queues``: Only these; empty for all.

    Returns:
        The record, and a sentence on each set that could not be read.

    Raises:
        NotPublishedError: No forecast was published, or none can be read.
        TooLittleDataError: Nothing has come yet of what was forecast.
        UnknownNameError: A queue was never forecast nor seen.
    """
    from training.watch.accuracy import Span, keep_record

    folders = _folders(home.forecasts)
    if not folders:
        raise NotPublishedError(
            "no forecast is published yet",
            remedy="run `python -m serving forecast`; its record starts with the first one",
        )
    actuals = _actuals(home, now=now)
    span = Span(
        since=None if since is None else to_epoch(since),
        until=None if until is None else to_epoch(until),
        queues=queues,
    )
    left_out: list[str] = []
    made: list[datetime] = []
    record = keep_record(_open(folders, left_out, made), actuals, span=span)
    if len(left_out) == len(folders):
        raise NotPublishedError(
            f"none of {len(folders)} forecast sets can be read",
            got=left_out[-1],
            remedy="run `python -m serving forecast`",
        )
    _known_queues(record, actuals, span)
    if record.intervals == 0:
        raise TooLittleDataError(
            "nothing has come yet of what was forecast",
            got=f"forecasts made from {min(made):%Y-%m-%d %H:%M} to {max(made):%Y-%m-%d %H:%M} "
            f"UTC, and contacts known until {actuals.as_of:%Y-%m-%d %H:%M} UTC",
            remedy="load newer contacts with `python -m features ingest`"
            + (", or ask for another time or queue" if since or until or queues else ""),
        )
    return record, tuple(left_out)


def _folders(root: Path) -> list[Path]:
    """Return every set's folder, oldest first, also one that lost its manifest."""
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".")


def _actuals(home: Home, *, now: datetime) -> Actuals:
    from features.store import FeatureStore
    from training.watch.accuracy import Actuals

    with FeatureStore(home) as store:
        as_of = store.latest(now=now)
        overrides: dict[str, list[Any]] = {}
        for override in store.overrides(as_of):
            overrides.setdefault(override.queue, []).append(override)
        return Actuals(as_of, store.volume(as_of), overrides)


def _open(
    folders: Sequence[Path], left_out: list[str], made: list[datetime]
) -> Iterator[ForecastSet]:
    """Open one set at a time; the same forecast published twice counts once."""
    from serving.published.forecast_set import open_forecast_set

    seen = set()
    console = Console(stderr=True)
    shown = track(
        folders, "reading sets", console=console, transient=True, disable=not console.is_terminal
    )
    for folder in shown:
        try:
            found = open_forecast_set(folder)
        except _UNREADABLE as error:
            left_out.append(f"set `{folder.name}` is left out: {error}")
            continue
        same = (found.made_at, found.snapshot, found.model_version, found.base)
        if same not in seen:
            seen.add(same)
            made.append(found.made_at)
            yield found


def _known_queues(record: AccuracyRecord, actuals: Actuals, span: Span) -> None:
    known = {queue for _, queue in record.sums} | set(actuals.histories) | set(record.never_seen)
    for name in span.queues:
        if name not in known:
            raise UnknownNameError("queue", name, known, field="queue")
