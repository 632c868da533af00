"""The shape of a forecast's distribution: what is known of one queue's errors, by lead.

It travels with every published forecast, so that quantiles and joint paths can be read again
around any mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from features.calendar import Float64, Int64
from features.contracts import LEAD_BUCKETS, QUANTILE_LEVELS
from serving.models.volume.counts import count_quantiles, normal_level, normal_quantile
from serving.models.volume.rates import rate_quantiles

CURVE_LEVELS = (0.0025, 0.01, 0.025, *QUANTILE_LEVELS, 0.975, 0.99, 0.9975)
"""Levels at which a recalibration curve is kept."""
_LEAST_MEAN = 1e-6


@dataclass(frozen=True)
class Dependence:
    """How a queue's errors move together.

    Attributes:
        day: Share of the variance beyond Poisson's that all intervals of a local day have in
            common, by lead bucket, in [0, 1).
        memory: Correlation of that common part from a day to the next, in [0, 1).
        common: Share of it that all queues have in common, in [0, 1].
    """

    day: tuple[float, ...]
    memory: float
    common: float


@dataclass(frozen=True)
class Today:
    """What part of a day says of its rest; squared coefficients of variation of the rate.

    Attributes:
        day_variance: Of the factor that a whole local day is off by.
        hour_variance: Of each hour around its day's factor and swing.
        carry: Share of a day's factor that the next day keeps, in [0, 1].
        swing_variance: Of the factor that stretches of a day are off by.
        memory: Correlation of that factor from an hour to the next, in [0, 1).
    """

    day_variance: float
    hour_variance: float
    carry: float
    swing_variance: float = 0.0
    memory: float = 0.85


@dataclass(frozen=True)
class HandleSpread:
    """How far the average handle time lies from its forecast, beyond the noise of a few contacts.

    Attributes:
        day: Squared coefficient of variation of what a whole local day is off by.
        hour: Of what each hour is off by around its day.
        memory: Correlation of a day's factor with the next day's, in [0, 1).
    """

    day: float
    hour: float
    memory: float


DEFAULT_DEPENDENCE = Dependence(day=(0.3, 0.3, 0.3, 0.3), memory=0.6, common=0.3)
"""Where no past forecast says more."""
DEFAULT_TODAY = Today(day_variance=0.01, hour_variance=0.02, carry=0.4)
"""Where no past day says more."""
DEFAULT_HANDLE = HandleSpread(day=0.0025, hour=0.0025, memory=0.6)
"""Where no past forecast of the handle time says more: 5 % off by day, and 5 % by hour."""


@dataclass(frozen=True)
class Shape:
    """One queue's distribution around a mean m, of variance m + clumps x m + spread x m².

    Attributes:
        spread: Squared coefficient of variation of the rate, float64[lead buckets].
        clumps: What the variance exceeds the mean by where the mean is small, as a share of it,
            float64[lead buckets].
        curve: Where to read each of ``CURVE_LEVELS`` in the count's distribution, in (0, 1) and
            rising, float64[lead buckets, len(CURVE_LEVELS)].
    """

    spread: Float64
    clumps: Float64
    curve: Float64
    dependence: Dependence
    today: Today
    handle: HandleSpread = DEFAULT_HANDLE

    def quantiles(self, mean: Float64, bucket: Int64) -> Float64:
        """Return the published quantiles around a mean, float64[h, 19]."""
        return self.read(mean, bucket, np.array(QUANTILE_LEVELS))

    def read(self, mean: Float64, bucket: Int64, levels: Float64) -> Float64:
        """Return quantiles around a mean at any levels, float64[h, q], never crossing.

        Args:
            mean: Contacts, float64[h].
            bucket: Lead bucket of each, int64[h].
            levels: In (0, 1), rising, float64[q].
        """
        return self._read(count_quantiles, mean, bucket, levels)

    def read_rates(self, mean: Float64, bucket: Int64, levels: Float64) -> Float64:
        """Return quantiles of the rate around a mean, without Poisson's noise, float64[h, q].

        The rate has the mean m and the variance clumps x m + spread x m²; its levels are moved as
        those of the counts are.
        """
        return self._read(rate_quantiles, mean, bucket, levels)

    def _read(
        self,
        quantiles: Callable[[Float64, Float64, Float64], Float64],
        mean: Float64,
        bucket: Int64,
        levels: Float64,
    ) -> Float64:
        out = np.empty((len(mean), len(levels)))
        for b in np.unique(bucket):
            rows = bucket == b
            spread = self.spread[b] + self.clumps[b] / np.maximum(mean[rows], _LEAST_MEAN)
            out[rows] = quantiles(mean[rows], spread, self.moved(int(b), levels))
        return out

    def day_share(self, mean: Float64, bucket: Int64) -> Float64:
        """Return the share of each count's variance that its day has in common, float64[h].

        The rest is the hour's own, or Poisson's: most of it where the mean is small.
        """
        beyond = self.clumps[bucket] + self.spread[bucket] * mean
        share: Float64 = np.array(self.dependence.day)[bucket] * beyond / (1 + beyond)
        return share

    def moved(self, bucket: int, levels: Float64) -> Float64:
        """Return where to read each level, float64[q]; beyond the curve its end's shift holds."""
        scores, grid = normal_quantile(levels), normal_quantile(np.array(CURVE_LEVELS))
        beyond = scores - np.clip(scores, grid[0], grid[-1])
        return normal_level(np.interp(scores, grid, normal_quantile(self.curve[bucket])) + beyond)


def plain_shape(spread: float) -> Shape:
    """Return a shape whose levels need no correction, with one spread at all leads.

    >>> plain_shape(0.0).quantiles(np.array([0.05]), np.array([0]))[0, [9, 18]].tolist()
    [0.0, 0.0]
    """
    size = len(LEAD_BUCKETS)
    return Shape(
        spread=np.full(size, spread),
        clumps=np.zeros(size),
        curve=np.tile(CURVE_LEVELS, (size, 1)),
        dependence=DEFAULT_DEPENDENCE,
        today=DEFAULT_TODAY,
    )


def shape_to_json(shape: Shape) -> dict[str, Any]:
    """Return a shape as JSON-ready values."""
    arrays = {name: getattr(shape, name).tolist() for name in ("spread", "clumps", "curve")}
    return asdict(shape) | arrays


def shape_from_json(document: Mapping[str, Any]) -> Shape:
    """Return the shape that ``shape_to_json`` wrote.

    Raises:
        KeyError: A field is missing.
        ValueError: An array has another size than this version's.
    """
    size, dependence = len(LEAD_BUCKETS), document["dependence"]
    return Shape(
        spread=np.array(document["spread"], dtype=np.float64).reshape(size),
        clumps=np.array(document["clumps"], dtype=np.float64).reshape(size),
        curve=np.array(document["curve"], dtype=np.float64).reshape(size, len(CURVE_LEVELS)),
        dependence=Dependence(**{**dependence, "day": tuple(dependence["day"])}),
        today=Today(**document["today"]),
        handle=HandleSpread(**document["handle"]),
    )
