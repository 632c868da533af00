"""More agents where contacts that wait on from before would break a goal that is met without them.

A policy asks for the agents of each interval alone. Where it leaves contacts waiting (few agents
are cheap, or a backlog is there when the span begins), the next intervals have them on top. They
get agents to work them off, each at most as many again as it asked for alone: what is left then
is for the intervals after, so that a long line does not ask for a crowd of agents at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.calendar import Bool, Float64, Int64
from serving.staffing.asked import Ask
from serving.staffing.carry import Carried, carried
from serving.staffing.erlang import fare
from serving.staffing.fewest import meets

_ROUNDS = 10


@dataclass(frozen=True)
class Mean:
    """The mean forecast of a line, closed intervals without contacts.

    Attributes:
        contacts: float64[h].
        aht_seconds: Above 0, float64[h].
        interval_minutes: Length of an interval.
    """

    contacts: Float64
    aht_seconds: Float64
    interval_minutes: int

    @property
    def agents_a_contact(self) -> Float64:
        """Agents whom one contact keeps busy for the whole interval, float64[h]."""
        return self.aht_seconds / (self.interval_minutes * 60)


def over_time(mean: Mean, *, agents: Int64, ask: Ask) -> Carried:
    """Return how the mean forecast fares, one interval after the other.

    Args:
        mean: What is expected to come.
        agents: On phone, int64[h].
        ask: The line, the goal and the backlog.
    """
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
    """Return the agents, more where they need relief, and how they fare over time.

    Args:
        mean: What is expected to come.
        agents: What the policy asks for in each interval alone, int64[h].
        ask: The line, the goal and the backlog.
    """
    most, found = 2 * agents, over_time(mean, agents=agents, ask=ask)
    if ask.backlog_contacts == 0 and not found.waiting.any():
        return agents, found
    alone = fare(
        mean.contacts * mean.agents_a_contact,
        aht_seconds=mean.aht_seconds,
        agents=agents,
        line=ask.line,
        within_seconds=ask.goal.seconds,
    )
    met = meets(alone, ask.goal)
    for _ in range(_ROUNDS):
        broken = met & ~meets(found.expected, ask.goal)
        waiting = np.concatenate([[ask.backlog_contacts], found.waiting[:-1]])
        # Half of what would work it off: the goal wants it gone early, and that is not linear.
        lack = np.ceil(waiting * mean.agents_a_contact / ask.line.concurrency / 2).astype(np.int64)
        more = _shared_out(lack, room=most - agents, broken=broken)
        if not more.any():
            break
        agents = agents + more
        found = over_time(mean, agents=agents, ask=ask)
    return agents, found


def _shared_out(lack: Int64, *, room: Int64, broken: Bool) -> Int64:
    """Return more agents for each row of broken intervals: what its first lacks, from there on.

    Args:
        lack: Agents for one interval that each would need, int64[h].
        room: How many more each may get, int64[h].
        broken: Which intervals miss their goal for what they were left, bool[h].
    """
    more = np.zeros(len(lack), dtype=np.int64)
    rest = 0
    for i in np.flatnonzero(broken):
        if i == 0 or not broken[i - 1]:
            rest = max(int(lack[i]), 1)
        more[i] = min(rest, room[i])
        rest -= more[i]
    return more
