"""The customer features: their names, units and meaning, one definition for every reader."""

from __future__ import annotations

import ibis.expr.types as ir

from features.customer_contacts import CONTACT_FEATURES
from features.customer_purchases import PURCHASE_FEATURES
from features.facts import Histories, customer_facts
from features.formulas import (
    Feature,
    asked_not_bought,
    contact_after_first,
    contact_after_purchase,
    fact,
    tenure,
)
from features.windows import Moment

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

FEATURES: tuple[Feature, ...] = (
    *PURCHASE_FEATURES,
    *CONTACT_FEATURES,
    *_BOTH,
)
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
