"""Histories of customers as integers: rows prepared once, then totals as known at a moment.

A *row* is one version of a contact, purchase or customer, reduced to a key and integers; it
does not depend on any as-of. *Facts* are totals a customer and window at one as-of.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from features.calendar import DAY_SECONDS
from features.windows import (
    WINDOW_DAYS,
    Moment,
    day_of,
    happened,
    known,
    second_of,
    segment,
    thousandths,
    within,
)

REPEAT_DAYS = 7
REPEAT_WINDOW_DAYS = 90
CHANNEL_GROUPS = {"voice": 1, "chat": 2, "message": 2, "email": 3}
"""Channels that are counted apart; every other one counts as other."""
LONGEST_GAP_DAYS = 1 << 20
"""More than any gap: a day times this plus the gap before it orders both."""
SCORES = 8
"""More than the largest satisfaction score: a moment times this plus a score orders both."""

_LONGEST = WINDOW_DAYS[-1]
_CONTACT_WINDOWS: dict[str, tuple[int, ...]] = {
    "contacts": WINDOW_DAYS,
    "wait_ms": (90, 365),
    "waits": (90, 365),
    "abandoned": (30, 90, 365),
    "transferred": (30, 90, 365),
    "unresolved": (30, 90, 365),
    "csat": (90, 365),
    "csat_answers": (90, 365),
    "sentiment": (30, 90, 365),
    "sentiments": (30, 90, 365),
    "voice": (30, 90, 365),
    "chat": (30, 90, 365),
    "email": (30, 90, 365),
}
_PURCHASE_WINDOWS: dict[str, tuple[int, ...]] = {
    "purchases": WINDOW_DAYS,
    "spend": WINDOW_DAYS,
    "items": (365,),
    "counted": (365,),
    "returns": (90, 365),
    "returned": (365,),
    "cancellations": (365,),
    "delay": (90, 365),
    "shipped": (90, 365),
    "unshipped": (30,),
}


@dataclass(frozen=True)
class Histories:
    """The three tables that customer features are made of, as rows with a ``key``.

    Attributes:
        contacts: From ``contact_rows``.
        purchases: From ``purchase_rows``.
        people: From ``people_rows``.
    """

    contacts: ir.Table
    purchases: ir.Table
    people: ir.Table


def contact_rows(interactions: ir.Table) -> ir.Table:
    """Reduce the lake's interactions of known customers to a key and integers."""
    rows = interactions.filter(interactions.customer_id.notnull())
    groups = [(rows.channel == name, group) for name, group in CHANNEL_GROUPS.items()]
    handed_on = (rows.outcome == "transferred") | (rows.transfers.coalesce(0) > 0)
    return rows.select(
        key=rows.customer_id,
        ts=second_of(rows.started_at),
        available_at=rows.available_at,
        superseded_at=rows.superseded_at,
        group=ibis.cases(*groups, else_=0).cast("int8"),
        wait_ms=thousandths(rows.wait_seconds),
        abandoned=(rows.outcome == "abandoned").cast("int8"),
        transferred=handed_on.cast("int8"),
        resolved=rows.resolved.cast("int8"),
        csat=rows.csat.cast("int8"),
        sentiment=thousandths(rows.sentiment).cast("int16"),
    )


def purchase_rows(purchases: ir.Table) -> ir.Table:
    """Reduce the lake's purchases to a key and integers."""
    bought = purchases.kind.isin(("purchase", "renewal"))
    return purchases.select(
        key=purchases.customer_id,
        ts=second_of(purchases.purchased_at),
        available_at=purchases.available_at,
        superseded_at=purchases.superseded_at,
        bought=bought.cast("int8"),
        returned=(purchases.kind == "return").cast("int8"),
        cancelled=(purchases.kind == "cancellation").cast("int8"),
        amount=purchases.amount_minor,
        items=purchases["items"],
        shipped_ts=second_of(purchases.shipped_at),
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


def contact_facts(contacts: ir.Table, as_of: Moment) -> ir.Table:
    """Return one row a customer with recent contacts: totals by window."""
    rows, cell = _recent(contacts, as_of)
    cells = rows.group_by("key", segment=cell).aggregate(
        contacts=rows.count(),
        wait_ms=_total(rows.wait_ms),
        waits=rows.wait_ms.count(),
        abandoned=_total(rows.abandoned),
        transferred=_total(rows.transferred),
        unresolved=_total(1 - rows.resolved),
        csat=_total(rows.csat),
        csat_answers=rows.csat.count(),
        sentiment=_total(rows.sentiment),
        sentiments=rows.sentiment.count(),
        voice=_total((rows.group == CHANNEL_GROUPS["voice"]).cast("int8")),
        chat=_total((rows.group == CHANNEL_GROUPS["chat"]).cast("int8")),
        email=_total((rows.group == CHANNEL_GROUPS["email"]).cast("int8")),
    )
    return cells.group_by("key").aggregate(**within(cells, _CONTACT_WINDOWS))


def contact_past(contacts: ir.Table, as_of: Moment) -> ir.Table:
    """Return one row a customer with contacts ever: how many, first, last, last score."""
    rows = happened(contacts, as_of)
    return rows.group_by("key").aggregate(
        contacts_ever=rows.count(),
        settled_ever=rows.resolved.count(),
        first_contact=rows.ts.min(),
        last_contact=rows.ts.max(),
        # The latest score; of several in one second the highest, whatever the rows' order.
        last_csat=((rows.ts * SCORES + rows.csat).max() % SCORES).cast("int64"),
    )


def repeat_facts(contacts: ir.Table, as_of: Moment) -> ir.Table:
    """Return, a customer, how many recent contacts came within seven days after another."""
    since = as_of.second - REPEAT_WINDOW_DAYS * DAY_SECONDS
    rows = happened(contacts, as_of)
    rows = rows.filter(rows.ts >= since - REPEAT_DAYS * DAY_SECONDS)
    rows = rows.select(
        "key",
        "ts",
        gap=rows.ts - rows.ts.lag().over(ibis.window(group_by=rows.key, order_by=rows.ts)),
    )
    rows = rows.filter((rows.ts >= since) & (rows.gap <= REPEAT_DAYS * DAY_SECONDS))
    return rows.group_by("key").aggregate(repeats=rows.count())


def purchase_facts(purchases: ir.Table, as_of: Moment) -> ir.Table:
    """Return one row a customer with recent purchases of any kind: totals by window."""
    rows, cell = _recent(purchases, as_of)
    bought = rows.bought == 1
    shipped = _shipped(rows, as_of).cast("int8")
    cells = rows.group_by("key", segment=cell).aggregate(
        purchases=_total(rows.bought),
        spend=_total(rows.bought * rows.amount),
        items=_total(rows.bought * rows["items"]),
        counted=bought.ifelse(rows["items"], None).count(),
        returns=_total(rows.returned),
        returned=_total(rows.returned * -rows.amount),
        cancellations=_total(rows.cancelled),
        delay=_total(shipped * (rows.shipped_ts - rows.ts)),
        shipped=_total(shipped),
        unshipped=_total(rows.bought - shipped),
    )
    return cells.group_by("key").aggregate(**within(cells, _PURCHASE_WINDOWS))


def purchase_past(purchases: ir.Table, as_of: Moment) -> ir.Table:
    """Return one row a customer with purchases of any kind ever: totals, first, last."""
    rows = happened(purchases, as_of)
    bought = rows.bought == 1
    return rows.group_by("key").aggregate(
        rows_ever=rows.count(),
        shipped_ever=_total(_shipped(rows, as_of).cast("int8")),
        purchases_ever=_total(rows.bought),
        spend_ever=_total(rows.bought * rows.amount),
        first_purchase=bought.ifelse(rows.ts, None).min(),
        last_purchase=bought.ifelse(rows.ts, None).max(),
        largest_purchase=bought.ifelse(rows.amount, None).max(),
    )


def gap_facts(purchases: ir.Table, as_of: Moment) -> ir.Table:
    """Return, a customer who bought, the days with purchases and the gaps between them in days."""
    rows = happened(purchases, as_of)
    rows = rows.filter(rows.bought == 1)
    window = ibis.window(group_by=rows.key, order_by=rows.ts)
    day = day_of(rows.ts)
    gaps = rows.select("key", day=day, gap=day - day.lag().over(window))
    # Purchases of one day are one visit: their gap of 0 adds nothing to either sum.
    return gaps.group_by("key").aggregate(
        purchase_days=(gaps.gap > 0).coalesce(True).cast("int8").sum().cast("int64"),
        gap_days=_total(gaps.gap),
        gap_squares=_total(gaps.gap * gaps.gap),
        last_gap=(
            (gaps.gap > 0).ifelse(gaps.day * LONGEST_GAP_DAYS + gaps.gap, None).max()
            % LONGEST_GAP_DAYS
        ).cast("int64"),
    )


def customer_facts(histories: Histories, as_of: Moment) -> ir.Table:
    """Return one row for everybody known at ``as_of``, with all facts, null where none.

    The columns ``any_contacts``, ``any_settled``, ``any_purchases`` and ``any_shipped`` say
    whether the whole centre had such rows at that moment: where it had none, a count is unknown
    and not zero.
    """
    contacts = contact_past(histories.contacts, as_of)
    purchases = purchase_past(histories.purchases, as_of)
    people = histories.people.filter(known(histories.people, as_of))
    joined = people.group_by("key").aggregate(
        joined=people.joined.min(), consent=people.consent.min()
    )
    everybody = ibis.union(
        joined.select("key"), contacts.select("key"), purchases.select("key"), distinct=True
    )
    facts = everybody
    for other in (
        joined,
        contacts,
        contact_facts(histories.contacts, as_of),
        repeat_facts(histories.contacts, as_of),
        purchases,
        purchase_facts(histories.purchases, as_of),
        gap_facts(histories.purchases, as_of),
    ):
        facts = facts.left_join(other, "key").drop("key_right")
    return facts.mutate(
        any_contacts=_somewhere(facts.contacts_ever),
        any_settled=_somewhere(facts.settled_ever),
        any_purchases=_somewhere(facts.rows_ever),
        any_shipped=_somewhere(facts.shipped_ever),
    )


def _recent(rows: ir.Table, as_of: Moment) -> tuple[ir.Table, ir.IntegerValue]:
    """Return what happened within the longest window, and the segment of each row."""
    recent = happened(rows, as_of)
    recent = recent.filter(recent.ts >= as_of.second - _LONGEST * DAY_SECONDS)
    return recent, segment(recent.ts, as_of)


def _shipped(rows: ir.Table, as_of: Moment) -> ir.BooleanColumn:
    """Return whether each purchase was seen to be shipped.

    A shipment after the as-of was not seen at it, whatever the row says of its last state.
    """
    seen = (rows.shipped_ts < as_of.second) & (rows.shipped_ts >= rows.ts)
    return ((rows.bought == 1) & seen).coalesce(False)


def _somewhere(counts: ir.IntegerColumn) -> ir.BooleanColumn:
    return counts.sum().over(ibis.window()).coalesce(0) > 0


def _total(values: ir.IntegerColumn) -> ir.IntegerScalar:
    return values.sum().coalesce(0).cast("int64")
