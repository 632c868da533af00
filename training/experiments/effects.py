"""What a contact did, with an interval: the plain difference, and the adjusted one.

One regression an arm on centred features (Lin, "Agnostic notes on regression adjustments to
experimental data", 2013), with robust standard errors (HC2) and the sample's own mix of customers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, stats

from features.calendar import Bool, Float64

LEVEL = 0.95


@dataclass(frozen=True)
class Effect:
    """A difference between customers contacted and held out, per customer.

    Attributes:
        estimate: Contacted minus held out.
        freedom: Degrees of freedom of its interval (Satterthwaite).
    """

    estimate: float
    standard_error: float
    freedom: float

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Return the confidence interval."""
        half = float(stats.t.ppf((1 + level) / 2, self.freedom)) * self.standard_error
        return self.estimate - half, self.estimate + half


@dataclass(frozen=True)
class _Line:
    """An arm's regression on centred facts: its mean for the average customer, and slopes."""

    mean: float
    variance: float
    freedom: float
    slopes: Float64


def effect(
    outcome: Float64, *, treated: Bool, weight: Float64, facts: Float64 | None = None
) -> Effect:
    """Estimate what a contact did to an outcome.

    Args:
        outcome: float64[n].
        treated: Whether each was contacted, bool[n]; both arms have more customers than facts
            have columns, by two at least.
        weight: One over the chance of the own arm, float64[n].
        facts: What to adjust for, centred over all n, float64[n, k]; None for the plain
            difference.

    >>> outcome = np.array([3.0, 5.0, 1.0, 2.0])
    >>> found = effect(outcome, treated=np.array([True, True, False, False]), weight=np.ones(4))
    >>> found.estimate, round(found.standard_error**2, 3)  # 4 - 1.5; 2 / 2 + 0.5 / 2
    (2.5, 1.25)
    """
    known = np.empty((len(outcome), 0)) if facts is None else facts
    ours = _line(outcome[treated], known[treated], weight[treated])
    theirs = _line(outcome[~treated], known[~treated], weight[~treated])
    slopes = ours.slopes - theirs.slopes
    mix = float(slopes @ (known.T @ known / len(outcome)) @ slopes) / len(outcome)
    variances = np.array([ours.variance, theirs.variance])
    squares = variances**2 / np.array([ours.freedom, theirs.freedom])
    total = float(variances.sum())
    freedom = total**2 / float(squares.sum()) if total > 0 else ours.freedom + theirs.freedom
    return Effect(ours.mean - theirs.mean, float(np.sqrt(total + mix)), freedom)


def _line(outcome: Float64, facts: Float64, weight: Float64) -> _Line:
    n, k = facts.shape
    design = np.column_stack((np.ones(n), facts)) * np.sqrt(weight)[:, None]
    base, triangle = linalg.qr(design, mode="economic")
    slopes = linalg.solve_triangular(triangle, base.T @ (outcome * np.sqrt(weight)))
    residuals = outcome * np.sqrt(weight) - design @ slopes
    # Where all did the same, what rounding leaves is no spread.
    residuals[np.abs(residuals) < 1e-9 * np.abs(outcome).max(initial=0.0)] = 0.0
    leverage = np.minimum((base**2).sum(axis=1), 1 - 1e-9)
    # How each customer moves the arm's mean: the first row of the inverse, row by row.
    pull = base @ linalg.solve_triangular(triangle, np.eye(k + 1)[0], trans="T")
    variance = float((pull**2 * residuals**2 / (1 - leverage)).sum())
    return _Line(float(slopes[0]), variance, float(n - k - 1), slopes[1:])
