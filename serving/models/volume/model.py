"""The volume model as it is served: a bundle read from disk, and its forecasts.

The history comes with the request, so new contacts move the forecast without a refit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from features.artefact import Artefact, open_artefact
from features.calendar.clock import DAY_SECONDS, from_epoch, interval_starts, to_epoch
from features.calendar.queues import Event
from features.errors import HorizonError
from features.volume.history import NO_ORDERS, OrderFlow, QueueHistory
from serving.models.volume.boosting import add_boosted
from serving.models.volume.bundle import VolumeState, damaged, read_golden, read_volume_state
from serving.models.volume.distribution import QUANTILE_LEVELS
from serving.models.volume.forecast import QueueForecast, VolumeForecast
from serving.models.volume.handle_time import aht_by_cell
from serving.models.volume.orders import FlowDays, QueueOrders, flow_days
from serving.models.volume.outlook import (
    ComponentForecasts,
    combine,
    component_forecasts,
    method_of,
    split,
)
from serving.models.volume.week_profile import recent
from serving.models.volume.within_hour import quarter_shares
from serving.staffing.queue_model import UNKNOWN

VOLUME_BUNDLE_KIND = "volume-bundle"
VOLUME_BUNDLE_SCHEMA = 3

_STALE_SECONDS = 7 * 86_400
_LATELY_DAYS = 28


@dataclass(frozen=True)
class VolumeModel:
    """A volume bundle, ready to forecast; its card holds training span, metrics, versions."""

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
        orders: OrderFlow = NO_ORDERS,
        made_at: datetime,
        until: datetime,
    ) -> VolumeForecast:
        """Forecast each queue from the first interval at or after ``made_at``.

        Args:
            histories: What was known at ``made_at``, by queue; what had not ended by then, and
                what is older than 60 weeks, is not looked at.
            events: Calendar events; those known later than ``made_at`` are left out.

        Raises:
            HorizonError: ``until`` is not after ``made_at``, or further than ``horizon_days``.
            InputError: A time has no zone, or a queue's zone or country is unknown.
        """
        first, last = to_epoch(made_at), to_epoch(until)
        if not first < last <= first + self.horizon_days * 86_400:
            raise HorizonError(
                "end of the forecast",
                got=until.isoformat(),
                expected=f"after {made_at.isoformat()} and at most {self.horizon_days} days on",
                remedy="ask for less, or train with a longer `horizon_days`",
                field="until",
            )
        return forecast_with(
            self.state, histories, events=events, orders=orders, made_at=made_at, until=until
        )

    def check_golden(self) -> None:
        """Replay the bundle's stored request and compare with the stored forecast.

        Raises:
            DamagedArtefactError: It gives another forecast than it did when it was made.
        """
        golden = read_golden(self.artefact)
        forecast = self.forecast(
            golden.histories,
            events=golden.events,
            orders=golden.orders,
            made_at=golden.made_at,
            until=golden.until,
        )
        golden.check(forecast, self.artefact)


def forecast_with(
    state: VolumeState,
    histories: Mapping[str, QueueHistory],
    *,
    events: Sequence[Event],
    orders: OrderFlow = NO_ORDERS,
    made_at: datetime,
    until: datetime,
) -> VolumeForecast:
    """Forecast without a bundle, from what training learnt; see ``VolumeModel.forecast``."""
    first, last = to_epoch(made_at), to_epoch(until)
    known = {name: recent(history.before(made_at)) for name, history in histories.items()}
    flows = flows_of(known, orders.before(made_at), state=state)
    outlooks = {
        name: outlook_of(
            history, state, events=events, flow=flows.get(name), made_at=first, until=last
        )
        for name, history in known.items()
    }
    add_boosted(list(outlooks.values()), state.boosters)
    queues = {
        name: queue_forecast(outlook, known[name], state) for name, outlook in outlooks.items()
    }
    used = tuple(event for event in events if event.known_at <= first)
    return VolumeForecast(
        made_at=from_epoch(first), as_of=from_epoch(first), events=used, queues=queues
    )


def flows_of(
    histories: Mapping[str, QueueHistory], orders: OrderFlow, *, state: VolumeState
) -> dict[str, FlowDays]:
    """Return the flow by local day for the queues that are forecast with it."""
    zones = {
        name: history.queue.time_zone
        for name, history in histories.items()
        if len(orders.starts) and state.orders.of(name) is not None
    }
    by_zone = {zone: flow_days(orders, zone) for zone in set(zones.values())}
    return {name: by_zone[zone] for name, zone in zones.items()}


def outlook_of(
    history: QueueHistory,
    state: VolumeState,
    *,
    events: Sequence[Event],
    flow: FlowDays | None = None,
    made_at: int,
    until: int,
) -> ComponentForecasts:
    """Return a queue's outlook over [made_at, until), epoch seconds, without LightGBM's parts.

    Args:
        history: What had ended by ``made_at``.
        flow: The flow of orders known at ``made_at``, where the queue is forecast with it.
    """
    queue = history.queue
    weights = None if flow is None else state.orders.of(queue.queue)
    smoothing = state.smoothing.get(queue.queue, state.smoothing[""])
    return component_forecasts(
        history,
        events=events,
        effects=state.effects,
        smoothing=smoothing,
        made_at=made_at,
        starts=interval_starts(made_at, until, queue.interval_minutes, queue.time_zone),
        orders=None if flow is None or weights is None else QueueOrders(flow, weights),
    )


def queue_forecast(
    outlook: ComponentForecasts, history: QueueHistory, state: VolumeState
) -> QueueForecast:
    """Turn a complete outlook into the queue's forecast."""
    queue, row = outlook.queue, state.row(outlook.queue.queue)
    parts = split(outlook, combine(outlook, state.weights[row]))
    mean = np.maximum(parts.sum(axis=1), 0.0)
    method = method_of(outlook.weeks_seen)
    forecast = QueueForecast(
        queue=queue,
        starts=outlook.starts,
        is_open=outlook.is_open,
        mean=mean,
        quantiles=np.empty((len(mean), len(QUANTILE_LEVELS))),
        parts=parts,
        baseline=outlook.baseline,
        aht_seconds=aht_by_cell(queue, history)[outlook.cell],
        shape=state.shapes[row] if method == "combined" else state.young,
        effects=state.effects.of(queue.queue),
        method=method,
        warnings=_warnings(outlook, history, trained=row < len(state.queues)),
        quarters=quarter_shares(history.quarters),
        service=state.service.get(queue.queue, UNKNOWN),
    )
    return forecast.with_mean(mean, made_at=outlook.made_at)


def _warnings(
    outlook: ComponentForecasts, history: QueueHistory, *, trained: bool
) -> tuple[str, ...]:
    name, weeks = outlook.queue.queue, outlook.weeks_seen
    warnings = []
    if not trained:
        warnings.append(f"`{name}` was not among the queues the model was trained on")
    if method_of(weeks) == "none":
        warnings.append(f"`{name}` has no observed history; its forecast is zero")
        return tuple(warnings)
    if method_of(weeks) != "combined":
        warnings.append(f"`{name}` has {weeks:.1f} weeks of history; a simple profile is used")
    last = int(history.starts[history.observed][-1])
    if outlook.made_at - last > _STALE_SECONDS:
        warnings.append(f"`{name}` was last observed at {from_epoch(last).isoformat()}")
    lately = outlook.made_at // DAY_SECONDS - _LATELY_DAYS
    bad = [str(day) for day in outlook.bad_days if day.day >= lately]
    if bad:
        warnings.append(f"`{name}` had bad days, which are not learnt from: {', '.join(bad)}")
    return tuple(warnings)


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
