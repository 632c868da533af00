"""A panel of simulated queues as histories, with the truth behind every count.

It goes past files and tables: for tests, benchmarks and experiments that need many queues, long
histories, or days of which the truth is known, within seconds. Counts are doubly stochastic:
Poisson around an expected rate (profile, year's wave, growth, holidays, events, level shift)
times a day factor that is autocorrelated, partly common to all queues, and on shocked days far
from one; on bad days the lines fail for hours or everybody calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from features.calendar import (
    DAY_SECONDS,
    Bool,
    Event,
    Float64,
    Int64,
    epoch,
    holidays_on,
    interval_starts,
    is_open,
    local_midnight,
    local_times,
)
from features.errors import ConfigError
from features.simulate.habits import Habits, draw_habits
from features.simulate.happenings import draw_events, event_factor
from features.snapshot import QueueHistory

MOST_QUEUES, MOST_DAYS = 10_000, 3_660
SHOCKED_FROM = 0.25
"""A day whose factor lies further from one than this is shocked."""
_SHOCK_UP, _SHOCK_DOWN = (1.3, 1.7), (0.5, 0.7)
_STORM = (1.8, 3.0)
_OUTAGE_HOURS, _OUTAGE_FACTOR = (3, 7), 0.05
_SHIFT_UP, _SHIFT_DOWN = (1.4, 2.2), (0.45, 0.7)
_ANSWERED = 0.93
_HANDLE_SPREAD = 0.6
"""Coefficient of variation of one contact's handle time."""


@dataclass(frozen=True)
class QueueTruth:
    """What lies behind one queue's counts: n intervals, d local days.

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
    """Histories of simulated queues, their calendar, and the truth.

    Attributes:
        histories: By queue name.
        events: Promotions and billing runs, whenever they became known; some lie ahead.
        truth: By queue name.
    """

    histories: Mapping[str, QueueHistory]
    events: tuple[Event, ...]
    truth: Mapping[str, QueueTruth]


@dataclass(frozen=True)
class _Days:
    """The random days of the centre: one entry a day from ``first`` on, with room for zones."""

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
    """Draw a panel; the same arguments give the same panel.

    A queue depends on the seed and its number alone: a larger panel begins with the smaller one.

    Args:
        queues: How many, 1 to 10,000.
        days: Whole local days of history before ``until``, 1 to 3,660.
        until: End of the history, aware; what had not ended by then is left out.
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
    _check_range("queues", queues, 1, MOST_QUEUES)
    _check_range("days", days, 1, MOST_DAYS)
    for name, value, most in (
        ("shock_share", shock_share, 0.5),
        ("bad_share", bad_share, 0.5),
        ("level_shift_share", level_shift_share, 1),
        ("day_factor_sd", day_factor_sd, 0.2),
        ("day_factor_memory", day_factor_memory, 0.99),
        ("day_factor_shared", day_factor_shared, 1),
    ):
        _check_range(name, value, 0, most)
    end = epoch(until)
    laws = _Laws(
        shock_share=shock_share,
        bad_share=bad_share,
        level_shift_share=level_shift_share,
        sd=day_factor_sd,
        memory=day_factor_memory,
        shared=day_factor_shared,
    )
    rng = np.random.default_rng([seed, 0])
    events = draw_events(end - days * DAY_SECONDS, end, rng)
    common = _days(laws, end, days, laws.shock_share * laws.shared, rng)
    histories, truth = {}, {}
    for number in range(queues):
        rng = np.random.default_rng([seed, 1 + number])
        habits = draw_habits(number, interval_minutes=interval_minutes, rng=rng)
        name = habits.queue.queue
        starts = _starts(habits, end=end, days=days)
        truth[name] = _truth(habits, starts, laws, common, events, rng)
        histories[name] = _history(habits, starts, truth[name], rng)
    return SimulatedPanel(histories, events, truth)


@dataclass(frozen=True)
class _Laws:
    shock_share: float
    bad_share: float
    level_shift_share: float
    sd: float
    memory: float
    shared: float


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(
            f"simulation setting `{name}`", got=value, expected=f"{low} to {high}", field=name
        )


def _days(laws: _Laws, end: int, days: int, shock_share: float, rng: np.random.Generator) -> _Days:
    """Draw a standard normal wave with memory, and the factors of shocked days (1: none)."""
    first = end // DAY_SECONDS - days - 2
    count = days + 5
    steps = rng.standard_normal(count)
    steps[1:] *= np.sqrt(1 - laws.memory**2)
    wave = np.empty(count)
    last = 0.0
    for k, step in enumerate(steps):
        last = wave[k] = laws.memory * last + step
    up = rng.random(count) < 0.5
    size = np.where(up, rng.uniform(*_SHOCK_UP, count), rng.uniform(*_SHOCK_DOWN, count))
    hit = rng.random(count) < shock_share
    return _Days(first, wave, np.where(hit, size, 1.0))


def _starts(habits: Habits, *, end: int, days: int) -> Int64:
    queue = habits.queue
    today = int(local_times(np.array([end]), queue.time_zone).day[0])
    first = local_midnight(today - days, queue.time_zone)
    step = queue.interval_minutes
    starts = interval_starts(first, end, step, queue.time_zone)
    return starts[starts + step * 60 <= end]


def _truth(
    habits: Habits,
    starts: Int64,
    laws: _Laws,
    common: _Days,
    events: tuple[Event, ...],
    rng: np.random.Generator,
) -> QueueTruth:
    local = local_times(starts, habits.queue.time_zone)
    end = int(starts[-1]) + 1
    own = _days(laws, end, len(common.wave) - 5, laws.shock_share * (1 - laws.shared), rng)
    days = np.arange(int(local.day[0]), int(local.day[-1]) + 1)
    factor = _day_factors(laws, common, own, days)
    bad, storm, outage = _bad_days(habits, laws, days, local.day, local.minute_of_day, rng)
    factor = factor * storm
    shift_at, shift = _level_shift(laws, starts, rng)
    expected = _expected(habits, starts, events) * np.where(starts >= shift_at, shift, 1.0)
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


def _day_factors(laws: _Laws, common: _Days, own: _Days, days: Int64) -> Float64:
    at_common, at_own = days - common.first, days - own.first
    wave = np.sqrt(laws.shared) * common.wave[at_common]
    wave += np.sqrt(1 - laws.shared) * own.wave[at_own]
    ordinary = np.exp(laws.sd * wave - laws.sd**2 / 2)
    # Ordinary days stay ordinary: only a shock reaches beyond the line that names it.
    ordinary = np.clip(ordinary, 1 - SHOCKED_FROM, 1 + SHOCKED_FROM)
    shock = np.where(own.shock[at_own] == 1, common.shock[at_common], own.shock[at_own])
    factors: Float64 = np.where(shock == 1, ordinary, shock)
    return factors


def _bad_days(
    habits: Habits,
    laws: _Laws,
    days: Int64,
    day: Int64,
    minute: Int64,
    rng: np.random.Generator,
) -> tuple[Bool, Float64, Float64]:
    """Return which days are bad, the storm's factor of each day, the outage's of each interval."""
    bad = rng.random(len(days)) < laws.bad_share
    stormy = bad & (rng.random(len(days)) < 0.5)
    storm = np.where(stormy, rng.uniform(*_STORM, len(days)), 1.0)
    busiest = float(habits.week.sum(axis=0).argmax()) * habits.queue.interval_minutes / 60
    length = rng.uniform(*_OUTAGE_HOURS, len(days))
    # An outage that nobody could notice would be no bad day: it falls into the busy hours.
    begins = busiest - length * rng.random(len(days))
    hour, at = minute / 60, day - days[0]
    down = (bad & ~stormy)[at] & (hour >= begins[at]) & (hour < (begins + length)[at])
    return bad, storm, np.where(down, _OUTAGE_FACTOR, 1.0)


def _level_shift(laws: _Laws, starts: Int64, rng: np.random.Generator) -> tuple[int, float]:
    """Return when the level jumps and by which factor; a factor of 1: it does not."""
    jumps, up, place = rng.random(3)
    size = rng.uniform(*(_SHIFT_UP if up < 0.5 else _SHIFT_DOWN))
    at = int(starts[int(len(starts) * (0.2 + 0.65 * place))])
    return at, float(size) if jumps < laws.level_shift_share else 1.0


def _expected(habits: Habits, starts: Int64, events: tuple[Event, ...]) -> Float64:
    queue = habits.queue
    local = local_times(starts, queue.time_zone)
    week = habits.week[local.weekday, local.minute_of_day // queue.interval_minutes]
    year = 2 * np.pi * (local.day % 365.2425 - habits.peak_day) / 365.2425
    grown = 1 + habits.growth * (starts - starts[0]) / (365.25 * DAY_SECONDS)
    rate = week * habits.per_hour * queue.interval_minutes / 60
    rate = rate * (1 + habits.season * np.cos(year)) * grown * is_open(queue, starts)
    today, before = (holidays_on(local.day - back, queue.country) for back in (0, 1))
    rate = rate * np.where(today, habits.holiday, 1.0)
    rate = rate * np.where(before & ~today, habits.after_holiday, 1.0)
    expected: Float64 = rate * event_factor(habits, starts, events)
    return expected


def _history(
    habits: Habits, starts: Int64, truth: QueueTruth, rng: np.random.Generator
) -> QueueHistory:
    offered = rng.poisson(truth.rate).astype(np.float64)
    handled = rng.binomial(offered.astype(np.int64), _ANSWERED).astype(np.float64)
    minute = local_times(starts, habits.queue.time_zone).minute_of_day
    midnight = (1 + np.cos(2 * np.pi * minute / 1440)) / 2
    mean = habits.handle_seconds * (1 + habits.evening_handling * midnight)
    shape = np.maximum(handled, 1) / _HANDLE_SPREAD**2
    seconds = mean * rng.gamma(shape) / shape
    return QueueHistory(
        queue=habits.queue,
        starts=starts,
        offered=offered,
        aht_seconds=np.where(handled > 0, seconds, np.nan),
        handled=handled,
    )
