"""What a simulated centre is: its size and span, and the laws of its queues."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np

from features.calendar import ALWAYS, DAY_MINUTES, DAY_SECONDS, Bool, Float64, Queue, Spans, epoch
from features.errors import ConfigError

REASONS = ("general", "order", "repeat")
"""Why a customer gets in touch: a general matter, an order, or a matter still unresolved."""
YEARLY_GROWTH = 0.04
HOLIDAY_FACTOR = 0.65
DAY_AFTER_HOLIDAY_FACTOR = 1.15

_WEEKDAYS: tuple[Spans, ...] = (*(((540, 1020),),) * 5, (), ())
_WEEKDAYS_AND_SATURDAY: tuple[Spans, ...] = (*(((480, 1200),),) * 5, ((540, 960),), ())
_LATE_DAYS: tuple[Spans, ...] = (((480, 1440),),) * 7


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
        if epoch(self.until) % DAY_SECONDS:
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
            ("unlinked_share", 0, 0.5),
            ("late_share", 0, 0.5),
            ("correction_share", 0, 0.5),
            ("duplicate_share", 0, 0.5),
            ("bad_share", 0, 0.5),
            ("horizon_days", 1, 365),
            ("active_days", 1, 730),
            ("ahead_days", 0, 365),
        ):
            check_setting(name, getattr(self, name), low, high)

    @property
    def end(self) -> int:
        """End of the history, epoch seconds, excluded."""
        return epoch(self.until)

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
class CentreQueue(QueueLaw):
    """A queue of the centre, with what becomes of its contacts.

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
    def patience_seconds(self) -> float | None:
        """Mean of the exponential patience; None where nobody gives up."""
        return self.queue.patience_seconds

    @property
    def week(self) -> Float64:
        """Profile by weekday and local hour, float64[7, 24], of mean one over the open week."""
        hour = np.arange(24) + 0.5
        bump = np.exp(-(((hour - 10.5) / 2.6) ** 2)) + 0.85 * np.exp(-(((hour - 15.8) / 3.4) ** 2))
        day = self.night + (1 - self.night) * bump / bump.max()
        return week_profile(self.queue, np.array(self.weekdays), day)


def open_cells(queue: Queue) -> Bool:
    """Return which intervals of the local week a queue is open in, bool[7, intervals a day]."""
    step = queue.interval_minutes
    opened = np.zeros((7, DAY_MINUTES // step), dtype=bool)
    for weekday, spans in enumerate(queue.opening):
        for start, end in spans or ():
            opened[weekday, start // step : end // step] = True
    return opened


def week_profile(queue: Queue, weekdays: Float64, day: Float64) -> Float64:
    """Return the product of both profiles, of mean one over the open week, 0 where closed."""
    opened = open_cells(queue)
    week = np.outer(weekdays, day)
    return np.where(opened, week / week[opened].mean(), 0.0)


SALES = CentreQueue(
    queue=Queue(
        queue="sales",
        name="Sales line",
        channel="voice",
        time_zone="Europe/Berlin",
        opening=_WEEKDAYS_AND_SATURDAY,
        country="DE-BE",
        open_on_holidays=False,
        goal_seconds=20.0,
        goal_share=0.8,
        default_aht_seconds=330.0,
        patience_seconds=150.0,
    ),
    source="telephony",
    anonymous_per_hour=6.0,
    linked_per_day=(0.0040, 0.010, 0.02),
    weekdays=(1.20, 1.08, 1.0, 0.97, 0.92, 0.75, 0.0),
    night=0.45,
    season=0.10,
    peak_day=340,
    handle_median_seconds=300.0,
    handle_sigma=0.6,
    wait_mean_seconds=45.0,
    resolved_share=0.86,
    transferred_share=0.08,
    topics=("advice", "offer", "new order"),
)

SUPPORT = CentreQueue(
    queue=Queue(
        queue="support",
        name="Support line, day and night",
        channel="voice",
        time_zone="Europe/Berlin",
        opening=ALWAYS,
        country="DE-BE",
        open_on_holidays=True,
        goal_seconds=30.0,
        goal_share=0.8,
        default_aht_seconds=480.0,
        patience_seconds=240.0,
    ),
    source="telephony",
    anonymous_per_hour=5.0,
    linked_per_day=(0.0030, 0.012, 0.09),
    weekdays=(1.18, 1.08, 1.02, 1.0, 1.0, 0.9, 0.82),
    night=0.22,
    season=0.08,
    peak_day=15,
    handle_median_seconds=420.0,
    handle_sigma=0.7,
    wait_mean_seconds=70.0,
    resolved_share=0.74,
    transferred_share=0.12,
    topics=("account", "defect", "instructions", "password"),
)

BILLING = CentreQueue(
    queue=Queue(
        queue="billing",
        name="Billing line, New York",
        channel="voice",
        time_zone="America/New_York",
        opening=_WEEKDAYS,
        country="US",
        open_on_holidays=False,
        goal_seconds=60.0,
        goal_share=0.75,
        default_aht_seconds=390.0,
        patience_seconds=200.0,
    ),
    source="telephony",
    anonymous_per_hour=5.0,
    linked_per_day=(0.0015, 0.004, 0.02),
    weekdays=(1.25, 1.05, 0.97, 0.92, 0.81, 0.0, 0.0),
    night=0.6,
    season=0.06,
    peak_day=30,
    handle_median_seconds=350.0,
    handle_sigma=0.55,
    wait_mean_seconds=60.0,
    resolved_share=0.82,
    transferred_share=0.06,
    topics=("invoice", "payment"),
)

CHAT = CentreQueue(
    queue=Queue(
        queue="chat",
        name="Web chat",
        channel="chat",
        time_zone="America/New_York",
        opening=_LATE_DAYS,
        country="US",
        open_on_holidays=True,
        goal_seconds=45.0,
        goal_share=0.8,
        default_aht_seconds=660.0,
        patience_seconds=100.0,
        concurrency=3,
    ),
    source="tickets",
    anonymous_per_hour=5.0,
    linked_per_day=(0.0020, 0.014, 0.05),
    weekdays=(1.12, 1.05, 1.0, 1.0, 0.98, 0.92, 0.93),
    night=0.4,
    season=0.05,
    peak_day=345,
    handle_median_seconds=600.0,
    handle_sigma=0.6,
    wait_mean_seconds=35.0,
    resolved_share=0.76,
    transferred_share=0.05,
    topics=("account", "product", "advice"),
    starts_at_share=0.5,
)

EMAIL = CentreQueue(
    queue=Queue(
        queue="email",
        name="E-mail",
        channel="email",
        time_zone="America/New_York",
        opening=ALWAYS,
        country="US",
        open_on_holidays=True,
        goal_seconds=28_800.0,
        goal_share=0.9,
        default_aht_seconds=420.0,
        concurrency=1,
    ),
    source="tickets",
    anonymous_per_hour=4.5,
    linked_per_day=(0.0020, 0.012, 0.05),
    weekdays=(1.2, 1.12, 1.05, 1.02, 0.98, 0.82, 0.81),
    night=0.25,
    season=0.07,
    peak_day=10,
    handle_median_seconds=360.0,
    handle_sigma=0.8,
    wait_mean_seconds=9_000.0,
    resolved_share=0.72,
    transferred_share=0.04,
    topics=("invoice", "product", "account", "praise"),
)

CENTRE_QUEUES: tuple[CentreQueue, ...] = (SALES, SUPPORT, BILLING, CHAT, EMAIL)
"""The queues of the centre, in the order of every array with a queue axis."""
