"""Bad days of the past: an outage, a storm, the shop shut, found from the history alone.

A day, or a stretch of hours, is bad that lies far from the level of the days around it, beyond
Poisson noise and the queue's usual variation. A shift that lasts and a weekly habit are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import DAY_MINUTES
from features.calendar.queues import Event, learn_opening
from features.volume.history import QueueHistory
from serving.models.volume.calendar_effects import DayEffects, ordinary, outages
from serving.models.volume.levels import quotient
from serving.models.volume.week_profile import WeekGrid, week_cells, week_grid, week_profile

Kind = Literal["outage", "shut", "surge"]

_AROUND_DAYS = 15
_RUN_DAYS = 7
_LASTING_DAYS = 4
_LEAST_DAYS = 28
_LEAST_VARIATION = 0.05
_SHUT_BELOW = 0.1
_WHOLE = 5.0, 1.4
"""Deviations, and factor either way, from which a whole day is bad."""
_PART = 6.0, 2.0
"""The same of a stretch of hours, of which a day has many."""
_STRETCH_HOURS = (2, 4, 8)
_PACE, _BLOCKS = 2.0, 6
_LIKE_WEEKS, _LEAST_LIKE = 4, 3
_BEYOND = 1.5
_LEAST_DAY_SHARE = 0.08
"""Of a usual day's contacts that a stretch must have too many or too few to matter."""


@dataclass(frozen=True)
class AnomalousDay:
    """One day, or a part of it, that the forecast does not learn from.

    Attributes:
        day: Local day, days since 1970-01-01.
        kind: ``surge`` for too many; ``shut`` for next to none all day; ``outage`` for too few.
        from_minute: First minute of the stretch, on the wall clock.
        to_minute: Minute after the last; 1440 for the end of the day.
    """

    queue: str
    day: int
    ratio: float
    kind: Kind
    from_minute: int
    to_minute: int

    def __str__(self) -> str:
        """Return it in words.

        >>> str(AnomalousDay("sales", 20_454, 0.04, "outage", 600, 780))
        '2026-01-01 10:00-13:00 (outage, 0.04 times the usual)'
        """
        times = "{:02d}:{:02d}-{:02d}:{:02d} ".format(
            *divmod(self.from_minute, 60), *divmod(self.to_minute, 60)
        )
        whole = self.to_minute - self.from_minute == DAY_MINUTES
        date = np.datetime64(self.day, "D")
        return f"{date} {'' if whole else times}({self.kind}, {self.ratio:.2f} times the usual)"


@dataclass(frozen=True)
class Anomalies:
    """What is bad in a history laid out by week.

    Attributes:
        sign: 1 where far too many came, -1 where far too few, else 0, int64[days, slots].
        expected: What the days around would have brought, float64[days, slots].
    """

    sign: Int64
    expected: Float64

    @property
    def bad(self) -> Bool:
        """Whether each interval lies in a bad stretch, bool[days, slots]."""
        bad: Bool = self.sign != 0
        return bad

    @property
    def weights(self) -> Float64:
        """How much of each day is to be learnt from: 1, or the share of it that is not bad."""
        share: Float64 = 1 - self.bad.mean(axis=1)
        return share


def bad_days(days: Float64, profile: Float64) -> Anomalies:
    """Find the bad days and stretches of a history that is already freed of known effects.

    Nothing is bad where fewer than four weeks of days were observed.

    Args:
        days: Contacts, float64[days, slots], from a Monday on; NaN where not observed.
        profile: Shares of the week, float64[7 * slots], fitted robustly.

    >>> steady = np.full((56, 24), 20.0)
    >>> steady[30] = 0.0
    >>> found = bad_days(steady, np.full(168, 1 / 168))
    >>> np.flatnonzero(found.weights < 1).tolist(), int(found.sign[30, 0])
    ([30], -1)
    """
    seen = ~np.isnan(days)
    share = np.where(seen, np.tile(profile.reshape(7, -1), (len(days) // 7, 1)), 0.0)
    came = np.where(seen, days, 0.0)
    total, exposure = came.sum(axis=1), share.sum(axis=1)
    usual = np.median(exposure[exposure > 0]) if exposure.any() else 0.0
    judged = np.flatnonzero(exposure > 0.25 * usual)
    if len(judged) < _LEAST_DAYS:
        return Anomalies(np.zeros(days.shape, dtype=np.int64), np.where(seen, came, np.nan))
    level = np.interp(np.arange(len(days)), judged, _level_around(total, exposure, judged))
    due = share * level[:, None]
    least = _LEAST_DAY_SHARE * float(np.median(due[judged].sum(axis=1)))
    # A busy day is busy at every hour: its stretches are held against its own pace.
    parts = _stretches(came, due * _pace(came, due)[:, None], least=least)
    rest, rest_due = ((x * (parts == 0)).sum(axis=1)[judged] for x in (came, due))
    variation = _variation(rest, rest_due)
    whole = np.zeros(len(days), dtype=np.int64)
    whole[judged] = _not_lasting(_far(rest, rest_due, variation, *_WHOLE))
    whole = _not_weekly(whole, total, due.sum(axis=1))
    return Anomalies(np.where(whole[:, None] != 0, whole[:, None] * seen, parts), due)


def _pace(came: Float64, due: Float64) -> Float64:
    """Return the median pace of each day's four-hour blocks, within a factor of 2, float64[days].

    The median, so that a bad stretch is not held against itself.
    """
    sums, expected = (x.reshape(len(x), _BLOCKS, -1).sum(axis=2) for x in (came, due))
    ratio = np.sort(quotient(sums, expected, where=expected > 1), axis=1)
    count = (~np.isnan(ratio)).sum(axis=1)
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, _BLOCKS - 1)
    rows = np.arange(len(ratio))
    pace = (ratio[rows, low] + ratio[rows, high]) / 2
    return np.clip(np.where(count > 0, pace, 1.0), 1 / _PACE, _PACE)


def _level_around(total: Float64, exposure: Float64, judged: Int64) -> Float64:
    """Return the median level of the 15 judged days around each, float64[judged]."""
    ratio = total[judged] / exposure[judged]
    half = _AROUND_DAYS // 2
    padded = np.concatenate((ratio[:half][::-1], ratio, ratio[-half:][::-1]))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _AROUND_DAYS)
    middle: Float64 = np.partition(windows, half, axis=1)[:, half]
    return middle


def _variation(total: Float64, due: Float64) -> float:
    """Return the usual variation of a day beyond Poisson noise, as a share of its contacts."""
    apart = quotient(total - due, due, where=due > 0, otherwise=0.0)
    # The running median has seen the day itself, which hides a tenth of its deviation.
    robust = (1.1 * 1.4826 * np.median(np.abs(apart))) ** 2
    noise = np.median(1 / np.maximum(due, 1.0))
    return float(np.sqrt(max(robust - noise, _LEAST_VARIATION**2)))


def _far(came: Float64, due: Float64, variation: float, deviations: float, factor: float) -> Int64:
    """Return 1 where far too many came, -1 where far too few, else 0, int64.

    Counts are compared on the scale on which Poisson noise with a variable rate is even: the
    inverse hyperbolic sine of (variation x square root of the count).
    """
    far = np.zeros(len(came), dtype=np.int64)
    maybe = np.flatnonzero((came > factor * due) | (factor * came < due))
    even = [np.arcsinh(variation * np.sqrt(x[maybe] + 0.375)) for x in (came, due)]
    apart = 2 / variation * (even[0] - even[1])
    far[maybe] = (apart > deviations).astype(np.int64) - (apart < -deviations)
    return far


def _not_lasting(far: Int64) -> Int64:
    """Drop what is far on four or more of seven days in a row: the level has moved."""
    left = far.copy()
    for sign in (-1, 1):
        at = np.flatnonzero(far == sign)
        for k in range(len(at) - _LASTING_DAYS + 1):
            if at[k + _LASTING_DAYS - 1] - at[k] < _RUN_DAYS:
                left[at[k : k + _LASTING_DAYS]] = 0
    return left


def _not_weekly(far: Int64, came: Float64, due: Float64) -> Int64:
    """Drop the days whose like a week before or after is a third as far out: a weekly habit."""
    apart = np.log((came + 1) / (due + 1))
    left = far.copy()
    left[7:][far[7:] * (apart[:-7] - apart[7:] / 3) > 0] = 0
    left[:-7][far[:-7] * (apart[7:] - apart[:-7] / 3) > 0] = 0
    return left


def _stretches(came: Float64, due: Float64, *, least: float) -> Int64:
    """Return where stretches of 2, 4 or 8 hours are bad, as ``_far`` does, int64[days, slots]."""
    flat_came, flat_due = came.reshape(-1), due.reshape(-1)
    so_far = [np.concatenate(([0.0], np.cumsum(x))) for x in (flat_came, flat_due)]
    far = np.zeros(len(flat_came), dtype=np.int64)
    for hours in _STRETCH_HOURS:
        length = max(hours * came.shape[1] // 24, 1)
        sums, expected = (x[length:] - x[:-length] for x in so_far)
        variation = _variation(sums[::length], expected[::length])
        sign = _far(sums, expected, variation, *_PART)
        sign[np.abs(sums - expected) < least] = 0
        for at in np.flatnonzero(sign):
            if _unlike_other_weeks(sums, expected, int(at), 7 * came.shape[1]):
                far[at : at + length] = sign[at]
    if not far.any():
        return far.reshape(came.shape)
    # Only hours that are out themselves, not their quiet neighbours in the stretch.
    factor = _PART[1]
    out = np.where(far > 0, flat_came > factor * flat_due, flat_came < flat_due / factor)
    return _not_daily(np.where(out, far, 0).reshape(came.shape))


def _unlike_other_weeks(sums: Float64, expected: Float64, at: int, week: int) -> bool:
    """Return whether a stretch is out of the range of its like in the four weeks on each side."""
    near = np.arange(at - _LIKE_WEEKS * week, at + (_LIKE_WEEKS + 1) * week, week)
    near = near[(near >= 0) & (near < len(sums)) & (near != at)]
    near = near[expected[near] > expected[at] / 4]
    if len(near) < _LEAST_LIKE:
        return False
    own, others = sums[at] / expected[at], sums[near] / expected[near]
    return bool(own > _BEYOND * others.max() or own < others.min() / _BEYOND)


def _not_daily(far: Int64) -> Int64:
    """Drop what is as far at the same hour on four of seven days: the pattern has moved."""
    left = far.copy()
    for slot in np.flatnonzero((far != 0).sum(axis=0) >= _LASTING_DAYS):
        left[:, slot] = _not_lasting(far[:, slot])
    return left


def describe(grid: WeekGrid, anomalies: Anomalies) -> list[AnomalousDay]:
    """Return the bad days of a grid, oldest first, each with its hours and what it looks like."""
    minutes = DAY_MINUTES // grid.slots
    days = []
    for at in np.flatnonzero(anomalies.bad.any(axis=1)):
        apart = grid.days[at] - anomalies.expected[at]
        many, few = (float(np.abs(apart[anomalies.sign[at] == sign]).sum()) for sign in (1, -1))
        slots = np.flatnonzero(anomalies.sign[at] == (1 if many > few else -1))
        ratio = float(grid.days[at, slots].sum() / max(anomalies.expected[at, slots].sum(), 1e-12))
        open_slots = np.flatnonzero(~np.isnan(grid.days[at]))
        whole = len(slots) == len(open_slots)
        kind: Kind = "surge" if many > few else "outage"
        days.append(
            AnomalousDay(
                queue=grid.queue.queue,
                day=int(grid.first_day + at),
                ratio=ratio,
                kind="shut" if whole and ratio < _SHUT_BELOW else kind,
                from_minute=0 if whole else int(slots[0]) * minutes,
                to_minute=DAY_MINUTES if whole else (int(slots[-1]) + 1) * minutes,
            )
        )
    return days


def find_anomalies(
    history: QueueHistory, effects: DayEffects, events: Sequence[Event], *, known_by: int
) -> tuple[Bool, list[AnomalousDay]]:
    """Return whether each interval is bad, bool[n], and the bad days, oldest first.

    An event known later than ``known_by``, epoch seconds, does not exist.
    """
    if len(history.starts) == 0:
        return np.zeros(0, dtype=bool), []
    queue = learn_opening(history.queue, history.starts, history.offered)
    plain = ordinary(effects, queue, history.starts, history.offered, events, known_by=known_by)
    grid = week_grid(queue, history.starts, plain)
    anomalies = bad_days(grid.days, week_profile(grid.values, half_life_weeks=20))
    day, cell = week_cells(queue, history.starts)
    bad: Bool = anomalies.bad[day - grid.first_day, cell % grid.slots]
    bad |= outages(queue, history.starts, events, known_by=known_by)
    return bad, describe(grid, anomalies)
