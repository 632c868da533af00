"""What came and who was there by interval: what a queue's two service levels are compared on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from features.calendar import Bool, Float64, Int64, Queue, local_times
from features.waits import Waits
from serving.staffing.goal import Line
from training.service.compare import Compared
from training.service.patience import Patience
from training.service.presence import Presence, Spells, Work, presence_of
from training.service.smooth import smooth_aht, smooth_counts


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
        line=Line(
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
