"""How well one column ranks churners, alone and beside a score, and what chance allows.

Customers fall into two halves, and what is learnt on one is measured on the other.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from features.calendar import Float64, Int64
from serving.models.shrinkage import shrink

BINS = 10
CHANCE = 1e-4
"""Chance of a false alarm in one audit, shared by all columns judged."""
_SEED = 17
_PRIOR_ROWS = 2.0


def alone(values: Float64, churned: Float64) -> Float64:
    """Return a column's own score of each customer: the churn rate of its bin, out of fold.

    A bin holds a tenth of the customers, or one value where there are few; empty cells are a bin.

    ``values`` is float64[n], NaN where empty; ``churned`` 0 or 1, float64[n].
    """
    place = bins(values)
    half = _halves(len(churned))
    score = np.empty(len(churned))
    for side in (0, 1):
        learn = half != side
        base = float(churned[learn].mean())
        n = np.bincount(place[learn], minlength=place.max() + 1)
        hits = np.bincount(place[learn], weights=churned[learn], minlength=place.max() + 1)
        rate = shrink(hits, weight=n, prior=base, prior_weight=_PRIOR_ROWS)
        score[~learn] = rate[place[~learn]] - base
    return score


def beside(values: Float64, churned: Float64, *, score: Float64) -> Float64:
    """Return a score of each customer from a score and a column together, out of fold.

    ``score``, float64[n], was learnt elsewhere; the rest is as for ``alone``.
    """
    place = bins(values)
    spread = float(score.std()) or 1.0
    design = np.column_stack(
        [(score - score.mean()) / spread, place[:, None] == np.arange(place.max() + 1)]
    ).astype(float)
    half = _halves(len(churned))
    together = np.empty(len(churned))
    for side in (0, 1):
        learn = half != side
        model = LogisticRegression(C=1.0, solver="newton-cholesky").fit(
            design[learn], churned[learn]
        )
        together[~learn] = model.decision_function(design[~learn]) - model.intercept_[0]
    return together


def bins(values: Float64) -> Int64:
    """Return the bin of each value, int64[n]: tenths, single values where few; empty ones last.

    >>> bins(np.array([3.0, 1.0, np.nan, 1.0])).tolist()
    [1, 0, 2, 0]
    """
    empty = np.isnan(values)
    known, place = np.unique(values[~empty], return_inverse=True)
    if len(known) > BINS:
        edges = np.unique(np.quantile(values[~empty], np.arange(1, BINS) / BINS))
        place = np.searchsorted(edges, values[~empty], side="right")
    binned = np.full(len(values), int(place.max(initial=-1)) + 1, dtype=np.int64)
    binned[~empty] = place
    return binned


def strength(values: Float64, churned: Float64) -> float:
    """Return the AUC of a column alone, out of fold: 0.5 says nothing."""
    return float(roc_auc_score(churned, alone(values, churned)))


def difference(churned: Float64, one: Float64, other: Float64) -> tuple[float, float]:
    """Return by how much one score's AUC is above another's, and its standard error.

    DeLong, DeLong and Clarke-Pearson 1988, for two scores of the same customers, float64[n].

    >>> y = np.array([0, 0, 1, 1.0])
    >>> difference(y, np.array([1, 2, 3, 4.0]), np.array([1, 3, 2, 4.0]))[0]
    0.25
    """
    first, second = _placements(churned, one), _placements(churned, other)
    parts = [a - b for a, b in zip(first, second, strict=True)]
    gain = float(parts[0].mean())
    variance = sum(float(part.var(ddof=1)) / len(part) if len(part) > 1 else 0.0 for part in parts)
    return gain, float(np.sqrt(variance))


def beyond_chance(columns: int) -> float:
    """Return how many standard errors are beyond chance where so many columns are judged."""
    return float(ndtri(1 - CHANCE / max(columns, 1)))


def _placements(churned: Float64, score: Float64) -> tuple[Float64, Float64]:
    """Return, for each churner and each stayer, the share of the others ranked as they should."""
    positive, negative = score[churned == 1], score[churned == 0]
    m, n = len(positive), len(negative)
    ranks = rankdata(np.r_[positive, negative])
    below = (ranks[:m] - rankdata(positive)) / n
    above = 1 - (ranks[m:] - rankdata(negative)) / m
    return below, above


def _halves(n: int) -> Int64:
    return np.random.default_rng([_SEED, n]).permutation(n) % 2
