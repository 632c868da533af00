"""Churn labels: which of the customers of a moment left in the time after it, by two definitions.

Who counts as a customer is judged by what was known at the moment, what followed by the newest
version of every row.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from features.calendar import DAY_SECONDS
from features.facts import Histories
from features.windows import Moment, happened


@dataclass(frozen=True)
class ChurnLabels:
    """Labels of the customers who bought lately, for ``grid.Passes``.

    Attributes:
        horizon_days: Days that the label looks ahead.
        active_days: Days back in which a purchase or renewal makes a customer active.
    """

    horizon_days: int
    active_days: int

    @property
    def known_days(self) -> int:
        """Days after the as-of at which its labels are complete."""
        return self.horizon_days

    def __call__(self, histories: Histories, as_of: Moment) -> ir.Table:
        """Return one row a customer active at ``as_of``: ``key``, ``churned``, ``value_minor``.

        ``churned`` is 1 where no purchase or renewal followed in [as-of, as-of + horizon), else
        0; ``value_minor`` is the money of those that did; both int64.
        """
        before = happened(histories.purchases, as_of)
        since = as_of.second - self.active_days * DAY_SECONDS
        active = before.filter((before.bought == 1) & (before.ts >= since))
        population = active.select("key").distinct()
        after = _bought_within(histories.purchases, as_of, horizon_days=self.horizon_days)
        both = population.left_join(after, "key")
        return both.select(
            "key",
            churned=both.bought.isnull().cast("int64"),
            value_minor=both.value.coalesce(0),
        )


@dataclass(frozen=True)
class ContractLabels:
    """Labels of the customers with a contract, for ``grid.Passes``.

    A contract runs at an as-of where the newest purchase or renewal with a term that was known
    then ends after it, and no cancellation known then came since.

    Attributes:
        horizon_days: Days that the label looks ahead.
        grace_days: Days after the end of a term in which a renewal still keeps the customer.
    """

    horizon_days: int
    grace_days: int

    @property
    def known_days(self) -> int:
        """Days after the as-of at which its labels are complete."""
        return self.horizon_days + self.grace_days

    def __call__(self, histories: Histories, as_of: Moment) -> ir.Table:
        """Return one row a customer with a contract: ``key``, ``churned``, ``value_minor``.

        ``churned`` is 1 where a cancellation since that purchase came before the horizon's end,
        or the term ends within the horizon and no renewal, nor a purchase with a later term, came
        by its end and the days of grace; else 0. ``value_minor`` is the money of purchases and
        renewals within the horizon. Both int64.
        """
        purchases, now = histories.purchases, as_of.second
        until = now + self.horizon_days * DAY_SECONDS
        contracts = _running_contracts(happened(purchases, as_of), now)
        newest = purchases.filter(purchases.superseded_at.isnull())
        later = newest.inner_join(contracts, "key")
        cancelled = (later.cancelled == 1) & (later.ts >= later.since) & (later.ts < until)
        renewed = (later.renewed == 1) | ((later.bought == 1) & (later.term_ts > later.ends))
        in_time = (later.ts >= now) & (later.ts <= later.ends + self.grace_days * DAY_SECONDS)
        fates = later.group_by("key").aggregate(
            cancelled=cancelled.cast("int8").max(),
            renewed=(renewed & in_time).coalesce(False).cast("int8").max(),
        )
        rows = contracts.left_join(fates, "key").drop("key_right")
        after = _bought_within(purchases, as_of, horizon_days=self.horizon_days)
        both = rows.left_join(after, "key")
        expired = (both.ends < until) & (both.renewed.coalesce(0) == 0)
        return both.select(
            "key",
            churned=((both.cancelled.coalesce(0) == 1) | expired).cast("int64"),
            value_minor=both.value.coalesce(0),
        )


def _running_contracts(before: ir.Table, now: ir.IntegerScalar) -> ir.Table:
    """Return the contracts that run: ``key``, ``since`` (its purchase) and ``ends``, seconds."""
    signed = before.filter((before.bought == 1) & before.term_ts.notnull())
    latest = signed.ts.max().over(ibis.window(group_by=signed.key))
    signed = signed.mutate(latest=latest)
    signed = signed.filter(signed.ts == signed.latest)
    newest = signed.group_by("key").aggregate(since=signed.ts.max(), ends=signed.term_ts.max())
    stopped = before.filter(before.cancelled == 1)
    last = stopped.group_by("key").aggregate(stopped=stopped.ts.max())
    both = newest.left_join(last, "key").drop("key_right")
    runs = (both.ends > now) & (both.stopped.isnull() | (both.stopped < both.since))
    return both.filter(runs).select("key", "since", "ends")


def _bought_within(purchases: ir.Table, as_of: Moment, *, horizon_days: int) -> ir.Table:
    """Return, a customer who bought within the horizon, how often and the money of it."""
    now = as_of.second
    after = purchases.filter(
        (purchases.bought == 1)
        & purchases.superseded_at.isnull()
        & (purchases.ts >= now)
        & (purchases.ts < now + horizon_days * DAY_SECONDS)
    )
    return after.group_by("key").aggregate(
        bought=after.count(), value=after.amount.sum().cast("int64")
    )
