"""The customer features: their names, units and meaning, one definition for every reader."""

from __future__ import annotations

import ibis.expr.types as ir

from features.facts import (
    LATE_FACTOR,
    REPEAT_WINDOW_DAYS,
    TOPIC_DAYS,
    Histories,
    customer_facts,
)
from features.formulas import (
    Feature,
    asked_not_bought,
    category_last_new,
    contact_after_first,
    contact_after_purchase,
    count,
    counts,
    discount_share,
    discounted_share,
    fact,
    gap_last,
    gap_mean,
    gap_std,
    gap_variation,
    means,
    purchases_year_ago,
    ratio,
    recency_over_gap,
    since,
    tenure,
    trend,
    trends,
    unresolved,
    until,
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
    Feature(
        "purchases_year_ago_90d",
        "frequency",
        "count",
        "Purchases in the 90 days that began 365 days ago.",
        purchases_year_ago,
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
        "gap_days_variation",
        "rhythm",
        "ratio",
        "Spread of those gaps in mean gaps; 0 is regular.",
        gap_variation,
    ),
    Feature(
        "gap_days_last_ratio",
        "rhythm",
        "ratio",
        "Gap between the last two days with purchases in own mean gaps.",
        gap_last,
    ),
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
        trend("purchases", 90, 365),
    ),
    *trends("purchases", ((30, 90), (180, 365)), "purchase_trend", "rhythm", "Purchases"),
    Feature(
        "spend_trend",
        "rhythm",
        "ratio",
        "Money a day over 90 days to that over 365.",
        trend("spend", 90, 365),
    ),
    *trends("spend", ((30, 90), (180, 365)), "spend_trend", "rhythm", "Money"),
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
    Feature(
        "returned_share_365d",
        "returns",
        "0 to 1",
        "Money returned in 365 days to that spent.",
        ratio("returned_365", "spend_365"),
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
    Feature(
        "term_left_days",
        "recency",
        "days",
        "Until the latest paid term ends; negative once it has.",
        until("term_ends"),
    ),
    Feature(
        "discount_share_365d",
        "discounts",
        "0 to 1",
        "Money taken off in 365 days, of the full prices.",
        discount_share,
    ),
    Feature(
        "discounted_share_365d",
        "discounts",
        "0 to 1",
        "Share of the purchases in 365 days with money taken off.",
        discounted_share,
    ),
    Feature(
        "categories_365d",
        "categories",
        "count",
        "Different categories bought in 365 days.",
        count("categories", "any_categories"),
    ),
    Feature(
        "category_main_share_365d",
        "categories",
        "0 to 1",
        "Share of the main category in the purchases of 365 days.",
        ratio("main_category", "categorised"),
    ),
    Feature(
        "category_last_new_365d",
        "categories",
        "0 or 1",
        "Whether the last purchase in 365 days was of a category not bought before in them.",
        category_last_new,
    ),
    *means(
        ("confirm", "confirmed"),
        (90,),
        "confirm_hours",
        "delivery",
        "hours",
        "Mean time from purchase to confirmation",
        3600.0,
    ),
    *means(
        ("ship", "shipped"),
        (90, 365),
        "ship_hours",
        "delivery",
        "hours",
        "Mean time from purchase to shipment",
        3600.0,
    ),
    *means(
        ("complete", "completed"),
        (90, 365),
        "complete_hours",
        "delivery",
        "hours",
        "Mean time from purchase to completion",
        3600.0,
    ),
    *counts(
        "late",
        "any_delivered",
        (90, 365),
        "late_orders",
        "delivery",
        "count",
        f"Orders that took more than {LATE_FACTOR} times the usual",
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
        trend("contacts", 90, 365),
    ),
    *trends("contacts", ((7, 30), (30, 90), (180, 365)), "contact_trend", "contacts", "Contacts"),
    Feature(
        f"contacts_repeated_{REPEAT_WINDOW_DAYS}d",
        "effort",
        "count",
        f"Contacts within 7 days after another, in {REPEAT_WINDOW_DAYS} days.",
        count("repeats", "any_contacts"),
    ),
    *(
        Feature(
            f"topic_contacts_{d}d",
            "effort",
            "count",
            f"Contacts about one topic in {d} days, of the topic that came most.",
            count(f"topic_contacts_{d}", "any_topics"),
        )
        for d in TOPIC_DAYS
    ),
    Feature(
        "topics_90d",
        "effort",
        "count",
        "Different topics of contacts in 90 days.",
        count("topics", "any_topics"),
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
    *(
        Feature(
            f"unresolved_{d}d",
            "effort",
            "count",
            f"Contacts not resolved in {d} days.",
            unresolved(d),
        )
        for d in (30, 90, 365)
    ),
    *means(
        ("resolved", "settled"),
        (90, 365),
        "resolved_share",
        "effort",
        "0 to 1",
        "Share of contacts resolved",
    ),
    *means(
        ("csat", "csat_answers"), (90, 365), "csat", "satisfaction", "1 to 5", "Mean satisfaction"
    ),
    Feature(
        "csat_last",
        "satisfaction",
        "1 to 5",
        "The last satisfaction, if within 365 days.",
        fact("last_csat"),
    ),
    *means(("nps", "nps_answers"), (365,), "nps", "satisfaction", "0 to 10", "Mean recommendation"),
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
        "contact_after_first_days",
        "contacts",
        "days",
        "From the first purchase to the first contact; negative where that came before.",
        contact_after_first,
    ),
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
