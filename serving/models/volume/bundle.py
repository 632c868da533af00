"""What a volume bundle holds on disk: the learnt state, and the golden request to replay."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np

from features.arrays import Float64
from features.artefact import Artefact
from features.calendar.queues import Event, event_from_json, queue_from_json, queue_to_json
from features.errors import DamagedArtefactError
from features.volume.history import NO_ORDERS, OrderFlow, QueueHistory
from serving.models.volume.boosting import NAMES, Boosters
from serving.models.volume.calendar_effects import DayEffects
from serving.models.volume.distribution import (
    LEAD_BUCKETS,
    ForecastDistribution,
    shape_from_json,
    shape_to_json,
)
from serving.models.volume.forecast import QueueForecast, VolumeForecast
from serving.models.volume.levels import Smoothing
from serving.models.volume.orders import NO_WEIGHTS, OrderWeights, order_weights_from_json
from serving.models.volume.outlook import COMPONENTS
from serving.models.volume.week_profile import recent
from serving.staffing.queue_model import ServiceCalibration

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
    shapes: tuple[ForecastDistribution, ...]
    young: ForecastDistribution
    boosters: Boosters
    orders: OrderWeights = NO_WEIGHTS
    service: Mapping[str, ServiceCalibration] = field(default_factory=dict)

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
                service={q: ServiceCalibration(**s) for q, s in document["service"].items()},
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


GOLDEN_FILE = "golden.json"
GOLDEN_ARRAYS_FILE = "golden.npz"


@dataclass(frozen=True)
class Golden:
    """A stored request and its answer.

    Attributes:
        until: End of the horizon, excluded, aware UTC.
        expected: By queue, mean, average handle time and quantiles, float64[h, 21].
    """

    histories: Mapping[str, QueueHistory]
    events: tuple[Event, ...]
    orders: OrderFlow
    made_at: datetime
    until: datetime
    expected: Mapping[str, Float64]

    def check(self, forecast: VolumeForecast, artefact: Artefact) -> None:
        """Compare the bundle's forecast of the request with the stored one.

        Raises:
            DamagedArtefactError: They differ.
        """
        for name, expected in self.expected.items():
            got = _stacked(forecast.queues[name])
            if got.shape != expected.shape or not np.allclose(got, expected, rtol=1e-6, atol=1e-6):
                raise damaged(artefact, f"another forecast of `{name}` than when it was made")


def write_golden(
    folder: Path,
    histories: Mapping[str, QueueHistory],
    forecast: VolumeForecast,
    *,
    events: Sequence[Event],
    orders: OrderFlow = NO_ORDERS,
    until: datetime,
) -> None:
    """Write a request and its forecast into a bundle's folder, for ``read_golden``."""
    trimmed = {name: recent(histories[name].before(forecast.made_at)) for name in forecast.queues}
    document = {
        "queues": [queue_to_json(history.queue) for history in trimmed.values()],
        "events": [asdict(event) for event in events],
        "made_at": forecast.made_at.isoformat(),
        "until": until.isoformat(),
    }
    (folder / GOLDEN_FILE).write_text(json.dumps(document, allow_nan=False), encoding="utf-8")
    flow = orders.before(forecast.made_at)
    arrays: dict[str, Any] = {"order_starts": flow.starts, "order_counts": flow.counts}
    for i, (name, history) in enumerate(trimmed.items()):
        arrays[f"starts_{i}"] = history.starts
        arrays[f"rows_{i}"] = np.stack((history.offered, history.aht_seconds, history.handled))
        arrays[f"forecast_{i}"] = _stacked(forecast.queues[name])
    np.savez_compressed(folder / GOLDEN_ARRAYS_FILE, **arrays)


def read_golden(artefact: Artefact) -> Golden:
    """Return the request that a bundle stores.

    Raises:
        DamagedArtefactError: It cannot be read.
    """
    golden = artefact.json(GOLDEN_FILE)
    try:
        with np.load(artefact.file(GOLDEN_ARRAYS_FILE), allow_pickle=False) as arrays:
            histories, flow, expected = _read_arrays(golden, arrays)
    except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise damaged(artefact, f"a golden request that cannot be read ({error})") from error
    return Golden(
        histories=histories,
        events=tuple(event_from_json(e) for e in golden["events"]),
        orders=flow,
        made_at=datetime.fromisoformat(golden["made_at"]),
        until=datetime.fromisoformat(golden["until"]),
        expected=expected,
    )


def _read_arrays(
    golden: Mapping[str, Any], arrays: Mapping[str, Any]
) -> tuple[dict[str, QueueHistory], OrderFlow, dict[str, Float64]]:
    flow = OrderFlow(arrays["order_starts"], arrays["order_counts"])
    histories, expected = {}, {}
    for i, document in enumerate(golden["queues"]):
        queue, rows = queue_from_json(document), arrays[f"rows_{i}"]
        histories[queue.queue] = QueueHistory(queue, arrays[f"starts_{i}"], *rows)
        expected[queue.queue] = arrays[f"forecast_{i}"]
    return histories, flow, expected


def _stacked(forecast: QueueForecast) -> Float64:
    return np.column_stack((forecast.mean, forecast.aht_seconds, forecast.quantiles))
