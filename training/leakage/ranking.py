"""How well one column ranks churners, alone and beside a score, and what chance allows.

Customers fall into two halves, and what is learnt on one is measured on the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import lightgbm as lgb
import numpy as np
import pandas as pd
from scipy.special import logit, ndtri
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from features.arrays import Bool, Float64, Int64
from serving.models.churn.learners import log_scaled
from serving.models.shrinkage import shrink
from training.config import ChurnConfig
from training.leakage import Verdict, leak, passed
from training.models.churn.history import KEYS, RECENCY, ChurnSource, GridDate, labelled
from training.models.churn.learners import blank_linear

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
        inside, count = place[learn], place.max() + 1
        n: Float64 = np.bincount(inside, minlength=count).astype(np.float64)
        hits: Float64 = np.bincount(inside, churned[learn], count).astype(np.float64)
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


ONE_ROW = "one row a customer and date"


def read_date(
    source: ChurnSource, at: datetime, *, names: Sequence[str], config: ChurnConfig
) -> tuple[GridDate, list[Probe], Verdict]:
    """Return a date's population, its orders, and whether each customer stands once."""
    rows = source.customers([at]).to_pandas()
    labels = labelled(source, [at], config).to_pandas()
    rows["row"] = np.arange(len(rows), dtype=float)
    labels["label_row"] = np.arange(len(labels), dtype=float)
    twice = int(rows[KEYS[0]].duplicated().sum() + labels[KEYS[0]].duplicated().sum())
    both = rows.merge(labels[[KEYS[0], "churned", "label_row"]], on=KEYS[0])
    if len(both) > config.rows_per_date:
        both = both.sample(config.rows_per_date, random_state=config.seed)
    date = GridDate(
        at=at,
        features=both[list(names)].to_numpy(dtype=float),
        churned=both["churned"].to_numpy(dtype=float),
        population=len(labels),
        pace=None,
    )
    return date, _orders(both), _once(at, twice)


def _once(at: datetime, twice: int) -> Verdict:
    if twice:
        return leak(
            ONE_ROW,
            f"as of {at:%Y-%m-%d}, {twice:,} rows repeat a customer",
            "join what is added one row a customer, so that no customer counts twice",
            rows=twice,
        )
    return passed(ONE_ROW, f"each customer stands once as of {at:%Y-%m-%d}")


def _orders(rows: pd.DataFrame) -> list[Probe]:
    """Return the orders that customers stand in, those that are equal once."""
    ids = rows[KEYS[0]]
    digits = pd.to_numeric(ids.str.extract(r"(\d{1,15})\D*$")[0], errors="coerce")
    orders = {
        "order of ids": ids.rank(method="dense"),
        "number in the ids": digits,
        "order of rows": rows["row"],
        "order of label rows": rows["label_row"],
    }
    found: dict[bytes, Probe] = {}
    for name, values in orders.items():
        place: Float64 = values.rank(method="dense").to_numpy().astype(np.float64)
        found.setdefault(place.tobytes(), Probe(ORDER, name, place, None))
    return list(found.values())


LEAST_ROWS = 40
"""Fewest customers of either class that a ranking is judged on."""
ROWS_A_DATE = 4_000
LEARNT_DATES = 4
_SAMPLE_SEED = 23
_TREES = {
    "objective": "binary",
    "num_leaves": 8,
    "learning_rate": 0.08,
    "min_data_in_leaf": 30,
    "feature_fraction": 0.5,
    "lambda_l2": 5.0,
    "num_threads": 1,
    "seed": _SAMPLE_SEED,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
_ROUNDS = 60


@dataclass(frozen=True)
class Judged:
    """A later date that columns are judged at, and the earlier ones that a model learns from.

    Attributes:
        earlier: Dates whose labels were complete by then, the most recent first.
    """

    date: GridDate
    earlier: tuple[GridDate, ...]
    names: tuple[str, ...]

    @property
    def silent(self) -> Float64:
        """1 where the customer had been silent for long at the date, else 0, float64[n]."""
        return silent_at(self.date, self.names)


def rest_score(judged: Judged, kept: Bool) -> Float64:
    """Return the ranks of a model of the ``kept`` features, bool[k], learnt on earlier dates."""
    dates = [
        (date, _some_rows(date)) for date in judged.earlier[:LEARNT_DATES] if date.both_classes
    ]
    if not dates or not kept.any():
        return np.zeros(len(judged.date.churned))
    features = np.concatenate([date.features[rows] for date, rows in dates])[:, kept]
    churned = np.concatenate([date.churned[rows] for date, rows in dates])
    offset = np.concatenate([np.full(len(rows), logit(date.base_rate)) for date, rows in dates])
    later = judged.date.features[:, kept]
    booster = lgb.train(_TREES, lgb.Dataset(features, churned, init_score=offset), _ROUNDS)
    trees = np.asarray(booster.predict(later, raw_score=True, num_threads=1))
    line = _line(features, churned, later)
    return np.asarray(rankdata(trees) + rankdata(line), dtype=np.float64)


def _line(features: Float64, churned: Float64, later: Float64) -> Float64:
    blank = blank_linear(features)

    def design(rows: Float64) -> Float64:
        empty = np.isnan(rows)
        scaled = (log_scaled(rows) - blank.mean) / blank.scale
        return np.hstack([np.where(empty, 0.0, scaled), empty])

    model = LogisticRegression(C=0.05, solver="newton-cholesky").fit(design(features), churned)
    return np.asarray(model.decision_function(design(later)))


def silent_at(date: GridDate, names: Sequence[str]) -> Float64:
    """Return 1 where a customer had been silent for longer than half of all, else 0."""
    recency = date.features[:, names.index(RECENCY)]
    return (recency > np.nanmedian(recency)).astype(float)


def _some_rows(date: GridDate) -> Int64:
    n = len(date.churned)
    if n <= ROWS_A_DATE:
        return np.arange(n, dtype=np.int64)
    return np.random.default_rng(_SAMPLE_SEED).choice(n, ROWS_A_DATE, replace=False)


def enough(date: GridDate) -> bool:
    """Return whether a ranking can be judged: enough customers of either class."""
    return bool(min(date.churned.sum(), (1 - date.churned).sum()) >= LEAST_ROWS)


@dataclass(frozen=True)
class Probe:
    """A column to judge.

    Attributes:
        name: What it is called in a sentence.
        values: float64[n], NaN where it says nothing.
        feature: Place of the feature that it stands for; None where it is none.
    """

    check: str
    name: str
    values: Float64
    feature: int | None


ORDER = "order of ids and rows"
