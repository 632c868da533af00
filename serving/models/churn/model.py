"""The churn model as it is served: a bundle, and customers' features into scores.

The log-odds are ``level + slope × (w × linear + (1 − w) × trees)``: a logistic regression blended
with boosted trees, calibrated on later months. A customer outside the population gets no
probability but a state that says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from features.arrays import Float64
from features.artefact import Artefact, open_artefact
from features.errors import DamagedArtefactError, InputError
from serving.models.churn.learners import DERIVED, Derived, LinearScore, TreeTables
from serving.models.churn.reasons import ReasonCatalogue, Reasons
from serving.models.churn.value import Segmentation, ValueModel, exceeds

CHURN_BUNDLE_KIND = "churn-bundle"
CHURN_BUNDLE_SCHEMA = 3
SCORING_FILE = "scoring.json"
LINEAR_FILE = "linear.json"
REASONS_FILE = "reasons.json"
RECORDS_FILE = "records.json"
TREES_FILE = "trees.npz"
MODEL_FILE = "model.txt"
GOLDEN_FILE = "golden.npz"

TIERS = ("critical", "high", "medium", "low")
STATES = ("scored", "lapsed", "never_bought")
STATE_WARNINGS = {
    "purchase": (
        None,
        "not scored: no purchase in the last {active_days} days",
        "not scored: no purchase yet",
    ),
    "contract": (None, "not scored: the contract has ended", "not scored: no contract yet"),
}
"""By definition of churn, what to say of a customer in each state."""

TiersBy = Literal["capacity", "money"]

_CHUNK = 8192


@dataclass(frozen=True)
class ChurnScores:
    """Scores of n customers in the order they were asked.

    Attributes:
        probability: Calibrated probability of churn within the horizon, float64[n]; NaN outside
            the population.
        tier: Index into ``TIERS``, int8[n]; -1 outside the population.
        state: Index into ``STATES``, int8[n]: whether and why not a customer is scored.
        expected_value_minor: Money expected over 12 months, float64[n], minor units; NaN outside
            the population, and where the bundle holds no model of value.
        value_at_risk_minor: What of it is lost if the customer leaves, times the probability,
            float64[n], minor units; NaN as above.
    """

    probability: Float64
    tier: Any
    state: Any
    expected_value_minor: Float64
    value_at_risk_minor: Float64
    stage: Any
    segment: Any
    reasons: Reasons


def percentile(probability: Float64) -> Float64:
    """Return the share of scored customers with a lower probability, in [0, 100].

    ``probability`` is float64[n], NaN for a customer who is not scored.

    >>> percentile(np.array([0.2, 0.9, 0.2, np.nan, 0.5])).tolist()
    [0.0, 75.0, 0.0, nan, 50.0]
    """
    out = np.full(len(probability), np.nan)
    scored = ~np.isnan(probability)
    ranked = np.sort(probability[scored])
    if len(ranked):
        lower = np.searchsorted(ranked, probability[scored], side="left")
        out[scored] = 100.0 * lower / len(ranked)
    return out


@dataclass(frozen=True)
class Scoring:
    """The numbers that turn two raw scores into a probability and a tier.

    Attributes:
        level: Calibration intercept: the base rate expected over the horizon, in log-odds.
        recency_feature: Days since the last purchase; missing where there was none.
        active_days: Greatest recency in days that the model may judge.
        tier_from: Least probability, or with tiers by money least value at risk in minor units, of
            each tier but the last, from the highest risk down.
        definition: Whom the model may judge: who bought of late, or whose contract runs.
        term_feature: Contracts: days until the paid term ends; missing where there is none.
    """

    linear_weight: float
    slope: float
    level: float
    recency_feature: str
    active_days: float
    tier_from: tuple[float, ...]
    tiers_by: TiersBy = "capacity"
    definition: Literal["purchase", "contract"] = "purchase"
    term_feature: str | None = None


@dataclass(frozen=True, eq=False)
class ChurnModel:
    """A churn model that answers.

    Attributes:
        artefact: The verified bundle.
        feature_names: The features in the order of a row's values.
        value: What customers are worth; None where nothing was known to learn it from.
        derived: What the learners see beside the features; None where that is nothing.
    """

    artefact: Artefact
    feature_names: tuple[str, ...]
    scoring: Scoring
    linear: LinearScore
    trees: TreeTables
    book: ReasonCatalogue
    standing: Segmentation
    value: ValueModel | None
    derived: Derived | None = None

    @cached_property
    def _groups(self) -> Float64:
        derived = () if self.derived is None else DERIVED
        return self.book.indicator((*self.feature_names, *derived))

    @property
    def card(self) -> dict[str, Any]:
        """The model card."""
        return dict(self.artefact.meta["card"])

    @property
    def tiers(self) -> tuple[str, ...]:
        """Tier names from the highest risk down."""
        return TIERS

    def score(self, features: Float64, *, threads: int = 1) -> ChurnScores:
        """Score customers; memory beyond the answer does not grow with their number.

        ``features``: float64[n, k] in the order of ``feature_names``, NaN where missing.

        Raises:
            InputError: The matrix has another width, or an infinite value.
        """
        self._check(features)
        starts = range(0, max(len(features), 1), _CHUNK)
        chunks = [features[start : start + _CHUNK] for start in starts]
        if threads > 1 and len(chunks) > 1:
            with ThreadPoolExecutor(threads) as pool:
                parts = list(pool.map(self._score, chunks))
        else:
            parts = [self._score(chunk) for chunk in chunks]
        scores: ChurnScores = _concatenated(parts)
        return scores

    def contributions(self, features: Float64) -> tuple[Float64, Float64]:
        """Return what each group of features adds to each customer's log-odds, and these.

        ``(groups, log_odds)``: float64[n, g] and float64[n]; ``log_odds`` less the sum over the
        groups is the same number for every customer.
        """
        self._check(features)
        share, slope = self.scoring.linear_weight, self.scoring.slope
        known = features
        if self.derived is not None:
            known = self.derived.joined(features, names=self.feature_names)
        by_tree, raw = self.trees.of(np.ascontiguousarray(known.T))
        by_line = self.linear.grouped(known, groups=self._groups)
        groups = slope * (share * by_line + (1 - share) * by_tree)
        log_odds = self.scoring.level + slope * (share * by_line.sum(axis=1) + (1 - share) * raw)
        return groups, log_odds

    def warnings(self, scores: ChurnScores) -> list[tuple[str, ...]]:
        """Return what a reader should know of each customer."""
        active_days = f"{self.scoring.active_days:g}"
        by_state = [
            () if text is None else (text.format(active_days=active_days),)
            for text in STATE_WARNINGS[self.scoring.definition]
        ]
        return [by_state[state] for state in scores.state.tolist()]

    def check_golden(self) -> None:
        """Score the bundle's golden customers again and compare.

        Raises:
            DamagedArtefactError: An answer differs from the one stored in training.
        """
        with np.load(self.artefact.file(GOLDEN_FILE), allow_pickle=False) as stored:
            golden = dict(stored)
        for name, now in golden_answers(self, golden["features"]).items():
            if not np.allclose(now, golden[name], rtol=1e-9, atol=1e-9, equal_nan=True):
                raise DamagedArtefactError(
                    f"{CHURN_BUNDLE_KIND} `{self.artefact.id}`",
                    got=f"another {name} for its golden customers than in training",
                    remedy="fit the model again",
                )

    def _check(self, features: Float64) -> None:
        if features.ndim != 2 or features.shape[1] != len(self.feature_names):
            raise InputError(
                "customer features",
                got=f"a matrix of shape {features.shape}",
                expected=f"(customers, {len(self.feature_names)})",
                remedy="pass one column a name in `feature_names`, in that order",
            )
        if np.isinf(features).any():
            name = self.feature_names[int(np.nonzero(np.isinf(features))[1][0])]
            raise InputError(
                f"feature `{name}`", got="an infinite value", expected="a number, or NaN"
            )

    def _state(self, columns: Mapping[str, Float64]) -> Any:
        """Return whether and why not each customer is scored, as an index into ``STATES``."""
        scoring = self.scoring
        if scoring.definition == "contract":
            days = columns[str(scoring.term_feature)]
            over = ~exceeds(days, 0.0)
        else:
            days = columns[scoring.recency_feature]
            over = exceeds(days, scoring.active_days)
        state = np.zeros(len(days), dtype=np.int8)
        state[over] = STATES.index("lapsed")
        state[np.isnan(days)] = STATES.index("never_bought")
        return state

    def _score(self, features: Float64) -> ChurnScores:
        columns = dict(zip(self.feature_names, features.T, strict=True))
        state = self._state(columns)
        scored = state == 0
        groups, log_odds = self.contributions(features)
        probability = np.where(scored, 1 / (1 + np.exp(-log_odds)), np.nan)
        expected = at_risk = np.full(len(features), np.nan)
        if self.value is not None:
            expected, at_risk = self.value.of(columns, probability)
        bought = state != STATES.index("never_bought")
        groups[~scored] = -np.inf
        return ChurnScores(
            probability=probability,
            tier=self._tier(probability if self.scoring.tiers_by == "capacity" else at_risk),
            state=state,
            expected_value_minor=expected,
            value_at_risk_minor=at_risk,
            stage=self.standing.stage(columns, probability=probability, bought=bought),
            segment=self.standing.segment(columns, bought=bought),
            reasons=self.book.of(features, groups, names=self.feature_names),
        )

    def _tier(self, by: Float64) -> Any:
        """Return the tier by a figure that is high where the tier is; -1 where it is NaN."""
        tier = np.searchsorted(-np.array(self.scoring.tier_from), -by, side="left").astype(np.int8)
        tier[np.isnan(by)] = -1
        return tier


def _concatenated(parts: Sequence[Any]) -> Any:
    """Return one record of arrays, or of such records, from several of the same type."""
    columns = {}
    for field in fields(parts[0]):
        values = [getattr(part, field.name) for part in parts]
        join = _concatenated if is_dataclass(values[0]) else np.concatenate
        columns[field.name] = join(values)
    return type(parts[0])(**columns)


def golden_answers(model: ChurnModel, features: Float64) -> dict[str, Any]:
    """Return what a model says of some customers, as arrays to store and to compare."""
    scores = model.score(features)
    columns = {field.name: getattr(scores, field.name) for field in fields(scores)}
    del columns["reasons"]
    return columns | {
        "reason": scores.reasons.phrase,
        "value": scores.reasons.value,
        "usual": scores.reasons.usual,
    }


def open_churn_model(path: Path) -> ChurnModel:
    """Verify a bundle folder and return its model.

    Raises:
        DamagedArtefactError: A file is missing, differs from its checksum or cannot be read.
        IncompatibleArtefactError: It is no churn bundle, or of another schema or contract.
    """
    return read_churn_model(open_artefact(path, kind=CHURN_BUNDLE_KIND, schema=CHURN_BUNDLE_SCHEMA))


def read_churn_model(artefact: Artefact) -> ChurnModel:
    """Return the model in a folder that was verified already.

    Raises:
        DamagedArtefactError: Its content does not fit together.
    """
    try:
        scoring = artefact.json(SCORING_FILE)
        records = artefact.json(RECORDS_FILE)
        value, derived = records["value"], scoring.pop("derived", None)
        with np.load(artefact.file(TREES_FILE), allow_pickle=False) as stored:
            trees = TreeTables.from_arrays(stored)
        return ChurnModel(
            artefact,
            feature_names=tuple(scoring.pop("feature_names")),
            scoring=Scoring(**{**scoring, "tier_from": tuple(scoring["tier_from"])}),
            linear=LinearScore.from_document(artefact.json(LINEAR_FILE)),
            trees=trees,
            book=ReasonCatalogue.from_document(artefact.json(REASONS_FILE)),
            standing=Segmentation(**records["standing"]),
            value=None if value is None else ValueModel.from_document(value),
            derived=None if derived is None else Derived.from_document(derived),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedArtefactError(
            f"{CHURN_BUNDLE_KIND} `{artefact.id}`",
            got=f"content that does not fit together ({error})",
            remedy="fit the model again",
        ) from error
