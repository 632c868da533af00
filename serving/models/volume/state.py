"""What training learnt of the volume model, as files without code.

Two LightGBM text models, JSON for effects, smoothing and the shapes of distributions, arrays
(never pickled) for weights.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import lightgbm as lgb
import numpy as np

from features.artefact import Artefact
from features.calendar import Float64
from features.contracts import LEAD_BUCKETS
from features.errors import DamagedArtefactError
from serving.models.volume.combination import Boosters
from serving.models.volume.effects import DayEffects
from serving.models.volume.features import NAMES
from serving.models.volume.levels import Smoothing
from serving.models.volume.orders import NO_WEIGHTS, OrderWeights, order_weights_from_json
from serving.models.volume.outlook import COMPONENTS
from serving.models.volume.service import Service
from serving.models.volume.shape import Shape, shape_from_json, shape_to_json

STATE_FILE = "state.json"
SHAPES_FILE = "shapes.json"
ARRAYS_FILE = "arrays.npz"
TWEEDIE_FILE = "tweedie.txt"
L1_FILE = "l1.txt"

_UNREADABLE = (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True)
class VolumeState:
    """Everything that training learnt.

    Attributes:
        queues: Queues that were trained on, in the order of the arrays' rows.
        smoothing: Exponential smoothing by queue; the key ``""`` is for any other.
        weights: float64[queues + 1, lead buckets, components]; the last row is for any other.
        shapes: Distributions, one a queue; the last one is for any other.
        young: Distribution of a queue that is too young for learnt weights.
    """

    queues: tuple[str, ...]
    effects: DayEffects
    smoothing: Mapping[str, Smoothing]
    weights: Float64
    shapes: tuple[Shape, ...]
    young: Shape
    boosters: Boosters
    orders: OrderWeights = NO_WEIGHTS
    service: Mapping[str, Service] = field(default_factory=dict)

    def row(self, queue: str) -> int:
        """Return the queue's row in the arrays; the last one where it was not trained on."""
        return self.queues.index(queue) if queue in self.queues else len(self.queues)


def write_volume_state(folder: Path, state: VolumeState) -> None:
    """Write what training learnt into a bundle's folder."""
    document = {
        "queues": state.queues,
        "effects": asdict(state.effects),
        "smoothing": {queue: asdict(s) for queue, s in state.smoothing.items()},
        "orders": asdict(state.orders),
        "service": {queue: asdict(s) for queue, s in state.service.items()},
        "boosted": state.boosters.tweedie is not None,
        "components": COMPONENTS,
    }
    (folder / STATE_FILE).write_text(json.dumps(document, indent=1, allow_nan=False), "utf-8")
    shapes = {
        "queues": [shape_to_json(shape) for shape in state.shapes],
        "young": shape_to_json(state.young),
    }
    (folder / SHAPES_FILE).write_text(json.dumps(shapes, allow_nan=False), "utf-8")
    np.savez_compressed(folder / ARRAYS_FILE, weights=state.weights)
    for name, booster in ((TWEEDIE_FILE, state.boosters.tweedie), (L1_FILE, state.boosters.l1)):
        if booster is not None:
            (folder / name).write_text(booster.model_to_string(), encoding="utf-8")


def read_volume_state(artefact: Artefact) -> VolumeState:
    """Read what ``write_volume_state`` wrote.

    Raises:
        DamagedArtefactError: Its content cannot be read or does not fit together.
    """
    try:
        document, shapes = artefact.json(STATE_FILE), artefact.json(SHAPES_FILE)
        with np.load(artefact.file(ARRAYS_FILE), allow_pickle=False) as arrays:
            state = VolumeState(
                queues=tuple(document["queues"]),
                effects=DayEffects(**document["effects"]),
                smoothing={q: Smoothing(**s) for q, s in document["smoothing"].items()},
                weights=arrays["weights"],
                shapes=tuple(shape_from_json(shape) for shape in shapes["queues"]),
                young=shape_from_json(shapes["young"]),
                boosters=_read_boosters(artefact) if document["boosted"] else Boosters(None, None),
                orders=order_weights_from_json(document["orders"]),
                service={q: Service(**s) for q, s in document["service"].items()},
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
    rows = len(state.queues) + 1
    wanted, weights = (rows, len(LEAD_BUCKETS), len(COMPONENTS)), state.weights
    if weights.shape != wanted or not np.isfinite(weights).all():
        raise damaged(artefact, f"`weights` of shape {weights.shape} instead of {wanted}")
    if len(state.shapes) != rows:
        raise damaged(artefact, f"{len(state.shapes)} distributions instead of {rows}")


def damaged(artefact: Artefact, got: str) -> DamagedArtefactError:
    """Return the error of a volume bundle whose content is wrong."""
    return DamagedArtefactError(
        f"volume bundle `{artefact.id}`", got=got, remedy="train and promote it again"
    )
