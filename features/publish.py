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
    """Write one snapshot and point ``CURRENT`` at it.

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

    Returns:
        The snapshot, opened and verified.

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
        if isinstance(customers, Snapshot):
            _keep(customers.artefact.file(CUSTOMERS_FILE), folder / CUSTOMERS_FILE)
            meta["customers"] = len(customers.customers)
            meta["features"] = list(customers.customers.names)
            meta["customers_as_of"] = customers.customers_as_of.isoformat()
        else:
            meta["customers"] = _write_customers(folder / CUSTOMERS_FILE, customers)
            meta["features"] = [n for n in customers.schema.names if n != "customer_id"]
            meta["customers_as_of"] = as_of.isoformat()
        if not meta["queues"] and not meta["customers"]:
            raise TooLittleDataError(
                f"nothing was known at {as_of.isoformat()}",
                expected="a moment after the first row was available",
                remedy="build as of a later moment, or say in the mapping when rows were known",
            )
        queues = [queue_to_json(q.history.queue) for q in panel.queues.values()]
        (folder / QUEUES_FILE).write_text(json.dumps(queues, ensure_ascii=False), encoding="utf-8")
        (folder / EVENTS_FILE).write_text(
            json.dumps([asdict(e) for e in events], ensure_ascii=False), encoding="utf-8"
        )
        id = folder.name.removeprefix(".writing-")
    point_to(root, id)
    return open_snapshot(root / id)


def _write_customers(path: Path, batches: pa.RecordBatchReader) -> int:
    rows = 0
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batches.schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def _keep(published: Path, path: Path) -> None:
    """Put a file of one snapshot into another; neither is ever written to again."""
    try:
        os.link(published, path)
    except OSError:
        shutil.copyfile(published, path)
