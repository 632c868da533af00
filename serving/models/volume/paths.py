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
from typing import Protocol

import numpy as np

from features.calendar import DAY_SECONDS, Float64, Int64, Queue, local_times
from serving.models.volume.outlook import lead_bucket
from serving.models.volume.shape import Dependence, Shape

DEFAULT_COUNT = 200
"""Paths, unless asked for otherwise."""
_DAY_FACTOR, _NOISE = 0, 1
_SEED_BITS = 2**64 - 1


class Marginal(Protocol):
    """What paths are made of: a queue's forecast, whole or cut, published or changed."""

    @property
    def queue(self) -> Queue:
        """The queue: its name, clock and length of interval."""
        ...

    @property
    def starts(self) -> Int64:
        """Interval starts, epoch seconds, ascending, int64[h]."""
        ...

    @property
    def mean(self) -> Float64:
        """Contacts expected, float64[h]; 0 where closed."""
        ...

    @property
    def shape(self) -> Shape:
        """The distribution around the mean."""
        ...


def sample_paths(
    forecasts: Sequence[Marginal], *, made_at: int, count: int = DEFAULT_COUNT, seed: int = 0
) -> list[Float64]:
    """Draw joint paths; path i of one queue belongs to path i of every other.

    Args:
        forecasts: One a queue. To ask for a span, cut ``starts`` and ``mean`` alike.
        made_at: When the forecast was made, epoch seconds: leads and day factors begin there.
        count: Paths, >= 1.
        seed: The same seed gives the same paths, >= 0.

    Returns:
        Contacts by forecast, float64[count, h] each, >= 0; exactly 0 where the mean is 0, whole
        counts where the mean is at most 1.
    """
    levels = (np.arange(count) + 0.5) / count
    return [_paths(f, levels=levels, made_at=made_at, seed=seed) for f in forecasts]


def _paths(forecast: Marginal, *, levels: Float64, made_at: int, seed: int) -> Float64:
    bucket = lead_bucket((forecast.starts - made_at) / 3600)
    values = forecast.shape.read(forecast.mean, bucket, levels)
    paths = np.zeros((len(levels), len(values)))
    busy = np.flatnonzero(forecast.mean > 0)
    if len(busy):
        template = _template(
            forecast.queue,
            forecast.starts[busy],
            forecast.shape.day_share(forecast.mean[busy], bucket[busy]),
            forecast.shape.dependence,
            made_at=made_at,
            count=len(levels),
            seed=seed,
        )
        ordered = np.empty_like(template)
        np.put_along_axis(ordered, np.argsort(template, axis=1), values[busy], axis=1)
        paths[:, busy] = ordered.T
    return paths


def _template(
    queue: Queue,
    starts: Int64,
    share: Float64,
    dependence: Dependence,
    *,
    made_at: int,
    count: int,
    seed: int,
) -> Float64:
    """Return standard normal scores with the dependence, float64[h, count]."""
    name = zlib.crc32(queue.queue.encode())
    clock = np.append(starts, made_at)
    day = local_times(clock, queue.time_zone).day
    first = int(day[-1])
    factors = _day_factors(
        name, dependence, first=first, last=int(day.max()), count=count, seed=seed
    )
    noise = _noise(name, starts, queue.interval_minutes * 60, count=count, seed=seed)
    within, own = np.sqrt(share)[:, None], np.sqrt(1 - share)[:, None]
    # What began before ``made_at`` belongs to its day.
    template: Float64 = within * factors[np.maximum(day[:-1] - first, 0)] + own * noise
    return template


def _day_factors(
    name: int, dependence: Dependence, *, first: int, last: int, count: int, seed: int
) -> Float64:
    """Return AR(1) factors of the local days from ``first`` to ``last``, float64[days, count]."""
    days = range(first, last + 1)
    own = np.stack([_normals((seed, _DAY_FACTOR, day, name), count) for day in days])
    common = np.stack([_normals((seed, _DAY_FACTOR, day), count) for day in days])
    factors: Float64 = np.sqrt(dependence.common) * common + np.sqrt(1 - dependence.common) * own
    for k in range(1, len(factors)):
        factors[k] = (
            dependence.memory * factors[k - 1] + np.sqrt(1 - dependence.memory**2) * factors[k]
        )
    return factors


def _noise(name: int, starts: Int64, seconds: int, *, count: int, seed: int) -> Float64:
    """Return each interval's own normals, drawn by whole UTC days, float64[h, count]."""
    day, slot = starts // DAY_SECONDS, starts % DAY_SECONDS // seconds
    noise = np.empty((len(starts), count))
    for number in np.unique(day):
        drawn = _normals((seed, _NOISE, int(number), name), DAY_SECONDS // seconds * count)
        rows = day == number
        noise[rows] = drawn.reshape(-1, count)[slot[rows]]
    return noise


def _normals(key: tuple[int, ...], count: int) -> Float64:
    # Days before 1970 are negative, which a seed must not be.
    return np.random.default_rng([part & _SEED_BITS for part in key]).standard_normal(count)
