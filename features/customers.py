"""The customer features: their names, units and formulas, one definition for every reader.

A formula divides the integers of ``facts.py`` once, as float64, so that every engine gives the
same bytes. A count is 0 for a customer without such rows and null where the whole centre keeps
none; a mean of nothing is null.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import ibis.expr.types as ir

from features.calendar import DAY_SECONDS
from features.facts import REPEAT_WINDOW_DAYS, Histories, customer_facts
from features.windows import WINDOW_DAYS, Moment

Formula = Callable[[ir.Table, ir.IntegerScalar], ir.FloatingValue]


@dataclass(frozen=True)
class Feature:
    """One customer feature.

    Attributes:
        name: Its column, with the window and the unit in it.
        group: What it is about, such as ``recency``.
        unit: Unit of a value.
        doc: One sentence for people.
        formula: From the facts and the as-of in epoch seconds to float64.
    """

    name: str
    group: str
    unit: str
    doc: str
    formula: Formula


def _float(value: ir.NumericValue) -> ir.FloatingValue:
    return value.cast("float64")


def _ratio(top: ir.NumericValue, bottom: ir.NumericValue) -> ir.FloatingValue:
    return _float(top) / _float(bottom.nullif(0))


def _days_since(moment: ir.IntegerValue, now: ir.IntegerScalar) -> ir.FloatingValue:
    return _float(now - moment) / float(DAY_SECONDS)


def _count(column: str, present: str) -> Formula:
    return lambda facts, now: facts[present].ifelse(  # noqa: ARG005 # every formula takes both
        _float(facts[column].coalesce(0)), None
    )


def _mean(top: str, bottom: str, scale: float = 1.0) -> Formula:
    def formula(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:  # noqa: ARG001
        mean = _ratio(facts[top], facts[bottom])
        return mean if scale == 1.0 else mean / scale

    return formula


def _fact(column: str) -> Formula:
    return lambda facts, now: _float(facts[column])  # noqa: ARG005


def _since(column: str) -> Formula:
    return lambda facts, now: _days_since(facts[column], now)


def _counts(
    fact: str, present: str, days: tuple[int, ...], name: str, group: str, unit: str, doc: str
) -> list[Feature]:
    return [
        Feature(f"{name}_{d}d", group, unit, f"{doc} in {d} days.", _count(f"{fact}_{d}", present))
        for d in days
    ]


def _means(
    facts: tuple[str, str],
    days: tuple[int, ...],
    name: str,
    group: str,
    unit: str,
    doc: str,
    scale: float = 1.0,
) -> list[Feature]:
    top, bottom = facts
    return [
        Feature(
            f"{name}_{d}d",
            group,
            unit,
            f"{doc} in {d} days.",
            _mean(f"{top}_{d}", f"{bottom}_{d}", scale),
        )
        for d in days
    ]


def _gap_mean(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:  # noqa: ARG001
    return _ratio(facts.gap_days, facts.purchase_days - 1)


def _gap_std(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:  # noqa: ARG001
    gaps = facts.purchase_days - 1
    spread = gaps * facts.gap_squares - facts.gap_days * facts.gap_days
    return (gaps >= 2).ifelse(_float(spread).sqrt() / _float(gaps), None)


def _recency_over_gap(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:
    own = _ratio(facts.gap_days, facts.purchase_days - 1)
    return _days_since(facts.last_purchase, now) / own


def _tenure(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:
    joined = (facts.joined < now).ifelse(facts.joined, None)
    first = joined.coalesce(now)
    for other in (facts.first_contact, facts.first_purchase):
        earlier = other.coalesce(now)
        first = (earlier < first).ifelse(earlier, first)
    # Somebody who has neither joined nor done anything yet has no tenure.
    return (first < now).ifelse(_days_since(first, now), None)


def _asked_not_bought(days: int) -> Formula:
    def formula(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:  # noqa: ARG001
        bought = facts[f"purchases_{days}"].coalesce(0) > 0
        asked = bought.ifelse(0, facts[f"contacts_{days}"].coalesce(0))
        return (facts.any_contacts & facts.any_purchases).ifelse(_float(asked), None)

    return formula


def _contact_after_purchase(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:  # noqa: ARG001
    after = (facts.last_contact.coalesce(0) > facts.last_purchase).cast("int64")
    return (facts.any_contacts & facts.last_purchase.notnull()).ifelse(_float(after), None)


def _trend(fact: str) -> Formula:
    def formula(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:  # noqa: ARG001
        return _ratio(facts[f"{fact}_90"] * 365, facts[f"{fact}_365"] * 90)

    return formula


_PURCHASES = (
    *_counts(
        "purchases", "any_purchases", WINDOW_DAYS, "purchases", "frequency", "count", "Purchases"
    ),
    Feature(
        "purchases_ever",
        "frequency",
        "count",
        "Purchases so far.",
        _count("purchases_ever", "any_purchases"),
    ),
    *_counts(
        "spend", "any_purchases", WINDOW_DAYS, "spend_minor", "money", "minor units", "Money spent"
    ),
    Feature(
        "spend_minor_ever",
        "money",
        "minor units",
        "Money spent so far.",
        _count("spend_ever", "any_purchases"),
    ),
    *_means(
        ("spend", "purchases"), (90, 365), "order_minor", "money", "minor units", "Mean purchase"
    ),
    Feature(
        "order_minor_largest",
        "money",
        "minor units",
        "The largest purchase so far.",
        _fact("largest_purchase"),
    ),
    *_means(
        ("items", "counted"), (365,), "order_items", "money", "count", "Mean pieces a purchase"
    ),
    Feature(
        "purchase_recency_days",
        "recency",
        "days",
        "Since the last purchase.",
        _since("last_purchase"),
    ),
    Feature(
        "purchase_first_days",
        "recency",
        "days",
        "Since the first purchase.",
        _since("first_purchase"),
    ),
    Feature(
        "purchase_days_ever",
        "rhythm",
        "days",
        "Days with a purchase so far.",
        _count("purchase_days", "any_purchases"),
    ),
    Feature(
        "gap_days_mean",
        "rhythm",
        "days",
        "Mean gap between days with purchases.",
        _gap_mean,
    ),
    Feature("gap_days_std", "rhythm", "days", "Spread of those gaps; two at least.", _gap_std),
    Feature(
        "recency_over_gap",
        "rhythm",
        "ratio",
        "Time since the last purchase in own mean gaps.",
        _recency_over_gap,
    ),
    Feature(
        "purchase_trend",
        "rhythm",
        "ratio",
        "Purchases a day over 90 days to those over 365.",
        _trend("purchases"),
    ),
    Feature(
        "spend_trend",
        "rhythm",
        "ratio",
        "Money a day over 90 days to that over 365.",
        _trend("spend"),
    ),
    *_counts("returns", "any_purchases", (90, 365), "returns", "returns", "count", "Returns"),
    *_counts(
        "returned",
        "any_purchases",
        (365,),
        "returned_minor",
        "returns",
        "minor units",
        "Money returned",
    ),
    *_counts(
        "cancellations",
        "any_purchases",
        (365,),
        "cancellations",
        "returns",
        "count",
        "Cancellations",
    ),
    *_means(
        ("delay", "shipped"),
        (90, 365),
        "ship_hours",
        "delivery",
        "hours",
        "Mean time from purchase to shipment",
        3600.0,
    ),
    *_counts(
        "unshipped",
        "any_shipped",
        (30,),
        "unshipped",
        "delivery",
        "count",
        "Purchases not shipped yet",
    ),
)

_CONTACTS = (
    *_counts("contacts", "any_contacts", WINDOW_DAYS, "contacts", "contacts", "count", "Contacts"),
    Feature(
        "contacts_ever",
        "contacts",
        "count",
        "Contacts so far.",
        _count("contacts_ever", "any_contacts"),
    ),
    *_counts(
        "voice", "any_contacts", (30, 90, 365), "contacts_voice", "channels", "count", "Calls"
    ),
    *_counts(
        "chat",
        "any_contacts",
        (30, 90, 365),
        "contacts_chat",
        "channels",
        "count",
        "Chats and messages",
    ),
    *_counts(
        "email", "any_contacts", (30, 90, 365), "contacts_email", "channels", "count", "E-mails"
    ),
    Feature(
        "contact_recency_days", "recency", "days", "Since the last contact.", _since("last_contact")
    ),
    Feature(
        "contact_first_days", "recency", "days", "Since the first contact.", _since("first_contact")
    ),
    Feature(
        "contact_trend",
        "contacts",
        "ratio",
        "Contacts a day over 90 days to those over 365.",
        _trend("contacts"),
    ),
    Feature(
        f"contacts_repeated_{REPEAT_WINDOW_DAYS}d",
        "effort",
        "count",
        f"Contacts within 7 days after another, in {REPEAT_WINDOW_DAYS} days.",
        _count("repeats", "any_contacts"),
    ),
    *_means(
        ("wait_ms", "waits"), (90, 365), "wait_seconds", "effort", "seconds", "Mean wait", 1000.0
    ),
    *_counts(
        "abandoned",
        "any_contacts",
        (30, 90, 365),
        "abandoned",
        "effort",
        "count",
        "Contacts abandoned",
    ),
    *_counts(
        "transferred",
        "any_contacts",
        (30, 90, 365),
        "transferred",
        "effort",
        "count",
        "Contacts handed on",
    ),
    *_counts(
        "unresolved",
        "any_settled",
        (30, 90, 365),
        "unresolved",
        "effort",
        "count",
        "Contacts not resolved",
    ),
    *_means(
        ("csat", "csat_answers"), (90, 365), "csat", "satisfaction", "1 to 5", "Mean satisfaction"
    ),
    Feature(
        "csat_last",
        "satisfaction",
        "1 to 5",
        "The last satisfaction.",
        _fact("last_csat"),
    ),
    *_means(
        ("sentiment", "sentiments"),
        (30, 90, 365),
        "sentiment",
        "satisfaction",
        "-1 to 1",
        "Mean sentiment",
        1000.0,
    ),
)

_BOTH = (
    Feature(
        "tenure_days", "recency", "days", "Since joining or the first trace, the earlier.", _tenure
    ),
    *(
        Feature(
            f"asked_not_bought_{d}d",
            "contacts",
            "count",
            f"Contacts in {d} days without a purchase in them.",
            _asked_not_bought(d),
        )
        for d in (30, 90)
    ),
    Feature(
        "contact_after_purchase",
        "contacts",
        "0 or 1",
        "Whether the last contact came after the last purchase.",
        _contact_after_purchase,
    ),
)

FEATURES: tuple[Feature, ...] = (*_PURCHASES, *_CONTACTS, *_BOTH)
"""All customer features, in column order."""
FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)


def customer_features(histories: Histories, as_of: Moment) -> ir.Table:
    """Return the features of everybody known at ``as_of``: ``key``, then ``FEATURE_NAMES``.

    Args:
        histories: The rows of all three tables.
        as_of: Nothing that happened at or after it, and nothing that was learnt after it, has
            any effect.
    """
    facts = customer_facts(histories, as_of)
    now = as_of.second
    return facts.select("key", **{f.name: f.formula(facts, now).cast("float64") for f in FEATURES})
