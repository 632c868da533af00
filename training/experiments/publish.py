"""Results of experiments as an immutable folder that serving reads.

It holds ``results.json``, one document an experiment; others are carried over as they were.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from features.artefact import current_id, point_to, writing
from features.calendar import Bool, moment
from features.errors import ArtefactError
from serving.sets.experiments import (
    EXPERIMENTS_KIND,
    EXPERIMENTS_SCHEMA,
    RESULTS_FILE,
    open_experiments,
)
from serving.sets.scores import iso
from training.experiments.analyse import Outcome, Result
from training.experiments.effects import Effect
from training.experiments.qini import SHARES, Band, Qini
from training.experiments.ratio import Ratio
from training.experiments.sample import Sample

_DECIMALS = 6


@dataclass(frozen=True)
class Settings:
    """How experiments were looked at.

    Attributes:
        as_of: What is known then counts, aware UTC.
        least_effect: The smallest effect on retention worth having.
    """

    as_of: datetime
    horizon_days: int
    least_effect: float


def publish_results(
    root: Path,
    results: Iterable[Result],
    settings: Settings,
    *,
    lineage: Mapping[str, Any],
    now: datetime,
) -> str:
    """Write results beside those of other experiments, make the folder current, return its id."""
    documents = _published_before(root)
    documents |= {result.decided.experiment: document(result, settings) for result in results}
    with writing(
        root,
        kind=EXPERIMENTS_KIND,
        schema=EXPERIMENTS_SCHEMA,
        created_at=now,
        lineage=lineage,
        meta={"as_of": settings.as_of.isoformat(), "experiments": len(documents)},
    ) as folder:
        text = json.dumps(documents, indent=1, ensure_ascii=False, allow_nan=False, sort_keys=True)
        (folder / RESULTS_FILE).write_text(text, encoding="utf-8")
        id = folder.name.removeprefix(".writing-")
    point_to(root, id)
    return id


def _published_before(root: Path) -> dict[str, Any]:
    """Return the documents in force; none where they cannot be read, since all is made anew."""
    try:
        id = current_id(root)
        return {} if id is None else dict(open_experiments(root / id).documents)
    except ArtefactError:
        return {}


def document(result: Result, settings: Settings) -> dict[str, Any]:
    """Return what is told of one experiment, JSON-ready."""
    decided, sample = result.decided, result.decided.sample
    contacted = int(sample.treated.sum())
    return {
        "experiment": decided.experiment,
        "as_of": iso(settings.as_of),
        "horizon_days": settings.horizon_days,
        "actions": list(decided.actions),
        "first_decided_at": iso(moment(decided.first_at)),
        "last_decided_at": iso(moment(decided.last_at)),
        "customers": {
            "decided": decided.decided,
            "complete": len(sample),
            "waiting": decided.decided - len(sample),
            "other_arm": decided.other_arm,
        },
        "arms": [_arm("treat", sample, sample.treated), _arm("control", sample, ~sample.treated)],
        "sample_ratio": None if result.ratio is None else _ratio(result.ratio),
        "retention": _outcome(result.retention, contacted=contacted),
        "value_minor": _outcome(result.value, contacted=contacted),
        "adjusted_for": list(result.adjusted_for),
        "advice": {
            "word": result.advice.word,
            "reason": result.advice.reason,
            "least_effect": settings.least_effect,
            **_numbers(result.advice, "low", "high", "information_share"),
        },
        "uplift": None if result.qini is None else _qini(result.qini),
        "no_uplift": result.no_uplift or None,
        "warnings": list(result.warnings),
    }


def _arm(name: str, sample: Sample, members: Bool) -> dict[str, Any]:
    count = int(members.sum())
    return {
        "arm": name,
        "customers": count,
        "retained": _rounded(float(sample.retained[members].mean())) if count else None,
        "value_minor": _rounded(float(sample.value[members].mean())) if count else None,
    }


def _ratio(ratio: Ratio) -> dict[str, Any]:
    return {
        "treat": ratio.treated,
        "control": ratio.control,
        "expected_treat": round(ratio.expected_treated, 2),
        "p_value": ratio.p_value,
        "alarm": ratio.alarm,
    }


def _outcome(found: Outcome | None, *, contacted: int) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "plain": _effect(found.plain, contacted),
        "adjusted": _effect(found.adjusted, contacted),
        "variance_removed": _rounded(found.variance_removed),
    }


def _effect(found: Effect, contacted: int) -> dict[str, Any]:
    low, high = found.interval()
    per_customer = {"estimate": found.estimate, "low": low, "high": high}
    return {
        "per_customer": {name: _rounded(value) for name, value in per_customer.items()},
        "total": {name: round(value * contacted, 2) for name, value in per_customer.items()},
        "standard_error": _rounded(found.standard_error),
    }


def _qini(found: Qini) -> dict[str, Any]:
    end = found.uplift[-1].estimate
    return {
        "curve": [
            {
                "share": share,
                "uplift": _band(uplift),
                "risk": _band(risk),
                "random": _rounded(share * end),
            }
            for share, uplift, risk in zip(SHARES, found.uplift, found.risk, strict=True)
        ],
        "coefficient": {
            "uplift": _band(found.coefficient_uplift),
            "risk": _band(found.coefficient_risk),
            "difference": _band(found.difference),
        },
        "better_by": "uplift" if found.uplift_wins else None,
    }


def _band(band: Band) -> dict[str, Any]:
    return _numbers(band, "estimate", "low", "high")


def _numbers(source: Any, *names: str) -> dict[str, Any]:
    return {name: _rounded(getattr(source, name)) for name in names}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DECIMALS)
