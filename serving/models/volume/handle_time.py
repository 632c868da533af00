"""The average handle time to expect in each cell of the week.

A level that follows lasting shifts and no single wild interval, times a shape by hour, weekday
and cell of the week. How much a mean says depends on how many contacts it is of, and on how much
one contact's time varies: both are taken from the queue's own history. No trend is carried on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.arrays import Float64
from features.calendar.queues import Queue
from features.volume.history import QueueHistory
from serving.models.shrinkage import shrink
from serving.models.volume.levels import quotient
from serving.models.volume.week_profile import week_grid

HALF_LIVES_DAYS = (4.0, 10.0, 28.0, 120.0)
"""Of the level: the one that would have foreseen the last weeks best is used."""
_HANDICAPS = np.array([1.06, 1.04, 1.01, 1.0])
"""On the errors of each: a level that moves fast must show that it has to."""
_TRIED_DAYS = 84
_AHEAD_DAYS = 14
_SHAPE_HALF_LIFE_DAYS = 91.0
_MEDIAN_DAYS = 9
_AROUND_DAYS = 14
_LEAST_SPREAD, _MOST_SPREAD = 0.01, 0.5
"""Bounds on how far hours, weekdays and cells of the week are taken to lie apart, as shares."""
_DEFAULT_SPREAD = 0.5
_MOST_FACTOR = 5.0
_LEAST_SECONDS = 1.0


@dataclass(frozen=True)
class _Handled:
    """What was handled, float64[days, slots], wild means clipped.

    ``variation`` is the coefficient of variation of one contact's handle time, ``middle`` the usual
    AHT around each day, float64[days], seconds.
    """

    contacts: Float64
    seconds: Float64
    variation: float
    middle: Float64


def aht_by_cell(queue: Queue, history: QueueHistory) -> Float64:
    """Return the average handle time of each cell of the week, float64[cells], seconds.

    At least 1 second, and within a factor of 5 of what was usual lately; the queue's default in all
    cells where nothing was ever handled.
    """
    means = week_grid(queue, history.starts, history.aht_seconds).values
    contacts = week_grid(queue, history.starts, history.handled).values
    cells = means.shape[1]
    usable = (means > 0) & (contacts > 0)
    if not usable.any():
        return np.full(cells, queue.default_aht_seconds)
    handled = _handled(
        np.where(usable, means, np.nan).reshape(-1, cells // 7),
        np.where(usable, contacts, 0.0).reshape(-1, cells // 7),
    )
    shape = _shape(handled)
    level = _level(handled, shape, default_seconds=queue.default_aht_seconds)
    usual = (level + handled.middle[-1]) / 2
    bounds = max(usual / _MOST_FACTOR, _LEAST_SECONDS), max(usual * _MOST_FACTOR, _LEAST_SECONDS)
    aht: Float64 = np.clip(level * shape, *bounds)
    return aht


def _handled(means: Float64, contacts: Float64) -> _Handled:
    """Clip wild means: to what so many contacts can give around the median of nearby days."""
    total = np.nansum(means * contacts, axis=1)
    count = contacts.sum(axis=1)
    middle = _running_median(quotient(total, count, where=count > 0))
    relative = means / middle[:, None]
    seen = contacts > 0
    # The median of a squared standard normal is 0.455.
    variation = np.sqrt(np.median((contacts * (relative - 1) ** 2)[seen]) / 0.455)
    variation = float(np.clip(variation, 0.2, 2.0))
    slack = 1.5 + 4 * variation / np.sqrt(np.maximum(contacts, 1.0))
    clipped = np.clip(relative, 1 / slack, slack) * middle[:, None]
    return _Handled(contacts, np.where(seen, clipped, 0.0) * contacts, variation, middle)


def _running_median(daily: Float64) -> Float64:
    """Return the median of the observed days nearest to each day, float64[days]."""
    seen = np.flatnonzero(~np.isnan(daily))
    width = min(_MEDIAN_DAYS, len(seen))
    windows = np.median(np.lib.stride_tricks.sliding_window_view(daily[seen], width), axis=1)
    place = np.searchsorted(seen, np.arange(len(daily)))
    median: Float64 = windows[np.clip(place - width // 2, 0, len(windows) - 1)]
    return median


def _shape(handled: _Handled) -> Float64:
    """Return the factor of each cell of the week, float64[cells]: hour x weekday x its own."""
    days, slots = handled.contacts.shape
    weights = 0.5 ** (np.arange(days)[::-1, None] / _SHAPE_HALF_LIFE_DAYS)
    level = _aht_around(handled)[:, None]
    seconds = (weights * handled.seconds / level).reshape(-1, 7, slots).sum(axis=0)
    contacts = (weights * handled.contacts).reshape(-1, 7, slots).sum(axis=0)
    variation, per_hour = handled.variation, slots // 24
    hours = [x.sum(axis=0).reshape(24, per_hour).sum(axis=1) for x in (seconds, contacts)]
    hour = np.repeat(_factors(hours[0], hours[1], variation), per_hour)
    slot = hour * _factors(seconds.sum(axis=0), contacts.sum(axis=0) * hour, variation)
    expected = contacts * slot
    weekday = _factors(seconds.sum(axis=1), expected.sum(axis=1), variation)[:, None]
    cell = _factors(seconds.reshape(-1), (expected * weekday).reshape(-1), variation)
    shape: Float64 = (slot * weekday).reshape(-1) * cell
    return shape


def _factors(seconds: Float64, expected: Float64, variation: float) -> Float64:
    """Return factors of some groups, drawn to 1 as far as noise explains how they differ.

    The spread between groups is what is left of their distance from 1 beyond the noise of so
    many contacts (the moments of DerSimonian and Laird 1986).
    """
    seen = expected > 0
    ratio = quotient(seconds, expected, where=seen, otherwise=1.0)
    noise = variation**2
    total = max(float(expected.sum()), 1e-9)
    beyond = float(expected @ (ratio - 1) ** 2) - noise * int(seen.sum())
    spread = beyond / max(total - float(expected @ expected) / total, 1e-9)
    strength = noise / float(np.clip(spread, _LEAST_SPREAD**2, _MOST_SPREAD**2))
    return shrink(seconds, weight=expected, prior=1.0, prior_weight=strength)


def _aht_around(handled: _Handled) -> Float64:
    """Return the AHT over four weeks around each day, float64[days]; > 0."""
    window = np.ones(2 * _AROUND_DAYS + 1)
    seconds, contacts = (
        np.convolve(x.sum(axis=1), window)[_AROUND_DAYS:-_AROUND_DAYS]
        for x in (handled.seconds, handled.contacts)
    )
    means = quotient(seconds, contacts, where=contacts > 0)
    return np.where(np.isnan(means), handled.middle, means)


def _level(handled: _Handled, shape: Float64, *, default_seconds: float) -> float:
    days, slots = handled.contacts.shape
    by_cell = handled.contacts.reshape(-1, 7 * slots) * shape
    seconds, expected = handled.seconds.sum(axis=1), by_cell.reshape(days, slots).sum(axis=1)
    strength = (handled.variation / _DEFAULT_SPREAD) ** 2
    last = int(np.flatnonzero(expected > 0)[-1]) + 1
    seconds, expected = seconds[:last], expected[:last]
    paths = [_weighed(seconds, expected, half_life) for half_life in HALF_LIVES_DAYS]
    total, count = paths[_best(paths, seconds, expected)]
    return float(shrink(total[-1], weight=count[-1], prior=default_seconds, prior_weight=strength))


def _weighed(seconds: Float64, expected: Float64, half_life: float) -> tuple[Float64, Float64]:
    """Return seconds and expected contacts up to each day, newer days more, float64[days] each."""
    growth = 2.0 ** (np.arange(len(seconds)) / half_life)
    return np.cumsum(seconds * growth) / growth, np.cumsum(expected * growth) / growth


def _best(paths: list[tuple[Float64, Float64]], seconds: Float64, expected: Float64) -> int:
    """Return which half-life foresaw two weeks ahead best, by its place."""
    days = len(seconds)
    first = int(np.flatnonzero(expected > 0)[0]) + 1
    tried = np.arange(max(days - _TRIED_DAYS, first), days) - 1
    sums = [np.concatenate(([0.0], np.cumsum(x))) for x in (seconds, expected)]
    ahead = np.minimum(tried + 1 + _AHEAD_DAYS, days)
    came, count = (x[ahead] - x[tried + 1] for x in sums)
    errors = np.array(
        [np.abs(total[tried] / load[tried] * count - came).sum() for total, load in paths]
    )
    return int(np.argmin(errors * _HANDICAPS))
