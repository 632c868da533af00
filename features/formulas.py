"""How a customer feature is worked out from the facts: counts, means, recency and rhythm.

A formula divides the integers of ``facts.py`` once, as float64, so that every engine gives the
same bytes. A count is 0 for a customer without such rows and null where the whole centre keeps
none; a mean of nothing is null.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import ibis.expr.types as ir

from features.calendar import DAY_SECONDS
from features.windows import YEAR_AGO_DAYS

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


def count(column: str, present: str) -> Formula:
    """Return a count or sum as a number: 0 without rows, null where ``present`` says none exist."""
    return lambda facts, now: facts[present].ifelse(  # noqa: ARG005 # every formula takes both
        _float(facts[column].coalesce(0)), None
    )


def ratio(top: str, bottom: str) -> Formula:
    """Return one fact over another, null where the other is 0."""
    return lambda facts, now: _ratio(facts[top], facts[bottom])  # noqa: ARG005


def _mean(top: str, bottom: str, scale: float = 1.0) -> Formula:
    def formula(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:  # noqa: ARG001
        mean = _ratio(facts[top], facts[bottom])
        return mean if scale == 1.0 else mean / scale

    return formula


def fact(column: str) -> Formula:
    """Return a fact as it is."""
    return lambda facts, now: _float(facts[column])  # noqa: ARG005


def since(column: str) -> Formula:
    """Return the days since a moment, null where there is none."""
    return lambda facts, now: _days_since(facts[column], now)


def counts(
    fact: str, present: str, days: tuple[int, ...], name: str, group: str, unit: str, doc: str
) -> list[Feature]:
    """Return one counting feature a window, over the facts ``{fact}_{days}``."""
    return [
        Feature(f"{name}_{d}d", group, unit, f"{doc} in {d} days.", count(f"{fact}_{d}", present))
        for d in days
    ]


def means(
    facts: tuple[str, str],
    days: tuple[int, ...],
    name: str,
    group: str,
    unit: str,
    doc: str,
    scale: float = 1.0,
) -> list[Feature]:
    """Return one averaging feature a window: the first fact over the second, over ``scale``."""
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


def gap_mean(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:  # noqa: ARG001
    """Return the mean gap between days with purchases, in days; two such days at least."""
    gaps = facts.purchase_days - 1
    return (gaps >= 1).ifelse(_ratio(facts.gap_days, gaps), None)


def gap_std(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:  # noqa: ARG001
    """Return the standard deviation of those gaps, in days; two gaps at least."""
    gaps = facts.purchase_days - 1
    spread = gaps * facts.gap_squares - facts.gap_days * facts.gap_days
    return (gaps >= 2).ifelse(_float(spread).sqrt() / _float(gaps), None)


def gap_variation(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:
    """Return the standard deviation of those gaps in mean gaps: 0 where all are alike."""
    return gap_std(facts, now) / gap_mean(facts, now)


def gap_last(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:
    """Return the last gap in mean gaps; two gaps at least."""
    own = _float(facts.last_gap) / gap_mean(facts, now)
    return (facts.purchase_days >= 3).ifelse(own, None)


def recency_over_gap(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:
    """Return the time since the last purchase, in mean gaps."""
    return _days_since(facts.last_purchase, now) / gap_mean(facts, now)


def tenure(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:
    """Return the days since joining or the first trace, whichever is earlier."""
    joined = (facts.joined < now).ifelse(facts.joined, None)
    first = joined.coalesce(now)
    for other in (facts.first_contact, facts.first_purchase):
        earlier = other.coalesce(now)
        first = (earlier < first).ifelse(earlier, first)
    # Somebody who has neither joined nor done anything yet has no tenure.
    return (first < now).ifelse(_days_since(first, now), None)


def until(column: str) -> Formula:
    """Return the days until a moment, negative once it is over, null where there is none."""
    return lambda facts, now: _float(facts[column] - now) / float(DAY_SECONDS)


def purchases_year_ago(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:  # noqa: ARG001
    """Return the purchases of the 90 days that began a year ago."""
    longer, shorter = facts.purchases_365, facts[f"purchases_{365 - YEAR_AGO_DAYS}"]
    return facts.any_purchases.ifelse(_float((longer - shorter).coalesce(0)), None)


def unresolved(days: int) -> Formula:
    """Return the contacts in a window that left their matter open."""

    def formula(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:  # noqa: ARG001
        left = facts[f"settled_{days}"] - facts[f"resolved_{days}"]
        return facts.any_settled.ifelse(_float(left.coalesce(0)), None)

    return formula


def discount_share(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:  # noqa: ARG001
    """Return the money taken off in a year, of the full prices."""
    share = _ratio(facts.discount_365, facts.discount_365 + facts.spend_365)
    return facts.any_discounts.ifelse(share, None)


def discounted_share(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:  # noqa: ARG001
    """Return the share of a year's purchases with money taken off."""
    share = _ratio(facts.discounted_365, facts.purchases_365)
    return facts.any_discounts.ifelse(share, None)


def category_last_new(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:  # noqa: ARG001
    """Return 1 where the last purchase is of a category not bought before in a year, else 0."""
    new = (facts.newest_category == facts.latest_category).cast("int64")
    return (facts.categorised >= 2).ifelse(_float(new), None)


def contact_after_first(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:  # noqa: ARG001
    """Return the days from the first purchase to the first contact, negative if it came before."""
    return _float(facts.first_contact - facts.first_purchase) / float(DAY_SECONDS)


def asked_not_bought(days: int) -> Formula:
    """Return the contacts in a window that holds no purchase."""

    def formula(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:  # noqa: ARG001
        bought = facts[f"purchases_{days}"].coalesce(0) > 0
        asked = bought.ifelse(0, facts[f"contacts_{days}"].coalesce(0))
        return (facts.any_contacts & facts.any_purchases).ifelse(_float(asked), None)

    return formula


def contact_after_purchase(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:  # noqa: ARG001
    """Return 1 where the last contact came after the last purchase, else 0."""
    after = (facts.last_contact.coalesce(0) > facts.last_purchase).cast("int64")
    return (facts.any_contacts & facts.last_purchase.notnull()).ifelse(_float(after), None)


def trend(fact: str, short: int, long: int) -> Formula:
    """Return a daily rate over a shorter window by that over a longer one, in days."""

    def formula(facts: ir.Table, now: ir.IntegerScalar) -> ir.FloatingValue:  # noqa: ARG001
        return _ratio(facts[f"{fact}_{short}"] * long, facts[f"{fact}_{long}"] * short)

    return formula


def trends(
    fact: str, pairs: tuple[tuple[int, int], ...], name: str, group: str, doc: str
) -> list[Feature]:
    """Return one feature a pair of windows, the shorter and the longer, in days."""
    return [
        Feature(
            f"{name}_{short}d_{long}d",
            group,
            "ratio",
            f"{doc} a day over {short} days to those over {long}.",
            trend(fact, short, long),
        )
        for short, long in pairs
    ]
