"""What a simulated centre is: its size and span, and the laws of its queues, or of a panel's."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from features.arrays import Bool, Float64
from features.calendar.clock import DAY_MINUTES, DAY_SECONDS, to_epoch
from features.calendar.queues import ALWAYS, Event, OpeningSpans, Queue, parse_opening
from features.errors import ConfigError

REASONS = ("general", "order", "repeat")
"""Why a customer gets in touch: a general matter, an order, or a matter still unresolved."""
YEARLY_GROWTH = 0.04
HOLIDAY_FACTOR = 0.65
DAY_AFTER_HOLIDAY_FACTOR = 1.15


@dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """Size, span and laws of a simulated centre.

    Attributes:
        until: End of the history, excluded; aware, midnight UTC.
        customers: Customers who join before ``until``.
        days: Days of history before ``until``.
        day_factor_sd: Standard deviation of the log of the day factor.
        day_factor_shared: Share of its variance that all queues have in common, in [0, 1].
        day_factor_memory: Correlation of its log from one day to the next, in [0, 1).
        unlinked_share: Share of customers' own contacts that carry no customer id.
        late_share: Share of contacts that we learn of hours or days late.
        correction_share: Share of calls of which a corrected version arrives later.
        duplicate_share: Share of exported rows that are written twice.
        bad_share: Share of exported rows, on top of the others, that no reader can accept.
        horizon_days: Horizon of the true churn probability.
        active_days: Only customers who bought in so many days before have one.
        ahead_days: Days after ``until`` for which the true rates are given.
    """

    until: datetime
    customers: int = 5_000
    days: int = 400
    day_factor_sd: float = 0.12
    day_factor_shared: float = 0.5
    day_factor_memory: float = 0.4
    unlinked_share: float = 0.08
    late_share: float = 0.01
    correction_share: float = 0.005
    duplicate_share: float = 0.003
    bad_share: float = 0.001
    horizon_days: int = 90
    active_days: int = 180
    ahead_days: int = 35

    def __post_init__(self) -> None:
        if to_epoch(self.until) % DAY_SECONDS:
            raise ConfigError(
                "end of the simulation",
                got=self.until.isoformat(),
                expected="midnight UTC",
                field="until",
            )
        for name, low, high in (
            ("customers", 1, 5_000_000),
            ("days", 28, 3_660),
            ("day_factor_sd", 0, 1),
            ("day_factor_shared", 0, 1),
            ("day_factor_memory", 0, 0.99),
            ("horizon_days", 1, 365),
            ("active_days", 1, 730),
            ("ahead_days", 0, 365),
        ):
            check_setting(name, getattr(self, name), low, high)
        for name in ("unlinked", "late", "correction", "duplicate", "bad"):
            check_setting(f"{name}_share", getattr(self, f"{name}_share"), 0, 0.5)

    @property
    def end(self) -> int:
        """End of the history, epoch seconds, excluded."""
        return to_epoch(self.until)

    @property
    def start(self) -> int:
        """Start of the history, epoch seconds."""
        return self.end - self.days * DAY_SECONDS


def check_setting(name: str, value: float, low: float, high: float) -> None:
    """Raise ConfigError where a setting lies outside its range."""
    if not low <= value <= high:
        raise ConfigError(
            f"simulation setting `{name}`", got=value, expected=f"{low} to {high}", field=name
        )


@dataclass(frozen=True, kw_only=True)
class QueueLaw:
    """The laws that the volume of every simulated queue obeys.

    Attributes:
        queue: Its clock, opening hours and goals.
        season: Amplitude of the year's wave, relative.
        peak_day: Day of the year on which it peaks.
        growth: Growth a year, relative.
        holiday: Factor of a public holiday.
        after_holiday: Factor of the day after one.
    """

    queue: Queue
    season: float
    peak_day: int
    growth: float = YEARLY_GROWTH
    holiday: float = HOLIDAY_FACTOR
    after_holiday: float = DAY_AFTER_HOLIDAY_FACTOR

    @property
    def name(self) -> str:
        """The queue's name in every table."""
        return self.queue.queue


@dataclass(frozen=True, kw_only=True)
class PanelQueue(QueueLaw):
    """A queue of a panel, whose contacts are only counted.

    Attributes:
        per_hour: Mean contacts an open hour at the start of the history.
        week: Profile by weekday and interval of the day, float64[7, intervals a day], of mean
            one over the open week; 0 where closed.
        reactions: Excess that an event of size one brings, relative, by kind of event.
        handle_seconds: Mean handle time at noon.
        evening_handling: How much longer contacts take at midnight than at noon, relative.
    """

    per_hour: float
    week: Float64
    reactions: dict[str, float]
    handle_seconds: float
    evening_handling: float

    def event_factor(self, event: Event) -> float:
        """Return what an event multiplies the queue's rate by."""
        return 1 + self.reactions[event.kind] * (event.size or 1.0)


@dataclass(frozen=True, kw_only=True)
class CentreQueue(QueueLaw):
    """A queue of the centre, with what becomes of its contacts.

    Patience is exponential, of the mean that the queue states; without one, nobody gives up.

    Attributes:
        source: The system that exports its contacts.
        anonymous_per_hour: Contacts an open hour from people who are no customers.
        linked_per_day: Contacts a day of one steady customer, by reason as in ``REASONS``.
        weekdays: Relative volume from Monday to Sunday.
        night: Volume at the quietest hour relative to the busiest.
        handle_median_seconds: Median handle time.
        handle_sigma: Standard deviation of its log.
        wait_mean_seconds: Mean wait, of those who wait at all, at the planned load.
        resolved_share: Share of handled contacts that settle the matter.
        transferred_share: Share of handled contacts that are handed on.
        topics: Topics of general matters, equally frequent.
        starts_at_share: Share of the history after which it opens for the first time.
    """

    source: Literal["telephony", "tickets"]
    anonymous_per_hour: float
    linked_per_day: tuple[float, float, float]
    weekdays: tuple[float, ...]
    night: float
    handle_median_seconds: float
    handle_sigma: float
    wait_mean_seconds: float
    resolved_share: float
    transferred_share: float
    topics: tuple[str, ...]
    starts_at_share: float = 0.0

    @property
    def week(self) -> Float64:
        """Profile by weekday and local hour, float64[7, 24], of mean one over the open week."""
        hour = np.arange(24) + 0.5
        bump = np.exp(-(((hour - 10.5) / 2.6) ** 2)) + 0.85 * np.exp(-(((hour - 15.8) / 3.4) ** 2))
        day = self.night + (1 - self.night) * bump / bump.max()
        return _week_profile(self.queue, np.array(self.weekdays), day)


def open_cells(queue: Queue) -> Bool:
    """Return which intervals of the local week a queue is open in, bool[7, intervals a day]."""
    step = queue.interval_minutes
    opened = np.zeros((7, DAY_MINUTES // step), dtype=bool)
    for weekday, spans in enumerate(queue.opening):
        for start, end in spans or ():
            opened[weekday, start // step : end // step] = True
    return opened


def _week_profile(queue: Queue, weekdays: Float64, day: Float64) -> Float64:
    opened = open_cells(queue)
    week = np.outer(weekdays, day)
    return np.where(opened, week / week[opened].mean(), 0.0)


@lru_cache(maxsize=1)
def centre_queues() -> tuple[CentreQueue, ...]:
    """Read the queues of the centre, in the order of every array with a queue axis."""
    text = (Path(__file__).parent / "centre.toml").read_text(encoding="utf-8")
    laws = []
    for law in tomllib.loads(text)["law"]:
        stated = law.pop("queue")
        opening = tuple(parse_opening(day) for day in stated.pop("opening"))
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in law.items()
        }
        laws.append(CentreQueue(queue=Queue(**stated, opening=opening), **fields))
    return tuple(laws)


_LEAST_PER_HOUR, _MOST_PER_HOUR = 0.05, 400.0
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
_WEEKDAYS: tuple[OpeningSpans, ...] = (*(((480, 1080),),) * 5, (), ())
_SATURDAYS: tuple[OpeningSpans, ...] = (*(((480, 1200),),) * 5, ((540, 960),), ())
_EVENINGS: tuple[OpeningSpans, ...] = (((960, 1440),),) * 7
_OPENINGS = (ALWAYS, _WEEKDAYS, _EVENINGS, _SATURDAYS, ALWAYS)
_CHANNELS = ("voice", "voice", "chat", "email")


def draw_panel_queue(number: int, *, interval_minutes: int, rng: np.random.Generator) -> PanelQueue:
    """Draw the laws of one queue of a panel.

    Scales spread evenly (on a log scale) over 0.05 to 400 contacts an hour, and places, openings
    and channels take turns by ``number``, so that the first few queues already differ.
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
    return PanelQueue(
        queue=queue,
        per_hour=float(_LEAST_PER_HOUR * (_MOST_PER_HOUR / _LEAST_PER_HOUR) ** scale),
        week=_draw_week(queue, rng),
        season=float(rng.uniform(0.03, 0.2)),
        peak_day=int(rng.integers(0, 365)),
        growth=float(np.clip(rng.normal(0.04, 0.1), -0.2, 0.3)),
        holiday=float(rng.uniform(0.5, 0.85)),
        after_holiday=float(rng.uniform(1.05, 1.25)),
        reactions={
            "promotion": float(rng.uniform(0.15, 0.5)) if number % 3 else 0.0,
            "billing": float(rng.uniform(0.2, 0.5)) if number % 2 else 0.0,
        },
        handle_seconds=handle_seconds,
        evening_handling=float(rng.uniform(0.0, 0.3)),
    )


def _draw_week(queue: Queue, rng: np.random.Generator) -> Float64:
    """Draw the profile of a queue's open week: two bumps a day, and a level for each weekday."""
    opened = open_cells(queue)
    hour = (np.arange(opened.shape[1]) + 0.5) * queue.interval_minutes / 60
    first, last = hour[opened.any(axis=0)][[0, -1]]
    width = (last - first) / 8 + 1
    peaks = [first + (last - first) * rng.uniform(*span) for span in ((0.3, 0.5), (0.6, 0.85))]
    bumps = np.exp(-((np.subtract.outer(hour, peaks) / width) ** 2)).sum(axis=1)
    quiet = rng.uniform(0.1, 0.4)
    day = quiet + (1 - quiet) * bumps / bumps.max()
    weekdays = np.array([1.18, 1.06, 1.0, 0.98, 0.96, 0.8, 0.72]) * rng.uniform(0.93, 1.07, 7)
    return _week_profile(queue, weekdays, day)
