"""Whether a feature is the label itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.calendar import Float64
from training.churn.data import AsOf
from training.leakage.rest import LEAST_ROWS, enough
from training.leakage.verdict import Verdict, leak, passed, unjudged

CHECK = "label among the features"


def judge_echo(date: AsOf, names: Sequence[str]) -> Verdict:
    """Judge whether a feature is the label itself: it splits the classes without a mistake."""
    if not enough(date):
        return unjudged(CHECK, f"fewer than {LEAST_ROWS} customers of either class")
    found = [name for i, name in enumerate(names) if _splits(date.features[:, i], date.churned)]
    if found:
        return leak(
            CHECK,
            f"{_names(found)} tells churners from stayers without one mistake",
            "leave it out: it was made from the label, or from what decides it",
            features=found,
            as_of=date.at.isoformat(),
        )
    return passed(CHECK, f"none of {len(names)} features equals the label")


def _splits(values: Float64, churned: Float64) -> bool:
    """Return whether the values of churners and of stayers stand apart, empty cells below all."""
    values = np.where(np.isnan(values), -np.inf, values)
    gone, stayed = values[churned == 1], values[churned == 0]
    return bool(gone.min() > stayed.max() or gone.max() < stayed.min())


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:6])
