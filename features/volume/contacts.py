"""Contacts by queue and interval, and each contact's wait."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.arrays import Bool, Int64
from features.calendar.clock import DAY_SECONDS, GRID_SECONDS
from features.engine.as_of import happened, second_of, thousandths, whole_second, written


def contact_cells(interactions: ir.Table, as_of: datetime) -> ir.Table:
    """Return contacts by queue and cell of 900 s, as known at ``as_of``, sorted.

    Returns:
        ``queue``, ``ts`` (start of the cell, epoch seconds), ``last_ts`` (of the last contact),
        ``offered``, ``answered``, ``abandoned``, ``handled`` and ``handle_ms``, all int64.
    """
    rows = interactions.select(
        queue=interactions.queue,
        ts=second_of(interactions.started_at),
        available_at=interactions.available_at,
        superseded_at=interactions.superseded_at,
        abandoned=(interactions.outcome == "abandoned").cast("int64"),
        waiting=(interactions.outcome == "open").cast("int64"),
        handle_ms=thousandths(interactions.handle_seconds),
    )
    # Some exports write 0 for what nobody handled.
    unhandled = (rows.abandoned == 1) & (rows.handle_ms == 0)
    rows = rows.mutate(handle_ms=unhandled.ifelse(ibis.null("int64"), rows.handle_ms))
    rows = happened(rows, written(as_of))
    cell = ((rows.ts // GRID_SECONDS) * GRID_SECONDS).cast("int64")
    cells = rows.group_by("queue", cell=cell).aggregate(
        last_ts=rows.ts.max(),
        offered=rows.count(),
        abandoned=rows.abandoned.sum().cast("int64"),
        waiting=rows.waiting.sum().cast("int64"),
        handled=rows.handle_ms.count(),
        handle_ms=rows.handle_ms.sum().coalesce(0).cast("int64"),
    )
    cells = cells.mutate(ts=cells.cell, answered=cells.offered - cells.abandoned - cells.waiting)
    return cells.drop("cell", "waiting").order_by("queue", "ts")


def interval_counts(intervals: ir.Table, as_of: datetime) -> ir.Table:
    """Return the interval rows that had ended by ``as_of`` and were known at it, sorted.

    Returns:
        ``queue``, ``ts`` (epoch seconds), ``minutes``, ``offered``, ``answered``, ``abandoned``
        (int64, null where not stated) and ``aht_seconds`` (float64, null where not stated).
    """
    rows = intervals.select(
        "queue",
        "offered",
        "answered",
        "abandoned",
        "aht_seconds",
        "available_at",
        "superseded_at",
        ts=second_of(intervals.interval_start),
        minutes=intervals.interval_minutes,
    )
    rows = happened(rows, written(as_of))
    ended = rows.ts + rows.minutes * 60 <= whole_second(as_of)
    return rows.filter(ended).drop("available_at", "superseded_at").order_by("queue", "ts")


def seen_queues(interactions: ir.Table, intervals: ir.Table) -> ir.Table:
    """Return the names of all queues that either table has ever seen: one column, ``queue``."""
    return ibis.union(interactions.select("queue"), intervals.select("queue"), distinct=True)


Int32 = npt.NDArray[np.int32]
Float32 = npt.NDArray[np.float32]

_NOBODY = -1


@dataclass(frozen=True)
class Waits:
    """Contacts whose wait is over, in order of time, one value a contact in each array.

    Attributes:
        queues: Names of queues, sorted.
        agents: Ids of agents, sorted.
        queue: Place in ``queues``, int32[n].
        started_at: When it was offered to the queue, epoch seconds, int64[n], ascending.
        wait_seconds: Until it was answered or abandoned, float32[n]; NaN where not stated.
        handle_seconds: float32[n]; NaN where not stated, and of abandoned contacts.
        abandoned: bool[n]; all others were answered.
        agent: Place in ``agents``, -1 where not stated, int32[n].
    """

    queues: tuple[str, ...]
    agents: tuple[str, ...]
    queue: Int32
    started_at: Int64
    wait_seconds: Float32
    handle_seconds: Float32
    abandoned: Bool
    agent: Int32

    def __len__(self) -> int:
        """Return the number of contacts."""
        return len(self.started_at)


NO_WAITS = Waits(
    queues=(),
    agents=(),
    queue=np.empty(0, np.int32),
    started_at=np.empty(0, np.int64),
    wait_seconds=np.empty(0, np.float32),
    handle_seconds=np.empty(0, np.float32),
    abandoned=np.empty(0, np.bool_),
    agent=np.empty(0, np.int32),
)
"""Of a centre that keeps no single contacts."""


def waited_contacts(interactions: ir.Table, as_of: datetime, *, days: int) -> ir.Table:
    """Return contacts of the last days whose wait was over as known at ``as_of``, sorted.

    Returns:
        ``queue``, ``ts`` (epoch seconds), ``wait`` and ``handle`` (float32 seconds, null where
        not stated), ``abandoned`` (boolean) and ``agent`` (null where not stated).
    """
    at = written(as_of)
    # An open matter may have been answered: without it, too large a share would be abandoned.
    waited = (interactions.outcome != "open") | interactions.wait_seconds.notnull()
    rows = interactions.filter(waited)
    rows = rows.select(
        queue=rows.queue,
        ts=second_of(rows.started_at),
        wait=rows.wait_seconds.cast("float32"),
        handle=rows.handle_seconds.cast("float32"),
        abandoned=rows.outcome == "abandoned",
        agent=rows.agent_id,
        available_at=rows.available_at,
        superseded_at=rows.superseded_at,
    )
    rows = happened(rows, at)
    rows = rows.filter(rows.ts >= at.second - days * DAY_SECONDS)
    # Some exports write a handle time for abandoned contacts: nobody's work.
    rows = rows.mutate(handle=rows.abandoned.ifelse(ibis.null("float32"), rows.handle))
    rows = rows.drop("available_at", "superseded_at")
    # By all columns, so that contacts of one second stand in the same order on every run.
    return rows.order_by("ts", "queue", "wait", "handle", "agent", "abandoned")


def waits_of(batches: pa.RecordBatchReader) -> Waits:
    """Gather rows of ``waited_contacts`` batch by batch, queues and agents as numbers."""
    # Names become numbers at once: as text, the contacts of a large centre fill the memory.
    coded = [_with_coded_names(batch) for batch in batches if len(batch)]
    if not coded:
        return NO_WAITS
    rows = pa.Table.from_batches(coded).unify_dictionaries().combine_chunks()
    queues, queue = _sorted_codes(rows.column("queue").chunk(0))
    agents, agent = _sorted_codes(rows.column("agent").chunk(0))
    return Waits(
        queues=queues,
        agents=agents,
        queue=queue,
        started_at=rows.column("ts").to_numpy(),
        wait_seconds=rows.column("wait").to_numpy(),
        handle_seconds=rows.column("handle").to_numpy(),
        abandoned=rows.column("abandoned").to_numpy(),
        agent=agent,
    )


def _with_coded_names(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = {name: batch.column(name) for name in batch.schema.names}
    coded = {name: columns[name].dictionary_encode() for name in ("queue", "agent")}
    return pa.RecordBatch.from_pydict({**columns, **coded})


def _sorted_codes(column: pa.DictionaryArray) -> tuple[tuple[str, ...], Int32]:
    """Return the names, sorted, and the place of each row's among them; -1 without one."""
    names = column.dictionary.to_pylist()
    places = np.append(np.argsort(np.argsort(np.array(names, dtype=object))), _NOBODY)
    codes: Int32 = places.astype(np.int32)[column.indices.fill_null(len(names)).to_numpy()]
    return tuple(sorted(names)), codes
