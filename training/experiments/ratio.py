"""The sample ratio check: whether as many customers are in each arm as the draw should give."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import stats

from features.calendar import Bool, Float64

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
