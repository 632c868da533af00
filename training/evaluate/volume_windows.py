"""One queue's forecast from one origin, by the serving predictor, beside what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import from_epoch, to_epoch
from features.calendar.queues import Event, Queue
from features.volume.history import QueueHistory
from serving.models.volume.boosting import add_boosted
from serving.models.volume.bundle import VolumeState
from serving.models.volume.distribution import ForecastDistribution, lead_bucket
from serving.models.volume.model import flows_of, outlook_of, queue_forecast
from serving.models.volume.outlook import ComponentForecasts
from serving.models.volume.paths import Marginal, sample_paths
from serving.models.volume.week_profile import last_seen, mean_seen, week_grid
from training.config import VolumeConfig
from training.evaluate.origins import KnownHistory
from training.models.volume.components import (
    MOST_JUMPED,
    actuals,
    bad_starts,
    jumped,
    training_rows,
)
from training.models.volume.dispersion import ForecastErrors
from training.models.volume.handle_time import HandleErrors, HandlePairs, handle_errors
from training.models.volume.intraday import LEAD_SECONDS, Errors
from training.models.volume.orders import OrderGain, order_gain
from training.models.volume.weights import Evidence, evidence_of, filled_parts


@dataclass(frozen=True)
class DayTotals:
    """Totals of local days of one past forecast, over its observed intervals; arrays [days].

    Attributes:
        bucket: Lead bucket of the day's last interval, int64.
        actual: Contacts that came, float64.
        low: The 0.1 quantile of the paths' totals, float64.
        high: The 0.9 quantile, float64.
    """

    bucket: Int64
    actual: Float64
    low: Float64
    high: Float64

    def where(self, keep: Bool) -> DayTotals:
        """Return some of the days."""
        return DayTotals(self.bucket[keep], self.actual[keep], self.low[keep], self.high[keep])


@dataclass(frozen=True)
class OriginForecast:
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
    shape: ForecastDistribution
    naive: Float64
    mean4: Float64
    method: str
    orders: OrderGain | None
    handle: HandleErrors
    days: DayTotals | None = None


def windows_of(
    past: KnownHistory,
    truth: Mapping[str, QueueHistory],
    state: VolumeState,
    *,
    origin: datetime,
    config: VolumeConfig,
) -> list[OriginForecast]:
    """Forecast each queue with a history from one origin, and set what came beside it.

    Args:
        origin: When the forecasts are made, aware UTC.
    """
    ends = to_epoch(origin + timedelta(days=config.horizon_days))
    seen = {name: history for name, history in past.queues.items() if history.observed.any()}
    # Both ways, whichever is used: that is how it is learnt which is better.
    learnt = tuple(name for name in seen if state.orders.learnt(name) is not None)
    without = _outlooks(seen, past, _using((), state), made_at=to_epoch(origin), ends=ends)
    within = _outlooks(
        {name: seen[name] for name in learnt if len(past.flow.starts)},
        past,
        _using(learnt, state),
        made_at=to_epoch(origin),
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
    past: KnownHistory,
    state: VolumeState,
    *,
    made_at: int,
    ends: int,
) -> dict[str, ComponentForecasts]:
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
    outlook: ComponentForecasts,
    known: QueueHistory,
    truth: QueueHistory,
    state: VolumeState,
    *,
    events: Sequence[Event],
    ends: int,
    both: tuple[ComponentForecasts, ComponentForecasts] | None,
) -> OriginForecast:
    actual = actuals(truth, outlook.starts)
    seen = ~np.isnan(actual)
    # By the time that the window teaches anything, all of it has come.
    bad = bad_starts(truth.before(from_epoch(ends)), state.effects, events, known_by=ends)
    forecast = queue_forecast(outlook, known, state)
    naive, mean4 = baselines(known, outlook)
    return OriginForecast(
        row=state.row(outlook.queue.queue),
        queue=outlook.queue,
        origin=outlook.made_at,
        ends=ends,
        interval_hours=outlook.queue.interval_minutes / 60,
        evidence=evidence_of(
            outlook, training_rows(outlook, actual, filled_parts(outlook), bad=bad)
        ),
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


def baselines(known: QueueHistory, outlook: ComponentForecasts) -> tuple[Float64, Float64]:
    """Return what a planner has without a model, float64[h] each.

    The same hour of the last observed week, and the mean of that hour over the last four
    observed weeks; 0 where closed or never observed.
    """
    always = replace(outlook.queue, opening=(None,) * 7, open_on_holidays=True)
    grid = week_grid(always, known.starts, known.offered)
    mean4 = np.nan_to_num(mean_seen(last_seen(grid.values, 4)))
    return outlook.baseline, mean4[outlook.cell] * outlook.is_open


def order_gains(
    windows: Sequence[OriginForecast], queues: Sequence[str]
) -> dict[str, list[OrderGain]]:
    """Return what the windows say of the use of orders, by queue."""
    found: dict[str, list[OrderGain]] = {}
    for window in windows:
        if window.orders is not None:
            found.setdefault(queues[window.row], []).append(window.orders)
    return found


def pairs_of(windows: Sequence[OriginForecast], *, known_by: int) -> ForecastErrors:
    """Return the forecasts of some windows and what had come of them by then.

    What came after a lasting jump is left out, bad hours are not: a band has to hold those.
    """
    known = _usual(windows, known_by=known_by)

    return ForecastErrors(**_joined(windows, known, "bucket", "day", "mean", "actual"))


def _joined(windows: Sequence[OriginForecast], uses: Sequence[Bool], *names: str) -> dict[str, Any]:
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


def _usual(windows: Sequence[OriginForecast], *, known_by: int) -> list[Bool]:
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


def handled_of(windows: Sequence[OriginForecast]) -> HandlePairs:
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


def errors_of(windows: Sequence[OriginForecast]) -> Errors:
    """Return the errors of the first days of whole forecasts, for the correction of today."""
    judged = [w for w in windows if w.method == "combined"]
    early = [w.is_open & (w.mean > 0) & (w.starts - w.origin < LEAD_SECONDS) for w in judged]

    return Errors(**_joined(judged, early, "day", "hour", "mean", "actual"))


_COUNT = 100
_LOW, _HIGH = 0.1, 0.9


def day_totals(
    forecast: Marginal, *, made_at: int, day: Int64, bucket: Int64, actual: Float64
) -> DayTotals:
    """Return the bands of each local day on which contacts were expected.

    Args:
        made_at: When it was made, epoch seconds.
        day: Local day of each interval, int64[h], not decreasing.
        bucket: Lead bucket of each, int64[h].
        actual: What came, float64[h].
    """
    if len(day) == 0:
        return DayTotals(bucket, actual, actual, actual)
    first = np.flatnonzero(np.diff(day, prepend=day[0] - 1))
    paths = sample_paths([forecast], made_at=made_at, count=_COUNT)[0]
    totals = np.add.reduceat(paths, first, axis=1)
    low, high = np.quantile(totals, (_LOW, _HIGH), axis=0)
    found = DayTotals(
        bucket=bucket[np.append(first[1:], len(day)) - 1],
        actual=np.add.reduceat(actual, first),
        low=low,
        high=high,
    )
    return found.where(np.add.reduceat(forecast.mean, first) > 0)


def days_covered(totals: Sequence[DayTotals]) -> float:
    """Return the share of days whose total lay within its 80 % band; NaN without a day."""
    inside = [(t.actual >= t.low) & (t.actual <= t.high) for t in totals]
    joined = np.concatenate(inside) if inside else np.empty(0)
    return float(joined.mean()) if len(joined) else float("nan")
