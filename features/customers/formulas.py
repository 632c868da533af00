"""How a customer feature is worked out: counts, means, recency, trends and rhythm.

A formula takes the columns that its row of ``customers.py`` names: integers of ``facts.py``, null
where a customer has none, and ``now``, the as-of in epoch seconds. It divides them once, as
float64, so that every engine gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ibis.expr.types import BooleanValue as Flag
from ibis.expr.types import FloatingValue as Float
from ibis.expr.types import IntegerValue as Integer
from ibis.expr.types import NumericValue as Number

from features.calendar.clock import DAY_SECONDS

Formula = Callable[..., Float]


@dataclass(frozen=True)
class Feature:
    """One customer feature.

    Attributes:
        name: Its column, with the window and the unit in it.
        group: What it is about, such as ``recency``.
        doc: One sentence for people.
        inputs: What the formula is given: ``now``, or aggregates of ``facts.customer_facts``; one
            that ends in a number is a total over a window of so many days.
        formula: From the inputs to float64.
    """

    name: str
    group: str
    unit: str
    doc: str
    inputs: tuple[str, ...]
    formula: Formula


def windowed(
    days: Sequence[int],
    name: str,
    group: str,
    unit: str,
    doc: str,
    inputs: tuple[str, ...],
    formula: Formula,
) -> list[Feature]:
    """Return one feature a window, in which ``inputs`` has ``{d}`` in place of the days."""
    return [
        Feature(
            f"{name}_{d}d",
            group,
            unit,
            f"{doc} in {d} days.",
            tuple(text.format(d=d) for text in inputs),
            formula,
        )
        for d in days
    ]


def trends(
    pairs: Sequence[tuple[int, int]], name: str, group: str, doc: str, total: str
) -> list[Feature]:
    """Return one feature a pair of windows, the shorter and the longer, in days."""
    return [
        Feature(
            f"{name}_{short}d_{long}d",
            group,
            "ratio",
            f"{doc} a day over {short} days to those over {long}.",
            (f"{total}_{short}", f"{total}_{long}"),
            trend(short, long),
        )
        for short, long in pairs
    ]


def number(value: Number) -> Float:
    """Return a value as it is."""
    return value.cast("float64")


def count(value: Number, present: Flag) -> Float:
    """Return a count or sum: 0 without rows, null where the whole centre keeps no such rows."""
    return present.ifelse(number(value.coalesce(0)), None)


def ratio(top: Number, bottom: Number) -> Float:
    """Return one value over another, null where the other is 0."""
    return number(top) / number(bottom.nullif(0))


def ratio_over(scale: float) -> Formula:
    """Return the formula of a ratio in units of ``scale``, such as hours from seconds."""
    return lambda top, bottom: ratio(top, bottom) / scale


def trend(short: int, long: int) -> Formula:
    """Return the formula of a daily rate over one window by that over a longer one, in days."""
    return lambda shorter, longer: ratio(shorter * long, longer * short)


def days_from(first: Integer, second: Integer) -> Float:
    """Return the days from one time to another, negative where the other came before."""
    return number(second - first) / float(DAY_SECONDS)


def gap_mean(days: Integer, gaps: Integer) -> Float:
    """Return the mean gap between ``days`` with purchases, two at least.

    ``gaps`` is the sum of the gaps, in days, as in all formulas of gaps.
    """
    return (days - 1 >= 1).ifelse(ratio(gaps, days - 1), None)


def gap_std(days: Integer, gaps: Integer, squares: Integer) -> Float:
    """Return the standard deviation of those gaps, in days; two gaps at least."""
    spread = (days - 1) * squares - gaps * gaps
    return (days - 1 >= 2).ifelse(number(spread).sqrt() / number(days - 1), None)


def gap_variation(days: Integer, gaps: Integer, squares: Integer) -> Float:
    """Return the standard deviation of those gaps in mean gaps: 0 where all are alike."""
    return gap_std(days, gaps, squares) / gap_mean(days, gaps)


def gap_last(last: Integer, days: Integer, gaps: Integer) -> Float:
    """Return the last gap in mean gaps; two gaps at least."""
    return (days >= 3).ifelse(number(last) / gap_mean(days, gaps), None)


def recency_over_gap(last: Integer, now: Integer, days: Integer, gaps: Integer) -> Float:
    """Return the time since the last purchase, in mean gaps."""
    return days_from(last, now) / gap_mean(days, gaps)


def tenure(
    joined: Integer,
    contact: Integer,
    purchase: Integer,
    now: Integer,
) -> Float:
    """Return the days since joining or the first contact or purchase, whichever is earlier."""
    first = (joined < now).ifelse(joined, None).coalesce(now)
    for other in (contact, purchase):
        earlier = other.coalesce(now)
        first = (earlier < first).ifelse(earlier, first)
    # Somebody who has neither joined nor done anything yet has no tenure.
    return (first < now).ifelse(days_from(first, now), None)


def difference(larger: Integer, smaller: Integer, present: Flag) -> Float:
    """Return what one total has more than another, as a ``count``."""
    return count(larger - smaller, present)


def discount_share(discount: Integer, spend: Integer, present: Flag) -> Float:
    """Return the money taken off, of the full prices."""
    return present.ifelse(ratio(discount, discount + spend), None)


def present_ratio(top: Integer, bottom: Integer, present: Flag) -> Float:
    """Return a ratio, null where the whole centre keeps no such rows."""
    return present.ifelse(ratio(top, bottom), None)


def category_last_new(newest: Integer, latest: Integer, purchases: Integer) -> Float:
    """Return 1 where the last purchase is of the category first bought last, else 0."""
    return (purchases >= 2).ifelse(number((newest == latest).cast("int64")), None)


def contacts_without_purchase(
    contacts: Integer,
    purchases: Integer,
    any_contacts: Flag,
    any_purchases: Flag,
) -> Float:
    """Return the contacts in a window that holds no purchase, else 0."""
    bought = purchases.coalesce(0) > 0
    contacts = bought.ifelse(0, contacts.coalesce(0))
    return (any_contacts & any_purchases).ifelse(number(contacts), None)


def contact_after_purchase(contact: Integer, purchase: Integer, any_contacts: Flag) -> Float:
    """Return 1 where the last contact came after the last purchase, else 0."""
    after = (contact.coalesce(0) > purchase).cast("int64")
    return (any_contacts & purchase.notnull()).ifelse(number(after), None)
