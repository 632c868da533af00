"""A logistic regression on log-scaled features, as plain weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from features.calendar import Float64


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
