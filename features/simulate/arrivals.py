"""How many contacts come: true rates and one draw of the counts, of a centre and of a panel.

Contacts are doubly stochastic: counts are Poisson around the expected rate (profile, year's wave,
growth, holidays, effects) times a day factor whose log is autocorrelated over days and partly
common to all queues.

A panel is for tests and benchmarks that need many queues or long histories within seconds: it has
no customers, tables or files. Shocked days are far from ordinary ones; on bad days the lines fail
for hours or everybody calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate

import numpy as np

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import (
    DAY_SECONDS,
    LocalTimes,
    interval_starts,
    local_midnight,
    local_times,
    to_epoch,
)
from features.calendar.queues import Event, is_open
from features.calendar.workdays import holidays_on
from features.simulate.centre import (
    CentreQueue,
    PanelQueue,
    QueueLaw,
    check_setting,
    draw_panel_queue,
    open_cells,
)
from features.simulate.events import Centre, Effect, apply_effects, draw_panel_events
from features.volume.history import QueueHistory

SHOCKED_FROM = 0.25
"""A day whose factor lies further from one than this is shocked."""
_SHOCK_UP, _SHOCK_DOWN = (1.3, 1.7), (0.5, 0.7)
_STORM = (1.8, 3.0)
_OUTAGE_HOURS, _OUTAGE_FACTOR = (3, 7), 0.05
_SHIFT_UP, _SHIFT_DOWN = (1.4, 2.2), (0.45, 0.7)
_ANSWERED = 0.93
_HANDLE_SPREAD = 0.6
"""Coefficient of variation of one contact's handle time."""


def _planned_rate(law: QueueLaw, profile: Float64, starts: Int64, *, level: float = 1.0) -> Float64:
    """Return a queue's rates from profile, year's wave and growth alone, float64[n].

    ``profile`` has rates by weekday and interval of the day; times ``level``, they are those of
    the first start.
    """
    local = local_times(starts, law.queue.time_zone)
    cell = local.minute_of_day // law.queue.interval_minutes
    year = 2 * np.pi * (local.day % 365.2425 - law.peak_day) / 365.2425
    growth = 1 + law.growth * (starts - starts[0]) / (365.25 * DAY_SECONDS)
    rate: Float64 = profile[local.weekday, cell] * (1 + law.season * np.cos(year)) * level * growth
    return rate


def _holiday_factor(law: QueueLaw, day: Int64) -> Float64:
    """Return the factor of holidays and the days after them by local day since 1970-01-01."""
    today, before = (holidays_on(day - back, law.queue.country) for back in (0, 1))
    return np.where(today, law.holiday, np.where(before, law.after_holiday, 1.0))


def _draw_wave(days: int, memory: float, rng: np.random.Generator) -> Float64:
    """Draw a standard normal series that correlates by ``memory`` from one day to the next."""
    steps = rng.standard_normal(days)
    steps[1:] *= np.sqrt(1 - memory**2)
    wave = accumulate(steps.tolist(), lambda last, step: memory * last + step)
    return np.fromiter(wave, dtype=np.float64, count=days)


def _day_factors(common: Float64, own: Float64, *, sd: float, shared: float) -> Float64:
    """Return log-normal factors of mean one from the waves of all queues and of one."""
    wave = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
    factors: Float64 = np.exp(sd * wave - sd**2 / 2)
    return factors


@dataclass(frozen=True)
class Arrivals:
    """The true volume of a centre, arrays of [queues, hours] over its hours.

    Attributes:
        planned: Rate per hour that the centre staffs for: profile, seasons and growth alone.
        rate: True mean rate per hour, with holidays, events and the level shift.
        day_factor: Random factor of the queue's local day, of mean one.
        counts: Contacts offered; 0 after the end of the history.
        linked_share: Share of each queue's contacts that come from customers, float64[queues].
    """

    planned: Float64
    rate: Float64
    day_factor: Float64
    counts: Int64
    linked_share: Float64


def draw_arrivals(centre: Centre, *, steady_customers: float, rng: np.random.Generator) -> Arrivals:
    """Draw the volume of every queue and hour of a centre.

    A part of the contacts comes from the ``steady_customers`` of an average day.
    """
    laws, hours = centre.laws, centre.hours
    open_hours = np.array([open_cells(law.queue).sum() for law in laws])
    linked = np.array([_steady_per_day(law) for law in laws]) * steady_customers * 7 / open_hours
    level = np.array([law.anonymous_per_hour for law in laws]) + linked
    planned = np.empty(centre.is_open.shape)
    rate, day_factor = np.empty_like(planned), np.empty_like(planned)
    # The waves cover a day more at both ends, for the zones.
    first_day = int(hours[0]) // DAY_SECONDS - 1
    days = int(hours[-1]) // DAY_SECONDS + 2 - first_day
    config = centre.config
    sd, shared, memory = config.day_factor_sd, config.day_factor_shared, config.day_factor_memory
    common = _draw_wave(days, memory, rng)
    for k, law in enumerate(laws):
        day = local_times(hours, law.queue.time_zone).day
        effects = [effect for effect in centre.effects if effect.queue == law.name]
        planned[k] = _planned_rate(law, law.week, hours, level=level[k]) * centre.is_open[k]
        rate[k] = planned[k] * apply_effects(_holiday_factor(law, day), effects, hours)
        own = _draw_wave(days, memory, rng)
        day_factor[k] = _day_factors(common, own, sd=sd, shared=shared)[day - first_day]
    counts = rng.poisson(rate * day_factor).astype(np.int64)
    counts[:, centre.history_hours :] = 0
    return Arrivals(planned, rate, day_factor, counts, linked / level)


def _steady_per_day(law: CentreQueue) -> float:
    """Return the contacts a day that one steady customer brings to a queue.

    A steady customer orders about every 40 days and every fourth contact leaves something open.
    """
    general, order, repeat = law.linked_per_day
    return general + order * 6 / 40 + repeat * 3 * 0.25 / 60


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
    return _draw_panel(settings, queues, days, to_epoch(until), seed, interval_minutes)


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
        law = draw_panel_queue(number, interval_minutes=interval_minutes, rng=rng)
        starts = _panel_starts(law, end=end, days=days)
        truth[law.name] = _panel_truth(law, starts, settings, common, events, rng)
        histories[law.name] = _panel_history(law, starts, truth[law.name], rng)
    return SimulatedPanel(histories, events, truth)


def _draw_panel_days(
    settings: _PanelSettings, end: int, days: int, shock_share: float, rng: np.random.Generator
) -> _PanelDays:
    first, count = end // DAY_SECONDS - days - 2, days + 5
    wave = _draw_wave(count, settings.day_factor_memory, rng)
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
    expected = _planned_rate(law, profile, starts) * is_open(law.queue, starts)
    expected = expected * _holiday_factor(law, local.day)
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
    ordinary = _day_factors(
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
