"""The table of published parts: where each stands, how it is opened, packed and told of.

What is in force, readiness, pages, errors and packing all read it: a family of models is added
by its rows here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from features.artefact import MANIFEST
from features.errors import DamagedArtefactError, IncompatibleArtefactError
from features.home import Home, ModelName
from features.snapshot import SNAPSHOT_KIND
from serving.sets.experiments import ExperimentResults, open_experiments
from serving.sets.forecast import ForecastSet, open_forecast_set
from serving.sets.scores import ScoreSet, open_score_set


@dataclass(frozen=True)
class Note:
    """What the manifest of a folder says; its files are not read.

    Attributes:
        meta: What its kind adds: a bundle's ``card``, a snapshot's ``as_of``.
    """

    id: str
    created_at: datetime
    meta: Mapping[str, Any]


Served = ForecastSet | ScoreSet | ExperimentResults | Note


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
        made_by: The model whose bundle makes it; None for what no request is answered from.
        open_model: Opens the model of a bundle; None for what is no bundle.
        optional: Whether it is told of only where it was published.
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


def read_note(path: Path, *, kind: str) -> Note:
    """Read a folder's manifest alone.

    Raises:
        DamagedArtefactError: It cannot be read.
        IncompatibleArtefactError: The folder is of another kind.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        created_at = datetime.fromisoformat(manifest["created_at"])
        note, own_kind = Note(manifest["id"], created_at, manifest["meta"]), manifest["kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedArtefactError(
            f"{kind} `{path.name}`",
            got=f"an unreadable manifest ({error})",
            remedy="publish it again",
        ) from error
    if own_kind != kind:
        raise IncompatibleArtefactError(f"`{path.name}`", got=f"kind {own_kind}", expected=kind)
    return note


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
        open=partial(read_note, kind="volume-bundle"),
        commands=("python -m training fit volume", "python -m training promote volume"),
        title="Model for contacts",
        quality=_volume_quality,
        open_model=_open_volume_model,
    ),
    Part(
        "churn",
        root=lambda home: home.bundles("churn"),
        open=partial(read_note, kind="churn-bundle"),
        commands=("python -m training fit churn", "python -m training promote churn"),
        title="Model for churn",
        quality=_churn_quality,
        open_model=_open_churn_model,
    ),
    Part(
        "snapshot",
        root=lambda home: home.snapshots,
        open=partial(read_note, kind=SNAPSHOT_KIND),
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
