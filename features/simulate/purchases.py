"""Orders as rows of table ``purchases``: amounts, shipping, returns, and when each is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.calendar import DAY_SECONDS, Bool, Int64
from features.simulate.customers import Population
from features.simulate.tables import TIMESTAMP, ids, times, words
from features.simulate.world import World

CATEGORIES = ("audio", "garden", "kitchen", "lighting", "office", "toys")
CURRENCY = "EUR"
RETURN_SHARE = 0.05
_AMOUNT_MEDIAN_MINOR = (4_200, 14_500)
"""Median amount by segment."""


@dataclass(frozen=True)
class PlacedOrders:
    """Orders of a span, arrays of n.

    Attributes:
        customer: Index of the customer, int64[n].
        day: Day from the start, int64[n].
        joining: Whether it is the customer's first, bool[n].
        late: Whether it ships late, bool[n].
        first_number: The number of the first order; the others follow.
    """

    customer: Int64
    day: Int64
    joining: Bool
    late: Bool
    first_number: int


def purchase_rows(
    world: World, population: Population, placed: PlacedOrders, *, rng: np.random.Generator
) -> pa.Table:
    """Turn orders into rows of table ``purchases``, every version by itself.

    An order is known when it is placed, and again, with its shipping, when it has arrived; a
    return is a row of its own.

    Args:
        world: The centre.
        population: Who the customers are.
        placed: The orders.
        rng: Source of times, amounts and returns.

    Returns:
        What is known by the end of the history, by ``purchased_at``, then ``available_at``.
    """
    end, n = world.config.end, len(placed.customer)
    second = (rng.beta(2.6, 1.8, n) * DAY_SECONDS).astype(np.int64)
    at = world.config.start + placed.day * DAY_SECONDS + second
    at = np.where(placed.joining, population.joined_at[placed.customer], at)
    confirmed = at + rng.integers(600, 5_400, n)
    lag_days = 1.1 * rng.lognormal(0, 0.4, n) + np.where(placed.late, rng.uniform(5, 11, n), 0)
    shipped = confirmed + (lag_days * DAY_SECONDS).astype(np.int64)
    arrived = shipped + rng.integers(DAY_SECONDS, 4 * DAY_SECONDS, n)
    segment = population.segment[placed.customer]
    median = np.array(_AMOUNT_MEDIAN_MINOR)[segment]
    complete = pa.table(
        {
            "purchase_id": ids("O", placed.first_number + np.arange(n)),
            "customer_id": ids("C", placed.customer),
            "purchased_at": times(at),
            "kind": pa.array(["purchase"] * n, pa.string()),
            "amount_minor": pa.array(
                np.rint(median * rng.lognormal(0, 0.65, n)).astype(np.int64) + 100
            ),
            "currency": pa.array([CURRENCY] * n, pa.string()),
            "items": pa.array(1 + rng.poisson(1.2, n)),
            "category": words(CATEGORIES, rng.integers(0, len(CATEGORIES), n)),
            "confirmed_at": times(confirmed),
            "shipped_at": times(shipped),
            "completed_at": times(arrived),
            "discount_minor": pa.nulls(n, pa.int64()),
            "term_ends_at": pa.nulls(n, TIMESTAMP),
        }
    )
    returned_at = arrived + rng.integers(DAY_SECONDS, 9 * DAY_SECONDS, n)
    returned = (rng.random(n) < RETURN_SHARE) & (returned_at < end)
    new = _without(complete, ("confirmed_at", "shipped_at", "completed_at")).append_column(
        "available_at", times(np.minimum(at + 60, end))
    )
    here = np.flatnonzero(arrived <= end)
    done = complete.take(pa.array(here)).append_column("available_at", times(arrived[here]))
    back = _returns(complete, np.flatnonzero(returned), returned_at, placed.first_number, end)
    return pa.concat_tables([new, done, back]).sort_by(
        [("purchased_at", "ascending"), ("purchase_id", "ascending"),
         ("available_at", "ascending")]
    )  # fmt: skip


def _returns(
    complete: pa.Table, rows: Int64, returned_at: Int64, first_number: int, end: int
) -> pa.Table:
    kept = _without(complete.take(pa.array(rows)), ("confirmed_at", "shipped_at", "completed_at"))
    at = returned_at[rows]
    amount = -kept["amount_minor"].to_numpy()
    replaced = {
        "purchase_id": ids("R", first_number + rows),
        "purchased_at": times(at),
        "kind": pa.array(["return"] * len(rows), pa.string()),
        "amount_minor": pa.array(amount),
    }
    for name, values in replaced.items():
        kept = kept.set_column(kept.schema.get_field_index(name), name, values)
    return kept.append_column("available_at", times(np.minimum(at + 60, end)))


def _without(table: pa.Table, names: tuple[str, ...]) -> pa.Table:
    for name in names:
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.nulls(len(table), table.schema.field(name).type))
    return table
