"""Writing a feature snapshot: the folder that ``snapshot.py`` reads."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.artefact import point_to, writing
from features.calendar import Event
from features.errors import TooLittleDataError
from features.panel import Panel, panel_table
from features.snapshot import (
    CUSTOMERS_FILE,
    EVENTS_FILE,
    ORDERS_FILE,
    QUARTERS_FILE,
    QUEUES_FILE,
    SNAPSHOT_KIND,
    SNAPSHOT_SCHEMA,
    VOLUME_FILE,
    OrderFlow,
    Snapshot,
    open_snapshot,
    orders_to_table,
    quarters_to_table,
    queue_to_json,
    write_arrow,
)


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
    with writing(
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
