"""The five queues of the simulated centre: clocks, profiles, service and what they are about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from features.calendar import ALWAYS, Queue, Spans

Source = Literal["telephony", "tickets"]

REASONS = ("general", "order", "repeat")
"""Why a customer gets in touch: a matter of his own, an order, or the last try settled nothing."""

_WEEKDAYS_AND_SATURDAY: tuple[Spans, ...] = (*(((480, 1200),),) * 5, ((540, 960),), ())
_WEEKDAYS: tuple[Spans, ...] = (*(((540, 1020),),) * 5, (), ())
_LATE_DAYS: tuple[Spans, ...] = (((480, 1440),),) * 7


@dataclass(frozen=True)
class QueueModel:
    """One queue and the true habits of its contacts.

    Attributes:
        queue: Its clock, opening and goals, as the centre states them.
        source: The system that exports its contacts.
        anonymous_per_hour: Contacts an open hour from people who are no customers.
        linked_per_day: Contacts a day of one steady customer, by reason as in ``REASONS``.
        weekdays: Relative volume from Monday to Sunday.
        night: Volume at the quietest hour relative to the busiest.
        season: Amplitude of the year's wave, relative.
        peak_day: Day of the year on which it peaks.
        handle_median_seconds: Median handle time.
        handle_sigma: Standard deviation of its log.
        wait_mean_seconds: Mean wait, of those who wait at all, at the planned load.
        patience_seconds: Mean of the exponential patience; None where nobody gives up.
        resolved_share: Share of handled contacts that settle the matter.
        transferred_share: Share of handled contacts that are handed on.
        topics: Topics of general matters, equally frequent.
        starts_at_share: Share of the history after which it opens for the first time.
    """

    queue: Queue
    source: Source
    anonymous_per_hour: float
    linked_per_day: tuple[float, float, float]
    weekdays: tuple[float, ...]
    night: float
    season: float
    peak_day: int
    handle_median_seconds: float
    handle_sigma: float
    wait_mean_seconds: float
    patience_seconds: float | None
    resolved_share: float
    transferred_share: float
    topics: tuple[str, ...]
    starts_at_share: float = 0.0

    @property
    def name(self) -> str:
        """The queue's name in every table."""
        return self.queue.queue


SALES = QueueModel(
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
    patience_seconds=150.0,
    resolved_share=0.86,
    transferred_share=0.08,
    topics=("advice", "offer", "new order"),
)

SUPPORT = QueueModel(
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
    patience_seconds=240.0,
    resolved_share=0.74,
    transferred_share=0.12,
    topics=("account", "defect", "instructions", "password"),
)

BILLING = QueueModel(
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
    patience_seconds=200.0,
    resolved_share=0.82,
    transferred_share=0.06,
    topics=("invoice", "payment"),
)

CHAT = QueueModel(
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
    patience_seconds=100.0,
    resolved_share=0.76,
    transferred_share=0.05,
    topics=("account", "product", "advice"),
    starts_at_share=0.5,
)

EMAIL = QueueModel(
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
    patience_seconds=None,
    resolved_share=0.72,
    transferred_share=0.04,
    topics=("invoice", "product", "account", "praise"),
)

CENTRE: tuple[QueueModel, ...] = (SALES, SUPPORT, BILLING, CHAT, EMAIL)
"""The queues, in the order of every array with a queue axis."""
