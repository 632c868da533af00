"""Where a goal begins or ceases to be met: a whole number, or a load, for many intervals at once.

The margin is above 0 where the goal is met. It grows with agents and falls with load. Each search
keeps one value known to meet and one known to miss, and drops the intervals that are done.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from features.calendar import Float64, Int64

_HALVE_EVERY = 4


def smallest(
    margin: Callable[[Int64, Int64], Float64], *, misses: Int64, guess: Int64, scale: Float64
) -> Int64:
    """Return the smallest n with a margin above 0 for each interval, int64[n].

    ``margin`` takes places of intervals and their n; ``misses`` are known to miss; ``scale`` is
    the agents that change the margin by about 1.
    """
    none = np.iinfo(np.int64).max
    low, high = misses.copy(), np.full(len(misses), none)
    below, above = np.full(len(low), np.nan), np.full(len(low), np.nan)
    at = np.maximum(guess, low + 1)
    live = np.arange(len(low))
    tries = 0
    while len(live):
        found = margin(live, at[live])
        met = found > 0
        high[live[met]], above[live[met]] = at[live[met]], found[met]
        low[live[~met]], below[live[~met]] = at[live[~met]], found[~met]
        live = live[(high[live] == none) | (high[live] - low[live] > 1)]
        tries += 1
        at[live] = _next_whole(low[live], high[live], below[live], above[live], scale[live], tries)
    return high


def _next_whole(
    low: Int64, high: Int64, below: Float64, above: Float64, scale: Float64, tries: int
) -> Int64:
    """Return where to look next, strictly within each bracket."""
    open_above, open_below = np.isnan(above), np.isnan(below)
    # From one end alone: as far as the margin should change by what is left, and further each time.
    reach = np.ceil(scale * np.where(open_above, -below, above)) + 2**tries - 1
    up, down = low + reach, high - np.maximum(reach - 1, 1)
    between = np.ceil(low + (high - low) * (below / (below - above)))
    at = np.where(open_above, up, np.where(open_below, down, between))
    if tries % _HALVE_EVERY == 0:
        at = np.where(open_above, up, low + (high - low) // 2)
    whole: Int64 = np.clip(at, low + 1, high - 1).astype(np.int64)
    return whole


def greatest(
    margin: Callable[[Int64, Float64], Float64], *, guess: Float64, tolerance: float
) -> Float64:
    """Return the greatest load with a margin above 0, within ``tolerance`` of itself, float64[n].

    Brackets it from a guess above 0, then narrows by Chandrupatla's rule ("A new hybrid quadratic /
    bisection algorithm", Advances in Engineering Software 28, 1997): inverse quadratic
    interpolation where that is safe, else the middle.
    """
    a, b, at_a, at_b = _load_bracket(margin, guess)
    c, at_c = b.copy(), at_b.copy()
    t = at_a / (at_a - at_b)
    live = np.arange(len(a))
    while len(live):
        i = live
        x = a[i] + np.clip(t[i], 0.0, 1.0) * (b[i] - a[i])
        found = margin(i, x)
        same = (found > 0) == (at_a[i] > 0)
        c[i], at_c[i] = np.where(same, a[i], b[i]), np.where(same, at_a[i], at_b[i])
        b[i], at_b[i] = np.where(same, b[i], a[i]), np.where(same, at_b[i], at_a[i])
        a[i], at_a[i] = x, found
        width = np.abs(b[i] - a[i])
        least = tolerance * x
        live = i[width > 2 * least]
        t[i] = _next_share(
            a[i], b[i], c[i], at_a[i], at_b[i], at_c[i], least / np.maximum(width, 1e-300)
        )
    return np.where(at_a > 0, a, b)


def _next_share(
    a: Float64, b: Float64, c: Float64, at_a: Float64, at_b: Float64, at_c: Float64, least: Float64
) -> Float64:
    """Return how far from a to b to look next, as a share of the way."""
    with np.errstate(divide="ignore", invalid="ignore"):
        place, rise = (a - b) / (c - b), (at_a - at_b) / (at_c - at_b)
        t = at_a / (at_b - at_a) * at_c / (at_b - at_c) + (c - a) / (b - a) * at_a / (
            at_c - at_a
        ) * at_b / (at_c - at_b)
        safe = (rise**2 < place) & ((1 - rise) ** 2 < 1 - place) & np.isfinite(t)
    step: Float64 = np.clip(np.where(safe, t, 0.5), least, 1 - least)
    return step


def _load_bracket(
    margin: Callable[[Int64, Float64], Float64], guess: Float64
) -> tuple[Float64, Float64, Float64, Float64]:
    """Return loads that meet and that miss, and the margin of each."""
    everyone = np.arange(len(guess))
    found = margin(everyone, guess)
    meet, miss, at_meet, at_miss = guess.copy(), guess.copy(), found.copy(), found.copy()
    live, factor = everyone, 1.5
    while len(live):
        up = at_miss[live] > 0
        # The margin of n agents changes by about 1 with half of root n erlangs.
        reach = factor * np.sqrt(guess[live]) / 2 * np.abs(found)
        x = np.where(up, miss[live] + reach, np.maximum(meet[live] - reach, meet[live] / 4))
        found = margin(live, x)
        # The end that was known to be on this side moves up to where the other was sought.
        meet[live] = np.where(up & (found <= 0), miss[live], x)
        at_meet[live] = np.where(up & (found <= 0), at_miss[live], found)
        miss[live] = np.where(~up & (found > 0), miss[live], x)
        at_miss[live] = np.where(~up & (found > 0), at_miss[live], found)
        done = (at_meet[live] > 0) & (at_miss[live] <= 0)
        live, found, factor = live[~done], found[~done], 2 * factor
    return meet, miss, at_meet, at_miss
