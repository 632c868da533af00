"""The learners of the churn model: logistic regression, boosted trees, and BG/NBD inputs.

The modified BG/NBD model: an active customer buys at rate L and stops after any purchase, the first
included, with chance p; over customers L is gamma(r, alpha) and p beta(a, b).

Sources: Fader, Hardie and Lee, "Counting your customers the easy way" (2005); Batislam, Denizel
and Filiztekin, "Empirical validation and comparison of models for customer base analysis" (2007).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from scipy.special import logit

from features.arrays import Bool, Float64, Int64

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

        Who is alive stops at a purchase at the earliest, so only the pace counts until then.

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


def purchase_histories(features: Float64, *, names: Sequence[str]) -> Float64:
    """Return frequency, recency and age of each customer, float64[n, 3]; NaN who never bought.

    ``features``: float64[n, k].
    """
    days, last, first = (features[:, list(names).index(name)] for name in INPUTS)
    return np.column_stack(
        [np.maximum(days - 1, 0) + 0 * first, np.maximum(first - last, 0), first]
    )


DERIVED = (
    "btyd_alive",
    "btyd_purchases",
    "silence_days",
    "silence_purchases",
    "silence_contacts",
)
"""The chance that the customer still buys; purchase days expected ahead; days since the last
purchase or contact; and the purchases and contacts expected in them at the customer's own pace."""
_LAST_CONTACT, _CONTACTS, _TENURE = "contact_recency_days", "contacts_ever", "tenure_days"
_CONTACT_PRIOR_DAYS = 60.0
"""A customer's own pace of contacts is drawn to one in so many days."""


@dataclass(frozen=True)
class Derived:
    """How derived columns are worked out.

    Attributes:
        ahead_days: Days that purchases are expected over.
    """

    btyd: BuyTillYouDie
    ahead_days: float

    def joined(self, features: Float64, *, names: Sequence[str]) -> Float64:
        """Return the features with the columns ``DERIVED`` behind them, float64[n, k + 5].

        ``features``: float64[n, k], NaN where missing.
        """
        where = {name: j for j, name in enumerate(names)}

        def column(name: str) -> Float64:
            return features[:, where[name]] if name in where else np.full(len(features), np.nan)

        frequency, last, age = purchase_histories(features, names=names).T
        alive = self.btyd.p_alive(frequency, last, age)
        ahead = self.btyd.purchases_if_alive(frequency, age, self.ahead_days)
        # The lesser of both, and the other where one is missing.
        silence = np.fmin(column(INPUTS[1]), column(_LAST_CONTACT))
        purchases = (self.btyd.r + frequency) / (self.btyd.alpha + last)
        contacts = (column(_CONTACTS) + 1) / (column(_TENURE) + _CONTACT_PRIOR_DAYS)
        return np.column_stack(
            [features, alive, alive * ahead, silence, silence * purchases, silence * contacts]
        )

    def document(self) -> dict[str, Any]:
        """Return the parameters, JSON-ready."""
        return {"btyd": self.btyd.document(), "ahead_days": self.ahead_days}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Derived:
        """Return what ``document`` gave."""
        return cls(BuyTillYouDie.from_document(document["btyd"]), float(document["ahead_days"]))


def log_scaled(values: Float64) -> Float64:
    """Return sign(x) log(1 + |x|): counts and money on a scale where ratios count.

    >>> log_scaled(np.array([0.0, np.e - 1, 1 - np.e])).round(6).tolist()
    [0.0, 1.0, -1.0]
    """
    scaled: Float64 = np.sign(values) * np.log1p(np.abs(values))
    return scaled


@dataclass(frozen=True)
class LinearScore:
    """Weights over k features; a customer at the training mean scores 0.

    Attributes:
        mean: Mean of each log-scaled feature, float64[k].
        scale: Its standard deviation, float64[k]; 1 where it is constant.
        weight: Log-odds a standard deviation, float64[k].
        missing_share: Share of rows in which the feature is missing, float64[k].
        missing_weight: Log-odds for being missing, float64[k].
    """

    mean: Float64
    scale: Float64
    weight: Float64
    missing_share: Float64
    missing_weight: Float64

    CLIP = 6.0
    """Standard deviations beyond which a value counts no more: no wild extrapolation."""

    def design(self, features: Float64) -> tuple[Float64, Float64]:
        """Return the standardised values and the centred missing marks.

        Args:
            features: float64[n, k], NaN where missing.

        Returns:
            Two float64[n, k]; a missing value stands at the mean of the first.
        """
        missing = np.isnan(features)
        values = (log_scaled(features) - self.mean) / self.scale
        np.clip(values, -self.CLIP, self.CLIP, out=values)
        values[missing] = 0.0
        return values, missing - self.missing_share

    def grouped(self, features: Float64, *, groups: Float64) -> Float64:
        """Return what each group of features adds to the log-odds, float64[n, g].

        Args:
            features: float64[n, k].
            groups: float64[k, g], 1 where the feature is of the group.
        """
        values, missing = self.design(features)
        return np.asarray(
            values @ (self.weight[:, None] * groups)
            + missing @ (self.missing_weight[:, None] * groups)
        )

    def score(self, features: Float64) -> Float64:
        """Return the log-odds of all features together, float64[n]."""
        return self.grouped(features, groups=np.ones((len(self.weight), 1)))[:, 0]

    def document(self) -> dict[str, list[float]]:
        """Return the weights as JSON-ready lists."""
        return {field.name: getattr(self, field.name).tolist() for field in fields(self)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> LinearScore:
        """Return the weights that ``document`` gave."""
        return cls(**{name: np.array(values, dtype=float) for name, values in document.items()})


MAX_SPLITS = 9
"""Splits in one tree; a table has 2 to that many rows."""


@dataclass(frozen=True)
class TreeTables:
    """An ensemble of t trees with at most s splits each over k features in g groups.

    A row's pattern in a tree is the sum of 2^b over the splits b that send it left.

    Attributes:
        feature: Index of each split's feature, int64[t, s]; -1 where a tree has fewer splits.
        threshold: A value at most this goes left, float64[t, s].
        missing_left: Whether a missing value goes left, bool[t, s].
        table: float64[t, 2^s, g + 1]: what each group adds to the tree's mean output under each
            pattern, then the tree's output.
        base: The sum of the trees' mean outputs.
    """

    feature: Int64
    threshold: Float64
    missing_left: Bool
    table: Float64
    base: float

    def of(self, columns: Float64) -> tuple[Float64, Float64]:
        """Return what each group adds and the raw score of each row.

        Args:
            columns: float64[k, n], one row of memory a feature, NaN where missing.

        Returns:
            ``(groups, raw)``: float64[n, g] and float64[n], in log-odds; for every row
            ``base + groups.sum() == raw``.
        """
        rows = columns.shape[1]
        total = np.zeros((rows, self.table.shape[2]))
        term = np.empty_like(total)
        pattern = np.empty(rows, dtype=np.int64)
        for features, thresholds, lefts, table in zip(
            self.feature, self.threshold, self.missing_left, self.table, strict=True
        ):
            pattern[:] = 0
            for bit in range(int((features >= 0).sum())):
                column = columns[features[bit]]
                # A comparison with NaN is false, so the side asked for decides where it goes.
                left = ~(column > thresholds[bit]) if lefts[bit] else column <= thresholds[bit]
                pattern += left.astype(np.int64) << bit
            np.take(table, pattern, axis=0, out=term)
            total += term
        return total[:, :-1], total[:, -1]

    def arrays(self) -> dict[str, Any]:
        """Return the arrays to store with ``numpy.savez``."""
        return {
            "feature": self.feature,
            "threshold": self.threshold,
            "missing_left": self.missing_left,
            "table": self.table,
            "base": np.float64(self.base),
        }

    @classmethod
    def from_arrays(cls, stored: Mapping[str, Any]) -> TreeTables:
        """Return the tables that ``arrays`` gave."""
        return cls(
            feature=stored["feature"],
            threshold=stored["threshold"],
            missing_left=stored["missing_left"],
            table=stored["table"],
            base=float(stored["base"]),
        )


def log_odds(rate: float) -> float:
    """Return the log-odds of a share, which is kept off 0 and 1.

    >>> log_odds(0.5)
    0.0
    """
    return float(logit(np.clip(rate, 1e-6, 1 - 1e-6)))
