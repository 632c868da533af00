"""A panel of simulated queues as histories, with the truth behind every count.

For tests and benchmarks that need many queues or long histories within seconds: it has the laws of
a centre's volume, but no customers, tables or files. Shocked days are far from ordinary ones; on
bad days the lines fail for hours or everybody calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from features.calendar import (
    ALWAYS,
    DAY_SECONDS,
    Bool,
    Event,
    Float64,
    Int64,
    LocalTimes,
    Queue,
    Spans,
    epoch,
    interval_starts,
    is_open,
    local_midnight,
    local_times,
)
from features.simulate.arrivals import day_factors, draw_wave, holiday_factor, planned_rate
from features.simulate.centre import QueueLaw, check_setting, open_cells, week_profile
from features.simulate.events import Effect, apply_effects, draw_panel_events
from features.snapshot import QueueHistory

SHOCKED_FROM = 0.25
"""A day whose factor lies further from one than this is shocked."""
_SHOCK_UP, _SHOCK_DOWN = (1.3, 1.7), (0.5, 0.7)
_STORM = (1.8, 3.0)
_OUTAGE_HOURS, _OUTAGE_FACTOR = (3, 7), 0.05
_SHIFT_UP, _SHIFT_DOWN = (1.4, 2.2), (0.45, 0.7)
_ANSWERED = 0.93
_HANDLE_SPREAD = 0.6
"""Coefficient of variation of one contact's handle time."""
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
_WEEKDAYS: tuple[Spans, ...] = (*(((480, 1080),),) * 5, (), ())
_SATURDAYS: tuple[Spans, ...] = (*(((480, 1200),),) * 5, ((540, 960),), ())
_EVENINGS: tuple[Spans, ...] = (((960, 1440),),) * 7
_OPENINGS = (ALWAYS, _WEEKDAYS, _EVENINGS, _SATURDAYS, ALWAYS)
_CHANNELS = ("voice", "voice", "chat", "email")


@dataclass(frozen=True)
class QueueTruth:
    """What lies behind one panel queue's counts: n intervals, d local days.

    Attributes:
        expected: Rate of each interval that can be known ahead but for the level shift,
            contacts, float64[n]: profile, year's wave, growth, holidays, events, level shift.
        rate: The true rate of each interval, contacts, float64[n]: ``expected`` times the day
            factor, and less during an outage.
        day: Local day of each interval, days since 1970-01-01, int64[n].
        days: Local days, int64[d], ascending.
        day_factor: What could not be known ahead of each day, float64[d], around one.
        shocked: Whether the day factor lies beyond +-25 %, bool[d].
        bad: Whether the day had an outage or a storm, bool[d].
        shift_at: Moment of the level shift, epoch seconds; None without one.
        shift: Factor of the level from then on; 1 without one.
    """

    expected: Float64
    rate: Float64
    day: Int64
    days: Int64
    day_factor: Float64
    shocked: Bool
    bad: Bool
    shift_at: int | None
    shift: float


@dataclass(frozen=True)
class SimulatedPanel:
    """Histories and truth of simulated queues, by name, and their calendar, which reaches ahead."""

    histories: Mapping[str, QueueHistory]
    events: tuple[Event, ...]
    truth: Mapping[str, QueueTruth]


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


@dataclass(frozen=True)
class _PanelSettings:
    shock_share: float
    bad_share: float
    level_shift_share: float
    day_factor_sd: float
    day_factor_memory: float
    day_factor_shared: float

    def __post_init__(self) -> None:
        for name, most in (
            ("shock_share", 0.5),
            ("bad_share", 0.5),
            ("level_shift_share", 1),
            ("day_factor_sd", 0.2),
            ("day_factor_memory", 0.99),
            ("day_factor_shared", 1),
        ):
            check_setting(name, getattr(self, name), 0, most)


@dataclass(frozen=True)
class _PanelDays:
    """Random days, one entry a day from ``first`` on; a shock of 1 is none."""

    first: int
    wave: Float64
    shock: Float64


def simulate_panel(
    *,
    queues: int,
    days: int,
    until: datetime,
    seed: int,
    interval_minutes: int = 60,
    shock_share: float = 0.06,
    bad_share: float = 0.01,
    level_shift_share: float = 0.15,
    day_factor_sd: float = 0.07,
    day_factor_memory: float = 0.5,
    day_factor_shared: float = 0.4,
) -> SimulatedPanel:
    """Draw the volume histories of many queues, with the truth behind every count.

    A queue depends on the seed and its number alone: a larger panel begins with the smaller one.

    Args:
        queues: How many, 1 to 10,000.
        days: Whole local days of history before ``until``, 1 to 3,660.
        until: End of the history, aware; intervals that end later are left out.
        seed: Seed of all randomness.
        interval_minutes: 15, 30 or 60.
        shock_share: Share of days whose factor lies beyond +-25 %, in [0, 0.5].
        bad_share: Share of days with an outage of some hours or a storm, in [0, 0.5].
        level_shift_share: Share of queues whose level jumps once, in [0, 1].
        day_factor_sd: Standard deviation of the log of an ordinary day's factor, in [0, 0.2].
        day_factor_memory: Its correlation from one day to the next, in [0, 0.99].
        day_factor_shared: Share of its variance, and of the shocks, that all queues have in
            common, in [0, 1].

    Raises:
        ConfigError: An argument lies outside its range.
        InputError: ``until`` has no time zone, or the interval is not one of ours.

    >>> from datetime import UTC
    >>> panel = simulate_panel(queues=2, days=7, until=datetime(2026, 3, 2, tzinfo=UTC), seed=1)
    >>> [(name, len(history.starts)) for name, history in panel.histories.items()]
    [('voice-000', 169), ('voice-001', 187)]
    """
    check_setting("queues", queues, 1, 10_000)
    check_setting("days", days, 1, 3_660)
    settings = _PanelSettings(
        shock_share,
        bad_share,
        level_shift_share,
        day_factor_sd,
        day_factor_memory,
        day_factor_shared,
    )
    return _draw_panel(settings, queues, days, epoch(until), seed, interval_minutes)


def _draw_panel(
    settings: _PanelSettings, queues: int, days: int, end: int, seed: int, interval_minutes: int
) -> SimulatedPanel:
    rng = np.random.default_rng([seed, 0])
    events = draw_panel_events(end - days * DAY_SECONDS, end, rng=rng)
    share = settings.shock_share * settings.day_factor_shared
    common = _draw_panel_days(settings, end, days, share, rng)
    histories, truth = {}, {}
    for number in range(queues):
        rng = np.random.default_rng([seed, 1 + number])
        law = _draw_queue(number, interval_minutes=interval_minutes, rng=rng)
        starts = _panel_starts(law, end=end, days=days)
        truth[law.name] = _panel_truth(law, starts, settings, common, events, rng)
        histories[law.name] = _panel_history(law, starts, truth[law.name], rng)
    return SimulatedPanel(histories, events, truth)


def _draw_panel_days(
    settings: _PanelSettings, end: int, days: int, shock_share: float, rng: np.random.Generator
) -> _PanelDays:
    first, count = end // DAY_SECONDS - days - 2, days + 5
    wave = draw_wave(count, settings.day_factor_memory, rng)
    up = rng.random(count) < 0.5
    size = np.where(up, rng.uniform(*_SHOCK_UP, count), rng.uniform(*_SHOCK_DOWN, count))
    hit = rng.random(count) < shock_share
    return _PanelDays(first, wave, np.where(hit, size, 1.0))


def _panel_starts(law: PanelQueue, *, end: int, days: int) -> Int64:
    zone, step = law.queue.time_zone, law.queue.interval_minutes
    today = int(local_times(np.array([end]), zone).day[0])
    starts = interval_starts(local_midnight(today - days, zone), end, step, zone)
    return starts[starts + step * 60 <= end]


def _panel_truth(
    law: PanelQueue,
    starts: Int64,
    settings: _PanelSettings,
    common: _PanelDays,
    events: tuple[Event, ...],
    rng: np.random.Generator,
) -> QueueTruth:
    local = local_times(starts, law.queue.time_zone)
    share = settings.shock_share * (1 - settings.day_factor_shared)
    own = _draw_panel_days(settings, int(starts[-1]) + 1, len(common.wave) - 5, share, rng)
    days = np.arange(int(local.day[0]), int(local.day[-1]) + 1)
    factor = _panel_day_factors(settings, common, own, days)
    bad, storm, outage = _draw_bad_days(law, settings.bad_share, days, local, rng)
    factor = factor * storm
    jumps, up, place = rng.random(3)
    size = float(rng.uniform(*(_SHIFT_UP if up < 0.5 else _SHIFT_DOWN)))
    shift = size if jumps < settings.level_shift_share else 1.0
    shift_at = int(starts[int(len(starts) * (0.2 + 0.65 * place))])
    profile = law.week * law.per_hour * law.queue.interval_minutes / 60
    expected = planned_rate(law, profile, starts) * is_open(law.queue, starts)
    expected = expected * holiday_factor(law, local.day)
    effects = [
        Effect(e.event_id, e.kind, law.name, e.starts_at, e.ends_at, law.event_factor(e))
        for e in events
    ]
    expected = expected * apply_effects(np.ones(len(starts)), effects, starts)
    expected = expected * np.where(starts >= shift_at, shift, 1.0)
    return QueueTruth(
        expected=expected,
        rate=expected * factor[local.day - days[0]] * outage,
        day=local.day,
        days=days,
        day_factor=factor,
        shocked=np.abs(factor - 1) > SHOCKED_FROM,
        bad=bad,
        shift_at=shift_at if shift != 1 else None,
        shift=shift,
    )


def _panel_day_factors(
    settings: _PanelSettings, common: _PanelDays, own: _PanelDays, days: Int64
) -> Float64:
    at_common, at_own = days - common.first, days - own.first
    ordinary = day_factors(
        common.wave[at_common],
        own.wave[at_own],
        sd=settings.day_factor_sd,
        shared=settings.day_factor_shared,
    )
    # Ordinary days stay ordinary: only a shock reaches beyond the line that names it.
    ordinary = np.clip(ordinary, 1 - SHOCKED_FROM, 1 + SHOCKED_FROM)
    shock = np.where(own.shock[at_own] == 1, common.shock[at_common], own.shock[at_own])
    return np.where(shock == 1, ordinary, shock)


def _draw_bad_days(
    law: PanelQueue, share: float, days: Int64, local: LocalTimes, rng: np.random.Generator
) -> tuple[Bool, Float64, Float64]:
    """Return which days are bad, the storm's factor of each day, the outage's of each interval."""
    bad = rng.random(len(days)) < share
    stormy = bad & (rng.random(len(days)) < 0.5)
    storm = np.where(stormy, rng.uniform(*_STORM, len(days)), 1.0)
    busiest = float(law.week.sum(axis=0).argmax()) * law.queue.interval_minutes / 60
    length = rng.uniform(*_OUTAGE_HOURS, len(days))
    # An outage that nobody could notice would be no bad day: it falls into the busy hours.
    begins = busiest - length * rng.random(len(days))
    hour, at = local.minute_of_day / 60, local.day - days[0]
    down = (bad & ~stormy)[at] & (hour >= begins[at]) & (hour < (begins + length)[at])
    return bad, storm, np.where(down, _OUTAGE_FACTOR, 1.0)


def _panel_history(
    law: PanelQueue, starts: Int64, truth: QueueTruth, rng: np.random.Generator
) -> QueueHistory:
    offered = rng.poisson(truth.rate).astype(np.float64)
    handled = rng.binomial(offered.astype(np.int64), _ANSWERED).astype(np.float64)
    minute = local_times(starts, law.queue.time_zone).minute_of_day
    midnight = (1 + np.cos(2 * np.pi * minute / 1440)) / 2
    mean = law.handle_seconds * (1 + law.evening_handling * midnight)
    shape = np.maximum(handled, 1) / _HANDLE_SPREAD**2
    seconds = mean * rng.gamma(shape) / shape
    return QueueHistory(
        queue=law.queue,
        starts=starts,
        offered=offered,
        aht_seconds=np.where(handled > 0, seconds, np.nan),
        handled=handled,
    )


def _draw_queue(number: int, *, interval_minutes: int, rng: np.random.Generator) -> PanelQueue:
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
    return week_profile(queue, weekdays, day)
