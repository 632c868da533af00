"""A churn fit written as the bundle that serving opens."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from features.artefact import Artefact, new_id, writing
from features.calendar import Float64
from features.errors import TooLittleDataError
from serving.models.churn.derived import DERIVED
from serving.models.churn.model import (
    CHURN_BUNDLE_KIND,
    CHURN_BUNDLE_SCHEMA,
    GOLDEN_FILE,
    LINEAR_FILE,
    MODEL_FILE,
    REASONS_FILE,
    RECORDS_FILE,
    SCORING_FILE,
    TREES_FILE,
    golden_answers,
    read_churn_model,
)
from serving.models.churn.value import ValueModel
from training.churn.config import ChurnConfig
from training.churn.data import RECENCY, TERM_LEFT, History
from training.churn.fit import Fitted
from training.churn.reasons import reason_book
from training.churn.standing import standing_of
from training.churn.trees import tree_tables

_GOLDEN_CUSTOMERS = 64


def write_bundle(
    root: Path,
    fitted: Fitted,
    *,
    history: History,
    reference: Float64,
    card: dict[str, Any],
    config: ChurnConfig,
    value: ValueModel | None = None,
    now: datetime,
) -> Path:
    """Write a fit as a bundle and return its folder.

    Args:
        root: Folder that the bundle is written into.
        fitted: The fit.
        history: What it was fitted on.
        reference: Features of the population at the fit's moment, float64[n, k]: tiers and the
            usual values are taken from it.
        card: The model card.
        config: Tiers and population.
        value: What customers are worth; None where no money is known.
        now: The time, aware UTC.

    Raises:
        TooLittleDataError: Tiers are by money, and none is known.
    """
    if value is None and config.tiers_by == "money":
        raise TooLittleDataError(
            "tiers by money",
            got="no money in the purchases that followed",
            expected="`amount_minor` above 0",
            remedy='load the amounts, or set `tiers_by = "capacity"`',
        )
    derived = fitted.learners.derived
    names = (*history.names, *DERIVED)
    book = reason_book(names, derived.joined(reference, names=history.names))
    scores = fitted.blend(reference) + fitted.level.value
    probability = 1 / (1 + np.exp(-scores))
    limits: Iterable[float] = (
        config.tier_money_minor
        if config.tiers_by == "money"
        else np.quantile(probability, 1 - np.cumsum(config.tier_shares))
    )
    standing = standing_of(history.names, reference, probability, config=config)
    scoring = {
        "feature_names": list(history.names),
        "linear_weight": fitted.linear_weight,
        "slope": fitted.slope,
        "level": fitted.level.value,
        "recency_feature": RECENCY,
        "active_days": config.active_days,
        "definition": config.definition,
        "term_feature": TERM_LEFT if config.definition == "contract" else None,
        "derived": derived.document(),
        "tiers_by": config.tiers_by,
        "tier_from": [float(limit) for limit in limits],
    }
    records = {
        "standing": standing.document(),
        "value": None if value is None else value.document(),
    }
    members = np.array([book.members[name] for name in names])
    trees = tree_tables(
        fitted.learners.booster, groups=members, group_count=len(book.groups)
    ).arrays()
    id = new_id(now)
    lineage = {"as_of": fitted.at.isoformat()}
    artefact = Artefact(
        path=root / id,
        id=id,
        kind=CHURN_BUNDLE_KIND,
        schema=CHURN_BUNDLE_SCHEMA,
        created_at=now,
        lineage=lineage,
        meta={"card": card},
    )
    with writing(
        root,
        kind=artefact.kind,
        schema=artefact.schema,
        created_at=now,
        lineage=lineage,
        meta={"card": card},
        id=id,
    ) as folder:
        _write_json(folder / SCORING_FILE, scoring)
        _write_json(folder / LINEAR_FILE, fitted.learners.linear.document())
        _write_json(folder / REASONS_FILE, book.document())
        _write_json(folder / RECORDS_FILE, records)
        np.savez(folder / TREES_FILE, **trees)
        # The booster itself, for people and tools; answers come from its tables.
        (folder / MODEL_FILE).write_text(
            fitted.learners.booster.model_to_string(), encoding="utf-8"
        )
        golden = _golden_customers(
            reference, recency=history.names.index(RECENCY), active_days=config.active_days
        )
        answers = golden_answers(read_churn_model(replace(artefact, path=folder)), golden)
        np.savez(folder / GOLDEN_FILE, features=golden, **answers)
    return root / id


def _golden_customers(reference: Float64, *, recency: int, active_days: int) -> Float64:
    """Return some customers of the population, one who lapsed and one who never bought."""
    step = max(1, len(reference) // _GOLDEN_CUSTOMERS)
    some = reference[::step][:_GOLDEN_CUSTOMERS]
    lapsed = some[:1].copy()
    lapsed[:, recency] = active_days + 1
    return np.concatenate([some, lapsed, np.full((1, reference.shape[1]), np.nan)])


def _write_json(path: Path, document: Any) -> None:
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1)
    path.write_text(text, encoding="utf-8")
