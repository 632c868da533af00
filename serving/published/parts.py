"""The table of published parts, and what is in force of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from features.artefact import CURRENT, MANIFEST, current_id
from features.errors import (
    DamagedArtefactError,
    EbbflowError,
    IncompatibleArtefactError,
    NotPublishedError,
    UnknownNameError,
)
from features.home import Home, ModelName
from features.snapshot import SNAPSHOT_KIND
from serving.published.experiments import ExperimentResults, open_experiments
from serving.published.forecast_set import ForecastSet, open_forecast_set
from serving.published.score_set import ScoreSet, open_score_set


@dataclass(frozen=True)
class ManifestInfo:
    """A folder's manifest; its other files are not read.

    Attributes:
        meta: What its kind adds: a bundle's ``card``, a snapshot's ``as_of``.
    """

    id: str
    created_at: datetime
    meta: Mapping[str, Any]


Served = ForecastSet | ScoreSet | ExperimentResults | ManifestInfo


@dataclass(frozen=True)
class Part:
    """One kind of published folder.

    Attributes:
        kind: Its name in readiness, metrics and logs.
        root: Where its folders and their ``CURRENT`` stand.
        open: Verifies a folder and reads what is served of it.
        commands: What publishes it, in order.
        title: Its name on the first page; empty where the page does not show it.
        quality: Says how good it was in plain words, from the metrics of its card.
        missing: What a request for it says where it is not published.
        before: What has to be run first, besides a promotion.
        made_by: The model whose bundle makes it; None for what no request reads.
        open_model: Opens the model of a bundle; None for what is no bundle.
        optional: Whether it is listed only where it was published.
        packed: Whether it goes into a Bento.
    """

    kind: str
    root: Callable[[Home], Path]
    open: Callable[[Path], Served]
    commands: tuple[str, ...]
    title: str = ""
    quality: Callable[[Mapping[str, Any]], str] | None = None
    missing: str = ""
    before: tuple[str, ...] = ()
    made_by: ModelName | None = None
    open_model: Callable[[Path], Any] | None = None
    optional: bool = False
    packed: bool = True

    @property
    def remedy(self) -> str:
        """What publishes it, in words."""
        return "run " + " and ".join(f"`{command}`" for command in self.commands)


def read_manifest(path: Path, *, kind: str) -> ManifestInfo:
    """Read a folder's manifest alone.

    Raises:
        DamagedArtefactError: It cannot be read.
        IncompatibleArtefactError: The folder is of another kind.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        created_at = datetime.fromisoformat(manifest["created_at"])
        info, own_kind = (
            ManifestInfo(manifest["id"], created_at, manifest["meta"]),
            manifest["kind"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedArtefactError(
            f"{kind} `{path.name}`",
            got=f"an unreadable manifest ({error})",
            remedy="publish it again",
        ) from error
    if own_kind != kind:
        raise IncompatibleArtefactError(f"`{path.name}`", got=f"kind {own_kind}", expected=kind)
    return info


def _open_volume_model(path: Path) -> Any:
    from serving.models.volume.model import open_volume_model  # a server opens no model

    return open_volume_model(path)


def _open_churn_model(path: Path) -> Any:
    from serving.models.churn.model import open_churn_model  # a server opens no model

    return open_churn_model(path)


def _volume_quality(metrics: Mapping[str, Any]) -> str:
    return (
        f"On past weeks it missed by {100 * metrics['wape']:.0f} % of an hour's contacts; the same "
        f"hour of the week before by {100 * metrics['wape_seasonal_naive']:.0f} %."
    )


def _churn_quality(metrics: Mapping[str, Any]) -> str:
    return (
        "On past dates it gave the one who left the higher score in "
        f"{100 * metrics['auc']:.0f} of 100 pairs of a leaver and a stayer."
    )


PARTS_TABLE: tuple[Part, ...] = (
    Part(
        "forecast",
        root=lambda home: home.forecasts,
        open=open_forecast_set,
        commands=("python -m serving forecast",),
        title="Forecast of contacts",
        missing="no forecast can be served yet",
        made_by="volume",
    ),
    Part(
        "scores",
        root=lambda home: home.scores,
        open=open_score_set,
        commands=("python -m serving score",),
        title="Churn scores",
        missing="no scores can be served yet",
        made_by="churn",
    ),
    Part(
        "volume",
        root=lambda home: home.bundles("volume"),
        open=partial(read_manifest, kind="volume-bundle"),
        commands=("python -m training fit volume", "python -m training promote volume"),
        title="Model for contacts",
        quality=_volume_quality,
        open_model=_open_volume_model,
    ),
    Part(
        "churn",
        root=lambda home: home.bundles("churn"),
        open=partial(read_manifest, kind="churn-bundle"),
        commands=("python -m training fit churn", "python -m training promote churn"),
        title="Model for churn",
        quality=_churn_quality,
        open_model=_open_churn_model,
    ),
    Part(
        "snapshot",
        root=lambda home: home.snapshots,
        open=partial(read_manifest, kind=SNAPSHOT_KIND),
        commands=("python -m features build",),
        title="Features",
    ),
    Part(
        "experiments",
        root=lambda home: home.experiments,
        open=open_experiments,
        commands=("python -m training experiments",),
        missing="no results of experiments are published yet",
        before=("python -m features ingest outreach",),
        optional=True,
        packed=False,
    ),
)
PARTS_BY_KIND: Mapping[str, Part] = {part.kind: part for part in PARTS_TABLE}


def open_model(name: ModelName, path: Path) -> Any:
    """Verify a bundle folder and return the model inside, a ``VolumeModel`` or a ``ChurnModel``.

    Raises:
        UnknownNameError: There is no model of that name.
        DamagedArtefactError: Files are missing or differ from their checksums.
        IncompatibleArtefactError: It holds another kind, schema or contract.
    """
    openers = {part.kind: part.open_model for part in PARTS_TABLE if part.open_model}
    if name not in openers:
        raise UnknownNameError("model", name, openers)
    return openers[name](path)


RETRY_AFTER = timedelta(seconds=60)
"""A refused folder is tried again after this: it may have been half-way through a copy."""

_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, pa.ArrowException)


@dataclass(frozen=True)
class Rejection:
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
    refusals: Mapping[str, Rejection] = field(default_factory=lambda: MappingProxyType({}))
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
    def snapshot(self) -> ManifestInfo | None:
        """The manifest of the current feature snapshot."""
        return self.served.get("snapshot")

    @property
    def experiments(self) -> ExperimentResults | None:
        """The results of experiments; None where none were published."""
        return self.served.get("experiments")

    @property
    def cards(self) -> dict[str, ManifestInfo]:
        """The manifests of the promoted bundles, with ``meta["card"]``, by model."""
        return {kind: x for kind, x in self.served.items() if PARTS_BY_KIND[kind].open_model}

    @property
    def is_ready(self) -> bool:
        """Whether at least one set, a forecast or scores, can be served."""
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
            refusals: dict[str, Rejection] = {}
            for part in PARTS_TABLE:
                value = self._newer(part, now=now)
                if isinstance(value, Rejection):
                    refusals[part.kind] = value
                elif value is not None:
                    opened[part.kind] = value
            served = {**self._published.served, **opened}
            self._published = Published(MappingProxyType(served), MappingProxyType(refusals), now)
            return tuple(opened)

    def _newer(self, part: Part, *, now: datetime) -> Served | Rejection | None:
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
            return Rejection(part.kind, id, str(error), now)
        except _UNREADABLE as error:
            return Rejection(part.kind, id, f"unreadable ({type(error).__name__}: {error})", now)
