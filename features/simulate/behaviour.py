"""How customers behave from one day to the next: leave, order, get in touch, remember.

Every rate is a customer's own, so a day's events are a superposition of Poisson processes: their
number is drawn once and each is given to a customer with a chance in proportion to the rate.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from features.calendar import Bool, Float64, Int64
from features.simulate.contacts import Contacts, Int8
from features.simulate.customers import Population
from features.simulate.queues import REASONS
from features.simulate.world import World

MOOD_HALF_LIFE_DAYS = 60.0
MOOD_WEIGHT = 1.2
MOOD_CAP = 3.0
"""The hazard of leaving grows by exp(MOOD_WEIGHT x mood), at most by exp(MOOD_CAP)."""
ORDER_HEAT_DAYS = 6.0
REPEAT_HEAT_DAYS = 3.0
LATE_SHIPMENT_SHARE = 0.08
LATE_NOTICED_DAYS = 4
"""Days after an order at which a late shipment is felt."""
LATE_MOOD = 0.6
LATE_HEAT = 3.0
WOUNDED_MOOD = 0.25
"""The campaign's action works on customers in this mood or worse …"""
WOUNDED_HAZARD, WOUNDED_PACE = 0.4, 1.7
"""… multiplying their hazard of leaving and their pace of ordering …"""
ANNOYED_PACE = 0.92
"""… and puts off the content who did not ask for news; on others it has no effect."""
TREATMENT_DAYS = 90
MOOD_DECAY = 0.5 ** (1 / MOOD_HALF_LIFE_DAYS)


@dataclass(frozen=True)
class Treatment:
    """What the campaign's action does to customers while it lasts, arrays of n.

    Attributes:
        hazard: Multiplier of the hazard of leaving, float64[n].
        pace: Multiplier of the pace of ordering, float64[n].
    """

    hazard: Float64
    pace: Float64


@dataclass(frozen=True)
class Orders:
    """One day's orders, arrays of n.

    Attributes:
        customer: Index of the customer, int64[n].
        joining: Whether it is the customer's first, by which he joins, bool[n].
        late: Whether it ships late, bool[n].
    """

    customer: Int64
    joining: Bool
    late: Bool


class Customers:
    """The state of all customers at the start of a day, arrays of n.

    Attributes:
        population: Who they are.
        here: 1.0 while with us, 0.0 before joining and after leaving.
        left_day: Day of leaving; -1 while not left.
        mood: What bad service has left behind; falls by half in ``MOOD_HALF_LIFE_DAYS``.
        treatment: What the campaign does to them at present.
        last_order_day: Day of the last order; -10,000 before the first.
        orders: Orders after the one by which the customer joined.
        watch: What a watcher of the customers can sum up.
    """

    def __init__(self, world: World, population: Population) -> None:
        n = len(population)
        self.population = population
        self.world = world
        self.here: Float64 = (population.joined_day < 0).astype(np.float64)
        self.left_day: Int64 = np.full(n, -1, dtype=np.int64)
        self.mood: Float64 = np.zeros(n)
        self.treatment = Treatment(np.ones(n), np.ones(n))
        self.last_order_day: Int64 = np.full(n, -10_000, dtype=np.int64)
        self.orders: Int64 = np.zeros(n, dtype=np.int64)
        self.watch = Watch(n)
        self._ordering: Float64 = population.orders_per_day * self.here
        self._general: Float64 = population.appetite * self.here
        self._order_heat: Float64 = np.zeros(n)
        self._repeat_heat: Float64 = np.zeros(n)
        self._late: deque[Int64] = deque(
            [np.empty(0, dtype=np.int64)] * LATE_NOTICED_DAYS, maxlen=LATE_NOTICED_DAYS
        )
        self._joiners: Int64 = np.argsort(population.joined_day, kind="stable")
        self._joining_days: Int64 = population.joined_day[self._joiners]
        self._reasons: Float64 = np.array([model.linked_per_day for model in world.models])

    def hazard(self) -> Float64:
        """Return each customer's hazard of leaving, were he with us, per day, float64[n]."""
        return self.population.leaving_per_day * self.hazard_multiplier()

    def hazard_multiplier(self) -> Float64:
        """Return what service and the campaign make of the hazard of leaving, float64[n]."""
        mood = np.exp(np.minimum(MOOD_WEIGHT * self.mood, MOOD_CAP))
        multiplied: Float64 = mood * self.treatment.hazard
        return multiplied

    def leave(self, day: int, rng: np.random.Generator) -> None:
        """Let customers leave; they do not say so."""
        multiplier = self.hazard_multiplier()
        gone = _pick(np.cumsum(self.population.leaving_per_day * multiplier * self.here), 1.0, rng)
        self.watch.hazard += multiplier
        self.here[gone] = 0.0
        self._ordering[gone] = 0.0
        self._general[gone] = 0.0
        self.left_day[gone] = day

    def order(self, day: int, rng: np.random.Generator) -> Orders:
        """Let customers order, those who join among them."""
        lift = float(self.world.order_lift[day])
        again = _pick(np.cumsum(self._ordering), lift, rng)
        low, high = np.searchsorted(self._joining_days, [day, day + 1])
        joined = self._joiners[low:high]
        self.here[joined] = 1.0
        self._ordering[joined] = (self.population.orders_per_day * self.treatment.pace)[joined]
        self._general[joined] = self.population.appetite[joined]
        self.watch.ordered += lift * self.treatment.pace
        self.watch.begin(joined)
        np.add.at(self.orders, again, 1)
        customer = np.concatenate([joined, again])
        self.last_order_day[customer] = day
        self.watch.sign_of_life(customer)
        np.add.at(self._order_heat, customer, 1.0)
        late = rng.random(len(customer)) < LATE_SHIPMENT_SHARE
        felt = self._late.popleft()
        self._late.append(customer[late])
        np.add.at(self.mood, felt, LATE_MOOD)
        np.add.at(self._order_heat, felt, LATE_HEAT)
        joining = np.arange(len(customer)) < len(joined)
        return Orders(customer, joining, late)

    def contact(
        self, contacts: Contacts, day: slice, linked: Float64, rng: np.random.Generator
    ) -> tuple[Int64, Int8]:
        """Give a day's contacts to customers, who remember how they went.

        Args:
            contacts: Contacts of a longer span.
            day: Those of the day.
            linked: Share of each queue's contacts that come from customers.
            rng: Source of who and why.

        Returns:
            The customer of each contact, -1 for a stranger, int64[m]; and the reason as an index
            into ``REASONS``, int8[m].
        """
        queue = contacts.queue[day]
        sums = [np.cumsum(w) for w in (self._general, self._order_heat, self._repeat_heat)]
        totals = np.array([s[-1] for s in sums])
        weights = self._reasons * totals
        scale = weights.sum(axis=1, keepdims=True)
        known = (rng.random(len(queue)) < linked[queue]) & (scale[queue, 0] > 0)
        bounds = np.cumsum(weights / np.where(scale > 0, scale, 1.0), axis=1)
        draw = rng.random(len(queue))
        reason = (draw[:, None] > bounds[queue, :-1]).sum(axis=1).astype(np.int8)
        customer = np.full(len(queue), -1, dtype=np.int64)
        place = rng.random(len(queue))
        for index in range(len(REASONS)):
            chosen = known & (reason == index)
            customer[chosen] = _find(sums[index], place[chosen])
        per_appetite = float(
            (linked * np.bincount(queue, minlength=len(linked)))
            @ (self._reasons[:, 0] / np.where(scale > 0, scale, 1.0)[:, 0])
        )
        self.watch.general += per_appetite
        self.watch.sign_of_life(customer[known & (reason == 0)])
        self._remember(contacts, day, customer, known)
        return customer, reason

    def effect(self, chosen: Int64) -> Treatment:
        """Return what the campaign's action would do to customers now, arrays of m.

        Args:
            chosen: Indices of the customers, int64[m].
        """
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

    def _remember(self, contacts: Contacts, day: slice, customer: Int64, known: Bool) -> None:
        self.mood *= MOOD_DECAY
        self._order_heat *= np.exp(-1 / ORDER_HEAT_DAYS)
        self._repeat_heat *= np.exp(-1 / REPEAT_HEAT_DAYS)
        np.add.at(self.mood, customer[known], contacts.badness[day][known])
        settled = known & contacts.resolved[day]
        self._repeat_heat[customer[settled]] = 0.0
        self._repeat_heat[customer[known & ~contacts.resolved[day]]] = 1.0


class Watch:
    """What one who knows the customers' habits, but not who has left, can sum up.

    Running sums of the exposure of each process, and their values when the customer joined and
    when he last gave a sign of life (an order, or a contact of his own accord).
    """

    def __init__(self, n: int) -> None:
        self.general = 0.0
        self.ordered: Float64 = np.zeros(n)
        self.hazard: Float64 = np.zeros(n)
        self.ordered_first: Float64 = np.zeros(n)
        self.hazard_first: Float64 = np.zeros(n)
        self.ordered_seen: Float64 = np.zeros(n)
        self.general_seen: Float64 = np.zeros(n)
        self.hazard_seen: Float64 = np.zeros(n)

    def begin(self, customer: Int64) -> None:
        """Note that customers join now."""
        self.ordered_first[customer] = self.ordered[customer]
        self.hazard_first[customer] = self.hazard[customer]

    def sign_of_life(self, customer: Int64) -> None:
        """Note that customers are still with us now."""
        self.ordered_seen[customer] = self.ordered[customer]
        self.general_seen[customer] = self.general
        self.hazard_seen[customer] = self.hazard[customer]


def treatment_effect(mood: Float64, newsletter: Bool) -> Treatment:
    """Return what the campaign's action does, by mood and whether news were asked for.

    >>> treatment_effect(np.array([1.0, 0.0, 0.0]), np.array([True, True, False])).pace.tolist()
    [1.7, 1.0, 0.92]
    """
    wounded = mood >= WOUNDED_MOOD
    content = np.where(newsletter, 1.0, ANNOYED_PACE)
    return Treatment(
        hazard=np.where(wounded, WOUNDED_HAZARD, 1.0),
        pace=np.where(wounded, WOUNDED_PACE, content),
    )


def _pick(summed: Float64, factor: float, rng: np.random.Generator) -> Int64:
    """Draw the events of one day from the summed rates; returns indices, with repeats."""
    count = rng.poisson(float(summed[-1]) * factor)
    return _find(summed, rng.random(count))


def _find(summed: Float64, place: Float64) -> Int64:
    if len(place) == 0:
        return np.empty(0, dtype=np.int64)
    found: Int64 = np.searchsorted(summed, place * summed[-1], side="right")
    # Rounding can put the last place one past the end.
    return np.minimum(found, len(summed) - 1)
