"""One queue's forecast from one origin through the serving predictor, and what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from features.calendar import Bool, Event, Float64, Int64, Queue, epoch, moment
from features.snapshot import QueueHistory
from serving.models.volume.combination import add_boosted
from serving.models.volume.model import flows_of, outlook_of, queue_forecast
from serving.models.volume.outlook import Outlook, lead_bucket
from serving.models.volume.profiles import last_seen, mean_seen, week_grid
from serving.models.volume.shape import Shape
from serving.models.volume.state import VolumeState
from training.volume.config import VolumeConfig
from training.volume.dispersion import Pairs
from training.volume.fit import actuals
from training.volume.handle import HandleErrors, handle_errors
from training.volume.handle_spread import HandlePairs
from training.volume.lessons import MOST_JUMPED, bad_starts, jumped, lessons
from training.volume.orders import OrderGain, order_gain
from training.volume.source import Known
from training.volume.today import LEAD_SECONDS, Errors
from training.volume.totals import DayTotals
from training.volume.weights import Evidence, evidence_of, filled_parts


@dataclass(frozen=True)
class Window:
    """One queue's forecast from one origin, and what came.

    Attributes:
        origin: Epoch seconds.
        ends: End of the horizon, epoch seconds.
        starts: Interval starts, int64[n], of observed intervals alone, as all below.
        day: Local days, int64[n].
        hour: Local hours of the day, int64[n].
        bucket: Lead buckets, int64[n].
        is_open: Whether the queue was open, bool[n].
        actual: What came, float64[n].
        mean: The forecast, float64[n].
        quantiles: float64[n, 19].
        naive: The same hour of the last observed week, float64[n].
        mean4: The mean of that hour over its last four observed weeks, float64[n].
        orders: What the use of orders changed; None where nothing was learnt of them.
        days: Bands of the totals of days; None where they are not judged.
    """

    row: int
    queue: Queue
    origin: int
    ends: int
    interval_hours: float
    evidence: Evidence
    starts: Int64
    day: Int64
    hour: Int64
    bucket: Int64
    is_open: Bool
    actual: Float64
    mean: Float64
    quantiles: Float64
    shape: Shape
    naive: Float64
    mean4: Float64
    method: str
    orders: OrderGain | None
    handle: HandleErrors
    days: DayTotals | None = None


def windows_of(
    past: Known,
    truth: Mapping[str, QueueHistory],
    state: VolumeState,
    *,
    origin: datetime,
    config: VolumeConfig,
) -> list[Window]:
    """Forecast each queue with a history from one origin, and set what came beside it.

    Args:
        origin: When the forecasts are made, aware UTC.
    """
    ends = epoch(origin + timedelta(days=config.horizon_days))
    seen = {name: history for name, history in past.queues.items() if history.observed.any()}
    # Both ways, whichever is used: that is how it is learnt which is better.
    learnt = tuple(name for name in seen if state.orders.learnt(name) is not None)
    without = _outlooks(seen, past, _using((), state), made_at=epoch(origin), ends=ends)
    within = _outlooks(
        {name: seen[name] for name in learnt if len(past.flow.starts)},
        past,
        _using(learnt, state),
        made_at=epoch(origin),
        ends=ends,
    )
    return [
        _window(
            within[name] if name in within and name in state.orders.used else without[name],
            seen[name],
            truth[name],
            state,
            events=past.events,
            ends=ends,
            both=(without[name], within[name]) if name in within else None,
        )
        for name in seen
    ]


def _using(used: tuple[str, ...], state: VolumeState) -> VolumeState:
    return replace(state, orders=replace(state.orders, used=used))


def _outlooks(
    histories: Mapping[str, QueueHistory],
    past: Known,
    state: VolumeState,
    *,
    made_at: int,
    ends: int,
) -> dict[str, Outlook]:
    flows = flows_of(histories, past.flow, state=state)
    outlooks = {
        name: outlook_of(
            history, state, events=past.events, flow=flows.get(name), made_at=made_at, until=ends
        )
        for name, history in histories.items()
    }
    add_boosted(list(outlooks.values()), state.boosters)
    return outlooks


def _window(
    outlook: Outlook,
    known: QueueHistory,
    truth: QueueHistory,
    state: VolumeState,
    *,
    events: Sequence[Event],
    ends: int,
    both: tuple[Outlook, Outlook] | None,
) -> Window:
    actual = actuals(truth, outlook.starts)
    seen = ~np.isnan(actual)
    # By the time that the window teaches anything, all of it has come.
    bad = bad_starts(truth.before(moment(ends)), state.effects, events, known_by=ends)
    forecast = queue_forecast(outlook, known, state)
    naive, mean4 = baselines(known, outlook)
    return Window(
        row=state.row(outlook.queue.queue),
        queue=outlook.queue,
        origin=outlook.made_at,
        ends=ends,
        interval_hours=outlook.queue.interval_minutes / 60,
        evidence=evidence_of(outlook, lessons(outlook, actual, filled_parts(outlook), bad=bad)),
        starts=outlook.starts[seen],
        day=outlook.day[seen],
        hour=(outlook.cell * outlook.queue.interval_minutes // 60 % 24)[seen],
        bucket=lead_bucket(outlook.lead_hours)[seen],
        is_open=outlook.is_open[seen],
        actual=actual[seen],
        mean=forecast.mean[seen],
        quantiles=forecast.quantiles[seen],
        shape=forecast.shape,
        naive=naive[seen],
        mean4=mean4[seen],
        method=forecast.method,
        orders=None
        if both is None
        else order_gain(*both, actual, state.weights[state.row(outlook.queue.queue)]),
        handle=handle_errors(outlook, forecast, known=known, came=truth),
    )


def baselines(known: QueueHistory, outlook: Outlook) -> tuple[Float64, Float64]:
    """Return what a planner has without a model, float64[h] each.

    The same hour of the last observed week, and the mean of that hour over the last four
    observed weeks; 0 where closed or never observed.
    """
    always = replace(outlook.queue, opening=(None,) * 7, open_on_holidays=True)
    grid = week_grid(always, known.starts, known.offered)
    mean4 = np.nan_to_num(mean_seen(last_seen(grid.values, 4)))
    return outlook.baseline, mean4[outlook.cell] * outlook.is_open


def order_gains(windows: Sequence[Window], queues: Sequence[str]) -> dict[str, list[OrderGain]]:
    """Return what the windows say of the use of orders, by queue."""
    found: dict[str, list[OrderGain]] = {}
    for window in windows:
        if window.orders is not None:
            found.setdefault(queues[window.row], []).append(window.orders)
    return found


def pairs_of(windows: Sequence[Window], *, known_by: int) -> Pairs:
    """Return the forecasts of some windows and what had come of them by then.

    What came after a lasting jump is left out, bad hours are not: a band has to hold those.
    """
    known = _usual(windows, known_by=known_by)

    return Pairs(**_joined(windows, known, "bucket", "day", "mean", "actual"))


def _joined(windows: Sequence[Window], uses: Sequence[Bool], *names: str) -> dict[str, Any]:
    """Return columns of some intervals of windows end to end, with their queue and origin."""
    counts = [int(use.sum()) for use in uses]
    found = {
        name: np.repeat([getattr(w, of) for w in windows], counts).astype(np.int64)
        for name, of in (("queue", "row"), ("origin", "origin"))
    }
    for name in names:
        values = [getattr(w, name)[use] for w, use in zip(windows, uses, strict=True)]
        found[name] = np.concatenate([np.empty(0, dtype=np.int64), *values])
    return found


def _usual(windows: Sequence[Window], *, known_by: int) -> list[Bool]:
    """Return which intervals of each window say how far forecasts are usually off, bool[n]."""
    come = [w.is_open & (w.starts + round(w.interval_hours * 3600) <= known_by) for w in windows]
    after = [
        use
        & jumped(
            np.where(use, w.actual, np.nan),
            w.mean[:, None],
            lead_hours=(w.starts - w.origin) / 3600,
        )
        for w, use in zip(windows, come, strict=True)
    ]
    rows = [w.row for w in windows]
    lost, seen = (np.bincount(rows, [use.sum() for use in uses]) for uses in (after, come))
    # A queue that jumps again and again is usually that far off.
    often = lost > MOST_JUMPED * seen
    return [
        use if often[w.row] else use & ~late
        for w, use, late in zip(windows, come, after, strict=True)
    ]


def handled_of(windows: Sequence[Window]) -> HandlePairs:
    """Return the errors of the average handle time of some windows, all of which has come."""
    judged = [w for w in windows if w.method == "combined"]
    counts = [len(w.handle.day) for w in judged]

    def joined(values: Sequence[Any], dtype: type) -> Any:
        return np.concatenate([np.empty(0, dtype=dtype), *values])

    return HandlePairs(
        queue=np.repeat([w.row for w in judged], counts).astype(np.int64),
        origin=np.repeat([w.origin for w in judged], counts).astype(np.int64),
        day=joined([w.handle.day for w in judged], np.int64),
        relative=joined([w.handle.relative for w in judged], np.float64),
        handled=joined([w.handle.handled for w in judged], np.float64),
    )


def errors_of(windows: Sequence[Window]) -> Errors:
    """Return the errors of the first days of whole forecasts, for the correction of today."""
    judged = [w for w in windows if w.method == "combined"]
    early = [w.is_open & (w.mean > 0) & (w.starts - w.origin < LEAD_SECONDS) for w in judged]

    return Errors(**_joined(judged, early, "day", "hour", "mean", "actual"))
