"""The feature store: what was known at a moment, for both models, from one lake.

A store is pinned to the tables' versions at its opening: a load meanwhile changes nothing that
it returns. Every answer is a function of those versions and the as-of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Self

import ibis.expr.types as ir
import pyarrow as pa

from features.artefact import current_id
from features.calendar.clock import DAY_SECONDS
from features.calendar.queues import Event, Queue, event_of, queue_of
from features.contracts.tables import TABLES
from features.customers import labels
from features.customers.aggregates import Histories, contact_rows, people_rows, purchase_rows
from features.customers.features import customer_features
from features.customers.labels import ChurnLabels, ContractLabels
from features.customers.passes import FeatureRunner
from features.engine.as_of import known, literal, second_of, written
from features.engine.duckdb import DuckDBEngine
from features.engine.protocol import Engine
from features.errors import HorizonError, NotPublishedError, TooLittleDataError
from features.home import Home
from features.lake.delta import Lake
from features.snapshot import Snapshot, open_current_snapshot, publish_snapshot
from features.volume import contacts
from features.volume.contacts import Waits, waited_contacts, waits_of
from features.volume.history import OrderFlow, QueueHistory
from features.volume.orders import order_cells, order_delays, order_flow
from features.volume.overrides import Override
from features.volume.panel import Panel, build_panel

Progress = Callable[[str], None]
EVENT_TABLES = ("interactions", "intervals", "purchases")
MEMORY_LIMIT = "640MB"
"""Keeps a process that publishes a million customers near 1 GiB."""
_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)


class FeatureStore:
    """Features of one home's lake, as of any moment.

    Use it as a context manager, or close it.

    Args:
        home: Where the lake stands.
        engine: By default DuckDB, with the next two.
        threads: By default all cores.
        memory_limit: What it may hold before it spills to disk; more is faster from some
            ten million events or a million customers on.

    Attributes:
        versions: The lake's table versions that all answers come from.
    """

    def __init__(
        self,
        home: Home,
        *,
        engine: Engine | None = None,
        threads: int | None = None,
        memory_limit: str = MEMORY_LIMIT,
    ) -> None:
        self.home = home
        lake = Lake(home.lake)
        self.versions: dict[str, int] = lake.versions()
        self._engine = engine or DuckDBEngine(threads=threads, memory_limit=memory_limit)
        self._tables: dict[str, ir.Table] = {
            name: self._engine.scan(lake.files(name, self.versions.get(name)), contract)
            for name, contract in TABLES.items()
        }
        self._passes = FeatureRunner(
            self._engine,
            Histories(
                contact_rows(self._tables["interactions"]),
                purchase_rows(self._tables["purchases"]),
                people_rows(self._tables["customers"]),
            ),
        )
        self._warnings: dict[str, None] = {}

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the engine."""
        self.close()

    def close(self) -> None:
        """Free the engine's memory; the store answers nothing more."""
        self._engine.close()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the answers so far want a person to know, each once."""
        return tuple(self._warnings)

    def latest(self, *, now: datetime) -> datetime:
        """Return the default as-of: the last thing learnt, up to a full hour, at most ``now``.

        Raises:
            TooLittleDataError: No event was loaded.
        """
        return min(self._horizon(), now.astimezone(UTC).replace(microsecond=0))

    def queues(self, as_of: datetime) -> tuple[Queue, ...]:
        """Return every queue known at a moment, by name.

        A queue that only its contacts know gets the defaults (UTC, 60 minutes) and a warning.

        Raises:
            InputError: A queue's opening hours or interval are malformed.
        """
        rows = self._engine.arrow(self._known("queues", as_of)).to_pylist()
        stated = {row["queue"]: queue_of(row) for row in rows}
        interactions, intervals = (
            self._known(name, as_of) for name in ("interactions", "intervals")
        )
        seen = self._engine.arrow(contacts.seen_queues(interactions, intervals))
        for name in sorted(set(seen.column("queue").to_pylist()) - set(stated)):
            self._warn(
                f"queue `{name}` is not in the table `queues`: UTC, 60 minutes and no stated "
                "opening hours are assumed"
            )
            stated[name] = Queue(name)
        return tuple(stated[name] for name in sorted(stated))

    def events(self, as_of: datetime) -> tuple[Event, ...]:
        """Return the calendar events known at a moment, by start and id; they may lie ahead."""
        rows = self._known("calendar", as_of)
        rows = rows.filter(rows.known_at <= literal(as_of))
        times = {n: second_of(rows[n]) for n in ("starts_at", "ends_at", "known_at")}
        events = rows.select("event_id", "kind", "queues", "size", **times)
        events = events.order_by("starts_at", "event_id")
        return tuple(event_of(row) for row in self._engine.arrow(events).to_pylist())

    def overrides(self, as_of: datetime) -> tuple[Override, ...]:
        """Return the planner's overrides known at a moment, as they were made; all layers."""
        rows = self._known("overrides", as_of)
        times = {"start": "interval_start", "made_at": "made_at", "withdrawn_at": "withdrawn_at"}
        plain = [n for n in Override.__dataclass_fields__ if n not in times]
        overrides = rows.select(*plain, **{n: second_of(rows[c]) for n, c in times.items()})
        overrides = overrides.order_by("made_at", "override_id")
        return tuple(Override(**row) for row in self._engine.arrow(overrides).to_pylist())

    def panel(self, as_of: datetime) -> Panel:
        """Return the volume panel as known at a moment, with its warnings."""
        panel = build_panel(
            self.queues(as_of),
            cells=self._engine.arrow(contacts.contact_cells(self._tables["interactions"], as_of)),
            intervals=self._engine.arrow(
                contacts.interval_counts(self._tables["intervals"], as_of)
            ),
            events=self.events(as_of),
            as_of=as_of,
        )
        for warning in panel.warnings:
            self._warn(warning)
        return panel

    def volume(self, as_of: datetime) -> dict[str, QueueHistory]:
        """Return each queue's history as known at a moment, by name."""
        return {name: queue.history for name, queue in self.panel(as_of).queues.items()}

    def orders(self, as_of: datetime) -> OrderFlow:
        """Return the steps of orders by hour as known at a moment; empty without purchases."""
        purchases = self._tables["purchases"]
        return order_flow(
            self._engine.arrow(order_cells(purchases, as_of)),
            self._engine.arrow(order_delays(purchases, as_of)),
            as_of=as_of,
        )

    def waits(self, as_of: datetime, *, days: int) -> Waits:
        """Return the contacts of the last days whose wait was over, as known at a moment."""
        rows = waited_contacts(self._tables["interactions"], as_of, days=days)
        return waits_of(self._engine.batches(rows))

    def customers(self, as_ofs: Sequence[datetime]) -> pa.Table:
        """Return the features of everybody known at each as-of (aware, whole seconds).

        Returns:
            ``customer_id``, ``as_of`` (timestamp[s, UTC]), then ``customers.FEATURE_NAMES`` and
            ``customers.CARRIED_NAMES`` (float64, null where undefined), sorted by as-of and the
            bytes of the id.
        """
        return self._passes.run(customer_features, as_ofs)

    def labels(
        self, as_ofs: Sequence[datetime], *, horizon_days: int = 90, active_days: int = 180
    ) -> pa.Table:
        """Return churn labels of the customers active at each as-of.

        Args:
            as_ofs: Aware, whole seconds; one whose horizon the data do not reach is left out.
            horizon_days: Days that the label looks ahead.
            active_days: Days back in which a purchase or renewal makes a customer active.

        Returns:
            ``customer_id``, ``as_of`` and ``label_known_at`` (timestamp[s, UTC]), ``churned``
            (int8: 1 where no purchase or renewal followed), ``value_minor`` (int64: money of
            those that did), sorted by as-of and the bytes of the id.

        Raises:
            TooLittleDataError: No event was loaded.
        """
        return self._labels(ChurnLabels(horizon_days=horizon_days, active_days=active_days), as_ofs)

    def contract_labels(
        self, as_ofs: Sequence[datetime], *, horizon_days: int = 90, grace_days: int = 30
    ) -> pa.Table:
        """Return labels of the customers whose contract runs at each as-of, as ``labels`` does.

        ``churned`` is 1 where a cancellation followed within the horizon, or the term ended
        within it and was not renewed in the days of grace: see ``labels.ContractLabels``.

        Raises:
            TooLittleDataError: No event was loaded.
        """
        definition = ContractLabels(horizon_days=horizon_days, grace_days=grace_days)
        return self._labels(definition, as_ofs)

    def _labels(
        self, definition: ChurnLabels | ContractLabels, as_ofs: Sequence[datetime]
    ) -> pa.Table:
        ahead = timedelta(days=definition.known_days)
        end = self._horizon()
        rows = self._passes.run(definition, [at for at in as_ofs if at + ahead <= end])
        as_of_epoch = rows.column("as_of").cast(pa.int64()).to_numpy()
        known_at = pa.array(as_of_epoch + definition.known_days * DAY_SECONDS, pa.int64())
        return pa.table(
            {
                "customer_id": rows.column("customer_id"),
                "as_of": rows.column("as_of"),
                "churned": rows.column("churned").cast(pa.int8()),
                "value_minor": rows.column("value_minor"),
                "label_known_at": known_at.cast(pa.timestamp("s", "UTC")),
            }
        )

    def outcomes(self, as_of: datetime, *, horizon_days: int) -> pa.Table:
        """Return what came of each decision to contact a customer or not: ``outreach.outcomes``."""
        rows = labels.outcomes(
            self._tables["outreach"],
            purchase_rows(self._tables["purchases"]),
            written(as_of),
            horizon_days=horizon_days,
        )
        return self._engine.arrow(rows)

    def publish(
        self, *, as_of: datetime, now: datetime, progress: Progress | None = None
    ) -> Snapshot:
        """Write a snapshot as of a moment and make it the current one.

        Args:
            as_of: Aware, whole seconds.
            now: The moment of writing, aware.
            progress: Told what is being done.

        Raises:
            HorizonError: ``as_of`` lies after ``now``.
            TooLittleDataError: Nothing was known at ``as_of``.
        """
        return self._publish(None, as_of=as_of, now=now, progress=progress)

    def publish_volume(
        self, *, as_of: datetime, now: datetime, progress: Progress | None = None
    ) -> Snapshot:
        """Write a snapshot that keeps the current one's customers, and make it the current one.

        As ``publish`` does; ``as_of`` is that of all but the customers.

        Raises:
            HorizonError: ``as_of`` lies after ``now``, or before what the customers look back from.
            NotPublishedError: There is no snapshot to keep the customers of.
            ArtefactError: It is damaged or of another contract.
        """
        if current_id(self.home.snapshots) is None:
            raise NotPublishedError(
                "no snapshot is published whose customers could be kept",
                remedy="run `python -m features build` once",
            )
        current = open_current_snapshot(self.home.snapshots)
        if as_of < current.customers_as_of:
            raise HorizonError(
                f"as-of {as_of.isoformat()}",
                got="a moment before what the kept customers look back from",
                expected=f"at least {current.customers_as_of.isoformat()}",
                remedy="build everything as of that moment: leave `--only` out",
                field="as_of",
            )
        return self._publish(current, as_of=as_of, now=now, progress=progress)

    def _publish(
        self,
        current: Snapshot | None,
        *,
        as_of: datetime,
        now: datetime,
        progress: Progress | None,
    ) -> Snapshot:
        """Publish with the customers of ``current``; None: with those of ``as_of``."""
        if as_of > now:
            raise HorizonError(
                f"as-of {as_of.isoformat()}",
                got="a moment in the future",
                expected=f"at most {now.isoformat()}",
                field="as_of",
            )
        say = progress or (lambda _: None)
        say("volume")
        panel = self.panel(as_of)
        events = self.events(as_of)
        orders = self.orders(as_of)
        say("customers")
        return publish_snapshot(
            self.home.snapshots,
            panel=panel,
            customers=current or self._passes.batches(customer_features, as_of),
            events=events,
            orders=orders,
            as_of=as_of,
            now=now,
            lineage={"tables": self.versions},
            warnings=self.warnings,
        )

    def _known(self, table: str, as_of: datetime) -> ir.Table:
        rows = self._tables[table]
        return rows.filter(known(rows, written(as_of)))

    def _horizon(self) -> datetime:
        times: list[datetime] = []
        for name in EVENT_TABLES:
            rows = self._tables[name]
            # An as-of sees what happened before it, so the last event must lie before it.
            last = self._engine.arrow(
                rows.aggregate(
                    known=rows.available_at.max(), happened=rows[TABLES[name].event_time].max()
                )
            ).to_pylist()[0]
            if last["known"] is not None:
                times += [last["known"], last["happened"] + _SECOND]
        if not times:
            raise TooLittleDataError(
                "the lake holds no interactions, intervals or purchases",
                remedy="load some with `python -m features ingest`",
            )
        last_known = max(times).replace(tzinfo=UTC)
        hour = last_known.replace(minute=0, second=0, microsecond=0)
        return hour if hour == last_known else hour + _HOUR

    def _warn(self, text: str) -> None:
        self._warnings[text] = None
