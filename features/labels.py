"""Churn labels: who, of the customers active at a moment, bought nothing in the time after it."""

from __future__ import annotations

from dataclasses import dataclass

import ibis.expr.types as ir

from features.calendar import DAY_SECONDS
from features.facts import Histories
from features.windows import Moment, happened


@dataclass(frozen=True)
class ChurnLabels:
    """The definition of churn labels, for ``grid.Passes``; see ``churn_labels``.

    Attributes:
        horizon_days: Days that the label looks ahead.
        active_days: Days back in which a purchase or renewal makes a customer active.
    """

    horizon_days: int
    active_days: int

    def __call__(self, histories: Histories, as_of: Moment) -> ir.Table:
        """Return the labels of the customers active at ``as_of``."""
        return churn_labels(
            histories.purchases,
            as_of,
            horizon_days=self.horizon_days,
            active_days=self.active_days,
        )


def churn_labels(
    purchases: ir.Table, as_of: Moment, *, horizon_days: int, active_days: int
) -> ir.Table:
    """Return one row a customer active at ``as_of``: ``key``, ``churned``, ``value_minor``.

    Who was active is judged by what was known at ``as_of``; what followed, in
    [as-of, as-of + horizon), by the newest version of every row.

    Args:
        purchases: From ``facts.purchase_rows``.
        as_of: The moment.
        horizon_days: Days that the label looks ahead.
        active_days: Days back in which a purchase or renewal makes a customer active.

    Returns:
        ``churned`` is 1 where no purchase or renewal followed, else 0; ``value_minor`` is the
        money of those that did; both int64.
    """
    now = as_of.second
    before = happened(purchases, as_of)
    active = before.filter((before.bought == 1) & (before.ts >= now - active_days * DAY_SECONDS))
    population = active.select("key").distinct()
    after = purchases.filter(
        (purchases.bought == 1)
        & purchases.superseded_at.isnull()
        & (purchases.ts >= now)
        & (purchases.ts < now + horizon_days * DAY_SECONDS)
    )
    kept = after.group_by("key").aggregate(
        bought=after.count(), value=after.amount.sum().cast("int64")
    )
    both = population.left_join(kept, "key")
    return both.select(
        "key",
        churned=both.bought.isnull().cast("int64"),
        value_minor=both.value.coalesce(0),
    )
