"""The verb ``build``: from the lake to a published snapshot, with a summary for people."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Literal

import numpy as np
import typer

from features.calendar.clock import from_epoch
from features.console import DEFAULT_HOME, HomeOption, JsonOption, parse_moment, print_json
from features.home import Home
from features.volume.history import QueueHistory


@dataclass(frozen=True)
class QueueReport:
    """One queue of a snapshot, in [first, end), UTC.

    Attributes:
        contacts_per_hour: Mean over the observed intervals; None where there is none.
        observed: Share of its intervals that were observed.
    """

    queue: str
    first: datetime
    end: datetime
    interval_minutes: int
    contacts_per_hour: float | None
    observed: float


@dataclass(frozen=True)
class BuildReport:
    """What a build published.

    Attributes:
        snapshot: Its id.
        as_of: What its features look back from.
        customers_as_of: What its customers' features look back from.
        features: How many each customer has, without what is only carried beside them.
        tables: Versions of the lake's tables it was made from.
    """

    snapshot: str
    as_of: datetime
    customers_as_of: datetime
    queues: tuple[QueueReport, ...]
    customers: int
    features: int
    events: int
    tables: dict[str, int]
    warnings: tuple[str, ...]


def build_snapshot(
    home: Home,
    *,
    now: datetime,
    as_of: datetime | None = None,
    only: Literal["volume"] | None = None,
    progress: Callable[[str], None] | None = None,
) -> BuildReport:
    """Publish a snapshot and report what it holds.

    Args:
        home: Where the lake and the snapshots stand.
        now: Aware UTC.
        as_of: The moment to look back from; by default the latest the data allow.
        only: ``volume`` keeps the customers of the current snapshot, which takes seconds.
        progress: Told what is being done.

    Raises:
        TooLittleDataError: The lake holds no event.
        HorizonError: ``as_of`` lies in the future, or before what kept customers look back from.
        NotPublishedError: Customers are to be kept and no snapshot is published.
    """
    # Ibis takes a second to import, which would slow down every other verb and all help.
    from features.customers.features import CARRIED_NAMES
    from features.store import FeatureStore

    with FeatureStore(home) as store:
        at = store.latest(now=now) if as_of is None else as_of
        publish = store.publish if only is None else store.publish_volume
        snapshot = publish(as_of=at, now=now, progress=progress)
        return BuildReport(
            snapshot=snapshot.artefact.id,
            as_of=snapshot.as_of,
            customers_as_of=snapshot.customers_as_of,
            queues=tuple(_queue_report(history) for history in snapshot.histories.values()),
            customers=len(snapshot.customers),
            features=len(set(snapshot.customers.names) - set(CARRIED_NAMES)),
            events=len(snapshot.events),
            tables=store.versions,
            warnings=store.warnings,
        )


def _queue_report(history: QueueHistory) -> QueueReport:
    minutes = history.queue.interval_minutes
    observed = history.observed
    mean = float(np.mean(history.offered[observed])) * 60 / minutes if observed.any() else None
    return QueueReport(
        queue=history.queue.queue,
        first=from_epoch(int(history.starts[0])),
        end=from_epoch(int(history.starts[-1]) + minutes * 60),
        interval_minutes=minutes,
        contacts_per_hour=None if mean is None else round(mean, 2),
        observed=round(float(observed.mean()), 4),
    )


def register(app: typer.Typer, *, clock: Callable[[], datetime]) -> None:
    """Add the verb ``build`` to a command; ``clock`` gives the time, aware UTC."""

    @app.command(epilog="Example: python -m features build --as-of 2026-03-01T00:00Z")
    def build(
        as_of: Annotated[
            str | None,
            typer.Option(
                help="Look back from this time (ISO 8601 with zone); default: latest data."
            ),
        ] = None,
        only: Annotated[
            Literal["volume"] | None,
            typer.Option(help="Build the volume; keep the customers of the current snapshot."),
        ] = None,
        home: HomeOption = DEFAULT_HOME,
        json: JsonOption = False,
    ) -> None:
        """Build features for both models and publish them as a snapshot."""
        at = None if as_of is None else parse_moment(as_of, option="--as-of")

        def say(text: str) -> None:
            sys.stderr.write(f"building: {text}\n")

        report = build_snapshot(Home(home), now=clock(), as_of=at, only=only, progress=say)
        if json:
            print_json(asdict(report))
        else:
            sys.stdout.write(summary(report))


def summary(report: BuildReport) -> str:
    """Return a report as text for people."""
    same = report.customers_as_of == report.as_of
    as_of = "" if same else f", as of {report.customers_as_of:%Y-%m-%d %H:%M} UTC"
    lines = [
        f"snapshot   {report.snapshot}",
        f"as of      {report.as_of:%Y-%m-%d %H:%M} UTC",
        f"customers  {report.customers:,} with {report.features} features each{as_of}",
        f"events     {report.events:,} known ahead",
        f"queues     {len(report.queues)}",
    ]
    for queue in report.queues:
        rate = queue.contacts_per_hour
        lines.append(
            f"  {queue.queue:<20} {queue.first:%Y-%m-%d} to {queue.end:%Y-%m-%d}  "
            f"{'-' if rate is None else f'{rate:.2f}':>9} contacts/h  "
            f"{queue.observed:6.1%} observed, {queue.interval_minutes} min"
        )
    lines += [f"warning: {text}" for text in report.warnings]
    return "\n".join(lines) + "\n"
