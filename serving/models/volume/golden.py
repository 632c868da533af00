"""The request that a volume bundle stores, with its forecast, to be replayed before it serves."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from features.artefact import Artefact
from features.calendar import Event, Float64
from features.snapshot import (
    NO_ORDERS,
    OrderFlow,
    QueueHistory,
    event_from_json,
    queue_from_json,
    queue_to_json,
)
from serving.models.volume.forecast import QueueForecast, VolumeForecast
from serving.models.volume.profiles import recent
from serving.models.volume.state import damaged

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
