"""The features of a customer that contacts tell."""

from __future__ import annotations

from features.facts import REPEAT_WINDOW_DAYS, TOPIC_DAYS
from features.formulas import (
    Feature,
    count,
    counts,
    fact,
    means,
    since,
    trend,
    trends,
    unresolved,
)
from features.windows import WINDOW_DAYS

CONTACT_FEATURES: tuple[Feature, ...] = (
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
"""Features of how often and why the customer asked, and how it went, in column order."""
