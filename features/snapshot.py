"""The feature snapshot: an immutable folder that serving and training read.

``customers.arrow`` is Arrow IPC, uncompressed and sorted by id, and is mapped into memory: a
look-up is a binary search that touches a few pages and copies one row.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.artefact import Artefact, open_artefact, open_current
from features.calendar import Bool, Event, Float64, Int64, Queue, epoch
from features.contracts import ORDER_STAGES

SNAPSHOT_KIND = "snapshot"
SNAPSHOT_SCHEMA = 3
VOLUME_FILE = "volume.arrow"
ORDERS_FILE = "orders.arrow"
QUARTERS_FILE = "quarters.arrow"
CUSTOMERS_FILE = "customers.arrow"
QUEUES_FILE = "queues.json"
EVENTS_FILE = "events.json"
QUARTERS = (7 * 24, 4)
"""Hours of the local week from Monday 00:00, and quarters of each."""


def no_quarters() -> Float64:
    """Return the contacts by quarter where none were counted."""
    return np.zeros(QUARTERS)


@dataclass(frozen=True)
class QueueHistory:
    """What is known of one queue's volume, interval by interval, without a hole in the grid.

    Attributes:
        starts: Interval starts, epoch seconds, int64[n], ascending.
        offered: float64[n]; NaN where not observed, 0 where closed.
        aht_seconds: float64[n]; NaN where nothing was handled.
        handled: Contacts that the AHT is the mean of, float64[n].
        quarters: Contacts seen lately by hour of the local week and quarter of it,
            float64[168, 4]; all 0 where none were counted by quarters.
    """

    queue: Queue
    starts: Int64
    offered: Float64
    aht_seconds: Float64
    handled: Float64
    quarters: Float64 = field(default_factory=no_quarters)

    @property
    def observed(self) -> Bool:
        """Whether each interval was observed, bool[n]."""
        return ~np.isnan(self.offered)

    def before(self, moment: datetime) -> QueueHistory:
        """Return the intervals that had ended by a moment; the quarters stay as they are."""
        last = epoch(moment) - self.queue.interval_minutes * 60
        n = int(np.searchsorted(self.starts, last, side="right"))
        columns = ("starts", "offered", "aht_seconds", "handled")
        return replace(self, **{name: getattr(self, name)[:n] for name in columns})


@dataclass(frozen=True)
class OrderFlow:
    """Steps of orders by UTC hour, without a hole in the grid.

    Attributes:
        starts: Starts of the hours, epoch seconds, int64[n], ascending.
        counts: Orders that took each of ``contracts.ORDER_STAGES``, float64[n, stages]; NaN
            where not all of them are known yet.
    """

    starts: Int64
    counts: Float64

    def before(self, moment: datetime) -> OrderFlow:
        """Return the hours that had ended by a moment."""
        n = int(np.searchsorted(self.starts, epoch(moment) - 3600, side="right"))
        return OrderFlow(self.starts[:n], self.counts[:n])


NO_ORDERS = OrderFlow(np.empty(0, dtype=np.int64), np.empty((0, len(ORDER_STAGES))))
"""The flow of a centre that knows no purchases."""


@dataclass(frozen=True)
class FeatureTable:
    """Customer features in memory order of their ids.

    Attributes:
        ids: Sorted by their UTF-8 bytes.
        names: Of the features, in column order.
        columns: One a feature, float64 with null where undefined.
    """

    ids: pa.ChunkedArray
    names: tuple[str, ...]
    columns: tuple[pa.ChunkedArray, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, customer_id: str) -> int | None:
        """Return the row of a customer, or None."""
        key = customer_id.encode()
        row = bisect.bisect_left(
            range(len(self.ids)), key, key=lambda i: str(self.ids[i].as_py()).encode()
        )
        return row if row < len(self.ids) and self.ids[row].as_py() == customer_id else None

    def matrix(self, names: Sequence[str], start: int = 0, stop: int | None = None) -> Float64:
        """Return some features of rows [start, stop) as float64[rows, features], null as NaN.

        Raises:
            KeyError: The table has no feature of that name.
        """
        where = {name: i for i, name in enumerate(self.names)}
        length = (len(self.ids) if stop is None else stop) - start
        out = np.empty((length, len(names)), dtype=np.float64)
        for j, name in enumerate(names):
            out[:, j] = self.columns[where[name]].slice(start, length).to_numpy()
        return out


@dataclass(frozen=True)
class Snapshot:
    """One published snapshot.

    Attributes:
        artefact: Its verified folder.
        as_of: All but the customers is as known then.
        histories: By queue name.
        customers_as_of: What customers' features look back from; before ``as_of`` where only the
            volume was built again.
    """

    artefact: Artefact
    as_of: datetime
    histories: Mapping[str, QueueHistory]
    events: tuple[Event, ...]
    orders: OrderFlow
    customers: FeatureTable
    customers_as_of: datetime


def read_arrow(path: Path) -> pa.Table:
    """Map an Arrow IPC file into memory and return it as a table that copies nothing."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def write_arrow(path: Path, table: pa.Table) -> None:
    """Write an Arrow IPC file in one uncompressed batch, so that readers can map it."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def queue_to_json(queue: Queue) -> dict[str, Any]:
    """Return a queue as JSON-ready values."""
    return asdict(queue)


def queue_from_json(document: Mapping[str, Any]) -> Queue:
    """Return the queue that ``queue_to_json`` wrote."""
    opening = tuple(
        None if spans is None else tuple((int(a), int(b)) for a, b in spans)
        for spans in document["opening"]
    )
    return Queue(**{**document, "opening": opening})


def event_from_json(document: Mapping[str, Any]) -> Event:
    """Return the event that ``dataclasses.asdict`` turned into JSON."""
    return Event(**{**document, "queues": tuple(document["queues"])})


def orders_to_table(orders: OrderFlow) -> pa.Table:
    """Return a flow as ``orders.arrow`` holds it: ``hour``, then a column a stage."""
    hours = pa.array(orders.starts, pa.int64()).cast(pa.timestamp("s", "UTC"))
    counts = [pa.array(orders.counts[:, k]) for k in range(len(ORDER_STAGES))]
    return pa.table([hours, *counts], names=["hour", *ORDER_STAGES])


def orders_from_table(table: pa.Table) -> OrderFlow:
    """Return the flow that ``orders_to_table`` wrote."""
    counts = np.column_stack([table.column(stage).to_numpy() for stage in ORDER_STAGES])
    return OrderFlow(_epoch_seconds(table.column("hour")), counts)


def quarters_to_table(quarters: Mapping[str, Float64]) -> pa.Table:
    """Return contacts by quarter as ``quarters.arrow`` holds them: ``queue``, ``contacts``."""
    counts = np.concatenate([np.empty(0), *(values.reshape(-1) for values in quarters.values())])
    return pa.table(
        {
            "queue": pa.array(list(quarters), pa.string()),
            "contacts": pa.FixedSizeListArray.from_arrays(
                pa.array(counts, pa.float64()), QUARTERS[0] * QUARTERS[1]
            ),
        }
    )


def quarters_from_table(table: pa.Table) -> dict[str, Float64]:
    """Return what ``quarters_to_table`` wrote, by queue, float64[168, 4] each."""
    names, columns = table.column("queue").to_pylist(), table.column("contacts").combine_chunks()
    counts = columns.flatten().to_numpy().reshape(-1, *QUARTERS)
    return dict(zip(names, counts, strict=True))


def open_snapshot(path: Path) -> Snapshot:
    """Verify and read one snapshot folder.

    Raises:
        ArtefactError: It is damaged or of another contract.
    """
    return _read_snapshot(open_artefact(path, kind=SNAPSHOT_KIND, schema=SNAPSHOT_SCHEMA))


def open_current_snapshot(root: Path) -> Snapshot:
    """Verify and read the snapshot that ``CURRENT`` names.

    Raises:
        NotPublishedError: None was published.
        ArtefactError: It is damaged or of another contract.
    """
    return _read_snapshot(open_current(root, kind=SNAPSHOT_KIND, schema=SNAPSHOT_SCHEMA))


def _read_snapshot(artefact: Artefact) -> Snapshot:
    queues = [queue_from_json(q) for q in artefact.json(QUEUES_FILE)]
    customers = read_arrow(artefact.file(CUSTOMERS_FILE))
    names = tuple(n for n in customers.column_names if n != "customer_id")
    as_of = artefact.meta["as_of"]
    return Snapshot(
        artefact=artefact,
        as_of=datetime.fromisoformat(as_of),
        histories=_histories(
            read_arrow(artefact.file(VOLUME_FILE)),
            queues,
            quarters=quarters_from_table(read_arrow(artefact.file(QUARTERS_FILE))),
        ),
        events=tuple(event_from_json(e) for e in artefact.json(EVENTS_FILE)),
        orders=orders_from_table(read_arrow(artefact.file(ORDERS_FILE))),
        customers=FeatureTable(
            ids=customers.column("customer_id"),
            names=names,
            columns=tuple(customers.column(n) for n in names),
        ),
        customers_as_of=datetime.fromisoformat(artefact.meta.get("customers_as_of", as_of)),
    )


def _histories(
    volume: pa.Table, queues: Sequence[Queue], *, quarters: Mapping[str, Float64]
) -> dict[str, QueueHistory]:
    """Cut the volume table (sorted by queue, then start) into one history a queue."""
    runs = pc.value_counts(volume.column("queue"))
    lengths = dict(
        zip(runs.field("values").to_pylist(), runs.field("counts").to_pylist(), strict=True)
    )
    stops = dict(zip(lengths, itertools.accumulate(lengths.values()), strict=True))
    histories = {}
    for queue in queues:
        length = lengths.get(queue.queue, 0)
        rows = volume.slice(stops.get(queue.queue, 0) - length, length)
        histories[queue.queue] = QueueHistory(
            queue=queue,
            starts=_epoch_seconds(rows.column("interval_start")),
            offered=rows.column("offered").to_numpy(),
            aht_seconds=rows.column("aht_seconds").to_numpy(),
            handled=rows.column("handled").to_numpy(),
            quarters=quarters[queue.queue],
        )
    return histories


def _epoch_seconds(times: pa.ChunkedArray) -> Int64:
    seconds: Int64 = times.to_numpy().astype("datetime64[s]").astype(np.int64)
    return seconds
