"""What a worker serves: the published folders in force, opened, verified and swapped whole.

A worker holds one ``Watcher``. Requests read its ``published``, an immutable value, once each
and without a lock; ``refresh`` runs in a thread, compares the ``CURRENT`` pointers with what is
open, opens what is new and swaps one attribute. A new folder that is unfit is refused with its
reason, and what served before goes on serving. What is open stays readable when its folder is
deleted, since maps and open files outlive their names.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import pyarrow as pa

from features.artefact import CURRENT, MANIFEST, current_id
from features.errors import (
    DamagedArtefactError,
    EbbflowError,
    IncompatibleArtefactError,
    NotPublishedError,
)
from features.home import Home, ModelName
from features.snapshot import SNAPSHOT_KIND
from serving.sets.experiments import ExperimentResults, open_experiments
from serving.sets.forecast import ForecastSet, open_forecast_set
from serving.sets.scores import ScoreSet, open_score_set

Part = Literal["forecast", "scores", "volume", "churn", "snapshot", "experiments"]
"""What is watched: the two sets, the two promoted bundles' cards, the feature snapshot, and the
results of experiments."""

RETRY_AFTER = timedelta(seconds=60)
"""A refused folder is tried again after this: it may have been half-way through a copy."""

_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, pa.ArrowException)


@dataclass(frozen=True)
class Note:
    """What the manifest of a folder says; its files are not read.

    Attributes:
        id: The folder's name.
        created_at: When it was written, aware UTC.
        meta: The facts of its kind: a bundle's ``card``, a snapshot's ``as_of``.
    """

    id: str
    created_at: datetime
    meta: Mapping[str, Any]


@dataclass(frozen=True)
class Refusal:
    """A newer folder that is not served.

    Attributes:
        part: What it would have replaced.
        id: The folder's name; None where ``CURRENT`` is gone or unreadable.
        reason: What is wrong with it, in words.
        at: When it was tried, aware UTC.
    """

    part: Part
    id: str | None
    reason: str
    at: datetime


@dataclass(frozen=True)
class Published:
    """What is in force in one worker at one moment; it never changes.

    Attributes:
        forecast: The forecast set; None where none was published.
        scores: The score set; None where none was published.
        cards: The manifests of the promoted bundles, with ``meta["card"]``, by model.
        snapshot: The manifest of the current feature snapshot.
        experiments: The results of experiments; None where none were published.
        refusals: What newer folder is refused, by part.
        refreshed_at: When the pointers were last compared; None before the first time.
    """

    forecast: ForecastSet | None = None
    scores: ScoreSet | None = None
    cards: Mapping[ModelName, Note] = field(default_factory=lambda: MappingProxyType({}))
    snapshot: Note | None = None
    experiments: ExperimentResults | None = None
    refusals: Mapping[Part, Refusal] = field(default_factory=lambda: MappingProxyType({}))
    refreshed_at: datetime | None = None

    def require_forecast(self) -> ForecastSet:
        """Return the forecast set.

        Raises:
            NotPublishedError: There is none; the message says what to run.
        """
        if self.forecast is None:
            raise self._missing("forecast", "forecast", "volume")
        return self.forecast

    def require_scores(self) -> ScoreSet:
        """Return the score set.

        Raises:
            NotPublishedError: There is none; the message says what to run.
        """
        if self.scores is None:
            raise self._missing("scores", "score", "churn")
        return self.scores

    def require_experiments(self) -> ExperimentResults:
        """Return the results of experiments.

        Raises:
            NotPublishedError: There are none; the message says what to run.
        """
        if self.experiments is None:
            refusal = self.refusals.get("experiments")
            raise NotPublishedError(
                "no results of experiments are published yet",
                got=refusal.reason if refusal else None,
                remedy="run `python -m features ingest outreach` and then "
                "`python -m training experiments`",
            )
        return self.experiments

    def _missing(self, part: Part, verb: str, model: ModelName) -> NotPublishedError:
        refusal = self.refusals.get(part)
        steps = [] if model in self.cards else [f"`python -m training promote {model}`"]
        return NotPublishedError(
            f"no {part} can be served yet",
            got=refusal.reason if refusal else None,
            remedy="run " + " and then ".join([*steps, f"`python -m serving {verb}`"]),
        )


class Watcher:
    """Keeps ``published`` in step with the folders under a home.

    Args:
        home: Where to look.

    Attributes:
        home: Where it looks.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self._refreshing = threading.Lock()
        self._published = Published()
        self._roots: dict[Part, tuple[Path, Callable[[Path], Any]]] = {
            "forecast": (home.forecasts, open_forecast_set),
            "scores": (home.scores, open_score_set),
            "volume": (home.bundles("volume"), partial(_read_note, kind="volume-bundle")),
            "churn": (home.bundles("churn"), partial(_read_note, kind="churn-bundle")),
            "snapshot": (home.snapshots, partial(_read_note, kind=SNAPSHOT_KIND)),
            "experiments": (home.experiments, open_experiments),
        }

    @property
    def published(self) -> Published:
        """What is in force now; take it once a request and read everything from it."""
        return self._published

    def refresh(self, *, now: datetime) -> tuple[Part, ...]:
        """Open what the ``CURRENT`` pointers newly name and put it in force.

        Costs six small reads where nothing changed, and about a second per gigabyte that is
        new. Call it in a thread, from as many threads as you like.

        Args:
            now: The time, aware UTC.

        Returns:
            The parts that changed; what was refused stands in ``published.refusals``.
        """
        with self._refreshing:
            old = self._published
            found: dict[Part, Any] = {}
            refusals: dict[Part, Refusal] = {}
            for part, (root, read) in self._roots.items():
                value = self._newer(part, root, read, now=now)
                if isinstance(value, Refusal):
                    refusals[part] = value
                elif value is not None:
                    found[part] = value
            cards = {**old.cards, **{m: found[m] for m in ("volume", "churn") if m in found}}
            self._published = replace(
                old,
                forecast=found.get("forecast", old.forecast),
                scores=found.get("scores", old.scores),
                cards=MappingProxyType(cards),
                snapshot=found.get("snapshot", old.snapshot),
                experiments=found.get("experiments", old.experiments),
                refusals=MappingProxyType(refusals),
                refreshed_at=now,
            )
            return tuple(found)

    def _newer(self, part: Part, root: Path, read: Callable[[Path], Any], *, now: datetime) -> Any:
        """Return what to put in force, why not, or None where what is in force is current."""
        open_id = self._open_id(part)
        id: str | None = None
        try:
            id = current_id(root)
            if id == open_id:
                return None
            if id is None:
                raise NotPublishedError(f"`{root.name}/{CURRENT}` is gone", remedy="publish again")
            before = self._published.refusals.get(part)
            if before is not None and before.id == id and now - before.at < RETRY_AFTER:
                return before
            return read(root / id)
        except EbbflowError as error:
            return Refusal(part, id, str(error), now)
        except _UNREADABLE as error:
            return Refusal(part, id, f"unreadable ({type(error).__name__}: {error})", now)

    def _open_id(self, part: Part) -> str | None:
        published = self._published
        opened: ForecastSet | ScoreSet | ExperimentResults | Note | None
        if part == "forecast":
            opened = published.forecast
        elif part == "scores":
            opened = published.scores
        elif part == "snapshot":
            opened = published.snapshot
        elif part == "experiments":
            opened = published.experiments
        else:
            opened = published.cards.get(part)
        return None if opened is None else opened.id


def _read_note(path: Path, *, kind: str) -> Note:
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        note = Note(
            manifest["id"], datetime.fromisoformat(manifest["created_at"]), manifest["meta"]
        )
        found = manifest["kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedArtefactError(
            f"{kind} `{path.name}`",
            got=f"an unreadable manifest ({error})",
            remedy="publish it again",
        ) from error
    if found != kind:
        raise IncompatibleArtefactError(f"`{path.name}`", got=f"kind {found}", expected=kind)
    return note
