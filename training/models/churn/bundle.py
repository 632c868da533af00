"""Writes a churn fit as the bundle that serving opens: reasons, trees as tables, golden rows."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from importlib import resources
from itertools import combinations
from math import factorial
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
from scipy.special import expit

from features.arrays import Float64, Int64
from features.artefact import Artefact, new_id, write_artefact
from features.customers.features import FEATURES
from features.errors import ConfigError, TooLittleDataError
from serving.models.churn.learners import DERIVED, MAX_SPLITS, TreeTables
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
from serving.models.churn.reasons import Phrase, ReasonCatalogue, Unit
from serving.models.churn.value import ValueModel
from training.config import ChurnConfig
from training.models.churn.fit import Fitted
from training.models.churn.history import RECENCY, TERM_LEFT, History
from training.models.churn.value import standing_of

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
    with write_artefact(root, **manifest) as folder:
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
    book: ReasonCatalogue,
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


_UNITS: Mapping[str, Unit] = {
    "days": "days",
    "count": "count",
    "0 to 1": "share",
    "minor units": "minor",
    "seconds": "seconds",
}
"""How a value is written, by the unit of its feature; anything else is a score."""


def reason_texts() -> dict[str, Any]:
    """Return the document ``reasons.toml``: its ``group`` tables, and ``own_sentence``."""
    file = resources.files(__name__.rpartition(".")[0]) / "reasons.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def reason_book(names: Sequence[str], reference: Float64) -> ReasonCatalogue:
    """Return the reasons that a model over k features can give.

    The median of ``reference``, float64[n, k], is the usual value of all customers.
    """
    texts = reason_texts()
    claims = {name: _claim(name, texts) for name in names}
    groups = {group["code"]: group for group in claims.values()}
    codes = list(groups)
    usual = _medians(names, reference)
    return ReasonCatalogue(
        groups=tuple(codes),
        members={name: codes.index(group["code"]) for name, group in claims.items()},
        phrases=tuple(
            _phrase(reason, group=codes.index(code), usual=usual.get(reason["feature"]))
            for code, group in groups.items()
            for reason in group["reason"]
            if {reason["feature"], reason.get("own", reason["feature"])} <= claims.keys()
        ),
    )


def _medians(names: Sequence[str], reference: Float64) -> dict[str, float]:
    """Return the median of each feature that anybody has."""
    return {
        name: float(np.nanmedian(column))
        for name, column in zip(names, reference.T, strict=True)
        if not np.isnan(column).all()
    }


def _claim(name: str, texts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the group that has a feature; one of its own where no group claims it."""
    for group in texts["group"]:
        if re.fullmatch(group["features"], name):
            return dict(group)
    feature = next((feature for feature in FEATURES if feature.name == name), None)
    description = feature.doc.rstrip(".").lower() if feature else name.replace("_", " ")
    reason = {
        "feature": name,
        "unit": _UNITS.get(feature.unit, "score") if feature else "score",
        **{
            language: text.replace("{description}", description)
            for language, text in texts["own_sentence"].items()
        },
    }
    sides = [{**reason, "condition": side} for side in ("above", "below")]
    return {"code": name, "reason": sides}


def _phrase(reason: Mapping[str, Any], *, group: int, usual: float | None) -> Phrase:
    own = reason.get("own")
    return Phrase(
        code=f"{reason['feature']}_{reason['condition']}" + ("_own" if own else ""),
        group=group,
        feature=reason["feature"],
        when=reason["condition"],
        unit=reason["unit"],
        usual_feature=own,
        usual=usual,
        text={language: reason[language] for language in ("en", "zh")},
        text_without_own={language: reason[f"{language}_without_own"] for language in ("en", "zh")}
        if own
        else None,
    )


def tree_tables(booster: lgb.Booster, *, groups: Int64, group_count: int) -> TreeTables:
    """Work out a booster's tables.

    ``booster``: Binary objective, numeric features only, at most ``MAX_SPLITS`` splits a tree.
    ``groups``: Index of each feature's group, int64[k].

    Raises:
        ConfigError: A tree has more splits than a table can hold.
    """
    roots = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    splits = [_splits(root) for root in roots]
    width = max([len(found) for found in splits] + [1])
    if width > MAX_SPLITS:
        raise ConfigError("leaves of a tree", got=width + 1, expected=f"at most {MAX_SPLITS + 1}")
    shape = (len(roots), width)
    feature = np.full(shape, -1, dtype=np.int64)
    threshold = np.zeros(shape)
    missing_left = np.zeros(shape, dtype=bool)
    table = np.zeros((len(roots), 2**width, group_count + 1))
    base = 0.0
    for t, (root, found) in enumerate(zip(roots, splits, strict=True)):
        for b, node in enumerate(found):
            feature[t, b] = node["split_feature"]
            threshold[t, b] = node["threshold"]
            missing_left[t, b] = _missing_goes_left(node)
        values, mean = _shapley(root, found)
        base += mean
        # Patterns of the splits that a tree lacks never occur; their rows stay zero.
        for j, phi in values.items():
            table[t, : len(phi), groups[j]] += phi
        table[t, : 2 ** len(found), -1] = _expected(root, _left(len(found)), frozenset(values))
    return TreeTables(feature, threshold, missing_left, table, base)


def _splits(root: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a tree's splits in preorder; each is marked with its place."""
    found: list[dict[str, Any]] = []
    stack = [root]
    while stack:
        node = stack.pop()
        if "split_feature" in node:
            node["place"] = len(found)
            found.append(node)
            stack += [node["right_child"], node["left_child"]]
    return found


def _missing_goes_left(node: dict[str, Any]) -> bool:
    if node["missing_type"] == "NaN":
        return bool(node["default_left"])
    # Where training saw no missing value, LightGBM reads one as zero.
    return bool(node["threshold"] >= 0.0)


def _left(count: int) -> Any:
    """Return which splits send each pattern left, bool[2^count, count]."""
    patterns = np.arange(2**count)[:, None]
    return (patterns >> np.arange(count)) & 1 == 1


def _expected(node: dict[str, Any], left: Any, known: frozenset[int]) -> Float64:
    """Return the expected output under each pattern when only some features are known."""
    if "split_feature" not in node:
        return np.full(len(left), float(node["leaf_value"]))
    a = _expected(node["left_child"], left, known)
    b = _expected(node["right_child"], left, known)
    if node["split_feature"] in known:
        return np.where(left[:, node["place"]], a, b)
    share = _rows(node["left_child"]) / _rows(node)
    return np.asarray(share * a + (1 - share) * b)


def _rows(node: dict[str, Any]) -> float:
    return float(node["internal_count"] if "split_feature" in node else node["leaf_count"])


def _shapley(
    root: dict[str, Any], splits: list[dict[str, Any]]
) -> tuple[dict[int, Float64], float]:
    """Return each feature's Shapley value under each pattern, and the mean output."""
    players = sorted({node["split_feature"] for node in splits})
    left = _left(len(splits))
    worth = {
        frozenset(some): _expected(root, left, frozenset(some))
        for size in range(len(players) + 1)
        for some in combinations(players, size)
    }
    n = len(players)
    values = {}
    for player in players:
        phi = np.zeros(len(left))
        for some, value in worth.items():
            if player not in some:
                share = factorial(len(some)) * factorial(n - len(some) - 1) / factorial(n)
                phi += share * (worth[some | {player}] - value)
        values[player] = phi
    return values, float(worth[frozenset()][0])
