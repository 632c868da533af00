"""What training learnt of the volume model, as files without code.

Two LightGBM text models, JSON for effects and smoothing, arrays (never pickled) for weights,
spreads and recalibrated quantile levels.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np

from features.artefact import Artefact
from features.calendar import Float64
from features.contracts import LEAD_BUCKETS, QUANTILE_LEVELS
from features.errors import DamagedArtefactError
from serving.models.volume.combination import Boosters
from serving.models.volume.features import NAMES
from serving.models.volume.levels import Smoothing
from serving.models.volume.outlook import COMPONENTS
from serving.models.volume.specials import DayEffects

STATE_FILE = "state.json"
ARRAYS_FILE = "arrays.npz"
TWEEDIE_FILE = "tweedie.txt"
L1_FILE = "l1.txt"

_UNREADABLE = (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True)
class VolumeState:
    """Everything that training learnt.

    Attributes:
        queues: Queues that were trained on, in the order of the arrays' rows.
        effects: Effects of special days.
        smoothing: Exponential smoothing by queue; the key ``""`` is for any other.
        weights: float64[queues + 1, lead buckets, components]; the last row is for any other.
        spread: Squared coefficient of variation of the rate, float64[queues + 1, lead buckets].
        levels: Where to read each published quantile, float64[queues + 1, lead buckets, 19].
        boosters: The LightGBM models.
    """

    queues: tuple[str, ...]
    effects: DayEffects
    smoothing: Mapping[str, Smoothing]
    weights: Float64
    spread: Float64
    levels: Float64
    boosters: Boosters

    def row(self, queue: str) -> int:
        """Return the queue's row in the arrays; the last one where it was not trained on."""
        return self.queues.index(queue) if queue in self.queues else len(self.queues)


def write_volume_state(folder: Path, state: VolumeState) -> None:
    """Write what training learnt into a bundle's folder."""
    document = {
        "queues": state.queues,
        "effects": asdict(state.effects),
        "smoothing": {queue: asdict(s) for queue, s in state.smoothing.items()},
        "boosted": state.boosters.tweedie is not None,
        "components": COMPONENTS,
    }
    (folder / STATE_FILE).write_text(json.dumps(document, indent=1, allow_nan=False), "utf-8")
    arrays: dict[str, Any] = {
        "weights": state.weights,
        "spread": state.spread,
        "levels": state.levels,
    }
    np.savez_compressed(folder / ARRAYS_FILE, **arrays)
    for name, booster in ((TWEEDIE_FILE, state.boosters.tweedie), (L1_FILE, state.boosters.l1)):
        if booster is not None:
            (folder / name).write_text(booster.model_to_string(), encoding="utf-8")


def read_volume_state(artefact: Artefact) -> VolumeState:
    """Read what ``write_volume_state`` wrote.

    Raises:
        DamagedArtefactError: Its content cannot be read or does not fit together.
    """
    try:
        document = artefact.json(STATE_FILE)
        with np.load(artefact.file(ARRAYS_FILE), allow_pickle=False) as arrays:
            state = VolumeState(
                queues=tuple(document["queues"]),
                effects=DayEffects(**document["effects"]),
                smoothing={q: Smoothing(**s) for q, s in document["smoothing"].items()},
                weights=arrays["weights"],
                spread=arrays["spread"],
                levels=arrays["levels"],
                boosters=_read_boosters(artefact) if document["boosted"] else Boosters(None, None),
            )
        if tuple(document["components"]) != COMPONENTS or "" not in state.smoothing:
            raise ValueError("other components than this version has")
    except (*_UNREADABLE, lgb.basic.LightGBMError) as error:
        raise damaged(artefact, f"content that cannot be read ({error})") from error
    _check_shapes(artefact, state)
    return state


def _read_boosters(artefact: Artefact) -> Boosters:
    tweedie, l1 = (lgb.Booster(model_file=artefact.file(f)) for f in (TWEEDIE_FILE, L1_FILE))
    if tweedie.num_feature() != len(NAMES) or l1.num_feature() != len(NAMES):
        raise ValueError(f"LightGBM models with other than {len(NAMES)} features")
    return Boosters(tweedie=tweedie, l1=l1)


def _check_shapes(artefact: Artefact, state: VolumeState) -> None:
    rows, buckets = len(state.queues) + 1, len(LEAD_BUCKETS)
    wanted = {
        "weights": (rows, buckets, len(COMPONENTS)),
        "spread": (rows, buckets),
        "levels": (rows, buckets, len(QUANTILE_LEVELS)),
    }
    for name, shape in wanted.items():
        found = getattr(state, name)
        if found.shape != shape or not np.isfinite(found).all():
            raise damaged(artefact, f"`{name}` of shape {found.shape} instead of {shape}")


def damaged(artefact: Artefact, got: str) -> DamagedArtefactError:
    """Return the error of a volume bundle whose content is wrong."""
    return DamagedArtefactError(
        f"volume bundle `{artefact.id}`", got=got, remedy="train and promote it again"
    )
