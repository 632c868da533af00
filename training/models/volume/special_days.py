"""How far special days and events of the past lay from ordinary days around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from features.arrays import Bool, Float64, Int64
from features.calendar.queues import Event, Queue, is_open, learn_opening
from features.calendar.workdays import learn_workdays, made_up
from features.volume.history import QueueHistory
from serving.models.volume.calendar_effects import (
    FIRST,
    HOLIDAY,
    LATER,
    OUTAGE,
    DayEffects,
    Labels,
    Reach,
    day_labels,
    event_label,
    reaches,
    relative_size,
    rest_ratio,
    touching,
)
from serving.models.volume.levels import DayLevels, day_levels
from serving.models.volume.week_profile import recent, week_cells, week_grid, week_profile

_WEEKS = 260
_AROUND_DAYS = (17, 45)
_LEAST_AROUND = 5
_LEAST_DAYS, _NEAR_DAYS = 56, 11
_LEAST_FACTOR = 0.05
_LEAST_RELATIVE_SIZE = 0.1
_LEAST_REST_INFORMATION = 1.0

# Variances of logarithms, save the last, of a share.
_DAY_VARIANCE = 0.02
"""Of one day's contacts around its expectation, beyond Poisson noise, where too few were seen."""
_LEAST_DAY_VARIANCE = 0.005
_EVENT_DRAW_VARIANCE = 0.02
"""Of one event's factor around its kind's: no two promotions are the same."""
_REST_DAY_VARIANCE = 0.1


@dataclass(frozen=True)
class Measured:
    """What one special day, or one phase of one event, says of a label.

    Attributes:
        size: Logarithm of the factor at the usual size.
        variance: Of ``size`` around the truth of its label in the queue.
        occasion: The day or event: what else happened then, other queues saw too.
    """

    label: str
    size: float
    variance: float
    occasion: str


@dataclass(frozen=True)
class LaidEvents:
    """Phases of events, end to end, on the intervals whose contacts can be compared.

    Attributes:
        rows: Indices into the intervals, phase by phase, int64[m].
        share: Share of each that is covered, float64[m], in (0, 1].
        first: Where each phase begins in ``rows``, int64[phases].
    """

    reaches: tuple[Reach, ...]
    rows: Int64
    share: Float64
    first: Int64
    days: tuple[int, ...]

    @property
    def counts(self) -> Int64:
        """Rows of each phase, int64[phases]."""
        return np.diff(self.first, append=len(self.rows))


@dataclass(frozen=True)
class Past:
    """One queue's past, interval by interval, beside what ordinary days would have brought.

    Attributes:
        day: Index of each interval's local day among the days of the history, int64[n].
        cell: Cell of the week, int64[n].
        offered: float64[n].
        expected: float64[n]; NaN where closed, not observed, or nothing can be compared.
        usable: Whether an interval can be compared and no outage lies on it, bool[n].
        profile: Shares of the week, float64[cells].
        day_variance: Of the log of a day's contacts around the expected, beyond Poisson noise.
    """

    queue: Queue
    first_day: int
    day: Int64
    cell: Int64
    offered: Float64
    expected: Float64
    labels: Labels
    usable: Bool
    events: LaidEvents
    profile: Float64
    day_variance: float


def look_back(history: QueueHistory, events: Sequence[Event], *, known_by: int) -> Past | None:
    """Lay a history beside what ordinary days would have brought.

    Args:
        history: What was known of the queue, at least one interval.
        known_by: Epoch seconds; an event known later does not exist.

    Returns:
        None where no day or interval was special.
    """
    history = recent(history, _WEEKS)
    starts, offered = history.starts, history.offered
    queue = learn_opening(history.queue, starts, offered)
    found = tuple(reaches(queue, starts, touching(queue, events, known_by=known_by)))
    day, cell = week_cells(queue, starts)
    first = int(day[0]) - (int(day[0]) + 3) % 7
    index = day - first
    labels = day_labels(queue, np.arange(first, int(day[-1]) + 1))
    special = (labels != "")[index]
    touched = special.copy()
    for reach in found:
        touched[reach.rows] = True
        # What follows an event is small: it may count as ordinary when that is measured.
        special[reach.rows] |= reach.phase in (FIRST, LATER)
    if not touched.any():
        return None
    grid = week_grid(queue, starts, np.where(special, np.nan, offered))
    profile = week_profile(grid.values, half_life_weeks=52)
    ratio = day_levels(grid.days, profile).ratio
    level = np.full(len(labels), np.nan)
    for at in np.unique(index[touched]):
        level[at] = _around(ratio, int(at))
    variance = _day_variance(day_levels(grid.days, profile))
    expected = level[index] * profile[cell]
    expected[~is_open(queue, starts) | np.isnan(offered) | made_up(day, queue.country)] = np.nan
    usable = ~np.isnan(expected)
    for reach in found:
        if reach.event.kind == OUTAGE and reach.phase in (FIRST, LATER):
            usable[reach.rows] = False
    return Past(
        queue=queue,
        first_day=first,
        day=index,
        cell=cell,
        offered=offered,
        expected=expected,
        labels=labels,
        usable=usable,
        events=_laid(found, index, ~np.isnan(expected)),
        profile=profile,
        day_variance=variance,
    )


def _laid(found: Sequence[Reach], day: Int64, comparable: Bool) -> LaidEvents:
    kept, rows, shares, days = [], [], [], []
    for reach in found:
        here = np.arange(reach.rows.start, reach.rows.stop)
        use = comparable[reach.rows]
        if use.any():
            kept.append(reach)
            rows.append(here[use])
            shares.append(reach.share[use])
            days.append(len(np.unique(day[here[use]])))
    counts = [len(part) for part in rows]
    return LaidEvents(
        reaches=tuple(kept),
        rows=np.concatenate([np.empty(0, dtype=np.int64), *rows]),
        share=np.concatenate([np.empty(0), *shares]),
        first=np.cumsum([0, *counts], dtype=np.int64)[:-1],
        days=tuple(days),
    )


def _around(ratio: Float64, day: int) -> float:
    """Return the median level of the ordinary days around a day; NaN where there are too few."""
    for reach in _AROUND_DAYS:
        near = ratio[max(day - reach, 0) : day + reach + 1]
        near = near[~np.isnan(near)]
        if len(near) >= _LEAST_AROUND:
            return float(np.median(near))
    return np.nan


def _day_variance(levels: DayLevels) -> float:
    """Return the variance of the log of ordinary days around the five before and after them.

    Clipped at four robust deviations; less Poisson noise and that of the median.
    """
    ratio, total = levels.ratio, levels.total
    seen = np.flatnonzero((ratio > 0) & (total >= 1))
    if len(seen) < _LEAST_DAYS:
        return _DAY_VARIANCE
    logs = np.log(ratio[seen])
    windows = np.lib.stride_tricks.sliding_window_view(logs, _NEAR_DAYS)
    apart = logs[_NEAR_DAYS // 2 : -(_NEAR_DAYS // 2)] - np.median(windows, axis=1)
    robust = 1.4826 * float(np.median(np.abs(apart)))
    square = float(np.mean(np.clip(apart, -4 * robust, 4 * robust) ** 2))
    return max(square - float(np.median(1 / total[seen])), _LEAST_DAY_VARIANCE)


def measure(past: Past, effects: DayEffects) -> list[Measured]:
    """Return what each special day and each phase of an event says, given all other effects.

    Args:
        past: From ``look_back``.
    """
    name, laid = past.queue.queue, past.events
    factors = [effects.of_event(name, reach.event, reach.phase) for reach in laid.reaches]
    moved = 1 + (np.repeat(factors, laid.counts) - 1) * laid.share
    logs = np.bincount(laid.rows, weights=np.log(moved), minlength=len(past.day))
    by_event = past.expected * np.exp(logs)
    found = _of_days(past, by_event)
    others = (by_event * effects.by_day(name, past.labels)[past.day])[laid.rows] / moved
    return found + _of_reaches(past, others, effects.sizes)


def _of_days(past: Past, expected: Float64) -> list[Measured]:
    days, usable = len(past.labels), past.usable
    due = np.bincount(past.day[usable], weights=expected[usable], minlength=days)
    came = np.bincount(past.day[usable], weights=past.offered[usable], minlength=days)
    return [
        Measured(
            label=str(past.labels[at]),
            size=_log_ratio(came[at], due[at]),
            variance=1 / due[at] + past.day_variance,
            occasion=str(past.first_day + at),
        )
        for at in np.flatnonzero((past.labels != "") & (due >= 1))
    ]


def _of_reaches(past: Past, others: Float64, sizes: Mapping[str, float]) -> list[Measured]:
    """Return what the phases of events say."""
    laid = past.events
    if not laid.reaches:
        return []
    dues = np.add.reduceat(others * laid.share, laid.first).tolist()
    besides = np.add.reduceat(others * (1 - laid.share), laid.first).tolist()
    cames = np.add.reduceat(past.offered[laid.rows], laid.first).tolist()
    found = []
    for reach, days, due, beside, came in zip(
        laid.reaches, laid.days, dues, besides, cames, strict=True
    ):
        relative = relative_size(reach.event, sizes)
        if due < 1 or relative < _LEAST_RELATIVE_SIZE:
            continue
        variance = (due + beside) / due**2 + past.day_variance / days + _EVENT_DRAW_VARIANCE
        factor = np.exp(_log_ratio(max(came - beside, 0.0), due))
        usual = max(1 + (factor - 1) / relative, _LEAST_FACTOR)
        # The delta method, from the event's own size to the usual one.
        variance *= min((factor / (relative * usual)) ** 2, 100.0)
        label = event_label(reach.event.kind, reach.phase)
        found.append(Measured(label, float(np.log(usual)), variance, reach.event.event_id))
    return found


def _log_ratio(came: float, due: float) -> float:
    return float(np.log((came + 0.5) / (due + 0.5)))


def measure_rest(past: Past) -> list[Measured]:
    """Return the share of the day of rest in the hours of each past holiday, by least squares.

    The hours y of a holiday with T contacts are T ((1 - s) w + s u), where w are the weekday's
    shares of the day and u those of the day of rest; weighted as Poisson counts are.
    """
    known = learn_workdays(np.array([past.first_day]), past.queue.country)
    if known is None:
        return []
    ratio = rest_ratio(past.profile, past.queue, known.rest_weekday)[past.cell]
    kept = np.flatnonzero(np.char.startswith(past.labels, f"{HOLIDAY}:"))
    bounds = np.searchsorted(past.day, np.stack((kept, kept + 1)))
    found = []
    for low, high in bounds.T:
        usable = past.expected[low:high] > 0
        due, came = past.expected[low:high][usable], past.offered[low:high][usable]
        if came.sum() < 1:
            continue
        own = due / due.sum()
        rest = own * ratio[low:high][usable]
        apart = rest / rest.sum() - own
        information = float(came.sum() * (apart**2 / own).sum())
        if information >= _LEAST_REST_INFORMATION:
            share = float(((came - came.sum() * own) * apart / own).sum()) / information
            variance = 1 / information + _REST_DAY_VARIANCE
            found.append(Measured(HOLIDAY, share, variance, str(past.first_day + past.day[low])))
    return found
