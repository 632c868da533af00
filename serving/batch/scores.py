"""Publish every customer's score, with reasons and actions, from what is in force.

A batch opens the promoted bundle and the current snapshot, replays the bundle's golden requests,
refuses what does not fit together, writes one immutable set and points ``CURRENT`` at it. What
was published before stays on disk, and in force until the last step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice

import numpy as np

from features.arrays import Float64
from features.artefact import point_to
from features.errors import IncompatibleArtefactError
from features.home import Home
from features.snapshot import FeatureTable, Snapshot
from serving.batch.forecast import (
    Progress,
    PublishedReport,
    _bundle,
    _empty,
    age_warnings,
    ignore_progress,
    snapshot_in_force,
)
from serving.models.churn.actions import ActionTable, read_actions
from serving.models.churn.model import ChurnModel, ChurnScores, open_churn_model, percentile
from serving.models.churn.reasons import ReasonKey
from serving.published.score_writer import Reason, ScoredCustomers, write_score_set

CHUNK_ROWS = 100_000
CONSENT = "consent"
"""The column that says whether a customer may be contacted: 1, 0 or null."""


def publish_scores(
    home: Home,
    *,
    now: datetime,
    threads: int = 1,
    chunk_rows: int = CHUNK_ROWS,
    progress: Progress = ignore_progress,
) -> PublishedReport:
    """Score every customer of the current snapshot and put the scores in force.

    Customers are taken in chunks. Some hundred bytes a customer stay in memory from the first pass,
    because a percentile needs everybody's probability; features and records are not.

    The set depends neither on ``threads`` nor on ``chunk_rows``.

    Raises:
        NotPublishedError: No churn model is promoted or no snapshot is published.
        ArtefactError: One of them is damaged, of another contract, or their features differ.
        ConfigError: The user's table of actions is malformed.
        TooLittleDataError: The snapshot knows no customer.
    """
    progress("opening the model and the snapshot", 0.0)
    model = open_churn_model(_bundle(home, "churn"))
    snapshot = snapshot_in_force(home)
    customers = snapshot.customers
    if len(customers) == 0:
        raise _empty(snapshot, "customer", "`python -m features ingest customers` or `purchases`")
    _check_features(model, snapshot)
    renderer = _Renderer(model, read_actions(home.actions), customers)
    model.check_golden()
    scores = []
    for start in range(0, len(customers), chunk_rows):
        progress("scoring", 0.6 * start / len(customers))
        rows = start, min(start + chunk_rows, len(customers))
        scores.append(model.score(customers.matrix(model.feature_names, *rows), threads=threads))
    warnings = age_warnings(snapshot.customers_as_of, now=now)
    id = write_score_set(
        home.scores,
        chunks=renderer.chunks(scores, progress),
        as_of=snapshot.customers_as_of,
        snapshot=snapshot.artefact.id,
        model_version=model.artefact.id,
        tiers=model.tiers,
        actions=renderer.actions.actions,
        warnings=warnings,
        now=now,
    )
    point_to(home.scores, id)
    progress("published", 1.0)
    return PublishedReport(
        kind="score-set",
        id=id,
        path=home.scores / id,
        as_of=snapshot.customers_as_of,
        snapshot=snapshot.artefact.id,
        model_version=model.artefact.id,
        counts={"customers": len(customers), "scored": renderer.scored},
        warnings=warnings,
    )


class _Renderer:
    """Turns scores into what is published; sentences that customers share are written once."""

    def __init__(self, model: ChurnModel, actions: ActionTable, customers: FeatureTable) -> None:
        self.actions = actions
        self._model, self._customers = model, customers
        self._known: dict[ReasonKey, int] = {}
        self._reason_texts: list[Reason] = []
        self.scored = 0

    def chunks(
        self, scores: Sequence[ChurnScores], progress: Progress
    ) -> Iterator[ScoredCustomers]:
        """Yield the customers of consecutive scores."""
        ranks = percentile(np.concatenate([part.probability for part in scores]))
        start = 0
        self.scored = int((~np.isnan(ranks)).sum())
        for part in scores:
            progress("writing", 0.6 + 0.4 * start / len(ranks))
            stop = start + len(part.probability)
            yield self._chunk(part, ranks[start:stop], start)
            start = stop

    def _chunk(self, scores: ChurnScores, ranks: Float64, start: int) -> ScoredCustomers:
        book, known = self._model.book, self._known
        places = book.places(scores.reasons, known)
        self._reason_texts += [
            Reason(
                reason.code,
                reason.text,
                reason.text_zh,
                _number(reason.value),
                _number(reason.usual),
            )
            for reason in map(book.reason_text, islice(known, len(self._reason_texts), None))
        ]
        consent = self._consent(start, start + len(ranks))
        return ScoredCustomers(
            ids=self._customers.ids.slice(start, len(ranks)).to_pylist(),
            probability=scores.probability,
            percentile=ranks,
            tier=scores.tier,
            expected_value_minor=scores.expected_value_minor,
            value_at_risk_minor=scores.value_at_risk_minor,
            stage=scores.stage,
            segment=scores.segment,
            action=self.actions.choose(scores, book=book, consent=consent),
            consent=consent,
            reasons=places,
            reason_texts=self._reason_texts,
            warnings=self._model.warnings(scores),
        )

    def _consent(self, start: int, stop: int) -> Float64:
        """Return whether customers may be contacted; NaN, unknown, without such a column."""
        if CONSENT not in self._customers.names:
            return np.full(stop - start, np.nan)
        return self._customers.matrix([CONSENT], start, stop)[:, 0]


def _number(value: float) -> float | None:
    return value if value == value else None


def _check_features(model: ChurnModel, snapshot: Snapshot) -> None:
    """Refuse a snapshot that lacks a feature; one that has more is read by name."""
    missing = _named(set(model.feature_names) - set(snapshot.customers.names))
    if missing:
        extra = _named(set(snapshot.customers.names) - set(model.feature_names))
        raise IncompatibleArtefactError(
            f"churn bundle `{model.artefact.id}` and snapshot `{snapshot.artefact.id}`",
            got=f"a snapshot without {missing}" + (f", and with {extra} instead" if extra else ""),
            expected="every feature that the model was trained on",
            remedy="run `python -m features build`, or train and promote a new model",
        )


def _named(features: set[str]) -> str:
    names = [f"`{name}`" for name in sorted(features)]
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
