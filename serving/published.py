"""What a worker serves: the published folders in force, opened, verified and swapped whole.

Requests read an immutable value without a lock; a thread swaps it when ``CURRENT`` names another
folder that is fit, and refuses an unfit one with its reason. What is open stays readable when its
folder is deleted.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from features.artefact import CURRENT, current_id
from features.errors import EbbflowError, NotPublishedError
from features.home import Home
from serving.sets.experiments import ExperimentResults
from serving.sets.forecast import ForecastSet
from serving.sets.parts import PARTS_BY_KIND, PARTS_TABLE, Note, Part, Served
from serving.sets.scores import ScoreSet

RETRY_AFTER = timedelta(seconds=60)
"""A refused folder is tried again after this: it may have been half-way through a copy."""

_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, pa.ArrowException)


@dataclass(frozen=True)
class Refusal:
    """A newer folder that is not served.

    Attributes:
        part: Kind of what it would have replaced.
        id: The folder's name; None where ``CURRENT`` is gone or unreadable.
        at: When it was tried, aware UTC.
    """

    part: str
    id: str | None
    reason: str
    at: datetime


@dataclass(frozen=True)
class Published:
    """What is in force in one worker at one moment; it never changes.

    Attributes:
        served: What is in force, by kind of ``PARTS_TABLE``; what was not published is not there.
        refusals: What newer folder is refused, by kind.
        refreshed_at: When the pointers were last compared; None before the first time.
    """

    served: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    refusals: Mapping[str, Refusal] = field(default_factory=lambda: MappingProxyType({}))
    refreshed_at: datetime | None = None

    @property
    def forecast(self) -> ForecastSet | None:
        """The forecast set; None where none was published."""
        return self.served.get("forecast")

    @property
    def scores(self) -> ScoreSet | None:
        """The score set; None where none was published."""
        return self.served.get("scores")

    @property
    def snapshot(self) -> Note | None:
        """The manifest of the current feature snapshot."""
        return self.served.get("snapshot")

    @property
    def experiments(self) -> ExperimentResults | None:
        """The results of experiments; None where none were published."""
        return self.served.get("experiments")

    @property
    def cards(self) -> dict[str, Note]:
        """The manifests of the promoted bundles, with ``meta["card"]``, by model."""
        return {kind: x for kind, x in self.served.items() if PARTS_BY_KIND[kind].open_model}

    @property
    def is_ready(self) -> bool:
        """Whether at least one set, a forecast or scores, can be answered from."""
        return any(PARTS_BY_KIND[kind].made_by for kind in self.served)

    def with_forecast(self, forecast: ForecastSet) -> Published:
        """Return the same with another forecast set in force."""
        return replace(self, served=MappingProxyType({**self.served, "forecast": forecast}))

    def require_forecast(self) -> ForecastSet:
        """Return the forecast set; raises ``NotPublishedError``, which says what to run."""
        forecast: ForecastSet = self._require("forecast")
        return forecast

    def require_scores(self) -> ScoreSet:
        """Return the score set; raises ``NotPublishedError``, which says what to run."""
        scores: ScoreSet = self._require("scores")
        return scores

    def require_experiments(self) -> ExperimentResults:
        """Return experiments' results; raises ``NotPublishedError``, which says what to run."""
        results: ExperimentResults = self._require("experiments")
        return results

    def _require(self, kind: str) -> Any:
        if kind in self.served:
            return self.served[kind]
        part, refusal = PARTS_BY_KIND[kind], self.refusals.get(kind)
        steps = [*part.before, *part.commands]
        if part.made_by and part.made_by not in self.served:
            steps.insert(0, f"python -m training promote {part.made_by}")
        raise NotPublishedError(
            part.missing,
            got=refusal.reason if refusal else None,
            remedy="run " + " and then ".join(f"`{step}`" for step in steps),
        )


class Watcher:
    """Keeps ``published`` in step with the folders under a home."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._refreshing = threading.Lock()
        self._published = Published()

    @property
    def published(self) -> Published:
        """What is in force now; take it once a request and read everything from it."""
        return self._published

    def refresh(self, *, now: datetime) -> tuple[str, ...]:
        """Open what the ``CURRENT`` pointers newly name and put it in force.

        Costs six small reads where nothing changed, and about a second per gigabyte that is
        new. Call it in a thread, from as many threads as you like.

        Returns:
            The kinds that changed; what was refused stands in ``published.refusals``.
        """
        with self._refreshing:
            opened: dict[str, Served] = {}
            refusals: dict[str, Refusal] = {}
            for part in PARTS_TABLE:
                value = self._newer(part, now=now)
                if isinstance(value, Refusal):
                    refusals[part.kind] = value
                elif value is not None:
                    opened[part.kind] = value
            served = {**self._published.served, **opened}
            self._published = Published(MappingProxyType(served), MappingProxyType(refusals), now)
            return tuple(opened)

    def _newer(self, part: Part, *, now: datetime) -> Served | Refusal | None:
        """Return what to put in force, why not, or None where what is in force is current."""
        root, served = part.root(self.home), self._published.served.get(part.kind)
        id: str | None = None
        try:
            id = current_id(root)
            if id == (None if served is None else served.id):
                return None
            if id is None:
                raise NotPublishedError(f"`{root.name}/{CURRENT}` is gone", remedy="publish again")
            before = self._published.refusals.get(part.kind)
            if before is not None and before.id == id and now - before.at < RETRY_AFTER:
                return before
            return part.open(root / id)
        except EbbflowError as error:
            return Refusal(part.kind, id, str(error), now)
        except _UNREADABLE as error:
            return Refusal(part.kind, id, f"unreadable ({type(error).__name__}: {error})", now)
