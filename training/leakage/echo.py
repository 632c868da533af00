"""Whether a feature is the label itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.calendar import Float64
from training.churn.data import AsOf
from training.leakage.rest import LEAST_ROWS, enough
from training.leakage.verdict import Verdict, leak, passed, unjudged

ECHO = "label among the features"


def judge_echo(date: AsOf, names: Sequence[str]) -> Verdict:
    """Judge whether a feature is the label itself: it splits the classes without a mistake."""
    if not enough(date):
        return unjudged(ECHO, f"fewer than {LEAST_ROWS} customers of either class")
    echoes = [name for i, name in enumerate(names) if _splits(date.features[:, i], date.churned)]
    if echoes:
        listed = ", ".join(f"`{name}`" for name in echoes[:6])
        return leak(
            ECHO,
            f"{listed} tells churners from stayers without one mistake",
            "leave it out: it was made from the label, or from what decides it",
            features=echoes,
            as_of=date.at.isoformat(),
        )
    return passed(ECHO, f"none of {len(names)} features equals the label")


def _splits(values: Float64, churned: Float64) -> bool:
    """Return whether the values of churners and of stayers stand apart, empty cells below all."""
    values = np.where(np.isnan(values), -np.inf, values)
    gone, stayed = values[churned == 1], values[churned == 0]
    return bool(gone.min() > stayed.max() or gone.max() < stayed.min())
