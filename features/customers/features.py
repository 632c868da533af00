"""The customer features, a row each: names, units, meaning and formula for every reader.

A new feature is a new row; the windows that its inputs need are read off the rows.
"""

from __future__ import annotations

import ibis.expr.types as ir

from features.customers.aggregates import (
    LATE_FACTOR,
    REPEAT_WINDOW_DAYS,
    TOPIC_DAYS,
    Histories,
    customer_facts,
)
from features.customers.formulas import (
    Feature,
    category_last_new,
    contact_after_purchase,
    contacts_without_purchase,
    count,
    days_from,
    difference,
    discount_share,
    gap_last,
    gap_mean,
    gap_std,
    gap_variation,
    number,
    present_ratio,
    ratio,
    ratio_over,
    recency_over_gap,
    tenure,
    trend,
    trends,
    windowed,
)
from features.engine.as_of import AsOf

WINDOW_DAYS = (7, 30, 90, 180, 365)
"""Days that most windowed features look back."""
_SHORT_TO_YEAR = (30, 90, 365)

_PURCHASES = (
    *windowed(WINDOW_DAYS, "purchases", "frequency", "count", "Purchases",
              ("purchases_{d}", "any_purchases"), count),
    Feature("purchases_ever", "frequency", "count", "Purchases so far.",
            ("purchases_ever", "any_purchases"), count),
    Feature("purchases_year_ago_90d", "frequency", "count",
            "Purchases in the 90 days that began 365 days ago.",
            ("purchases_365", "purchases_275", "any_purchases"), difference),
    *windowed(WINDOW_DAYS, "spend_minor", "money", "minor units", "Money spent",
              ("spend_{d}", "any_purchases"), count),
    Feature("spend_minor_ever", "money", "minor units", "Money spent so far.",
            ("spend_ever", "any_purchases"), count),
    *windowed((90, 365), "order_minor", "money", "minor units", "Mean purchase",
              ("spend_{d}", "purchases_{d}"), ratio),
    Feature("order_minor_largest", "money", "minor units", "The largest purchase so far.",
            ("largest_purchase",), number),
    *windowed((365,), "order_items", "money", "count", "Mean pieces a purchase",
              ("items_{d}", "counted_{d}"), ratio),
    Feature("purchase_recency_days", "recency", "days", "Since the last purchase.",
            ("last_purchase", "now"), days_from),
    Feature("purchase_first_days", "recency", "days", "Since the first purchase.",
            ("first_purchase", "now"), days_from),
    Feature("purchase_days_ever", "rhythm", "days", "Days with a purchase so far.",
            ("purchase_days", "any_purchases"), count),
    Feature("gap_days_mean", "rhythm", "days", "Mean gap between days with purchases.",
            ("purchase_days", "gap_days"), gap_mean),
    Feature("gap_days_last", "rhythm", "days", "Gap between the last two days with purchases.",
            ("last_gap",), number),
    Feature("gap_days_std", "rhythm", "days", "Spread of those gaps; two at least.",
            ("purchase_days", "gap_days", "gap_squares"), gap_std),
    Feature("gap_days_variation", "rhythm", "ratio",
            "Spread of those gaps in mean gaps; 0 is regular.",
            ("purchase_days", "gap_days", "gap_squares"), gap_variation),
    Feature("gap_days_last_ratio", "rhythm", "ratio",
            "Gap between the last two days with purchases in own mean gaps.",
            ("last_gap", "purchase_days", "gap_days"), gap_last),
    Feature("recency_over_gap", "rhythm", "ratio", "Time since the last purchase in own mean gaps.",
            ("last_purchase", "now", "purchase_days", "gap_days"), recency_over_gap),
    Feature("purchase_trend", "rhythm", "ratio", "Purchases a day over 90 days to those over 365.",
            ("purchases_90", "purchases_365"), trend(90, 365)),
    *trends(((30, 90), (180, 365)), "purchase_trend", "rhythm", "Purchases", "purchases"),
    Feature("spend_trend", "rhythm", "ratio", "Money a day over 90 days to that over 365.",
            ("spend_90", "spend_365"), trend(90, 365)),
    *trends(((30, 90), (180, 365)), "spend_trend", "rhythm", "Money", "spend"),
    *windowed((90, 365), "returns", "returns", "count", "Returns",
              ("returns_{d}", "any_purchases"), count),
    *windowed((365,), "returned_minor", "returns", "minor units", "Money returned",
              ("returned_{d}", "any_purchases"), count),
    Feature("returned_share_365d", "returns", "0 to 1", "Money returned in 365 days to that spent.",
            ("returned_365", "spend_365"), ratio),
    *windowed((365,), "cancellations", "returns", "count", "Cancellations",
              ("cancellations_{d}", "any_purchases"), count),
    Feature("term_left_days", "recency", "days",
            "Until the latest paid term ends; negative once it has.",
            ("now", "term_ends"), days_from),
    Feature("discount_share_365d", "discounts", "0 to 1",
            "Money taken off in 365 days, of the full prices.",
            ("discount_365", "spend_365", "any_discounts"), discount_share),
    Feature("discounted_share_365d", "discounts", "0 to 1",
            "Share of the purchases in 365 days with money taken off.",
            ("discounted_365", "purchases_365", "any_discounts"), present_ratio),
    Feature("categories_365d", "categories", "count", "Different categories bought in 365 days.",
            ("categories", "any_categories"), count),
    Feature("category_main_share_365d", "categories", "0 to 1",
            "Share of the main category in the purchases of 365 days.",
            ("main_category", "categorised"), ratio),
    Feature("category_last_new_365d", "categories", "0 or 1",
            "Whether the last purchase in 365 days was of a category not bought before in them.",
            ("newest_category", "latest_category", "categorised"), category_last_new),
    *windowed((90,), "confirm_hours", "delivery", "hours",
              "Mean time from purchase to confirmation",
              ("confirm_{d}", "confirmed_{d}"), ratio_over(3600.0)),
    *windowed((90, 365), "ship_hours", "delivery", "hours", "Mean time from purchase to shipment",
              ("ship_{d}", "shipped_{d}"), ratio_over(3600.0)),
    *windowed((90, 365), "complete_hours", "delivery", "hours",
              "Mean time from purchase to completion",
              ("complete_{d}", "completed_{d}"), ratio_over(3600.0)),
    *windowed((90, 365), "late_orders", "delivery", "count",
              f"Orders that took more than {LATE_FACTOR} times the usual",
              ("late_{d}", "any_delivered"), count),
    *windowed((30,), "unshipped", "delivery", "count", "Purchases not shipped yet",
              ("unshipped_{d}", "any_shipped"), count),
)  # fmt: skip

_CONTACTS = (
    *windowed(WINDOW_DAYS, "contacts", "contacts", "count", "Contacts",
              ("contacts_{d}", "any_contacts"), count),
    Feature("contacts_ever", "contacts", "count", "Contacts so far.",
            ("contacts_ever", "any_contacts"), count),
    *windowed(_SHORT_TO_YEAR, "contacts_voice", "channels", "count", "Calls",
              ("voice_{d}", "any_contacts"), count),
    *windowed(_SHORT_TO_YEAR, "contacts_chat", "channels", "count", "Chats and messages",
              ("chat_{d}", "any_contacts"), count),
    *windowed(_SHORT_TO_YEAR, "contacts_email", "channels", "count", "E-mails",
              ("email_{d}", "any_contacts"), count),
    Feature("contact_recency_days", "recency", "days", "Since the last contact.",
            ("last_contact", "now"), days_from),
    Feature("contact_first_days", "recency", "days", "Since the first contact.",
            ("first_contact", "now"), days_from),
    Feature("contact_trend", "contacts", "ratio", "Contacts a day over 90 days to those over 365.",
            ("contacts_90", "contacts_365"), trend(90, 365)),
    *trends(((7, 30), (30, 90), (180, 365)), "contact_trend", "contacts", "Contacts", "contacts"),
    Feature(f"contacts_repeated_{REPEAT_WINDOW_DAYS}d", "effort", "count",
            f"Contacts within 7 days after another, in {REPEAT_WINDOW_DAYS} days.",
            ("repeats", "any_contacts"), count),
    *(
        Feature(f"topic_contacts_{d}d", "effort", "count",
                f"Contacts about one topic in {d} days, of the topic that came most.",
                (f"topic_contacts_{d}", "any_topics"), count)
        for d in TOPIC_DAYS
    ),
    Feature("topics_90d", "effort", "count", "Different topics of contacts in 90 days.",
            ("topics", "any_topics"), count),
    *windowed((90, 365), "wait_seconds", "effort", "seconds", "Mean wait",
              ("wait_ms_{d}", "waits_{d}"), ratio_over(1000.0)),
    *windowed(_SHORT_TO_YEAR, "abandoned", "effort", "count", "Contacts abandoned",
              ("abandoned_{d}", "any_contacts"), count),
    *windowed(_SHORT_TO_YEAR, "transferred", "effort", "count", "Contacts handed on",
              ("transferred_{d}", "any_contacts"), count),
    *windowed(_SHORT_TO_YEAR, "unresolved", "effort", "count", "Contacts not resolved",
              ("settled_{d}", "resolved_{d}", "any_settled"), difference),
    *windowed((90, 365), "resolved_share", "effort", "0 to 1", "Share of contacts resolved",
              ("resolved_{d}", "settled_{d}"), ratio),
    *windowed((90, 365), "csat", "satisfaction", "1 to 5", "Mean satisfaction",
              ("csat_{d}", "csat_answers_{d}"), ratio),
    Feature("csat_last", "satisfaction", "1 to 5", "The last satisfaction, if within 365 days.",
            ("last_csat",), number),
    *windowed((365,), "nps", "satisfaction", "0 to 10", "Mean recommendation",
              ("nps_{d}", "nps_answers_{d}"), ratio),
    *windowed(_SHORT_TO_YEAR, "sentiment", "satisfaction", "-1 to 1", "Mean sentiment",
              ("sentiment_{d}", "sentiments_{d}"), ratio_over(1000.0)),
)  # fmt: skip

_BOTH = (
    Feature("contact_after_first_days", "contacts", "days",
            "From the first purchase to the first contact; negative where that came before.",
            ("first_purchase", "first_contact"), days_from),
    Feature("tenure_days", "recency", "days", "Since joining or the first trace, the earlier.",
            ("joined", "first_contact", "first_purchase", "now"), tenure),
    *(
        Feature(f"asked_not_bought_{d}d", "contacts", "count",
                f"Contacts in {d} days without a purchase in them.",
                (f"contacts_{d}", f"purchases_{d}", "any_contacts", "any_purchases"),
                contacts_without_purchase)
        for d in (30, 90)
    ),
    Feature("contact_after_purchase", "contacts", "0 or 1",
            "Whether the last contact came after the last purchase.",
            ("last_contact", "last_purchase", "any_contacts"), contact_after_purchase),
)  # fmt: skip

FEATURES: tuple[Feature, ...] = (*_PURCHASES, *_CONTACTS, *_BOTH)
"""All customer features that models learn from, in column order."""
FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)

CARRIED: tuple[Feature, ...] = (
    Feature("consent", "consent", "0 or 1", "Whether the customer may be contacted, where known.",
            ("consent",), number),
)  # fmt: skip
"""What stands beside the features for whoever acts on them; no model learns from it."""
CARRIED_NAMES: tuple[str, ...] = tuple(feature.name for feature in CARRIED)


def customer_features(histories: Histories, as_of: AsOf) -> ir.Table:
    """Return everybody known at ``as_of``: ``key``, ``FEATURE_NAMES``, ``CARRIED_NAMES``.

    Nothing that happened at or after ``as_of``, or was learnt after it, has any effect.
    """
    table = (*FEATURES, *CARRIED)
    aggregates = customer_facts(histories, as_of, {name for f in table for name in f.inputs})

    def value(feature: Feature) -> ir.FloatingValue:
        inputs = (as_of.second if name == "now" else aggregates[name] for name in feature.inputs)
        return feature.formula(*inputs).cast("float64")

    return aggregates.select("key", **{f.name: value(f) for f in table})
