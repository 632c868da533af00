"""What today's correction brings on a panel whose shocked days are known.

Each morning of an origin's horizon the bundle forecasts a queue at its local midnight; at 10:00,
12:00 and 14:00 the forecast is corrected by what had come, and the rest of the day is compared.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from benchmarks.report import Check, at_least, at_most
from benchmarks.volume_sets import HORIZON_DAYS
from features.calendar.clock import from_epoch, local_midnight, local_times, to_epoch
from features.calendar.queues import Event
from features.simulate import QueueTruth, SimulatedPanel
from features.volume.history import QueueHistory
from serving.models.volume.forecast import QueueForecast
from serving.models.volume.intraday import correct
from serving.models.volume.model import VolumeModel
from training.models.volume.components import actuals

HOURS = (10, 12, 14)
LEAST_SEEN = 2
"""Open intervals of a day that must have ended for it to be judged."""


def corrected_days(
    model: VolumeModel, panel: SimulatedPanel, events: tuple[Event, ...], *, origin: datetime
) -> pd.DataFrame:
    """Correct each whole local day of a horizon, as of three hours of it.

    Args:
        model: Trained at ``origin``.
        panel: The panel.
        events: Calendar events known at ``origin``.
        origin: Aware.

    Returns:
        A row a queue, day and hour: ``origin``, ``queue``, ``hour``, ``kind`` (``shocked``,
        ``bad`` or ``ordinary``), ``actual`` (contacts in the rest of the day), ``morning`` and
        ``corrected`` (sums of absolute errors in it).
    """
    found = []
    for name, history in panel.histories.items():
        zone, truth = history.queue.time_zone, panel.truth[name]
        first = int(local_times(np.array([to_epoch(origin)]), zone).day[0]) + 1
        for day in range(first, first + HORIZON_DAYS - 1):
            morning = from_epoch(local_midnight(day, zone))
            known = history.before(morning + timedelta(days=1))
            forecast = model.forecast(
                {name: known}, events=events, made_at=morning, until=morning + timedelta(days=2)
            ).queues[name]
            for hour in HOURS:
                row = _rest_of_day(forecast, known, day=day, hour=hour, morning=morning)
                if row is not None:
                    kind = _kind(truth, day)
                    found.append(
                        {
                            "origin": to_epoch(origin),
                            "queue": name,
                            "hour": hour,
                            "kind": kind,
                            **row,
                        }
                    )
    return pd.DataFrame(found)


def _kind(truth: QueueTruth, day: int) -> str:
    at = day - int(truth.days[0])
    if truth.shocked[at]:
        return "shocked"
    return "bad" if truth.bad[at] else "ordinary"


def _rest_of_day(
    forecast: QueueForecast, history: QueueHistory, *, day: int, hour: int, morning: datetime
) -> dict[str, float] | None:
    """Compare the rest of a day; None where too little of it had been seen, or none is left."""
    local = local_times(forecast.starts, forecast.queue.time_zone)
    today = (local.day == day) & forecast.is_open
    later = today & (local.minute_of_day >= hour * 60)
    if not later.any() or (today & ~later).sum() < LEAST_SEEN:
        return None
    now = from_epoch(int(forecast.starts[np.flatnonzero(later)[0]]))
    fresh = correct(forecast, history, made_at=morning, now=now)
    rest = forecast.starts[later]
    came = actuals(history, rest)
    return {
        "actual": float(came.sum()),
        "morning": float(np.abs(forecast.mean[later] - came).sum()),
        "corrected": float(np.abs(fresh.mean[np.isin(fresh.starts, rest)] - came).sum()),
    }


def intraday_table(days: pd.DataFrame) -> pd.DataFrame:
    """Return the rest-of-day WAPE by kind of day and hour, before and after the correction.

    Returns:
        ``kind``, ``hour``, ``days``, ``wape_morning``, ``wape_corrected``, ``gain`` (share of the
        morning's WAPE that the correction takes away).
    """
    sums = days.groupby(["kind", "hour"])[["actual", "morning", "corrected"]].sum()
    table = pd.DataFrame(
        {
            "days": days.groupby(["kind", "hour"]).size(),
            "wape_morning": sums["morning"] / sums["actual"],
            "wape_corrected": sums["corrected"] / sums["actual"],
            "gain": 1 - sums["corrected"] / sums["morning"],
        }
    )
    return table.round(4).reset_index()


def intraday_goals(table: pd.DataFrame) -> list[Check]:
    """Return the checks of the correction: shocked days gain, ordinary ones lose next to nothing.

    Args:
        table: What ``intraday_table`` returned.
    """
    gain = table.pivot_table("gain", "hour", "kind") * 100
    checks = [
        at_least(
            f"intraday at {hour}:00: rest-of-day WAPE of shocked days below the morning's",
            float(gain.loc[hour, "shocked"]),
            25,
            unit=" %",
        )
        for hour in HOURS
    ]
    worst = gain["ordinary"].idxmin()
    what = f"intraday: rest-of-day WAPE of ordinary days above the morning's, worst at {worst}:00"
    return [*checks, at_most(what, -float(gain.loc[worst, "ordinary"]), 2, unit=" %")]
