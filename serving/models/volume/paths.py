"""Joint sample paths of published forecasts, made on demand.

Each interval's n values are its own quantile function at (i - 0.5) / n, put in the order of a
Gaussian template (ensemble copula coupling: Schefzik, Thorarinsdottir and Gneiting 2013). So
paths and quantiles agree exactly whatever the dependence, and a total over hours, queues or
channels is the sum of paths.

The template of an interval is ``sqrt(share) x day factor + sqrt(1 - share) x own noise``; the day
factor follows AR(1) from day to day, and a share of it is common to all queues. Every random
number belongs to a seed, a queue and a day: a queue's path depends neither on the other queues
that are asked for, nor on the span.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from features.arrays import Float64, Int64
from features.calendar.clock import DAY_SECONDS, interval_of, local_times
from features.calendar.queues import Queue
from serving.models.volume.distribution import ForecastDistribution, lead_bucket
from serving.models.volume.forecast import QueueForecast

DEFAULT_COUNT = 200
"""Paths, unless asked for otherwise."""
_DAY_FACTOR, _NOISE, _HANDLE_DAY, _HANDLE_NOISE = range(4)
_HOUR_MINUTES, _HOUR_SECONDS = 60, 3600
_SEED_BITS = 2**64 - 1


class Marginal(Protocol):
    """What paths of contacts are made of: a forecast, or one of the past without its AHT."""

    @property
    def queue(self) -> Queue:
        """The queue: its name, clock and length of interval."""

    @property
    def starts(self) -> Int64:
        """Interval starts, epoch seconds, ascending, int64[h]."""

    @property
    def mean(self) -> Float64:
        """Contacts expected, float64[h]; 0 where closed."""

    @property
    def shape(self) -> ForecastDistribution:
        """The distribution around the mean."""


def sample_paths(
    forecasts: Sequence[Marginal], *, made_at: int, count: int = DEFAULT_COUNT, seed: int = 0
) -> list[Float64]:
    """Draw joint paths; path i of one queue belongs to path i of every other.

    Args:
        forecasts: One a queue. To ask for a span, cut ``starts`` and ``mean`` alike.
        made_at: When the forecast was made, epoch seconds: leads and day factors begin there.

    Returns:
        Contacts by forecast, float64[count, h] each, >= 0; exactly 0 where the mean is 0, whole
        counts where the mean is at most 1.
    """
    levels = (np.arange(count) + 0.5) / count
    return [_paths(f, levels=levels, made_at=made_at, seed=seed) for f in forecasts]


def sample_rates(
    forecasts: Sequence[Marginal], *, made_at: int, count: int = DEFAULT_COUNT, seed: int = 0
) -> list[Float64]:
    """Draw joint paths of rates, float64[count, h]: the contacts to expect, before chance.

    The queue models add Poisson's noise. With the same seed, a path that is high in contacts is
    high in its rate. The share of the variance that a day has in common is that of the rate
    alone, and the intervals of one hour of the wall clock have the rest in common.
    """
    levels = (np.arange(count) + 0.5) / count
    return [_rates(f, levels=levels, made_at=made_at, seed=seed) for f in forecasts]


def sample_aht(
    forecasts: Sequence[QueueForecast], *, made_at: int, count: int = DEFAULT_COUNT, seed: int = 0
) -> list[Float64]:
    """Draw paths of the average handle time, float64[count, h], with the forecast's mean.

    Lognormal factors: one a local day, which remembers the day before (AR(1)), times one an hour.
    They are drawn by queue and independently of the contacts: a path that is high in contacts
    says nothing of its handle times. Exactly ``aht_seconds`` where the queue's spread is 0.
    """
    return [_aht(f, count=count, made_at=made_at, seed=seed) for f in forecasts]


def _paths(forecast: Marginal, *, levels: Float64, made_at: int, seed: int) -> Float64:
    bucket = lead_bucket((forecast.starts - made_at) / 3600)
    values = forecast.shape.read(forecast.mean, bucket, levels)
    paths = np.zeros((len(levels), len(values)))
    busy = np.flatnonzero(forecast.mean > 0)
    if len(busy):
        share = forecast.shape.day_share(forecast.mean[busy], bucket[busy])
        starts, draw = forecast.starts[busy], _Draw.of(forecast, count=len(levels), seed=seed)
        noise = draw.noise(_NOISE, starts, forecast.queue.interval_minutes * 60)
        template = _template(forecast, draw, starts, share, noise, made_at=made_at)
        paths[:, busy] = _ordered(values[busy], np.argsort(template, axis=1))
    return paths


def _rates(forecast: Marginal, *, levels: Float64, made_at: int, seed: int) -> Float64:
    paths = np.zeros((len(levels), len(forecast.mean)))
    busy = np.flatnonzero(forecast.mean > 0)
    if len(busy):
        starts, draw = forecast.starts[busy], _Draw.of(forecast, count=len(levels), seed=seed)
        hours, hour = _hours(forecast.queue, starts)
        day = np.array(forecast.shape.dependence.day)
        share = day[lead_bucket((hours - made_at) / 3600)]
        noise = draw.noise(_NOISE, hours, _HOUR_SECONDS)
        template = _template(forecast, draw, hours, share, noise, made_at=made_at)
        bucket = lead_bucket((starts - made_at) / 3600)
        values = forecast.shape.read_rates(forecast.mean[busy], bucket, levels)
        paths[:, busy] = _ordered(values, np.argsort(template, axis=1)[hour])
    return paths


def _aht(forecast: QueueForecast, *, count: int, made_at: int, seed: int) -> Float64:
    starts, spread = forecast.starts, forecast.shape.handle
    if not len(starts):
        return np.zeros((count, 0))
    draw = _Draw.of(forecast, count=count, seed=seed)
    hours, hour = _hours(forecast.queue, starts)
    first, ahead = _days_ahead(forecast.queue, hours, made_at=made_at)
    days = range(first, first + int(ahead.max()) + 1)
    factors = _remembered(draw.days(_HANDLE_DAY, days), spread.memory)
    noise = draw.noise(_HANDLE_NOISE, hours, _HOUR_SECONDS)
    daily, hourly = np.log1p(spread.day), np.log1p(spread.hour)
    # Less half the variance, so that the mean of each factor is 1.
    logs = (np.sqrt(daily) * factors - daily / 2)[ahead] + (np.sqrt(hourly) * noise - hourly / 2)
    paths: Float64 = (forecast.aht_seconds[:, None] * np.exp(logs, out=logs)[hour]).T
    return paths


def _ordered(values: Float64, order: Int64) -> Float64:
    """Return each interval's rising values by path, float64[count, h]."""
    ordered = np.empty_like(values)
    np.put_along_axis(ordered, order, values, axis=1)
    return ordered.T


def _template(
    forecast: Marginal,
    draw: _Draw,
    starts: Int64,
    share: Float64,
    noise: Float64,
    *,
    made_at: int,
) -> Float64:
    """Return standard normal scores with the dependence, float64[h, count]."""
    dependence = forecast.shape.dependence
    first, ahead = _days_ahead(forecast.queue, starts, made_at=made_at)
    days = range(first, first + int(ahead.max()) + 1)
    own, common = draw.days(_DAY_FACTOR, days), draw.days(_DAY_FACTOR, days, own=False)
    mixed = np.sqrt(dependence.common) * common + np.sqrt(1 - dependence.common) * own
    factors = _remembered(mixed, dependence.memory)
    template: Float64 = np.sqrt(share)[:, None] * factors[ahead]
    template += np.sqrt(1 - share)[:, None] * noise
    return template


def _days_ahead(queue: Queue, starts: Int64, *, made_at: int) -> tuple[int, Int64]:
    """Return the local day of ``made_at``, and how many days later each interval begins."""
    day = local_times(np.append(starts, made_at), queue.time_zone).day
    # What began before ``made_at`` belongs to its day.
    return int(day[-1]), np.maximum(day[:-1] - day[-1], 0)


def _hours(queue: Queue, starts: Int64) -> tuple[Int64, Int64]:
    """Return the wall clock's hours that intervals lie in, epoch seconds, and the place of each."""
    hours, place = np.unique(
        interval_of(starts, _HOUR_MINUTES, queue.time_zone), return_inverse=True
    )
    return hours, place


def _remembered(normals: Float64, memory: float) -> Float64:
    """Turn independent normals of consecutive days into AR(1) factors, float64[days, count]."""
    for k in range(1, len(normals)):
        normals[k] = memory * normals[k - 1] + np.sqrt(1 - memory**2) * normals[k]
    return normals


@dataclass(frozen=True)
class _Draw:
    """Standard normals of one queue; each belongs to a seed, a use, a day and the queue."""

    seed: int
    name: int
    count: int

    @classmethod
    def of(cls, forecast: Marginal, *, count: int, seed: int) -> _Draw:
        return cls(seed, zlib.crc32(forecast.queue.queue.encode()), count)

    def days(self, use: int, days: range, *, own: bool = True) -> Float64:
        """Return the normals of some local days, float64[days, count]."""
        last = (self.name,) if own else ()
        return np.stack([_normals((self.seed, use, day, *last), self.count) for day in days])

    def noise(self, use: int, starts: Int64, seconds: int) -> Float64:
        """Return each interval's own normals, drawn by whole UTC days, float64[h, count]."""
        day, slot = starts // DAY_SECONDS, starts % DAY_SECONDS // seconds
        noise = np.empty((len(starts), self.count))
        for number in np.unique(day):
            key = self.seed, use, int(number), self.name
            drawn = _normals(key, DAY_SECONDS // seconds * self.count)
            rows = day == number
            noise[rows] = drawn.reshape(-1, self.count)[slot[rows]]
        return noise


def _normals(key: tuple[int, ...], count: int) -> Float64:
    # Days before 1970 are negative, which a seed must not be.
    return np.random.default_rng([part & _SEED_BITS for part in key]).standard_normal(count)
