"""Whether a column ranks churners better than anything known at the time plausibly could.

What is made of the past says more about the past than about the future: days without a purchase
so far are told by recency exactly, days without one to come only by chance. So a column is a
suspect where it ranks those who will fall silent better than those who have been silent, and it is
a leak where it then lifts the ranking of a model of all other columns by more than any single
column does. A column is also a leak where it alone beats the model of all others by far, whatever
it says about the past.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import lightgbm as lgb
import numpy as np
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

from features.calendar import Bool, Float64, Int64
from serving.models.churn.linear import log_scaled
from training.churn.data import RECENCY, AsOf
from training.leakage.ranking import alone, beside, difference, strength
from training.leakage.verdict import Verdict, leak, passed, unjudged

GAIN = 0.04
"""AUC that one column may add to all others."""
LEAD = 0.08
"""AUC that one column may be ahead of the model of all others."""
DROP = 0.10
"""AUC that a column may lose from the dates learnt from to a later one."""
CHANCE = 1e-4
"""Chance of a false alarm in one audit, shared by all columns judged."""
LEAST_ROWS = 40
"""Fewest customers of either class that a ranking is judged on."""
ROWS_A_DATE = 4_000
LEARNT_DATES = 4
_LEADERS = 3
_SEED = 23
_TREES = {
    "objective": "binary",
    "num_leaves": 8,
    "learning_rate": 0.08,
    "min_data_in_leaf": 30,
    "feature_fraction": 0.5,
    "lambda_l2": 5.0,
    "num_threads": 1,
    "seed": _SEED,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
_ROUNDS = 60


@dataclass(frozen=True)
class Judged:
    """A later date that columns are judged at, and the earlier ones that a model learns from.

    Attributes:
        date: The later date.
        earlier: Dates whose labels were complete by then, the most recent first.
        names: Feature names.
    """

    date: AsOf
    earlier: tuple[AsOf, ...]
    names: tuple[str, ...]

    @property
    def silent(self) -> Float64:
        """1 where the customer had been silent for long at the date, else 0, float64[n]."""
        return _silent(self.date, self.names)


@dataclass(frozen=True)
class Probe:
    """A column to judge.

    Attributes:
        check: The check it belongs to.
        name: What it is called in a sentence.
        values: float64[n], NaN where it says nothing.
        feature: Place of the feature that it stands for; None where it is none.
    """

    check: str
    name: str
    values: Float64
    feature: int | None


@dataclass(frozen=True)
class Reading:
    """What one column says at a date, as AUC out of fold.

    Attributes:
        name: The column.
        future: How well it ranks those who will buy nothing.
        past: How well it ranks those who had not bought for long.
        gain: What it adds to the model of all columns that are no suspects.
        lead: How far it alone is ahead of the model of all others.
        is_leak: Whether it is one.
    """

    name: str
    future: float
    past: float
    gain: float
    lead: float
    is_leak: bool


FEATURES = "strength of a feature"
MISSING = "missing values"
ORDER = "order of ids and rows"
STABLE = "strength on later dates"
ECHO = "label among the features"


def judge_columns(judged: Judged, *, orders: Sequence[Probe]) -> tuple[Verdict, ...]:
    """Judge every feature, where it is missing, and orders of customers.

    Args:
        judged: The date and those before it.
        orders: Places of the date's customers, of check ``ORDER``.
    """
    checks = (FEATURES, MISSING, ORDER)
    if not _enough(judged.date):
        why = f"fewer than {LEAST_ROWS} customers of either class at {judged.date.at:%Y-%m-%d}"
        return tuple(unjudged(check, why) for check in checks)
    if not judged.earlier:
        return tuple(unjudged(check, "no earlier date had complete labels") for check in checks)
    probes = [*_features(judged), *_missing(judged), *orders]
    readings = _read(probes, judged)
    return tuple(
        _verdict(check, [r for p, r in zip(probes, readings, strict=True) if p.check == check])
        for check in checks
    )


def judge_echo(date: AsOf, names: Sequence[str]) -> Verdict:
    """Judge whether a feature is the label itself: it splits the classes without a mistake."""
    if not _enough(date):
        return unjudged(ECHO, f"fewer than {LEAST_ROWS} customers of either class")
    found = [name for i, name in enumerate(names) if _splits(date.features[:, i], date.churned)]
    if found:
        return leak(
            ECHO,
            f"{_names(found)} tells churners from stayers without one mistake",
            "leave it out: it was made from the label, or from what decides it",
            features=found,
            as_of=date.at.isoformat(),
        )
    return passed(ECHO, f"none of {len(names)} features equals the label")


def judge_stability(judged: Judged) -> Verdict:
    """Judge whether a feature that ranks well on dates learnt from fails on a later one."""
    dates = [date for date in judged.earlier[:LEARNT_DATES] if _enough(date)]
    if not dates or not _enough(judged.date):
        return unjudged(STABLE, "no earlier date had complete labels of both classes")
    fallen, drops = [], []
    limit = _limit(len(judged.names))
    for i, name in enumerate(judged.names):
        later, later_error = _directed(judged.date, i)
        early = [_directed(date, i) for date in dates]
        past = [abs(_auc(date.features[:, i], _silent(date, judged.names)) - 0.5) for date in dates]
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
            STABLE,
            f"ranks the dates learnt from and not the next: {text}",
            "an encoding or a mean was made from the labels that it should foretell: fit it anew "
            "for each as-of, from labels complete by then",
            features=fallen,
            **evidence,
        )
    return passed(STABLE, f"no feature loses more than {max(drops):.3f} AUC", **evidence)


def _features(judged: Judged) -> list[Probe]:
    probes = []
    for i, name in enumerate(judged.names):
        values = judged.date.features[:, i]
        known = values[~np.isnan(values)]
        if len(known) and np.ptp(known) > 0:
            probes.append(Probe(FEATURES, f"`{name}`", _drawn(values, known), i))
    return probes


def _drawn(values: Float64, known: Float64) -> Float64:
    """Fill empty cells with values of others: that they are empty is judged by itself."""
    empty = np.isnan(values)
    filled = values.copy()
    filled[empty] = np.random.default_rng(_SEED).choice(known, int(empty.sum()))
    return filled


def _missing(judged: Judged) -> list[Probe]:
    empty = np.isnan(judged.date.features)
    seen: dict[bytes, Probe] = {}
    for i, name in enumerate(judged.names):
        if 0 < empty[:, i].sum() < len(empty):
            # Features that are empty together are one case, told once.
            seen.setdefault(
                empty[:, i].tobytes(),
                Probe(MISSING, f"emptiness of `{name}`", empty[:, i].astype(float), i),
            )
    return list(seen.values())


def _read(probes: Sequence[Probe], judged: Judged) -> list[Reading]:
    churned, silent = judged.date.churned, judged.silent
    future = [strength(probe.values, churned) for probe in probes]
    past = [strength(probe.values, silent) for probe in probes]
    own = [alone(probe.values, churned) for probe in probes]
    suspects = [f > p and f > 0.5 for f, p in zip(future, past, strict=True)]
    left_out = {p.feature for p, s in zip(probes, suspects, strict=True) if s}
    kept = np.array([i not in left_out for i in range(len(judged.names))])
    base = rest_score(judged, kept)
    limit = _limit(2 * len(probes))
    gains = [
        difference(churned, beside(p.values, churned, score=base), base) if suspect else (0.0, 0.0)
        for p, suspect in zip(probes, suspects, strict=True)
    ]
    leads = _leads(probes, future, own, judged)
    return [
        Reading(
            name=probe.name,
            future=future[i],
            past=past[i],
            gain=gains[i][0],
            lead=leads.get(i, (0.0, 0.0))[0],
            is_leak=_beyond(gains[i], GAIN, limit)
            or _beyond(leads.get(i, (0.0, 0.0)), LEAD, limit),
        )
        for i, probe in enumerate(probes)
    ]


def _leads(
    probes: Sequence[Probe], future: Sequence[float], own: Sequence[Float64], judged: Judged
) -> dict[int, tuple[float, float]]:
    """Return how far the strongest columns are ahead of the model of what is weaker than they."""
    found: dict[int, tuple[float, float]] = {}
    order = sorted(range(len(probes)), key=lambda i: -future[i])[:_LEADERS]
    kept = np.ones(len(judged.names), dtype=bool)
    for i in order:
        feature = probes[i].feature
        if feature is not None:
            kept[feature] = False
        if kept.sum() < len(kept) / 2:
            break
        found[i] = difference(judged.date.churned, own[i], rest_score(judged, kept))
    return found


def rest_score(judged: Judged, kept: Bool) -> Float64:
    """Return the ranks of a model of some features at the date, learnt on the earlier ones.

    Args:
        judged: The dates.
        kept: Which features it sees, bool[k].
    """
    dates = [date for date in judged.earlier[:LEARNT_DATES] if _two_classes(date)]
    if not dates or not kept.any():
        return np.zeros(len(judged.date.churned))
    rows = [_some(date) for date in dates]
    features = np.concatenate([d.features[r] for d, r in zip(dates, rows, strict=True)])[:, kept]
    churned = np.concatenate([d.churned[r] for d, r in zip(dates, rows, strict=True)])
    level = np.concatenate([np.full(len(r), d.base_rate) for d, r in zip(dates, rows, strict=True)])
    offset = np.log(level / (1 - level))
    later = judged.date.features[:, kept]
    booster = lgb.train(_TREES, lgb.Dataset(features, churned, init_score=offset), _ROUNDS)
    trees = np.asarray(booster.predict(later, raw_score=True, num_threads=1))
    line = _line(features, churned, later)
    return np.asarray(rankdata(trees) + rankdata(line), dtype=np.float64)


def _line(features: Float64, churned: Float64, later: Float64) -> Float64:
    scaled, empty = log_scaled(features), np.isnan(features)
    seen = np.maximum((~empty).sum(axis=0), 1)
    mean = np.where(empty, 0.0, scaled).sum(axis=0) / seen
    spread = np.sqrt((np.where(empty, 0.0, scaled - mean) ** 2).sum(axis=0) / seen)
    spread = np.where(spread > 1e-9, spread, 1.0)

    def design(rows: Float64) -> Float64:
        gone = np.isnan(rows)
        return np.hstack([np.where(gone, 0.0, (log_scaled(rows) - mean) / spread), gone])

    model = LogisticRegression(C=0.05, solver="newton-cholesky").fit(design(features), churned)
    return np.asarray(model.decision_function(design(later)))


def _verdict(check: str, readings: Sequence[Reading]) -> Verdict:
    if not readings:
        return passed(check, "nothing to tell by")
    found = sorted((r for r in readings if r.is_leak), key=lambda r: -r.future)
    best = max(readings, key=lambda r: r.future)
    evidence = {
        "columns": len(readings),
        "strongest": best.name,
        "strongest_auc": best.future,
        "largest_gain": max(r.gain for r in readings),
        "leaks": [
            {"column": r.name, "auc": r.future, "auc_past": r.past, "gain": r.gain, "lead": r.lead}
            for r in found
        ],
    }
    if not found:
        return passed(
            check, f"strongest of {len(readings)}: {best.name}, AUC {best.future:.2f}", **evidence
        )
    text = ", ".join(
        f"{r.name} (AUC {r.future:.2f}, {r.past:.2f} of the past; adds {r.gain:.2f})"
        for r in found[:4]
    )
    return leak(check, f"tells who will leave better than it could: {text}", _REMEDY[check],
                **evidence)  # fmt: skip


_REMEDY = {
    FEATURES: "find what it is made of and when that was known; if it comes after the as-of or "
    "from the label, leave it out or give its rows their true `available_at`",
    MISSING: "find out why it is empty for those who leave: a field that is filled or cleared "
    "when the outcome is known is the outcome",
    ORDER: "give out ids, and sort exports, by nothing that is known only later",
}


def _limit(columns: int) -> float:
    return NormalDist().inv_cdf(1 - CHANCE / max(columns, 1))


def _beyond(found: tuple[float, float], least: float, limit: float) -> bool:
    gain, error = found
    return gain > least and gain > limit * error


def _silent(date: AsOf, names: Sequence[str]) -> Float64:
    recency = date.features[:, names.index(RECENCY)]
    return (recency > np.nanmedian(recency)).astype(float)


def _directed(date: AsOf, column: int) -> tuple[float, float]:
    """Return a column's AUC less one half, with its sign, and its standard error."""
    values = _filled(date.features[:, column])
    flat = np.zeros(len(values))
    return difference(date.churned, values, flat)


def _auc(values: Float64, churned: Float64) -> float:
    if not 0 < churned.sum() < len(churned):
        return 0.5
    return 0.5 + difference(churned, _filled(values), np.zeros(len(values)))[0]


def _filled(values: Float64) -> Float64:
    known = values[~np.isnan(values)]
    return np.where(np.isnan(values), np.median(known) if len(known) else 0.0, values)


def _splits(values: Float64, churned: Float64) -> bool:
    """Return whether the values of churners and of stayers stand apart, empty cells below all."""
    values = np.where(np.isnan(values), -np.inf, values)
    gone, stayed = values[churned == 1], values[churned == 0]
    return bool(gone.min() > stayed.max() or gone.max() < stayed.min())


def _some(date: AsOf) -> Int64:
    n = len(date.churned)
    if n <= ROWS_A_DATE:
        return np.arange(n, dtype=np.int64)
    return np.random.default_rng(_SEED).choice(n, ROWS_A_DATE, replace=False)


def _two_classes(date: AsOf) -> bool:
    return bool(date.churned.min() < date.churned.max())


def _enough(date: AsOf) -> bool:
    return bool(min(date.churned.sum(), (1 - date.churned).sum()) >= LEAST_ROWS)


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:6])
