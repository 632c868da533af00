"""Past forecasts made again through the serving predictor, each from what was known then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from features.calendar import DAY_SECONDS, epoch, moment
from features.snapshot import QueueHistory
from serving.models.volume.orders import OrderWeights
from serving.models.volume.state import VolumeState
from training.volume.config import VolumeConfig
from training.volume.fit import Parts, fit_parts
from training.volume.handle_spread import learn_handle
from training.volume.orders import fit_orders, learn_use
from training.volume.shapes import LearntShapes, learn_shapes
from training.volume.source import Known, VolumeSource, cut_short
from training.volume.splits import rolling_origins
from training.volume.today import learn_today
from training.volume.weights import learn_weights
from training.volume.windows import Window, errors_of, handled_of, order_gains, pairs_of, windows_of


@dataclass(frozen=True)
class Backtest:
    """All windows, and what they teach.

    Attributes:
        windows: By origin, then queue.
    """

    queues: tuple[str, ...]
    origins: tuple[datetime, ...]
    windows: tuple[Window, ...]
    state: VolumeState


def run_backtest(
    source: VolumeSource,
    *,
    as_of: datetime,
    config: VolumeConfig,
    progress: Callable[[str, float], None] | None = None,
) -> Backtest:
    """Forecast from rolling origins, each with what its past had taught, then learn from all.

    An origin uses components fitted at or before it on the history known then, weights from
    windows that had ended by then, and distributions from what had come by then. So each of its
    errors is out of sample, and no window ever chooses anything about itself.

    Raises:
        TooLittleDataError: The history is too short for one origin.
    """
    tell = progress or (lambda _stage, _share: None)
    truth = source.volume(as_of)
    names = tuple(sorted(name for name, h in truth.items() if h.observed.any()))
    origins = _origins(truth, as_of=as_of, config=config)
    refit_at = {round(k * len(origins) / config.refits) for k in range(config.refits)}
    windows: list[Window] = []
    young: list[Window] = []
    parts: Parts | None = None
    for number, origin in enumerate(origins):
        known, events, flow = source.volume(origin), source.events(origin), source.orders(origin)
        known = {name: known[name].before(origin) for name in names if name in known}
        if parts is None or number in refit_at:
            tell("fitting", number / (len(origins) + 1))
            parts = fit_parts(known, events=events, as_of=origin, config=config)
        tell("back-test", (number + 0.5) / (len(origins) + 1))
        ended = [w for w in windows if w.ends <= epoch(origin)]
        weights = fit_orders(
            known, flow, events=events, effects=parts.effects, known_by=epoch(origin)
        )
        learnt = _shapes(windows, young, queues=len(names), known_by=epoch(origin))
        state = _learn(parts, ended, weights, learnt, queues=names, config=config)
        past = Known(known, events, flow)
        windows += windows_of(past, truth, state, origin=origin, config=config)
        young += windows_of(cut_short(past, number), truth, state, origin=origin, config=config)
    tell("final fit", len(origins) / (len(origins) + 1))
    events, flow = source.events(as_of), source.orders(as_of)
    parts = fit_parts(truth, events=events, as_of=as_of, config=config)
    weights = fit_orders(truth, flow, events=events, effects=parts.effects, known_by=epoch(as_of))
    learnt = _shapes(windows, young, queues=len(names), known_by=epoch(as_of))
    state = _learn(parts, windows, weights, learnt, queues=names, config=config)
    return Backtest(queues=names, origins=origins, windows=tuple(windows), state=state)


def _origins(
    truth: Mapping[str, QueueHistory], *, as_of: datetime, config: VolumeConfig
) -> tuple[datetime, ...]:
    firsts = [int(h.starts[h.observed][0]) for h in truth.values() if h.observed.any()]
    return rolling_origins(
        moment(min(firsts, default=epoch(as_of))),
        as_of=as_of,
        horizon_days=config.horizon_days,
        step_days=config.step_days,
        count=config.origins,
        least_history_days=config.least_history_days,
    )


def _learn(
    parts: Parts,
    windows: Sequence[Window],
    orders: OrderWeights,
    learnt: LearntShapes,
    *,
    queues: tuple[str, ...],
    config: VolumeConfig,
) -> VolumeState:
    origins = sorted({w.origin for w in windows})
    step = np.min(np.diff(origins)) if len(origins) > 1 else config.horizon_days * DAY_SECONDS
    share = min(1.0, float(step) / (config.horizon_days * DAY_SECONDS))
    weights = learn_weights(
        [(w.row, w.evidence) for w in windows], queues=len(queues), window_share=share
    )
    todays = learn_today(errors_of(windows), queues=len(queues))
    handles = learn_handle(handled_of(windows), queues=len(queues))
    return VolumeState(
        queues=queues,
        effects=parts.effects,
        smoothing=parts.smoothing,
        weights=weights,
        shapes=tuple(
            replace(shape, today=today, handle=handle)
            for shape, today, handle in zip(learnt.shapes, todays, handles, strict=True)
        ),
        young=replace(learnt.young, today=todays[-1], handle=handles[-1]),
        boosters=parts.boosters,
        orders=replace(orders, used=learn_use(order_gains(windows, queues))),
    )


def _shapes(
    windows: Sequence[Window], young: Sequence[Window], *, queues: int, known_by: int
) -> LearntShapes:
    begun = [w for w in (*windows, *young) if w.method == "profile"]
    return learn_shapes(
        pairs_of([w for w in windows if w.method != "baseline"], known_by=known_by),
        young=pairs_of(begun, known_by=known_by),
        queues=queues,
        as_of=known_by,
    )
