"""Learning what orders do to contacts, and for which queues they are worth using."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from features.arrays import Bool, Float64, Int64
from features.calendar.queues import Event, learn_opening
from features.contracts.tables import ORDER_STAGES
from features.volume.history import OrderFlow, QueueHistory
from serving.models.volume.calendar_effects import DayEffects, ordinary
from serving.models.volume.distribution import LEAD_BUCKETS, lead_bucket
from serving.models.volume.levels import day_levels
from serving.models.volume.orders import (
    LAG_DAYS,
    LAGS,
    FlowDays,
    OrderWeights,
    flow_days,
    lagged_flow,
    log_ratios,
)
from serving.models.volume.outlook import ComponentForecasts, combine
from serving.models.volume.week_profile import recent, week_grid, week_profile

FIT_WEEKS = 156
JUDGED_DAYS = 14
"""Leads, in days, that decide whether orders are used; later ones see little of them."""
_DAY_VARIANCE = 0.02
_SHARED_VARIANCE = 0.09
_OWN_VARIANCE = 0.03
_REPEATED = 2.0
"""How many neighbouring days say the same: errors of days are not independent."""
_LEAST_DAYS = 56
_LEAST_WINDOWS = 4
_LEAST_GAIN = 0.005
_LEAST_ERRORS = 1.28
"""Standard errors that the mean gain of one in ten useless flows would reach by chance."""


@dataclass(frozen=True)
class _Sums:
    """One queue's normal equations, in units of its own noise."""

    gram: Float64
    cross: Float64


@dataclass(frozen=True)
class OrderGain:
    """What one queue's window says of the use of orders, by lead bucket.

    Attributes:
        contacts: That came, float64[buckets].
        without: Absolute errors without orders, float64[buckets].
        within: Absolute errors with them, float64[buckets].
    """

    contacts: Float64
    without: Float64
    within: Float64


def fit_orders(
    histories: Mapping[str, QueueHistory],
    flow: OrderFlow,
    *,
    events: Sequence[Event],
    effects: DayEffects,
    known_by: int,
) -> OrderWeights:
    """Learn the weights of the queues with 56 days or more to learn from; none is used yet.

    Ridge regression without negative weights. Both the contacts (freed of special days) and the
    flow are compared day by day with their own usual; the weights of a queue are drawn to those
    of all queues together, and these to none.

    Args:
        known_by: Epoch seconds.
    """
    if len(flow.starts) == 0:
        return OrderWeights({})
    zones = {history.queue.time_zone for history in histories.values()}
    by_zone = {zone: flow_days(flow, zone, weeks=FIT_WEEKS) for zone in zones}
    sums: dict[str, _Sums] = {}
    for name, history in histories.items():
        found = _sums(
            history,
            by_zone[history.queue.time_zone],
            events=events,
            effects=effects,
            known_by=known_by,
        )
        if found is not None:
            sums[name] = found
    if not sums:
        return OrderWeights({})
    size = len(ORDER_STAGES) * len(LAGS)
    total = _Sums(
        np.sum([s.gram for s in sums.values()], axis=0),
        np.sum([s.cross for s in sums.values()], axis=0),
    )
    shared = _solve(total, prior=np.zeros(size), variance=_SHARED_VARIANCE)
    weights = {name: _solve(s, prior=shared, variance=_OWN_VARIANCE) for name, s in sums.items()}
    shape = (len(ORDER_STAGES), len(LAGS))
    return OrderWeights(
        {
            name: tuple(tuple(row) for row in values.reshape(shape).tolist())
            for name, values in weights.items()
        }
    )


def _sums(
    history: QueueHistory,
    flow: FlowDays,
    *,
    events: Sequence[Event],
    effects: DayEffects,
    known_by: int,
) -> _Sums | None:
    """Return one queue's normal equations; None where it has too few days."""
    history = recent(history, FIT_WEEKS)
    queue = learn_opening(history.queue, history.starts, history.offered)
    plain = ordinary(effects, queue, history.starts, history.offered, events, known_by=known_by)
    grid = week_grid(queue, history.starts, plain)
    profile = week_profile(grid.values, half_life_weeks=20)
    levels = day_levels(grid.days, profile)
    ratio = log_ratios(levels, profile)
    days = grid.day_numbers
    rows = np.flatnonzero(~np.isnan(ratio) & _flow_known(flow, days))
    if len(rows) < _LEAST_DAYS:
        return None
    seen = lagged_flow(flow, queue, days, events, known_by=known_by)[rows].reshape(len(rows), -1)
    target = np.clip(ratio[rows], -1.5, 1.5)
    weight = 1 / (1 / (levels.total[rows] + 1) + _DAY_VARIANCE)
    scale = _REPEATED * float(weight @ target**2) / len(rows)
    gram = (seen.T * weight) @ seen / max(scale, 1e-9)
    return _Sums(gram, (seen.T * weight) @ target / max(scale, 1e-9))


def _flow_known(flow: FlowDays, days: Int64) -> Bool:
    """Return whether all lags of each day lie within the known flow, bool[n]."""
    known = np.flatnonzero(~np.isnan(flow.logs).all(axis=1)) + flow.first_day
    if len(known) == 0:
        return np.zeros(len(days), dtype=bool)
    inside: Bool = (days >= known[0] + LAG_DAYS - 1) & (days <= known[-1])
    return inside


def _solve(sums: _Sums, *, prior: Float64, variance: float) -> Float64:
    """Minimise w'Gw - 2 w'b + |w - prior|^2 / variance over w >= 0."""
    root = np.linalg.cholesky(sums.gram + np.eye(len(prior)) / variance)
    target = np.linalg.solve(root, sums.cross + prior / variance)
    found: Float64 = nnls(root.T, target)[0]
    return found


def order_gain(
    without: ComponentForecasts, within: ComponentForecasts, actual: Float64, weights: Float64
) -> OrderGain:
    """Compare one window's forecasts without and with orders.

    Args:
        actual: What came, float64[h], NaN where not observed.
        weights: The components' weights, float64[lead buckets, components].
    """
    seen = ~np.isnan(actual)
    bucket = lead_bucket(without.lead_hours)[seen]

    def by_lead(values: Float64) -> Float64:
        return np.bincount(bucket, values, minlength=len(LEAD_BUCKETS)).astype(np.float64)

    errors = (
        np.abs(combine(outlook, weights) * outlook.effect - actual)[seen]
        for outlook in (without, within)
    )
    return OrderGain(by_lead(actual[seen]), *(by_lead(error) for error in errors))


def learn_use(gains: Mapping[str, Sequence[OrderGain]]) -> tuple[str, ...]:
    """Return the queues that orders help beyond noise, sorted.

    Windows are of horizons that do not overlap much. On leads up to 14 days their mean gain must
    be more than 1.28 standard errors, and more than 0.5 % of the errors without orders; fewer
    than four windows decide nothing.
    """
    return tuple(sorted(name for name, windows in gains.items() if _helps(windows)))


def _helps(windows: Sequence[OrderGain]) -> bool:
    near = [k for k, (_, last, _) in enumerate(LEAD_BUCKETS) if last <= JUDGED_DAYS * 24]
    judged = [w for w in windows if w.contacts[near].sum() > 0]
    if len(judged) < _LEAST_WINDOWS:
        return False
    without = np.array([w.without[near].sum() for w in judged])
    gain = without - np.array([w.within[near].sum() for w in judged])
    error = float(gain.std(ddof=1)) / np.sqrt(len(judged))
    return bool(gain.mean() > _LEAST_ERRORS * error and gain.sum() > _LEAST_GAIN * without.sum())


def orders_table(
    queues: Sequence[str], gains: Mapping[str, Sequence[OrderGain]], used: Sequence[str]
) -> pd.DataFrame:
    """Return a row a queue and lead: whether orders are used, WAPE without and with them.

    ``gain`` is one minus the second over the first; NaN where no window could be compared.
    """
    rows = []
    for name in queues:
        windows = gains.get(name, ())
        for k, (_, _, label) in enumerate(LEAD_BUCKETS):
            contacts, without, within = (
                sum(float(getattr(w, field)[k]) for w in windows)
                for field in ("contacts", "without", "within")
            )
            rows.append(
                {
                    "queue": name,
                    "lead": label,
                    "used": name in used,
                    "wape_without": without / contacts if contacts else np.nan,
                    "wape_with": within / contacts if contacts else np.nan,
                    "gain": 1 - within / without if without else np.nan,
                }
            )
    return pd.DataFrame(rows)
