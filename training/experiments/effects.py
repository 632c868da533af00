"""What a contact changed: effects with intervals, sample-ratio alarm, when to stop.

Outcomes are adjusted for features known before the decision (CUPED; Deng, Xu, Kohavi and Walker,
2013): the arm cannot have moved them, so they take away noise and no effect. The list is fixed:
choosing it by the outcomes would be a search for a good result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import linalg, stats

from features.arrays import Bool, Float64
from serving.models.churn.learners import log_scaled
from training.experiments import LEAST_EFFECT
from training.experiments.sample import PROBABILITY, Sample

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
    outcome: Float64, *, treated: Bool, weight: Float64, covariates: Float64 | None = None
) -> Effect:
    """Estimate what a contact did to an outcome.

    Args:
        outcome: float64[n].
        treated: Whether each was contacted, bool[n]; both arms have more customers than there are
            covariates, by two at least.
        weight: One over the chance of the own arm, float64[n].
        covariates: What to adjust for, centred over all n, float64[n, k]; None for the plain
            difference.

    >>> outcome = np.array([3.0, 5.0, 1.0, 2.0])
    >>> found = effect(outcome, treated=np.array([True, True, False, False]), weight=np.ones(4))
    >>> found.estimate, round(found.standard_error**2, 3)  # 4 - 1.5; 2 / 2 + 0.5 / 2
    (2.5, 1.25)
    """
    known = np.empty((len(outcome), 0)) if covariates is None else covariates
    ours = _arm_line(outcome[treated], known[treated], weight[treated])
    theirs = _arm_line(outcome[~treated], known[~treated], weight[~treated])
    slopes = ours.slopes - theirs.slopes
    mix = float(slopes @ (known.T @ known / len(outcome)) @ slopes) / len(outcome)
    variances = np.array([ours.variance, theirs.variance])
    squares = variances**2 / np.array([ours.freedom, theirs.freedom])
    total = float(variances.sum())
    freedom = total**2 / float(squares.sum()) if total > 0 else ours.freedom + theirs.freedom
    return Effect(ours.mean - theirs.mean, float(np.sqrt(total + mix)), freedom)


def _arm_line(outcome: Float64, covariates: Float64, weight: Float64) -> _Line:
    n, k = covariates.shape
    design = np.column_stack((np.ones(n), covariates)) * np.sqrt(weight)[:, None]
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


ADJUSTED_FOR = (
    PROBABILITY,
    "spend_minor_90d",
    "purchases_90d",
    "purchase_recency_days",
    "spend_minor_365d",
    "purchases_365d",
    "gap_days_mean",
    "tenure_days",
    "contacts_90d",
)
"""Features that outcomes are adjusted for, the first first where there are few customers."""
MONEY = "spend_minor_90d"
CUSTOMERS_A_COLUMN = 20
"""Customers of the smaller arm for each column, so that the adjustment costs less than it gives."""
_CAP = 0.99
_LEAST_NEW = 1e-3
"""Spread of what a column adds to the others, in its own, below which it is left out."""


def adjusters(sample: Sample) -> tuple[Float64, tuple[str, ...]]:
    """Return what to adjust for: centred columns, and the features they are of.

    Each feature stands as its signed logarithm; money of the last 90 days also as it is, capped
    at its 99th percentile, since money ahead is in proportion to it. A missing value is the mean,
    and a column says where it is missing. What repeats other columns is left out.
    The columns are float64[n, k].
    """
    most = sample.smaller_arm() // CUSTOMERS_A_COLUMN
    columns: list[Float64] = []
    used: list[str] = []
    for name in ADJUSTED_FOR:
        values = sample.column(name)
        if values is None or np.isnan(values).all():
            continue
        for column in _columns(name, values):
            if len(columns) < most:
                columns.append(column)
                used.append(name)
    return independent(columns, treated=sample.treated), tuple(dict.fromkeys(used))


def _columns(name: str, values: Float64) -> list[Float64]:
    missing = np.isnan(values)
    filled = [log_scaled(values)]
    if name == MONEY:
        filled.insert(0, np.minimum(values, np.nanquantile(values, _CAP)))
    if name == PROBABILITY:
        filled.insert(0, values)
    columns = [np.where(missing, np.nanmean(column), column) for column in filled]
    return [*columns, missing.astype(np.float64)] if missing.any() else columns


def independent(columns: Sequence[Float64], *, treated: Bool) -> Float64:
    """Return the columns centred and scaled, without those that others give in one of the arms.

    Each of ``columns`` is float64[n]; ``treated`` says who was contacted, bool[n].
    """
    arms = (treated, ~treated)
    bases = [np.full((int(arm.sum()), 1), 1 / np.sqrt(max(int(arm.sum()), 1))) for arm in arms]
    chosen: list[Float64] = []
    for column in columns:
        spread = float(column.std())
        if spread <= 1e-12 * max(1.0, float(np.abs(column).max())):
            continue
        scaled = (column - column.mean()) / spread
        rests = [
            scaled[arm] - basis @ (basis.T @ scaled[arm])
            for arm, basis in zip(arms, bases, strict=True)
        ]
        if all(linalg.norm(rest) > _LEAST_NEW * np.sqrt(len(rest)) for rest in rests):
            chosen.append(scaled)
            bases = [
                np.column_stack((basis, rest / linalg.norm(rest)))
                for basis, rest in zip(bases, rests, strict=True)
            ]
    return np.column_stack(chosen) if chosen else np.empty((len(treated), 0))


ALARM_BELOW = 0.001
"""A chance so small under a sound draw that it is taken for an error: 1 in 1,000 experiments."""


@dataclass(frozen=True)
class Ratio:
    """Customers in each arm, beside what was expected.

    Attributes:
        expected_treated: Customers whom the draw should have had contacted.
        p_value: Chance of a ratio at least as far off under a sound draw (chi-square, one
            degree of freedom).
    """

    treated: int
    control: int
    expected_treated: float
    p_value: float

    @property
    def alarm(self) -> bool:
        """Whether the arms are not as planned, and nothing else must be believed."""
        return self.p_value < ALARM_BELOW


def sample_ratio(treated: Bool, share: Float64) -> Ratio:
    """Compare the arms with what the draw should give.

    With one share for all it is Pearson's chi-square test of two counts.

    Args:
        treated: Whether each was contacted, bool[n], n at least 1.
        share: Chance of it, in (0, 1), float64[n].

    >>> import numpy as np
    >>> found = sample_ratio(np.arange(100) < 60, np.full(100, 0.5))
    >>> found.treated, round(found.p_value, 4)  # (60 - 50)**2 / 25 = 4
    (60, 0.0455)
    """
    expected, count = float(share.sum()), int(treated.sum())
    square = (count - expected) ** 2 / float((share * (1 - share)).sum())
    return Ratio(count, len(treated) - count, expected, float(stats.chi2.sf(square, 1)))


POWER = 0.8
_EARLY = 0.1
"""Share of the whole experiment's information at which the interval is tightest: it costs 7 % of
its width at the end, and a large effect is seen at once."""
ALPHA = 0.05
Word = Literal[
    "go on",
    "stop: it helps",
    "stop: it harms",
    "stop: no effect worth having within reach",
    "mend first",
]


@dataclass(frozen=True)
class Advice:
    """Whether to stop.

    Attributes:
        low: Lower end of the interval that holds at all looks; None where there is none.
        high: Its upper end.
        information_share: What is known, as a share of what finds the least effect with 80 %
            power in one look; None where nothing is.
    """

    word: Word
    reason: str
    low: float | None = None
    high: float | None = None
    information_share: float | None = None


def always_valid(
    found: Effect, *, target_error: float, alpha: float = ALPHA
) -> tuple[float, float]:
    """Return the interval that covers the truth at all looks together.

    ``alpha``: Chance that it ever misses, in (0, 1).
    """
    information, target = found.standard_error**-2, target_error**-2
    # The mixture's variance that makes the boundary lowest there, to a good approximation.
    rho = _EARLY * target / (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1))
    whole = information + rho
    half = math.sqrt(whole * math.log(whole / (rho * alpha**2))) / information
    return found.estimate - half, found.estimate + half


def target_error(least_effect: float) -> float:
    """Return the standard error at which one look finds the least effect with 80 % power.

    >>> round(target_error(0.028016), 4)
    0.01
    """
    return least_effect / float(stats.norm.ppf(1 - ALPHA / 2) + stats.norm.ppf(POWER))


def advise(found: Effect, *, customers: int, least_effect: float = LEAST_EFFECT) -> Advice:
    """Say whether an experiment can stop, by its effect on retention.

    ``customers``: Customers whose outcome is complete. ``least_effect``: The smallest effect worth
    having, above 0.
    """
    aim = target_error(least_effect)
    share = (aim / found.standard_error) ** 2 if found.standard_error > 0 else math.inf
    if not math.isfinite(share):
        return Advice("go on", "every customer of an arm did the same: nothing can be told yet")
    low, high = always_valid(found, target_error=aim)
    told = (
        f"at all looks together retention changed by {100 * low:+.1f} to {100 * high:+.1f} points"
    )
    word: Word = "go on"
    if low > 0:
        word, why = "stop: it helps", "more than 0"
    elif high < 0:
        word, why = "stop: it harms", "less than 0"
    elif high < least_effect:
        word = "stop: no effect worth having within reach"
        why = f"less than the {100 * least_effect:g} that would be worth having"
    elif share < 1:
        missing = math.ceil(customers * (1 / share - 1))
        unit = "point" if least_effect == LEAST_EFFECT else "points"
        why = f"about {missing:,} more customers would show {100 * least_effect:g} {unit}"
    else:
        why = f"near {100 * least_effect:g} points: a little more will tell"
    return Advice(word, f"{told}, {why}", low, high, share)
