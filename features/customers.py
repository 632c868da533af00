"""The customer features: their names, units and meaning, one definition for every reader."""

from __future__ import annotations

import ibis.expr.types as ir

from features.facts import REPEAT_WINDOW_DAYS, Histories, customer_facts
from features.formulas import (
    Feature,
    asked_not_bought,
    contact_after_purchase,
    count,
    counts,
    fact,
    gap_mean,
    gap_std,
    means,
    recency_over_gap,
    since,
    tenure,
    trend,
)
from features.windows import WINDOW_DAYS, Moment

_PURCHASES = (
    *counts(
        "purchases", "any_purchases", WINDOW_DAYS, "purchases", "frequency", "count", "Purchases"
    ),
    Feature(
        "purchases_ever",
        "frequency",
        "count",
        "Purchases so far.",
        count("purchases_ever", "any_purchases"),
    ),
    *counts(
        "spend", "any_purchases", WINDOW_DAYS, "spend_minor", "money", "minor units", "Money spent"
    ),
    Feature(
        "spend_minor_ever",
        "money",
        "minor units",
        "Money spent so far.",
        count("spend_ever", "any_purchases"),
    ),
    *means(
        ("spend", "purchases"), (90, 365), "order_minor", "money", "minor units", "Mean purchase"
    ),
    Feature(
        "order_minor_largest",
        "money",
        "minor units",
        "The largest purchase so far.",
        fact("largest_purchase"),
    ),
    *means(("items", "counted"), (365,), "order_items", "money", "count", "Mean pieces a purchase"),
    Feature(
        "purchase_recency_days",
        "recency",
        "days",
        "Since the last purchase.",
        since("last_purchase"),
    ),
    Feature(
        "purchase_first_days",
        "recency",
        "days",
        "Since the first purchase.",
        since("first_purchase"),
    ),
    Feature(
        "purchase_days_ever",
        "rhythm",
        "days",
        "Days with a purchase so far.",
        count("purchase_days", "any_purchases"),
    ),
    Feature(
        "gap_days_mean",
        "rhythm",
        "days",
        "Mean gap between days with purchases.",
        gap_mean,
    ),
    Feature(
        "gap_days_last",
        "rhythm",
        "days",
        "Gap between the last two days with purchases.",
        fact("last_gap"),
    ),
    Feature("gap_days_std", "rhythm", "days", "Spread of those gaps; two at least.", gap_std),
    Feature(
        "recency_over_gap",
        "rhythm",
        "ratio",
        "Time since the last purchase in own mean gaps.",
        recency_over_gap,
    ),
    Feature(
        "purchase_trend",
        "rhythm",
        "ratio",
        "Purchases a day over 90 days to those over 365.",
        trend("purchases"),
    ),
    Feature(
        "spend_trend",
        "rhythm",
        "ratio",
        "Money a day over 90 days to that over 365.",
        trend("spend"),
    ),
    *counts("returns", "any_purchases", (90, 365), "returns", "returns", "count", "Returns"),
    *counts(
        "returned",
        "any_purchases",
        (365,),
        "returned_minor",
        "returns",
        "minor units",
        "Money returned",
    ),
    *counts(
        "cancellations",
        "any_purchases",
        (365,),
        "cancellations",
        "returns",
        "count",
        "Cancellations",
    ),
    *means(
        ("delay", "shipped"),
        (90, 365),
        "ship_hours",
        "delivery",
        "hours",
        "Mean time from purchase to shipment",
        3600.0,
    ),
    *counts(
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
    *counts("contacts", "any_contacts", WINDOW_DAYS, "contacts", "contacts", "count", "Contacts"),
    Feature(
        "contacts_ever",
        "contacts",
        "count",
        "Contacts so far.",
        count("contacts_ever", "any_contacts"),
    ),
    *counts("voice", "any_contacts", (30, 90, 365), "contacts_voice", "channels", "count", "Calls"),
    *counts(
        "chat",
        "any_contacts",
        (30, 90, 365),
        "contacts_chat",
        "channels",
        "count",
        "Chats and messages",
    ),
    *counts(
        "email", "any_contacts", (30, 90, 365), "contacts_email", "channels", "count", "E-mails"
    ),
    Feature(
        "contact_recency_days", "recency", "days", "Since the last contact.", since("last_contact")
    ),
    Feature(
        "contact_first_days", "recency", "days", "Since the first contact.", since("first_contact")
    ),
    Feature(
        "contact_trend",
        "contacts",
        "ratio",
        "Contacts a day over 90 days to those over 365.",
        trend("contacts"),
    ),
    Feature(
        f"contacts_repeated_{REPEAT_WINDOW_DAYS}d",
        "effort",
        "count",
        f"Contacts within 7 days after another, in {REPEAT_WINDOW_DAYS} days.",
        count("repeats", "any_contacts"),
    ),
    *means(
        ("wait_ms", "waits"), (90, 365), "wait_seconds", "effort", "seconds", "Mean wait", 1000.0
    ),
    *counts(
        "abandoned",
        "any_contacts",
        (30, 90, 365),
        "abandoned",
        "effort",
        "count",
        "Contacts abandoned",
    ),
    *counts(
        "transferred",
        "any_contacts",
        (30, 90, 365),
        "transferred",
        "effort",
        "count",
        "Contacts handed on",
    ),
    *counts(
        "unresolved",
        "any_settled",
        (30, 90, 365),
        "unresolved",
        "effort",
        "count",
        "Contacts not resolved",
    ),
    *means(
        ("csat", "csat_answers"), (90, 365), "csat", "satisfaction", "1 to 5", "Mean satisfaction"
    ),
    Feature(
        "csat_last",
        "satisfaction",
        "1 to 5",
        "The last satisfaction.",
        fact("last_csat"),
    ),
    *means(
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
        "tenure_days", "recency", "days", "Since joining or the first trace, the earlier.", tenure
    ),
    *(
        Feature(
            f"asked_not_bought_{d}d",
            "contacts",
            "count",
            f"Contacts in {d} days without a purchase in them.",
            asked_not_bought(d),
        )
        for d in (30, 90)
    ),
    Feature(
        "contact_after_purchase",
        "contacts",
        "0 or 1",
        "Whether the last contact came after the last purchase.",
        contact_after_purchase,
    ),
)

FEATURES: tuple[Feature, ...] = (*_PURCHASES, *_CONTACTS, *_BOTH)
"""All customer features that models learn from, in column order."""
FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)

CARRIED: tuple[Feature, ...] = (
    Feature(
        "consent",
        "consent",
        "0 or 1",
        "Whether the customer may be contacted, where known.",
        fact("consent"),
    ),
)
"""What stands beside the features for whoever acts on them; no model learns from it."""
CARRIED_NAMES: tuple[str, ...] = tuple(feature.name for feature in CARRIED)


def customer_features(histories: Histories, as_of: Moment) -> ir.Table:
    """Return everybody known at ``as_of``: ``key``, ``FEATURE_NAMES``, ``CARRIED_NAMES``.

    Args:
        histories: The rows of all three tables.
        as_of: Nothing that happened at or after it, and nothing that was learnt after it, has
            any effect.
    """
    facts = customer_facts(histories, as_of)
    now = as_of.second
    columns = {f.name: f.formula(facts, now).cast("float64") for f in (*FEATURES, *CARRIED)}
    return facts.select("key", **columns)
