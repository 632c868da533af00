"""A simulated centre in memory, for tests and notebooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from features.simulate.config import SimulationConfig
from features.simulate.history import History
from features.simulate.tables import calendar_table, customers_table, queues_table
from features.simulate.truth import customers_truth, facts, volume_truth


@dataclass(frozen=True)
class Truth:
    """What only the simulator knows.

    Attributes:
        volume: True rates and counts by queue and hour, see ``truth.volume_truth``.
        customers: Who the customers are, see ``truth.customers_truth``.
        churn: True chances of churn by as-of, see ``tables.churn_table``.
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
    """A centre's rows under the names of our own tables, and the truth behind them.

    Every version of a row stands by itself, with its ``available_at``; there are no repeated and
    no bad rows: those are planted in the files alone.

    Attributes:
        queues: Rows of table ``queues``.
        calendar: Rows of table ``calendar``.
        customers: Rows of table ``customers``.
        interactions: Rows of table ``interactions``.
        purchases: Rows of table ``purchases``.
        outreach: Rows of table ``outreach``.
        truth: What only the simulator knows.
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

    Args:
        config: What the centre is to be.
        seed: Seed of all randomness.
    """
    history = History(config, seed=seed)
    months = list(history.months())
    world = history.world
    known = [event for event in world.events if event.known_at <= config.end]
    return Simulation(
        queues=queues_table(world),
        calendar=calendar_table(known),
        customers=customers_table(history.population),
        interactions=pa.concat_tables([month.interactions.table for month in months]),
        purchases=pa.concat_tables([month.purchases for month in months]),
        outreach=history.campaign.outreach,
        truth=Truth(
            volume=volume_truth(world, history.arrivals),
            customers=customers_truth(history),
            churn=pa.concat_tables([table for month in months for table in month.churn]),
            campaign=history.campaign.truth,
            facts=facts(world, seed=seed),
        ),
    )
