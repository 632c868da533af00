"""What a customer is worth over the next 12 months, and how much of that is at risk.

Of a customer who stays, the money of one horizon is ``exp(log_money + line)``: a log-linear model
of recency, frequency and money, fitted so that the sum over customers is the sum that came. Twelve
months are ``reach`` horizons of such money: less than 365 / horizon, because some leave later.
One who leaves still brings ``return_share`` of it, by coming back. With the probability p of
leaving, a customer who would bring ``m`` in 12 months if they stay

- is expected to bring ``m × (1 − p × (1 − return_share))``;
- puts ``m × p × (1 − return_share)`` at risk: the two add up to ``m``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.calendar import Float64
from serving.models.churn.linear import LinearScore

MOST_LOG_MONEY = 40.0
"""Beyond e to this, in minor units, no money can be meant: keeps the exponential finite."""


@dataclass(frozen=True)
class ValueModel:
    """Expected money of customers.

    Attributes:
        names: The features it reads, in the order of the weights.
        line: Weights on the log-scaled features.
        log_money: Log of the minor units of one horizon at the training mean, of who stays.
        reach: Money of 12 months over that of one horizon, of who stays; at least 1.
        return_share: Money of 12 months of one who leaves, over that had they stayed, in [0, 1].
    """

    names: tuple[str, ...]
    line: LinearScore
    log_money: float
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
        >>> model = ValueModel(("spend",), line, np.log(100.0), 3.0, 0.2)
        >>> expected, at_risk = model.of({"spend": np.array([0.0, 1.0])}, np.array([0.0, 0.5]))
        >>> expected.round(6).tolist(), at_risk.round(6).tolist()
        ([300.0, 360.0], [0.0, 240.0])
        """
        kept = self.reach * self.of_one_horizon(columns)
        lost = probability * (1 - self.return_share)
        return kept * (1 - lost), kept * lost

    def of_one_horizon(self, columns: Mapping[str, Float64]) -> Float64:
        """Return the money of one horizon of customers who stay, float64[n], minor units."""
        features = np.column_stack([columns[name] for name in self.names])
        line = self.line.grouped(features, groups=np.ones((len(self.names), 1)))[:, 0]
        money: Float64 = np.exp(np.minimum(self.log_money + line, MOST_LOG_MONEY))
        return money

    def document(self) -> dict[str, Any]:
        """Return the model as JSON-ready values."""
        return {
            "names": list(self.names),
            "line": self.line.document(),
            "log_money": self.log_money,
            "reach": self.reach,
            "return_share": self.return_share,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> ValueModel:
        """Return the model that ``document`` gave."""
        return cls(
            names=tuple(document["names"]),
            line=LinearScore.from_document(document["line"]),
            log_money=float(document["log_money"]),
            reach=float(document["reach"]),
            return_share=float(document["return_share"]),
        )
