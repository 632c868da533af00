"""Agents needed beside pyworkforce: the same intervals, the same goal, the same model."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from statistics import median

import mpmath
import numpy as np

from features.arrays import Float64, Int64
from serving.staffing.queue_model import QueueModel, ServiceGoal
from serving.staffing.requirement import fewest_agents

PEER = "pyworkforce"
HOUR_SECONDS = 3600.0
EASY = ServiceGoal(share=0.8, seconds=600.0)
"""A threshold so long that one agent above the load is enough."""


@dataclass(frozen=True)
class Intervals:
    """Hours to staff.

    Attributes:
        contacts: Contacts of each, float64[n].
        aht_seconds: Average handle time, float64[n].
    """

    contacts: Float64
    aht_seconds: Float64

    @property
    def load(self) -> Float64:
        """Erlangs, float64[n]."""
        return self.contacts * self.aht_seconds / HOUR_SECONDS


@dataclass(frozen=True)
class Beside:
    """Both on the same intervals.

    Attributes:
        seconds: Ours, for all intervals; median of several.
        peer_seconds: The peer's.
        differ: Intervals in which the two differ.
        refused: Intervals that the peer raises an error for.
        ours_right: Intervals, of those that differ, in which ours meets the goal and one agent
            fewer does not, by a sum in 30 digits.
        peer_over: Intervals in which the peer asks for more than that.
    """

    seconds: float
    peer_seconds: float
    differ: int
    refused: int
    ours_right: int
    peer_over: int


def installed() -> bool:
    """Return whether pyworkforce is here."""
    return importlib.util.find_spec(PEER) is not None


def draw_intervals(count: int, *, seed: int) -> Intervals:
    """Return hours of small and large queues: 1 to 2,000 contacts, AHT 3 to 8 minutes."""
    rng = np.random.default_rng(seed)
    contacts = np.exp(rng.uniform(0, np.log(2_000), count))
    return Intervals(contacts, rng.uniform(180.0, 480.0, count))


def beside(intervals: Intervals, *, goal: ServiceGoal, rounds: int = 5) -> Beside:
    """Return both answers compared, and their times in this process.

    Args:
        intervals: The hours.
        goal: A service level; its other limits are not looked at.
        rounds: How often ours is timed.
    """
    ours, seconds = _timed(
        lambda: fewest_agents(
            intervals.load, aht_seconds=intervals.aht_seconds, line=QueueModel(), goal=goal
        ),
        rounds=rounds,
    )
    theirs, peer_seconds = _timed(lambda: _peer(intervals, goal), rounds=1)
    differ = np.flatnonzero((theirs >= 0) & (theirs != ours))
    right = sum(
        _meets(intervals, int(i), int(ours[i]), goal)
        and not _meets(intervals, int(i), int(ours[i]) - 1, goal)
        for i in differ
    )
    return Beside(
        seconds=seconds,
        peer_seconds=peer_seconds,
        differ=len(differ),
        refused=int((theirs < 0).sum()),
        ours_right=right,
        peer_over=int((theirs[differ] > ours[differ]).sum()),
    )


def _timed(work: Callable[[], Int64], *, rounds: int) -> tuple[Int64, float]:
    spent = []
    for _ in range(rounds):
        began = time.process_time()
        found = work()
        spent.append(time.process_time() - began)
    return found, median(spent)


def _peer(intervals: Intervals, goal: ServiceGoal) -> Int64:
    """Return what pyworkforce asks for, int64[n]; -1 where it raises an error."""
    from pyworkforce.queuing import ErlangC

    found = []
    for contacts, aht in zip(
        intervals.contacts.tolist(), intervals.aht_seconds.tolist(), strict=True
    ):
        try:
            queue = ErlangC(transactions=contacts, aht=aht, asa=goal.seconds, interval=HOUR_SECONDS)
            found.append(queue.required_positions(service_level=goal.share)["raw_positions"])
        except ValueError:
            found.append(-1)
    return np.array(found, dtype=np.int64)


def _meets(intervals: Intervals, i: int, agents: int, goal: ServiceGoal) -> bool:
    """Return whether agents meet the goal by Erlang C as its textbook sum, in 30 digits."""
    with mpmath.workdps(30):
        aht = Fraction(float(intervals.aht_seconds[i]))
        exact = Fraction(float(intervals.contacts[i])) * aht / int(HOUR_SECONDS)
        load = mpmath.mpf(exact.numerator) / exact.denominator
        if agents <= load:
            return False
        term = total = mpmath.mpf(1)
        for k in range(1, agents):
            term *= load / k
            total += term
        waiting = term * load / agents * agents / (agents - load)
        wait = waiting / (total + waiting)
        late = wait * mpmath.exp(-(agents - load) * goal.seconds / float(aht))
        return bool(1 - late >= goal.share)
