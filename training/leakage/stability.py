"""Whether a feature ranks the dates that are learnt from, and fails on a later one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from features.calendar import Float64
from training.churn.data import AsOf
from training.leakage.ranking import beyond_chance, difference
from training.leakage.rest import LEARNT_DATES, Judged, enough, silent_at
from training.leakage.verdict import Verdict, leak, passed, unjudged

LATER_DATES = "strength on later dates"
DROP = 0.10
"""AUC that a column may lose from the dates learnt from to a later one."""


def judge_stability(judged: Judged) -> Verdict:
    """Judge whether a feature that ranks well on dates learnt from fails on a later one."""
    dates = [date for date in judged.earlier[:LEARNT_DATES] if enough(date)]
    if not dates or not enough(judged.date):
        return unjudged(LATER_DATES, "no earlier date had complete labels of both classes")
    fallen, drops = [], []
    limit = beyond_chance(len(judged.names))
    for i, name in enumerate(judged.names):
        later, later_error = _directed(judged.date, i)
        early = [_directed(date, i) for date in dates]
        past = [abs(_of_past(date, i, judged.names)) for date in dates]
        mean = float(np.mean([value for value, _ in early]))
        # One customer stands at several dates, so their errors do not average out.
        error = math.hypot(float(np.mean([error for _, error in early])), later_error)
        drop = abs(mean) - abs(later) if mean * later > 0 else abs(mean)
        drops.append(drop)
        if drop > max(DROP, limit * error) and abs(mean) > float(np.mean(past)):
            fallen.append({"feature": name, "learnt": 0.5 + abs(mean), "later": 0.5 + abs(later)})
    evidence = {"as_of": judged.date.at.isoformat(), "largest_drop": max(drops), "limit": DROP}
    if fallen:
        text = ", ".join(
            f"`{f['feature']}` (AUC {f['learnt']:.2f}, then {f['later']:.2f})" for f in fallen[:4]
        )
        return leak(
            LATER_DATES,
            f"ranks the dates learnt from and not the next: {text}",
            "an encoding or a mean was made from the labels that it should foretell: fit it anew "
            "for each as-of, from labels complete by then",
            features=fallen,
            **evidence,
        )
    return passed(LATER_DATES, f"no feature loses more than {max(drops):.3f} AUC", **evidence)


def _directed(date: AsOf, column: int) -> tuple[float, float]:
    """Return a column's AUC less one half, with its sign, and its standard error."""
    values = _filled(date.features[:, column])
    flat = np.zeros(len(values))
    return difference(date.churned, values, flat)


def _of_past(date: AsOf, column: int, names: Sequence[str]) -> float:
    """Return the same of a column for those who had been silent."""
    silent = silent_at(date, names)
    if not 0 < silent.sum() < len(silent):
        return 0.0
    return difference(silent, _filled(date.features[:, column]), np.zeros(len(silent)))[0]


def _filled(values: Float64) -> Float64:
    known = values[~np.isnan(values)]
    return np.where(np.isnan(values), np.median(known) if len(known) else 0.0, values)
