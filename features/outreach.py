"""What came of every decision to contact a customer, or not to: joined with both clocks."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from features.calendar import DAY_SECONDS
from features.windows import Moment, known, second_of


def _first_decisions(outreach: ir.Table, as_of: Moment) -> ir.Table:
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
    outreach: ir.Table, purchases: ir.Table, as_of: Moment, *, horizon_days: int
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
