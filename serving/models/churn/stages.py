"""Where a customer stands: the stage of their life cycle, and a coarse segment of value.

Both are read off a few features against cut points stored in the bundle, so that a customer moves
when they buy or fall silent, and not because others did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from features.calendar import Bool, Float64

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
class Standing:
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

        Args:
            columns: Features by name, float64[n] each, NaN where missing; one that is not there
                counts as missing everywhere.
            probability: float64[n]; NaN for a customer whom the model does not judge.
            bought: Whether the customer ever bought, bool[n].

        >>> cuts = Standing(90, 180, 90, 0.5, 60, 4, 50_000)
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
        stage = np.full(n, STAGES.index("active"), dtype=np.int8)
        stage[probability >= self.at_risk_from] = STAGES.index("at_risk")
        back = exceeds(gap, self.gone_days) & ~exceeds(silent, self.won_back_days)
        stage[back] = STAGES.index("won_back")
        stage[~exceeds(first, self.new_days) & ~np.isnan(first)] = STAGES.index("new")
        stage[np.isnan(probability)] = STAGES.index("lapsed")
        stage[~bought] = STAGES.index("prospect")
        return stage

    def segment(self, columns: Mapping[str, Float64], *, bought: Bool) -> Any:
        """Return each customer's segment as an index into ``SEGMENTS``, int8[n].

        Args:
            columns: Features by name, as for ``stage``.
            bought: Whether the customer ever bought, bool[n].

        >>> cuts = Standing(90, 180, 90, 0.5, 60, 4, 50_000)
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
        segment = np.full(n, SEGMENTS.index("regular"), dtype=np.int8)
        days = _column(columns, DAYS_EVER, n)
        segment[~exceeds(days, 1) & ~np.isnan(days)] = SEGMENTS.index("one_time")
        segment[rich] = SEGMENTS.index("big_spender")
        segment[often] = SEGMENTS.index("loyal")
        segment[often & rich] = SEGMENTS.index("champion")
        slipping = exceeds(silent, self.recent_days)
        segment[slipping] = SEGMENTS.index("slipping")
        segment[slipping & (often | rich)] = SEGMENTS.index("slipping_valuable")
        dormant = exceeds(silent, self.gone_days)
        segment[dormant] = SEGMENTS.index("dormant")
        segment[dormant & (often | rich)] = SEGMENTS.index("dormant_valuable")
        segment[~bought] = SEGMENTS.index("no_purchase")
        return segment

    def document(self) -> dict[str, float]:
        """Return the cut points as JSON-ready values."""
        return asdict(self)


def exceeds(values: Float64, cut: float) -> Bool:
    """Return whether values are above a cut point by more than a hair; false for NaN.

    Days and counts often stand exactly on one, and the last bit must not decide there.
    """
    return values > cut * (1 + _HAIR)


def _reaches(values: Float64, cut: float) -> Bool:
    return values >= cut * (1 - _HAIR)


def _column(columns: Mapping[str, Float64], name: str, n: int) -> Float64:
    found = columns.get(name)
    return np.full(n, np.nan) if found is None else found
