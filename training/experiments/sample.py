"""The customers of one experiment whose outcome is complete, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from features.calendar import Bool, Float64, Int64


@dataclass(frozen=True)
class Sample:
    """The customers of one experiment, arrays of n.

    Attributes:
        treated: Whether each was contacted, bool[n].
        share: Chance of being contacted that the draw gave, in (0, 1), float64[n].
        retained: 1.0 where a purchase or renewal followed within the horizon, float64[n].
        value: Money within the horizon, minor units, float64[n].
        names: Names of the features, k of them.
        features: Known before the decision, float64[n, k]; NaN where missing.
    """

    customer_ids: tuple[str, ...]
    treated: Bool
    share: Float64
    retained: Float64
    value: Float64
    names: tuple[str, ...]
    features: Float64

    def __len__(self) -> int:
        return len(self.treated)

    @property
    def weight(self) -> Float64:
        """One over the chance of the arm that each customer fell into, float64[n]."""
        chance: Float64 = np.where(self.treated, self.share, 1 - self.share)
        return 1 / chance

    def column(self, name: str) -> Float64 | None:
        """Return one feature, float64[n]; None where it is not there."""
        return self.features[:, self.names.index(name)] if name in self.names else None

    def smaller_arm(self) -> int:
        """Return how many customers the smaller arm has."""
        treated = int(self.treated.sum())
        return min(treated, len(self) - treated)

    def take(self, rows: Int64 | Bool) -> Self:
        """Return some of the customers."""
        places = np.arange(len(self))[rows]
        return type(self)(
            customer_ids=tuple(self.customer_ids[i] for i in places),
            treated=self.treated[places],
            share=self.share[places],
            retained=self.retained[places],
            value=self.value[places],
            names=self.names,
            features=self.features[places],
        )
