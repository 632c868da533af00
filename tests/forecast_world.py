"""A forecast set with everything that a planner may ask about, made by hand.

Built on the queues of ``serving_world``: ``chat`` (New York, 60 minutes, always open), ``mail``
(UTC, 60 minutes, always open) and ``phone`` (Berlin, 30 minutes, Monday to Friday 08:00-18:00).

Each open interval's ordinary mean is the base of its queue times ``1 + 0.5 sin(k)``, k counting the
intervals. A sale on Tuesday and Wednesday 2026-03-24/25 (UTC days) multiplies all queues by 1.5;
a billing run on 2026-03-26 multiplies ``phone`` alone by 1.2. Orders multiply by 1.1 throughout,
today's correction by 1.25 on the first local day. Quantiles are the shape's.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from serving_world import DAYS, MADE_AT, NOW, QUEUES, flat_forecast

from features.arrays import Float64
from features.artefact import point_to
from features.calendar.clock import local_times, to_epoch
from features.calendar.queues import Event
from features.home import Home
from serving.models.volume.calendar_effects import DayEffects
from serving.models.volume.distribution import lead_bucket, plain_shape
from serving.models.volume.forecast import QueueForecast, VolumeForecast
from serving.published.forecast_set import write_forecast_set

BASE = {"chat": 6.0, "mail": 0.4, "phone": 20.0}
SALE, BILLING = 1.5, 1.2
ORDERS, TODAY = 1.1, 1.25
END = MADE_AT + timedelta(days=DAYS)


def at(day: int, hour: int = 0) -> datetime:
    """Return a moment of March 2026, UTC."""
    return datetime(2026, 3, day, hour, tzinfo=UTC)


EVENTS = (
    Event("sale-1", "sale", to_epoch(at(24)), to_epoch(at(26)), to_epoch(at(1))),
    Event("billing-1", "billing", to_epoch(at(26)), to_epoch(at(27)), to_epoch(at(1)), ("phone",)),
)
EFFECTS = DayEffects({"event:sale": np.log(SALE), "event:billing": np.log(BILLING)}, {})


def ordinary_mean(forecast: QueueForecast) -> Float64:
    """Return what a day without anything special brings, by the rule."""
    wave = 1 + 0.5 * np.sin(np.arange(len(forecast.starts)))
    mean: Float64 = BASE[forecast.queue.queue] * wave * forecast.is_open
    return mean


def sale(forecast: QueueForecast) -> Float64:
    """Return the sale's factor, by the rule."""
    inside = (forecast.starts >= to_epoch(at(24))) & (forecast.starts < to_epoch(at(26)))
    return np.where(inside, SALE, 1.0)


def billing(forecast: QueueForecast) -> Float64:
    """Return the billing run's factor, by the rule."""
    inside = (forecast.starts >= to_epoch(at(26))) & (forecast.starts < to_epoch(at(27)))
    return np.where(inside & (forecast.queue.queue == "phone"), BILLING, 1.0)


def today(forecast: QueueForecast) -> Float64:
    """Return today's factor, by the rule."""
    day = local_times(forecast.starts, forecast.queue.time_zone).day
    return np.where(day == day[0], TODAY, 1.0)


def planned(flat: QueueForecast) -> QueueForecast:
    """Return one queue's forecast by the rules."""
    ordinary, event = ordinary_mean(flat), sale(flat) * billing(flat)
    steps = np.cumprod([ordinary, event, np.full(len(event), ORDERS), today(flat)], axis=0)
    level = np.where(flat.is_open, BASE[flat.queue.queue], 0.0)
    zero = np.zeros(len(level))
    mean, shape = steps[-1], plain_shape(0.05)
    bucket = lead_bucket((flat.starts - to_epoch(MADE_AT)) / 3600)
    return replace(
        flat,
        mean=mean,
        quantiles=shape.quantiles(mean, bucket),
        parts=np.column_stack((level, ordinary - level, zero, zero, *np.diff(steps, axis=0))),
        baseline=np.round(ordinary),
        shape=shape,
        effects=EFFECTS,
    )


def planners_forecast() -> VolumeForecast:
    """Return the forecast of the module's rules."""
    queues = {name: planned(flat) for name, flat in flat_forecast().queues.items()}
    return VolumeForecast(made_at=MADE_AT, as_of=MADE_AT, events=EVENTS, queues=queues)


def put_planners_forecast(home: Home, *, base: str | None = None) -> str:
    """Publish it; with a base, as an intraday set."""
    id = write_forecast_set(
        home.forecasts,
        forecast=planners_forecast(),
        snapshot="snapshot-1",
        model_version="volume-1",
        base=base,
        now=NOW,
    )
    point_to(home.forecasts, id)
    return id


NAMES = tuple(queue.queue for queue in QUEUES)
