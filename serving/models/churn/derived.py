"""What the learners see of a customer beside the features, worked out from these alone.

Training and serving share it; a customer's derived columns need no other customer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.calendar import Float64
from serving.models.churn.btyd import INPUTS, BuyTillYouDie, history_of

DERIVED = (
    "btyd_alive",
    "btyd_purchases",
    "silence_days",
    "silence_purchases",
    "silence_contacts",
)
"""The chance that he still buys; purchase days expected ahead; days since his last trace, purchase
or contact; and how many purchases and contacts he would have made in them at his own pace."""
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

        frequency, last, age = history_of(features, names=names).T
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
