"""The history of the centre, day by day: who leaves, calls and buys, handed out month by month."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from features.calendar import DAY_SECONDS, Bool, Float64, Int64, moment
from features.simulate.arrivals import Arrivals, draw_arrivals
from features.simulate.behaviour import (
    TREATMENT_DAYS,
    Customers,
    Orders,
    Treatment,
)
from features.simulate.churn import active, as_of_days, seen_chance, state_chance
from features.simulate.config import SimulationConfig
from features.simulate.contacts import Contacts, Int8, draw_contacts
from features.simulate.customers import Population, draw_population, steady_customers
from features.simulate.interactions import Attribution, InteractionRows, interaction_rows
from features.simulate.purchases import PlacedOrders, purchase_rows
from features.simulate.tables import churn_table, ids, outreach_table, words
from features.simulate.world import World, build_world

CAMPAIGN_SHARE = 0.5
"""Share of the active customers whom the randomised campaign takes in."""
TREAT_SHARE = 0.5
"""Share of those who are called; the others are held out. The mapping of the export says it too."""


@dataclass(frozen=True)
class Month:
    """What happened in one calendar month (UTC).

    Attributes:
        label: Such as ``2026-03``.
        interactions: Rows of table ``interactions``, and how many of them are odd.
        purchases: Rows of table ``purchases``.
        churn: The truth of as-ofs that became complete, see ``tables.churn_table``.
        done: Share of the history that is through, in (0, 1].
    """

    label: str
    interactions: InteractionRows
    purchases: pa.Table
    churn: tuple[pa.Table, ...]
    done: float


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


@dataclass(frozen=True)
class _Pending:
    """An as-of of the truth whose outcome is not known yet."""

    day: int
    chosen: Int64
    last_order: Int64
    has_left: Bool
    hazard: Float64
    state: Float64
    seen: Float64


@dataclass
class _Log:
    """What one month has brought so far."""

    customer: list[Int64] = field(default_factory=list)
    reason: list[Int8] = field(default_factory=list)
    order: list[Int64] = field(default_factory=list)
    placed: list[Orders] = field(default_factory=list)
    placed_day: list[Int64] = field(default_factory=list)
    churn: list[pa.Table] = field(default_factory=list)


class History:
    """One centre from its first day to its last; its months can be walked through once.

    Attributes:
        world: Queues, events and shocks.
        population: Who the customers are.
        arrivals: The true volume.
        customers: Their state, at the end once the months are through.
    """

    def __init__(self, config: SimulationConfig, *, seed: int) -> None:
        # Each stage draws from a stream of its own, so that a change in one leaves the others.
        streams = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(6)]
        self.world: World = build_world(config, rng=streams[0])
        self.population: Population = draw_population(config, rng=streams[1])
        self.arrivals: Arrivals = draw_arrivals(
            self.world, steady_customers=steady_customers(config), rng=streams[2]
        )
        self.customers = Customers(self.world, self.population)
        self._campaign_held: Campaign | None = None
        self._contact_rng, self._day_rng, self._detail_rng = streams[3:]
        self._pending: list[_Pending] = []
        self._contact_number = self._order_number = 0
        self._last_order: Int64 = np.full(config.customers, -1, dtype=np.int64)
        self._as_ofs = frozenset(as_of_days(config.days, config.horizon_days))

    @property
    def campaign(self) -> Campaign:
        """The randomised campaign, once the months are through."""
        if self._campaign_held is None:
            raise RuntimeError("the campaign has not been held yet: walk through the months first")
        return self._campaign_held

    def months(self) -> Iterator[Month]:
        """Yield the months, the first and last perhaps in part."""
        config = self.world.config
        labels = [f"{moment(config.start + d * DAY_SECONDS):%Y-%m}" for d in range(config.days)]
        first = 0
        for last in range(1, config.days + 1):
            if last == config.days or labels[last] != labels[first]:
                yield self._month(labels[first], first, last)
                first = last

    def _month(self, label: str, first: int, last: int) -> Month:
        contacts = draw_contacts(
            self.world, self.arrivals, first=first * 24, last=last * 24, rng=self._contact_rng
        )
        days = self.world.config.start + DAY_SECONDS * np.arange(first, last + 1)
        bounds = np.searchsorted(contacts.started_at, days)
        log = _Log()
        for day in range(first, last):
            self._as_of(day, log)
            self.customers.leave(day, self._day_rng)
            span = slice(int(bounds[day - first]), int(bounds[day - first + 1]))
            customer, reason = self.customers.contact(
                contacts, span, self.arrivals.linked_share, self._day_rng
            )
            log.customer.append(customer)
            log.reason.append(reason)
            log.order.append(np.where(customer >= 0, self._last_order[customer], -1))
            self._order(day, log)
        if last == self.world.config.days:
            self._as_of(last, log)
            log.churn += [self._churn(p, known=False) for p in self._pending]
            self._pending = []
        return Month(
            label=label,
            interactions=self._interactions(contacts, log),
            purchases=self._purchases(log),
            churn=tuple(log.churn),
            done=last / self.world.config.days,
        )

    def _interactions(self, contacts: Contacts, log: _Log) -> InteractionRows:
        attribution = Attribution(
            customer=np.concatenate(log.customer),
            reason=np.concatenate(log.reason),
            order=np.concatenate(log.order),
            first_number=self._contact_number,
        )
        self._contact_number += len(contacts)
        return interaction_rows(self.world, contacts, attribution, rng=self._detail_rng)

    def _purchases(self, log: _Log) -> pa.Table:
        placed = PlacedOrders(
            customer=np.concatenate([orders.customer for orders in log.placed]),
            day=np.concatenate(log.placed_day),
            joining=np.concatenate([orders.joining for orders in log.placed]),
            late=np.concatenate([orders.late for orders in log.placed]),
            first_number=self._order_number - sum(len(o.customer) for o in log.placed),
        )
        return purchase_rows(self.world, self.population, placed, rng=self._detail_rng)

    def _order(self, day: int, log: _Log) -> None:
        orders = self.customers.order(day, self._day_rng)
        count = len(orders.customer)
        self._last_order[orders.customer] = self._order_number + np.arange(count)
        self._order_number += count
        log.placed.append(orders)
        log.placed_day.append(np.full(count, day, dtype=np.int64))

    def _as_of(self, day: int, log: _Log) -> None:
        """Do what is due at the start of a day: the campaign, then the truth of an as-of."""
        customers, config = self.customers, self.world.config
        if day == self.world.campaign_day:
            self._campaign_held = self._hold_campaign(day)
        if day == self.world.campaign_day + TREATMENT_DAYS:
            customers.end_treatment()
        due = [p for p in self._pending if p.day + config.horizon_days == day]
        log.churn += [self._churn(p, known=True) for p in due]
        self._pending = [p for p in self._pending if p.day + config.horizon_days != day]
        if day in self._as_ofs:
            chosen = active(customers, day=day)
            left = customers.here[chosen] == 0
            self._pending.append(
                _Pending(
                    day=day,
                    chosen=chosen,
                    last_order=customers.last_order_day[chosen],
                    has_left=left,
                    hazard=np.where(left, 0.0, customers.hazard()[chosen]),
                    state=state_chance(customers, chosen, day=day),
                    seen=seen_chance(customers, chosen, day=day),
                )
            )

    def _churn(self, pending: _Pending, *, known: bool) -> pa.Table:
        silent = self.customers.last_order_day[pending.chosen] == pending.last_order
        return churn_table(
            pending.chosen,
            as_of=self.world.config.start + pending.day * DAY_SECONDS,
            has_left=pending.has_left,
            hazard_per_day=pending.hazard,
            state=pending.state,
            seen=pending.seen,
            churned=silent if known else None,
        )

    def _hold_campaign(self, day: int) -> Campaign:
        customers, rng = self.customers, self._day_rng
        candidates = active(customers, day=day)
        chosen = candidates[rng.random(len(candidates)) < CAMPAIGN_SHARE]
        treated = rng.random(len(chosen)) < TREAT_SHARE
        effect = customers.effect(chosen)
        untreated = Treatment(np.ones(len(chosen)), np.ones(len(chosen)))
        truth = pa.table(
            {
                "customer_id": ids("C", chosen),
                "arm": words(("control", "treat"), treated.astype(np.int64)),
                "chance_treated": state_chance(customers, chosen, day=day, treatment=effect),
                "chance_untreated": state_chance(customers, chosen, day=day, treatment=untreated),
            }
        )
        customers.treat(chosen[treated])
        decided_at = self.world.config.start + day * DAY_SECONDS
        outreach = outreach_table(chosen, treated, decided_at=decided_at, treat_share=TREAT_SHARE)
        return Campaign(outreach, truth)
