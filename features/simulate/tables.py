"""The simulated events as rows of our own tables, every version of a row by itself.

A row's first version tells what was known at once (an e-mail that came, an order that was
placed); the next one, with the same id and a later ``available_at``, what was known afterwards.
Only what is known by the end of the history is there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.calendar import DAY_SECONDS, Bool, Event, Float64, Int64, opening_text
from features.contracts import WEEKDAYS
from features.simulate.customers import REGIONS, SEGMENTS, Int8, Population
from features.simulate.queues import QueueModel
from features.simulate.world import World

TIMESTAMP = pa.timestamp("us", tz="UTC")


def times(seconds: Int64, *, missing: Bool | None = None) -> pa.Array:
    """Return epoch seconds as aware UTC timestamps; null where missing."""
    micro = pa.array(np.asarray(seconds, dtype=np.int64) * 1_000_000, mask=missing)
    return micro.cast(TIMESTAMP)


def ids(prefix: str, numbers: Int64, *, missing: Bool | None = None) -> pa.Array:
    """Return ids of a prefix and nine digits; null where missing.

    >>> ids("C", np.array([7])).to_pylist()
    ['C000000007']
    """
    text = pc.utf8_lpad(pa.array(numbers, mask=missing).cast(pa.string()), 9, "0")
    return pc.binary_join_element_wise(prefix, text, "")


def words(vocabulary: Sequence[str | None], index: Int64 | Int8) -> pa.Array:
    """Return a word for each index; null for -1."""
    known = pa.array([*vocabulary, None], pa.string())
    return known.take(pa.array(np.asarray(index, dtype=np.int64) % len(known)))


def customers_table(population: Population, *, chosen: Int64 | None = None) -> pa.Table:
    """Return rows of table ``customers``.

    Args:
        population: The customers.
        chosen: Indices of the wanted ones, int64[m]; all by default.
    """
    rows = np.arange(len(population)) if chosen is None else chosen
    letters = population.newsletter[rows]
    return pa.table(
        {
            "customer_id": ids("C", rows),
            "joined_at": times(population.joined_at[rows]),
            "segment": words(SEGMENTS, population.segment[rows]),
            "region": words(REGIONS, population.region[rows]),
            "attributes": words(
                ('{"newsletter": false}', '{"newsletter": true}'), letters.astype(np.int64)
            ),
            "consent": pa.nulls(len(rows), pa.bool_()),
            "available_at": times(population.joined_at[rows] + 60),
        }
    )


def queues_table(world: World) -> pa.Table:
    """Return rows of table ``queues``; one that opens later is known 14 days before."""
    rows = [_queue_row(m) for m in world.models]
    known = np.array(
        [
            first - (14 * DAY_SECONDS if first > world.config.start else 0)
            for first in world.opens_at
        ]
    )
    table = pa.Table.from_pylist(rows)
    return table.append_column("available_at", times(np.maximum(known, world.config.start)))


def _queue_row(model: QueueModel) -> dict[str, object]:
    queue = model.queue
    opening = opening_text(queue)
    return {
        "queue": queue.queue,
        "name": queue.name,
        "channel": queue.channel,
        "time_zone": queue.time_zone,
        **{f"open_{day}": opening[day] for day in WEEKDAYS},
        "country": queue.country,
        "open_on_holidays": queue.open_on_holidays,
        "interval_minutes": queue.interval_minutes,
        "goal_seconds": queue.goal_seconds,
        "goal_share": queue.goal_share,
        "default_aht_seconds": queue.default_aht_seconds,
        "patience_seconds": queue.patience_seconds,
        "concurrency": queue.concurrency,
    }


def calendar_table(events: Sequence[Event]) -> pa.Table:
    """Return rows of table ``calendar``, available from when each was known."""
    known = np.array([event.known_at for event in events], dtype=np.int64)
    return pa.table(
        {
            "event_id": pa.array([e.event_id for e in events], pa.string()),
            "kind": pa.array([e.kind for e in events], pa.string()),
            "starts_at": times(np.array([e.starts_at for e in events], dtype=np.int64)),
            "ends_at": times(np.array([e.ends_at for e in events], dtype=np.int64)),
            "queues": pa.array([",".join(e.queues) or None for e in events], pa.string()),
            "size": pa.array([e.size for e in events], pa.float64()),
            "known_at": times(known),
            "available_at": times(known),
        }
    )


def outreach_table(customer: Int64, treated: Bool, *, decided_at: int) -> pa.Table:
    """Return rows of table ``outreach``: one decision a customer.

    Args:
        customer: Indices of the customers, int64[m].
        treated: Whether each was called, bool[m].
        decided_at: When, epoch seconds.
    """
    n = len(customer)
    at = np.full(n, decided_at, dtype=np.int64)
    return pa.table(
        {
            "outreach_id": ids("D", np.arange(n)),
            "customer_id": ids("C", customer),
            "experiment": pa.array(["winback-1"] * n, pa.string()),
            "arm": words(("control", "treat"), treated.astype(np.int64)),
            "action": pa.array(["call"] * n, pa.string()),
            "decided_at": times(at),
            "available_at": times(at + 60),
        }
    )


def churn_table(
    customer: Int64,
    *,
    as_of: int,
    has_left: Bool,
    hazard_per_day: Float64,
    state: Float64,
    seen: Float64,
    churned: Bool | None,
) -> pa.Table:
    """Return the truth of one as-of: one row a customer who bought in the ``active_days``.

    Columns: ``customer_id``; ``as_of``; ``has_left``; ``hazard_per_day`` of leaving, 0 once left;
    ``chance_state`` and ``chance_seen`` of no purchase within the horizon (see ``churn.py``);
    ``churned``: what came, null where the horizon ends after the history.
    """
    n = len(customer)
    return pa.table(
        {
            "customer_id": ids("C", customer),
            "as_of": times(np.full(n, as_of, dtype=np.int64)),
            "has_left": pa.array(has_left),
            "hazard_per_day": pa.array(hazard_per_day),
            "chance_state": pa.array(state),
            "chance_seen": pa.array(seen),
            "churned": pa.nulls(n, pa.bool_()) if churned is None else pa.array(churned),
        }
    )
