"""The feature snapshot: an immutable folder, written and read."""

from __future__ import annotations

import bisect
import itertools
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import Float64, Int64
from features.arrow import read_arrow, write_arrow
from features.artefact import Artefact, open_artefact, open_current, point_to, write_artefact
from features.calendar.queues import Event, Queue, event_from_json, queue_from_json, queue_to_json
from features.contracts.tables import ORDER_STAGES
from features.errors import TooLittleDataError
from features.volume.history import QUARTERS, OrderFlow, QueueHistory
from features.volume.panel import Panel, panel_table

SNAPSHOT_KIND = "snapshot"
SNAPSHOT_SCHEMA = 3
VOLUME_FILE = "volume.arrow"
ORDERS_FILE = "orders.arrow"
QUARTERS_FILE = "quarters.arrow"
CUSTOMERS_FILE = "customers.arrow"
QUEUES_FILE = "queues.json"
EVENTS_FILE = "events.json"


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


def publish_snapshot(
    root: Path,
    *,
    panel: Panel,
    customers: pa.RecordBatchReader | Snapshot,
    events: Sequence[Event],
    orders: OrderFlow,
    as_of: datetime,
    now: datetime,
    lineage: Mapping[str, Any],
    warnings: Sequence[str],
) -> Snapshot:
    """Write one snapshot, point ``CURRENT`` at it, and return it opened and verified.

    Args:
        root: Folder of all snapshots.
        panel: The volume.
        customers: ``customer_id`` and features, sorted by the id's bytes; read batch by batch. Or
            the snapshot whose customers are kept, as of then.
        events: Calendar events known at ``as_of``.
        orders: Steps of orders known at ``as_of``, by hour.
        as_of: The moment the features look back from.
        now: The moment of writing.
        lineage: What it was made from.
        warnings: Sentences for people, kept in the manifest.

    Raises:
        TooLittleDataError: It would hold no queue and no customer; what was current stays.
    """
    meta: dict[str, Any] = {"as_of": as_of.isoformat(), "warnings": list(warnings)}
    with write_artefact(
        root,
        kind=SNAPSHOT_KIND,
        schema=SNAPSHOT_SCHEMA,
        created_at=now,
        lineage=lineage,
        meta=meta,
    ) as folder:
        write_arrow(folder / VOLUME_FILE, panel_table(panel))
        write_arrow(folder / ORDERS_FILE, orders_to_table(orders))
        quarters = {name: queue.history.quarters for name, queue in panel.queues.items()}
        write_arrow(folder / QUARTERS_FILE, quarters_to_table(quarters))
        meta["queues"] = len(panel.queues)
        meta.update(_write_customers(folder / CUSTOMERS_FILE, customers, as_of=as_of))
        if not meta["queues"] and not meta["customers"]:
            raise TooLittleDataError(
                f"nothing was known at {as_of.isoformat()}",
                expected="a moment after the first row was available",
                remedy="build as of a later moment, or say in the mapping when rows were known",
            )
        queues = [queue_to_json(q.history.queue) for q in panel.queues.values()]
        for name, document in ((QUEUES_FILE, queues), (EVENTS_FILE, [asdict(e) for e in events])):
            text = json.dumps(document, ensure_ascii=False)
            (folder / name).write_text(text, encoding="utf-8")
        id = folder.name.removeprefix(".writing-")
    point_to(root, id)
    return open_snapshot(root / id)


def _write_customers(
    path: Path, customers: pa.RecordBatchReader | Snapshot, *, as_of: datetime
) -> dict[str, Any]:
    """Write the customers' features, or link those of an earlier snapshot; return what they are."""
    if isinstance(customers, Snapshot):
        _link_or_copy(customers.artefact.file(CUSTOMERS_FILE), path)
        count, names = len(customers.customers), customers.customers.names
        as_of = customers.customers_as_of
    else:
        count, names = 0, tuple(n for n in customers.schema.names if n != "customer_id")
        schema = customers.schema
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for batch in customers:
                writer.write_batch(batch)
                count += batch.num_rows
    return {"customers": count, "features": list(names), "customers_as_of": as_of.isoformat()}


def _link_or_copy(published: Path, path: Path) -> None:
    """Put a file of one snapshot into another; neither is ever written to again."""
    try:
        os.link(published, path)
    except OSError:
        shutil.copyfile(published, path)
