"""A horizon and a span of activity, proposed from the gaps between customers' own purchases."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from features.errors import ContractError, TooLittleDataError
from training.models.churn.history import RECENCY, ChurnSource
from training.service.patience import kaplan_meier

LAST_GAP = "gap_days_last"
HORIZON_SHARE, ACTIVE_SHARE = 0.75, 0.9
"""Of the gaps that end at all, the shares that end within the horizon and the span of activity."""
STEP_DAYS = 15
LEAST_GAPS = 50
_MOST_HORIZON, _MOST_ACTIVE = 365, 730


@dataclass(frozen=True)
class Proposal:
    """A definition of churn that fits a centre's own rhythm.

    Attributes:
        ended: Gaps between purchases that have ended: the last of each customer.
        open: Silences that go on: one a customer.
        median_days: Half of the gaps that end at all have ended by then.
        horizon_quantile_days: The same of ``HORIZON_SHARE``, not rounded.
        active_quantile_days: The same of ``ACTIVE_SHARE``, not rounded.
        returning: Share of purchases that another follows, as far as history reaches.
    """

    horizon_days: int
    active_days: int
    ended: int
    open: int
    median_days: float
    horizon_quantile_days: float
    active_quantile_days: float
    returning: float

    @property
    def why(self) -> str:
        """The reason in words."""
        return (
            f"of the gaps between purchases that end at all, half end within "
            f"{self.median_days:.0f} days, {HORIZON_SHARE:.0%} within "
            f"{self.horizon_quantile_days:.0f} and {ACTIVE_SHARE:.0%} within "
            f"{self.active_quantile_days:.0f} ({self.ended} gaps that ended and {self.open} "
            f"silences that go on; {self.returning:.0%} of purchases are followed by another). "
            f"Silence beyond {self.horizon_days} days is unusual, and beyond {self.active_days} "
            "days there is hardly anybody left to keep"
        )


def propose(source: ChurnSource, *, as_of: datetime) -> Proposal:
    """Propose a definition from what was known at a moment.

    A silence that goes on is a gap of which only the least length is known: the distribution is
    that of Kaplan and Meier, so that slow customers are not left out.

    Raises:
        ContractError: The features lack the last gap.
        TooLittleDataError: Fewer than ``LEAST_GAPS`` customers bought on two days.
    """
    frame = source.customers([as_of]).to_pandas()
    for name in (RECENCY, LAST_GAP):
        if name not in frame.columns:
            raise ContractError(
                "customer features",
                got=f"no `{name}`",
                expected="the features of `features.customers.features`",
                remedy="build the features with this version",
            )
    ended = frame[LAST_GAP].dropna().to_numpy(dtype=float)
    still = frame[RECENCY].dropna().to_numpy(dtype=float)
    if len(ended) < LEAST_GAPS:
        raise TooLittleDataError(
            "gaps between purchases to propose a definition from",
            got=f"{len(ended)} customers with purchases on two days",
            expected=f"at least {LEAST_GAPS}",
            remedy="load a longer history of `purchases`, or set `horizon_days` by hand",
        )
    ends = np.repeat([True, False], [len(ended), len(still)])
    gaps = kaplan_meier(np.concatenate([ended, still]), ends)
    days, share = gaps.seconds, 1 - gaps.share
    half, most, nearly = (
        float(days[np.searchsorted(share, q * share[-1])])
        for q in (0.5, HORIZON_SHARE, ACTIVE_SHARE)
    )
    horizon = _rounded(most, limit=_MOST_HORIZON)
    return Proposal(
        horizon_days=horizon,
        active_days=max(_rounded(nearly, limit=_MOST_ACTIVE), horizon),
        ended=len(ended),
        open=len(still),
        median_days=half,
        horizon_quantile_days=most,
        active_quantile_days=nearly,
        returning=float(share[-1]),
    )


def _rounded(days: float, *, limit: int) -> int:
    return int(min(max(STEP_DAYS * math.ceil(days / STEP_DAYS), STEP_DAYS), limit))
