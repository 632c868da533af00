"""How many contacts come: true rates, and one draw of the counts of a centre.

Contacts are doubly stochastic: counts are Poisson around the expected rate (profile, year's wave,
growth, holidays, effects) times a day factor whose log is autocorrelated over days and partly
common to all queues.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from features.calendar import DAY_SECONDS, Float64, Int64, holidays_on, local_times
from features.simulate.centre import CentreQueue, QueueLaw, open_cells
from features.simulate.events import Centre, apply_effects


def planned_rate(law: QueueLaw, profile: Float64, starts: Int64, *, level: float = 1.0) -> Float64:
    """Return a queue's rates from profile, year's wave and growth alone, float64[n].

    Args:
        law: The queue.
        profile: Rates by weekday and interval of the day, float64[7, intervals a day].
        starts: Interval starts, epoch seconds, int64[n], ascending.
        level: Factor of the profile at the first start.
    """
    local = local_times(starts, law.queue.time_zone)
    cell = local.minute_of_day // law.queue.interval_minutes
    year = 2 * np.pi * (local.day % 365.2425 - law.peak_day) / 365.2425
    growth = 1 + law.growth * (starts - starts[0]) / (365.25 * DAY_SECONDS)
    rate: Float64 = profile[local.weekday, cell] * (1 + law.season * np.cos(year)) * level * growth
    return rate


def holiday_factor(law: QueueLaw, day: Int64) -> Float64:
    """Return the factor of holidays and the days after them by local day since 1970-01-01."""
    today, before = (holidays_on(day - back, law.queue.country) for back in (0, 1))
    return np.where(today, law.holiday, np.where(before, law.after_holiday, 1.0))


def draw_wave(days: int, memory: float, rng: np.random.Generator) -> Float64:
    """Draw a standard normal series that correlates by ``memory`` from one day to the next."""
    steps = rng.standard_normal(days)
    steps[1:] *= np.sqrt(1 - memory**2)
    wave = accumulate(steps.tolist(), lambda last, step: memory * last + step)
    return np.fromiter(wave, dtype=np.float64, count=days)


def day_factors(common: Float64, own: Float64, *, sd: float, shared: float) -> Float64:
    """Return log-normal factors of mean one from the waves of all queues and of one."""
    wave = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
    factors: Float64 = np.exp(sd * wave - sd**2 / 2)
    return factors


@dataclass(frozen=True)
class Arrivals:
    """The true volume of a centre, arrays of [queues, hours] over its hours.

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


def draw_arrivals(centre: Centre, *, steady_customers: float, rng: np.random.Generator) -> Arrivals:
    """Draw the volume of every queue and hour of a centre.

    A part of the contacts comes from the ``steady_customers`` of an average day.
    """
    laws, hours = centre.laws, centre.hours
    open_hours = np.array([open_cells(law.queue).sum() for law in laws])
    linked = np.array([_steady_per_day(law) for law in laws]) * steady_customers * 7 / open_hours
    level = np.array([law.anonymous_per_hour for law in laws]) + linked
    planned = np.empty(centre.is_open.shape)
    rate, day_factor = np.empty_like(planned), np.empty_like(planned)
    # The waves cover a day more at both ends, for the zones.
    first_day = int(hours[0]) // DAY_SECONDS - 1
    days = int(hours[-1]) // DAY_SECONDS + 2 - first_day
    config = centre.config
    sd, shared, memory = config.day_factor_sd, config.day_factor_shared, config.day_factor_memory
    common = draw_wave(days, memory, rng)
    for k, law in enumerate(laws):
        day = local_times(hours, law.queue.time_zone).day
        effects = [effect for effect in centre.effects if effect.queue == law.name]
        planned[k] = planned_rate(law, law.week, hours, level=level[k]) * centre.is_open[k]
        rate[k] = planned[k] * apply_effects(holiday_factor(law, day), effects, hours)
        own = draw_wave(days, memory, rng)
        day_factor[k] = day_factors(common, own, sd=sd, shared=shared)[day - first_day]
    counts = rng.poisson(rate * day_factor).astype(np.int64)
    counts[:, centre.history_hours :] = 0
    return Arrivals(planned, rate, day_factor, counts, linked / level)


def _steady_per_day(law: CentreQueue) -> float:
    """Return the contacts a day that one steady customer brings to a queue.

    A steady customer orders about every 40 days and every fourth contact leaves something open.
    """
    general, order, repeat = law.linked_per_day
    return general + order * 6 / 40 + repeat * 3 * 0.25 / 60
