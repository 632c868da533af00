"""Orders as a leading indicator: contacts follow what was ordered, shipped, completed, returned.

The flow of orders is compared, day by day and stage by stage, with its own usual; a day's factor
on a queue has a logarithm that sums a learnt weight times that comparison over stages and lags.
On a special day of the queue only the surplus beyond the day's usual effect counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import DAY_SECONDS, local_times
from features.calendar.queues import ALWAYS, Event, Queue
from features.contracts.tables import ORDER_STAGES
from features.volume.history import OrderFlow
from serving.models.shrinkage import shrink
from serving.models.volume.calendar_effects import (
    AFTER_DAYS,
    FIRST,
    HOLIDAY,
    Labels,
    day_labels,
    event_label,
    touching,
)
from serving.models.volume.levels import DayLevels, day_levels
from serving.models.volume.week_profile import LOOKBACK_WEEKS, week_grid, week_profile

LAGS = ((0, 1), (1, 2), (2, 4), (4, 7), (7, 14))
"""Days from an order's step to the contact, left-closed; within one, a weight is shared evenly."""
LAG_DAYS = LAGS[-1][1]
LEVEL_HALF_LIFE_DAYS = 28.0
_LEAST_DAYS = 28
_WHOLE_SHARE = 0.5
_MOST_LOG = 1.5
_MOST_FACTOR = float(np.log(3.0))


@dataclass(frozen=True)
class OrderWeights:
    """What the flow of orders does to each queue.

    Attributes:
        weights: By queue, for each stage and lag: by how many per cent contacts rise where all
            days of the lag are 1 % above their usual; all >= 0.
        used: Queues that are forecast with it, since it helped in the back-test.
    """

    weights: Mapping[str, tuple[tuple[float, ...], ...]]
    used: tuple[str, ...] = ()

    def of(self, queue: str) -> Float64 | None:
        """Return a queue's weights, float64[stages, lags]; None where they are not used."""
        return self.learnt(queue) if queue in self.used else None

    def learnt(self, queue: str) -> Float64 | None:
        """Return a queue's weights, used or not; None where there is nothing in them."""
        weights = np.array(self.weights.get(queue, ()))
        return weights if weights.any() else None


NO_WEIGHTS = OrderWeights({})
"""Nothing learnt."""


def order_weights_from_json(document: Mapping[str, Any]) -> OrderWeights:
    """Return the weights that ``dataclasses.asdict`` turned into JSON.

    Raises:
        ValueError: A queue's weights are not one a stage and lag, or not finite.
    """
    weights = {
        queue: tuple(tuple(float(w) for w in row) for row in rows)
        for queue, rows in document["weights"].items()
    }
    for queue, rows in weights.items():
        matrix = np.array(rows)
        if matrix.shape != (len(ORDER_STAGES), len(LAGS)) or not np.isfinite(matrix).all():
            raise ValueError(f"weights of orders of shape {matrix.shape} for `{queue}`")
    return OrderWeights(weights, tuple(document["used"]))


@dataclass(frozen=True)
class FlowDays:
    """The flow by local day: logarithms of what came over the usual, float64[days, stages].

    NaN where not known.
    """

    first_day: int
    logs: Float64

    def over(self, days: Int64) -> Float64:
        """Return the rows of consecutive days, float64[n, stages], NaN outside."""
        rows = np.full((len(days), self.logs.shape[1]), np.nan)
        at = days - self.first_day
        inside = (at >= 0) & (at < len(self.logs))
        rows[inside] = self.logs[at[inside]]
        return rows


@dataclass(frozen=True)
class QueueOrders:
    """The flow, and its weights on one queue, float64[stages, lags]."""

    flow: FlowDays
    weights: Float64


def flow_days(flow: OrderFlow, time_zone: str, *, weeks: int = LOOKBACK_WEEKS) -> FlowDays:
    """Compare each local day of a flow with its usual; an hour belongs to the day it starts in."""
    first = flow.starts[-1] - weeks * 7 * DAY_SECONDS if len(flow.starts) else 0
    since = int(np.searchsorted(flow.starts, first))
    clock = Queue("orders", time_zone=time_zone, opening=ALWAYS)
    grids = [week_grid(clock, flow.starts[since:], counts) for counts in flow.counts[since:].T]
    columns = []
    for grid in grids:
        profile = week_profile(grid.values, half_life_weeks=20)
        columns.append(log_ratios(day_levels(grid.days, profile), profile))
    return FlowDays(grids[0].first_day, np.stack(columns, axis=1))


def log_ratios(levels: DayLevels, profile: Float64) -> Float64:
    """Return the logarithm of each day over its usual, float64[days], from a Monday on.

    The usual is the day's share of the profile times the level of the days before it, which
    halve in weight every four weeks. It is the same filter for orders and contacts, and a filter
    on both sides of a sum over lags leaves the weights of the lags as they are. NaN where less
    than half of a day was observed, or fewer than 28 days before it.

    >>> days = DayLevels(np.r_[np.full(34, 9.0), 19.0], np.full(35, 1 / 7))
    >>> log_ratios(days, np.full(7, 1 / 7))[-1].round(6) == np.log(2).round(6)
    np.True_
    """
    whole = np.tile(profile.reshape(7, -1).sum(axis=1), len(levels.total) // 7)
    seen = (levels.exposure > 0) & (levels.exposure >= _WHOLE_SHARE * whole)
    fade = 0.5 ** (-np.arange(len(seen)) / LEVEL_HALF_LIFE_DAYS)
    total, exposure, count = (
        np.concatenate(([0.0], np.cumsum(np.where(seen, values, 0.0))[:-1]))
        for values in (levels.total * fade, levels.exposure * fade, np.ones(len(seen)))
    )
    known = seen & (count >= _LEAST_DAYS)
    usual = levels.exposure * total / np.where(exposure > 0, exposure, 1.0)
    # One more on both sides, so that a day without any order has a logarithm too.
    return np.where(known, np.log((levels.total + 1) / (usual + 1)), np.nan)


def order_factors(
    orders: QueueOrders | None, queue: Queue, days: Int64, events: Sequence[Event], *, known_by: int
) -> Float64:
    """Return the factor of the flow on consecutive local days, float64[n], in [1/3, 3].

    The flow is what was known at ``known_by``, epoch seconds; without one every factor is 1.
    """
    if orders is None or len(days) == 0:
        return np.ones(len(days))
    lagged = lagged_flow(orders.flow, queue, days, events, known_by=known_by)
    logs = (lagged * orders.weights).sum(axis=(1, 2))
    factors: Float64 = np.exp(np.clip(logs, -_MOST_FACTOR, _MOST_FACTOR))
    return factors


def lagged_flow(
    flow: FlowDays, queue: Queue, days: Int64, events: Sequence[Event], *, known_by: int
) -> Float64:
    """Return what each of consecutive days sees of the flow, float64[n, stages, lags].

    The mean log ratio over the days of each lag; on a special day of the queue, only of the surplus
    beyond what special days, of all queues, usually bring to the flow.
    """
    if len(days) == 0:
        return np.empty((0, flow.logs.shape[1], len(LAGS)))
    wide = np.arange(int(days[0]) - LAG_DAYS + 1, int(days[-1]) + 1)
    end = max(int(wide[-1]) + 1, flow.first_day + len(flow.logs))
    since = np.arange(min(flow.first_day, int(wide[0])), end)
    names = flow_labels(queue, since, events, known_by=known_by)
    logs = np.clip(flow.over(since), -_MOST_LOG, _MOST_LOG)
    effect = _label_effects(logs, names)
    surplus = np.column_stack([carried_on(column) for column in (logs - effect).T])
    special = special_days(queue, days, events, known_by=known_by)
    rows = slice(int(wide[0] - since[0]), int(wide[-1] - since[0]) + 1)
    return np.where(special[:, None, None], _lag(surplus[rows]), _lag((surplus + effect)[rows]))


def _lag(values: Float64) -> Float64:
    """Return means over lags of all but the first days, float64[n, stages, lags]."""
    sums = np.concatenate((np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)))
    n = len(values) - LAG_DAYS + 1
    ends = np.arange(LAG_DAYS, LAG_DAYS + n)
    means = [(sums[ends - a] - sums[ends - b]) / (b - a) for a, b in LAGS]
    return np.stack(means, axis=2)


def _label_effects(logs: Float64, names: Labels) -> Float64:
    """Return what each day's label usually does to the flow, drawn to nothing, float64[n, s]."""
    effect = np.zeros(logs.shape)
    for name in np.unique(names[names != ""]):
        rows = names == name
        seen = ~np.isnan(logs[rows])
        # As if three more days of it had been seen, without any effect.
        total = np.where(seen, logs[rows], 0.0).sum(axis=0)
        effect[rows] = shrink(total, weight=seen.sum(axis=0), prior=0.0, prior_weight=3.0)
    return effect


def flow_labels(queue: Queue, days: Int64, events: Sequence[Event], *, known_by: int) -> Labels:
    """Return what is special for the orders on consecutive days, str[n]: calendar or event.

    Events of all queues count; those known later than ``known_by`` do not exist.
    """
    names = day_labels(queue, days).astype(object)
    for event in sorted(events, key=lambda e: (e.starts_at, e.event_id)):
        if event.known_at <= known_by and event.kind != HOLIDAY:
            on = _days_of(queue, event)
            names[(days >= on[0]) & (days <= on[1])] = event_label(event.kind, FIRST)
    return names.astype(np.str_)


def special_days(queue: Queue, days: Int64, events: Sequence[Event], *, known_by: int) -> Bool:
    """Return on which days the queue has an effect of its own by the calendar, bool[n]."""
    special: Bool = day_labels(queue, days) != ""
    for event in touching(queue, events, known_by=known_by):
        on = _days_of(queue, event)
        special |= (days >= on[0]) & (days <= on[1] + AFTER_DAYS)
    return special


def _days_of(queue: Queue, event: Event) -> Int64:
    ends = np.array([event.starts_at, max(event.ends_at - 1, event.starts_at)], dtype=np.int64)
    return local_times(ends, queue.time_zone).day


_LEAST_KNOWN_DAYS = 28
_MEMORY_DAYS = 14
_NOISE = 1.75
"""Three standard errors of the mean of three correlations, in units of 1 / sqrt(days)."""


def carried_on(surplus: Float64) -> Float64:
    """Fill a daily surplus: gaps with 0, and the days after the last known one by its memory.

    The surplus, logarithms over the usual of float64[days], is taken as a fading part (its
    correlation falls by the same share every day) plus noise; ahead stands the best linear guess
    from the last 14 days, and 0 where fewer than 28 days or nothing beyond noise is known.

    >>> carried_on(np.array([0.5, np.nan, np.nan])).tolist()
    [0.5, 0.0, 0.0]
    """
    seen = np.flatnonzero(~np.isnan(surplus))
    filled = np.nan_to_num(surplus)
    if len(seen) < _LEAST_KNOWN_DAYS:
        return filled
    last = int(seen[-1])
    share, fading = _memory(filled[seen[0] : last + 1])
    ahead = np.arange(1, len(surplus) - last)
    if share > 0 and len(ahead):
        gaps = np.arange(_MEMORY_DAYS)
        matrix = share * fading ** np.abs(gaps[:, None] - gaps)
        np.fill_diagonal(matrix, 1.0)
        newest = filled[last::-1][:_MEMORY_DAYS]
        weights = np.linalg.solve(matrix, share * fading**gaps)
        state = weights[: len(newest)] @ newest
        filled[last + 1 :] = state * fading**ahead
    return filled


def _memory(values: Float64) -> tuple[float, float]:
    """Return the share of the variance that fades, and by which factor a day."""
    variance = float(values @ values)
    lags = [float(values[k:] @ values[:-k]) / max(variance, 1e-12) for k in range(1, 7)]
    near, far = float(np.mean(lags[:3])), float(np.mean(lags[3:]))
    # Correlations within the noise of so many days are none.
    if near <= _NOISE / np.sqrt(len(values)):
        return 0.0, 0.0
    fading = float(np.clip(max(far, 0.0) / near, 0.02, 0.9)) ** (1 / 3)
    share = near / float(np.mean(fading ** np.arange(1, 4)))
    return float(np.clip(share, 0.0, 0.95)), fading
