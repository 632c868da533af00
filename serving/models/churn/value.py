"""What a customer is worth, and where they stand: life-cycle stage and segment.

Both are read off a few features against cut points stored in the bundle, so that a customer moves
when they buy or fall silent, and not because others did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from features.arrays import Bool, Float64
from serving.models.churn.learners import LinearScore

YEAR_DAYS = 365
MOST_CORRECTION = 30.0
"""Beyond e to this no correction can be meant: keeps the exponential finite."""


@dataclass(frozen=True)
class PurchaseRate:
    """What a customer spends in one horizon, by what they spent so far.

    Attributes:
        spend: The feature that holds the money of the last 365 days, minor units.
        since: The feature that holds the days since the first purchase.
        least_minor: Least pace, minor units a horizon, above 0: who spent nothing yet may still.
    """

    spend: str
    since: str
    horizon_days: float
    least_minor: float

    def of(self, columns: Mapping[str, Float64]) -> Float64:
        """Return the pace of customers, float64[n], minor units a horizon.

        >>> pace = PurchaseRate("spend", "since", horizon_days=90, least_minor=1.0)
        >>> columns = {"spend": np.array([900.0, 900.0, 900.0, 0.0]),
        ...            "since": np.array([10.0, 180.0, 3650.0, 30.0])}
        >>> pace.of(columns).round(1).tolist()
        [900.0, 450.0, 221.9, 1.0]
        """
        days = np.clip(columns[self.since], self.horizon_days, YEAR_DAYS)
        return np.maximum(columns[self.spend] * self.horizon_days / days, self.least_minor)


@dataclass(frozen=True)
class ValueModel:
    """Expected money of customers.

    Attributes:
        names: The features that correct it, in the order of the weights.
        line: Weights on the log-scaled features.
        log_level: Log of what one horizon brings of the pace, at the training mean.
        reach: Money of 12 months over that of one horizon, of who stays; at least 1.
        return_share: Money of 12 months of one who leaves, over that had they stayed, in [0, 1].
    """

    pace: PurchaseRate
    names: tuple[str, ...]
    line: LinearScore
    log_level: float
    reach: float
    return_share: float

    def of(self, columns: Mapping[str, Float64], probability: Float64) -> tuple[Float64, Float64]:
        """Return what customers are expected to bring over 12 months, and what is at risk of it.

        Args:
            columns: Features by name, float64[n] each, NaN where missing.
            probability: Of leaving, float64[n]; NaN for a customer who is not judged.

        Returns:
            ``(expected_value, value_at_risk)``, float64[n] each, minor units, at least 0; NaN
            where the probability is.

        Raises:
            KeyError: A feature is not there.

        >>> line = LinearScore(*(np.array([x]) for x in (0.0, 1.0, 1.0, 0.0, 0.0)))
        >>> pace = PurchaseRate("spend", "since", horizon_days=90, least_minor=1.0)
        >>> model = ValueModel(pace, ("extra",), line, 0.0, reach=3.0, return_share=0.2)
        >>> columns = {"spend": np.full(2, 100.0), "since": np.full(2, 9.0),
        ...            "extra": np.array([0.0, 1.0])}
        >>> expected, at_risk = model.of(columns, np.array([0.0, 0.5]))
        >>> expected.round(6).tolist(), at_risk.round(6).tolist()
        ([300.0, 360.0], [0.0, 240.0])
        """
        kept = self.reach * self.of_one_horizon(columns)
        lost = probability * (1 - self.return_share)
        return kept * (1 - lost), kept * lost

    def of_one_horizon(self, columns: Mapping[str, Float64]) -> Float64:
        """Return the money of one horizon of customers who stay, float64[n], minor units."""
        pace = self.pace.of(columns)
        features = np.column_stack([columns[name] for name in self.names])
        correction = np.clip(
            self.log_level + self.line.score(features), -MOST_CORRECTION, MOST_CORRECTION
        )
        money: Float64 = pace * np.exp(correction)
        return money

    def document(self) -> dict[str, Any]:
        """Return the model as JSON-ready values."""
        return {
            "pace": asdict(self.pace),
            "names": list(self.names),
            "line": self.line.document(),
            "log_level": self.log_level,
            "reach": self.reach,
            "return_share": self.return_share,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> ValueModel:
        """Return the model that ``document`` gave."""
        return cls(
            pace=PurchaseRate(**document["pace"]),
            names=tuple(document["names"]),
            line=LinearScore.from_document(document["line"]),
            log_level=float(document["log_level"]),
            reach=float(document["reach"]),
            return_share=float(document["return_share"]),
        )


STAGES = ("new", "active", "at_risk", "lapsed", "won_back", "prospect")
SEGMENTS = (
    "champion",
    "loyal",
    "big_spender",
    "regular",
    "one_time",
    "slipping_valuable",
    "slipping",
    "dormant_valuable",
    "dormant",
    "no_purchase",
)
_HAIR = 1e-5
RECENCY = "purchase_recency_days"
FIRST = "purchase_first_days"
LAST_GAP = "gap_days_last"
FREQUENCY = "purchases_365d"
DAYS_EVER = "purchase_days_ever"
MONEY = "spend_minor_365d"


@dataclass(frozen=True)
class Segmentation:
    """The cut points of stages and segments.

    Attributes:
        new_days: A customer is new whose first purchase lies at most this many days back.
        gone_days: A customer who was silent for longer than this has left; one who then bought is
            won back.
        won_back_days: For this many days after that purchase.
        at_risk_from: Least probability of a customer at risk.
        recent_days: Silence in days up to which a customer is no slipping one.
        often_purchases: Purchases in 365 days from which a customer buys often.
        valuable_minor: Money in 365 days, minor units, from which a customer is valuable.
    """

    new_days: float
    gone_days: float
    won_back_days: float
    at_risk_from: float
    recent_days: float
    often_purchases: float
    valuable_minor: float

    def stage(self, columns: Mapping[str, Float64], *, probability: Float64, bought: Bool) -> Any:
        """Return each customer's stage as an index into ``STAGES``, int8[n].

        ``columns`` are features by name, float64[n], NaN where missing; one that is not there
        counts as missing. ``probability``, float64[n], is NaN for a customer who is not judged.

        >>> cuts = Segmentation(90, 180, 90, 0.5, 60, 4, 50_000)
        >>> columns = {"purchase_first_days": np.array([20.0, 400, 400, 400, 400, np.nan]),
        ...            "purchase_recency_days": np.array([20.0, 30, 90, 300, 10, np.nan]),
        ...            "gap_days_last": np.array([np.nan, 40, 40, 40, 200, np.nan])}
        >>> chance = np.array([0.6, 0.2, 0.7, np.nan, 0.2, np.nan])
        >>> bought = np.array([True] * 5 + [False])
        >>> [STAGES[i] for i in cuts.stage(columns, probability=chance, bought=bought)]
        ['new', 'active', 'at_risk', 'lapsed', 'won_back', 'prospect']
        """
        n = len(probability)
        first, silent, gap = (_column(columns, name, n) for name in (FIRST, RECENCY, LAST_GAP))
        first_that_fits = {
            "prospect": ~bought,
            "lapsed": np.isnan(probability),
            "new": ~exceeds(first, self.new_days) & ~np.isnan(first),
            "won_back": exceeds(gap, self.gone_days) & ~exceeds(silent, self.won_back_days),
            "at_risk": probability >= self.at_risk_from,
        }
        return _coded(first_that_fits, "active", STAGES)

    def segment(self, columns: Mapping[str, Float64], *, bought: Bool) -> Any:
        """Return each customer's segment as an index into ``SEGMENTS``, int8[n].

        >>> cuts = Segmentation(90, 180, 90, 0.5, 60, 4, 50_000)
        >>> columns = {"purchase_recency_days": np.array([5.0, 5, 5, 5, 5, 90, 90, 300]),
        ...            "purchases_365d": np.array([9.0, 9, 2, 2, 1, 9, 2, 1]),
        ...            "purchase_days_ever": np.array([9.0, 9, 2, 2, 1, 9, 2, 3]),
        ...            "spend_minor_365d": np.array([9e4, 10, 9e4, 10, 10, 10, 10, 0])}
        >>> found = cuts.segment(columns, bought=np.full(8, True))
        >>> [SEGMENTS[i] for i in found[:5]]
        ['champion', 'loyal', 'big_spender', 'regular', 'one_time']
        >>> [SEGMENTS[i] for i in found[5:]]
        ['slipping_valuable', 'slipping', 'dormant']
        """
        n = len(bought)
        silent = _column(columns, RECENCY, n)
        often = _reaches(_column(columns, FREQUENCY, n), self.often_purchases)
        rich = _reaches(_column(columns, MONEY, n), self.valuable_minor)
        days = _column(columns, DAYS_EVER, n)
        slipping = exceeds(silent, self.recent_days)
        dormant = exceeds(silent, self.gone_days)
        first_that_fits = {
            "no_purchase": ~bought,
            "dormant_valuable": dormant & (often | rich),
            "dormant": dormant,
            "slipping_valuable": slipping & (often | rich),
            "slipping": slipping,
            "champion": often & rich,
            "loyal": often,
            "big_spender": rich,
            "one_time": ~exceeds(days, 1) & ~np.isnan(days),
        }
        return _coded(first_that_fits, "regular", SEGMENTS)

    def document(self) -> dict[str, float]:
        """Return the cut points as JSON-ready values."""
        return asdict(self)


def exceeds(values: Float64, cut: float) -> Bool:
    """Return whether values are above a cut point by more than a hair; false for NaN.

    Days and counts often stand exactly on one, and the last bit must not decide there.
    """
    return values > cut * (1 + _HAIR)


def _coded(cases: Mapping[str, Bool], otherwise: str, words: Sequence[str]) -> Any:
    """Return the first case that fits each customer, as an index into words, int8[n]."""
    codes = [words.index(word) for word in cases]
    return np.select(list(cases.values()), codes, words.index(otherwise)).astype(np.int8)


def _reaches(values: Float64, cut: float) -> Bool:
    return values >= cut * (1 - _HAIR)


def _column(columns: Mapping[str, Float64], name: str, n: int) -> Float64:
    return columns.get(name, np.full(n, np.nan))
