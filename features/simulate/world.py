"""What happens in the simulated centre and when: one draw of its calendar and its shocks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from features.calendar import (
    DAY_SECONDS,
    Bool,
    Event,
    Float64,
    Int64,
    Queue,
    is_open,
    local_midnight,
    local_times,
    moment,
)
from features.simulate.config import SimulationConfig
from features.simulate.queues import CENTRE, QueueModel

HOUR = 3_600
CENTRE_ZONE = "Europe/Berlin"
SHIFTED_QUEUE = "email"
LEVEL_SHIFT_FACTOR = 1.35
ORDER_LIFT = 1.6
"""Orders on a promotion's days relative to others."""


@dataclass(frozen=True)
class Effect:
    """A true multiplier of one queue's rate over a span.

    Attributes:
        event_id: The event it comes from; None for a level shift, which no calendar holds.
        kind: The event's kind, ``aftermath`` or ``level_shift``.
        queue: The queue it touches.
        starts_at: First moment, epoch seconds.
        ends_at: One past the last, epoch seconds; None: it stays.
        factor: Multiplier of the rate at the start.
        decay_days: Days in which the excess over one falls to 1/e; None: constant.
    """

    event_id: str | None
    kind: str
    queue: str
    starts_at: int
    ends_at: int | None
    factor: float
    decay_days: float | None = None

    def multiplier(self, moments: Int64) -> Float64:
        """Return the effect's multiplier at each moment (epoch seconds, int64[n]), float64[n].

        >>> calls = Effect("P1", "promotion", "sales", 0, 3600, 1.5)
        >>> calls.multiplier(np.array([-1, 0, 3600])).tolist()
        [1.0, 1.5, 1.0]
        """
        inside = moments >= self.starts_at
        if self.ends_at is not None:
            inside &= moments < self.ends_at
        excess = np.full(len(moments), self.factor - 1.0)
        if self.decay_days is not None:
            age_days = np.maximum(moments - self.starts_at, 0) / DAY_SECONDS
            excess *= np.exp(-age_days / self.decay_days)
        return np.where(inside, 1.0 + excess, 1.0)


@dataclass(frozen=True)
class World:
    """One centre: its queues, its hours and everything that will happen to it.

    Attributes:
        config: What was asked for.
        models: The queues' true habits, in the order of every queue axis.
        opens_at: First moment of each queue, epoch seconds.
        hours: Starts of all hours from the start to ``ahead_days`` past the end, int64[h].
        history_hours: How many of them lie before the end.
        is_open: Whether each queue is open, bool[queues, h].
        events: What the calendar holds, whenever it became known, by start.
        effects: True multipliers of the rates.
        order_lift: Multiplier of the orders of each UTC day, season and promotions, float64[d],
            from the start to ``horizon_days`` past the end.
    """

    config: SimulationConfig
    models: tuple[QueueModel, ...]
    opens_at: tuple[int, ...]
    hours: Int64
    history_hours: int
    is_open: Bool
    events: tuple[Event, ...]
    effects: tuple[Effect, ...]
    order_lift: Float64

    @property
    def queues(self) -> tuple[Queue, ...]:
        """The queues as the centre states them."""
        return tuple(model.queue for model in self.models)

    @property
    def campaign_day(self) -> int:
        """Day, from the start, on which the randomised campaign was decided."""
        return int(self.config.days * 0.55)


def build_world(config: SimulationConfig, *, rng: np.random.Generator) -> World:
    """Draw a centre's calendar and shocks.

    Args:
        config: What is asked for.
        rng: Source of the dates of promotions, launch and outage.
    """
    history_hours = config.days * 24
    hours = config.start + HOUR * np.arange(history_hours + config.ahead_days * 24, dtype=np.int64)
    opens_at = tuple(
        config.start
        if model.starts_at_share == 0
        else _midnight(config.start + int(config.days * model.starts_at_share) * DAY_SECONDS)
        for model in CENTRE
    )
    events, effects = _happenings(config, rng)
    return World(
        config=config,
        models=CENTRE,
        opens_at=opens_at,
        hours=hours,
        history_hours=history_hours,
        is_open=np.stack(
            [
                is_open(model.queue, hours) & (hours >= first)
                for model, first in zip(CENTRE, opens_at, strict=True)
            ]
        ),
        events=tuple(sorted(events, key=lambda e: (e.starts_at, e.event_id))),
        effects=tuple(effects),
        order_lift=_order_lift(config, events),
    )


def _midnight(moment_seconds: int) -> int:
    day = int(local_times(np.array([moment_seconds]), CENTRE_ZONE).day[0])
    return local_midnight(day, CENTRE_ZONE)


def _happenings(
    config: SimulationConfig, rng: np.random.Generator
) -> tuple[list[Event], list[Effect]]:
    events: list[Event] = []
    effects: list[Effect] = []
    for part in (_promotions, _billing_days, _launch, _outage):
        part(config, rng, events, effects)
    shift_at = _midnight(config.start + int(config.days * 0.65) * DAY_SECONDS)
    effects.append(Effect(None, "level_shift", SHIFTED_QUEUE, shift_at, None, LEVEL_SHIFT_FACTOR))
    return events, effects


def _promotions(
    config: SimulationConfig,
    rng: np.random.Generator,
    events: list[Event],
    effects: list[Effect],
) -> None:
    last = config.end + (config.ahead_days + config.horizon_days) * DAY_SECONDS
    at = config.start + int(rng.integers(8, 20)) * DAY_SECONDS
    while at < last:
        starts_at = _midnight(at)
        ends_at = _midnight(starts_at + int(rng.integers(4, 7)) * DAY_SECONDS + DAY_SECONDS // 2)
        size = round(float(rng.uniform(0.8, 1.2)), 2)
        id = f"PROMO-{moment(starts_at + DAY_SECONDS // 2):%Y%m%d}"
        known_at = starts_at - int(rng.integers(14, 31)) * DAY_SECONDS
        touched = ("sales", "chat")
        events.append(Event(id, "promotion", starts_at, ends_at, known_at, touched, size))
        effects += [
            Effect(id, "promotion", "sales", starts_at, ends_at, 1 + 0.45 * size),
            Effect(id, "promotion", "chat", starts_at, ends_at, 1 + 0.30 * size),
        ]
        # What was sold in a promotion is asked about in the week after it.
        effects += [
            Effect(id, "aftermath", queue, ends_at, ends_at + 7 * DAY_SECONDS, 1 + 0.2 * size, 3.0)
            for queue in ("support", "email")
        ]
        at += int(rng.integers(45, 70)) * DAY_SECONDS


def _billing_days(
    config: SimulationConfig,
    rng: np.random.Generator,  # noqa: ARG001 - one signature for all kinds of happenings
    events: list[Event],
    effects: list[Effect],
) -> None:
    first, last = moment(config.start), moment(config.end + config.ahead_days * DAY_SECONDS)
    origin = date(1970, 1, 1).toordinal()
    for month in range(first.year * 12 + first.month - 1, last.year * 12 + last.month):
        day = date(month // 12, month % 12 + 1, 1)
        starts_at = local_midnight(day.toordinal() - origin, "America/New_York")
        ends_at = local_midnight(day.toordinal() - origin + 3, "America/New_York")
        id = f"BILL-{day:%Y%m}"
        known_at = starts_at - 60 * DAY_SECONDS
        events.append(Event(id, "billing", starts_at, ends_at, known_at, ("billing", "email"), 1.0))
        effects += [
            Effect(id, "billing", "billing", starts_at, ends_at, 1.8),
            Effect(id, "billing", "email", starts_at, ends_at, 1.15),
        ]


def _launch(
    config: SimulationConfig,
    rng: np.random.Generator,
    events: list[Event],
    effects: list[Effect],
) -> None:
    at = config.start + int(config.days * rng.uniform(0.40, 0.48)) * DAY_SECONDS
    starts_at = _midnight(at)
    ends_at = _midnight(starts_at + 14 * DAY_SECONDS + DAY_SECONDS // 2)
    id = f"LAUNCH-{moment(starts_at + DAY_SECONDS // 2):%Y%m%d}"
    known_at = starts_at - 30 * DAY_SECONDS
    events.append(Event(id, "launch", starts_at, ends_at, known_at, ("sales", "support"), 1.0))
    effects += [
        Effect(id, "launch", "sales", starts_at, ends_at, 1.6, 5.0),
        Effect(id, "launch", "support", starts_at, ends_at, 1.7, 5.0),
    ]


def _outage(
    config: SimulationConfig,
    rng: np.random.Generator,
    events: list[Event],
    effects: list[Effect],
) -> None:
    day = config.start + int(config.days * rng.uniform(0.72, 0.80)) * DAY_SECONDS
    starts_at = _midnight(day) + int(rng.integers(13, 16)) * HOUR
    ends_at = starts_at + 5 * HOUR
    id = f"OUTAGE-{moment(starts_at):%Y%m%d}"
    touched = ("support", "chat")
    # Nobody knows of an outage before it begins.
    events.append(Event(id, "outage", starts_at, ends_at, starts_at + 600, touched, 1.0))
    effects += [
        Effect(id, "outage", "support", starts_at, ends_at, 3.0),
        Effect(id, "outage", "chat", starts_at, ends_at, 2.2),
    ]


def _order_lift(config: SimulationConfig, events: list[Event]) -> Float64:
    days = config.start + DAY_SECONDS * np.arange(config.days + config.horizon_days, dtype=np.int64)
    of_year = (days // DAY_SECONDS % 365.2425) / 365.2425
    lift: Float64 = 1.0 + 0.12 * np.cos(2 * np.pi * (of_year - 0.93))
    lift = lift * np.array([1.0, 0.95, 0.95, 1.0, 1.1, 1.05, 0.95])[(days // DAY_SECONDS + 3) % 7]
    for event in events:
        if event.kind == "promotion":
            noon = days + DAY_SECONDS // 2
            lift[(noon >= event.starts_at) & (noon < event.ends_at)] *= ORDER_LIFT
    return lift
