"""The distribution of a count around its forecast.

Given the mean m, a count is negative binomial with variance m + spread x m²: Poisson noise on a
rate that is itself uncertain (doubly stochastic arrivals). Its quantile levels are then moved
to where past forecasts actually fell (recalibration), which corrects the shape and the bias.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

from features.arrays import Float64, Int64

QUANTILE_LEVELS = tuple(round(0.05 * k, 2) for k in range(1, 20))
"""The published quantiles of a forecast: 0.05, 0.10 … 0.95."""
LEAD_BUCKETS = ((0, 24, "1-24 h"), (24, 168, "2-7 d"), (168, 336, "8-14 d"), (336, 672, "15-28 d"))
"""Leads in hours, left-closed: first, one past the last, label."""


def quantiles_at(published: Float64, levels: Sequence[float]) -> Float64:
    """Return quantiles at any levels between the published ones, linearly interpolated.

    Args:
        published: Contacts at ``contracts.QUANTILE_LEVELS``, float64[h, 19].
        levels: Levels in [0.05, 0.95].

    Returns:
        Contacts, float64[h, len(levels)].

    >>> quantiles_at(np.arange(19.0)[None], [0.05, 0.075, 0.95]).tolist()
    [[0.0, 0.5, 18.0]]
    """
    step = QUANTILE_LEVELS[1] - QUANTILE_LEVELS[0]
    place = np.round((np.asarray(levels, dtype=np.float64) - QUANTILE_LEVELS[0]) / step, 9)
    low = np.clip(place.astype(np.int64), 0, len(QUANTILE_LEVELS) - 2)
    share = place - low
    mixed: Float64 = published[:, low] * (1 - share) + published[:, low + 1] * share
    return mixed


def lead_bucket(lead_hours: Float64) -> Int64:
    """Return the index in ``contracts.LEAD_BUCKETS`` of each lead; the last holds all beyond.

    >>> lead_bucket(np.array([0.0, 23.9, 24.0, 5000.0])).tolist()
    [0, 0, 1, 3]
    """
    edges = [first for first, _, _ in LEAD_BUCKETS[1:]]
    return np.searchsorted(edges, lead_hours, side="right").astype(np.int64)


LEAST_SPREAD = 1e-4
"""Below this spread a count is Poisson for all purposes."""
_TABLE_MEANS = (1.0, 4.0, 12.0, 40.0)
"""Rows up to the last mean are read from summed masses, in groups of tables of like length;
above it, quantiles come from a gamma's approximation."""


def count_quantiles(mean: Float64, spread: Float64, levels: Float64) -> Float64:
    """Return quantiles of negative binomial counts, float64[n, q], rising; 0 where the mean is.

    Up to a mean of 1 they are whole counts; from 2 on they are those of the count plus a uniform
    jitter of one contact, so that a band covers what it says although counts are discrete; in
    between the jitter grows.

    Args:
        mean: float64[n], >= 0.
        spread: Squared coefficient of variation of the rate, float64[n], >= 0.
        levels: Quantile levels in (0, 1), float64[q], not decreasing.

    >>> count_quantiles(np.array([0.05]), np.array([0.0]), np.array([0.5, 0.96])).tolist()
    [[0.0, 1.0]]
    """
    spread = np.maximum(spread, LEAST_SPREAD)
    out = np.zeros((len(mean), len(levels)))
    floor = 0.0
    for most in _TABLE_MEANS:
        rows = np.flatnonzero((mean > floor) & (mean <= most))
        if len(rows):
            out[rows] = _summed(mean[rows], spread[rows], levels)
        floor = most
    rows = np.flatnonzero(mean > floor)
    out[rows] = _gamma_counts(mean[rows], spread[rows], levels)
    np.maximum.accumulate(out, axis=1, out=out)
    return np.maximum(out, 0.0, out=out)


def _summed(mean: Float64, spread: Float64, levels: Float64) -> Float64:
    """Count, for each level, the counts whose distribution function stays below it."""
    mass = _masses(mean, spread, most_level=float(levels[-1]))
    up_to = np.cumsum(mass, axis=1)
    n, q = len(mean), len(levels)
    passed = np.searchsorted(levels, up_to.ravel(), side="right").reshape(up_to.shape)
    cells = (np.arange(n) * (q + 1))[:, None] + passed
    below = np.bincount(cells.ravel(), minlength=n * (q + 1)).reshape(n, q + 1)
    count = np.minimum(np.cumsum(below, axis=1)[:, :q], mass.shape[1] - 1)
    width = np.clip(mean - 1, 0, 1)[:, None]
    if not width.any():
        return np.asarray(count, dtype=np.float64)
    step = np.take_along_axis(mass, count, axis=1)
    above = np.take_along_axis(up_to, count, axis=1)
    inside = np.clip(1 - (above - levels) / np.maximum(step, 1e-300), 0, 1)
    jittered: Float64 = count + width * (inside - 0.5)
    return jittered


def _masses(mean: Float64, spread: Float64, *, most_level: float) -> Float64:
    """Return each count's probability, float64[n, counts], as far as the level asks."""
    fail = (spread * mean / (1 + spread * mean))[:, None]
    size = (1 / spread)[:, None]
    counts = np.arange(_longest(mean, spread, most_level))
    steps = np.empty((len(mean), len(counts)))
    steps[:, 0] = np.exp(-np.log1p(spread * mean) / spread)
    steps[:, 1:] = fail * ((size + counts[:-1]) / (counts[:-1] + 1))
    np.cumprod(steps, axis=1, out=steps)
    return steps


def _longest(mean: Float64, spread: Float64, level: float) -> int:
    """Return how many counts reach the level (Bernstein's bound of a sub-gamma tail)."""
    tail = -math.log(max(1 - level, 1e-9))
    variance, scale = mean + spread * mean**2, 1 + spread * mean
    return int(np.ceil((mean + np.sqrt(2 * variance * tail) + scale * tail).max())) + 2


def _gamma_counts(mean: Float64, spread: Float64, levels: Float64) -> Float64:
    """Wilson and Hilferty's cube-root normal for a gamma of the count's mean and variance."""
    ninth = ((1 / mean + spread) / 9)[:, None]
    root: Float64 = normal_quantile(levels) * np.sqrt(ninth) + (1 - ninth)
    np.maximum(root, 0.0, out=root)
    return mean[:, None] * (root * root * root)


def normal_quantile(levels: Float64) -> Float64:
    """Return quantiles of the standard normal, to 5e-9 relative.

    Source: P. J. Acklam's rational approximation, with one step of Halley's method left out.

    >>> float(round(normal_quantile(np.array([0.975]))[0], 6))
    1.959964
    """
    a = (-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.3577518672690,
         -30.66479806614716, 2.506628277459239)  # fmt: skip
    b = (-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972,
         -13.28068155288572, 1.0)  # fmt: skip
    c = (-0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734,
         4.374664141464968, 2.938163982698783)  # fmt: skip
    d = (0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416, 1.0)
    p = np.clip(levels, 1e-12, 1 - 1e-12)
    tail = np.sqrt(-2 * np.log(np.minimum(p, 1 - p)))
    outer = np.polyval(c, tail) / np.polyval(d, tail) * np.where(p < 0.5, 1.0, -1.0)
    q = p - 0.5
    r = q * q
    inner = q * np.polyval(a, r) / np.polyval(b, r)
    scores: Float64 = np.where(np.abs(q) <= 0.47575, inner, outer)
    return scores


def normal_level(scores: Float64) -> Float64:
    """Return the standard normal's distribution function, of the same shape."""
    levels: Float64 = ndtr(scores)
    return levels


MOST_GAMMA = 1.0
"""Squared coefficient of variation up to which a rate is a gamma."""


def rate_quantiles(mean: Float64, spread: Float64, levels: Float64) -> Float64:
    """Return quantiles of a rate, float64[n, q], rising; the mean itself where the spread is 0.

    Args:
        mean: float64[n], >= 0.
        spread: Squared coefficient of variation, float64[n], >= 0.
        levels: Quantile levels in (0, 1), float64[q], not decreasing.

    >>> rate_quantiles(np.array([8.0]), np.array([0.0]), np.array([0.1, 0.9])).tolist()
    [[8.0, 8.0]]
    """
    out = np.empty((len(mean), len(levels)))
    gamma = spread <= MOST_GAMMA
    out[gamma] = _gamma_rates(mean[gamma], spread[gamma], normal_quantile(levels))
    if not gamma.all():
        some = (1 + MOST_GAMMA) / (1 + spread[~gamma])[:, None]
        inside = (levels - (1 - some)) / some
        busy = _gamma_rates(mean[~gamma] / some[:, 0], MOST_GAMMA, normal_quantile(inside))
        out[~gamma] = np.where(inside > 0, busy, 0.0)
    return out


def _gamma_rates(mean: Float64, spread: Float64 | float, scores: Float64) -> Float64:
    ninth = np.broadcast_to(np.asarray(spread) / 9, mean.shape)[:, None]
    out: Float64 = scores * np.sqrt(ninth)
    out += 1 - ninth
    np.maximum(out, 0.0, out=out)
    # The cube of a normal of this mean and variance has the mean 1 - ninth³.
    out *= out * out * (mean[:, None] / (1 - ninth**3))
    return out


CURVE_LEVELS = (0.0025, 0.01, 0.025, *QUANTILE_LEVELS, 0.975, 0.99, 0.9975)
"""Levels at which a recalibration curve is kept."""
_LEAST_MEAN = 1e-6


@dataclass(frozen=True)
class ErrorCorrelation:
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
class IntradayModel:
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
class AhtDistribution:
    """How far the average handle time lies from its forecast, beyond the noise of a few contacts.

    Attributes:
        day: Squared coefficient of variation of what a whole local day is off by.
        hour: Of what each hour is off by around its day.
        memory: Correlation of a day's factor with the next day's, in [0, 1).
    """

    day: float
    hour: float
    memory: float


DEFAULT_DEPENDENCE = ErrorCorrelation(day=(0.3, 0.3, 0.3, 0.3), memory=0.6, common=0.3)
"""Where no past forecast says more."""
DEFAULT_TODAY = IntradayModel(day_variance=0.01, hour_variance=0.02, carry=0.4)
"""Where no past day says more."""
DEFAULT_HANDLE = AhtDistribution(day=0.0025, hour=0.0025, memory=0.6)
"""Where no past forecast of the handle time says more: 5 % off by day, and 5 % by hour."""


@dataclass(frozen=True)
class ForecastDistribution:
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
    dependence: ErrorCorrelation
    today: IntradayModel
    handle: AhtDistribution = DEFAULT_HANDLE

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


def plain_shape(spread: float) -> ForecastDistribution:
    """Return a shape whose levels need no correction, with one spread at all leads.

    >>> plain_shape(0.0).quantiles(np.array([0.05]), np.array([0]))[0, [9, 18]].tolist()
    [0.0, 0.0]
    """
    size = len(LEAD_BUCKETS)
    return ForecastDistribution(
        spread=np.full(size, spread),
        clumps=np.zeros(size),
        curve=np.tile(CURVE_LEVELS, (size, 1)),
        dependence=DEFAULT_DEPENDENCE,
        today=DEFAULT_TODAY,
    )


def shape_to_json(shape: ForecastDistribution) -> dict[str, Any]:
    """Return a shape as JSON-ready values."""
    arrays = {name: getattr(shape, name).tolist() for name in ("spread", "clumps", "curve")}
    return asdict(shape) | arrays


def shape_from_json(document: Mapping[str, Any]) -> ForecastDistribution:
    """Return the shape that ``shape_to_json`` wrote.

    Raises:
        KeyError: A field is missing.
        ValueError: An array has another size than this version's.
    """
    size, dependence = len(LEAD_BUCKETS), document["dependence"]
    return ForecastDistribution(
        spread=np.array(document["spread"], dtype=np.float64).reshape(size),
        clumps=np.array(document["clumps"], dtype=np.float64).reshape(size),
        curve=np.array(document["curve"], dtype=np.float64).reshape(size, len(CURVE_LEVELS)),
        dependence=ErrorCorrelation(**{**dependence, "day": tuple(dependence["day"])}),
        today=IntradayModel(**document["today"]),
        handle=AhtDistribution(**document["handle"]),
    )


def pinball_losses(actual: Float64, quantiles: Float64, levels: Float64) -> Float64:
    """Return the pinball loss of each row, the mean over levels, float64[n]."""
    short = actual[:, None] - quantiles
    losses: Float64 = np.maximum(levels * short, (levels - 1) * short).mean(axis=1)
    return losses
