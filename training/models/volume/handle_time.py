"""How far off handle times were, and how they spread around their forecast.

Errors are weighted by handled contacts: an error in a busy interval moves more agents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from features.arrays import Bool, Float64, Int64
from features.volume.history import QueueHistory
from serving.models.shrinkage import shrink
from serving.models.volume.distribution import (
    DEFAULT_HANDLE,
    LEAD_BUCKETS,
    AhtDistribution,
    lead_bucket,
)
from serving.models.volume.forecast import QueueForecast
from serving.models.volume.outlook import ComponentForecasts
from serving.models.volume.week_profile import last_seen, week_grid
from training.models.volume.dispersion import cells, recency, total
from training.models.volume.distribution import QueueDays, lagged_products, learn_memories

AHT_FORECASTS = ("aht_wape", "aht_wape_mean", "aht_wape_hour4", "aht_wape_last_week")
"""Ours; the mean of all that was handled; of its hour of the day over the last four weeks; of the
same hour of the last observed week."""
LOAD_FORECASTS = ("load_wape", "load_wape_seasonal_naive")
"""Of contacts times AHT: ours; the same hour of the last observed week for both."""
_FOUR_WEEKS_DAYS = 28


@dataclass(frozen=True)
class HandleErrors:
    """One queue's window, by lead bucket.

    Attributes:
        seconds: Seconds that were handled, float64[buckets].
        aht: Absolute errors of each of ``AHT_FORECASTS``, float64[4, buckets], seconds.
        load: Seconds of work that came, handled or not, float64[buckets].
        loads: Absolute errors of each of ``LOAD_FORECASTS``, float64[2, buckets], seconds.
        day: Local day of each interval in which something was handled, int64[n].
        relative: What was realised in it over the forecast, less 1, float64[n].
        handled: Contacts that were handled in it, float64[n], > 0.
    """

    seconds: Float64
    aht: Float64
    load: Float64
    loads: Float64
    day: Int64
    relative: Float64
    handled: Float64

    def only(self, bucket: int) -> HandleErrors:
        """Return the same with all other lead buckets at 0."""
        wanted = np.arange(len(LEAD_BUCKETS)) == bucket
        return replace(
            self,
            seconds=self.seconds * wanted,
            aht=self.aht * wanted,
            load=self.load * wanted,
            loads=self.loads * wanted,
        )


def handle_errors(
    outlook: ComponentForecasts, forecast: QueueForecast, *, known: QueueHistory, came: QueueHistory
) -> HandleErrors:
    """Compare the forecast of one window with what came."""
    at = np.minimum(np.searchsorted(came.starts, outlook.starts), len(came.starts) - 1)
    there = came.starts[at] == outlook.starts
    seconds = np.where(there, came.aht_seconds[at], np.nan)
    handled = np.where(there & (seconds > 0), came.handled[at], 0.0)
    offered = np.where(there, came.offered[at], np.nan)
    others = aht_baselines(outlook, known)
    bucket = lead_bucket(outlook.lead_hours)
    judged = ~np.isnan(offered) & ((offered == 0) | (seconds > 0))
    work = np.where(offered > 0, offered * seconds, 0.0)
    ours, naive = forecast.mean * forecast.aht_seconds, outlook.baseline * others[2]

    def summed(values: Float64, use: Bool) -> Float64:
        found = np.bincount(bucket[use], values[use], minlength=len(LEAD_BUCKETS))
        return found.astype(np.float64)

    answered = handled > 0
    return HandleErrors(
        seconds=summed(handled * seconds, answered),
        aht=np.stack(
            [
                summed(handled * np.abs(f - seconds), answered)
                for f in (forecast.aht_seconds, *others)
            ]
        ),
        load=summed(work, judged),
        loads=np.stack([summed(np.abs(f - work), judged) for f in (ours, naive)]),
        day=outlook.day[answered],
        relative=seconds[answered] / forecast.aht_seconds[answered] - 1,
        handled=handled[answered],
    )


def aht_baselines(
    outlook: ComponentForecasts, known: QueueHistory
) -> tuple[Float64, Float64, Float64]:
    """Return what a planner has without a model, in the order of ``AHT_FORECASTS[1:]``.

    Where an hour has no mean of its own, the mean of all stands; without any, the queue's default.

    Returns:
        float64[h] each, seconds.
    """
    queue = outlook.queue
    means = week_grid(queue, known.starts, known.aht_seconds)
    contacts = week_grid(queue, known.starts, known.handled)
    weight = np.where(means.values > 0, np.nan_to_num(contacts.values), 0.0)
    seconds = weight * np.nan_to_num(means.values)
    overall = seconds.sum() / weight.sum() if weight.sum() > 0 else queue.default_aht_seconds
    since = max(len(means.days) - _FOUR_WEEKS_DAYS, 0)
    slots = means.slots
    hourly, count = (x.reshape(-1, slots)[since:].sum(axis=0) for x in (seconds, weight))
    by_hour = np.where(count > 0, hourly / np.maximum(count, 1e-9), overall)
    last = last_seen(means.values, 1)[0]
    last = np.where(np.isnan(last), overall, last)
    cell: Int64 = outlook.cell
    return np.full(len(cell), overall), by_hour[cell % slots], last[cell]


def handle_scores(errors: Sequence[HandleErrors]) -> Mapping[str, float]:
    """Return pooled absolute errors over what came, by name; NaN where nothing was handled."""
    aht, load = (
        sum(float(e.seconds.sum()) for e in errors),
        sum(float(e.load.sum()) for e in errors),
    )
    missed = np.sum([np.concatenate((e.aht, e.loads)).sum(axis=1) for e in errors], axis=0)
    totals = [aht] * len(AHT_FORECASTS) + [load] * len(LOAD_FORECASTS)
    return {
        name: float(error) / total if total > 0 else float("nan")
        for name, error, total in zip(AHT_FORECASTS + LOAD_FORECASTS, missed, totals, strict=True)
    }


MOST_DAY, MOST_HOUR = 0.1, 0.25
"""Bounds on the squared coefficients of variation."""
_DEFAULT_VARIATION = 0.8
"""Squared coefficient of variation of one contact's handle time, where nothing says more."""
_LEAST_OWN, _MOST_OWN = 1e-4, MOST_DAY + MOST_HOUR
_LEAST_VARIATION, _MOST_VARIATION = 0.01, 9.0
_INTERVALS_TO_TRUST, _INTERVALS_TO_TRUST_ANY = 200.0, 50.0
_DAYS_TO_TRUST, _DAYS_TO_TRUST_ANY = 21.0, 5.0
_STEPS = 5
_WILD = 3.0
"""Errors count as no larger than so many standard deviations, and as many again for the mean
of a single contact, whose noise is skewed."""


@dataclass(frozen=True)
class HandlePairs:
    """Out-of-sample errors of the average handle time where something was handled; arrays [n].

    Attributes:
        queue: Row of the queue, int64.
        origin: When the forecast was made, epoch seconds, int64.
        day: Local day, int64.
        relative: What was realised over the forecast, less 1, float64.
        handled: Contacts that it is the mean of, float64, > 0.
    """

    queue: Int64
    origin: Int64
    day: Int64
    relative: Float64
    handled: Float64


@dataclass(frozen=True)
class _Days(QueueDays):
    """What the pairs of each day say; arrays [n].

    Attributes:
        mean: Mean error, weighted by precision, float64.
        square: Mean product of the errors of two intervals, float64; NaN with a single one.
    """

    mean: Float64
    square: Float64


def learn_handle(pairs: HandlePairs, *, queues: int) -> tuple[AhtDistribution, ...]:
    """Learn each queue's spread, drawn to that of all queues; the last is for any other."""
    if not len(pairs.queue):
        return (DEFAULT_HANDLE,) * (queues + 1)
    weight = recency(pairs.origin, as_of_epoch=int(pairs.origin.max()))
    own, variation = _variances(pairs, weight, queues=queues)
    days = _days(pairs, weight, own=own[pairs.queue], variation=variation[pairs.queue])
    day = np.minimum(_day_variances(days, queues=queues), own)
    memory = _memories(days, day, queues=queues)
    hour = np.clip(own - day, 0.0, MOST_HOUR)
    return tuple(
        AhtDistribution(day=float(d), hour=float(h), memory=float(m))
        for d, h, m in zip(day, hour, memory, strict=True)
    )


def _variances(pairs: HandlePairs, weight: Float64, *, queues: int) -> tuple[Float64, Float64]:
    """Return what intervals vary by and what single contacts do, float64[queues + 1] each.

    Squares are regressed on 1 and 1/k, weighted by what they vary by themselves; a queue with
    few intervals is drawn to what all say.
    """
    own = np.full(queues + 1, DEFAULT_HANDLE.day + DEFAULT_HANDLE.hour)
    variation = np.full(queues + 1, _DEFAULT_VARIATION)
    default = np.array([own[-1], variation[-1]])
    apart = np.stack((np.ones_like(pairs.handled), 1 / pairs.handled))
    for _ in range(_STEPS):
        expected = own[pairs.queue] + variation[pairs.queue] * apart[1]
        squares = np.minimum(pairs.relative**2, _wild(pairs) ** 2 * expected)
        precise = weight / expected**2
        matrix = np.stack(
            [[_by_queue(precise * a * b, pairs, queues) for a in apart] for b in apart]
        ).transpose(2, 0, 1)
        vector = np.stack([_by_queue(precise * a * squares, pairs, queues) for a in apart]).T
        counts = _by_queue(weight, pairs, queues)
        # Each prior is so many intervals like all those that there are.
        like = matrix.sum(axis=0) / counts.sum()
        every = _solved(
            matrix.sum(axis=0) + _INTERVALS_TO_TRUST_ANY * like,
            vector.sum(axis=0) + _INTERVALS_TO_TRUST_ANY * like @ default,
        )
        pull = _INTERVALS_TO_TRUST * like
        found = [_solved(m + pull, v + pull @ every) for m, v in zip(matrix, vector, strict=True)]
        own, variation = np.array([*found, every]).T
    return own, variation


def _wild(pairs: HandlePairs) -> Float64:
    """Return how many standard deviations an error counts at most, float64[n]."""
    found: Float64 = _WILD * (1 + 1 / np.sqrt(pairs.handled))
    return found


def _by_queue(values: Float64, pairs: HandlePairs, queues: int) -> Float64:
    return total(values, by=pairs.queue, count=queues)


def _solved(matrix: Float64, vector: Float64) -> Float64:
    """Solve for the two variances, each within its bounds, float64[2]."""
    determinant = matrix[0, 0] * matrix[1, 1] - matrix[0, 1] ** 2
    own = DEFAULT_HANDLE.day + DEFAULT_HANDLE.hour
    if determinant > 1e-9 * matrix[0, 0] * matrix[1, 1]:
        own = (matrix[1, 1] * vector[0] - matrix[0, 1] * vector[1]) / determinant
    own = float(np.clip(own, _LEAST_OWN, _MOST_OWN))
    variation = (vector[1] - matrix[0, 1] * own) / matrix[1, 1]
    variation = float(np.clip(variation, _LEAST_VARIATION, _MOST_VARIATION))
    own = (vector[0] - matrix[0, 1] * variation) / matrix[0, 0]
    return np.array([np.clip(own, _LEAST_OWN, _MOST_OWN), variation])


def _days(pairs: HandlePairs, weight: Float64, *, own: Float64, variation: Float64) -> _Days:
    expected = own + variation / pairs.handled
    most = _wild(pairs) * np.sqrt(expected)
    error = np.clip(pairs.relative, -most, most)
    cell, first = cells(pairs.queue, pairs.origin, pairs.day)
    precise = 1 / expected
    reach, moved = total(precise, by=cell), total(precise * error, by=cell)
    both = reach**2 - total(precise**2, by=cell)
    products = moved**2 - total((precise * error) ** 2, by=cell)
    # How well a day's factor shows, were half the variance its own.
    shown = reach * own[first] / 2
    return _Days(
        queue=pairs.queue[first],
        origin=pairs.origin[first],
        day=pairs.day[first],
        weight=weight[first] * (shown / (1 + shown)) ** 2,
        mean=moved / reach,
        square=np.divide(products, both, out=np.full(len(both), np.nan), where=both > 1e-9),
    )


def _day_variances(days: _Days, *, queues: int) -> Float64:
    """Return the variance of days' factors, float64[queues + 1]."""
    several = ~np.isnan(days.square)
    weight, queue = days.weight[several], days.queue[several]
    above = total(weight * days.square[several], by=queue, count=queues)
    below = total(weight, by=queue, count=queues)
    every = shrink(
        float(above.sum()),
        weight=float(below.sum()),
        prior=DEFAULT_HANDLE.day,
        prior_weight=_DAYS_TO_TRUST_ANY,
    )
    every = float(np.clip(every, 0.0, MOST_DAY))
    own = shrink(above, weight=below, prior=every, prior_weight=_DAYS_TO_TRUST)
    return np.append(np.clip(own, 0.0, MOST_DAY), every)


def _memories(days: _Days, day: Float64, *, queues: int) -> Float64:
    """Return the correlation of a day's factor with the next day's, float64[queues + 1]."""
    root = np.sqrt(days.weight)
    values = root * days.mean, root * np.sqrt(day[days.queue])
    products, most = lagged_products(days, values, queues=queues)
    return learn_memories(
        products,
        most,
        of_a_day=max(float(day[-1]), _LEAST_OWN),
        prior=DEFAULT_HANDLE.memory,
        days_to_trust_any=_DAYS_TO_TRUST_ANY,
        days_to_trust=_DAYS_TO_TRUST,
    )
