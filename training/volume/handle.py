"""How far off the average handle time was, and the work that it makes with the contacts.

Errors are weighted by handled contacts: an error in a busy interval moves more agents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from features.calendar import Bool, Float64, Int64
from features.contracts import LEAD_BUCKETS
from features.snapshot import QueueHistory
from serving.models.volume.forecast import QueueForecast
from serving.models.volume.outlook import Outlook, lead_bucket
from serving.models.volume.profiles import last_seen, week_grid

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
        kept = np.arange(len(LEAD_BUCKETS)) == bucket
        return replace(
            self,
            seconds=self.seconds * kept,
            aht=self.aht * kept,
            load=self.load * kept,
            loads=self.loads * kept,
        )


def handle_errors(
    outlook: Outlook, forecast: QueueForecast, *, known: QueueHistory, came: QueueHistory
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

    told = handled > 0
    return HandleErrors(
        seconds=summed(handled * seconds, told),
        aht=np.stack(
            [summed(handled * np.abs(f - seconds), told) for f in (forecast.aht_seconds, *others)]
        ),
        load=summed(work, judged),
        loads=np.stack([summed(np.abs(f - work), judged) for f in (ours, naive)]),
        day=outlook.day[told],
        relative=seconds[told] / forecast.aht_seconds[told] - 1,
        handled=handled[told],
    )


def aht_baselines(outlook: Outlook, known: QueueHistory) -> tuple[Float64, Float64, Float64]:
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
