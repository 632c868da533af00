"""The volume model as it is served: a bundle read from disk, and its forecasts.

The history comes with the request, so new contacts move the forecast without a refit.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from features.artefact import Artefact, open_artefact
from features.calendar import Bool, Event, Float64, Int64, Queue, epoch, interval_starts, moment
from features.errors import HorizonError
from features.snapshot import QueueHistory, event_from_json, queue_from_json, queue_to_json
from serving.models.volume.combination import Method, add_boosted, combine, method_of
from serving.models.volume.counts import count_quantiles
from serving.models.volume.outlook import Outlook, lead_bucket, look_out
from serving.models.volume.profiles import aht_profile, recent, week_grid
from serving.models.volume.state import VolumeState, damaged, read_volume_state

VOLUME_BUNDLE_KIND = "volume-bundle"
VOLUME_BUNDLE_SCHEMA = 1
GOLDEN_FILE = "golden.json"
GOLDEN_ARRAYS_FILE = "golden.npz"

_STALE_SECONDS = 7 * 86_400
_THIN_SPREAD = 2.0
"""Factor on the spread of a queue whose own errors are not known."""


@dataclass(frozen=True)
class QueueForecast:
    """One queue's forecast.

    Attributes:
        queue: The queue, with its opening hours stated or learnt.
        starts: Interval starts, epoch seconds, int64[h].
        is_open: Whether it is open in each, bool[h].
        mean: Contacts expected, float64[h]; exactly 0 where closed.
        quantiles: At ``contracts.QUANTILE_LEVELS``, float64[h, 19], never crossing.
        aht_seconds: Average handle time, float64[h].
        method: ``combined``; ``profile`` or ``baseline`` with little history; ``none`` without.
        warnings: What a planner should know, one sentence each.
    """

    queue: Queue
    starts: Int64
    is_open: Bool
    mean: Float64
    quantiles: Float64
    aht_seconds: Float64
    method: Method
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class VolumeForecast:
    """The forecasts of several queues made at one moment.

    Attributes:
        made_at: When it was made, aware UTC.
        as_of: What was known then was used, aware UTC.
        queues: By queue name.
    """

    made_at: datetime
    as_of: datetime
    queues: dict[str, QueueForecast]


@dataclass(frozen=True)
class VolumeModel:
    """A volume bundle, ready to forecast.

    Attributes:
        artefact: The verified folder.
        card: What it is: training span, metrics, configuration, versions.
        state: What it learnt.
    """

    artefact: Artefact
    card: Mapping[str, Any]
    state: VolumeState

    @property
    def horizon_days(self) -> int:
        """Days ahead that it was trained and measured for."""
        return int(self.card["horizon_days"])

    def forecast(
        self,
        histories: Mapping[str, QueueHistory],
        *,
        events: Sequence[Event],
        made_at: datetime,
        until: datetime,
    ) -> VolumeForecast:
        """Forecast each queue from the first interval at or after ``made_at``.

        Args:
            histories: What was known at ``made_at``, by queue; what had not ended by then, and
                what is older than 60 weeks, is not looked at.
            events: Calendar events; those known later than ``made_at`` are left out.
            made_at: The moment it is made, aware.
            until: End of the horizon, excluded, aware.

        Raises:
            HorizonError: ``until`` is not after ``made_at``, or further than ``horizon_days``.
            InputError: A time has no zone, or a queue's zone or country is unknown.
        """
        first, last = epoch(made_at), epoch(until)
        if not first < last <= first + self.horizon_days * 86_400:
            raise HorizonError(
                "end of the forecast",
                got=until.isoformat(),
                expected=f"after {made_at.isoformat()} and at most {self.horizon_days} days on",
                remedy="ask for less, or train with a longer `horizon_days`",
                field="until",
            )
        return forecast_with(self.state, histories, events=events, made_at=made_at, until=until)

    def check_golden(self) -> None:
        """Replay the bundle's stored request and compare with the stored forecast.

        Raises:
            DamagedArtefactError: It gives another forecast than it did when it was made.
        """
        golden = self.artefact.json(GOLDEN_FILE)
        try:
            with np.load(self.artefact.file(GOLDEN_ARRAYS_FILE), allow_pickle=False) as arrays:
                histories, expected = _golden_arrays(golden, arrays)
        except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise damaged(
                self.artefact, f"a golden request that cannot be read ({error})"
            ) from error
        given = self.forecast(
            histories,
            events=[event_from_json(e) for e in golden["events"]],
            made_at=datetime.fromisoformat(golden["made_at"]),
            until=datetime.fromisoformat(golden["until"]),
        )
        for name, wanted in expected.items():
            found = _stacked(given.queues[name])
            if found.shape != wanted.shape or not np.allclose(found, wanted, rtol=1e-6, atol=1e-6):
                raise damaged(self.artefact, f"another forecast of `{name}` than when it was made")


def forecast_with(
    state: VolumeState,
    histories: Mapping[str, QueueHistory],
    *,
    events: Sequence[Event],
    made_at: datetime,
    until: datetime,
) -> VolumeForecast:
    """Forecast without a bundle, from what training learnt; see ``VolumeModel.forecast``."""
    first, last = epoch(made_at), epoch(until)
    known = {name: recent(history.before(made_at)) for name, history in histories.items()}
    outlooks = {
        name: outlook_of(history, state, events=events, made_at=first, until=last)
        for name, history in known.items()
    }
    add_boosted(list(outlooks.values()), state.boosters)
    queues = {
        name: queue_forecast(outlook, known[name], state) for name, outlook in outlooks.items()
    }
    return VolumeForecast(made_at=moment(first), as_of=moment(first), queues=queues)


def outlook_of(
    history: QueueHistory,
    state: VolumeState,
    *,
    events: Sequence[Event],
    made_at: int,
    until: int,
) -> Outlook:
    """Return a queue's outlook over [made_at, until), LightGBM's parts still empty.

    Args:
        history: What had ended by ``made_at``.
        state: What training learnt.
        events: Calendar events.
        made_at: Epoch seconds.
        until: Epoch seconds, excluded.
    """
    queue = history.queue
    smoothing = state.smoothing.get(queue.queue, state.smoothing[""])
    return look_out(
        history,
        events=events,
        effects=state.effects,
        smoothing=smoothing,
        made_at=made_at,
        starts=interval_starts(made_at, until, queue.interval_minutes, queue.time_zone),
    )


def queue_forecast(outlook: Outlook, history: QueueHistory, state: VolumeState) -> QueueForecast:
    """Turn a complete outlook into the queue's forecast."""
    queue, row = outlook.queue, state.row(outlook.queue.queue)
    mean = combine(outlook, state.weights[row])
    method = method_of(outlook.weeks_seen)
    known = row < len(state.queues) and method == "combined"
    bucket = lead_bucket(outlook.lead_hours)
    spread = state.spread[row, bucket] * (1.0 if known else _THIN_SPREAD)
    seconds = aht_profile(
        week_grid(queue, history.starts, history.aht_seconds),
        week_grid(queue, history.starts, history.handled),
        default_seconds=queue.default_aht_seconds,
    )
    return QueueForecast(
        queue=queue,
        starts=outlook.starts,
        is_open=outlook.is_open,
        mean=mean,
        quantiles=count_quantiles(mean, spread, state.levels[row, bucket]),
        aht_seconds=seconds[outlook.cell],
        method=method,
        warnings=_warnings(outlook, history, trained=row < len(state.queues)),
    )


def _warnings(outlook: Outlook, history: QueueHistory, *, trained: bool) -> tuple[str, ...]:
    name, weeks = outlook.queue.queue, outlook.weeks_seen
    found = []
    if not trained:
        found.append(f"`{name}` was not among the queues the model was trained on")
    if method_of(weeks) == "none":
        found.append(f"`{name}` has no observed history; its forecast is zero")
        return tuple(found)
    if method_of(weeks) != "combined":
        found.append(f"`{name}` has {weeks:.1f} weeks of history; a simple profile is used")
    last = int(history.starts[history.observed][-1])
    if outlook.made_at - last > _STALE_SECONDS:
        found.append(f"`{name}` was last observed at {moment(last).isoformat()}")
    return tuple(found)


def open_volume_model(path: Path) -> VolumeModel:
    """Verify and read a volume bundle.

    Raises:
        ArtefactError: It is damaged, or of another kind, schema or contract.
    """
    artefact = open_artefact(path, kind=VOLUME_BUNDLE_KIND, schema=VOLUME_BUNDLE_SCHEMA)
    card = artefact.meta.get("card")
    if not isinstance(card, dict) or "horizon_days" not in card:
        raise damaged(artefact, "a manifest without the model's card")
    return VolumeModel(artefact=artefact, card=card, state=read_volume_state(artefact))


def write_golden(
    folder: Path,
    histories: Mapping[str, QueueHistory],
    forecast: VolumeForecast,
    *,
    events: Sequence[Event],
    until: datetime,
) -> None:
    """Write a request and its forecast, for ``check_golden``.

    Args:
        folder: The bundle's folder.
        histories: The request's histories, of the forecast's queues.
        forecast: What the bundle answers.
        events: The request's events.
        until: The request's end.
    """
    trimmed = {name: recent(histories[name].before(forecast.made_at)) for name in forecast.queues}
    document = {
        "queues": [queue_to_json(history.queue) for history in trimmed.values()],
        "events": [asdict(event) for event in events],
        "made_at": forecast.made_at.isoformat(),
        "until": until.isoformat(),
    }
    (folder / GOLDEN_FILE).write_text(json.dumps(document, allow_nan=False), encoding="utf-8")
    arrays: dict[str, Any] = {}
    for i, (name, history) in enumerate(trimmed.items()):
        arrays[f"starts_{i}"] = history.starts
        arrays[f"rows_{i}"] = np.stack((history.offered, history.aht_seconds, history.handled))
        arrays[f"forecast_{i}"] = _stacked(forecast.queues[name])
    np.savez_compressed(folder / GOLDEN_ARRAYS_FILE, **arrays)


def _golden_arrays(
    golden: Mapping[str, Any], arrays: Mapping[str, Any]
) -> tuple[dict[str, QueueHistory], dict[str, Float64]]:
    histories, expected = {}, {}
    for i, document in enumerate(golden["queues"]):
        queue, rows = queue_from_json(document), arrays[f"rows_{i}"]
        histories[queue.queue] = QueueHistory(queue, arrays[f"starts_{i}"], *rows)
        expected[queue.queue] = arrays[f"forecast_{i}"]
    return histories, expected


def _stacked(forecast: QueueForecast) -> Float64:
    return np.column_stack((forecast.mean, forecast.aht_seconds, forecast.quantiles))
