"""Histories of customers as integers: rows prepared once, then totals as known at a moment.

A *row* is one version of a contact, purchase or customer, reduced to a key and integers; it
does not depend on any as-of. *Aggregates* are totals a customer and window at one as-of.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import reduce

import ibis
import ibis.expr.types as ir

from features.calendar.clock import DAY_SECONDS
from features.engine.as_of import (
    AsOf,
    happened,
    happened_within,
    known,
    second_of,
    segment,
    thousandths,
    within,
)
from features.errors import ConfigError

YEAR_DAYS = 365
REPEAT_DAYS = 7
REPEAT_WINDOW_DAYS = 90
TOPIC_DAYS = (14, 90)
"""Days that contacts about one topic are counted in, the shorter and the longer."""
LATE_FACTOR = 2
"""An order is late that takes more than so many times the centre's mean over a year."""
CHANNEL_GROUPS = {"voice": 1, "chat": 2, "message": 2, "email": 3}
"""Channels that are counted apart; every other one counts as other."""
LONGEST_GAP_DAYS = 1 << 20
"""More than any gap: a day times this plus the gap before it orders both."""
SCORES = 8
"""More than the largest satisfaction score: a time times this plus a score orders both."""

PRESENT = {
    "any_contacts": ("contacts_ever",),
    "any_settled": ("settled_365",),
    "any_topics": ("topics",),
    "any_purchases": ("rows_ever",),
    "any_shipped": ("shipped_365",),
    "any_delivered": ("shipped_365", "completed_365"),
    "any_discounts": ("discounted_365",),
    "any_categories": ("categorised",),
}
"""Whether the whole centre has some rows: where it has none, a count is unknown and not zero."""

Windows = Mapping[str, tuple[int, ...]]
"""By total the windows it is needed over, in days, ascending."""


@dataclass(frozen=True)
class Histories:
    """The three tables that customer features are made of: ``contact_rows`` and its like."""

    contacts: ir.Table
    purchases: ir.Table
    people: ir.Table


def contact_rows(interactions: ir.Table) -> ir.Table:
    """Reduce the lake's interactions of known customers to a key and integers."""
    rows = interactions.filter(interactions.customer_id.notnull())
    groups = [(rows.channel == name, group) for name, group in CHANNEL_GROUPS.items()]
    # Where a system keeps no flag, the outcome tells.
    settled = ibis.cases((rows.outcome == "resolved", 1), (rows.outcome == "open", 0))
    handed_on = (rows.outcome == "transferred") | (rows.transfers.coalesce(0) > 0)
    return rows.select(
        key=rows.customer_id,
        ts=second_of(rows.started_at),
        happened_at=rows.happened_at,
        available_at=rows.available_at,
        superseded_at=rows.superseded_at,
        group=ibis.cases(*groups, else_=0).cast("int8"),
        wait_ms=thousandths(rows.wait_seconds),
        abandoned=(rows.outcome == "abandoned").cast("int8"),
        transferred=handed_on.cast("int8"),
        resolved=rows.resolved.cast("int8").coalesce(settled.cast("int8")),
        csat=rows.csat.cast("int8"),
        nps=rows.nps.cast("int8"),
        sentiment=thousandths(rows.sentiment).cast("int16"),
        topic=rows.topic,
    )


def purchase_rows(purchases: ir.Table) -> ir.Table:
    """Reduce the lake's purchases to a key and integers."""
    bought = purchases.kind.isin(("purchase", "renewal"))
    return purchases.select(
        key=purchases.customer_id,
        ts=second_of(purchases.purchased_at),
        happened_at=purchases.happened_at,
        available_at=purchases.available_at,
        superseded_at=purchases.superseded_at,
        bought=bought.cast("int8"),
        returned=(purchases.kind == "return").cast("int8"),
        cancelled=(purchases.kind == "cancellation").cast("int8"),
        amount=purchases.amount_minor,
        items=purchases["items"],
        discount=purchases.discount_minor,
        category=purchases.category,
        confirmed_ts=second_of(purchases.confirmed_at),
        shipped_ts=second_of(purchases.shipped_at),
        completed_ts=second_of(purchases.completed_at),
        renewed=(purchases.kind == "renewal").cast("int8"),
        term_ts=second_of(purchases.term_ends_at),
    )


def people_rows(customers: ir.Table) -> ir.Table:
    """Reduce the lake's customers to a key, the second they joined and their consent."""
    return customers.select(
        key=customers.customer_id,
        available_at=customers.available_at,
        superseded_at=customers.superseded_at,
        joined=second_of(customers.joined_at),
        consent=customers.consent.cast("int8"),
    )


def windows_of(names: Collection[str]) -> Windows:
    """Return the windows that aggregates are needed over, from their names.

    >>> windows_of(["spend_90", "spend_30", "contacts_ever"])
    {'spend': (30, 90)}
    """
    found = (re.fullmatch(r"(\w+)_(\d+)", name) for name in names)
    pairs = sorted((m[1], int(m[2])) for m in found if m)
    return {total: tuple(d for other, d in pairs if other == total) for total, _ in pairs}


def contact_facts(contacts: ir.Table, as_of: AsOf, windows: Windows) -> ir.Table:
    """Return one row a customer with recent contacts: totals by window."""
    rows = happened_within(contacts, as_of, days=YEAR_DAYS)
    totals = {
        "contacts": rows.count(),
        "wait_ms": _total(rows.wait_ms),
        "waits": rows.wait_ms.count(),
        "abandoned": _total(rows.abandoned),
        "transferred": _total(rows.transferred),
        "resolved": _total(rows.resolved),
        "settled": rows.resolved.count(),
        "csat": _total(rows.csat),
        "csat_answers": rows.csat.count(),
        "nps": _total(rows.nps),
        "nps_answers": rows.nps.count(),
        "sentiment": _total(rows.sentiment),
        "sentiments": rows.sentiment.count(),
        "voice": _total((rows.group == CHANNEL_GROUPS["voice"]).cast("int8")),
        "chat": _total((rows.group == CHANNEL_GROUPS["chat"]).cast("int8")),
        "email": _total((rows.group == CHANNEL_GROUPS["email"]).cast("int8")),
    }
    dated = (rows.ts * SCORES + rows.csat).max()
    cells, sums = _by_window(rows, totals, as_of, windows, dated_csat=dated)
    return cells.group_by("key").aggregate(
        **sums,
        # The latest score; of several in one second the highest, whatever the rows' order.
        last_csat=(cells.dated_csat.max() % SCORES).cast("int64"),
    )


def contact_past(contacts: ir.Table, as_of: AsOf) -> ir.Table:
    """Return one row a customer with contacts ever: how many, first, last."""
    rows = happened(contacts, as_of)
    return rows.group_by("key").aggregate(
        contacts_ever=rows.count(),
        first_contact=rows.ts.min(),
        last_contact=rows.ts.max(),
    )


def repeat_facts(contacts: ir.Table, as_of: AsOf) -> ir.Table:
    """Return, a customer, how many recent contacts came within seven days after another."""
    since = as_of.second - REPEAT_WINDOW_DAYS * DAY_SECONDS
    rows = happened_within(contacts, as_of, days=REPEAT_WINDOW_DAYS + REPEAT_DAYS)
    rows = rows.select(
        "key",
        "ts",
        gap=rows.ts - rows.ts.lag().over(ibis.window(group_by=rows.key, order_by=rows.ts)),
    )
    rows = rows.filter((rows.ts >= since) & (rows.gap <= REPEAT_DAYS * DAY_SECONDS))
    return rows.group_by("key").aggregate(repeats=rows.count())


def topic_facts(contacts: ir.Table, as_of: AsOf) -> ir.Table:
    """Return, a customer, how many topics recent contacts had and how many came about one."""
    short, long = TOPIC_DAYS
    rows = happened_within(contacts, as_of, days=long)
    rows = rows.filter(rows.topic.notnull())
    topics = rows.group_by("key", "topic").aggregate(
        all=rows.count(),
        latest=_total((rows.ts >= as_of.second - short * DAY_SECONDS).cast("int8")),
    )
    return topics.group_by("key").aggregate(
        topics=topics.count(),
        **{f"topic_contacts_{short}": topics.latest.max()},
        **{f"topic_contacts_{long}": topics["all"].max()},
    )


def purchase_facts(purchases: ir.Table, as_of: AsOf, windows: Windows) -> ir.Table:
    """Return one row a customer with recent purchases of any kind: totals by window."""
    rows = happened_within(purchases, as_of, days=YEAR_DAYS)
    rows = _order_steps(rows, _late_limits(purchases, as_of), as_of)
    bought = rows.bought == 1
    totals = {
        "purchases": _total(rows.bought),
        "spend": _total(rows.bought * rows.amount),
        "items": _total(rows.bought * rows["items"]),
        "counted": bought.ifelse(rows["items"], None).count(),
        "returns": _total(rows.returned),
        "returned": _total(rows.returned * -rows.amount),
        "cancellations": _total(rows.cancelled),
        "discount": _total(rows.bought * rows.discount),
        "discounted": _total((bought & (rows.discount > 0)).cast("int8")),
        "confirm": _total(rows.confirm),
        "confirmed": rows.confirm.count(),
        "ship": _total(rows.ship),
        "shipped": rows.ship.count(),
        "complete": _total(rows.complete),
        "completed": rows.complete.count(),
        "unshipped": _total(rows.bought - rows.ship.notnull().cast("int8")),
        "late": _total(rows.late),
    }
    cells, sums = _by_window(rows, totals, as_of, windows)
    return cells.group_by("key").aggregate(**sums)


def purchase_past(purchases: ir.Table, as_of: AsOf) -> ir.Table:
    """Return one row a customer with purchases of any kind ever: totals, first, last."""
    rows = happened(purchases, as_of)
    bought = rows.bought == 1
    return rows.group_by("key").aggregate(
        rows_ever=rows.count(),
        purchases_ever=_total(rows.bought),
        spend_ever=_total(rows.bought * rows.amount),
        first_purchase=bought.ifelse(rows.ts, None).min(),
        last_purchase=bought.ifelse(rows.ts, None).max(),
        largest_purchase=bought.ifelse(rows.amount, None).max(),
        term_ends=bought.ifelse(rows.term_ts, None).max(),
    )


def gap_facts(purchases: ir.Table, as_of: AsOf) -> ir.Table:
    """Return, a customer who bought, the days with purchases and the gaps between them in days."""
    rows = happened(purchases, as_of)
    rows = rows.filter(rows.bought == 1)
    window = ibis.window(group_by=rows.key, order_by=rows.ts)
    day = (rows.ts // DAY_SECONDS).cast("int64")
    gaps = rows.select("key", day=day, gap=day - day.lag().over(window))
    dated = (gaps.gap > 0).ifelse(gaps.day * LONGEST_GAP_DAYS + gaps.gap, None)
    # Purchases of one day are one visit: their gap of 0 adds nothing to either sum.
    return gaps.group_by("key").aggregate(
        purchase_days=_total((gaps.gap > 0).coalesce(True).cast("int8")),
        gap_days=_total(gaps.gap),
        gap_squares=_total(gaps.gap * gaps.gap),
        last_gap=(dated.max() % LONGEST_GAP_DAYS).cast("int64"),
    )


def category_facts(purchases: ir.Table, as_of: AsOf) -> ir.Table:
    """Return, a customer, the categories bought lately: how many, the main one, the latest."""
    rows = happened_within(purchases, as_of, days=YEAR_DAYS)
    rows = rows.filter((rows.bought == 1) & rows.category.notnull())
    parts = rows.group_by("key", "category").aggregate(
        bought=rows.count(), first=rows.ts.min(), last=rows.ts.max()
    )
    return parts.group_by("key").aggregate(
        categorised=_total(parts.bought),
        categories=parts.count(),
        main_category=parts.bought.max(),
        newest_category=parts["first"].max(),
        latest_category=parts["last"].max(),
    )


def customer_facts(histories: Histories, as_of: AsOf, names: Collection[str]) -> ir.Table:
    """Return one row for everybody known at ``as_of``, with all aggregates, null where none.

    Totals over windows are those of ``names``; the columns of ``PRESENT`` are always there.
    """
    contacts = contact_past(histories.contacts, as_of)
    purchases = purchase_past(histories.purchases, as_of)
    people = histories.people.filter(known(histories.people, as_of))
    joined = people.group_by("key").aggregate(
        joined=people.joined.min(), consent=people.consent.min()
    )
    windows = windows_of({*names, *(name for some in PRESENT.values() for name in some)})
    aggregates = ibis.union(
        joined.select("key"), contacts.select("key"), purchases.select("key"), distinct=True
    )
    for part in (
        joined,
        contacts,
        contact_facts(histories.contacts, as_of, windows),
        repeat_facts(histories.contacts, as_of),
        topic_facts(histories.contacts, as_of),
        purchases,
        purchase_facts(histories.purchases, as_of, windows),
        gap_facts(histories.purchases, as_of),
        category_facts(histories.purchases, as_of),
    ):
        aggregates = aggregates.left_join(part, "key").drop("key_right")
    return aggregates.mutate(
        **{flag: _somewhere(aggregates, columns) for flag, columns in PRESENT.items()}
    )


def _by_window(
    rows: ir.Table,
    totals: Mapping[str, ir.IntegerScalar],
    as_of: AsOf,
    windows: Windows,
    **more: ir.Scalar,
) -> tuple[ir.Table, dict[str, ir.FloatingScalar]]:
    """Return totals by customer and segment, and the sums that make windows of them."""
    needed = {name: windows[name] for name in totals if name in windows}
    ends = sorted({days for own in needed.values() for days in own})
    if ends and ends[-1] > YEAR_DAYS:
        raise ConfigError("window", got=f"{ends[-1]} days", expected=f"at most {YEAR_DAYS}")
    cells = rows.group_by("key", segment=segment(rows.ts, as_of, ends)).aggregate(**totals, **more)
    return cells, within(cells, needed, ends)


def _late_limits(purchases: ir.Table, as_of: AsOf) -> ir.Table:
    """Return after how many seconds a shipment, and an order, is late in the whole centre."""
    # Filtered in another order than its caller's rows, or the engine would keep those for both.
    rows = purchases.filter(purchases.bought == 1)
    rows = happened_within(rows, as_of, days=YEAR_DAYS)
    ship, complete = (_took(rows, step, as_of) for step in (rows.shipped_ts, rows.completed_ts))
    return rows.aggregate(ship_limit=_late_after(ship), complete_limit=_late_after(complete))


def _order_steps(rows: ir.Table, limits: ir.Table, as_of: AsOf) -> ir.Table:
    """Add how long each step of an order took, and whether it is late.

    A step after the as-of was not seen at it, whatever the row's last state.
    """
    rows = rows.mutate(
        confirm=_took(rows, rows.confirmed_ts, as_of),
        ship=_took(rows, rows.shipped_ts, as_of),
        complete=_took(rows, rows.completed_ts, as_of),
    ).cross_join(limits)
    # What has left and not arrived is late once it is on its way for too long.
    way = rows.complete.coalesce(rows.ship.notnull().ifelse(as_of.second - rows.ts, None))
    late = (rows.ship > rows.ship_limit).coalesce(False)
    late |= (way > rows.complete_limit).coalesce(False)
    return rows.mutate(late=late.cast("int8"))


def _took(rows: ir.Table, step: ir.IntegerColumn, as_of: AsOf) -> ir.IntegerColumn:
    """Return the seconds from each purchase to a step that was seen, else null."""
    seen = (rows.bought == 1) & (step < as_of.second) & (step >= rows.ts)
    return seen.ifelse(step - rows.ts, None)


def _late_after(took: ir.IntegerColumn) -> ir.IntegerScalar:
    return (LATE_FACTOR * took.sum() // took.count().nullif(0)).cast("int64")


def _somewhere(rows: ir.Table, columns: tuple[str, ...]) -> ir.BooleanColumn:
    value = reduce(operator.add, (rows[name] for name in columns))
    return value.sum().over(ibis.window()).coalesce(0) > 0


def _total(values: ir.IntegerColumn) -> ir.IntegerScalar:
    return values.sum().coalesce(0).cast("int64")
