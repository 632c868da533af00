"""For whom a contact changes most: a model of the effect, and the Qini curve that judges it.

The curve tells, by the share contacted, the retention gained over all customers (Radcliffe, "Using
control groups to target on predicted lift", 2007); the coefficient is the area above the line of
random contacts. Bands are by bootstrap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from features.arrays import Float64, Int64
from features.errors import TooLittleDataError
from serving.models.churn.learners import log_scaled
from training.experiments.sample import Sample

FOLDS = 5
LEAST_IN_ARM = 300
LEAST_EVENTS = 50
"""Customers of each arm, and of them those who stayed and those who left, that suffice."""
_PENALTIES = np.geomspace(1e-4, 1e2, 13)


@dataclass(frozen=True)
class Ridge:
    """A ridge regression on signed logarithms of features, missing ones at the mean.

    Attributes:
        centre: Mean of each column, float64[k].
        scale: Spread of each column, float64[k].
        slopes: float64[2 k]: of the values, then of where they are missing.
    """

    centre: Float64
    scale: Float64
    slopes: Float64
    level: float

    def predict(self, features: Float64) -> Float64:
        """Return float64[n] from features, float64[n, k]."""
        return self.level + _design(features, self.centre, self.scale) @ self.slopes


@dataclass(frozen=True)
class CrossFitted:
    """What models that never saw a customer say of that customer, arrays of n.

    Attributes:
        effect: Expected gain in retention from a contact, float64[n].
        untouched: Chance to stay, from a forecast that does not know the arm, float64[n].
    """

    effect: Float64
    untouched: Float64


def check_enough(sample: Sample) -> None:
    """Refuse a sample too small to tell customers apart by what a contact does to them.

    Raises:
        TooLittleDataError: An arm has too few customers, or too few of them stayed or left.
    """
    for name, arm in (("contacted", sample.treated), ("held out", ~sample.treated)):
        stayed = int(sample.retained[arm].sum())
        left = int(arm.sum()) - stayed
        if arm.sum() < LEAST_IN_ARM or min(stayed, left) < LEAST_EVENTS:
            raise TooLittleDataError(
                "an uplift model",
                got=f"{int(arm.sum()):,} customers {name}, of whom {stayed:,} stayed",
                expected=f"{LEAST_IN_ARM} at least in each arm, of whom {LEAST_EVENTS} stayed "
                f"and {LEAST_EVENTS} left",
                remedy="go on with the experiment, or hold out a larger share",
            )


def fit_uplift(sample: Sample, *, rng: np.random.Generator) -> Ridge:
    """Learn the gain in retention that a contact brings, from all customers of a sample."""
    surprise = sample.treated - sample.share
    target = (sample.retained - _untouched(sample, rng=rng)) / surprise
    return _line(sample.features, target, surprise**2 / np.mean(surprise**2))


def fit_stay(sample: Sample) -> Ridge:
    """Learn the chance to stay from all customers of a sample, whatever their arm."""
    return _line(sample.features, sample.retained)


def cross_fit(sample: Sample, *, rng: np.random.Generator) -> CrossFitted:
    """Judge every customer by models that were learnt from the others alone."""
    effect, untouched = np.empty((2, len(sample)))
    for inside, outside in _folds(len(sample), rng=rng):
        ours = sample.take(inside)
        effect[outside] = fit_uplift(ours, rng=rng).predict(sample.features[outside])
        untouched[outside] = fit_stay(ours).predict(sample.features[outside])
    return CrossFitted(effect, untouched)


def pseudo_effect(sample: Sample, untouched: Float64) -> Float64:
    """Return for each customer a number whose mean is the effect, whatever the forecast."""
    surprise = sample.treated - sample.share
    return (sample.retained - untouched) * surprise / (sample.share * (1 - sample.share))


def _untouched(sample: Sample, *, rng: np.random.Generator) -> Float64:
    untouched = np.empty(len(sample))
    for inside, outside in _folds(len(sample), rng=rng):
        untouched[outside] = fit_stay(sample.take(inside)).predict(sample.features[outside])
    return untouched


def _folds(n: int, *, rng: np.random.Generator) -> Iterator[tuple[Int64, Int64]]:
    parts = np.array_split(rng.permutation(n), FOLDS)
    for i, outside in enumerate(parts):
        yield np.concatenate([part for j, part in enumerate(parts) if j != i]), outside


def _line(features: Float64, target: Float64, weight: Float64 | None = None) -> Ridge:
    """Fit a weighted ridge whose penalty leave-one-out errors choose."""
    heavy = np.ones(len(target)) if weight is None else weight
    logs = log_scaled(features)
    counts = (~np.isnan(logs)).sum(axis=0)
    centre = np.where(counts > 0, np.nansum(logs, axis=0) / np.maximum(counts, 1), 0.0)
    spread = np.sqrt(np.nansum((logs - centre) ** 2, axis=0) / np.maximum(counts, 1))
    scale = np.where(spread > 1e-9, spread, 1.0)
    design = _design(features, centre, scale)
    middle = heavy @ design / heavy.sum()
    level = float(heavy @ target / heavy.sum())
    root = np.sqrt(heavy)
    scaled = (design - middle) * root[:, None]
    wanted = (target - level) * root
    sizes, axes = linalg.eigh(scaled.T @ scaled)
    along = scaled @ axes
    pulls = wanted @ along
    best, slopes = np.inf, np.zeros(design.shape[1])
    for penalty in _PENALTIES * len(target):
        shrink = 1 / (np.maximum(sizes, 0.0) + penalty)
        leverage = along**2 @ shrink + heavy / heavy.sum()
        residuals = (wanted - along @ (shrink * pulls)) / np.maximum(1 - leverage, 1e-6)
        error = float(residuals @ residuals)
        if error < best:
            best, slopes = error, axes @ (shrink * pulls)
    return Ridge(centre, scale, slopes, level - float(middle @ slopes))


def _design(features: Float64, centre: Float64, scale: Float64) -> Float64:
    logs = (log_scaled(features) - centre) / scale
    missing = np.isnan(logs)
    # Within four spreads: one odd customer must not bend the line.
    return np.hstack((np.where(missing, 0.0, np.clip(logs, -4, 4)), missing.astype(np.float64)))


SHARES = tuple(round(0.05 * k, 2) for k in range(21))
"""Shares of customers at which a curve is told."""
DRAWS = 400
_LEVEL = 0.95


@dataclass(frozen=True)
class Band:
    """A figure with a 95 % band."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Qini:
    """The curves of two rankings on the same customers.

    Attributes:
        uplift: Gain by ``SHARES`` where those who gain most come first.
        risk: Gain where those most likely to leave come first.
        coefficient_uplift: Area between the curve of uplift and the random line.
        coefficient_risk: The same of risk.
        difference: Uplift's less risk's, on the same draws.
    """

    uplift: tuple[Band, ...]
    risk: tuple[Band, ...]
    coefficient_uplift: Band
    coefficient_risk: Band
    difference: Band

    @property
    def uplift_wins(self) -> bool:
        """Whether ranking by effect is better than ranking by risk beyond doubt."""
        return self.difference.low > 0


def qini(
    effect: Float64, *, by_uplift: Float64, by_risk: Float64, rng: np.random.Generator
) -> Qini:
    """Compare two rankings of the same customers.

    ``effect``: A number of each customer whose mean is the effect, float64[n]. ``by_uplift``:
    Ranking by effect, the largest first, float64[n]. ``by_risk``: Ranking by risk, the largest
    first, float64[n].
    """
    orders = [np.argsort(-by, kind="stable") for by in (by_uplift, by_risk)]
    n = len(effect)
    once = np.ones(n)
    curves = [gains(effect, order, once) for order in orders]
    areas = [area(effect, order, once) for order in orders]
    drawn_curves = np.empty((DRAWS, 2, len(SHARES)))
    drawn_areas = np.empty((DRAWS, 2))
    for k in range(DRAWS):
        times = np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)
        for i, order in enumerate(orders):
            drawn_curves[k, i] = gains(effect, order, times)
            drawn_areas[k, i] = area(effect, order, times)
    differences = drawn_areas[:, 0] - drawn_areas[:, 1]
    return Qini(
        uplift=tuple(map(_band, curves[0], drawn_curves[:, 0].T)),
        risk=tuple(map(_band, curves[1], drawn_curves[:, 1].T)),
        coefficient_uplift=_band(areas[0], drawn_areas[:, 0]),
        coefficient_risk=_band(areas[1], drawn_areas[:, 1]),
        difference=_band(areas[0] - areas[1], differences),
    )


def gains(effect: Float64, order: Int64, times: Float64) -> Float64:
    """Return the gain over all customers when the first of an order are contacted, by ``SHARES``.

    Args:
        effect: Of each customer, float64[n].
        order: Their places, the first first, int64[n].
        times: How often each customer counts, float64[n].

    >>> gains(np.array([1.0, 0.0]), np.array([0, 1]), np.ones(2))[[0, 10, 20]].tolist()
    [0.0, 0.5, 0.5]
    """
    share, gain = _steps(effect, order, times)
    found: Float64 = np.interp(SHARES, share, gain)
    return found


def area(effect: Float64, order: Int64, times: Float64) -> float:
    """Return the area between an order's curve and the straight line of a random order.

    >>> area(np.array([1.0, 0.0]), np.array([0, 1]), np.ones(2))  # 0.375 - 0.25
    0.125
    """
    share, gain = _steps(effect, order, times)
    return float(np.trapezoid(gain, share)) - float(gain[-1]) / 2


def _steps(effect: Float64, order: Int64, times: Float64) -> tuple[Float64, Float64]:
    counted = times[order]
    total = counted.sum()
    share = np.concatenate(([0.0], np.cumsum(counted) / total))
    gain = np.concatenate(([0.0], np.cumsum(effect[order] * counted) / total))
    return share, gain


def _band(estimate: float, drawn: Float64) -> Band:
    low, high = np.quantile(drawn, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Band(float(estimate), float(low), float(high))
