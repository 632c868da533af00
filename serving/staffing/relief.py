"""More agents where contacts that wait on from before would break a goal that is met without them.

Each interval gets at most as many again as it asked for alone; what is left then is for the
intervals after, so that a long line does not ask for a crowd of agents at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.calendar import Bool, Float64, Int64
from serving.staffing.asked import Ask
from serving.staffing.carry import Carried, carried
from serving.staffing.erlang import performance
from serving.staffing.fewest import meets

_RELIEF_ROUNDS = 10


@dataclass(frozen=True)
class Mean:
    """The mean forecast, float64[h]; nothing comes to closed intervals, each AHT is above 0."""

    contacts: Float64
    aht_seconds: Float64
    interval_minutes: int

    @property
    def agents_a_contact(self) -> Float64:
        """Agents whom one contact keeps busy for the whole interval, float64[h]."""
        return self.aht_seconds / (self.interval_minutes * 60)


def over_time(mean: Mean, *, agents: Int64, ask: Ask) -> Carried:
    """Return the performance of the mean forecast, one interval after the other."""
    return carried(
        mean.contacts,
        aht_seconds=mean.aht_seconds,
        agents=agents,
        interval_minutes=mean.interval_minutes,
        line=ask.line,
        goal=ask.goal,
        backlog_contacts=ask.backlog_contacts,
    )


def relieved(mean: Mean, *, agents: Int64, ask: Ask) -> tuple[Int64, Carried]:
    """Return the agents, more where intervals need relief, and their performance over time."""
    most, day = 2 * agents, over_time(mean, agents=agents, ask=ask)
    if ask.backlog_contacts == 0 and not day.waiting.any():
        return agents, day
    alone = performance(
        mean.contacts * mean.agents_a_contact,
        aht_seconds=mean.aht_seconds,
        agents=agents,
        line=ask.line,
        within_seconds=ask.goal.seconds,
    )
    met = meets(alone, ask.goal)
    for _ in range(_RELIEF_ROUNDS):
        broken = met & ~meets(day.expected, ask.goal)
        waiting = np.concatenate([[ask.backlog_contacts], day.waiting[:-1]])
        # Half of what would work it off: the goal wants it gone early, and that is not linear.
        lack = np.ceil(waiting * mean.agents_a_contact / ask.line.concurrency / 2).astype(np.int64)
        more = _shared_out(lack, room=most - agents, broken=broken)
        if not more.any():
            break
        agents = agents + more
        day = over_time(mean, agents=agents, ask=ask)
    return agents, day


def _shared_out(lack: Int64, *, room: Int64, broken: Bool) -> Int64:
    """Return more agents for each run of broken intervals: what its first lacks, from there on.

    ``lack`` and ``room`` are the agents each would need and may get, int64[h].
    """
    more = np.zeros(len(lack), dtype=np.int64)
    rest = 0
    for i in np.flatnonzero(broken):
        if i == 0 or not broken[i - 1]:
            rest = max(int(lack[i]), 1)
        more[i] = min(rest, room[i])
        rest -= more[i]
    return more
