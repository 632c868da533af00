"""The habits of the queues of a simulated panel: clock, scale, profile, season, handle time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.calendar import ALWAYS, DAY_MINUTES, Float64, Queue, Spans

LEAST_PER_HOUR, MOST_PER_HOUR = 0.05, 400.0
_GOLDEN = (5**0.5 - 1) / 2
_PLACES = (
    ("Europe/Berlin", "DE"),
    ("America/New_York", "US"),
    ("Asia/Shanghai", "CN"),
    ("UTC", None),
    ("Australia/Sydney", "AU-NSW"),
    ("Asia/Kolkata", "IN"),
    ("Europe/London", "GB-ENG"),
)
_WEEKDAYS: tuple[Spans, ...] = (*(((480, 1080),),) * 5, (), ())
_SATURDAYS: tuple[Spans, ...] = (*(((480, 1200),),) * 5, ((540, 960),), ())
_EVENINGS: tuple[Spans, ...] = (((960, 1440),),) * 7
_OPENINGS = (ALWAYS, _WEEKDAYS, _EVENINGS, _SATURDAYS, ALWAYS)
_CHANNELS = ("voice", "voice", "chat", "email")


@dataclass(frozen=True)
class Habits:
    """One simulated queue and the laws of its contacts.

    Attributes:
        queue: Its clock, opening and country.
        per_hour: Mean contacts an open hour at the start of the history.
        week: Profile by weekday and interval of the day, float64[7, intervals a day], of mean
            one over the open week; 0 where closed.
        season: Amplitude of the year's wave, relative.
        peak_day: Day of the year on which it peaks.
        growth: Growth a year, relative.
        holiday: Factor of a public holiday.
        after_holiday: Factor of the day after one.
        promotion: Excess that a promotion of size one brings, relative.
        billing: Excess that a billing run brings, relative.
        handle_seconds: Mean handle time at noon.
        evening_handling: How much longer contacts take at midnight than at noon, relative.
    """

    queue: Queue
    per_hour: float
    week: Float64
    season: float
    peak_day: int
    growth: float
    holiday: float
    after_holiday: float
    promotion: float
    billing: float
    handle_seconds: float
    evening_handling: float


def draw_habits(number: int, *, interval_minutes: int, rng: np.random.Generator) -> Habits:
    """Draw the habits of one queue.

    Scales spread evenly (on a log scale) over 0.05 to 400 contacts an hour, and places, openings
    and channels take turns, so that the first few queues are already unlike each other.

    Args:
        number: The queue's number, from 0.
        interval_minutes: 15, 30 or 60.
        rng: Source of all else.
    """
    time_zone, country = _PLACES[number % len(_PLACES)]
    opening = _OPENINGS[number % len(_OPENINGS)]
    channel = _CHANNELS[number % len(_CHANNELS)]
    handle_seconds = float(np.exp(rng.normal(np.log(320), 0.35)))
    queue = Queue(
        queue=f"{channel}-{number:03d}",
        channel=channel,
        time_zone=time_zone,
        opening=opening,
        opening_source="stated",
        country=country,
        open_on_holidays=opening is ALWAYS or opening is _EVENINGS,
        interval_minutes=interval_minutes,
        default_aht_seconds=round(handle_seconds),
    )
    scale = (0.5 + number * _GOLDEN) % 1
    return Habits(
        queue=queue,
        per_hour=float(LEAST_PER_HOUR * (MOST_PER_HOUR / LEAST_PER_HOUR) ** scale),
        week=_week(queue, rng),
        season=float(rng.uniform(0.03, 0.2)),
        peak_day=int(rng.integers(0, 365)),
        growth=float(np.clip(rng.normal(0.04, 0.1), -0.2, 0.3)),
        holiday=float(rng.uniform(0.5, 0.85)),
        after_holiday=float(rng.uniform(1.05, 1.25)),
        promotion=float(rng.uniform(0.15, 0.5)) if number % 3 else 0.0,
        billing=float(rng.uniform(0.2, 0.5)) if number % 2 else 0.0,
        handle_seconds=handle_seconds,
        evening_handling=float(rng.uniform(0.0, 0.3)),
    )


def _week(queue: Queue, rng: np.random.Generator) -> Float64:
    """Return the profile of a queue's open week: two bumps a day, and weekdays of their own."""
    step = queue.interval_minutes
    hour = (np.arange(DAY_MINUTES // step) + 0.5) * step / 60
    opened = np.zeros((7, len(hour)), dtype=bool)
    for weekday, spans in enumerate(queue.opening):
        for start, end in spans or ():
            opened[weekday, start // step : end // step] = True
    first, last = hour[opened.any(axis=0)][[0, -1]]
    width = (last - first) / 8 + 1
    peaks = [first + (last - first) * rng.uniform(*span) for span in ((0.3, 0.5), (0.6, 0.85))]
    bumps = np.exp(-((np.subtract.outer(hour, peaks) / width) ** 2)).sum(axis=1)
    quiet = rng.uniform(0.1, 0.4)
    day = quiet + (1 - quiet) * bumps / bumps.max()
    weekdays = np.array([1.18, 1.06, 1.0, 0.98, 0.96, 0.8, 0.72]) * rng.uniform(0.93, 1.07, 7)
    week = np.outer(weekdays, day) * opened
    found: Float64 = week / week[opened].mean()
    return found
