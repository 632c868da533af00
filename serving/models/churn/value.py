"""What a customer is worth over the next 12 months, and how much of that is at risk.

Of a customer who stays, a horizon brings ``pace × exp(log_level + line)`` and 12 months ``reach``
times that, ``m``; one who leaves still brings ``return_share`` of it. With probability p of leaving
``m × p × (1 − return_share)`` is at risk, and the rest of ``m`` is expected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from features.calendar import Float64
from serving.models.churn.linear import LinearScore

YEAR_DAYS = 365
MOST_CORRECTION = 30.0
"""Beyond e to this no correction can be meant: keeps the exponential finite."""


@dataclass(frozen=True)
class Pace:
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

        >>> pace = Pace("spend", "since", horizon_days=90, least_minor=1.0)
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

    pace: Pace
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
        >>> pace = Pace("spend", "since", horizon_days=90, least_minor=1.0)
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
            pace=Pace(**document["pace"]),
            names=tuple(document["names"]),
            line=LinearScore.from_document(document["line"]),
            log_level=float(document["log_level"]),
            reach=float(document["reach"]),
            return_share=float(document["return_share"]),
        )
