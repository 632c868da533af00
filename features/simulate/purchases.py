"""Orders as rows of table ``purchases``: amounts, shipping, returns, and when each is known."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from features.arrays import Int64
from features.calendar.clock import DAY_SECONDS
from features.simulate.customers import Orders, Population
from features.simulate.events import Centre
from features.simulate.tables import (
    TIMESTAMP,
    ids,
    repeated,
    times,
    with_columns,
    without_values,
    words,
)

CATEGORIES = ("audio", "garden", "kitchen", "lighting", "office", "toys")
RETURN_SHARE = 0.05
_AMOUNT_MEDIAN_MINOR = (4_200, 14_500)
"""Median amount by segment."""
_SHIPPING = ("confirmed_at", "shipped_at", "completed_at")


def purchases_table(
    centre: Centre,
    population: Population,
    orders: Orders,
    *,
    first_number: int,
    rng: np.random.Generator,
) -> pa.Table:
    """Return rows of table ``purchases``, by ``purchased_at``, then ``available_at``.

    An order is known when it is placed, and again, with its shipping, when it has arrived; a
    return is a row of its own. Orders are numbered from ``first_number`` on.
    """
    end, n = centre.config.end, len(orders.customer)
    second = (rng.beta(2.6, 1.8, n) * DAY_SECONDS).astype(np.int64)
    at = centre.config.start + orders.day * DAY_SECONDS + second
    at = np.where(orders.joining, population.joined_at[orders.customer], at)
    confirmed = at + rng.integers(600, 5_400, n)
    lag_days = 1.1 * rng.lognormal(0, 0.4, n) + np.where(orders.late, rng.uniform(5, 11, n), 0)
    shipped = confirmed + (lag_days * DAY_SECONDS).astype(np.int64)
    arrived = shipped + rng.integers(DAY_SECONDS, 4 * DAY_SECONDS, n)
    median = np.array(_AMOUNT_MEDIAN_MINOR)[population.segment[orders.customer]]
    complete = pa.table(
        {
            "purchase_id": ids("O", first_number + np.arange(n)),
            "customer_id": ids("C", orders.customer),
            "purchased_at": times(at),
            "kind": repeated("purchase", n),
            "amount_minor": np.rint(median * rng.lognormal(0, 0.65, n)).astype(np.int64) + 100,
            "currency": repeated("EUR", n),
            "items": 1 + rng.poisson(1.2, n),
            "category": words(CATEGORIES, rng.integers(0, len(CATEGORIES), n)),
            "confirmed_at": times(confirmed),
            "shipped_at": times(shipped),
            "completed_at": times(arrived),
            "discount_minor": pa.nulls(n, pa.int64()),
            "term_ends_at": pa.nulls(n, TIMESTAMP),
        }
    )
    returned_at = arrived + rng.integers(DAY_SECONDS, 9 * DAY_SECONDS, n)
    returned = np.flatnonzero((rng.random(n) < RETURN_SHARE) & (returned_at < end))
    placed = without_values(complete, _SHIPPING)
    new = placed.append_column("available_at", times(np.minimum(at + 60, end)))
    here = np.flatnonzero(arrived <= end)
    done = complete.take(pa.array(here)).append_column("available_at", times(arrived[here]))
    back = _returns(placed, returned, returned_at[returned], first_number, end)
    keys = ("purchased_at", "purchase_id", "available_at")
    return pa.concat_tables([new, done, back]).sort_by([(key, "ascending") for key in keys])


def _returns(placed: pa.Table, rows: Int64, at: Int64, first_number: int, end: int) -> pa.Table:
    orders = placed.take(pa.array(rows))
    changed = {
        "purchase_id": ids("R", first_number + rows),
        "purchased_at": times(at),
        "kind": repeated("return", len(rows)),
        "amount_minor": pa.array(-orders["amount_minor"].to_numpy()),
    }
    returns = with_columns(orders, changed)
    return returns.append_column("available_at", times(np.minimum(at + 60, end)))
