"""A churn fit written as the bundle that serving opens."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

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
from serving.models.churn.reasons import ReasonBook
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

    Tiers and the usual values are taken from ``reference``, features of the population at the
    fit's moment, float64[n, k]. ``value`` is None where no money is known.

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
    names = (*history.names, *DERIVED)
    book = reason_book(names, fitted.learners.derived.joined(reference, names=history.names))
    documents = _documents(fitted, history.names, reference, book=book, value=value, config=config)
    members = np.array([book.members[name] for name in names])
    booster = fitted.learners.booster
    trees = tree_tables(booster, groups=members, group_count=len(book.groups))
    golden = _golden_customers(
        reference, recency=history.names.index(RECENCY), active_days=config.active_days
    )
    id = new_id(now)
    manifest: dict[str, Any] = {
        "kind": CHURN_BUNDLE_KIND,
        "schema": CHURN_BUNDLE_SCHEMA,
        "created_at": now,
        "lineage": {"as_of": fitted.at.isoformat()},
        "meta": {"card": card},
        "id": id,
    }
    with writing(root, **manifest) as folder:
        for name, document in documents.items():
            text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1)
            (folder / name).write_text(text, encoding="utf-8")
        np.savez(folder / TREES_FILE, **trees.arrays())
        # The booster itself, for people and tools; answers come from its tables.
        (folder / MODEL_FILE).write_text(booster.model_to_string(), encoding="utf-8")
        answers = golden_answers(read_churn_model(Artefact(path=folder, **manifest)), golden)
        np.savez(folder / GOLDEN_FILE, features=golden, **answers)
    return root / id


def _documents(
    fitted: Fitted,
    names: Sequence[str],
    reference: Float64,
    *,
    book: ReasonBook,
    value: ValueModel | None,
    config: ChurnConfig,
) -> dict[str, Any]:
    """Return the JSON of the bundle by file name."""
    probability = expit(fitted.blend(reference) + fitted.level.value)
    standing = standing_of(names, reference, probability, config=config)
    return {
        SCORING_FILE: _scoring(fitted, names, probability, config=config),
        LINEAR_FILE: fitted.learners.linear.document(),
        REASONS_FILE: book.document(),
        RECORDS_FILE: {
            "standing": standing.document(),
            "value": None if value is None else value.document(),
        },
    }


def _scoring(
    fitted: Fitted, names: Sequence[str], probability: Float64, *, config: ChurnConfig
) -> dict[str, Any]:
    if config.tiers_by == "money":
        limits: Iterable[float] = config.tier_money_minor
    else:
        limits = np.quantile(probability, 1 - np.cumsum(config.tier_shares))
    return {
        "feature_names": list(names),
        "linear_weight": fitted.linear_weight,
        "slope": fitted.slope,
        "level": fitted.level.value,
        "recency_feature": RECENCY,
        "active_days": config.active_days,
        "definition": config.definition,
        "term_feature": TERM_LEFT if config.definition == "contract" else None,
        "derived": fitted.learners.derived.document(),
        "tiers_by": config.tiers_by,
        "tier_from": [float(limit) for limit in limits],
    }


def _golden_customers(reference: Float64, *, recency: int, active_days: int) -> Float64:
    """Return some customers of the population, one who lapsed and one who never bought."""
    step = max(1, len(reference) // _GOLDEN_CUSTOMERS)
    some = reference[::step][:_GOLDEN_CUSTOMERS]
    lapsed = some[:1].copy()
    lapsed[:, recency] = active_days + 1
    return np.concatenate([some, lapsed, np.full((1, reference.shape[1]), np.nan)])
