"""Who the customers are, and how they behave: leave, order, get in touch, remember.

Every rate is a customer's own, so a day's events are a superposition of Poisson processes: their
number is drawn once and each is given to a customer with a chance in proportion to the rate.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import DAY_SECONDS
from features.simulate.centre import REASONS, SimulationConfig
from features.simulate.contacts import Contacts, Int8
from features.simulate.events import Centre

SEGMENT_SHARES = (0.8, 0.2)
REGIONS = ("Berlin", "Hamburg", "Bayern", "Sachsen", "Wien", "Zürich")
LATE_HEAT = 3.0
GENERAL, ORDERING, LEAVING = range(3)
"""Rows of the exposure: contacts about general matters, orders after the first, leaving."""


@dataclass(frozen=True)
class CustomerLaw:
    """How customers buy, get in touch and leave.

    A customer's own pace of ordering, hazard of leaving and appetite for contacts are drawn from
    gamma distributions of a shape and a mean, that of the appetite being one.

    Attributes:
        segment_pace: How fast each segment buys relative to the average.
        mood_weight: The hazard of leaving grows by exp(mood_weight x mood) …
        mood_cap: … at most by exp(mood_cap).
        late_noticed_days: Days after an order at which a late shipment is felt.
    """

    orders_shape: float = 1.3
    orders_per_day: float = 1 / 42
    leaving_shape: float = 1.0
    leaving_per_day: float = 1 / 650
    appetite_shape: float = 2.5
    segments: tuple[str, ...] = ("consumer", "business")
    segment_pace: tuple[float, ...] = (0.9, 1.6)
    mood_half_life_days: float = 60.0
    mood_weight: float = 1.2
    mood_cap: float = 3.0
    late_shipment_share: float = 0.08
    late_noticed_days: int = 4
    late_mood: float = 0.6
    order_heat_days: float = 6.0
    repeat_heat_days: float = 3.0

    @property
    def mood_decay(self) -> float:
        """Factor of the mood from one day to the next."""
        return float(0.5 ** (1 / self.mood_half_life_days))

    def mood_factor(self, mood: Float64, *, after_days: float = 0.0) -> Float64:
        """Return what a mood makes of the hazard of leaving after some days, float64[n]."""
        faded = self.mood_weight * mood * self.mood_decay**after_days
        factor: Float64 = np.exp(np.minimum(faded, self.mood_cap))
        return factor


@dataclass(frozen=True)
class CampaignLaw:
    """What the campaign's action does while it lasts.

    It changes the hazard of leaving and the pace of ordering of customers in the mood
    ``wounded_from_mood`` or worse. Content customers who do not read the newsletter order less;
    others do not react.
    """

    days: int = 90
    wounded_from_mood: float = 0.25
    wounded_hazard_factor: float = 0.4
    wounded_pace_factor: float = 1.7
    annoyed_pace_factor: float = 0.92


LAW, CAMPAIGN = CustomerLaw(), CampaignLaw()


@dataclass(frozen=True)
class Population:
    """The customers, arrays of n, in the order of their ids.

    Attributes:
        joined_at: Epoch seconds, int64[n]; before the start for those already there.
        joined_day: Day from the start on which the first order is placed; -1: before the start.
        segment: Index into ``CustomerLaw.segments``, int8[n].
        region: Index into ``REGIONS``, int8[n]; -1 where the CRM does not say.
        newsletter: Whether the customer reads the newsletter, bool[n].
        orders_per_day: Own pace, float64[n].
        leaving_per_day: Hazard of leaving while all goes well, float64[n].
        appetite: How readily the customer gets in touch, relative, float64[n].
    """

    joined_at: Int64
    joined_day: Int64
    segment: Int8
    region: Int8
    newsletter: Bool
    orders_per_day: Float64
    leaving_per_day: Float64
    appetite: Float64

    def __len__(self) -> int:
        return len(self.joined_at)


def share_at_start(days: int) -> float:
    """Return the share of all customers who are there at the start.

    The rest join at the pace at which customers leave, so that their number stays level.
    """
    return 1 / (1 + days * LAW.leaving_per_day)


def draw_population(config: SimulationConfig, *, rng: np.random.Generator) -> Population:
    """Draw the customers."""
    n = config.customers
    there = rng.random(n) < share_at_start(config.days)
    day = np.where(there, -1, rng.integers(0, config.days, n))
    second = rng.integers(6 * 3600, 22 * 3600, n)
    earlier = config.start - DAY_SECONDS * rng.integers(1, 1_100, n)
    joined_at = np.where(there, earlier, config.start + day * DAY_SECONDS) + second
    # Ids are given in the order of joining, as a CRM does.
    order = np.argsort(joined_at, kind="stable")
    segment = rng.choice(len(LAW.segments), n, p=SEGMENT_SHARES).astype(np.int8)
    pace = np.array(LAW.segment_pace)[segment]
    return Population(
        joined_at=joined_at[order],
        joined_day=day[order],
        segment=segment,
        region=np.where(rng.random(n) < 0.03, -1, rng.integers(0, len(REGIONS), n)).astype(np.int8),
        newsletter=rng.random(n) < 0.4,
        orders_per_day=pace
        * LAW.orders_per_day
        * rng.gamma(LAW.orders_shape, 1 / LAW.orders_shape, n),
        leaving_per_day=LAW.leaving_per_day
        * rng.gamma(LAW.leaving_shape, 1 / LAW.leaving_shape, n),
        appetite=rng.gamma(LAW.appetite_shape, 1 / LAW.appetite_shape, n),
    )


@dataclass(frozen=True)
class Treatment:
    """Multipliers of the hazard of leaving and the pace of ordering by the campaign, float64[n]."""

    hazard: Float64
    pace: Float64


def treatment_effect(mood: Float64, newsletter: Bool) -> Treatment:
    """Return what the campaign's action does, by mood and whether news were asked for.

    >>> treatment_effect(np.array([1.0, 0.0, 0.0]), np.array([True, True, False])).pace.tolist()
    [1.7, 1.0, 0.92]
    """
    wounded = mood >= CAMPAIGN.wounded_from_mood
    content = np.where(newsletter, 1.0, CAMPAIGN.annoyed_pace_factor)
    return Treatment(
        hazard=np.where(wounded, CAMPAIGN.wounded_hazard_factor, 1.0),
        pace=np.where(wounded, CAMPAIGN.wounded_pace_factor, content),
    )


@dataclass(frozen=True)
class Orders:
    """Orders in the order of their numbers, arrays of n.

    Attributes:
        customer: Index of the customer, int64[n].
        day: Day from the start, int64[n].
        joining: Whether it is the order by which the customer joins, bool[n].
        late: Whether it ships late, bool[n].
    """

    customer: Int64
    day: Int64
    joining: Bool
    late: Bool


@dataclass(frozen=True)
class Attribution:
    """From whom contacts come, and why, arrays of n.

    Attributes:
        customer: Index of the customer, -1 for a stranger, int64[n].
        reason: Index into ``REASONS``, int8[n]; meaningless for a stranger.
        order: Number of the customer's last order, -1 where none, int64[n].
    """

    customer: Int64
    reason: Int8
    order: Int64


class Customers:
    """The state of all customers at the start of a day, arrays of n.

    Attributes:
        here: 1.0 while with us, 0.0 before joining and after leaving.
        left_day: Day of leaving; -1 while not left.
        mood: What bad service has left behind; falls by half in ``mood_half_life_days``.
        treatment: What the campaign does to them at present.
        last_order_day: Day of the last order; -10,000 before the first.
        last_order: Number of the last order; -1 before the first.
        order_count: Orders of all customers so far.
        orders: Orders after the one by which the customer joined.
        exposure: What the rates of each process sum up to, relative to the customer's own rate,
            float64[3, n]: what an observer knows who does not see who has left.
        exposure_joined: The same when the customer joined.
        exposure_seen: The same at the last sign of life: an order, or a general contact.
    """

    def __init__(self, centre: Centre, population: Population) -> None:
        n = len(population)
        self.centre, self.population = centre, population
        self.here: Float64 = (population.joined_day < 0).astype(np.float64)
        self.left_day: Int64 = np.full(n, -1, dtype=np.int64)
        self.mood: Float64 = np.zeros(n)
        self.treatment = Treatment(np.ones(n), np.ones(n))
        self.last_order_day: Int64 = np.full(n, -10_000, dtype=np.int64)
        self.last_order: Int64 = np.full(n, -1, dtype=np.int64)
        self.order_count = 0
        self.orders: Int64 = np.zeros(n, dtype=np.int64)
        self.exposure: Float64 = np.zeros((3, n))
        self.exposure_joined: Float64 = np.zeros((3, n))
        self.exposure_seen: Float64 = np.zeros((3, n))
        self._ordering: Float64 = population.orders_per_day * self.here
        self._general: Float64 = population.appetite * self.here
        self._order_heat: Float64 = np.zeros(n)
        self._repeat_heat: Float64 = np.zeros(n)
        self._late: deque[Int64] = deque([np.empty(0, dtype=np.int64)] * LAW.late_noticed_days)
        self._joiners: Int64 = np.argsort(population.joined_day, kind="stable")
        self._joining_days: Int64 = population.joined_day[self._joiners]
        self._reasons: Float64 = np.array([law.linked_per_day for law in centre.laws])

    def hazard(self) -> Float64:
        """Return each customer's hazard of leaving, as if still with us, per day, float64[n]."""
        multiplier = LAW.mood_factor(self.mood) * self.treatment.hazard
        return self.population.leaving_per_day * multiplier

    def leave(self, day: int, rng: np.random.Generator) -> None:
        """Let customers leave; they do not say so."""
        multiplier = LAW.mood_factor(self.mood) * self.treatment.hazard
        rates = self.population.leaving_per_day * multiplier * self.here
        gone = _draw_customers(np.cumsum(rates), 1.0, rng)
        self.exposure[LEAVING] += multiplier
        self.here[gone] = 0.0
        self._ordering[gone] = 0.0
        self._general[gone] = 0.0
        self.left_day[gone] = day

    def order(self, day: int, rng: np.random.Generator) -> Orders:
        """Let customers order, those who join among them."""
        lift = float(self.centre.order_lift[day])
        again = _draw_customers(np.cumsum(self._ordering), lift, rng)
        low, high = np.searchsorted(self._joining_days, [day, day + 1])
        joined = self._joiners[low:high]
        self.here[joined] = 1.0
        self._ordering[joined] = (self.population.orders_per_day * self.treatment.pace)[joined]
        self._general[joined] = self.population.appetite[joined]
        self.exposure[ORDERING] += lift * self.treatment.pace
        self.exposure_joined[:, joined] = self.exposure[:, joined]
        np.add.at(self.orders, again, 1)
        customer = np.concatenate([joined, again])
        n = len(customer)
        self.last_order_day[customer] = day
        self.last_order[customer] = self.order_count + np.arange(n)
        self.order_count += n
        self.exposure_seen[:, customer] = self.exposure[:, customer]
        np.add.at(self._order_heat, customer, 1.0)
        late = rng.random(n) < LAW.late_shipment_share
        felt = self._late.popleft()
        self._late.append(customer[late])
        np.add.at(self.mood, felt, LAW.late_mood)
        np.add.at(self._order_heat, felt, LATE_HEAT)
        return Orders(customer, np.full(n, day, dtype=np.int64), np.arange(n) < len(joined), late)

    def contact(
        self, contacts: Contacts, day: slice, linked: Float64, rng: np.random.Generator
    ) -> Attribution:
        """Give a day's contacts to customers, who remember how they went.

        ``linked`` is the share of each queue's contacts that come from customers, float64[queues].
        """
        queue = contacts.queue[day]
        sums = [np.cumsum(w) for w in (self._general, self._order_heat, self._repeat_heat)]
        weights = self._reasons * np.array([s[-1] for s in sums])
        total = weights.sum(axis=1, keepdims=True)
        known = (rng.random(len(queue)) < linked[queue]) & (total[queue, 0] > 0)
        safe_total = np.where(total > 0, total, 1.0)
        bounds = np.cumsum(weights / safe_total, axis=1)
        draw = rng.random(len(queue))
        reason = (draw[:, None] > bounds[queue, :-1]).sum(axis=1).astype(np.int8)
        customer = np.full(len(queue), -1, dtype=np.int64)
        place = rng.random(len(queue))
        for index in range(len(REASONS)):
            chosen = known & (reason == index)
            customer[chosen] = _find_customers(sums[index], place[chosen])
        counts = np.bincount(queue, minlength=len(linked))
        self.exposure[GENERAL] += (linked * counts) @ (self._reasons[:, 0] / safe_total[:, 0])
        alive = customer[known & (reason == 0)]
        self.exposure_seen[:, alive] = self.exposure[:, alive]
        self._remember(contacts, day, customer, known)
        return Attribution(customer, reason, np.where(known, self.last_order[customer], -1))

    def _remember(self, contacts: Contacts, day: slice, customer: Int64, known: Bool) -> None:
        self.mood *= LAW.mood_decay
        self._order_heat *= np.exp(-1 / LAW.order_heat_days)
        self._repeat_heat *= np.exp(-1 / LAW.repeat_heat_days)
        np.add.at(self.mood, customer[known], contacts.badness[day][known])
        settled = known & contacts.resolved[day]
        self._repeat_heat[customer[settled]] = 0.0
        self._repeat_heat[customer[known & ~contacts.resolved[day]]] = 1.0

    def effect(self, chosen: Int64) -> Treatment:
        """Return what the campaign's action would do to customers (indices, int64[m]) now."""
        return treatment_effect(self.mood[chosen], self.population.newsletter[chosen])

    def treat(self, chosen: Int64) -> None:
        """Start the campaign's action on customers."""
        effect = self.effect(chosen)
        self.treatment.hazard[chosen] = effect.hazard
        self.treatment.pace[chosen] = effect.pace
        self._ordering[chosen] *= effect.pace

    def end_treatment(self) -> None:
        """End the campaign's action for everyone."""
        self._ordering /= self.treatment.pace
        self.treatment.hazard[:] = 1.0
        self.treatment.pace[:] = 1.0


def _draw_customers(summed: Float64, factor: float, rng: np.random.Generator) -> Int64:
    """Draw the events of one day from the summed rates; returns indices, with repeats."""
    count = rng.poisson(float(summed[-1]) * factor)
    return _find_customers(summed, rng.random(count))


def _find_customers(summed: Float64, place: Float64) -> Int64:
    index: Int64 = np.searchsorted(summed, place * summed[-1], side="right")
    # Rounding can put the last place one past the end.
    return np.minimum(index, len(summed) - 1)
