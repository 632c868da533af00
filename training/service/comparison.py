"""Predicted beside achieved service level: pools, smoothing, and the efficiency that fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import bisect

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import local_times
from features.calendar.queues import Queue
from features.volume.contacts import Waits
from serving.models.shrinkage import shrink
from serving.staffing.erlang import performance
from serving.staffing.queue_model import QueueModel
from training.service.patience import Patience
from training.service.presence import Presence, Spells, Work, presence_of

EFFICIENCIES = (0.5, 2.0)
"""An efficiency at either end explains nothing: the agents or the waits are not what they seem."""
_TOLERANCE = 2e-4


@dataclass(frozen=True)
class Compared:
    """Intervals of one queue in which somebody came and somebody was on phone, arrays of n.

    Attributes:
        starts: Epoch seconds, int64[n], ascending.
        hour: Hour of the day on the queue's clock, int64[n].
        later: Whether it lies in the part that no efficiency is learnt from, bool[n].
        contacts: Offered, without those that hung up in the first seconds, float64[n].
        achieved: Share of them that was answered within the goal, float64[n].
        agents: Mean agents on phone for this queue, float64[n].
        load: Erlangs that came to all who serve it, float64[n].
        aht_seconds: Average handle time of what came to them, float64[n].
        pool_agents: Mean agents on phone who serve it, whatever they do, float64[n].
        line: How contacts wait for them, with the patience of all who do.
    """

    starts: Int64
    hour: Int64
    later: Bool
    contacts: Float64
    achieved: Float64
    agents: Float64
    load: Float64
    aht_seconds: Float64
    pool_agents: Float64
    line: QueueModel
    within_seconds: float

    def predicted(self, efficiency: float = 1.0) -> Float64:
        """Return the service level that the queue model predicts, float64[n].

        Between two whole numbers of agents it is interpolated.
        """
        low = np.floor(self.pool_agents).astype(np.int64)
        more = self.pool_agents - low
        levels = (self._level(low, efficiency), self._level(low + 1, efficiency))
        return (1 - more) * levels[0] + more * levels[1]

    def _level(self, agents: Int64, efficiency: float) -> Float64:
        return performance(
            self.load / efficiency,
            aht_seconds=self.aht_seconds / efficiency,
            agents=agents,
            line=self.line,
            within_seconds=self.within_seconds,
        ).service_level

    def mean(self, levels: Float64, use: Bool | None = None) -> float:
        """Return the mean over contacts of a service level, float64[n], in some intervals."""
        weight = self.contacts if use is None else np.where(use, self.contacts, 0.0)
        return float(levels @ weight / weight.sum())

    def error(self, levels: Float64) -> float:
        """Return by how much a service level misses in the later part, by hour of the day.

        Hours of the day, not single intervals: in one interval chance alone moves what few
        contacts achieve, and an absolute error would reward the nearer of 0 and 1.
        """
        missed = np.where(self.later, self.contacts * (levels - self.achieved), 0.0)
        return float(np.abs(np.bincount(self.hour, missed)).sum() / self.contacts[self.later].sum())


def fit_efficiency(compared: Compared) -> float:
    """Return the efficiency whose prediction is what the earlier part achieved in all.

    The prediction grows with it, so that halving the span of ``EFFICIENCIES`` on a logarithmic
    scale finds it; an end of the span where none inside is enough.
    """
    earlier = ~compared.later
    target = compared.mean(compared.achieved, earlier)
    low, high = np.log(EFFICIENCIES)

    def missed(logarithm: float) -> float:
        return compared.mean(compared.predicted(float(np.exp(logarithm))), earlier) - target

    if missed(low) >= 0:
        return EFFICIENCIES[0]
    if missed(high) < 0:
        return EFFICIENCIES[1]
    return float(np.exp(bisect(missed, low, high, xtol=_TOLERANCE)))


@dataclass(frozen=True)
class Own:
    """One queue's contacts, and what was learnt of their patience.

    Attributes:
        rows: Places of its contacts with a wait, int64[n].
        starts: Interval of each, epoch seconds, int64[n].
        short_seconds: Hang-ups before it are left out.
    """

    queue: Queue
    rows: Int64
    starts: Int64
    short_seconds: float
    patience: Patience | None


@dataclass(frozen=True)
class Grid:
    """What came and who was there, on one grid of m intervals, for q queues.

    Attributes:
        offered: float64[m, q], without hang-ups in the first seconds.
        handled: Contacts with a handle time, float64[m, q].
        handle_seconds: Sum of these, float64[m, q].
        handle_squares: Sum of the squares of these, float64[m, q].
        week: Place of each interval in the week on the wall clock, int64[m].
    """

    presence: Presence
    offered: Float64
    handled: Float64
    handle_seconds: Float64
    handle_squares: Float64
    week: Int64


def grid_of(
    waits: Waits, work: Work, spells: Spells, *, counted: Bool, time_zone: str, minutes: int
) -> Grid:
    """Count on one grid.

    ``work``: What agents were seen to handle; at least one contact. ``counted``: Which contacts
    come to the agents, bool[n]. ``time_zone``: IANA zone of the grid.
    """
    presence = presence_of(work, spells, minutes=minutes, time_zone=time_zone)
    starts, queues = presence.starts, len(waits.queues)
    last = starts[-1] + presence.lengths[-1]
    inside = (waits.started_at >= starts[0]) & (waits.started_at < last)

    at = np.searchsorted(starts, waits.started_at[inside], side="right") - 1
    cell = at * queues + waits.queue[inside]

    def summed(use: Bool, power: int) -> Float64:
        weight = waits.handle_seconds[inside][use].astype(np.float64) ** power if power else None
        found = np.bincount(cell[use], weight, len(starts) * queues)
        return found.reshape(-1, queues).astype(np.float64)

    handled = waits.handle_seconds[inside] > 0
    return Grid(
        presence=presence,
        offered=summed(counted[inside], 0),
        handled=summed(handled, 0),
        handle_seconds=summed(handled, 1),
        handle_squares=summed(handled, 2),
        week=local_times(starts, time_zone).minute_of_week // minutes,
    )


def compare(
    waits: Waits, grid: Grid, place: int, own: Mapping[int, Own], *, until: int
) -> Compared:
    """Gather what one queue's service levels are compared on.

    ``until``: Where the later part begins, epoch seconds.
    """
    one, presence = own[place], grid.presence
    mates = np.array(
        [
            k in own and own[k].queue.concurrency == one.queue.concurrency
            for k in range(len(waits.queues))
        ]
    )
    pool = presence.pool(place, mates=mates)
    taken = np.where(mates, pool.taken, 0.0)
    contacts, in_time = _answered(waits, one, presence.starts)
    use = (contacts > 0) & (pool.agents > 0)
    came, handled, seconds, squares = (
        (each * taken).sum(axis=1)
        for each in (grid.offered, grid.handled, grid.handle_seconds, grid.handle_squares)
    )
    aht = smooth_aht(handled, seconds, squares)
    return Compared(
        starts=presence.starts[use],
        hour=local_times(presence.starts, one.queue.time_zone).minute_of_day[use] // 60,
        later=presence.starts[use] >= until,
        contacts=contacts[use],
        achieved=in_time[use] / contacts[use],
        agents=pool.share[use],
        load=(smooth_counts(came, grid.week) / presence.lengths * aht)[use],
        aht_seconds=aht[use],
        pool_agents=pool.agents[use],
        line=QueueModel(
            patience_seconds=_pooled(grid, taken, own) or one.queue.patience_seconds,
            concurrency=one.queue.concurrency,
        ),
        within_seconds=one.queue.goal_seconds,
    )


def _answered(waits: Waits, one: Own, starts: Int64) -> tuple[Float64, Float64]:
    """Return each interval's contacts of known wait, and those answered within the goal."""
    seconds, gone = waits.wait_seconds[one.rows], waits.abandoned[one.rows]
    use = (one.starts >= starts[0]) & (one.starts <= starts[-1])
    use &= ~(gone & (seconds < one.short_seconds))
    good = use & ~gone & (seconds <= one.queue.goal_seconds)
    contacts, in_time = (
        np.bincount(np.searchsorted(starts, one.starts[which]), minlength=len(starts))
        for which in (use, good)
    )
    return contacts.astype(np.float64), in_time.astype(np.float64)


def _pooled(grid: Grid, taken: Float64, own: Mapping[int, Own]) -> float | None:
    """Return the patience of all who wait for some agents: hazards are averaged, not means."""
    weights = (grid.offered * taken).sum(axis=0)
    known = {k: one.patience.mean_seconds for k, one in own.items() if one.patience}
    total = sum(weights[k] for k in known)
    if total <= 0:
        return None
    return float(total / sum(weights[k] / mean for k, mean in known.items()))


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
    # Poisson's variance is the mean, that of days spread x mean²: they weigh 1 : spread x mean.
    rates = shrink(spread * mean * counts, weight=spread * mean, prior=mean, prior_weight=1.0)
    return np.where(several, rates, counts)


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
    return shrink(seconds, weight=handled, prior=usual, prior_weight=within / between)
