"""What happens to simulated queues and when: calendars, shocks and their true factors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import DAY_SECONDS, from_epoch, local_midnight, local_times
from features.calendar.queues import Event, is_open
from features.simulate.centre import CentreQueue, SimulationConfig, centre_queues

ORDER_LIFT = 1.6
"""Orders on a promotion's days relative to others."""
_HOUR, _HALF_DAY = 3_600, DAY_SECONDS // 2


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


def apply_effects(rates: Float64, effects: Sequence[Effect], starts: Int64) -> Float64:
    """Return the rates of one queue, or factors of them, times its effects, float64[n].

    ``starts`` are interval starts, epoch seconds, int64[n], ascending.

    >>> promotion = Effect("P1", "promotion", "sales", 0, 3600, 1.5)
    >>> apply_effects(np.ones(3), [promotion], np.array([-1, 0, 3600])).tolist()
    [1.0, 1.5, 1.0]
    """
    changed = rates.copy()
    for effect in effects:
        first = int(np.searchsorted(starts, effect.starts_at))
        last = len(starts) if effect.ends_at is None else np.searchsorted(starts, effect.ends_at)
        excess = np.full(int(last) - first, effect.factor - 1.0)
        if effect.decay_days is not None:
            age_days = (starts[first:last] - effect.starts_at) / DAY_SECONDS
            excess *= np.exp(-age_days / effect.decay_days)
        changed[first:last] *= 1.0 + excess
    return changed


@dataclass(frozen=True)
class Centre:
    """One centre: its queues, its hours and everything that will happen to it.

    Attributes:
        config: Its size and span.
        laws: The queues' true laws, in the order of every queue axis.
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
    laws: tuple[CentreQueue, ...]
    opens_at: tuple[int, ...]
    hours: Int64
    history_hours: int
    is_open: Bool
    events: tuple[Event, ...]
    effects: tuple[Effect, ...]
    order_lift: Float64

    @property
    def campaign_day(self) -> int:
        """Day, from the start, on which the randomised campaign was decided."""
        return int(self.config.days * 0.55)


def draw_centre(config: SimulationConfig, *, rng: np.random.Generator) -> Centre:
    """Draw a centre's calendar and shocks: the dates of promotions, launch and outage."""
    laws = centre_queues()
    history_hours = config.days * 24
    hours = config.start + _HOUR * np.arange(history_hours + config.ahead_days * 24, dtype=np.int64)
    opens_at = tuple(
        _midnight_after(config, law.starts_at_share) if law.starts_at_share else config.start
        for law in laws
    )
    happenings = [
        *_promotions(config, rng),
        *_billing_days(config),
        _launch(config, rng),
        _outage(config, rng),
    ]
    events = sorted((event for event, _ in happenings), key=lambda e: (e.starts_at, e.event_id))
    shift_at = _midnight_after(config, 0.65)
    level_shift = Effect(None, "level_shift", "email", shift_at, None, 1.35)
    return Centre(
        config=config,
        laws=laws,
        opens_at=opens_at,
        hours=hours,
        history_hours=history_hours,
        is_open=np.stack(
            [
                is_open(law.queue, hours) & (hours >= first)
                for law, first in zip(laws, opens_at, strict=True)
            ]
        ),
        events=tuple(events),
        effects=(*(effect for _, effects in happenings for effect in effects), level_shift),
        order_lift=_order_lift(config, events),
    )


def _midnight(seconds: int) -> int:
    """Return the midnight in Berlin that begins the day of a moment, epoch seconds."""
    zone = "Europe/Berlin"
    return local_midnight(int(local_times(np.array([seconds]), zone).day[0]), zone)


def _midnight_after(config: SimulationConfig, share: float) -> int:
    return _midnight(config.start + int(config.days * share) * DAY_SECONDS)


def _with_effects(
    event: Event, factors: Mapping[str, float], decay_days: float | None = None
) -> tuple[Event, list[Effect]]:
    """Return an event that touches the queues named, and its effects on them."""
    span = event.starts_at, event.ends_at
    return replace(event, queues=tuple(factors)), [
        Effect(event.event_id, event.kind, queue, *span, factor, decay_days)
        for queue, factor in factors.items()
    ]


def _promotions(
    config: SimulationConfig, rng: np.random.Generator
) -> Iterator[tuple[Event, list[Effect]]]:
    last = config.end + (config.ahead_days + config.horizon_days) * DAY_SECONDS
    at = config.start + int(rng.integers(8, 20)) * DAY_SECONDS
    while at < last:
        starts_at = _midnight(at)
        ends_at = _midnight(starts_at + int(rng.integers(4, 7)) * DAY_SECONDS + _HALF_DAY)
        size = round(float(rng.uniform(0.8, 1.2)), 2)
        id = f"PROMO-{from_epoch(starts_at + _HALF_DAY):%Y%m%d}"
        known_at = starts_at - int(rng.integers(14, 31)) * DAY_SECONDS
        event, effects = _with_effects(
            Event(id, "promotion", starts_at, ends_at, known_at, size=size),
            {"sales": 1 + 0.45 * size, "chat": 1 + 0.30 * size},
        )
        # What was sold in a promotion is asked about in the week after it.
        effects += [
            Effect(id, "aftermath", queue, ends_at, ends_at + 7 * DAY_SECONDS, 1 + 0.2 * size, 3.0)
            for queue in ("support", "email")
        ]
        yield event, effects
        at += int(rng.integers(45, 70)) * DAY_SECONDS


def _billing_days(config: SimulationConfig) -> Iterator[tuple[Event, list[Effect]]]:
    first, last = from_epoch(config.start), from_epoch(config.end + config.ahead_days * DAY_SECONDS)
    for month in range(first.year * 12 + first.month - 1, last.year * 12 + last.month):
        first_of_month = date(month // 12, month % 12 + 1, 1)
        day = first_of_month.toordinal() - date(1970, 1, 1).toordinal()
        starts_at, ends_at = (local_midnight(d, "America/New_York") for d in (day, day + 3))
        id, known_at = f"BILL-{first_of_month:%Y%m}", starts_at - 60 * DAY_SECONDS
        event = Event(id, "billing", starts_at, ends_at, known_at, size=1.0)
        yield _with_effects(event, {"billing": 1.8, "email": 1.15})


def _launch(config: SimulationConfig, rng: np.random.Generator) -> tuple[Event, list[Effect]]:
    starts_at = _midnight_after(config, rng.uniform(0.40, 0.48))
    ends_at = _midnight(starts_at + 14 * DAY_SECONDS + _HALF_DAY)
    id = f"LAUNCH-{from_epoch(starts_at + _HALF_DAY):%Y%m%d}"
    event = Event(id, "launch", starts_at, ends_at, starts_at - 30 * DAY_SECONDS, size=1.0)
    return _with_effects(event, {"sales": 1.6, "support": 1.7}, decay_days=5.0)


def _outage(config: SimulationConfig, rng: np.random.Generator) -> tuple[Event, list[Effect]]:
    starts_at = _midnight_after(config, rng.uniform(0.72, 0.80)) + int(rng.integers(13, 16)) * _HOUR
    # Nobody knows of an outage before it begins.
    id, known_at = f"OUTAGE-{from_epoch(starts_at):%Y%m%d}", starts_at + 600
    event = Event(id, "outage", starts_at, starts_at + 5 * _HOUR, known_at, size=1.0)
    return _with_effects(event, {"support": 3.0, "chat": 2.2})


def _order_lift(config: SimulationConfig, events: Sequence[Event]) -> Float64:
    days = config.start + DAY_SECONDS * np.arange(config.days + config.horizon_days, dtype=np.int64)
    of_year = (days // DAY_SECONDS % 365.2425) / 365.2425
    lift: Float64 = 1.0 + 0.12 * np.cos(2 * np.pi * (of_year - 0.93))
    lift = lift * np.array([1.0, 0.95, 0.95, 1.0, 1.1, 1.05, 0.95])[(days // DAY_SECONDS + 3) % 7]
    for event in events:
        if event.kind == "promotion":
            noon = days + _HALF_DAY
            lift[(noon >= event.starts_at) & (noon < event.ends_at)] *= ORDER_LIFT
    return lift


def draw_panel_events(start: int, end: int, *, rng: np.random.Generator) -> tuple[Event, ...]:
    """Draw a panel's calendar over a history (epoch seconds) and 35 days past its end, by start.

    Promotions come every five to eleven weeks, differ in size, and are known 40 days ahead;
    billing runs come on the third of each month and are known 90 days ahead.
    """

    def event(kind: str, day: int, days: int, known_days: int, size: float | None) -> Event:
        starts_at = day * DAY_SECONDS
        ends_at, known_at = starts_at + days * DAY_SECONDS, starts_at - known_days * DAY_SECONDS
        id = f"{kind}-{from_epoch(starts_at):%Y-%m-%d}"
        return Event(id, kind, starts_at, ends_at, known_at, size=size)

    events = []
    last = end // DAY_SECONDS + 35
    day = start // DAY_SECONDS + int(rng.integers(7, 28))
    while day < last:
        length = int(rng.integers(3, 8))
        size = round(float(rng.uniform(0.7, 1.3)), 2)
        events.append(event("promotion", day, length, 40, size))
        day += int(rng.integers(35, 75))
    events += [
        event("billing", day, 2, 90, None)
        for day in range(start // DAY_SECONDS, last)
        if from_epoch(day * DAY_SECONDS).day == 3
    ]
    return tuple(sorted(events, key=lambda event: (event.starts_at, event.event_id)))
