"""The true chance of no purchase within a horizon, from the simulator's state.

Two truths. ``state`` knows everything, whether the customer has left included, which nobody
outside can see. ``seen`` is what the best possible scorer would say who knows the laws of the
simulation and a customer's orders, contacts and service, but neither his own pace nor whether he
has left: the posterior of the Pareto/NBD kind (Schmittlein, Morrison and Colombo, "Counting your
customers", 1987), with a hazard that follows the service received. A model's AUC can come near
that of ``seen``; that of ``state`` is out of reach.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from features.calendar import Float64, Int64
from features.simulate.behaviour import MOOD_CAP, MOOD_DECAY, MOOD_WEIGHT, Customers, Treatment
from features.simulate.customers import (
    LEAVING_PER_DAY,
    LEAVING_SHAPE,
    ORDERS_PER_DAY,
    ORDERS_SHAPE,
    SEGMENT_PACE,
)

_STEP_DAYS = 15
_NODES = (10, 6)
"""Quadrature points over the pace of ordering and over the hazard of leaving."""
_BLOCK = 1_024


def no_purchase(ordering: Float64, leaving: Float64, days: float) -> Float64:
    """Return the chance of no order within some days for one who is with us, at constant rates.

    Either he stays and does not order, or he leaves before he orders.

    Args:
        ordering: Orders per day, float64[n].
        leaving: Hazard of leaving per day, float64[n].
        days: The horizon.

    >>> no_purchase(np.array([0.01]), np.array([0.0]), 100.0).round(4).tolist()  # exp(-1)
    [0.3679]
    """
    total = ordering + leaving
    safe = np.where(total > 0, total, 1.0)
    chance: Float64 = (leaving + ordering * np.exp(-total * days)) / safe
    return np.where(total > 0, chance, 1.0)


def state_chance(
    customers: Customers, chosen: Int64, *, day: int, treatment: Treatment | None = None
) -> Float64:
    """Return each customer's true chance of no purchase within the horizon, given his state.

    The mood fades on its way; bad service that is still to come is not foreseen. An action of
    the campaign that is running is taken to last to the horizon's end.

    Args:
        customers: The state at the start of the day.
        chosen: Indices of the customers asked about, int64[m].
        day: The day, from the start.
        treatment: What the campaign does to them; by default what it does now, arrays of m.

    Returns:
        float64[m]; 1.0 for those who have left.
    """
    population, horizon = customers.population, customers.world.config.horizon_days
    if treatment is None:
        now = customers.treatment
        treatment = Treatment(now.hazard[chosen], now.pace[chosen])
    pace = population.orders_per_day[chosen] * treatment.pace
    leaving = population.leaving_per_day[chosen] * treatment.hazard
    mood = customers.mood[chosen]
    waiting, lost = np.ones(len(chosen)), np.zeros(len(chosen))
    for first in range(0, horizon, _STEP_DAYS):
        length = min(_STEP_DAYS, horizon - first)
        lift = customers.world.order_lift[day + first : day + first + length].mean()
        hazard = leaving * _mood_factor(mood, first + length / 2)
        total = pace * lift + hazard
        kept = np.exp(-total * length)
        lost += waiting * hazard / total * (1 - kept)
        waiting *= kept
    return np.where(customers.here[chosen] > 0, waiting + lost, 1.0)


def seen_chance(customers: Customers, chosen: Int64, *, day: int) -> Float64:
    """Return the best guess of the same chance from what can be seen of a customer.

    Args:
        customers: The state at the start of the day.
        chosen: Indices of the customers asked about, who have joined, int64[m].
        day: The day, from the start.

    Returns:
        float64[m].
    """
    guess = np.empty(len(chosen))
    for first in range(0, len(chosen), _BLOCK):
        guess[first : first + _BLOCK] = _posterior(customers, chosen[first : first + _BLOCK], day)
    return guess


def _posterior(customers: Customers, block: Int64, day: int) -> Float64:
    """Return the mean of the chance over what the customers' own rates may be.

    Arrays have the axes customer, pace, hazard; exponentials are taken of each axis by itself.
    """
    watch, population = customers.watch, customers.population
    paces, leavings = _nodes()
    pace = paces * np.array(SEGMENT_PACE)[population.segment[block], None]
    ordered = (watch.ordered_seen - watch.ordered_first)[block, None]
    by_pace = customers.orders[block, None] * np.log(pace) - pace * ordered
    by_hazard = -leavings * (watch.hazard_seen - watch.hazard_first)[block, None]
    past = _outer(_weights(by_pace), _weights(by_hazard))
    unordered = pace * (watch.ordered - watch.ordered_seen)[block, None]
    endured = leavings * (watch.hazard - watch.hazard_seen)[block, None]
    uncalled = population.appetite[block] * (watch.general - watch.general_seen[block])
    # He is silent because he does not order or call, or because he left since.
    silent = _outer(np.exp(-unordered - uncalled[:, None]), np.exp(-endured))
    total = unordered[:, :, None] + endured[:, None, :] + uncalled[:, None, None]
    share = np.divide(1 - silent, total, out=np.ones_like(total), where=total > 0)
    left = endured[:, None, :] * share
    ahead = _ahead(customers, block, day, pace)
    chance: Float64 = (past * (silent * ahead + left)).sum(axis=(1, 2))
    chance /= (past * (silent + left)).sum(axis=(1, 2))
    return chance


def _ahead(customers: Customers, block: Int64, day: int, pace: Float64) -> Float64:
    """Return ``no_purchase`` at every node, at the mean rates of the horizon."""
    horizon = customers.world.config.horizon_days
    lift = customers.world.order_lift[day : day + horizon].mean()
    mood = customers.mood[block]
    middles = np.arange(_STEP_DAYS / 2, horizon, _STEP_DAYS)
    factor = np.mean([_mood_factor(mood, middle) for middle in middles], axis=0)
    ordering = pace * lift * customers.treatment.pace[block, None]
    hazard = _nodes()[1] * (factor * customers.treatment.hazard[block])[:, None]
    kept = _outer(ordering * np.exp(-ordering * horizon), np.exp(-hazard * horizon))
    chance: Float64 = (hazard[:, None, :] + kept) / (ordering[:, :, None] + hazard[:, None, :])
    return chance


def _outer(by_pace: Float64, by_hazard: Float64) -> Float64:
    product: Float64 = by_pace[:, :, None] * by_hazard[:, None, :]
    return product


def _weights(logarithms: Float64) -> Float64:
    """Return weights in proportion to the exponentials, of maximum one in each row."""
    weights: Float64 = np.exp(logarithms - logarithms.max(axis=1, keepdims=True))
    return weights


def _mood_factor(mood: Float64, days: float) -> Float64:
    factor: Float64 = np.exp(np.minimum(MOOD_WEIGHT * mood * MOOD_DECAY**days, MOOD_CAP))
    return factor


@lru_cache(maxsize=1)
def _nodes() -> tuple[Float64, Float64]:
    """Return equally likely paces and equally likely hazards, for the average segment."""
    rng = np.random.default_rng(0)
    draws = 5_000 * _NODES[0] * _NODES[1]
    paces = _middles(rng.gamma(ORDERS_SHAPE, ORDERS_PER_DAY / ORDERS_SHAPE, draws), _NODES[0])
    leavings = _middles(rng.gamma(LEAVING_SHAPE, LEAVING_PER_DAY / LEAVING_SHAPE, draws), _NODES[1])
    return paces, leavings


def _middles(draws: Float64, count: int) -> Float64:
    ordered = np.sort(draws).reshape(count, -1)
    middles: Float64 = ordered.mean(axis=1)
    return middles


def active(customers: Customers, *, day: int) -> Int64:
    """Return the customers who bought in the ``active_days`` before a day, as indices."""
    since = day - customers.world.config.active_days
    return np.flatnonzero(customers.last_order_day >= since)


def as_of_days(days: int, horizon_days: int) -> list[int]:
    """Return the days whose starts are the as-ofs of the truth, a month apart, the last one too.

    >>> as_of_days(100, 90)
    [10, 40, 70, 100]
    """
    step = 30 if horizon_days % 30 == 0 else horizon_days
    return sorted(range(days, 0, -step))
