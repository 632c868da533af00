"""How many contacts come: the true rate of each queue and hour, and one draw of the counts.

Contacts are doubly stochastic: counts are Poisson around the true mean rate times a day factor
whose log is autocorrelated over days and partly common to all queues.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.calendar import DAY_SECONDS, Float64, Int64, holidays_on, local_times
from features.simulate.config import SimulationConfig
from features.simulate.queues import QueueModel
from features.simulate.world import World

YEARLY_GROWTH = 0.04
HOLIDAY_FACTOR = 0.65
DAY_AFTER_HOLIDAY_FACTOR = 1.15


@dataclass(frozen=True)
class Arrivals:
    """The true volume, arrays of [queues, hours] over the world's hours.

    Attributes:
        planned: Rate per hour that the centre staffs for: profile, seasons and growth alone.
        rate: True mean rate per hour, with holidays, events and the level shift.
        day_factor: Random factor of the queue's local day, of mean one.
        counts: Contacts offered; 0 after the end of the history.
        linked_share: Share of each queue's contacts that come from customers, float64[queues].
    """

    planned: Float64
    rate: Float64
    day_factor: Float64
    counts: Int64
    linked_share: Float64


def draw_arrivals(world: World, *, steady_customers: float, rng: np.random.Generator) -> Arrivals:
    """Draw the volume of every queue and hour.

    Args:
        world: The centre.
        steady_customers: Customers who are with us on an average day; they make a part of it.
        rng: Source of day factors and counts.
    """
    linked_per_day = np.array([steady_per_day(model) for model in world.models])
    linked_per_hour = linked_per_day * steady_customers * 7 / _open_hours_per_week(world)
    anonymous = np.array([model.anonymous_per_hour for model in world.models])
    level = anonymous + linked_per_hour
    planned = np.stack(
        [
            profile(model, world.hours) * factor * world.is_open[k]
            for k, (model, factor) in enumerate(zip(world.models, level, strict=True))
        ]
    )
    planned *= 1 + YEARLY_GROWTH * (world.hours - world.hours[0]) / (365.25 * DAY_SECONDS)
    rate = planned * _shocks(world)
    day_factor = _day_factors(world, rng)
    counts = rng.poisson(rate * day_factor).astype(np.int64)
    counts[:, world.history_hours :] = 0
    return Arrivals(planned, rate, day_factor, counts, linked_per_hour / level)


def steady_per_day(model: QueueModel) -> float:
    """Return the contacts a day that one steady customer brings to a queue.

    A steady customer orders about every 40 days and every fourth contact leaves something open.
    """
    general, order, repeat = model.linked_per_day
    return general + order * 6 / 40 + repeat * 3 * 0.25 / 60


def profile(model: QueueModel, hours: Int64) -> Float64:
    """Return a queue's wall-clock and year profile, of mean one over its open week.

    Args:
        model: The queue.
        hours: Starts of hours, epoch seconds, int64[n].
    """
    local = local_times(hours, model.queue.time_zone)
    week = _week(model)
    of_year = local.day % 365.2425
    season = 1 + model.season * np.cos(2 * np.pi * (of_year - model.peak_day) / 365.2425)
    return np.asarray(week[local.weekday, local.minute_of_day // 60] * season, dtype=np.float64)


def _week(model: QueueModel) -> Float64:
    """Return the profile by weekday and local hour, float64[7, 24], of mean one while open."""
    hour = np.arange(24) + 0.5
    bump = np.exp(-(((hour - 10.5) / 2.6) ** 2)) + 0.85 * np.exp(-(((hour - 15.8) / 3.4) ** 2))
    day = model.night + (1 - model.night) * bump / bump.max()
    week = np.outer(model.weekdays, day)
    opened = np.zeros((7, 24), dtype=bool)
    for weekday, spans in enumerate(model.queue.opening):
        for start, end in spans or ():
            opened[weekday, start // 60 : end // 60] = True
    return np.where(opened, week / week[opened].mean(), 0.0)


def _open_hours_per_week(world: World) -> Float64:
    return np.array(
        [
            sum((b - a) / 60 for spans in model.queue.opening for a, b in spans or ())
            for model in world.models
        ]
    )


def _shocks(world: World) -> Float64:
    factors = np.ones(world.is_open.shape)
    for k, model in enumerate(world.models):
        day = local_times(world.hours, model.queue.time_zone).day
        country = model.queue.country
        today, before = holidays_on(day, country), holidays_on(day - 1, country)
        factors[k] *= np.where(today, HOLIDAY_FACTOR, 1.0)
        factors[k] *= np.where(before & ~today, DAY_AFTER_HOLIDAY_FACTOR, 1.0)
        for effect in world.effects:
            if effect.queue == model.name:
                factors[k] *= effect.multiplier(world.hours)
    return factors


def _day_factors(world: World, rng: np.random.Generator) -> Float64:
    config = world.config
    first = int(world.hours[0]) // DAY_SECONDS - 1
    days = int(world.hours[-1]) // DAY_SECONDS + 2 - first
    shared = _wave(config, days, rng)
    factors = np.empty(world.is_open.shape)
    for k, model in enumerate(world.models):
        own = _wave(config, days, rng)
        weight = config.day_factor_shared
        wave = np.sqrt(weight) * shared + np.sqrt(1 - weight) * own
        by_day = np.exp(config.day_factor_sd * wave - config.day_factor_sd**2 / 2)
        factors[k] = by_day[local_times(world.hours, model.queue.time_zone).day - first]
    return factors


def _wave(config: SimulationConfig, days: int, rng: np.random.Generator) -> Float64:
    """Return a standard normal series with the asked correlation from one day to the next."""
    memory = config.day_factor_memory
    shocks = rng.standard_normal(days)
    shocks[1:] *= np.sqrt(1 - memory**2)
    wave = np.empty(days)
    last = 0.0
    for k, shock in enumerate(shocks):
        last = memory * last + shock
        wave[k] = last
    return wave
