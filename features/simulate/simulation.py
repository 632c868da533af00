"""A simulated centre in memory, and its truth as tables and facts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from features.calendar.clock import DAY_SECONDS, from_epoch
from features.simulate.arrivals import Arrivals
from features.simulate.centre import (
    DAY_AFTER_HOLIDAY_FACTOR,
    HOLIDAY_FACTOR,
    REASONS,
    YEARLY_GROWTH,
    SimulationConfig,
)
from features.simulate.customers import CAMPAIGN, LAW
from features.simulate.events import ORDER_LIFT, Centre
from features.simulate.history import History
from features.simulate.tables import calendar_table, customers_table, ids, queues_table, times


@dataclass(frozen=True)
class Truth:
    """What only the simulator knows.

    Attributes:
        volume: True rates and counts by queue and hour, see ``volume_truth``.
        customers: Who the customers are, see ``customers_truth``.
        churn: True chances of churn by as-of, see ``history.History.months``.
        campaign: The campaign's true effects, see ``history.Campaign``.
        facts: The laws, as a JSON document.
    """

    volume: pa.Table
    customers: pa.Table
    churn: pa.Table
    campaign: pa.Table
    facts: dict[str, Any]


@dataclass(frozen=True)
class Simulation:
    """A centre's rows, each field a table of our own of that name, and the truth behind them.

    Every version of a row stands by itself, with its ``available_at``; there are no repeated and
    no bad rows: those are planted in the files alone.
    """

    queues: pa.Table
    calendar: pa.Table
    customers: pa.Table
    interactions: pa.Table
    purchases: pa.Table
    outreach: pa.Table
    truth: Truth

    @property
    def tables(self) -> dict[str, pa.Table]:
        """The rows by table, in an order in which they can be loaded."""
        names = ("queues", "calendar", "customers", "interactions", "purchases", "outreach")
        return {name: getattr(self, name) for name in names}


def simulate(config: SimulationConfig, *, seed: int) -> Simulation:
    """Simulate a centre in memory.

    The same configuration and seed give the same rows, the ones that ``write`` exports.
    """
    history = History(config, seed=seed)
    months = list(history.months())
    centre = history.centre
    return Simulation(
        queues=queues_table(centre),
        calendar=calendar_table(centre),
        customers=customers_table(history.population),
        interactions=pa.concat_tables([month.interactions for month in months]),
        purchases=pa.concat_tables([month.purchases for month in months]),
        outreach=history.campaign.outreach,
        truth=Truth(
            volume=volume_truth(centre, history.arrivals),
            customers=customers_truth(history),
            churn=pa.concat_tables([table for month in months for table in month.churn]),
            campaign=history.campaign.truth,
            facts=law_facts(centre, seed=seed),
        ),
    )


def volume_truth(centre: Centre, arrivals: Arrivals) -> pa.Table:
    """Return the true volume: one row a queue and hour, by queue, then hour.

    Columns: ``queue``; ``interval_start``; ``is_open``; ``planned_rate`` per hour from profile,
    seasons and growth alone; ``rate``, the mean with holidays, events and the level shift;
    ``day_factor``; ``offered``, null after the end of the history, for which the rates go on.
    """
    queues, hours = centre.is_open.shape
    ahead = np.tile(np.arange(hours) >= centre.history_hours, queues)
    return pa.table(
        {
            "queue": np.repeat([law.name for law in centre.laws], hours),
            "interval_start": times(np.tile(centre.hours, queues)),
            "is_open": centre.is_open.ravel(),
            "planned_rate": arrivals.planned.ravel(),
            "rate": arrivals.rate.ravel(),
            "day_factor": arrivals.day_factor.ravel(),
            "offered": pa.array(arrivals.counts.ravel(), mask=ahead),
        }
    )


def customers_truth(history: History) -> pa.Table:
    """Return who the customers are, once the months are through.

    Columns: ``customer_id``, ``joined_at``, ``orders_per_day`` (own pace), ``leaving_per_day``
    (hazard while all goes well), ``appetite`` (how readily they get in touch, relative),
    ``left_at`` (null while with us).
    """
    population, left = history.population, history.customers.left_day
    left_at = history.centre.config.start + left * DAY_SECONDS
    return pa.table(
        {
            "customer_id": ids("C", np.arange(len(population))),
            "joined_at": times(population.joined_at),
            "orders_per_day": population.orders_per_day,
            "leaving_per_day": population.leaving_per_day,
            "appetite": population.appetite,
            "left_at": times(left_at, missing=left < 0),
        }
    )


def law_facts(centre: Centre, *, seed: int) -> dict[str, Any]:
    """Return the laws of the simulated centre, and the seed, as a JSON document."""
    config = centre.config
    return {
        "config": asdict(config) | {"until": config.until.isoformat(), "seed": seed},
        "queues": [
            {
                "queue": law.name,
                "opens_at": _iso(first),
                "anonymous_per_hour": law.anonymous_per_hour,
                "contacts_per_customer_day": dict(zip(REASONS, law.linked_per_day, strict=True)),
                "handle_median_seconds": law.handle_median_seconds,
                "handle_sigma": law.handle_sigma,
                "wait_mean_seconds": law.wait_mean_seconds,
                "patience_mean_seconds": law.queue.patience_seconds,
                "resolved_share": law.resolved_share,
                "transferred_share": law.transferred_share,
            }
            for law, first in zip(centre.laws, centre.opens_at, strict=True)
        ],
        "effects": [
            asdict(effect)
            | {"starts_at": _iso(effect.starts_at)}
            | {"ends_at": None if effect.ends_at is None else _iso(effect.ends_at)}
            for effect in centre.effects
        ],
        "rates": {
            "holiday_factor": HOLIDAY_FACTOR,
            "day_after_holiday_factor": DAY_AFTER_HOLIDAY_FACTOR,
            "yearly_growth": YEARLY_GROWTH,
            "order_lift_of_promotions": ORDER_LIFT,
        },
        "customers": asdict(LAW),
        "campaign": {
            "decided_at": _iso(config.start + centre.campaign_day * DAY_SECONDS),
            **asdict(CAMPAIGN),
        },
    }


def _iso(seconds: int) -> str:
    return from_epoch(seconds).isoformat()
