"""What only the simulator knows, as tables and facts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from features.calendar import DAY_SECONDS, moment
from features.simulate import behaviour, customers
from features.simulate.arrivals import (
    DAY_AFTER_HOLIDAY_FACTOR,
    HOLIDAY_FACTOR,
    YEARLY_GROWTH,
    Arrivals,
)
from features.simulate.history import History
from features.simulate.queues import REASONS
from features.simulate.tables import customers_table, times
from features.simulate.world import ORDER_LIFT, World


def volume_truth(world: World, arrivals: Arrivals) -> pa.Table:
    """Return the true volume: one row a queue and hour, by queue, then hour.

    Columns: ``queue``; ``interval_start``; ``is_open``; ``planned_rate`` per hour from profile,
    seasons and growth alone; ``rate``, the mean with holidays, events and the level shift;
    ``day_factor``; ``offered``, null after the end of the history, for which the rates go on.
    """
    queues, hours = world.is_open.shape
    ahead = np.tile(np.arange(hours) >= world.history_hours, queues)
    return pa.table(
        {
            "queue": np.repeat([model.name for model in world.models], hours),
            "interval_start": times(np.tile(world.hours, queues)),
            "is_open": world.is_open.ravel(),
            "planned_rate": arrivals.planned.ravel(),
            "rate": arrivals.rate.ravel(),
            "day_factor": arrivals.day_factor.ravel(),
            "offered": pa.array(arrivals.counts.ravel(), mask=ahead),
        }
    )


def customers_truth(history: History) -> pa.Table:
    """Return who the customers are, once the months are through.

    Columns: ``customer_id``, ``joined_at``, ``orders_per_day`` (own pace), ``leaving_per_day``
    (hazard while all goes well), ``appetite`` (how readily he calls, relative), ``left_at`` (null
    while with us).
    """
    population, left = history.population, history.customers.left_day
    named = customers_table(population).select(["customer_id", "joined_at"])
    start = history.world.config.start
    for name, values in (
        ("orders_per_day", pa.array(population.orders_per_day)),
        ("leaving_per_day", pa.array(population.leaving_per_day)),
        ("appetite", pa.array(population.appetite)),
        ("left_at", times(start + left * DAY_SECONDS, missing=left < 0)),
    ):
        named = named.append_column(name, values)
    return named


def facts(world: World, *, seed: int) -> dict[str, Any]:
    """Return the laws of the simulated centre as a JSON document.

    Args:
        world: The centre.
        seed: What it was drawn with.
    """
    config = asdict(world.config) | {"until": world.config.until.isoformat(), "seed": seed}
    return {
        "config": config,
        "queues": [
            {
                "queue": model.name,
                "opens_at": moment(first).isoformat(),
                "anonymous_per_hour": model.anonymous_per_hour,
                "contacts_per_customer_day": dict(zip(REASONS, model.linked_per_day, strict=True)),
                "handle_median_seconds": model.handle_median_seconds,
                "handle_sigma": model.handle_sigma,
                "wait_mean_seconds": model.wait_mean_seconds,
                "patience_mean_seconds": model.patience_seconds,
                "resolved_share": model.resolved_share,
                "transferred_share": model.transferred_share,
            }
            for model, first in zip(world.models, world.opens_at, strict=True)
        ],
        "effects": [
            {
                "event_id": effect.event_id,
                "kind": effect.kind,
                "queue": effect.queue,
                "starts_at": moment(effect.starts_at).isoformat(),
                "ends_at": None if effect.ends_at is None else moment(effect.ends_at).isoformat(),
                "factor": effect.factor,
                "decay_days": effect.decay_days,
            }
            for effect in world.effects
        ],
        "rates": {
            "holiday_factor": HOLIDAY_FACTOR,
            "day_after_holiday_factor": DAY_AFTER_HOLIDAY_FACTOR,
            "yearly_growth": YEARLY_GROWTH,
            "order_lift_of_promotions": ORDER_LIFT,
        },
        "customers": {
            name.lower(): getattr(module, name)
            for module, names in (
                (
                    customers,
                    (
                        "ORDERS_SHAPE",
                        "ORDERS_PER_DAY",
                        "LEAVING_SHAPE",
                        "LEAVING_PER_DAY",
                        "APPETITE_SHAPE",
                        "SEGMENTS",
                        "SEGMENT_PACE",
                    ),
                ),
                (
                    behaviour,
                    (
                        "MOOD_HALF_LIFE_DAYS",
                        "MOOD_WEIGHT",
                        "MOOD_CAP",
                        "LATE_SHIPMENT_SHARE",
                        "LATE_NOTICED_DAYS",
                        "LATE_MOOD",
                        "ORDER_HEAT_DAYS",
                        "REPEAT_HEAT_DAYS",
                    ),
                ),
            )
            for name in names
        },
        "campaign": {
            "decided_at": moment(world.config.start + world.campaign_day * DAY_SECONDS).isoformat(),
            "days": behaviour.TREATMENT_DAYS,
            "wounded_from_mood": behaviour.WOUNDED_MOOD,
            "wounded_hazard_factor": behaviour.WOUNDED_HAZARD,
            "wounded_pace_factor": behaviour.WOUNDED_PACE,
            "annoyed_pace_factor": behaviour.ANNOYED_PACE,
        },
    }
