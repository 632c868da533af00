"""Churn labels, by two definitions, and what became of outreach decisions.

Who counts as a customer is judged by what was known at the moment, what followed by the newest
version of every row.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from features.calendar.clock import DAY_SECONDS
from features.customers.aggregates import Histories
from features.engine.as_of import AsOf, happened, known, second_of


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

    def __call__(self, histories: Histories, as_of: AsOf) -> ir.Table:
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

    def __call__(self, histories: Histories, as_of: AsOf) -> ir.Table:
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


def _bought_within(purchases: ir.Table, as_of: AsOf, *, horizon_days: int) -> ir.Table:
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


def _first_decisions(outreach: ir.Table, as_of: AsOf) -> ir.Table:
    """Return the first decision about each customer of each experiment, as known at ``as_of``.

    A customer stays in the arm of the first decision; ``other_arm`` is 1 where a later decision
    chose the other one, else 0.
    """
    rows = outreach.filter(known(outreach, as_of))
    rows = rows.mutate(decided=second_of(rows.decided_at)).filter(
        lambda row: row.decided < as_of.second
    )
    of_customer = ibis.window(
        group_by=(rows.experiment, rows.customer_id), order_by=(rows.decided, rows.outreach_id)
    )
    all_decisions = ibis.window(group_by=(rows.experiment, rows.customer_id))
    arms = rows.arm.min().over(all_decisions), rows.arm.max().over(all_decisions)
    ranked = rows.mutate(
        place=ibis.row_number().over(of_customer), other_arm=(arms[0] != arms[1]).cast("int8")
    )
    return ranked.filter(ranked.place == 0).select(
        "experiment",
        "customer_id",
        "arm",
        "action",
        "treat_share",
        "probability",
        "other_arm",
        decided_at="decided",
    )


def outcomes(
    outreach: ir.Table, purchases: ir.Table, as_of: AsOf, *, horizon_days: int
) -> ir.Table:
    """Return the first decisions with what followed in [decision, decision + horizon).

    What is known at ``as_of`` counts, of decisions and of ``purchases`` (``facts.purchase_rows``).

    Returns:
        One row a customer of an experiment, of the first decision: ``experiment``,
        ``customer_id``, ``arm``, ``action``, ``treat_share`` and ``probability`` (null where
        not stated), ``other_arm`` (int8: 1 where a later decision chose the other arm),
        ``decided_at`` (epoch seconds), ``complete`` (1 where the horizon has ended),
        ``retained`` (1 where a purchase or renewal followed), ``value_minor`` (money of those
        less returns), int64; sorted by experiment and customer.
    """
    decided = _first_decisions(outreach, as_of)
    ahead = horizon_days * DAY_SECONDS
    bought = purchases.filter(known(purchases, as_of) & (purchases.ts < as_of.second))
    both = decided.join(bought, decided.customer_id == bought.key)
    inside = both.filter((both.ts >= both.decided_at) & (both.ts < both.decided_at + ahead))
    counts = (inside.bought == 1) | (inside.returned == 1)
    after = inside.group_by("experiment", "customer_id").aggregate(
        bought=inside.bought.sum().cast("int64"),
        value=counts.ifelse(inside.amount, 0).sum().cast("int64"),
    )
    rows = decided.left_join(after, ["experiment", "customer_id"])
    return rows.select(
        *decided.columns,
        complete=(rows.decided_at + ahead <= as_of.second).cast("int64"),
        retained=(rows.bought.coalesce(0) > 0).cast("int64"),
        value_minor=rows.value.coalesce(0),
    ).order_by("experiment", "customer_id")
