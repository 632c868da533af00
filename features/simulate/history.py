"""The history of the centre, day by day, and the true chances of no purchase within a horizon.

There are two true chances. ``state`` knows everything, whether the customer has left included,
which nobody outside can see. ``seen`` is what the best possible scorer would say who knows the
laws of the simulation and a customer's orders, contacts and service, but neither the customer's
own rates nor whether they have left: the posterior of the Pareto/NBD kind (Schmittlein, Morrison
and Colombo, "Counting your customers", 1987), with a hazard that follows the service received. A
model's AUC can come near that of ``seen``; that of ``state`` is out of reach.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TypeVar

import numpy as np
import pyarrow as pa

from features.arrays import Float64, Int64
from features.calendar.clock import DAY_SECONDS, from_epoch
from features.simulate.arrivals import Arrivals, draw_arrivals
from features.simulate.centre import SimulationConfig
from features.simulate.contacts import draw_contacts
from features.simulate.customers import (
    CAMPAIGN,
    GENERAL,
    LAW,
    LEAVING,
    ORDERING,
    Attribution,
    Customers,
    Orders,
    Population,
    Treatment,
    draw_population,
    share_at_start,
)
from features.simulate.events import Centre, draw_centre
from features.simulate.tables import (
    ContactCounts,
    ids,
    interactions_table,
    purchases_table,
    repeated,
    times,
    words,
)

CAMPAIGN_SHARE = 0.5
"""Share of the active customers whom the randomised campaign takes in."""
TREAT_SHARE = 0.5
"""Share of those who are called; the others are held out. The mapping of the export says it too."""
_STEP_DAYS = 15
_NODES = (10, 6)
"""Quadrature points over the pace of ordering and over the hazard of leaving."""
_BLOCK = 1_024

_Rows = TypeVar("_Rows", Attribution, Orders)


@dataclass(frozen=True)
class Month:
    """What happened in one calendar month (UTC).

    Attributes:
        label: Such as ``2026-03``.
        span: Its start and end within the history, epoch seconds.
        counts: How the interactions became known.
        churn: The truth of as-ofs that became complete, see ``History.months``.
    """

    label: str
    span: tuple[int, int]
    interactions: pa.Table
    counts: ContactCounts
    purchases: pa.Table
    churn: list[pa.Table]


@dataclass(frozen=True)
class Campaign:
    """The randomised campaign.

    Attributes:
        outreach: Rows of table ``outreach``.
        truth: ``customer_id``, ``arm``, ``chance_treated`` and ``chance_untreated`` of no
            purchase within the horizon.
    """

    outreach: pa.Table
    truth: pa.Table


class History:
    """One centre from its first day to its last; its months can be walked through once.

    Attributes:
        centre: Queues, events and shocks.
        population: Who the customers are.
        arrivals: The true volume.
        customers: Their state, at the end once the months are through.
        campaign: The randomised campaign, once the months are through.
    """

    campaign: Campaign

    def __init__(self, config: SimulationConfig, *, seed: int) -> None:
        # Each stage draws from a stream of its own, so that a change in one leaves the others.
        streams = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(6)]
        self.centre: Centre = draw_centre(config, rng=streams[0])
        self.population: Population = draw_population(config, rng=streams[1])
        steady = config.customers * share_at_start(config.days)
        self.arrivals: Arrivals = draw_arrivals(
            self.centre, steady_customers=steady, rng=streams[2]
        )
        self.customers = Customers(self.centre, self.population)
        self._contact_rng, self._day_rng, self._detail_rng = streams[3:]
        # By day: customers, their last order's day, and the truth that lacks its outcome.
        self._pending: dict[int, tuple[Int64, Int64, pa.Table]] = {}
        self._contact_count = 0
        self._as_ofs = frozenset(as_of_days(config.days, config.horizon_days))

    def months(self) -> Iterator[Month]:
        """Yield the months, the first and last perhaps in part.

        The truth of an as-of has a row for each customer who bought in the ``active_days``, with
        the columns ``customer_id``; ``as_of``; ``has_left``; ``hazard_per_day`` of leaving, 0 once
        left; ``chance_state`` and ``chance_seen`` of no purchase within the horizon; ``churned``:
        the outcome, null where the horizon ends after the history.
        """
        config = self.centre.config
        labels = [f"{from_epoch(config.start + d * DAY_SECONDS):%Y-%m}" for d in range(config.days)]
        first = 0
        for last in range(1, config.days + 1):
            if last == config.days or labels[last] != labels[first]:
                yield self._month(labels[first], first, last)
                first = last

    def _month(self, label: str, first: int, last: int) -> Month:
        customers, config = self.customers, self.centre.config
        contacts = draw_contacts(
            self.centre, self.arrivals, first=first * 24, last=last * 24, rng=self._contact_rng
        )
        linked = self.arrivals.linked_share
        midnights = config.start + DAY_SECONDS * np.arange(first, last + 1)
        bounds = np.searchsorted(contacts.started_at, midnights).tolist()
        first_order, first_contact = customers.order_count, self._contact_count
        attributions: list[Attribution] = []
        orders: list[Orders] = []
        churn: list[pa.Table] = []
        for k, day in enumerate(range(first, last)):
            churn += self._start_day(day)
            customers.leave(day, self._day_rng)
            today = slice(bounds[k], bounds[k + 1])
            attributions.append(customers.contact(contacts, today, linked, self._day_rng))
            orders.append(customers.order(day, self._day_rng))
        if last == config.days:
            churn += self._start_day(last)
            churn += [self._truth_of(day, known=False) for day in list(self._pending)]
        self._contact_count += len(contacts)
        interactions, counts = interactions_table(
            self.centre,
            contacts,
            _concatenated(attributions),
            first_number=first_contact,
            rng=self._detail_rng,
        )
        purchases = purchases_table(
            self.centre,
            self.population,
            _concatenated(orders),
            first_number=first_order,
            rng=self._detail_rng,
        )
        span = (int(midnights[0]), int(midnights[-1]))
        return Month(label, span, interactions, counts, purchases, churn)

    def _start_day(self, day: int) -> list[pa.Table]:
        """Hold the campaign, and return the truths whose outcome is known by now."""
        customers, horizon = self.customers, self.centre.config.horizon_days
        if day == self.centre.campaign_day:
            self.campaign = self._hold_campaign(day)
        if day == self.centre.campaign_day + CAMPAIGN.days:
            customers.end_treatment()
        due = [self._truth_of(day - horizon, known=True)] if day - horizon in self._pending else []
        if day in self._as_ofs:
            self._add_as_of(day)
        return due

    def _add_as_of(self, day: int) -> None:
        customers = self.customers
        chosen = self._active(day)
        left = customers.here[chosen] == 0
        as_of = self.centre.config.start + day * DAY_SECONDS
        table = pa.table(
            {
                "customer_id": ids("C", chosen),
                "as_of": times(np.full(len(chosen), as_of, dtype=np.int64)),
                "has_left": left,
                "hazard_per_day": np.where(left, 0.0, customers.hazard()[chosen]),
                "chance_state": state_chance(customers, chosen, day=day),
                "chance_seen": seen_chance(customers, chosen, day=day),
            }
        )
        self._pending[day] = (chosen, customers.last_order_day[chosen], table)

    def _truth_of(self, day: int, *, known: bool) -> pa.Table:
        chosen, last_order_day, table = self._pending.pop(day)
        silent = self.customers.last_order_day[chosen] == last_order_day
        outcome = pa.array(silent) if known else pa.nulls(len(silent), pa.bool_())
        return table.append_column("churned", outcome)

    def _active(self, day: int) -> Int64:
        since = day - self.centre.config.active_days
        return np.flatnonzero(self.customers.last_order_day >= since)

    def _hold_campaign(self, day: int) -> Campaign:
        customers, rng = self.customers, self._day_rng
        candidates = self._active(day)
        chosen = candidates[rng.random(len(candidates)) < CAMPAIGN_SHARE]
        treated = rng.random(len(chosen)) < TREAT_SHARE
        effect = customers.effect(chosen)
        untreated = Treatment(np.ones(len(chosen)), np.ones(len(chosen)))
        named = {
            "customer_id": ids("C", chosen),
            "arm": words(("control", "treat"), treated.astype(np.int64)),
        }
        truth = pa.table(
            {
                **named,
                "chance_treated": state_chance(customers, chosen, day=day, treatment=effect),
                "chance_untreated": state_chance(customers, chosen, day=day, treatment=untreated),
            }
        )
        customers.treat(chosen[treated])
        n = len(chosen)
        decided_at = np.full(n, self.centre.config.start + day * DAY_SECONDS)
        outreach = pa.table(
            {
                "outreach_id": ids("D", np.arange(n)),
                "customer_id": named["customer_id"],
                "experiment": repeated("winback-1", n),
                "arm": named["arm"],
                "action": repeated("call", n),
                "decided_at": times(decided_at),
                "treat_share": np.full(n, TREAT_SHARE),
                "probability": pa.nulls(n, pa.float64()),
                "available_at": times(decided_at + 60),
            }
        )
        return Campaign(outreach, truth)


def _concatenated(parts: Sequence[_Rows]) -> _Rows:
    kind = type(parts[0])
    columns = [np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(kind)]
    return kind(*columns)


def as_of_days(days: int, horizon_days: int) -> list[int]:
    """Return the days whose starts are the as-ofs of the truth, a month apart, the last one too.

    >>> as_of_days(100, 90)
    [10, 40, 70, 100]
    """
    step = 30 if horizon_days % 30 == 0 else horizon_days
    return sorted(range(days, 0, -step))


def no_purchase(ordering: Float64, leaving: Float64, days: float) -> Float64:
    """Return the chance of no order within some days for one who is with us, at constant rates.

    Either they stay and do not order, or they leave before they order. Rates are per day, above
    0, and of shapes that fit each other.

    >>> no_purchase(np.array([0.01]), np.array([0.0]), 100.0).round(4).tolist()  # exp(-1)
    [0.3679]
    """
    # Exponentials are taken of each array by itself: few values stand for many combinations.
    stays = ordering * np.exp(-ordering * days) * np.exp(-leaving * days)
    chance: Float64 = (leaving + stays) / (ordering + leaving)
    return chance


def state_chance(
    customers: Customers, chosen: Int64, *, day: int, treatment: Treatment | None = None
) -> Float64:
    """Return each customer's true chance of no purchase within the horizon, given their state.

    The mood fades on its way; bad service that is still to come is not foreseen. An action of
    the campaign that is running is taken to last to the horizon's end.

    Args:
        customers: The state at the start of the day.
        chosen: Indices of the customers, int64[m].
        day: The day, from the start.
        treatment: What the campaign does to them; by default what it does now, arrays of m.

    Returns:
        float64[m]; 1.0 for those who have left.
    """
    population, horizon = customers.population, customers.centre.config.horizon_days
    if treatment is None:
        now = customers.treatment
        treatment = Treatment(now.hazard[chosen], now.pace[chosen])
    pace = population.orders_per_day[chosen] * treatment.pace
    leaving = population.leaving_per_day[chosen] * treatment.hazard
    mood = customers.mood[chosen]
    waiting, lost = np.ones(len(chosen)), np.zeros(len(chosen))
    for first in range(0, horizon, _STEP_DAYS):
        length = min(_STEP_DAYS, horizon - first)
        lift = customers.centre.order_lift[day + first : day + first + length].mean()
        hazard = leaving * LAW.mood_factor(mood, after_days=first + length / 2)
        total = pace * lift + hazard
        stays = np.exp(-total * length)
        lost += waiting * hazard / total * (1 - stays)
        waiting *= stays
    return np.where(customers.here[chosen] > 0, waiting + lost, 1.0)


def seen_chance(customers: Customers, chosen: Int64, *, day: int) -> Float64:
    """Return the best guess of the same chance from what can be seen of a customer, float64[m]."""
    guess = np.empty(len(chosen))
    for first in range(0, len(chosen), _BLOCK):
        guess[first : first + _BLOCK] = _posterior(customers, chosen[first : first + _BLOCK], day)
    return guess


def _posterior(customers: Customers, block: Int64, day: int) -> Float64:
    """Return the mean of the chance over what the customers' own rates may be.

    Arrays have the axes customer, pace, hazard; exponentials are taken of each axis by itself.
    """
    population, joined = customers.population, customers.exposure_joined[:, block, None]
    now, seen = customers.exposure[:, block, None], customers.exposure_seen[:, block, None]
    paces, leavings = _nodes()
    pace = paces * np.array(LAW.segment_pace)[population.segment[block], None]
    by_pace = customers.orders[block, None] * np.log(pace) - pace * (seen - joined)[ORDERING]
    by_hazard = -leavings * (seen - joined)[LEAVING]
    # The greatest weight of each row is one, so that none overflows.
    by_pace -= by_pace.max(axis=1, keepdims=True)
    by_hazard -= by_hazard.max(axis=1, keepdims=True)
    past = _product_of_exponentials(by_pace, by_hazard)
    unordered, endured = pace * (now - seen)[ORDERING], leavings * (now - seen)[LEAVING]
    uncalled = population.appetite[block, None] * (now - seen)[GENERAL]
    # Customers are silent because they do not order or call, or because they left since.
    silent = _product_of_exponentials(-unordered - uncalled, -endured)
    total = unordered[:, :, None] + endured[:, None, :] + uncalled[:, :, None]
    share = np.divide(1 - silent, total, out=np.ones_like(total), where=total > 0)
    left = endured[:, None, :] * share
    ahead = _ahead(customers, block, day, pace)
    chance: Float64 = (past * (silent * ahead + left)).sum(axis=(1, 2))
    chance /= (past * (silent + left)).sum(axis=(1, 2))
    return chance


def _ahead(customers: Customers, block: Int64, day: int, pace: Float64) -> Float64:
    """Return ``no_purchase`` at every node, at the mean rates of the horizon."""
    horizon = customers.centre.config.horizon_days
    lift = customers.centre.order_lift[day : day + horizon].mean()
    mood = customers.mood[block]
    middles = np.arange(_STEP_DAYS / 2, horizon, _STEP_DAYS)
    factor = np.mean([LAW.mood_factor(mood, after_days=middle) for middle in middles], axis=0)
    ordering = pace * lift * customers.treatment.pace[block, None]
    hazard = _nodes()[1] * (factor * customers.treatment.hazard[block])[:, None]
    return no_purchase(ordering[:, :, None], hazard[:, None, :], horizon)


def _product_of_exponentials(by_pace: Float64, by_hazard: Float64) -> Float64:
    """Return float64[n, pace, hazard] from the logarithms of both factors."""
    product: Float64 = np.exp(by_pace)[:, :, None] * np.exp(by_hazard)[:, None, :]
    return product


@lru_cache(maxsize=1)
def _nodes() -> tuple[Float64, Float64]:
    """Return equally likely paces and equally likely hazards, for the average segment."""
    rng = np.random.default_rng(0)
    draws = 5_000 * _NODES[0] * _NODES[1]
    paces, leavings = (
        np.sort(rng.gamma(shape, mean / shape, draws)).reshape(count, -1).mean(axis=1)
        for shape, mean, count in (
            (LAW.orders_shape, LAW.orders_per_day, _NODES[0]),
            (LAW.leaving_shape, LAW.leaving_per_day, _NODES[1]),
        )
    )
    return paces, leavings
