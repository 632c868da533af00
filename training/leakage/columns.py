"""Whether a feature is too strong, unstable over dates, or the label itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.arrays import Float64
from training.leakage import Verdict, leak, passed, unjudged
from training.leakage.ranking import (
    LEARNT_DATES,
    LEAST_ROWS,
    ORDER,
    Judged,
    Probe,
    alone,
    beside,
    beyond_chance,
    difference,
    enough,
    rest_score,
    silent_at,
    strength,
)
from training.models.churn.history import GridDate

GAIN = 0.04
"""AUC that one column may add to all others."""
LEAD = 0.08
"""AUC that one column may be ahead of the model of all others."""
_LEADERS = 3
_FILL_SEED = 23


@dataclass(frozen=True)
class Reading:
    """What one column says at a date, as AUC out of fold.

    Attributes:
        future: How well it ranks those who will buy nothing.
        past: How well it ranks those who had not bought for long.
        gain: What it adds to the model of all columns that are no suspects.
        lead: How far it alone is ahead of the model of all others.
    """

    name: str
    future: float
    past: float
    gain: float
    lead: float
    is_leak: bool


FEATURES = "strength of a feature"
MISSING = "missing values"


def judge_columns(judged: Judged, *, orders: Sequence[Probe]) -> tuple[Verdict, ...]:
    """Judge every feature, where it is missing, and orders of customers."""
    checks = (FEATURES, MISSING, ORDER)
    if not enough(judged.date):
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


def _features(judged: Judged) -> list[Probe]:
    probes = []
    for i, name in enumerate(judged.names):
        values = judged.date.features[:, i]
        empty = np.isnan(values)
        known = values[~empty]
        if len(known) and np.ptp(known) > 0:
            # Empty cells get values of others: that they are empty is judged by itself.
            filled = values.copy()
            filled[empty] = np.random.default_rng(_FILL_SEED).choice(known, int(empty.sum()))
            probes.append(Probe(FEATURES, f"`{name}`", filled, i))
    return probes


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
    limit = beyond_chance(2 * len(probes))
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
    words = f"tells who will leave better than it could: {text}"
    return leak(check, words, _REMEDY[check], **evidence)


_REMEDY = {
    FEATURES: "find what it is made of and when that was known; if it comes after the as-of or "
    "from the label, leave it out or give its rows their true `available_at`",
    MISSING: "find out why it is empty for those who leave: a field that is filled or cleared "
    "when the outcome is known is the outcome",
    ORDER: "give out ids, and sort exports, by nothing that is known only later",
}


def _beyond(found: tuple[float, float], least: float, limit: float) -> bool:
    gain, error = found
    return gain > least and gain > limit * error


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


def _directed(date: GridDate, column: int) -> tuple[float, float]:
    """Return a column's AUC less one half, with its sign, and its standard error."""
    values = _filled(date.features[:, column])
    flat = np.zeros(len(values))
    return difference(date.churned, values, flat)


def _of_past(date: GridDate, column: int, names: Sequence[str]) -> float:
    """Return the same of a column for those who had been silent."""
    silent = silent_at(date, names)
    if not 0 < silent.sum() < len(silent):
        return 0.0
    return difference(silent, _filled(date.features[:, column]), np.zeros(len(silent)))[0]


def _filled(values: Float64) -> Float64:
    known = values[~np.isnan(values)]
    return np.where(np.isnan(values), np.median(known) if len(known) else 0.0, values)


ECHO = "label among the features"


def judge_echo(date: GridDate, names: Sequence[str]) -> Verdict:
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
