"""How good the published forecasts were: each kept set beside what then came.

Everything is kept as sums, so that sets can be read one by one and any grouping is a sum of
sums. An interval that several sets forecast counts once for each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import interval_of, local_times, to_epoch
from features.volume.history import QueueHistory
from features.volume.overrides import Override, apply_overrides
from serving.models.volume.distribution import (
    LEAD_BUCKETS,
    QUANTILE_LEVELS,
    lead_bucket,
    pinball_losses,
)
from serving.models.volume.forecast import QueueForecast
from serving.published.forecast_set import ForecastSet

SUMS = (
    "intervals",
    "contacts",
    "error",
    "absolute",
    "pinball",
    "inside",
    "baseline_absolute",
    "planned",
    "planned_contacts",
    "planned_error",
    "planned_absolute",
    "planned_forecast_absolute",
    "planned_baseline_absolute",
)
"""What is summed, in the order of the last axis of all sums; `planned` is where a planner spoke."""

_AT = {name: column for column, name in enumerate(SUMS)}


@dataclass(frozen=True)
class Measures:
    """How good some forecasts were; NaN where a ratio has nothing below it.

    Attributes:
        intervals: Each once for every set that forecast it.
        wape: Sum of absolute errors over the contacts.
        bias: Sum of errors (forecast minus actual) over the contacts.
        pinball: Mean pinball loss over ``QUANTILE_LEVELS``, summed, over the contacts.
        coverage_80: Share of the intervals that came inside the 80 % band.
    """

    intervals: int
    contacts: float
    wape: float
    bias: float
    pinball: float
    coverage_80: float
    wape_baseline: float

    @property
    def skill(self) -> float:
        """Share of the baseline's error that the forecast takes away."""
        return 1 - self.wape / self.wape_baseline if self.wape_baseline > 0 else float("nan")


@dataclass(frozen=True)
class PlannedMeasures:
    """How good a planner's overrides were beside the forecast, where both spoke."""

    intervals: int
    contacts: float
    wape_override: float
    bias_override: float
    wape: float
    wape_baseline: float

    @property
    def gain(self) -> float:
        """What the overrides added: the forecast's WAPE less theirs; below 0 they did harm."""
        return self.wape - self.wape_override

    @property
    def gain_contacts(self) -> float:
        """The same in contacts: the error that the overrides took away."""
        return self.gain * self.contacts


@dataclass(frozen=True)
class Actuals:
    """What came, and what planners had expected.

    Attributes:
        as_of: Known by this moment, aware UTC.
        histories: By queue.
        overrides: By queue, each in the order of ``made_at``.
    """

    as_of: datetime
    histories: Mapping[str, QueueHistory]
    overrides: Mapping[str, Sequence[Override]]


@dataclass(frozen=True)
class AccuracyRecord:
    """The record of all published forecasts.

    Attributes:
        sums: By kind and queue: float64[leads, hours of the week, sums].
    """

    as_of: datetime
    sets: Mapping[str, int]
    sums: Mapping[tuple[str, str], Float64]
    never_seen: tuple[str, ...]

    @property
    def intervals(self) -> int:
        """Forecast intervals that are judged, of both kinds."""
        return int(sum(found[..., _AT["intervals"]].sum() for found in self.sums.values()))

    def queues(self, kind: str) -> tuple[str, ...]:
        """Return the queues that have something to judge, by name."""
        return tuple(
            sorted(queue for of, queue in self.sums if of == kind and self.sums[of, queue].any())
        )

    def measures(self, kind: str, *, queue: str | None = None, lead: int | None = None) -> Measures:
        """Return how good forecasts of one kind were.

        Args:
            queue: Of this queue alone; by default of all together.
            lead: At this place of ``LEAD_BUCKETS`` alone; by default at all.
        """
        return _measures(self._cells(kind, queue, lead).sum(axis=(0, 1)))

    def by_hour(self, kind: str, *, queue: str | None = None) -> tuple[tuple[Measures, ...], ...]:
        """Return the measures of each hour of the week: 7 rows from Monday, 24 hours each."""
        cells = self._cells(kind, queue, None).sum(axis=0).reshape(7, 24, len(SUMS))
        return tuple(tuple(_measures(hour) for hour in day) for day in cells)

    def planned(
        self, kind: str, *, queue: str | None = None, lead: int | None = None
    ) -> PlannedMeasures:
        """Return how good planners' overrides were; arguments as those of ``measures``."""
        found = self._cells(kind, queue, lead).sum(axis=(0, 1))
        contacts = float(found[_AT["planned_contacts"]])
        return PlannedMeasures(
            intervals=int(found[_AT["planned"]]),
            contacts=contacts,
            wape_override=_ratio(found[_AT["planned_absolute"]], contacts),
            bias_override=_ratio(found[_AT["planned_error"]], contacts),
            wape=_ratio(found[_AT["planned_forecast_absolute"]], contacts),
            wape_baseline=_ratio(found[_AT["planned_baseline_absolute"]], contacts),
        )

    def _cells(self, kind: str, queue: str | None, lead: int | None) -> Float64:
        names = self.queues(kind) if queue is None else (queue,)
        leads = slice(None) if lead is None else slice(lead, lead + 1)
        whole = _nothing()
        for name in names:
            whole += self.sums.get((kind, name), 0.0)
        return whole[leads]


def keep_record(sets: Iterable[ForecastSet], actuals: Actuals, *, span: Span) -> AccuracyRecord:
    """Judge published forecasts by what came."""
    counts = dict.fromkeys(KINDS, 0)
    sums: dict[tuple[str, str], Float64] = {}
    never: set[str] = set()
    for found in sets:
        kind = FULL if found.base is None else INTRADAY
        counts[kind] += 1
        for name in span.queues or found.queues:
            forecast, history = found.queues.get(name), actuals.histories.get(name)
            if forecast is None or len(forecast.starts) == 0:
                continue
            if history is None:
                never.add(name)
                continue
            layers = actuals.overrides.get(name, ())
            judged = judge(
                forecast, history, layers, made_at=to_epoch(found.made_at), kind=kind, span=span
            )
            if judged is not None:
                sums[kind, name] = sums.get((kind, name), 0.0) + judged
    return AccuracyRecord(actuals.as_of, counts, sums, tuple(sorted(never)))


def _nothing() -> Float64:
    return np.zeros((len(LEAD_BUCKETS), WEEK_HOURS, len(SUMS)))


def _measures(found: Float64) -> Measures:
    contacts, intervals = float(found[_AT["contacts"]]), float(found[_AT["intervals"]])
    return Measures(
        intervals=int(intervals),
        contacts=contacts,
        wape=_ratio(found[_AT["absolute"]], contacts),
        bias=_ratio(found[_AT["error"]], contacts),
        pinball=_ratio(found[_AT["pinball"]], contacts),
        coverage_80=_ratio(found[_AT["inside"]], intervals),
        wape_baseline=_ratio(found[_AT["baseline_absolute"]], contacts),
    )


def _ratio(above: float, below: float) -> float:
    return float(above) / below if below > 0 else float("nan")


FULL, INTRADAY = "full", "intraday"
KINDS = (FULL, INTRADAY)
"""Forecast sets of the whole horizon, and those that correct one by what came since."""
WEEK_HOURS = 168

_LEVELS = np.array(QUANTILE_LEVELS)
_LOW, _HIGH = QUANTILE_LEVELS.index(0.1), QUANTILE_LEVELS.index(0.9)


@dataclass(frozen=True)
class Span:
    """Which intervals are judged: those that start in [since, until), of these queues.

    Attributes:
        since: Epoch seconds; None for all.
        until: Epoch seconds, excluded; None for all.
    """

    since: int | None = None
    until: int | None = None
    queues: tuple[str, ...] = ()


def judge(
    forecast: QueueForecast,
    history: QueueHistory,
    overrides: Sequence[Override],
    *,
    made_at: int,
    kind: str,
    span: Span,
) -> Float64 | None:
    """Return the sums of one queue in one set.

    Args:
        forecast: The queue's published forecast, of one interval at least.
        made_at: When the forecast was made, epoch seconds.

    Returns:
        float64[leads, hours of the week, sums]; None where nothing is judged.
    """
    actual = came(history, starts=forecast.starts, interval_minutes=forecast.queue.interval_minutes)
    rows = np.flatnonzero(_counted(forecast, actual, made_at=made_at, kind=kind, span=span))
    if len(rows) == 0:
        return None
    planned = np.full(len(rows), np.nan)
    if overrides:
        planned = apply_overrides(
            overrides,
            starts=forecast.starts,
            mean=forecast.mean,
            interval_minutes=forecast.queue.interval_minutes,
        ).offered[rows]
    starts = forecast.starts[rows]
    columns = _columns(
        actual[rows],
        mean=forecast.mean[rows],
        quantiles=forecast.quantiles[rows],
        baseline=forecast.baseline[rows],
        planned=planned,
    )
    hour = local_times(starts, forecast.queue.time_zone).minute_of_week // 60
    cell = lead_bucket((starts - made_at) / 3600.0) * WEEK_HOURS + hour
    size = len(LEAD_BUCKETS) * WEEK_HOURS
    sums: Float64 = np.stack(
        [np.bincount(cell, weights=column, minlength=size) for column in columns],
        axis=1,
        dtype=np.float64,
    )
    return sums.reshape(len(LEAD_BUCKETS), WEEK_HOURS, len(SUMS))


def came(history: QueueHistory, *, starts: Int64, interval_minutes: int) -> Float64:
    """Return what came in each interval of a forecast, contacts.

    Args:
        starts: The forecast's interval starts, epoch seconds, int64[h], ascending, h >= 1.

    Returns:
        float64[h]; NaN where an interval is not observed whole.
    """
    end = int(starts[-1]) + interval_minutes * 60
    first, last = np.searchsorted(history.starts, (int(starts[0]), end))
    offered = history.offered[first:last]
    at = interval_of(history.starts[first:last], interval_minutes, history.queue.time_zone)
    place = np.minimum(np.searchsorted(starts, at), len(starts) - 1)
    on_grid = (starts[place] == at) & ~np.isnan(offered)
    place, offered = place[on_grid], offered[on_grid]
    minutes = np.bincount(place, minlength=len(starts)) * history.queue.interval_minutes
    total = np.bincount(place, weights=offered, minlength=len(starts))
    found: Float64 = np.where(minutes == interval_minutes, total, np.nan)
    return found


def _counted(
    forecast: QueueForecast, actual: Float64, *, made_at: int, kind: str, span: Span
) -> Bool:
    """Return which intervals are judged, bool[h]; one in which a closed queue was closed is not."""
    starts = forecast.starts
    counted = ~np.isnan(actual) & (forecast.is_open | (actual > 0)) & (starts >= made_at)
    if span.since is not None:
        counted &= starts >= span.since
    if span.until is not None:
        counted &= starts < span.until
    if kind == INTRADAY:
        # What lies beyond tomorrow is the full set's own, and is judged there.
        zone = forecast.queue.time_zone
        today = int(local_times(np.array([made_at], dtype=np.int64), zone).day[0])
        counted &= local_times(starts, zone).day <= today + 1
    return counted


def _columns(
    actual: Float64, *, mean: Float64, quantiles: Float64, baseline: Float64, planned: Float64
) -> tuple[Float64, ...]:
    """Return what is summed, one float64[n] for each of ``SUMS``."""
    loss = pinball_losses(actual, quantiles, _LEVELS)
    inside = (actual >= quantiles[:, _LOW]) & (actual <= quantiles[:, _HIGH])
    error, missed = mean - actual, np.abs(baseline - actual)
    spoke = ~np.isnan(planned)
    own_error = np.where(spoke, planned - actual, 0.0)
    return (
        np.ones(len(actual)),
        actual,
        error,
        np.abs(error),
        loss,
        inside.astype(np.float64),
        missed,
        spoke.astype(np.float64),
        actual * spoke,
        own_error,
        np.abs(own_error),
        np.abs(error) * spoke,
        missed * spoke,
    )
