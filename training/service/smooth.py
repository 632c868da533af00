"""Rates and handle times behind what was counted: chance taken out as far as it explains them.

The queue model adds the chance of single contacts itself; asked with counts, it would count it
twice.
"""

from __future__ import annotations

import numpy as np

from features.calendar import Float64, Int64


def smooth_counts(counts: Float64, week: Int64) -> Float64:
    """Return the rate of each interval, from the same intervals of all weeks.

    Counts vary around the mean of their place in the week by m + c m² (Poisson, and what days
    differ by); each is drawn to the mean by the share 1 / (1 + c m) that Poisson has in it. The
    one c of all places is found by moments.

    >>> smooth_counts(np.array([8.0, 12.0, 10.0, 10.0]), np.zeros(4, np.int64)).tolist()
    [10.0, 10.0, 10.0, 10.0]
    """
    times = np.bincount(week)
    mean = (np.bincount(week, counts) / np.maximum(times, 1))[week]
    several = times[week] > 1
    unbiased = times[week] / np.maximum(times[week] - 1, 1)
    beyond = ((counts - mean) ** 2 * unbiased - mean)[several].sum()
    squares = float((mean[several] ** 2).sum())
    spread = max(float(beyond) / squares, 0.0) if squares else 0.0
    kept = np.where(several, spread * mean / (1 + spread * mean), 1.0)
    rates: Float64 = mean + kept * (counts - mean)
    return rates


def smooth_aht(handled: Float64, seconds: Float64, squares: Float64) -> Float64:
    """Return the average handle time of each interval, drawn to that of all.

    By as much as the spread of single contacts explains the differences between intervals (the
    moment estimate of DerSimonian and Laird 1986).

    Args:
        handled: Contacts of each interval, float64[m], at least one in all.
        seconds: Sum of their handle times, float64[m].
        squares: Sum of the squares of their handle times, float64[m].

    >>> smooth_aht(np.array([2.0, 2.0]), np.array([300.0, 500.0]), np.array([1e5, 1.7e5])).tolist()
    [200.0, 200.0]
    """
    total = float(handled.sum())
    usual = float(seconds.sum()) / total
    within = max(float(squares.sum()) / total - usual**2, 0.0)
    some = handled > 0
    own = np.divide(seconds, handled, out=np.full(len(handled), usual), where=some)
    apart = float((handled * (own - usual) ** 2).sum()) - (int(some.sum()) - 1) * within
    between = max(apart / max(total - float((handled**2).sum()) / total, 1.0), 0.0)
    if between == 0:
        return np.full(len(handled), usual)
    kept = handled * between / (handled * between + within)
    aht: Float64 = usual + kept * (own - usual)
    return aht
