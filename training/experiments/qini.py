"""Qini: how much is gained by contacting the first of a ranking, beside contacting at random.

The curve tells, by the share contacted, the retention gained over all customers (Radcliffe, "Using
control groups to target on predicted lift", 2007); the coefficient is the area above the line of
random contacts. Bands are by bootstrap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.calendar import Float64, Int64

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
