"""Buy till you die: how likely a customer still buys, from the days of purchases.

The modified BG/NBD model: an active customer buys at rate L and stops after any purchase, the first
included, with chance p; over customers L is gamma(r, alpha) and p beta(a, b).

Sources: Fader, Hardie and Lee, "Counting your customers the easy way" (2005); Batislam, Denizel
and Filiztekin, "Empirical validation and comparison of models for customer base analysis" (2007).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from features.calendar import Float64

_FREQUENCY = "purchase_days_ever"
_LAST = "purchase_recency_days"
_FIRST = "purchase_first_days"
INPUTS = (_FREQUENCY, _LAST, _FIRST)
"""Features that a customer's history is read from."""
_MOST_TERMS = 20_000
_LEAST_TERM = 1e-13


@dataclass(frozen=True)
class BuyTillYouDie:
    """A fitted model.

    All arrays are float64[n]: ``frequency``, the days with a purchase after the first such day;
    ``recency_days``, from the first to the last of them; ``age_days``, from the first to now.
    NaN in gives NaN out: somebody who never bought is not judged.

    Attributes:
        r: Shape of the purchase rates, above 0.
        alpha: Their rate parameter in days, above 0: the mean is r / alpha purchases a day.
        a: First parameter of the chance to stop, above 0.
        b: Second one: the mean chance is a / (a + b).
    """

    r: float
    alpha: float
    a: float
    b: float

    def p_alive(self, frequency: Float64, recency_days: Float64, age_days: Float64) -> Float64:
        """Return the chance that each customer has not stopped for good.

        >>> model = BuyTillYouDie(r=1.0, alpha=10.0, a=1.0, b=1.0)
        >>> zero = np.array([0.0])
        >>> model.p_alive(zero, zero, zero).tolist()  # just bought: 1 - a / (a + b)
        [0.5]
        >>> model.p_alive(zero, zero, np.array([10.0])).round(6).tolist()  # 1 / (1 + 20 / 10)
        [0.333333]
        """
        x = frequency
        silence = (self.r + x) * np.log((self.alpha + age_days) / (self.alpha + recency_days))
        # In logarithms: a busy customer's long silence would overflow.
        log_odds = np.log((self.b + x) / self.a) - silence
        return np.asarray(1 / (1 + np.exp(np.clip(-log_odds, -700, 700))))

    def expected_purchases(
        self, frequency: Float64, recency_days: Float64, age_days: Float64, ahead_days: float
    ) -> Float64:
        """Return the purchase days expected of each customer in the days ahead.

        ``ahead_days``: The days ahead, 0 or more.
        """
        alive = self.p_alive(frequency, recency_days, age_days)
        return alive * self.purchases_if_alive(frequency, age_days, ahead_days)

    def p_silent(
        self, frequency: Float64, recency_days: Float64, age_days: Float64, ahead_days: float
    ) -> Float64:
        """Return the chance that each customer buys nothing in the days ahead.

        Whoever is alive stops at a purchase at the earliest, so only his pace counts until then.

        >>> model = BuyTillYouDie(r=1.0, alpha=10.0, a=1.0, b=1.0)
        >>> zero = np.array([0.0])
        >>> model.p_silent(zero, zero, zero, 10.0).tolist()  # 1 - 0.5 x (1 - 10 / 20)
        [0.75]
        """
        alive = self.p_alive(frequency, recency_days, age_days)
        shrunk = (self.alpha + age_days) / (self.alpha + age_days + ahead_days)
        return np.asarray(1 - alive * (1 - shrunk ** (self.r + frequency)))

    def purchases_if_alive(
        self, frequency: Float64, age_days: Float64, ahead_days: float
    ) -> Float64:
        """Return the same for customers who are known to be alive."""
        # Euler's transformation of the hypergeometric function in the papers: its parameters no
        # longer grow with the frequency, so nothing overflows; and a - 1, by which they divide,
        # is taken out of the series, so that a = 1 needs no care.
        whole = self.a + self.b + frequency
        share = ahead_days / (self.alpha + age_days + ahead_days)
        left = np.log1p(-share)
        power = self.a - 1
        first = -np.expm1(power * left) / power if power else -left
        return np.asarray(whole * (first - np.exp(power * left) * self._series(whole, share)))

    def _series(self, whole: Float64, share: Float64) -> Float64:
        """Return the hypergeometric series without its first term, over a - 1."""
        top = self.a + self.b - self.r
        term = top * share / whole
        total = np.array(term)
        for n in range(1, _MOST_TERMS):
            term = term * ((top + n) * (self.a + n - 1) / (n + 1)) * share / (whole + n)
            # A row that is done adds nothing more, so no row depends on the others.
            term = np.where(np.abs(term) > _LEAST_TERM * np.abs(total), term, 0.0)
            if not term.any():
                break
            total += term
        return total

    def document(self) -> dict[str, float]:
        """Return the parameters, JSON-ready."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> BuyTillYouDie:
        """Return the model that ``document`` gave."""
        return cls(**{name: float(value) for name, value in document.items()})


def history_of(features: Float64, *, names: Sequence[str]) -> Float64:
    """Return frequency, recency and age of each customer, float64[n, 3]; NaN who never bought.

    ``features``: float64[n, k].
    """
    days, last, first = (features[:, list(names).index(name)] for name in INPUTS)
    return np.column_stack(
        [np.maximum(days - 1, 0) + 0 * first, np.maximum(first - last, 0), first]
    )
