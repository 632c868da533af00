"""Who the customers are: when they join, how fast they buy, how readily they leave and call."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.calendar import DAY_SECONDS, Bool, Float64, Int64
from features.simulate.config import SimulationConfig

Int8 = npt.NDArray[np.int8]

SEGMENTS = ("consumer", "business")
SEGMENT_SHARES = (0.8, 0.2)
SEGMENT_PACE = (0.9, 1.6)
"""How fast a segment buys relative to the average."""
REGIONS = ("Berlin", "Hamburg", "Bayern", "Sachsen", "Wien", "Zürich")

ORDERS_SHAPE = 1.3
ORDERS_PER_DAY = 1 / 42
"""Mean of the gamma distribution of customers' own pace."""
LEAVING_SHAPE = 1.0
LEAVING_PER_DAY = 1 / 650
"""Mean of the gamma distribution of the hazard of leaving, while all goes well."""
APPETITE_SHAPE = 2.5
"""Shape of the gamma distribution, of mean one, of how readily customers get in touch."""


@dataclass(frozen=True)
class Population:
    """The customers, arrays of n, in the order of their ids.

    Attributes:
        joined_at: Epoch seconds, int64[n]; before the start for those already there.
        joined_day: Day from the start on which the first order is placed; -1: before the start.
        segment: Index into ``SEGMENTS``, int8[n].
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
    return 1 / (1 + days * LEAVING_PER_DAY)


def steady_customers(config: SimulationConfig) -> float:
    """Return how many customers are with the centre on an average day, about."""
    return config.customers * share_at_start(config.days)


def draw_population(config: SimulationConfig, *, rng: np.random.Generator) -> Population:
    """Draw the customers.

    Args:
        config: What is asked for.
        rng: Source of everything.
    """
    n = config.customers
    there = rng.random(n) < share_at_start(config.days)
    day = np.where(there, -1, rng.integers(0, config.days, n))
    second = rng.integers(6 * 3600, 22 * 3600, n)
    earlier = config.start - DAY_SECONDS * rng.integers(1, 1_100, n)
    joined_at = np.where(there, earlier, config.start + day * DAY_SECONDS) + second
    # Ids are given in the order of joining, as a CRM does.
    order = np.argsort(joined_at, kind="stable")
    segment = rng.choice(len(SEGMENTS), n, p=SEGMENT_SHARES).astype(np.int8)
    pace = np.array(SEGMENT_PACE)[segment]
    return Population(
        joined_at=joined_at[order],
        joined_day=day[order],
        segment=segment,
        region=np.where(rng.random(n) < 0.03, -1, rng.integers(0, len(REGIONS), n)).astype(np.int8),
        newsletter=rng.random(n) < 0.4,
        orders_per_day=pace * ORDERS_PER_DAY * rng.gamma(ORDERS_SHAPE, 1 / ORDERS_SHAPE, n),
        leaving_per_day=LEAVING_PER_DAY * rng.gamma(LEAVING_SHAPE, 1 / LEAVING_SHAPE, n),
        appetite=rng.gamma(APPETITE_SHAPE, 1 / APPETITE_SHAPE, n),
    )
